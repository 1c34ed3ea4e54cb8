"""The share of a venue's balances that belongs to a run. The rest is listed, and never touched."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import structs

from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.position_names import Kind
from basis_strategy_v1.core.state import ExchangeAccount, Wallet
from basis_strategy_v1.core.tokens import REBASING, to_units
from basis_strategy_v1.venues.position_names import read_name

if TYPE_CHECKING:
    from basis_strategy_v1.core.state import State

ZERO = Decimal(0)
Allocation = Mapping[str, Mapping[str, Decimal]]  # venue -> token -> amount


def within(read: State, allocation: Allocation) -> State:
    """What of a reading belongs to the run: of each token that is named at most its amount, all of any other."""
    for venue, most in allocation.items():
        part = read.parts.get(venue)
        if isinstance(part, ExchangeAccount):
            balances = {token: own for token, amount in part.balances.items() if (own := min(amount, most.get(token, amount)))}
            read = read.with_part(venue, structs.replace(part, balances=balances))
        elif isinstance(part, Wallet):  # a rebasing token is kept in shares, and is the run's as a whole
            named = {token: to_units(token, amount) for token, amount in most.items() if token not in REBASING}
            units = {token: min(held, named.get(token, held)) for token, held in part.units.items()}
            read = read.with_part(venue, structs.replace(part, units=units))
    return read


def beyond(read: State, state: State) -> dict[str, dict[str, Decimal]]:
    """What a reading shows of plain tokens beyond a state: venue -> token -> amount."""
    ours, found = state.positions(), dict[str, dict[str, Decimal]]()
    for venue, shown in read.positions().items():
        for token, amount in shown.items():
            more = EXACT.subtract(amount, ours.get(venue, {}).get(token, ZERO))
            if more > 0 and read_name(token).kind is Kind.TOKEN:
                found.setdefault(venue, {})[token] = more
    return found
