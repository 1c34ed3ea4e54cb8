"""Puts the parts of a live run together."""

from __future__ import annotations

import decimal
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from msgspec import structs

from basis_strategy_v1.app import fingerprint_of, open_data, strategy_of
from basis_strategy_v1.app.account_checks import NOT_READY, check_accounts
from basis_strategy_v1.app.checks import require_runnable
from basis_strategy_v1.app.data_checks import data_warnings_in_short
from basis_strategy_v1.app.initial_positions import initial_positions_of
from basis_strategy_v1.app.live_feed import feed_of, history_from, series_of
from basis_strategy_v1.app.period import load_with_period
from basis_strategy_v1.app.portfolio import require_one_strategy
from basis_strategy_v1.app.state_folder import require_all_venues, require_paper_ledger
from basis_strategy_v1.app.venue_accounts import (
    REAL,
    account_names,
    exchange_or_protocol,
    not_on_this_machine,
    paper_gateways,
    real_gateways,
    without_gateway,
)
from basis_strategy_v1.app.waited_clock import WaitedClock
from basis_strategy_v1.app.wall_clock import WallClockWaits
from basis_strategy_v1.app.writer import Writer
from basis_strategy_v1.config import Environment, load_config
from basis_strategy_v1.core.amounts import EXACT, shown
from basis_strategy_v1.core.clock import SimulatedClock, SystemClock
from basis_strategy_v1.core.error_codes.error_code_registry import error_data
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.execution.execution_interface_manager import ExecutionInterfaceManager, venues_of_config
from basis_strategy_v1.execution.market_source import MarketSource
from basis_strategy_v1.execution.paper import PaperWorld, pass_point, settled_in
from basis_strategy_v1.execution.risk import require_limits
from basis_strategy_v1.execution.timing import REAL_TIME, Timing
from basis_strategy_v1.live.journal import SqliteJournal
from basis_strategy_v1.live.market_feed import COMPONENT as FEED
from basis_strategy_v1.live.market_feed import MarketFeed
from basis_strategy_v1.live.secrets import read_secrets
from basis_strategy_v1.live_engine import LiveEngine
from basis_strategy_v1.monitoring.event_files import KEPT_DAYS
from basis_strategy_v1.monitoring.event_logger import EventLogger
from basis_strategy_v1.monitoring.health import UnifiedHealthManager
from basis_strategy_v1.positions.position_update_handler import PositionUpdateHandler
from basis_strategy_v1.results.recorder import RunFolder
from basis_strategy_v1.results.run_record import RunRecord
from basis_strategy_v1.results.summary import run_id_of
from basis_strategy_v1.venues.wallet import gas_is_free

if TYPE_CHECKING:
    from basis_strategy_v1.config import Config
    from basis_strategy_v1.core.clock import Clock
    from basis_strategy_v1.live.secrets import Secrets
    from basis_strategy_v1.strategies.strategy import Strategy

PAPER = "paper.sqlite"
FOR_GOOD = timedelta(days=36_500)  # a run on the wall clock ends by a signal


class RunFolders(NamedTuple):
    """The folders of a run."""

    state: Path
    results: Path
    logs: Path


class How(NamedTuple):
    """How a run goes: its clock and how it waits, for how many days its logs are kept (None: all), what is shown, what is called at
    each point at which the process could end, and when it was begun."""

    clock: Any
    timing: Timing
    kept_days: int | None
    report: bool
    progress: Callable[[int, int], None] | None = None
    at: Callable[[str], None] = pass_point
    started: float = 0.0


class StopSignal(Protocol):
    """Says whether a run is to end after the step in hand; `wait` waits for some seconds, or until it is to end."""

    def __call__(self) -> bool: ...
    def wait(self, seconds: float) -> object: ...


def build_paper_replay(
    config: Any,
    data: Any,
    state: str | Path = "state",
    results: str | Path = "results",
    logs: str | Path = "logs",
    *,
    paper: bool = True,
    report: bool = True,
    progress: Callable[[int, int], None] | None = None,
    at: Callable[[str], None] = pass_point,
) -> LiveEngine:
    """A run over recorded data without waiting: simulated venues behind the real journal, limits and engine.

    Without `paper` the venues are local servers that speak as the real ones do: each endpoint is on this machine. A wait advances the run's
    clock at once. `at` is called at each point at which the process could end, by its name.

    Raises:
        ComponentError: CFG-001, DAT-006, STR-001, RES-001, LOG-001 or JRN-…: whatever can be known to be wrong before the run.
    """
    started = time.perf_counter()
    settings = load_with_period(config, lambda settings: open_data(settings, data), strategy_of)
    require_one_strategy(settings)
    require_limits(settings.limits)
    secrets = None if paper else _local_secrets(settings)
    strategy = strategy_of(settings)
    provider = open_data(settings, data)
    require_runnable(settings, strategy, provider)
    data_warnings_in_short(settings, strategy, provider)  # refuses data that cannot be true
    assert settings.start is not None
    clock = SimulatedClock(settings.start) if paper else WaitedClock(settings.start)
    timing = clock.timing() if isinstance(clock, WaitedClock) else AT_ONCE
    how = How(clock, timing, None, report, progress, at, started)  # the days of the logs are those of the data
    return _engine(settings, strategy, provider, RunFolders(Path(state), Path(results), Path(logs)), how, secrets)


def build_live(
    config: Any,
    state: str | Path = "state",
    results: str | Path = "results",
    logs: str | Path = "logs",
    *,
    paper: bool,
    stop: StopSignal,
    clock: Clock | None = None,
    report: bool = True,
    at: Callable[[str], None] = pass_point,
) -> LiveEngine:
    """A run on the wall clock over the exchanges' own prices: with simulated venues (`paper`), or with the real accounts.

    It ends when `stop` says so. `start` and `end` of the config do not count.

    Raises:
        ComponentError: as `build_paper_replay`; CFG-001, a venue account has no live gateway; CFG-003, its keys are missing; DAT-001, a
            series that a live feed does not have; CEX-002, an exchange does not answer.
    """
    started = time.perf_counter()
    settings = load_config(config, live=True)
    require_limits(settings.limits)
    secrets = None if paper else _secrets(settings)
    if secrets is not None:
        _require_keys(settings, secrets)
    strategy = strategy_of(settings)
    clock = clock or SystemClock()
    feed = feed_of(settings, strategy, clock, secrets)
    places = RunFolders(Path(state), Path(results), Path(logs))
    feed.load(history_from(settings, clock.now(), settled_in(places.state / PAPER)))
    now = clock.now()
    settings = structs.replace(settings, start=now, end=now + FOR_GOOD)
    require_runnable(settings, strategy, feed)
    engine = _engine(settings, strategy, feed, places, How(clock, REAL_TIME, KEPT_DAYS, report, None, at, started), secrets)
    engine.is_stopping = stop
    engine.waits = WallClockWaits(clock, stop.wait, stop)
    engine.recovery_interval_s = settings.live.recovery_interval_s
    return engine


def _secrets(settings: Config) -> Secrets:
    """The keys of the venue accounts, each of which has a live gateway."""
    if without := without_gateway(settings, venues_of_config(settings)):
        raise ComponentError("CFG-001", f"{', '.join(without)}: no live gateway in this version; add --paper")
    return read_secrets(Environment.read().environment)


def _require_keys(settings: Config, secrets: Secrets) -> None:
    """Refuse a run without the keys of its accounts before anything is asked of an exchange (CFG-003)."""
    for name in account_names(venues_of_config(settings)):
        for key in REAL[exchange_or_protocol(settings, name)].keys:
            secrets.require(name, key)


def _local_secrets(settings: Config) -> Secrets:
    """The keys of venues that all are on this machine.

    Raises:
        ComponentError: CFG-001, one of them is not.
    """
    secrets = _secrets(settings)
    if elsewhere := not_on_this_machine(settings, venues_of_config(settings), secrets):
        why = f"recorded prices must never reach a real venue, and {', '.join(elsewhere)} has no endpoint on this machine"
        raise ComponentError("CFG-001", f"--data without --paper is refused: {why}; add --paper")
    return secrets


def _engine(
    settings: Config, strategy: Strategy, provider: Any, places: RunFolders, how: How, secrets: Secrets | None = None
) -> LiveEngine:
    """The parts of a run over any source of market data; with `secrets` at the real venues, without at simulated ones."""
    clock, folder, is_fed = how.clock, places.state, isinstance(provider, MarketFeed)
    if secrets is not None:
        settings = structs.replace(settings, venues=settings.venues.as_read())
    assert settings.start is not None
    with ExitStack() as refused, decimal.localcontext(EXACT):  # what cannot begin holds no folder
        venues = venues_of_config(settings, provider)
        run_id = run_id_of(settings, None if is_fed else fingerprint_of(provider), getattr(strategy, "neighbours", ""))
        journal = refused.enter_context(SqliteJournal(folder, at=how.at))
        require_all_venues(journal, venues, account_names(venues), folder)
        if secrets is None:
            require_paper_ledger(journal, folder / PAPER)
        run_folder = refused.enter_context(closing(RunFolder(places.results, run_id, goes_on=is_fed)))
        logger = refused.enter_context(EventLogger(places.logs, "live", clock=clock, kept_days=how.kept_days))
        record = RunRecord(folder, how.at)
        on_end = [journal.close_file, record.close]
        handler: PositionUpdateHandler | None = None
        if secrets is None:
            source = MarketSource(provider, clock)
            handler = PositionUpdateHandler(initial_positions_of(settings, strategy, source.at(settings.start), gas_is_free(venues)))
            world = PaperWorld(venues, source, clock, folder / PAPER, handler.state, how.at)
            gateways = paper_gateways(world, venues, clock)
            on_end.insert(0, world.close)
        else:
            gateways = real_gateways(
                settings, venues, secrets, clock, series_of(settings, strategy, has_chain=True), journal.run, journal.status_of_message
            )
            check_accounts(gateways.values(), settings, journal, _logs(logger, clock, "LiveEngine", NOT_READY))
        health = UnifiedHealthManager(event_logger=logger, clock=clock)
        if is_fed:
            health.register_component(FEED, provider.check_health)
            provider.on_silence = _logs(logger, clock, FEED, "CEX-002")
        manager = ExecutionInterfaceManager(
            settings,
            provider,
            "live",
            positions=handler,
            event_logger=logger,
            health_manager=health,
            clock=clock,
            gateways=gateways,
            journal=journal,
            timing=how.timing,
        )
        writer = Writer(run_id, run_folder, logger, provider, how.started, report=how.report)
        engine = LiveEngine(settings, manager, strategy, clock, logger, writer, how.progress)
        assert manager.live is not None
        engine.live, engine.record, engine.on_end = manager.live, record, on_end
        refused.pop_all()
    return engine


def _logs(logger: EventLogger, clock: Any, component: str, code: str) -> Callable[[str], None]:
    """Logs a message as an error of a component."""
    return lambda message: logger.log_event(clock.now(), "error", component, error_data(code, message))


def require_live_options(*, data: Path | None, speed: str | None) -> None:
    """Refuse options that do not fit together.

    Raises:
        ComponentError: CFG-001.
    """
    if speed is not None and speed != "max":
        raise ComponentError("CFG-001", f"--speed must be max, got {shown(speed)}")
    if speed is not None and data is None:
        raise ComponentError("CFG-001", "--speed max replays recorded data: name them with --data DIR")
    if data is not None and speed is None:
        raise ComponentError("CFG-001", "--data replays recorded data: add --speed max; without --data the run trades on the wall clock")


def _now() -> float:
    return 0.0


def _no_wait(seconds: float) -> None:
    """Recorded time passes at once."""


def _directly(timeout_s: float, call: Callable[[], Any], /) -> Any:
    return call()


AT_ONCE = Timing(_no_wait, _now, _directly)
