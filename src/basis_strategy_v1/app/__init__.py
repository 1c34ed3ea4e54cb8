"""Puts the parts of a run together: the only place where that is done."""

from __future__ import annotations

import decimal
import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.app.checks import require_runnable
from basis_strategy_v1.app.writer import Writer
from basis_strategy_v1.config import Config, Environment, load_config
from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.clock import SimulatedClock
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.market import SAME_AS
from basis_strategy_v1.core.state import WALLET
from basis_strategy_v1.core.tokens import to_amount, to_units
from basis_strategy_v1.data.data_provider import DataProvider
from basis_strategy_v1.engine import EventDrivenStrategyEngine
from basis_strategy_v1.execution.execution_interface_manager import ExecutionInterfaceManager
from basis_strategy_v1.execution.execution_manager import ExecutionManager
from basis_strategy_v1.monitoring.event_logger import EventLogger
from basis_strategy_v1.monitoring.health import UnifiedHealthManager
from basis_strategy_v1.positions.position_update_handler import PositionUpdateHandler
from basis_strategy_v1.results.attribution import ETH_CLASS
from basis_strategy_v1.results.recorder import RunFolder
from basis_strategy_v1.results.summary import run_id_of
from basis_strategy_v1.strategies import make_strategy

if TYPE_CHECKING:
    from collections.abc import Callable

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


def opening_positions(config: Config, strategy: Strategy | None, market: MarketSnapshot, gas_is_free: bool) -> Placed:
    """What is held at the start: the config's own, or the capital as the strategy splits it, less the gas reserve's price."""
    if config.initial_positions is not None:
        return {venue: dict(tokens) for venue, tokens in config.initial_positions.items()}
    on_chain = bool(config.venues.onchain or config.venues.dex)
    reserve = config.gas_reserve_eth if on_chain and not gas_is_free else Decimal(0)
    capital = config.initial_capital
    if reserve:
        capital -= reserve if config.share_class == ETH_CLASS else EXACT.multiply(reserve, market.price("ETH"))
        if capital <= 0:
            told = f"initial_capital: {config.initial_capital} does not pay for gas_reserve_eth of {reserve}; lower that"
            raise ComponentError("CFG-001", told)
    worth = (strategy.placed(capital, config.strategy) if strategy else {}) or _default_placement(config, capital)
    placed = {venue: {token: _bought(token, amount, config, market) for token, amount in tokens.items()} for venue, tokens in worth.items()}
    if reserve:
        wallet = placed.setdefault(WALLET, {})
        wallet["ETH"] = wallet.get("ETH", Decimal(0)) + reserve
    return placed


def _bought(token: str, worth: Decimal, config: Config, market: MarketSnapshot) -> Decimal:
    """What an amount of the share class currency buys of a token at the start's price, in whole base units."""
    currency = "ETH" if config.share_class == ETH_CLASS else "USDT"
    if token == currency or SAME_AS.get(token) == currency:
        return worth
    price = market.price(token) if currency == "USDT" else EXACT.divide(market.price(token), market.price(currency))
    return to_amount(token, to_units(token, EXACT.divide(worth, price)))


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
    with decimal.localcontext(EXACT):  # the context that a user's code runs in
        strategy = make_strategy(settings.strategy_mode, settings.strategy)
    provider = open_data(settings, data)
    require_runnable(settings, strategy, provider)
    folder = RunFolder(Path(results), run_id_of(settings))
    logger = EventLogger(logs, "backtest")
    writer = Writer(folder, logger, provider, started, report=report)
    with decimal.localcontext(EXACT):  # whatever the caller's context rounds to
        return _engine(settings, strategy, provider, logger, writer, progress)


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
    market = manager.desk.market(settings.start)
    handler.hold(opening_positions(settings, strategy, market, manager.gas_is_free()))
    execution = ExecutionManager(settings, manager, handler)
    return EventDrivenStrategyEngine(settings, manager, execution, strategy, clock, logger, writer, progress)
