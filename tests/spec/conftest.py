"""What the tests of the specification share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ..live_desk import Desk, desks
from .house import CONFIG, Prices

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    """Makes a live manager over simulated venues; faults by the name of the venue account."""
    yield from desks(tmp_path, CONFIG, Prices)
