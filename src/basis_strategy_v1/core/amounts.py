"""Amounts from outside: exact, finite, in range, or a message that says why not."""

from __future__ import annotations

import re
from decimal import Context, Decimal
from pathlib import PurePath
from typing import Any

# Wide enough for a product of two amounts at the limits below with 18 decimals each: nothing is ever rounded by accident.
EXACT = Context(prec=96)
SMALLEST = Decimal("1e-30")
LARGEST = Decimal("1e30")
_MOST_DIGITS = EXACT.prec
_LONGEST_TEXT = _MOST_DIGITS + len("-0.000000")  # of a Decimal of so many digits: what is stored as text is read again
# Every float lies within; 1e999999999 does not, which would fill the memory when written without its exponent.
_LARGEST_EXPONENT = 400
_NUMERAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?")


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
    if kind is int:
        if abs(value) >= 10**_MOST_DIGITS:
            raise ValueError(f"must have at most {_MOST_DIGITS} digits, got {shown(value)}")
        return Decimal(value)
    if kind is str:
        if len(value) <= _LONGEST_TEXT and _NUMERAL.fullmatch(value):
            number = _within_reach(Decimal(value))
            if len(value) <= _MOST_DIGITS or EXACT.plus(number) == number:
                return number
        raise ValueError(f"must be a number such as 1.5, in at most {_MOST_DIGITS} characters, got {shown(value)}")
    if kind is Decimal:
        if not value.is_finite():
            raise ValueError(f"must be a finite number, got {value}")
        number = _within_reach(value)
        if EXACT.plus(number) != number:
            raise ValueError(f"must have at most {_MOST_DIGITS} digits, got {shown(number)}")
        return number
    plain_value = _built_in(value)
    if plain_value is value:
        raise ValueError(f"must be a number (int, float, Decimal or text), got {shown(value)}")
    return exact_number(plain_value)


def _within_reach(number: Decimal) -> Decimal:
    if -_LARGEST_EXPONENT <= number.adjusted() <= _LARGEST_EXPONENT:
        return number
    if not number:
        return Decimal(0)
    raise ValueError(f"must be a number between 1e-{_LARGEST_EXPONENT} and 1e{_LARGEST_EXPONENT} in size, got {shown(number)}")


def positive_amount(value: Any) -> Decimal:
    """An amount between 1e-30 and 1e30.

    Raises:
        ValueError: what it must be and what it is.
    """
    if type(value) is float and 1e-30 <= value <= 1e30:
        return Decimal(repr(value))
    if type(value) is Decimal and value.is_finite() and SMALLEST <= value <= LARGEST and EXACT.plus(value) == value:
        return value
    amount = exact_number(value)
    if not SMALLEST <= amount <= LARGEST:
        raise ValueError(f"must be greater than 0, between 1e-30 and 1e30, got {shown(value)}")
    return amount


def plain(amount: Decimal) -> str:
    """The amount as a person writes it: no exponent, no trailing zeros."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def counted(number: int, noun: str) -> str:
    """`1 step`, `2,000 steps`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def shown(value: Any) -> str:
    """A value from outside for one line of a message: control characters escaped, cut at 60 characters. A path is whole, and quoted only
    where something in it is escaped."""
    value = _built_in(value)
    if isinstance(value, PurePath):
        return str(value) if str(value).isprintable() else repr(str(value))
    if isinstance(value, str):
        text = repr(value[:60])
    elif isinstance(value, int) and abs(value) >= 10**60:
        text = "an integer of more than 60 digits"
    elif isinstance(value, Decimal):
        text = str(value)
    elif isinstance(value, int | float | None):
        text = repr(value)
    else:
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def text_of(value: Any) -> str | None:
    """The text of a str, or of a subclass such as StrEnum; None for anything else."""
    return str.__str__(value) if issubclass(type(value), str) else None


def _built_in(value: Any) -> Any:
    """The built-in text or number that a subclass of it holds (an IntEnum, a numpy float64); anything else as it is."""
    kind = type(value)
    if kind in (str, float, int, bool, Decimal):
        return value
    if issubclass(kind, str):
        return str.__str__(value)
    if issubclass(kind, float):
        return float.__float__(value)
    if issubclass(kind, int):
        return int.__int__(value)
    return Decimal(value) if issubclass(kind, Decimal) else value
