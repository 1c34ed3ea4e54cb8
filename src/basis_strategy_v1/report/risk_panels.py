"""Risk over time: a panel each for exposure, transit and queues, perp accounts, deltas, loans and funding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.report.drawing import SAME_LEFT, Figure, drawn, palette, plain_text, short_time
from basis_strategy_v1.report.panels import axis_name, panel_title, panels
from basis_strategy_v1.report.run_folder import moment
from basis_strategy_v1.report.thinning import thin

if TYPE_CHECKING:
    from pathlib import Path

PANEL_PX = 120
FUNDING = "_funding_apr"


class Panel(NamedTuple):
    """The columns of risk.csv that end in one of these, together; `hover` is how a value is shown."""

    title: str
    ends: tuple[str, ...]
    hover: str
    names: tuple[str, ...] = ()


PANELS = (
    Panel("Exposure", ("gross_exposure", "net_exposure"), "%{y:,.2f}", ("gross", "net")),
    Panel("In transit and in queues", ("in_transit", "queued"), "%{y:,.2f}", ("in transit", "in queues")),
    Panel("Leverage", ("_leverage",), "%{y:.3f}"),
    Panel("Margin ratio, equity / notional", ("_margin_ratio",), "%{y:.3%}"),
    Panel("Distance to liquidation", ("_liquidation_distance",), "%{y:.3%}"),
    Panel("Delta, in units of the coin", ("_delta",), "%{y:,.6f}"),
    Panel("Loan to value", ("_ltv",), "%{y:.3%}"),
    Panel("Health factor", ("_health_factor",), "%{y:.4f}"),
    Panel("Funding APR, last 24 h", (FUNDING,), "%{y:.2%}"),
)
Columns = dict[str, tuple[list[str], list[float]]]


def read_risk(path: Path) -> Columns:
    """column -> times and values of the points that are drawn; a column of nothing but zeros or empty cells is left out."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8") as lines:
        names = next(lines, "").rstrip("\n").split(",")
        rows = [cells for line in lines if line.endswith("\n") and len(cells := line.rstrip("\n").split(",")) == len(names)]
    found: Columns = {}
    for place, name in enumerate(names[1:], 1):
        known = [(row[0], float(row[place])) for row in rows if row[place]]
        if any(value for _, value in known):
            kept = thin([value for _, value in known])
            found[name] = [moment(known[index][0]) for index in kept], [known[index][1] for index in kept]
    return found


def risk_figure(columns: Columns) -> list[Figure]:
    """The figure, of the panels that have something to show."""
    shown = [(panel, names) for panel in PANELS if (names := [name for name in columns if name.endswith(panel.ends)])]
    if not shown:
        return []
    traces: list[dict[str, Any]] = []
    labels = sorted({_label(panel, name) for panel, names in shown for name in names})
    for row, (panel, names) in enumerate(shown):
        for name in names:
            label = _label(panel, name)
            times, values = columns[name]
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "name": plain_text(label),
                    "legendgroup": plain_text(label),
                    "showlegend": not any(trace["name"] == plain_text(label) for trace in traces),
                    "x": [short_time(time) for time in times],
                    "y": drawn(values),
                    "yaxis": axis_name("y", row),
                    "line": {"width": 1.5, "color": palette(labels.index(label))},
                    "hovertemplate": panel.hover,
                }
            )
    heights = [1.0] * len(shown)
    titles = [panel_title(panel.title, row, len(shown)) for row, (panel, _) in enumerate(shown)]
    layout = {**panels(heights), "annotations": titles, "showlegend": True, "margin": SAME_LEFT}
    return [{"id": "figure-risk", "height": 90 + PANEL_PX * len(shown), "traces": traces, "layout": layout}]


def _label(panel: Panel, name: str) -> str:
    """The name of a line: the account or the lender, or what of all it is."""
    end = next(end for end in panel.ends if name.endswith(end))
    if end == FUNDING:
        return name.removesuffix(end).replace("_", " ")
    return panel.names[panel.ends.index(end)] if panel.names else name.removesuffix(end)
