"""Bybit's error codes (`retCode` of v5), as documented in 2026: what each means for an order or for a move between wallets.

What is not here counts as unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from basis_strategy_v1.live.exchange_errors import Meaning

_FINAL, _KEY, _UNKNOWN = Meaning.FINAL, Meaning.KEY, Meaning.UNKNOWN
SUCCESS = "0"

_BOTH: Mapping[str, Meaning] = {
    "HTTP 403": Meaning.LIMITED,  # a page: too many requests of this address, for ten minutes; or a blocked country
    "-1": Meaning.CLOCK,  # request expired
    "-2015": _KEY,  # expired
    "429": _UNKNOWN,  # high load of the trading service
    "5004": _UNKNOWN,  # server timeout
    "7001": _FINAL,  # type of a parameter
    "10000": _UNKNOWN,  # server timeout
    "10001": _FINAL,  # a parameter
    "10002": Meaning.CLOCK,  # time outside of the receive window
    "10003": _KEY,
    "10004": _KEY,  # signature
    "10005": _KEY,  # permission
    "10006": Meaning.LIMITED,
    "10007": _KEY,
    "10008": _KEY,  # user banned
    "10009": _KEY,  # address banned
    "10010": _KEY,  # address not allowed
    "10014": _UNKNOWN,  # duplicate request
    "10016": _UNKNOWN,  # internal error, or restarting
    "10017": _FINAL,  # path
    "10018": Meaning.LIMITED,  # of this address
    "10019": _UNKNOWN,  # restarting
    "10020": _KEY,  # not a unified account
    "10024": _KEY,  # compliance
    "10027": _KEY,  # trading banned
    "10028": _KEY,  # not a unified account
    "10029": _FINAL,  # symbol not allowed for the key
    "10429": Meaning.LIMITED,
    "33004": _KEY,  # expired
    "100028": _KEY,  # account mode
}

ORDERS: Mapping[str, Meaning] = {
    **_BOTH,
    "12141": Meaning.DUPLICATE,
    "110001": Meaning.ABSENT,
    "110003": _FINAL,  # price out of range
    "110004": _FINAL,  # balance
    "110005": _FINAL,  # position status
    "110006": _FINAL,  # margin
    "110007": _FINAL,  # available balance
    "110009": _FINAL,
    "110011": _FINAL,  # would be liquidated
    "110012": _FINAL,  # available balance
    "110014": _FINAL,
    "110016": _FINAL,  # risk limit
    "110017": _FINAL,  # nothing to reduce
    "110018": _KEY,  # user
    "110019": _FINAL,
    "110020": _FINAL,  # too many open orders
    "110021": _FINAL,  # open interest
    "110022": _FINAL,
    "110023": _FINAL,  # only reducing
    "110030": Meaning.DUPLICATE,
    "110032": _FINAL,
    "110034": _FINAL,  # no position
    "110039": _FINAL,
    "110040": _FINAL,  # would be liquidated
    "110042": _FINAL,  # only reducing before delivery
    "110044": _FINAL,  # margin
    "110045": _FINAL,  # balance
    "110049": _FINAL,  # tick
    "110050": _FINAL,  # coin
    "110051": _FINAL,
    "110052": _FINAL,
    "110053": _FINAL,
    "110063": _FINAL,  # settlement in progress
    "110066": _FINAL,  # not traded now
    "110067": _KEY,  # account mode
    "110068": _KEY,
    "110069": _KEY,
    "110070": _FINAL,
    "110071": _UNKNOWN,  # accounts are being upgraded
    "110072": Meaning.DUPLICATE,
    "110074": _FINAL,  # contract closed
    "110094": _FINAL,  # notional
    "110095": _FINAL,  # above the most
    "170001": _UNKNOWN,  # internal error
    "170005": Meaning.LIMITED,  # new orders
    "170007": _UNKNOWN,  # timeout
    "170031": _FINAL,  # suspended
    "170032": _UNKNOWN,  # network error
    "170033": _FINAL,  # margin
    "170035": _UNKNOWN,  # submitted, in work
    "170105": _FINAL,
    "170115": _FINAL,
    "170116": _FINAL,
    "170117": _FINAL,
    "170121": _FINAL,  # symbol
    "170124": _FINAL,  # amount
    "170130": _FINAL,
    "170131": _FINAL,  # balance
    "170132": _FINAL,  # price too high
    "170133": _FINAL,  # price too low
    "170134": _FINAL,  # tick
    "170135": _FINAL,  # above the most
    "170136": _FINAL,  # below the least
    "170137": _FINAL,  # lot
    "170140": _FINAL,  # notional
    "170141": Meaning.DUPLICATE,
    "170146": _UNKNOWN,  # creation timed out
    "170148": _FINAL,
    "170149": _UNKNOWN,  # creation failed
    "170151": _FINAL,  # not open yet
    "170157": _FINAL,  # not by this way
    "170159": _FINAL,
    "170192": _FINAL,  # price
    "170193": _FINAL,
    "170194": _FINAL,
    "170195": _FINAL,
    "170196": _FINAL,
    "170197": _FINAL,  # amount for the market
    "170198": _FINAL,
    "170201": _KEY,  # restricted
    "170209": _KEY,  # country
    "170210": _FINAL,  # rejected
    "170213": Meaning.ABSENT,
    "170217": _FINAL,
    "170218": _FINAL,
    "170221": _FINAL,
    "170222": Meaning.LIMITED,
    "170224": _KEY,
    "170228": _FINAL,
    "170229": _FINAL,
    "170234": _UNKNOWN,  # system error
    "170241": _KEY,  # a document must be confirmed
    "170345": _FINAL,  # not traded now
    "170371": _FINAL,  # price limit
    "170372": _FINAL,
}

MOVES: Mapping[str, Meaning] = {
    **_BOTH,
    "131002": _FINAL,  # a parameter
    "131003": _UNKNOWN,
    "131200": _UNKNOWN,  # service error
    "131201": _UNKNOWN,
    "131202": _KEY,
    "131203": _FINAL,
    "131204": _KEY,  # account
    "131206": _UNKNOWN,  # the transfer failed
    "131207": _KEY,  # no such account
    "131208": _KEY,  # forbidden
    "131210": _FINAL,  # decimals of the amount
    "131211": _FINAL,
    "131212": _FINAL,  # balance
    "131213": _FINAL,
    "131214": Meaning.DUPLICATE,
    "131215": _FINAL,
    "131217": _UNKNOWN,  # risk check
    "131228": _FINAL,  # balance
    "131231": _FINAL,
    "131232": _FINAL,
}


def refusal_of(status: int, content: Any) -> tuple[str, str] | None:
    """(code, text) of an answer that is an error; None of one that is not."""
    if not isinstance(content, dict):
        return None if 200 <= status < 300 else ("", "")
    code = str(content.get("retCode", ""))
    if 200 <= status < 300 and code in ("", SUCCESS):
        return None
    return "" if code == SUCCESS else code, str(content.get("retMsg", ""))
