"""Bybit v5: orders, executions, positions."""

from __future__ import annotations

from decimal import Decimal
from itertools import islice
from typing import Any

from .bybit_markets import KINDS, category, listed, window
from .dialect import Call, Route
from .ledger import ZERO, Fill, Order, Position, Refused, text
from .markets import PERP, SPOT
from .matching import down

RECENT = 500  # orders that are done, in `realtime`
EXECUTIONS = {"user": "Trade", "liquidation": "BustTrade", "adl": "AdlTrade"}


# Orders.


def _place(call: Call) -> Any:
    kind = KINDS[category(call)]
    market = call.engine.market("bybit", kind, call.need("symbol"))
    amount = Decimal(call.need("qty"))
    is_limit = call.need("orderType") == "Limit"
    side = call.need("side").lower()
    if kind == SPOT and not is_limit and call.params.get("marketUnit", "quoteCoin" if side == "buy" else "baseCoin") == "quoteCoin":
        amount = down(amount / call.engine.price("bybit", kind, market.symbol), market.lot)
    client_id = call.params.get("orderLinkId") or ""
    if len(client_id) > 36:
        raise Refused("client_id")
    number, now = call.engine.ledger.next_id(), call.engine.now()
    limit = Decimal(call.need("price")) if is_limit else None
    life = call.params.get("timeInForce", "GTC") if is_limit else "IOC"
    order = Order(number, client_id, kind, market.symbol, side, amount, limit, life, bool(call.params.get("reduceOnly")), now, now)
    done = call.engine.matching.place(call.account, order, share=call.share)
    return {"orderId": str(done.id), "orderLinkId": done.client_id}


def _candidates(call: Call, *, only_recent: bool) -> list[Order]:
    """Where to look for what a request names; the newest 500 of those that are done, or all."""
    params, orders = call.params, call.account.orders
    if params.get("orderId"):
        named = [int(params["orderId"])]
    elif params.get("orderLinkId"):
        named = call.account.by_client_id.get(params["orderLinkId"], [])
    else:
        named = list(orders)
    found = [orders[number] for number in named if number in orders]
    if not only_recent:
        return found
    recent = set(islice(reversed(orders), RECENT))
    return [order for order in found if order.status == "open" or order.id in recent]


def _find(call: Call, *, only_named: bool) -> list[Order]:
    """Orders of a request, newest first. The history without a time is that of a week, also of an order that is named."""
    params, kind = call.params, KINDS.get(call.need("category"))
    found = [
        order
        for order in _candidates(call, only_recent=only_named)
        if order.market == kind and params.get("symbol") in (None, order.symbol) and params.get("orderId") in (None, str(order.id))
        and params.get("orderLinkId") in (None, order.client_id) and call.engine.is_visible(call.account, order.at)
    ]  # fmt: skip
    if not only_named:
        since, until = window(call, 7)
        found = [order for order in found if since <= order.at <= until]
    elif not {"orderId", "orderLinkId"} & params.keys():
        found = [order for order in found if order.status == "open" or params.get("openOnly") == "1"]
    return found[::-1][: int(params.get("limit", 50))]


def _status(order: Order) -> str:
    if order.status == "open":
        return "PartiallyFilled" if order.filled else "New"
    if order.status == "filled":
        return "Filled"
    return "PartiallyFilledCanceled" if order.filled and order.market == SPOT else "Cancelled"


def _view(call: Call, order: Order) -> dict[str, Any]:
    fees: dict[str, Decimal] = {}
    for fill in call.account.fills_of(order.id):
        fees[fill.fee_token] = fees.get(fill.fee_token, ZERO) + fill.fee
    is_done = order.status != "open"
    return {
        "orderId": str(order.id), "orderLinkId": order.client_id, "blockTradeId": "", "symbol": order.symbol,
        "price": text(order.limit or ZERO),
        "qty": text(order.amount), "side": order.side.capitalize(), "isLeverage": "0", "positionIdx": 0, "orderStatus": _status(order),
        "createType": {"liquidation": "CreateByLiq", "adl": "CreateByAdl_PassThrough"}.get(order.origin, "CreateByUser"),
        "cancelType": "CancelByUser" if order.status == "cancelled" else "UNKNOWN",
        "rejectReason": "EC_NoImmediateQtyToFill" if order.status == "expired" else "EC_NoError",
        "avgPrice": text(round(order.average, 8)) if order.filled else "",
        "leavesQty": "0" if is_done else text(order.amount - order.filled),
        "leavesValue": "0", "cumExecQty": text(order.filled), "cumExecValue": text(order.cost),
        "cumExecFee": text(sum(fees.values(), ZERO)),
        "cumFeeDetail": {token: text(fee) for token, fee in fees.items()}, "timeInForce": order.life,
        "orderType": "Market" if order.limit is None else "Limit", "marketUnit": "" if order.limit is not None else "baseCoin",
        "stopOrderType": "", "orderIv": "", "triggerPrice": "0", "takeProfit": "", "stopLoss": "", "tpTriggerBy": "", "slTriggerBy": "",
        "triggerDirection": 0, "triggerBy": "", "lastPriceOnCreated": "", "reduceOnly": order.reduce_only, "closeOnTrigger": False,
        "smpType": "None", "smpGroup": 0, "smpOrderId": "", "createdTime": str(order.at), "updatedTime": str(order.updated),
    }  # fmt: skip


def _cancel(call: Call) -> Any:
    if not {"orderId", "orderLinkId"} & call.params.keys():
        raise Refused("parameter", name="orderId")
    found = _find(call, only_named=True)
    if not found:
        raise Refused("unknown_order")
    call.engine.matching.cancel(call.account, found[0])
    return {"orderId": str(found[0].id), "orderLinkId": found[0].client_id}


def _executions(call: Call) -> Any:
    params = call.params
    kind = KINDS.get(params.get("category", "linear"))
    rows = []
    since, until = window(call, 7)
    for fill in call.account.some_fills(order_id=params.get("orderId", ""), client_id=params.get("orderLinkId", ""), since=since):
        order = call.account.orders[fill.order_id]
        if fill.market == kind:
            rows.append(_execution(fill, order))
    if kind == PERP:
        rows += [_funding(one) for one in call.account.records["payment"].values() if one["kind"] == "funding"]
    names = {"symbol": "symbol", "orderId": "orderId", "orderLinkId": "orderLinkId", "execType": "execType"}
    found = [
        row for row in rows
        if since <= int(row["execTime"]) <= until and call.engine.is_visible(call.account, int(row["execTime"]))
        and all(params.get(name) in (None, "", row[field]) for name, field in names.items())
    ]  # fmt: skip
    newest = sorted(found, key=lambda row: (-int(row["execTime"]), -int(row["execId"])))
    size, start = int(params.get("limit", 50)), int(params.get("cursor") or 0)
    more = str(start + size) if start + size < len(newest) else ""
    return listed(call, newest[start : start + size], nextPageCursor=more)


def _execution(fill: Fill, order: Order) -> dict[str, Any]:
    value = fill.price * fill.amount
    return {
        "symbol": fill.symbol, "orderType": "Market" if order.limit is None else "Limit", "underlyingPrice": "",
        "orderLinkId": fill.client_id,
        "side": fill.side.capitalize(), "indexPrice": "", "orderId": str(fill.order_id), "stopOrderType": "UNKNOWN", "leavesQty": "0",
        "execTime": str(fill.at), "feeCurrency": fill.fee_token if fill.market == SPOT else "", "isMaker": fill.is_maker,
        "execFee": text(fill.fee), "feeRate": text(round(fill.fee / (fill.amount if fill.fee_token != "USDT" else value), 8)),
        "execId": str(fill.id), "tradeIv": "", "blockTradeId": "", "markPrice": text(fill.price),
        "execPrice": text(fill.price), "markIv": "",
        "orderQty": text(order.amount), "orderPrice": text(order.limit or ZERO), "execValue": text(value),
        "execType": EXECUTIONS[order.origin],
        "execQty": text(fill.amount), "closedSize": text(fill.amount) if fill.realised else "0", "seq": fill.id,
        "execPnl": text(fill.realised),
        "createType": "CreateByUser", "extraFees": "",
    }  # fmt: skip


def _funding(one: dict[str, Any]) -> dict[str, Any]:
    """A positive fee was paid: the opposite sign of the transaction log's `funding`."""
    size = Decimal(one.get("size", "0"))
    return {
        "symbol": one["symbol"], "orderType": "UNKNOWN", "underlyingPrice": "", "orderLinkId": "", "side": "Sell" if size > 0 else "Buy",
        "indexPrice": "", "orderId": one["id"], "stopOrderType": "UNKNOWN", "leavesQty": "0", "execTime": str(one["at"]), "feeCurrency": "",
        "isMaker": False, "execFee": text(-Decimal(one["amount"])), "feeRate": one.get("rate", "0"), "execId": one["id"], "tradeIv": "",
        "blockTradeId": "", "markPrice": one.get("price", "0"), "execPrice": one.get("price", "0"), "markIv": "", "orderQty": "0",
        "orderPrice": "0", "execValue": text(abs(size * Decimal(one.get("price", "0")))), "execType": "Funding", "execQty": text(abs(size)),
        "closedSize": "0", "seq": int(one["id"]), "execPnl": "0", "createType": "", "extraFees": "",
    }  # fmt: skip


# Positions.


def _positions(call: Call) -> Any:
    if category(call) != "linear":
        raise Refused("parameter", name="category")
    symbols = [call.params["symbol"]] if call.params.get("symbol") else list(call.account.positions)
    for symbol in symbols:
        call.engine.market("bybit", PERP, symbol)
    rows = [row for symbol in symbols for row in _positions_of(call, symbol)]
    return listed(call, rows if call.params.get("symbol") else [row for row in rows if row["size"] != "0"])


def _positions_of(call: Call, symbol: str) -> list[dict[str, Any]]:
    """In hedge mode there are two, of which one side is empty here."""
    row = _position(call, symbol)
    if not call.account.settings.get("hedge_mode"):
        return [row]
    sides = [{**row, "positionIdx": index} for index in (1, 2)]
    empty = 0 if row["side"] == "Sell" else 1
    return [{**side, "side": "", "size": "0"} if number == empty else side for number, side in enumerate(sides)]


def _position(call: Call, symbol: str) -> dict[str, Any]:
    account, engine = call.account, call.engine
    held = account.positions.get(symbol, Position())
    mark = engine.price("bybit", PERP, symbol)
    is_held = bool(held.amount)
    profit, fees = account.results.get(symbol, (ZERO, ZERO))
    realised = profit - fees
    is_portfolio = account.settings.get("margin_mode") == "PORTFOLIO_MARGIN"
    leverage = "" if is_portfolio else text(engine.leverage(account, symbol))
    return {
        "positionIdx": 0, "riskId": 1, "riskLimitValue": "2000000", "symbol": symbol,
        "side": "Buy" if held.amount > 0 else "Sell" if is_held else "",
        "size": text(abs(held.amount)), "avgPrice": text(round(held.entry, 8)), "positionValue": text(abs(held.cost)), "tradeMode": 0,
        "autoAddMargin": 0, "positionStatus": "Normal", "leverage": leverage,
        "markPrice": text(mark), "liqPrice": "",
        "bustPrice": "", "positionIM": text(engine.initial_margin(account, symbol)) if is_held else "0",
        "positionMM": text(engine.maintenance_margin(account, symbol)) if is_held else "0", "positionBalance": "0", "takeProfit": "",
        "stopLoss": "", "trailingStop": "0", "sessionAvgPrice": "",
        "unrealisedPnl": text(engine.unrealised(account, symbol)) if is_held else "",
        "curRealisedPnl": text(realised), "cumRealisedPnl": text(realised), "adlRankIndicator": 2, "createdTime": "0",
        "updatedTime": str(account.traded_at(PERP, symbol)), "seq": 1, "isReduceOnly": False,
        "mmrSysUpdatedTime": "", "leverageSysUpdatedTime": "", "tpslMode": "Full",
    }  # fmt: skip


def _set_leverage(call: Call) -> Any:
    symbol, leverage = call.need("symbol"), Decimal(call.need("buyLeverage"))
    call.engine.market("bybit", PERP, symbol)
    if not 1 <= leverage <= 100 or leverage != Decimal(call.need("sellLeverage")):
        raise Refused("leverage")
    if leverage == call.engine.leverage(call.account, symbol):
        raise Refused("leverage_as_before")
    call.engine.ledger.write("setting", call.engine.now(), call.account, setting={f"leverage {symbol}": text(leverage)})
    return {}


def _switch_mode(call: Call) -> Any:
    if any(position.amount for position in call.account.positions.values()):
        raise Refused("open_position")
    call.engine.ledger.write("setting", call.engine.now(), call.account, setting={"hedge_mode": int(call.need("mode")) == 3})
    return {}


ROUTES = {
    "POST /v5/order/create": Route("order", "trade", _place),
    "POST /v5/order/cancel": Route("cancel", "trade", _cancel),
    "GET /v5/order/realtime": Route(
        "find", "read", lambda call: listed(call, [_view(call, order) for order in _find(call, only_named=True)])
    ),
    "GET /v5/order/history": Route(
        "find", "read", lambda call: listed(call, [_view(call, order) for order in _find(call, only_named=False) if order.status != "open"])
    ),
    "GET /v5/execution/list": Route("fills", "read", _executions),
    "GET /v5/position/list": Route("positions", "read", _positions),
    "POST /v5/position/set-leverage": Route("settings", "trade", _set_leverage),
    "POST /v5/position/switch-mode": Route("settings", "trade", _switch_mode),
}
