"""What the tests of the specification share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ..simulated_live_run import SimulatedLiveRun, live_runs
from .examples import CONFIG, Prices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def live_run(tmp_path: Path) -> Iterator[Callable[..., SimulatedLiveRun]]:
    """Makes a live manager over simulated venues; faults by the name of the venue account."""
    yield from live_runs(tmp_path, CONFIG, Prices)
