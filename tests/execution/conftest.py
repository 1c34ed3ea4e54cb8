"""What the tests of execution share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ..simulated_live_run import SimulatedLiveRun, live_runs
from .trading import CONFIG, Market

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def live_run(tmp_path: Path) -> Iterator[Callable[..., SimulatedLiveRun]]:
    """Makes a live manager over simulated venues; faults by the name of the venue account."""
    yield from live_runs(tmp_path, CONFIG, Market)
