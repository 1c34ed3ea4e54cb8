"""How live execution waits; handed in, so that a test, or a replay, waits for nothing."""

from __future__ import annotations

import contextvars
import os
import time
from collections import deque
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

from basis_strategy_v1.core.deadline import Deadline, set_deadline
from basis_strategy_v1.core.error_codes.exceptions import VenueUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
GRACE_S = 1.0  # for a call whose sockets were cut to end by itself


class Within(Protocol):
    def __call__(self, timeout_s: float, call: Callable[[], T], /) -> T: ...


class Timing(NamedTuple):
    """`sleep` and `monotonic` as in the module time; `within` gives what a call gives, or TimeoutError."""

    sleep: Callable[[float], None]
    monotonic: Callable[[], float]
    within: Within


class _Worker:
    """A thread that makes one call after another. One that hangs is not used again before it is done."""

    def __init__(self) -> None:
        self.calls: SimpleQueue[Callable[[], None]] = SimpleQueue()
        Thread(target=self._run, name="venue-call", daemon=True).start()

    def _run(self) -> None:
        while True:
            self.calls.get()()
            _idle.append(self)


_idle: deque[_Worker] = deque()
os.register_at_fork(after_in_child=_idle.clear)  # no thread but the forking one is there in the child


class _Call(Generic[T]):
    """A call in a thread of its own, under a deadline."""

    def __init__(self, timeout_s: float, call: Callable[[], T]) -> None:
        self.deadline = Deadline(timeout_s, time.monotonic)
        self._call = call
        self._ends: SimpleQueue[tuple[T, None] | tuple[None, BaseException]] = SimpleQueue()
        context = contextvars.copy_context()
        try:
            worker = _idle.pop()
        except IndexError:
            worker = _Worker()
        worker.calls.put(lambda: context.run(self._run))

    def _run(self) -> None:
        set_deadline(self.deadline)
        end: tuple[T, None] | tuple[None, BaseException]
        try:
            end = (self._call(), None)
        except BaseException as error:  # noqa: BLE001 raised again in the caller's thread
            end = (None, error)
        self.deadline.finish()
        self._ends.put(end)

    def end(self, timeout_s: float) -> tuple[T, None] | tuple[None, BaseException] | None:
        """(result, None) or (None, error); None where it goes on."""
        try:
            return self._ends.get(timeout=timeout_s)
        except Empty:
            return None


def within(timeout_s: float, call: Callable[[], T], /) -> T:
    """What the call gives or raises, if it does so in time.

    The call runs in a thread of its own, in the caller's decimal context, under a deadline (`core/deadline.py`). At the end its sockets are
    cut off, so that it ends at once and sends nothing more. One that hangs elsewhere goes on to its end, and nobody hears what it gives:
    a thread cannot be stopped. An interruption of the caller cuts the call off too.

    Raises:
        TimeoutError: it is not done after `timeout_s`.
        VenueUnreachable: the same, and the call says that it had sent nothing.
    """
    running = _Call(timeout_s, call)
    end = None
    try:
        end = running.end(timeout_s)
    finally:
        was_cut = end is None and running.deadline.expire() > 0
    if end is None:
        late = running.end(GRACE_S) if was_cut else None
        # A result would perhaps be made from half an answer; that nothing was sent is true all the same.
        if late is not None and isinstance(late[1], VenueUnreachable):
            raise late[1]
        raise running.deadline.passed()
    result, error = end
    if error is not None:
        raise error
    return result  # type: ignore[return-value]  # where there is no error there is a result


REAL_TIME = Timing(time.sleep, time.monotonic, within)
