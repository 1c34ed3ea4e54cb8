"""Why a run traded, and what it made of it; and why it did not."""

from __future__ import annotations

from bisect import bisect_left
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.clock import to_instant
from basis_strategy_v1.results.attribution import units_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from decimal import Decimal

    from basis_strategy_v1.results.fills import TradeRow

UNNAMED = "no reason given"


def rule_of(fill: TradeRow) -> str:
    """The rule that an order came from: what its reason has after the last colon; of a user's block its tag."""
    return fill.reason.rpartition(": ")[2] or fill.tag or UNNAMED


def by_reason(fills: Sequence[TradeRow], initial: int, instants: Sequence[int], equities: Sequence[int]) -> list[dict[str, Any]]:
    """A row for each rule, in the order of their first orders: `reason`, `orders`, `notional`, `fee`, and `pnl`: what the equity changed by
    from before its orders until before the next orders. All of them, and what came before the first order, add up to the profit."""
    rows: dict[str, list[int]] = {}
    plans: list[tuple[int, str]] = []
    for fill in fills:
        rule, at = rule_of(fill), to_instant(datetime.fromisoformat(fill.timestamp))
        row = rows.setdefault(rule, [0, 0, 0, 0])
        row[0] += 1
        row[1] += fill.notional
        row[2] += fill.fee
        if not plans or plans[-1][0] != at:
            plans.append((at, rule))
    before = [_before(at, initial, instants, equities) for at, _ in plans]
    ends = [*before[1:], equities[len(instants) - 1] if instants else initial]
    for (_, rule), start, end in zip(plans, before, ends[: len(plans)], strict=True):
        rows[rule][3] += end - start
    return [
        {"reason": rule, "orders": orders, "notional": units_text(notional), "fee": units_text(fee), "pnl": units_text(pnl)}
        for rule, (orders, notional, fee, pnl) in rows.items()
    ]


def _before(at: int, initial: int, instants: Sequence[int], equities: Sequence[int]) -> int:
    place = bisect_left(instants, at)
    return equities[place - 1] if place else initial


class Waited(NamedTuple):
    """What a strategy said at one look: the condition, the value that it looks at, and its bound."""

    condition: str
    value: Decimal | None
    bound: Decimal | None


def waited(looks: Iterable[Waited], of: int) -> list[dict[str, Any]]:
    """A row for each condition that was not met: `condition`, at how many of the looks (`times`, `of`), its bound, and how near it came."""
    found: dict[str, list[Waited]] = {}
    for look in looks:
        found.setdefault(look.condition, []).append(look)
    return [_row(condition, rows, of) for condition, rows in sorted(found.items(), key=lambda item: -len(item[1]))]


def _row(condition: str, rows: list[Waited], of: int) -> dict[str, Any]:
    known = [(abs(row.bound - row.value), row) for row in rows if row.value is not None and row.bound is not None]
    row: dict[str, Any] = {"condition": condition, "times": len(rows), "of": of}
    if known:
        _, nearest = min(known, key=lambda pair: pair[0])
        assert nearest.value is not None and nearest.bound is not None
        row |= {"bound": plain(nearest.bound), "nearest": plain(round(nearest.value, 12))}
    return row
