"""Time as a value: who needs it is given it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
SECOND_US = 1_000_000
HOUR_US = 3_600 * SECOND_US
DAY_US = 24 * HOUR_US


class Clock(Protocol):
    def now(self) -> datetime: ...


class SimulatedClock:
    """A clock that its owner moves, and only forwards."""

    __slots__ = ("_now",)

    def __init__(self, at: datetime) -> None:
        to_instant(at)
        self._now = at

    def now(self) -> datetime:
        return self._now

    def move_to(self, at: datetime) -> None:
        """Set the time.

        Raises:
            ValueError: `at` is no timezone-aware datetime, or before the present time.
        """
        try:
            is_back = at < self._now
        except TypeError:  # naive, or no datetime: to_instant says which
            is_back = to_instant(at) < to_instant(self._now)
        if is_back:
            raise ValueError(f"the clock stands at {iso(self._now)} and does not go back to {iso(at)}")
        self._now = at


class SystemClock:
    """The machine's clock, in UTC. Only a live run, or a logger without a clock of its own, uses it."""

    __slots__ = ()

    def now(self) -> datetime:
        return datetime.now(UTC)


def to_instant(at: datetime) -> int:
    """Microseconds since 1970-01-01T00:00:00Z.

    Raises:
        ValueError: `at` is not a datetime, or has no time zone.
    """
    if type(at) is datetime and at.tzinfo is UTC:  # the quick way for nearly all of them
        return (at - EPOCH) // MICROSECOND
    if not isinstance(at, datetime):
        raise ValueError(f"a timestamp must be a timezone-aware datetime, got {at!r}")
    if at.tzinfo is None or at.utcoffset() is None:
        raise ValueError(f"a timestamp needs a time zone, got the naive {at.isoformat()}; write {at.isoformat()}Z for UTC")
    return (at - EPOCH) // MICROSECOND


def from_instant(instant: int) -> datetime:
    """The UTC datetime of `instant` microseconds since 1970."""
    return EPOCH + timedelta(microseconds=instant)


def iso(at: datetime | int) -> str:
    """`2024-06-01T00:00:00Z`: UTC, with a fraction only where there is one."""
    moment = from_instant(at) if isinstance(at, int) else at.astimezone(UTC)
    return moment.isoformat().replace("+00:00", "Z")


def iso_each(instants: Iterable[int]) -> Iterator[str]:
    """`iso` of each. Steps come at the same times of each day, so that a day and a time of day are put together."""
    day: int | None = None
    date = ""
    for instant in instants:
        this_day, of_day = divmod(instant, DAY_US)
        if this_day != day:
            day, date = this_day, iso(this_day * DAY_US)[:-10]
        yield date + _time_of_day(of_day)


@lru_cache(maxsize=4_096)
def _time_of_day(of_day: int) -> str:
    return iso(of_day)[10:]
