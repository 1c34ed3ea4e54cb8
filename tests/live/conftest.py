"""The exchanges' public side, and a folder for processes that are killed."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..public_process import PublicProcess


@pytest.fixture(scope="module")
def exchanges_process() -> Iterator[PublicProcess]:
    with PublicProcess() as process:
        yield process


@pytest.fixture
def exchanges(exchanges_process: PublicProcess) -> PublicProcess:
    """On the machine's time, without faults and without requests seen."""
    exchanges_process.control(now_ms=None, fault=None, seen=True)
    return exchanges_process


@pytest.fixture
def folder() -> Iterator[Path]:
    """In memory where the system has such: a kill takes nothing from it."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        yield Path(name)
