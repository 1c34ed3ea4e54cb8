"""One process at a time writes a folder: a lock that the system releases when the process ends, however it ends."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from threading import RLock
from typing import TYPE_CHECKING
from weakref import finalize

from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.error_codes.exceptions import ComponentError

if TYPE_CHECKING:
    from pathlib import Path

    from filelock import BaseFileLock

# What a file system answers that has no locks (some of those on a network).
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
PATIENCE_S = 0.05  # enough for another try where the holder has just removed the file
_taking = RLock()  # a lock may be released by the garbage collector while another one is taken


class FolderLock:
    """Holds a folder until `release`, or until nobody refers to it any more; all who hold a folder in one process share the lock.

    `path` is the lock's own file, outside of what it protects. It exists while the folder is held, and names the process in it. A link or
    anything else that is no file is replaced there, never followed. `is_first` is whether nobody else in this process held the folder.
    Where there are no locks everybody is let in, and nobody is first.

    Raises:
        ComponentError: `code`, another process holds the folder; the message says which, and `way_out`.
        OSError: the lock's file cannot be made.
    """

    def __init__(self, folder: Path, path: Path, code: str, way_out: str) -> None:
        from filelock import FileLock, Timeout

        path = path.absolute()
        self.is_first = False
        self._release: finalize[..., FolderLock] | None = None
        with _taking:
            remove_unless_file(path)
            lock = FileLock(
                path, PATIENCE_S, thread_local=False, is_singleton=True, poll_interval=0.01, fallback_to_soft=False, on_acquired=_sign
            )
            try:
                lock.acquire()
            except Timeout:
                holder = f"{shown(folder)} is being written by another run{_named_in(path)}"
                raise ComponentError(code, f"{holder}; wait for it or {way_out}") from None
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
                path.unlink(missing_ok=True)
                return
            self.is_first = lock.lock_counter == 1
            self._release = finalize(self, _let_go, lock, path)

    def release(self) -> None:
        """Let others in, once all in this process have done so. A second call does nothing."""
        if self._release is not None:
            self._release()


def holder_of(path: Path) -> int | None:
    """The number of the process that holds the folder whose lock's file this is, 0 where it has not written it; None: nobody holds it."""
    import fcntl

    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _process_in(path) or 0
    except OSError:  # a file system without locks: nobody can know
        return None
    finally:
        os.close(fd)  # which lets go of it
    return None


def remove_unless_file(path: Path) -> None:
    """Remove a link, a pipe or a device in the place of a file that is to be written; a folder stays, and is an error when it is opened."""
    if path.is_symlink() or (path.exists() and not path.is_file() and not path.is_dir()):
        path.unlink(missing_ok=True)


def _sign(fd: int) -> None:
    with suppress(OSError):  # a full disk: the number only serves the message
        os.truncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)


def _let_go(lock: BaseFileLock, path: Path) -> None:
    with _taking:
        # Removed while it is held: who waits for this file sees that it is gone, and makes a new one. A fork holds nothing.
        if lock.lock_counter == 1 and _process_in(path) == os.getpid():
            with suppress(OSError):  # the folder may no longer be written
                path.unlink()
        lock.release()


def _named_in(path: Path) -> str:
    process = _process_in(path)
    return "" if process is None else f" (process {process})"


def _process_in(path: Path) -> int | None:
    with suppress(OSError, ValueError):
        return int(path.read_bytes()) if path.is_file() and not path.is_symlink() else None
    return None
