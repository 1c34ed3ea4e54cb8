"""A paper run that is started again goes on with its record: with another config, after its end, on the wall clock."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from basis_strategy_v1.app.live import build_paper_replay
from basis_strategy_v1.core.clock import SimulatedClock
from basis_strategy_v1.engine import RunResult
from basis_strategy_v1.live_engine import LiveEngine

from .live_runs import shipped
from .runs import Waiting


@pytest.fixture
def config(repository: Path) -> dict[str, Any]:
    return shipped(repository, "usdt_market_neutral", end="2024-06-03")


def engine_of(config: dict[str, Any], data: Path, folder: Path) -> LiveEngine:
    return build_paper_replay(config, data, folder / "state", folder / "results", folder / "logs", report=False)


def run(config: dict[str, Any], data: Path, folder: Path) -> RunResult:
    engine = engine_of(config, data, folder)
    try:
        return engine.run()
    finally:
        engine.live.journal.close_file()


def events(result: RunResult, code: str) -> list[str]:
    return [line for line in result.paths["events.csv"].read_text().splitlines() if code in line]


FILES = ("equity.csv", "positions.csv", "trades.csv", "risk.csv")


def contents(result: RunResult) -> dict[str, str]:
    """The files, with keys that do not have the identity of their journal."""
    return {name: re.sub("auto:[0-9a-f]{16}", "auto:", result.paths[name].read_text()) for name in FILES}


MONEY = ("start", "end", "initial_equity", "final_equity", "final_equity_at_market", "attribution", "max_drawdown", "instructions_routed")


def test_a_later_end_goes_on_where_the_earlier_one_stopped(config: dict[str, Any], sample: Path, tmp_path: Path) -> None:
    whole = run(config, sample, tmp_path / "whole")
    for end in ("2024-06-01T07:00:00Z", "2024-06-02T00:00:00Z", config["end"]):
        parts = run({**config, "end": end}, sample, tmp_path / "parts")
    in_parts, in_one = contents(parts), contents(whole)
    in_one["positions.csv"] = in_parts["positions.csv"]  # it has the positions of each end
    assert in_parts == in_one
    assert [parts.summary[name] for name in MONEY] == [whole.summary[name] for name in MONEY]
    assert not events(parts, "RES-002")


def test_a_later_start_goes_on_with_the_positions_and_counts_what_fell_due_between(
    config: dict[str, Any], sample: Path, tmp_path: Path
) -> None:
    first = run({**config, "end": "2024-06-01T07:00:00Z"}, sample, tmp_path)
    then = run({**config, "start": "2024-06-01T18:00:00Z"}, sample, tmp_path)
    assert then.summary["initial_equity"] == first.summary["initial_equity"]
    assert then.summary["attribution"]["funding"] != first.summary["attribution"]["funding"]
    stamps = [line.split(",")[0] for line in then.paths["equity.csv"].read_text().splitlines()[1:]]
    assert stamps[7:9] == ["2024-06-01T07:00:00Z", "2024-06-01T18:00:00Z"]


def test_a_finished_run_that_is_started_again_writes_the_same(config: dict[str, Any], sample: Path, tmp_path: Path) -> None:
    before = contents(first := run(config, sample, tmp_path))
    second = run(config, sample, tmp_path)
    assert contents(second) == before
    assert [second.summary[name] for name in MONEY] == [first.summary[name] for name in MONEY]


def test_a_record_of_an_earlier_version_goes_on_and_has_no_risk_of_the_past(config: dict[str, Any], sample: Path, tmp_path: Path) -> None:
    run({**config, "end": "2024-06-01T07:00:00Z"}, sample, tmp_path)
    with closing(sqlite3.connect(tmp_path / "state/record.sqlite")) as record:
        record.execute("DROP TABLE risk")
    found = contents(run(config, sample, tmp_path))["risk.csv"].splitlines()
    whole = contents(run(config, sample, tmp_path / "whole"))["risk.csv"].splitlines()
    assert found[0] == whole[0]
    assert found[1:9] == [f"2024-06-01T0{hour}:00:00Z" + "," * whole[0].count(",") for hour in range(8)]
    without_own = [[line.rpartition(",")[0] for line in lines[25:]] for lines in (found, whole)]  # which is reckoned from a later look
    assert without_own[0] == without_own[1]  # from the next day's look on


def test_the_record_of_another_journal_is_set_aside_with_one_event(config: dict[str, Any], sample: Path, tmp_path: Path) -> None:
    run(config, sample, tmp_path / "other")
    (tmp_path / "state").mkdir()
    (tmp_path / "other/state/record.sqlite").rename(tmp_path / "state/record.sqlite")
    result = run(config, sample, tmp_path)
    (line,) = events(result, "RES-002")
    assert "record.sqlite is of the run " in line and "it is kept as record.sqlite.earlier-1, and the record begins now" in line
    assert result.summary["initial_equity"] == run(config, sample, tmp_path / "whole").summary["initial_equity"]


def test_without_its_record_a_run_begins_one_where_the_journal_stands(config: dict[str, Any], sample: Path, tmp_path: Path) -> None:
    first = run({**config, "end": "2024-06-01T07:00:00Z"}, sample, tmp_path)
    (tmp_path / "state/record.sqlite").unlink()
    then = run(config, sample, tmp_path)
    assert then.summary["instructions_routed"] < first.summary["instructions_routed"]
    assert then.summary["final_equity"] == run(config, sample, tmp_path / "whole").summary["final_equity"]


class Hours:
    """A wall clock that goes on as soon as it is waited for, up to a number of steps."""

    def __init__(self, clock: SimulatedClock, steps: int) -> None:
        self.clock, self.left = clock, steps

    def until(self, at: datetime, each_s: float) -> Iterator[None]:
        self.clock.move_to(at - timedelta(minutes=1))
        yield
        self.clock.move_to(at)
        self.left -= 1

    def is_over(self) -> bool:
        return self.left < 0


def run_hours(config: dict[str, Any], data: Path, folder: Path, steps: int, after: timedelta = timedelta(0)) -> RunResult:
    engine = engine_of(config, data, folder)
    hours = engine.waits = Hours(engine.clock, steps)
    engine.is_stopping = hours.is_over
    engine.clock.move_to(engine.clock.now() + after)
    engine.clock = Waiting(engine.clock)  # type: ignore[assignment]
    try:
        return engine.run()
    finally:
        engine.live.journal.close_file()


def test_on_the_wall_clock_a_restart_hours_later_records_what_fell_due_meanwhile(
    config: dict[str, Any], sample: Path, tmp_path: Path
) -> None:
    first = run_hours(config, sample, tmp_path, 5)
    rows, risks = first.paths["equity.csv"].read_text(), first.paths["risk.csv"].read_text()
    then = run_hours(config, sample, tmp_path, 5, timedelta(hours=20))
    stamps = [line.split(",")[0] for line in then.paths["equity.csv"].read_text().splitlines()]
    assert then.paths["equity.csv"].read_text().startswith(rows)
    assert then.paths["risk.csv"].read_text().startswith(risks)
    assert "bybit_leverage" in risks.splitlines()[0] and all(",," not in line for line in risks.splitlines()[2:])
    assert stamps[5:7] == ["2024-06-01T05:00:00Z", "2024-06-01T21:00:00Z"]
    assert then.summary["initial_equity"] == first.summary["initial_equity"]
    assert then.summary["attribution"]["funding"] != first.summary["attribution"]["funding"]
    assert int(then.summary["instructions_routed"]) >= int(first.summary["instructions_routed"]) > 0
    assert sum(map(Decimal, then.summary["attribution"].values())) == Decimal(then.summary["pnl"])


@pytest.mark.parametrize("point", ["after begin_plan", "after execute", "before logged", "after end_plan", "within record", "after record"])
def test_an_interruption_in_the_middle_of_a_step_leaves_no_trace(point: str, config: dict[str, Any], sample: Path, tmp_path: Path) -> None:
    whole = run(config, sample, tmp_path / "whole")
    passed = iter(range(10))

    def at(name: str) -> None:
        if name == point and next(passed, 0) == 1:
            raise KeyboardInterrupt

    parts = tmp_path / "parts"
    engine = build_paper_replay(config, sample, parts / "state", parts / "results", parts / "logs", report=False, at=at)
    with pytest.raises(KeyboardInterrupt):
        engine.run()
    again = run(config, sample, parts)
    assert contents(again) == contents(whole)
    assert again.summary == whole.summary
