"""Runs of a sweep on this machine: a process each."""

from __future__ import annotations

import math
import multiprocessing
import signal
import time
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.app.sweep_rows import failed
from basis_strategy_v1.app.sweep_work import Changes, Row, Work, row_of
from basis_strategy_v1.core.amounts import counted

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkProcess

TRIES = 2  # of a run whose process was killed


class _Running(NamedTuple):
    place: int
    changes: Changes
    process: ForkProcess
    answer: Connection
    ends_at: float


def rows_in_processes(work: Work, runs: Sequence[tuple[int, Changes]], workers: int, timeout_s: float) -> Generator[tuple[int, Row]]:
    """The rows of runs (place, changes), each as it is finished, `workers` at a time. Closing it ends the runs in progress.

    Each run is forked from this process, which has read the data: nothing that a run changes is seen by another.
    """
    waiting = list(reversed(runs))
    tried: dict[int, int] = {}
    running: dict[Connection, _Running] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                started = _start(work, *waiting[-1], timeout_s)
                waiting.pop()
                running[started.answer] = started
            for answer in _ready(running):
                one = running.pop(answer)
                row = _row_of(one)
                if row is None and tried.setdefault(one.place, 1) < TRIES:
                    tried[one.place] += 1
                    waiting.append((one.place, one.changes))
                    continue
                yield one.place, row or failed(f"its process was killed ({counted(TRIES, 'time')})")
    finally:
        for one in running.values():
            one.process.kill()
        for one in running.values():
            one.process.join()
            one.answer.close()


def _ready(running: Mapping[Connection, _Running]) -> list[Any]:
    """The runs that have answered, have died, or have taken too long; it waits until there is one."""
    ends_at = min(one.ends_at for one in running.values())
    ready = wait(list(running), None if ends_at == math.inf else max(ends_at - time.monotonic(), 0))
    return ready or [answer for answer, one in running.items() if one.ends_at <= time.monotonic()]


def _start(work: Work, place: int, changes: Changes, timeout_s: float) -> _Running:
    context = multiprocessing.get_context("fork")
    answer, question = context.Pipe(duplex=False)
    process = context.Process(target=_in_process, args=(work, changes, question), daemon=True)
    process.start()
    question.close()
    return _Running(place, changes, process, answer, time.monotonic() + timeout_s)


def _row_of(one: _Running) -> Row | None:
    """The row of a run that has ended; None where its process died without one."""
    row: Row | None = None
    if one.answer.poll():
        try:
            row = one.answer.recv()
        except EOFError:
            row = None
    elif one.process.is_alive():
        row = failed("it took longer than the timeout")
    one.process.kill()
    one.process.join()
    one.answer.close()
    return row


def _in_process(work: Work, changes: Changes, answer: Connection) -> None:
    """One run, in a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    answer.send(row_of(work, changes))
    answer.close()
