"""How live execution waits; handed in, so that a test, or a replay, waits for nothing."""

from __future__ import annotations

import contextvars
import time
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class Within(Protocol):
    def __call__(self, timeout_s: float, call: Callable[[], T], /) -> T: ...


class Timing(NamedTuple):
    """`sleep` and `monotonic` as in the module time; `within` gives what a call gives, or TimeoutError."""

    sleep: Callable[[float], None]
    monotonic: Callable[[], float]
    within: Within


def within(timeout_s: float, call: Callable[[], T], /) -> T:
    """What the call gives or raises, if it does so in time.

    The call runs in a thread of its own, in the caller's decimal context. One that is too late goes on to its end, and
    nobody hears what it gives: a thread cannot be stopped.

    Raises:
        TimeoutError: it is not done after `timeout_s`.
    """
    answers: SimpleQueue[tuple[T, None] | tuple[None, BaseException]] = SimpleQueue()

    def run() -> None:
        try:
            answers.put((call(), None))
        except BaseException as error:  # noqa: BLE001 raised again below, in the caller's thread
            answers.put((None, error))

    Thread(target=contextvars.copy_context().run, args=(run,), name="venue-call", daemon=True).start()
    try:
        result, error = answers.get(timeout=timeout_s)
    except Empty:
        raise TimeoutError(f"not done after {timeout_s:g} s") from None
    if error is not None:
        raise error
    return result  # type: ignore[return-value]  # where there is no error there is a result


REAL_TIME = Timing(time.sleep, time.monotonic, within)
