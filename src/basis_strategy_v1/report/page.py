"""The page: one HTML text that asks for nothing from outside."""

from __future__ import annotations

from base64 import b64encode
from decimal import Decimal
from hashlib import sha256
from html import escape
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from basis_strategy_v1.core.amounts import counted, plain
from basis_strategy_v1.core.attribution_sources import COST, PRICES, SOURCES, names_of
from basis_strategy_v1.report.figures import figures_of, moving_sources
from basis_strategy_v1.report.metrics import metrics_section
from basis_strategy_v1.report.run_folder import NO_TRADES, TradeRows
from basis_strategy_v1.report.summary import Summary, label, percent, rounded, total
from basis_strategy_v1.report.tables import attribution_table, entries_table, facts, rows_table
from basis_strategy_v1.report.trades_table import trades_section

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from basis_strategy_v1.report.risk_panels import Columns
    from basis_strategy_v1.report.run_folder import Events, ReportedRun

MOST_LIQUIDATIONS = 5
MOST_LETTERS = 12  # of a figure that fits its tile in large type
_LISTED_AT_ONCE = 300
_JSON_IN_HTML = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


class Section(NamedTuple):
    id: str
    title: str
    body: str


def page_of(run: ReportedRun, costs: Sequence[Mapping[str, str]] = (), risk: Columns | None = None, trades: TradeRows = NO_TRADES) -> str:
    """The whole page of a run; `costs` are the rows of its section on assumed costs, `risk` the columns of its risk.csv, `trades` the rows
    of its trades.csv."""
    figures = figures_of(run, risk or {})
    boxes = {**_boxes(figures, run.curve.stale), "trades": trades_section(trades)}
    if trades.rows:
        figures = {**figures, "trades": {"columns": trades.columns, "rows": trades.rows, "places": run.summary.places}}
    sections = [section for section in _sections(run, boxes, costs) if section.body]
    main = f"{_header(run, sections)}<main>{''.join(map(_rendered, sections))}</main>"
    return document(f"{_title(run)} · {run.summary.run_id}", main, figures)


def document(title: str, main: str, figures: Mapping[str, Any]) -> str:
    """A page: its title, what is between `<body>` and the scripts, and its figures."""
    from plotly.offline import get_plotlyjs

    scripts = [get_plotlyjs(), _asset("page.js")]
    data = f'<script type="application/json" id="run-data">{_json(figures)}</script>'
    body = "".join((main, data, *(f"<script>{script}</script>" for script in scripts)))
    return f'<!doctype html>\n<html lang="en">\n<head>{_head(title, scripts)}</head>\n<body>{body}</body>\n</html>\n'


def _head(title: str, scripts: list[str]) -> str:
    """Only these two scripts run, and nothing is fetched, whatever the run's files hold."""
    allowed = " ".join(f"'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" for script in scripts)
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    return (
        f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">'
        f"<title>{escape(title)}</title>"
        f'<link rel="icon" href="data:,"><style>{_source_colours()}{_asset("page.css")}</style>'
    )


def _source_colours() -> str:
    """The colours of the sources as variables of the stylesheet, for light paper and for dark."""
    light, dark = ("".join(f"{row.variable}:{row.colour[shade]};" for row in SOURCES.values()) for shade in range(2))
    return f":root{{{light}}}@media screen and (prefers-color-scheme: dark){{:root:not([data-printing]){{{dark}}}}}"


def _header(run: ReportedRun, sections: list[Section]) -> str:
    summary = run.summary
    links = "".join(f'<a href="#{section.id}">{section.title}</a>' for section in sections)
    facts_of_run = facts(
        (
            ("Run", summary.run_id),
            ("Strategy", run.strategy_file),
            ("Share class", summary.share_class),
            ("From", summary.start),
            ("To", summary.end),
            ("Steps", f"{run.curve.rows:,}" if run.curve.rows else ""),
            ("Currency", summary.currency),
        )
    )
    return f"<header><h1>{escape(_title(run))}</h1>{facts_of_run}{_banner(summary)}</header><nav>{links}</nav>"


def _banner(summary: Summary) -> str:
    data = summary.data
    text = {
        True: "Made by a generator from a seed: nothing here was ever traded, and the result says nothing about a market.",
        False: "Taken as recorded prices, rates and indices; whether they are cannot be known here.",
        None: "The run does not say whether its data were recorded or generated.",
    }[data.generated]
    kind = {True: "generated", False: "real", None: "unstated"}[data.generated]
    extent = ", ".join(
        filter(None, (f"Folder or file: {data.place}" if data.place else "", f"{len(data.series):,} series" if data.series else ""))
    )
    heading = " ".join(filter(None, (data.verdict, "DATA", data.remark)))
    return f'<p class="banner {kind}" role="note"><strong>{heading}</strong> <span>{escape(text)} {escape(extent)}</span></p>'


def _title(run: ReportedRun) -> str:
    """A strategy of a user's own is named by its file."""
    mode = run.summary.strategy_mode
    return label(run.strategy_file.removesuffix(".py") if mode == "custom" and run.strategy_file else mode or "run")


def _sections(run: ReportedRun, boxes: dict[str, str], costs: Sequence[Mapping[str, str]]) -> list[Section]:
    """In reading order; one without a body is left out."""
    summary, events = run.summary, run.events
    return [
        Section("summary", "Summary", _key_figures(summary) + _warnings(run)),
        Section("strategies", "Strategies", _strategies(summary)),
        Section("equity", "Equity", boxes.get("equity", "") + boxes.get("drawdown", "") + _drawn_note(run)),
        Section("metrics", "Metrics", metrics_section(summary)),
        Section("attribution", "Attribution", _attribution(run, boxes)),
        Section("reasons", "Reasons", _reasons(summary)),
        Section("risk", "Risk", boxes.get("risk", "")),
        Section("positions", "Positions", boxes.get("positions", "")),
        Section("funding", "Funding", _funding(events, boxes)),
        Section("trades", "Trades", boxes["trades"]),
        Section("executions", "Executions", _entries(events, "execution")),
        Section("settlements", "Settlements", _entries(events, "settlement") if events.counts["settlement"] else ""),
        Section("expected", "Expected and executed", _expected(summary)),
        Section("skipped", "Skipped", rows_table(summary.skipped) if summary.skipped else ""),
        Section("missing-funding", "Missing funding", _missing_funding(summary)),
        Section("assumptions", "Assumptions", rows_table(summary.assumptions) if summary.assumptions else ""),
        Section("assumed-costs", "Assumed costs", _assumed_costs(costs)),
        Section("data", "Data", _series(summary)),
        Section("config", "Config", f'<pre class="config">{escape(run.config)}</pre>' if run.config else ""),
    ]


def _key_figures(summary: Summary) -> str:
    places, currency = summary.places, f" {summary.currency}"
    at_market = summary.final_equity_at_market
    cards = [
        _card("Final equity", rounded(summary.final_equity, places), f"of {rounded(summary.initial_equity, places)}{currency}"),
        _card("Profit and loss", rounded(summary.pnl, places), f"{percent(summary.return_fraction)} of initial equity", _tone(summary)),
        _card("Annualised return", percent(summary.annualised_return), summary.too_short or "CAGR, 365-day year"),
        _card("Maximum drawdown", percent(summary.max_drawdown), "every time step, from the initial equity on"),
        _card(
            "Costs",
            rounded(_costs(summary), places),
            ", ".join(f"{name} {rounded(amount, places)}" for name, amount in _paid(summary)) or "none",
        ),
        *(() if at_market in (None, summary.final_equity) else (_at_market_card(summary, at_market),)),
        _card("Instructions", _count(summary.instructions_routed), f"{_count(summary.instructions_failed)} failed"),
    ]
    return f'<div class="cards">{"".join(cards)}</div>'


def _at_market_card(summary: Summary, at_market: Decimal) -> str:
    return _card("Equity at market", rounded(at_market, summary.places), "staked tokens at their market price")


def _card(name: str, value: str, note: str, tone: str = "") -> str:
    size = "long" if len(value) > MOST_LETTERS else ""
    figure = f'<p class="value {tone} {size}">{escape(value)}</p>'
    return f'<div class="card"><h3>{escape(name)}</h3>{figure}<p class="note">{escape(note)}</p></div>'


def _tone(summary: Summary) -> str:
    return "loss" if summary.pnl < 0 else "gain" if summary.pnl > 0 else ""


def _paid(summary: Summary) -> list[tuple[str, Any]]:
    return [(source, summary.attribution[source]) for source in names_of(COST) if summary.attribution.get(source)]


def _costs(summary: Summary) -> Any:
    return total(amount for _, amount in _paid(summary))


def _count(number: int | None) -> str:
    return "n/a" if number is None else f"{number:,}"


def _warnings(run: ReportedRun) -> str:
    places = run.summary.exact_places()
    unexplained, unbridged = run.summary.residuals()
    found = []
    if unexplained:
        found.append(f"The sources of the attribution do not add up to the profit and loss: {rounded(unexplained, places)} is unexplained.")
    if unbridged:
        found.append(f"Initial equity and profit and loss do not add up to the final equity: {rounded(unbridged, places)} is left.")
    failed = run.summary.instructions_failed
    if failed:
        found.append(f"{counted(failed, 'instruction')} failed; see the errors in events.csv.")
    found += [f"L{str(liquidation)[1:]}." for liquidation in run.summary.liquidations[:MOST_LIQUIDATIONS]]
    if (more := len(run.summary.liquidations) - MOST_LIQUIDATIONS) > 0:
        found.append(f"{counted(more, 'more liquidation')}, listed among the settlements.")
    if run.summary.left_open:
        found.append(f"Still held at the end, though the run was to close it: {'; '.join(map(str, run.summary.left_open))}.")
    if any(held.takes_time for held in run.summary.left_open):
        found[-1] += " A queue or a transfer takes longer than the last step: begin to leave earlier (leave_at)."
    return "".join(f'<p class="warning" role="alert">{escape(text)}</p>' for text in found)


def _attribution(run: ReportedRun, boxes: dict[str, str]) -> str:
    closes = not any(run.summary.residuals())
    note = (
        '<p class="note">The sources add up to the profit and loss, and it to the change of equity, to the last digit shown.</p>'
        if closes
        else ""
    )
    choice = (
        _price_choice()
        if set(PRICES) <= {*moving_sources(run.curve), *(name for name, amount in run.summary.attribution.items() if amount)}
        else ""
    )
    side = f'<div class="columns">{attribution_table(run.summary)}{boxes.get("waterfall", "")}</div>'
    return f"{choice}{boxes.get('attribution', '')}{side}{note}"


def _price_choice() -> str:
    options = (("netted", "netted", " checked"), ("apart", "apart", ""))
    inputs = "".join(
        f'<label><input type="radio" name="prices" value="{value}"{checked}> {text}</label>' for value, text, checked in options
    )
    return f'<fieldset class="choice"><legend>Spot and perp price in the figures</legend>{inputs}</fieldset>'


def _drawn_note(run: ReportedRun) -> str:
    rows, points = run.curve.rows, len(run.curve.times)
    if not rows:
        return '<p class="note">The run wrote no equity.csv.</p>'
    if points == rows:
        drawn = f"All {rows:,} steps are" if rows > 1 else "The only step is"
        return f'<p class="note">{drawn} drawn. Times are UTC.</p>'
    counted_steps = "all steps but those on stale prices" if run.curve.stale else "all steps"
    return (
        f'<p class="note">{points:,} of {rows:,} steps are drawn: the first, the last, and the lowest and the highest drawdown of '
        f"each stretch of time, so the deepest drawdown is among them. Drawdown is measured over {counted_steps}; equity.csv has them all. "
        "Times are UTC.</p>"
    )


def _funding(events: Events, boxes: dict[str, str]) -> str:
    if not events.funding:
        return ""
    tokens = sorted({payment.token for payment in events.funding})
    sums = [(token, total(payment.amount for payment in events.funding if payment.token == token)) for token in tokens]
    text = "; ".join(f"{rounded(amount, 2)} {token}" for token, amount in sums)
    payments = counted(len(events.funding), "payment")
    nothing = events.settled_at_nothing["funding"]
    others = f" At {counted(nothing, 'more settlement')} the rate was 0, and nothing was paid." if nothing else ""
    return f'{boxes["funding"]}<p class="note">{payments}, {escape(text)} in all. Positive: received.{others}</p>'


def _entries(events: Events, event_type: str) -> str:
    count = events.counts[event_type]
    if not count:
        return f'<p class="note">No {event_type} took place.</p>'
    kinds = ", ".join(f"{escape(kind)} {number:,}" for kind, number in sorted(events.settled.items())) if event_type == "settlement" else ""
    opened = " open" if count <= _LISTED_AT_ONCE else ""
    title = f"{counted(count, event_type)}{': ' if kinds else ''}{kinds}"
    return f"<details{opened}><summary>{title}</summary>{entries_table(events.entries[event_type], count)}</details>"


def _strategies(summary: Summary) -> str:
    """Of a portfolio: what each strategy made of its share; they add up to the whole."""
    moving = [source for source, amount in summary.attribution.items() if amount]
    rows = [
        {
            "strategy": part.name,
            "mode": part.strategy_mode,
            "initial equity": rounded(part.initial_equity, summary.places),
            "P&L": rounded(part.pnl, summary.places),
            "return": percent(part.pnl / part.initial_equity if part.initial_equity else None),
            "maximum drawdown": percent(part.max_drawdown),
            **{label(source): rounded(part.attribution.get(source, Decimal(0)), summary.places) for source in moving},
        }
        for part in summary.strategies
    ]
    return rows_table(rows, "summary.json") if rows else ""


def _reasons(summary: Summary) -> str:
    """What each rule traded and made, and why there was no trade."""
    lines = f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in summary.waiting)}</ul>" if summary.waiting else ""
    if not summary.by_reason:
        return lines
    places = summary.places
    rows = [
        {
            "rule": row["reason"],
            "orders": f"{row['orders']:,}",
            **{title: rounded(Decimal(row[name]), places) for title, name in (("notional", "notional"), ("fee", "fee"), ("P&L", "pnl"))},
        }
        for row in summary.by_reason
    ]
    note = "P&L: what the equity changed by from before the orders of a rule until before the next orders."
    return f'{lines}<p class="note">{note}</p>{rows_table(rows, "summary.json")}'


def _expected(summary: Summary) -> str:
    """Of a live run: what its orders were simulated to move, and what moved."""
    if not summary.expected_and_executed:
        return ""
    rows = [
        {"venue": row.venue, "token": row.token, "expected": plain(row.expected), "executed": plain(row.executed),
         "difference": plain(row.difference)}
        for row in summary.expected_and_executed
    ]  # fmt: skip
    note = "The sum over all orders: what was simulated before each was sent, and what the venue reported."
    return f'<p class="note">{note} expected.csv has each order.</p>{rows_table(rows)}'


def _missing_funding(summary: Summary) -> str:
    if not summary.missing_funding:
        return ""
    return f'<p class="note">No rate was known for these payments; they were taken as 0.</p>{rows_table(summary.missing_funding)}'


def _assumed_costs(costs: Sequence[Mapping[str, str]]) -> str:
    note = "What the venues of this run charge and allow: the config's own figures, else the public ones. Every fill pays the taker fee."
    return f'<p class="note">{note}</p>{rows_table(map(dict, costs), "config.yaml")}' if costs else ""


def _series(summary: Summary) -> str:
    series = summary.data.series
    rows = (
        [{"series": name, **(row if isinstance(row, dict) else {"": row})} for name, row in series.items()]
        if isinstance(series, dict)
        else series
    )
    return rows_table(rows) if rows else ""


def _boxes(figures: dict[str, Any], stale: int) -> dict[str, str]:
    """figure name -> its place on the page, as high as it will be, so that nothing jumps when it is drawn."""
    names = {figure["id"].removeprefix("figure-"): figure for figure in figures["figures"]}
    fresh = {"drawdown": f"{_CAPTIONS['drawdown']}, without the {counted(stale, 'step')} on stale prices"} if stale else {}
    captions = {**_CAPTIONS, **fresh}
    return {
        name: f"<figure><figcaption>{captions[name]}</figcaption>"
        f'<div class="plot" id="{figure["id"]}" style="height:{figure["height"]}px"></div></figure>'
        for name, figure in names.items()
    }


_CAPTIONS = {
    "equity": "Equity; dotted: initial equity",
    "drawdown": "Drawdown from the highest equity so far, at first the initial equity",
    "attribution": "Where the profit and loss came from, cumulative: gains above zero, losses below, the line is their sum",
    "waterfall": "From zero to the profit and loss",
    "risk": (
        "Exposures in the run's currency; leverage, margin, loan to value and health as the venues count them; "
        "our own funding is a fraction of the whole equity"
    ),
    "positions": "Positions in token units, by venue",
    "funding": "Funding received (above zero) and paid, in the settlement token",
}


def _rendered(section: Section) -> str:
    return f'<section id="{section.id}"><h2>{section.title}</h2>{section.body}</section>\n'


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode().translate(_JSON_IN_HTML)


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
