"""Whatever is handed in, `parse_instruction` gives a typed instruction or EIM-001: soon, on one line, and without touching the block."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.instruction_fields import STEP_FIELDS
from basis_strategy_v1.core.instructions import ACTIONS, DEEPEST_LOAN, FIELDS, MOST_STEPS, TYPES, Instruction, parse_instruction

LONG = "a" * 10_000_000
TRADE = {"instruction_type": "cex_trade", "venue": "binance", "trade_type": "spot", "side": "buy", "symbol": "ETHUSDT", "amount": 1.5}
LIMIT = {**TRADE, "order_type": "limit", "price": 3300, "time_in_force": "FOK", "reduce_only": False, "instruction_id": "a-1"}
TRANSFER = {"instruction_type": "wallet_transfer", "from_venue": "binance", "to_venue": "wallet", "token": "ETH", "amount": 1}
SUPPLY = {"instruction_type": "smart_contract_action", "protocol": "aave", "action": "supply", "token": "USDT", "amount": 1000}
CHAIN = {"instruction_type": "smart_contract_action", "sub_instructions": [SUPPLY]}


def nested(depth: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


# What no field takes, and what no number is.
JUNK = [
    *(None, [], [1], (1,), nested(1000), b"1", object(), 1j, math.nan, math.inf, -math.inf, -1, -0.5, 1e31, 10**31, 10**5000, "", " "),
    *("../etc", "..", ".hidden", "a/../b", "/", "a//b", "a\\b", "a\nb", "1\n", " 1", "a\r", "a\0b", "a\u2028b", "\u202eabc", "caf\u00e9"),
    *("1,000", "\u0661\u0662\u0663", "\uff11", "\u00bd", "a b", LONG),
    *(Decimal("NaN"), Decimal("sNaN"), Decimal("Infinity"), Decimal("-1"), Decimal("1e-999999"), Decimal("1e999999"), Fraction(1, 2)),
    *({"": 1}, {"a": 1}, {"a": nested(1000)}, {1: {}, "output_of": 0}, {"output_of": -1}, {"output_of": 0, "fraction": 2}),
    *({"aave": {"ETH": math.nan}}, {"a\nb": {"ETH": 1}}, {"aave": {"../x": 1}}, {"aave": {None: 1}}),
]
NO_NUMBERS = ["NaN", "nan", "Infinity", "-inf", "1e400", "-1", "1_000", "0x10", "1e", "e1", ".", "+", "--1", "1" * 97, True, False, "ETH"]
AMOUNTS = [name for name in FIELDS if FIELDS[name] is FIELDS["amount"]]


def refusal(block: Any) -> str:
    """The message that a block is refused with, which is one short line with the code and the component."""
    with pytest.raises(ComponentError) as caught:
        parse_instruction(block)
    error = caught.value
    assert (error.error_code, error.component, error.severity) == ("EIM-001", "ExecutionInterfaceManager", "HIGH")
    assert error.message.isprintable()
    assert len(error.message) < 6_000
    return error.message


def test_what_is_no_dict_is_refused() -> None:
    for block in [None, [], [TRADE], "", "cex_trade", b"{}", 0, 1.5, True, math.nan, object(), nested(1000), LONG, TYPES, 10**5000]:
        assert refusal(block).startswith("an instruction block must be a dict, got ")


def test_an_unknown_type_is_refused_with_the_three_that_there_are() -> None:
    for kind in [None, "", "CEX_TRADE", "cex_trade\n", 1, [], {}, nested(1000), LONG, b"cex_trade", 10**5000, math.nan]:
        message = refusal({**TRADE, "instruction_type": kind})
        assert message.startswith("instruction_type must be one of cex_trade, smart_contract_action, wallet_transfer, got ")
    assert refusal({}).endswith("wallet_transfer, got none")


@pytest.mark.parametrize("field", FIELDS)
def test_no_field_takes_junk(field: str) -> None:
    for table in (FIELDS, STEP_FIELDS):
        for junk in JUNK:
            with pytest.raises(ValueError, match=r"\A(of|must|venue|token|fraction|output_of) ") as refused:
                table[field](junk)
            assert str(refused.value).isprintable()


@pytest.mark.parametrize("field", [*AMOUNTS, "max_deviation_bps"])
def test_a_number_is_written_in_plain_ascii_digits(field: str) -> None:
    for table in (FIELDS, STEP_FIELDS):
        for text in NO_NUMBERS:
            with pytest.raises(ValueError, match="must "):
                table[field](text)


@pytest.mark.parametrize("field", AMOUNTS)
def test_an_amount_is_not_zero(field: str) -> None:
    for zero in (0, 0.0, -0.0, "0", "0.000", "0e5", "-0", Decimal(0), Decimal("0e-999999"), 1e-31, "1e-31", 5e-324):
        with pytest.raises(ValueError, match="must be greater than 0, between 1e-30 and 1e30, got "):
            FIELDS[field](zero)


@pytest.mark.parametrize("block", [TRADE, LIMIT, TRANSFER, SUPPLY], ids=["trade", "limit", "transfer", "supply"])
def test_junk_in_any_field_of_any_block_is_refused_by_the_name_of_the_field(block: dict[str, Any]) -> None:
    for name in block:
        for junk in JUNK:
            assert name in refusal({**block, name: junk})


def test_a_field_of_any_other_name_is_refused() -> None:
    for name in [LONG, "x\ny", "", None, 0, (1, 2), ("a",) * 1000, 10**5000, math.nan, b"venue", "Amount", "\u0430mount"]:
        for block in (TRADE, TRANSFER, SUPPLY, CHAIN):
            assert "unknown field " in refusal({**block, name: 1})


def loop_of_loans() -> dict[str, Any]:
    loan: dict[str, Any] = {**SUPPLY, "action": "flash_loan", "sub_instructions": []}
    loan["sub_instructions"].append(loan)
    return loan


def shared_steps() -> dict[str, Any]:
    """A few small lists that stand for 64 ** 5 steps."""
    block = SUPPLY
    for _ in range(DEEPEST_LOAN):
        block = {**SUPPLY, "action": "flash_loan", "sub_instructions": [block] * MOST_STEPS}
    return {**CHAIN, "sub_instructions": [block] * MOST_STEPS}


def wide() -> dict[str, Any]:
    return {f"field{number}": number for number in range(300_000)}


LARGE: dict[str, Callable[[], dict[str, Any]]] = {
    "a loan that holds itself": loop_of_loans,
    "a few lists shared by many steps": shared_steps,
    "many fields": lambda: {**wide(), **TRADE},
    "many estimates": lambda: {**TRADE, "estimated_deltas": {"binance": wide()}},
    "many venues of many estimates": lambda: {**TRADE, "estimated_deltas": dict.fromkeys(wide(), wide())},
    "many fields in an amount": lambda: {**SUPPLY, "amount": wide()},
    "many steps": lambda: {**CHAIN, "sub_instructions": [SUPPLY] * 1_000_000},
    "many digits": lambda: {**TRADE, "amount": "1" * 10_000_000},
    "a long exponent": lambda: {**TRADE, "amount": "1e" + "9" * 10_000_000},
    "a large integer": lambda: {**TRADE, "amount": 10**100_000},
    "a large exponent": lambda: {**TRADE, "amount": Decimal("1e999999999999")},
    "a large estimate": lambda: {**TRADE, "estimated_deltas": {"binance": {"ETH": Decimal("1e999999999999")}}},
    "a long name": lambda: {**TRADE, "venue": LONG + "b"},
    "a long field": lambda: {LONG + "c": 1, **TRADE},
    "a long type": lambda: {**TRADE, "instruction_type": LONG + "d"},
}


@pytest.mark.parametrize("build", LARGE.values(), ids=list(LARGE))
def test_the_largest_blocks_are_refused_at_once(build: Callable[[], dict[str, Any]]) -> None:
    block = build()
    started = time.process_time()
    refusal(block)
    assert time.process_time() - started < 0.5  # a machine that is busy included; a search that grows with the square takes minutes


LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([*ACTIONS, *TYPES, "all", "ETH", "1.5"])
)
JSON = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4), max_leaves=12
)
NAMES = st.sampled_from([*FIELDS, "instruction_type", "action", "sub_instructions", "output_of", "fraction", "other"])
PLAUSIBLE = st.sampled_from([TRADE, LIMIT, TRANSFER, SUPPLY, CHAIN, {}])


def blocks() -> st.SearchStrategy[Any]:
    """A block that is nearly right: a good one, some of its fields replaced by any JSON or by such blocks in turn."""
    return st.recursive(
        JSON,
        lambda inner: st.builds(
            lambda good, other: {**good, **other}, PLAUSIBLE, st.dictionaries(NAMES, inner | st.lists(inner, max_size=3), max_size=3)
        ),
        max_leaves=8,
    )


@settings(max_examples=300)
@given(blocks())
def test_anything_gives_an_instruction_or_the_refusal(block: Any) -> None:
    before = copy.deepcopy(block)
    try:
        assert isinstance(parse_instruction(block), Instruction)
    except ComponentError:
        refusal(block)
    assert json.dumps(block) == json.dumps(before)
