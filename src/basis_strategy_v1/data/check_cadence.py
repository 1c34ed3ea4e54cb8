"""Checks of when rows come: gaps, bars that do not keep the interval of their file, stopped markets. Functions of columns only."""

from __future__ import annotations

from collections import Counter
from itertools import groupby, islice
from operator import sub
from statistics import median_low
from typing import TYPE_CHECKING

from basis_strategy_v1.core.amounts import counted
from basis_strategy_v1.core.clock import HOUR_US, iso
from basis_strategy_v1.data.columns import WARNING, Found, steps_of
from basis_strategy_v1.data.layout import interval_name, render_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from basis_strategy_v1.data.columns import Columns

# A step longer than this many usual ones is a gap.
GAP_STEPS = 1.5
# So many steps on either side say what is usual there; so many equal ones are no gaps but another cadence.
NEIGHBOURS, EQUAL_STEPS = 5, 3
# A file of so many steps, of which such a share is one and the same, has that interval.
LEAST_STEPS, MOST_OF_THEM = 10, 0.9
# So many flat bars without volume, and at least an hour of them, are a market that has stopped: from the last of these on.
STOPPED_BARS = 3


def gaps(columns: Columns) -> Iterator[Found]:
    """Steps longer than one and a half of the usual: the interval of bars and `dex/` rows, the neighbourhood's step of the others."""
    stamps, interval_us = columns.stamps, columns.spec.interval_us
    if columns.spec.may_repeat:  # what happens at an exchange keeps no interval
        return
    if interval_us and max(map(sub, islice(stamps, 1, None), stamps), default=0) <= GAP_STEPS * interval_us:
        return
    for row, usual_us in long_steps(stamps, (_other_interval(stamps, interval_us) or interval_us) if interval_us else 0):
        before, after = stamps[row], stamps[row + 1]
        missing = -(-(after - before) // usual_us) - 1
        yield Found(row + 1, f"{counted(missing, 'row')} missing after {iso(before)}: the next is {iso(after)}, "
                    f"{render_duration(after - before)} later instead of {render_duration(usual_us)}", missing)  # fmt: skip


def long_steps(stamps: Sequence[int], interval_us: int = 0) -> Iterator[tuple[int, int]]:
    """(row, usual step in microseconds) of each row whose next one comes later than it should.

    Without an interval the usual step is that of the neighbourhood: the longer of what is usual before and after, so that a series that
    goes from 8 hours to 1 has no gap there.
    """
    steps = steps_of(stamps)
    bound = GAP_STEPS * (interval_us or min(steps, default=0))
    for row in [row for row, step in enumerate(steps) if step > bound]:
        usual_us = interval_us or usual_step(steps, row)
        if steps[row] > GAP_STEPS * usual_us:
            yield row, usual_us


def usual_step(steps: Sequence[int], row: int) -> int:
    """The step that is usual around the one of `row`, itself left out; its own where it is one of several equal ones, or alone."""
    first, last = row, row
    while first > 0 and steps[first - 1] == steps[row] and last - first < EQUAL_STEPS:
        first -= 1
    while last < len(steps) - 1 and steps[last + 1] == steps[row] and last - first < EQUAL_STEPS:
        last += 1
    sides = (steps[max(row - NEIGHBOURS, 0) : row], steps[row + 1 : row + 1 + NEIGHBOURS])
    if last - first + 1 >= EQUAL_STEPS or not any(sides):
        return steps[row]
    return max(median_low(side) for side in sides if side)


def _other_interval(stamps: Sequence[int], interval_us: int) -> int:
    """The longer interval that nearly all rows keep; 0 where they keep that of the series."""
    steps = steps_of(stamps)
    if len(steps) < LEAST_STEPS or min(steps) <= GAP_STEPS * interval_us:
        return 0
    step, times = Counter(steps).most_common(1)[0]
    return step if times >= MOST_OF_THEM * len(steps) else 0


def wrong_interval(columns: Columns) -> Iterator[Found]:
    """Rows that are nearer together, or throughout further apart, than the interval in the name of their series; or off its grid."""
    stamps, interval_us = columns.stamps, columns.spec.interval_us
    if not interval_us or len(stamps) < 2:
        return
    lengths = set(map(sub, islice(stamps, 1, None), stamps))
    if lengths == {interval_us}:
        return
    named, severity = interval_name(interval_us), None if columns.spec.has_bars else WARNING
    if min(lengths) < interval_us:
        near = [row for row, step in enumerate(steps_of(stamps), 1) if step < interval_us]
        apart = render_duration(stamps[near[0]] - stamps[near[0] - 1])
        message = f"rows {apart} apart in a file of {named}: {iso(stamps[near[0] - 1])} and {iso(stamps[near[0]])}; {_WAY_OUT}"
        yield Found(near[0], message, len(near), severity)
    elif other_us := _other_interval(stamps, interval_us):
        message = f"rows {render_duration(other_us)} apart in a file of {named}, from {iso(stamps[0])} on; {_WAY_OUT}"
        yield Found(0, message, len(stamps), severity)
    elif columns.spec.has_bars and any(length % interval_us for length in lengths):
        usual = Counter(stamp % interval_us for stamp in stamps).most_common(1)[0][0]
        off = [row for row, stamp in enumerate(stamps) if stamp % interval_us != usual]
        message = f"the bar of {iso(stamps[off[0]])} is off the grid of {named} that most bars keep"
        yield Found(off[0], message, len(off), WARNING)


_WAY_OUT = "name the file by the interval of its rows, or resample them"


def stopped(columns: Columns) -> Iterator[Found]:
    """Flat bars without volume: what a downloader writes where nobody traded."""
    if "volume" not in columns.figures:
        return
    idle = [row for row, volume in enumerate(columns.figures["volume"].values) if not volume] if columns.spec.is_traded else []
    high, low = columns.figures["high"], columns.figures["low"]
    for first, stop in stopped_spans(len(columns.stamps), idle, high.at, low.at, columns.spec.interval_us):
        yield Found(first, stopped_message(columns.stamps[first], columns.stamps[stop - 1], stop - first), stop - first)


def stopped_message(first: int, last: int, bars: int) -> str:
    return f"{bars} bars without a trade from {iso(first)} to {iso(last)}: the market stood still, so no price of it counts from then on"


def least_stop(interval_us: int) -> int:
    """How many flat bars in a row, without volume, are a market that has stopped."""
    return max(STOPPED_BARS, HOUR_US // interval_us)


def stopped_spans(
    rows: int, idle: Sequence[int], high: Callable[[int], float], low: Callable[[int], float], interval_us: int
) -> list[tuple[int, int]]:
    """(first, stop) of the flat bars among the `idle` ones, those without volume, that follow each other for an hour and three bars.

    A price that moves without volume has not stopped; and until a bar has a volume it is not known. Nothing depends on a later bar, but
    how long a stop is.
    """
    least = least_stop(interval_us)
    if not least <= len(idle) < rows:
        return []
    unknown = next((place for place, row in enumerate(idle) if row != place), len(idle))  # rows before the first with a volume
    flat = [row for row in idle[unknown:] if high(row) == low(row)]
    found = []
    for _, group in groupby(enumerate(flat), lambda pair: (pair[1] - pair[0], high(pair[1]))):
        members = [row for _, row in group]
        if len(members) >= least:
            found.append((members[0], members[-1] + 1))
    return found
