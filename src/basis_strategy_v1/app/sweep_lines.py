"""What a sweep prints at its end: a table of its rows, and where two keys are swept a map of the Sharpe ratio."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.app.runs import aligned
from basis_strategy_v1.app.sweep_search import TEST
from basis_strategy_v1.core.amounts import counted
from basis_strategy_v1.report.metrics import BPS, PERCENT, PLAIN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MOST_ROWS = 40
SHOWN = (("return", PERCENT), ("cagr", PERCENT), ("sharpe", PLAIN), ("max_drawdown", PERCENT), ("cost_bps_of_turnover", BPS))
SHADES = " ░▒▓█"


def sweep_lines(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> Iterator[str]:
    """The lines: the best rows by Sharpe ratio where there are many."""
    done = [row for row in rows if not row["error"]]
    best = sorted(done, key=lambda row: -(row["sharpe"] if row["sharpe"] is not None else float("-inf")))[:MOST_ROWS]
    listed = done if len(done) <= MOST_ROWS else best
    if listed:
        table = [[*keys, "return", "CAGR", "Sharpe", "drawdown", "costs"]]
        table += [[*(str(row[key]) for key in keys), *(_text(row[name], unit) for name, unit in SHOWN)] for row in listed]
        yield from aligned(table, right=set(range(len(keys) + len(SHOWN))))
    if len(done) > len(listed):
        yield f"the {len(listed)} best of {len(done):,} runs, by Sharpe ratio"
    if len(keys) == 2:
        yield from _heat_map(done, *keys)
    yield from _failures([row for row in rows if row["error"]], keys, are_all=not done)
    yield f"{counted(len(rows), 'run')}, {len(rows) - len(done):,} failed"


def walk_forward_lines(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> Iterator[str]:
    """The lines: the choice of each window and what it came to in the time after it; at the end all of these times joined."""
    tests = [row for row in rows if row["part"] == TEST]
    table = [["window", "from", "to", *keys, "return", "CAGR", "Sharpe", "drawdown", "costs"]]
    for row in tests:
        chosen = [str(row["window"]), row["start"][:10], row["end"][:10], *(str(row[key]) for key in keys)]
        table.append([*chosen, *("failed" if row["error"] else _text(row[name], unit) for name, unit in SHOWN)])
    yield from aligned(table, right=set(range(len(table[0]))))
    yield from _failures([row for row in rows if row["error"]], [*keys, "window", "part"], are_all=False)
    joined = prod(1 + (row["return"] or 0) for row in tests) - 1
    failed = sum(bool(row["error"]) for row in rows)
    yield f"{counted(len(tests), 'window')}, joined: {_text(joined, PERCENT)}; {len(rows):,} runs, {failed:,} failed"


def _failures(failed: Sequence[Mapping[str, Any]], keys: Sequence[str], *, are_all: bool) -> Iterator[str]:
    """A line for each failed run; one line where all runs failed for the same reason."""
    if are_all and len(failed) > 1 and len({row["error"] for row in failed}) == 1:
        yield f"failed: all {len(failed):,} runs: {failed[0]['error']}"
        return
    for row in failed[:MOST_ROWS]:
        yield f"failed: {', '.join(f'{key}={row[key]}' for key in keys)}: {row['error']}"


def _text(value: float | None, unit: Any) -> str:
    return "n/a" if value is None else str(unit.text(value))


def _heat_map(rows: Sequence[Mapping[str, Any]], down: str, across: str) -> Iterator[str]:
    """The Sharpe ratio by two keys; a darker shade is a higher one."""
    found = {(row[down], row[across]): row["sharpe"] for row in rows if row["sharpe"] is not None}
    heads, sides = (list(dict.fromkeys(key[place] for key in found)) for place in (1, 0))
    if len(heads) < 2 or len(sides) < 2:
        return
    low, high = min(found.values()), max(found.values())

    def cell(value: float | None) -> str:
        if value is None:
            return ""
        shade = SHADES[round((value - low) / (high - low) * (len(SHADES) - 1))] if high > low else SHADES[0]
        return f"{value:,.2f} {shade * 2}"

    yield ""
    yield f"Sharpe ratio, {down} down and {across} across:"
    table = [["", *map(str, heads)], *([str(side), *(cell(found.get((side, head))) for head in heads)] for side in sides)]
    yield from aligned(table, right=set(range(len(heads) + 1)))
    yield ""
