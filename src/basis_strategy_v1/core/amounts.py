"""Amounts from outside: exact, finite, in range, or a message that says why not."""

from __future__ import annotations

import re
from decimal import Context, Decimal
from typing import Any

# Wide enough for a product of two amounts at the limits below with 18 decimals each: nothing is ever rounded by accident.
EXACT = Context(prec=96)
SMALLEST = Decimal("1e-30")
LARGEST = Decimal("1e30")
_NUMERAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")
_LONGEST = 100


def exact_number(value: Any) -> Decimal:
    """Any finite number (int, float, Decimal or text of ASCII digits) as the Decimal that it prints as.

    Raises:
        ValueError: what it must be and what it is.
    """
    kind = type(value)
    if kind is float:
        if value - value != 0:
            raise ValueError(f"must be a finite number, got {value!r}")
        return Decimal(repr(value))
    if kind is Decimal:
        if not value.is_finite():
            raise ValueError(f"must be a finite number, got {value}")
        return value  # type: ignore[no-any-return]
    if kind is str:
        if len(value) > _LONGEST or not _NUMERAL.fullmatch(value):
            raise ValueError(f"must be a number in ASCII digits, got {shown(value)}")
        return Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise ValueError(f"must be a number (int, float, Decimal or text), got {shown(value)}")
    if isinstance(value, int):
        if abs(value) > 10**30:
            raise ValueError("must be between 1e-30 and 1e30, got an integer of more than 30 digits")
        return Decimal(int(value))
    return exact_number(float(value) if isinstance(value, float) else str(value))


def positive_amount(value: Any) -> Decimal:
    """An amount between 1e-30 and 1e30.

    Raises:
        ValueError: what it must be and what it is.
    """
    amount = exact_number(value)
    if not SMALLEST <= amount <= LARGEST:
        raise ValueError(f"must be greater than 0, between 1e-30 and 1e30, got {shown(value)}")
    return amount


def plain(amount: Decimal) -> str:
    """The amount as a person writes it: no exponent, no trailing zeros."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def shown(value: Any) -> str:
    """A value from outside for one line of a message: control characters escaped, cut at 60 characters."""
    text = repr(value) if isinstance(value, str | int | float | bool | Decimal | None) else f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."
