"""The gateway to the test venue: real HTTP, each call under its deadline."""

from __future__ import annotations

import hashlib
import json
import os
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import requests

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.clock import from_instant
from basis_strategy_v1.core.deadline import current_deadline
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import OutcomeUnknown, VenueRejected, VenueUnreachable
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.gateway import Due, Finding, Happened, MalformedAnswer, Message, NeverHappened, Pending
from basis_strategy_v1.core.instructions import CexTrade
from basis_strategy_v1.core.state import ExchangeAccount, State
from basis_strategy_v1.core.state_change import change_between
from basis_strategy_v1.live.http_deadline import put_under_deadlines

from .ledger import QUOTE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from basis_strategy_v1.core.order import Approved, Order

LIFE_US = 10_000_000
LEAST_NOTIONAL = Decimal(5)


def client_id_of(key: str) -> str:
    """The venue takes 32 letters and digits."""
    return hashlib.blake2b(key.encode(), digest_size=16).hexdigest()


class LedgerGateway:
    kind = "exchange"
    takes_nonce = False

    def __init__(self, url: str, name: str = "binance") -> None:
        self.name = name
        self.connection = url
        self._url = url
        self._session = put_under_deadlines(requests.Session())
        self._session.headers["X-Pid"] = str(os.getpid())

    def quote(self, order: Order) -> Any:
        assert isinstance(order.instruction, CexTrade)
        return self._content(self._asked("GET", f"/quote?symbol={order.instruction.symbol}"))

    def prepare(self, approved: Approved, limits: Any, quote: Any, nonce: int | None) -> Message:
        order = approved.order
        trade = order.instruction
        assert isinstance(trade, CexTrade)
        notional = trade.amount * Decimal(quote["price"])
        if notional < LEAST_NOTIONAL:
            raise VenueRejected("CEX-001", f"{self.name} takes no order below {LEAST_NOTIONAL} USDT, got {plain(notional)}")
        expires = quote["time"] + LIFE_US
        body = {
            "client_id": client_id_of(order.key),
            "symbol": trade.symbol,
            "side": trade.side,
            "amount": plain(trade.amount),
            "limit": None if order.worst_price is None else plain(order.worst_price),
            "expires": expires,
        }
        return Message(client_id=body["client_id"], body=json.dumps(body), expires=expires)

    def send(self, message: Message) -> Happened | Pending:
        try:
            answer = self._session.post(f"{self._url}/orders", data=message.body, allow_redirects=False)
        except requests.RequestException as error:
            deadline = current_deadline()
            if deadline is not None and not deadline.has_sent:
                raise VenueUnreachable("CEX-002", f"{self.name} cannot be reached", original_exception=error) from error
            raise OutcomeUnknown("CEX-003", f"the connection to {self.name} was lost after sending", original_exception=error) from error
        if answer.status_code == 400:
            raise VenueRejected("CEX-001", f"{self.name}: {self._content(answer)['error']}")
        if answer.status_code != 200:
            raise OutcomeUnknown("CEX-003", f"{self.name} answered with status {answer.status_code}")
        finding = self._finding(message, answer)
        assert not isinstance(finding, NeverHappened)
        return finding

    def find(self, message: Message, reference: str | None = None) -> Finding:
        path = f"/orders/{message.client_id}" if reference is None else f"/references/{reference}"
        answer = self._asked("GET", path, also=404)
        if answer.status_code == 200:
            return self._finding(message, answer)
        assert message.expires is not None
        if self._content(answer)["as_of"] > message.expires:
            return NeverHappened(f"it expired at {from_instant(message.expires):%H:%M:%S} and is not there")
        return Pending("the venue does not know it yet")

    def read(self, at: str | None = None) -> State:
        balances = self._content(self._asked("GET", "/balances"))
        return State({self.name: ExchangeAccount({token: Decimal(amount) for token, amount in balances.items()})})

    def due(self, since: str | None) -> tuple[Sequence[Due], str]:
        found = self._content(self._asked("GET", f"/due?since={since or 0}"))
        return [self._due(item) for item in found["items"]], found["cursor"]

    def _due(self, item: dict[str, Any]) -> Due:
        moved = {token: Decimal(change) for token, change in item["moved"].items()}
        at = datetime.fromtimestamp(item["at"] / 1_000_000, UTC)
        return Due(
            id=item["id"], venue=self.name, kind=item["due"], at=at, deltas=Deltas.at(self.name, moved), changes=self._changes(moved)
        )

    # Answers.

    def _asked(self, method: str, path: str, also: int = 200) -> requests.Response:
        """A call that changes nothing: whatever goes wrong, it may be repeated."""
        try:
            answer = self._session.request(method, f"{self._url}{path}", allow_redirects=False)
        except requests.RequestException as error:
            raise VenueUnreachable("CEX-002", f"{self.name} gives no answer", original_exception=error) from error
        if answer.status_code not in (200, also):
            raise VenueUnreachable("CEX-002", f"{self.name} answered with status {answer.status_code}")
        return answer

    def _content(self, answer: requests.Response) -> Any:
        try:
            return answer.json()
        except requests.JSONDecodeError as error:
            raise MalformedAnswer("text that is not JSON", answer.text) from error

    def _finding(self, message: Message, answer: requests.Response) -> Happened | Pending:
        content = self._content(answer)
        try:
            if content["status"] == "refused":
                raise VenueRejected("CEX-001", f"{self.name}: {content['reason']}")
            if content["status"] == "accepted":
                return Pending("it is in the book")
            moved = {token: Decimal(change) for token, change in content["deltas"].items()}
            return Happened(
                deltas=Deltas.at(self.name, moved),
                changes=self._changes(moved) if moved else {},
                reference=content["order_id"],
                filled=Decimal(content["filled"]),
                costs=(Cost("fees", QUOTE, Decimal(content["fee"])),) if moved else (),
                details={"price": content["price"]},
                final=content["status"] == "done",
                raw=content,
            )
        except (KeyError, TypeError, AttributeError, InvalidOperation) as error:
            raise MalformedAnswer(f"an order without {error}", content) from error

    def _changes(self, moved: dict[str, Decimal]) -> dict[str, Any]:
        return {self.name: change_between(ExchangeAccount(), ExchangeAccount(moved))}
