"""One process at a time writes a folder: a lock that the system lets go of when the process ends, however it ends."""

from __future__ import annotations

import os
from contextlib import suppress
from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary, finalize

from basis_strategy_v1.core.error_codes.exceptions import ComponentError

if TYPE_CHECKING:
    from pathlib import Path


class FolderLock:
    """Holds a folder until `release`, or until nobody has it any more; all who hold a folder in one process share the lock.

    `path` is the lock's own file, outside of what it protects; it is there while the folder is held, and says by which process.
    `is_first` is whether nobody else in this process held the folder. Where there are no locks (Windows, some network file systems)
    everybody is let in, and nobody is first.

    Raises:
        ComponentError: `code`, another process holds the folder; the message says which, and `way_out`.
        OSError: the lock's file cannot be made.
    """

    def __init__(self, folder: Path, path: Path, code: str, way_out: str) -> None:
        try:
            self._held, self.is_first = _take(path.absolute())
        except BlockingIOError:
            told = f"{folder} is being written by another run{_process_in(path)}; wait for it or {way_out}"
            raise ComponentError(code, told) from None

    def release(self) -> None:
        """Let others in, once all in this process have done so. A second call does nothing."""
        self._held = None


class _Held:
    """The one lock of this process on a file; it goes with the last one who has it."""

    __slots__ = ("__weakref__",)


_all_held: WeakValueDictionary[tuple[int, int, int], _Held] = WeakValueDictionary()  # by process (a fork has none), device and inode
_taking = Lock()


def _take(path: Path) -> tuple[_Held | None, bool]:
    try:
        from fcntl import LOCK_EX, LOCK_NB, flock
    except ImportError:  # Windows
        return None, False
    with _taking:
        while True:
            # Looked up before it is opened: on some file systems closing a second descriptor would end the lock of the first.
            if (shared := _shared(path)) is not None:
                return shared, False
            fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            try:
                flock(fd, LOCK_EX | LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                raise
            except OSError:
                os.close(fd)
                path.unlink(missing_ok=True)
                return None, False
            if _is_at(path, fd):
                return _held_by(fd, path), True
            os.close(fd)  # whoever held it until now has just removed it


def _shared(path: Path) -> _Held | None:
    with suppress(FileNotFoundError):
        return _all_held.get(_key(path.stat()))
    return None


def _held_by(fd: int, path: Path) -> _Held:
    with suppress(OSError):  # a full disk: the number is only told
        os.truncate(fd, 0)
        os.write(fd, str(os.getpid()).encode())
    held = _all_held[_key(os.fstat(fd))] = _Held()
    finalize(held, _let_go, fd, path, os.getpid())
    return held


def _let_go(fd: int, path: Path, process: int) -> None:
    if os.getpid() != process:  # a fork has what its parent had, but not its lock
        return
    with suppress(OSError):  # the folder is gone, or may no longer be written
        if _is_at(path, fd):
            path.unlink()
    os.close(fd)


def _is_at(path: Path, fd: int) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(fd))
    return False


def _key(found: os.stat_result) -> tuple[int, int, int]:
    return os.getpid(), found.st_dev, found.st_ino


def _process_in(path: Path) -> str:
    with suppress(OSError, ValueError):
        return f" (process {int(path.read_bytes())})"
    return ""
