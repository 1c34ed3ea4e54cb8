"""A process that forks others which write a journal and are killed: `python -m tests.live.crash.killed`.

A line `FOLDER SEED COUNT POINT` of its input forks a child that makes COUNT random calls on FOLDER/state and kills itself at the POINT-th
point that the journal passes (0: at none; -N: N microseconds after its first call). What has returned, and where it was killed, is in
FOLDER/done by then; the answer is the child's signal, or 0.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from basis_strategy_v1.live.journal import SqliteJournal

from ..journal_model import make, random_calls


def write_and_be_killed(folder: Path, seed: int, count: int, point: int) -> None:
    done = os.open(folder / "done", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    passed = 0

    def at(name: str) -> None:
        nonlocal passed
        passed += 1
        if passed == point:
            os.write(done, f"killed {name}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)

    signal.signal(signal.SIGALRM, lambda number, frame: os.kill(os.getpid(), signal.SIGKILL))
    with SqliteJournal(folder / "state", new_run="run", at=at) as journal:
        if point < 0:
            signal.setitimer(signal.ITIMER_REAL, -point / 1e6)
        for call in random_calls(seed, count):
            make(call, journal)
            os.write(done, b"done\n")
    os.write(done, f"points {passed}\n".encode())


def main() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        folder, seed, count, point = line.split()
        child = os.fork()
        if child == 0:
            try:
                write_and_be_killed(Path(folder), int(seed), int(count), int(point))
            finally:
                os._exit(0)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
