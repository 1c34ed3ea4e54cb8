"""Positions left open by a run that was to close them (`close_at_end`, `leave_at`, `basis unwind`): all but the share class's currency."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.market import DOLLAR_TOKENS, MissingData
from basis_strategy_v1.core.position_names import perp_name
from basis_strategy_v1.core.state import IN_TRANSIT, WALLET
from basis_strategy_v1.results.attribution import ETH_CLASS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.venues.venue import Exposure, PerpExposure

CURRENCIES = {ETH_CLASS: ("ETH", "WETH")}
# USD; exchanges take no smaller order, so that it is what lots and fees leave behind.
SMALLEST = Decimal(5)


def left_open(
    positions: Mapping[str, Mapping[str, Decimal]],
    exposures: Sequence[Exposure],
    perps: Sequence[PerpExposure],
    market: MarketSnapshot,
    *,
    share_class: str,
    gas_reserve: Decimal,
) -> list[dict[str, str]]:
    """`venue`, `token` and `amount` (token units) of each position that is still open, as in positions.csv.

    The currency is USDT or USDC, or ETH or WETH, at an exchange or in the wallet: not lent, queued or on its way. What is kept for gas
    (ETH of the wallet) and what no exchange takes an order for is not open either.
    """
    currency = CURRENCIES.get(share_class, DOLLAR_TOKENS)
    still = {(perp.venue, perp_name(perp.symbol)) for perp in perps}
    for held in exposures:
        is_free = held.held_as == held.token and held.venue != IN_TRANSIT
        is_for_gas = (held.venue, held.held_as) == (WALLET, "ETH") and held.amount <= gas_reserve
        if (is_free and held.token in currency) or is_for_gas or _is_small(held, market):
            continue
        still.add((held.venue, held.held_as))
    return [
        {"venue": venue, "token": token, "amount": plain(amount)}
        for venue, tokens in positions.items()
        for token, amount in tokens.items()
        if (venue, token) in still
    ]


def _is_small(held: Exposure, market: MarketSnapshot) -> bool:
    """Whether no exchange takes an order for it. What nobody prices may be worth anything."""
    try:
        return abs(held.amount) * market.price(held.token) < SMALLEST
    except MissingData:
        return False
