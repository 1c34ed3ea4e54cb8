"""To any request with a good signature the local exchange answers as the venue does, and makes no error of its own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from hypothesis import given
from hypothesis import strategies as st

from .binance import Binance
from .bybit import Bybit
from .clock import Clock
from .control import command
from .dialect import Dialect, Request
from .engine import OWNER, Engine
from .hyperliquid import Hyperliquid
from .markets import TERMS
from .okx import Okx

AT = 1_717_243_200_000
STAMP = datetime.fromtimestamp(AT / 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
NAMES = {
    "binance": """symbol side type timeInForce quantity price newClientOrderId reduceOnly orderId origClientOrderId startTime endTime limit
        asset amount coin address network withdrawOrderId
        leverage marginType dualSidePosition incomeType interval quoteOrderQty fromId symbols""",
    "bybit": """category symbol side orderType qty price timeInForce orderLinkId orderId startTime endTime limit cursor coin amount
        interval fromAccountType toAccountType transferId accountType chain address requestId feeType buyLeverage sellLeverage
        mode execType""",
    "okx": """instId instType side ordType sz px tdMode clOrdId ordId reduceOnly ccy amt from to clientId transId toAddr chain dest lever
        mgnMode posMode begin end after before limit bar tgtCcy""",
    "hyperliquid": "user coin oid startTime endTime req interval",
}
IMPLAUSIBLE = ("-1", "0", "1e-9", "NaN", "Infinity", "abc", "", "@0", "1717243200000", '["ETHUSDT"]', "0.1")
TIMES = ("0", str(AT - 1), str(AT), str(AT + 1))
# What makes sense, by name of the parameter; the rest makes none.
GOOD: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(["startTime", "endTime", "begin", "end", "after", "before", "fromId"], TIMES),
    **dict.fromkeys(["quantity", "qty", "sz", "amount", "amt", "quoteOrderQty"], ("0.1", "1", "0.0001", "100000")),
    **dict.fromkeys(["price", "px"], ("2010", "1990", "2010.001")),
    **dict.fromkeys(
        ["newClientOrderId", "origClientOrderId", "orderLinkId", "clOrdId", "withdrawOrderId", "requestId", "transferId", "clientId"],
        ("a", "b"),
    ),
    **dict.fromkeys(["orderId", "ordId", "oid", "transId"], ("8000002500", "1")),
    **dict.fromkeys(["asset", "coin", "ccy"], ("USDT", "ETH", "USDC")),
    **dict.fromkeys(["address", "toAddr"], ("0x" + "1" * 40,)),
    **dict.fromkeys(["leverage", "lever", "buyLeverage", "sellLeverage"], ("5", "200")),
    **dict.fromkeys(["fromAccountType", "toAccountType", "accountType"], ("UNIFIED", "FUND", "UTA")),
    **dict.fromkeys(["from", "to"], ("6", "18")),
    "symbol": ("ETHUSDT", "BTCUSDT"),
    "side": ("BUY", "SELL", "Buy", "Sell", "buy", "sell"),
    "type": ("LIMIT", "MARKET", "MAIN_UMFUTURE", "UMFUTURE_MAIN"),
    "orderType": ("Limit", "Market"),
    "ordType": ("limit", "ioc", "market"),
    "timeInForce": ("IOC", "GTC", "FOK"),
    "instId": ("ETH-USDT", "ETH-USDT-SWAP"),
    "instType": ("SPOT", "SWAP"),
    "category": ("spot", "linear", "option", "inverse"),
    "tdMode": ("cash", "cross"),
    "mgnMode": ("cross", "isolated"),
    "marginType": ("CROSSED", "ISOLATED"),
    "network": ("ETH",),
    "chain": ("ETH", "USDT-ERC20"),
    "dest": ("4",),
    "user": (OWNER,),
    "interval": ("1h", "60"),
    "bar": ("1H",),
    "reduceOnly": ("true", "false"),
    "incomeType": ("FUNDING_FEE",),
    "dualSidePosition": ("true",),
    "posMode": ("net_mode",),
    "tgtCcy": ("base_ccy", "quote_ccy"),
    "mode": ("0", "3"),
    "limit": ("1", "50"),
    "feeType": ("0", "1"),
    "execType": ("Funding", "Trade"),
}


def value_of(name: str) -> st.SearchStrategy[str]:
    return st.sampled_from(GOOD.get(name, ()) * 4 + IMPLAUSIBLE)


def engine_with_something() -> Engine:
    engine = Engine(None, Clock(by_requests=True, start_ms=AT))
    for venue, terms in TERMS.items():
        for wallet in terms.wallets:
            command(engine, {"grant": {"venue": venue, "wallet": wallet, terms.settle: "100000", "ETH": "10"}})
        for market in ("spot", "perp"):
            symbol = f"ETH{terms.settle}"
            command(engine, {"order": {"venue": venue, "market": market, "symbol": symbol, "side": "buy", "amount": "1"}})
    return engine


def signed(dialect: Dialect, method: str, path: str, params: dict[str, str]) -> Request:
    """The request of a client that knows the keys."""
    if dialect.venue == "binance":
        query = urlencode({**params, "timestamp": AT})
        query += "&signature=" + hmac.new(b"secret", query.encode(), hashlib.sha256).hexdigest()
        return Request(method, path, query, b"", {"X-MBX-APIKEY": "key"})
    query, body = (urlencode(params), b"") if method == "GET" else ("", json.dumps(params).encode())
    if dialect.venue == "bybit":
        payload = f"{AT}key5000{query}{body.decode()}"
        sign = hmac.new(b"secret", payload.encode(), hashlib.sha256).hexdigest()
        headers = {"X-BAPI-API-KEY": "key", "X-BAPI-TIMESTAMP": str(AT), "X-BAPI-RECV-WINDOW": "5000", "X-BAPI-SIGN": sign}
        return Request(method, path, query, body, headers)
    payload = f"{STAMP}{method}{path}{'?' if query else ''}{query}{body.decode()}"
    sign = base64.b64encode(hmac.new(b"secret", payload.encode(), hashlib.sha256).digest()).decode()
    headers = {"OK-ACCESS-KEY": "key", "OK-ACCESS-PASSPHRASE": "passphrase", "OK-ACCESS-TIMESTAMP": STAMP, "OK-ACCESS-SIGN": sign}
    return Request(method, path, query, body, headers)


@st.composite
def requests(draw: st.DrawFn) -> tuple[Dialect, Request]:
    dialect = draw(st.sampled_from((Binance(), Bybit(), Okx(), Hyperliquid())))
    name = draw(st.sampled_from(sorted(route for route in dialect.routes if not route.startswith("exchange"))))
    names = draw(st.sets(st.sampled_from(NAMES[dialect.venue].split())))
    params = {name: draw(value_of(name)) for name in sorted(names)}
    method, path = name.split(" ")
    if method == "info":
        return dialect, Request("POST", "/info", "", json.dumps({"type": path, "user": OWNER, **params}).encode(), {})
    return dialect, signed(dialect, method, path, params)


@given(st.lists(requests(), max_size=8))
def test_every_request_has_an_answer_that_is_json(asked: list[tuple[Dialect, Request]]) -> None:
    engine = engine_with_something()
    for dialect, request in asked:
        answer = dialect.answer(engine, request, {"fault": ""})
        assert answer.status in (200, 400, 401, 422), answer
        json.dumps(answer.body, default=vars)
    held: dict[Any, Any] = {key: account.balances for key, account in engine.ledger.accounts.items()}
    assert all(amount.is_finite() for wallets in held.values() for tokens in wallets.values() for amount in tokens.values())
