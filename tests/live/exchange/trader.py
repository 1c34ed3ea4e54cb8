"""A trader at the local exchange: the real sender, journal and gateway, unmodified ccxt over real HTTP, and a time that passes only when
somebody waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.clock import SimulatedClock, from_instant, to_instant
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.instructions import parse_instruction
from basis_strategy_v1.core.limits import Limits
from basis_strategy_v1.core.order import Approved, Order
from basis_strategy_v1.core.state import ExchangeAccount, State
from basis_strategy_v1.core.state_change import apply_changes
from basis_strategy_v1.execution.recovery import Recovery
from basis_strategy_v1.execution.sender import SendSettings
from basis_strategy_v1.execution.senders import Senders
from basis_strategy_v1.execution.timing import REAL_TIME
from basis_strategy_v1.live.exchanges import open_exchange
from basis_strategy_v1.live.journal import SqliteJournal
from basis_strategy_v1.live.secrets import Secrets, read_secrets
from basis_strategy_v1.venues.exchanges import Settings

from ...exchange.clients import OWNER, OWNER_KEY
from ...execution.memory_live_journal import Held
from .venue_cases import CASES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from basis_strategy_v1.core.gateway import Due

    from ...exchange.process import ExchangeProcess

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
BOTH = {"spot": ("ETHUSDT",), "perp": ("ETHUSDT",)}
PRICE = Decimal(2_000)
LIMITS = Limits(
    max_notional_per_instruction=Decimal(10**9), max_notional_per_day=Decimal(10**9), max_slippage_bps=Decimal(50),
    max_unhedged_notional=Decimal(10**9),
)  # fmt: skip


class RunTime:
    """The run's clock: it goes on when somebody waits, and the exchange follows it by the newest timestamp that it was signed with."""

    def __init__(self, at: datetime) -> None:
        self.clock = SimulatedClock(at)
        self.show_time: Callable[[int], object] = lambda now_ms: None
        self.timing = REAL_TIME._replace(sleep=self.sleep, monotonic=self.monotonic)

    def sleep(self, seconds: float) -> None:
        self.clock.move_to(self.clock.now() + timedelta(seconds=seconds))
        self.show_time(to_instant(self.clock.now()) // 1_000)

    def monotonic(self) -> float:
        return self.clock.now().timestamp()


def next_minute(exchange: ExchangeProcess) -> datetime:
    """A minute after whatever the exchange was asked last; its time does not go back."""
    return max(NOON, from_instant(exchange.read("clock")["now"] * 1000)) + timedelta(minutes=1)


def secrets_of(key: str = "key", secret: str = "secret", venue: str = "binance") -> Secrets:
    if venue == "hyperliquid":
        key, secret = OWNER, OWNER_KEY
    fields = {"API_KEY": key, "API_SECRET": secret, "PASSPHRASE": "passphrase"}
    return read_secrets("dev", {f"BASIS_DEV__{venue.upper()}__{field}": text for field, text in fields.items()})


def symbol_at(venue: str) -> str:
    return CASES[venue].symbol if venue in CASES else "ETHUSDT"


def block_of(trade_type: str, side: str, amount: str, *, venue: str = "binance", **fields: Any) -> dict[str, Any]:
    return {
        "instruction_type": "cex_trade", "venue": venue, "trade_type": trade_type, "side": side, "symbol": symbol_at(venue),
        "amount": amount, **fields,
    }  # fmt: skip


def approved(
    key: str, trade_type: str, side: str, amount: str, *, at: datetime = NOON, price: Decimal = PRICE, bps: int = 50, **fields: Any
) -> Approved:
    """A trade as the limits let it pass: at most `bps` worse than `price`."""
    trade = parse_instruction(block_of(trade_type, side, amount, **fields))
    sign = 1 if side == "buy" else -1
    worst = (price * (10_000 + sign * bps) / 10_000).quantize(Decimal("0.01"))
    signed = sign * Decimal(amount)
    venue, symbol = trade.venue, trade.symbol
    moved = {"ETH": signed, symbol.removeprefix("ETH"): -signed * price} if trade_type == "spot" else {f"{symbol}-PERP": signed}
    order = Order(key=key, at=at, venue=venue, instruction=trade, expected=Deltas.at(venue, moved), price=price, worst_price=worst)
    return Approved(order=order, notional_usd=Decimal(amount) * price)


class Holdings(Held):
    """The positions, as the account takes up what fell due."""

    def with_due(self, items: Sequence[Due]) -> State:
        for item in items:
            self.state = apply_changes(self.state, item.changes)
        return self.state


def theirs(exchange: ExchangeProcess, venue: str = "binance") -> dict[str, Decimal]:
    """What the exchange's ledger has of an account: all wallets together, and the positions."""
    ledger = exchange.account(venue)
    found: dict[str, Decimal] = {}
    for wallet in ledger["balances"].values():
        for token, amount in wallet.items():
            found[token] = found.get(token, Decimal(0)) + Decimal(amount)
    found |= {f"{symbol}-PERP": Decimal(position["amount"]) for symbol, position in ledger["positions"].items()}
    return {token: amount for token, amount in found.items() if amount}


class Trader:
    """One process that trades: `again()` is the next one over the same journal."""

    def __init__(
        self, exchange: ExchangeProcess, folder: Path, *, symbols: Mapping[str, tuple[str, ...]] = BOTH, secrets: Secrets | None = None,
        timeout_s: float = 1.0, time: RunTime | None = None, run: str = "run", at: Any = lambda name: None,
        venue: str = "binance",
    ) -> None:  # fmt: skip
        self.exchange, self.folder, self.timeout_s = exchange, folder, timeout_s
        self.symbols = CASES[venue].symbols if venue == "hyperliquid" else symbols
        self.venue = venue
        self.secrets = secrets or secrets_of(venue=venue)
        self.time = time or RunTime(next_minute(exchange))
        if venue == "hyperliquid" and hasattr(exchange, "control"):  # its questions are not signed, and carry no time
            self.time.show_time = lambda now_ms: exchange.control(to=now_ms)
        self._at, self.run = at, run
        self._watched: Any = lambda gateway: gateway
        self._open()

    def _open(self) -> None:
        self.journal = SqliteJournal(self.folder / "state", new_run=self.run, at=self._at)
        self.gateway = open_exchange(
            self.venue, Settings(endpoint=self.exchange.url), self.secrets, self.symbols, clock=self.time.clock, run=self.run,
            sleep=self.time.sleep, monotonic=self.time.monotonic,
        )  # fmt: skip
        if self.journal.state() is None:
            _, cursor = self.gateway.due(None)
            self.journal.begin_account(self.gateway.read(), {self.venue: cursor})
        held = self.journal.state()
        assert held is not None
        self.holdings = Holdings(held)
        self._make_senders()

    def watch(self, watched: Any) -> None:
        """Let the senders use the gateway by way of something else."""
        self._watched = watched
        self._make_senders()

    def _make_senders(self) -> None:
        settings = SendSettings(timeout_s=self.timeout_s, limits=LIMITS)
        self.senders = Senders(
            [self._watched(self.gateway)], self.journal, self.holdings, settings, clock=self.time.clock, timing=self.time.timing
        )
        self.recovery = Recovery(self.senders, self.time.timing)

    def again(self) -> Trader:
        """The next process: it recovers what the one before left."""
        self.close()
        self._open()
        self.recovery.until_closed()
        return self

    def close(self) -> None:
        self.journal.close_file()

    def send(self, key: str, trade_type: str, side: str, amount: str, **fields: Any) -> Any:
        self.time.sleep(1)
        return self.senders.send(approved(key, trade_type, side, amount, at=self.time.clock.now(), venue=self.venue, **fields)).report

    # The positions, by the journal and by the exchange.

    @property
    def account(self) -> ExchangeAccount:
        state = self.journal.state()
        assert isinstance(state, State)
        return state.part(self.venue, ExchangeAccount)

    def theirs(self) -> dict[str, Decimal]:
        return theirs(self.exchange, self.venue)

    def executed(self) -> list[str]:
        """The client id of each order of ours that moved something."""
        return [order["client_id"] for order in self.exchange.account(self.venue)["orders"] if Decimal(order["filled"])]


def take_up(trader: Trader) -> list[Due]:
    """Record what happened at the venue by itself, a minute later."""
    trader.time.sleep(60)
    items, cursor = trader.gateway.due(trader.journal.cursor(trader.venue))
    return trader.journal.add_due(trader.venue, items, cursor, trader.holdings.with_due)
