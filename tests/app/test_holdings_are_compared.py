"""A live run compares what it holds with its venues, on a timer and after a disagreement, and keeps the newest table for `basis status`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from basis_strategy_v1.app.live import build_paper_replay
from basis_strategy_v1.app.live_commands import status_lines, status_of
from basis_strategy_v1.live_engine import LiveEngine

from .live_runs import Steps, moves, shipped


@pytest.fixture
def engine(repository: Path, sample: Path, tmp_path: Path) -> LiveEngine:
    config = shipped(repository, "eth_basis", end="2024-06-02", live={"reconcile_interval_s": 7200})
    return build_paper_replay(config, sample, tmp_path / "state", tmp_path / "results", tmp_path / "logs", report=False)


def breaks(result: Any) -> list[str]:
    return [line for line in result.paths["events.csv"].read_text().splitlines() if "EIM-003" in line]


def test_an_undisturbed_run_agrees_and_status_says_so(engine: LiveEngine, tmp_path: Path) -> None:
    result = engine.run()
    found = status_of(tmp_path / "state")["holdings"]
    assert (found["at"], found["unread"], breaks(result)) == ("2024-06-02T00:00:00Z", {}, [])
    assert {(row["venue"], row["token"]): row["shown"] for row in found["rows"]} == {
        (venue, token): amount for venue, tokens in status_of(tmp_path / "state")["positions"].items() for token, amount in tokens.items()
    }
    head = f"holdings at 2024-06-02T00:00:00Z: {len(found['rows'])} agree, 0 explained, 0 not explained"
    assert status_lines(tmp_path / "state")[-1] == head


def test_a_break_is_found_at_the_next_comparison_logged_once_and_shown(engine: LiveEngine, tmp_path: Path) -> None:
    Steps(engine, 9, {4: lambda: moves(engine, USDT=-5)})
    result = engine.run()
    (line,) = breaks(result)
    assert line.startswith("2024-06-01T04:20:00Z,EventDrivenStrategyEngine,")
    assert "unexplained -5" in line
    assert engine.manager.get_routing_status()["status"] == "degraded"
    assert [said for said in status_lines(tmp_path / "state") if said.startswith("BREAK: bybit shows ") and said.endswith("-5")]


def test_a_break_that_is_gone_is_not_shown_any_more(engine: LiveEngine, tmp_path: Path) -> None:
    Steps(engine, 9, {4: lambda: moves(engine, USDT=-5), 7: lambda: moves(engine, USDT=5)})
    assert len(breaks(engine.run())) == 1
    assert engine.manager.get_routing_status()["status"] == "healthy"
    assert not [said for said in status_lines(tmp_path / "state") if said.startswith("BREAK")]


def test_a_disagreement_of_an_order_does_not_wait_for_the_timer(engine: LiveEngine) -> None:
    def disagree() -> None:
        moves(engine, USDT=-5)
        engine.live.senders.health.disagreement("the state of bybit", "EIM-003", "it shows another amount")

    Steps(engine, 9, {4: disagree})
    (line,) = breaks(engine.run())
    assert line.startswith("2024-06-01T04:00:00Z,")


def test_a_folder_without_a_table_has_none(engine: LiveEngine, tmp_path: Path) -> None:
    engine.live.reconciler.compare = None  # type: ignore[assignment,method-assign]
    engine._compares_at = 2**62
    engine.run()
    assert status_of(tmp_path / "state")["holdings"] is None
    (tmp_path / "state/record.sqlite").unlink()
    assert status_of(tmp_path / "state")["holdings"] is None
