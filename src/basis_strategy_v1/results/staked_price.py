"""What the market pays for a staked token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from basis_strategy_v1.core.market import REDEEMED_BY, MissingData
from basis_strategy_v1.core.tokens import SHARE_TOKENS

if TYPE_CHECKING:
    from decimal import Decimal

    from basis_strategy_v1.core.market import MarketSnapshot

WRAPPED = {SHARE_TOKENS[wrapped]: wrapped for wrapped in REDEEMED_BY}


def traded_rate(token: str, market: MarketSnapshot) -> Decimal | None:
    """ETH per staked token on a DEX; None where the data have no price of it.

    One that has no series of its own has the price of its other form: a wrapped token is so many of the rebasing one as its protocol says.
    """
    found = market.market_rate(token)
    if found is not None:
        return found
    wrapped = WRAPPED.get(token, token)
    traded = market.market_rate(SHARE_TOKENS[token] if token == wrapped else wrapped)
    if traded is None:
        return None
    try:
        rate = market.redemption(REDEEMED_BY[wrapped][0], wrapped)
    except MissingData:  # nothing says how many shares it is
        return None
    return traded * rate if token == wrapped else traded / rate
