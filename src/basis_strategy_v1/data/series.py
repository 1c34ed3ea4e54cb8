"""A series in memory: when each row becomes visible, and its columns as scaled integers."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from itertools import islice, pairwise
from math import fsum, sqrt
from operator import sub
from typing import TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.clock import DAY_US, HOUR_US, SECOND_US, iso
from basis_strategy_v1.core.history import History
from basis_strategy_v1.core.market import DayTraded, GasRow, LendingRow, MissingData, ScaledRow, StaleSeries
from basis_strategy_v1.core.state_rows import StateRow
from basis_strategy_v1.data.cadence import missed_payments, time_paid_for
from basis_strategy_v1.data.check_cadence import NEIGHBOURS, least_stop, stopped_message, stopped_spans
from basis_strategy_v1.data.columns import Columns, Figures
from basis_strategy_v1.data.layout import STATES, render_duration
from basis_strategy_v1.data.rows import decimals_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from basis_strategy_v1.data.layout import Column, SeriesSpec

_multiply = EXACT.multiply
_STRIDE = 4_096  # rows looked through at a time
# Returns that a volatility is made of: of the hours of a week, or the days of a month; at least so many.
WEEK_HOURS, MONTH_DAYS, LEAST_RETURNS = 168, 30, 12
_CALM = 64  # rows that are looked through one by one only where it shows in them together
BEFORE_ALL, AFTER_ALL = -(2**62), 2**62
_WIDE = Context(prec=100)  # so that scaling never rounds, whatever the caller made of the thread's context


class Numbers:
    """A column of exact numbers: `value * 10**-decimals` in 8 bytes each, Decimals where one does not fit."""

    __slots__ = ("_decimals", "_divisor", "_exact", "_unit", "_values")

    def __init__(self) -> None:
        self._values = array("q")
        self._exact: list[Decimal] | None = None
        self._scale_to(0)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Numbers):
            return NotImplemented
        return (self._decimals, self._values, self._exact) == (other._decimals, other._values, other._exact)

    __hash__ = None  # type: ignore[assignment]

    def _scale_to(self, decimals: int) -> None:
        self._decimals = decimals
        self._divisor = 10**decimals
        self._unit = Decimal((0, (1,), -decimals))

    def decimal(self, index: int) -> Decimal:
        # Exact whatever the caller's decimal context is: the value is kept for others.
        return _multiply(self._values[index], self._unit) if self._exact is None else self._exact[index]

    def float(self, index: int) -> float:
        """The same float as `float(text)`: the division of two integers is rounded correctly."""
        return self._values[index] / self._divisor if self._exact is None else float(self._exact[index])

    def as_floats(self) -> Any:
        """All of them (an array), each as `float` has it."""
        if self._exact is not None:
            return array("d", map(float, self._exact))
        divisor = self._divisor
        return array("d", [value / divisor for value in self._values])

    @property
    def scale(self) -> int | None:
        """The decimals of `value`; None where the column does not fit in integers."""
        return self._decimals if self._exact is None else None

    @property
    def values(self) -> array[int]:
        """The numbers in 10**-scale."""
        return self._values

    def first_beyond(self, price: Decimal, start: int, stop: int, *, above: bool) -> int | None:
        """The first index from `start` and before `stop` whose number is at least `price` (at most, where not `above`)."""
        if self._exact is not None:
            return next((i for i in range(start, stop) if (self._exact[i] >= price if above else self._exact[i] <= price)), None)
        bound = int((price * self._divisor).to_integral_value(ROUND_CEILING if above else ROUND_FLOOR))
        for begin in range(start, stop, _STRIDE):
            part = self._values[begin : min(begin + _STRIDE, stop)]
            if (max(part) >= bound) if above else (min(part) <= bound):
                return begin + next(i for i, value in enumerate(part) if (value >= bound if above else value <= bound))
        return None

    def total(self, start: int, stop: int) -> Decimal:
        """The sum from `start` and before `stop`."""
        return sum(self._exact[start:stop], Decimal(0)) if self._exact is not None else _multiply(sum(self._values[start:stop]), self._unit)

    def extreme(self, pick: Callable[[Sequence[Any]], Any], start: int, stop: int) -> Decimal:
        """The least or the greatest (`pick` is min or max) from `start` and before `stop`."""
        return pick(self._exact[start:stop]) if self._exact is not None else _multiply(pick(self._values[start:stop]), self._unit)

    def extend_scaled(self, values: Iterable[int], decimals: int) -> None:
        """Append `values * 10**-decimals`."""
        more = values if isinstance(values, array) else array("q", values)
        if self._exact is not None:
            unit = Decimal((0, (1,), -decimals))
            self._exact.extend(value * unit for value in more)
            return
        try:
            if decimals > self._decimals:
                self._values = _times(self._values, 10 ** (decimals - self._decimals))
                self._scale_to(decimals)
            self._values.extend(more if decimals == self._decimals else _times(more, 10 ** (self._decimals - decimals)))
        except OverflowError:
            self._keep_exact()
            self.extend_scaled(more, decimals)

    def extend_texts(self, texts: Iterable[str]) -> None:
        """Append numbers as they are written, in exponent notation too."""
        numbers = [Decimal(text).normalize(_WIDE) for text in texts]
        decimals = max((decimals_of(number) for number in numbers), default=0)
        try:
            scaled = array("q", [int(_WIDE.scaleb(number, decimals)) for number in numbers])
        except OverflowError:
            self._keep_exact()
        if self._exact is None:
            self.extend_scaled(scaled, decimals)
        else:
            self._exact.extend(numbers)

    def _keep_exact(self) -> None:
        if self._exact is None:
            self._exact = [value * self._unit for value in self._values]
            self._values = array("q")

    def without(self, spans: Sequence[tuple[int, int]]) -> Numbers:
        """The numbers but those from `first` and before `stop` of each span."""
        left = Numbers()
        left._scale_to(self._decimals)
        for start, stop in kept_between(spans, len(self._values if self._exact is None else self._exact)):
            left._values.extend(self._values[start:stop])
            if self._exact is not None:
                left._exact = [*(left._exact or ()), *self._exact[start:stop]]
        return left

    def figures(self, start: int, stop: int) -> Figures:
        """Those from `start` and before `stop`, for the data checks."""
        if self._exact is not None:
            return Figures(list(map(float, self._exact[start:stop])))
        return Figures(self._values[start:stop], self._divisor)

    def trimmed(self) -> Numbers:
        """Itself with as few decimals as its rows need, so that equal columns also print the same, however they were read."""
        while self._decimals and self._exact is None and not any(value % 10 for value in self._values):
            self._values = array("q", [value // 10 for value in self._values])
            self._scale_to(self._decimals - 1)
        return self


class Texts:
    """A column of texts, kept as they are written."""

    __slots__ = ("_texts",)

    def __init__(self) -> None:
        self._texts: list[str] = []

    def __eq__(self, other: object) -> bool:
        return self._texts == other._texts if isinstance(other, Texts) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def text(self, index: int) -> str:
        return self._texts[index]

    def extend_texts(self, texts: Iterable[str]) -> None:
        self._texts.extend(texts)

    def trimmed(self) -> Texts:
        return self


def empty_column(column: Column) -> Any:
    """Where the values of a column are put as they are read: Numbers, or Texts of a state."""
    return Texts() if column.is_text else Numbers()


class Loaded(NamedTuple):
    """A series as it was read: the stamps and the columns kept, one value a stamp."""

    stamps: array[int]
    columns: tuple[Any, ...]  # Numbers; Texts of a state
    without_volume: array[int] = array("q")  # the rows of a bar without volume, from 0


def kept_between(spans: Sequence[tuple[int, int]], rows: int) -> list[tuple[int, int]]:
    """What (first, stop) spans, in order, leave of so many rows."""
    ends = [0, *(end for span in spans for end in span), rows]
    return list(zip(ends[::2], ends[1::2], strict=True))


def _times(values: array[int], factor: int) -> array[int]:
    return array("q", [value * factor for value in values])


def are_apart(stamps: array[int], least_us: int) -> bool:
    """Whether each stamp is at least so long after the one before it."""
    return len(stamps) < 2 or min(map(sub, islice(stamps, 1, None), stamps)) >= least_us


class Stop(NamedTuple):
    """Bars of a market that has stopped: the stamps of the first and the last, and how many they are."""

    first: int
    last: int
    bars: int

    @property
    def message(self) -> str:
        return stopped_message(self.first, self.last, self.bars)


def without_stops(spec: SeriesSpec, loaded: Loaded) -> tuple[Loaded, list[Stop]]:
    """The rows but those of times at which it was known that the market stood still, as if whoever downloaded them had not filled the gap;
    and these times."""
    if not loaded.without_volume:
        return loaded, []
    high, low = loaded.columns[0], loaded.columns[1]
    found = stopped_spans(len(loaded.stamps), loaded.without_volume, high.decimal, low.decimal, spec.interval_us)
    if not found:
        return loaded, []
    stops = [Stop(loaded.stamps[first], loaded.stamps[stop - 1], stop - first) for first, stop in found]
    known_after = least_stop(spec.interval_us) - 1  # flat bars whose price still counts: it could not be known that there would be more
    spans = [(first + known_after, stop) for first, stop in found]
    stamps = array("q")
    for first, stop in kept_between(spans, len(loaded.stamps)):
        stamps.extend(loaded.stamps[first:stop])
    return Loaded(stamps, tuple(column.without(spans) for column in loaded.columns)), stops


class SeriesFeed:
    """Closes of one series as integers of 10**-decimals."""

    __slots__ = ("_edges", "_max_age_us", "_row", "_series", "_since", "_until", "_value", "_values", "decimals")

    def __init__(self, series: Series, decimals: int) -> None:
        self.decimals = decimals
        self._series = series
        self._values = series.closes()
        self._edges = series.edges()
        self._max_age_us = series.max_staleness_us
        self._row = 0
        # From when until before when the value answers; nothing does yet.
        self._since, self._until, self._value = BEFORE_ALL, BEFORE_ALL, 0

    def close(self, instant: int) -> int:
        """The close in force.

        Raises:
            MissingData: as `Series.read`.
        """
        if self._since <= instant < self._until:
            return self._value
        row, edges = self._row + 1, self._edges
        since, until = edges[row], edges[row + 1]
        if not since <= instant < until:
            row = self._series.seek(instant)
            since, until = edges[row], edges[row + 1]
        if until - since > self._max_age_us:
            until = since + self._max_age_us + 1
            if instant >= until:
                self._series.read(instant)  # says what is wrong
        self._row, self._since, self._until, self._value = row, since, until, self._values[row - 1]
        return self._value

    def closes(self, instants: array[int]) -> Sequence[int]:
        """The closes in force at instants that rise.

        Raises:
            MissingData: as `Series.read`, for the first of them that it is to be raised for.
        """
        row, end = self._row + 1, self._row + 1 + len(instants)
        if self._edges[row:end] == instants:  # a row for each, as when steps are bars
            self._row = end - 1
            return self._values[row - 1 : end - 1]
        close = self.close
        return [close(instant) for instant in instants]


class Series:
    """One loaded series, read by instant.

    A cursor remembers the last row read, so that a step forward costs next to nothing; every read checks it against the
    instant asked for, so readers of different instants do not disturb each other.
    """

    __slots__ = (
        *(
            "last",
            "_columns",
            "_cursor",
            "_edges",
            "_ends",
            "_feed",
            "_hot_us",
            "_kept",
            "_looked_back",
            "_missed",
            "_published",
            "_scaled",
            "_scales",
            "_single",
            "_span",
            "_traded",
        ),
        *("id", "interval_us", "kind", "max_staleness_us", "rows", "spec", "stops"),
    )

    def __init__(self, spec: SeriesSpec, loaded: Loaded, max_staleness_us: int) -> None:
        self.id = spec.id
        self.kind = spec.key.kind
        self.interval_us = spec.interval_us
        self.max_staleness_us = max_staleness_us
        self.spec = spec
        self._ends = (loaded.stamps[0] + spec.interval_us, loaded.stamps[-1] + spec.interval_us) if loaded.stamps else None
        loaded, self.stops = without_stops(spec, loaded)
        stamps = loaded.stamps
        visible = array("q", map(spec.interval_us.__add__, stamps)) if spec.interval_us else stamps
        # Row k is in force from _edges[k] until before _edges[k + 1]; row 0 is "nothing yet".
        self._edges = array("q", [BEFORE_ALL]) + visible + array("q", [AFTER_ALL, AFTER_ALL])
        self.rows = len(stamps)
        self._columns = loaded.columns
        # What a row is read as where it is one number: the close of a bar, whose high, low, close and volume are kept.
        self._single = None if self.kind in ("lending", "gas", *STATES) else loaded.columns[2 if spec.has_bars else -1]
        self._kept = tuple(column for column in spec.columns if column.kept)
        self._hot_us = min(spec.interval_us or max_staleness_us, max_staleness_us)
        self._cursor = 0
        self._feed: SeriesFeed | None = None
        self._missed: array[int] | None = None  # not looked for yet
        self._looked_back: tuple[Any, Any, int] | None = None  # the times and the values as views, and where the last window began
        # From when until before when the last value read answers without a further look.
        self.last: tuple[int, int, Any] = (BEFORE_ALL, BEFORE_ALL, None)
        self._traded: tuple[int, DayTraded | None] = (-1, None)  # (day, what was traded before it)
        # ((first row, deviation, heartbeat), row, value, when) of what an oracle has published.
        self._published: tuple[Any, int, Decimal, int] = (None, 0, Decimal(0), 0)
        self._scales: tuple[int, ...] | None = None  # the decimals of the columns; none where one does not fit in integers
        self._scaled: tuple[int, ScaledRow | None] = (0, None)  # the last row read as integers
        # (from, until, (low, high)) of the bars that become visible after the one and up to the other.
        self._span: tuple[int, int, tuple[Decimal, Decimal] | None] = (AFTER_ALL, BEFORE_ALL, None)

    def closes(self) -> array[int]:
        """The closes in 10**-scale."""
        assert self._single is not None
        values: array[int] = self._single.values
        return values

    def edges(self) -> array[int]:
        """Row k is in force from edges[k] until before edges[k + 1]; row 0 is "nothing yet"."""
        return self._edges

    def seek(self, instant: int) -> int:
        """The number of rows visible at `instant`, which is also the number of the last of them, from 1."""
        edges = self._edges
        cursor = self._cursor
        if not edges[cursor] <= instant < edges[cursor + 1]:
            cursor += 1
            if not edges[cursor] <= instant < edges[cursor + 1]:
                cursor = bisect_right(edges, instant) - 1
            self._cursor = cursor
        return cursor

    def read(self, instant: int, for_trade: bool = False) -> Any:
        """The value in force at `instant`: Decimal (the close of bars), LendingRow, GasRow or StateRow; None before the first row.

        Raises:
            MissingData: DAT-002, the last row is older than `max_staleness`.
            StaleSeries: DAT-002, `for_trade` and the last row is older than the interval of the series.
        """
        start, end, value = self.last
        return value if start <= instant < end else self._read_row(instant, for_trade)

    def _read_row(self, instant: int, for_trade: bool) -> Any:
        row = self._cursor + 1
        edges = self._edges
        if edges[row] <= instant < edges[row + 1]:
            self._cursor = row
        else:
            row = self.seek(instant)
            if row == 0:
                return None
        start, end = edges[row], edges[row + 1]
        if instant - start >= self._hot_us:
            self._require_young(row, instant, for_trade)
        value = self._whole_row(row) if self._single is None else self._single.decimal(row - 1)
        if end - start > self._hot_us:
            end = start + self._hot_us
        self.last = (start, end, value)
        return value

    def first_beyond(self, price: Decimal, instant: int, until: int, *, above: bool) -> int | None:
        """When, after `instant` and up to `until`, the first bar becomes visible whose high is at least `price` (its low at most)."""
        first = self.seek(instant)  # the row after the one in force, counted from 0
        last = bisect_right(self._edges, until) - 1
        if first >= last:
            return None
        found = self._columns[0 if above else 1].first_beyond(price, first, last, above=above)
        return None if found is None else self._edges[found + 1]

    def first_close_beyond(self, price: Decimal, instant: int, until: int, *, above: bool) -> int | None:
        """As `first_beyond`, by the closes."""
        first, last = self.seek(instant), bisect_right(self._edges, until) - 1
        if first >= last or self._single is None:
            return None
        found = self._single.first_beyond(price, first, last, above=above)
        return None if found is None else self._edges[found + 1]

    def published_closes(self, since: int, instant: int, deviation_bps: Decimal, heartbeat_us: int) -> tuple[Decimal, Decimal] | None:
        """(the close in force at `since`, what an oracle that published it then has published by `instant`)."""
        edges, closes = self._edges, self._single
        first, last = bisect_right(edges, since) - 1, self.seek(instant)
        if first < 1 or closes is None:
            return None
        start = closes.decimal(first - 1)
        if first >= last:
            return start, start
        if self.interval_us >= heartbeat_us:  # each bar is published
            return start, closes.decimal(last - 1)
        row, value, at = first, start, edges[first]
        known = self._published
        if known[0] == (first, deviation_bps, heartbeat_us) and known[1] <= last:
            _, row, value, at = known
        while row < last:
            row += 1
            close = closes.decimal(row - 1)
            if abs(close - value) * 10_000 >= deviation_bps * value or edges[row] - at >= heartbeat_us:
                value, at = close, edges[row]
        self._published = (first, deviation_bps, heartbeat_us), row, value, at
        return start, value

    def traded_before(self, instant: int) -> DayTraded | None:
        """What was traded in the day before the UTC day of `instant`, and how much the price moved; None where the bars do not show it."""
        if (day := instant // DAY_US) != self._traded[0]:
            self._traded = day, self._traded_before(day * DAY_US)
        return self._traded[1]

    def _traded_before(self, start: int) -> DayTraded | None:
        edges, closes, interval = self._edges, self._single, self.interval_us
        last, first = bisect_right(edges, start) - 1, bisect_right(edges, start - DAY_US) - 1
        if closes is None or not 0 < interval <= DAY_US or not 1 <= first < last:
            return None
        volume = self._columns[3].total(first, last)
        # Returns from hour to hour of a week, or from day to day of a month.
        step, most = (max(HOUR_US // interval, 1), WEEK_HOURS) if interval <= HOUR_US else (1, MONTH_DAYS * DAY_US // interval)
        sampled = [closes.float(row - 1) for row in range(last, max(last - step * most - 1, 0), -step)]
        returns = [after / before - 1 for after, before in pairwise(sampled)]
        if not volume or len(returns) < LEAST_RETURNS:
            return None
        mean = fsum(returns) / len(returns)
        variance = fsum((one - mean) ** 2 for one in returns) / (len(returns) - 1)
        daily_bps = sqrt(variance * DAY_US / (step * interval)) * 10_000
        return DayTraded(volume, Decimal(f"{daily_bps:.6f}"), closes.decimal(last - 1))

    def last_volume(self, instant: int) -> Decimal | None:
        """The volume of the last bar."""
        row = self.seek(instant)
        return None if row == 0 or not self.spec.has_bars else self._columns[3].decimal(row - 1)

    def span(self, instant: int, until: int) -> tuple[Decimal, Decimal] | None:
        """(lowest low, highest high) of the bars that become visible after `instant` and up to `until`, and perhaps of more; None where
        there is none. Several bars are looked at together, once."""
        since, end, found = self._span
        if not (since <= instant and until <= end):
            first = self.seek(instant)  # the row after the one in force, counted from 0
            stop = min(max(bisect_right(self._edges, until) - 1, first + _CALM), self.rows)
            high, low = self._columns[0], self._columns[1]
            found = (low.extreme(min, first, stop), high.extreme(max, first, stop)) if first < stop else None
            self._span = instant, self._edges[stop + 1] - 1, found
        return found

    def feed(self) -> SeriesFeed | None:
        """A reader of the closes as integers; None where a column does not fit in integers."""
        if self._feed is None:
            scale = None if self._single is None else self._single.scale
            if scale is None:
                return None
            self._feed = SeriesFeed(self, scale)
        return self._feed

    def _whole_row(self, row: int) -> LendingRow | GasRow | StateRow:
        if self.kind in STATES:
            return StateRow(self._edges[row], self._texts(row))
        values = [column.decimal(row - 1) for column in self._columns]
        return GasRow(*values) if self.kind == "gas" else LendingRow(self._edges[row], *values)

    def scaled(self, instant: int) -> ScaledRow | None:
        """The row in force at `instant` as integers; None before the first row, and where a column does not fit in integers.

        Raises:
            MissingData: DAT-002, the row is older than `max_staleness`.
        """
        row = self.seek(instant)
        known, found = self._scaled
        if known != row:
            if self._scales is None:
                scales = [column.scale for column in self._columns]
                self._scales = () if None in scales else tuple(scale for scale in scales if scale is not None)
            found = None
            if row and self._scales:
                place = row - 1
                found = ScaledRow(self._edges[row], [column.values[place] for column in self._columns], self._scales)
            self._scaled = row, found
        if found is not None and instant - found.stamp > self.max_staleness_us:
            self._require_young(row, instant, for_trade=False)
        return found

    def _texts(self, row: int) -> dict[str, str]:
        return {kept.name: column.text(row - 1) for kept, column in zip(self._kept, self._columns, strict=True)}

    def all_texts(self) -> list[tuple[int, dict[str, str]]]:
        """Each row: its stamp and its columns as they are written, by stamp and then by columns."""
        rows = ((self._edges[row] - self.interval_us, self._texts(row)) for row in range(1, self.rows + 1))
        return sorted(rows, key=lambda row: (row[0], *row[1].values()))

    def texts(self, instant: int) -> dict[str, str] | None:
        """The columns of a state at `instant`; None where nothing is visible or what is, is too old."""
        row = self.seek(instant)
        return None if row == 0 or self.is_too_old(instant) else self._texts(row)

    def floats(self, instant: int) -> tuple[float, ...] | None:
        """The kept columns at `instant`; None where nothing is visible or what is, is too old."""
        row = self.seek(instant)
        if row == 0 or self.is_too_old(instant):
            return None
        return tuple(column.float(row - 1) for column in self._columns)

    def low_and_high(self, instant: int) -> tuple[Decimal, Decimal] | None:
        """(low, high) of the bar in force at `instant`; None before the first. Too old a bar is refused as `read` does."""
        if self.read(instant) is None:
            return None
        row = self.seek(instant)
        high, low = self._columns[0], self._columns[1]
        return low.decimal(row - 1), high.decimal(row - 1)

    def visible_since(self, instant: int) -> int | None:
        """When the row in force at `instant` became visible."""
        row = self.seek(instant)
        return self._edges[row] if row else None

    def visible_next(self, instant: int) -> int | None:
        """When the row after the one in force at `instant` becomes visible."""
        edges, row = self._edges, self._cursor
        if not edges[row] <= instant < edges[row + 1]:
            row = self.seek(instant)
        return edges[row + 1] if row < self.rows else None

    def stale_spans(self, since: int, until: int) -> list[tuple[int, int]]:
        """(from, until before) of each time within the two at which the last bar is older than the interval of the series."""
        return self._spans_older(self.interval_us, since, until)

    def unusable_spans(self, since: int, until: int) -> list[tuple[int, int]]:
        """(from, until before) of each time within the two at which the last row is older than `max_staleness`, so that `read` refuses."""
        return self._spans_older(self.max_staleness_us + 1, since, until)

    def _spans_older(self, age_us: int, since: int, until: int) -> list[tuple[int, int]]:
        """What lasts beyond `until` ends a second after it, so that `until` itself is within."""
        edges = self._edges
        found = []
        rows = range(max(self.seek(since), 1), self.seek(until) + 1)
        for begin in range(rows.start, rows.stop, _CALM):
            stop = min(begin + _CALM, rows.stop)
            if edges[stop] - edges[begin] > age_us:  # else none of them lasts so long
                for row in range(begin, stop):
                    start, end = max(edges[row] + age_us, since), edges[row + 1]
                    if start < end and start <= until:
                        found.append((start, end if end <= until else until + SECOND_US))
        return found

    def rows_between(self, since: int, until: int) -> tuple[int, int]:
        """(first, stop), from 0, of the rows from the one in force at `since` up to `until`."""
        return max(self.seek(since) - 1, 0), self.seek(until)

    def columns_between(self, first: int, stop: int) -> Columns:
        """The rows from `first` and before `stop`, counted from 0, as the data checks take them: the columns kept that are numbers."""
        numbers = [(column, values) for column, values in zip(self._kept, self._columns, strict=True) if not column.is_text]
        stop = min(stop, self.rows)
        stamps = array("q", map((-self.interval_us).__add__, self._edges[first + 1 : stop + 1]))
        return Columns(self.spec, stamps, {column.name: values.figures(first, stop) for column, values in numbers})

    def sum_within(self, instant: int, window_us: int) -> tuple[Decimal, int] | None:
        """(sum of the rows that became visible within the window up to `instant`, the time in microseconds that they were paid for).

        None where no row did, or the rows do not cover the window yet.
        """
        last = self.seek(instant)
        first = max(bisect_right(self._edges, instant - window_us), 1)
        if self._single is None or last < first or last < 2:
            return None
        known_from = 2 * self._edges[1] - self._edges[2]  # the first row was paid for a time as long as the second's
        if known_from > instant - window_us:
            return None
        total = sum((self._single.decimal(row - 1) for row in range(first, last + 1)), Decimal(0))
        if first == 1:
            return total, self._edges[2] - self._edges[1] + time_paid_for(self._edges[1 : last + 1], 1)
        begin = max(first - NEIGHBOURS - 1, 1)
        return total, time_paid_for(self._edges[begin : last + 1], first - begin)

    def history(self, instant: int, window_us: int) -> History:
        """The rows that became visible within the window up to `instant`, as views of what is in memory."""
        if self._looked_back is None:
            assert self._single is not None
            values = self._single.as_floats()
            self._looked_back = memoryview(self._edges).toreadonly(), memoryview(values).toreadonly(), 1
        times, numbers, first = self._looked_back
        stop, since, edges = self.seek(instant) + 1, instant - window_us, self._edges
        if not edges[first - 1] <= since < edges[first]:
            first += 1
            if first >= len(edges) or not edges[first - 1] <= since < edges[first]:
                first = max(bisect_right(edges, since), 1)
            self._looked_back = times, numbers, first
        first = min(first, stop)
        before = (edges[first - 1], numbers[first - 2]) if first > 1 else None
        return History(times[first:stop], numbers[first - 1 : stop - 1], before, since, instant, self.kind == "funding")

    def next_missed(self, since: int) -> int | None:
        """The first instant from `since` on at which a row should have come and did not, by the rows around it."""
        if self._missed is None:
            end = self._edges[self.rows] + self.max_staleness_us if self.rows else 0
            self._missed = array("q", missed_payments(self._edges[1 : self.rows + 1], end))
        place = bisect_left(self._missed, since)
        return self._missed[place] if place < len(self._missed) else None

    def first_and_last(self) -> tuple[int, int] | None:
        """When the first and the last row become visible, those of a market that has stopped included; None where there is no row."""
        return self._ends

    def is_too_old(self, instant: int) -> bool:
        since = self.visible_since(instant)
        return since is not None and instant - since > self.max_staleness_us

    def _require_young(self, row: int, instant: int, for_trade: bool) -> None:
        age_us = instant - self._edges[row]
        if age_us > self.max_staleness_us:
            raise MissingData("DAT-002", f"{self._age(row, age_us, instant)}, older than the {render_duration(self.max_staleness_us)} "
                              "allowed; fill the gap or raise data.max_staleness")  # fmt: skip
        if for_trade and self.interval_us and age_us >= self.interval_us:
            raise StaleSeries("DAT-002", f"{self._age(row, age_us, instant)}, older than its interval of "
                              f"{render_duration(self.interval_us)}: it still values positions, but no trade is opened on it")  # fmt: skip

    def _age(self, row: int, age_us: int, instant: int) -> str:
        return (
            f"{self.id}: the last row visible at {iso(instant)} is the one stamped {iso(self._edges[row] - self.interval_us)}, "
            f"{render_duration(age_us)} old"
        )
