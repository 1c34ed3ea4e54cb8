"""The test venue as a process that a test starts, commands, kills and starts again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from .ledger import OPENING

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE_S = 10
REPOSITORY = Path(__file__).resolve().parents[1]


class VenueProcess:
    """`port` stays the same when it is killed and started again, and so does its ledger file."""

    def __init__(self, ledger: Path) -> None:
        self.ledger = ledger
        self.port = 0
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.ledger_venue", "--port", str(self.port), "--ledger", str(self.ledger)],
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

    def control(self, **given: Any) -> None:
        request = urllib.request.Request(f"{self.url}/control", json.dumps(given).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200

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


@contextmanager
def venue_process(ledger: Path) -> Iterator[VenueProcess]:
    """A test venue that is ended with the block."""
    venue = VenueProcess(ledger)
    try:
        yield venue
    finally:
        venue.kill()
