"""The live loop: the same steps as a backtest, on the wall clock or over recorded data, behind the journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import structs

from basis_strategy_v1.core.clock import MICROSECOND, SECOND_US, SimulatedClock, from_instant, iso, to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, OutcomeUnknown, StillPending
from basis_strategy_v1.core.journal import Mark
from basis_strategy_v1.core.memory import decode_memory, encode_memory
from basis_strategy_v1.core.order import DECISION, HEDGE, LEAVE
from basis_strategy_v1.core.state_codec import decode_state, encode_state
from basis_strategy_v1.engine import EventDrivenStrategyEngine, RunResult, Skipped, ticks_of
from basis_strategy_v1.execution.exposure import UNWIND, exposures_of, unhedged
from basis_strategy_v1.execution.hedge_guard import decode_since, encode_since, judge
from basis_strategy_v1.execution.live_account import LiveAccount
from basis_strategy_v1.execution.live_run import settled_in
from basis_strategy_v1.execution.plan_in_hand import PlanStopped
from basis_strategy_v1.execution.reconciliation import encode_table
from basis_strategy_v1.execution.recovery import Recovered
from basis_strategy_v1.monitoring.logged_errors import errors_since
from basis_strategy_v1.results.plan_outcomes import outcomes, unwinds_to
from basis_strategy_v1.results.run_record import HOLDINGS, Checkpoint, RunRecord, StepRow
from basis_strategy_v1.strategies.strategy import Step

if TYPE_CHECKING:
    from datetime import datetime

    from basis_strategy_v1.core.execution_report import ExecutionReport
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.execution.hedge_guard import Since
    from basis_strategy_v1.execution.live_run import LiveRun

COMPONENT = "EventDrivenStrategyEngine"
ZERO = Decimal(0)
PATIENCE_S = 2.0  # for what a venue has: then the run goes on, and looks it up from time to time
SINCE = "unhedged since"  # the name under which the record keeps it


class Waits(Protocol):
    """How a live run waits."""

    def until(self, at: datetime, each_s: float) -> Iterator[None]:
        """Wait until a time; yields about every `each_s` meanwhile, and ends early when the run is to stop."""
        ...


class LiveEngine(EventDrivenStrategyEngine):
    """Runs a strategy live. The account is taken up from the journal, and every decision goes through it.

    `waits` None: recorded data are replayed without waiting (`--speed max`).
    """

    live: LiveRun
    record: RunRecord
    waits: Waits | None = None
    recovery_interval_s = 10.0
    is_leaving = False  # `basis unwind`: the strategy's plan for leaving everything is executed, step by step, instead of its decisions
    has_left = False
    on_end: Sequence[Callable[[], None]] = ()
    is_halted: Callable[[], bool] = staticmethod(lambda: False)
    is_stopping: Callable[[], bool] = staticmethod(lambda: False)
    _goes_on_at: int | None = None  # the first instant of a replay that goes on after a restart
    _since: Since
    _unwinds_to: Mapping[str, Decimal] | None = None  # an earlier process ended before it unwound a plan that was stopped
    _sent: frozenset[tuple[int, str]] = frozenset()  # the plans of the step that an earlier process did not complete: instant, purpose
    _recorded = Mark()  # how far the journal is booked
    _compares_at = 0  # from which instant on the holdings are compared again
    _breaks: Mapping[tuple[str, str], Decimal] = {}  # by venue and token, as they were logged
    _kept_skipped = 0  # how many of `skipped` the record has
    _opened_at: MarketSnapshot
    account: LiveAccount

    def run(self) -> RunResult:
        """Run to the end, or until the run is stopped; journal and venues are closed then.

        Raises:
            ComponentError: what went wrong; what was recorded up to then has been written.
        """
        try:
            return super().run()
        finally:
            for close in self.on_end:
                close()

    def executed_live(self) -> Sequence[ExecutionReport]:
        return self.live.journal.closed_after(Mark())[0]

    def _open(self) -> None:
        """Take up the account, close what an earlier process left open, and go on with its record, or begin one."""
        journal = self.live.journal
        kept, why_not = self.record.open(journal.run, self.config.share_class)
        in_hand, newest = journal.plan_in_hand(), journal.newest_plan()
        self.live.senders.wait_at_most(PATIENCE_S)
        at = self.start if newest is None else max(self.start, newest.at)
        if kept is not None:
            at = max(at, from_instant(kept.settled))
        if isinstance(self.clock, SimulatedClock):
            self.clock.move_to(at)
        recovered, self._since = self.live.start(at), decode_since(self.record.kept(SINCE))
        if newest is not None:
            self.live.pipeline.meant, self._unwinds_to = newest.meant, unwinds_to(journal)
        if why_not:
            self._log_new_record(why_not)
        if kept is None:
            self._goes_on_at = None if newest is None else to_instant(newest.at) + (in_hand is None)
            self._begin_record(at)
        else:
            self._go_on(kept)
            earlier = [one for one in recovered.closed if one.entry.plan is None or one.entry.plan <= kept.mark.plan]
            self.manager.record.instructions_routed += settled_in(Recovered(tuple(earlier), ()))

    def _begin_record(self, at: datetime) -> None:
        market = self._opened_at = self.account.market(at)
        self.account.settle_until(market)
        self.attribution.open(*self.account.exposures(market), market)
        self.equity = self.attribution.initial_equity
        self.curve.open(self.equity)
        self._recorded_state = self._handler.state
        _, self._recorded = self.live.journal.closed_after(Mark())
        self.record.add(self._checkpoint(market.instant))

    def _go_on(self, kept: Checkpoint) -> None:
        """Restore the record as it was at the end of its newest step, and find what the journal has beyond it."""
        attribution, manager_record = self.attribution, self.manager.record
        attribution.restore(kept.books, self._market_then(kept.books.instant))
        self.equity = attribution.initial_equity
        self.curve.open(self.equity)
        for instant, marked, booked in self.record.steps():
            self.curve.add(instant, marked, booked)
            self.equity, self._has_cash_flows = marked[0], False
        for held in self.record.holdings():
            self.holdings.add(*held)
        self.skipped += [Skipped(*row) for row in self.record.skipped()]
        self._kept_skipped = len(self.skipped)
        self._next_day, self._goes_on_at, self._recorded = kept.next_day, kept.goes_on_at, kept.mark
        if self.waits is None:  # the step that was not completed is done again, and refuses the same
            since = to_instant(self.start) if kept.goes_on_at is None else kept.goes_on_at
            self.event_logger.leave_out(errors_since(self.event_logger.directory, since))
        plans = self.live.journal.plans_after(kept.mark)
        routed, failed = outcomes(plans, self.live.journal)
        manager_record.instructions_routed, manager_record.instructions_failed = kept.routed + routed, kept.failed + failed
        self._sent = frozenset((to_instant(stored.plan.at), stored.plan.purpose) for stored in plans)
        self._changed = any(stored.plan.blocks for stored in plans)
        for stored in (one for one in plans if one.plan.blocks):  # the next plan of their instant gets the number that follows
            while int(self.account.ledger.plans.next(to_instant(stored.plan.at)).partition(".")[0]) < stored.plan.number:
                pass
        if plans:
            self._goes_on_at = max(to_instant(plans[-1].plan.at), kept.goes_on_at or 0)
        market = self._opened_at = self._market_then(kept.settled)
        self.account.go_back(decode_state(kept.state), market, self.live.journal.dues_after(kept.mark))
        self._recorded_state = self._handler.state
        if self.waits is not None:  # the next step may be far
            now = self.clock.now()
            self._opened_at = self._advance_to(to_instant(now), now)

    def _market_then(self, instant: int) -> MarketSnapshot:
        """The market of the past, where the data have one: on the wall clock the present one stands for it."""
        return self.account.market(from_instant(instant) if self.waits is None else self.clock.now())

    def _log_new_record(self, why: str) -> None:
        data = {"error_code": "RES-002", "error_message": why, "error_severity": "LOW"}
        self.event_logger.log_event(self.clock.now(), "error", COMPONENT, data)

    # The loop.

    def _loop(self) -> None:
        self._resume()
        market = self._opened_at
        for at in self._steps():
            if isinstance(self.clock, SimulatedClock):
                self.clock.move_to(at)
            instant = to_instant(at)
            self._instants.append(instant)
            market = self._advance_to(instant, at)
            self._work(at, market)
            self._close_where_it_ends(at, instant, market)
            self._compare_holdings(at, market)
            if self._handler.state is not self._recorded_state:
                self._rebase(market)
            self._keep(market, at)
            self._show(len(self._instants), len(self._instants))
            if self.is_stopping() or self.has_left:
                break
        if self.waits is not None:
            self._take_times(market)
        self.totals, self.equity_at_market = self.attribution.totals(market), self.attribution.at_market(market)

    def _take_times(self, market: MarketSnapshot) -> None:
        """On the wall clock a run is from its first step to its last, whatever the config says."""
        recorded = self.curve.instants
        self.start, self.end = (from_instant(recorded[0]), from_instant(recorded[-1])) if recorded else (market.at, market.at)
        self.config = structs.replace(self.config, start=self.start, end=self.end)

    def _keep(self, market: MarketSnapshot, at: datetime) -> None:
        """Record the step, in memory and in the state folder."""
        booked = dict(self.attribution.booked) if self._has_cash_flows else None
        self._mark(0, market)
        instant, holding = to_instant(at), None
        if self._changed or instant >= self._next_day or instant == self._end:
            self._add_holdings(instant)
            holding = instant, self._handler.positions
        checkpoint = self._checkpoint(market.instant, instant + 1)
        self.record.add(checkpoint, StepRow(market.instant, self.curve.last(), booked), holding, self.skipped[self._kept_skipped :])
        self._kept_skipped = len(self.skipped)

    def _checkpoint(self, settled: int, goes_on_at: int | None = None) -> Checkpoint:
        return Checkpoint(
            goes_on_at=self._goes_on_at if goes_on_at is None else goes_on_at,
            settled=settled,
            next_day=self._next_day,
            books=self.attribution.books(),
            state=encode_state(self._handler.state),
            mark=self._recorded,
            routed=self.manager.instructions_routed,
            failed=self.manager.instructions_failed,
        )

    def _steps(self) -> Iterator[datetime]:
        """The times of the steps: of recorded data every interval from the start; else on the wall clock, where missed ones are skipped."""
        if self.waits is None:
            regular, others = ticks_of(self.config, self.strategy)
            for instant in sorted((*regular, *others)):
                if self._goes_on_at is None or instant >= self._goes_on_at:
                    yield self.start if instant == to_instant(self.start) else from_instant(instant)
            return
        yield from self._wall_clock_steps(self.waits)

    def _wall_clock_steps(self, waits: Waits) -> Iterator[datetime]:
        interval = self.config.interval // MICROSECOND
        due = (to_instant(self.clock.now()) // interval + 1) * interval
        while not self.is_stopping():
            for _ in waits.until(from_instant(due), self.recovery_interval_s):
                self._watch()
            if self.is_stopping():
                return
            now = to_instant(self.clock.now())
            yield from_instant(due)
            following = (max(now, to_instant(self.clock.now())) // interval + 1) * interval
            if following > due + interval:
                self._log_skipped(due + interval, following - interval)
            due = following

    def _log_skipped(self, first: int, last: int) -> None:
        message = f"no step from {iso(from_instant(first))} to {iso(from_instant(last))}: the one before took too long"
        data = {"error_code": "ENG-003", "error_message": message, "error_severity": "LOW"}
        self.event_logger.log_event(self.clock.now(), "error", COMPONENT, data)

    # One step.

    def _work(self, at: datetime, market: MarketSnapshot) -> None:
        """Close what is open; go on with the plan in hand, or decide."""
        busy = self._recover(market)
        if busy:
            self._guard(at, market, busy=busy)
            return
        if self._unwinds_to is not None:
            self._unwind(at, market, self._unwinds_to)
        if self.live.pipeline.plan_in_hand() is not None:
            self._continue(market)
        elif not self.is_halted() and (self.is_leaving or (to_instant(at), DECISION) not in self._sent):
            self._decide(at, market)
        self._guard(at, market)

    def _recover(self, market: MarketSnapshot) -> list[str]:
        """Look up what is open, and book what was closed; the venues at which something still is.

        Raises:
            ComponentError: JRN-006, an outcome is not known in its time.
        """
        still = self.live.recover().open
        self._book_closed(market)
        if overdue := [one.reason for one in still if one.is_overdue]:
            raise ComponentError("JRN-006", "\n".join(overdue))
        return [one.entry.venue for one in still]

    def _decide(self, at: datetime, market: MarketSnapshot) -> None:
        step = Step(at, market, self.portfolio, self.config.strategy)
        if self.is_leaving:
            blocks, memory = self.strategy.leave(step, self.memory)
            self.has_left = not blocks
        else:
            blocks, memory = self.strategy.decide(step, self.memory)
        if blocks or memory != self.memory:
            self._execute(at, market, blocks, memory)

    def _execute(
        self, at: datetime, market: MarketSnapshot, blocks: Sequence[dict[str, Any]], memory: Any, purpose: str = DECISION
    ) -> None:
        if self._try(at, market, lambda: self.live.pipeline.run(at, blocks, encode_memory(memory), purpose=purpose)):
            self.memory = memory

    def _continue(self, market: MarketSnapshot) -> None:
        in_hand = self.live.pipeline.plan_in_hand()
        assert in_hand is not None
        self._try(in_hand.plan.at, market, lambda: self.live.pipeline.complete(in_hand))

    def _try(self, at: datetime, market: MarketSnapshot, run: Callable[[], Sequence[ExecutionReport]]) -> bool:
        """Run a plan and record what it did, whatever became of the rest; whether it passed its check."""
        try:
            if run():  # also where all of them were repetitions
                self._changed = self._has_cash_flows = True
            self._book_closed(market)
        except StillPending:  # no error: it is looked up from time to time, and its plan goes on when it has ended
            self._book_closed(market)
        except OutcomeUnknown:  # the plan stays in hand; a supervisor starts the run again, which looks it up first
            self._book_closed(market)
            raise
        except PlanStopped as stopped:
            self._book_closed(market)
            if stopped.on_failure == UNWIND and stopped.before is not None:
                self._unwind(at, market, stopped.before)
        except ComponentError as refused:
            if refused.severity == "CRITICAL":
                raise
            self._skip(at, refused)
            return False
        return True

    def _unwind(self, at: datetime, market: MarketSnapshot, before: Mapping[str, Decimal]) -> None:
        """Go back to the net exposure that a plan found which was stopped while it entered."""
        self._unwinds_to = None
        self.live.pipeline.meant = before
        self._guard(at, market, at_once=True)

    def _close_where_it_ends(self, at: datetime, instant: int, market: MarketSnapshot) -> None:
        if self.waits is None and instant == self._end and (instant, LEAVE) not in self._sent:
            self._close(at, market)

    def _close(self, at: datetime, market: MarketSnapshot) -> None:
        if not self.config.close_at_end:
            return
        blocks, memory = self.strategy.leave(Step(at, market, self.portfolio, self.config.strategy), self.memory)
        if blocks or memory != self.memory:
            self._execute(at, market, blocks, memory, LEAVE)

    # What happens between the steps, and after a restart.

    def _advance_to(self, instant: int, at: datetime) -> MarketSnapshot:
        market = super()._advance_to(instant, at)
        self.account.come_back(market)
        return market

    def _log_settled(self, reports: Sequence[ExecutionReport]) -> None:
        """Log what the log does not have yet: what fell due before a restart was logged when the account was taken up."""
        unlogged = {item.id for _, item in self.live.journal.unlogged_due()}
        super()._log_settled([report for report in reports if report.key in unlogged])
        self.live.settlements_logged(reports)

    def _watch(self) -> None:
        """Read what fell due, close what is open, and keep the hedge, while the next step is waited for."""
        now = self.clock.now()
        market = self._advance_to(to_instant(now), now)
        busy = self._recover(market)
        if not busy and self.live.pipeline.plan_in_hand() is not None:
            self._continue(market)
        self._guard(now, market, busy=busy)
        self._compare_holdings(now, market)
        if self._handler.state is not self._recorded_state:
            self._rebase(market)

    def _compare_holdings(self, at: datetime, market: MarketSnapshot) -> None:
        """Compare what is held with the venues, from time to time and after a disagreement; keep the table, and log a new break."""
        reconciler = self.live.reconciler
        if market.instant < self._compares_at and not reconciler.is_needed:
            return
        table = reconciler.compare(at, market)
        self._compares_at = market.instant + round(self.config.live.reconcile_interval_s * SECOND_US)
        self.record.keep(HOLDINGS, encode_table(table))
        breaks = {(row.venue, row.token): row.unexplained for row in table.breaks}
        if breaks and breaks != self._breaks:
            message = f"holdings: {'; '.join(map(str, table.breaks))}"
            data = {"error_code": "EIM-003", "error_message": message, "error_severity": "MEDIUM"}
            self.event_logger.log_event(at, "error", COMPONENT, data)
        self._breaks = breaks

    def _guard(self, at: datetime, market: MarketSnapshot, *, at_once: bool = False, busy: Sequence[str] = ()) -> None:
        """Close what has been unhedged for too long."""
        pipeline, limits = self.live.pipeline, self.live.parts.limits
        if pipeline.meant is None or (busy and self._is_hedging()):
            return
        venues, state = self.account.venues, self.account.state(market)
        gaps = unhedged(exposures_of(state, venues, market).net, pipeline.meant, market)
        if at_once:
            limits = structs.replace(limits, max_unhedged_notional=ZERO, max_unhedged_seconds=ZERO)
        verdict = judge(
            dict.fromkeys(gaps, 0) if at_once else self._since,
            gaps,
            now=market.instant,
            limits=limits,
            state=state,
            venues=venues,
            market=market,
            busy=busy,
        )
        if verdict.since != self._since:
            self.record.keep(SINCE, encode_since(verdict.since))
        self._since = verdict.since
        if verdict.critical:
            raise ComponentError("ENG-002", verdict.critical)
        if verdict.blocks:
            with suppress(StillPending):  # it is looked up as any other
                self._hedge(at, verdict.blocks)
            self._book_closed(market)

    def _is_hedging(self) -> bool:
        """Whether an order of the guard itself is what is waited for."""
        in_hand = self.live.pipeline.plan_in_hand()
        is_planned = in_hand is not None and in_hand.plan.purpose == HEDGE
        return is_planned or any(entry.plan is None for entry in self.live.journal.open_entries())

    def _hedge(self, at: datetime, blocks: Sequence[dict[str, Any]]) -> None:
        """Trade to close what is unhedged: as a plan, and block by block where another plan waits for an order."""
        pipeline = self.live.pipeline
        if pipeline.plan_in_hand() is None:
            pipeline.run(at, blocks, encode_memory(self.memory), "complete", HEDGE)
            return
        for block in blocks:
            pipeline.execute(at, block)

    def _book_closed(self, market: MarketSnapshot) -> None:
        """Book each execution that the journal holds and the record has not: whichever process has sent it, it is booked once."""
        reports, self._recorded = self.live.journal.closed_after(self._recorded)
        if reports:
            self._record_executed(reports, market)

    def _resume(self) -> None:
        """Take up the strategy's memory, and find the step to go on from."""
        text = self.live.journal.memory()
        if text is not None:
            self.memory = decode_memory(text, getattr(self.strategy, "memory_kinds", ()))
