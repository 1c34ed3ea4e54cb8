"""Where a known key can be found after, and while, a command has run: output, files, /proc, a core file.

`key_on_the_loose(command, folders, variables)` runs any command with keys in its environment; point it at another one to test that.
"""

from __future__ import annotations

import base64
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

CHUNK = 1 << 20


class Done(NamedTuple):
    """How a command ended: `found` are the places where a key was, `dumped` whether the kernel wrote (or handed on) a core."""

    status: int
    out: str
    err: str
    found: list[str]
    dumped: bool


def forms(key: str) -> list[bytes]:
    """A key as it could be written: plainly, in a URL, in base64, in hexadecimal digits, as wide characters, without its prefix."""
    plain = {
        key,
        quote(key, safe=""),
        quote_plus(key),
        base64.b64encode(key.encode()).decode(),
        key.encode().hex(),
        key.lower(),
        key.upper(),
    }
    if key.startswith("0x"):
        plain.add(key[2:])
    found = {text.encode() for text in plain} | {key.encode("utf-16-le")}
    if key.startswith("0x") and len(key) == 66:
        found.add(bytes.fromhex(key[2:]))
    return sorted(found)


def holds(path: Path, keys: Iterable[str]) -> bool:
    """Whether a file holds a key, in any form; read in pieces, a core may be large."""
    wanted = [form for key in keys for form in forms(key)]
    overlap = max(map(len, wanted))
    before = b""
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            text = before + piece
            if any(form in text for form in wanted):
                return True
            before = text[-overlap:]
    return False


def in_folders(keys: Sequence[str], *folders: Path) -> list[str]:
    """The files below these folders whose name or content has a key in it."""
    found = []
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if any(form in os.fsencode(path.name) for key in keys for form in forms(key)) or (path.is_file() and holds(path, keys)):
                found.append(path.relative_to(folder).as_posix())
    return found


def in_process(keys: Sequence[str], pid: int) -> list[str]:
    """Which of /proc/PID/cmdline and /proc/PID/environ of a process, or of a child of it, show a key."""
    found = []
    for process in (pid, *_children(pid)):
        for name in ("cmdline", "environ"):
            try:
                text = Path(f"/proc/{process}/{name}").read_bytes()
            except OSError:  # it has ended, or lets nobody look
                continue
            if any(form in text for key in keys for form in forms(key)):
                found.append(f"/proc/PID/{name}")
    return found


def _children(pid: int) -> list[int]:
    """The processes below a process; /proc/PID/task/TID/children may leave some out while they run."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:  # it has ended
            continue
        parents[int(path.parent.name)] = int(text.rpartition(")")[2].split()[1])
    found = [pid]
    for process in found:  # grows as it goes
        found += [child for child, parent in parents.items() if parent == process]
    return found[1:]


def key_on_the_loose(
    command: Sequence[str],
    variables: Mapping[str, str],
    *folders: Path,
    keys: Sequence[str] | None = None,
    ready: str | None = None,
    end_with: signal.Signals | None = None,
    within_s: float = 120,
) -> Done:
    """Run a command with keys in its environment, and look for them everywhere.

    `keys` are the values to look for, those of `variables` when None. When the command has printed a line with `ready`, /proc is looked at,
    and it is sent `end_with`, if given; without `ready` only its output and the folders are looked at. It runs in the first of the
    `folders`, where a core would be written: as large as the system allows.
    """
    wanted = list(variables.values()) if keys is None else list(keys)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), **variables}
    found: list[str] = []
    out = b""
    with tempfile.TemporaryFile() as errors:
        with _core_files_allowed():
            process = subprocess.Popen(
                list(command), cwd=folders[0], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
            )
        limit = threading.Timer(within_s, process.kill)
        limit.start()
        try:
            assert process.stdout is not None
            for line in process.stdout:
                out += line
                if ready is not None and ready.encode() in line:
                    found += in_process(wanted, process.pid)
                    if end_with is not None:
                        process.send_signal(end_with)
            ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        finally:
            limit.cancel()
            process.kill()
            process.communicate()
        errors.seek(0)
        err = errors.read()
    texts = (("stdout", out), ("stderr", err))
    found += [name for name, text in texts if any(form in text for key in wanted for form in forms(key))]
    dumped = ended is not None and ended.si_code == os.CLD_DUMPED
    return Done(process.returncode, out.decode(), err.decode(), found + in_folders(wanted, *folders), dumped)


@contextmanager
def _core_files_allowed() -> Iterator[None]:
    """What is started meanwhile may write a core file, as large as the system allows."""
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, before)


def has_core_in_its_folder() -> bool:
    """Whether this system writes the core of a process into its folder, so that a test can look into one."""
    pattern = Path("/proc/sys/kernel/core_pattern")
    return pattern.is_file() and pattern.read_text(encoding="ascii").strip() in ("core", "core.%p") and _may_dump()


def _may_dump() -> bool:
    return resource.getrlimit(resource.RLIMIT_CORE)[1] != 0
