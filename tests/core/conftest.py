"""What the tests of states share."""

from __future__ import annotations

import pytest

from basis_strategy_v1.core.state import State

from ..states import runs


@pytest.fixture(scope="session")
def real_runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[State]]:
    """The states of real backtests, by run."""
    return runs(tmp_path_factory.mktemp("runs"))
