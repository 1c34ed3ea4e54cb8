"""Interest that a chain does not report: what the balances that are held have grown by, once their pool is as it was read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.state_change import apply_changes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from basis_strategy_v1.core.gateway import Due
    from basis_strategy_v1.core.state import State

INTEREST = "interest"


def with_interest(state: State, items: Iterable[Due]) -> list[Due]:
    """The items with the amounts of interest that they leave open. `state` is the account's before the first of them.

    Raises:
        ValueError: the changes of an item do not fit.
    """
    found = []
    for item in items:
        after = apply_changes(state, item.changes) if state.checked else state
        if item.kind == INTEREST and not item.deltas:
            item = structs.replace(item, deltas=_grown(item.venue, state, after))  # noqa: PLW2901
        found.append(item)
        state = after
    return found


def _grown(venue: str, before: State, after: State) -> Deltas:
    then, now = (state.positions().get(venue, {}) for state in (before, after))
    return Deltas.at(venue, {token: EXACT.subtract(now.get(token, 0), then.get(token, 0)) for token in (*then, *now)})
