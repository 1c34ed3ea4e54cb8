"""The backtest loop: time passes, settlements fall due, the strategy decides, its plan is executed, the step is recorded."""

from __future__ import annotations

import decimal
import time
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.clock import DAY_US, MICROSECOND, SimulatedClock, from_instant, iso, to_instant
from basis_strategy_v1.core.error_codes.exceptions import RECORDED, ComponentError, MarketHalted, OrderTooLarge
from basis_strategy_v1.core.market import MissingData, StaleSeries
from basis_strategy_v1.execution.portfolio import Portfolio
from basis_strategy_v1.results.attribution import CURRENCIES, Attribution
from basis_strategy_v1.results.funding_aprs import FundingLook, look_at_funding
from basis_strategy_v1.results.reasons import Waited
from basis_strategy_v1.results.recorder import EquityCurve, PositionRows
from basis_strategy_v1.results.risk import RiskRows, loan_of
from basis_strategy_v1.results.risk_steps import NO_LOANS, RiskPoint
from basis_strategy_v1.strategies.strategy import Step
from basis_strategy_v1.venues.venue import Lender

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from basis_strategy_v1.config import Config
    from basis_strategy_v1.core.execution_report import ExecutionReport
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.execution.execution_interface_manager import ExecutionInterfaceManager
    from basis_strategy_v1.monitoring.event_logger import EventLogger
    from basis_strategy_v1.results.recorder import RunFolder
    from basis_strategy_v1.results.run_memory import RunMemory
    from basis_strategy_v1.strategies.strategy import Strategy

COMPONENT = "EventDrivenStrategyEngine"


class RunResult(NamedTuple):
    """A finished run: its id, its summary, and file name -> path of what was written."""

    run_id: str
    summary: dict[str, Any]
    paths: dict[str, Path]


class Skipped(NamedTuple):
    """A plan that was not sent: a price was too old to trade on, an order was too large for its bar, or, live, it was refused.

    The reason of a refusal begins with `refused (CODE)`.
    """

    at: str
    reason: str


class Write(Protocol):
    """Writes what a run recorded; a run that did not come to its end gets no summary."""

    def __call__(self, engine: EventDrivenStrategyEngine, *, finished: bool) -> RunResult: ...


class EventDrivenStrategyEngine:
    """Runs a strategy over its config's time. `from_config` puts one together; a test may hand in the parts."""

    risk_rows: type[RiskRows] = RiskRows

    def __init__(
        self,
        config: Config,
        manager: ExecutionInterfaceManager,
        strategy: Strategy,
        clock: SimulatedClock,
        event_logger: EventLogger,
        write: Write,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        assert config.start is not None and config.end is not None
        self.config = config
        self.start, self.end = config.start, config.end
        self._end = to_instant(config.end)
        self.manager = manager
        self.account = manager.account
        self.pipeline = manager.pipeline
        assert manager.positions is not None
        self._handler = manager.positions
        self.strategy = strategy
        self.clock = clock
        self.event_logger = event_logger
        self.memory: Any = None  # the strategy's, after the last plan that was not skipped
        self.portfolio = Portfolio(self.account, config.gas_reserve_eth)
        self.attribution = Attribution(config.share_class)
        self.curve = EquityCurve()
        self.holdings = PositionRows()
        self.risk = self.risk_rows(CURRENCIES[config.share_class])
        self.skipped: list[Skipped] = []
        self.waited: list[Waited] = []  # a look a day at why the strategy holds nothing
        self.looks = 0
        self.seconds: dict[str, float] = {}
        self.folder: RunFolder | RunMemory | None = None  # of its files, where it has any
        self.equity = self.equity_at_market = 0
        self.totals: dict[str, int] = {}
        self._write = write
        self._progress = progress
        self._changed = False
        self._has_cash_flows = True
        self._recorded_state: Any = None
        self._quiet_until = 0
        self._next_day = 0
        self._instants = array("q")
        needs = strategy.needs(config.strategy) if hasattr(strategy, "needs") else ()
        self._funding_of = {(venue, symbol) for kind, venue, symbol in needs if kind == "funding"}

    @classmethod
    def from_config(cls, config: Any, data: Any = None, results: Any = "results", logs: Any = "logs", **options: Any) -> Self:
        """An engine for a config (path, dict or Config) over a data folder, a database file or a data provider.

        Raises:
            ComponentError: CFG-001, DAT-006, STR-001, RES-001 or LOG-001: whatever can be known to be wrong before the run.
        """
        from basis_strategy_v1.app import build

        engine = build(config, data=data, results=results, logs=logs, **options)
        assert isinstance(engine, cls)
        return engine

    def executed_live(self) -> Sequence[ExecutionReport] | None:
        """What venues reported of the orders of a live run, oldest first; None in a backtest, where all is as simulated."""
        return None

    def findings(self) -> dict[str, Any]:
        """What the summary of a live run, or of a portfolio, has besides."""
        return {}

    # The run.

    def run(self) -> RunResult:
        """Run to the end and write the results.

        Raises:
            ComponentError: what went wrong; what was recorded up to then has been written.
        """
        outside = decimal.getcontext()
        decimal.setcontext(EXACT.copy())  # a user's strategy may reach it; the package's own stays as it is
        try:
            self._run_loop()
            return self._write(self, finished=True)
        except BaseException as error:
            written = self._write(self, finished=False)
            if (place := written.paths["timing.json"].parent).is_absolute():  # else nothing was written
                error.add_note(f"{RECORDED} {place}")
            raise
        finally:
            decimal.setcontext(outside)

    def _run_loop(self) -> None:
        started = time.perf_counter()
        try:
            self._open()
            self._loop()
        finally:
            self.seconds["loop"] = time.perf_counter() - started

    def _open(self) -> None:
        market = self.account.market(self.start)
        self.account.settle_until(market)
        self.attribution.open(*self.account.exposures(market), market)
        self.curve.open(self.attribution.initial_equity)
        self._recorded_state = self._handler.state

    def _loop(self) -> None:
        """At every step: time passes, the strategy decides, what it wants is executed, the record is kept.

        Most steps only move prices. What these need is a local name, and `_flush_marks` values them later, many at once.
        """
        regular_steps, others = steps_of(self.config, self.strategy)
        instants = self._instants = array("q", sorted((*regular_steps, *others)) if others else regular_steps)
        interval, regular, due, at = self.config.interval, self.config.interval // MICROSECOND, to_instant(self.start), self.start
        move_to, snapshot, handler, attribution = self.clock.move_to, self.account.market, self._handler, self.attribution
        decide, portfolio, parameters = self.strategy.decide, self.portfolio, self.config.strategy
        total = len(instants)
        last, step, shown = self._end, max(total // 100, 1), 1 if self._progress else total + 1
        done = 0
        try:
            for instant in instants:
                if instant != due:  # the end, or the time of a user's block, between two regular steps
                    at = from_instant(instant)
                move_to(at)
                if instant < self._quiet_until:
                    market = snapshot(at, instant)
                else:
                    self._flush_marks(done)
                    market = self._advance_to(instant, at)
                blocks, memory = decide(Step(at, market, portfolio, parameters), self.memory)
                if blocks:
                    self._flush_marks(done)
                    self._execute(at, market, blocks, memory)
                else:
                    self.memory = memory
                if instant == last:
                    self._flush_marks(done)
                    self._close(at, market)
                if handler.state is not self._recorded_state:
                    self._flush_marks(done)
                    self._rebase(market)
                if self._has_cash_flows or not attribution.is_line or instant == last:
                    self._mark(done, market)
                done += 1
                if self._changed or instant >= self._next_day or instant == last:
                    self._flush_marks(done)  # at least once a day, so that too old a price is found soon
                    self._add_holdings(instant, market)
                if done == shown:
                    self._show(done, total)
                    shown += step
                at, due = at + interval, instant + regular
        except BaseException as ended:
            self._end_early(done, ended)
            raise
        self.totals, self.equity_at_market = attribution.totals(market), attribution.at_market(market)
        self._show(total, total)

    def _end_early(self, done: int, ended: BaseException) -> None:
        """Record what is done.

        Raises:
            MissingData: a price had grown too old at an earlier step: that is what ended the run.
        """
        try:
            self._flush_marks(done)
        except MissingData as earlier:
            if isinstance(ended, Exception) and str(ended) != str(earlier):
                raise earlier from ended

    def _mark(self, done: int, market: MarketSnapshot) -> None:
        """Record a step at which something happened, or may have: the one after those that are done."""
        self._flush_marks(done)
        marked = self.attribution.mark(market)
        self.curve.add(market.instant, marked, self.attribution.recorded if self._has_cash_flows else None)
        self.equity, self._has_cash_flows = marked[0], False

    def _flush_marks(self, done: int) -> None:
        """Record those of the steps that are done at which nothing but prices moved, before anything else does."""
        recorded = len(self.curve.instants)
        if recorded >= done:
            return
        waiting = self._instants[recorded:done]
        try:
            self.curve.add_all(waiting, self.attribution.marks(waiting))
        except MissingData:
            for place in range(len(waiting)):  # up to the first that cannot be valued
                self.curve.add_all(waiting[place : place + 1], self.attribution.marks(waiting[place : place + 1]))

    def _add_holdings(self, instant: int, market: MarketSnapshot) -> None:
        """Keep the positions and what a risk comes from; once a day, ask why there are none."""
        if instant >= self._next_day:
            self._look_why_it_waits(market)
        self.holdings.add(instant, self._handler.positions)
        self.risk.add(self._risk_point(market))
        self._next_day = (instant // DAY_US + 1) * DAY_US
        self._changed = False

    def _risk_point(self, market: MarketSnapshot) -> RiskPoint:
        exposures, perps = self.attribution.held
        margins = tuple([self.portfolio.margin_terms(perp.venue, perp.symbol, market.instant) for perp in perps])
        owing = {held.venue for held in exposures if held.amount < 0}
        loans = {
            name: loan_of(exposures, name, self.portfolio.health_factor(name, market), market.price)
            for name in owing
            if isinstance(self.account.venues.get(name), Lender)
        }
        return RiskPoint(market.instant, exposures, perps, margins, loans or NO_LOANS, self._look_at_funding(market))

    def _look_at_funding(self, market: MarketSnapshot) -> FundingLook:
        before = self.risk.funding
        if before is not None and before.instant // DAY_US == market.instant // DAY_US:
            return before
        perps = self._funding_of | {(perp.exchange, perp.symbol) for perp in self.attribution.held[1]}
        received, equity = self.attribution.recorded["funding"], self.curve.last()[0]
        return look_at_funding(before, market, perps, float(received), float(equity))

    def _look_why_it_waits(self, market: MarketSnapshot) -> None:
        """Ask a strategy that can say so why it holds nothing."""
        waiting = getattr(self.strategy, "waiting", None)
        if waiting is None:
            return
        self.looks += 1
        if (found := waiting(Step(market.at, market, self.portfolio, self.config.strategy), self.memory)) is not None:
            self.waited.append(Waited(*found))

    def _show(self, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress(done, total)

    def _advance_to(self, instant: int, at: datetime) -> MarketSnapshot:
        """Settle and record everything that falls due up to the step, each at its own instant; then the step's own prices."""
        for due, reports in self.account.advance_to(at, self.attribution.next_rate):
            self._record_settled(reports, due)
        market = self.account.market(at)
        if self._handler.state is not self._recorded_state or instant >= self.attribution.valid_until:
            self._record_settled((), market)
        self._quiet_until = self._first_event()
        return market

    def _first_event(self) -> int:
        """Until when nothing can happen but what the strategy does: no time passes unnoticed before this instant."""
        if self.account.accrues():
            return 0
        due = self.account.next_due(self._end, self.attribution.next_rate)
        return min(self._end + 1 if due is None else due, self.attribution.valid_until)

    def _record_settled(self, reports: Sequence[ExecutionReport], market: MarketSnapshot) -> None:
        self.attribution.settle(*self.account.exposures(market), market, reports)
        self._recorded_state = self._handler.state
        self._has_cash_flows = True
        if reports:
            self._changed = self._changed or any(report.deltas for report in reports)
            self.attribution.book(reports, market)
            self._log_settled(reports)

    def _log_settled(self, reports: Sequence[ExecutionReport]) -> None:
        self.manager.record.log_settlements(reports)

    def _record_executed(self, reports: Sequence[ExecutionReport], market: MarketSnapshot) -> None:
        for report in reports:
            if report.settlements:
                self.attribution.book(report.settlements, market)
        self.attribution.book(reports, market)
        self._changed = self._has_cash_flows = True

    def _rebase(self, market: MarketSnapshot) -> None:
        """After executions: take over the positions, and when the next thing falls due for them."""
        self.attribution.rebase(*self.account.exposures(market), market)
        self._recorded_state = self._handler.state
        self._has_cash_flows = True
        self._quiet_until = self._first_event()

    def _close(self, at: datetime, market: MarketSnapshot) -> None:
        if not self.config.close_at_end:
            return
        blocks, memory = self.strategy.leave(Step(at, market, self.portfolio, self.config.strategy), self.memory)
        if blocks:
            self._execute(at, market, blocks, memory)
        else:
            self.memory = memory

    def _execute(self, at: datetime, market: MarketSnapshot, blocks: Sequence[dict[str, Any]], memory: Any) -> None:
        self.account.settle_until(market)
        try:
            reports = self.pipeline.run(at, blocks)
        except StaleSeries as stale:
            self._skip(at, stale)
            return
        except ComponentError as error:
            if error.reports:
                self._record_executed(error.reports, market)
            elif isinstance(error.original_exception, OrderTooLarge | MarketHalted) and not hasattr(self.strategy, "located"):
                self._skip(at, error)
                return
            if (located := getattr(self.strategy, "located", None)) is not None:  # a file of blocks, whose lines are wrong
                raise located(error, at) from error
            error.add_note(f"at {iso(at)}")
            raise
        self.memory = memory
        self._record_executed(reports, market)

    def _skip(self, at: datetime, stale: ComponentError) -> None:
        why = stale.message if isinstance(stale, StaleSeries) else f"refused ({stale.error_code}): {stale.message}"
        self.skipped.append(Skipped(iso(at), why))
        data = {"error_code": stale.error_code, "error_message": f"no trade: {stale.message}", "error_severity": "LOW"}
        self.event_logger.log_event(at, "error", COMPONENT, data)


def steps_of(config: Config, strategy: Strategy) -> tuple[range, list[int]]:
    """The instants of the steps (microseconds since 1970): every interval; and between these the end and the times of a user's blocks."""
    assert config.start is not None and config.end is not None
    first, last = to_instant(config.start), to_instant(config.end)
    regular = range(first, last + 1, config.interval // MICROSECOND)
    others = {last, *(instant for instant in getattr(strategy, "instants", ()) if first < instant <= last)}
    return regular, sorted(instant for instant in others if instant not in regular)
