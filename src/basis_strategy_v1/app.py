"""Puts the parts of a run together: the only place where that is done."""

from __future__ import annotations

import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.config import Config, Environment, load_config
from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.clock import SimulatedClock
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.state import WALLET
from basis_strategy_v1.data.data_provider import DataProvider
from basis_strategy_v1.engine import EventDrivenStrategyEngine, RunResult
from basis_strategy_v1.execution.execution_interface_manager import ExecutionInterfaceManager
from basis_strategy_v1.execution.execution_manager import ExecutionManager
from basis_strategy_v1.monitoring.event_logger import EventLogger
from basis_strategy_v1.monitoring.health import UnifiedHealthManager
from basis_strategy_v1.positions.position_update_handler import PositionUpdateHandler
from basis_strategy_v1.results.attribution import ETH_CLASS
from basis_strategy_v1.results.recorder import EQUITY_HEADER, POSITIONS_HEADER, RunFolder, plain_json
from basis_strategy_v1.results.summary import run_id_of, summary_of
from basis_strategy_v1.strategies import make_strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.strategies.strategy import Strategy

Placed = dict[str, dict[str, Decimal]]


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
        max_staleness={"default": config.data.max_staleness, **config.data.max_staleness_by_series},
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
    own = config.strategy.get("spot_venue")
    return tuple(name.partition("_")[0] for name in (own, *config.venues.cex, *config.venues.dex) if name)


def opening_positions(config: Config, strategy: Strategy, market: MarketSnapshot, gas_is_free: bool) -> Placed:
    """What is held at the start: the config's own, or the capital as the strategy splits it, less the gas reserve's price."""
    if config.initial_positions is not None:
        return {venue: dict(tokens) for venue, tokens in config.initial_positions.items()}
    on_chain = bool(config.venues.onchain or config.venues.dex)
    reserve = config.gas_reserve_eth if on_chain and not gas_is_free else Decimal(0)
    capital = config.initial_capital
    if reserve:
        capital -= reserve if config.share_class == ETH_CLASS else EXACT.multiply(reserve, market.price("ETH"))
        if capital <= 0:
            raise ComponentError("CFG-001", f"initial_capital of {config.initial_capital} does not pay for gas_reserve_eth {reserve}; lower it")
    placed = strategy.placed(capital, config.strategy) or _default_placement(config, capital)
    if reserve:
        wallet = placed.setdefault(WALLET, {})
        wallet["ETH"] = wallet.get("ETH", Decimal(0)) + reserve
    return placed


def _default_placement(config: Config, capital: Decimal) -> Placed:
    """A user's own strategy finds its capital at the first exchange, or in the wallet where there is none."""
    currency = "ETH" if config.share_class == ETH_CLASS else "USDT"
    first = next(iter(config.venues.cex), WALLET)
    if currency == "USDT" and first.startswith("hyperliquid"):
        currency = "USDC"
    return {first: {currency: capital}}


def build(
    config: Any,
    data: Any = None,
    results: str | Path = "results",
    logs: str | Path = "logs",
    *,
    report: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> EventDrivenStrategyEngine:
    """A backtest, ready to run."""
    started = time.perf_counter()
    settings = load_config(config, run=True)
    assert settings.start is not None
    strategy = make_strategy(settings.strategy_mode, settings.strategy)
    provider = open_data(settings, data)
    folder = RunFolder(Path(results), run_id_of(settings))
    clock = SimulatedClock(settings.start)
    logger = EventLogger(logs, "backtest")
    health = UnifiedHealthManager(event_logger=logger, clock=clock)
    handler = PositionUpdateHandler()
    manager = ExecutionInterfaceManager(
        settings, provider, "backtest", positions=handler, event_logger=logger, health_manager=health, clock=clock
    )
    market = manager.desk.market(settings.start)
    handler.hold(opening_positions(settings, strategy, market, manager.gas_is_free()))
    writer = _Writer(folder, logger, provider, started, report=report)
    execution = ExecutionManager(settings, manager, handler)
    return EventDrivenStrategyEngine(settings, manager, execution, strategy, clock, logger, writer, progress)


class _Writer:
    """Writes a run's folder, also of a run that ended early."""

    def __init__(self, folder: RunFolder, logger: EventLogger, provider: Any, started: float, *, report: bool) -> None:
        self._folder = folder
        self._logger = logger
        self._provider = provider
        self._started = started
        self._report = report

    def __call__(self, engine: EventDrivenStrategyEngine, *, finished: bool = True) -> RunResult:
        seconds = engine.seconds
        begun = time.perf_counter()
        folder = self._folder
        paths = {
            "equity.csv": folder.write_rows("equity.csv", EQUITY_HEADER, engine.curve.rows()),
            "positions.csv": folder.write_rows("positions.csv", POSITIONS_HEADER, engine.holdings.rows()),
            "config.yaml": folder.write("config.yaml", engine.config.to_yaml()),
        }
        self._logger.export_csv(folder.path / "events.csv")
        paths["events.csv"] = folder.path / "events.csv"
        self._logger.close()
        seconds["write"] = time.perf_counter() - begun
        summary = self._summary(engine) if finished else {}
        if finished:
            paths["summary.json"] = folder.write("summary.json", plain_json(summary))
            if self._report:
                paths["report.html"] = self._write_report(seconds)
        seconds["total"] = time.perf_counter() - self._started
        timing = {name: round(value, 6) for name, value in seconds.items()}
        paths["timing.json"] = folder.write("timing.json", plain_json({"seconds": timing}))
        return RunResult(run_id_of(engine.config), summary, paths)

    def _write_report(self, seconds: dict[str, float]) -> Path:
        from basis_strategy_v1.report.report import write_report

        begun = time.perf_counter()
        path = write_report(self._folder.path)
        seconds["report"] = time.perf_counter() - begun
        return path

    def _summary(self, engine: EventDrivenStrategyEngine) -> dict[str, Any]:
        return summary_of(
            engine.config,
            initial=engine.attribution.initial_equity,
            final=engine.equity,
            at_market=engine.equity_at_market,
            totals=engine.attribution.totals(engine.equity),
            max_drawdown=engine.curve.max_drawdown,
            routed=engine.manager.instructions_routed,
            failed=engine.manager.instructions_failed,
            data=_data_told(self._provider),
            skipped=engine.skipped,
            assumptions=assumptions(engine.config, engine.manager.desk.venues),
            missing_funding=getattr(self._provider, "missing_funding_used", ()),
        )


def _data_told(provider: Any) -> Mapping[str, Any]:
    return {"generated": bool(getattr(provider, "generated", False)), "series": list(getattr(provider, "series_used", ()))}


def assumptions(config: Config, venues: Mapping[str, Any]) -> list[str]:
    """What the simulators take for granted with these venues, for the report."""
    told = [
        "A market order fills in full at the last visible close plus slippage_bps against the trader; a limit order only where that close reaches it.",
    ]
    if config.venues.cex:
        told += [
            "Margin is the settlement token and the perps' unrealised profit; other coins on the exchange do not count as margin.",
            "A perp is liquidated in the bar whose high or low reaches its liquidation price; what is left of the margin is lost.",
        ]
    if config.venues.onchain:
        told.append("Between two rows of a lending series the index goes forward from the earlier row's rate; our own actions do not move the rates.")
    if any(getattr(venue, "priced_by_market", False) for venue in venues.values()):
        told.append("Swaps are priced by the market price of the pair less the pool's fee and slippage_bps, without the pool's ticks.")
    if config.data.missing_funding == "zero":
        told.append("A funding payment without a row in the data is taken as 0; each one is listed.")
    return told
