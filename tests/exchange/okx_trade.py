"""OKX v5: orders and fills. Sizes of swaps are contracts; a fee is negative where it was paid."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from .dialect import Call, Route
from .ledger import ZERO, Fill, Order, Refused, text
from .markets import PERP, SPOT, Market
from .matching import down
from .okx_markets import id_of, named, type_of

HOUR_MS = 3_600_000
CLIENT_ID = re.compile(r"[a-zA-Z0-9]{0,32}")
LIVES = {"limit": "GTC", "ioc": "IOC", "fok": "FOK", "market": "IOC", "post_only": "GTC"}
STATES = {"open": "live", "filled": "filled", "cancelled": "canceled", "expired": "canceled"}
CATEGORIES = {"user": "normal", "liquidation": "full_liquidation", "adl": "adl"}
ORDER_ERRORS = {
    "symbol": (51001, "Instrument ID, Instrument ID code, or Spread ID doesn't exist."),
    "parameter": (51000, "Parameter error"),
    "client_id": (51000, "Parameter clOrdId error"),
    "closed": (51022, "Contract suspended"),
    "lot": (51121, "Order quantity must be a multiple of the lot size."),
    "quantity": (51005, "Your order amount exceeds the max order amount."),
    "tick": (51000, "Parameter px error"),
    "notional": (51020, "Your order should meet or exceed the minimum order amount."),
    "balance": (51008, "Order failed. Insufficient balance in account."),
    "margin": (51008, "Order failed. Insufficient USDT margin in account"),
    "reduce_only": (51169, "Order failed because you don't have any positions in this direction to reduce or close."),
    "duplicate": (51016, "Client order ID already exists."),
    "unknown_order": (51400, "Cancellation failed as the order has been filled, canceled or does not exist."),
    "mode": (51010, "You can't complete this request under your current account mode."),
}


def parse_order(call: Call, given: dict[str, Any]) -> Order:
    market = named(call, given.get("instId", ""))
    kind = given.get("ordType", "")
    if kind not in LIVES or given.get("side") not in ("buy", "sell") or not given.get("sz"):
        raise Refused("parameter")
    if market.kind == PERP and (given.get("tdMode") not in ("cross", "isolated") or call.account.settings.get("account_level") == "1"):
        raise Refused("mode")
    amount = Decimal(given["sz"]) * market.contract
    default = "quote_ccy" if given["side"] == "buy" else "base_ccy"
    if market.kind == SPOT and kind == "market" and given.get("tgtCcy", default) == "quote_ccy":
        amount = down(amount / call.engine.price("okx", SPOT, market.symbol), market.lot)
    client_id = given.get("clOrdId", "")
    if not CLIENT_ID.fullmatch(client_id):
        raise Refused("client_id")
    number, now = call.engine.ledger.next_id(), call.engine.now()
    limit = None if kind == "market" else Decimal(given["px"])
    is_reducing = str(given.get("reduceOnly", "")).lower() == "true"
    return Order(number, client_id, market.kind, market.symbol, given["side"], amount, limit, LIVES[kind], is_reducing, now, now, note=kind)


def _row(call: Call, given: dict[str, Any], order: Order | None, code: tuple[int, str] = (0, "Order placed")) -> dict[str, Any]:
    return {"clOrdId": given.get("clOrdId", ""), "ordId": "" if order is None else str(order.id), "tag": given.get("tag", ""),
            "ts": str(call.engine.now()), "sCode": str(code[0]), "sMsg": code[1]}  # fmt: skip


def _each(call: Call, run: Any) -> Any:
    """One row for each order of a request; code 1: all failed, 2: some."""
    rows = []
    for given in call.params.get("orders", [call.params]):
        try:
            rows.append(_row(call, given, run(given)))
        except Refused as refused:
            rows.append(_row(call, given, None, ORDER_ERRORS[refused.reason]))
    failed = sum(row["sCode"] != "0" for row in rows)
    if not failed:
        return rows
    return {"code": "1", "msg": "All operations failed", "data": rows} if failed == len(rows) else {"code": "2", "msg": "", "data": rows}


def _place(call: Call) -> Any:
    return _each(call, lambda given: call.engine.matching.place(call.account, parse_order(call, given), share=call.share))


def _cancel(call: Call) -> Any:
    def run(given: dict[str, Any]) -> Order:
        return call.engine.matching.cancel(call.account, find_order(call, given))

    return _each(call, run)


def find_order(call: Call, given: dict[str, Any]) -> Order:
    """The order that a request names, if it is visible yet."""
    market = named(call, given.get("instId", ""))
    if given.get("ordId"):
        order = call.account.orders.get(int(given["ordId"]))
    elif given.get("clOrdId"):
        order = call.account.find(given["clOrdId"])
    else:
        raise Refused("parameter", name="ordId")
    if order is None or (order.market, order.symbol) != (market.kind, market.symbol) or not call.engine.is_visible(call.account, order.at):
        raise Refused("unknown_order")
    if call.engine.is_forgotten(order, 2 * HOUR_MS):
        raise Refused("unknown_order")
    return order


def market_of(call: Call, one: Order | Fill) -> Market:
    return call.engine.market("okx", one.market, one.symbol)


def _view(call: Call, order: Order) -> dict[str, Any]:
    market = market_of(call, order)
    fills = call.account.fills_of(order.id)
    last = fills[-1] if fills else None
    state = "partially_filled" if order.status == "open" and order.filled else STATES[order.status]
    fee_token = last.fee_token if last else market.quote if market.kind == PERP or order.side == "sell" else market.base
    return {
        "instType": type_of(market), "instId": id_of(market), "tgtCcy": "base_ccy" if order.note == "market" else "", "ccy": "",
        "ordId": str(order.id), "clOrdId": order.client_id, "tag": "", "px": text(order.limit) if order.limit is not None else "",
        "sz": text(order.amount / market.contract), "pnl": text(sum((fill.realised for fill in fills), ZERO)),
        "ordType": order.note or "market",
        "side": order.side, "posSide": "net", "tdMode": "cash" if market.kind == SPOT else "cross",
        "accFillSz": text(order.filled / market.contract), "fillPx": text(last.price) if last else "",
        "tradeId": str(last.id) if last else "",
        "fillSz": text(last.amount / market.contract) if last else "0", "fillTime": str(last.at) if last else "",
        "avgPx": text(round(order.average, 8)) if order.filled else "", "state": state, "lever": "",
        "attachAlgoOrds": [], "tpTriggerPx": "",
        "tpOrdPx": "", "slTriggerPx": "", "slOrdPx": "", "feeCcy": fee_token, "fee": text(-sum((fill.fee for fill in fills), ZERO)),
        "rebateCcy": "", "source": "", "rebate": "", "category": CATEGORIES[order.origin], "reduceOnly": str(order.reduce_only).lower(),
        "cancelSource": {"expired": "14", "cancelled": "1"}.get(order.status, ""), "cancelSourceReason": "", "quickMgnType": "",
        "algoClOrdId": "", "algoId": "", "stpId": "", "stpMode": "", "isTpLimit": "false", "uTime": str(order.updated),
        "cTime": str(order.at),
    }  # fmt: skip


def _orders(call: Call, *, only_open: bool) -> Any:
    """Newest first."""
    kind, instrument = call.params.get("instType"), call.params.get("instId")
    rows = [
        _view(call, order) for order in (call.account.open_orders() if only_open else call.account.orders.values())
        if (order.status == "open") == only_open and not call.engine.is_forgotten(order, 2 * HOUR_MS)
        and kind in (None, "", type_of(market_of(call, order)))
        and instrument in (None, "", id_of(market_of(call, order))) and call.engine.is_visible(call.account, order.at)
    ]  # fmt: skip
    return rows[::-1][: int(call.params.get("limit", 100))]


def _fills(call: Call) -> Any:
    """Newest first: of three days, in the history of three months."""
    params = call.params
    days = 90 if call.request.path.endswith("history") else 3
    since = max(int(params.get("begin", 0)), call.engine.now() - days * 24 * HOUR_MS)
    until = int(params.get("end", 2**62))
    rows = []
    for fill in call.account.some_fills(order_id=params.get("ordId", ""), since=since):
        market = market_of(call, fill)
        wanted = {"instType": type_of(market), "instId": id_of(market), "ordId": str(fill.order_id)}
        if since <= fill.at <= until and all(params.get(name) in (None, "", value) for name, value in wanted.items()):
            if not call.engine.is_visible(call.account, fill.at):
                continue
            rows.append(
                {
                    **wanted, "tradeId": str(fill.id), "clOrdId": fill.client_id, "billId": str(fill.id), "subType": "1", "tag": "",
                    "fillPx": text(fill.price), "fillSz": text(fill.amount / market.contract), "fillIdxPx": "",
                    "fillPnl": text(fill.realised),
                    "fillPxVol": "", "fillPxUsd": "", "fillMarkVol": "", "fillFwdPx": "", "fillMarkPx": "",
                    "side": fill.side, "posSide": "net",
                    "execType": "M" if fill.is_maker else "T", "feeCcy": fill.fee_token, "fee": text(-fill.fee), "ts": str(fill.at),
                    "fillTime": str(fill.at), "feeRate": "",
                }
            )  # fmt: skip
    newest = rows[::-1]
    after, before = params.get("after"), params.get("before")
    newest = [row for row in newest if (not after or int(row["billId"]) < int(after)) and (not before or int(row["billId"]) > int(before))]
    return newest[: int(params.get("limit", 100))]


ROUTES = {
    "POST /api/v5/trade/order": Route("order", "trade", _place),
    "POST /api/v5/trade/batch-orders": Route("order", "trade", _place),
    "POST /api/v5/trade/cancel-order": Route("cancel", "trade", _cancel),
    "POST /api/v5/trade/cancel-batch-orders": Route("cancel", "trade", _cancel),
    "GET /api/v5/trade/order": Route("find", "read", lambda call: [_view(call, find_order(call, call.params))]),
    "GET /api/v5/trade/orders-pending": Route("open", "read", lambda call: _orders(call, only_open=True)),
    "GET /api/v5/trade/orders-history": Route("find", "read", lambda call: _orders(call, only_open=False)),
    "GET /api/v5/trade/fills": Route("fills", "read", _fills),
    "GET /api/v5/trade/fills-history": Route("fills", "read", _fills),
}
