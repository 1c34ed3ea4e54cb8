"""The days of a run: the equity at the end of each, and its return. Steps on stale prices do not count."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, NamedTuple

from basis_strategy_v1.core.amounts import counted
from basis_strategy_v1.core.clock import DAY_US, from_instant, iso

if TYPE_CHECKING:
    from collections.abc import Sequence


YEAR_DAYS = 365
FEWEST_DAYS = 30  # of a run that has figures of a year


class Days(NamedTuple):
    """UTC days, from that of the first step on. `closes` are in units of 1e-12; a day without a step that counts has the close of the
    day before. `returns` are fractions, the first of them against the initial equity."""

    dates: list[str]
    closes: list[int]
    returns: list[float]


def too_short(start: int, end: int) -> str:
    """Why a run from `start` to `end` (microseconds since 1970) has no figures of a year; nothing where it has.

    Its length counts in whole days, the nearest: a month whose data begin an hour late is a month.
    """
    days = (end - start + DAY_US // 2) // DAY_US
    if days >= FEWEST_DAYS:
        return ""
    lasted = counted(days, "day") if end - start >= DAY_US else "less than a day"
    return f"the run has {lasted}, and a figure of a year needs {FEWEST_DAYS}"


def stale_flags(instants: Sequence[int], spans: Sequence[tuple[int, int]]) -> bytearray:
    """For each of the rising instants 1 where it lies in one of the spans (from, until before; microseconds since 1970), else 0."""
    flags = bytearray(len(instants))
    for start, end in spans:
        first, stop = bisect_left(instants, start), bisect_left(instants, end)
        flags[first:stop] = b"\1" * (stop - first)
    return flags


def days_of(initial: int, instants: Sequence[int], equities: Sequence[int], stale: Sequence[int]) -> Days:
    """The days of a run with steps at these rising instants. A day's close is the last step up to and including 24:00 UTC."""
    found = Days([], [], [])
    if not instants:
        return found
    first, before, place = instants[0] // DAY_US * DAY_US, initial, 0
    for begin in range(first, max(instants[-1], first + 1), DAY_US):
        stop = bisect_right(instants, begin + DAY_US, place)
        close = next((equities[index] for index in range(stop - 1, place - 1, -1) if not stale[index]), before)
        found.dates.append(date_of(begin))
        found.closes.append(close)
        found.returns.append(close / before - 1 if before > 0 else 0.0)
        before, place = close, stop
    return found


def date_of(instant: int) -> str:
    """The UTC date of an instant (microseconds since 1970): 2024-06-01."""
    return iso(from_instant(instant))[:10]
