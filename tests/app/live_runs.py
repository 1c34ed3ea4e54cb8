"""A live run on a wall clock that tests move, over simulated venues that can be made to move by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from basis_strategy_v1.app.live import build_paper_replay
from basis_strategy_v1.execution.paper import PaperGateway, PaperWorld
from basis_strategy_v1.live_engine import LiveEngine

from .runs import Waiting
from .test_paper_equals_backtest import LIMITS


def shipped(repository: Path, name: str, **changes: Any) -> dict[str, Any]:
    """A config of `config/` from 2024-06-01 on, with limits and without a time at which it leaves."""
    read = yaml.safe_load((repository / "config" / f"{name}.yaml").read_text())
    read["strategy"].pop("leave_at", None)
    return {**read, "start": "2024-06-01", "limits": LIMITS, **changes}


def engine_in(folder: Path, config: dict[str, Any], data: Path, **options: Any) -> LiveEngine:
    return build_paper_replay(config, data, folder / "state", folder / "results", folder / "logs", report=False, **options)


def gateway_of(engine: LiveEngine, name: str = "bybit") -> PaperGateway:
    found = engine.live.parts.gateways[name]
    assert isinstance(found, PaperGateway)
    return found


def world_of(engine: LiveEngine) -> PaperWorld:
    return gateway_of(engine)._world


def moves(engine: LiveEngine, **tokens: int) -> None:
    """The venue holds more or less than before, and says nothing of it."""
    world = world_of(engine)
    part: Any = world._state.parts["bybit"]
    world._state = world._state.with_part("bybit", part.moved({token: Decimal(amount) for token, amount in tokens.items()}))


class Steps:
    """A wall clock that is there as soon as it is waited for, for a number of hourly steps. Before the step of an hour what `at_hour` says
    happens; `after` is how long after its start the run begins."""

    def __init__(self, engine: LiveEngine, hours: int, at_hour: dict[int, Any], after: timedelta = timedelta(0)) -> None:
        self.clock, self.hours, self.at_hour, self.hour = engine.clock, hours, at_hour, 0
        engine.waits, engine.is_stopping = self, lambda: self.hour > hours
        self.clock.move_to(self.clock.now() + after)
        engine.clock = Waiting(self.clock)  # type: ignore[assignment]

    def until(self, at: datetime, each_s: float) -> Iterator[None]:
        self.hour += 1
        for minutes in (40, 20):
            self.clock.move_to(at - timedelta(minutes=minutes))
            yield
        self.at_hour.get(self.hour, lambda: None)()
        self.clock.move_to(at)
