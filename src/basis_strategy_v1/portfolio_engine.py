"""Several strategies in one backtest: an engine for each, over the same time and data on accounts of its own, and their results joined."""

from __future__ import annotations

import time
from datetime import datetime
from decimal import Decimal
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from msgspec.structs import replace

from basis_strategy_v1.core.state import IN_TRANSIT
from basis_strategy_v1.engine import EventDrivenStrategyEngine, RunResult, Skipped
from basis_strategy_v1.monitoring.event_line import parse_line
from basis_strategy_v1.results.attribution import CURRENCIES, to_units, units_text
from basis_strategy_v1.results.funding_aprs import joined_looks
from basis_strategy_v1.results.risk_steps import RiskPoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from basis_strategy_v1.monitoring.event_memory import EventMemory

UNALLOCATED = "unallocated"  # where the capital is that no strategy has
OF_SUMMARY = (
    "strategy_mode", "initial_equity", "final_equity", "final_equity_at_market", "pnl", "attribution", "max_drawdown", "annualised_return",
    "instructions_routed", "instructions_failed", "metrics", "by_reason", "waited",
)  # fmt: skip


class PartRun(NamedTuple):
    """A strategy of a portfolio: its name, its share of the capital, its engine, and where that logs."""

    name: str
    share: Decimal
    engine: EventDrivenStrategyEngine
    events: EventMemory


class PortfolioEngine(EventDrivenStrategyEngine):
    """Runs its parts one after another and records their sum. Its own accounts hold nothing."""

    parts: tuple[PartRun, ...] = ()

    def findings(self) -> dict[str, Any]:
        """What the summary has besides: each strategy's own result, and what they hold in the end."""
        rows = []
        for part, result in self._each():
            summary = result.summary
            rows.append({"name": part.name, "share": str(part.share.normalize()), **{name: summary[name] for name in OF_SUMMARY}})
        left = [{**row, "venue": f"{part.name}/{row['venue']}"} for part, result in self._each() for row in result.summary["left_open"]]
        reasons, waited = (
            [{**row, key: f"{part.name}: {row[key]}"} for part, result in self._each() for row in result.summary[name]]
            for name, key in (("by_reason", "reason"), ("waited", "condition"))
        )
        return {"by_reason": reasons, "waited": waited, "left_open": left, "strategies": rows}

    def _run_loop(self) -> None:
        started = time.perf_counter()
        self._results: list[RunResult] = []
        try:
            for part in self.parts:
                try:
                    self._results.append(part.engine.run())
                except Exception as error:
                    error.add_note(f"in portfolio: {part.name}")
                    raise
        finally:
            self._join()
            self.seconds["loop"] = time.perf_counter() - started

    def _each(self) -> Iterator[tuple[PartRun, RunResult]]:
        yield from zip(self.parts, self._results, strict=True)

    # The sum of the parts.

    def _join(self) -> None:
        engines = [part.engine for part in self.parts]
        idle = to_units(self.config.initial_capital - sum(part.engine.config.initial_capital for part in self.parts))
        self.attribution.initial_equity = sum(engine.attribution.initial_equity for engine in engines) + idle
        self.equity = sum(engine.equity for engine in engines) + idle
        self.equity_at_market = sum(engine.equity_at_market for engine in engines) + idle
        self.totals = _sum_of([engine.totals for engine in engines])
        self.skipped = sorted((Skipped(at, f"{why} ({part.name})") for part in self.parts for at, why in part.engine.skipped))
        record = self.manager.record
        record.instructions_routed = sum(engine.manager.instructions_routed for engine in engines)
        record.instructions_failed = sum(engine.manager.instructions_failed for engine in engines)
        self._join_curves(idle)
        self._join_positions(idle)
        self._join_risk(float(idle))
        self._join_events()

    def _join_curves(self, idle: int) -> None:
        """The steps that all strategies have recorded."""
        self.curve.open(self.attribution.initial_equity)
        common = set.intersection(*(set(part.engine.curve.instants) for part in self.parts))
        recorded: tuple[Mapping[str, int], ...] = ()
        for rows in zip(*(part.engine.curve.steps(common) for part in self.parts), strict=True):
            equity, spot, perp = (sum(column) for column in zip(*(marked for _, marked, _ in rows), strict=True))
            now = tuple(of for _, _, of in rows)
            has_changed = any(of is not before for of, before in zip(now, recorded, strict=True)) if recorded else True
            self.curve.add(rows[0][0], (equity + idle, spot, perp), _sum_of(now) if has_changed else None)
            recorded = now

    def _join_positions(self, idle: int) -> None:
        rest = {UNALLOCATED: {CURRENCIES[self.config.share_class][0]: Decimal(units_text(idle))}} if idle else {}
        for instant, held in _merged([part.engine.holdings.held for part in self.parts], [part.name for part in self.parts]):
            joined = {f"{name}/{venue}": tokens for name, of in held.items() for venue, tokens in of.items()}
            self.holdings.add(instant, {**joined, **rest})

    def _join_risk(self, idle: float) -> None:
        points = [[(point.instant, point) for point in part.engine.risk.points] for part in self.parts]
        before = None
        for instant, held in _merged(points, [part.name for part in self.parts]):
            own = [_named(point, name) for name, point in held.items()]
            before = joined_looks(before, [point.funding for point in own if point.funding is not None], idle)
            self.risk.add(
                RiskPoint(
                    instant,
                    tuple(chain.from_iterable(point.exposures for point in own)),
                    tuple(chain.from_iterable(point.perps for point in own)),
                    tuple(chain.from_iterable(point.margins for point in own)),
                    {name: loan for point in own for name, loan in point.loans.items()},
                    before,
                )
            )

    def _join_events(self) -> None:
        """The events of all, in the order of their times, each with the name of its strategy."""
        found = []
        for place, part in enumerate(self.parts):
            for component in part.events.components:
                lines = (line for text in part.events.lines_of(component) if (line := parse_line(text)) is not None)
                found += [(datetime.fromisoformat(line.timestamp), place, line) for line in lines]
        for at, place, line in sorted(found, key=lambda row: row[:2]):
            data = {"strategy": self.parts[place].name, **msgspec.json.decode(line.data)}
            self.event_logger.log_event(at, line.event_type, line.component, _with_venues_of(data, self.parts[place].name))


def _with_venues_of(data: dict[str, Any], name: str) -> dict[str, Any]:
    """An event of a strategy, in which its venues have its name."""
    if isinstance(data.get("venue"), str):
        data["venue"] = f"{name}/{data['venue']}"
    if isinstance(data.get("deltas"), dict):
        data["deltas"] = {f"{name}/{venue}": tokens for venue, tokens in data["deltas"].items()}
    return data


def _named(point: RiskPoint, name: str) -> RiskPoint:
    def own(venue: str) -> str:
        return venue if venue == IN_TRANSIT else f"{name}/{venue}"

    return replace(
        point,
        exposures=tuple(replace(held, venue=own(held.venue)) for held in point.exposures),
        perps=tuple(replace(perp, venue=own(perp.venue)) for perp in point.perps),
        loans={own(lender): loan for lender, loan in point.loans.items()},
    )


def _merged(columns: Sequence[Sequence[tuple[int, Any]]], names: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """At each instant of any of them the newest value of each, by name, in the order of the names."""
    changes: dict[int, dict[str, Any]] = {}
    for name, column in zip(names, columns, strict=True):
        for instant, value in column:
            changes.setdefault(instant, {})[name] = value
    newest: dict[str, Any] = dict.fromkeys(names)
    for instant in sorted(changes):
        newest |= changes[instant]
        yield instant, {name: value for name, value in newest.items() if value is not None}


def _sum_of(rows: Iterable[Mapping[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in rows:
        for source, units in row.items():
            found[source] = found.get(source, 0) + units
    return found
