"""Hyperliquid: markets by their numbers, what moved an account without an order, and whose key signs."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.core.gateway import MalformedAnswer
from basis_strategy_v1.live.exchange_api import CREDIT, FUNDING, Move, Payment, Permissions
from basis_strategy_v1.live.exchange_orders import PERP, SPOT, Rules

if TYPE_CHECKING:
    from basis_strategy_v1.live.exchange_client import ExchangeClient

HOST = "api.hyperliquid.xyz"
SETTLE = "USDC"
PAGE = 500
PLAIN_NAMES = {"UBTC": "BTC", "UETH": "ETH", "USOL": "SOL"}  # of the coins that spot tokens stand for
SPOT_FROM = 10_000  # numbers of spot markets begin here
DECIMALS = {SPOT: 8, PERP: 6}  # of a price, together with those of the amount
DIGITS = 5
LEAST_NOTIONAL = Decimal(10)
ONE = Decimal(1)
MOVED = "accountClassTransfer"
UNSUPPORTED = ("unifiedAccount", "portfolioMargin")


class CoinMarket(NamedTuple):
    """A market as the venue names it, by number and by coin."""

    asset: int
    coin: str
    symbol: str
    rules: Rules


def info(client: ExchangeClient, kind: str, **fields: Any) -> Any:
    """What the venue answers to a question."""
    return client.call("publicPostInfo", {"type": kind, **fields}, HOST)


def rows_of(answer: Any) -> list[Any]:
    """Rows.

    Raises:
        MalformedAnswer: they are none.
    """
    if not isinstance(answer, list):
        raise MalformedAnswer("an answer without rows", answer)
    return answer


def plain(token: str) -> str:
    return PLAIN_NAMES.get(token, token)


def instruments(client: ExchangeClient, kind: str) -> Iterator[CoinMarket]:
    """All markets of a kind. A price has five digits: its tick follows from the price of now, a tenth higher."""
    meta, contexts = rows_of(info(client, "metaAndAssetCtxs" if kind == PERP else "spotMetaAndAssetCtxs"))
    try:
        if kind == PERP:
            for number, (row, context) in enumerate(zip(meta["universe"], contexts, strict=True)):
                rules = _rules(kind, row["name"], SETTLE, row["szDecimals"], context["markPx"] or "1", is_open=not row.get("isDelisted"))
                yield CoinMarket(number, row["name"], row["name"] + SETTLE, rules)
            return
        tokens = {token["index"]: token for token in meta["tokens"]}
        prices = {context["coin"]: context["markPx"] for context in contexts if context["markPx"]}
        for row in meta["universe"]:
            base, quote = (tokens[index] for index in row["tokens"])
            name = plain(base["name"])
            rules = _rules(kind, name, quote["name"], base["szDecimals"], prices.get(row["name"], "1"), is_open=row["name"] in prices)
            yield CoinMarket(SPOT_FROM + row["index"], row["name"], name + quote["name"], rules)
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise MalformedAnswer(f"markets without {error}", meta) from error


def _rules(kind: str, base: str, quote: str, decimals: int, price: str, *, is_open: bool) -> Rules:
    tick = tick_at(Decimal(price), DECIMALS[kind] - decimals)
    return Rules(base=base, quote=quote, lot=ONE.scaleb(-decimals), tick=tick, least_notional=LEAST_NOTIONAL, is_open=is_open)


def tick_at(price: Decimal, decimals: int) -> Decimal:
    """The step of prices near one: five digits, at most so many decimals; a whole number is always allowed."""
    if price <= 0:
        return ONE
    digits = (price * Decimal("1.1")).adjusted() - DIGITS + 1
    return min(ONE, max(ONE.scaleb(digits), ONE.scaleb(-decimals)))


# What moved the account.


def payments_since(client: ExchangeClient, user: str, kinds: Collection[str], from_ms: int, until_ms: int) -> list[Payment]:
    """Funding, deposits, withdrawals, what came from others and went there, oldest first.

    What goes between the two wallets is none of it where the run uses both.
    """
    found = [_funding_of(row) for row in _pages(client, "userFunding", user, from_ms, until_ms)] if PERP in kinds else []
    for row in _pages(client, "userNonFundingLedgerUpdates", user, from_ms, until_ms):
        payment = update_of(row, user, kinds)
        if payment is not None:
            found.append(payment)
    return sorted(found, key=lambda payment: payment.at_ms)


def _pages(client: ExchangeClient, kind: str, user: str, from_ms: int, until_ms: int) -> list[Any]:
    """The rows between two times, oldest first; the venue gives 500 at once."""
    found: list[Any] = []
    while True:
        rows = rows_of(info(client, kind, user=user, startTime=from_ms, endTime=until_ms))
        found += [row for row in rows if row not in found[-PAGE:]]
        if len(rows) < PAGE or int(rows[-1]["time"]) == from_ms:
            return found
        from_ms = int(rows[-1]["time"])


def _funding_of(row: Any) -> Payment:
    delta, at_ms = row["delta"], int(row["time"])
    return Payment(
        id=f"funding:{delta['coin']}:{at_ms}", kind=FUNDING, token=SETTLE, amount=Decimal(delta["usdc"]), at_ms=at_ms,
        symbol=delta["coin"] + SETTLE,
    )  # fmt: skip


def update_of(row: Any, user: str, kinds: Collection[str]) -> Payment | None:
    """A change that is neither a fill nor funding; None: of a kind that moves none of the run's wallets, or that is not known."""
    delta, kind = row["delta"], row["delta"]["type"]
    token, amount = SETTLE, Decimal(delta.get("usdc") or delta.get("amount") or 0)
    if kind == MOVED:
        if SPOT in kinds and PERP in kinds:
            return None
        amount = amount if bool(delta["toPerp"]) is (PERP in kinds) else -amount
    elif kind == "withdraw":
        amount = -amount
    elif kind in ("internalTransfer", "spotTransfer", "subAccountTransfer"):
        token = plain(delta.get("token") or SETTLE)
        is_in = str(delta["destination"]).lower() == user
        amount = amount if is_in else -amount - Decimal(delta.get("fee") or 0)
    elif kind != "deposit":
        return None
    return Payment(id=f"update:{row['hash']}:{kind}:{row['time']}", kind=CREDIT, token=token, amount=amount, at_ms=int(row["time"]))


def moves_since(client: ExchangeClient, user: str, since_ms: int, until_ms: int, *, to_perp: bool) -> list[Move]:
    """(id, token, amount, time) of the moves from one wallet to the other."""
    rows = [row for row in _pages(client, "userNonFundingLedgerUpdates", user, since_ms, until_ms) if row["delta"]["type"] == MOVED]
    return [
        (row["hash"], SETTLE, Decimal(row["delta"]["usdc"]), int(row["time"])) for row in rows if bool(row["delta"]["toPerp"]) is to_perp
    ]


# The account.


def permissions(client: ExchangeClient, user: str, signer: str) -> Permissions:
    """What the key may do: an account's own key everything, that of an agent trade. The venue binds no key to an address."""
    if signer == user:
        return Permissions({SPOT: True, PERP: True}, moves=True, withdraws=True, is_bound_to_address=True)
    role = info(client, "userRole", user=signer)
    data = role.get("data") if isinstance(role, dict) else None
    is_agent = isinstance(data, dict) and role.get("role") == "agent" and str(data.get("user")).lower() == user
    return Permissions({SPOT: is_agent, PERP: is_agent}, moves=False, withdraws=False, is_bound_to_address=True)


def mode_fault(client: ExchangeClient, user: str) -> str | None:
    """What the account mode stands in the way of; None: nothing."""
    mode = info(client, "userAbstraction", user=user)
    if mode in UNSUPPORTED:
        return f"the account mode is {mode}, which is not supported; set separate spot and perp balances at the exchange"
    return None
