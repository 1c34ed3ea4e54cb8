"""Hyperliquid: spot and perps of one account, by its API as of 2026. Actions are signed here; questions are open to anyone."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from decimal import Decimal
from threading import Lock
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueRejected
from basis_strategy_v1.core.gateway import MalformedAnswer
from basis_strategy_v1.core.state import Perp
from basis_strategy_v1.live import hyperliquid_account, hyperliquid_errors
from basis_strategy_v1.live.exchange_access import Absent
from basis_strategy_v1.live.exchange_api import DELEVERAGING, LIQUIDATION, Move, Payment, Permissions, PerpMargin, PerpSettings, listed
from basis_strategy_v1.live.exchange_client import Refusal
from basis_strategy_v1.live.exchange_orders import PERP, SPOT, Fill, FoundOrder, Rules
from basis_strategy_v1.live.exchange_prepare import REJECTED
from basis_strategy_v1.live.hyperliquid_account import HOST, SETTLE, CoinMarket, info, instruments, plain, rows_of
from basis_strategy_v1.live.hyperliquid_answers import fill_of, found_of, placed_of, positions_of, seen_of, shown
from basis_strategy_v1.live.hyperliquid_signing import address_of, signed, signed_move

if TYPE_CHECKING:
    from collections.abc import Iterable

    from basis_strategy_v1.live.exchange_client import ExchangeClient
    from basis_strategy_v1.live.exchange_orders import SentOrder

MOST_KNOWN = 4_096
FILLS_PAGE = 2_000
MINUTE_MS, DAY_MS = 60_000, 86_400_000
ADDRESS = re.compile("0x[0-9a-f]{40}")
ZERO = Decimal(0)


class Hyperliquid:
    """The calls of one account: `client.key` is its address, `client.secret` the private key of it or of an agent of its."""

    life_ms = 2_000
    """With `expiresAfter` an order is not taken later than this."""
    fee_tokens: tuple[str, ...] = ()
    settle = SETTLE
    wallets_are_separate = True
    has_reserve = False
    move_unit = Decimal("1e-6")
    move_errors = hyperliquid_errors.TABLE

    def __init__(self, client: ExchangeClient) -> None:
        self._client = client
        self._user = client.key.reveal().lower()
        if not ADDRESS.fullmatch(self._user):
            raise ComponentError("CFG-003", "hyperliquid: API_KEY is the account's address, 0x and 40 hexadecimal digits; set it so")
        try:
            self._signer = address_of(client.secret)
        except ValueError:
            raise ComponentError("CFG-003", "hyperliquid: API_SECRET is no private key, 0x and 64 hexadecimal digits; set it so") from None
        self.moves = self._signer == self._user  # an agent's key may not
        signed(client.secret, {}, 0, 0)  # the first signature loads what signs, and takes longer than an order lives on a busy machine
        self._leverage: dict[str, PerpSettings] = {}
        self._instruments: dict[str, dict[str, CoinMarket]] = {}  # kind -> symbol -> the market
        self._seen: dict[str, FoundOrder] = {}  # by the venue's id, as far as its fills show it
        self._nonces: dict[str, int] = {}  # by client id
        self._lock = Lock()

    def forget(self) -> None:
        """Read the account's settings again when they are next needed."""
        self._leverage.clear()

    def errors(self, kind: str) -> Mapping[str, Any]:
        return hyperliquid_errors.TABLE

    def time_ms(self, kind: str) -> int:
        return int(info(self._client, "exchangeStatus")["time"])

    # Markets.

    def rules(self, kind: str, symbols: Iterable[str]) -> dict[str, Rules]:
        """The rules of these symbols, those of them that there are."""
        self._instruments[kind] = {each.symbol: each for each in instruments(self._client, kind)}
        return {symbol: self._instruments[kind][symbol].rules for symbol in symbols if symbol in self._instruments[kind]}

    def _instrument(self, kind: str, symbol: str) -> CoinMarket:
        return listed(self._instruments, kind, symbol, self.rules)

    # Orders.

    def place(self, sent: SentOrder, at_ms: int) -> FoundOrder | str:
        """Send an order. Each attempt is the same bytes: the venue takes a nonce once, and no order after `sent.expires_ms`."""
        if sent.life != "IOC":
            raise VenueRejected(REJECTED, f"hyperliquid has no {sent.life} orders; use IOC; nothing was sent")
        market = self._instrument(sent.trade_type, sent.symbol)
        order = {
            "a": market.asset, "b": sent.side == "buy", "p": shown(sent.price), "s": shown(sent.amount), "r": sent.reduce_only,
            "t": {"limit": {"tif": "Ioc"}}, "c": "0x" + sent.client_id,
        }  # fmt: skip
        action = {"type": "order", "orders": [order], "grouping": "na"}
        nonce = self._nonce(sent.client_id, sent.sent_ms)
        try:
            answer = self._client.call("privatePostExchange", signed(self._client.secret, action, nonce, sent.expires_ms), HOST)
        except Refusal as refused:
            if not refused.text.startswith(hyperliquid_errors.UNMATCHED):
                raise
            return ""  # it is there, by its client id, and has filled nothing
        return placed_of(answer, sent, at_ms)

    def _nonce(self, client_id: str, at_ms: int) -> int:
        """The same one for each attempt, and never one of another message."""
        with self._lock:
            if client_id not in self._nonces:
                newest = max(self._nonces.values(), default=0)
                self._nonces[client_id] = max(at_ms, newest + 1)
                if len(self._nonces) > MOST_KNOWN:
                    del self._nonces[next(iter(self._nonces))]
            return self._nonces[client_id]

    def find(self, kind: str, symbol: str, *, client_id: str = "", order_id: str = "", sent_ms: int = 0) -> FoundOrder:
        """An order by its client id, or by the venue's.

        Raises:
            Absent: there is none.
        """
        oid: Any = int(order_id) if order_id else "0x" + client_id
        answer = info(self._client, "orderStatus", user=self._user, oid=oid)
        if isinstance(answer, dict) and answer.get("status") == "order":
            return found_of(answer["order"], symbol)
        if order_id in self._seen:  # the venue's own order
            return self._seen[order_id]
        raise Absent

    def fills(self, kind: str, symbol: str, order_id: str) -> tuple[Fill, ...]:
        """The fills of one order: of the last day, or where there are none, of the newest two thousand."""
        rows = self._fill_rows(self._client.now_ms() - DAY_MS, self._client.now_ms() + MINUTE_MS)
        found = tuple(fill_of(row) for row in rows if str(row["oid"]) == order_id)
        if not found:
            newest = rows_of(info(self._client, "userFills", user=self._user))
            found = tuple(fill_of(row) for row in newest[::-1] if str(row["oid"]) == order_id)
        return found

    def _fill_rows(self, from_ms: int, until_ms: int) -> list[Any]:
        """Oldest first."""
        found: dict[Any, Any] = {}
        while True:
            rows = rows_of(info(self._client, "userFillsByTime", user=self._user, startTime=from_ms, endTime=until_ms))
            found |= {row["tid"]: row for row in rows}
            newest = int(rows[-1]["time"]) if rows else 0
            if len(rows) < FILLS_PAGE or newest == from_ms:
                return list(found.values())
            from_ms = newest

    def fills_since(self, kind: str, symbol: str, from_ms: int, until_ms: int) -> list[tuple[str, Fill]]:
        """(order id, fill) of a symbol between two times, oldest first."""
        coin = self._instrument(kind, symbol).coin
        rows = [row for row in self._fill_rows(from_ms, until_ms) if row["coin"] == coin]
        for row in rows:
            self._seen.setdefault(str(row["oid"]), seen_of(row, symbol, self._user))
        return [(str(row["oid"]), fill_of(row)) for row in rows]

    def open_orders(self, kind: str) -> list[FoundOrder]:
        if kind not in self._instruments:
            self.rules(kind, ())
        symbols = {each.coin: each.symbol for each in self._instruments[kind].values()}
        rows = rows_of(info(self._client, "frontendOpenOrders", user=self._user))
        return [found_of({"order": row, "status": "open"}, symbols[row["coin"]]) for row in rows if row["coin"] in symbols]

    # Balances and positions.

    def _spot_account(self) -> list[Any]:
        answer = info(self._client, "spotClearinghouseState", user=self._user)
        return rows_of(answer.get("balances") if isinstance(answer, dict) else answer)

    def _perp_account(self) -> Any:
        answer = info(self._client, "clearinghouseState", user=self._user)
        if not isinstance(answer, dict) or not isinstance(answer.get("assetPositions"), list):
            raise MalformedAnswer("an account without positions", answer)
        return answer

    def free(self) -> dict[str, Decimal]:
        """What a spot order can use, by token."""
        return {plain(row["coin"]): Decimal(row["total"]) - Decimal(row["hold"]) for row in self._spot_account()}

    def free_margin(self) -> Decimal:
        """What is free for perps, and to leave their wallet."""
        return Decimal(self._perp_account()["withdrawable"])

    def margin(self, symbol: str, needed: Decimal) -> PerpMargin:
        """What a perp order can use."""
        account = self._perp_account()
        held = positions_of(account).get(symbol, Perp(ZERO, ZERO)).base
        return PerpMargin(Decimal(account["withdrawable"]), held, self._setting(symbol).leverage)

    def _setting(self, symbol: str) -> PerpSettings:
        if symbol not in self._leverage:
            coin = self._instrument(PERP, symbol).coin
            row = info(self._client, "activeAssetData", user=self._user, coin=coin)["leverage"]
            self._leverage[symbol] = PerpSettings(row["type"], Decimal(row["value"]))
        return self._leverage[symbol]

    def settings(self, symbols: Iterable[str]) -> dict[str, PerpSettings]:
        """Margin mode and leverage."""
        return {symbol: self._setting(symbol) for symbol in symbols}

    def balances(self, kind: str) -> dict[str, Decimal]:
        """What a wallet holds, by token; a perp's profit counts once it is realised."""
        if kind == SPOT:
            return {plain(row["coin"]): Decimal(row["total"]) for row in self._spot_account()}
        account = self._perp_account()
        profits = sum((Decimal(row["position"]["unrealizedPnl"]) for row in account["assetPositions"]), ZERO)
        return {SETTLE: Decimal(account["marginSummary"]["accountValue"]) - profits}

    def perps(self) -> dict[str, Perp]:
        """The positions, by symbol."""
        return positions_of(self._perp_account())

    # Between the wallets.

    def reserved(self) -> dict[str, Decimal]:
        return {}

    def move(self, source: str, target: str, token: str, amount: Decimal, at_ms: int, expires_ms: int) -> str:
        """Move between the wallets. Each attempt is the same bytes; the venue has no name of it before it is in its ledger.

        Raises:
            VenueRejected: the key is an agent's.
        """
        if not self.moves:
            raise VenueRejected(REJECTED, "hyperliquid lets an agent's key move nothing between the wallets; nothing was sent")
        nonce = self._nonce(f"{source} {target} {amount} {expires_ms}", expires_ms - self.life_ms)
        request = signed_move(self._client.secret, shown(amount), nonce, to_perp=target == PERP)
        answer = self._client.call("privatePostExchange", request, HOST)
        if not isinstance(answer, dict) or answer.get("status") != "ok":
            raise MalformedAnswer("a move without its status", answer)
        return str(nonce)

    def moves_since(self, source: str, target: str, since_ms: int) -> list[Move]:
        """(id, token, amount, time) of the moves between two wallets that were made, from a time on."""
        now_ms = self._client.now_ms() + MINUTE_MS
        return hyperliquid_account.moves_since(self._client, self._user, since_ms, now_ms, to_perp=target == PERP)

    # What happened by itself, and how the account is set up.

    def payments_since(self, kinds: Collection[str], from_ms: int, until_ms: int) -> list[Payment]:
        return hyperliquid_account.payments_since(self._client, self._user, kinds, from_ms, until_ms)

    def origin_of(self, order: FoundOrder) -> str | None:
        """What made an order that nobody sent: a liquidation, a deleveraging; None: somebody sent it."""
        reason = self._seen[order.id].reason if order.id in self._seen else order.reason
        return reason if reason in (LIQUIDATION, DELEVERAGING) else None

    def permissions(self) -> Permissions:
        return hyperliquid_account.permissions(self._client, self._user, self._signer)

    def is_hedged(self, symbols: Iterable[str]) -> bool:
        return False

    def mode_fault(self, kinds: Collection[str]) -> str | None:
        return hyperliquid_account.mode_fault(self._client, self._user)
