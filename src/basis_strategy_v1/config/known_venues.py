"""The names of the venues that a config may use, by the kind of interface that reaches them."""

from __future__ import annotations

KNOWN_VENUES: dict[str, tuple[str, ...]] = {
    "cex": ("binance", "bybit", "okx", "hyperliquid"),
    "dex": ("uniswap", "curve"),
    "onchain": ("aave", "morpho", "lido", "etherfi", "wallet"),
}


def exchange_of(name: str) -> str:
    """The exchange behind a configured name: `binance` for `binance_perp`."""
    return name.partition("_")[0]


def is_known(kind: str, name: str) -> bool:
    """Whether `name` may stand under `venues.<kind>`; an exchange may stand there several times, as `binance_spot`, `binance_perp`."""
    return (exchange_of(name) if kind == "cex" else name) in KNOWN_VENUES[kind]
