"""The public side of four exchanges: a local HTTP server in a process of its own.

    python -m tests.public_exchange

It prints its port. Which exchange a request is for says the header X-Prod-Host. The answers have the exchanges' shapes; what is in them
follows from the time alone: `close_of`, `rate_of`. `POST /control` takes one JSON object: {"now_ms": N or null} (the exchanges' time; null
is the machine's), {"fault": NAME or null, "on": TEXT} (what goes wrong with each request whose host and path hold the text), {"seen": true}
(answers with the requests since the last time).

Faults: hang · 429 · 500 · html · empty · cut · stale (prices of ten minutes ago) · unlisted (no symbols) · slow_clock (two
seconds behind) · repeats (binance: one page, whatever is asked for)
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, urlsplit

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
LENGTH_MS = {"1m": MINUTE_MS, "1": MINUTE_MS, "1h": HOUR_MS, "1H": HOUR_MS, "60": HOUR_MS}
STAMP_MS = {"binance": 3, "bybit": 0, "okx": 0, "hyperliquid": 31}  # how long after the full hour a payment is stamped
HOURS = {"hyperliquid": 1}  # between two payments; elsewhere 8


ONE_PAGE = {"startTime": "1780000000000", "endTime": "1780020000000"}


def exchange_of(host: str) -> str:
    """binance, bybit, okx or hyperliquid."""
    return host.split(".")[-2]


def close_of(kind: str, closed_ms: int) -> Decimal:
    """The price of ETH at a time, the same at every exchange; the perp is one above the coin."""
    return Decimal(3_000) + closed_ms // MINUTE_MS % 97 * Decimal("0.01") + (1 if kind == "perp" else 0)


def rate_of(paid_ms: int) -> Decimal:
    """The funding rate of a payment."""
    return Decimal("0.0001") + paid_ms // HOUR_MS % 7 * Decimal("0.00001")


def bars(kind: str, length_ms: int, first_ms: int, last_ms: int, now_ms: int) -> list[list[str]]:
    """[opened, open, high, low, close] of the bars that opened within two times, oldest first; the last is of now."""
    found = []
    for opened in range(-(-first_ms // length_ms) * length_ms, min(last_ms, now_ms) + 1, length_ms):
        close = close_of(kind, min(opened + length_ms, now_ms))
        found.append([str(opened), str(close - 1), str(close + 2), str(close - 2), str(close)])
    return found


def payments(exchange: str, first_ms: int, last_ms: int, now_ms: int) -> list[tuple[int, str]]:
    """(stamp, rate) of the payments within two times, oldest first."""
    every = HOURS.get(exchange, 8) * HOUR_MS
    paid = range(-(-(first_ms - STAMP_MS[exchange]) // every) * every, min(last_ms, now_ms) + 1, every)
    return [(at + STAMP_MS[exchange], str(rate_of(at))) for at in paid if at + STAMP_MS[exchange] <= min(last_ms, now_ms)]


def next_payment(exchange: str, now_ms: int) -> int:
    every = HOURS.get(exchange, 8) * HOUR_MS
    return (now_ms // every + 1) * every


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = Lock()
        self.now: int | None = None
        self.fault, self.on = "", ""
        self.seen: list[str] = []

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 if self.now is None else self.now

    def control(self, given: dict[str, Any]) -> Any:
        with self.lock:
            if "now_ms" in given:
                self.now = given["now_ms"]
            if "fault" in given:
                self.fault, self.on = given["fault"] or "", given.get("on", "")
            found, self.seen = self.seen, [] if "seen" in given else self.seen
            return found


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: Any) -> None:
        """Nothing is printed."""

    def do_POST(self) -> None:
        self._body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/control":
            self._answer(self.server.control(json.loads(self._body)))
        else:
            self.do_GET()

    def do_GET(self) -> None:
        host, address = self.headers["X-Prod-Host"], urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        if host.endswith("hyperliquid.xyz"):
            query = json.loads(self._body)
        called = f"{host}{address.path} {query.get('type', '')}".strip()
        with self.server.lock:
            self.server.seen.append(called)
            fault = self.server.fault if self.server.on in called else ""
        with suppress(OSError):
            self._answer_with(fault, exchange_of(host), address.path, query)

    def _answer_with(self, fault: str, exchange: str, path: str, query: dict[str, Any]) -> None:
        if fault == "hang":
            self.connection.recv(1)  # until the client leaves
            self.close_connection = True
        elif fault in ("429", "500", "html"):
            self._send(200 if fault == "html" else int(fault), b"<html><body>Bad gateway</body></html>")
        elif fault in ("empty", "cut"):
            self._send(200, b"" if fault == "empty" else b"[[17172288000")
        elif fault == "repeats" and {"startTime", "endTime"} <= query.keys():  # the same page, whatever is asked for
            self._answer(
                ANSWERS[exchange](
                    path, {**query, "startTime": "1780000000000", "endTime": "1780020000000"}, self.server.now_ms(), lists=True
                )
            )
        else:
            now_ms = self.server.now_ms() - {"stale": 600_000, "slow_clock": 2_000}.get(fault, 0)
            self._answer(ANSWERS[exchange](path, query, now_ms, lists=fault != "unlisted"))

    def _answer(self, content: Any) -> None:
        self._send(200, json.dumps(content).encode())

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


# What each exchange answers.


def binance(path: str, query: dict[str, str], now_ms: int, *, lists: bool) -> Any:
    kind = "perp" if path.startswith("/fapi") else "spot"
    call = path.rsplit("/", 1)[1]
    if call == "time":
        return {"serverTime": now_ms}
    if call == "exchangeInfo":
        return {"timezone": "UTC", "serverTime": now_ms, "symbols": [_binance_symbol(kind)] if lists else []}
    if call == "premiumIndex":
        at = next_payment("binance", now_ms)
        mark = str(close_of("perp", now_ms))
        return {
            "symbol": "ETHUSDT", "markPrice": mark, "indexPrice": mark, "estimatedSettlePrice": mark, "interestRate": "0.00010000",
            "lastFundingRate": str(rate_of(at)), "nextFundingTime": at, "time": now_ms,
        }  # fmt: skip
    first, last = int(query["startTime"]), int(query["endTime"])
    if call == "fundingRate":
        rows = payments("binance", first, last, now_ms)
        return [{"symbol": "ETHUSDT", "fundingTime": at, "fundingRate": rate, "markPrice": "3000.1"} for at, rate in rows]
    length = LENGTH_MS[query["interval"]]
    rows = bars(kind, length, first, last, now_ms)[: int(query["limit"])]
    return [[int(row[0]), *row[1:], "12.5", int(row[0]) + length - 1, "37500.0", 120, "6.2", "18600.0", "0"] for row in rows]


def _binance_symbol(kind: str) -> dict[str, Any]:
    symbol = {"symbol": "ETHUSDT", "status": "TRADING", "baseAsset": "ETH", "quoteAsset": "USDT", "orderTypes": ["LIMIT", "MARKET"]}
    filters = [
        {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000.00", "tickSize": "0.01"},
        {"filterType": "LOT_SIZE", "minQty": "0.0001", "maxQty": "9000.0", "stepSize": "0.0001"},
    ]
    if kind == "spot":
        spot = {"isSpotTradingAllowed": True, "permissions": ["SPOT"], "baseAssetPrecision": 8, "quotePrecision": 8}
        return {**symbol, **spot, "filters": filters}
    perp = {
        "pair": "ETHUSDT", "contractType": "PERPETUAL", "deliveryDate": 4133404800000, "onboardDate": 1569398400000, "marginAsset": "USDT",
        "pricePrecision": 2, "quantityPrecision": 3, "underlyingType": "COIN",
    }  # fmt: skip
    return {**symbol, **perp, "filters": filters}


def bybit(path: str, query: dict[str, str], now_ms: int, *, lists: bool) -> Any:
    return {"retCode": 0, "retMsg": "OK", "result": _bybit_result(path, query, now_ms, lists), "retExtInfo": {}, "time": now_ms}


def _bybit_result(path: str, query: dict[str, str], now_ms: int, lists: bool) -> dict[str, Any]:
    if path == "/v5/market/time":
        return {"timeSecond": str(now_ms // 1000), "timeNano": str(now_ms * 1_000_000)}
    category = query["category"]
    kind = "spot" if category == "spot" else "perp"
    if path == "/v5/market/instruments-info":
        return {"category": category, "list": [_bybit_symbol(kind)] if lists and query.get("status") != "PreLaunch" else []}
    if path == "/v5/market/tickers":
        at = next_payment("bybit", now_ms)
        price = str(close_of(kind, now_ms))
        ticker = {
            "symbol": "ETHUSDT", "lastPrice": price, "indexPrice": price, "markPrice": price, "bid1Price": price, "ask1Price": price,
            "fundingRate": str(rate_of(at)), "nextFundingTime": str(at),
        }  # fmt: skip
        return {"category": category, "list": [ticker]}
    if path == "/v5/market/funding/history":
        rows = payments("bybit", int(query["startTime"]), int(query["endTime"]), now_ms)
        listed = [{"symbol": "ETHUSDT", "fundingRate": rate, "fundingRateTimestamp": str(at)} for at, rate in rows]
        return {"category": category, "list": listed[::-1]}
    found = bars(kind, LENGTH_MS[query["interval"]], int(query["start"]), int(query["end"]), now_ms)[: int(query["limit"])]
    return {"category": category, "symbol": "ETHUSDT", "list": [[*row, "12.5", "37500"] for row in found[::-1]]}


def _bybit_symbol(kind: str) -> dict[str, Any]:
    symbol = {"symbol": "ETHUSDT", "baseCoin": "ETH", "quoteCoin": "USDT", "status": "Trading", "priceFilter": {"tickSize": "0.01"}}
    if kind == "spot":
        lots = {"basePrecision": "0.00001", "quotePrecision": "0.0000001", "minOrderQty": "0.00001", "maxOrderQty": "1000"}
        return {**symbol, "lotSizeFilter": {**lots, "minOrderAmt": "5"}}
    return {
        **symbol, "contractType": "LinearPerpetual", "settleCoin": "USDT", "launchTime": "1615766400000", "deliveryTime": "0",
        "fundingInterval": 480, "leverageFilter": {"minLeverage": "1", "maxLeverage": "100"},
        "lotSizeFilter": {"qtyStep": "0.01", "minOrderQty": "0.01", "maxOrderQty": "7000", "minNotionalValue": "5"},
    }  # fmt: skip


def okx(path: str, query: dict[str, str], now_ms: int, *, lists: bool) -> Any:
    return {"code": "0", "msg": "", "data": _okx_data(path, query, now_ms, lists)}


def _okx_data(path: str, query: dict[str, str], now_ms: int, lists: bool) -> list[Any]:
    if path == "/api/v5/public/time":
        return [{"ts": str(now_ms)}]
    if path == "/api/v5/public/instruments":
        return [_okx_symbol(query["instType"])] if lists else []
    perp = {"instType": "SWAP", "instId": "ETH-USDT-SWAP"}
    if path == "/api/v5/public/funding-rate":
        at = next_payment("okx", now_ms)
        return [
            {
                **perp,
                "fundingRate": str(rate_of(at)),
                "fundingTime": str(at),
                "nextFundingRate": "",
                "nextFundingTime": str(at + 8 * HOUR_MS),
            }
        ]
    if path == "/api/v5/public/funding-rate-history":  # newer than `before` and older than `after`, newest first
        rows = payments("okx", int(query["before"]) + 1, int(query["after"]) - 1, now_ms)[-int(query["limit"]) :]
        return [{**perp, "fundingRate": rate, "realizedRate": rate, "fundingTime": str(at)} for at, rate in rows[::-1]]
    kind = "perp" if query["instId"].endswith("SWAP") else "spot"
    found = bars(kind, LENGTH_MS[query["bar"]], int(query["before"]) + 1, int(query["after"]) - 1, now_ms)[-int(query["limit"]) :]
    return [[*row, "12.5", "37500", "37500", "1"] for row in found[::-1]]


def _okx_symbol(inst_type: str) -> dict[str, Any]:
    symbol = {"state": "live", "tickSz": "0.01", "lotSz": "0.000001", "minSz": "0.0001", "listTime": "1611916828000", "lever": "10"}
    if inst_type == "SPOT":
        return {**symbol, "instType": "SPOT", "instId": "ETH-USDT", "baseCcy": "ETH", "quoteCcy": "USDT", "uly": "", "settleCcy": ""}
    return {
        **symbol, "instType": "SWAP", "instId": "ETH-USDT-SWAP", "uly": "ETH-USDT", "instFamily": "ETH-USDT", "baseCcy": "", "quoteCcy": "",
        "settleCcy": "USDT", "ctVal": "0.1", "ctMult": "1", "ctValCcy": "ETH", "ctType": "linear", "expTime": "",
    }  # fmt: skip


def hyperliquid(path: str, query: dict[str, Any], now_ms: int, *, lists: bool) -> Any:
    call = query["type"]
    price = str(close_of("perp", now_ms))
    if call == "exchangeStatus":
        return {"specialStatuses": None, "time": now_ms}
    if call == "metaAndAssetCtxs":
        at = next_payment("hyperliquid", now_ms)
        context = {
            "funding": str(rate_of(at)), "markPx": price, "midPx": price, "oraclePx": price, "prevDayPx": price, "dayNtlVlm": "1000.0",
            "openInterest": "100.0", "premium": "0.0001", "impactPxs": [price, price],
        }  # fmt: skip
        return [{"universe": [{"name": "ETH", "szDecimals": 4, "maxLeverage": 25}] if lists else []}, [context] if lists else []]
    if call == "spotMetaAndAssetCtxs":
        tokens = [
            {"name": "USDC", "szDecimals": 8, "weiDecimals": 8, "index": 0},
            {"name": "UETH", "szDecimals": 4, "weiDecimals": 9, "index": 1},
        ]
        pair = {"name": "@151", "tokens": [1, 0], "index": 151, "isCanonical": False}
        spot = str(close_of("spot", now_ms))
        context = {"coin": "@151", "markPx": spot, "midPx": spot, "prevDayPx": spot, "dayNtlVlm": "1000.0", "circulatingSupply": "1000"}
        return [{"tokens": tokens, "universe": [pair] if lists else []}, [context] if lists else []]
    if call == "fundingHistory":
        rows = payments("hyperliquid", query["startTime"], query["endTime"], now_ms)
        return [{"coin": query["coin"], "fundingRate": rate, "premium": "0.0001", "time": at} for at, rate in rows[:500]]
    asked = query["req"]
    kind, length = "perp" if asked["coin"] == "ETH" else "spot", LENGTH_MS[asked["interval"]]
    return [
        {"t": int(row[0]), "T": int(row[0]) + length - 1, "s": asked["coin"], "i": asked["interval"], "o": row[1], "h": row[2], "l": row[3],
         "c": row[4], "v": "12.5", "n": 120}
        for row in bars(kind, length, asked["startTime"], asked["endTime"], now_ms)
    ]  # fmt: skip


ANSWERS = {"binance": binance, "bybit": bybit, "okx": okx, "hyperliquid": hyperliquid}

if __name__ == "__main__":
    server = Server()
    print(server.server_address[1], flush=True)
    server.serve_forever()
