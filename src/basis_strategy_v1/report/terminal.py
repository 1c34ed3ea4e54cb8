"""The summary of a run for the terminal; plain and aligned when piped."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.amounts import counted
from basis_strategy_v1.core.attribution_sources import PRICES
from basis_strategy_v1.core.text import printable
from basis_strategy_v1.report.metrics import metric_text
from basis_strategy_v1.report.summary import Summary, label, parse_summary, percent, readable, rounded, signed, total

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from decimal import Decimal

    from rich.table import Table
    from rich.text import Text

MOST_LIQUIDATIONS = 5
_LIMIT, _REFUSED = re.compile(r"\blimits\.[a-z_]+"), re.compile(r"refused \(([A-Z]{3}-[0-9]{3})\)")


def summary_table(summary: Mapping[str, Any]) -> Table:
    """A rich table of `summary.json`: the facts, then the attribution to the profit, line by line, rounded.

    Raises:
        ComponentError: RES-001, with the field that is missing or wrong.
    """
    from rich.table import Table

    found = parse_summary(summary)
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column()
    table.add_column(justify="right", overflow="fold")
    for name, value, style in _facts(found):
        table.add_row(_text(name), _text(value, style))
    table.add_row("", "")
    for name, value, style in _amounts(found):
        table.add_row(_text(name, style), _text(value, style))
    for place, (name, value) in enumerate(_expected(found)):
        if not place:
            table.add_row("", "")
        table.add_row(_text(name, "" if place else "dim"), _text(value, "" if place else "dim"))
    return table


def _facts(summary: Summary) -> Iterator[tuple[str, str, str]]:
    yield "Run", summary.run_id, ""
    yield "Strategy", " ".join(filter(None, (summary.strategy_mode, summary.share_class))), ""
    yield "From", summary.start, ""
    yield "To", summary.end, ""
    data = summary.data
    yield "Data", " ".join(filter(None, (data.verdict, data.place, data.remark))), "bold yellow" if data.generated else ""
    yield "Return", percent(summary.return_fraction), ""
    annualised, remark = summary.annualised_return, summary.too_short
    yield "Annualised return", f"{percent(annualised)}{f' ({remark})' if remark else ''}", ""
    yield "Maximum drawdown", percent(summary.max_drawdown), ""
    for name, title in (("volatility", "Volatility"), ("sharpe", "Sharpe ratio")):
        if (value := summary.metrics.get(name)) is not None:
            yield title, metric_text(name, value), ""
    routed, failed = summary.instructions_routed, summary.instructions_failed
    if routed is not None:
        yield "Instructions", f"{routed:,} executed, {failed or 0:,} failed", "bold red" if failed else ""
    yield from _interruptions(summary)
    for place, held in enumerate(summary.left_open):
        yield "" if place else "Still held at the end", str(held), "bold yellow"
    if any(held.takes_time for held in summary.left_open):
        yield "", "an earlier leave_at gives it time", ""


def _interruptions(summary: Summary) -> Iterator[tuple[str, str, str]]:
    """What did not go as a reader of the return alone would think."""
    for place, line in enumerate(summary.waiting):
        yield "" if place else "Out of the market", line, "bold yellow"
    for liquidation in summary.liquidations[:MOST_LIQUIDATIONS]:
        yield f"Liquidated on {liquidation.venue}", f"at {liquidation.timestamp}", "bold red"
        yield from (("", part, "bold red") for part in liquidation.parts)
    if (more := len(summary.liquidations) - MOST_LIQUIDATIONS) > 0:
        yield "", counted(more, "more liquidation"), "bold red"
    for why, count in Counter(map(_why_skipped, summary.skipped)).items():
        yield f"Skipped{why}", counted(count, "step"), "bold yellow"
    if summary.missing_funding:
        yield "Unknown funding, taken as 0", counted(len(summary.missing_funding), "payment"), "bold yellow"


def _why_skipped(row: Any) -> str:
    """The kind of the reason: the limit that refused the plan first, the code of another refusal, or a price that was too old."""
    reason = str(row.get("reason", "")) if isinstance(row, dict) else ""
    if (limit := _LIMIT.search(reason)) is not None:
        return f", refused by {limit[0]}"
    if (refused := _REFUSED.match(reason)) is not None:
        return f", refused with {refused[1]}"
    return " on stale prices"


def _amounts(summary: Summary) -> Iterator[tuple[str, str, str]]:
    """Initial equity, the sources that are not zero, their sum, final equity, and at market where that is another; the two prices also
    as one, since they hedge each other."""
    rows = [("Initial equity", summary.initial_equity, ""), *_sources(summary)]
    rows += [
        ("Profit and loss", summary.pnl, "bold red" if summary.pnl < 0 else "bold green"),
        *((f"  of {part.name}", part.pnl, "dim") for part in summary.strategies),
        ("Final equity", summary.final_equity, "bold"),
    ]
    if (at_market := summary.final_equity_at_market) not in (None, summary.final_equity):
        rows.append(("Equity at market", at_market, ""))
    yield "Rounded, in", summary.currency, "dim"
    yield from ((name, rounded(amount, summary.places), style) for name, amount, style in rows)


def _expected(summary: Summary) -> Iterator[tuple[str, str]]:
    """Of a live run, by venue and token: what its orders were simulated to move and what moved."""
    rows = summary.expected_and_executed
    if rows:
        yield "Orders moved, by venue and token", "expected / executed / difference"
    for row in rows:
        amounts = (signed(readable(amount)) for amount in (row.expected, row.executed, row.difference))
        yield f"  {row.venue} {row.token}", " / ".join(amounts)


def _sources(summary: Summary) -> Iterator[tuple[str, Decimal, str]]:
    moving = {source: amount for sources in summary.groups().values() for source, amount in sources.items() if amount}
    is_netted = set(PRICES) <= set(moving)
    if is_netted:
        yield "  Spot and perp price", total(moving[source] for source in PRICES), ""
    for source, amount in moving.items():
        is_part = is_netted and source in PRICES
        yield f"{'    ' if is_part else '  '}{label(source)}", amount, "dim" if is_part else ""


def _text(content: str, style: str = "") -> Text:
    """As it is: square brackets in a name are no markup, and an escape sequence does nothing."""
    from rich.text import Text

    return Text(printable(content), style=style)
