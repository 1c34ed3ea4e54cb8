"""OKX's error codes (`sCode` of an order, `code` of anything else), as documented in 2026: what each means for an order.

What is not here counts as unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from basis_strategy_v1.live.exchange_errors import Meaning

_FINAL, _KEY, _UNKNOWN = Meaning.FINAL, Meaning.KEY, Meaning.UNKNOWN
SUCCESS = "0"
SOME_FAILED = ("1", "2")  # what failed is in the rows

CODES: Mapping[str, Meaning] = {
    "50001": _UNKNOWN,  # service unavailable
    "50004": _UNKNOWN,  # endpoint request timeout, does not mean success or failure
    "50005": _FINAL,  # endpoint offline
    "50007": _KEY,  # account frozen
    "50008": _KEY,  # no such user
    "50009": _KEY,  # account suspended for liquidation
    "50010": _KEY,
    "50011": Meaning.LIMITED,
    "50012": _KEY,  # account status
    "50013": _UNKNOWN,  # system busy
    "50014": _FINAL,  # a parameter is empty
    "50015": _FINAL,
    "50016": _FINAL,
    "50026": _UNKNOWN,  # system error
    "50027": _KEY,
    "50030": _KEY,
    "50040": Meaning.LIMITED,
    "50061": Meaning.LIMITED,  # orders of a sub-account
    "50100": _KEY,  # interface frozen
    "50101": _KEY,  # key of another environment
    "50102": Meaning.CLOCK,
    "50103": _KEY,
    "50104": _KEY,
    "50105": _KEY,  # passphrase
    "50106": _KEY,
    "50107": Meaning.CLOCK,
    "50110": _KEY,  # address not allowed
    "50111": _KEY,
    "50112": Meaning.CLOCK,
    "50113": _KEY,  # signature
    "50114": _KEY,
    "50119": _KEY,
    "50120": _KEY,  # permission
    "51000": _FINAL,  # a parameter
    "51001": _FINAL,  # instrument
    "51004": _FINAL,  # position limit at this leverage
    "51005": _FINAL,  # above the most
    "51006": _FINAL,  # price limit
    "51008": _FINAL,  # balance, margin
    "51010": _FINAL,  # account mode
    "51015": _FINAL,
    "51016": Meaning.DUPLICATE,
    "51020": _FINAL,  # below the least
    "51021": _FINAL,
    "51022": _FINAL,  # suspended
    "51024": _KEY,
    "51026": _FINAL,
    "51027": _FINAL,  # expired contract
    "51028": _FINAL,
    "51029": _FINAL,
    "51030": _FINAL,  # funding is being settled
    "51046": _FINAL,
    "51119": _FINAL,
    "51120": _FINAL,
    "51121": _FINAL,  # lot
    "51127": _FINAL,
    "51131": _FINAL,
    "51149": _UNKNOWN,  # order timed out
    "51169": _FINAL,  # nothing to reduce
    "51170": _FINAL,
    "51603": Meaning.ABSENT,
}

MOVES: Mapping[str, Meaning] = {
    **CODES,
    "58100": _FINAL,  # risk control
    "58101": _FINAL,  # suspended
    "58102": Meaning.LIMITED,
    "58103": _FINAL,  # not now
    "58104": _KEY,
    "58105": _KEY,
    "58110": _FINAL,  # suspended
    "58111": _FINAL,  # funding is being settled
    "58112": _UNKNOWN,  # failed, try again
    "58114": _FINAL,  # amount
    "58116": _FINAL,  # above the limit
    "58117": _FINAL,  # negative assets
    "58119": _KEY,
    "58120": _UNKNOWN,  # not available
    "58121": _FINAL,  # would put positions at risk
    "58123": _FINAL,  # from and to
    "58124": _UNKNOWN,  # in work
    "58350": _FINAL,  # balance
}


def refusal_of(status: int, content: Any) -> tuple[str, str] | None:
    """(code, text) of an answer that is an error; None of one that is not. Of an order, those of its own row."""
    if not isinstance(content, dict):
        return None if 200 <= status < 300 else ("", "")
    code = str(content.get("code", ""))
    if 200 <= status < 300 and code in ("", SUCCESS):
        return None
    rows = content.get("data")
    row = rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], dict) else {}
    if code in SOME_FAILED and row.get("sCode"):
        return str(row["sCode"]), str(row.get("sMsg", ""))
    return code, str(content.get("msg", ""))
