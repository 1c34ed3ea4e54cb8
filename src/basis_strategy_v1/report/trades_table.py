"""The trades of a run on its page: all of them as data, which the reader sorts, filters and saves."""

from __future__ import annotations

import csv
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from basis_strategy_v1.core.amounts import counted

if TYPE_CHECKING:
    from pathlib import Path

MOST_TRADES = 20_000  # on the page; the file has all


class TradeRows(NamedTuple):
    """The columns of trades.csv and its first rows as text; `fills` is how many rows the file has."""

    columns: list[str]
    rows: list[list[str]]
    fills: int


NO_TRADES = TradeRows([], [], 0)


def read_trades(path: Path) -> TradeRows:
    """The fills of a run; none where it wrote no trades.csv. A column of nothing but empty cells is left out."""
    if not path.is_file():
        return NO_TRADES
    with path.open(encoding="utf-8", newline="") as lines:
        rows = csv.reader(lines)
        columns = next(rows, [])
        kept = [row for row in islice(rows, MOST_TRADES) if len(row) == len(columns)]
        count = len(kept) + sum(1 for _ in rows)
    places = [place for place in range(len(columns)) if any(row[place] for row in kept)]
    return TradeRows([columns[place] for place in places], [[row[place] for place in places] for row in kept], count)


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
