"""Puts the parts of a live run together."""

from __future__ import annotations

import decimal
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.app import open_data, strategy_of
from basis_strategy_v1.app.checks import require_runnable
from basis_strategy_v1.app.initial_positions import initial_positions_of
from basis_strategy_v1.app.writer import Writer
from basis_strategy_v1.config import load_config
from basis_strategy_v1.core.amounts import EXACT, shown
from basis_strategy_v1.core.clock import SimulatedClock
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.state import WALLET
from basis_strategy_v1.execution.execution_interface_manager import ExecutionInterfaceManager, venues_of_config
from basis_strategy_v1.execution.market_source import MarketSource
from basis_strategy_v1.execution.paper import PaperGateway, PaperWorld, pass_point
from basis_strategy_v1.execution.risk import require_limits
from basis_strategy_v1.execution.timing import Timing
from basis_strategy_v1.live.journal import SqliteJournal
from basis_strategy_v1.live_engine import LiveEngine
from basis_strategy_v1.monitoring.event_logger import EventLogger
from basis_strategy_v1.monitoring.health import UnifiedHealthManager
from basis_strategy_v1.positions.position_update_handler import PositionUpdateHandler
from basis_strategy_v1.results.recorder import RunFolder
from basis_strategy_v1.results.run_record import RunRecord
from basis_strategy_v1.results.summary import run_id_of
from basis_strategy_v1.venues.venue import CEX
from basis_strategy_v1.venues.wallet import gas_is_free

if TYPE_CHECKING:
    from basis_strategy_v1.core.gateway import Gateway
    from basis_strategy_v1.venues.venue import Venues

MANAGER_LOG = "execution_interface_manager_events"
PAPER = "paper.sqlite"


def build_paper_replay(
    config: Any,
    data: Any,
    state: str | Path = "state",
    results: str | Path = "results",
    logs: str | Path = "logs",
    *,
    report: bool = True,
    progress: Callable[[int, int], None] | None = None,
    at: Callable[[str], None] = pass_point,
) -> LiveEngine:
    """A run over recorded data without waiting: simulated venues behind the real journal, limits and engine.

    `at` is called at each point at which the process could end, by its name.

    Raises:
        ComponentError: CFG-001, DAT-006, STR-001, RES-001, LOG-001 or JRN-…: whatever can be known to be wrong before the run.
    """
    started = time.perf_counter()
    settings = load_config(config, run=True)
    require_limits(settings.limits)
    strategy = strategy_of(settings)
    provider = open_data(settings, data)
    require_runnable(settings, strategy, provider)
    assert settings.start is not None
    clock = SimulatedClock(settings.start)
    folder = Path(state)
    with ExitStack() as refused, decimal.localcontext(EXACT):  # what cannot begin holds no folder
        journal = refused.enter_context(SqliteJournal(folder, at=at))
        run_folder = refused.enter_context(closing(RunFolder(Path(results), run_id_of(settings))))
        logger = refused.enter_context(EventLogger(logs, "live", clock=clock, kept_days=None))  # the days are those of the data
        source = MarketSource(provider, clock)
        venues = venues_of_config(settings)
        market = source.at(settings.start)
        handler = PositionUpdateHandler(initial_positions_of(settings, strategy, market, gas_is_free(venues)))
        world = PaperWorld(venues, source, clock, folder / PAPER, handler.state, at)
        health = UnifiedHealthManager(event_logger=logger, clock=clock)
        manager = ExecutionInterfaceManager(
            settings,
            provider,
            "live",
            positions=handler,
            event_logger=logger,
            health_manager=health,
            clock=clock,
            gateways=paper_gateways(world, venues, clock),
            journal=journal,
            timing=AT_ONCE,
        )
        writer = Writer(run_folder, logger, provider, started, report=report)
        engine = LiveEngine(settings, manager, strategy, clock, logger, writer, progress)
        assert manager.live is not None
        engine.live = manager.live
        engine.record = RunRecord(folder, at)
        engine.on_end = (world.close, journal.close_file, engine.record.close)
        refused.pop_all()
    return engine


def require_live_options(*, paper: bool, data: Path | None, speed: str | None) -> None:
    """Refuse options that do not fit together.

    Raises:
        ComponentError: CFG-001.
    """
    if speed is not None and speed != "max":
        raise ComponentError("CFG-001", f"--speed must be max, got {shown(speed)}")
    if speed is not None and data is None:
        raise ComponentError("CFG-001", "--speed max replays recorded data: name them with --data DIR")
    if data is not None and not paper:
        raise ComponentError("CFG-001", "--data without --paper is refused: recorded prices must never reach a real venue; add --paper")
    if not paper:
        raise ComponentError("CFG-001", "no venue has a live gateway in this version; add --paper")
    if data is None or speed is None:
        raise ComponentError("CFG-001", "--paper needs recorded data in this version: add --data DIR --speed max")


def paper_gateways(world: PaperWorld, venues: Venues, clock: Any) -> Mapping[str, Gateway]:
    """A gateway for each exchange, and one for the wallet with every protocol on its chain."""
    names = [name for name, venue in venues.items() if venue.kind == CEX]
    if WALLET in venues:
        names.append(WALLET)
    return {name: PaperGateway(name, world, clock) for name in names}


def _now() -> float:
    return 0.0


def _no_wait(seconds: float) -> None:
    """Recorded time passes at once."""


def _directly(timeout_s: float, call: Callable[[], Any], /) -> Any:
    return call()


AT_ONCE = Timing(_no_wait, _now, _directly)
