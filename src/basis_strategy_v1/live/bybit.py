"""Bybit: spot and linear USDT perps of one unified trading account, by its API v5 as of 2026."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.gateway import MalformedAnswer
from basis_strategy_v1.core.state import Perp
from basis_strategy_v1.live import bybit_account, bybit_errors, bybit_moves
from basis_strategy_v1.live.bybit_account import HOST, WEEK_MS, pages, result_of, rows_of, weeks
from basis_strategy_v1.live.bybit_answers import (
    SETTLE,
    fill_of,
    found_of,
    is_traded,
    leverage_of,
    number_in,
    rules_of,
    signed_size,
    unused_of,
)
from basis_strategy_v1.live.exchange_access import Absent
from basis_strategy_v1.live.exchange_api import DELEVERAGING, LIQUIDATION, Move, Payment, Permissions, PerpMargin, PerpSettings
from basis_strategy_v1.live.exchange_moves import UNIT
from basis_strategy_v1.live.exchange_orders import PERP, SPOT, Fill, FoundOrder, Rules
from basis_strategy_v1.live.exchange_rate import UNSTATED_S, RequestsLeft

if TYPE_CHECKING:
    from collections.abc import Iterable

    from basis_strategy_v1.live.exchange_client import ExchangeClient
    from basis_strategy_v1.live.exchange_orders import SentOrder

WINDOWS = {HOST: (RequestsLeft("X-Bapi-Limit-Status", "X-Bapi-Limit-Reset-Timestamp"),)}
CLOSED_S = {**UNSTATED_S, 403: 600.0}  # an address that asked too often is let in again after ten minutes
CATEGORIES = {SPOT: "spot", PERP: "linear"}
ORIGINS = {"CreateByLiq": LIQUIDATION, "CreateByTakeOver_PassThrough": LIQUIDATION, "CreateByAdl_PassThrough": DELEVERAGING}
MARGIN_MODES = {bybit_account.CROSS: "cross", bybit_account.ISOLATED: "isolated"}
PAGE, ORDER_PAGE, MARKET_PAGE = 100, 50, 1_000
ZERO = Decimal(0)


class Bybit:
    """The calls of one account."""

    life_ms = 2_000
    """The receive window: a signed request is not executed later than this after its timestamp."""
    fee_tokens: tuple[str, ...] = ()
    settle = SETTLE
    wallets_are_separate = False
    has_reserve = True
    moves = True
    move_unit = UNIT
    move_errors = bybit_errors.MOVES

    def __init__(self, client: ExchangeClient) -> None:
        self._client = client
        self._leverage: dict[str, Decimal] = {}

    def forget(self) -> None:
        """Read the account's settings again when they are next needed."""
        self._leverage.clear()

    def errors(self, kind: str) -> Mapping[str, Any]:
        return bybit_errors.ORDERS

    def time_ms(self, kind: str) -> int:
        return int(result_of(self._client.call("publicGetV5MarketTime", {}, HOST))["timeNano"]) // 1_000_000

    # Markets.

    def rules(self, kind: str, symbols: Iterable[str]) -> dict[str, Rules]:
        """The rules of these symbols, those of them that there are."""
        wanted = set(symbols)
        rows = pages(self._client, "publicGetV5MarketInstrumentsInfo", {"category": CATEGORIES[kind], "limit": MARKET_PAGE})
        return {row["symbol"]: rules_of(kind, row) for row in rows if row["symbol"] in wanted and is_traded(kind, row)}

    # Orders.

    def place(self, sent: SentOrder, at_ms: int) -> str:
        """Send an order; the venue's id of it. It dies with `sent.expires_ms`: no attempt is signed with a later time than the first."""
        params: dict[str, Any] = {
            "category": CATEGORIES[sent.trade_type],
            "symbol": sent.symbol,
            "side": sent.side.capitalize(),
            "orderType": "Limit",
            "qty": format(sent.amount, "f"),
            "price": format(sent.price, "f"),
            "timeInForce": sent.life,
            "orderLinkId": sent.client_id,
        }
        if sent.trade_type == PERP:
            params |= {"positionIdx": 0, "reduceOnly": sent.reduce_only}
        with self._client.stamped(min(at_ms, sent.expires_ms - self.life_ms)):
            result = result_of(self._client.call("privatePostV5OrderCreate", params, HOST))
        if not result.get("orderId"):
            raise MalformedAnswer("an answer without orderId", result)
        return str(result["orderId"])

    def find(self, kind: str, symbol: str, *, client_id: str = "", order_id: str = "", sent_ms: int = 0) -> FoundOrder:
        """An order by its client id, or by the venue's: among the recent ones, else in the history of the week in which it was sent.

        Raises:
            Absent: there is none.
        """
        which = {"orderId": order_id} if order_id else {"orderLinkId": client_id}
        params = {"category": CATEGORIES[kind], "symbol": symbol, **which}
        rows = rows_of(self._client.call("privateGetV5OrderRealtime", params, HOST))
        if not rows:
            week = {} if not sent_ms else {"startTime": sent_ms - WEEK_MS // 7, "endTime": sent_ms + WEEK_MS // 7}
            rows = rows_of(self._client.call("privateGetV5OrderHistory", {**params, **week}, HOST))
        if not rows:
            raise Absent
        return self._with_old_fills(kind, found_of(rows[0]))

    def _with_old_fills(self, kind: str, found: FoundOrder) -> FoundOrder:
        """The fills of an order of an earlier week are read by its time: without one, the venue looks at the last week."""
        if not found.executed or found.at_ms > self._client.now_ms() - WEEK_MS // 2:
            return found
        params = {"category": CATEGORIES[kind], "symbol": found.symbol, "orderId": found.id, "limit": PAGE}
        rows = pages(self._client, "privateGetV5ExecutionList", {**params, "startTime": found.at_ms, "endTime": found.at_ms + WEEK_MS})
        return FoundOrder(
            id=found.id, client_id=found.client_id, symbol=found.symbol, side=found.side, status=found.status, amount=found.amount,
            executed=found.executed, at_ms=found.at_ms, reason=found.reason, fills=tuple(fill_of(kind, row) for row in rows)[::-1],
        )  # fmt: skip

    def fills(self, kind: str, symbol: str, order_id: str) -> tuple[Fill, ...]:
        """The fills of one order of the last week."""
        params = {"category": CATEGORIES[kind], "symbol": symbol, "orderId": order_id, "limit": PAGE}
        return tuple(fill_of(kind, row) for row in pages(self._client, "privateGetV5ExecutionList", params))[::-1]

    def fills_since(self, kind: str, symbol: str, from_ms: int, until_ms: int) -> list[tuple[str, Fill]]:
        """(order id, fill) of a symbol between two times, oldest first. The venue lists funding among them."""
        found: list[tuple[str, Fill]] = []
        for span in weeks(from_ms, until_ms):
            params = {"category": CATEGORIES[kind], "symbol": symbol, "limit": PAGE, **span}
            rows = list(pages(self._client, "privateGetV5ExecutionList", params))
            found += [(str(row["orderId"]), fill_of(kind, row)) for row in reversed(rows) if row["execType"] != "Funding"]
        return found

    def open_orders(self, kind: str) -> list[FoundOrder]:
        params: dict[str, Any] = {"category": CATEGORIES[kind], "openOnly": 0, "limit": ORDER_PAGE}
        if kind == PERP:
            params["settleCoin"] = self.settle
        return [found_of(row) for row in pages(self._client, "privateGetV5OrderRealtime", params)]

    # Balances and positions.

    def _wallet(self) -> dict[str, Any]:
        rows = rows_of(self._client.call("privateGetV5AccountWalletBalance", {"accountType": "UNIFIED"}, HOST))
        if not rows or not isinstance(rows[0], dict) or not isinstance(rows[0].get("coin"), list):
            raise MalformedAnswer("a balance without coins", rows)
        return dict(rows[0])

    def free(self) -> dict[str, Decimal]:
        """What a spot order can use, by token: what is neither locked by an order nor margin of a perp."""
        return {
            row["coin"]: min(number_in(row, "walletBalance") - number_in(row, "locked"), unused_of(row)) for row in self._wallet()["coin"]
        }

    def free_margin(self) -> Decimal:
        """What is free for perps: of the settlement token, and of the account as a whole. A perp on other coins would borrow."""
        wallet = self._wallet()
        of_token = sum((unused_of(row) for row in wallet["coin"] if row["coin"] == self.settle), ZERO)
        return min(of_token, number_in(wallet, "totalAvailableBalance"))

    def margin(self, symbol: str, needed: Decimal) -> PerpMargin:
        """What a perp order can use."""
        free = self.free_margin()
        if free >= needed and symbol in self._leverage:
            return PerpMargin(free, ZERO, self._leverage[symbol])
        rows = self._position_rows({"symbol": symbol})
        self._leverage[symbol] = leverage_of(rows)
        return PerpMargin(free, sum((signed_size(row) for row in rows), ZERO), self._leverage[symbol])

    def settings(self, symbols: Iterable[str]) -> dict[str, PerpSettings]:
        """Margin mode, which is the account's, and leverage."""
        mode = bybit_account.info(self._client)["marginMode"]
        shown = MARGIN_MODES.get(mode, mode)
        return {symbol: PerpSettings(shown, leverage_of(self._position_rows({"symbol": symbol}))) for symbol in symbols}

    def balances(self, kind: str) -> dict[str, Decimal]:
        """What the unified and the funding account hold, by token; a perp's profit counts once it is realised."""
        found = {row["coin"]: number_in(row, "walletBalance") for row in self._wallet()["coin"]}
        for token, amount in bybit_moves.held(self._client).items():
            found[token] = found.get(token, ZERO) + amount
        return found

    def _position_rows(self, which: Mapping[str, str]) -> list[Any]:
        return list(pages(self._client, "privateGetV5PositionList", {"category": "linear", "limit": 200, **which}))

    def perps(self) -> dict[str, Perp]:
        """The positions, by symbol."""
        rows = [(row, signed_size(row)) for row in self._position_rows({"settleCoin": self.settle})]
        return {row["symbol"]: Perp(amount, amount * Decimal(row["avgPrice"])) for row, amount in rows if amount}

    # Between the funding account and the unified one.

    def reserved(self) -> dict[str, Decimal]:
        """What can be moved here from the funding account, by token."""
        return bybit_moves.reserved(self._client)

    def move(self, source: str, target: str, token: str, amount: Decimal, at_ms: int, expires_ms: int) -> str:
        """Move between them; the venue's name of the move."""
        with self._client.stamped(min(at_ms, expires_ms - self.life_ms)):
            return bybit_moves.move(self._client, source, token, amount, expires_ms)

    def moves_since(self, source: str, target: str, since_ms: int) -> list[Move]:
        """(id, token, amount, time) of the moves from one to the other that were made, from a time on."""
        return bybit_moves.moves_since(self._client, source, since_ms)

    # What happened by itself, and how the account is set up.

    def payments_since(self, kinds: Collection[str], from_ms: int, until_ms: int) -> list[Payment]:
        return bybit_moves.payments_since(self._client, from_ms, until_ms)

    def origin_of(self, order: FoundOrder) -> str | None:
        """What made an order that nobody sent: a liquidation, a deleveraging; None: somebody sent it."""
        return ORIGINS.get(order.reason)

    def permissions(self) -> Permissions:
        return bybit_account.permissions(self._client)

    def is_hedged(self, symbols: Iterable[str]) -> bool:
        """Whether long and short positions of a symbol are kept apart."""
        return any(int(row["positionIdx"]) for symbol in symbols for row in self._position_rows({"symbol": symbol}))

    def mode_fault(self, kinds: Collection[str]) -> str | None:
        return bybit_account.mode_fault(self._client, kinds)
