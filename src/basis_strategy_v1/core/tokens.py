"""Tokens on chain: how many decimals they have."""

from __future__ import annotations

from decimal import Decimal

from basis_strategy_v1.core.amounts import EXACT

DECIMALS = {"USDT": 6, "USDC": 6, "WBTC": 8}
STANDARD_DECIMALS = 18


def decimals_of(token: str) -> int:
    """18 where the table does not say otherwise. Of an aToken or a debt token, ask for those of its underlying."""
    return DECIMALS.get(token, STANDARD_DECIMALS)


def to_units(token: str, amount: Decimal) -> int:
    """Base units of an amount; what is below one base unit is left with its owner."""
    return int(amount.scaleb(decimals_of(token), EXACT))


def to_amount(token: str, units: int) -> Decimal:
    """Token units of base units, exact."""
    return Decimal(units).scaleb(-decimals_of(token), EXACT)
