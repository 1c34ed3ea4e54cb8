"""The summary of a run for the terminal; plain and aligned when piped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from basis_strategy_v1.report.summary import Summary, label, parse_summary, percent, rounded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from rich.table import Table
    from rich.text import Text


def summary_table(summary: Mapping[str, Any]) -> Table:
    """A rich table of `summary.json`: the facts, then the attribution, line by line, to the profit: exact, so it can be added up.

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
    return table


def _facts(summary: Summary) -> Iterator[tuple[str, str, str]]:
    yield "Run", summary.run_id, ""
    yield "Strategy", " ".join(filter(None, (summary.strategy_mode, summary.share_class))), ""
    yield "From", summary.start, ""
    yield "To", summary.end, ""
    yield "Data", " ".join(filter(None, (summary.data.verdict, summary.data.place))), "bold yellow" if summary.data.generated else ""
    yield "Return", percent(summary.return_fraction), ""
    yield "Annualised return", percent(summary.annualised_return), ""
    yield "Maximum drawdown", percent(summary.max_drawdown), ""
    if summary.max_drawdown_fresh not in (None, summary.max_drawdown):
        yield "  without ticks on stale prices", percent(summary.max_drawdown_fresh), ""
    routed, failed = summary.instructions_routed, summary.instructions_failed
    if routed is not None:
        yield "Instructions", f"{routed:,} routed, {failed or 0:,} failed", "bold red" if failed else ""
    for place, held in enumerate(summary.left_open):
        yield "" if place else "Still held at the end", str(held), "bold yellow"
    if any(held.takes_time for held in summary.left_open):
        yield "  leave_at begins to leave earlier", "", ""


def _amounts(summary: Summary) -> Iterator[tuple[str, str, str]]:
    """Initial equity, every source, their sum, final equity: in one column of exact amounts."""
    places = summary.exact_places()
    rows = [("Initial equity", summary.initial_equity, "")]
    rows += [
        (f"  {label(source)}", amount, "" if amount else "dim")
        for sources in summary.groups().values()
        for source, amount in sources.items()
    ]
    rows += [
        ("Profit and loss", summary.pnl, "bold red" if summary.pnl < 0 else "bold green"),
        ("Final equity", summary.final_equity, "bold"),
    ]
    yield "", summary.currency, "dim"
    yield from ((name, rounded(amount, places), style) for name, amount, style in rows)


def _text(content: str, style: str = "") -> Text:
    """As it is: square brackets in a name are no markup."""
    from rich.text import Text

    return Text(content, style=style)
