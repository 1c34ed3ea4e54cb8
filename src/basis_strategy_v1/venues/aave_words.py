"""The integers of an Aave pool as a person reads them, for the reasons of a refusal."""

from __future__ import annotations

from decimal import Decimal

from basis_strategy_v1.core.amounts import EXACT, plain

CENT_BASE = 10**6  # the base currency is USD with 8 decimals
MILLIONTH_WAD = 10**12


def in_tokens(units: int, decimals: int) -> str:
    """Base units as an amount of the token, exact."""
    return plain(EXACT.scaleb(Decimal(units), -decimals))


def in_usd(base: int) -> str:
    """A value in the base currency, down to whole cents."""
    return in_cents(base // CENT_BASE)


def in_usd_at_least(base: int) -> str:
    """A value in the base currency that is needed: up to whole cents, so that what falls short of it never reads the same."""
    return in_cents(-(-base // CENT_BASE))


def in_cents(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d} USD"


def in_percent(bps: int) -> str:
    return f"{bps // 100}.{bps % 100:02d} %"


def in_millionths(wad: int) -> str:
    """A health factor, rounded down, so that what is below 1 never reads 1."""
    millionths = wad // MILLIONTH_WAD
    return f"{millionths // 10**6}.{millionths % 10**6:06d}"
