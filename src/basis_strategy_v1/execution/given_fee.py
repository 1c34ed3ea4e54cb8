"""The fee that a person gives where the venue does not show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.state import ExchangeAccount, State
from basis_strategy_v1.core.state_change import apply_changes, change_between, changes_between

if TYPE_CHECKING:
    from basis_strategy_v1.core.gateway import Happened
    from basis_strategy_v1.core.journal import GivenFee


def with_fee(happened: Happened, venue: str, fee: GivenFee) -> Happened:
    """What happened at an exchange with the fee that was taken; its details say that a person gave it, or that nobody knows it."""
    if not fee.amount:
        said = "not known" if fee.amount is None else "given: 0"
        return structs.replace(happened, details={**happened.details, "fee": said})
    nothing = State({venue: ExchangeAccount()})
    paid = {venue: change_between(ExchangeAccount(), ExchangeAccount({fee.token: -fee.amount}))}
    return structs.replace(
        happened,
        deltas=happened.deltas + Deltas.at(venue, {fee.token: -fee.amount}),
        changes=changes_between(nothing, apply_changes(apply_changes(nothing, happened.changes), paid)),
        costs=(*happened.costs, Cost("fees", fee.token, fee.amount)),
        details={**happened.details, "fee": f"given: {plain(fee.amount)} {fee.token}"},
    )
