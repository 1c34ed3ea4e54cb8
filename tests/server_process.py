"""A server of the tests as a process: it is started, commanded, killed and started again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, Self

REPOSITORY = Path(__file__).resolve().parents[1]


class ServerProcess:
    """`python -m MODULE --port PORT …`, which prints its port. The port stays the same when it is killed and started again.
    A `with` block ends it."""

    def __init__(self, module: str) -> None:
        self._module = module
        self.port = 0
        self.start()

    def arguments(self) -> list[str]:
        """Further ones, as they are at each start."""
        return []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", self._module, "--port", str(self.port), *self.arguments()],
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

    def send_control(self, command: Any) -> Any:
        """What the server answers to a command, as JSON; None where it answers nothing.

        Raises:
            ValueError: it refuses the command.
        """
        request = urllib.request.Request(f"{self.url}/control", json.dumps(command).encode(), method="POST")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                content = answer.read()
        except urllib.error.HTTPError as refused:
            raise ValueError(refused.read().decode()) from None
        return json.loads(content) if content else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *of: object) -> None:
        self.kill()
