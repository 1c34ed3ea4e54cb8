"""Binance: what moved an account without an order, and how the account is set up."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from decimal import Decimal
from itertools import count
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
MOVES_PAGE = 100


def payments_since(client: ExchangeClient, kinds: Collection[str], from_ms: int, until_ms: int) -> list[Payment]:
    """Funding, fees of liquidations, what came from other wallets, oldest first.

    What goes between the wallets is none of it where the run uses both.
    """
    found: list[Payment] = []
    if PERP in kinds:
        found += _incomes(client, from_ms, with_transfers=SPOT not in kinds)
    if SPOT in kinds and PERP not in kinds:
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


def _moves(client: ExchangeClient, from_ms: int) -> Iterator[Payment]:
    """What went between the spot wallet and one that the run does not use."""
    for name, sign in (("MAIN_UMFUTURE", -1), ("UMFUTURE_MAIN", 1)):
        for id_, token, amount, at_ms in moves_since(client, name, from_ms):
            yield Payment(id=f"transfer:{id_}", kind=CREDIT, token=token, amount=sign * amount, at_ms=at_ms)


def moves_since(client: ExchangeClient, name: str, since_ms: int) -> list[Move]:
    """(id, token, amount, time) of the moves of a kind that were made."""
    rows: list[Any] = []
    for page in count(1):
        params = {"type": name, "startTime": since_ms, "size": MOVES_PAGE, "current": page}
        answer = client.call("sapiGetAssetTransfer", params, SPOT_HOST)
        if not isinstance(answer, dict):
            raise MalformedAnswer("moves that are no rows", answer)
        found = answer.get("rows") or []
        rows += found
        if len(found) < MOVES_PAGE:
            break
    made = {str(row["tranId"]): row for row in rows if row["status"] == "CONFIRMED"}  # two pages may have the same one
    return [(id_, row["asset"], Decimal(row["amount"]), int(row["timestamp"])) for id_, row in made.items()]


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
