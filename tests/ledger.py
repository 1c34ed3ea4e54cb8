"""The ledger of the test venue: what it accepted and executed, line by line in a file that survives a kill.

The venue has one account, one price for each symbol and a fee of 0.1 % in the quote token. It executes an order each time that it is given
one: it does not recognise ids, so that an order that was sent twice is there twice.
"""

from __future__ import annotations

import json
import os
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

PRICES = {"ETHUSDT": Decimal(3300), "BTCUSDT": Decimal(65_000)}
QUOTE = "USDT"
FEE = Decimal("0.001")
OPENING = {"USDT": Decimal(1_000_000), "ETH": Decimal(100), "BTC": Decimal(10)}


class Refused(Exception):
    """The venue does not take an order; the reason is its text."""


class Ledger:
    """Orders by client id, and every line of the file. `offset_us` is how far the venue's clock was moved."""

    def __init__(self, path: Path) -> None:
        self.lines: list[dict[str, Any]] = []
        self.orders: dict[str, dict[str, Any]] = {}
        self.offset_us = 0
        self._balances = dict(OPENING)
        if path.exists():
            for text in path.read_text().splitlines(keepends=True):
                if text.endswith("\n"):  # a kill may have cut the last one off
                    self._take(json.loads(text))
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def now_us(self) -> int:
        return time.time_ns() // 1_000 + self.offset_us

    def _write(self, **line: Any) -> dict[str, Any]:
        os.write(self._file, json.dumps(line).encode() + b"\n")
        return self._take(line)

    def _take(self, line: dict[str, Any]) -> dict[str, Any]:
        self.lines.append(line)
        for token, change in line.get("moved", {}).items():
            self._balances[token] = self._balances.get(token, Decimal(0)) + Decimal(change)
        if "client_id" in line:
            self.orders[line["client_id"]] = {**self.orders.get(line["client_id"], {}), **line}
        return line

    def accept(self, order: dict[str, Any]) -> None:
        """Take an order into the book."""
        if order["expires"] is not None and order["expires"] <= self.now_us():
            self._write(kind="refused", client_id=order["client_id"], status="refused", reason="it has expired")
            raise Refused("it has expired")
        self._write(kind="accepted", status="accepted", order_id=str(len(self.lines) + 1), at=self.now_us(), filled="0", deltas={}, **order)

    def refuse(self, order: dict[str, Any], reason: str) -> None:
        """Do not take an order."""
        self._write(kind="refused", client_id=order["client_id"], status="refused", reason=reason)
        raise Refused(reason)

    def fill(self, client_id: str, share: str = "1", *, is_final: bool = True) -> dict[str, Any]:
        """Execute an order up to a share of its amount; the rest is cancelled, or stays in the book."""
        order = self.orders[client_id]
        price = PRICES[order["symbol"]]
        limit = order["limit"]
        crosses = limit is None or (price <= Decimal(limit) if order["side"] == "buy" else price >= Decimal(limit))
        filled = Decimal(share) if crosses else Decimal(0)
        amount = Decimal(order["amount"]) * (filled - Decimal(order["filled"]))
        base = order["symbol"].removesuffix(QUOTE)
        sign = 1 if order["side"] == "buy" else -1
        notional = amount * price
        moved = {base: sign * amount, QUOTE: -sign * notional - notional * FEE} if amount else {}
        before = order["deltas"]
        deltas = {token: str(Decimal(before.get(token, 0)) + change) for token, change in moved.items()} or before
        return self._write(
            kind="execution",
            client_id=client_id,
            status="done" if is_final else "partial",
            filled=str(filled),
            fee=str(Decimal(order["amount"]) * filled * price * FEE),
            price=str(price),
            moved={token: str(change) for token, change in moved.items()},
            deltas=deltas,
        )

    def pay(self, kind: str, **moved: str) -> None:
        """Something falls due."""
        self._write(kind="due", due=kind, id=f"d{len(self.lines) + 1}", at=self.now_us(), moved=moved)

    def balances(self) -> dict[str, Decimal]:
        return {token: amount for token, amount in self._balances.items() if amount}
