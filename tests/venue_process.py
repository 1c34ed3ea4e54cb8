"""The test venue as a process that a test starts, commands, kills and starts again."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from pathlib import Path
from threading import Event
from typing import Any

from .ledger import OPENING
from .server_process import ServerProcess

PATIENCE_S = 10


class VenueProcess(ServerProcess):
    """Its ledger file stays the same when it is killed and started again."""

    def __init__(self, ledger: Path) -> None:
        self.ledger = ledger
        super().__init__("tests.ledger_venue")

    def arguments(self) -> list[str]:
        return ["--ledger", str(self.ledger)]

    def control(self, **given: Any) -> None:
        self.send_control(given)

    def begin(self, ledger: Path) -> None:
        """Go on with a new ledger, as a new process would."""
        self.ledger = ledger
        self.control(begin=str(ledger))

    # The ledger file, whether or not the process is there.

    def lines(self, kind: str) -> list[dict[str, Any]]:
        """The lines of a kind."""
        found = [json.loads(text) for text in self.ledger.read_text().splitlines()] if self.ledger.exists() else []
        return [line for line in found if line["kind"] == kind]

    def wait_for(self, kind: str) -> list[dict[str, Any]]:
        """The lines of a kind, once there is one."""
        ends_s = time.monotonic() + PATIENCE_S
        while not (found := self.lines(kind)) and time.monotonic() < ends_s:
            Event().wait(0.005)
        return found

    def executed(self) -> list[str]:
        """The client id of each execution that moved something."""
        return [line["client_id"] for line in self.lines("execution") if line["moved"]]

    def moved(self) -> dict[str, Decimal]:
        """The sum of all that was executed, by token."""
        found: dict[str, Decimal] = {}
        for line in self.lines("execution"):
            for token, change in line["moved"].items():
                found[token] = found.get(token, Decimal(0)) + Decimal(change)
        return {token: amount for token, amount in found.items() if amount}

    def balances(self) -> dict[str, Decimal]:
        moved = self.moved()
        return {token: OPENING.get(token, Decimal(0)) + moved.get(token, Decimal(0)) for token in OPENING.keys() | moved.keys()}
