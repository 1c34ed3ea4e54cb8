"""`summary.json`: the result of a run."""

from __future__ import annotations

from decimal import Decimal
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.attribution_sources import SOURCES
from basis_strategy_v1.core.clock import DAY_US, iso, to_instant
from basis_strategy_v1.core.version import VERSION
from basis_strategy_v1.results.attribution import units_text
from basis_strategy_v1.results.daily import YEAR_DAYS, too_short

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from basis_strategy_v1.config import Config
    from basis_strategy_v1.results.metrics import Measured

FRACTION = Decimal("1e-12")


def run_id_of(config: Config, data: str | None = None, neighbours: str = "") -> str:
    """The name of a run: its mode, and the first digits of a hash of its effective config (without paths and secrets), of its data's
    fingerprint, of the code's version, and of the files that a user's strategy imports from its own folder.

    Without data it is of the config alone: a live run goes on under its name with a newer version.
    """
    if data is None:
        return f"{config.strategy_mode}-{config.hash[:12]}"
    parts = " ".join((config.hash, data, VERSION, neighbours))
    return f"{config.strategy_mode}-{sha256(parts.encode()).hexdigest()[:12]}"


def annualised(initial: int, final: int, start: datetime, end: datetime) -> tuple[Decimal | None, str]:
    """(the return a year of 365 days, compounded, a fraction; why there is none, or nothing).

    A loss of everything is -1. None for a run of fewer than 30 days, of which a year says nothing, and where it is beyond any number.
    """
    if why := too_short(to_instant(start), to_instant(end)):
        return None, why
    days = Decimal(to_instant(end) - to_instant(start)) / DAY_US
    if initial <= 0:
        return None, "the run began with nothing"
    growth = Decimal(final) / Decimal(initial)
    if growth <= 0:
        return Decimal(-1), ""
    try:
        # The float power is the same on every machine to far more digits than these.
        return Decimal(repr(round(float(growth) ** (YEAR_DAYS / float(days)) - 1, 12))), ""
    except OverflowError:
        return None, "it is larger than any number that is kept"


def summary_of(
    config: Config,
    *,
    run_id: str,
    initial: int,
    final: int,
    at_market: int,
    totals: Mapping[str, int],
    max_drawdown: Decimal,
    measured: Measured,
    by_reason: Sequence[Mapping[str, Any]],
    waited: Sequence[Mapping[str, Any]],
    stale_marks: Sequence[tuple[str, int, int]],
    routed: int,
    failed: int,
    data: Mapping[str, Any],
    skipped: Sequence[Any],
    assumptions: Sequence[str],
    missing_funding: Sequence[tuple[str, datetime]],
    left_open: Sequence[Mapping[str, str]],
    liquidations: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The summary. Money comes in units of 1e-12 and goes out as text in the share class currency, fractions as text; the metrics are
    numbers. The drawdown is over every step whose prices were not stale."""
    assert config.start is not None and config.end is not None
    a_year, why = annualised(initial, final, config.start, config.end)
    attribution = {source: units_text(totals[source]) for source in SOURCES}
    return {
        "run_id": run_id,
        "strategy_mode": config.strategy_mode,
        "share_class": config.share_class,
        "start": iso(config.start),
        "end": iso(config.end),
        "initial_equity": units_text(initial),
        "final_equity": units_text(final),
        "final_equity_at_market": units_text(at_market),
        "pnl": units_text(final - initial),
        "attribution": attribution,
        "max_drawdown": format(max_drawdown.quantize(FRACTION), "f"),
        "annualised_return": None if a_year is None else format(a_year, "f"),
        **({"annualised_return_reason": why} if why else {}),
        "instructions_routed": routed,
        "instructions_failed": failed,
        "metrics": measured.metrics,
        "metrics_reasons": measured.reasons,
        "drawdowns": measured.drawdowns,
        "monthly": measured.monthly,
        "by_reason": list(by_reason),
        "waited": list(waited),
        "config_hash": config.hash,
        "data": dict(data),
        "assumptions": list(assumptions),
        "missing_funding": [{"series": series, "timestamp": iso(at)} for series, at in missing_funding],
        "stale_marks": [{"series": series, "from": iso(start), "until": iso(end)} for series, start, end in stale_marks],
        "skipped": [{"timestamp": at, "reason": reason} for at, reason in skipped],
        "left_open": [dict(row) for row in left_open],
        "liquidations": [dict(row) for row in liquidations],
    }
