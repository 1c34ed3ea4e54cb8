"""The one reader of rows: exact and strict, whatever they come from.

Rows arrive in batches, as columns of text (CSV, Parquet, a database, a frame). A batch is read column by column by Arrow. Where that
meets anything unusual, the batch is read again row by row (`data/rows.py`), which either copes or says what is wrong and in which row.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from itertools import islice
from operator import sub
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from basis_strategy_v1.core.amounts import counted
from basis_strategy_v1.core.clock import iso
from basis_strategy_v1.data.arrow_columns import exact_of, extend, floats_of, require_all, require_bars, stamps_of
from basis_strategy_v1.data.check_cadence import GAP_STEPS
from basis_strategy_v1.data.layout import WHOLE, interval_name, render_duration
from basis_strategy_v1.data.rows import (
    CUT,
    WHOLE_NUMBER,
    WORDS_OF_A_STATE,
    RowFault,
    parse_stamp,
    quoted,
    row_values,
)
from basis_strategy_v1.data.series import AFTER_ALL, BEFORE_ALL, Loaded, empty_column

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pyarrow as pa

    from basis_strategy_v1.data.layout import SeriesSpec

OF_A_BAR = ("open", "high", "low", "close")
# What stamps have to do: rise by the interval of the series (bars) or at all (other rows); rise; nothing, as where rows are sorted later.
BY_INTERVAL, RISING, ANY_ORDER = "by interval", "rising", "any"


class BadRow(NamedTuple):
    """What is wrong in a row. `line` 0 is all of it; `kind` is malformed, zero, empty, duplicate, disorder or interval."""

    line: int
    kind: str
    message: str


class Batch(NamedTuple):
    """Rows as columns of text, the stamp first (text, or a whole number of microseconds).

    Row k is line `line + k * step` of its source. `is_plain`: nothing is in it but digits, points, stamps and minus signs.
    """

    columns: Sequence[pa.Array]
    line: int
    step: int = 1
    is_plain: bool = False


class Floats:
    """A column of numbers that only the data checks read."""

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values = array("d")

    def extend_texts(self, texts: Iterable[str]) -> None:
        self.values.extend(map(float, texts))

    def trimmed(self) -> Floats:
        return self


class Lines:
    """The line of each row that was taken, in spans that count up or down."""

    def __init__(self) -> None:
        self._rows, self._spans = array("q"), list[tuple[int, int]]()

    def note(self, row: int, line: int, step: int) -> None:
        if self._spans:
            first, last_step = self._spans[-1]
            if step == last_step and first + (row - self._rows[-1]) * step == line:
                return
        self._rows.append(row)
        self._spans.append((line, step))

    def __getitem__(self, row: int) -> int:
        place = bisect_right(self._rows, row) - 1
        line, step = self._spans[place]
        return line + (row - self._rows[place]) * step


class RowReader:
    """Reads the rows with a stamp of at most `until` (microseconds since 1970), oldest first.

    What is wrong is collected in `faults`, and the row is left out. With `as_floats` the columns that are numbers are read as floats:
    enough for the data checks. `order`: what stamps have to do.
    """

    def __init__(
        self, spec: SeriesSpec, until: int | None = None, *, as_floats: bool = False, order: str = BY_INTERVAL, place: str = "line"
    ) -> None:
        self.place: Final = place  # what a row's number is called
        self.spec: Final = spec
        self.until: Final = AFTER_ALL if until is None else until
        self.faults: list[BadRow] = []
        self.stamps = array("q")
        self.lines = Lines()
        self.first_after: int | None = None  # the first stamp after `until`: reading ended there
        self._without_volume = array("q")
        self._as_floats = as_floats
        self._least_step = BEFORE_ALL if order == ANY_ORDER else 1 if order == RISING or not spec.has_bars else spec.interval_us
        if spec.may_repeat and order != ANY_ORDER:
            self._least_step = 0
        self._columns: tuple[Any, ...] = tuple(
            Floats() if as_floats and not column.is_text else empty_column(column) for column in spec.columns if column.kept
        )
        self._volume_place = next((place for place, column in enumerate(spec.columns) if spec.is_traded and column.name == "volume"), None)

    @property
    def has_ended(self) -> bool:
        return self.first_after is not None

    def take(self, batch: Batch) -> int:
        """Read a batch; how many of its rows were looked at (fewer than it has where a row after `until` came)."""
        try:
            return self._take_columns(batch)
        except (ValueError, OverflowError):  # what Arrow cannot read is a ValueError too
            pass
        stamps, *values = (column.to_pylist() for column in batch.columns)
        rows = ([_stamp_text(stamp), *("" if text is None else text for text in row)] for stamp, *row in zip(stamps, *values, strict=True))
        return self.take_rows((batch.line + place * batch.step, fields, True) for place, fields in enumerate(rows))

    def take_rows(self, rows: Iterable[tuple[int, list[str], bool]]) -> int:
        """Read rows one by one: (line, fields, whether it is whole); how many were looked at."""
        texts: list[list[str]] = []
        seen = 0
        for line, fields, is_whole in rows:
            kept = self._take_row(line, fields, is_whole)
            if self.has_ended:
                break
            seen += 1
            if kept is not None:
                texts.append(kept)
        for column, found in zip(self._columns, zip(*texts, strict=True), strict=bool(texts)):
            column.extend_texts(found)
        return seen

    def loaded(self) -> Loaded:
        return Loaded(self.stamps, tuple(column.trimmed() for column in self._columns), self._without_volume)

    # -- column by column

    def _take_columns(self, batch: Batch) -> int:
        """Take a batch in which nothing is unusual.

        Raises:
            ValueError: something is.
        """
        import pyarrow.compute as pc

        found = stamps_of(batch.columns[0])
        steps = pc.min(pc.subtract(found[1:], found[:-1])).as_py()
        stamps = array("q")
        extend(stamps, found)
        least = self._least_step
        if (steps is not None and steps < least) or (stamps and least > BEFORE_ALL and stamps[0] < self._last_stamp() + least):
            raise ValueError("out of order")
        rows = bisect_right(stamps, self.until)
        after = stamps[rows] if rows < len(stamps) else None
        parsed = self._parsed([column[:rows] for column in batch.columns[1:]], batch.is_plain)
        self.lines.note(len(self.stamps), batch.line, batch.step)
        self.stamps.extend(stamps[:rows])
        for column, values in zip(self._columns, parsed, strict=True):
            _append(column, values)
        self.first_after = after
        return rows

    def _parsed(self, texts: Sequence[pa.Array], is_plain: bool) -> list[Any]:
        """The values of the kept columns.

        Raises:
            ValueError: one of the columns has something unusual.
        """
        found, prices, volume = [], [], None
        for place, (column, values) in enumerate(zip(self.spec.columns, texts, strict=True)):
            if values.null_count:
                raise ValueError("nothing in a field")
            if column.is_text:
                require_all(values, WHOLE_NUMBER if column.allowed == WHOLE else WORDS_OF_A_STATE)
                if column.kept:
                    found.append(values)
                continue
            floats = floats_of(values, column, is_plain)
            if column.name in OF_A_BAR and self.spec.has_bars:
                prices.append((values, floats))
            if place == self._volume_place:
                volume = floats
            if column.kept:
                found.append(floats if self._as_floats else exact_of(values, floats, column, is_plain))
        if prices:
            require_bars(prices)
        if volume is not None:
            self._note_volume(volume)
        return found

    def _note_volume(self, volume: pa.Array) -> None:
        """Keep the numbers of the bars without volume; called before their stamps are kept."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if pc.min(volume).as_py() == 0:
            nothing = pc.indices_nonzero(pc.invert(pc.cast(volume, pa.bool_())))
            self._without_volume.extend(len(self.stamps) + row for row in nothing.to_pylist())

    def _last_stamp(self) -> int:
        return self.stamps[-1] if self.stamps else BEFORE_ALL

    # -- row by row

    def _take_row(self, line: int, fields: list[str], is_whole: bool) -> list[str] | None:
        """The kept fields; None where the row is left out, or after `until`."""
        try:
            stamp = parse_stamp(fields[0])
            if stamp > self.until:
                self.first_after = stamp
                return None
            if not is_whole:
                raise RowFault("malformed", "", f"{quoted(','.join(fields))} {CUT}")
            values = row_values(fields, self.spec, stamp)
        except RowFault as fault:
            self.faults.append(BadRow(line, fault.kind, str(fault)))
            return None
        if fault_of_order := self._fault_of_order(line, stamp):
            self.faults.append(fault_of_order)
            return None
        if self._volume_place is not None and not values[self._volume_place]:
            self._without_volume.append(len(self.stamps))
        self.lines.note(len(self.stamps), line, 1)
        self.stamps.append(stamp)
        return [text for text, column in zip(fields[1:], self.spec.columns, strict=True) if column.kept]

    def _fault_of_order(self, line: int, stamp: int) -> BadRow | None:
        last = self._last_stamp()
        if self._least_step == BEFORE_ALL or stamp >= last + self._least_step:
            return None
        if stamp < last + self._least_step and stamp > last:
            apart, interval = render_duration(stamp - last), interval_name(self._least_step)
            message = f"'{iso(stamp)}' is {apart} after the row before it, in a file of bars of {interval}"
            return BadRow(line, "interval", f"column timestamp: {message}; name the file by its interval, or resample it")
        return self.order_fault(last, stamp, line, f" {self.place} {self.lines[len(self.stamps) - 1]}" if self.stamps else "")

    def order_fault(self, last: int, stamp: int, line: int, last_place: str) -> BadRow | None:
        """What is wrong with a stamp that follows `last`; None where it is later."""
        if stamp > last:
            return None
        kind, what = (
            ("duplicate", f"is there already, in{last_place}")
            if stamp == last
            else ("disorder", f"is out of order, after {iso(last)} of{last_place}")
        )
        return BadRow(line, kind, f"column timestamp: '{iso(stamp)}' {what}; expected stamps that only rise")

    def check_order(self, last: int, rows: Iterable[tuple[int, str]]) -> int:
        """Look at nothing but the order of (line, stamp) rows; the last stamp."""
        for line, text in rows:
            try:
                stamp = parse_stamp(text)
            except RowFault:
                continue
            if fault := self.order_fault(last, stamp, line, f" {self.place} {line - 1}"):
                self.faults.append(fault)
            last = stamp
        return last

    def is_suspicious(self) -> bool:
        """Whether rows that belong to the run may stand after the first one after `until`, at which reading ended: where there is a gap."""
        if self.first_after is None or len(self.stamps) < 2:
            return self.has_ended
        usual = self.spec.interval_us or self.stamps[-1] - self.stamps[-2]
        longest: int = max(map(sub, islice(self.stamps, 1, None), self.stamps))
        return max(longest, self.first_after - self.stamps[-1]) > GAP_STEPS * usual


def fault_lines(faults: Sequence[BadRow], place: str, *, has_header: bool = True) -> Iterator[str]:
    """What there is to say of a source, in a line for each kind of fault: the first place, what is wrong, and how many more there are."""
    groups: dict[str, list[BadRow]] = {}
    for fault in faults:
        groups.setdefault(fault.kind, []).append(fault)
    for first, *others in groups.values():
        more = f"; and {counted(len(others), 'more such row')}, the last in {place} {others[-1].line}" if others else ""
        is_a_row = first.line > (1 if has_header and place == "line" else 0)
        yield f"{f' {place} {first.line}' if is_a_row else ''}: {first.message}{more}"


def _stamp_text(stamp: object) -> str:
    if isinstance(stamp, int):
        return iso(stamp)
    return "" if stamp is None else str(stamp)


def _append(column: Any, values: Any) -> None:
    if isinstance(values, tuple):
        column.extend_scaled(*values)
    elif isinstance(column, Floats):
        extend(column.values, values)
    else:
        column.extend_texts(values if isinstance(values, list) else values.to_pylist())
