"""Amounts between two venue accounts: what a transfer is called on its way, and what its sender reports of it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.state import IN_TRANSIT, Transfer, Transit
from basis_strategy_v1.core.state_change import change_between

ARRIVAL, RETURNED, ON_CHAIN = "arrival", "returned", "on chain"
"""What becomes of an amount in transit: it is credited; it comes back; its exchange has sent it, and its transaction's hash is known."""
UNSENT = "withdrawal:"
"""Begins the key of an amount that an exchange has not sent on chain yet; the rest of it is the withdrawal's client id. Later the key is
the transaction's hash."""
HASH = "hash"
"""The detail of an ON_CHAIN item that has the transaction's hash."""
FEE = "fee"
"""The detail of a RETURNED item that has the fee which was taken and comes back, too (token units)."""


def is_on_chain(transfer: Transfer) -> bool:
    """Whether its transaction is known."""
    return not transfer.key.startswith(UNSENT)


def set_off(key: str, to_venue: str, token: str, amount: Decimal, arrives: int) -> tuple[Deltas, dict[str, Any]]:
    """The deltas of an amount that is on its way from now on, and the changes of the state.

    `key`: the transaction's hash, or UNSENT and a client id. `arrives`: when it should be there (microseconds since 1970).
    """
    record = Transfer(arrives, key, to_venue, token, amount)
    return Deltas.at(IN_TRANSIT, {token: amount}), {IN_TRANSIT: change_between(Transit(), Transit((record,)))}
