"""Bybit: what moved the unified account without an order, and how the account is set up."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.gateway import MalformedAnswer
from basis_strategy_v1.live.exchange_api import CREDIT, DELEVERAGING, FUNDING, LIQUIDATION, Payment, Permissions
from basis_strategy_v1.live.exchange_orders import PERP, SPOT

if TYPE_CHECKING:
    from basis_strategy_v1.live.exchange_client import ExchangeClient

HOST = "api.bybit.com"
LOG_PAGE = 50
DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS  # the longest time that one request may ask for
KINDS = {"SETTLEMENT": FUNDING, "LIQUIDATION": LIQUIDATION, "ADL": DELEVERAGING}
OF_ORDERS = ("TRADE", "LIQUIDATION", "ADL")  # where they name an order, they are in its fills
CLASSIC, CROSS, ISOLATED, PORTFOLIO = 1, "REGULAR_MARGIN", "ISOLATED_MARGIN", "PORTFOLIO_MARGIN"
ANY_ADDRESS = "*"


def result_of(answer: Any) -> dict[str, Any]:
    """What an answer holds.

    Raises:
        MalformedAnswer: nothing.
    """
    result = answer.get("result") if isinstance(answer, dict) else None
    if not isinstance(result, dict):
        raise MalformedAnswer("an answer without result", answer)
    return result


def rows_of(answer: Any, name: str = "list") -> list[Any]:
    """The rows of an answer.

    Raises:
        MalformedAnswer: there are none.
    """
    rows = result_of(answer).get(name)
    if not isinstance(rows, list):
        raise MalformedAnswer(f"an answer without {name}", answer)
    return rows


def pages(client: ExchangeClient, method: str, params: Mapping[str, Any], name: str = "list") -> Iterator[Any]:
    """The rows of all pages."""
    more: dict[str, Any] = {}
    while True:
        answer = client.call(method, {**params, **more}, HOST)
        rows = rows_of(answer, name)
        yield from rows
        cursor = result_of(answer).get("nextPageCursor")
        if not cursor or not rows:
            return
        more = {"cursor": cursor}


def weeks(from_ms: int, until_ms: int) -> Iterator[dict[str, int]]:
    """The spans that requests may ask for, oldest first."""
    for start in range(from_ms, until_ms + 1, WEEK_MS):
        yield {"startTime": start, "endTime": min(start + WEEK_MS, until_ms)}


def log_of(client: ExchangeClient, from_ms: int, until_ms: int) -> Iterator[Any]:
    """The rows of the unified account's log."""
    for span in weeks(from_ms, until_ms):
        yield from pages(client, "privateGetV5AccountTransactionLog", {"accountType": "UNIFIED", "limit": LOG_PAGE, **span})


def payment_of(row: Any) -> Payment | None:
    """A row of the log that moved something and is of no order: funding, a transfer, interest and whatever else there is.

    The log's `change` is what the balance changed by: no sign of a fee or of a funding has to be known.

    Raises:
        MalformedAnswer: it is none.
    """
    try:
        kind, amount = row["type"], Decimal(row["change"] or 0)
        if not amount or (kind in OF_ORDERS and row.get("orderId")):
            return None
        return Payment(
            id=f"log:{row['id']}", kind=KINDS.get(kind, CREDIT), token=row["currency"], amount=amount, at_ms=int(row["transactionTime"]),
            symbol=row.get("symbol") or "",
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise MalformedAnswer(f"a row of the log without {error}", row) from error


def info(client: ExchangeClient) -> dict[str, Any]:
    """How the account is set up."""
    return result_of(client.call("privateGetV5AccountInfo", {}, HOST))


def permissions(client: ExchangeClient) -> Permissions:
    """What the key may do."""
    row = result_of(client.call("privateGetV5UserQueryApi", {}, HOST))
    may = row["permissions"]
    writes = int(row["readOnly"]) == 0
    spot = writes and "SpotTrade" in may.get("Spot", ())
    perp = writes and ("Order" in may.get("ContractTrade", ()) or "DerivativesTrade" in may.get("Derivatives", ()))
    wallet = may.get("Wallet", ()) if writes else ()
    return Permissions({SPOT: spot, PERP: perp}, "AccountTransfer" in wallet, "Withdraw" in wallet, ANY_ADDRESS not in row["ips"])


def mode_fault(client: ExchangeClient, kinds: Collection[str]) -> str | None:
    """What the account mode stands in the way of; None: nothing."""
    row = info(client)
    if int(row["unifiedMarginStatus"]) == CLASSIC:
        return "the account is a classic account, which is not supported; upgrade it to a unified trading account at the exchange"
    if row["marginMode"] == PORTFOLIO and PERP in kinds:
        return "the account is in portfolio margin mode, which is not supported; set cross margin at the exchange"
    return None
