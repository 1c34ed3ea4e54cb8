"""Hyperliquid: markets and prices."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from .dialect import Call, Route
from .hyperliquid_trade import asset_of
from .ledger import ZERO, Refused, text
from .markets import PERP, SPOT, Market

BAR_MS = {"1m": 60_000, "1h": 3_600_000, "1d": 86_400_000}
WRAPPED = {"ETH": "UETH", "BTC": "UBTC"}  # spot tokens have names of their own


def coin_of(call: Call, market: Market) -> str:
    return market.base if market.kind == PERP else f"@{asset_of(call, SPOT, market.symbol) - 10_000}"


def _market(call: Call, coin: str) -> Market:
    markets = [*call.engine.markets_of("hyperliquid", PERP), *call.engine.markets_of("hyperliquid", SPOT)]
    found = next((market for market in markets if coin_of(call, market) == coin), None)
    if found is None:
        raise Refused("symbol")
    return found


def price_of(call: Call, market: Market) -> Decimal:
    return call.engine.price("hyperliquid", market.kind, market.symbol)


def _decimals(market: Market) -> int:
    return -int(market.lot.normalize().as_tuple().exponent)


def _meta(call: Call) -> Any:
    universe = [
        {"szDecimals": _decimals(market), "name": market.base, "maxLeverage": 25,
         "marginTableId": 25, **({} if market.is_open else {"isDelisted": True})}
        for market in call.engine.markets_of("hyperliquid", PERP)
    ]  # fmt: skip
    return {"universe": universe, "marginTables": [], "collateralToken": 0}


def _contexts(call: Call) -> Any:
    rows = []
    for market in call.engine.markets_of("hyperliquid", PERP):
        price = text(price_of(call, market))
        rows.append({"funding": text(_rate(call, market)), "openInterest": "1000.0", "prevDayPx": price, "dayNtlVlm": "1000000.0",
                     "premium": "0.0", "oraclePx": price, "markPx": price, "midPx": price, "impactPxs": [price, price],
                     "dayBaseVlm": "1000.0"})  # fmt: skip
    return [_meta(call), rows]


def _rate(call: Call, market: Market) -> Decimal:
    series = None if call.engine.recorded is None else call.engine.recorded.funding("hyperliquid", market.symbol)
    return (series.at(call.engine.now()) if series is not None else None) or Decimal("0.0000125")


def spot_meta(call: Call) -> Any:
    markets = call.engine.markets_of("hyperliquid", SPOT)
    tokens = [_token("USDC", 0, 8)] + [_token(WRAPPED[market.base], index + 1, _decimals(market)) for index, market in enumerate(markets)]
    universe = [{"tokens": [index + 1, 0], "name": f"@{index}", "index": index, "isCanonical": False} for index in range(len(markets))]
    return {"universe": universe, "tokens": tokens}


def _token(name: str, index: int, decimals: int) -> dict[str, Any]:
    return {"name": name, "szDecimals": decimals, "weiDecimals": 10, "index": index, "tokenId": f"0x{index:032x}", "isCanonical": False,
            "evmContract": None, "fullName": None, "deployerTradingFeeShare": "0.0"}  # fmt: skip


def _spot_contexts(call: Call) -> Any:
    rows = []
    for market in call.engine.markets_of("hyperliquid", SPOT):
        price = text(price_of(call, market))
        rows.append({"prevDayPx": price, "dayNtlVlm": "1000000.0", "markPx": price, "midPx": price, "circulatingSupply": "1000000.0",
                     "coin": coin_of(call, market), "totalSupply": "1000000.0", "dayBaseVlm": "1000.0"})  # fmt: skip
    return [spot_meta(call), rows]


def _mids(call: Call) -> Any:
    markets = [*call.engine.markets_of("hyperliquid", PERP), *call.engine.markets_of("hyperliquid", SPOT)]
    return {coin_of(call, market): text(price_of(call, market)) for market in markets}


def _book(call: Call) -> Any:
    market = _market(call, call.need("coin"))
    price = price_of(call, market)
    sides = [[{"px": text(price + step * sign), "sz": "100.0", "n": 1} for step in (ZERO, market.tick)] for sign in (-1, 1)]
    return {"coin": call.params["coin"], "time": call.engine.now(), "levels": sides}


def _bars(call: Call) -> Any:
    asked = call.need("req")
    if not isinstance(asked, dict) or not {"coin", "interval", "startTime"} <= asked.keys() or asked["interval"] not in BAR_MS:
        raise Refused("parameter")
    market, length, now = _market(call, asked["coin"]), BAR_MS[asked["interval"]], call.engine.now()
    first = -(-int(asked["startTime"]) // length) * length
    rows = []
    for opens in range(first, min(int(asked.get("endTime") or now), now) + 1, length)[:5_000]:
        price = text(call.engine.prices.price("hyperliquid", market.kind, market.symbol, min(opens + length, now)))
        rows.append({"t": opens, "T": opens + length - 1, "s": asked["coin"], "i": asked["interval"], "o": price, "c": price, "h": price,
                     "l": price, "v": "1000.0", "n": 10})  # fmt: skip
    return rows


def _funding_history(call: Call) -> Any:
    market = _market(call, call.need("coin"))
    series = None if call.engine.recorded is None else call.engine.recorded.funding("hyperliquid", market.symbol)
    until = min(int(call.params.get("endTime") or call.engine.now()), call.engine.now())
    rows = series.between(int(call.need("startTime")) - 1, until) if series is not None else []
    return [{"coin": call.params["coin"], "fundingRate": text(rate), "premium": "0.0", "time": at} for at, rate in rows[:500]]


ROUTES = {
    "info exchangeStatus": Route("time", None, lambda call: {"time": call.engine.now(), "specialStatuses": None}),
    "info meta": Route("markets", None, _meta),
    "info metaAndAssetCtxs": Route("markets", None, _contexts),
    "info spotMeta": Route("markets", None, spot_meta),
    "info spotMetaAndAssetCtxs": Route("markets", None, _spot_contexts),
    "info perpDexs": Route("markets", None, lambda _: [None]),
    "info allMids": Route("quote", None, _mids),
    "info l2Book": Route("quote", None, _book),
    "info candleSnapshot": Route("quote", None, _bars),
    "info fundingHistory": Route("quote", None, _funding_history),
}
