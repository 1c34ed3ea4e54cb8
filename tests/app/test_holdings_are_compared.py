"""A live run compares what it holds with its venues, on a timer and after a disagreement, and keeps the newest table for `basis status`."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from basis_strategy_v1.app.live import build_paper_replay
from basis_strategy_v1.app.live_commands import status_lines, status_of
from basis_strategy_v1.data.sample import write_sample
from basis_strategy_v1.execution.paper import PaperWorld
from basis_strategy_v1.live_engine import LiveEngine

from .runs import Waiting
from .test_paper_equals_backtest import LIMITS


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder)
    return folder


@pytest.fixture
def engine(repository: Path, sample: Path, tmp_path: Path) -> LiveEngine:
    config = yaml.safe_load((repository / "config" / "eth_basis.yaml").read_text())
    config = {**config, "start": "2024-06-01", "end": "2024-06-02", "limits": LIMITS, "live": {"reconcile_interval_s": 7200}}
    return build_paper_replay(config, sample, tmp_path / "state", tmp_path / "results", tmp_path / "logs", report=False)


def world_of(engine: LiveEngine) -> PaperWorld:
    return next(iter(engine.live.parts.gateways.values()))._world  # type: ignore[attr-defined,no-any-return]


def lose(engine: LiveEngine, amount: int) -> None:
    """The venue holds less than before, and says nothing of it."""
    world = world_of(engine)
    part: Any = world._state.parts["bybit"]
    world._state = world._state.with_part("bybit", part.moved({"USDT": Decimal(-amount)}))


class Steps:
    """A wall clock that is there as soon as it is waited for. Before the step of an hour what `at_hour` says happens."""

    def __init__(self, engine: LiveEngine, hours: int, at_hour: dict[int, Any]) -> None:
        self.clock, self.hours, self.at_hour, self.hour = engine.clock, hours, at_hour, 0
        engine.waits, engine.is_stopping = self, lambda: self.hour > hours
        engine.clock = Waiting(self.clock)  # type: ignore[assignment]

    def until(self, at: datetime, each_s: float) -> Iterator[None]:
        self.hour += 1
        for minutes in (40, 20):
            self.clock.move_to(at - timedelta(minutes=minutes))
            yield
        self.at_hour.get(self.hour, lambda: None)()
        self.clock.move_to(at)


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
    Steps(engine, 9, {4: lambda: lose(engine, 5)})
    result = engine.run()
    (line,) = breaks(result)
    assert line.startswith("2024-06-01T04:20:00Z,EventDrivenStrategyEngine,")
    assert "unexplained -5" in line
    assert engine.manager.get_routing_status()["status"] == "degraded"
    assert [said for said in status_lines(tmp_path / "state") if said.startswith("BREAK: bybit shows ") and said.endswith("-5")]


def test_a_break_that_is_gone_is_not_shown_any_more(engine: LiveEngine, tmp_path: Path) -> None:
    Steps(engine, 9, {4: lambda: lose(engine, 5), 7: lambda: lose(engine, -5)})
    assert len(breaks(engine.run())) == 1
    assert engine.manager.get_routing_status()["status"] == "healthy"
    assert not [said for said in status_lines(tmp_path / "state") if said.startswith("BREAK")]


def test_a_disagreement_of_an_order_does_not_wait_for_the_timer(engine: LiveEngine) -> None:
    def disagree() -> None:
        lose(engine, 5)
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
