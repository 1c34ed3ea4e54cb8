"""The figures, as plain dicts in plotly's JSON form.

A colour that begins with `--` is a variable of the stylesheet, a data value `{"of": name}` a shared series; `page.js` puts both in,
so that a figure follows the reader's light or dark theme and a series is in the page once.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.attribution_sources import PRICES, SOURCES
from basis_strategy_v1.report.drawing import SAME_LEFT, Figure, drawn, plain_text, short_time
from basis_strategy_v1.report.panels import funding_figure, positions_figure
from basis_strategy_v1.report.risk_panels import Columns, risk_figure
from basis_strategy_v1.report.summary import Summary, label, rounded, total

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from basis_strategy_v1.report.run_folder import Curve, ReportedRun

NETTED = "basis"
_BAR_PX = 30


def figures_of(run: ReportedRun, risk: Columns) -> dict[str, Any]:
    """`series` (name -> values) and `figures` (id, height, traces, layout), only those that have something to show."""
    series = _shared_series(run.curve, float(run.summary.initial_equity))
    figures = [
        *_curve_figures(run),
        *_waterfall_figure(run.summary),
        *risk_figure(risk),
        *positions_figure(run.holdings),
        *funding_figure(run.events.funding),
    ]
    return {"series": series, "figures": figures}


def can_net(sources: Iterable[str]) -> bool:
    """Whether spot and perp price can be shown as one."""
    return set(PRICES) <= set(sources)


def moving_sources(curve: Curve) -> list[str]:
    return [source for source, amounts in curve.sources.items() if any(amounts)]


def _shared_series(curve: Curve, initial_equity: float) -> dict[str, list[Any]]:
    if not curve.times:
        return {}
    sources = {f"source {source}": _amounts_of(source, curve) for source in _by_view(moving_sources(curve))}
    profit = [equity - initial_equity for equity in curve.equity]
    numbers = {"equity": curve.equity, "drawdown": curve.drawdown, "profit": profit, **sources}
    return {"times": [short_time(time) for time in curve.times], **{name: drawn(values) for name, values in numbers.items()}}


def _curve_figures(run: ReportedRun) -> list[Figure]:
    if not run.curve.times:
        return []
    return [_equity_figure(run.summary), _drawdown_figure(), _attribution_figure(run)]


def _equity_figure(summary: Summary) -> Figure:
    line = {**_line("Equity", "equity", "--accent"), "hovertemplate": _amount(summary)}
    start = float(summary.initial_equity)
    layout = {
        "shapes": [
            {
                "type": "line",
                "xref": "paper",
                "x0": 0,
                "x1": 1,
                "y0": start,
                "y1": start,
                "line": {"color": "--faint", "width": 1, "dash": "dot"},
            }
        ]
    }
    return _over_time("equity", 300, [line], {**layout, "showlegend": False, "yaxis": {"tickformat": ","}})


def _drawdown_figure() -> Figure:
    area = {**_line("Drawdown", "drawdown", "--loss"), "fill": "tozeroy", "fillcolor": "--loss-fill", "hovertemplate": "%{y:.3%}"}
    return _over_time("drawdown", 170, [area], {"showlegend": False, "yaxis": {"tickformat": ".2~%", "rangemode": "tozero", "nticks": 4}})


def _attribution_figure(run: ReportedRun) -> Figure:
    moving = moving_sources(run.curve)
    traces = [trace for source in _by_view(moving) for trace in _stacked(source, run)]
    profit = {**_line("Profit and loss", "profit", "--ink"), "hovertemplate": _amount(run.summary)}
    return _over_time("attribution", 400, [*traces, profit], {"yaxis": {"tickformat": ","}})


def _by_view(sources: Sequence[str]) -> list[str]:
    """The sources in reading order, with the two prices netted as one more where both are there."""
    known = [source for source in (NETTED, *SOURCES, *sources) if source in sources]
    return list(dict.fromkeys([*([NETTED] if can_net(sources) else []), *known]))


def _view(source: str, sources: Iterable[str]) -> str:
    """In which of the two views a source is drawn; in both where this is empty."""
    if not can_net(sources):
        return ""
    return {NETTED: "netted", **dict.fromkeys(PRICES, "apart")}.get(source, "")


def _amounts_of(source: str, curve: Curve) -> list[float]:
    if source in curve.sources:
        return curve.sources[source]
    return [spot + perp for spot, perp in zip(*(curve.sources[name] for name in PRICES), strict=True)]


def _stacked(source: str, run: ReportedRun) -> list[dict[str, Any]]:
    """The areas of a source: gains on the stack above zero, losses on the one below. One of them speaks for both on hover."""
    amounts = _amounts_of(source, run.curve)
    signs = [sign for sign in (1, -1) if any(amount * sign > 0 for amount in amounts)]
    return [_area(source, sign, first=sign == signs[0], run=run) for sign in signs]


def _area(source: str, sign: int, *, first: bool, run: ReportedRun) -> dict[str, Any]:
    hover = (
        {"hovertemplate": _amount(run.summary, "customdata"), "customdata": {"of": f"source {source}"}} if first else {"hoverinfo": "skip"}
    )
    return {
        **_line(source_label(source), f"source {source}", _source_color(source)),
        "y": {"of": f"source {source}", "sign": sign},
        "line": {"width": 0, "color": _source_color(source)},
        "stackgroup": "gains" if sign > 0 else "losses",
        "fillcolor": _source_color(source),
        "legendgroup": source,
        "showlegend": first,
        "meta": {"view": _view(source, moving_sources(run.curve))},
        **hover,
    }


def _waterfall_figure(summary: Summary) -> list[Figure]:
    moving = {source: amount for source, amount in summary.attribution.items() if amount}
    if not moving:
        return []
    if not can_net(moving):
        return [_bars([_waterfall(list(moving), moving, summary, "")], len(moving))]
    netted = {NETTED: total(moving[source] for source in PRICES), **{source: moving[source] for source in moving if source not in PRICES}}
    traces = [_waterfall(_by_view(list(amounts)), amounts, summary, view) for amounts, view in ((netted, "netted"), (moving, "apart"))]
    return [_bars(traces, len(moving))]


def _waterfall(sources: list[str], amounts: dict[str, Decimal], summary: Summary, view: str) -> dict[str, Any]:
    order = [source for source in sources if source in amounts]
    texts = [rounded(amount, summary.places) for amount in (*(amounts[source] for source in order), summary.pnl)]
    return {
        "type": "waterfall",
        "orientation": "h",
        "name": "",
        "y": [*map(source_label, order), "Profit and loss"],
        "x": [*drawn([float(amounts[source]) for source in order]), float(summary.pnl)],
        "measure": [*["relative"] * len(order), "total"],
        "text": texts,
        "textposition": "auto",
        "insidetextanchor": "end",
        "textangle": 0,
        "cliponaxis": False,
        "hovertemplate": "%{y}: %{text}",
        "increasing": {"marker": {"color": "--gain"}},
        "decreasing": {"marker": {"color": "--loss"}},
        "totals": {"marker": {"color": "--ink"}},
        "connector": {"line": {"color": "--rule", "width": 1}},
        "meta": {"view": view, "range": _reach([amounts[source] for source in order])},
    }


def _reach(amounts: list[Decimal]) -> list[float]:
    """The range of the running sum, with room for the text next to the bars."""
    ends = [Decimal(0)]
    for amount in amounts:
        ends.append(ends[-1] + amount)
    low, high = float(min(ends)), float(max(ends))
    room = (high - low) * 0.3
    return [low - room * (1 if low < 0 else 0.3), high + room]


def _bars(traces: list[dict[str, Any]], bars: int) -> Figure:
    layout = {
        "showlegend": False,
        "hovermode": "closest",
        "yaxis": {"autorange": "reversed", "automargin": True, "ticklabelstandoff": 6},
        "xaxis": {"tickformat": "~s", "nticks": 5},
    }
    return {"id": "figure-waterfall", "height": 90 + _BAR_PX * (bars + 1), "traces": traces, "layout": layout}


def _over_time(name: str, height: int, traces: list[dict[str, Any]], layout: dict[str, Any]) -> Figure:
    return {
        "id": f"figure-{name}",
        "height": height,
        "traces": traces,
        "layout": {"xaxis": {"type": "date"}, "margin": SAME_LEFT, **layout},
        "linked": True,
    }


def _line(name: str, series: str, color: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": plain_text(name),
        "x": {"of": "times"},
        "y": {"of": series},
        "line": {"width": 1.5, "color": color},
    }


def _amount(summary: Summary, value: str = "y") -> str:
    return f"%{{{value}:,.{summary.places}f}}"


def _source_color(source: str) -> str:
    if source == NETTED:
        return "--basis"
    return SOURCES[source].variable if source in SOURCES else "--faint"


def source_label(source: str) -> str:
    return "Spot and perp price" if source == NETTED else label(source)
