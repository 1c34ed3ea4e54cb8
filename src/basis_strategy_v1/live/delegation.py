"""The executor on a chain, and the account's delegation to it (EIP-7702): looked at, created, given and taken back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from basis_strategy_v1.core.amounts import counted, plain
from basis_strategy_v1.core.chain_call import ETHER
from basis_strategy_v1.core.error_codes.exceptions import OutcomeUnknown, VenueRejected, VenueUnreachable
from basis_strategy_v1.core.limits import same_address
from basis_strategy_v1.core.tokens import to_amount
from basis_strategy_v1.live.chain_abi import number_of
from basis_strategy_v1.live.chain_client import NodeFault, RpcCall, RpcError
from basis_strategy_v1.live.chain_fees import HISTORY_BLOCKS, PERCENTILE, fee_market, fees_within, in_gwei, wei_of
from basis_strategy_v1.live.chain_message import hash_of
from basis_strategy_v1.live.trader_account import (
    CREATE2_DEPLOYER,
    delegate_of,
    deploy_call,
    designator,
    executor_address,
    runtime_code,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from decimal import Decimal

    from basis_strategy_v1.live.chain_client import ChainClient
    from basis_strategy_v1.live.chain_signer import KeySigner

REJECTED, UNREACHABLE, UNKNOWN = "OCH-001", "OCH-002", "OCH-003"
DELEGATION_GAS = 100_000  # it takes 37,000 to 46,000
DEPLOY_GAS = 3_000_000  # it takes 1,700,000
PATIENCE_S, POLL_S = 180.0, 1.0


class ChainPlace(NamedTuple):
    """The account, the chain that it must be on, the executor that it is to be delegated to, and the two lenders that this knows."""

    account: str
    chain_id: int
    executor: str
    aave_pool: str
    morpho: str


class AccountCode(NamedTuple):
    """What the chain says of an account and of the executor."""

    code: bytes
    executor_code: bytes
    nonce: int
    pending_nonce: int
    ether_wei: int

    @property
    def delegate(self) -> str | None:
        """To whom the account is delegated."""
        return delegate_of(self.code)


class Delegation:
    """One account at one chain. `cap_gwei`: what a unit of gas may cost; None: any price."""

    def __init__(
        self, client: ChainClient, signer: KeySigner, place: ChainPlace, cap_gwei: Decimal | None = None,
        wait: Callable[[float], None] = time.sleep, monotonic: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._client = client
        self._signer = signer
        self._place = place
        self._cap_gwei = cap_gwei
        self._wait = wait
        self._monotonic = monotonic

    # Looking.

    def look(self) -> AccountCode:
        """What is there now.

        Raises:
            VenueRejected: the node is one of another chain. VenueUnreachable.
        """
        place = self._place
        chain_id, code, executor_code, nonce, pending, balance = self._ask(
            RpcCall("eth_chainId"),
            RpcCall("eth_getCode", (place.account, "latest")),
            RpcCall("eth_getCode", (place.executor, "latest")),
            RpcCall("eth_getTransactionCount", (place.account, "latest")),
            RpcCall("eth_getTransactionCount", (place.account, "pending")),
            RpcCall("eth_getBalance", (place.account, "latest")),
        )
        if (is_ := number_of(chain_id, "a chain id")) != place.chain_id:
            self._refuse(f"{self._client.shown} is chain {is_}, the config says {place.chain_id}; give the address of a node of that chain")
        numbers = (number_of(each, "a number") for each in (nonce, pending, balance))
        return AccountCode(_bytes(code), _bytes(executor_code), *numbers)

    def lines(self) -> list[str]:
        """The same for a person."""
        place, found = self._place, self.look()
        waiting = found.pending_nonce - found.nonce
        return [
            f"account {place.account}: {plain(to_amount('ETH', found.ether_wei))} ETH, nonce {found.nonce}"
            + (f", {waiting} pending" if waiting else ""),
            f"chain {place.chain_id} at {self._client.shown}",
            f"executor {place.executor}: {self._executor_text(found)}",
            f"delegation: {self._delegation_text(found)}",
            f"flash loans from {_lenders(place)}",
        ]

    def facts(self) -> dict[str, Any]:
        """The same for a program, as plain JSON values."""
        place, found = self._place, self.look()
        return {
            "account": place.account,
            "eth": plain(to_amount("ETH", found.ether_wei)),
            "nonce": found.nonce,
            "pending": found.pending_nonce - found.nonce,
            "chain_id": place.chain_id,
            "executor": place.executor,
            "executor_code": "none" if not found.executor_code else "expected" if self._is_expected(found) else "other",
            "delegated_to": found.delegate,
            "is_delegated": self._is_ours(found),
        }

    def _executor_text(self, found: AccountCode) -> str:
        if not found.executor_code:
            return "not there; `basis chain deploy` creates it"
        return "there" if self._is_expected(found) else "other code than that of this version; it is not used"

    def _delegation_text(self, found: AccountCode) -> str:
        if not found.code:
            return "none; `basis chain delegate` gives the account the executor's code"
        if found.delegate is None:
            return "none: the account has code of its own"
        return "to the executor" if self._is_ours(found) else f"to {found.delegate}, which is not the executor"

    def _is_expected(self, found: AccountCode) -> bool:
        return found.executor_code == runtime_code(self._place.aave_pool, self._place.morpho)

    def _is_ours(self, found: AccountCode) -> bool:
        return found.code == designator(self._place.executor)

    # Changing.

    def deploy(self) -> str:
        """Create the executor, if it is not there; what was done, for a person, and its address on a line of its own.

        Raises:
            VenueRejected: something else is there, the chain has no deployer, or gas costs too much.
            VenueUnreachable, OutcomeUnknown.
        """
        place, found = self._place, self.look()
        if found.executor_code:
            self._require_expected(found)
            return f"the executor is there already; nothing was sent\n{place.executor}"
        computed = executor_address(place.aave_pool, place.morpho)
        if not same_address(place.executor, computed):
            self._refuse(
                f"venues.onchain.wallet.executor is {place.executor}, where there is no code; leave it out: it is created at {computed}"
            )
        (deployer,) = self._ask(RpcCall("eth_getCode", (CREATE2_DEPLOYER, "latest")))
        if not _bytes(deployer):
            self._refuse(f"chain {place.chain_id} has no contract at {CREATE2_DEPLOYER}, which creates the executor; create "
                         "contracts/TraderAccount.sol in another way and write its address to venues.onchain.wallet.executor")  # fmt: skip
        call = deploy_call(place.aave_pool, place.morpho)
        paid = self._send(found, {"type": 2, "to": call.to, "data": call.data, "gas": DEPLOY_GAS})
        self._require_expected(self.look())
        return f"the executor is created; gas cost {paid} ETH\n{place.executor}"

    def delegate(self) -> str:
        """Give the account the executor's code.

        Raises:
            VenueRejected: the executor is not there, or the account has another delegation or other code.
            VenueUnreachable, OutcomeUnknown.
        """
        place, found = self._place, self.look()
        self._require_expected(found)
        if self._is_ours(found):
            return f"{place.account} is delegated to the executor already; nothing was sent"
        if found.delegate is not None:
            self._refuse(f"{place.account} is delegated to {found.delegate}, which is not the executor; find out who did that, and take it "
                         f"back with `basis chain undelegate --from {found.delegate}`")  # fmt: skip
        if found.code:
            self._refuse(f"{place.account} has code of its own, so it is no account of a key; use another account")
        return self._delegated_to(place.executor, found)

    def undelegate(self, foreign: str | None = None) -> str:
        """Take the delegation back. `foreign` is another contract than the executor that it must be to.

        Raises:
            VenueRejected: it is to somebody else.
            VenueUnreachable, OutcomeUnknown.
        """
        place, found = self._place, self.look()
        if not found.code:
            return f"{place.account} is not delegated; nothing was sent"
        expected = foreign or place.executor
        if found.delegate is None or not same_address(found.delegate, expected):
            is_ = "has code of its own" if found.delegate is None else f"is delegated to {found.delegate}"
            self._refuse(f"{place.account} {is_}, not to {expected}; name a contract other than the executor with --from")
        return self._delegated_to(ETHER, found)

    def _delegated_to(self, contract: str, found: AccountCode) -> str:
        """Send the authorization in a transaction of the account's own: its nonce is the one after that of the transaction."""
        place = self._place
        given = self._signer.sign_authorization(place.chain_id, contract, found.nonce + 1)
        fields = {"type": 4, "to": place.account, "data": b"", "gas": DELEGATION_GAS, "authorizationList": [given]}
        paid = self._send(found, fields)
        wanted = b"" if contract == ETHER else designator(contract)
        if self.look().code != wanted:
            self._refuse(f"the transaction is in a block and cost {paid} ETH, and the chain did not take the authorization in it; run the "
                         "same command again")  # fmt: skip
        done = "is not delegated any more" if contract == ETHER else f"is delegated to the executor {contract}"
        return f"{place.account} {done}; gas cost {paid} ETH"

    def _require_expected(self, found: AccountCode) -> None:
        place = self._place
        if not found.executor_code:
            self._refuse(f"there is no executor at {place.executor}; run `basis chain deploy` first")
        if not self._is_expected(found):
            self._refuse(f"the code at {place.executor} is not the executor of this version for {_lenders(place)}; correct "
                         "venues.onchain.wallet.executor, or leave it out and run `basis chain deploy`")  # fmt: skip

    # Sending.

    def _send(self, found: AccountCode, fields: Mapping[str, Any]) -> str:
        """Sign, send, and wait until it is in a block; the ETH that its gas cost.

        Raises:
            VenueRejected: the account has transactions on their way, gas costs too much, there is too little ETH, or it was reverted.
            VenueUnreachable, OutcomeUnknown.
        """
        if found.pending_nonce != found.nonce:
            waiting = counted(found.pending_nonce - found.nonce, "transaction")
            self._refuse(f"{self._place.account} has {waiting} that no block has yet; wait until there are none")
        (history,) = self._ask(RpcCall("eth_feeHistory", (hex(HISTORY_BLOCKS), "latest", [PERCENTILE])))
        fees = fees_within(fee_market(history), self._cap_gwei)
        if self._cap_gwei is not None and fees.most_wei > wei_of(self._cap_gwei):
            self._refuse(
                f"a unit of gas costs {in_gwei(fees.most_wei)} gwei, limits.max_fee_gwei is {plain(self._cap_gwei)}; wait, or raise it"
            )
        if (needed := fees.most_wei * fields["gas"]) > found.ether_wei:
            has, needs = (plain(to_amount("ETH", wei)) for wei in (found.ether_wei, needed))
            self._refuse(f"{self._place.account} has {has} ETH, and this may cost {needs}; bring ETH there")
        signed = self._signer.sign_transaction({
            "chainId": self._place.chain_id, "nonce": found.nonce, "value": 0, "maxFeePerGas": fees.most_wei,
            "maxPriorityFeePerGas": fees.priority_wei, "accessList": [], **fields,
        })  # fmt: skip
        raw = f"0x{signed.hex()}"
        self._hand_over(raw)
        receipt = self._receipt(hash_of(raw))
        cost = number_of(receipt["gasUsed"], "gas used") * number_of(receipt["effectiveGasPrice"], "a gas price")
        paid = plain(to_amount("ETH", cost))
        if number_of(receipt["status"], "a status") != 1:
            self._refuse(f"transaction {hash_of(raw)} was reverted and cost {paid} ETH")
        return paid

    def _hand_over(self, raw: str) -> None:
        try:
            self._client.send_raw(raw)
        except RpcError as refused:
            if not refused.is_known:
                self._refuse(f"the node refused the transaction: {refused.message}; nothing was sent")
        except NodeFault as fault:
            if not fault.is_sent:
                raise VenueUnreachable(UNREACHABLE, f"{fault}; nothing was sent") from None

    def _receipt(self, hash_: str) -> Mapping[str, Any]:
        """The receipt, once there is one."""
        until = self._monotonic() + PATIENCE_S
        while True:
            (receipt,) = self._ask(RpcCall("eth_getTransactionReceipt", (hash_,)))
            if receipt is not None:
                found: Mapping[str, Any] = receipt
                return found
            if self._monotonic() >= until:
                raise OutcomeUnknown(UNKNOWN, f"transaction {hash_} is in no block yet; `basis chain status` shows what became of it")
            self._wait(POLL_S)

    def _ask(self, *calls: RpcCall) -> list[Any]:
        answers = self._client.ask(*calls)
        for call, answer in zip(calls, answers, strict=True):
            if isinstance(answer, RpcError):
                raise VenueUnreachable(UNREACHABLE, f"{self._client.shown}: {call.method}: {answer.message}")
        return answers

    def _refuse(self, message: str) -> NoReturn:
        raise VenueRejected(REJECTED, message)


def _bytes(code: Any) -> bytes:
    return bytes.fromhex(str(code).removeprefix("0x"))


def _lenders(place: ChainPlace) -> str:
    known = [f"{name} at {address}" for name, address in (("Aave", place.aave_pool), ("Morpho", place.morpho)) if address != ETHER]
    return " and ".join(known) or "nobody"
