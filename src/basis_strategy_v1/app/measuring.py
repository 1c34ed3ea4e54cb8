"""What the metrics of a run are made of: its days, its fills, the times at which capital was at work, and its benchmark."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.core.clock import DAY_US, from_instant, to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.market import MissingData, base_of
from basis_strategy_v1.execution.market_source import MarketSource
from basis_strategy_v1.execution.routing_events import COMPONENT
from basis_strategy_v1.results.attribution import CURRENCIES, to_units
from basis_strategy_v1.results.daily import Days, days_of, stale_flags, too_short
from basis_strategy_v1.results.fills import TRADED, TradeRow, fills_in
from basis_strategy_v1.results.metrics import Measured, Turnover, measure
from basis_strategy_v1.results.presence import DUST, AtWork, presence_of
from basis_strategy_v1.results.reasons import by_reason, waited
from basis_strategy_v1.venues.registry import kind_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from basis_strategy_v1.config import Config
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.engine import EventDrivenStrategyEngine
    from basis_strategy_v1.strategies.strategy import Strategy

LENT = {"usdt_stable": "USDT", "eth_directional": "WETH"}
COSTS = ("fees", "slippage", "gas")
_YEAR_US = 365 * DAY_US


class Measures(NamedTuple):
    """What is known of a run once it has ended. `stale` has a 1 for each step on a stale price."""

    stale: bytearray
    fills: list[TradeRow]
    measured: Measured
    by_reason: list[dict[str, Any]]
    waited: list[dict[str, Any]]


def measures_of(engine: EventDrivenStrategyEngine, provider: Any, spans: list[tuple[int, int]]) -> Measures:
    """The metrics of a run that has come to its end; `spans` are the times on stale prices."""
    curve, config = engine.curve, engine.config
    stale = stale_flags(curve.instants, spans)
    days = days_of(engine.attribution.initial_equity, curve.instants, curve.equities, stale)
    fills = fills_of(engine, provider)
    traded = Turnover(sum(fill.notional for fill in fills if fill.action in TRADED), -sum(engine.totals[source] for source in COSTS))
    end = engine.account.market(engine.end)
    least = DUST * Decimal(engine.attribution.initial_equity).scaleb(-12)
    currency = CURRENCIES[config.share_class]
    at_work = AtWork(currency, least, config.gas_reserve_eth, lambda token: _worth_in(currency[0], token, end))
    first = curve.instants[0] if curve.instants else to_instant(engine.start)
    presence = presence_of(engine.holdings.held, first, max(to_instant(engine.end), first), at_work)
    benchmark, why_not = _benchmark(engine, provider, days)
    measured = measure(
        days,
        engine.attribution.initial_equity,
        traded,
        presence,
        risk_free=float(config.risk_free_rate),
        benchmark=benchmark,
        no_benchmark=why_not,
        too_short=too_short(to_instant(engine.start), to_instant(engine.end)),
    )
    reasons = by_reason(fills, engine.attribution.initial_equity, curve.instants, curve.equities)
    return Measures(stale, fills, measured, reasons, waited(engine.waited, engine.looks))


def fills_of(engine: EventDrivenStrategyEngine, provider: Any) -> list[TradeRow]:
    """The fills of a run, from its log."""
    return list(fills_in(engine.event_logger.lines_of(COMPONENT), _worth(engine, provider)))


def market_at(engine: EventDrivenStrategyEngine, provider: Any) -> Callable[[datetime, int], MarketSnapshot]:
    """The market of a step that is past. A live feed has no past: the present stands for it."""
    if hasattr(provider, "fresh"):
        now = engine.account.market(engine.end)
        return lambda at, instant: now
    return MarketSource(provider).at


def _worth(engine: EventDrivenStrategyEngine, provider: Any) -> Callable[[str, str], Decimal]:
    """What 1 of a token was worth at a time, in the currency. A live feed has no past: what it is worth now stands for it."""
    currency = CURRENCIES[engine.config.share_class][0]
    source = MarketSource(provider)
    now = engine.account.market(engine.end) if hasattr(provider, "fresh") else None

    @lru_cache(maxsize=1)
    def market(at: str) -> MarketSnapshot:
        return now or source.at(datetime.fromisoformat(at))

    def worth(at: str, token: str) -> Decimal:
        return Decimal(1) if token == currency else _in(currency, token, market(at))

    return worth


def _in(currency: str, token: str, market: MarketSnapshot) -> Decimal:
    price = market.price(token)
    return price if currency == "USDT" else price / market.price(currency)


def _worth_in(currency: str, token: str, market: MarketSnapshot) -> Decimal | None:
    try:
        return _in(currency, token, market)
    except ComponentError:
        return None


# The benchmark.


def require_benchmark(config: Config, strategy: Strategy, provider: Any) -> None:
    """Refuse a benchmark that the data do not have at the start.

    Raises:
        ComponentError: CFG-001.
    """
    if config.benchmark == "none":
        return
    assert config.start is not None
    try:
        _value_of(config, strategy, provider)(to_instant(config.start))
    except MissingData as missing:
        way_out = "add the series, or write benchmark: none"
        raise ComponentError(
            "CFG-001", f"benchmark: {config.benchmark} has no series at the start: {missing.message}; {way_out}"
        ) from missing


def _benchmark(engine: EventDrivenStrategyEngine, provider: Any, days: Days) -> tuple[Days | None, str]:
    """The days of the benchmark, at the same closes as the run's; or why there are none."""
    config = engine.config
    if config.benchmark == "none" or not days.dates:
        return None, "benchmark: none"
    try:
        value = _value_of(config, engine.strategy, provider)
        first, last = engine.curve.instants[0], engine.curve.instants[-1]
        ends = [min(first // DAY_US * DAY_US + (day + 1) * DAY_US, last) for day in range(len(days.dates))]
        before, *closes = [to_units(value(instant)) for instant in (first, *ends)]
    except ComponentError as missing:
        return None, f"benchmark: {config.benchmark}: {missing.message}"
    returns = [close / then - 1 for then, close in zip((before, *closes), closes, strict=False)]
    return Days(days.dates, closes, returns), ""


def _value_of(config: Config, strategy: Strategy, provider: Any) -> Callable[[int], Decimal]:
    """What the benchmark is worth at an instant, in the share class currency."""
    source, currency = MarketSource(provider), CURRENCIES[config.share_class][0]
    assert config.start is not None
    if config.benchmark == "hold":
        base = _base_asset(config, strategy)
        return lambda instant: _in(currency, base, source.at(from_instant(instant)))
    token = LENT[config.share_class]
    lender = _lender(config, token, source.at(config.start))

    def index(instant: int) -> Decimal:
        market = source.at(from_instant(instant))
        row, stamp = market.lending(lender, token), market.row_stamp("lending", lender, token)
        since = Decimal(0 if stamp is None else instant - stamp)
        return row.liquidity_index * (1 + row.liquidity_rate * since / _YEAR_US)

    return index


def _lender(config: Config, token: str, market: MarketSnapshot) -> str:
    """The first lender with data: of those in the config, else Aave.

    Raises:
        MissingData: none has any.
    """
    *others, last = [*(kind_of(name, own) for name, own in config.venues.onchain.items()), "aave"]
    for name in others:
        try:
            market.lending(name, token)
        except MissingData:
            continue
        return name
    market.lending(last, token)
    return last


def _base_asset(config: Config, strategy: Strategy) -> str:
    """What the strategy trades: the base of its first spot or perp series, else the ether that it stakes.

    Raises:
        ComponentError: CFG-001, there is none.
    """
    for kind, _, name in strategy.needs(getattr(config.strategy, "parameters", config.strategy)):
        if kind in ("spot", "perp"):
            return base_of(name)
        if kind == "staking":
            return "ETH"
    raise ComponentError(
        "CFG-001",
        f"benchmark: hold needs a base asset, and {config.strategy_mode} names no spot or perp series; write benchmark: lend, or none",
    )
