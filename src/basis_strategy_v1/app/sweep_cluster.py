"""Runs of a sweep on a Ray cluster: a task each, the data through the object store."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.app.sweep_processes import rows_in_processes
from basis_strategy_v1.app.sweep_rows import failed
from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.error_codes.exceptions import ComponentError

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from basis_strategy_v1.app.sweep_work import Changes, Row, Work

TRIES = 3  # again, of a run whose node died
LISTENS_WITHIN_S = 5


def rows_on_cluster(work: Work, runs: Sequence[tuple[int, Changes]], workers: int | None, timeout_s: float) -> Generator[tuple[int, Row]]:
    """The rows of runs (place, changes), each as it is finished, `workers` at a time (None: one per CPU of the cluster).

    The cluster is the one that this process is connected to, or that of RAY_ADDRESS, or one that is started on this machine. A node that
    dies costs only its runs in progress, which are run again on another. Closing it ends the runs in progress.

    Raises:
        ComponentError: CFG-001, Ray is not installed, or the cluster cannot be reached.
    """
    ray = _imported()
    is_ours = not ray.is_initialized()
    if is_ours:
        _connect(ray)
    waiting, running = list(reversed(runs)), dict[Any, int]()
    try:
        there = ray.remote(num_cpus=1, max_retries=TRIES)(_run_there)
        shared = ray.put(work)
        most = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        while waiting or running:
            while waiting and len(running) < most:
                place, changes = waiting.pop()
                running[there.remote(shared, changes, timeout_s)] = place
            done, _ = ray.wait(list(running))
            for answer in done:
                yield running.pop(answer), _answer_of(ray, answer)
    finally:
        for answer in running:
            ray.cancel(answer, force=True)
        if is_ours:
            ray.shutdown()


def _imported() -> Any:
    try:
        import ray
    except ImportError as missing:
        raise ComponentError(
            "CFG-001", "sweep: the ray backend needs the extra cluster: pip install 'basis-strategy[cluster]'; or use processes"
        ) from missing
    return ray


def _connect(ray: Any) -> None:
    """Connect to the cluster at RAY_ADDRESS, or start one on this machine that nobody else can reach and that reports to nobody."""
    where = os.environ.get("RAY_ADDRESS")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    start: dict[str, Any] = {} if where else {"address": "local", "_node_ip_address": "127.0.0.1", "include_dashboard": False}
    try:
        if where:
            _require_answer(where)
        ray.init(log_to_driver=False, logging_level="ERROR", **start)
    except (OSError, RuntimeError, ValueError) as fault:
        named = f"the Ray cluster at RAY_ADDRESS {shown(where)}" if where else "a Ray cluster on this machine"
        raise ComponentError("CFG-001", f"sweep: {named} cannot be reached ({_line(fault)}); start it, or use processes") from fault


def _require_answer(address: str) -> None:
    """Raise OSError at once where nobody listens at HOST:PORT; Ray itself would wait for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), timeout=LISTENS_WITHIN_S).close()


def _answer_of(ray: Any, answer: Any) -> Row:
    try:
        row: Row = ray.get(answer)
    except ray.exceptions.RayError as fault:
        return failed(f"its node died {TRIES + 1} times ({_line(fault)})")
    return row


def _line(fault: BaseException) -> str:
    return " ".join(str(fault).split())[:120]


def _run_there(work: Work, changes: Changes, timeout_s: float) -> Row:
    """One run on a node of the cluster, in a process of its own, as on this machine."""
    rows = rows_in_processes(work, [(0, changes)], 1, timeout_s)
    try:
        return next(rows)[1]
    finally:
        rows.close()
