"""A sweep on a Ray cluster: the rows are those of processes, and a node that dies costs only its runs in progress."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster

from basis_strategy_v1 import sweep
from basis_strategy_v1.core.error_codes.exceptions import ComponentError

from .runs import config
from .test_sweep import GRID, counts_itself


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two nodes on this machine, one CPU each."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_USAGE_STATS_ENABLED", "0")
        environment.delenv("RAY_ADDRESS", raising=False)
        nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        try:
            nodes.add_node(num_cpus=1)
            ray.init(address=nodes.address, log_to_driver=False, logging_level="ERROR")
            yield nodes
        finally:
            ray.shutdown()
            nodes.shutdown()


def test_the_rows_are_those_of_processes_also_where_a_node_dies_in_the_middle(cluster: Cluster, sample: Path) -> None:
    def kills_a_node(done: int, total: int) -> None:
        if done == 2:
            cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)

    assert len(cluster.worker_nodes) == 1
    rows = sweep(config(), GRID, data=sample, backend="ray", progress=kills_a_node)
    assert len(cluster.worker_nodes) == 0
    assert rows.equals(sweep(config(), GRID, data=sample, workers=2))


def test_a_run_sees_nothing_of_another_and_costs_only_itself(cluster: Cluster, sample: Path) -> None:
    grid = {"strategy.parameters.number": [1, 7, 8, 9, 2]}
    own: dict[str, Any] = {"data": sample, "strategy": counts_itself, "timeout_s": 3.0}
    rows = sweep(config(strategy={}), grid, backend="ray", **own)
    assert rows.equals(sweep(config(strategy={}), grid, workers=2, **own))


def test_a_cluster_that_nobody_runs_is_one_line(sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(ComponentError) as refused:
        sweep(config(), {"strategy.leverage": [1]}, data=sample, backend="ray")
    what = "the Ray cluster at RAY_ADDRESS '127.0.0.1:1' cannot be reached ([Errno 111] Connection refused); start it, or use processes"
    assert (refused.value.error_code, refused.value.message) == ("CFG-001", f"sweep: {what}")


def test_without_ray_one_line_says_what_to_install(sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ComponentError) as refused:
        sweep(config(), {"strategy.leverage": [1]}, data=sample, backend="ray")
    what = "the ray backend needs the extra cluster: pip install 'basis-strategy[cluster]'; or use processes"
    assert (refused.value.error_code, refused.value.message) == ("CFG-001", f"sweep: {what}")
