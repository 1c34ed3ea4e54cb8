"""Tokens on chain: how many decimals they have, and those of staked ether, which are kept in shares."""

from __future__ import annotations

from decimal import ROUND_DOWN, Context, Decimal
from typing import NamedTuple

from basis_strategy_v1.core.amounts import EXACT

WETH = "WETH"
DECIMALS = {"USDT": 6, "USDC": 6, "WBTC": 8}
STANDARD_DECIMALS = 18


class Staked(NamedTuple):
    """What is staked at a protocol, as tokens. `wrapped` is a share, redeemed for `underlying` at the rate that the protocol publishes;
    `rebasing` is the same share as a balance that is rebased, None where there is no such token.

    One request at the queue is for at most `largest_request` of the underlying; None: any amount.
    """

    protocol: str
    rebasing: str | None
    wrapped: str
    largest_request: Decimal | None = None
    underlying: str = "ETH"


# All that is known of a staked token is a row here; what others need of it follows.
STAKED = (
    Staked("lido", "stETH", "wstETH", largest_request=Decimal(1000)),
    Staked("etherfi", "eETH", "weETH"),
)
STAKED_AT = {row.protocol: row for row in STAKED}
SHARE_TOKENS = {token: row for row in STAKED for token in (row.rebasing, row.wrapped) if token is not None}
REBASING = tuple(row.rebasing for row in STAKED if row.rebasing is not None)

# Whatever the caller's decimal context rounds to.
_multiply = EXACT.multiply
_quantize = Context(prec=2 * EXACT.prec, rounding=ROUND_DOWN).quantize
_STANDARD_UNITS, _STANDARD_UNIT = Decimal(10**STANDARD_DECIMALS), Decimal((0, (1,), -STANDARD_DECIMALS))
_UNITS = {token: Decimal(10**decimals) for token, decimals in DECIMALS.items()}
_UNIT = {token: Decimal((0, (1,), -decimals)) for token, decimals in DECIMALS.items()}


def decimals_of(token: str) -> int:
    """18 where the table does not say otherwise. Of an aToken or a debt token, ask for those of its underlying."""
    return DECIMALS.get(token, STANDARD_DECIMALS)


def to_units(token: str, amount: Decimal) -> int:
    """Base units of an amount; what is below one base unit is left with its owner."""
    return int(_multiply(amount, _UNITS.get(token, _STANDARD_UNITS)))


def in_base_units(token: str, amount: Decimal) -> Decimal:
    """The amount without what is below one base unit: `to_amount(token, to_units(token, amount))`."""
    return _quantize(amount, _UNIT.get(token, _STANDARD_UNIT))


def to_amount(token: str, units: int) -> Decimal:
    """Token units of base units, exact."""
    return _multiply(units, _UNIT.get(token, _STANDARD_UNIT))
