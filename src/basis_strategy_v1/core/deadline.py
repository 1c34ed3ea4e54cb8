"""The deadline of one call to a venue: what the call has open is cut off then, and nothing is begun after it."""

from __future__ import annotations

from contextvars import ContextVar
from threading import Lock
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class DeadlinePassed(TimeoutError):
    """The call has no time left: nothing more is sent."""


class Handle(Protocol):
    """A hold on something that a call has open, for example on a socket."""

    def cut(self) -> None:
        """End at once whatever goes on over it. It raises nothing."""
        ...

    def release(self) -> None:
        """Let go of it. What goes on over it is not ended."""
        ...


class Deadline:
    """One call's. The call registers what it opens; whoever waits for the call ends it with `expire`.

    `monotonic` is in seconds. Safe to use from several threads.
    """

    def __init__(self, timeout_s: float, monotonic: Callable[[], float]) -> None:
        self._timeout_s = timeout_s
        self._monotonic = monotonic
        self._ends = monotonic() + timeout_s
        self._lock = Lock()
        self._handles: list[Handle] = []
        self._is_over = False
        self._has_sent = False

    @property
    def has_sent(self) -> bool:
        """Whether a part of a request has perhaps left."""
        return self._has_sent

    def require_time(self) -> float:
        """The seconds that are left.

        Raises:
            DeadlinePassed: there are none.
        """
        left_s = self._ends - self._monotonic()
        if self._is_over or left_s <= 0:
            raise self.passed()
        return left_s

    def opened(self, handle: Handle) -> None:
        """Register something that the call has opened, or uses again.

        Raises:
            DeadlinePassed: the end has come, and it was cut.
        """
        with self._lock:
            if not self._is_over:
                self._handles.append(handle)
                return
        handle.cut()
        handle.release()
        raise self.passed()

    def sending(self) -> None:
        """A part of a request leaves now.

        Raises:
            DeadlinePassed: the end has come; it may not leave.
        """
        with self._lock:
            if self._is_over:
                raise self.passed()
            self._has_sent = True

    def expire(self) -> int:
        """Cut off what the call has open, and let it open and send nothing more. Gives how many handles were cut."""
        _, handles = self._ended()
        for handle in handles:
            handle.cut()
            handle.release()
        return len(handles)

    def finish(self) -> bool:
        """The call has ended: let go of what it had open. Gives whether that was before `expire`."""
        was_over, handles = self._ended()
        for handle in handles:
            handle.release()
        return not was_over

    def _ended(self) -> tuple[bool, list[Handle]]:
        with self._lock:
            was_over, self._is_over = self._is_over, True
            handles, self._handles = self._handles, []
        return was_over, handles

    def passed(self) -> DeadlinePassed:
        """The error of this deadline."""
        return DeadlinePassed(f"not done after {self._timeout_s:g} s")


_current: ContextVar[Deadline | None] = ContextVar("deadline", default=None)


def current_deadline() -> Deadline | None:
    """The deadline of the call that is running, if it has one."""
    return _current.get()


def set_deadline(deadline: Deadline | None) -> None:
    """Let the rest of this context run under a deadline."""
    _current.set(deadline)
