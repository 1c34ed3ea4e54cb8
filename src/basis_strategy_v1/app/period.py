"""The time of a backtest whose config leaves `start` or `end` out: what all series that the strategy needs cover."""

from __future__ import annotations

import decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.config import ConfigError, load_config
from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.clock import MICROSECOND, iso
from basis_strategy_v1.core.error_codes.exceptions import ComponentError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from basis_strategy_v1.config import Config


def load_with_period(
    config: Any,
    open_data: Callable[[Config], Any],
    strategy_of: Callable[[Config], Any],
    changes: Mapping[str, Any] = MappingProxyType({}),
    code: str = "",
) -> Config:
    """The config of a backtest, with the start and the end that it leaves out, where the strategy's needs and the data say them.

    The start is the first whole interval at which a row of each series can be seen, the end the last.

    Raises:
        ConfigError: CFG-001 with all faults at once; that the time is missing only where nothing else is wrong.
    """
    changes = {**changes, **_missing_ends(config, open_data, strategy_of, changes, code)}
    try:
        return load_config(config, run=True, changes=changes, code=code)
    except ConfigError as error:
        others = [fault for fault in error.faults if not (fault.path in ("start", "end") and fault.value == "missing")]
        raise ConfigError(others or error.faults) from None


def _missing_ends(
    config: Any, open_data: Callable[[Config], Any], strategy_of: Callable[[Config], Any], changes: Mapping[str, Any], code: str
) -> Mapping[str, str]:
    """What is wrong with the config, the strategy or the data is left to those who read them next."""
    try:
        settings = load_config(config, changes=changes, code=code)
        given = {"start": settings.start, "end": settings.end}
        if None not in given.values():
            return {}
        with decimal.localcontext(EXACT):
            strategy = strategy_of(settings)
        provider = open_data(settings)
        if not hasattr(strategy, "needs") or not hasattr(provider, "coverage"):
            return {}
        ends = [pair for key in dict.fromkeys(strategy.needs(settings.strategy)) if (pair := provider.coverage(*key))]
    except (ConfigError, ComponentError):
        return {}
    if not ends:
        return {}
    step = settings.interval // MICROSECOND
    found = {"start": -(-max(first for first, _ in ends) // step) * step, "end": min(last for _, last in ends) // step * step}
    return {name: iso(found[name]) for name, at in given.items() if at is None}
