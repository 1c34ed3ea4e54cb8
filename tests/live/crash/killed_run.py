"""A process that forks others which run `basis live --paper` and are killed: `python -m tests.live.crash.killed_run DATA`.

A line `FOLDER POINT` of its input forks a child that runs the config FOLDER/config.json until its end, or kills itself at the POINT-th
point that journal, venues and event log pass (0: at none). Where it was killed, or how many points there were, is appended to FOLDER/done;
the answer is the child's signal, or its exit status.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from basis_strategy_v1.app.live import build_paper_replay
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.monitoring import event_files


def run_and_be_killed(folder: Path, data: Path, point: int) -> int:
    done = os.open(folder / "done", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    passed = 0

    def at(name: str) -> None:
        nonlocal passed
        passed += 1
        if passed == point:
            os.write(done, f"killed {name}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)

    write = event_files.SyncedFile.append

    def logged(file: event_files.SyncedFile, *event: object) -> None:
        at("before event")
        write(file, *event)  # type: ignore[arg-type]
        at("after event")

    event_files.SyncedFile.append = logged  # type: ignore[method-assign,assignment]
    config = json.loads((folder / "config.json").read_text())
    try:
        engine = build_paper_replay(config, data, folder / "state", folder / "results", folder / "logs", report=False, at=at)
        engine.run()
    except ComponentError as error:
        os.write(done, f"failed {error}\n".encode())
        return 1
    os.write(done, f"points {passed}\n".encode())
    return 0


def main() -> None:
    data = Path(sys.argv[-1])
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        folder, point = line.split()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                status = run_and_be_killed(Path(folder), data, int(point))
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
