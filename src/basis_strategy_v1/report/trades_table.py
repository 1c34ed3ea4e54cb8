"""The trades of a run on its page: all of them as data, which the reader sorts, filters and saves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from basis_strategy_v1.core.amounts import counted

if TYPE_CHECKING:
    from basis_strategy_v1.report.run_folder import TradeRows


def trades_section(trades: TradeRows) -> str:
    """What page.js fills with the rows; empty where there are none."""
    if not trades.rows:
        return ""
    first = f" The page has the first {len(trades.rows):,} of {trades.fills:,}; trades.csv has them all."
    left_out = first if trades.fills > len(trades.rows) else ""
    return (
        '<div class="tools"><label>Filter <input type="search" id="trades-filter" placeholder="bybit perp" autocomplete="off"></label>'
        '<button type="button" id="trades-save">Save as CSV</button><span class="note" id="trades-count" role="status"></span></div>'
        '<div class="wide tall"><table id="trades-table" class="rows"></table></div>'
        f'<p class="note">{counted(trades.fills, "fill")}. A click on a column sorts by it; the filter keeps rows with each of its words.'
        f" Notional and fee are in the run's currency.{left_out}</p>"
    )
