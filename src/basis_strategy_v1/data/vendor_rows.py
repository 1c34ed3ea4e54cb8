"""What a vendor's table says, as rows of a series: instants in microseconds, and each number in one way of writing it."""

from __future__ import annotations

import re
from decimal import Decimal
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from basis_strategy_v1.data.row_files import SourceFault
from basis_strategy_v1.data.row_reader import ANY_ORDER, Batch, RowReader, fault_lines
from basis_strategy_v1.data.rows import quoted
from basis_strategy_v1.data.vendor_formats import METATRADER, METATRADER_SHIFT_US, of_symbol

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from basis_strategy_v1.data.layout import SeriesSpec
    from basis_strategy_v1.data.vendor_formats import Shape
    from basis_strategy_v1.data.vendor_tables import Table, TextRows

_US_OF = {"s": 1_000_000, "ms": 1_000, "us": 1}
_UNIT_OF_DIGITS = {9: "s", 10: "s", 12: "ms", 13: "ms", 15: "us", 16: "us"}
_CANONICAL = r"\A-?(0|[1-9][0-9]*)(\.[0-9]+)?\z"
_ISO = r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?)?"
_ZONE = r"(Z|[+-][0-9]{2}:?[0-9]{2})"
_METATRADER = r"[0-9]{4}\.[0-9]{2}\.[0-9]{2} [0-9]{2}:[0-9]{2}"


class Rows(NamedTuple):
    """Rows of a series; row k is the source's line (or row) `line + k`."""

    stamps: pa.Array
    values: list[pa.Array]
    line: int


class VendorRows:
    """Reads one table. `unit` is `ms`, `us`, `s` or `iso`; empty: seen from the digits, the same in the whole table.

    `symbol`: of several in the table, the one that is wanted. `names_no_zone` says afterwards whether its stamps name none.
    """

    def __init__(self, table: Table, shape: Shape, spec: SeriesSpec, unit: str, symbol: str) -> None:
        self._table, self._shape, self._spec = table, shape, spec
        self._unit = unit or shape.unit
        self._symbol = symbol
        self.names_no_zone = False

    def rows(self) -> Iterator[Rows]:
        """All rows that count.

        Raises:
            SourceFault: naming the line, the column and the value.
        """
        wanted = ("timestamp", *(column.name for column in self._spec.columns))
        places = [self._table.names.index(self._shape.take[name]) for name in wanted]
        for texts in self._table.rows:
            for part in self._that_count(texts):
                stamps = self._instants(part.columns[places[0]], part.line)
                values = [part.columns[place] for place in places[1:]]
                self._require_sound(stamps, values, part.line)
                yield Rows(stamps, [canonical(one) for one in values], part.line)

    def _require_sound(self, stamps: pa.Array, values: list[pa.Array], line: int) -> None:
        reader = RowReader(self._spec, order=ANY_ORDER, place=self._table.place)
        reader.take(Batch([stamps, *values], line))
        if reader.faults:
            raise SourceFault(next(fault_lines(reader.faults, self._table.place, has_header=False)).strip())

    def _that_count(self, texts: TextRows) -> Iterator[TextRows]:
        """Without the bars that have not closed, and the rows of other symbols."""
        import pyarrow as pa
        import pyarrow.compute as pc

        masks = []
        column, text = self._shape.only
        if column:
            masks.append(pc.equal(texts.columns[self._table.names.index(column)], text))
        if self._shape.symbol in self._table.names:
            symbols = texts.columns[self._table.names.index(self._shape.symbol)]
            found = {name: of_symbol(name, self._shape.venue).symbol for name in pc.unique(symbols).to_pylist()}
            if not self._symbol and len(found) > 1:
                raise SourceFault(f"holds {len(found)} symbols ({quoted(', '.join(found))}); choose one by --symbol")
            if self._symbol and self._symbol not in found.values():
                raise SourceFault(f"holds no row of {self._symbol}; it has {quoted(', '.join(found.values()))}")
            masks.append(pc.is_in(symbols, pa.array([name for name, plain in found.items() if self._symbol in ("", plain)], pa.string())))
        mask = masks[0] if masks else None
        for another in masks[1:]:
            mask = pc.and_(mask, another)
        if mask is None or pc.all(mask).as_py():
            yield texts
            return
        for counts, places in groupby(enumerate(mask.to_pylist()), lambda pair: pair[1]):
            if counts:
                start = [place for place, _ in places]
                yield texts._replace(columns=[one[start[0] : start[-1] + 1] for one in texts.columns], line=texts.line + start[0])

    # -- instants

    def _instants(self, texts: pa.Array, line: int) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        if pa.types.is_integer(texts.type):  # a time of Parquet or of a frame
            if texts.null_count:
                raise self._no_time(texts, line, lambda text: text is not None, "a time (NaT and None are none)")
            return texts
        if not self._unit:
            self._unit = self._seen_unit(texts)
        if self._unit in _US_OF:
            return self._of_epochs(texts, line)
        pattern = _METATRADER if self._unit == METATRADER else rf"{_ISO}{_ZONE}?"
        if texts.null_count or not pc.all(pc.match_substring_regex(texts, rf"\A(?:{pattern})\z")).as_py():
            like = "2024.06.01 00:00" if self._unit == METATRADER else "2024-06-01T00:00:00Z"
            raise self._no_time(texts, line, lambda text: text is not None and re.fullmatch(pattern, text), f"a time such as {like}")
        if self._unit == METATRADER:
            stamps = pc.cast(pc.cast(pc.replace_substring(texts, ".", "-"), pa.timestamp("us")), pa.int64())
            return pc.subtract(stamps, METATRADER_SHIFT_US)
        return self._of_iso(texts, line)

    def _seen_unit(self, texts: pa.Array) -> str:
        first = texts[0].as_py() or ""
        return _UNIT_OF_DIGITS.get(len(first), "ms") if first.isdigit() else "iso"

    def _of_epochs(self, texts: pa.Array, line: int) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        unit = self._unit

        def fits(text: str | None) -> bool:
            return text is not None and text.isdigit() and _UNIT_OF_DIGITS.get(len(text)) == unit

        ends = pc.min_max(pc.binary_length(texts)).as_py()
        is_right = not texts.null_count and pc.all(pc.match_substring_regex(texts, r"\A[0-9]+\z")).as_py()
        if not is_right or {_UNIT_OF_DIGITS.get(ends["min"]), _UNIT_OF_DIGITS.get(ends["max"])} != {unit}:
            raise self._no_time(texts, line, fits, f"a time in {unit} since 1970, as in the rows before or by --unit")
        return pc.multiply(pc.cast(texts, pa.int64()), _US_OF[unit])

    def _of_iso(self, texts: pa.Array, line: int) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        has_zone = pc.match_substring_regex(texts, rf"{_ZONE}\z")
        # A date alone ends like a zone.
        has_zone = pc.and_(has_zone, pc.match_substring_regex(texts, ":"))
        if pc.all(has_zone).as_py():
            kind = pa.timestamp("us", "UTC")
        elif not pc.any(has_zone).as_py():
            kind, self.names_no_zone = pa.timestamp("us"), True
        else:
            first = has_zone[0].as_py()
            raise self._no_time(
                texts, line, lambda text: bool(re.search(rf":.*{_ZONE}$", text or "")) is first, "a zone in all rows or in none"
            )
        try:
            return pc.cast(pc.cast(texts, kind), pa.int64())
        except pa.ArrowInvalid as error:
            raise SourceFault(f"has a stamp that is no time ({str(error).splitlines()[0][:120]})") from error

    def _no_time(self, texts: pa.Array, line: int, fits: object, expected: str) -> SourceFault:
        assert callable(fits)
        for place, text in enumerate(texts.to_pylist()):
            if not fits(text):
                return SourceFault(f"{self._table.place} {line + place}: column timestamp: {quoted(str(text))} is not {expected}")
        return SourceFault(f"has a stamp that is not {expected}")


def canonical(texts: pa.Array) -> pa.Array:
    """Each number in one way of writing it, so that equal numbers are equal texts: 1.50 and 1.5e0 are 1.5."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pc.all(pc.match_substring_regex(texts, _CANONICAL)).as_py():
        return pa.array([_canonical(text) for text in texts.to_pylist()], pa.string())
    dotted = pc.match_substring(texts, ".")
    if not pc.any(dotted).as_py():
        return pc.if_else(pc.equal(texts, "-0"), "0", texts)
    trimmed = pc.if_else(dotted, pc.utf8_rtrim(pc.utf8_rtrim(texts, "0"), "."), texts)
    return pc.if_else(pc.equal(trimmed, "-0"), "0", trimmed)


def _canonical(text: str) -> str:
    number = Decimal(text)
    if not number:
        return "0"
    written = f"{number:f}"
    return written.rstrip("0").rstrip(".") if "." in written else written
