"""Binance: what moved an account without an order, and how the account is set up."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.gateway import MalformedAnswer
from basis_strategy_v1.live.exchange_api import CREDIT, FUNDING, LIQUIDATION, Move, Payment, Permissions
from basis_strategy_v1.live.exchange_orders import PERP, SPOT

if TYPE_CHECKING:
    from basis_strategy_v1.live.exchange_client import ExchangeClient

SPOT_HOST, PERP_HOST = "api.binance.com", "fapi.binance.com"
PAGE = 1_000
# What is in the fills already.
OF_TRADES = ("COMMISSION", "REALIZED_PNL")
TRANSFER = "TRANSFER"
KINDS = {"FUNDING_FEE": FUNDING, "INSURANCE_CLEAR": LIQUIDATION}
DAY_MS = 86_400_000
CREDITED = 1


def payments_since(client: ExchangeClient, kinds: Collection[str], from_ms: int, until_ms: int) -> list[Payment]:
    """Funding, fees of liquidations, credits, oldest first.

    What goes between the wallets is none of it where the run uses both.
    """
    found: list[Payment] = []
    if PERP in kinds:
        found += _incomes(client, from_ms, with_transfers=SPOT not in kinds)
    if SPOT in kinds:
        found += _deposits(client, from_ms)
        if PERP not in kinds:
            found += _moves(client, from_ms)
    return [payment for payment in found if from_ms <= payment.at_ms <= until_ms]


def _incomes(client: ExchangeClient, from_ms: int, *, with_transfers: bool) -> Iterator[Payment]:
    for row in _income_rows(client, from_ms):
        kind = row["incomeType"]
        if kind in OF_TRADES or (kind == TRANSFER and not with_transfers):
            continue
        yield Payment(
            id=f"income:{kind}:{row['tranId']}:{row.get('symbol', '')}:{row['asset']}",
            kind=KINDS.get(kind, CREDIT),
            token=row["asset"],
            amount=Decimal(row["income"]),
            at_ms=int(row["time"]),
            symbol=row.get("symbol") or "",
        )


def _income_rows(client: ExchangeClient, from_ms: int) -> list[Any]:
    found: dict[tuple[Any, ...], Any] = {}
    while True:
        rows = client.call("fapiPrivateGetIncome", {"startTime": from_ms, "limit": PAGE}, PERP_HOST)
        if not isinstance(rows, list):
            raise MalformedAnswer("incomes that are no rows", rows)
        found |= {(row["incomeType"], row["tranId"], row.get("symbol"), row.get("tradeId")): row for row in rows}
        newest = int(rows[-1]["time"]) if rows else 0
        if len(rows) < PAGE or newest == from_ms:
            return list(found.values())
        from_ms = newest


def _deposits(client: ExchangeClient, from_ms: int) -> Iterator[Payment]:
    """Deposits that were credited. The venue asks by the time at which they were seen first."""
    rows = client.call("sapiGetCapitalDepositHisrec", {"startTime": from_ms - DAY_MS, "status": CREDITED, "limit": PAGE}, SPOT_HOST)
    if not isinstance(rows, list):
        raise MalformedAnswer("deposits that are no rows", rows)
    for row in rows:
        if int(row["status"]) == CREDITED:
            at_ms = int(row.get("completeTime") or row["insertTime"])
            yield Payment(id=f"deposit:{row['id']}", kind=CREDIT, token=row["coin"], amount=Decimal(row["amount"]), at_ms=at_ms)


def _moves(client: ExchangeClient, from_ms: int) -> Iterator[Payment]:
    """What went between the spot wallet and one that the run does not use."""
    for name, sign in (("MAIN_UMFUTURE", -1), ("UMFUTURE_MAIN", 1)):
        for id_, token, amount, at_ms in moves_since(client, name, from_ms):
            yield Payment(id=f"transfer:{id_}", kind=CREDIT, token=token, amount=sign * amount, at_ms=at_ms)


def moves_since(client: ExchangeClient, name: str, since_ms: int) -> list[Move]:
    """(id, token, amount, time) of the moves of a kind that were made."""
    answer = client.call("sapiGetAssetTransfer", {"type": name, "startTime": since_ms, "size": 100}, SPOT_HOST)
    if not isinstance(answer, dict):
        raise MalformedAnswer("moves that are no rows", answer)
    rows = answer.get("rows") or []
    return [
        (str(row["tranId"]), row["asset"], Decimal(row["amount"]), int(row["timestamp"])) for row in rows if row["status"] == "CONFIRMED"
    ]


def permissions(client: ExchangeClient) -> Permissions:
    """What the key may do."""
    row = client.call("sapiGetAccountApiRestrictions", {}, SPOT_HOST)
    trades = {SPOT: bool(row["enableSpotAndMarginTrading"]), PERP: bool(row["enableFutures"])}
    return Permissions(trades, bool(row["permitsUniversalTransfer"]), bool(row["enableWithdrawals"]), bool(row["ipRestrict"]))


def is_hedged(client: ExchangeClient) -> bool:
    """Whether long and short positions of a symbol are kept apart."""
    return str(client.call("fapiPrivateGetPositionSideDual", {}, PERP_HOST)["dualSidePosition"]).lower() == "true"


def is_multi_asset(client: ExchangeClient) -> bool:
    """Whether every coin counts as margin."""
    return str(client.call("fapiPrivateGetMultiAssetsMargin", {}, PERP_HOST)["multiAssetsMargin"]).lower() == "true"
