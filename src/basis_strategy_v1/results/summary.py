"""`summary.json`: what a run came to."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.clock import DAY_US, iso, to_instant
from basis_strategy_v1.results.attribution import SOURCES, to_unit
from basis_strategy_v1.results.recorder import text_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from basis_strategy_v1.config import Config

FRACTION = Decimal("1e-12")
YEAR_DAYS = 365


def run_id_of(config: Config) -> str:
    """The name of a run: its mode and the first digits of the hash of its effective config, without paths and secrets."""
    return f"{config.strategy_mode}-{config.hash[:12]}"


def annualised(initial: Decimal, final: Decimal, start: datetime, end: datetime) -> Decimal:
    """The return a year (365 days), compounded; simple where nothing compounds any more (a loss of everything)."""
    days = Decimal(to_instant(end) - to_instant(start)) / DAY_US
    if not days or initial <= 0:
        return Decimal(0)
    growth = final / initial
    if growth <= 0:
        return Decimal(-1)
    # The float power is the same on every machine to far more digits than these.
    return Decimal(repr(round(float(growth) ** (YEAR_DAYS / float(days)) - 1, 12)))


def summary_of(
    config: Config,
    *,
    initial: Decimal,
    final: Decimal,
    at_market: Decimal,
    totals: Mapping[str, Decimal],
    max_drawdown: Decimal,
    routed: int,
    failed: int,
    data: Mapping[str, Any],
    skipped: Sequence[Any],
    assumptions: Sequence[str],
    missing_funding: Sequence[tuple[str, datetime]],
) -> dict[str, Any]:
    """The summary; money as text in the share class currency, fractions as numbers' text."""
    assert config.start is not None and config.end is not None
    attribution = {source: text_of(totals[source]) for source in SOURCES}
    return {
        "run_id": run_id_of(config),
        "strategy_mode": config.strategy_mode,
        "share_class": config.share_class,
        "start": iso(config.start),
        "end": iso(config.end),
        "initial_equity": text_of(initial),
        "final_equity": text_of(final),
        "final_equity_at_market": text_of(to_unit(at_market)),
        "pnl": text_of(final - initial),
        "attribution": attribution,
        "max_drawdown": format(max_drawdown.quantize(FRACTION), "f"),
        "annualised_return": format(annualised(initial, final, config.start, config.end), "f"),
        "instructions_routed": routed,
        "instructions_failed": failed,
        "config_hash": config.hash,
        "data": dict(data),
        "assumptions": list(assumptions),
        "missing_funding": [{"series": series, "timestamp": iso(at)} for series, at in missing_funding],
        "skipped": [{"timestamp": at, "reason": reason} for at, reason in skipped],
    }

