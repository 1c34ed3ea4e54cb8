"""A transaction is read back from its bytes before it is signed: its amounts, who gets something, and the least that must come out."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from basis_strategy_v1.core.chain_call import ALL, ChainCall, call_data
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import VenueRejected
from basis_strategy_v1.core.instructions import SmartContractAction
from basis_strategy_v1.core.limits import Limits
from basis_strategy_v1.core.order import Approved, Order
from basis_strategy_v1.core.outgoing import OutgoingTransaction, require_message_within
from basis_strategy_v1.live.call_reading import read_call
from basis_strategy_v1.live.chain_fees import Fees
from basis_strategy_v1.live.chain_message import Unsigned
from basis_strategy_v1.live.chain_prepare import Made, outgoing_of
from basis_strategy_v1.live.trader_account import direct_call, pack_batch
from basis_strategy_v1.venues.registry import VENUES, make_venue
from basis_strategy_v1.venues.transaction_calls import encode_transaction

from ..venues.test_calls import ACCOUNT, OTHER, SECTIONS, here, load_settings, parsed, sample, simulated, step

GWEI = 10**9
LIMITS = Limits(max_slippage_bps=Decimal(50))
SWAP = step("uniswap", "swap", "USDT", "7", token_out="WETH", min_amount_out="0.002")


def sent(*blocks: dict[str, Any], at: Any = None) -> tuple[Approved, OutgoingTransaction]:
    """The order of some steps, and the transaction that its bytes say."""
    meant = parsed(*blocks)
    instruction = structs.replace(meant, steps=tuple(map(simulated, meant.steps)))
    steps = encode_transaction(meant, instruction, at or here(), ALL)
    direct = direct_call(steps)
    made = Made(direct or ChainCall(to=ACCOUNT, data=pack_batch(steps, (), ALL, ACCOUNT)), steps, direct is None)
    order = Order(key="k", at=datetime(2026, 1, 1, tzinfo=UTC), venue="wallet", instruction=instruction, expected=Deltas())
    unsigned = Unsigned(
        chain_id=1,
        nonce=0,
        to=made.call.to,
        value_wei=made.call.value_wei,
        data=f"0x{made.call.data.hex()}",
        gas=21_000,
        fees=Fees(GWEI, 1),
    )
    outgoing = outgoing_of(order, made, unsigned, "", here())
    assert isinstance(outgoing, OutgoingTransaction)
    return Approved(order=order, notional_usd=Decimal(0)), outgoing


def require(approved: Approved, outgoing: OutgoingTransaction) -> None:
    require_message_within(approved, LIMITS, outgoing, contracts=here().addresses(), own=(ACCOUNT,))


@pytest.mark.parametrize("protocol", VENUES)
def test_every_action_is_read_back_as_what_was_approved_and_pays_only_the_account(protocol: str) -> None:
    venue = make_venue(SECTIONS[protocol], protocol, load_settings(SECTIONS[protocol], protocol, {}))
    for name in venue.actions:
        block = sample(protocol, name)
        for amount in (block.get("amount"), "all") if "amount" in block and (protocol, name) not in NO_ALL else (block.get("amount"),):
            approved, outgoing = sent(block if amount is None else {**block, "amount": amount})
            require(approved, outgoing)
            receivers = {receiver.lower() for call in outgoing.calls for receiver in call.pays_to}
            assert receivers <= {address.lower() for address in (ACCOUNT, *here().addresses())}, name
            actions = [call.step for call in outgoing.calls if call.step is not None]
            assert actions[0] == approved.order.instruction.steps[0], name


NO_ALL = {(lender, name) for lender in ("aave", "morpho") for name in ("borrow", "flash_loan")} | {("aave", "repay")}


def test_the_steps_of_a_loan_and_the_calls_that_finish_a_step_are_read_too() -> None:
    inner = [step("uniswap", "swap", "USDT", "all", token_out="ETH"), step("lido", "stake", "WETH", "2", token_out="wstETH")]
    approved, outgoing = sent(step("morpho", "flash_loan", "USDT", "9", sub_instructions=inner), step("wallet", "wrap", "ETH", "1"))
    require(approved, outgoing)
    names = [None if call.step is None else call.step.action for call in outgoing.calls]
    assert names == ["flash_loan", None, "swap", None, "stake", None, "wrap"]  # an allowance, unwrapping after and before


def test_the_least_that_must_come_out_is_the_one_in_the_bytes() -> None:
    _, outgoing = sent(SWAP)
    (swap,) = (call.step for call in outgoing.calls if call.step is not None)
    assert (swap.amount, swap.min_amount_out) == (Decimal(7), Decimal("0.002"))
    _, outgoing = sent({**SWAP, "protocol": "curve", "token": "ETH", "token_out": "weETH", "min_amount_out": "6.5"})
    (swap,) = (call.step for call in outgoing.calls if call.step is not None)
    assert (swap.amount, swap.min_amount_out) == (Decimal(7), Decimal("6.5"))


PAYING = {
    "a swap": SWAP,
    "a withdrawal": step("aave", "withdraw", "USDT"),
    "a loan": step("morpho", "borrow", "USDC", market="wstETH/USDC"),
    "a request": step("etherfi", "unstake", "eETH"),
}


@pytest.mark.parametrize("block", PAYING.values(), ids=PAYING)
def test_a_call_that_pays_somebody_else_is_not_sent(block: dict[str, Any]) -> None:
    with pytest.raises(VenueRejected, match=rf"it pays to {OTHER.lower()}, which is not the wallet's"):
        require(*sent(block, at=structs.replace(here(), account=OTHER)))


def test_another_amount_or_another_least_than_approved_is_not_sent() -> None:
    approved, outgoing = sent(SWAP)
    order = approved.order
    meant: SmartContractAction = order.instruction.steps[0]  # type: ignore[attr-defined]
    for changes, fault in (
        ({"amount": Decimal(6)}, "amount is 7, approved was 6"),
        ({"min_amount_out": Decimal(1)}, "minimum out is 0.002"),
    ):
        other = structs.replace(order, instruction=structs.replace(meant, **changes))
        with pytest.raises(VenueRejected, match=fault):
            require(structs.replace(approved, order=other), outgoing)


def test_a_call_that_is_not_known_or_too_short_is_not_sent() -> None:
    with pytest.raises(VenueRejected, match=r"^OCH-001: the call 0x[0-9a-f]{8} to 0xdead is none that this version sends"):
        read_call(ChainCall(to="0xdead", data=call_data("mint(uint256)", 1)))
    with pytest.raises(VenueRejected, match=r"^OCH-001: the call 0x[0-9a-f]{8} has 40 bytes, too few for its arguments"):
        read_call(ChainCall(to=OTHER, data=call_data("transfer(address,uint256)", OTHER, 1)[:40]))
