"""Named points at which a process ends as if the power had failed: `kill -9`, from within.

    python -m tests.kill_points MODULE

imports MODULE and forks a child for each line of JSON that it reads, `{"function", "kill_at", "passed", "given"}`: the child calls
MODULE.function(at, **given), where `at(NAME)` is to be called at each point. It is killed at the `kill_at`-th point (0: at none); the names
of the points that it passed are in the file `passed`. The answer is a line with its exit status, or minus its signal.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
At = Callable[[str], None]


class Watched:
    """Something whose calls are points: `before NAME.method` and `after NAME.method`."""

    def __init__(self, target: Any, name: str, at: At, methods: tuple[str, ...]) -> None:
        self._target = target
        self._name = name
        self._at = at
        self._methods = methods

    def __getattr__(self, attribute: str) -> Any:
        found = getattr(self._target, attribute)
        return self._watched(attribute, found) if attribute in self._methods else found

    def _watched(self, method: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def between(*given: Any, **named: Any) -> Any:
            self._at(f"before {self._name}.{method}")
            result = call(*given, **named)
            self._at(f"after {self._name}.{method}")
            return result

        return between


class Forks:
    """The parent of the processes that are killed. It has imported everything, so that a child begins at once."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, function: str, passed: Path, kill_at: int = 0, **given: Any) -> int:
        """Let a child call a function; its exit status, or minus the signal that ended it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = {"function": function, "kill_at": kill_at, "passed": str(passed), "given": given}
        self._process.stdin.write(f"{json.dumps(line)}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@contextmanager
def forks_of(module: str) -> Iterator[Forks]:
    """A parent of processes that call functions of a module."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.kill_points", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        env=environment,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Forks(process)
    finally:
        process.kill()
        process.communicate()


def points_until_killed(passed: Path, kill_at: int) -> At:
    """What is called at each point."""
    file = os.open(passed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    count = 0

    def at(name: str) -> None:
        nonlocal count
        count += 1
        os.write(file, f"{name}\n".encode())
        if count == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    return at


def run_child(module: Any, line: dict[str, Any]) -> None:
    status = 1
    try:
        at = points_until_killed(Path(line["passed"]), line["kill_at"])
        getattr(module, line["function"])(at, **line["given"])
        status = 0
    except BaseException:  # noqa: BLE001 the child ends here
        traceback.print_exc()
    finally:
        os._exit(status)


def main() -> None:
    module = importlib.import_module(sys.argv[1])
    print("ready", flush=True)
    for text in sys.stdin:
        child = os.fork()
        if not child:
            run_child(module, json.loads(text))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
