"""Random staking lives, on the model and on our own contracts with the rounding of Lido and ether.fi: equal after every step."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

import pytest

from basis_strategy_v1.venues.reverted import Reverted
from basis_strategy_v1.venues.staking_shares import (
    Protocol,
    SharePool,
    WithdrawalRequest,
    claim,
    finalise,
    pay_out,
    report,
    request_withdrawal,
    share_rate,
    shares_burned_for,
    shares_for,
    submit,
    transfer_shares,
    unwrap,
    wrap,
)

from .chain import TransactionReverted
from .staking_deployment import StakingDeployment, deploy_staking

if TYPE_CHECKING:
    from collections.abc import Callable

    from .chain import Chain

pytestmark = pytest.mark.chain

START_WEI = 10**24
ACTIONS = ("submit", "transfer", "wrap", "unwrap", "request", "finalise", "claim", "report")


@dataclass(slots=True)
class Life:
    """What the models say of the pool and of one staker."""

    protocol: Protocol
    pool: SharePool
    shares: int = 0
    wrapped: int = 0
    ether_wei: int = 0
    requests: list[WithdrawalRequest] = field(default_factory=list)

    def submit(self, amount_wei: int) -> None:
        self.pool, minted = submit(self.pool, amount_wei, self.protocol)
        self.shares += minted
        self.ether_wei -= amount_wei

    def transfer(self, amount_wei: int) -> None:
        self.shares -= transfer_shares(self.pool, self.shares, amount_wei)

    def wrap(self, amount_wei: int) -> None:
        moved = wrap(self.pool, self.shares, amount_wei)
        self.shares -= moved
        self.wrapped += moved

    def unwrap(self, wrapped_wei: int) -> None:
        _, shares = unwrap(self.pool, self.wrapped, wrapped_wei)
        self.wrapped -= wrapped_wei
        self.shares += shares

    def request(self, amount_wei: int) -> None:
        moved, request = request_withdrawal(self.pool, self.shares, amount_wei, protocol=self.protocol, requested_at=len(self.requests))
        self.shares -= moved
        self.requests.append(request)

    def finalise(self, last_request_id: int) -> None:
        """All requests up to this one; Lido takes their ether and shares out of the pool at once."""
        rate = share_rate(self.pool)
        waiting = [place for place, one in enumerate(self.requests[:last_request_id]) if one.rate_e27 is None]
        if not waiting or last_request_id > len(self.requests):
            raise Reverted("nothing to finalise")
        for place in waiting:
            self.requests[place] = finalise(self.requests[place], rate)
        if self.protocol is Protocol.LIDO:
            ready = [self.requests[place] for place in waiting]
            ether = sum(claim(one, self.pool)[0] for one in ready)
            self.pool = pay_out(self.pool, ether, sum(one.shares for one in ready))

    def claim(self, request_id: int) -> None:
        if not 0 < request_id <= len(self.requests):
            raise Reverted("no such request")
        paid, self.requests[request_id - 1] = claim(self.requests[request_id - 1], self.pool)
        self.ether_wei += paid
        if self.protocol is Protocol.ETHERFI:
            self.pool = pay_out(self.pool, paid, shares_burned_for(self.pool, paid))

    def report(self, pooled_wei: int) -> None:
        self.pool = report(self.pool, pooled_wei)


def amount_of(random: Random, life: Life, action: str) -> int:
    """An argument for the action, now and then beyond what is allowed."""
    if action == "report":
        return life.pool.pooled_wei * random.choice((10_003, 10_001, 10_017, 9_990)) // 10_000 + random.randint(0, 999)
    if action in {"finalise", "claim"}:
        return random.randint(0, len(life.requests) + 1)
    if action == "submit":
        return int(10 ** random.uniform(0, 22))
    most = life.wrapped if action == "unwrap" else life.shares * life.pool.pooled_wei // max(life.pool.total_shares, 1)
    return random.choice((most, random.randint(0, most + 2), int(10 ** random.uniform(0, 20)), random.randint(0, 3)))


def step(deployment: StakingDeployment, life: Life, action: str, amount: int) -> bool:
    """Do it on both and compare; whether it was done."""
    ether_before = deployment.chain.balance(deployment.staker) - life.ether_wei
    on_model: Callable[[int], None] = getattr(life, action)
    on_chain: Callable[[int], None] = (
        getattr(deployment, action) if action != "transfer" else lambda wei: deployment.transfer(deployment.queue, wei)
    )
    done = True
    try:
        on_model(amount)
    except Reverted:
        done = False
        with pytest.raises(TransactionReverted):
            on_chain(amount)
    else:
        on_chain(amount)
    assert deployment.pool() == life.pool, (action, amount)
    assert deployment.held() == (life.shares, life.wrapped), (action, amount)
    assert deployment.chain.balance(deployment.staker) - ether_before == life.ether_wei, (action, amount)
    return done


def play(chain: Chain, protocol: Protocol, random: Random, steps: int) -> dict[str, int]:
    """How often each action was done, and how often one was refused."""
    snapshot = chain.snapshot()
    deployment = deploy_staking(chain, protocol)
    life = Life(protocol, SharePool(0, 0))
    tally = dict.fromkeys((*ACTIONS, "refused"), 0)
    plan = [("submit", START_WEI), ("report", START_WEI * 1_152_739 // 1_000_000 + 7)]
    for place in range(steps):
        action, amount = plan[place] if place < len(plan) else (random.choice(ACTIONS), 0)
        amount = amount or amount_of(random, life, action)
        done = step(deployment, life, action, amount)
        tally[action if done else "refused"] += 1
    chain.revert(snapshot)
    return tally


@pytest.mark.parametrize("protocol", Protocol)
def test_a_random_staking_life_comes_out_equal_to_the_wei(chain: Chain, protocol: Protocol) -> None:
    tally = play(chain, protocol, Random(7), 900)
    assert min(tally.values()) >= 10, tally


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(1, 5))
@pytest.mark.parametrize("protocol", Protocol)
def test_many_random_staking_lives_come_out_equal_to_the_wei(chain: Chain, protocol: Protocol, seed: int) -> None:
    play(chain, protocol, Random(seed), 1_500)


@pytest.mark.parametrize("protocol", Protocol)
def test_a_transfer_of_one_ether_arrives_one_wei_short(chain: Chain, protocol: Protocol) -> None:
    snapshot = chain.snapshot()
    deployment = deploy_staking(chain, protocol)
    deployment.submit(START_WEI)
    deployment.report(START_WEI * 1_152_739 // 1_000_000 + 7)
    deployment.transfer(chain.accounts[2], 10**18)
    pool = deployment.pool()
    assert chain.call(deployment.token, "balanceOf(address)(uint256)", (chain.accounts[2],)) == 10**18 - 1
    assert chain.call(deployment.token, "sharesOf(address)(uint256)", (chain.accounts[2],)) == shares_for(pool, 10**18)
    chain.revert(snapshot)


def test_a_request_in_wsteth_is_unwrapped_first_and_claimed_with_hints(chain: Chain) -> None:
    snapshot = chain.snapshot()
    deployment = deploy_staking(chain, Protocol.LIDO)
    life = Life(Protocol.LIDO, SharePool(0, 0))
    for action, amount in (("submit", START_WEI), ("report", START_WEI * 1_152_739 // 1_000_000 + 7), ("wrap", 10**20)):
        assert step(deployment, life, action, amount)
    amount_wei, _ = unwrap(life.pool, life.wrapped, 10**18)
    life.unwrap(10**18)
    life.request(amount_wei)
    staker = deployment.staker
    chain.send(deployment.wrapped, "approve(address,uint256)", (deployment.queue, 10**18), sender=staker)
    chain.send(deployment.queue, "requestWithdrawalsWstETH(uint256[],address)", ((10**18,), staker), sender=staker)
    assert deployment.held() == (life.shares, life.wrapped)
    assert step(deployment, life, "finalise", 1)
    life.claim(1)
    before = chain.balance(staker)
    hints = chain.call(deployment.queue, "findCheckpointHints(uint256[],uint256,uint256)(uint256[])", ((1,), 1, 1))
    chain.send(deployment.queue, "claimWithdrawals(uint256[],uint256[])", ((1,), hints), sender=staker)
    assert chain.balance(staker) - before == life.ether_wei + START_WEI
    chain.revert(snapshot)


def test_lido_pays_in_full_where_the_two_rates_are_equal(chain: Chain) -> None:
    """At 4/3 ether a share the rate's own floor would cost a wei if amounts were compared."""
    snapshot = chain.snapshot()
    deployment = deploy_staking(chain, Protocol.LIDO)
    life = Life(Protocol.LIDO, SharePool(0, 0))
    for action, amount in (("submit", 3 * 10**24), ("report", 4 * 10**24), ("request", 4 * 10**18), ("finalise", 1), ("claim", 1)):
        assert step(deployment, life, action, amount)
    assert life.ether_wei == 4 * 10**18 - 3 * 10**24
    chain.revert(snapshot)


def test_a_slashing_before_finalisation_pays_less_than_was_asked_for(chain: Chain) -> None:
    snapshot = chain.snapshot()
    deployment = deploy_staking(chain, Protocol.LIDO)
    life = Life(Protocol.LIDO, SharePool(0, 0))
    for action, amount in (("submit", START_WEI), ("request", 10**20), ("report", START_WEI * 9 // 10), ("finalise", 1), ("claim", 1)):
        assert step(deployment, life, action, amount)
    assert life.ether_wei == 9 * 10**19 - START_WEI
    assert not step(deployment, life, "claim", 1)
    chain.revert(snapshot)
