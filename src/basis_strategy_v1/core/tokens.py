"""Tokens on chain: how many decimals they have."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal

DECIMALS = {"USDT": 6, "USDC": 6, "WBTC": 8}
STANDARD_DECIMALS = 18


def decimals_of(token: str) -> int:
    """18 where the table does not say otherwise. An aToken or debt token has those of its underlying."""
    return DECIMALS.get(token, STANDARD_DECIMALS)


def to_units(token: str, amount: Decimal) -> int:
    """Base units of an amount; what is below one base unit is left with its owner."""
    return int(amount.scaleb(decimals_of(token)).to_integral_value(rounding=ROUND_DOWN))


def to_amount(token: str, units: int) -> Decimal:
    """Token units of base units, exact."""
    return Decimal(units).scaleb(-decimals_of(token))
