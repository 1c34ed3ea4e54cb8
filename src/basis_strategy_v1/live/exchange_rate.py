"""How fast one venue account may be asked: by what the venue's own headers say, for all threads together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Lock
from typing import NamedTuple

from basis_strategy_v1.core.deadline import current_deadline

NEARLY = 0.95  # of a window's weight: the rest is left to others behind the same address
LONGEST_WAIT_S = 5.0
UNSTATED_S = {429: 10.0, 418: 120.0}  # how long to wait where the venue does not say


class TooManyRequests(Exception):
    """The venue takes no request now; none was sent. `wait_s` is how long that lasts."""

    def __init__(self, wait_s: float) -> None:
        super().__init__(f"no request for {wait_s:.1f} s")
        self.wait_s = wait_s


class RateWindow(NamedTuple):
    """A header that counts what was used, the most that a window of `seconds` takes, and its length."""

    header: str
    most: int
    seconds: int


class RateLimit:
    """One venue account's. `windows` are those of each host. Safe to use from several threads."""

    def __init__(
        self, windows: Mapping[str, tuple[RateWindow, ...]], sleep: Callable[[float], None], monotonic: Callable[[], float]
    ) -> None:
        self._windows = windows
        self._sleep = sleep
        self._monotonic = monotonic
        self._lock = Lock()
        self._closed_until: dict[str, float] = {}

    def wait(self, host: str) -> None:
        """Wait until a host may be asked again.

        Raises:
            TooManyRequests: that takes longer than 5 s, or than the running call has.
        """
        with self._lock:
            wait_s = self._closed_until.get(host, 0.0) - self._monotonic()
        if wait_s <= 0:
            return
        deadline = current_deadline()
        if wait_s > LONGEST_WAIT_S or (deadline is not None and wait_s >= deadline.require_time()):
            raise TooManyRequests(wait_s)
        self._sleep(wait_s)

    def answered(self, host: str, status: int, headers: Mapping[str, str], now_ms: int) -> None:
        """Take the venue's word for how much is left; `now_ms` is the venue's time."""
        wait_s = _stated(status, headers)
        for window in self._windows.get(host, ()):
            used = headers.get(window.header, "")
            if used.isdecimal() and int(used) >= window.most * NEARLY:
                wait_s = max(wait_s, window.seconds - now_ms / 1000 % window.seconds)
        if wait_s > 0:
            with self._lock:
                self._closed_until[host] = max(self._closed_until.get(host, 0.0), self._monotonic() + wait_s)


def _stated(status: int, headers: Mapping[str, str]) -> float:
    if status not in UNSTATED_S:
        return 0.0
    stated = headers.get("Retry-After", "")
    return float(stated) if stated.replace(".", "", 1).isdecimal() else UNSTATED_S[status]
