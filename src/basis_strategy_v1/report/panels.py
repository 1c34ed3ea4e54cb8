"""The figures that are panels one above the other: positions by token, funding by payment and in sum."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.report.drawing import SAME_LEFT, Figure, drawn, palette, plain_text, short_time
from basis_strategy_v1.report.thinning import thin

if TYPE_CHECKING:
    from basis_strategy_v1.report.run_folder import PaymentRow, PositionSeries

_PANEL_PX = 132


def positions_figure(holdings: list[PositionSeries]) -> list[Figure]:
    tokens = sorted({holding.token for holding in holdings})
    if not tokens:
        return []
    venues = sorted({holding.venue for holding in holdings})
    colors = {venue: palette(index) for index, venue in enumerate(venues)}
    named: set[str] = set()
    traces = [_holding_line(holding, tokens.index(holding.token), colors[holding.venue], named) for holding in holdings]
    titles = [panel_title(token, row, len(tokens)) for row, token in enumerate(tokens)]
    layout = {**panels([1.0] * len(tokens)), "annotations": titles, "showlegend": True, "margin": SAME_LEFT}
    return [{"id": "figure-positions", "height": 90 + _PANEL_PX * len(tokens), "traces": traces, "layout": layout}]


def _holding_line(holding: PositionSeries, row: int, color: str, named: set[str]) -> dict[str, Any]:
    first = holding.venue not in named
    named.add(holding.venue)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": plain_text(holding.venue),
        "legendgroup": plain_text(holding.venue),
        "showlegend": first,
        "x": [short_time(time) for time in holding.times],
        "y": drawn(holding.amounts),
        "yaxis": axis_name("y", row),
        "line": {"shape": "hv", "width": 1.5, "color": color},
        "hovertemplate": f"%{{y:,.6~f}} {plain_text(holding.token.replace('%', ''))}",
    }


def panel_title(token: str, row: int, rows: int) -> dict[str, Any]:
    top = _domains([1.0] * rows)[row][1]
    return {
        "text": plain_text(token),
        "xref": "paper",
        "yref": "paper",
        "x": 0,
        "y": top,
        "xanchor": "left",
        "yanchor": "bottom",
        "showarrow": False,
    }


def funding_figure(payments: list[PaymentRow]) -> list[Figure]:
    """Every payment as a bar, and under it what they came to so far, by venue and token."""
    paid: dict[tuple[str, str], list[PaymentRow]] = defaultdict(list)
    for payment in payments:
        paid[payment.venue, payment.token].append(payment)
    traces = [trace for index, key in enumerate(sorted(paid)) for trace in _paid(f"{key[0]} {key[1]}", paid[key], palette(index))]
    if not traces:
        return []
    axes = panels([1.0, 1.2])
    titles = [panel_title("Each payment", 0, 2), panel_title("So far", 1, 2)]
    for title, (_, top) in zip(titles, _domains([1.0, 1.2]), strict=True):
        title["y"] = top
    return [
        {
            "id": "figure-funding",
            "height": 380,
            "traces": traces,
            "layout": {**axes, "annotations": titles, "barmode": "relative", "bargap": 0, "margin": SAME_LEFT},
        }
    ]


def _paid(name: str, payments: list[PaymentRow], color: str) -> list[dict[str, Any]]:
    amounts = [float(payment.amount) for payment in payments]
    kept = thin(amounts)
    sums = _running(payments)
    times = [short_time(payments[index].timestamp) for index in kept]
    shared = {"legendgroup": plain_text(name), "x": times, "hovertemplate": "%{y:,.6~f}"}
    bars = {
        "type": "bar",
        "name": plain_text(name),
        "y": drawn([amounts[index] for index in kept]),
        "marker": {"color": color, "line": {"width": 0}},
    }
    path = {"type": "scatter", "mode": "lines", "yaxis": "y2", "line": {"shape": "hv", "width": 1.5, "color": color}, "showlegend": False}
    return [
        {**shared, **bars, "showlegend": True},
        {**shared, **path, "name": plain_text(f"{name} so far"), "y": drawn([sums[index] for index in kept])},
    ]


def _running(payments: list[PaymentRow]) -> list[float]:
    sums = []
    so_far = Decimal(0)
    for payment in payments:
        so_far += payment.amount
        sums.append(float(so_far))
    return sums


def panels(heights: list[float]) -> dict[str, Any]:
    """Axes for panels one above the other over one time axis, the first on top."""
    domains = _domains(heights)
    axes: dict[str, Any] = {
        axis_name("yaxis", row): {"domain": list(domain), "nticks": 4, "tickformat": ",", "rangemode": "tozero"}
        for row, domain in enumerate(domains)
    }
    return {**axes, "xaxis": {"type": "date", "anchor": axis_name("y", len(heights) - 1)}, "hoversubplots": "axis"}


def _domains(heights: list[float]) -> list[tuple[float, float]]:
    gap = 0.26 / len(heights)
    scale = (1 - gap * (len(heights) - 1) - gap / 2) / sum(heights)
    top = 1 - gap / 2
    found = []
    for height in heights:
        bottom = max(0.0, top - height * scale)
        found.append((round(bottom, 6), round(top, 6)))
        top = bottom - gap
    return found


def axis_name(letter: str, row: int) -> str:
    return letter if row == 0 else f"{letter}{row + 1}"
