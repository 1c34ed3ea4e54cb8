"""Bybit v5: markets and prices."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from .dialect import Call, Route
from .ledger import Refused, text
from .markets import PERP, SPOT, TERMS, Market

KINDS = {"spot": SPOT, "linear": PERP}
DAY_MS = 86_400_000
BAR_MS = {"1": 60_000, "60": 3_600_000, "D": 86_400_000}


def category(call: Call) -> str:
    found = call.need("category")
    if found not in KINDS:
        raise Refused("parameter", name="category")
    return found


def wanted(call: Call) -> list[Market]:
    """The markets of a request; there are no inverse ones and no options."""
    found = call.need("category")
    if found in ("inverse", "option"):
        return []
    if "symbol" in call.params:
        return [call.engine.market("bybit", KINDS[category(call)], call.params["symbol"])]
    markets = call.engine.markets_of("bybit", KINDS[category(call)])
    return [market for market in markets if call.params.get("baseCoin") in (None, market.base)]


def window(call: Call, days: int) -> tuple[int, int]:
    """The time of a request: with one end of it, or with none, that many days.

    Raises:
        Refused: more than a week.
    """
    since, until = call.params.get("startTime"), call.params.get("endTime")
    if since and until:
        if int(until) - int(since) > 7 * DAY_MS:
            raise Refused("parameter", name="The time range cannot exceed 7 days")
        return int(since), int(until)
    if since:
        return int(since), int(since) + days * DAY_MS
    end = int(until) if until else call.engine.now()
    return end - days * DAY_MS, end


def listed(call: Call, rows: list[Any], **more: Any) -> Any:
    return {"category": call.params.get("category", ""), "list": rows, "nextPageCursor": "", **more}


def _time(call: Call) -> Any:
    now = call.engine.now()
    return {"timeSecond": str(now // 1_000), "timeNano": str(now * 1_000_000)}


def _markets(call: Call) -> Any:
    if call.params.get("status") == "PreLaunch":
        return listed(call, [])
    return listed(call, [_spot(market) if market.kind == SPOT else _perp(market) for market in wanted(call)])


def _spot(market: Market) -> dict[str, Any]:
    lot, most = text(market.lot), text(market.maximum)
    return {
        "symbol": market.symbol, "baseCoin": market.base, "quoteCoin": market.quote, "innovation": "0",
        "status": "Trading" if market.is_open else "Closed", "marginTrading": "none", "stTag": "0",
        "lotSizeFilter": {"basePrecision": lot, "quotePrecision": "0.0000001", "minOrderQty": lot, "maxOrderQty": most,
                          "minOrderAmt": text(market.minimum_notional), "maxOrderAmt": "2000000",
                          "maxLimitOrderQty": most, "maxMarketOrderQty": most, "postOnlyMaxLimitOrderSize": most},
        "priceFilter": {"tickSize": text(market.tick)},
        "riskParameters": {"priceLimitRatioX": "0.05", "priceLimitRatioY": "0.05"},
    }  # fmt: skip


def _perp(market: Market) -> dict[str, Any]:
    lot, most, tick = text(market.lot), text(market.maximum), text(market.tick)
    return {
        "symbol": market.symbol, "contractType": "LinearPerpetual", "status": "Trading" if market.is_open else "Closed",
        "baseCoin": market.base, "quoteCoin": market.quote, "settleCoin": market.quote, "launchTime": "1585526400000", "deliveryTime": "0",
        "deliveryFeeRate": "", "priceScale": "2", "unifiedMarginTrade": True, "copyTrading": "none", "isPreListing": False,
        "fundingInterval": 60 * TERMS["bybit"].funding_hours, "upperFundingRate": "0.005",
        "lowerFundingRate": "-0.005", "preListingInfo": None,
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
        "priceFilter": {"minPrice": tick, "maxPrice": "1999999.80", "tickSize": tick},
        "lotSizeFilter": {"maxOrderQty": most, "minOrderQty": lot, "qtyStep": lot, "postOnlyMaxOrderQty": most, "maxMktOrderQty": most,
                          "minNotionalValue": text(market.minimum_notional)},
        "riskParameters": {"priceLimitRatioX": "0.01", "priceLimitRatioY": "0.02"},
    }  # fmt: skip


def _tickers(call: Call) -> Any:
    rows = []
    now, length = call.engine.now(), TERMS["bybit"].funding_hours * 3_600_000
    for market in wanted(call):
        price = text(call.engine.price("bybit", market.kind, market.symbol))
        names = ("lastPrice", "bid1Price", "ask1Price", "prevPrice24h", "highPrice24h", "lowPrice24h")
        row = {"symbol": market.symbol, **dict.fromkeys(names, price), "bid1Size": "100", "ask1Size": "100", "price24hPcnt": "0",
               "turnover24h": "1000000", "volume24h": "1000"}  # fmt: skip
        if market.kind == PERP:
            row |= {"indexPrice": price, "markPrice": price, "prevPrice1h": price, "openInterest": "1000", "openInterestValue": "1000000",
                    "fundingRate": text(_rate(call, market.symbol)), "nextFundingTime": str((now // length + 1) * length),
                    "predictedDeliveryPrice": "", "basisRate": "", "deliveryFeeRate": "", "deliveryTime": "0", "basis": "",
                    "fundingIntervalHour": str(TERMS["bybit"].funding_hours)}  # fmt: skip
        rows.append(row)
    return {"category": call.params["category"], "list": rows}


def _rate(call: Call, symbol: str) -> Decimal:
    series = None if call.engine.recorded is None else call.engine.recorded.funding("bybit", symbol)
    return (series.at(call.engine.now()) if series is not None else None) or Decimal("0.0001")


def _rates(call: Call) -> Any:
    symbol, now = call.need("symbol"), call.engine.now()
    category(call)
    wanted(call)
    series = None if call.engine.recorded is None else call.engine.recorded.funding("bybit", symbol)
    since, until = int(call.params.get("startTime", 0)), int(call.params.get("endTime", now))
    rows = series.between(since - 1, min(until, now)) if series is not None else []
    return {
        "category": call.params["category"],
        "list": [{"symbol": symbol, "fundingRate": text(rate), "fundingRateTimestamp": str(at)} for at, rate in rows[:-201:-1]],
    }


def _bars(call: Call) -> Any:
    """Newest first, as bybit has them."""
    length, now = call.pick(BAR_MS, "interval", "60"), call.engine.now()
    (market,) = wanted(call)
    until = min(int(call.params.get("end", now)), now) // length * length
    since = int(call.params.get("start", 0))
    rows = []
    for opens in range(until, until - length * min(int(call.params.get("limit", 200)), 1_000), -length):
        if opens >= since:
            price = text(call.engine.prices.price("bybit", market.kind, market.symbol, min(opens + length, now)))
            rows.append([str(opens), price, price, price, price, "1000", "1000000"])
    return {"category": call.params["category"], "symbol": market.symbol, "list": rows}


def _book(call: Call) -> Any:
    (market,) = wanted(call)
    price, now = call.engine.price("bybit", market.kind, market.symbol), call.engine.now()
    bids, asks = ([[text(price), "100"], [text(price + step), "100"]] for step in (-market.tick, market.tick))
    return {"s": market.symbol, "b": bids, "a": asks, "ts": now, "u": 1, "seq": 1, "cts": now}


ROUTES = {
    "GET /v5/market/time": Route("time", None, _time),
    "GET /v5/market/instruments-info": Route("markets", None, _markets),
    "GET /v5/market/tickers": Route("quote", None, _tickers),
    "GET /v5/market/kline": Route("quote", None, _bars),
    "GET /v5/market/orderbook": Route("quote", None, _book),
    "GET /v5/market/funding/history": Route("quote", None, _rates),
}
