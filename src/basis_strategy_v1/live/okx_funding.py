"""OKX: the funding account, where deposits arrive and nothing trades, and moves between it and the trading account."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.live.exchange_api import CREDIT, RESERVE, Move, Payment
from basis_strategy_v1.live.okx_account import DAY_MS, HOST, only_row, rows_of

if TYPE_CHECKING:
    from basis_strategy_v1.live.exchange_client import ExchangeClient

FUNDING, TRADING = "6", "18"
FROM_TRADING, TO_TRADING = "130", "131"
PAGE = 100
MONTH_MS = 28 * DAY_MS  # of bills; older ones are in the history


def balances(client: ExchangeClient, field: str) -> dict[str, Decimal]:
    """A number of the funding account by token: `bal` what it holds, `availBal` what it can give."""
    rows = rows_of(client.call("privateGetAssetBalances", {}, HOST))
    return {row["ccy"]: Decimal(row[field] or 0) for row in rows}


def move(client: ExchangeClient, source: str, token: str, amount: Decimal) -> str:
    """Move between the two accounts; the venue's name of the move. The venue takes one amount under one name only once."""
    ends = (FUNDING, TRADING) if source == RESERVE else (TRADING, FUNDING)
    params = {
        "type": "0",
        "ccy": token,
        "amt": format(amount, "f"),
        "from": ends[0],
        "to": ends[1],
        "clientId": blake2b(f"{ends} {token} {amount}".encode(), digest_size=16).hexdigest(),
    }
    return str(only_row(client.call("privatePostAssetTransfer", params, HOST))["transId"])


def moves_since(client: ExchangeClient, source: str, since_ms: int) -> list[Move]:
    """(id, token, amount, time) of the moves from one of the two accounts to the other."""
    kind = TO_TRADING if source == RESERVE else FROM_TRADING
    rows = (row for row in bills(client, since_ms, client.now_ms() + DAY_MS) if row["type"] == kind)
    return [(str(row["billId"]), row["ccy"], abs(Decimal(row["balChg"])), int(row["ts"])) for row in rows]


def payments_since(client: ExchangeClient, from_ms: int, until_ms: int) -> list[Payment]:
    """What came to the funding account and left it, but for the moves to and from the trading account."""
    return [
        Payment(id=f"asset:{row['billId']}", kind=CREDIT, token=row["ccy"], amount=Decimal(row["balChg"]), at_ms=int(row["ts"]))
        for row in bills(client, from_ms, until_ms)
        if row["type"] not in (FROM_TRADING, TO_TRADING) and Decimal(row["balChg"])
    ]


def bills(client: ExchangeClient, from_ms: int, until_ms: int) -> Iterator[Any]:
    """The rows between two times, newest first. The venue turns pages by time."""
    method = "privateGetAssetBillsHistory" if from_ms < client.now_ms() - MONTH_MS else "privateGetAssetBills"
    seen: set[str] = set()
    after_ms = until_ms + 1
    while True:
        rows = rows_of(client.call(method, {"before": from_ms - 1, "after": after_ms, "limit": PAGE}, HOST))
        new = [row for row in rows if row["billId"] not in seen]
        seen |= {row["billId"] for row in new}
        yield from new
        if len(rows) < PAGE or not new:
            return
        after_ms = int(rows[-1]["ts"]) + 1  # rows of one instant may be on both sides of a page
