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


class RequestsLeft(NamedTuple):
    """A header that counts what is left, and one with the time (venue's ms) at which there is more."""

    header: str
    reset: str


class RateLimit:
    """One venue account's. `windows` are those of each host. Safe to use from several threads.

    `closed_s`: for how long the venue takes nothing after a status, where it does not say.
    """

    def __init__(
        self, windows: Mapping[str, tuple[RateWindow | RequestsLeft, ...]], sleep: Callable[[float], None],
        monotonic: Callable[[], float], closed_s: Mapping[int, float] = UNSTATED_S,
    ) -> None:  # fmt: skip
        self._windows = windows
        self._sleep = sleep
        self._monotonic = monotonic
        self._closed_s = closed_s
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
        wait_s = max([self._stated(status, headers), *(_wait_of(window, headers, now_ms) for window in self._windows.get(host, ()))])
        if wait_s > 0:
            with self._lock:
                self._closed_until[host] = max(self._closed_until.get(host, 0.0), self._monotonic() + wait_s)

    def _stated(self, status: int, headers: Mapping[str, str]) -> float:
        if status not in self._closed_s:
            return 0.0
        stated = headers.get("Retry-After", "")
        return float(stated) if stated.replace(".", "", 1).isdecimal() else self._closed_s[status]


def _wait_of(window: RateWindow | RequestsLeft, headers: Mapping[str, str], now_ms: int) -> float:
    """For how many seconds a window is closed by the headers of an answer."""
    count = headers.get(window.header, "")
    if not count.isdecimal():
        return 0.0
    if isinstance(window, RateWindow):
        return window.seconds - now_ms / 1000 % window.seconds if int(count) >= window.most * NEARLY else 0.0
    reset = headers.get(window.reset, "")
    return max(0.0, (int(reset) - now_ms) / 1000) if int(count) == 0 and reset.isdecimal() else 0.0
