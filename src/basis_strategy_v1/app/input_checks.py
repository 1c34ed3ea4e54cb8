"""Values of a config that can be, and hardly are what was meant."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.config.faults import did_you_mean
from basis_strategy_v1.config.loading import raw_config
from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.settings import exact

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from basis_strategy_v1.config import Config

PARAMETERS = "strategy.parameters."
MOST_AS_FRACTION = 500  # bps: what would be more as a fraction was meant as a percentage


def small_bps(config: Config) -> list[str]:
    """A warning for each figure in bps that is written below 1."""
    return [_line(name, value) for name, value in _bps_in(config.raw, "") if 0 < value < 1]


def unknown_parameters(source: Any, changed: Iterable[str]) -> list[str]:
    """A warning for each parameter of a user's strategy that is set under its full name, and that the config (a file or a dict, without the
    changes) does not have. Where it has none at all, it is not known which there are."""
    names = [key.removeprefix(PARAMETERS).partition(".")[0] for key in changed if key.startswith(PARAMETERS)]
    section = raw_config(source).get("strategy") if names else None
    own = section.get("parameters") if isinstance(section, Mapping) else None
    known = [str(name) for name in own] if isinstance(own, Mapping) else []
    return [_unknown_line(name, known) for name in names if known and name not in known]


def _unknown_line(name: str, known: list[str]) -> str:
    meant = did_you_mean(name, known) or f"; it has {', '.join(known)}"
    return f"warning: {PARAMETERS}{name}: the config has no such parameter{meant}"


def _bps_in(value: Any, name: str) -> Iterator[tuple[str, Decimal]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _bps_in(inner, f"{name}.{key}" if name else str(key))
    elif name.endswith("_bps") and not isinstance(value, bool) and (number := exact(value)) is not None:
        yield name, number


def _line(name: str, value: Decimal) -> str:
    as_fraction = value * 10_000
    meant = as_fraction if as_fraction <= MOST_AS_FRACTION else value * 100
    return f"warning: {name}: {plain(value)} bps is {plain(value / 100)} %; did you mean {plain(meant)}?"
