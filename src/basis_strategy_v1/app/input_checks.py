"""Values of a config that can be, and hardly are what was meant."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.settings import exact

if TYPE_CHECKING:
    from collections.abc import Iterator

    from basis_strategy_v1.config import Config

MOST_AS_FRACTION = 500  # bps: what would be more as a fraction was meant as a percentage


def small_bps(config: Config) -> list[str]:
    """A warning for each figure in bps that is written below 1."""
    return [_line(name, value) for name, value in _bps_in(config.raw, "") if 0 < value < 1]


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
