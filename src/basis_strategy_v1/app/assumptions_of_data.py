"""The assumptions of a run that follow from its data: sentences for its summary."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.clock import HOUR_US, MICROSECOND, to_instant
from basis_strategy_v1.data.layout import spec_of
from basis_strategy_v1.execution.market_events import exchanges_of, recorded_events

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from basis_strategy_v1.config import Config
    from basis_strategy_v1.engine import EventDrivenStrategyEngine


def assumptions_of_data(engine: EventDrivenStrategyEngine, provider: Any, stale: Sequence[tuple[str, int, int]]) -> list[str]:
    """What was taken for granted because of what the data have and lack. `stale`: (series, from, until before) of prices that stood
    still."""
    used = getattr(provider, "series_used", ())
    return [
        *_judged_within_bars(engine, used),
        *_figures_of_symbols(engine.config, used),
        *_events(engine.config, provider),
        *_marks(engine.config, used),
        *_gaps_named(stale),
        *_dollars(getattr(provider, "counted_as_dollar", ())),
    ]


def _judged_within_bars(engine: EventDrivenStrategyEngine, series_used: Iterable[str]) -> list[str]:
    """A line where steps lie within bars of perps: what came first in such a bar, the trade or the price, is not known."""
    grid = (to_instant(engine.start), to_instant(engine.end), engine.config.interval // MICROSECOND)
    instants = (*grid, *getattr(engine.strategy, "instants", ()))
    specs = [spec for name in series_used if (spec := spec_of(name)) is not None and spec.key.kind == "perp"]
    split = [spec.id for spec in specs if any(instant % spec.interval_us for instant in instants)]
    if not split:
        return []
    return [
        f"Steps lie within the bars of {', '.join(split)}. A whole bar counts against the positions when it closes: a perp may be "
        "liquidated by a high or low from before it was opened or enlarged, and one that is closed within the bar is not liquidated by it."
    ]


def _figures_of_symbols(config: Config, series_used: Iterable[str]) -> list[str]:
    """A line for each perp whose figures are another symbol's, and for each exchange whose figures are not by symbol."""
    keys = sorted({spec.key for name in series_used if (spec := spec_of(name)) is not None and spec.key.kind == "perp"})
    found = []
    for name, settings in config.venues.cex.items():
        row = settings.row(name, config.alike)
        own = [key.name for key in keys if key.venue == row.name]
        found += [
            f"{name}: {symbol} is taken to have the figures of {row.alike[symbol]} (assume): margin, orders and fees."
            for symbol in own
            if symbol in row.alike
        ]
        if own and not row.sources:
            found.append(f"{name}: margin tiers, leverage and smallest order are not by symbol: one table of {row.as_of} for all.")
    return found


def _marks(config: Config, series_used: Iterable[str]) -> list[str]:
    """A line for each exchange: by which prices its perps pay funding and are liquidated."""
    keys = {spec.key for name in series_used if (spec := spec_of(name)) is not None}
    found = []
    for name, settings in config.venues.cex.items():
        row = settings.row(name, config.alike)
        for symbol in sorted(key.name for key in keys if key.kind == "perp" and key.venue == row.name):
            by_kind = {
                kind: f"its {kind}" if (kind, row.name, symbol) in keys else "its last price" for kind in ("mark", row.funding_price)
            }
            funding, liquidation = by_kind[row.funding_price], by_kind["mark"]
            found.append(f"{symbol} at {name} pays funding on {funding}, and is liquidated by {liquidation}.")
    return found


def _events(config: Config, provider: Any) -> Iterator[str]:
    """A line for each exchange of which the data have events, and for a stress."""
    for exchange in exchanges_of(config):
        kinds = Counter(type(event).__name__.lower() for event in recorded_events(provider, exchange))
        if kinds:
            said = ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))
            yield f"{exchange}: {said} from events/{exchange} (in all of the data up to the end)."
    if (move := config.stress.adl_on_move_over) is not None:
        yield (
            f"stress: after a move of more than {plain(move * 100)} % in a day the side that gains is deleveraged by a share of chance "
            f"(seed {config.stress.seed})."
        )


def _dollars(tokens: Iterable[str]) -> list[str]:
    return [f"{token} counts as 1 USDT: the data have no spot series {token}USDT." for token in tokens]


def _gaps_named(stale: Sequence[tuple[str, int, int]]) -> list[str]:
    """A line for each series with gaps."""
    hours: dict[str, list[int]] = {}
    for series, start, end in stale:
        hours.setdefault(series, []).append(end - start)
    return [
        f"{series} has {len(spans)} gap{'s'[: len(spans) > 1]} of {(lost := sum(spans) // HOUR_US)} hour{'s'[: lost != 1]} in all: "
        "there its last price values positions, and no trade is opened on it."
        for series, spans in hours.items()
    ]
