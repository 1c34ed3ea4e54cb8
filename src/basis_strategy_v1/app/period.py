"""The time of a backtest whose config leaves `start` or `end` out: what all series that the strategy needs cover."""

from __future__ import annotations

import decimal
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.app.checks import missing_series
from basis_strategy_v1.config import ConfigError, load_config
from basis_strategy_v1.config.faults import Fault
from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.clock import HOUR_US, MICROSECOND, iso
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.data.cadence import missed_payments
from basis_strategy_v1.venues.cex import FUNDING_STAMP_TOLERANCE_US

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from basis_strategy_v1.config import Config

NO_SERIES = "a time, such as 2024-06-01; the data say it only for the series in needs(self, parameters), and this strategy names none"


def load_with_period(
    config: Any,
    open_data: Callable[[Config], Any],
    strategy_of: Callable[[Config], Any],
    changes: Mapping[str, Any] = MappingProxyType({}),
    code: str = "",
) -> Config:
    """The config of a backtest, with the start and the end that it leaves out, where the strategy's needs and the data say them.

    The start is the first whole interval at which a row of each series can be seen, or `warmup` later, the end the last; a payment of
    funding that is stamped a little later is within.

    Raises:
        ConfigError: CFG-001 with all faults at once; that the time is missing only where nothing else is wrong.
        ComponentError: why the strategy and the data do not say the time.
    """
    found: Mapping[str, str] = {}
    cause: ComponentError | None = None
    try:
        found = missing_ends(config, open_data, strategy_of, changes, code)
    except ComponentError as error:
        cause = error
    try:
        return load_config(config, run=True, changes={**changes, **found}, code=code)
    except ConfigError as error:
        others = other_faults(error)
        raise (ConfigError(others) if others else cause or error) from None


def other_faults(error: ConfigError) -> list[Fault]:
    """What is wrong with a config other than that it has no start or no end."""
    return [fault for fault in error.faults if not (fault.path in ("start", "end") and fault.value == "missing")]


def missing_ends(
    config: Any, open_data: Callable[[Config], Any], strategy_of: Callable[[Config], Any], changes: Mapping[str, Any], code: str
) -> Mapping[str, str]:
    """The start and the end that a config leaves out, as its data say them; nothing where something else is wrong with the config, which is
    left to those who read it next.

    Raises:
        ComponentError: why there is none: the data, a series or the strategy cannot be used, no series is there, or none is named.
    """
    try:
        load_config(config, run=True, changes=changes, code=code)
        return {}  # both are given
    except ConfigError as error:
        if other_faults(error):
            return {}
    settings = load_config(config, changes=changes, code=code)
    given = {"start": settings.start, "end": settings.end}
    missing = [name for name, at in given.items() if at is None]
    with decimal.localcontext(EXACT):
        strategy = strategy_of(settings)
    provider = open_data(settings)
    if not hasattr(provider, "coverage"):
        return {}
    keys = list(dict.fromkeys(strategy.needs(settings.strategy))) if hasattr(strategy, "needs") else []
    if not keys:
        raise ConfigError(Fault(name, "missing", NO_SERIES) for name in missing)
    step = settings.interval // MICROSECOND
    ends = _ends(provider, keys, step)
    warmup = -(-((settings.warmup or timedelta()) // MICROSECOND) // step) * step
    found = {"start": max(first for first, _ in ends) + warmup, "end": min(last for _, last in ends)}
    return {name: iso(found[name]) for name in missing}


def _ends(provider: Any, keys: list[tuple[str, str, str]], step: int) -> list[tuple[int, int]]:
    """The first and the last whole step of each series that is there; what else is wrong is left to the check of the whole run.

    Raises:
        ComponentError: a line for each series, where none is there or one cannot be read.
    """
    ends, problems, is_malformed = [], [], False
    for key in keys:
        try:
            covered = provider.coverage(*key)
        except ComponentError as unreadable:
            problems.append(unreadable)
            is_malformed = True
            continue
        if covered is None:
            problems.append(ComponentError("DAT-001", missing_series(provider, key)))
        else:
            ends.append((-(-covered[0] // step) * step, _last_step(provider, key, covered[1], step)))
    if is_malformed or not ends:
        raise ComponentError(problems[0].error_code, "\n".join(problem.message for problem in problems))
    return ends


def _last_step(provider: Any, key: tuple[str, str, str], last: int, step: int) -> int:
    """The last whole step that a series reaches. A payment stamped a little after the full hour is paid at its stamp: the step after it,
    if no other payment is due until then."""
    before, after = last // step * step, -(-last // step) * step
    if key[0] != "funding" or not 0 < last % HOUR_US <= FUNDING_STAMP_TOLERANCE_US:
        return before
    found = provider.rows_visible(*key, last) if hasattr(provider, "rows_visible") else None
    return before if found is not None and any(missed > last for missed in missed_payments(found[1], after)) else after
