"""What the local exchange did, line by line in a file that survives a kill; all else is read from these lines.

A line has `kind`, `at` (the venue's clock, ms), `venue`, `account`, and what changed: `moved` {wallet: {token: change}}, `order` (whole),
`fills` (new ones), `position` {symbol: {amount, cost}}, `record` (a transfer, withdrawal, deposit or payment, whole) or `setting`.
Amounts are decimal text. One line is one change: a kill leaves all of it or nothing.
"""

from __future__ import annotations

import json
import os
from bisect import bisect_left
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from .markets import PERP

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ZERO = Decimal(0)
RECORDS = ("transfer", "withdrawal", "deposit", "payment")


def text(amount: Decimal) -> str:
    """Plain decimal text, without trailing zeros."""
    plain = format(amount, "f") if amount else "0"
    return (plain.rstrip("0").rstrip(".") if "." in plain else plain) or "0"


class Refused(Exception):
    """The exchange does not do it; `reason` is a word that each dialect has a code for."""

    def __init__(self, reason: str, **details: Any) -> None:
        super().__init__(reason, details)
        self.reason = reason
        self.details = details


@dataclass
class Order:
    """`status`: open, filled, cancelled, expired. `limit` is None for a market order. Amounts are in base, `cost` in quote."""

    id: int
    client_id: str
    market: str
    symbol: str
    side: str
    amount: Decimal
    limit: Decimal | None
    life: str  # GTC, IOC, FOK
    reduce_only: bool
    at: int
    updated: int
    status: str = "open"
    filled: Decimal = ZERO
    cost: Decimal = ZERO
    origin: str = "user"  # liquidation, adl: the venue's own
    note: str = ""  # what a dialect wants to remember of it

    @property
    def sign(self) -> int:
        return 1 if self.side == "buy" else -1

    @property
    def average(self) -> Decimal:
        return self.cost / self.filled if self.filled else ZERO


@dataclass
class Fill:
    id: int
    order_id: int
    client_id: str
    market: str
    symbol: str
    side: str
    price: Decimal
    amount: Decimal
    fee: Decimal
    fee_token: str
    realised: Decimal
    is_maker: bool
    at: int


@dataclass
class Position:
    """`cost` is what was paid for `amount`, signed alike."""

    amount: Decimal = ZERO
    cost: Decimal = ZERO

    @property
    def entry(self) -> Decimal:
        return self.cost / self.amount if self.amount else ZERO


@dataclass
class Account:
    """What one account at one venue holds and did."""

    venue: str
    name: str
    balances: dict[str, dict[str, Decimal]] = field(default_factory=dict)
    orders: dict[int, Order] = field(default_factory=dict)
    by_client_id: dict[str, list[int]] = field(default_factory=dict)
    fills: list[Fill] = field(default_factory=list)
    fills_by_order: dict[int, list[Fill]] = field(default_factory=dict)
    resting: dict[int, Order] = field(default_factory=dict)
    results: dict[str, tuple[Decimal, Decimal]] = field(default_factory=dict)  # realised profit and fees by symbol, of perps
    positions: dict[str, Position] = field(default_factory=dict)
    records: dict[str, dict[str, dict[str, Any]]] = field(default_factory=lambda: {kind: {} for kind in RECORDS})
    settings: dict[str, Any] = field(default_factory=dict)
    movements: list[tuple[int, dict[str, dict[str, str]]]] = field(default_factory=list)

    def balance(self, wallet: str, token: str) -> Decimal:
        return self.balances.get(wallet, {}).get(token, ZERO)

    def open_orders(self) -> list[Order]:
        return list(self.resting.values())

    def find(self, client_id: str) -> Order | None:
        """The newest order of that client id."""
        ids = self.by_client_id.get(client_id)
        return self.orders[ids[-1]] if ids else None

    def fills_of(self, order_id: int) -> list[Fill]:
        return self.fills_by_order.get(order_id, [])

    def some_fills(self, *, order_id: str = "", client_id: str = "", since: int = 0) -> list[Fill]:
        """Those of an order where one is named, else those since a time, oldest first."""
        if order_id:
            return self.fills_of(int(order_id))
        if client_id:
            return [fill for number in self.by_client_id.get(client_id, ()) for fill in self.fills_of(number)]
        return self.fills[bisect_left(self.fills, since, key=lambda fill: fill.at) :]

    def traded_at(self, market: str, symbol: str) -> int:
        """The time of the last fill."""
        return next((fill.at for fill in reversed(self.fills) if (fill.market, fill.symbol) == (market, symbol)), 0)

    def balances_before(self, at: int) -> dict[str, dict[str, Decimal]]:
        """The balances as they were at an earlier time."""
        found: dict[str, dict[str, Decimal]] = {}
        for when, moved in self.movements:
            if when <= at:
                _add(found, moved)
        return found


class Ledger:
    """Accounts by (venue, name), and every line."""

    def __init__(self, path: Path | None) -> None:
        self.lines: list[dict[str, Any]] = []
        self.accounts: dict[tuple[str, str], Account] = {}
        self.nonces: dict[str, list[int]] = {}  # by signer
        self._file: int | None = None
        if path is not None:
            kept = b""
            if path.exists():
                kept, _, cut = path.read_bytes().rpartition(b"\n")
                if cut:  # a kill cut the last line off: it was never answered
                    os.truncate(path, len(kept) + 1 if kept else 0)
            for line in kept.split(b"\n") if kept else ():
                self._take(json.loads(line))
            self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def account(self, venue: str, name: str) -> Account:
        return self.accounts.setdefault((venue, name), Account(venue, name))

    def next_id(self) -> int:
        """A number that no earlier line has."""
        return 8_000_000_000 + 100 * (len(self.lines) + 1)

    def write(self, kind: str, at: int, account: Account | None = None, **changes: Any) -> dict[str, Any]:
        """Add a line. Decimals become text."""
        names = {} if account is None else {"venue": account.venue, "account": account.name}
        line = json.loads(json.dumps({"kind": kind, "at": at, **names, **changes}, default=_plain))
        if self._file is not None:
            os.write(self._file, json.dumps(line).encode() + b"\n")
        self._take(line)
        return line

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)

    def all(self, kind: str) -> Iterator[dict[str, Any]]:
        return (line for line in self.lines if line["kind"] == kind)

    def _take(self, line: dict[str, Any]) -> None:
        self.lines.append(line)
        if "account" not in line:
            return
        account = self.account(line["venue"], line["account"])
        if "nonce" in line:
            self.nonces.setdefault(line["signer"], []).append(line["nonce"])
        if "moved" in line:
            _add(account.balances, line["moved"])
            account.movements.append((line["at"], line["moved"]))
        if "order" in line:
            order = _read(Order, line["order"])
            if order.id not in account.orders:
                account.by_client_id.setdefault(order.client_id, []).append(order.id)
            account.orders[order.id] = order
            account.resting.pop(order.id, None)
            if order.status == "open":
                account.resting[order.id] = order
        for fields in line.get("fills", ()):
            fill = _read(Fill, fields)
            account.fills.append(fill)
            account.fills_by_order.setdefault(fill.order_id, []).append(fill)
            if fill.market == PERP:
                realised, fees = account.results.get(fill.symbol, (ZERO, ZERO))
                account.results[fill.symbol] = (realised + fill.realised, fees + fill.fee)
        for symbol, position in line.get("position", {}).items():
            account.positions[symbol] = _read(Position, position)
        if "record" in line:
            account.records[line["kind"]][line["record"]["id"]] = line["record"]
        account.settings.update(line.get("setting", {}))


def _add(balances: dict[str, dict[str, Decimal]], moved: dict[str, dict[str, str]]) -> None:
    for wallet, changes in moved.items():
        held = balances.setdefault(wallet, {})
        for token, change in changes.items():
            held[token] = held.get(token, ZERO) + Decimal(change)


def _plain(value: Any) -> Any:
    return text(value) if isinstance(value, Decimal) else vars(value)


DECIMALS = {"amount", "limit", "filled", "cost", "price", "fee", "realised"}


def _read(kind: type[Any], fields: dict[str, Any]) -> Any:
    return kind(**{name: Decimal(value) if name in DECIMALS and value is not None else value for name, value in fields.items()})
