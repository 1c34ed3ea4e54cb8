"""Binance USD-M futures: markets, funding rates, orders, fills."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from . import binance_prices as prices
from .binance_prices import RATE_LIMITS, eight
from .binance_spot import fills_of, find_order, orders_of, parse_order, status_of
from .dialect import Call, Route
from .ledger import ZERO, Order, Refused
from .markets import PERP, TERMS

HOURS_MS = 3_600_000
NEVER = 4_133_404_800_000


def _markets(call: Call) -> Any:
    symbols = [
        {
            "symbol": market.symbol,
            "pair": market.symbol,
            "contractType": "PERPETUAL",
            "deliveryDate": NEVER,
            "onboardDate": 1_569_398_400_000,
            "status": "TRADING" if market.is_open else "SETTLING",
            "maintMarginPercent": "2.5000",
            "requiredMarginPercent": "5.0000",
            "baseAsset": market.base,
            "quoteAsset": market.quote,
            "marginAsset": market.quote,
            "pricePrecision": 2,
            "quantityPrecision": 3,
            "baseAssetPrecision": 8,
            "quotePrecision": 8,
            "underlyingType": "COIN",
            "underlyingSubType": ["Layer-1"],
            "triggerProtect": "0.0500",
            "liquidationFee": "0.012500",
            "marketTakeBound": "0.05",
            "filters": [*prices.filters(market), {"filterType": "MIN_NOTIONAL", "notional": format(market.minimum_notional, "f")}],
            "orderTypes": ["LIMIT", "MARKET", "STOP"],
            "timeInForce": ["GTC", "IOC", "FOK", "GTX"],
        }
        for market in call.engine.markets_of("binance", PERP)
    ]
    assets = [{"asset": asset, "marginAvailable": True, "autoAssetExchange": "0"} for asset in ("USDT", "BNB")]
    limits = [limit for limit in RATE_LIMITS if limit["interval"] != "DAY"]
    return {
        "timezone": "UTC",
        "serverTime": call.engine.now(),
        "rateLimits": limits,
        "exchangeFilters": [],
        "assets": assets,
        "symbols": symbols,
    }


def _premium(call: Call) -> Any:
    now = call.engine.now()
    length = TERMS["binance"].funding_hours * HOURS_MS
    rows = []
    for market in prices.wanted(call, PERP):
        mark = eight(call.engine.price("binance", PERP, market.symbol))
        rows.append(
            {
                "symbol": market.symbol,
                "markPrice": mark,
                "indexPrice": mark,
                "estimatedSettlePrice": mark,
                "interestRate": "0.00010000",
                "lastFundingRate": format(_rate(call, market.symbol), "f"),
                "nextFundingTime": (now // length + 1) * length,
                "time": now,
            }
        )
    return prices.one_or_all(call, rows)


def _rate(call: Call, symbol: str) -> Decimal:
    series = None if call.engine.recorded is None else call.engine.recorded.funding("binance", symbol)
    return (series.at(call.engine.now()) if series is not None else None) or Decimal("0.0001")


def _rates(call: Call) -> Any:
    symbol, now = call.need("symbol"), call.engine.now()
    call.engine.market("binance", PERP, symbol)
    series = None if call.engine.recorded is None else call.engine.recorded.funding("binance", symbol)
    since, until = int(call.params.get("startTime", 0)), int(call.params.get("endTime", now))
    mark = eight(call.engine.price("binance", PERP, symbol))
    rows = series.between(since - 1, min(until, now)) if series is not None else []
    return [{"symbol": symbol, "fundingTime": at, "fundingRate": format(rate, "f"), "markPrice": mark} for at, rate in rows[-100:]]


# Orders.


def _view(order: Order) -> dict[str, Any]:
    kind = "MARKET" if order.limit is None else "LIMIT"
    return {
        "orderId": order.id,
        "symbol": order.symbol,
        "status": status_of(order),
        "clientOrderId": order.client_id,
        "price": format(order.limit or ZERO, "f"),
        "avgPrice": format(round(order.average, 8), "f"),
        "origQty": format(order.amount, "f"),
        "executedQty": format(order.filled, "f"),
        "cumQuote": format(order.cost, "f"),
        "timeInForce": "GTC" if order.limit is None else order.life,
        "type": "LIQUIDATION" if order.origin == "liquidation" else kind,
        "reduceOnly": order.reduce_only,
        "closePosition": False,
        "side": order.side.upper(),
        "positionSide": "BOTH",
        "stopPrice": "0",
        "workingType": "CONTRACT_PRICE",
        "priceProtect": False,
        "origType": kind,
        "priceMatch": "NONE",
        "selfTradePreventionMode": "NONE",
        "goodTillDate": 0,
        "time": order.at,
        "updateTime": order.updated,
    }


def _place(call: Call) -> Any:
    if call.params.get("positionSide", "BOTH") != ("BOTH" if not call.account.settings.get("hedge_mode") else None):
        raise Refused("position_side")
    order = call.engine.matching.place(call.account, parse_order(call, PERP), share=call.share)
    answer = _view(order)
    del answer["time"]
    if call.params.get("newOrderRespType", "ACK") == "ACK":
        answer |= {"status": "NEW", "executedQty": "0", "cumQuote": "0", "avgPrice": "0"}
    return answer | {"cumQty": answer["executedQty"]}


def _cancel(call: Call) -> Any:
    done = call.engine.matching.cancel(call.account, find_order(call, PERP))
    return _view(done) | {"cumQty": format(done.filled, "f")}


def _trades(call: Call) -> Any:
    return [
        {
            "symbol": fill.symbol,
            "id": fill.id,
            "orderId": fill.order_id,
            "side": fill.side.upper(),
            "price": format(fill.price, "f"),
            "qty": format(fill.amount, "f"),
            "realizedPnl": format(fill.realised, "f"),
            "quoteQty": format(fill.price * fill.amount, "f"),
            "commission": format(fill.fee, "f"),
            "commissionAsset": fill.fee_token,
            "time": fill.at,
            "positionSide": "BOTH",
            "buyer": fill.side == "buy",
            "maker": fill.is_maker,
        }
        for fill in fills_of(call, PERP)
    ]


def _forced(call: Call) -> Any:
    wanted = {"LIQUIDATION": "liquidation", "ADL": "adl"}.get(call.params.get("autoCloseType", ""))
    symbol = call.params.get("symbol")
    since, until = prices.window(call, 7, to_now=False)
    return [
        _view(order)
        for order in call.account.orders.values()
        if order.origin != "user" and wanted in (None, order.origin) and symbol in (None, order.symbol) and since <= order.at <= until
    ]


ROUTES = {
    "GET /fapi/v1/ping": Route("time", None, lambda _: {}),
    "GET /fapi/v1/time": Route("time", None, prices.time),
    "GET /fapi/v1/exchangeInfo": Route("markets", None, _markets),
    "GET /fapi/v1/ticker/price": Route("quote", None, prices.ticker_price(PERP)),
    "GET /fapi/v2/ticker/price": Route("quote", None, prices.ticker_price(PERP)),
    "GET /fapi/v1/ticker/bookTicker": Route("quote", None, prices.book_ticker(PERP)),
    "GET /fapi/v1/ticker/24hr": Route("quote", None, prices.day_ticker(PERP)),
    "GET /fapi/v1/klines": Route("quote", None, prices.klines(PERP)),
    "GET /fapi/v1/depth": Route("quote", None, prices.depth(PERP)),
    "GET /fapi/v1/premiumIndex": Route("quote", None, _premium),
    "GET /fapi/v1/fundingRate": Route("quote", None, _rates),
    "POST /fapi/v1/order": Route("order", "trade", _place),
    "GET /fapi/v1/order": Route("find", "read", lambda call: _view(find_order(call, PERP))),
    "DELETE /fapi/v1/order": Route("cancel", "trade", _cancel),
    "GET /fapi/v1/openOrders": Route("open", "read", lambda call: [_view(order) for order in orders_of(call, PERP, only_open=True)]),
    "GET /fapi/v1/allOrders": Route("find", "read", lambda call: [_view(order) for order in orders_of(call, PERP, only_open=False)]),
    "GET /fapi/v1/userTrades": Route("fills", "read", _trades),
    "GET /fapi/v1/forceOrders": Route("due", "read", _forced),
}
