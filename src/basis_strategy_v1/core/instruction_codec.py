"""A typed instruction as JSON text and back: equal, and of the same types, whatever it holds."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Any

from msgspec import DecodeError, convert, structs
from msgspec.json import Decoder, Encoder

from basis_strategy_v1.core.instruction_fields import Amount, OutputOf
from basis_strategy_v1.core.instructions import CexTrade, Chain, Instruction, SmartContractAction, WalletTransfer

_KINDS: dict[str, type[Instruction]] = {kind.__name__: kind for kind in (CexTrade, WalletTransfer, SmartContractAction, Chain)}
_encoded = Encoder().encode
_decoded = Decoder(tuple[str, dict[str, Any]]).decode


def encode_instruction(instruction: Instruction) -> str:
    """`["CexTrade", {field: value}]`; decimals are text."""
    return _encoded((type(instruction).__name__, instruction)).decode()


def decode_instruction(text: str) -> Instruction:
    """The instruction of a text. A field that it lacks has its default.

    Raises:
        ValueError: it is not an instruction.
    """
    try:
        kind, fields = _decoded(text)
        return _instruction(_KINDS[kind], fields)
    except (DecodeError, KeyError, TypeError) as fault:
        raise ValueError(f"the text is not an instruction: {fault}") from None


def _instruction(kind: type[Instruction], data: dict[str, Any]) -> Instruction:
    hints = _hints(kind)
    return kind(**{name: _value(hints[name], value) for name, value in data.items()})


@cache
def _hints(kind: type[Instruction]) -> dict[str, Any]:
    return {field.name: field.type for field in structs.fields(kind)}


def _value(hint: Any, value: Any) -> Any:
    if hint == Amount:
        return _amount(value)
    if hint == tuple[SmartContractAction, ...]:
        return tuple(_instruction(SmartContractAction, step) for step in value)
    return convert(value, hint)


def _amount(value: Any) -> Amount:
    """The only amount that is a text and no number is "all"."""
    if value == "all":
        return "all"
    return convert(value, OutputOf) if isinstance(value, dict) else convert(value, Decimal)
