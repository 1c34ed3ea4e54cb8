"""Moves between the wallets of one account: how much of what a trade needs lies in the other wallet. Pure."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING

from msgspec import structs

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.gateway import Happened
from basis_strategy_v1.core.instructions import WalletTransfer
from basis_strategy_v1.live.exchange_api import RESERVE
from basis_strategy_v1.live.exchange_orders import PERP, SPOT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from basis_strategy_v1.live.exchange_orders import SentMove

UNIT = Decimal("1e-8")  # of amounts, where the venue takes them so fine
MOST_MARK = 9_999  # units
CLOCK_SLACK_MS = 1_500


def move_of(name: str, target: str, token: str, lacking: Decimal, there: Decimal, unit: Decimal = UNIT) -> WalletTransfer | None:
    """The move that brings what is lacking to a wallet, as much as is free in the other one; None: nothing can be moved.

    It is a transfer from the account to itself; `network` names the wallets.
    """
    wanted = lacking.quantize(unit, ROUND_CEILING)
    amount = min(wanted, there.quantize(unit, ROUND_FLOOR) - MOST_MARK * unit)
    if amount <= 0:
        return None
    source = SPOT if target == PERP else PERP
    return WalletTransfer(from_venue=name, to_venue=name, token=token, amount=amount, network=f"{source}-{target}")


def move_of_reserve(name: str, token: str, lacking: Decimal, there: Decimal) -> WalletTransfer | None:
    """The move that brings what is lacking from the wallet in which nothing is traded, as much as is there; None: nothing can be moved."""
    move = move_of(name, SPOT, token, lacking, there)
    return None if move is None else structs.replace(move, network=f"{RESERVE}-{SPOT}")


def mark_of(client_id: str, unit: Decimal = UNIT) -> Decimal:
    """The fraction that is added to an amount that is moved, so that it can be found again: the venue keeps no id of ours for it."""
    return unit * (1 + int(client_id[:12], 16) % MOST_MARK)


def moved(sent: SentMove, reference: str) -> Happened:
    """A move that was made: the account holds what it held."""
    details = {"moved": sent.amount, "token": sent.token, "from": sent.source, "to": sent.target}
    return Happened(deltas=Deltas(), reference=reference, details=details)


def made_by(sent: SentMove, rows: Iterable[tuple[str, str, Decimal, int]]) -> str | None:
    """The venue's name of the move among those that were made: the one of this token, amount and time. The amount has the move's mark."""
    begins, ends = sent.sent_ms - CLOCK_SLACK_MS, sent.expires_ms + CLOCK_SLACK_MS
    found = [id_ for id_, token, amount, at in rows if (token, amount) == (sent.token, sent.amount) and begins <= at <= ends]
    return found[0] if found else None
