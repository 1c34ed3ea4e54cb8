"""What the tests of execution share."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from ..live_desk import Desk
from .trading import CONFIG, Market

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    """Makes a live manager over simulated venues; faults by the name of the venue account."""
    made: list[Desk] = []
    numbers = count()

    def make(config: Any = CONFIG, market: Any = None, *, faults: Any = (), **parts: Any) -> Desk:
        one = Desk(tmp_path / f"state{next(numbers)}", config, market or Market(), **parts)
        for name, steps in dict(faults).items():
            one.gateways[name].faults = list(steps)
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()
