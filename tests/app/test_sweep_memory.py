"""A thousand runs in a row leave memory as it is."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from basis_strategy_v1 import sweep

from .runs import config

FLAT_MB = 10


def memory_mb() -> float:
    """The most that this process, and the largest of its finished children, have had."""
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024


@pytest.mark.prove
@pytest.mark.timeout(1200)
def test_a_thousand_runs_on_two_processes_keep_memory_flat(sample: Path) -> None:
    seen: dict[int, float] = {}
    grid = {"strategy.rebalance_threshold_bps": list(range(100, 1100))}
    rows = sweep(config(), grid, data=sample, workers=2, progress=lambda done, total: seen.setdefault(done, memory_mb()) and None)
    assert [row["error"] for row in rows.to_pylist() if row["error"]] == []
    assert seen[1000] - seen[100] < FLAT_MB
