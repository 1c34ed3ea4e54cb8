"""What liquidators do to our account in an Aave pool when its health factor is below 1."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.tokens import to_amount
from basis_strategy_v1.venues.aave_account import WAD, Pool, UserAccount, account_data, balance_of, debt_of
from basis_strategy_v1.venues.aave_liquidation import liquidation_call
from basis_strategy_v1.venues.aave_names import debt_name, deposit_name
from basis_strategy_v1.venues.aave_pool import ALL
from basis_strategy_v1.venues.aave_state import Units
from basis_strategy_v1.venues.reverted import Reverted
from basis_strategy_v1.venues.venue import Settlement

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# In one instant; each at least halves a debt or empties a collateral.
MOST_LIQUIDATIONS = 8


class Liquidated(NamedTuple):
    """An account after one liquidation; `health_wad` was its health factor before."""

    user: UserAccount
    collateral: str
    debt: str
    health_wad: int


def liquidations(pool: Pool, user: UserAccount, now_s: int, prices: Mapping[str, int]) -> Iterator[Liquidated]:
    """The largest debt against the largest collateral, as much as one call may, until the account is healthy or nothing is left to take."""
    for _ in range(MOST_LIQUIDATIONS):
        health_wad = account_data(user, pool, prices, now_s).health_factor_wad
        if health_wad >= WAD:
            return
        pair = _largest(pool, user, now_s, prices)
        if pair is None:
            return
        try:
            user = liquidation_call(pool, user, *pair, ALL, now_s, prices).user
        except Reverted:
            return  # no liquidator can do it either
        yield Liquidated(user, *pair, health_wad)


def _largest(pool: Pool, user: UserAccount, now_s: int, prices: Mapping[str, int]) -> tuple[str, str] | None:
    def worth(token: str, units: int) -> tuple[Decimal, str]:
        return Decimal(prices[token] * units) / pool.rules[token].unit, token

    collateral = max((worth(token, balance_of(user, pool, token, now_s)) for token in user.collateral), default=None)
    debt = max((worth(token, debt_of(user, pool, token, now_s)) for token in user.borrowed), default=None)
    return None if collateral is None or debt is None else (collateral[1], debt[1])


def settlement_of(venue: str, before: Units, after: Units, done: Liquidated) -> Settlement:
    """What a liquidation took and paid, as the balances read: what is lost of the collateral costs, what is owed less is taken off."""
    changes: dict[str, Decimal] = {}
    costs: list[Cost] = []
    for token, (supplied, owed) in before.items():
        supplied_after, owed_after = after.get(token, (0, 0))
        changes[deposit_name(token)] = to_amount(token, supplied_after - supplied)
        changes[debt_name(token)] = to_amount(token, owed_after - owed)
        costs += [Cost("liquidation", token, to_amount(token, lost)) for lost in (supplied - supplied_after, owed_after - owed) if lost]
    details = {"health_factor": f"{done.health_wad / WAD:.6f}", "collateral": done.collateral, "debt": done.debt}
    return Settlement("liquidation", venue, Deltas.at(venue, changes), tuple(costs), details)
