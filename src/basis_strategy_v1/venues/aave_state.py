"""Our account in an Aave pool: deposits and debts, in the pool's own units."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from msgspec import Struct
from msgspec.structs import replace

from basis_strategy_v1.core.state import AS_READ, Reading, VenueState
from basis_strategy_v1.core.tokens import to_amount
from basis_strategy_v1.venues.aave_account import Pool, UserAccount
from basis_strategy_v1.venues.aave_names import debt_name, deposit_name
from basis_strategy_v1.venues.aave_reserve import Reserve, liquidity_index_at, variable_borrow_index_at

Units = dict[str, tuple[int, int]]  # token -> (aToken units, debt units)


class AaveState(Struct, VenueState, frozen=True, tag="AaveState"):
    """Our account as of `instant` (microseconds since 1970), which lies in the second `now_s`.

    `stamps` are those of the rows that the reserves were read from, `reported` is what was last reported, `published` are the reserves
    without us.

    Where there are `prices` (the oracle's, by token) the pool was read whole at a block of its chain, with us in it: it needs no rows.
    """

    pool: Annotated[Pool, AS_READ]
    user: UserAccount
    instant: Reading
    now_s: Reading
    stamps: dict[str, Reading] = {}
    reported: Units = {}
    published: Annotated[dict[str, Reserve], AS_READ] = {}
    prices: Annotated[dict[str, int], AS_READ] = {}

    @property
    def is_whole(self) -> bool:
        return bool(self.prices)

    def with_user(self, user: UserAccount) -> AaveState:
        return AaveState(self.pool, user, self.instant, self.now_s, self.stamps, self.reported, self.published, self.prices)

    def with_reported(self, reported: Units) -> AaveState:
        return AaveState(self.pool, self.user, self.instant, self.now_s, self.stamps, reported, self.published, self.prices)

    def with_reading(self, read: VenueState) -> AaveState:
        """These positions, in the pool as it was read."""
        if not isinstance(read, AaveState) or not read.is_whole:
            return self
        user = replace(self.user, emode=read.user.emode)
        return AaveState(read.pool, user, read.instant, read.now_s, read.stamps, self.reported, read.published, read.prices)

    def without_holdings(self) -> AaveState:
        return replace(self, user=UserAccount(emode=self.user.emode), reported={})

    def owing(self, token: str, units: int) -> AaveState:
        """The part with so much more debt of a token, its rates as they are."""
        index_ray = variable_borrow_index_at(self.pool.reserves[token], self.now_s, self.pool.rounding)
        owed = self.user.borrowed.get(token, 0) + self.pool.rounding.borrow_scaled(units, index_ray)
        return self.with_user(replace(self.user, borrowed={**self.user.borrowed, token: owed}))

    def scaled(self, token: str) -> tuple[int, int]:
        """(scaled supply, scaled debt) of a token."""
        return self.user.supplied.get(token, 0), self.user.borrowed.get(token, 0)

    def units(self) -> Units:
        """What every token that is held or owed reads now."""
        pool, now_s = self.pool, self.now_s
        rounding, reserves = pool.rounding, pool.reserves
        found: Units = {}
        for token, scaled in self.user.supplied.items():
            found[token] = (rounding.supply_balance(scaled, liquidity_index_at(reserves[token], now_s)), 0)
        for token, scaled in self.user.borrowed.items():
            owed = rounding.debt_balance(scaled, variable_borrow_index_at(reserves[token], now_s, rounding))
            found[token] = (found[token][0] if token in found else 0, owed)
        return found

    def positions(self) -> dict[str, Decimal]:
        found = {}
        for token, (supplied, owed) in self.units().items():
            if supplied:
                found[deposit_name(token)] = to_amount(token, supplied)
            if owed:
                found[debt_name(token)] = to_amount(token, owed)
        return found
