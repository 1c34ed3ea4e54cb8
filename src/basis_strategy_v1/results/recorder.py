"""The results of a run, step by step, and the files that they are written to."""

from __future__ import annotations

import os
from array import array
from contextlib import contextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.amounts import plain, shown
from basis_strategy_v1.core.attribution_sources import SOURCES
from basis_strategy_v1.core.clock import iso, iso_each
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.monitoring.folder_lock import FolderLock
from basis_strategy_v1.results.attribution import PERPS, RESIDUAL, units_text

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping, Sequence
    from io import TextIOWrapper

    from basis_strategy_v1.monitoring.event_logger import EventLogger

NOTHING = -(10**60)  # less than any equity
OWN_FOLDERS = "give each run folders of its own with --results and --logs"
MOVING = (RESIDUAL, PERPS)  # the columns that change at every step; the others change now and then


class EquityCurve:
    """Equity and attribution at every step, in units of 1e-12: 32 bytes for a step on which nothing but prices moved."""

    def __init__(self) -> None:
        self.instants = array("q")
        self._columns: tuple[Any, ...] = (array("q"), array("q"), array("q"))  # equity, spot_price, perp_price
        self._adders: tuple[Callable[[list[int]], None], ...] = tuple([column.fromlist for column in self._columns])
        self._changes: list[tuple[int, dict[str, int]]] = []
        self._initial = 0
        self._peak = NOTHING
        self._trough_ratio = (0, 1)
        self._deepest = NOTHING  # the lowest equity below the present peak that is no deeper fall than the deepest so far

    def open(self, initial_equity: int) -> None:
        """Begin with the equity before the first trade: the first peak, though no step, so that what it costs to enter is a fall."""
        self._initial = initial_equity
        self._look_for_extremes([initial_equity])

    def add(self, instant: int, marked: tuple[int, int, int], recorded: Mapping[str, int] | None) -> None:
        """Record a step; `recorded` where something other than prices has changed."""
        if recorded is not None:
            self._changes.append((len(self.instants), dict(recorded)))
        length = self._whole_steps()
        try:
            for column, value in zip(self._columns, marked, strict=True):
                column.append(value)
        except OverflowError:
            self._widen(length, tuple([[value] for value in marked]))
        self.instants.append(instant)
        if not self._deepest <= marked[0] <= self._peak:
            self._look_for_extremes([marked[0]])

    def last(self) -> tuple[int, int, int]:
        """What was recorded of the newest step: equity, and what token and perp prices did."""
        equity, spot, perp = (column[len(self.instants) - 1] for column in self._columns)
        return equity, spot, perp

    def add_all(self, instants: array[int], marked: tuple[list[int], ...]) -> None:
        """Record steps that follow each other: their equities, and what token and perp prices did up to each."""
        length = self._whole_steps()
        try:
            for add, values in zip(self._adders, marked, strict=True):
                add(values)
        except OverflowError:
            self._widen(length, marked)
        self.instants.extend(instants)
        if max(marked[0]) > self._peak or min(marked[0]) < self._deepest:
            self._look_for_extremes(marked[0])

    def _look_for_extremes(self, equities: list[int]) -> None:
        for equity in equities:
            if equity > self._peak:
                self._peak = equity
                fallen, of = self._trough_ratio
                self._deepest = -(-equity * (of - fallen) // of) if equity > 0 else NOTHING
            elif equity < self._deepest:
                self._trough_ratio = (self._peak - equity, self._peak)
                self._deepest = equity

    def _whole_steps(self) -> int:
        """How many steps are recorded: a step counts once its instant is there. What an interruption left of another one is dropped."""
        length = len(self.instants)
        for column in self._columns:
            if len(column) > length:
                del column[length:]
        return length

    def _widen(self, length: int, marked: tuple[list[int], ...]) -> None:
        """Go on with plain integers, where an equity is beyond 9.2 million."""
        wide = [[*column[:length], *values] for column, values in zip(self._columns, marked, strict=True)]
        self._columns = tuple(wide)
        self._adders = tuple([column.extend for column in wide])

    @property
    def max_drawdown(self) -> Decimal:
        """The deepest fall from a peak, a fraction of the peak; the first peak is the initial equity."""
        fallen, of = self._trough_ratio
        return Decimal(fallen) / Decimal(of)

    def max_drawdown_without(self, stale: Sequence[int]) -> Decimal:
        """The same over the steps that are not stale: those with a 0."""
        if not any(stale):
            return self.max_drawdown
        fallen, of, peak = 0, 1, max(self._initial, 0)
        for equity, is_stale in zip(self._columns[0], stale, strict=True):
            if is_stale:
                continue
            peak = max(peak, equity)
            if peak > 0 and (peak - equity) * of > fallen * peak:
                fallen, of = peak - equity, peak
        return Decimal(fallen) / Decimal(of)

    @property
    def equities(self) -> Sequence[int]:
        """The equity of each step, in units of 1e-12."""
        found: Sequence[int] = self._columns[0]
        return found

    def steps(self, instants: Container[int]) -> Iterator[tuple[int, tuple[int, ...], Mapping[str, int]]]:
        """Of the steps at some instants: what was marked, and what has been recorded of the sources up to then."""
        changes, recorded = dict(self._changes), dict[str, int]()
        for index, (instant, *marked) in enumerate(zip(self.instants, *self._columns, strict=False)):
            recorded = changes.get(index, recorded)
            if instant in instants:
                yield instant, tuple(marked), recorded

    def rows(self, stale: Sequence[int]) -> Iterator[str]:
        """The lines of equity.csv; `stale` has 1 for each step at which a price was older than its interval, else 0."""
        changes = dict(self._changes)
        middle = ""
        # Not strict: an interrupted run may have begun to add a step; its instant comes last.
        for index, (stamp, equity, spot, perp) in enumerate(zip(iso_each(self.instants), *self._columns, strict=False)):
            if index in changes:
                middle = ",".join([units_text(changes[index][source]) for source in _recorded()])
            yield f"{stamp},{units_text(equity)},{units_text(spot)},{units_text(perp)},{middle},{stale[index]}\n"


class PositionRows:
    """The rows of positions.csv: every position at each step with a change, and once a day."""

    def __init__(self) -> None:
        self._rows: list[tuple[int, Mapping[str, Mapping[str, Decimal]]]] = []

    @property
    def held(self) -> Sequence[tuple[int, Mapping[str, Mapping[str, Decimal]]]]:
        """(instant, positions) of each of them, rising."""
        return self._rows

    def add(self, instant: int, positions: Mapping[str, Mapping[str, Decimal]]) -> None:
        """Keep the positions of a step; the mapping is not changed by anyone afterwards."""
        self._rows.append((instant, positions))

    def rows(self) -> Iterator[str]:
        for instant, held in self._rows:
            stamp = iso(instant)
            for venue, tokens in held.items():
                for token, amount in tokens.items():
                    yield f"{stamp},{venue},{token},{plain(amount)}\n"


# All that a run writes into its folder, in the order in which an earlier run's are removed: without its summary a folder is no
# finished run's, whatever else is still there. Files of other names are their owner's.
RUN_FILES = (
    "summary.json", "report.html", "equity.csv", "positions.csv", "trades.csv", "risk.csv", "events.csv", "expected.csv",
    "config.yaml", "timing.json",
)  # fmt: skip

UNFINISHED_EXPORT = "events.csv.*.partial"


class RunFolder:
    """RESULTS/<run_id>/. Each file is written under another name and then moved to its own, so that none is ever half there.

    `goes_on`: the run goes on with its own record, so that what it wrote before is a part of what it writes now, and is replaced.
    Until `close` no other process can write the results of the same config there. `path` is absolute, whatever becomes of the working
    directory; messages name the folder as it was given.

    Raises:
        ComponentError: RES-001, the folder cannot be written, or another process is writing there; the message says which and why.
    """

    def __init__(self, results: Path, run_id: str, *, goes_on: bool = False) -> None:
        self._given = results
        self._goes_on = goes_on
        self.path = results.absolute() / run_id
        with self._writing():
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = FolderLock(results / run_id, self.path.with_name(f".{run_id}.lock"), "RES-001", OWN_FOLDERS)
            self._try_to_write()

    def begin(self, *, finished: bool, summary: str = "") -> Path | None:
        """Make room for a run's files, and give where results of the same config went that came out otherwise (over other data).

        A run that did not come to its end leaves the results of one that did, and goes into a folder of its own.
        """
        earlier, kept = self.path / "summary.json", None
        if not finished and earlier.is_file():
            self.path = self.path.with_name(f"{self.path.name}.unfinished")
        with self._writing():
            is_there = finished and not self._goes_on and earlier.is_file()
            is_same = is_there and earlier.read_bytes() == summary.encode("utf-8", "backslashreplace")
            if is_there and not is_same:
                kept = self._set_aside()
            self.path.mkdir(parents=True, exist_ok=True)
            # The page of the same results stays: this run may not be asked for one.
            written = [self.path / name for name in RUN_FILES if not (is_same and name == "report.html")]
            for stale in (*written, *map(_part, written), *self.path.glob(UNFINISHED_EXPORT)):
                if not stale.is_dir():
                    stale.unlink(missing_ok=True)
        return kept

    def close(self) -> None:
        """Let other runs write there. A second call does nothing."""
        self._lock.release()

    def _try_to_write(self) -> None:
        probe = self.path / ".probe"
        try:
            with _new(probe):
                pass
            probe.unlink()
        except BaseException:
            self.close()
            raise

    def _set_aside(self) -> Path:
        number = 1
        while (kept := self.path.with_name(f"{self.path.name}.earlier-{number}")).exists():
            number += 1
        return self.path.rename(kept)

    def write(self, name: str, text: str) -> Path:
        with self._open(name) as file:
            file.write(text)
        return self.path / name

    def write_rows(self, name: str, header: str, rows: Iterator[str]) -> Path:
        with self._open(name) as file:
            file.write(header + "\n")
            file.writelines(rows)
        return self.path / name

    def write_events(self, logger: EventLogger) -> Path:
        """Write all events of a log."""
        logger.export_csv(self.path / "events.csv")
        return self.path / "events.csv"

    @contextmanager
    def _open(self, name: str) -> Iterator[TextIOWrapper]:
        assert name in RUN_FILES
        path = self.path / name
        part = _part(path)
        with self._writing(name):
            try:
                with _new(part) as file:
                    yield file
                os.replace(part, path)
            except BaseException:
                with suppress(OSError):
                    part.unlink()
                raise

    @contextmanager
    def _writing(self, name: str = "") -> Iterator[None]:
        try:
            yield
        except OSError as fault:
            place = shown(self._given / self.path.name / name)
            raise ComponentError("RES-001", f"{place} cannot be written: {fault.strerror}; choose another folder with --results") from fault


def _part(path: Path) -> Path:
    """Where a file is written before it is whole."""
    return path.with_name(f".{path.name}.part")


def _new(path: Path) -> TextIOWrapper:
    """A new file. What is there is removed: a link is not followed, and nobody's open file is written into."""
    path.unlink(missing_ok=True)
    return path.open("x", encoding="utf-8", errors="backslashreplace", newline="\n")


POSITIONS_HEADER = "timestamp,venue,token,amount"


def equity_header() -> str:
    """The first line of equity.csv."""
    return ",".join(["timestamp", "equity", *MOVING, *_recorded(), "stale"])


def _recorded() -> list[str]:
    """The sources that are recorded when something happens, in the order of their table."""
    return [source for source in SOURCES if source not in MOVING]


def plain_json(value: Any) -> str:
    """JSON with sorted nothing and an end of line: the order is the program's own."""
    import json

    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
