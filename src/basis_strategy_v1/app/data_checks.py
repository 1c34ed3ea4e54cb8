"""Data checks before a run: gaps that would end it are errors, prices that look wrong are warnings."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.core.amounts import counted
from basis_strategy_v1.core.clock import HOUR_US, MICROSECOND, SECOND_US, iso, to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.venues.cex import FUNDING_STAMP_TOLERANCE_US
from basis_strategy_v1.venues.exchanges import exchange_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from basis_strategy_v1.config import Config
    from basis_strategy_v1.strategies.strategy import Strategy

WARNING = "warning: "
MOST_LISTED = 5
# Rules by which a strategy with a perp is not always short of it.
STAYS_OUT_BY = ("enter_above_apr", "leave_below_apr", "leave_at")


class Hole(NamedTuple):
    """A time without a row, or payments without one. `ends_the_run`: whether the strategy is certain to need what is not there."""

    code: str
    message: str
    way_out: str
    ends_the_run: bool


def data_warnings(config: Config, strategy: Strategy, provider: Any) -> Iterator[str]:
    """A line for each thing that may end the run or spoil its result.

    Raises:
        ComponentError: DAT-002, DAT-005: after these, with a line for each hole that is certain to end it.
    """
    if config.initial_positions is not None:
        yield f"initial_positions are held at the start; initial_capital of {config.initial_capital:,f} is not used"
    if not hasattr(provider, "unusable_spans"):
        return
    holes = list(_holes(config, strategy, provider))
    for hole in holes:
        if not hole.ends_the_run:
            yield _uncertain(hole)
    yield from _outliers(config, provider)
    if certain := [hole for hole in holes if hole.ends_the_run]:
        lines = "\n".join(f"{hole.message}, and {config.strategy_mode} needs it then; {hole.way_out}" for hole in certain)
        raise ComponentError(certain[0].code, lines)


def data_warnings_in_short(config: Config, strategy: Strategy, provider: Any) -> list[str]:
    """A few lines of the warnings among these: one a hole, one a series with rows that look wrong. What is certain to end the run is left
    to the run."""
    if not hasattr(provider, "unusable_spans"):
        return []
    lines = [_uncertain(hole) for hole in _holes(config, strategy, provider) if not hole.ends_the_run]
    for series, odd in provider.outliers(*_period(config)):
        others = f"; {counted(len(odd) - 1, 'more such row')}" if len(odd) > 1 else ""
        lines.append(f"{_odd_row(series, *odd[0])}{others}")
    if len(lines) > MOST_LISTED:
        lines[MOST_LISTED:] = [f"{WARNING}and {len(lines) - MOST_LISTED:,} more, see basis check"]
    return lines


def _uncertain(hole: Hole) -> str:
    return f"{WARNING}{hole.message}: it would end the run ({hole.code}) if anything is held then; {hole.way_out}"


def _holes(config: Config, strategy: Strategy, provider: Any) -> Iterator[Hole]:
    for kind, venue, name in dict.fromkeys(strategy.needs(config.strategy)):
        if kind != "funding":
            yield from _prices_missing(config, provider, (kind, venue, name))
        elif config.data.missing_funding == "error":
            yield from _funding_missing(config, provider, venue, name)


def _period(config: Config) -> tuple[int, int]:
    assert config.start is not None and config.end is not None
    return to_instant(config.start), to_instant(config.end)


def _is_always_short(config: Config) -> bool:
    """Whether a built-in strategy is short its perp from its first trade on, if only it is not liquidated."""
    return hasattr(config.strategy, "perp_venue") and all(getattr(config.strategy, rule, None) is None for rule in STAYS_OUT_BY)


def _prices_missing(config: Config, provider: Any, key: tuple[str, str, str]) -> Iterator[Hole]:
    """The built-in strategies read their spot price and what their stake redeems for at every step, held or not."""
    kind = key[0]
    always = (kind == "spot" and hasattr(config.strategy, "perp_venue")) or (kind == "staking" and hasattr(config.strategy, "protocol"))
    always = always or (kind == "perp" and _is_always_short(config))
    for series, start, end in provider.unusable_spans(*key, *_period(config)):
        when = f"from {iso(start // SECOND_US * SECOND_US)} until {iso(min(end, _period(config)[1]))}"
        message = f"{series}: {when} the last row is older than max_staleness"
        way_out = "fill the gap, raise data.max_staleness, or leave that time out of the run"
        yield Hole("DAT-002", message, way_out, always and _has_tick(config, start, end))


def _has_tick(config: Config, start: int, end: int) -> bool:
    first, last = _period(config)
    step = config.interval // MICROSECOND
    return start <= last < end or first - (first - start) // step * step < end


def _funding_missing(config: Config, provider: Any, exchange: str, symbol: str) -> Iterator[Hole]:
    """The payments due on the perp after the start that have no row, those that follow each other together."""
    first, last = _period(config)
    found = provider.rows_visible("funding", exchange, symbol, last)
    if found is None:
        return
    series, rows = found
    intervals = {_interval_us(config, name) for name, own in config.venues.cex.items() if exchange_of(name, own) == exchange}
    for interval_us in sorted(intervals):
        missing = _payments_missing(rows, first, last, interval_us)
        for start, end, payments in _together(missing, interval_us):
            when = f"{payments} payments from {iso(start)} to {iso(end)}" if payments > 1 else f"the payment at {iso(start)}"
            way_out = "fill the gap, set data.missing_funding: zero, or leave that time out of the run"
            yield Hole("DAT-005", f"{series} has no row for {when}", way_out, _is_always_short(config))


def _interval_us(config: Config, name: str) -> int:
    return config.venues.cex[name].row(name).funding_interval_hours.at() * HOUR_US


def _payments_missing(rows: Sequence[int], first: int, last: int, interval_us: int) -> Iterator[int]:
    """When the exchange would ask for a payment that has no row: at a full interval, unless a row stands a little after it."""
    for due in range((first // interval_us + 1) * interval_us, last + 1, interval_us):
        place = bisect_right(rows, due)
        if place:
            last_row = rows[place - 1]
            if due - last_row <= FUNDING_STAMP_TOLERANCE_US or 0 < last_row % interval_us <= FUNDING_STAMP_TOLERANCE_US:
                continue
        if place == len(rows) or rows[place] > due + FUNDING_STAMP_TOLERANCE_US:
            yield due


def _together(instants: Iterator[int], apart_us: int) -> Iterator[tuple[int, int, int]]:
    """(first, last, how many) of each row of instants that are so far apart."""
    found = list(instants)
    begins = [place for place, (before, after) in enumerate(pairwise(found), 1) if after - before != apart_us]
    for start, stop in pairwise([0, *begins, len(found)] if found else []):
        yield found[start], found[stop - 1], stop - start


def _outliers(config: Config, provider: Any) -> Iterator[str]:
    for series, odd in provider.outliers(*_period(config)):
        for stamp, message in odd[:MOST_LISTED]:
            yield _odd_row(series, stamp, message)
        if (more := len(odd) - MOST_LISTED) > 0:
            which = f"{more:,} more such rows, the last" if more > 1 else "1 more such row, that"
            yield f"{WARNING}{series}: {which} of {iso(odd[-1][0])}"


def _odd_row(series: str, stamp: int, message: str) -> str:
    return f"{WARNING}{series}, row of {iso(stamp)}: {message}"
