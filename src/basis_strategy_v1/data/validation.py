"""What is odd in a folder of series: every gap, duplicate, disorder, zero, outlier and malformed line, and no exception.

The rules for gaps and outliers are the tables below; docs/data.md explains them.
"""

from __future__ import annotations

from array import array
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.clock import DAY_US, SECOND_US, iso
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.market import DOLLAR_TOKENS, REDEEMED_BY, SAME_AS
from basis_strategy_v1.data.csv_file import require_regular
from basis_strategy_v1.data.layout import FOLDERS, POSITIVE, SeriesSpec, render_duration, spec_of
from basis_strategy_v1.data.rows import RowFault, parse_row, quoted
from basis_strategy_v1.data.sources import csv_files, series_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from basis_strategy_v1.data.series import Numbers, Series

# A step longer than this many of the series' own is a gap.
GAP_STEPS = Decimal("1.5")
# A price or index that is this far from both rows beside it is an outlier; at the ends, from the two that are nearest.
LARGEST_JUMP = {
    "bar": Decimal("0.20"),
    "dex": Decimal("0.03"),
    "staking": Decimal("0.02"),
    "lending": Decimal("0.02"),
    "oracle": Decimal("0.5"),
}
# A rate beyond this is an outlier: funding a payment, lending a year, gas in gwei.
LARGEST_RATE = {
    "funding_rate": Decimal("0.01"),
    "liquidity_rate": Decimal(2),
    "variable_borrow_rate": Decimal(2),
    "base_fee_gwei": Decimal(5000),
    "priority_fee_gwei": Decimal(5000),
}

_ROUNDING = 1e-9  # more than a product of two floats is out by

# As protocols write them; by what is left of them without capitals.
_TOKENS = {token.lower(): token for token in (*DOLLAR_TOKENS, *SAME_AS, *REDEEMED_BY)}


class Finding(NamedTuple):
    """One oddity. `kind` is gap, duplicate, disorder, zero, outlier, malformed or empty; `line` 0 is the file as a whole."""

    file: str
    line: int
    kind: str
    message: str


class _Row(NamedTuple):
    line: int
    stamp: int
    values: tuple[Any, ...]  # Decimals; texts of a state


def validate(directory: str | Path) -> list[Finding]:
    """Every finding of every CSV file in the folder, in the order of files and lines.

    Raises:
        ComponentError: DAT-006, there is no such folder.
    """
    folder = Path(directory)
    if not folder.is_dir():
        raise ComponentError("DAT-006", f"the data folder {shown(folder)} does not exist or is no folder")
    findings: list[Finding] = []
    paths = list(csv_files(folder))
    for path in paths:
        name = series_id(folder, path)
        spec = spec_of(name)
        if spec is None:
            findings.append(Finding(f"{name}.csv", 0, "malformed", "its name is not in the layout of docs/data.md, so it is not read"))
            continue
        if meant := _meant(spec):
            findings.append(Finding(f"{name}.csv", 0, "malformed", f"nothing finds it under this name: rename it to {meant}.csv"))
        findings.extend(sorted(_Check(path, spec).findings(), key=lambda finding: finding.line))
    if not paths:
        findings.append(Finding(".", 0, "empty", f"the folder holds no CSV file in {', '.join(FOLDERS)}"))
    return findings


def _meant(spec: SeriesSpec) -> str:
    """The id that readers look for, where this one differs from it in upper and lower case alone; empty where it does not."""
    folder, _, name = spec.id.rpartition("/")
    if spec.key.kind in ("spot", "perp", "funding"):
        name = name.replace(spec.key.name, spec.key.name.upper())
    elif spec.key.kind in ("lending", "staking", "dex"):
        name = "_".join(_TOKENS.get(token.lower(), token) for token in name.split("_"))
    meant = f"{folder.lower()}/{name}"
    return "" if meant == spec.id else meant


class _Check:
    """The findings of one file, read once, a row at a time."""

    def __init__(self, path: Path, spec: SeriesSpec) -> None:
        self._path = path
        self._spec = spec
        self._stamps, self._lines = array("q"), array("q")  # of the rows that come after all before them
        self._window: list[_Row] = []  # the last three rows
        self._is_beginning = True
        self._is_refused = False
        self._positive = [
            (place, column.name, _largest_jump(column.name, spec.key.kind, spec.interval_us))
            for place, column in enumerate(spec.columns)
            if column.allowed == POSITIVE
        ]
        self._last_update = next((place for place, column in enumerate(spec.columns) if column.name == "last_update"), None)
        self._rates = [(place, LARGEST_RATE[column.name]) for place, column in enumerate(spec.columns) if column.name in LARGEST_RATE]

    def findings(self) -> Iterator[Finding]:
        try:
            require_regular(self._path)
            with self._path.open(encoding="utf-8", errors="backslashreplace", newline="\n") as file:
                yield from self._header(file.readline())
                if not self._is_refused:
                    yield from self._rows(file)
        except OSError as error:
            yield self._found(0, "malformed", f"it cannot be read: {error.strerror}")

    def _header(self, line: str) -> Iterator[Finding]:
        self._is_refused = line.rstrip("\r\n") != self._spec.header
        if not line:
            yield self._found(0, "empty", f"it has no byte; expected the header {self._spec.header}")
        elif self._is_refused:
            yield self._found(1, "malformed", f"the header is {quoted(line.rstrip())}; expected {self._spec.header}")

    def _rows(self, lines: Iterable[str]) -> Iterator[Finding]:
        number = 1
        for number, line in enumerate(lines, 2):
            try:
                row = _Row(number, *parse_row(line, self._spec))
            except RowFault as fault:
                yield self._found(number, fault.kind, str(fault))
                continue
            yield from self._order(row)
            yield from self._outliers(row)
            yield from self._later_than_itself(row)
        if number == 1:
            yield self._found(1, "empty", "it has a header and no row")
        yield from self._jumps_at_the_end()
        yield from self._gaps()

    def _order(self, row: _Row) -> Iterator[Finding]:
        if not self._stamps or row.stamp > self._stamps[-1]:
            self._stamps.append(row.stamp)
            self._lines.append(row.line)
            return
        last, line = iso(self._stamps[-1]), self._lines[-1]
        if row.stamp == self._stamps[-1]:
            yield self._found(row.line, "duplicate", f"{last} is there already, in line {line}")
        else:
            yield self._found(row.line, "disorder", f"{iso(row.stamp)} comes after {last} of line {line}")

    def _gaps(self) -> Iterator[Finding]:
        usual_us = self._step_us()
        for before, after, line in zip(self._stamps, self._stamps[1:], self._lines[1:], strict=False):
            if after - before > usual_us * GAP_STEPS:
                missing = -(-(after - before) // usual_us) - 1
                yield self._found(line, "gap", f"{missing} row{'s'[: missing > 1]} missing after {iso(before)}: the next is {iso(after)}, "
                                  f"{render_duration(after - before)} later instead of {render_duration(usual_us)}")  # fmt: skip

    def _step_us(self) -> int:
        """The interval of the series; where it has none, its most frequent step."""
        steps = Counter(after - before for before, after in zip(self._stamps, self._stamps[1:], strict=False))
        return self._spec.interval_us or (steps.most_common(1)[0][0] if steps else DAY_US)

    def _outliers(self, row: _Row) -> Iterator[Finding]:
        yield from self._jumps(row)
        for place, limit in self._rates:
            if abs(row.values[place]) > limit:
                yield self._found(row.line, "outlier", _beyond(self._spec.columns[place].name, row.values[place], limit))

    def _later_than_itself(self, row: _Row) -> Iterator[Finding]:
        """Whether a market says that it was last touched (seconds since 1970) after the row's own time."""
        if self._last_update is None:
            return
        last_update_s, stamp_s = int(row.values[self._last_update]), row.stamp // SECOND_US
        if last_update_s > stamp_s:
            message = f"column last_update: {last_update_s} is after the row's own time, {stamp_s}; correct the row, or leave it out"
            yield self._found(row.line, "malformed", message)

    def _jumps(self, row: _Row) -> Iterator[Finding]:
        """Whether the row before this one leaves the two beside it and comes back; at the beginning also the first row."""
        self._window = [*self._window[-2:], row]
        if len(self._window) == 3:
            before, middle, after = self._window
            if self._is_beginning:
                self._is_beginning = False
                yield from self._jump(before, middle, after)
            yield from self._jump(middle, before, after)

    def _jumps_at_the_end(self) -> Iterator[Finding]:
        if len(self._window) > 1:
            *others, last = self._window
            yield from self._jump(last, *others)
        if len(self._window) == 2:
            yield from self._jump(*self._window)

    def _jump(self, row: _Row, *near: _Row) -> Iterator[Finding]:
        for place, name, limit in self._positive:
            value = row.values[place]
            if all(abs(value - one.values[place]) > limit * one.values[place] for one in near):
                yield self._found(row.line, "outlier", _away(name, value, limit, *(one.values[place] for one in near)))

    def _found(self, line: int, kind: str, message: str) -> Finding:
        return Finding(f"{self._spec.id}.csv", line, kind, message)


def outliers_between(series: Series, since: int, until: int) -> list[tuple[int, str]]:
    """(stamp, what is odd) of the outliers among a loaded series' rows that are in force from `since` to `until`, in order of time.

    The rules are those of a file, for the columns that readers keep; a price is held against the two nearest rows where one beside it
    is missing or out of reach.
    """
    first, stop = series.rows_around(since, until)
    found: list[tuple[int, str]] = []
    for column, numbers in series.numbers():
        name = column.name
        if column.allowed == POSITIVE:
            found.extend(_jumps_in(name, numbers, first, stop, float(_largest_jump(name, series.kind, series.interval_us))))
        if name in LARGEST_RATE:
            limit, bound = LARGEST_RATE[name], float(LARGEST_RATE[name])
            values = enumerate(numbers.floats(first, stop), first)
            found.extend((row, _beyond(name, f"{value:.10g}", limit)) for row, value in values if abs(value) > bound)
    times = series.edges()  # row k, from 0, becomes visible at times[k + 1]
    return [
        (times[row + 1] - series.interval_us, message)
        for row, message in sorted(found, key=lambda pair: pair[0])
        if since < (times[row + 2] if row + 1 < stop else until + 1) and times[row + 1] <= until
    ]


def _jumps_in(name: str, numbers: Numbers, first: int, stop: int, limit: float) -> Iterator[tuple[int, str]]:
    """(row, what is odd) of the numbers, all above 0, that are away from both beside them; at the ends, from the two nearest."""
    last = stop - 1
    steps = numbers.steps(first, stop, (1 + limit) * (1 - _ROUNDING))
    for row in sorted({row for step in steps for row in (step, step + 1)}):
        beside = (first + 1, first + 2) if row == first else (last - 2, last - 1) if row == last else (row - 1, row + 1)
        value, near = numbers.float(row), [numbers.float(one) for one in beside if first <= one <= last]
        if all(abs(value - one) > limit * one for one in near):
            yield row, _away(name, f"{value:.10g}", Decimal(repr(limit)), *(f"{one:.10g}" for one in near))


def _largest_jump(column: str, kind: str, interval_us: int) -> Decimal:
    if column == "oracle_price_usd" or interval_us == DAY_US:
        return LARGEST_JUMP["oracle"]
    return LARGEST_JUMP.get(kind, LARGEST_JUMP["bar"])


def _away(column: str, value: object, limit: Decimal, *near: object) -> str:
    return f"column {column}: {value} is more than {limit:.0%} away from the rows beside it, {' and '.join(map(str, near))}"


def _beyond(column: str, value: object, limit: Decimal) -> str:
    return f"column {column}: {value} is beyond {limit}"
