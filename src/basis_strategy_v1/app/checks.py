"""What can be known to be wrong before a run: all of it at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.clock import SECOND_US, iso, to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError

if TYPE_CHECKING:
    from basis_strategy_v1.config import Config
    from basis_strategy_v1.strategies.strategy import Strategy


def require_series(config: Config, strategy: Strategy, provider: Any) -> None:
    """Refuse a run whose data lack a series that the strategy needs, at its start or at its end.

    Raises:
        ComponentError: DAT-001, a line for each series.
    """
    problems = series_problems(config, strategy, provider)
    if problems:
        raise ComponentError("DAT-001", "\n".join(problems))


def series_problems(config: Config, strategy: Strategy, provider: Any) -> list[str]:
    """A line for each series that is not there when it is needed."""
    if not hasattr(provider, "coverage"):
        return []
    needed = list(strategy.needs(config.strategy)) if hasattr(strategy, "needs") else []
    if _pays_gas(config):
        needed.append(("gas", "ethereum", "ethereum"))
    return [problem for key in dict.fromkeys(needed) if (problem := _problem(config, provider, key))]


def _pays_gas(config: Config) -> bool:
    on_chain = bool(config.venues.onchain or config.venues.dex)
    return on_chain and config.venues.onchain.get("wallet", {}).get("gas_price_gwei", "market") == "market"


def _problem(config: Config, provider: Any, key: tuple[str, str, str]) -> str | None:
    kind, venue, name = key
    assert config.start is not None and config.end is not None
    covered = provider.coverage(kind, venue, name)
    label = f"{kind} of {venue} for {name}"
    if covered is None:
        return f"no {label}; {provider.what_there_is(kind, venue)}"
    first, last = covered
    if first > to_instant(config.start):
        return f"{label} begins at {iso(first)}, the run at {iso(config.start)}: start later or bring earlier data"
    allowed = int(config.data.max_staleness.total_seconds()) * SECOND_US
    if last + allowed < to_instant(config.end):
        return f"{label} ends at {iso(last)}, the run at {iso(config.end)}: end earlier or bring later data"
    return None
