"""Bybit: spot and linear USDT perps of one unified trading account, by its API v5 as of 2026."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.gateway import MalformedAnswer
from basis_strategy_v1.core.state import Perp
from basis_strategy_v1.live import bybit_account, bybit_errors, bybit_moves
from basis_strategy_v1.live.bybit_account import HOST, WEEK_MS, pages, result_of, rows_of, weeks
from basis_strategy_v1.live.exchange_access import Absent
from basis_strategy_v1.live.exchange_api import DELEVERAGING, LIQUIDATION, Move, Payment, Permissions, PerpMargin, PerpSettings
from basis_strategy_v1.live.exchange_orders import DONE, OPEN, PERP, REFUSED, SPOT, Fill, FoundOrder, Rules
from basis_strategy_v1.live.exchange_rate import UNSTATED_S, RequestsLeft

if TYPE_CHECKING:
    from collections.abc import Iterable

    from basis_strategy_v1.live.exchange_client import ExchangeClient
    from basis_strategy_v1.live.exchange_orders import SentOrder

WINDOWS = {HOST: (RequestsLeft("X-Bapi-Limit-Status", "X-Bapi-Limit-Reset-Timestamp"),)}
CLOSED_S = {**UNSTATED_S, 403: 600.0}  # an address that asked too often is let in again after ten minutes
CATEGORIES = {SPOT: "spot", PERP: "linear"}
STATES = {
    "New": OPEN, "PartiallyFilled": OPEN, "Untriggered": OPEN, "Triggered": OPEN, "Created": OPEN, "Filled": DONE, "Cancelled": DONE,
    "PartiallyFilledCanceled": DONE, "Deactivated": DONE, "Rejected": REFUSED,
}  # fmt: skip
ORIGINS = {"CreateByLiq": LIQUIDATION, "CreateByTakeOver_PassThrough": LIQUIDATION, "CreateByAdl_PassThrough": DELEVERAGING}
BY_USER = ("", "CreateByUser")
MARGIN_MODES = {bybit_account.CROSS: "cross", bybit_account.ISOLATED: "isolated"}
PAGE, ORDER_PAGE, MARKET_PAGE = 100, 50, 1_000
ZERO = Decimal(0)


class Bybit:
    """The calls of one account."""

    life_ms = 2_000
    """The receive window: a signed request is not executed later than this after its timestamp."""
    fee_tokens: tuple[str, ...] = ()
    settle = "USDT"
    wallets_are_separate = False
    has_reserve = True
    moves = True
    move_errors = bybit_errors.MOVES

    def __init__(self, client: ExchangeClient) -> None:
        self._client = client

    def forget(self) -> None:
        """Nothing of the account's settings is kept."""

    def errors(self, kind: str) -> Mapping[str, Any]:
        return bybit_errors.ORDERS

    def time_ms(self, kind: str) -> int:
        return int(result_of(self._client.call("publicGetV5MarketTime", {}, HOST))["timeNano"]) // 1_000_000

    # Markets.

    def rules(self, kind: str, symbols: Iterable[str]) -> dict[str, Rules]:
        """The rules of these symbols, those of them that there are."""
        wanted = set(symbols)
        rows = pages(self._client, "publicGetV5MarketInstrumentsInfo", {"category": CATEGORIES[kind], "limit": MARKET_PAGE})
        return {row["symbol"]: rules_of(kind, row) for row in rows if row["symbol"] in wanted and _is_traded(kind, row)}

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
        return {row["coin"]: min(_number(row, "walletBalance") - _number(row, "locked"), _unused(row)) for row in self._wallet()["coin"]}

    def free_margin(self) -> Decimal:
        """What is free for perps: of the settlement token, and of the account as a whole. A perp on other coins would borrow."""
        wallet = self._wallet()
        of_token = sum((_unused(row) for row in wallet["coin"] if row["coin"] == self.settle), ZERO)
        return min(of_token, _number(wallet, "totalAvailableBalance"))

    def margin(self, symbol: str) -> PerpMargin:
        """What a perp order can use."""
        free, rows = self.free_margin(), self._position_rows({"symbol": symbol})
        return PerpMargin(free, sum((_signed(row) for row in rows), ZERO), _leverage(rows))

    def settings(self, symbols: Iterable[str]) -> dict[str, PerpSettings]:
        """Margin mode, which is the account's, and leverage."""
        mode = bybit_account.info(self._client)["marginMode"]
        shown = MARGIN_MODES.get(mode, mode)
        return {symbol: PerpSettings(shown, _leverage(self._position_rows({"symbol": symbol}))) for symbol in symbols}

    def balances(self, kind: str) -> dict[str, Decimal]:
        """What the unified and the funding account hold, by token; a perp's profit counts once it is realised."""
        found = {row["coin"]: _number(row, "walletBalance") for row in self._wallet()["coin"]}
        for token, amount in bybit_moves.held(self._client).items():
            found[token] = found.get(token, ZERO) + amount
        return found

    def _position_rows(self, which: Mapping[str, str]) -> list[Any]:
        return list(pages(self._client, "privateGetV5PositionList", {"category": "linear", "limit": 200, **which}))

    def perps(self) -> dict[str, Perp]:
        """The positions, by symbol."""
        rows = [(row, _signed(row)) for row in self._position_rows({"settleCoin": self.settle})]
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


# Answers.


def _is_traded(kind: str, row: Any) -> bool:
    return kind == SPOT or (row.get("contractType") == "LinearPerpetual" and row.get("settleCoin") == Bybit.settle)


def rules_of(kind: str, row: Any) -> Rules:
    """A row of `instruments-info`.

    Raises:
        MalformedAnswer: it is none.
    """
    try:
        size = row["lotSizeFilter"]
        most = (size.get("maxLimitOrderQty") if kind == SPOT else None) or size.get("maxOrderQty")
        return Rules(
            base=row["baseCoin"],
            quote=row["quoteCoin"] if kind == SPOT else row["settleCoin"],
            lot=Decimal(size["basePrecision" if kind == SPOT else "qtyStep"]),
            tick=Decimal(row["priceFilter"]["tickSize"]),
            least=_above_zero(size.get("minOrderQty")),
            most=_above_zero(most),
            least_notional=_above_zero(size.get("minOrderAmt" if kind == SPOT else "minNotionalValue")),
            most_notional=_above_zero(size.get("maxOrderAmt")),
            is_open=row["status"] == "Trading",
        )
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise MalformedAnswer(f"an instrument without {error}", row) from error


def found_of(row: Any) -> FoundOrder:
    """An order as bybit shows it.

    Raises:
        MalformedAnswer: it is none.
    """
    try:
        created = row.get("createType", "")
        return FoundOrder(
            id=str(row["orderId"]),
            client_id=row["orderLinkId"],
            symbol=row["symbol"],
            side=row["side"].lower(),
            status=STATES[row["orderStatus"]],
            amount=Decimal(row["qty"]),
            executed=Decimal(row["cumExecQty"] or 0),
            at_ms=int(row["createdTime"]),
            reason=_reason(row) if created in BY_USER else created,
        )
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise MalformedAnswer(f"an order without {error}", row) from error


def _reason(row: Any) -> str:
    return str(row["rejectReason"] if row["orderStatus"] == "Rejected" else row["orderStatus"])


def fill_of(kind: str, row: Any) -> Fill:
    """An execution. A fee that was paid is positive; of a perp it is in the settlement token.

    Further fees (of some countries' sites) are in no field that says of which token they are: the fee is then not known.

    Raises:
        MalformedAnswer: it is none.
    """
    try:
        fee, realised = row.get("execFee"), row.get("execPnl")
        if kind == PERP and realised in (None, "") and Decimal(row.get("closedSize") or 0):
            raise MalformedAnswer("a fill that closed a position, without its profit", row)
        is_known = fee not in (None, "") and row.get("extraFees") in (None, "", "[]")
        return Fill(
            id=str(row["execId"]),
            price=Decimal(row["execPrice"]),
            amount=Decimal(row["execQty"]),
            cost=Decimal(row["execValue"]),
            fee=Decimal(fee) if is_known else None,
            fee_token=row.get("feeCurrency") or (Bybit.settle if kind == PERP else ""),
            realised=Decimal(realised or 0) if kind == PERP else ZERO,
            at_ms=int(row["execTime"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise MalformedAnswer(f"a fill without {error}", row) from error


def _number(row: Mapping[str, Any], name: str) -> Decimal:
    """A number; the venue writes an empty text where there is none."""
    return Decimal(row.get(name) or 0)


def _unused(row: Mapping[str, Any]) -> Decimal:
    """What of a coin is no order's, and no margin of a perp."""
    held = _number(row, "equity") - _number(row, "locked") - _number(row, "totalOrderIM") - _number(row, "totalPositionIM")
    return max(ZERO, held)


def _signed(row: Any) -> Decimal:
    size = Decimal(row["size"] or 0)
    return -size if row["side"] == "Sell" else size


def _leverage(rows: Iterable[Any]) -> Decimal:
    return min(Decimal(row["leverage"]) for row in rows)


def _above_zero(text: Any) -> Decimal | None:
    """A limit; one of 0 is none."""
    return None if text in (None, "") or not Decimal(text) else Decimal(text)
