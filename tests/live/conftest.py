"""The exchanges' public side, for the tests of what reads it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..public_process import PublicProcess, public_process


@pytest.fixture(scope="module")
def exchanges_process() -> Iterator[PublicProcess]:
    with public_process() as process:
        yield process


@pytest.fixture
def exchanges(exchanges_process: PublicProcess) -> PublicProcess:
    """On the machine's time, without faults and without requests seen."""
    exchanges_process.control(now_ms=None, fault=None, seen=True)
    return exchanges_process
