"""The table of data checks: `basis data validate`, `basis check` and a run take theirs from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from basis_strategy_v1.data.check_agreement import Disagreement, disagreements, dollars
from basis_strategy_v1.data.check_cadence import gaps, stopped, wrong_interval
from basis_strategy_v1.data.check_levels import levels, outliers
from basis_strategy_v1.data.check_units import funding_unit, rates_against_indices, redemption_unit
from basis_strategy_v1.data.columns import ERROR, NOTE, WARNING
from basis_strategy_v1.data.layout import interval_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from basis_strategy_v1.data.columns import Columns, Found
    from basis_strategy_v1.data.series import Series


class Check(NamedTuple):
    """`find` takes the columns of one series. `severity` holds where what it found has none of its own. `in_run`: whether a run and
    `basis check` ask it too; gaps they know from the age of prices."""

    kind: str
    severity: str
    find: Callable[[Columns], Iterable[Found]]
    in_run: bool = True


class Agreement(NamedTuple):
    """`find` takes all series that are there."""

    kind: str
    severity: str
    find: Callable[[Sequence[Columns]], Iterable[Disagreement]]


CHECKS = (
    Check("gap", WARNING, gaps, in_run=False),
    Check("interval", ERROR, wrong_interval),
    Check("outlier", WARNING, outliers),
    Check("level", WARNING, levels),
    Check("unit", WARNING, funding_unit),
    Check("unit", WARNING, rates_against_indices),
    Check("unit", WARNING, redemption_unit),
    Check("stopped", WARNING, stopped),
)
AGREEMENTS = (Agreement("contradiction", WARNING, disagreements), Agreement("dollar", WARNING, dollars))


class Issue(NamedTuple):
    """What a check found in a series: the first row of it, from 0, and its stamp; how many rows it concerns."""

    series: str
    kind: str
    severity: str
    row: int
    stamp: int
    rows: int
    message: str


def issues_of(columns: Columns, *, in_run: bool = False) -> Iterator[Issue]:
    """Everything that the checks of one series find, in the order of the table."""
    if not len(columns.stamps):
        return
    for check in CHECKS:
        if check.in_run or not in_run:
            for found in check.find(columns):
                yield _issue(check.kind, check.severity, columns, found)


def issues_between(series: Sequence[Columns]) -> Iterator[Issue]:
    """Everything in which series contradict each other."""
    for agreement in AGREEMENTS:
        for columns, found in agreement.find(series):
            yield _issue(agreement.kind, agreement.severity, columns, found)


def legs_apart(series: Sequence[Columns]) -> Iterator[Issue]:
    """A coin whose spot and perp on one venue have bars of no common interval: at most steps their closes are of different times."""
    legs: dict[tuple[str, str], dict[str, list[Columns]]] = {}
    for columns in series:
        key = columns.spec.key
        if key.kind in ("spot", "perp") and len(columns.stamps):
            legs.setdefault((key.venue, key.name), {}).setdefault(key.kind, []).append(columns)
    for (_, name), kinds in legs.items():
        spots, perps = ({one.spec.interval_us: one for one in kinds.get(kind, ())} for kind in ("spot", "perp"))
        if spots and perps and not spots.keys() & perps.keys():
            coarse = max((spots[min(spots)], perps[min(perps)]), key=lambda one: one.spec.interval_us)
            fine = interval_name(min(*spots, *perps))
            message = f"spot and perp of {name} have bars of no common interval; bring bars of {fine} for both"
            yield Issue(coarse.spec.id, "resolution", NOTE, 0, coarse.stamps[0], len(coarse.stamps), message)


def _issue(kind: str, severity: str, columns: Columns, found: Found) -> Issue:
    stamp = columns.stamps[found.row]
    return Issue(columns.spec.id, kind, found.severity or severity, found.row, stamp, found.rows, found.message)


def stops_of(series: Series, since: int) -> Iterator[Issue]:
    """The times, not over before `since`, at which a market stood still: a series that was read leaves their bars out."""
    for stop in series.stops:
        if since < stop.last + series.interval_us:
            yield Issue(series.id, "stopped", WARNING, 0, stop.first, stop.bars, stop.message)
