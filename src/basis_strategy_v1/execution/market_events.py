"""What happens at the exchanges of a run: as its config and its data have it, and as a stress makes it up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.clock import HOUR_US, MICROSECOND, to_instant
from basis_strategy_v1.venues.exchange_events import ExchangeEvent, event_of, stressed
from basis_strategy_v1.venues.registry import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from basis_strategy_v1.config import Config

DAY_H = 24


def exchanges_of(config: Config) -> tuple[str, ...]:
    """The exchanges whose prices a run uses, each once."""
    return tuple(dict.fromkeys(kind_of(name, own) for name, own in config.venues.cex.items()))


def events_at(config: Config, provider: Any, exchange: str) -> Iterator[ExchangeEvent]:
    """The events of an exchange; `provider` is any source of market data.

    Raises:
        ComponentError: DAT-003, a row of `events/<exchange>` is wrong.
    """
    yield from config.listing_changes
    yield from recorded_events(provider, exchange)
    if config.stress.adl_on_move_over is not None:
        yield from _stress(config, provider, exchange)


def recorded_events(provider: Any, exchange: str) -> Iterator[ExchangeEvent]:
    """Those in the data."""
    found = provider.exchange_events(exchange) if hasattr(provider, "exchange_events") else None
    if found is not None:
        series, rows = found
        yield from (event_of(series, at, row) for at, row in rows)


def _stress(config: Config, provider: Any, exchange: str) -> Iterator[ExchangeEvent]:
    """Of each perp of the exchange that the data have prices of, from a day before the start to the end."""
    move, start, end = config.stress.adl_on_move_over, config.start, config.end
    if move is None or start is None or end is None or not hasattr(provider, "snapshot"):
        return
    market, hours = provider.snapshot(end), (end - start) // MICROSECOND / HOUR_US + DAY_H
    for symbol in market.names("perp", exchange):
        closes = market.history("perp", exchange, symbol, hours)
        yield from (event for event in stressed(exchange, symbol, closes, move, config.stress.seed) if event.at >= to_instant(start))
