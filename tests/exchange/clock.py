"""The venue's clock, in milliseconds since 1970."""

from __future__ import annotations

import time


class Clock:
    """The machine's time, or with `by_requests` the newest signed timestamp. `offset_ms` is how far the venue's clock is ahead."""

    def __init__(self, by_requests: bool, start_ms: int = 0) -> None:
        self.by_requests = by_requests
        self.newest_ms = start_ms
        self.offset_ms = 0

    def see(self, signed_ms: int) -> None:
        """A request with a valid signature was made at this time of its sender."""
        self.newest_ms = max(self.newest_ms, signed_ms)

    def now_ms(self) -> int:
        return (self.newest_ms if self.by_requests else time.time_ns() // 1_000_000) + self.offset_ms
