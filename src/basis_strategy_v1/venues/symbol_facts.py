"""What exchanges ask for by symbol: margin tiers and the smallest perp order, each with its source and the date on which it was true.

An exchange without rows here has no usable public source by symbol: its own row of `exchanges.py` holds for every symbol that it has.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from basis_strategy_v1.core.figure import Figure

D = Decimal
ANY = D("Infinity")


class Tier(NamedTuple):
    """Maintenance margin of the part of a notional up to `notional` (settlement token), and the most leverage of a whole notional up to
    there; the last tier is open."""

    notional: Decimal
    maintenance_bps: Decimal
    leverage: Decimal = ANY


class FigureSource(NamedTuple):
    """Where figures come from: what they are, who published them, and when they were true."""

    figures: str
    source: str
    as_of: str


def tiers(*rows: tuple[str, int]) -> Figure[tuple[Tier, ...]]:
    """(notional up to, bps), for all symbols."""
    return Figure(tuple(Tier(D(notional), D(bps)) for notional, bps in rows))


def _millions(*rows: tuple[str, str, int]) -> tuple[Tier, ...]:
    """(notional up to in millions, bps, leverage)."""
    return tuple(Tier(D(notional) * 1_000_000, D(bps), D(leverage)) for notional, bps, leverage in rows)


def _half_of_initial(*rows: tuple[str, int]) -> tuple[Tier, ...]:
    """(notional up to in millions, leverage): maintenance is half of the initial margin at the tier's leverage."""
    return tuple(Tier(D(notional) * 1_000_000, D(10_000) / (2 * leverage), D(leverage)) for notional, leverage in rows)


_BINANCE_TIERS = FigureSource(
    "maintenance tiers and leverage",
    "GitHub freqtrade/freqtrade, freqtrade/exchange/binance_leverage_tiers.json at 01d10aeb: the exchange's own answer, with the contracts "
    "of 2024-09-27 and 2024-12-27 as the next two",
    "2024-09",
)
_BINANCE_BTC_ORDER = FigureSource(
    "smallest perp order", "GitHub TheFourGreatErrors/alpha-rptr#77: the exchange's error -4164 of BTCUSDT names 100", "2024-07-30"
)
_BINANCE_ETH_ORDER = FigureSource(
    "smallest perp order", "GitHub terryso/nof1-tracker#28: the exchange's error -4164 of ETHUSDT names 20", "2025-10-29"
)
_HYPERLIQUID_TIERS = FigureSource(
    "maintenance tiers and leverage",
    "Hyperliquid Docs, Margin tiers; the same in its meta answer (crates.io df-hyperliquid-core, fixtures/perps/meta_mainnet.json)",
    "2026-09-27",
)

SYMBOL_TIERS: dict[str, dict[str, tuple[Tier, ...]]] = {
    "binance": {
        "BTC": _millions(
            ("0.05", "40", 125), ("0.6", "50", 100), ("3", "65", 75), ("12", "100", 50), ("70", "200", 25), ("100", "250", 20),
            ("230", "500", 10), ("480", "1000", 5), ("600", "1250", 4), ("800", "1500", 3), ("1200", "2500", 2), ("Infinity", "5000", 1),
        ),
        "ETH": _millions(
            ("0.05", "40", 125), ("0.6", "50", 100), ("3", "65", 75), ("12", "100", 50), ("50", "200", 25), ("65", "250", 20),
            ("150", "500", 10), ("320", "1000", 5), ("400", "1250", 4), ("530", "1500", 3), ("800", "2500", 2), ("Infinity", "5000", 1),
        ),
    },
    "hyperliquid": {"BTC": _half_of_initial(("150", 40), ("Infinity", 20)), "ETH": _half_of_initial(("100", 25), ("Infinity", 15))},
}  # fmt: skip

SMALLEST_PERP_ORDERS: dict[str, dict[str, Decimal]] = {"binance": {"BTC": D(100), "ETH": D(20)}}

SOURCES: dict[str, dict[str, tuple[FigureSource, ...]]] = {
    "binance": {"BTC": (_BINANCE_TIERS, _BINANCE_BTC_ORDER), "ETH": (_BINANCE_TIERS, _BINANCE_ETH_ORDER)},
    "hyperliquid": {"BTC": (_HYPERLIQUID_TIERS,), "ETH": (_HYPERLIQUID_TIERS,)},
}


def by_symbol(exchange: str, public: Figure[tuple[Tier, ...]]) -> Figure[tuple[Tier, ...]]:
    """The tiers of an exchange, with those of each symbol that has its own."""
    return Figure(public.value, {base: Figure(own) for base, own in SYMBOL_TIERS[exchange].items()})


def leverage_by_symbol(exchange: str, public: Decimal) -> Figure[Decimal]:
    """The most leverage at an exchange, by symbol that of its first tier."""
    return Figure(public, {base: Figure(own[0].leverage) for base, own in SYMBOL_TIERS[exchange].items()})


def smallest_perp_orders(exchange: str, public: Decimal) -> Figure[Decimal]:
    return Figure(public, {base: Figure(own) for base, own in SMALLEST_PERP_ORDERS[exchange].items()})
