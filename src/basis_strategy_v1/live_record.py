"""The record of a live run: how it begins, how a restart continues from it, and how each step is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import structs

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.clock import SimulatedClock, from_instant, to_instant
from basis_strategy_v1.core.error_codes.error_code_registry import error_data
from basis_strategy_v1.core.journal import JournalMark
from basis_strategy_v1.core.state_codec import decode_state, encode_state
from basis_strategy_v1.engine import EventDrivenStrategyEngine, Skipped
from basis_strategy_v1.execution.hedge_guard import decode_since
from basis_strategy_v1.execution.live_account import LiveAccount
from basis_strategy_v1.execution.live_run import settled_in
from basis_strategy_v1.execution.recovery import Recovered
from basis_strategy_v1.monitoring.logged_errors import errors_since
from basis_strategy_v1.results.plan_outcomes import outcomes, unwinds_to, unwound_in_a_row
from basis_strategy_v1.results.risk_of_steps import RiskOfSteps
from basis_strategy_v1.results.run_record import Checkpoint, RunRecord, StepRow

if TYPE_CHECKING:
    from datetime import datetime

    from basis_strategy_v1.core.execution_report import ExecutionReport
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.execution.hedge_guard import Since
    from basis_strategy_v1.execution.live_run import LiveRun

COMPONENT = "EventDrivenStrategyEngine"
PATIENCE_S = 2.0  # for what a venue has: then the run goes on, and looks it up from time to time
START_PATIENCE_S = 20.0  # at the start: an order at an exchange is known by then; for what takes longer the guard does not wait
CAPITAL = "initial capital"  # of the config with which the record began
SINCE = "unhedged since"  # the name under which the record keeps it


class Waits(Protocol):
    """How a live run waits."""

    def until(self, at: datetime, each_s: float) -> Iterator[None]:
        """Wait until a time; yields about every `each_s` meanwhile, and ends early when the run is to stop."""
        ...


class LiveRecord(EventDrivenStrategyEngine):
    """What a live run knows of its past: the account is taken up from the journal, and the record goes on where it was.

    `waits` None: recorded data are replayed without waiting (`--speed max`).
    """

    risk_rows = RiskOfSteps
    risk: RiskOfSteps
    live: LiveRun
    record: RunRecord
    waits: Waits | None = None
    recovery_interval_s = 10.0
    is_leaving = False  # `basis unwind`: the strategy's plan for leaving everything is executed, step by step, instead of its decisions
    has_left = False
    on_end: Sequence[Callable[[], None]] = ()
    is_halted: Callable[[], bool] = staticmethod(lambda: False)
    halt: Callable[[], None] = staticmethod(lambda: None)
    _unwound = 0  # plans in a row that were stopped and unwound
    is_stopping: Callable[[], bool] = staticmethod(lambda: False)
    _goes_on_at: int | None = None  # the first instant of a replay that goes on after a restart
    _since: Since
    _unwinds_to: Mapping[str, Decimal] | None = None  # an earlier process ended before it unwound a plan that was stopped
    _sent: frozenset[tuple[int, str]] = frozenset()  # the plans of the step that an earlier process did not complete: instant, purpose
    _recorded = JournalMark()  # how far the journal is recorded
    _compares_at = 0  # from which instant on the holdings are compared again
    _breaks: Mapping[tuple[str, str], Decimal] = {}  # by venue and token, as they were logged
    _halted_steps, _halted_from = 0, ""
    _was_halted = False  # at the last step that looked
    _kept_skipped = 0  # how many of `skipped` the record has
    _opened_at: MarketSnapshot
    account: LiveAccount

    def findings(self) -> dict[str, Any]:
        """`halted`, at how many steps of this process nothing was started, and from which on; `breaks`, of the newest comparison;
        `initial_capital_at_start`, where the record began with another one than the config has."""
        halted = {"halted": {"steps": self._halted_steps, "from": self._halted_from}} if self._halted_steps else {}
        breaks = [{"venue": venue, "token": token, "unexplained": plain(amount)} for (venue, token), amount in self._breaks.items()]
        began_with = self.record.kept(CAPITAL)
        other = {} if began_with in (None, plain(self.config.initial_capital)) else {"initial_capital_at_start": began_with}
        return {**halted, **({"breaks": breaks} if breaks else {}), **other}

    def executed_live(self) -> Sequence[ExecutionReport]:
        return self.live.journal.closed_after(JournalMark())[0]

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
        recovered, self._since = self.live.start(at, patience_s=START_PATIENCE_S), decode_since(self.record.kept(SINCE))
        if newest is not None:
            plans = journal.plans_after(JournalMark() if kept is None else kept.mark)
            self.live.pipeline.meant, self._unwinds_to = newest.meant, unwinds_to(plans, journal)
            self._unwound = unwound_in_a_row(plans, journal, 0 if kept is None else kept.unwound)
        if why_not:
            self._log_error(self.clock.now(), "RES-002", why_not)
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
        _, self._recorded = self.live.journal.closed_after(JournalMark())
        self.record.keep(CAPITAL, plain(self.config.initial_capital))
        self.record.add(self._checkpoint(market.instant))

    def _go_on(self, kept: Checkpoint) -> None:
        """Restore the record as it was at the end of its newest step, and find what the journal has beyond it."""
        attribution, manager_record = self.attribution, self.manager.record
        attribution.restore(kept.ledger, self._market_then(kept.ledger.instant))
        self.equity = attribution.initial_equity
        self.curve.open(self.equity)
        for instant, marked, recorded in self.record.steps():
            self.curve.add(instant, marked, recorded)
            self.equity, self._has_cash_flows = marked[0], False
        for held in self.record.holdings():
            self.holdings.add(*held)
        for row in self.record.risks():
            self.risk.restore(row)
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

    def _log_error(self, at: datetime, code: str, message: str) -> None:
        self.event_logger.log_event(at, "error", COMPONENT, error_data(code, message))

    def _keep(self, market: MarketSnapshot, at: datetime) -> None:
        """Record the step, in memory and in the state folder."""
        recorded = dict(self.attribution.recorded) if self._has_cash_flows else None
        self._mark(0, market)
        instant, holding = to_instant(at), None
        if self._changed or instant >= self._next_day or instant == self._end:
            self._add_holdings(instant, market)
            holding = instant, self._handler.positions
        checkpoint, step = self._checkpoint(market.instant, instant + 1), StepRow(market.instant, self.curve.last(), recorded)
        self.record.add(checkpoint, step, holding, self.skipped[self._kept_skipped :], self.risk.see(market))
        self._kept_skipped = len(self.skipped)

    def _checkpoint(self, settled: int, goes_on_at: int | None = None) -> Checkpoint:
        return Checkpoint(
            goes_on_at=self._goes_on_at if goes_on_at is None else goes_on_at,
            settled=settled,
            next_day=self._next_day,
            ledger=self.attribution.ledger(),
            state=encode_state(self._handler.state),
            mark=self._recorded,
            routed=self.manager.instructions_routed,
            failed=self.manager.instructions_failed,
            unwound=self._unwound,
        )

    def _take_times(self, market: MarketSnapshot) -> None:
        """On the wall clock a run is from its first step to its last, whatever the config says."""
        recorded = self.curve.instants
        self.start, self.end = (from_instant(recorded[0]), from_instant(recorded[-1])) if recorded else (market.at, market.at)
        self.config = structs.replace(self.config, start=self.start, end=self.end)

    def _advance_to(self, instant: int, at: datetime) -> MarketSnapshot:
        market = super()._advance_to(instant, at)
        self.account.come_back(market)
        return market

    def _log_settled(self, reports: Sequence[ExecutionReport]) -> None:
        """Log what the log does not have yet: what fell due before a restart was logged when the account was taken up."""
        unlogged = {item.id for _, item in self.live.journal.unlogged_due()}
        super()._log_settled([report for report in reports if report.key in unlogged])
        self.live.settlements_logged(reports)

    def _book_closed(self, market: MarketSnapshot) -> None:
        """Record each execution that the journal holds and the record has not: whichever process has sent it, it is recorded once."""
        reports, self._recorded = self.live.journal.closed_after(self._recorded)
        if reports:
            self._record_executed(reports, market)
