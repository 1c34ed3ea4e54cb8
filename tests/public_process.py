"""The public side of the exchanges as a process that a test starts and commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.clock import to_instant

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

REPOSITORY = Path(__file__).resolve().parents[1]


class PublicProcess:
    def __init__(self) -> None:
        path = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.public_exchange"],
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONPATH": path},
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def control(self, **given: Any) -> Any:
        request = urllib.request.Request(f"{self.url}/control", json.dumps(given).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def move_to(self, at: datetime) -> None:
        """The exchanges' time."""
        self.control(now_ms=to_instant(at) // 1_000)

    def fail(self, fault: str | None, on: str = "") -> None:
        """What goes wrong from now on, with requests whose host and path hold a text."""
        self.control(fault=fault, on=on)

    def seen(self) -> list[str]:
        """The requests since the last time."""
        return list(self.control(seen=True))

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def public_process() -> Iterator[PublicProcess]:
    """The exchanges, ended with the block."""
    process = PublicProcess()
    try:
        yield process
    finally:
        process.kill()
