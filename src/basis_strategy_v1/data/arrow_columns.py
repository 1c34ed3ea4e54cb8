"""Columns of text, read by Arrow at once: times and numbers, exactly. A ValueError says that something in one is unusual, not what."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.data.layout import ANY, POSITIVE
from basis_strategy_v1.data.rows import NUMBER, STAMP, parse_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from basis_strategy_v1.data.layout import Column

# A bar's prices are compared as floats: two different numbers of at most so many characters are different floats too.
LONGEST_EXACT = 16
MOST_SCALED = 9.2e18  # what eight bytes hold
MOST_PLACES = 18
LARGEST = 1e30
USUAL_STAMP = len("2024-06-01T00:00:00Z")


def stamps_of(texts: pa.Array) -> pa.Array:
    """Microseconds since 1970.

    Raises:
        ValueError: one is no ISO stamp in UTC.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if texts.null_count:
        raise ValueError("no stamp")
    if pa.types.is_integer(texts.type):
        return texts
    length = pc.min_max(pc.binary_length(texts)).as_py()
    if length["min"] != USUAL_STAMP or length["max"] != USUAL_STAMP or not pc.all(pc.ends_with(texts, "Z")).as_py():
        require_all(texts, STAMP)
        if not pc.all(pc.match_substring_regex(texts, r"(Z|\+00:00)$")).as_py():
            raise ValueError("no time zone")
    return pc.cast(pc.cast(texts, pa.timestamp("us", "UTC")), pa.int64())


def require_all(texts: pa.Array, pattern: Any) -> None:
    """That all of each text fits.

    Raises:
        ValueError: one does not.
    """
    import pyarrow.compute as pc

    if not pc.all(pc.match_substring_regex(texts, rf"\A(?:{pattern.pattern})\z")).as_py():
        raise ValueError("not as expected")


def floats_of(texts: pa.Array, column: Column, is_plain: bool) -> pa.Array:
    """The numbers of a column, nearly.

    Raises:
        ValueError: one of them is none, or not allowed.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if not is_plain:
        require_all(texts, NUMBER)
    floats = pc.cast(texts, pa.float64())
    found = pc.min_max(floats).as_py()
    smallest, largest = found["min"], found["max"]
    if smallest is None:
        return floats
    is_allowed = column.allowed == ANY or smallest > 0 or (smallest == 0 and column.allowed != POSITIVE)
    if not is_allowed or largest >= LARGEST or smallest <= -LARGEST:
        raise ValueError("out of range")
    return floats


def exact_of(texts: pa.Array, floats: pa.Array, column: Column, is_plain: bool) -> tuple[array[int], int] | list[str]:
    """(scaled integers, decimals) of a column; its texts where it needs more than eight bytes or has exponents."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not len(texts):
        return array("q"), 0
    dotted, dots = texts, pc.find_substring(texts, pattern=".")
    if pc.min(dots).as_py() < 0:
        dotted = texts.filter(pc.match_substring(texts, pattern="."))
        dots = pc.find_substring(dotted, pattern=".")
    decimals = (pc.max(pc.subtract(pc.binary_length(dotted), dots)).as_py() or 1) - 1
    size = pc.max(pc.abs(floats)).as_py()
    has_exponents = not is_plain and pc.any(pc.match_substring_regex(texts, "[eE]")).as_py()
    if has_exponents or decimals > MOST_PLACES or size * 10**decimals >= MOST_SCALED:
        found: list[str] = texts.to_pylist()
        for text in found:
            parse_number(text, column)
        return found
    words = array("q")
    extend(words, pc.cast(texts, pa.decimal128(38, decimals)), 16)
    return words[0::2], decimals  # the lower half of each: it holds the number


def require_bars(prices: Sequence[tuple[pa.Array, pa.Array]]) -> None:
    """That each open and each close is between its low and its high.

    Raises:
        ValueError: one is not, or has too many digits to say.
    """
    import pyarrow.compute as pc

    if any((pc.max(pc.binary_length(texts)).as_py() or 0) > LONGEST_EXACT for texts, _ in prices):
        raise ValueError("too many digits for floats")
    first, high, low, close = (floats for _, floats in prices)
    inside = [pc.less_equal(low, first), pc.less_equal(first, high), pc.less_equal(low, close), pc.less_equal(close, high)]
    if not all(pc.all(one).as_py() is not False for one in inside):
        raise ValueError("no bar")


def extend(target: array[Any], values: pa.Array, width: int = 8) -> None:
    """Append what an Arrow array of fixed width holds."""
    if len(values):
        data = memoryview(values.buffers()[1])
        target.frombytes(data[values.offset * width : (values.offset + len(values)) * width])
