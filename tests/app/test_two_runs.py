"""Two backtests at once, each a process of its own, and one after the other in the same folder of logs."""

from __future__ import annotations

import json
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from basis_strategy_v1.app import build
from basis_strategy_v1.app.commands import event_lines
from basis_strategy_v1.core.error_codes.exceptions import ComponentError

from ..other_process import other_process
from .runs import config

RUN = """
import json, sys
from basis_strategy_v1.app import build

def held_up(done, total):
    if done == 1:
        print("half way", flush=True)
        sys.stdin.readline()

config, data, results, logs = sys.argv[1:]
build(json.loads(config), data, results, logs, report=False, progress=held_up).run()
"""
SERIES = ("ohlcv/bybit/spot/ETHUSDT_1h.csv", "funding/bybit/ETHUSDT.csv", "ohlcv/bybit/perp/ETHUSDT_1h.csv")


def half_way(data: Path, results: Path, logs: Path) -> AbstractContextManager[subprocess.Popen[str]]:
    """Another process in the middle of the run of `config()`; it goes on when it is sent a line."""
    return other_process(RUN, json.dumps(config()), str(data), str(results), str(logs), says="half way")


def refused(data: Path, results: Path, logs: Path, **changes: Any) -> str:
    """The error of a second run; afterwards it holds no folder, though its error is still there to be looked at."""
    with pytest.raises(ComponentError) as error:
        build(config(**changes), data, results, logs)
    return str(error.value)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_run_that_another_process_is_at_is_refused_at_the_start_and_the_first_comes_to_its_end(sample: Path, tmp_path: Path) -> None:
    results, logs = tmp_path / "results", tmp_path / "logs"
    with half_way(sample, results, logs) as first:
        run = next(path for path in results.iterdir() if path.is_dir())
        assert refused(sample, results, tmp_path / "other") == (
            f"RES-001: {run} is being written by another run (process {first.pid}); "
            "wait for it or give each run folders of its own with --results and --logs"
        )
        message = (
            f"LOG-001: {logs}/events is being written by another run (process {first.pid}); "
            "wait for it or give each run its own folder with --logs"
        )
        assert refused(sample, tmp_path / "elsewhere", logs) == message
        assert refused(sample, results, logs, initial_capital=20_000) == message
        assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == [run.name]
        both = build(config(initial_capital=20_000), sample, results, tmp_path / "other", report=False).run()
        first.communicate("go on\n")
        assert first.returncode == 0
    files = ["config.yaml", "equity.csv", "events.csv", "positions.csv", "risk.csv", "summary.json", "timing.json", "trades.csv"]
    assert names_in(run) == names_in(results / both.run_id) == files
    assert [name for name in names_in(results) if name.startswith(".")] == []


def test_a_run_that_was_killed_is_run_again(sample: Path, tmp_path: Path) -> None:
    with half_way(sample, tmp_path / "results", tmp_path / "logs") as first:
        first.kill()
        first.wait()
    done = build(config(), sample, tmp_path / "results", tmp_path / "logs", report=False).run()
    assert names_in(tmp_path / "results") == [done.run_id]


def test_a_run_that_cannot_be_written_lets_others_have_its_folders(sample: Path, tmp_path: Path) -> None:
    results, logs = tmp_path / "results", tmp_path / "logs"
    engine = build(config(), sample, results, logs)
    [run] = (path for path in results.iterdir() if path.is_dir())
    (run / "equity.csv").mkdir()
    with pytest.raises(ComponentError, match=r"RES-001: .*equity\.csv cannot be written"):
        engine.run()
    assert (names_in(results), names_in(logs)) == ([run.name], ["events"])


def test_a_folder_of_results_that_is_not_to_be_written_is_not_held(sample: Path, tmp_path: Path) -> None:
    results, logs = tmp_path / "results", tmp_path / "logs"
    run_id = build(config(), sample, results, logs, report=False).run().run_id
    (results / run_id / ".probe").mkdir()
    assert refused(sample, results, logs).endswith("choose another folder with --results")
    assert names_in(results) == [run_id]


def test_the_logs_are_those_of_the_last_run_alone(sample: Path, tmp_path: Path) -> None:
    for series in SERIES:
        lines = (sample / series).read_text().splitlines(keepends=True)
        target = tmp_path / "stale" / series
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("".join(line for line in lines if series != SERIES[-1] or line < "2024-06-01T20" or line.startswith("t")))
    logs = tmp_path / "logs"
    build(config(close_at_end=True), tmp_path / "stale", tmp_path / "results", logs, report=False).run()
    assert names_in(logs / "events") == ["event_driven_strategy_engine_events.jsonl", "execution_interface_manager_events.jsonl"]
    run_id = build(config(), sample, tmp_path / "results", logs, report=False).run().run_id
    assert sorted(event_lines(logs, None)) == sorted(event_lines(tmp_path / "results" / run_id, None))
