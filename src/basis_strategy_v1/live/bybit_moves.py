"""Bybit: the funding account, where deposits arrive and nothing trades, and moves between it and the unified account."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from decimal import Decimal
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from uuid import UUID

from basis_strategy_v1.core.error_codes.exceptions import VenueRejected
from basis_strategy_v1.core.gateway import MalformedAnswer
from basis_strategy_v1.live.bybit_account import DAY_MS, HOST, log_of, pages, payment_of, result_of, weeks
from basis_strategy_v1.live.exchange_api import CREDIT, RESERVE, Move, Payment
from basis_strategy_v1.live.exchange_prepare import REJECTED

if TYPE_CHECKING:
    from basis_strategy_v1.live.exchange_client import ExchangeClient

PAGE = 50
UNIFIED, FUND = "UNIFIED", "FUND"
MADE, NOT_MADE = "SUCCESS", "FAILED"
CREDITED = 3
LOGGED = ("TRANSFER_IN", "TRANSFER_OUT")
APART_MS = 60_000  # the list of moves and the log may show one move at so different times
SHOWN_MS = 30_000  # a move is perhaps in one of them only until it is so old


def reserved(client: ExchangeClient) -> dict[str, Decimal]:
    """What the funding account can give, by token."""
    return {row["coin"]: Decimal(row["transferBalance"] or 0) for row in _funding(client)}


def held(client: ExchangeClient) -> dict[str, Decimal]:
    """What the funding account holds, by token."""
    return {row["coin"]: Decimal(row["walletBalance"] or 0) for row in _funding(client)}


def _funding(client: ExchangeClient) -> list[Any]:
    rows = result_of(client.call("privateGetV5AssetTransferQueryAccountCoinsBalance", {"accountType": FUND}, HOST)).get("balance")
    if not isinstance(rows, list):
        raise MalformedAnswer("a funding account without balance", rows)
    return rows


def move(client: ExchangeClient, source: str, token: str, amount: Decimal, expires_ms: int) -> str:
    """Move between the funding and the unified account; the venue's name of the move, which is ours: the same for each attempt.

    Raises:
        VenueRejected: it was not made. MalformedAnswer: it is not known whether it was.
    """
    params = {
        "transferId": _id_of(source, token, amount, expires_ms),
        "coin": token,
        "amount": format(amount, "f"),
        "fromAccountType": FUND if source == RESERVE else UNIFIED,
        "toAccountType": UNIFIED if source == RESERVE else FUND,
    }
    result = result_of(client.call("privatePostV5AssetTransferInterTransfer", params, HOST))
    status = result.get("status")
    if status == NOT_MADE:
        raise VenueRejected(REJECTED, f"bybit did not move {params['amount']} {token}; it names no reason")
    if status != MADE or not result.get("transferId"):
        raise MalformedAnswer(f"a move whose status is {status}", result)
    return str(result["transferId"])


def _id_of(*parts: object) -> str:
    return str(UUID(bytes=blake2b(repr(parts).encode(), digest_size=16).digest()))


def moves_since(client: ExchangeClient, source: str, since_ms: int) -> list[Move]:
    """(id, token, amount, time) of the moves from one of the two accounts to the other that were made."""
    wanted = (FUND, UNIFIED) if source == RESERVE else (UNIFIED, FUND)
    rows = _rows(client, since_ms, client.now_ms())
    return [_move_of(row) for row in rows if (row["fromAccountType"], row["toAccountType"]) == wanted]


def _rows(client: ExchangeClient, from_ms: int, until_ms: int) -> Iterator[Any]:
    """What was moved between the two accounts. The venue takes the times to the second."""
    for span in weeks(from_ms, until_ms):
        for row in pages(client, "privateGetV5AssetTransferQueryInterTransferList", {"limit": PAGE, **span}):
            if {row["fromAccountType"], row["toAccountType"]} == {FUND, UNIFIED} and row["status"] == MADE:
                yield row


def _move_of(row: Any) -> Move:
    return str(row["transferId"]), row["coin"], Decimal(row["amount"]), int(row["timestamp"])


# What moved the account from outside.


def payments_since(client: ExchangeClient, from_ms: int, until_ms: int) -> list[Payment]:
    """Funding, interest, transfers with other accounts, deposits, oldest first.

    What went between the two accounts is none: it is in the list of moves and in the log of the unified account, and taken out of both.
    """
    begins = from_ms - APART_MS
    rows = list(log_of(client, begins, until_ms))
    transfers, others = ([payment_of(row) for row in rows if (row["type"] in LOGGED) is which] for which in (True, False))
    in_funding = [_in_funding(row) for row in _rows(client, begins, until_ms)]
    found = [*others, *without_pairs(transfers, in_funding, until_ms - SHOWN_MS), *_deposits(client, from_ms, until_ms)]
    return sorted((one for one in found if one is not None and from_ms <= one.at_ms <= until_ms), key=lambda one: one.at_ms)


def _in_funding(row: Any) -> Payment:
    """A move as the funding account sees it."""
    id_, token, amount, at_ms = _move_of(row)
    sign = 1 if row["toAccountType"] == FUND else -1
    return Payment(id=f"transfer:{id_}", kind=CREDIT, token=token, amount=sign * amount, at_ms=at_ms)


def without_pairs(transfers: Iterable[Payment | None], in_funding: Iterable[Payment], settled_ms: int) -> list[Payment]:
    """Transfers of the two accounts without those that are one move between them: as much of a token left here as came there, at about
    the same time.

    One without its other half is only given once it is older than `settled_ms`: the half may be shown later.
    """
    rest, alone = list(in_funding), []
    for one in transfers:
        half = next((other for other in rest if one is not None and _is_half(one, other)), None)
        if half is not None:
            rest.remove(half)
        elif one is not None:
            alone.append(one)
    return [one for one in (*alone, *rest) if one.at_ms <= settled_ms]


def _is_half(one: Payment, other: Payment) -> bool:
    return (one.token, one.amount) == (other.token, -other.amount) and abs(one.at_ms - other.at_ms) <= APART_MS


def _deposits(client: ExchangeClient, from_ms: int, until_ms: int) -> Iterator[Payment]:
    """Deposits that were credited, to the funding account. The venue asks by the time at which they were seen first."""
    for span in weeks(from_ms - DAY_MS, until_ms):
        for row in pages(client, "privateGetV5AssetDepositQueryRecord", {"limit": PAGE, **span}, "rows"):
            if int(row["status"]) == CREDITED:
                id_, amount = f"deposit:{row['txID']}:{row['txIndex']}", Decimal(row["amount"])
                yield Payment(id=id_, kind=CREDIT, token=row["coin"], amount=amount, at_ms=int(row["successAt"]))
