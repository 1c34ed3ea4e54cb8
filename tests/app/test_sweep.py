"""A sweep: a row a run in the order of the grid, whatever the number of processes, and after a kill the rows that are missing."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from basis_strategy_v1 import run, sweep
from basis_strategy_v1.app.sweep import combinations_of, size_of
from basis_strategy_v1.app.sweep_rows import SweepFolder
from basis_strategy_v1.core.error_codes.exceptions import ComponentError

from ..other_process import other_process
from .runs import config

GRID: dict[str, list[Any]] = {"strategy.leverage": [1, 2, 99], "strategy.rebalance_threshold_bps": [300, 500]}
KILLED = """
import json, sys
from basis_strategy_v1 import sweep

def held_up(done, total):
    if done == 2:
        print("two rows", flush=True)
        sys.stdin.readline()

config, data, out, grid = sys.argv[1:]
sweep(json.loads(config), json.loads(grid), data, workers=1, out=out, progress=held_up)
"""
SEEN = {"runs": 0}


def counts_itself(snapshot: Any, positions: Any, parameters: Any) -> list[dict[str, Any]]:
    """Changes global state, raises, dies or never returns, as its parameters say."""
    SEEN["runs"] += parameters["number"] >= 0
    if parameters["number"] == 7:
        raise ValueError(f"run 7 of {SEEN['runs']} steps")
    if parameters["number"] == 8:
        os.kill(os.getpid(), signal.SIGKILL)
    while parameters["number"] == 9:
        time.sleep(0.01)
    return []


@pytest.fixture(scope="module")
def alone(sample: Path) -> Any:
    return sweep(config(), GRID, data=sample, workers=1)


def test_a_row_is_the_run_of_its_combination(alone: Any, sample: Path) -> None:
    rows = alone.to_pylist()
    assert [(row["strategy.leverage"], row["strategy.rebalance_threshold_bps"]) for row in rows] == [
        (1, 300), (1, 500), (2, 300), (2, 500), (99, 300), (99, 500),
    ]  # fmt: skip
    summary = run(
        config(strategy={"spot_venue": "bybit", "perp_venue": "bybit", "leverage": 2, "rebalance_threshold_bps": 300}), sample
    ).summary
    row = rows[2]
    assert (row["run_id"], row["error"], row["pnl"]) == (summary["run_id"], "", float(summary["pnl"]))
    assert row["max_drawdown"] == float(summary["max_drawdown"])
    assert {name: row[name] for name in ("best_day", "turnover", "sharpe")} == {
        name: summary["metrics"][name] for name in ("best_day", "turnover", "sharpe")
    }
    assert (rows[4]["run_id"], rows[4]["pnl"]) == ("", None)
    assert rows[4]["error"] == "CFG-001: strategy.leverage: 99; allowed: a number above 0 and at most 20"


def test_the_rows_do_not_depend_on_the_number_of_workers(alone: Any, sample: Path) -> None:
    assert sweep(config(), GRID, data=sample, workers=2).equals(alone)


def test_killed_and_called_again_it_runs_what_is_missing_and_gives_the_same_table(alone: Any, sample: Path, tmp_path: Path) -> None:
    from pyarrow import parquet

    out = tmp_path / "out"
    with other_process(KILLED, json.dumps(config()), str(sample), str(out), json.dumps(GRID), says="two rows") as first:
        with pytest.raises(ComponentError, match="is being written by another run"):
            sweep(config(), GRID, data=sample, out=out)
        first.kill()
        first.wait()
    stored = (out / "rows.jsonl").read_bytes()
    assert stored.count(b"\n") == 2
    (out / "rows.jsonl").write_bytes(stored + b'[2, {"run_id": "ha')
    done: list[int] = []
    again = sweep(config(), GRID, data=sample, out=out, progress=lambda count, total: done.append(count))
    assert done == [3, 4, 5, 6]
    assert again.equals(alone)
    assert parquet.read_table(out / "sweep.parquet").equals(alone.arrow)
    whole = tmp_path / "whole"
    sweep(config(), GRID, data=sample, out=whole, workers=2)
    assert (whole / "sweep.parquet").read_bytes() == (out / "sweep.parquet").read_bytes()
    with pytest.raises(ComponentError, match=r"RES-001: .*out holds another sweep \(another grid, config, data or version\)"):
        sweep(config(initial_capital=20_000), GRID, data=sample, out=out)


def test_what_one_run_does_to_its_process_no_other_sees(sample: Path) -> None:
    grid = {"strategy.parameters.number": [1, 7, 8, 2]}
    rows = sweep(config(strategy={}), grid, data=sample, strategy=counts_itself, workers=1).to_pylist()
    assert [row["error"] for row in rows] == [
        "",
        f"STR-002: test_sweep.py, line {line_of('raise ValueError')}: ValueError: run 7 of 1 steps (in decide at 2024-06-01T00:00:00Z)",
        "its process was killed (2 times)",
        "",
    ]
    assert SEEN == {"runs": 0}


def test_a_run_that_never_returns_is_ended_after_the_timeout(sample: Path) -> None:
    grid = {"strategy.parameters.number": [9, 1]}
    rows = sweep(config(strategy={}), grid, data=sample, strategy=counts_itself, workers=2, timeout_s=3.0).to_pylist()
    assert [row["error"] for row in rows] == ["it took longer than the timeout", ""]


def line_of(text: str) -> int:
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return 1 + next(number for number, line in enumerate(lines) if text in line)


def test_dates_and_venues_can_be_swept(sample: Path) -> None:
    grid = {"end": ["2024-06-02", "2024-06-03"], "strategy.perp_venue": ["bybit"]}
    rows = sweep(config(), grid, data=sample, workers=2).to_pylist()
    assert [row["run_id"] for row in rows] == [run(config(end=end), sample).run_id for end in grid["end"]]


def without_time(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in config(**changes).items() if name not in ("start", "end")}


@pytest.fixture
def three_days(sample: Path, tmp_path: Path) -> Path:
    """The first three days of the sample's series of bybit; the same, begun and ended later, as those of binance."""
    for venue, (first, stop) in {"bybit": (0, 72), "binance": (6, 86)}.items():
        for series in (f"ohlcv/{venue}/spot/ETHUSDT_1h.csv", f"ohlcv/{venue}/perp/ETHUSDT_1h.csv", f"funding/{venue}/ETHUSDT.csv"):
            header, *rows = (sample / series.replace(venue, "bybit")).read_text().splitlines()
            every = 8 if series.startswith("funding") else 1
            path = tmp_path / "three" / series
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join([header, *rows[-(-first // every) : stop // every], ""]))
    return tmp_path / "three"


def test_a_sweep_without_a_time_is_over_what_the_data_cover_as_a_run_is(three_days: Path, tmp_path: Path) -> None:
    rows = sweep(without_time(), {"strategy.leverage": [1, 2]}, data=three_days, workers=1, out=tmp_path / "out").to_pylist()
    alone = [
        run(without_time(strategy={"spot_venue": "bybit", "perp_venue": "bybit", "leverage": leverage}), three_days) for leverage in (1, 2)
    ]
    assert [(row["run_id"], row["error"]) for row in rows] == [(one.run_id, "") for one in alone]


def test_all_runs_of_a_sweep_are_of_the_time_that_the_series_of_all_cover(three_days: Path) -> None:
    given = without_time(venues={"cex": ["bybit", "binance"]})
    ends = [
        {"start": summary["start"], "end": summary["end"]}
        for venue in ("bybit", "binance")
        for summary in [run({**given, "strategy": {"spot_venue": venue, "perp_venue": venue}}, three_days).summary]
    ]
    common = {"start": max(one["start"] for one in ends), "end": min(one["end"] for one in ends)}
    assert common not in ends
    grid = {"strategy.perp_venue": ["bybit", "binance"], "strategy.spot_venue": ["bybit", "binance"], "strategy.leverage": [1, 99]}
    for found, expected in (
        (sweep(given, grid, data=three_days), sweep({**given, **common}, grid, data=three_days)),
        (sweep({**given, "end": "2024-06-02"}, grid, data=three_days), sweep({**given, **common, "end": "2024-06-02"}, grid, three_days)),
    ):
        assert found.equals(expected)
        assert [row["error"] == "" for row in found.to_pylist()] == [True, False] * 4


@pytest.mark.parametrize(
    ("changes", "strategy", "error"),
    [
        ({"strategy": {}}, counts_itself, "CFG-001: start: missing; allowed: a time, such as 2024-06-01; the data say it only for "),
        ({"venues": {"cex": ["okx"]}, "strategy": {"spot_venue": "okx", "perp_venue": "okx"}}, None, "DAT-001: no spot of okx for E"),
        ({"strategy": {"spot_venue": "bybit"}}, None, "CFG-001: strategy.perp_venue: missing; allowed: "),
    ],
)
def test_a_sweep_that_finds_no_time_says_why(changes: dict[str, Any], strategy: Any, error: str, three_days: Path) -> None:
    with pytest.raises(ComponentError) as wrong:
        sweep(without_time(**changes), {"initial_capital": [1_000, 2_000]}, data=three_days, strategy=strategy)
    assert str(wrong.value)[: len(error)] == error


def test_random_takes_some_of_the_combinations_in_the_order_of_the_grid() -> None:
    grid = {"a": [1, 2, 3], "b": ["x", "y"], "c": [True]}
    every = combinations_of(grid)
    assert (size_of(grid), len(every), every[1]) == (6, 6, {"a": 1, "b": "y", "c": True})
    some = combinations_of(grid, random=3, seed=1)
    assert some == combinations_of(grid, random=3, seed=1)
    assert some == [one for one in every if one in some] and len(some) == 3
    assert combinations_of(grid, random=99) == every


def test_a_folder_that_cannot_be_written_is_named_and_finished_rows_are_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ComponentError, match=r"RES-001: .* cannot be written"):
        SweepFolder(tmp_path / "file", {})
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "rows.jsonl").write_text("")
    with pytest.raises(ComponentError, match=r"holds rows\.jsonl of something else"):
        SweepFolder(tmp_path / "other", {})
    folder = SweepFolder(tmp_path / "out", {"a": 1})
    folder.add(0, {"run_id": "x"})
    folder._file.close()
    folder._file = open("/dev/full", "ab")  # noqa: SIM115
    with pytest.raises(
        ComponentError, match=r"RES-001: .*rows\.jsonl cannot be written: No space left on device; the finished rows are kept"
    ):
        folder.add(1, {"run_id": "y"})
    folder.close()
    assert SweepFolder(tmp_path / "out", {"a": 1}).rows == {0: {"run_id": "x"}}
    (tmp_path / "out" / "sweep.json").write_text("[")
    with pytest.raises(ComponentError, match="holds another sweep"):
        SweepFolder(tmp_path / "out", {"a": 1})


def test_without_data_or_with_a_file_that_is_none_no_run_begins(tmp_path: Path) -> None:
    with pytest.raises(ComponentError, match="DAT-006"):
        sweep(config(), {"strategy.leverage": [1, 2]})
    with pytest.raises(ComponentError, match=r"CFG-001: strategy\.file"):
        sweep(config(), {"initial_capital": [1, 2]}, data=tmp_path, strategy=tmp_path / "none.py")
