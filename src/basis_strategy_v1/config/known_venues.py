"""The names of the venues that a config may use, by the kind of interface that reaches them."""

from __future__ import annotations

from basis_strategy_v1.venues.registry import known_names
from basis_strategy_v1.venues.venue import CEX, DEX, ONCHAIN

KNOWN_VENUES: dict[str, tuple[str, ...]] = {kind: known_names(kind) for kind in (CEX, DEX, ONCHAIN)}


def exchange_of(name: str) -> str:
    """The exchange behind a configured name: `binance` for `binance_perp`."""
    return name.partition("_")[0]


def is_known(kind: str, name: str) -> bool:
    """Whether `name` may stand under `venues.<kind>`; an exchange may stand there several times, as `binance_spot`, `binance_perp`."""
    return (exchange_of(name) if kind == "cex" else name) in KNOWN_VENUES[kind]
