"""What became of withdrawals, and what was deposited: reported by transaction hash and by the id of a withdrawal."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec import structs

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.clock import from_instant
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.gateway import Due
from basis_strategy_v1.core.transit import FEE, HASH, ON_CHAIN, RETURNED, UNSENT
from basis_strategy_v1.live.exchange_api import CREDIT, FOREIGN_WITHDRAWAL, LATE_WITHDRAWAL
from basis_strategy_v1.live.exchange_orders import SPOT, changes_of, deltas_of, is_ours
from basis_strategy_v1.live.exchange_transfers import ENDED, WAITING

if TYPE_CHECKING:
    from basis_strategy_v1.live.exchange_access import Access
    from basis_strategy_v1.live.exchange_transfers import FoundDeposit, FoundWithdrawal, TransferApi

WITHDRAWALS_EVERY_MS = 30_000  # a look at them takes much of what a venue lets an account ask
FIRST_MS = 7 * 86_400_000  # what was on its way when the record began, at most so long ago


class TransferDueReader:
    """Reads one account's withdrawals and deposits. `run` is the one whose withdrawals are not reported as somebody else's."""

    def __init__(self, access: Access, api: TransferApi, run: str) -> None:
        self._access = access
        self._api = api
        self._run = run
        self._looked_ms = 0

    def read(self, waits_ms: int, from_ms: int, now_ms: int) -> tuple[list[tuple[int, Due]], int]:
        """(venue's ms, item) of each since the oldest one that had not ended at the last look (`waits_ms`); and the oldest one now.

        Raises:
            VenueUnreachable, MalformedAnswer.
        """
        since_ms, ask = min(waits_ms, from_ms), self._access.ask
        is_known = self._looked_ms > now_ms - WITHDRAWALS_EVERY_MS
        withdrawals = [] if is_known else ask(SPOT, lambda: self._api.withdrawals(since_ms, now_ms))
        deposits = ask(SPOT, lambda: self._api.deposits(since_ms, now_ms))
        items = [item for one in withdrawals for item in self._of_withdrawal(one, now_ms)]
        items += [(one.credited_ms, self._of_deposit(one, one.credited_ms)) for one in deposits if one.credited_ms is not None]
        waiting = [one.at_ms for one in withdrawals if one.status == WAITING] + [one.at_ms for one in deposits if one.credited_ms is None]
        if is_known:  # those that nobody has looked at wait as before
            return items, min([since_ms, *waiting])
        self._looked_ms = now_ms
        return items, min([now_ms, *waiting])

    def _of_withdrawal(self, one: FoundWithdrawal, now_ms: int) -> Iterator[tuple[int, Due]]:
        """That it left, unless its row in the journal has it; that it is on chain, or has come back."""
        details = {"withdrawal": one.id, "status": one.reason, "address": one.address, "network": one.network, FEE: plain(one.fee)}
        is_own = is_ours(one.client_id, self._run)
        kind = LATE_WITHDRAWAL if is_own else FOREIGN_WITHDRAWAL
        left = self._item(f"withdrawal:{one.id}", kind, one.at_ms, one.token, -one.gross, details)
        yield one.at_ms, structs.replace(left, client_id=one.client_id, reference=one.id) if is_own else left
        transfer, at_ms = UNSENT + one.client_id if is_own else "", one.done_ms or now_ms
        if is_own and one.hash:
            id_, sent = f"withdrawal:{one.id}:on chain", {**details, HASH: one.hash, "amount": one.gross, "token": one.token}
            at = self._at(at_ms)
            yield at_ms, Due(id=id_, venue=self._access.name, kind=ON_CHAIN, at=at, deltas=Deltas(), details=sent, transfer=transfer)
        if one.status == ENDED:
            yield at_ms, self._item(f"withdrawal:{one.id}:returned", RETURNED, at_ms, one.token, one.gross, details, transfer)

    def _of_deposit(self, one: FoundDeposit, at_ms: int) -> Due:
        details = {HASH: one.hash, "network": one.network}
        return self._item(f"deposit:{one.id}", CREDIT, at_ms, one.token, one.amount, details, one.hash)

    def _item(self, id_: str, kind: str, at_ms: int, token: str, amount: Decimal, details: dict[str, Any], transfer: str = "") -> Due:
        name, tokens = self._access.name, {token: amount}
        return Due(
            id=id_, venue=name, kind=kind, at=self._at(at_ms), deltas=deltas_of(name, tokens, {}), changes=changes_of(name, tokens, {}),
            costs=(Cost("transfers", token, -amount),), details=details, transfer=transfer,
        )  # fmt: skip

    def _at(self, venue_ms: int) -> Any:
        return from_instant(self._access.client.to_ours(venue_ms))
