"""What the refusal of a block names: the place, the field, the value and what is allowed."""

from __future__ import annotations

import math
from decimal import Decimal
from enum import StrEnum
from typing import Any

import pytest

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.instructions import ACTIONS, MOST_STEPS, Chain, parse_instruction

TRADE = {"instruction_type": "cex_trade", "venue": "binance", "trade_type": "spot", "side": "buy", "symbol": "ETHUSDT", "amount": 1.5}
LIMIT = {**TRADE, "order_type": "limit", "price": 3300, "time_in_force": "FOK", "reduce_only": False, "instruction_id": "a-1"}
TRANSFER = {"instruction_type": "wallet_transfer", "from_venue": "binance", "to_venue": "wallet", "token": "ETH", "amount": 1}
SUPPLY = {"instruction_type": "smart_contract_action", "protocol": "aave", "action": "supply", "token": "USDT", "amount": 1000}
CHAIN = {"instruction_type": "smart_contract_action", "sub_instructions": [SUPPLY]}


def refusal(block: Any) -> str:
    """The message that a block is refused with, which is one short line with the code and the component."""
    with pytest.raises(ComponentError) as caught:
        parse_instruction(block)
    error = caught.value
    assert (error.error_code, error.component, error.severity) == ("EIM-001", "ExecutionInterfaceManager", "HIGH")
    assert error.message.isprintable()
    assert len(error.message) < 700
    return error.message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"amount": -1}, "cex_trade: amount must be greater than 0, between 1e-30 and 1e30, got -1"),
        ({"amount": 0.0}, "cex_trade: amount must be greater than 0, between 1e-30 and 1e30, got 0.0"),
        ({"amount": math.nan}, "cex_trade: amount must be a finite number, got nan"),
        ({"amount": Decimal("-Infinity")}, "cex_trade: amount must be a finite number, got -Infinity"),
        ({"amount": True}, "cex_trade: amount must be a number (int, float, Decimal or text), got True"),
        ({"amount": "1e-999"}, "cex_trade: amount must be a number between 1e-400 and 1e400 in size, got 1E-999"),
        ({"amount": Decimal("1." + "3" * 96)}, f"cex_trade: amount must have at most 96 digits, got 1.{'3' * 55}..."),
        ({"amount": 10**96}, "cex_trade: amount must have at most 96 digits, got an integer of more than 60 digits"),
        ({"amount": "\u0661"}, "cex_trade: amount must be a number such as 1.5, in at most 96 characters, got '\u0661'"),
        ({"side": "BUY"}, "cex_trade: side must be buy or sell, got 'BUY'"),
        ({"venue": "a\nb"},
         "cex_trade: venue must be 1 to 64 letters, digits, '_', '-' or '.', beginning with a letter or digit, got 'a\\nb'"),
        ({"time_in_force": "GTC"},
         "cex_trade: time_in_force must be IOC or FOK, got 'GTC'; an order that rests in the book is not supported"),
        ({"time_in_force": []}, "cex_trade: time_in_force must be IOC or FOK, got a list"),
        ({"reduce_only": 1}, "cex_trade: reduce_only must be true or false, got 1"),
        ({"order_type": "limit"}, "cex_trade: price is missing; a limit order needs one"),
        ({"price": 1}, "cex_trade: price is only for order_type limit; leave it out of a market order"),
        ({"max_deviation_bps": -1}, "cex_trade: max_deviation_bps must be between 0 and 1e30, got -1"),
        ({"estimated_deltas": []}, "cex_trade: estimated_deltas must be a dict of venue -> token -> amount, got a list"),
        ({"estimated_deltas": {"bybit": 1}}, "cex_trade: estimated_deltas must be a dict of venue -> token -> amount, got 1 at 'bybit'"),
        ({"estimated_deltas": {"bybit": {"ETH": "x"}}},
         "cex_trade: estimated_deltas of ETH at bybit must be a number such as 1.5, in at most 96 characters, got 'x'"),
        ({"estimated_deltas": {"bybit": {f"T{n}": n for n in range(300)}}},
         "cex_trade: estimated_deltas must hold at most 256 amounts, got more"),
        ({"instruction_type": "wallet_transfer"},
         "wallet_transfer: unknown field 'venue', 'trade_type', 'side', 'symbol'; allowed are amount, estimated_deltas, from_venue, "
         "instruction_id, instruction_type, max_deviation_bps, network, to_venue, token; from_venue is missing; to_venue is missing; "
         "token is missing"),
        ({"amount": -1, "side": "BUY", "size": 2},
         "cex_trade: side must be buy or sell, got 'BUY'; amount must be greater than 0, between 1e-30 and 1e30, got -1; unknown field "
         "'size'; allowed are amount, estimated_deltas, instruction_id, instruction_type, max_deviation_bps, order_type, price, "
         "reduce_only, side, symbol, time_in_force, trade_type, venue"),
    ],
)  # fmt: skip
def test_a_refused_trade_says_the_field_the_value_and_what_is_allowed(change: dict[str, Any], message: str) -> None:
    assert refusal({**TRADE, **change}) == message


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (None, "sub_instructions must be a list, got None"),
        ({}, "sub_instructions must be a list, got a dict"),
        ("[]", "sub_instructions must be a list, got '[]'"),
        ([], f"sub_instructions must hold 1 to {MOST_STEPS} steps, got 0"),
        ([SUPPLY] * 65, f"sub_instructions must hold 1 to {MOST_STEPS} steps, got 65"),
        ([SUPPLY, [[]]], "step 1: must be a dict, got a list"),
        ([TRADE], "step 0: only smart_contract_action can be chained, got 'cex_trade'"),
        ([{**SUPPLY, "instruction_type": []}], "step 0: only smart_contract_action can be chained, got a list"),
        ([CHAIN], "step 0: protocol is missing; action is missing"),
        ([SUPPLY, {**SUPPLY, "amount": 0}, {"protocol": "aave"}],
         "step 1: supply: amount must be greater than 0, between 1e-30 and 1e30, got 0; step 2: action is missing"),
        ([{"protocol": "aave"}], "step 0: action is missing"),
        ([{**SUPPLY, "action": "sell"}], f"step 0: action must be one of {', '.join(ACTIONS)}, got 'sell'"),
        ([{**SUPPLY, "action": {}}], f"step 0: action must be one of {', '.join(ACTIONS)}, got a dict"),
        ([SUPPLY, {**SUPPLY, "amount": {"output_of": 1}}],
         "step 1: supply: amount refers to the output of step 1; it can only be that of a step before it in the same chain"),
        ([SUPPLY, {**SUPPLY, "amount": {"output_of": True}}],
         "step 1: supply: amount output_of must be a whole number from 0 to 1000000000, got True"),
        ([SUPPLY, {**SUPPLY, "amount": {"output_of": 0, "fraction": "1.01"}}],
         "step 1: supply: amount fraction must be at most 1, got '1.01'"),
        ([SUPPLY, {**SUPPLY, "amount": {"output_of": 0, "fraction": None}}],
         "step 1: supply: amount fraction must be a number (int, float, Decimal or text), got None"),
        ([SUPPLY, {**SUPPLY, "amount": {"fraction": 1}}],
         "step 1: supply: amount must be a number, 'all' or {'output_of': n}, got a dict without output_of"),
        ([SUPPLY, {**SUPPLY, "amount": {"output_of": 0, "of": 1}}],
         "step 1: supply: amount must be a number, 'all' or {'output_of': n}, got the unknown field 'of'"),
        ([{**SUPPLY, "action": "flash_loan", "amount": "all", "sub_instructions": [SUPPLY]}],
         "step 0: flash_loan: amount 'all' is not for a flash loan, which takes what is not held yet; give a number"),
        ([{**SUPPLY, "action": "flash_loan", "sub_instructions": [SUPPLY, {**SUPPLY, "amount": 0}]}],
         "step 0: flash_loan: step 1: supply: amount must be greater than 0, between 1e-30 and 1e30, got 0"),
    ],
)  # fmt: skip
def test_a_refused_chain_says_which_step(steps: Any, message: str) -> None:
    assert refusal({**CHAIN, "sub_instructions": steps}) == f"smart_contract_action: {message}"


LIMITED = {**SUPPLY, "estimated_deltas": {"aave": {"USDT": -1000, "aUSDT": 1000}}, "max_deviation_bps": 5}
LOAN = {**SUPPLY, "action": "flash_loan"}
OF_THE_WHOLE = (
    "max_deviation_bps belongs to the transaction as a whole, got 5 for a step of it; put it next to the outermost sub_instructions"
)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({**CHAIN, "sub_instructions": [SUPPLY, LIMITED]}, f"step 1: {OF_THE_WHOLE}"),
        ({**CHAIN, "atomic": True, "sub_instructions": [LIMITED]}, f"step 0: {OF_THE_WHOLE}"),
        ({**CHAIN, "sub_instructions": [{**LOAN, "sub_instructions": [LIMITED]}]}, f"step 0: flash_loan: step 0: {OF_THE_WHOLE}"),
        ({**CHAIN, "atomic": False, "sub_instructions": [{**LOAN, "sub_instructions": [SUPPLY, LIMITED]}]},
         f"step 0: flash_loan: step 1: {OF_THE_WHOLE}"),
        ({**LOAN, "sub_instructions": [LIMITED]}, f"flash_loan: step 0: {OF_THE_WHOLE}"),
        ({**CHAIN, "atomic": False, "max_deviation_bps": 5},
         "max_deviation_bps belongs to each step of a chain that is not atomic, got 5 for the whole; "
         "put it into the steps, next to their estimated_deltas"),
    ],
)  # fmt: skip
def test_a_limit_that_nothing_would_check_is_refused(block: Any, message: str) -> None:
    assert refusal(block) == f"smart_contract_action: {message}"


def test_the_outcome_of_each_transaction_can_be_limited() -> None:
    five, limit = Decimal(5), {"max_deviation_bps": 5}
    assert parse_instruction({**CHAIN, **limit}).max_deviation_bps == five
    assert parse_instruction({**LOAN, "sub_instructions": [SUPPLY], **limit}).max_deviation_bps == five
    each = parse_instruction({**CHAIN, "atomic": False, "sub_instructions": [LIMITED, {**LOAN, "sub_instructions": [SUPPLY], **limit}]})
    assert isinstance(each, Chain)
    assert [step.max_deviation_bps for step in each.steps] == [five, five]


def test_an_output_is_only_taken_from_a_step_before_in_a_chain() -> None:
    assert "amount refers to the output of step 0" in refusal({**SUPPLY, "amount": {"output_of": 0}})


def test_a_transfer_to_where_it_comes_from_is_refused() -> None:
    assert refusal({**TRANSFER, "to_venue": "binance"}) == "wallet_transfer: to_venue must differ from from_venue, got 'binance' twice"


def test_a_name_is_checked_however_many_there_have_been() -> None:
    for number in range(5_000):
        assert parse_instruction({**TRADE, "venue": f"venue{number}"}).venue == f"venue{number}"  # type: ignore[union-attr]
        assert "got '.venue" in refusal({**TRADE, "venue": f".venue{number}"})


@pytest.mark.parametrize("given", ["all", StrEnum("Word", {"ALL": "all"}).ALL])
def test_a_flash_loan_of_all_is_refused_for_it_needs_a_number(given: Any) -> None:
    loan = {**SUPPLY, "action": "flash_loan", "amount": given, "sub_instructions": [SUPPLY]}
    expected = "flash_loan: amount 'all' is not for a flash loan, which takes what is not held yet; give a number"
    assert refusal(loan) == f"smart_contract_action: {expected}"
    assert refusal({**CHAIN, "sub_instructions": [loan]}) == f"smart_contract_action: step 0: {expected}"
