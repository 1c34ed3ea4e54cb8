"""Our own staking contracts on a local node: a rebasing token, its wrapper, and a withdrawal queue of either kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from basis_strategy_v1.venues.staking_shares import Protocol, SharePool

from .chain import compiled

if TYPE_CHECKING:
    from .chain import Chain

BACKING_WEI = 10**30  # ether that the token owns beyond what was staked, so that reported rewards can be paid out
MAX_UINT = 2**256 - 1
OF = "balanceOf(address)(uint256)"
SHARES_OF = "sharesOf(address)(uint256)"


@dataclass(slots=True)
class StakingDeployment:
    """The token is owned by the node's first account, which is the oracle; the second is the staker."""

    chain: Chain
    protocol: Protocol
    token: str
    wrapped: str
    queue: str
    adapter: str = ""

    @property
    def staker(self) -> str:
        return self.chain.accounts[1]

    def pool(self) -> SharePool:
        pooled, shares = self.chain.read([(self.token, "pooled()(uint256)"), (self.token, "totalShares()(uint256)")])
        return SharePool(pooled, shares)

    def held(self) -> tuple[int, int]:
        """(shares, wrapped wei) of the staker."""
        shares, wrapped = self.chain.read([(self.token, SHARES_OF, (self.staker,)), (self.wrapped, OF, (self.staker,))])
        return shares, wrapped

    def submit(self, amount_wei: int) -> None:
        signature = "submit(address)" if self.protocol is Protocol.LIDO else "deposit()"
        referral = ("0x" + "00" * 20,) if self.protocol is Protocol.LIDO else ()
        self.chain.send(self.token, signature, referral, sender=self.staker, value_wei=amount_wei)

    def transfer(self, to: str, amount_wei: int) -> None:
        self.chain.send(self.token, "transfer(address,uint256)", (to, amount_wei), sender=self.staker)

    def wrap(self, amount_wei: int) -> None:
        self.chain.send(self.wrapped, "wrap(uint256)", (amount_wei,), sender=self.staker)

    def unwrap(self, wrapped_wei: int) -> None:
        self.chain.send(self.wrapped, "unwrap(uint256)", (wrapped_wei,), sender=self.staker)

    def report(self, pooled_wei: int) -> None:
        self.chain.send(self.token, "report(uint256)", (pooled_wei,))

    def request(self, amount_wei: int) -> None:
        if self.protocol is Protocol.LIDO:
            signature, arguments, address = "requestWithdrawals(uint256[],address)", ((amount_wei,), self.staker), self.queue
        else:
            signature, arguments, address = "requestWithdraw(address,uint256)", (self.staker, amount_wei), self.token
        self.chain.send(address, signature, arguments, sender=self.staker)

    def finalise(self, last_request_id: int) -> None:
        if self.protocol is Protocol.LIDO:
            self.chain.send(self.token, "finalize(uint256)", (last_request_id,))
        else:
            self.chain.send(self.queue, "finalizeRequests(uint256)", (last_request_id,))

    def claim(self, request_id: int) -> None:
        signature = "claimWithdrawal(uint256)" if self.protocol is Protocol.LIDO else "claimWithdraw(uint256)"
        self.chain.send(self.queue, signature, (request_id,), sender=self.staker)


def deploy_staking(chain: Chain, protocol: Protocol) -> StakingDeployment:
    """Deploy the contracts of one protocol; the staker has approved the wrapper, the queue and the token."""
    names = ("stETH", "wstETH", "WithdrawalQueue") if protocol is Protocol.LIDO else ("eETH", "weETH", "WithdrawRequestNFT")
    token = chain.deploy(compiled("ShareToken.sol", "ShareToken"), (names[0], names[0], protocol is Protocol.ETHERFI))
    wrapped = chain.deploy(compiled("WrappedShareToken.sol", "WrappedShareToken"), (names[1], names[1], token))
    arguments = (token, wrapped) if protocol is Protocol.LIDO else (token,)
    queue = chain.deploy(compiled("WithdrawalQueue.sol", names[2]), arguments)
    chain.send(token, "setQueue(address)", (queue,))
    adapter = chain.deploy(compiled("DepositAdapter.sol", "DepositAdapter"), (token, wrapped)) if protocol is Protocol.ETHERFI else ""
    deployment = StakingDeployment(chain, protocol, token, wrapped, queue, adapter)
    for spender in (wrapped, queue, token):
        chain.send(token, "approve(address,uint256)", (spender, MAX_UINT), sender=deployment.staker)
    chain.deal(token, BACKING_WEI)
    chain.deal(deployment.staker, BACKING_WEI)
    return deployment
