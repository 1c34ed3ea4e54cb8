"""OKX v5: instruments and prices. Swaps are counted in contracts."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from .dialect import Call, Route
from .ledger import Refused, text
from .markets import PERP, SPOT, TERMS, Market

KINDS = {"SPOT": SPOT, "SWAP": PERP}
BAR_MS = {"1m": 60_000, "1H": 3_600_000, "1D": 86_400_000, "1Dutc": 86_400_000}


def id_of(market: Market) -> str:
    return f"{market.base}-{market.quote}" + ("-SWAP" if market.kind == PERP else "")


def type_of(market: Market) -> str:
    return "SWAP" if market.kind == PERP else "SPOT"


def named(call: Call, instrument: str) -> Market:
    """The market of an instrument id."""
    parts = instrument.split("-")
    if len(parts) < 2 or parts[2:] not in ([], ["SWAP"]):
        raise Refused("symbol")
    return call.engine.market("okx", PERP if parts[2:] else SPOT, parts[0] + parts[1])


def wanted(call: Call) -> list[Market]:
    if call.params.get("instId"):
        return [named(call, instrument) for instrument in call.params["instId"].split(",")]
    kind = KINDS.get(call.need("instType"))
    return [] if kind is None else call.engine.markets_of("okx", kind)


def _instruments(call: Call) -> Any:
    rows = []
    for market in wanted(call):
        is_swap = market.kind == PERP
        lot = text(market.lot / market.contract)
        most = text(market.maximum / market.contract)
        rows.append(
            {
                "instType": type_of(market), "instId": id_of(market), "instIdCode": 1,
                "uly": f"{market.base}-{market.quote}" if is_swap else "",
                "instFamily": f"{market.base}-{market.quote}" if is_swap else "", "category": "1",
                "baseCcy": "" if is_swap else market.base, "quoteCcy": "" if is_swap else market.quote,
                "settleCcy": market.quote if is_swap else "", "ctVal": text(market.contract) if is_swap else "",
                "ctMult": "1" if is_swap else "",
                "ctValCcy": market.base if is_swap else "", "optType": "", "stk": "", "listTime": "1606468572000", "expTime": "",
                "lever": "100" if is_swap else "", "tickSz": text(market.tick), "lotSz": lot, "minSz": lot,
                "ctType": "linear" if is_swap else "",
                "alias": "", "state": "live" if market.is_open else "suspend", "ruleType": "normal", "maxLmtSz": most, "maxMktSz": most,
                "maxLmtAmt": "20000000", "maxMktAmt": "1000000", "maxTwapSz": most, "maxIcebergSz": most,
                "maxTriggerSz": most, "maxStopSz": most,
                "auctionEndTime": "", "contTdSwTime": "", "openType": "",
            }
        )  # fmt: skip
    return rows


def _tickers(call: Call) -> Any:
    rows = []
    for market in wanted(call):
        price = text(call.engine.price("okx", market.kind, market.symbol))
        names = ("last", "askPx", "bidPx", "open24h", "high24h", "low24h", "sodUtc0", "sodUtc8")
        rows.append({"instType": type_of(market), "instId": id_of(market), **dict.fromkeys(names, price), "lastSz": "1", "askSz": "100",
                     "bidSz": "100", "volCcy24h": "1000", "vol24h": "1000", "ts": str(call.engine.now())})  # fmt: skip
    return rows


def _marks(call: Call) -> Any:
    now = str(call.engine.now())
    return [
        {
            "instType": type_of(market),
            "instId": id_of(market),
            "markPx": text(call.engine.price("okx", market.kind, market.symbol)),
            "ts": now,
        }
        for market in wanted(call)
    ]


def _bars(call: Call) -> Any:
    """Newest first: those before `after` and behind `before`."""
    length, now = call.pick(BAR_MS, "bar", "1m"), call.engine.now()
    market = named(call, call.need("instId"))
    until = min(int(call.params.get("after", now + 1)) - 1, now) // length * length
    since = int(call.params.get("before", 0))
    rows = []
    for opens in range(until, until - length * min(int(call.params.get("limit", 100)), 300), -length):
        if opens > since:
            price = text(call.engine.prices.price("okx", market.kind, market.symbol, min(opens + length, now)))
            rows.append([str(opens), price, price, price, price, "1000", "1000", "1000000", "1" if opens + length <= now else "0"])
    return rows


def _book(call: Call) -> Any:
    market = named(call, call.need("instId"))
    price = call.engine.price("okx", market.kind, market.symbol)
    bids, asks = ([[text(price), "100", "0", "1"], [text(price + step), "100", "0", "1"]] for step in (-market.tick, market.tick))
    return [{"asks": asks, "bids": bids, "ts": str(call.engine.now()), "seqId": 1}]


def _series(call: Call, market: Market) -> Any:
    return None if call.engine.recorded is None else call.engine.recorded.funding("okx", market.symbol)


def _rate(call: Call) -> Any:
    market = named(call, call.need("instId"))
    now, length, series = call.engine.now(), TERMS["okx"].funding_hours * 3_600_000, _series(call, market)
    rate = (series.at(now) if series is not None else None) or Decimal("0.0001")
    following = (now // length + 1) * length
    return [{"instType": "SWAP", "instId": id_of(market), "method": "current_period", "formulaType": "noRate", "fundingRate": text(rate),
             "nextFundingRate": "", "fundingTime": str(following), "nextFundingTime": str(following + length), "minFundingRate": "-0.015",
             "maxFundingRate": "0.015", "interestRate": "0.0001", "impactValue": "20000", "settState": "settled",
             "settFundingRate": text(rate),
             "premium": "0", "ts": str(now), "prevFundingTime": str(following - length)}]  # fmt: skip


def _rates(call: Call) -> Any:
    market = named(call, call.need("instId"))
    series = _series(call, market)
    rows = series.between(int(call.params.get("before", 0)), call.engine.now()) if series is not None else []
    return [
        {"instType": "SWAP", "instId": id_of(market), "formulaType": "noRate", "fundingRate": text(rate), "realizedRate": text(rate),
         "fundingTime": str(at), "method": "current_period"}
        for at, rate in rows[:-401:-1]
    ]  # fmt: skip


ROUTES = {
    "GET /api/v5/public/time": Route("time", None, lambda call: [{"ts": str(call.engine.now())}]),
    "GET /api/v5/system/status": Route("time", None, lambda _: []),
    "GET /api/v5/public/instruments": Route("markets", None, _instruments),
    "GET /api/v5/market/ticker": Route("quote", None, _tickers),
    "GET /api/v5/market/tickers": Route("quote", None, _tickers),
    "GET /api/v5/market/candles": Route("quote", None, _bars),
    "GET /api/v5/market/history-candles": Route("quote", None, _bars),
    "GET /api/v5/market/books": Route("quote", None, _book),
    "GET /api/v5/public/mark-price": Route("quote", None, _marks),
    "GET /api/v5/public/funding-rate": Route("quote", None, _rate),
    "GET /api/v5/public/funding-rate-history": Route("quote", None, _rates),
}
