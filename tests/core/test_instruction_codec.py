"""An instruction as text and back: equal, and of the same types."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.instruction_codec import decode_instruction, encode_instruction
from basis_strategy_v1.core.instruction_fields import OutputOf
from basis_strategy_v1.core.instructions import CexTrade, Chain, Instruction, SmartContractAction, WalletTransfer, parse_instruction

from ..states import same

DECIMALS = st.decimals(allow_nan=False, allow_infinity=False)
TEXTS = st.text(max_size=5)
DELTAS = st.dictionaries(TEXTS, st.dictionaries(TEXTS, DECIMALS.filter(bool), min_size=1, max_size=2), max_size=2).map(Deltas)
AMOUNTS = DECIMALS | st.just("all") | st.builds(OutputOf, st.integers(0, 9), DECIMALS)
KINDS = (CexTrade, WalletTransfer, SmartContractAction, Chain)
STEPS: Any = st.lists(st.deferred(lambda: instructions(SmartContractAction)), max_size=2).map(tuple)
BY_TYPE = {str: TEXTS, bool: st.booleans(), int: st.integers(), Decimal: DECIMALS, Deltas: DELTAS, tuple[SmartContractAction, ...]: STEPS}


def instructions(kind: type[Instruction]) -> st.SearchStrategy[Instruction]:
    """Any instruction of a kind, with any value of its type in each field, also such as no block could give it."""
    return st.builds(kind, **{field.name: _values(field.name, field.type) for field in structs.fields(kind)})


def _values(name: str, hint: Any) -> Any:
    if name == "amount":
        return DECIMALS if hint is Decimal else AMOUNTS
    known = BY_TYPE.get(hint)
    if known is not None:
        return known
    (kind,) = (argument for argument in hint.__args__ if argument is not type(None))
    return st.none() | BY_TYPE[kind]


@given(st.one_of([instructions(kind) for kind in KINDS]))
def test_any_instruction_is_the_same_after_it_was_text(instruction: Instruction) -> None:
    assert same(decode_instruction(encode_instruction(instruction)), instruction)


def test_a_field_that_the_text_lacks_has_its_default() -> None:
    block = {"instruction_type": "cex_trade", "venue": "bybit", "trade_type": "perp", "side": "buy", "symbol": "ETHUSDT", "amount": "0.10"}
    text = '["CexTrade",{"venue":"bybit","trade_type":"perp","side":"buy","symbol":"ETHUSDT","amount":"0.10"}]'
    assert decode_instruction(text) == parse_instruction(block)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "Input data was truncated"),
        ("{}", "Expected `array`, got `object`"),
        ('["Loan", {}]', "'Loan'"),
        ('["Chain", {}]', "Missing required argument 'steps'"),
        ('["Chain", {"legs": []}]', "'legs'"),
        ('["WalletTransfer", {"amount": "much"}]', "Invalid decimal string"),
    ],
)
def test_what_is_no_instruction_is_refused_in_one_line(text: str, fault: str) -> None:
    with pytest.raises(ValueError, match="the text is not an instruction") as refused:
        decode_instruction(text)
    assert str(refused.value) == f"the text is not an instruction: {fault}"
