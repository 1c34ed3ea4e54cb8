"""Another process that a test holds up half way."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def other_process(code: str, *words: str, says: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process of `code` that has printed `says`, and goes on when it is sent a line. It is ended with the block."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == f"{says}\n"
        yield process
    finally:
        process.kill()
        process.communicate()
