"""Leaves a connection alone for a while once it has failed several times in a row."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

from basis_strategy_v1.core.error_codes.exceptions import ComponentError, OutcomeUnknown, VenueRejected, VenueUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAUSE_S = 60.0
UNREADABLE = "EIM-003"  # an answer, though one that cannot be recorded


class CircuitBreaker:
    """One connection's, which several venues may share. Closed: everything passes. Open: nothing does, for `pause_s`; then one
    instruction at a time is let through as a probe, and an answer to it closes the breaker.

    A failure is an instruction that ended as unreachable or unknown, whatever number of attempts it took. A rejection, and
    an answer that cannot be read, are answers: the venue is there. Any other error says nothing about it. Safe to use from several
    threads.
    """

    def __init__(self, venue: str, *, failures: int, monotonic: Callable[[], float], pause_s: float = PAUSE_S) -> None:
        self._venue = venue
        self._limit = failures
        self._monotonic = monotonic
        self._pause_s = pause_s
        self._lock = Lock()
        self._failures = 0
        self._until: float | None = None  # None: closed
        self._probing = False
        self._last = ""

    @property
    def is_open(self) -> bool:
        """Whether the venue counts as unavailable."""
        return self._until is not None

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Around one instruction: let it pass or refuse it, and count how it ended.

        Raises:
            ComponentError: EIM-002, the venue is unavailable; the body was not run.
        """
        probe = self._admit()
        try:
            yield
        except (VenueUnreachable, OutcomeUnknown) as error:
            self._count_failure(error.message)
            raise
        except ComponentError as error:
            if isinstance(error, VenueRejected) or error.error_code == UNREADABLE:
                self.answered()
            raise
        else:
            self.answered()
        finally:
            if probe:
                self._probing = False

    def _admit(self) -> bool:
        """Whether the one that is let through is a probe."""
        with self._lock:
            if self._until is None:
                return False
            left_s = self._until - self._monotonic()
            if left_s > 0:
                raise self._unavailable(f"to be tried again in {left_s:.1f} s")
            if self._probing:
                raise self._unavailable("and one instruction is trying it right now")
            self._probing = True
            return True

    def _unavailable(self, way_out: str) -> ComponentError:
        failures = f"{self._failures} failure{'s' if self._failures > 1 else ''} in a row"
        message = f"{self._venue} is unavailable after {failures}, {way_out}; not sent (the last failure: {self._last})"
        return ComponentError("EIM-002", message)

    def _count_failure(self, why: str) -> None:
        with self._lock:
            self._failures += 1
            self._last = why
            if self._failures >= self._limit:
                self._until = self._monotonic() + self._pause_s

    def answered(self) -> None:
        """The venue has answered something: it is there."""
        with self._lock:
            self._failures = 0
            self._until = None
