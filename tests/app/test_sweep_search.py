"""How a sweep looks for the best: a walk forward, and optuna."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from basis_strategy_v1 import run, sweep
from basis_strategy_v1.app.sweep_lines import walk_forward_lines
from basis_strategy_v1.app.sweep_search import Windows, by_optuna, walk_forward
from basis_strategy_v1.core.error_codes.exceptions import ComponentError

from .runs import config

DAY = datetime(2024, 6, 1, tzinfo=UTC)
TWO = [{"leverage": 1}, {"leverage": 2}]


def row(sharpe: float | None, error: str = "") -> dict[str, Any]:
    return {"sharpe": sharpe, "error": error}


def test_a_walk_forward_tries_the_best_of_each_window_on_the_time_after_it() -> None:
    search = walk_forward(Windows.of("2d/1d"), TWO, DAY, DAY + timedelta(days=4), "sharpe")
    trained = next(search)
    days = [f"2024-06-0{day}T00:00:00Z" for day in range(1, 6)]
    assert [(trial.labels, trial.changes["leverage"]) for trial in trained] == [
        ({"window": number, "part": "train", "start": days[number - 1], "end": days[number + 1]}, leverage)
        for number in (1, 2)
        for leverage in (1, 2)
    ]
    tested = search.send([row(1.0), row(2.0), row(None), row(5.0, "it failed")])
    assert [(trial.labels, trial.changes["leverage"]) for trial in tested] == [
        ({"window": 1, "part": "test", "start": days[2], "end": days[3]}, 2),
        ({"window": 2, "part": "test", "start": days[3], "end": days[4]}, 1),
    ]
    with pytest.raises(StopIteration):
        search.send([row(1.0), row(1.0)])


def test_optuna_comes_to_the_best_and_asks_the_same_after_the_same_rows() -> None:
    grid = {"x": list(range(10)), "y": list(range(10))}

    def asked() -> list[dict[str, Any]]:
        found, search = [], by_optuna(grid, 60, 3, "sharpe")
        trials = next(search)
        while True:
            found += [trial.changes for trial in trials]
            try:
                trials = search.send([row(-abs(trial.changes["x"] - 7) - abs(trial.changes["y"] - 2)) for trial in trials])
            except StopIteration:
                return found

    first = asked()
    assert (len(first), first) == (60, asked())
    assert {"x": 7, "y": 2} in first
    off = [abs(each["x"] - 7) + abs(each["y"] - 2) for each in first]
    assert sum(off[40:]) < sum(off[:20])


def test_a_swept_walk_forward_has_the_rows_of_the_runs_of_its_windows(sample: Path, tmp_path: Path) -> None:
    grid = {"strategy.leverage": [1, 3]}
    given = config(end="2024-06-05")
    table = sweep(given, grid, data=sample, walk_forward="2d/1d", metric="return", out=tmp_path / "out", workers=2)
    rows = table.to_pylist()
    assert [(one["window"], one["part"]) for one in rows] == [(1, "train")] * 2 + [(2, "train")] * 2 + [(1, "test"), (2, "test")]
    last = rows[-1]
    leverage = last["strategy.leverage"]
    alone = run(config(start=last["start"], end=last["end"], strategy={**given["strategy"], "leverage": leverage}), sample)
    assert (last["run_id"], last["pnl"]) == (alone.run_id, float(alone.summary["pnl"]))
    again = sweep(given, grid, data=sample, walk_forward="2d/1d", metric="return", out=tmp_path / "out", workers=1)
    assert again.equals(table)
    joined = (1 + rows[4]["return"]) * (1 + rows[5]["return"]) - 1
    assert list(walk_forward_lines(rows, list(grid)))[-1] == f"2 windows, joined: {joined * 100:.2f}%; 6 runs, 0 failed"


def test_a_search_by_optuna_does_not_depend_on_the_workers(sample: Path) -> None:
    grid = {"strategy.leverage": [1, 2, 3], "strategy.rebalance_threshold_bps": [200, 500]}
    one, two = (sweep(config(), grid, data=sample, optuna=5, metric="return", workers=workers) for workers in (1, 2))
    assert one.equals(two)
    assert len(one.to_pylist()) == 5


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "both": ({"random": 1, "optuna": 2}, "random and optuna exclude each other; choose one"),
    "a walk by optuna": ({"optuna": 1, "walk_forward": "1d/1d"}, "optuna and walk-forward exclude each other; choose one"),
    "none": ({"optuna": 0}, "optuna must be at least 1, got 0"),
    "a form": ({"walk_forward": "90/30"}, "walk-forward '90/30'; expected days to choose on and days to try, such as 90d/30d"),
    "too long": (
        {"walk_forward": "1d/1d"},
        "walk-forward needs 2 days, the run has 1 (2024-06-01T00:00:00Z to 2024-06-02T00:00:00Z)",
    ),
}


@pytest.mark.parametrize(("given", "message"), WRONG.values(), ids=WRONG)
def test_a_search_that_cannot_be_made_is_refused_at_once(given: dict[str, Any], message: str, sample: Path) -> None:
    with pytest.raises(ComponentError) as refused:
        sweep(config(), {"strategy.leverage": [1]}, data=sample, **given)
    assert (refused.value.error_code, refused.value.message) == ("CFG-001", f"sweep: {message}")


def test_a_metric_that_no_table_has_is_refused_with_those_that_there_are(sample: Path) -> None:
    with pytest.raises(ComponentError, match=r"^CFG-001: sweep: metric 'luck' is no column of the table; it has .*sharpe"):
        sweep(config(), {"strategy.leverage": [1]}, data=sample, metric="luck")
