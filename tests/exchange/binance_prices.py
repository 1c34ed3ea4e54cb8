"""Binance's markets and prices, spot and futures."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from .ledger import Refused
from .markets import SPOT, Market

if TYPE_CHECKING:
    from .dialect import Call
    from .engine import Engine

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


def window(call: Call, days: int, *, to_now: bool) -> tuple[int, int]:
    """The time of a request: without a start that many days until its end; without an end until now, or so many days on.

    Raises:
        Refused: it is longer.
    """
    length, now = days * 1_440 * MINUTE_MS, call.engine.now()
    since, until = call.params.get("startTime"), call.params.get("endTime")
    if since is None:
        end = int(until) if until is not None else now
        return end - length, end
    if until is None:
        until = now if to_now else int(since) + length
    if int(until) - int(since) > length:
        raise Refused("interval")
    return int(since), int(until)


def time(call: Call) -> Any:
    return {"serverTime": call.engine.now()}


def filters(market: Market) -> list[dict[str, Any]]:
    return [
        {"filterType": "PRICE_FILTER", "minPrice": eight(market.tick), "maxPrice": "1000000.00000000", "tickSize": eight(market.tick)},
        {"filterType": "LOT_SIZE", "minQty": eight(market.lot), "maxQty": eight(market.maximum), "stepSize": eight(market.lot)},
        {"filterType": "MARKET_LOT_SIZE", "minQty": "0.00000000", "maxQty": eight(market.maximum), "stepSize": "0.00000000"},
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders" if market.kind == SPOT else "limit": 200},
    ]


def spot_markets(call: Call) -> Any:
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
            "amendAllowed": True,
            "pegInstructionsAllowed": False,
            "opoAllowed": False,
            "isSpotTradingAllowed": True,
            "isMarginTradingAllowed": False,
            "filters": [
                *filters(market),
                {
                    "filterType": "NOTIONAL",
                    "minNotional": eight(market.minimum_notional),
                    "applyMinToMarket": True,
                    "maxNotional": "9000000.00000000",
                    "applyMaxToMarket": False,
                    "avgPriceMins": 5,
                },
            ],
            "permissions": [],
            "permissionSets": [["SPOT"]],
            "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
            "allowedSelfTradePreventionModes": ["NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
        }
        for market in wanted(call, SPOT)
    ]
    return {"timezone": "UTC", "serverTime": call.engine.now(), "rateLimits": RATE_LIMITS, "exchangeFilters": [], "symbols": symbols}


def wanted(call: Call, kind: str) -> list[Market]:
    named = call.params.get("symbol") or call.params.get("symbols")
    if not named:
        return call.engine.markets_of("binance", kind)
    return [call.engine.market("binance", kind, symbol) for symbol in (json.loads(named) if named.startswith("[") else [named])]


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
        length = call.pick(BAR_MS, "interval", "1h")
        symbol, limit = call.need("symbol"), min(int(call.params.get("limit", "500")), 1_000)
        call.engine.market("binance", kind, symbol)
        last = call.engine.now() // length * length
        first = int(call.params.get("startTime", last - (limit - 1) * length))
        rows = []
        for opens in range(-(-first // length) * length, min(last, first + limit * length) + 1, length)[:limit]:
            price = eight(call.engine.prices.price("binance", kind, symbol, min(opens + length, call.engine.now())))
            rows.append(
                [
                    opens,
                    price,
                    price,
                    price,
                    price,
                    "1000.00000000",
                    opens + length - 1,
                    eight(1000 * Decimal(price)),
                    10,
                    "500.00000000",
                    eight(500 * Decimal(price)),
                    "0",
                ]
            )
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
