"""What the journal keeps as JSON text, and how it is read back. Fields that a text lacks have their defaults."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from functools import cache
from hashlib import blake2b
from typing import Any

from msgspec import convert, structs
from msgspec.json import Decoder, decode

from basis_strategy_v1.core.execution_report import ExecutionReport
from basis_strategy_v1.core.gateway import Due
from basis_strategy_v1.core.instructions import Instruction
from basis_strategy_v1.core.journal import Decision
from basis_strategy_v1.core.order import Order, Plan
from basis_strategy_v1.monitoring.event_line import json_of

decode_report = Decoder(ExecutionReport).decode
decode_plan = Decoder(Plan).decode
decode_due = Decoder(Due).decode
decode_decision = Decoder(Decision).decode


def text_of(value: Any) -> str:
    """Any value as JSON: what JSON has no form for is written as its text, so that nothing is lost for what it carries."""
    return json_of(value).decode()


def amount_of(text: str) -> Decimal:
    """The amount of a text.

    Raises:
        ValueError: it is none.
    """
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is no amount") from None


def hash_of(instruction_text: str) -> str:
    return blake2b(instruction_text.encode(), digest_size=16).hexdigest()


def order_text(order: Order) -> str:
    """An order without its instruction, which has a text of its own."""
    return text_of({name: value for name, value in structs.asdict(order).items() if name != "instruction"})


def decode_order(text: str, instruction: Instruction) -> Order:
    data = decode(text)
    fields = {name: convert(data[name], hint) for name, hint in _order_fields().items() if name in data}
    return Order(instruction=instruction, **fields)


@cache
def _order_fields() -> dict[str, Any]:
    return {field.name: field.type for field in structs.fields(Order)}
