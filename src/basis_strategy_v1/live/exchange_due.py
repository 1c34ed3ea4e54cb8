"""What happened at an account without an order of this run: funding, liquidations, somebody else's fills, credits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct, json

from basis_strategy_v1.core.clock import from_instant
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.gateway import Due, MalformedAnswer
from basis_strategy_v1.core.state import Perp
from basis_strategy_v1.live.exchange_access import Absent
from basis_strategy_v1.live.exchange_api import FOREIGN_FILL, FUNDING, LATE_FILL, LIQUIDATION
from basis_strategy_v1.live.exchange_orders import SPOT, changes_of, deltas_of, is_ours, moved_by
from basis_strategy_v1.live.exchange_transfer_due import FIRST_MS, TransferDueReader

if TYPE_CHECKING:
    from typing import Any

    from basis_strategy_v1.live.exchange_access import Access
    from basis_strategy_v1.live.exchange_api import Payment
    from basis_strategy_v1.live.exchange_orders import Fill, FoundOrder
    from basis_strategy_v1.live.exchange_transfers import TransferApi

MOST_KNOWN = 4_096
OVERLAP_MS = 600_000  # what is read again each time: a venue shows some things late
NO_PERPS: Mapping[str, Perp] = {}


class Cursor(Struct, frozen=True):
    """How far an account was read (venue's ms), and when its record began: what was before is in the state that it began with.

    `waits_ms`: when the oldest transfer began that had not ended then; None where that is not known.
    """

    begun_ms: int
    read_ms: int
    waits_ms: int | None = None


class DueReader:
    """Reads one account. `run` is the one whose orders have rows in the journal: their fills carry the client id. `transfers` are the
    calls for withdrawals and deposits."""

    def __init__(self, access: Access, run: str = "", transfers: TransferApi | None = None) -> None:
        self._access = access
        self._run = run
        self._transfers = None if transfers is None or SPOT not in access.kinds else TransferDueReader(access, transfers, run)
        self._orders: dict[str, FoundOrder] = {}  # by the venue's id

    def know(self, order: FoundOrder) -> None:
        """An order that was looked up: its fills need no look-up more."""
        self._orders[order.id] = order
        if len(self._orders) > MOST_KNOWN:  # one that is asked for again is looked up again
            del self._orders[next(iter(self._orders))]

    def read(self, since: str | None) -> tuple[Sequence[Due], str]:
        """What happened since a cursor, oldest first, some of it again; and the next cursor. Without a cursor it begins now.

        Raises:
            VenueUnreachable, MalformedAnswer.
        """
        now_ms = self._access.now_ms()
        if since is None:
            return (), _text(Cursor(now_ms, now_ms))
        cursor = json.decode(since, type=Cursor)
        from_ms = max(cursor.begun_ms, cursor.read_ms - OVERLAP_MS)
        items, waits_ms = list(self._items(from_ms, now_ms)), cursor.waits_ms
        if self._transfers is not None:
            moved, waits_ms = self._transfers.read(cursor.begun_ms - FIRST_MS if waits_ms is None else waits_ms, from_ms, now_ms)
            items += moved
        found = sorted((item for item in items if item[0] > cursor.begun_ms), key=lambda item: item[0])
        return [due for _, due in found], _text(Cursor(cursor.begun_ms, now_ms, waits_ms))

    def _items(self, from_ms: int, until_ms: int) -> Iterator[tuple[int, Due]]:
        """(venue's ms, item) of each."""
        access = self._access
        for kind, symbols in access.symbols.items():
            for symbol in symbols:
                fills = access.ask(kind, lambda kind=kind, symbol=symbol: access.api.fills_since(kind, symbol, from_ms, until_ms))  # type: ignore[misc]
                for order_id, fill in fills:
                    yield fill.at_ms, self._of_fill(kind, self._order(kind, symbol, order_id), fill)
        for payment in access.ask(access.kinds[0], lambda: access.api.payments_since(access.kinds, from_ms, until_ms)):
            yield payment.at_ms, self._of_payment(payment)

    def _order(self, kind: str, symbol: str, order_id: str) -> FoundOrder:
        """The order of a fill."""
        if order_id not in self._orders:
            access = self._access
            try:
                found = access.ask(kind, lambda: access.api.find(kind, symbol, order_id=order_id))
            except Absent:
                raise MalformedAnswer(f"a fill of the order {order_id}, which is not there", order_id) from None
            self.know(found)
        return self._orders[order_id]

    def _of_fill(self, kind: str, order: FoundOrder, fill: Fill) -> Due:
        name = self._access.name
        rules = self._access.rules(kind, order.symbol)
        assert rules is not None, "fills are read of the run's symbols"
        tokens, perps = moved_by(kind, order.symbol, rules.base, rules.quote, order.side, (fill,))
        costs = (Cost("fees", fill.fee_token, fill.fee),) if fill.fee else ()
        is_own = is_ours(order.client_id, self._run)
        if fill.fee is None and not is_own:
            raise MalformedAnswer(f"a fill {fill.id} without its fee", fill.id)
        return Due(
            id=f"fill:{kind}:{order.symbol}:{fill.id}", venue=name,
            kind=self._access.api.origin_of(order) or (LATE_FILL if is_own else FOREIGN_FILL), at=self._at(fill.at_ms),
            deltas=deltas_of(name, tokens, perps), changes=changes_of(name, tokens, perps), costs=costs, details=_details(order, fill),
            client_id=order.client_id if is_own else "", reference=order.id if is_own else "",
        )  # fmt: skip

    def _of_payment(self, payment: Payment) -> Due:
        name, tokens = self._access.name, {payment.token: payment.amount}
        source = "funding" if payment.kind == FUNDING else "liquidation" if payment.kind == LIQUIDATION else "transfers"
        return Due(
            id=payment.id, venue=name, kind=payment.kind, at=self._at(payment.at_ms), deltas=deltas_of(name, tokens, NO_PERPS),
            changes=changes_of(name, tokens, NO_PERPS), costs=(Cost(source, payment.token, -payment.amount),),
            details={"symbol": payment.symbol} if payment.symbol else {},
        )  # fmt: skip

    def _at(self, venue_ms: int) -> Any:
        return from_instant(self._access.client.to_ours(venue_ms))


def _text(cursor: Cursor) -> str:
    return json.encode(cursor).decode()


def _details(order: FoundOrder, fill: Fill) -> dict[str, Any]:
    found = {"symbol": order.symbol, "side": order.side, "filled": fill.amount, "price": fill.price, "order": order.client_id}
    unknown = {"fee": "not known"} if fill.fee is None else {}
    return {**found, **unknown, **({"realised": fill.realised} if fill.realised else {})}
