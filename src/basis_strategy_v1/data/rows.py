"""The strict reading of one row of text: what is wrong with it, where, and what is expected instead."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.amounts import counted
from basis_strategy_v1.core.clock import iso, to_instant
from basis_strategy_v1.data.layout import NOT_NEGATIVE, POSITIVE, WHOLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from basis_strategy_v1.data.layout import Column, SeriesSpec

# Larger than any price or supply in real data, and small enough that an exponent cannot blow up the memory.
LARGEST = Decimal("1e30")
MOST_DECIMALS = 40
STAMP = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)(Z|\+00:00)?")
NUMBER = re.compile(r"-?([0-9]{1,60}(\.[0-9]{0,60})?|\.[0-9]{1,60})([eE][+-]?[0-9]{1,3})?")
WHOLE_NUMBER = re.compile(r"-?[0-9]{1,78}")
WORDS_OF_A_STATE = re.compile(r"[A-Za-z0-9_.:;\-]*")
EXAMPLE = "2024-06-01T00:00:00Z"


class RowFault(ValueError):
    """A row that cannot be used. `kind` is malformed or zero; `column` is empty where the whole row is meant."""

    def __init__(self, kind: str, column: str, message: str) -> None:
        self.kind = kind
        self.column = column
        super().__init__(f"column {column}: {message}" if column else message)


def quoted(text: str) -> str:
    """`text` quoted on one line, and cut where it is long."""
    return repr(text if len(text) <= 40 else f"{text[:37]}...")


def parse_stamp(text: str) -> int:
    """Microseconds since 1970 of an ISO stamp in UTC.

    Raises:
        RowFault: it is no stamp, or does not say that it is UTC.
    """
    match = STAMP.fullmatch(text)
    if match is None:
        raise RowFault("malformed", "timestamp", f"{quoted(text)} is no ISO stamp in UTC; expected one like {EXAMPLE}")
    if match[3] is None:
        raise RowFault("malformed", "timestamp", f"{quoted(text)} names no time zone; expected UTC, ending in Z or +00:00")
    try:
        return to_instant(datetime.fromisoformat(f"{match[1]}T{match[2]}+00:00"))
    except ValueError as error:
        raise RowFault("malformed", "timestamp", f"{quoted(text)}: {error}; expected a stamp like {EXAMPLE}") from None


def parse_number(text: str, column: Column) -> Decimal:
    """The number in one field.

    Raises:
        RowFault: it is no finite decimal number, or outside what the column allows.
    """
    if not NUMBER.fullmatch(text):
        raise RowFault("malformed", column.name, f"{quoted(text)} is not a number; expected {column.allowed}, such as 2295.61")
    number = Decimal(text)
    is_long = len(text) > MOST_DECIMALS or "e" in text or "E" in text
    if abs(number) >= LARGEST or (is_long and decimals_of(number) > MOST_DECIMALS):
        raise RowFault("malformed", column.name, f"{quoted(text)} is out of range; expected below 1e30, at most {MOST_DECIMALS} decimals")
    if (column.allowed == POSITIVE and number <= 0) or (column.allowed == NOT_NEGATIVE and number < 0):
        raise RowFault("zero" if number == 0 else "malformed", column.name, f"{quoted(text)} is not allowed; expected {column.allowed}")
    return number


def parse_text(text: str, column: Column) -> str:
    """The text of one field of a state.

    Raises:
        RowFault: it is no whole number where the column holds one, or has a character that no list of a state has.
    """
    if not (WHOLE_NUMBER if column.allowed == WHOLE else WORDS_OF_A_STATE).fullmatch(text):
        raise RowFault("malformed", column.name, f"{quoted(text)} is not allowed; expected {column.allowed}")
    return text


def decimals_of(number: Decimal) -> int:
    """How many digits it has after the point."""
    exponent = number.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


CUT = "does not end in a newline, so it may have been cut; complete it or delete it"


def require_bar(stamp: int, first: Decimal, high: Decimal, low: Decimal, close: Decimal) -> None:
    """Refuse a bar whose open or close was not between its low and its high.

    Raises:
        RowFault: naming the first that was not.
    """
    for name, price in (("open", first), ("close", close)):
        if price > high or price < low:
            beyond = f"above high {high}" if price > high else f"below low {low}"
            expected = "expected low <= open, close <= high; correct the row, or leave it out"
            raise RowFault("malformed", "", f"in the bar of {iso(stamp)} {name} {price} is {beyond}; {expected}")


def row_values(fields: Sequence[str], spec: SeriesSpec, stamp: int) -> tuple[Any, ...]:
    """The numbers (texts of a state) of a row whose stamp is known.

    Raises:
        RowFault: it has another number of columns than the header, or one of them is wrong; the first is named.
    """
    if len(fields) != len(spec.columns) + 1:
        found = f"{counted(len(fields), 'column')} in {quoted(','.join(fields))}"
        raise RowFault("malformed", "", f"{found}; expected {len(spec.columns) + 1}: {spec.header}")
    pairs = zip(fields[1:], spec.columns, strict=True)
    values: tuple[Any, ...] = tuple(parse_text(text, column) if column.is_text else parse_number(text, column) for text, column in pairs)
    if spec.has_bars:
        require_bar(stamp, *values[:4])
    return values
