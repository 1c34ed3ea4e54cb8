"""OKX: what moved the trading account without an order, and how the account is set up."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.gateway import MalformedAnswer
from basis_strategy_v1.live.exchange_api import CREDIT, DELEVERAGING, FUNDING, LIQUIDATION, Payment, Permissions
from basis_strategy_v1.live.exchange_orders import PERP, SPOT

if TYPE_CHECKING:
    from basis_strategy_v1.live.exchange_client import ExchangeClient

HOST = "www.okx.com"
PAGE = 100
DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS - 3_600_000  # of bills; older ones are in the archive. An hour is left for clocks
FUNDING_ACCOUNT = "6"
KINDS = {"8": FUNDING, "5": LIQUIDATION, "9": DELEVERAGING}
SIMPLE, SINGLE = "1", "2"
MODES = {"3": "multi-currency margin", "4": "portfolio margin"}


def rows_of(answer: Any) -> list[Any]:
    """The rows of an answer.

    Raises:
        MalformedAnswer: there are none.
    """
    rows = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(rows, list):
        raise MalformedAnswer("an answer without data", answer)
    return rows


def only_row(answer: Any) -> Any:
    """The one row of an answer.

    Raises:
        MalformedAnswer: there is none.
    """
    rows = rows_of(answer)
    if not rows or not isinstance(rows[0], dict):
        raise MalformedAnswer("an answer without its row", answer)
    return rows[0]


def pages(client: ExchangeClient, method: str, params: Mapping[str, Any]) -> Iterator[Any]:
    """The rows of all pages, newest first."""
    more: dict[str, Any] = {}
    while True:
        rows = rows_of(client.call(method, {**params, "limit": PAGE, **more}, HOST))
        yield from rows
        if len(rows) < PAGE:
            return
        more = {"after": rows[-1]["billId"]}


def payments_since(client: ExchangeClient, symbols: Mapping[str, str], from_ms: int, until_ms: int) -> list[Payment]:
    """Bills without an order, oldest first: funding, what comes from the funding account and goes there, interest.

    `symbols` are those of the instrument ids.
    """
    method = "privateGetAccountBillsArchive" if from_ms < client.now_ms() - WEEK_MS else "privateGetAccountBills"
    found = []
    for row in pages(client, method, {"begin": from_ms, "end": until_ms}):
        amount = Decimal(row["balChg"] or 0)
        if row.get("ordId") or not amount or FUNDING_ACCOUNT in (row.get("from"), row.get("to")):
            continue  # what an order moved is in its fills; the funding account is a part of the account
        symbol = symbols.get(row["instId"], row["instId"])
        kind = KINDS.get(row["type"], CREDIT)
        found.append(Payment(id=f"bill:{row['billId']}", kind=kind, token=row["ccy"], amount=amount, at_ms=int(row["ts"]), symbol=symbol))
    return [payment for payment in found[::-1] if from_ms <= payment.at_ms <= until_ms]


def config(client: ExchangeClient) -> Any:
    """How the account and the key are set up."""
    return only_row(client.call("privateGetAccountConfig", {}, HOST))


def permissions(client: ExchangeClient) -> Permissions:
    """What the key may do."""
    row = config(client)
    may = row["perm"].split(",")
    trades = "trade" in may
    return Permissions({SPOT: trades, PERP: trades}, trades, "withdraw" in may, bool(row["ip"]))


def mode_fault(client: ExchangeClient, kinds: Collection[str]) -> str | None:
    """What the account mode stands in the way of; None: nothing."""
    level = config(client)["acctLv"]
    if level == SINGLE or (level == SIMPLE and PERP not in kinds):
        return None
    if level == SIMPLE:
        return "the account mode is spot, which trades no swaps; set futures mode (single-currency margin) at the exchange"
    return (
        f"the account mode is {MODES.get(level, level)}, which is not supported; set futures mode (single-currency margin) at the exchange"
    )
