"""What the market pays for a staked token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from basis_strategy_v1.core.market import MissingData
from basis_strategy_v1.core.tokens import SHARE_TOKENS

if TYPE_CHECKING:
    from decimal import Decimal

    from basis_strategy_v1.core.market import MarketSnapshot


def traded_rate(token: str, market: MarketSnapshot) -> Decimal | None:
    """ETH per staked token on a DEX; None where the data have no price of it.

    One that has no series of its own has the price of its other form: a wrapped token is so many of the rebasing one as its protocol says.
    """
    found = market.market_rate(token)
    if found is not None:
        return found
    staked = SHARE_TOKENS[token]
    is_wrapped = token == staked.wrapped
    other = staked.rebasing if is_wrapped else staked.wrapped
    traded = None if other is None else market.market_rate(other)
    if traded is None:
        return None
    try:
        rate = market.redemption(staked.protocol, staked.wrapped)
    except MissingData:  # nothing says how many shares it is
        return None
    return traded * rate if is_wrapped else traded / rate
