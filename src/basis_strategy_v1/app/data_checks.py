"""Data checks before a run: gaps that would end it and data that cannot be true are errors, what looks wrong is a warning."""

from __future__ import annotations

from bisect import bisect_right
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.app.checks import is_hedge, legs_apart, valued_by
from basis_strategy_v1.app.run_checks import run_warnings
from basis_strategy_v1.core.amounts import counted
from basis_strategy_v1.core.clock import HOUR_US, MICROSECOND, SECOND_US, iso, to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.data.cadence import missed_payments
from basis_strategy_v1.data.columns import ERROR
from basis_strategy_v1.venues.cex import FUNDING_STAMP_TOLERANCE_US
from basis_strategy_v1.venues.exchanges import exchange_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from basis_strategy_v1.config import Config
    from basis_strategy_v1.data.check_table import Issue
    from basis_strategy_v1.strategies.strategy import Strategy

WARNING = "warning: "
MOST_LISTED = 5
# Rules by which a strategy with a perp is not always short of it.
STAYS_OUT_BY = ("enter_above_apr", "leave_below_apr", "leave_at")


class Gap(NamedTuple):
    """A time without a row, or payments without one. `ends_the_run`: whether the strategy is certain to need what is not there."""

    code: str
    message: str
    way_out: str
    ends_the_run: bool


def data_warnings(config: Config, strategy: Strategy, provider: Any) -> Iterator[str]:
    """A line for each thing that may end the run or spoil its result.

    Raises:
        ComponentError: DAT-002, DAT-005: after these, with a line for each gap that is certain to end it; DAT-003, for data that cannot
            be true.
    """
    if config.initial_positions is not None:
        yield f"initial_positions are held at the start; initial_capital of {config.initial_capital:,f} is not used"
    if not hasattr(provider, "unusable_spans"):
        return
    gaps = list(_gaps(config, strategy, provider))
    for gap in gaps:
        if not gap.ends_the_run:
            yield _uncertain(gap)
    if not is_hedge(config) and (apart := legs_apart(config, strategy, provider)):
        yield f"{WARNING}{apart}"
    yield from (f"{WARNING}{line}" for line in run_warnings(config, strategy, provider))
    issues = data_issues(config, strategy, provider)
    yield from issue_warnings(issues)
    errors = [(gap.code, f"{gap.message}, and {config.strategy_mode} needs it then; {gap.way_out}") for gap in gaps if gap.ends_the_run]
    errors += [("DAT-003", line) for line in _issue_errors(issues)]
    if errors:
        raise ComponentError(errors[0][0], "\n".join(line for _, line in errors))


def data_warnings_in_short(config: Config, strategy: Strategy, provider: Any) -> list[str]:
    """A few lines of the warnings among these: one a gap, one a series and kind of issue. Gaps that are certain to end the run are left
    to the run.

    Raises:
        ComponentError: DAT-003, the data cannot be true.
    """
    if not hasattr(provider, "unusable_spans"):
        return []
    issues = data_issues(config, strategy, provider)
    if errors := list(_issue_errors(issues)):
        raise ComponentError("DAT-003", "\n".join(errors))
    lines = [_uncertain(gap) for gap in _gaps(config, strategy, provider) if not gap.ends_the_run]
    if not is_hedge(config) and (apart := legs_apart(config, strategy, provider)):
        lines.append(f"{WARNING}{apart}")
    lines += [f"{WARNING}{line}" for line in run_warnings(config, strategy, provider)]
    lines += issue_warnings(issues)
    if len(lines) > MOST_LISTED:
        lines[MOST_LISTED:] = [f"{WARNING}and {len(lines) - MOST_LISTED:,} more, see basis check"]
    return lines


def block_warnings(config: Config, blocks: Iterable[Any], provider: Any, since: int, until: int) -> list[str]:
    """A line for each series and kind of issue in what blocks trade on exchanges between two instants (microseconds since 1970).

    Raises:
        ComponentError: DAT-003, one of the series is malformed, or cannot be true.
    """
    if not hasattr(provider, "issues"):
        return []
    load_traded(config, blocks, provider)
    issues = provider.issues(since, until)
    if errors := list(_issue_errors(issues)):
        raise ComponentError("DAT-003", "\n".join(errors))
    return list(issue_warnings(issues))


def data_issues(config: Config, strategy: Strategy, provider: Any) -> list[Issue]:
    """What the data checks find in the series that the run needs, as far as they are known before it.

    Raises:
        ComponentError: DAT-003, one of them is malformed.
    """
    load_traded(config, getattr(strategy, "blocks", ()), provider)
    found: list[Issue] = provider.issues(*_period(config))
    return found


def load_traded(config: Config, blocks: Iterable[Any], provider: Any) -> None:
    """Read the series of what a user's blocks trade on exchanges, so that they are checked too.

    Raises:
        ComponentError: DAT-003, one of them is malformed.
    """
    if not hasattr(provider, "coverage"):
        return
    for block in blocks:
        if not isinstance(block, dict):
            continue
        name, kind, own = block.get("venue"), block.get("trade_type"), config.venues.cex.get(str(block.get("venue")))
        if block.get("instruction_type") == "cex_trade" and own is not None and kind in ("spot", "perp"):
            key = (exchange_of(str(name), own), str(block.get("symbol")))
            provider.coverage(kind, *key)
            if kind == "perp":
                provider.coverage("funding", *key)


def _issue_errors(issues: Sequence[Issue]) -> Iterator[str]:
    for issue in issues:
        if issue.severity == ERROR:
            yield f"{issue.series}: {issue.message}"


def issue_warnings(issues: Sequence[Issue]) -> Iterator[str]:
    """A line for each series and kind of issue that is no error."""
    for line in issue_lines([issue for issue in issues if issue.severity != ERROR]):
        yield f"{WARNING}{line}"


def issue_lines(issues: Iterable[Issue]) -> Iterator[str]:
    """A line for each series and kind of issue, with the first place and how many more there are."""
    groups: dict[tuple[str, str], list[Issue]] = {}
    for issue in issues:
        groups.setdefault((issue.series, issue.kind), []).append(issue)
    for (series, _), (first, *others) in groups.items():
        more = f"; {counted(len(others), 'more such row')}, the last of {iso(others[-1].stamp)}" if others else ""
        yield f"{series}, row of {iso(first.stamp)}: {first.message}{more}"


def _uncertain(gap: Gap) -> str:
    return f"{WARNING}{gap.message}: it would end the run ({gap.code}) if there are positions then; {gap.way_out}"


def _gaps(config: Config, strategy: Strategy, provider: Any) -> Iterator[Gap]:
    for kind, venue, name in dict.fromkeys((*strategy.needs(config.strategy), *valued_by(config, strategy, provider))):
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


def _prices_missing(config: Config, provider: Any, key: tuple[str, str, str]) -> Iterator[Gap]:
    """The built-in strategies read their spot price and what their stake redeems for at every step, with or without a position."""
    own = config.strategy
    stays = hasattr(own, "protocol") and getattr(own, "leave_at", None) is None
    always = {
        "spot": hasattr(own, "perp_venue") or stays,  # of a stake counted in ETH, which is valued in dollars
        "staking": hasattr(own, "protocol"),
        "perp": _is_always_short(config),
        "lending": config.strategy_mode == "pure_lending",
    }.get(key[0], False)
    for series, start, end in provider.unusable_spans(*key, *_period(config)):
        when = f"from {iso(start // SECOND_US * SECOND_US)} until {iso(min(end, _period(config)[1]))}"
        message = f"{series}: {when} the last row is older than max_staleness"
        way_out = "fill the gap, raise data.max_staleness, or leave that time out of the run"
        yield Gap("DAT-002", message, way_out, always and _has_step(config, start, end))


def _has_step(config: Config, start: int, end: int) -> bool:
    first, last = _period(config)
    step = config.interval // MICROSECOND
    return start <= last < end or first - (first - start) // step * step < end


def _funding_missing(config: Config, provider: Any, exchange: str, symbol: str) -> Iterator[Gap]:
    """The payments due on the perp after the start that have no row, those that follow each other together."""
    first, last = _period(config)
    found = provider.rows_visible("funding", exchange, symbol, last)
    if found is None:
        return
    series, rows = found
    accounts = [name for name, own in config.venues.cex.items() if exchange_of(name, own) == exchange]
    for spans in dict.fromkeys(tuple(_intervals(config, name, symbol, first, last)) for name in accounts):
        by_rows = (due for due in missed_payments(rows, last) if first < due <= last)
        missing = sorted({*by_rows, *(due for span in spans for due in _payments_missing(rows, *span))})
        for start, end, payments in _together(missing, rows):
            when = f"{payments} payments from {iso(start)} to {iso(end)}" if payments > 1 else f"the payment at {iso(start)}"
            way_out = "fill the gap, set data.missing_funding: zero, or leave that time out of the run"
            yield Gap("DAT-005", f"{series} has no row for {when}", way_out, _is_always_short(config))


def _intervals(config: Config, account: str, symbol: str, first: int, last: int) -> Iterator[tuple[int, int, int]]:
    """(from, to, microseconds between two payments) of each time with one interval."""
    row = config.venues.cex[account].row(account)
    figure = row.funding_interval_hours
    edges = [first, *sorted({date for date in figure.dates if first < date < last}), last]
    for start, end in pairwise(edges):
        yield start, end, figure.at(start, *row.names(symbol)) * HOUR_US


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


def _together(instants: Sequence[int], rows: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """(first, last, how many) of the instants between which no row lies."""
    for _, group in groupby(instants, lambda instant: bisect_right(rows, instant)):
        found = list(group)
        yield found[0], found[-1], len(found)
