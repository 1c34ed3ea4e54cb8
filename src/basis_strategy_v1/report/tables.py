"""The tables of the page. Every text from the run is escaped here; an amount that is rounded has its exact text as a title."""

from __future__ import annotations

import re
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING, Any

import msgspec

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.report.run_folder import MOST_ENTRIES, ExecutionRow, deltas_of
from basis_strategy_v1.report.summary import Summary, label, readable, rounded, signed, total

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_TITLE_FIELDS = ("kind", "instruction_type", "protocol", "trade_type", "action", "side", "symbol", "token")
_OWN_COLUMN = frozenset({*_TITLE_FIELDS, "deltas", "costs", "venue", "reference", "key", "instruction_id", "steps"})
_STEP = re.compile(r"step_([0-9]+)")
_WITHIN_A_LOAN = re.compile(r" ?[(),] ?")
_CODE = re.compile(r"`([^`]+)`")
_AMOUNT = re.compile(r"-?[0-9,]+(\.[0-9]+)?%?")
_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")


def attribution_table(summary: Summary) -> str:
    """Source by source, group by group, to the profit and from the first to the last equity: all exact."""
    places = summary.exact_places()
    bodies = [_group(name, sources, summary, places) for name, sources in summary.groups().items()]
    sums = [("Profit and loss", summary.pnl), ("Initial equity", summary.initial_equity), ("Final equity", summary.final_equity)]
    foot = "".join(_line("th", name, amount, summary, places, "sum" if name == "Profit and loss" else "bridge") for name, amount in sums)
    head = f'<tr><th>Source</th><th class="n">{escape(summary.currency or "Amount")}</th><th class="n bps">bps of initial equity</th></tr>'
    return f'<div class="wide"><table class="attribution"><thead>{head}</thead>{"".join(bodies)}<tfoot>{foot}</tfoot></table></div>'


def _group(name: str, sources: Mapping[str, Decimal], summary: Summary, places: int) -> str:
    rows = "".join(_line("td", label(source), amount, summary, places, "" if amount else "zero") for source, amount in sources.items())
    subtotal = _line("th", name, total(sources.values()), summary, places, "subtotal")
    return f"<tbody>{rows}{subtotal}</tbody>"


def _line(cell: str, name: str, amount: Decimal, summary: Summary, places: int, kind: str) -> str:
    bps = rounded(amount / summary.initial_equity * 10_000, 2) if summary.initial_equity and kind != "bridge" else ""
    shown = f'<td class="n">{exact(amount, places, summary.places)}</td><td class="n bps">{bps}</td>'
    return f'<tr class="{kind}"><{cell} scope="row">{escape(name)}</{cell}>{shown}</tr>'


def exact(amount: Decimal, places: int, plainly: int) -> str:
    """Rounded to `plainly` decimals, as everywhere on the page; every digit that there is in its title."""
    text, whole = rounded(amount, plainly), rounded(amount, places)
    return text if whole == text else f'<span title="{whole}">{text}</span>'


def entries_table(entries: list[ExecutionRow], count: int, where: str = "events.csv") -> str:
    """Executions or settlements: when, where, what, what it moved, what it cost."""
    head = '<tr><th>Time, UTC</th><th>Venue</th><th>What</th><th class="n">Deltas</th><th class="n">Costs</th><th>Reference</th></tr>'
    rows = "".join(map(_entry_row, entries))
    return _scrolled("entries", head, rows) + _more(count - len(entries), where)


def _entry_row(entry: ExecutionRow) -> str:
    data = entry.data
    venue = str(data.get("venue") or "")
    what = " ".join(str(data[field]) for field in _TITLE_FIELDS if data.get(field))
    moved = "".join(_moved(place, token, amount, venue) for place, token, amount in deltas_of(data))
    costs = "".join(_cost(cost) for cost in data.get("costs") or ())
    return (
        f'<tr><td class="t">{escape(entry.timestamp)}</td><td>{escape(venue)}</td><td>{escape(what)}{_details(data)}</td>'
        f'<td class="n">{moved}</td><td class="n">{costs}</td><td class="ref">{_references(data)}</td></tr>'
    )


def _moved(place: str, token: str, amount: Decimal, venue: str) -> str:
    elsewhere = f" <small>{escape(place)}</small>" if place != venue else ""
    return f"<div{_title(amount)}>{signed(readable(amount))} <b>{escape(token)}</b>{elsewhere}</div>"


def _title(amount: Decimal) -> str:
    """The exact amount, for where the one that is shown is rounded."""
    return "" if readable(amount) == amount else f' title="{signed(amount)}"'


def _cost(cost: Any) -> str:
    if not isinstance(cost, dict):
        return f"<div>{escape(shown(cost))}</div>"
    source, token, amount = label(str(cost.get("source", ""))), str(cost.get("token", "")), cost.get("amount")
    found = None if amount is None else Decimal(str(amount))
    text, title = ("", "") if found is None else (signed(readable(found)).removeprefix("+"), _title(found))
    return f"<div{title}><small>{escape(source)}</small> {escape(text)} <b>{escape(token)}</b></div>"


def _details(data: Mapping[str, Any]) -> str:
    """What has no column of its own; of a chain, each step on a line with its details."""
    inner = data.get("details")
    opened = {**data, "details": None, **inner} if isinstance(inner, dict) else dict(data)
    steps = opened.get("steps")
    lines = {str(index): str(step) for index, step in enumerate(steps)} if isinstance(steps, list) else {}
    is_flat = not any("(" in line for line in lines.values())  # within a loan the steps are counted again
    for name in list(opened):
        if (step := _STEP.fullmatch(name)) and isinstance(message := opened.pop(name), dict):
            which = step[1] if is_flat else name
            lines[which] = f"{lines.get(which, label(name))}: {_details_of(message)}"
    rest = _details_of({name: value for name, value in opened.items() if name not in _OWN_COLUMN})
    return "".join(f"<small>{escape(part)}</small>" for line in (*lines.values(), rest) if line for part in _line_by_line(line, steps))


def _line_by_line(line: str, steps: Any) -> Iterator[str]:
    """A step on a line, and each step within a loan on one of its own after it."""
    loan, *within = [part for part in _WITHIN_A_LOAN.split(line) if part] if isinstance(steps, list) and line in steps else [line]
    yield loan
    yield from (f"\u00b7 {step}" for step in within)


def _details_of(values: Mapping[str, Any]) -> str:
    return "; ".join(f"{label(name)} {_plainly(value)}" for name, value in values.items() if value not in (None, "", [], {}, False))


def _plainly(value: Any) -> str:
    text = shown(value)
    return plain(readable(Decimal(text))) if _NUMBER.fullmatch(text) else text


def _references(data: Mapping[str, Any]) -> str:
    found = dict.fromkeys(str(data[field]) for field in ("instruction_id", "key", "reference") if data.get(field))
    return "".join(f"<div>{escape(text)}</div>" for text in found)


def rows_table(rows: Iterable[Any], where: str = "summary.json") -> str:
    """A list from the summary: a table where its items are dicts, else a list of texts."""
    items = list(rows)
    shown_items = items[:MOST_ENTRIES]
    if not all(isinstance(item, dict) for item in items):
        return (
            f"<ul>{''.join(f'<li>{_marked(shown(item))}</li>' for item in shown_items)}</ul>{_more(len(items) - len(shown_items), where)}"
        )
    names = list(dict.fromkeys(name for item in shown_items for name in item))
    cells = [[shown(item.get(name)) for name in names] for item in shown_items]
    kinds = [' class="n"' if all(_AMOUNT.fullmatch(text) for text in column) else "" for column in zip(*cells, strict=True)]
    head = "".join(f"<th{kind}>{escape(label(name))}</th>" for name, kind in zip(names, kinds, strict=True))
    rows = ("".join(f"<td{kind}>{escape(text)}</td>" for text, kind in zip(row, kinds, strict=True)) for row in cells)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return _scrolled("rows", f"<tr>{head}</tr>", body) + _more(len(items) - len(shown_items), where)


def _marked(text: str) -> str:
    """A sentence in which backticks mark code."""
    return _CODE.sub(r"<code>\1</code>", escape(text))


def _scrolled(kind: str, head: str, body: str) -> str:
    return f'<div class="wide tall"><table class="{kind}"><thead>{head}</thead><tbody>{body}</tbody></table></div>'


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Names and values; those without a value are left out."""
    return f"<dl>{''.join(f'<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>' for name, value in pairs if value)}</dl>"


def shown(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _more(count: int, where: str) -> str:
    return f'<p class="note">{count:,} more, not shown here: {escape(where)} has them all.</p>' if count > 0 else ""
