"""Puts the parts of a run together: the only place where that is done."""

from __future__ import annotations

import decimal
import os
import time
from contextlib import ExitStack, closing
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from basis_strategy_v1.app.checks import require_runnable
from basis_strategy_v1.app.data_checks import data_warnings_in_short
from basis_strategy_v1.app.initial_positions import initial_positions_of
from basis_strategy_v1.app.input_checks import small_bps, unknown_parameters
from basis_strategy_v1.app.measuring import require_benchmark
from basis_strategy_v1.app.period import load_with_period
from basis_strategy_v1.app.portfolio import Strategies, runs_of
from basis_strategy_v1.app.writer import Writer
from basis_strategy_v1.config import Config, Environment
from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.clock import SimulatedClock
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.data.data_provider import DataProvider
from basis_strategy_v1.engine import EventDrivenStrategyEngine
from basis_strategy_v1.execution.execution_interface_manager import ExecutionInterfaceManager
from basis_strategy_v1.monitoring.event_logger import EventLogger
from basis_strategy_v1.monitoring.event_memory import EventMemory
from basis_strategy_v1.monitoring.health import UnifiedHealthManager
from basis_strategy_v1.portfolio_engine import PartRun, PortfolioEngine
from basis_strategy_v1.positions.position_update_handler import PositionUpdateHandler
from basis_strategy_v1.results.recorder import RunFolder
from basis_strategy_v1.results.run_memory import RunMemory
from basis_strategy_v1.results.summary import run_id_of
from basis_strategy_v1.strategies import make_strategy
from basis_strategy_v1.strategies.user_code import Custom
from basis_strategy_v1.venues.registry import kind_of, make_venue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from basis_strategy_v1.app.own_strategy import OwnStrategy
    from basis_strategy_v1.strategies.strategy import Strategy


def open_data(config: Config, data: Any = None) -> Any:
    """The data provider of a config: `data` is a folder, a database file, a provider, or None for what the config names.

    Raises:
        ComponentError: DAT-006, there is none, or it cannot be used.
    """
    if data is not None and not isinstance(data, str | Path):
        return data
    directory, database = config.data.directory, config.data.database
    if data is not None:
        directory, database = (Path(data), None) if Path(data).is_dir() or not Path(data).suffix else (None, Path(data))
    if directory is None and database is None:
        raise ComponentError("DAT-006", "no data: give a folder or a database with --data, or data.directory in the config")
    return DataProvider(
        directory,
        database,
        mode=_data_mode(directory, database),
        max_staleness=config.data.staleness,
        missing_funding=config.data.missing_funding,
        spot_venues=_spot_venues(config),
        since=config.start,
        until=config.end,
    )


def _data_mode(directory: Path | None, database: Path | None) -> str:
    """What the environment asks for where both are there, else what there is."""
    if directory is not None and database is not None:
        return Environment.read().data_mode
    return "db" if directory is None else "csv"


def _spot_venues(config: Config) -> tuple[str, ...]:
    """Whose prices value a token: the strategy's spot venue, then the configured ones in order."""
    own, venues = getattr(config.strategy, "spot_venue", None), {**config.venues.cex, **config.venues.dex}
    return tuple(kind_of(name, venues[name]) for name in dict.fromkeys((own, *venues)) if name)


def strategy_of(config: Config) -> Strategy:
    """The config's strategy, with what it must know of the venues; of a portfolio all of them.

    Raises:
        ComponentError: STR-001, a user's file cannot be used.
    """
    if config.parts:
        return Strategies(config.parts, [strategy_of(part) for part in config.parts])
    sections = config.venues.sections().items()
    venues = {name: make_venue(section, name, own).fact() for section, rows in sections for name, own in rows.items()}
    with decimal.localcontext(EXACT):  # the context that a user's code runs in
        return make_strategy(config.strategy_mode, config.strategy, venues)


def build(
    config: Any,
    data: Any = None,
    results: str | Path | None = "results",
    logs: str | Path | None = "logs",
    *,
    aside: bool = False,
    report: bool = True,
    progress: Callable[[int, int], None] | None = None,
    warn: Callable[[str], None] | None = None,
    changes: Mapping[str, Any] = MappingProxyType({}),
    own: OwnStrategy | None = None,
) -> EventDrivenStrategyEngine:
    """A backtest, ready to run. `warn` is called with a line for each thing that looks wrong in its data, or in a user's strategy.

    `results` None: nothing is written. `logs` None: into the run's own folder. `aside`: where another run is writing in `logs`, the log
    goes there too, and where it is the same run, this one gets a folder next to it. `changes` are set in the config first
    (`strategy.leverage` -> value). `own` is a strategy that was handed over.
    """
    started = time.perf_counter()
    if own is not None:
        changes = {**own.changes, **changes}
    settings = _settings_of(config, data, changes, own)
    with decimal.localcontext(EXACT):
        strategy = maker_of(own)(settings)
    settings = _anchored(settings)
    provider = open_data(settings, data)
    runs = runs_of(settings, strategy)
    for one, its_strategy in runs:
        require_runnable(one, its_strategy, provider)
    require_benchmark(settings, strategy, provider)
    warnings = [line for one, its in runs for line in (*small_bps(one), *data_warnings_in_short(one, its, provider))]
    if warn is not None:
        for _, its_strategy in runs:
            if isinstance(its_strategy, Custom):
                its_strategy.warn = warn
        for line in dict.fromkeys([*unknown_parameters(config, changes), *warnings]):
            warn(line)
    run_id = run_id_of(settings, fingerprint_of(provider), getattr(strategy, "neighbours", ""))
    with ExitStack() as refused:  # what cannot begin holds no folder
        folder: RunFolder | RunMemory
        logger: EventLogger
        if results is None:
            folder, logger, report = RunMemory(), EventMemory(), False
        else:
            folder = refused.enter_context(closing(_folder(Path(results), run_id, aside=aside)))
            logger = refused.enter_context(_logger(logs, folder, aside=aside))
        writer = Writer(run_id, folder, logger, provider, started, report=report)
        with decimal.localcontext(EXACT):  # whatever the caller's context rounds to
            engine = _engine(settings, strategy, provider, logger, writer, progress)
            if isinstance(engine, PortfolioEngine):
                engine.parts = _parts_of(settings, runs, provider, run_id, progress)
        engine.folder = folder
        refused.pop_all()
    return engine


def fingerprint_of(provider: Any) -> str:
    """The fingerprint of what a provider has read; nothing where it has none."""
    return str(provider.fingerprint()) if hasattr(provider, "fingerprint") else ""


def _folder(results: Path, run_id: str, *, aside: bool) -> RunFolder:
    """The folder of a run; where another process is writing the same run, one next to it, if it may go aside."""
    try:
        return RunFolder(results, run_id)
    except ComponentError:
        if not (aside and (results / f".{run_id}.lock").exists()):
            raise
    return RunFolder(results, f"{run_id}.{os.getpid()}")


def _logger(logs: str | Path | None, folder: RunFolder, *, aside: bool) -> EventLogger:
    """The log in a folder; in the run's own where there is none, or where another run is writing there and it may be elsewhere."""
    own = folder.path / "logs"
    if logs is None:
        return EventLogger(own, "backtest")
    try:
        return EventLogger(logs, "backtest")
    except ComponentError:
        if not aside:
            raise
    return EventLogger(own, "backtest")


def _settings_of(config: Any, data: Any, changes: Mapping[str, Any], own: OwnStrategy | None) -> Config:
    """The config of a run, its time taken from the data where it names none."""
    code = "" if own is None else own.code
    return load_with_period(config, lambda settings: open_data(settings, data), maker_of(own), changes, code)


def maker_of(own: OwnStrategy | None) -> Callable[[Config], Any]:
    """What makes the strategy of a config: the one that was handed over, else the config's own."""
    return strategy_of if own is None or own.given is None else own.made


def _anchored(config: Config) -> Config:
    """The config with an absolute path of the user's file: its hash stays what it is where the file changes the working directory."""
    if config.parts:
        return replace(config, parts=tuple(map(_anchored, config.parts)))
    file: Path | None = getattr(config.strategy, "file", None)
    return config if file is None else replace(config, strategy=replace(config.strategy, file=file.absolute()))


def _parts_of(
    settings: Config, runs: Sequence[tuple[Config, Any]], provider: Any, run_id: str, progress: Callable[[int, int], None] | None
) -> tuple[PartRun, ...]:
    """An engine for each strategy of a portfolio; none writes anything by itself."""
    found = []
    for place, ((own, strategy), part) in enumerate(zip(runs, settings.portfolio, strict=True)):
        events, name = EventMemory(), f"{run_id}/{part.name}"
        writer = Writer(name, RunMemory(), events, provider, time.perf_counter(), report=False)
        engine = _engine(own, strategy, provider, events, writer, _share_of(progress, place, len(runs)))
        found.append(PartRun(part.name, part.share, engine, events))
    return tuple(found)


def _share_of(progress: Callable[[int, int], None] | None, place: int, parts: int) -> Callable[[int, int], None] | None:
    """What reports the progress of one part of a run."""
    return None if progress is None else lambda done, total: progress(place * total + done, parts * total)


def _engine(
    settings: Config, strategy: Strategy, provider: Any, logger: EventLogger, writer: Writer, progress: Callable[[int, int], None] | None
) -> EventDrivenStrategyEngine:
    assert settings.start is not None
    clock = SimulatedClock(settings.start)
    health = UnifiedHealthManager(event_logger=logger, clock=clock)
    handler = PositionUpdateHandler()
    manager = ExecutionInterfaceManager(
        settings, provider, "backtest", positions=handler, event_logger=logger, health_manager=health, clock=clock
    )
    market = manager.account.market(settings.start)
    handler.hold(initial_positions_of(settings, strategy, market, manager.gas_is_free()))
    kind = PortfolioEngine if settings.parts else EventDrivenStrategyEngine
    return kind(settings, manager, strategy, clock, logger, writer, progress)
