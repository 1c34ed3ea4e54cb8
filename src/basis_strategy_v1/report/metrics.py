"""The metrics of a run as rows to read: what each is called, its value with its unit, and what it means in a few words."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.core.amounts import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from basis_strategy_v1.report.summary import Summary


class Unit(NamedTuple):
    """How a number is written: as a percentage, with a word after it, or plain."""

    scale: float
    places: int
    after: str = ""

    def text(self, value: float) -> str:
        return f"{format(value * self.scale, f'z,.{self.places}f')}{self.after}"


PERCENT, PLAIN, BPS, COUNT, DAYS = Unit(100, 2, "%"), Unit(1, 2), Unit(1, 2, " bps"), Unit(1, 0), Unit(1, 1, " days")
# In the order of the page: the name in summary.json, what it is called, its unit, what it means.
METRICS: tuple[tuple[str, str, Unit, str], ...] = (
    ("cagr", "CAGR", PERCENT, "return a year of 365 days, compounded"),
    ("volatility", "Volatility", PERCENT, "of daily returns, a year"),
    ("sharpe", "Sharpe ratio", PLAIN, "mean over volatility, a year"),
    ("sortino", "Sortino ratio", PLAIN, "mean over downside deviation, a year"),
    ("calmar", "Calmar ratio", PLAIN, "CAGR over the daily drawdown"),
    ("omega", "Omega ratio", PLAIN, "gains over losses, daily"),
    ("max_drawdown", "Maximum drawdown, daily", PERCENT, "between the closes of days"),
    ("longest_drawdown_days", "Longest drawdown", DAYS, "from a peak until it is reached again"),
    ("best_day", "Best day", PERCENT, ""),
    ("worst_day", "Worst day", PERCENT, ""),
    ("best_month", "Best month", PERCENT, ""),
    ("worst_month", "Worst month", PERCENT, ""),
    ("time_in_market", "Time in market", PERCENT, "share of the time with capital at work"),
    ("apr_in_market", "APR in market", PERCENT, "sum of daily returns a year at work"),
    ("longest_flat_days", "Longest flat stretch", DAYS, "without capital at work"),
    ("round_trips", "Round trips", COUNT, "into the market and out again"),
    ("turnover", "Turnover", PLAIN, "notional traded over mean equity, whole run"),
    ("cost_bps_of_turnover", "Costs of turnover", BPS, "fees, slippage and gas over notional traded"),
    ("excess_return", "Excess return", PERCENT, "beyond the benchmark, whole run"),
    ("beta", "Beta", PLAIN, "to the benchmark, daily"),
    ("information_ratio", "Information ratio", PLAIN, "mean beyond the benchmark over its volatility, a year"),
)


def metric_text(name: str, value: float | None) -> str:
    """A metric with its unit; n/a where it is None."""
    unit = next(unit for known, _, unit, _ in METRICS if known == name)
    return "n/a" if value is None else unit.text(value)


def metric_rows(summary: Summary) -> Iterator[tuple[str, str, str]]:
    """(name, value with its unit, what it means or why there is none) of each metric that the run has."""
    for name, title, _, meaning in METRICS:
        if name not in summary.metrics:
            continue
        value, reason = summary.metrics[name], summary.metrics_reasons.get(name, "")
        if value is None and reason == "benchmark: none":
            continue
        yield title, metric_text(name, value), reason or meaning


def metrics_section(summary: Summary) -> str:
    """The tables of the page: the metrics, the deepest drawdowns, the months."""
    rows = "".join(_row(title, value, meaning) for title, value, meaning in metric_rows(summary))
    if not rows:
        return ""
    return _table("metrics", "", rows) + _drawdowns(summary.drawdowns) + _months(summary.monthly)


def _row(title: str, value: str, meaning: str) -> str:
    return f'<tr><th scope="row">{escape(title)}</th><td class="n">{escape(value)}</td><td>{escape(meaning)}</td></tr>'


def _drawdowns(falls: list[dict[str, Any]]) -> str:
    if not falls:
        return ""
    rows = "".join(
        f"<tr><td>{escape(fall['start'])}</td><td>{escape(fall['trough'])}</td><td>{escape(fall['end'] or 'not yet')}</td>"
        f'<td class="n">{PERCENT.text(fall["depth"])}</td></tr>'
        for fall in falls
    )
    head = '<tr><th>From</th><th>Trough</th><th>Until</th><th class="n">Depth</th></tr>'
    return f"<h3>The {counted(len(falls), 'deepest drawdown')}, between the closes of days</h3>" + _table("rows", head, rows)


def _months(monthly: Mapping[str, float]) -> str:
    """A row a year, a column a month."""
    if not monthly:
        return ""
    numbers = [f"{month:02}" for month in range(1, 13)]
    years = sorted({month[:4] for month in monthly})
    cells = {month: PERCENT.text(value) for month, value in monthly.items()}
    rows = "".join(f'<tr><th scope="row">{year}</th>{_cells(cells, year, numbers)}</tr>' for year in years)
    head = "".join(f'<th class="n">{number}</th>' for number in numbers)
    return "<h3>Return of each month</h3>" + _table("rows months", f"<tr><th>Year</th>{head}</tr>", rows)


def _cells(cells: Mapping[str, str], year: str, numbers: list[str]) -> str:
    texts = [cells.get(f"{year}-{number}", "") for number in numbers]
    return "".join(f'<td class="n">{text}</td>' for text in texts)


def _table(kind: str, head: str, rows: str) -> str:
    return f'<div class="wide"><table class="{kind}"><thead>{head}</thead><tbody>{rows}</tbody></table></div>'
