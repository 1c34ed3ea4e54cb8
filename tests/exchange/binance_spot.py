"""Binance spot: markets, prices, orders, balances."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from .dialect import Call, Route
from .ledger import ZERO, Fill, Order, Refused
from .markets import SPOT, Market
from .matching import down

if TYPE_CHECKING:
    from .engine import Engine

STATUS = {"open": "NEW", "filled": "FILLED", "cancelled": "CANCELED", "expired": "EXPIRED"}
CLIENT_ID = re.compile(r"[a-zA-Z0-9-_]{1,36}")
MINUTE_MS = 60_000
BAR_MS = {"1m": MINUTE_MS, "1h": 60 * MINUTE_MS, "1d": 1_440 * MINUTE_MS}
RATE_LIMITS = [
    {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6_000},
    {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": 100},
    {"rateLimitType": "ORDERS", "interval": "DAY", "intervalNum": 1, "limit": 200_000},
]


def eight(amount: Decimal) -> str:
    """Eight decimals, as binance writes amounts; more where there are more, so that nothing is hidden."""
    return format(amount if amount != round(amount, 8) else amount.quantize(Decimal("1e-8")), "f")


def status_of(order: Order) -> str:
    return "PARTIALLY_FILLED" if order.status == "open" and order.filled else STATUS[order.status]


def _time(call: Call) -> Any:
    return {"serverTime": call.engine.now()}


def filters(market: Market) -> list[dict[str, Any]]:
    return [
        {"filterType": "PRICE_FILTER", "minPrice": eight(market.tick), "maxPrice": "1000000.00000000", "tickSize": eight(market.tick)},
        {"filterType": "LOT_SIZE", "minQty": eight(market.lot), "maxQty": eight(market.maximum), "stepSize": eight(market.lot)},
        {"filterType": "MARKET_LOT_SIZE", "minQty": "0.00000000", "maxQty": eight(market.maximum), "stepSize": "0.00000000"},
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
    ]


def _markets(call: Call) -> Any:
    symbols = [
        {
            "symbol": market.symbol,
            "status": "TRADING" if market.is_open else "BREAK",
            "baseAsset": market.base,
            "baseAssetPrecision": 8,
            "quoteAsset": market.quote,
            "quotePrecision": 8,
            "quoteAssetPrecision": 8,
            "baseCommissionPrecision": 8,
            "quoteCommissionPrecision": 8,
            "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
            "icebergAllowed": True,
            "ocoAllowed": True,
            "otoAllowed": True,
            "quoteOrderQtyMarketAllowed": True,
            "allowTrailingStop": True,
            "cancelReplaceAllowed": True,
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False,
            "filters": [
                *filters(market),
                {"filterType": "NOTIONAL", "minNotional": eight(market.minimum_notional), "applyMinToMarket": True,
                 "maxNotional": "9000000.00000000", "applyMaxToMarket": False, "avgPriceMins": 5},
            ],
            "permissions": [],
            "permissionSets": [["SPOT"]],
            "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
            "allowedSelfTradePreventionModes": ["NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
        }
        for market in wanted(call, SPOT)
    ]  # fmt: skip
    return {"timezone": "UTC", "serverTime": call.engine.now(), "rateLimits": RATE_LIMITS, "exchangeFilters": [], "symbols": symbols}


def wanted(call: Call, kind: str) -> list[Market]:
    symbol = call.params.get("symbol")
    return [call.engine.market("binance", kind, symbol)] if symbol else call.engine.markets_of("binance", kind)


def best(engine: Engine, kind: str, market: Market) -> tuple[Decimal, Decimal]:
    """Bid and ask, a tick apart: what trades is the price itself."""
    price = engine.price("binance", kind, market.symbol)
    return price, price


def one_or_all(call: Call, found: list[Any]) -> Any:
    return found[0] if call.params.get("symbol") else found


def ticker_price(kind: str) -> Any:
    def run(call: Call) -> Any:
        rows = [{"symbol": market.symbol, "price": eight(best(call.engine, kind, market)[0])} for market in wanted(call, kind)]
        if kind != SPOT:
            rows = [{**row, "time": call.engine.now()} for row in rows]
        return one_or_all(call, rows)

    return run


def book_ticker(kind: str) -> Any:
    def run(call: Call) -> Any:
        rows = []
        for market in wanted(call, kind):
            bid, ask = best(call.engine, kind, market)
            row = {
                "symbol": market.symbol,
                "bidPrice": eight(bid),
                "bidQty": "100.00000000",
                "askPrice": eight(ask),
                "askQty": "100.00000000",
            }
            rows.append(row if kind == SPOT else {**row, "time": call.engine.now(), "lastUpdateId": call.engine.now()})
        return one_or_all(call, rows)

    return run


def day_ticker(kind: str) -> Any:
    def run(call: Call) -> Any:
        rows = []
        for market in wanted(call, kind):
            price, now = eight(best(call.engine, kind, market)[0]), call.engine.now()
            row = {name: price for name in ("weightedAvgPrice", "lastPrice", "openPrice", "highPrice", "lowPrice")}
            row |= {"symbol": market.symbol, "priceChange": "0.00000000", "priceChangePercent": "0.000", "lastQty": "1.00000000"}
            row |= {"volume": "1000.00000000", "quoteVolume": eight(1000 * Decimal(price))}
            if kind == SPOT:
                row |= {"prevClosePrice": price, "bidPrice": price, "bidQty": "100.00000000", "askPrice": price, "askQty": "100.00000000"}
            rows.append({**row, "openTime": now - 1_440 * MINUTE_MS, "closeTime": now, "firstId": 1, "lastId": 2, "count": 2})
        return one_or_all(call, rows)

    return run


def klines(kind: str) -> Any:
    def run(call: Call) -> Any:
        length = BAR_MS[call.params.get("interval", "1h")]
        symbol, limit = call.need("symbol"), min(int(call.params.get("limit", "500")), 1_000)
        call.engine.market("binance", kind, symbol)
        last = call.engine.now() // length * length
        first = int(call.params.get("startTime", last - (limit - 1) * length))
        rows = []
        for opens in range(-(-first // length) * length, min(last, first + limit * length) + 1, length)[:limit]:
            price = eight(call.engine.prices.price("binance", kind, symbol, min(opens + length, call.engine.now())))
            rows.append([opens, price, price, price, price, "1000.00000000", opens + length - 1, eight(1000 * Decimal(price)), 10,
                         "500.00000000", eight(500 * Decimal(price)), "0"])  # fmt: skip
        return rows

    return run


def depth(kind: str) -> Any:
    def run(call: Call) -> Any:
        market = call.engine.market("binance", kind, call.need("symbol"))
        price = best(call.engine, kind, market)[0]
        bids = [[eight(price), "100.00000000"], [eight(price - market.tick), "100.00000000"]]
        asks = [[eight(price), "100.00000000"], [eight(price + market.tick), "100.00000000"]]
        book = {"lastUpdateId": call.engine.now(), "bids": bids, "asks": asks}
        return book if kind == SPOT else {**book, "E": call.engine.now(), "T": call.engine.now()}

    return run


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
        amount = down(Decimal(params["quoteOrderQty"]) / best(call.engine, kind, market)[1], market.lot)
    else:
        amount = Decimal(call.need("quantity"))
    client_id = params.get("newClientOrderId") or f"made{number}"
    if not CLIENT_ID.fullmatch(client_id):
        raise Refused("client_id")
    life = params["timeInForce"] if is_limit else "IOC"
    is_reducing = params.get("reduceOnly") == "true"
    return Order(number, client_id, kind, market.symbol, call.need("side").lower(), amount, limit, life, is_reducing, now, now,
                 note=params["type"])  # fmt: skip


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
            {"price": eight(fill.price), "qty": eight(fill.amount), "commission": eight(fill.fee), "commissionAsset": fill.fee_token,
             "tradeId": fill.id}
            for fill in call.account.fills if fill.order_id == order.id
        ]  # fmt: skip
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
        "symbol": order.symbol, "orderId": order.id, "orderListId": -1, "clientOrderId": order.client_id, **_order_fields(order),
        "stopPrice": "0.00000000", "icebergQty": "0.00000000", "time": order.at, "updateTime": order.updated,
        "isWorking": True, "workingTime": order.at,
    }  # fmt: skip


def find_order(call: Call, kind: str) -> Order:
    """The order that a look-up names, if it is visible yet."""
    call.engine.market("binance", kind, call.need("symbol"))
    if "orderId" in call.params:
        order = call.account.orders.get(int(call.params["orderId"]))
    else:
        order = call.account.find(call.need("origClientOrderId"))
    if order is None or (order.market, order.symbol) != (kind, call.params["symbol"]) or not call.engine.is_visible(call.account, order.at):
        raise Refused("unknown_order")
    return order


def _cancel(call: Call) -> Any:
    order = find_order(call, SPOT)
    done = call.engine.matching.cancel(call.account, order)
    return {"symbol": done.symbol, "origClientOrderId": done.client_id, "orderId": done.id, "orderListId": -1,
            "clientOrderId": f"cancel{done.id}", "transactTime": done.updated, **_order_fields(done)}  # fmt: skip


def orders_of(call: Call, kind: str, *, only_open: bool) -> list[Order]:
    symbol = call.params.get("symbol")
    found = call.account.open_orders() if only_open else list(call.account.orders.values())
    since = int(call.params.get("startTime", 0))
    return [order for order in found if order.market == kind and symbol in (None, order.symbol) and order.at >= since]


def fills_of(call: Call, kind: str) -> list[Fill]:
    """What a request for trades names, oldest first."""
    params = call.params
    since, until = int(params.get("startTime", 0)), int(params.get("endTime", 2**62))
    found = [
        fill
        for fill in call.account.fills
        if fill.market == kind and params.get("symbol") in (None, fill.symbol) and since <= fill.at <= until
        and params.get("orderId") in (None, str(fill.order_id)) and fill.id >= int(params.get("fromId", 0))
        and call.engine.is_visible(call.account, fill.at)
    ]  # fmt: skip
    limit = int(params.get("limit", 500))
    return found[:limit] if {"startTime", "fromId"} & params.keys() else found[-limit:]


def _trades(call: Call) -> Any:
    call.need("symbol")
    return [
        {
            "symbol": fill.symbol, "id": fill.id, "orderId": fill.order_id, "orderListId": -1, "price": eight(fill.price),
            "qty": eight(fill.amount), "quoteQty": eight(fill.price * fill.amount), "commission": eight(fill.fee),
            "commissionAsset": fill.fee_token, "time": fill.at, "isBuyer": fill.side == "buy", "isMaker": fill.is_maker, "isBestMatch": True,
        }
        for fill in fills_of(call, SPOT)
    ]  # fmt: skip


def _account(call: Call) -> Any:
    held = call.engine.shown(call.account).get("spot", {})
    balances = []
    for token in sorted({*held, "BNB", "BTC", "ETH", "USDC", "USDT"}):
        locked = call.engine.locked(call.account, "spot", token)
        balances.append({"asset": token, "free": eight(held.get(token, ZERO) - locked), "locked": eight(locked)})
    return {
        "makerCommission": 10, "takerCommission": 10, "buyerCommission": 0, "sellerCommission": 0,
        "commissionRates": {"maker": "0.00100000", "taker": "0.00100000", "buyer": "0.00000000", "seller": "0.00000000"},
        "canTrade": True, "canWithdraw": True, "canDeposit": True, "brokered": False, "requireSelfTradePrevention": False,
        "preventSor": False, "updateTime": call.engine.now(), "accountType": "SPOT", "balances": balances, "permissions": ["SPOT"], "uid": 1,
    }  # fmt: skip


def _commission(call: Call) -> Any:
    market = call.engine.market("binance", SPOT, call.need("symbol"))
    rates = {"maker": eight(call.engine.fee_rate(call.account, market, is_maker=True)),
             "taker": eight(call.engine.fee_rate(call.account, market, is_maker=False)), "buyer": "0.00000000", "seller": "0.00000000"}  # fmt: skip
    none = dict.fromkeys(rates, "0.00000000")
    discount = {"enabledForAccount": bool(call.account.settings.get("bnb_fees")), "enabledForSymbol": True, "discountAsset": "BNB",
                "discount": "0.75000000"}  # fmt: skip
    return {"symbol": market.symbol, "standardCommission": rates, "specialCommission": none, "taxCommission": none, "discount": discount}


ROUTES = {
    "GET /api/v3/ping": Route("time", None, lambda _: {}),
    "GET /api/v3/time": Route("time", None, _time),
    "GET /api/v3/exchangeInfo": Route("markets", None, _markets),
    "GET /api/v3/ticker/price": Route("quote", None, ticker_price(SPOT)),
    "GET /api/v3/ticker/bookTicker": Route("quote", None, book_ticker(SPOT)),
    "GET /api/v3/ticker/24hr": Route("quote", None, day_ticker(SPOT)),
    "GET /api/v3/klines": Route("quote", None, klines(SPOT)),
    "GET /api/v3/depth": Route("quote", None, depth(SPOT)),
    "POST /api/v3/order": Route("order", "trade", _place),
    "GET /api/v3/order": Route("find", "read", lambda call: _view(find_order(call, SPOT))),
    "DELETE /api/v3/order": Route("cancel", "trade", _cancel),
    "GET /api/v3/openOrders": Route("open", "read", lambda call: [_view(order) for order in orders_of(call, SPOT, only_open=True)]),
    "GET /api/v3/allOrders": Route("find", "read", lambda call: [_view(order) for order in orders_of(call, SPOT, only_open=False)]),
    "GET /api/v3/myTrades": Route("fills", "read", _trades),
    "GET /api/v3/account": Route("balance", "read", _account),
    "GET /api/v3/account/commission": Route("account", "read", _commission),
}
