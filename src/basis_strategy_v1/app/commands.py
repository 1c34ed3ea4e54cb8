"""The output of the commands other than `backtest`, as lines of text."""

from __future__ import annotations

import csv
import os
import tempfile
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from basis_strategy_v1.app import open_data, strategy_of
from basis_strategy_v1.app.checks import data_line, gap_lines, needs_are_known, require_runnable
from basis_strategy_v1.app.data_checks import WARNING, block_warnings, data_warnings, load_traded
from basis_strategy_v1.app.initial_positions import initial_positions_of
from basis_strategy_v1.app.input_checks import small_bps
from basis_strategy_v1.app.period import load_with_period
from basis_strategy_v1.app.portfolio import runs_of
from basis_strategy_v1.config import load_config
from basis_strategy_v1.core.amounts import counted, plain, shown
from basis_strategy_v1.core.clock import DAY_US, SimulatedClock, from_instant, iso, to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.text import printable
from basis_strategy_v1.engine import steps_of
from basis_strategy_v1.execution.execution_interface_manager import ExecutionInterfaceManager
from basis_strategy_v1.monitoring.event_line import EVENT_TYPES
from basis_strategy_v1.monitoring.event_logger import EventLogger
from basis_strategy_v1.monitoring.event_reader import COLUMNS, event_files, export_csv, read_events
from basis_strategy_v1.positions.position_update_handler import PositionUpdateHandler
from basis_strategy_v1.strategies.user_blocks import at_lines, numbered_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from basis_strategy_v1.config import Config
    from basis_strategy_v1.core.execution_report import ExecutionReport
    from basis_strategy_v1.execution.pretrade_check import Problem
    from basis_strategy_v1.strategies.strategy import Block

    NumberedBlock = tuple[int, int, Block]

MONTH_US = 30 * DAY_US
LONGEST_FIELD = 2**31 - 1  # the steps of a long chain are one field


def check_run(config: Path, *, data: Path | None = None) -> Iterator[str]:
    """The lines of `basis check`.

    Raises:
        ComponentError: CFG-001 with all faults of the config; then STR-001; then DAT-… with all series that lack or cannot be read,
            and all that cannot be held at the start or has no price then; then all gaps in the data that are certain to end the run.
    """
    settings = load_with_period(config, lambda settings: open_data(settings, data), strategy_of)
    strategy = strategy_of(settings)
    steps = f", {counted(sum(map(len, steps_of(settings, strategy))), 'step')}" if settings.start and settings.end else ""
    yield f"config: {settings.strategy_mode}, hash {settings.hash[:12]}{steps}"
    if data is None and settings.data.directory is None and settings.data.database is None:
        yield "data: none named; give --data to check what the run needs"
        return
    provider, runs = open_data(settings, data), runs_of(settings, strategy)
    for own, its_strategy in runs:
        require_runnable(own, its_strategy, provider)
    yield data_line(settings, strategy, provider)
    load_traded(settings, getattr(strategy, "blocks", ()), provider)
    yield from gap_lines(settings, provider)
    warnings = 0
    for line in dict.fromkeys(line for own, its in runs for line in (*small_bps(own), *data_warnings(own, its, provider))):
        warnings += line.startswith(WARNING)
        yield line
    ready = "ready" if all(needs_are_known(own, its) for own, its in runs) else "ready, as far as is known"
    yield f"{ready}, with {counted(warnings, 'warning')}" if warnings else ready


def run_blocks(
    blocks: Path,
    config: Path,
    *,
    data: Path | None,
    logs: Path,
    at: str | None,
    preflight: bool,
    warn: Callable[[str], None] | None = None,
) -> Iterator[str]:
    """The lines of `basis execute`: a JSON object for each block, in order of time. `warn` is called with a line for each series and kind
    of issue in the data that they trade on, from a month before them on.

    Raises:
        ComponentError: STR-001, a line of the file, or all lines outside the config's time; EXM-001, `preflight` found problems; or what
            a block was refused for.
    """
    settings = load_config(config)
    moment = _moment(at, settings)
    rows = numbered_blocks(blocks, moment)
    if not rows:
        raise ComponentError("STR-001", f"{shown(blocks)} holds no blocks")
    if outside := list(_outside(settings, blocks, rows)):
        raise ComponentError("STR-001", "\n".join(outside))
    first = from_instant(rows[0][0])
    clock = SimulatedClock(first)
    provider = open_data(settings, data)
    for line in block_warnings(settings, [block for _, _, block in rows], provider, rows[0][0] - MONTH_US, rows[-1][0]):
        if warn is not None:
            warn(line)
    with EventLogger(logs, "backtest") as logger:
        handler = PositionUpdateHandler()
        manager = ExecutionInterfaceManager(settings, provider, "backtest", positions=handler, event_logger=logger, clock=clock)
        market = manager.account.market(first)
        handler.hold(initial_positions_of(settings, None, market, manager.gas_is_free()))
        if preflight:
            yield from _preflight(manager, rows)
            return
        for instant, number, block in rows:
            now = from_instant(instant)
            clock.move_to(now)
            for report in manager.settle(now):
                yield _line(report)
            yield _line(_execute(manager, number, now, block))


def _outside(settings: Config, path: Path, rows: Sequence[NumberedBlock]) -> Iterator[str]:
    """A line for each block before the config's start or after its end, in the order of the file."""
    for instant, number, _ in sorted(rows, key=lambda row: row[1]):
        lies = f"{shown(path)}, line {number}: {iso(instant)} lies"
        if settings.start is not None and instant < to_instant(settings.start):
            yield f"{lies} before the config's start, {iso(settings.start)}: change start, or leave the line out"
        elif settings.end is not None and instant > to_instant(settings.end):
            yield f"{lies} after the config's end, {iso(settings.end)}: change end, or leave the line out"


def _execute(manager: ExecutionInterfaceManager, number: int, now: datetime, block: Any) -> ExecutionReport:
    try:
        return manager.execute(now, block)
    except ComponentError as error:
        raise at_lines(error, [number], now) from error


def _preflight(manager: ExecutionInterfaceManager, rows: Sequence[NumberedBlock]) -> Iterator[str]:
    """All problems of all blocks, checked at the time of the first; refused with all of them."""
    problems = manager.preflight(from_instant(rows[0][0]), [block for _, _, block in rows])
    if problems:
        raise ComponentError("EXM-001", "\n".join(_located(problem, rows[problem.step]) for problem in problems))
    yield f"{len(rows)} blocks, no problems; nothing was sent"


def _located(problem: Problem, row: NumberedBlock) -> str:
    instant, number, _ = row
    return f"line {number} at {iso(instant)}: {problem.code}: {problem.message}"


def _moment(at: str | None, settings: Config) -> datetime | None:
    if at is None:
        return settings.start
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        raise ComponentError("CFG-001", f"--at: {shown(at)} is no time; write one such as 2024-06-01T00:00:00Z") from None
    try:
        to_instant(moment)
    except ValueError as fault:
        raise ComponentError("CFG-001", f"--at: {fault}") from None
    return moment


def _line(report: ExecutionReport) -> str:
    row = {
        "timestamp": iso(report.at),
        "kind": report.kind,
        "key": report.key,
        "venue": report.venue,
        "deltas": report.deltas.as_texts(),
        "costs": [{"source": cost.source, "token": cost.token, "amount": plain(cost.amount)} for cost in report.costs],
        "details": report.details,
        **({"replayed": True} if report.replayed else {}),
    }
    return msgspec.json.encode(row).decode()


def event_lines(folder: Path, event_type: str | None) -> Iterator[str]:
    """The lines of `basis events`: those of a run's events.csv, or of a folder of logs.

    Raises:
        ComponentError: LOG-004, there is no such type of event, or there are no events there; LOG-003, what is there is damaged.
    """
    _require_type(event_type)
    path = folder / "events.csv"
    if path.is_file():
        for row in _rows_of_csv(path):
            if event_type in (None, row["event_type"]):
                yield printable(f"{row['timestamp']} {row['component']} {row['event_type']} {row['data']}")
        return
    files = _logs_in(folder)
    for paths in files.values():
        for log in paths:
            for event in read_events(log):
                if event_type in (None, event["event_type"]):
                    data = msgspec.json.encode(event["data"]).decode()
                    yield printable(f"{event['timestamp']} {event['component']} {event['event_type']} {data}")


def event_rows(folder: Path, event_type: str | None) -> Iterator[dict[str, Any]]:
    """What `event_lines` prints, as dicts."""
    _require_type(event_type)
    path = folder / "events.csv"
    if path.is_file():
        for row in _rows_of_csv(path):
            if event_type in (None, row["event_type"]):
                yield {**row, "sequence": int(row["sequence"]), "data": msgspec.json.decode(row["data"])}
        return
    for paths in _logs_in(folder).values():
        for log in paths:
            yield from (event for event in read_events(log) if event_type in (None, event["event_type"]))


def export_events(folder: Path, event_type: str | None, target: Path) -> None:
    """Write what `event_lines` prints as a CSV file with the columns of a run's events.csv. It appears whole or not at all.

    Raises:
        ComponentError: what `event_lines` raises; LOG-001, the file cannot be written, or is the one that is read.
    """
    _require_type(event_type)
    path = folder / "events.csv"
    if not path.is_file():
        files = _logs_in(folder).values()
        if event_type is None:
            export_csv(files, target)
            return
        with tempfile.TemporaryDirectory() as place:
            path = Path(place, "events.csv")
            export_csv(files, path)
            _copy_rows(path, event_type, target)
        return
    if target.resolve() == path.resolve():
        raise ComponentError("LOG-001", f"{shown(target)} is the record of the run itself; choose another path")
    _copy_rows(path, event_type, target)


def _require_type(event_type: str | None) -> None:
    if event_type is not None and event_type not in EVENT_TYPES:
        known = ", ".join(sorted(EVENT_TYPES))
        raise ComponentError("LOG-004", f"--type: there is no type of event {shown(event_type)}; there are {known}")


def _logs_in(folder: Path) -> dict[str, list[Path]]:
    files = event_files(folder)
    if not files:
        raise ComponentError("LOG-004", f"{shown(folder)} holds no events; give the folder of a run, or a folder of logs")
    return files


def _rows_of_csv(path: Path) -> Iterator[dict[str, str]]:
    csv.field_size_limit(LONGEST_FIELD)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                yield {column: row[column] for column in COLUMNS}
    except (OSError, KeyError, UnicodeDecodeError, csv.Error) as fault:
        raise ComponentError(
            "LOG-003", f"{shown(path)} cannot be read as the events of a run: {printable(str(fault))}; run the backtest again"
        ) from fault


def _copy_rows(source: Path, event_type: str | None, target: Path) -> None:
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)  # a link there is not followed
        with partial.open("x", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            table.writeheader()
            table.writerows(row for row in _rows_of_csv(source) if event_type in (None, row["event_type"]))
        os.replace(partial, target)
    except OSError as fault:
        reason = f"cannot write the events to {shown(target)}: {fault.strerror}; free space or rights there, or choose another path"
        raise ComponentError("LOG-001", reason) from fault
    finally:
        with suppress(OSError):  # also where its folder could not be made
            partial.unlink()
