"""What a simulated venue is sent is what was approved, within the limits, or it is not sent."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec import structs

from basis_strategy_v1.core.error_codes.exceptions import VenueRejected
from basis_strategy_v1.core.instructions import parse_instruction
from basis_strategy_v1.core.limits import Limits
from basis_strategy_v1.core.outgoing import Gas, OutgoingCall, OutgoingTrade, OutgoingTransaction, OutgoingTransfer
from basis_strategy_v1.execution.paper_message import body_of, outgoing_of, read_body

from ..simulated_live_run import LIMITS
from ..world import refused
from .risk_world import WIDE, action, approved, chain, trade, transfer
from .trading import NOON, WITH_GAS, act, send
from .trading import trade as buy

D = Decimal
GAS = Gas(D(20), 100_000)
PAYEE = WIDE.withdrawal_addresses[0]
BUY = trade("bybit", "buy", "ETHUSDT", 2)
SEND = transfer("wallet", "bybit", "USDT", 100)
TAKEN_AND_GIVEN = [action("aave", "supply", "USDT", 1000), action("aave", "withdraw", "USDT", 900)]
LOAN = action("aave", "flash_loan", "USDT", 1000, sub_instructions=TAKEN_AND_GIVEN)


def in_message(block, gas=None, limits=WIDE):
    return outgoing_of(read_body(body_of(approved(block, limits), limits, gas)))


def test_a_trade_is_in_its_message_with_its_worst_price():
    assert in_message(BUY) == OutgoingTrade(
        trade_type="spot", symbol="ETHUSDT", side="buy", amount=D(2), price=approved(BUY).order.worst_price
    )


def test_a_transfer_is_in_its_message_with_an_address_that_is_allowed():
    assert in_message(SEND, GAS) == OutgoingTransfer(token="USDT", amount=D(100), address=PAYEE, gas=GAS)


def test_each_action_is_in_its_message_those_of_a_loan_behind_it():
    supply, wrap = action("aave", "supply", "USDT", 10), action("wallet", "wrap", "ETH", 1)
    found = in_message(chain(supply, wrap), GAS)
    calls = tuple(OutgoingCall(contract=step["protocol"], step=parse_instruction(step)) for step in (supply, wrap))
    assert found == OutgoingTransaction(calls=calls, gas=GAS)
    assert [call.step.action for call in in_message(LOAN, GAS).calls] == ["flash_loan", "supply", "withdraw"]


BEYOND = {
    "its notional": (BUY, {"max_notional_per_instruction": D(1000)}, None, "CEX-001", "limits.max_notional_per_instruction is 1000"),
    "its address": (SEND, {"withdrawal_addresses": ()}, GAS, "OCH-001", "which is not in limits.withdrawal_addresses"),
    "its gas price": (SEND, {"max_fee_gwei": D(19)}, GAS, "OCH-001", "it pays up to 20 gwei per gas unit, limits.max_fee_gwei is 19"),
}


@pytest.mark.parametrize(("block", "tighter", "gas", "code", "said"), BEYOND.values(), ids=BEYOND)
def test_a_message_is_refused_that_is_beyond_a_limit_in(block, tighter, gas, code, said):
    with pytest.raises(VenueRejected) as raised:
        body_of(approved(block), structs.replace(WIDE, **tighter), gas)
    assert (raised.value.error_code, said in raised.value.message) == (code, True)


def test_a_list_of_contracts_says_nothing_about_simulated_protocols():
    assert in_message(action("aave", "supply", "USDT", 10), GAS, structs.replace(WIDE, contracts=(PAYEE,))).gas == GAS


def test_a_message_without_the_bound_that_the_limits_ask_for_is_refused():
    unbounded = approved(BUY, Limits())
    with pytest.raises(VenueRejected, match="the order has no worst price"):
        body_of(unbounded, WIDE, None)


# By way of the manager.


def tightened(made):
    """The limits of the gateways, after the check of the plan."""
    tight = structs.replace(made.manager.live.parts.limits, max_notional_per_instruction=D(10))
    for sender in made.manager.live.senders.by_venue.values():
        sender._settings = structs.replace(sender._settings, limits=tight)


def test_the_gateway_checks_what_leaves_whatever_was_checked_before(live_run):
    made = live_run()
    made.manager.route_instruction(NOON, buy())
    tightened(made)
    error = refused(made.manager.route_instruction, NOON, buy(instruction_id="b"))
    assert error.message == (
        "the message to binance is not what was approved: it moves 3300 USD, limits.max_notional_per_instruction is 10; nothing was sent"
    )
    assert (made.gateways["binance"].executed[1:], str(made.manager.live.journal.entry("b").status)) == ([], "rejected")


def test_the_gas_of_a_message_is_what_the_transaction_will_use(live_run):
    made = live_run({**WITH_GAS, "limits": {**LIMITS, "max_fee_gwei": 10}})
    made.manager.route_instruction(NOON, act("wrap", "ETH", 1, "wallet", instruction_id="w"))
    made.manager.route_instruction(NOON, send("wallet", "binance", instruction_id="s"))
    wrap, sent = (read_body(made.manager.live.journal.entry(key).messages[0].body) for key in "ws")
    assert (wrap.gas.fee_gwei, sent.gas.fee_gwei) == (10, 10)
    report = made.manager.live.journal.entry("w").reports[-1]
    assert wrap.gas.most_eth == next(cost.amount for cost in report.costs if cost.source == "gas")
