"""Binance spot: orders, fills, balances."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from . import binance_prices as prices
from .binance_prices import eight
from .dialect import Call, Route
from .ledger import ZERO, Fill, Order, Refused
from .markets import PERP, SPOT
from .matching import down

STATUS = {"open": "NEW", "filled": "FILLED", "cancelled": "CANCELED", "expired": "EXPIRED"}
TOGETHER_OF = ("orderId", "startTime", "endTime", "fromId")
# Which of these a request for fills may have together.
TOGETHER = {
    SPOT: [frozenset(names.split()) for names in ("", "orderId", "startTime", "endTime", "fromId", "startTime endTime", "orderId fromId")],
    PERP: [
        frozenset(names.split())
        for names in ("", "orderId", "startTime", "endTime", "fromId", "startTime endTime", "orderId fromId", "orderId startTime endTime")
    ],
}
CLIENT_ID = re.compile(r"[a-zA-Z0-9-_]{1,36}")


def status_of(order: Order) -> str:
    return "PARTIALLY_FILLED" if order.status == "open" and order.filled else STATUS[order.status]


# Orders.


def parse_order(call: Call, kind: str) -> Order:
    """The order of a request, not yet checked against its market."""
    params, now = call.params, call.engine.now()
    market = call.engine.market("binance", kind, call.need("symbol"))
    is_limit = call.need("type") == "LIMIT"
    if is_limit:
        call.need("timeInForce")
    limit = Decimal(call.need("price")) if is_limit else None
    number = call.engine.ledger.next_id()
    if "quoteOrderQty" in params:
        amount = down(Decimal(params["quoteOrderQty"]) / prices.best(call.engine, kind, market)[1], market.lot)
    else:
        amount = Decimal(call.need("quantity"))
    client_id = params.get("newClientOrderId") or f"made{number}"
    if not CLIENT_ID.fullmatch(client_id):
        raise Refused("client_id")
    life = params["timeInForce"] if is_limit else "IOC"
    is_reducing = params.get("reduceOnly") == "true"
    return Order(
        number, client_id, kind, market.symbol, call.need("side").lower(), amount, limit, life, is_reducing, now, now, note=params["type"]
    )


def _place(call: Call) -> Any:
    order = call.engine.matching.place(call.account, parse_order(call, SPOT), share=call.share)
    answer = {
        "symbol": order.symbol,
        "orderId": order.id,
        "orderListId": -1,
        "clientOrderId": order.client_id,
        "transactTime": order.updated,
    }
    kind = call.params.get("newOrderRespType", "FULL")
    if kind == "ACK":
        return answer
    answer |= {**_order_fields(order), "workingTime": order.at}
    if kind == "FULL":
        answer["fills"] = [
            {
                "price": eight(fill.price),
                "qty": eight(fill.amount),
                "commission": eight(fill.fee),
                "commissionAsset": fill.fee_token,
                "tradeId": fill.id,
            }
            for fill in call.account.fills_of(order.id)
        ]
    return answer


def _order_fields(order: Order) -> dict[str, Any]:
    return {
        "price": eight(order.limit or ZERO),
        "origQty": eight(order.amount),
        "executedQty": eight(order.filled),
        "origQuoteOrderQty": "0.00000000",
        "cummulativeQuoteQty": eight(order.cost),
        "status": status_of(order),
        "timeInForce": order.life if order.limit is not None else "GTC",
        "type": "LIMIT" if order.limit is not None else "MARKET",
        "side": order.side.upper(),
        "selfTradePreventionMode": "EXPIRE_MAKER",
    }


def _view(order: Order) -> dict[str, Any]:
    return {
        "symbol": order.symbol,
        "orderId": order.id,
        "orderListId": -1,
        "clientOrderId": order.client_id,
        **_order_fields(order),
        "stopPrice": "0.00000000",
        "icebergQty": "0.00000000",
        "time": order.at,
        "updateTime": order.updated,
        "isWorking": True,
        "workingTime": order.at,
    }


def find_order(call: Call, kind: str) -> Order:
    """The order that a look-up names, if it is visible yet."""
    call.engine.market("binance", kind, call.need("symbol"))
    if "orderId" in call.params:
        order = call.account.orders.get(int(call.params["orderId"]))
    else:
        order = call.account.find(call.need("origClientOrderId"))
    if order is None or (order.market, order.symbol) != (kind, call.params["symbol"]) or not call.engine.is_visible(call.account, order.at):
        raise Refused("unknown_order")
    if kind == PERP and call.engine.is_forgotten(order, 3 * 86_400_000):
        raise Refused("unknown_order")
    return order


def _cancel(call: Call) -> Any:
    order = find_order(call, SPOT)
    done = call.engine.matching.cancel(call.account, order)
    return {
        "symbol": done.symbol,
        "origClientOrderId": done.client_id,
        "orderId": done.id,
        "orderListId": -1,
        "clientOrderId": f"cancel{done.id}",
        "transactTime": done.updated,
        **_order_fields(done),
    }


def orders_of(call: Call, kind: str, *, only_open: bool) -> list[Order]:
    symbol = call.params.get("symbol")
    if only_open:
        return [order for order in call.account.open_orders() if order.market == kind and symbol in (None, order.symbol)]
    call.need("symbol")
    since, until = _window(call, kind)
    found = [order for order in call.account.orders.values() if (order.market, order.symbol) == (kind, symbol)]
    return [order for order in found if since <= order.at <= until and call.engine.is_visible(call.account, order.at)]


def _window(call: Call, kind: str) -> tuple[int, int]:
    """Spot knows all orders and fills, and a day of them between two times; futures know a week."""
    if kind == PERP:
        return prices.window(call, 7, to_now=False)
    if {"startTime", "endTime"} <= call.params.keys():
        return prices.window(call, 1, to_now=True)
    return int(call.params.get("startTime", 0)), int(call.params.get("endTime", 2**62))


def fills_of(call: Call, kind: str) -> list[Fill]:
    """What a request for trades names, oldest first."""
    params = call.params
    call.need("symbol")
    if frozenset(params.keys() & set(TOGETHER_OF)) not in TOGETHER[kind]:
        raise Refused("together")
    is_of_order = "orderId" in params or "fromId" in params
    since, until = (0, 2**62) if is_of_order else _window(call, kind)
    found = [
        fill
        for fill in call.account.some_fills(order_id=params.get("orderId", ""), since=since)
        if fill.market == kind
        and params.get("symbol") in (None, fill.symbol)
        and since <= fill.at <= until
        and fill.id >= int(params.get("fromId", 0))
        and call.engine.is_visible(call.account, fill.at)
    ]
    limit = int(params.get("limit", 500))
    return found[:limit] if {"startTime", "fromId"} & params.keys() else found[-limit:]


def _trades(call: Call) -> Any:
    call.need("symbol")
    return [
        {
            "symbol": fill.symbol,
            "id": fill.id,
            "orderId": fill.order_id,
            "orderListId": -1,
            "price": eight(fill.price),
            "qty": eight(fill.amount),
            "quoteQty": eight(fill.price * fill.amount),
            "commission": eight(fill.fee),
            "commissionAsset": fill.fee_token,
            "time": fill.at,
            "isBuyer": fill.side == "buy",
            "isMaker": fill.is_maker,
            "isBestMatch": True,
        }
        for fill in fills_of(call, SPOT)
    ]


def _account(call: Call) -> Any:
    held = call.engine.shown(call.account).get("spot", {})
    balances = []
    for token in sorted({*held, "BNB", "BTC", "ETH", "USDC", "USDT"}):
        locked = call.engine.locked(call.account, "spot", token)
        balances.append({"asset": token, "free": eight(held.get(token, ZERO) - locked), "locked": eight(locked)})
    return {
        "makerCommission": 10,
        "takerCommission": 10,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {"maker": "0.00100000", "taker": "0.00100000", "buyer": "0.00000000", "seller": "0.00000000"},
        "canTrade": True,
        "canWithdraw": True,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": call.engine.now(),
        "accountType": "SPOT",
        "balances": balances,
        "permissions": ["SPOT"],
        "uid": 1,
    }


def _commission(call: Call) -> Any:
    market = call.engine.market("binance", SPOT, call.need("symbol"))
    rates = {
        "maker": eight(call.engine.fee_rate(call.account, market, is_maker=True)),
        "taker": eight(call.engine.fee_rate(call.account, market, is_maker=False)),
        "buyer": "0.00000000",
        "seller": "0.00000000",
    }
    none = dict.fromkeys(rates, "0.00000000")
    discount = {
        "enabledForAccount": bool(call.account.settings.get("bnb_fees")),
        "enabledForSymbol": True,
        "discountAsset": "BNB",
        "discount": "0.75000000",
    }
    return {"symbol": market.symbol, "standardCommission": rates, "specialCommission": none, "taxCommission": none, "discount": discount}


ROUTES = {
    "GET /api/v3/ping": Route("time", None, lambda _: {}),
    "GET /api/v3/time": Route("time", None, prices.time),
    "GET /api/v3/exchangeInfo": Route("markets", None, prices.spot_markets),
    "GET /api/v3/ticker/price": Route("quote", None, prices.ticker_price(SPOT)),
    "GET /api/v3/ticker/bookTicker": Route("quote", None, prices.book_ticker(SPOT)),
    "GET /api/v3/ticker/24hr": Route("quote", None, prices.day_ticker(SPOT)),
    "GET /api/v3/klines": Route("quote", None, prices.klines(SPOT)),
    "GET /api/v3/depth": Route("quote", None, prices.depth(SPOT)),
    "POST /api/v3/order": Route("order", "trade", _place),
    "GET /api/v3/order": Route("find", "read", lambda call: _view(find_order(call, SPOT))),
    "DELETE /api/v3/order": Route("cancel", "trade", _cancel),
    "GET /api/v3/openOrders": Route("open", "read", lambda call: [_view(order) for order in orders_of(call, SPOT, only_open=True)]),
    "GET /api/v3/allOrders": Route("find", "read", lambda call: [_view(order) for order in orders_of(call, SPOT, only_open=False)]),
    "GET /api/v3/myTrades": Route("fills", "read", _trades),
    "GET /api/v3/account": Route("balance", "read", _account),
    "GET /api/v3/account/commission": Route("account", "read", _commission),
}
