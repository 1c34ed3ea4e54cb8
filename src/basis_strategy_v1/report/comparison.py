"""A page on several runs: their equity over each other, and a table of what differs."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.report.drawing import SAME_LEFT, drawn, palette, plain_text, short_time
from basis_strategy_v1.report.page import document
from basis_strategy_v1.report.report import write_page
from basis_strategy_v1.report.run_folder import read_run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HEIGHT_PX = 420


def write_comparison(folders: Sequence[Path], names: Sequence[str], table: str, path: Path) -> Path:
    """Write the page of some runs, as they are called, and a table of text; its path.

    Raises:
        ComponentError: RES-001, a run cannot be read, or the page cannot be written.
    """
    runs = [read_run(folder) for folder in folders]
    series: dict[str, list[Any]] = {}
    traces = []
    for number, (run, name) in enumerate(zip(runs, names, strict=True)):
        initial = float(run.summary.initial_equity)
        series[f"times {number}"] = [short_time(time) for time in run.curve.times]
        series[f"grown {number}"] = drawn([equity / initial - 1 for equity in run.curve.equity]) if initial else []
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": plain_text(name),
                "x": {"of": f"times {number}"},
                "y": {"of": f"grown {number}"},
                "line": {"width": 1.5, "color": palette(number)},
                "hovertemplate": "%{y:.3%}",
            }
        )
    layout = {"xaxis": {"type": "date"}, "yaxis": {"tickformat": ".2~%", "title": {"text": "Return"}}, "margin": SAME_LEFT}
    figure = {"id": "figure-equity", "height": HEIGHT_PX, "traces": traces, "layout": layout, "linked": True}
    place = f'<div class="plot" id="figure-equity" style="height:{HEIGHT_PX}px"></div>'
    main = (
        f"<header><h1>{escape(' and '.join(names))}</h1></header><main>"
        f'<section id="equity"><h2>Equity</h2><figure><figcaption>Return since the start of each run; times are UTC</figcaption>{place}'
        f'</figure></section><section id="table"><h2>What differs</h2><pre class="config">{escape(table)}</pre></section></main>'
    )
    return write_page(path, document(f"Comparison of {len(runs)} runs", main, {"series": series, "figures": [figure]}))
