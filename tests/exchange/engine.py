"""The one engine behind all venues: ledger, clock, prices, terms, keys and what is still to happen."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from threading import RLock
from typing import TYPE_CHECKING, Any

from .faults import Faults
from .ledger import ZERO, Account, Ledger, Order, Refused
from .markets import PERP, SPOT, TERMS, Market, markets, networks
from .matching import Matching
from .moves import Moves
from .prices import Prices, Recorded

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .clock import Clock

Z = ZERO
# The account of hyperliquid's test key, "0x" + "1" * 64: an account there is an address.
OWNER = "0x19e7e376e7c213b7e7e7e46cc70a5dd086daff2a"


@dataclass
class Key:
    """An API key: `may` lists what it is allowed to do (read, trade, transfer, withdraw)."""

    key: str
    secret: str
    passphrase: str
    account: str = "main"
    may: tuple[str, ...] = ("read", "trade", "transfer", "withdraw")
    has_ip_limit: bool = True
    is_expired: bool = False


@dataclass
class Late:
    """A request that is executed at `due_ms`, as if it had been on its way until then."""

    due_ms: int
    run: Callable[[], Any]


@dataclass
class Engine:
    path: Path | None
    clock: Clock
    data: Path | None = None
    lock: RLock = field(default_factory=RLock)
    errors: list[str] = field(default_factory=list)  # of this server itself, not of its callers

    def __post_init__(self) -> None:
        self.recorded = None if self.data is None else Recorded(self.data)
        self.begin(self.path)

    def begin(self, path: Path | None) -> None:
        """Start on a ledger: what it says, without faults. The clock of requests never goes back by itself."""
        if hasattr(self, "ledger"):
            self.ledger.close()
            self.faults.released.set()
            self.clock.offset_ms = 0
        self.path = path
        self.ledger = Ledger(path)
        self.faults = Faults()
        self.prices = Prices(self.recorded)
        self.markets = markets()
        self.networks = networks()
        self.keys = {(venue, "key"): Key("key", "secret", "passphrase") for venue in TERMS}
        self.keys["hyperliquid", OWNER] = Key(OWNER, "", "")
        self.late: list[Late] = []
        self.maintenance: set[str] = set()
        self.matching = Matching(self)
        self.moves = Moves(self)
        self._at: int | None = None
        self.settled_to = max((line["at"] for line in self.ledger.lines), default=0)
        self.clock.see(self._newest())
        self.moves.resume()

    def _newest(self) -> int:
        """The newest time of the clock that the lines show, without what commands put it ahead by."""
        ahead = newest = 0
        for line in self.ledger.lines:
            ahead += round(1_000 * line.get("command", {}).get("advance_s", 0))
            newest = max(newest, line["at"] - ahead)
        return newest

    def now(self) -> int:
        """The venue's time, ms; while something late is executed, its time."""
        return self.clock.now_ms() if self._at is None else self._at

    def at(self, at_ms: int, run: Callable[[], Any]) -> Any:
        """Run something as of an earlier time."""
        before, self._at = self._at, at_ms
        try:
            return run()
        finally:
            self._at = before

    def catch_up(self) -> None:
        """Do what is due by now, in order of time."""
        while due := sorted((late for late in self.late if late.due_ms <= self.now()), key=lambda late: late.due_ms):
            self.late.remove(due[0])
            self.moves.settle(due[0].due_ms)
            self.at(due[0].due_ms, due[0].run)
        self.moves.settle(self.now())

    # Terms.

    def market(self, venue: str, kind: str, symbol: str) -> Market:
        if (venue, kind, symbol) not in self.markets:
            raise Refused("symbol", symbol=symbol)
        return self.markets[venue, kind, symbol]

    def markets_of(self, venue: str, kind: str) -> list[Market]:
        return [market for market in self.markets.values() if (market.venue, market.kind) == (venue, kind)]

    def price(self, venue: str, kind: str, symbol: str) -> Decimal:
        return self.prices.price(venue, kind, symbol, self.now())

    def fee_rate(self, account: Account, market: Market, *, is_maker: bool) -> Decimal:
        rate = account.settings.get(f"{market.kind}_fee")
        return Decimal(rate) if rate is not None else market.maker if is_maker else market.taker

    # What an account can use.

    def locked(self, account: Account, wallet: str, token: str) -> Decimal:
        """What resting spot orders hold back."""
        found = Z
        for order in account.open_orders():
            if order.market == SPOT and TERMS[account.venue].wallet_of[SPOT] == wallet and order.limit is not None:
                market = self.market(account.venue, SPOT, order.symbol)
                rest = order.amount - order.filled
                if (market.quote if order.side == "buy" else market.base) == token:
                    found += rest * order.limit if order.side == "buy" else rest
        return found

    def free(self, account: Account, wallet: str, token: str) -> Decimal:
        """What can leave a wallet."""
        terms = TERMS[account.venue]
        left = account.balance(wallet, token) - self.locked(account, wallet, token)
        if wallet == terms.wallet_of[PERP] and token == terms.settle:
            return max(Z, min(left, self.available(account, token)))
        return max(Z, left)

    def leverage(self, account: Account, symbol: str) -> Decimal:
        return Decimal(account.settings.get(f"leverage {symbol}", "20"))

    def unrealised(self, account: Account, symbol: str) -> Decimal:
        position = account.positions[symbol]
        return position.amount * self.price(account.venue, PERP, symbol) - position.cost

    def initial_margin(self, account: Account, symbol: str) -> Decimal:
        notional = abs(account.positions[symbol].amount) * self.price(account.venue, PERP, symbol)
        return notional / self.leverage(account, symbol)

    def maintenance_margin(self, account: Account, symbol: str) -> Decimal:
        notional = abs(account.positions[symbol].amount) * self.price(account.venue, PERP, symbol)
        return notional * TERMS[account.venue].maintenance

    def available(self, account: Account, token: str) -> Decimal:
        """What is left for new perp positions, and to leave the wallet that they are margined in."""
        wallet = TERMS[account.venue].wallet_of[PERP]
        held = [symbol for symbol, position in account.positions.items() if position.amount]
        unrealised = sum((self.unrealised(account, symbol) for symbol in held), Z)
        used = sum((self.initial_margin(account, symbol) for symbol in held), Z)
        return account.balance(wallet, token) - self.locked(account, wallet, token) + unrealised - used

    def shown(self, account: Account) -> dict[str, dict[str, Decimal]]:
        """The balances as the venue shows them: they may be stale."""
        stale_ms = self.faults.stale_ms.get(account.venue, 0)
        return account.balances_before(self.now() - stale_ms) if stale_ms else account.balances

    def is_forgotten(self, order: Order, after_ms: int) -> bool:
        """Whether an order that ended without a fill is so old that the venue no longer knows it."""
        return order.status != "open" and not order.filled and order.updated + after_ms < self.now()

    def is_visible(self, account: Account, at_ms: int) -> bool:
        """Whether a look-up sees what happened at that time."""
        return at_ms + self.faults.lag_ms.get(account.venue, 0) <= self.now()
