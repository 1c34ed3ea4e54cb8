"""What a process that is killed does: it writes a journal (`tests/kill_points.py` runs it)."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from basis_strategy_v1.live.journal import SqliteJournal

from ...kill_points import At
from ..journal_model import make, random_calls


def write_journal(at: At, folder: str, seed: int, count: int, alarm_us: int) -> None:
    """Make `count` random calls on FOLDER/state; each that has returned is a line of FOLDER/done. After `alarm_us` microseconds, where they
    are not 0, the process is killed wherever it is."""
    done = os.open(Path(folder) / "done", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    signal.signal(signal.SIGALRM, lambda number, frame: os.kill(os.getpid(), signal.SIGKILL))
    with SqliteJournal(Path(folder) / "state", new_run="run", at=at) as journal:
        signal.setitimer(signal.ITIMER_REAL, alarm_us / 1e6)
        for call in random_calls(seed, count):
            make(call, journal)
            os.write(done, b"done\n")
