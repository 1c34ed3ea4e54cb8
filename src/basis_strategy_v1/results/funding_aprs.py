"""What funding paid in the last day: the market, by perp, and the strategy on its whole equity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from basis_strategy_v1.core.clock import DAY_US
from basis_strategy_v1.core.error_codes.exceptions import ComponentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from basis_strategy_v1.core.market import MarketSnapshot

DAY_HOURS, YEAR_US = 24, 365 * DAY_US
OWN = "own"


class FundingLook(NamedTuple):
    """Fractions a year at an instant, by `VENUE_SYMBOL` and of the strategy itself (`own`), None where not known; its funding up to then,
    and its equity."""

    instant: int
    aprs: Mapping[str, float | None]
    received: float
    equity: float


def look_at_funding(
    before: FundingLook | None, market: MarketSnapshot, perps: Iterable[tuple[str, str]], received: float, equity: float
) -> FundingLook:
    """A look once a day, at its first step.

    `perps` are (venue, symbol); theirs is the mean rate of the last 24 hours. `own` is what was received since the look before, over the
    equity then; `received` is cumulative, in the unit of `equity`.
    """
    aprs = {f"{venue}_{symbol}": _mean(market, venue, symbol) for venue, symbol in sorted(perps)}
    if aprs:
        aprs[OWN] = None if before is None else _own(before, received, market.instant)
    return FundingLook(market.instant, aprs, received, equity)


def joined_looks(before: FundingLook | None, looks: Sequence[FundingLook], idle: float) -> FundingLook | None:
    """The look at several strategies as one, `idle` being equity that none of them has. `before` is the look the last time, and stays until
    they are looked at again."""
    if not looks or (before is not None and before.instant == looks[0].instant):
        return before
    instant, received, equity = looks[0].instant, sum(look.received for look in looks), sum((look.equity for look in looks), idle)
    aprs = {name: apr for look in looks for name, apr in look.aprs.items()}
    if OWN in aprs:
        aprs[OWN] = None if before is None else _own(before, received, instant)
    return FundingLook(instant, aprs, received, equity)


def _own(before: FundingLook, received: float, instant: int) -> float | None:
    return (received - before.received) / before.equity * YEAR_US / (instant - before.instant) if before.equity > 0 else None


def _mean(market: MarketSnapshot, venue: str, symbol: str) -> float | None:
    try:
        mean = market.mean_funding(venue, symbol, DAY_HOURS)
    except ComponentError:  # the data have no funding of it
        return None
    return None if mean is None else float(mean)
