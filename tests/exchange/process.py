"""The local exchange as a process that a test starts, commands, kills and starts again."""

from __future__ import annotations

import json
import urllib.request
from decimal import Decimal
from pathlib import Path
from typing import Any

from ..server_process import ServerProcess


class ExchangeProcess(ServerProcess):
    """Its ledger file stays the same when it is killed and started again. `further`: arguments of `python -m tests.exchange`."""

    def __init__(self, ledger: Path, *further: str) -> None:
        self.ledger, self._further = ledger, further
        super().__init__("tests.exchange")

    def arguments(self) -> list[str]:
        return ["--ledger", str(self.ledger), *self._further]

    def control(self, *commands: dict[str, Any], **command: Any) -> None:
        """Commands in their order, see control.py; keywords are one command."""
        self.send_control([*commands, *([command] if command else [])])

    def begin(self, ledger: Path, *commands: dict[str, Any]) -> None:
        """Go on with a new ledger, as a new process would."""
        self.ledger = ledger
        self.control({"begin": str(ledger)}, *commands)

    def grant(self, venue: str, wallet: str, **amounts: str) -> None:
        self.control(grant={"venue": venue, "wallet": wallet, **amounts})

    def fault(self, on: str, fault: str, **more: Any) -> None:
        self.control({"on": on, "fault": fault, **more})

    def read(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/control/{path}", timeout=10) as answer:
            return json.load(answer)

    def account(self, venue: str, name: str = "main") -> dict[str, Any]:
        """What the ledger has of an account: balances, positions, orders, fills, transfers, withdrawals, deposits, payments."""
        empty = {
            "balances": {},
            "positions": {},
            **{kind: [] for kind in ("orders", "fills", "transfers", "withdrawals", "deposits", "payments")},
        }
        return next((one for one in self.read("ledger") if (one["venue"], one["account"]) == (venue, name)), empty)

    def balances(self, venue: str, wallet: str) -> dict[str, Decimal]:
        return {token: Decimal(amount) for token, amount in self.account(venue)["balances"].get(wallet, {}).items()}

    def count(self, venue: str, kind: str) -> int:
        """How many requests of a kind came, since the last clear."""
        return self.read("counts").get(f"{venue} {kind}", 0)
