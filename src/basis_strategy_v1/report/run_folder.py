"""The folder of a run, read: only what the page shows of it is kept in memory."""

from __future__ import annotations

import csv
import re
from array import array
from collections import Counter
from contextlib import contextmanager
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.text import printable
from basis_strategy_v1.report.summary import StaleMark, Summary, parse_summary
from basis_strategy_v1.report.thinning import drawdowns, thin

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MOST_ENTRIES = 2_000
MOST_TRADES = 20_000  # on the page; the file has all
STALE = "stale"  # the last column of equity.csv
# As PyYAML writes it into a run's config.yaml.
_STRATEGY_FILE = re.compile(r"^strategy:\n(?:  .*\n)*?  file: (.+)$", re.MULTILINE)
_ENTRY_TYPES = ("execution", "settlement")
# The digits of a JSON number stay text: what is shown is what was written.
_data_of = msgspec.json.Decoder(float_hook=str).decode


class Curve(NamedTuple):
    """The points of `equity.csv` that are drawn. `sources`: source -> cumulative amounts; `rows`: how many steps the file has;
    `stale`: at how many of them a price was older than its interval: they do not count, and every line stays there as it was."""

    times: list[str]
    equity: list[float]
    drawdown: list[float]
    sources: dict[str, list[float]]
    rows: int
    stale: int = 0


class PositionSeries(NamedTuple):
    """One position over time, at the points that are drawn; 0 where the file does not list it."""

    venue: str
    token: str
    times: list[str]
    amounts: list[float]


class ExecutionRow(NamedTuple):
    """An execution or a settlement."""

    timestamp: str
    data: dict[str, Any]


class PaymentRow(NamedTuple):
    timestamp: str
    venue: str
    token: str
    amount: Decimal


class Events(NamedTuple):
    """`entries`: event type -> the first of them; `counts`: event type -> how many the file has; `settled`: kind -> how many;
    `funding`: each payment of something; `settled_at_nothing`: kind -> how many of them moved nothing, such as a funding at a rate of 0."""

    entries: dict[str, list[ExecutionRow]]
    counts: Counter[str]
    settled: Counter[str]
    funding: list[PaymentRow]
    settled_at_nothing: Counter[str]


class TradeRows(NamedTuple):
    """The columns of trades.csv and its first rows as text; `fills` is how many rows the file has."""

    columns: list[str]
    rows: list[list[str]]
    fills: int


NO_TRADES = TradeRows([], [], 0)


class ReportedRun(NamedTuple):
    summary: Summary
    config: str
    curve: Curve
    holdings: list[PositionSeries]
    events: Events

    @property
    def strategy_file(self) -> str:
        """The name of the user's own file of blocks or code; empty where the config names none."""
        found = _STRATEGY_FILE.search(self.config)
        return "" if found is None else found[1].strip("'\"").replace("\\", "/").rpartition("/")[2]


def read_run(directory: Path) -> ReportedRun:
    """Everything the page is built from. A file that the run did not write is as good as empty, but for `summary.json`.

    Raises:
        ComponentError: RES-001, with the file and what is wrong with it.
    """
    summary = parse_summary(read_run_summary(directory))
    return ReportedRun(
        summary,
        _text(directory / "config.yaml"),
        read_curve(directory / "equity.csv", float(summary.initial_equity), summary.stale_marks),
        read_holdings(directory / "positions.csv"),
        read_events(directory / "events.csv"),
    )


def read_trades(path: Path) -> TradeRows:
    """The fills of a run; none where it wrote no trades.csv. A column of nothing but empty cells is left out."""
    if not path.is_file():
        return NO_TRADES
    with _named(path), path.open(encoding="utf-8", newline="") as lines:
        rows = csv.reader(lines)
        columns = next(rows, [])
        kept = [row for row in islice(rows, MOST_TRADES) if len(row) == len(columns)]
        count = len(kept) + sum(1 for _ in rows)
    places = [place for place in range(len(columns)) if any(row[place] for row in kept)]
    return TradeRows([columns[place] for place in places], [[row[place] for place in places] for row in kept], count)


def read_run_summary(directory: Path) -> dict[str, Any]:
    """`summary.json` as it is.

    Raises:
        ComponentError: RES-001: the folder has none, or it is not JSON.
    """
    path = directory / "summary.json"
    if not path.is_file():
        raise ComponentError("RES-001", f"{shown(directory)} holds no summary.json; give the folder of a finished run", "Report")
    with _named(path):
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])


def read_curve(path: Path, initial_equity: float, stale_marks: Sequence[StaleMark] = ()) -> Curve:
    """The curve of a run. No row is from before the first trade, so the first peak is given."""
    if not path.is_file():
        return Curve([], [], [], {}, 0)
    with _named(path):
        with path.open(encoding="utf-8") as lines:
            names = next(lines, "").rstrip("\n").split(",")
            equity = array("d", (float(line.split(",", 2)[1]) for line in lines if line.endswith("\n")))
        stale = _stale_steps(path, stale_marks, has_column=names[-1] == STALE)
        depth = array("d", drawdowns(equity, stale, initial_equity))
        kept = thin(depth)
        width = len(names) - (names[-1] == STALE)
        times, columns = _picked(path, kept, width, stale)
    sources = dict(zip(names[2:width], columns[1:], strict=False))
    return Curve(times, columns[0] if columns else [], [depth[index] for index in kept], sources, len(equity), len(stale))


def _stale_steps(path: Path, marks: Sequence[StaleMark], *, has_column: bool) -> frozenset[int]:
    """The indices of the steps on stale prices: as the last column says, else those within the marks. Without the Z, text order is time
    order."""
    spans = [(mark.start.rstrip("Z"), mark.end.rstrip("Z")) for mark in marks]
    if not has_column and not spans:
        return frozenset()
    with path.open(encoding="utf-8") as lines:
        next(lines, "")
        whole = (line for line in lines if line.endswith("\n"))
        if has_column:
            return frozenset(index for index, line in enumerate(whole) if line.endswith(",1\n"))
        stamps = (line.split(",", 1)[0].rstrip("Z") for line in whole)
        return frozenset(index for index, stamp in enumerate(stamps) if any(start <= stamp < end for start, end in spans))


def _picked(path: Path, kept: list[int], width: int, stale: frozenset[int]) -> tuple[list[str], list[list[float]]]:
    """The timestamps and the columns of numbers of the rows at `kept`; a stale one has the numbers of the last that is not."""
    wanted, times, rows, fresh = frozenset(kept), list[str](), list[list[str]](), ""
    with path.open(encoding="utf-8") as lines:
        next(lines, "")
        for index, line in enumerate(lines):
            if index not in stale:
                fresh = line
            if index in wanted:
                times.append(moment(line.split(",", 1)[0]))
                rows.append((fresh or line).rstrip("\n").split(","))
    return times, [[float(row[column]) for row in rows] for column in range(1, width)]


def read_holdings(path: Path) -> list[PositionSeries]:
    if not path.is_file():
        return []
    times: list[str] = []
    found: dict[tuple[str, str], tuple[array[int], array[float]]] = {}
    with _named(path), path.open(encoding="utf-8", newline="") as lines:
        rows = csv.reader(lines)
        next(rows, None)
        for timestamp, venue, token, amount in _whole(rows, 4):
            if not times or times[-1] != timestamp:
                times.append(timestamp)
            if (venue, token) not in found:
                found[venue, token] = array("L"), array("d")
            indices, amounts = found[venue, token]
            indices.append(len(times) - 1)
            amounts.append(float(amount))
    return [_holding(venue, token, times, *found[venue, token]) for venue, token in sorted(found)]


def _holding(venue: str, token: str, times: list[str], indices: array[int], amounts: array[float]) -> PositionSeries:
    full = array("d", bytes(8 * len(times)))
    for index, amount in zip(indices, amounts, strict=True):
        full[index] = amount
    kept = thin(full)
    return PositionSeries(venue, token, [moment(times[index]) for index in kept], [full[index] for index in kept])


def read_events(path: Path) -> Events:
    events = Events({kind: [] for kind in _ENTRY_TYPES}, Counter(), Counter(), [], Counter())
    if not path.is_file():
        return events
    csv.field_size_limit(2**31 - 1)  # the steps of a long chain are one field
    with _named(path), path.open(encoding="utf-8", newline="") as lines:
        rows = csv.reader(lines)
        names = next(rows, [])
        if not names:
            return events
        when, what, how = (names.index(name) for name in ("timestamp", "event_type", "data"))
        for row in _whole(rows, len(names)):
            events.counts[row[what]] += 1
            if row[what] in _ENTRY_TYPES:
                _note(events, row[what], row[when], row[how])
    return events


def _note(events: Events, event_type: str, timestamp: str, text: str) -> None:
    """Keep of an execution or a settlement what the page shows."""
    kept = events.entries[event_type]
    if event_type == "execution" and len(kept) >= MOST_ENTRIES:
        return
    found = _data_of(text)
    entry = ExecutionRow(moment(timestamp), found if isinstance(found, dict) else {"data": found})
    if len(kept) < MOST_ENTRIES:
        kept.append(entry)
    if event_type == "settlement":
        kind, moved = str(entry.data.get("kind", "other")), deltas_of(entry.data)
        events.settled[kind] += 1
        events.settled_at_nothing[kind] += not moved
        if kind == "funding":
            events.funding.extend(PaymentRow(entry.timestamp, *change) for change in moved)


def deltas_of(data: dict[str, Any]) -> list[tuple[str, str, Decimal]]:
    """(venue, token, amount) of an event's deltas."""
    found = data.get("deltas")
    venues = found.items() if isinstance(found, dict) else ()
    return [(venue, token, Decimal(str(amount))) for venue, tokens in venues for token, amount in tokens.items()]


def moment(timestamp: str) -> str:
    """`2024-06-01T08:00:00Z` -> `2024-06-01 08:00:00`; the page says once that times are UTC. Another form stays as it is."""
    bare = timestamp.removesuffix("Z").removesuffix("+00:00")
    return bare.replace("T", " ", 1) if bare != timestamp else timestamp


def _whole(rows: Iterator[list[str]], width: int) -> Iterator[list[str]]:
    """Without a last row that an interrupted run left half written."""
    for row in rows:
        if len(row) == width:
            yield row
        elif next(rows, None) is not None:
            raise ValueError(f"a row has {len(row)} fields, not {width}: {','.join(row)[:60]!r}")


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """A file that cannot be read becomes one line that names it."""
    try:
        yield
    except (OSError, ValueError, IndexError, ArithmeticError, AttributeError, msgspec.MsgspecError, csv.Error) as wrong:
        raise ComponentError(
            "RES-001", f"{shown(path)} cannot be read: {printable(str(wrong))}; run the backtest again", "Report"
        ) from wrong


def _text(path: Path) -> str:
    with _named(path):
        return path.read_text(encoding="utf-8") if path.is_file() else ""
