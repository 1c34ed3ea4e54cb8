"""How one component's events reach the disk: in blocks in a backtest, one by one and synced when live."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, NoReturn

from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.monitoring.event_line import Event, EventLine, lines_of, parse_line
from basis_strategy_v1.monitoring.event_reader import dated_files
from basis_strategy_v1.monitoring.folder_lock import remove_unless_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from msgspec import Struct

    from basis_strategy_v1.core.clock import Clock

    Data = Mapping[str, Any] | Struct

BLOCK_BYTES = 64 * 1024
BLOCK_EVENTS = 256
FIRST_EVENTS = 64  # written one by one, so that a short run can be read while it goes on
KEPT_DAYS = 30
TAIL_BYTES = 64 * 1024
CLOSED = "the event log {path} is closed; nothing more can be logged"


class BufferedFile:
    """A backtest's file: begun again, written in blocks of whole lines."""

    __slots__ = ("_fd", "_identity", "_lock", "_pending", "_pending_bytes", "_sequence", "_size", "_written_at", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = Lock()
        self._pending: list[bytes] = []  # lines of the block to come
        self._pending_bytes = 0
        self._sequence = 0
        self._written_at = 1  # the number at which the next block is written
        self._size = 0
        with writing(path):
            # A new file, not the old one emptied: whoever still writes the old one does not write into this, and no link is followed.
            if path.is_symlink() or not path.is_dir():
                path.unlink(missing_ok=True)
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            self._identity = os.fstat(self._fd).st_ino

    def append(self, at: datetime, event_type: str, component: str, data: Data) -> None:
        """Take one event; either it has its number afterwards, or LOG-001 is raised and there is no trace of it."""
        self.append_all(at, component, ((event_type, data),))

    def append_all(self, at: datetime, component: str, events: Sequence[tuple[str, Data]]) -> None:
        """Take several events of one time, all of them or none."""
        with self._lock:
            if self._fd < 0:
                raise ValueError(CLOSED.format(path=shown(self.path)))
            before = sequence = self._sequence
            numbered = []
            for event_type, data in events:
                sequence += 1
                numbered.append(Event(at, event_type, component, data, sequence))
            lines = lines_of(numbered)
            # Taken up in one piece, with their numbers: an interruption finds all of them or none.
            self._pending.append(lines)
            self._sequence = sequence
            self._pending_bytes += len(lines)
            if sequence >= self._written_at or self._pending_bytes >= BLOCK_BYTES:
                self._write_or_drop(before)
                self._written_at = sequence + 1 if sequence < FIRST_EVENTS else (sequence // BLOCK_EVENTS + 1) * BLOCK_EVENTS

    def flush(self) -> None:
        with self._lock:
            self._write()

    def close(self) -> None:
        """Write what is pending; the file is closed even where that fails. A second call does nothing."""
        with self._lock:
            if self._fd < 0:
                return
            try:
                self._write()
            finally:
                os.close(self._fd)
                self._fd = -1

    def require_own(self) -> None:
        """Raise LOG-001 where another run has begun this file again, or somebody removed it."""
        with suppress(FileNotFoundError):
            if self.path.stat().st_ino == self._identity:
                return
        raise ComponentError("LOG-001", f"{shown(self.path)} is no longer this run's file; give each run its own folder with --logs")

    def _write_or_drop(self, before: int) -> None:
        """Write what is pending; where that fails, the events after number `before` leave no trace."""
        try:
            self._write()
        except ComponentError:
            self._pending_bytes -= len(self._pending.pop())
            self._sequence = before
            raise

    def _write(self) -> None:
        if self._pending and self._fd >= 0:
            self._drop_written(os.fstat(self._fd).st_size - self._size)
            block = b"".join(self._pending)
            with writing(self.path):
                write_whole(self._fd, block, self._size)
            self._size += len(block)
            self._pending.clear()
            self._pending_bytes = 0

    def _drop_written(self, beyond: int) -> None:
        """Take off the pending bytes that the file holds already: an interruption came just after they were written."""
        while beyond > 0:
            first = self._pending.pop(0)
            if len(first) > beyond:
                self._pending.insert(0, first[beyond:])
            written = min(len(first), beyond)
            self._size, self._pending_bytes, beyond = self._size + written, self._pending_bytes - written, beyond - written


class SyncedFile:
    """A live run's file: appended, on the disk before `append` returns, renamed at UTC midnight, kept for `kept_days`, or always (None).

    `truncated_bytes` says how much of a line that a crash cut off was found when it was opened, and moved to `truncated_path`.
    """

    __slots__ = ("_clock", "_day", "_fd", "_kept_days", "_lock", "_sequence", "_size", "path", "truncated_bytes", "truncated_path")

    def __init__(self, path: Path, at: datetime, clock: Clock | None, kept_days: int | None = KEPT_DAYS) -> None:
        self.path = path
        self._kept_days = kept_days
        self.truncated_path = path.with_name(path.name + ".truncated")
        self.truncated_bytes = 0
        self._clock = clock
        self._lock = Lock()
        with writing(path):
            self._fd = _append_to(path)
            try:
                self._take_up(self._today(at))
            except BaseException:
                os.close(self._fd)
                raise

    def append(self, at: datetime, event_type: str, component: str, data: Data) -> None:
        """Write and sync one event; where that fails LOG-001 is raised, no half line stays and its number is still free."""
        with self._lock, writing(self.path):
            if self._fd < 0:
                raise ValueError(CLOSED.format(path=shown(self.path)))
            today = self._today(at)
            if today > self._day:
                self._rotate(today)
            line = lines_of([Event(at, event_type, component, data, self._sequence + 1)])
            write_whole(self._fd, line, self._size, sync=True)
            self._size += len(line)
            self._sequence += 1

    def append_all(self, at: datetime, component: str, events: Sequence[tuple[str, Data]]) -> None:
        """Write and sync several events, one after another."""
        for event_type, data in events:
            self.append(at, event_type, component, data)

    def flush(self) -> None:
        """Nothing is ever pending here."""

    def close(self) -> None:
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def _today(self, at: datetime) -> date:
        return (self._clock.now().astimezone(UTC) if self._clock else at).date()

    def _take_up(self, today: date) -> None:
        """Go on from what is there: the number and the day of the last whole line, in this file or the one before."""
        last = self._mend()
        dated = dated_files(self.path)
        self._day = date.fromisoformat(last.timestamp[:10]) if last else today
        if dated:
            newest, path = dated[-1]
            last = last or _last_line_of(path)
            # Later than the newest dated file in any case, so that rotation never meets a name in use.
            self._day = max(self._day, newest + timedelta(days=1))
        self._sequence = last.sequence if last else 0
        sync_folder(self.path.parent)
        self._drop_old(today)

    def _mend(self) -> EventLine | None:
        """Move a truncated line to the side file, and give the last whole line."""
        self._size = os.fstat(self._fd).st_size
        end, last = last_whole_line(self._fd, self._size)
        tail = os.pread(self._fd, self._size - end, end)
        if not tail:
            return last
        whole = parse_line(tail)
        if whole:  # only its newline is missing
            write_whole(self._fd, b"\n", self._size, sync=True)
            self._size += 1
            return whole
        self._set_aside(tail)
        os.ftruncate(self._fd, end)
        os.fsync(self._fd)
        self._size, self.truncated_bytes = end, len(tail)
        return last

    def _set_aside(self, truncated: bytes) -> None:
        with os.fdopen(_append_to(self.truncated_path), "ab") as side:
            side.write(truncated + b"\n")
            side.flush()
            os.fsync(side.fileno())

    def _rotate(self, today: date) -> None:
        if self.path.exists():  # not, where the last attempt got no further than the renaming
            os.replace(self.path, self.path.with_name(f"{self.path.stem}.{self._day}.jsonl"))
        fresh = _append_to(self.path)
        os.close(self._fd)
        self._fd, self._size, self._day = fresh, 0, today
        sync_folder(self.path.parent)
        self._drop_old(today)

    def _drop_old(self, today: date) -> None:
        if self._kept_days is None:
            return
        for day, path in dated_files(self.path):
            if day < today - timedelta(days=self._kept_days):
                path.unlink(missing_ok=True)


def _append_to(path: Path) -> int:
    """A descriptor that appends to a file, which is made where there is none. What is no file is replaced, and no link is followed."""
    remove_unless_file(path)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o644)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the operating system's refusal into LOG-001, in one line."""
    try:
        yield
    except OSError as error:
        refuse(path, error)


def refuse(path: Path, error: OSError) -> NoReturn:
    reason = error.strerror or str(error)
    raise ComponentError(
        "LOG-001",
        f"cannot write the events to {shown(path)}: {reason}; free space or rights there, or choose another folder with --logs",
        original_exception=error,
    ) from error


def write_whole(fd: int, block: bytes | bytearray, size: int, *, sync: bool = False) -> None:
    """Write the block at the end of a file of `size` bytes; where that fails, cut off what got through and raise OSError."""
    try:
        written = os.write(fd, block)
        while written < len(block):
            written += os.write(fd, block[written:])
        if sync:
            os.fsync(fd)
    except OSError:
        with suppress(OSError):  # a device cannot be cut; the write's own error is the one to report
            os.ftruncate(fd, size)
            os.lseek(fd, size, os.SEEK_SET)
        raise


def last_whole_line(fd: int, size: int) -> tuple[int, EventLine | None]:
    """Where the last line that is an event ends, and the event; (0, None) where there is none."""
    span = TAIL_BYTES
    while True:
        start = max(0, size - span)
        block = os.pread(fd, size - start, start)
        end = block.rfind(b"\n")
        while end >= 0:
            begin = block.rfind(b"\n", 0, end) + 1
            if begin == 0 and start > 0:
                break
            found = parse_line(block[begin:end])
            if found:
                return start + end + 1, found
            end = begin - 1
        if start == 0:
            return 0, None
        span *= 8


def sync_folder(folder: Path) -> None:
    """A new name is safe only when its folder is on the disk too."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _last_line_of(path: Path) -> EventLine | None:
    fd = os.open(path, os.O_RDONLY)
    try:
        return last_whole_line(fd, os.fstat(fd).st_size)[1]
    finally:
        os.close(fd)
