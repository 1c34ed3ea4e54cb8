"""The metrics of a run, from its daily returns, its fills and the times at which capital was at work.

docs/metrics.md has the convention of each. All are floats; where one is undefined it is None, and `reasons` says why.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.results.daily import YEAR_DAYS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from basis_strategy_v1.results.daily import Days
    from basis_strategy_v1.results.presence import Presence

MOST_DRAWDOWNS = 5
RATIOS = ("cagr", "volatility", "sharpe", "sortino", "calmar", "information_ratio", "apr_in_market")  # a year's
NO_VARIANCE = "the daily returns do not vary"
NO_LOSS = "no day was below the rate that is asked for"
RUINED = "the equity fell to nothing"


class Turnover(NamedTuple):
    """What a run traded and what that cost, in units of 1e-12 of the share class currency."""

    notional: int
    costs: int


class Undefined(Exception):
    """A metric that has no value; the message says why."""


class Measured(NamedTuple):
    """`metrics`, `reasons` (of those that are None), the five deepest drawdowns and month -> return, as summary.json has them."""

    metrics: dict[str, float | int | None]
    reasons: dict[str, str]
    drawdowns: list[dict[str, Any]]
    monthly: dict[str, float]


def measure(
    days: Days,
    initial: int,
    traded: Turnover,
    presence: Presence,
    *,
    risk_free: float = 0.0,
    benchmark: Days | None = None,
    no_benchmark: str = "benchmark: none",
    too_short: str = "",
) -> Measured:
    """The metrics of a run. `risk_free` is a fraction a year; `benchmark` has the same days, or there is a reason why there is none.
    `too_short` says why there are no figures of a year; empty where the run is long enough."""
    returns, daily_rate = days.returns, math.expm1(math.log1p(risk_free) / YEAR_DAYS)
    falls = drawdowns(days, initial)
    monthly = months(days)
    is_ruined = initial <= 0 or any(close <= 0 for close in days.closes)
    rows: dict[str, Callable[[], float | int]] = {
        "cagr": lambda: cagr(returns),
        "volatility": lambda: _deviation(returns) * math.sqrt(YEAR_DAYS),
        "sharpe": lambda: sharpe(returns, daily_rate),
        "sortino": lambda: sortino(returns, daily_rate),
        "calmar": lambda: _ratio(cagr(returns), max((fall["depth"] for fall in falls), default=0.0), "there was no drawdown"),
        "omega": lambda: omega(returns, daily_rate),
        "max_drawdown": lambda: max((fall["depth"] for fall in falls), default=0.0),
        "time_in_market": lambda: presence.share,
        "turnover": lambda: traded.notional / _mean(days.closes),
        "cost_bps_of_turnover": lambda: _ratio(traded.costs * 10_000, traded.notional, "nothing was traded"),
        "round_trips": lambda: presence.round_trips,
        "best_day": lambda: max(returns),
        "worst_day": lambda: min(returns),
        "best_month": lambda: max(monthly.values()),
        "worst_month": lambda: min(monthly.values()),
        "longest_drawdown_days": lambda: max((fall["days"] for fall in falls), default=0),
        "longest_flat_days": lambda: presence.longest_flat_days,
        "apr_in_market": lambda: _ratio(math.fsum(returns) * YEAR_DAYS, presence.share * len(returns), "no capital was ever at work"),
    }
    theirs = [] if benchmark is None else benchmark.returns
    against: dict[str, Callable[[], float]] = {
        "excess_return": lambda: growth(returns) - growth(theirs),
        "beta": lambda: beta(returns, theirs),
        "information_ratio": lambda: information_ratio(returns, theirs),
    }
    metrics: dict[str, float | int | None] = {}
    reasons: dict[str, str] = {}
    for name, compute in {**rows, **against}.items():
        try:
            if not returns:
                raise Undefined("the run has no step")
            if name in against and benchmark is None:
                raise Undefined(no_benchmark)
            if is_ruined:
                raise Undefined(RUINED)
            if name in RATIOS and too_short:
                raise Undefined(too_short)
            metrics[name] = compute()
        except Undefined as why:
            metrics[name], reasons[name] = None, str(why)
        except OverflowError:
            metrics[name], reasons[name] = None, "it is larger than any number that is kept"
    listed = [{name: value for name, value in fall.items() if name != "days"} for fall in falls[:MOST_DRAWDOWNS]]
    return Measured(metrics, reasons, [] if is_ruined else listed, {} if is_ruined else monthly)


def growth(returns: Sequence[float]) -> float:
    """What the returns come to, compounded."""
    return math.prod(1 + one for one in returns) - 1


def cagr(returns: Sequence[float]) -> float:
    """The return a year of 365 days, compounded."""
    return math.prod(1 + one for one in returns) ** (YEAR_DAYS / len(returns)) - 1


def sharpe(returns: Sequence[float], daily_rate: float) -> float:
    """The mean of the returns beyond the daily rate / their deviation, a year's."""
    beyond = [one - daily_rate for one in returns]
    return _ratio(_mean(beyond), _deviation(beyond), NO_VARIANCE) * math.sqrt(YEAR_DAYS)


def sortino(returns: Sequence[float], daily_rate: float) -> float:
    """The mean of the returns beyond the daily rate / the root of the mean square of those below it, a year's."""
    beyond = [one - daily_rate for one in returns]
    downside = math.sqrt(_mean([min(one, 0.0) ** 2 for one in beyond]))
    return _ratio(_mean(beyond), downside, NO_LOSS) * math.sqrt(YEAR_DAYS)


def omega(returns: Sequence[float], daily_rate: float) -> float:
    """The sum of what is beyond the daily rate / the sum of what is below it."""
    beyond = [one - daily_rate for one in returns]
    return _ratio(math.fsum(one for one in beyond if one > 0), -math.fsum(one for one in beyond if one < 0), NO_LOSS)


def beta(returns: Sequence[float], theirs: Sequence[float]) -> float:
    """The covariance with a benchmark's returns / their variance."""
    if len(returns) < 2:
        raise Undefined("it needs two days")
    own, other = _mean(returns), _mean(theirs)
    shared = math.fsum((one - own) * (two - other) for one, two in zip(returns, theirs, strict=True))
    return _ratio(shared, math.fsum((two - other) ** 2 for two in theirs), "the benchmark does not vary")


def information_ratio(returns: Sequence[float], theirs: Sequence[float]) -> float:
    """The mean of the returns beyond a benchmark's / their deviation, a year's."""
    beyond = [one - two for one, two in zip(returns, theirs, strict=True)]
    return _ratio(_mean(beyond), _deviation(beyond), "the returns beyond the benchmark's do not vary") * math.sqrt(YEAR_DAYS)


def drawdowns(days: Days, initial: int) -> list[dict[str, Any]]:
    """Each fall below the highest close so far, the deepest first: `start` (the day of the peak; of the initial equity the first day),
    `trough`, `end` (the day at which the peak was reached again; None where it was not), `depth` (a fraction), `days` from start to end."""
    found: list[dict[str, Any]] = []
    current: dict[str, Any] | None = None
    peak, peak_day = initial, -1
    for day, close in enumerate(days.closes):
        if close >= peak:
            if current is not None:
                current["end"], current["days"] = days.dates[day], day - peak_day
            peak, peak_day, current = close, day, None
            continue
        if current is None:
            current = {"start": days.dates[max(peak_day, 0)], "trough": "", "end": None, "depth": 0.0, "days": 0}
            found.append(current)
        if (depth := (peak - close) / peak) > current["depth"]:
            current["trough"], current["depth"] = days.dates[day], depth
        current["days"] = day - peak_day
    return sorted(found, key=lambda fall: -fall["depth"])


def months(days: Days) -> dict[str, float]:
    """The return of each month, compounded: 2024-06 -> fraction."""
    grown: dict[str, float] = {}
    for date, one in zip(days.dates, days.returns, strict=True):
        grown[date[:7]] = grown.get(date[:7], 1.0) * (1 + one)
    return {month: factor - 1 for month, factor in grown.items()}


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _deviation(values: Sequence[float]) -> float:
    """The standard deviation of a sample (n - 1)."""
    if len(values) < 2:
        raise Undefined("it needs two days")
    if min(values) == max(values):
        return 0.0
    mean = _mean(values)
    return math.sqrt(math.fsum((one - mean) ** 2 for one in values) / (len(values) - 1))


def _ratio(above: float, below: float, why_not: str) -> float:
    if below <= 0:
        raise Undefined(why_not)
    return above / below
