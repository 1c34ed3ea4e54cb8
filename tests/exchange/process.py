"""The local exchange as a process that a test starts, commands, kills and starts again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

REPOSITORY = Path(__file__).resolve().parents[2]


class ExchangeProcess:
    """`port` stays the same when it is killed and started again, and so does its ledger file.

    Args:
        arguments: further ones of `python -m tests.exchange`.
    """

    def __init__(self, ledger: Path, *arguments: str) -> None:
        self.ledger = ledger
        self.arguments = arguments
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.exchange", "--port", str(self.port), "--ledger", str(self.ledger), *self.arguments],
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def control(self, *commands: dict[str, Any], **command: Any) -> None:
        """Commands in their order, see control.py; keywords are one command."""
        given = [*commands, *([command] if command else [])]
        request = urllib.request.Request(f"{self.url}/control", json.dumps(given).encode(), method="POST")
        try:
            with urllib.request.urlopen(request, timeout=10):
                pass
        except urllib.error.HTTPError as refused:
            raise ValueError(refused.read().decode()) from None

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


@contextmanager
def exchange_process(ledger: Path, *arguments: str) -> Iterator[ExchangeProcess]:
    """A local exchange that is ended with the block."""
    process = ExchangeProcess(ledger, *arguments)
    try:
        yield process
    finally:
        process.kill()
