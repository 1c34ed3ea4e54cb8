"""Binance: withdrawals, deposits and the networks that they go over, by its wallet API as of 2026."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.gateway import MalformedAnswer
from basis_strategy_v1.live import binance_errors
from basis_strategy_v1.live.binance_account import DAY_MS, PAGE, SPOT_HOST
from basis_strategy_v1.live.exchange_transfers import DONE, ENDED, WAITING, FoundDeposit, FoundWithdrawal, NetworkTerms

if TYPE_CHECKING:
    from typing import TypeVar

    from basis_strategy_v1.live.exchange_client import ExchangeClient
    from basis_strategy_v1.live.exchange_transfers import SentWithdrawal

    T = TypeVar("T")

NETWORKS = {
    "ethereum": "ETH", "arbitrum": "ARBITRUM", "optimism": "OPTIMISM", "base": "BASE", "polygon": "MATIC", "bsc": "BSC",
    "avalanche": "AVAXC",
}  # fmt: skip
WITHDRAWAL_STATUS = {
    0: (WAITING, "confirmed by mail first"), 1: (ENDED, "cancelled"), 2: (WAITING, "waiting for approval"), 3: (ENDED, "rejected"),
    4: (WAITING, "processing"), 5: (ENDED, "failed"), 6: (DONE, "completed"),
}  # fmt: skip
CREDITED = 1
MOST_DAYS = 90  # in one request; with an id of ours 7
DAYS_WITH_ID = 7


class BinanceTransfers:
    """The calls of one account."""

    withdrawal_errors: Mapping[str, Any] = binance_errors.WITHDRAWAL

    def __init__(self, client: ExchangeClient) -> None:
        self._client = client

    def networks(self, token: str) -> tuple[NetworkTerms, ...]:
        """Over which networks the token goes; none of a token that the venue does not have."""
        coins = self._rows("sapiGetCapitalConfigGetall", {})
        return tuple(_network(row) for coin in coins if coin["coin"] == token for row in coin["networkList"])

    def network_of(self, token: str, chain: str) -> str:
        """The venue's name of a chain; where it is not known, the chain's own."""
        return NETWORKS.get(chain, chain)

    def deposit_address(self, token: str, network: str) -> str:
        """Where the account receives a token."""
        answer = self._client.call("sapiGetCapitalDepositAddress", {"coin": token, "network": network}, SPOT_HOST)
        if not isinstance(answer, dict) or not answer.get("address"):
            raise MalformedAnswer("a deposit address that is none", answer)
        if answer.get("tag"):
            raise MalformedAnswer(f"a deposit address of {token} that needs a tag", answer)
        return str(answer["address"])

    def withdraw(self, sent: SentWithdrawal, at_ms: int) -> None:
        """Ask for a withdrawal, signed at this time; the venue does not take it after `sent.expires_ms`."""
        params = {
            "coin": sent.token,
            "network": sent.network,
            "address": sent.address,
            "amount": format(sent.amount, "f"),
            "withdrawOrderId": sent.client_id,
            "transactionFeeFlag": "false",
            "recvWindow": sent.expires_ms - at_ms,
        }
        with self._client.stamped(at_ms):
            answer = self._client.call("sapiPostCapitalWithdrawApply", params, SPOT_HOST)
        if not isinstance(answer, dict) or not answer.get("id"):
            raise MalformedAnswer("a withdrawal without id", answer)

    def withdrawals(self, from_ms: int, until_ms: int, client_id: str = "") -> list[FoundWithdrawal]:
        """Those that were asked for between two times, oldest first; with `client_id` those under it."""
        own = {"withdrawOrderId": client_id} if client_id else {}
        days = DAYS_WITH_ID if client_id else MOST_DAYS
        rows = self._history("sapiGetCapitalWithdrawHistory", own, from_ms, until_ms, days)
        found = {str(row["id"]): row for row in rows}  # two pages may have the same one
        return sorted((_read(row, _withdrawal) for row in found.values()), key=lambda one: one.at_ms)

    def deposits(self, from_ms: int, until_ms: int) -> list[FoundDeposit]:
        """Those that were first seen between two times, oldest first."""
        rows = self._history("sapiGetCapitalDepositHisrec", {}, from_ms, until_ms, MOST_DAYS)
        found = {str(row["id"]): row for row in rows}
        return sorted((_read(row, _deposit) for row in found.values()), key=lambda one: one.at_ms)

    def allowed_addresses(self) -> list[str] | None:
        """The addresses that the venue lets the account pay out to; None: it names none, and then any may be."""
        rows = self._rows("sapiGetCapitalWithdrawAddressList", {})
        return [row["address"] for row in rows if row.get("whiteStatus")] or None

    def _history(self, method: str, params: Mapping[str, Any], from_ms: int, until_ms: int, days: int) -> Iterator[Any]:
        """The rows of all pages of all spans of time."""
        for start in range(from_ms, until_ms + 1, days * DAY_MS):
            span = {**params, "startTime": start, "endTime": min(start + days * DAY_MS - 1, until_ms), "limit": PAGE}
            offset = 0
            while True:
                rows = self._rows(method, {**span, "offset": offset})
                yield from rows
                if len(rows) < PAGE:
                    break
                offset += PAGE

    def _rows(self, method: str, params: Mapping[str, Any]) -> list[Any]:
        rows = self._client.call(method, params, SPOT_HOST)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise MalformedAnswer(f"{method}: no rows", rows)
        return rows


def _read(row: Any, read: Callable[[Any], T]) -> T:
    try:
        return read(row)
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise MalformedAnswer(f"a transfer without {error}", row) from error


def _withdrawal(row: Any) -> FoundWithdrawal:
    status, reason = WITHDRAWAL_STATUS[int(row["status"])]
    done = row.get("completeTime")
    return FoundWithdrawal(
        id=str(row["id"]), client_id=row.get("withdrawOrderId") or "", token=row["coin"], network=row.get("network") or "",
        address=row["address"], amount=Decimal(row["amount"]), fee=Decimal(row["transactionFee"]), status=status,
        reason=f"{reason}: {row['info']}" if row.get("info") and status != DONE else reason, hash=row.get("txId") or "",
        at_ms=_ms(row["applyTime"]), done_ms=_ms(done) if done else None,
    )  # fmt: skip


def _deposit(row: Any) -> FoundDeposit:
    at_ms = int(row["insertTime"])
    is_credited = int(row["status"]) == CREDITED
    return FoundDeposit(
        id=str(row["id"]), token=row["coin"], network=row.get("network") or "", amount=Decimal(row["amount"]), hash=row.get("txId") or "",
        at_ms=at_ms, credited_ms=int(row.get("completeTime") or at_ms) if is_credited else None,
    )  # fmt: skip


def _network(row: Any) -> NetworkTerms:
    return _read(
        row,
        lambda row: NetworkTerms(
            network=row["network"], fee=Decimal(row["withdrawFee"]), least=Decimal(row["withdrawMin"]),
            most=Decimal(row["withdrawMax"]) if Decimal(row.get("withdrawMax") or 0) else None,
            lot=Decimal(row["withdrawIntegerMultiple"]) or Decimal("1e-8"), minutes=Decimal(row.get("estimatedArrivalTime") or 0),
            takes_withdrawals=bool(row["withdrawEnable"]), takes_deposits=bool(row["depositEnable"]),
            is_default=bool(row.get("isDefault")),
        ),
    )  # fmt: skip


def _ms(stamp: str) -> int:
    """`2019-10-12 11:12:02`, in UTC."""
    return int(datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC).timestamp()) * 1000
