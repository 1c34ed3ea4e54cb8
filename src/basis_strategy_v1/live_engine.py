"""The live loop: the same steps as a backtest, on the wall clock or over recorded data, behind the journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.clock import MICROSECOND, SimulatedClock, from_instant, iso, to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, OutcomeUnknown, StillPending
from basis_strategy_v1.core.journal import JournalMark
from basis_strategy_v1.core.memory import decode_memory, encode_memory
from basis_strategy_v1.core.order import DECISION, LEAVE
from basis_strategy_v1.engine import RunResult, steps_of
from basis_strategy_v1.execution.exposure import UNWIND
from basis_strategy_v1.execution.plan_in_hand import PlanStopped, ShortFill
from basis_strategy_v1.live_guard import LiveGuard
from basis_strategy_v1.live_record import COMPONENT, Waits
from basis_strategy_v1.strategies.strategy import Step

if TYPE_CHECKING:
    from datetime import datetime

    from basis_strategy_v1.core.execution_report import ExecutionReport
    from basis_strategy_v1.core.market import MarketSnapshot


MOST_UNWOUND = 3  # plans in a row


class LiveEngine(LiveGuard):
    """Runs a strategy live: every decision goes through the journal."""

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

    def _steps(self) -> Iterator[datetime]:
        """The times of the steps: of recorded data every interval from the start; else on the wall clock, where missed ones are skipped."""
        if self.waits is None:
            regular, others = steps_of(self.config, self.strategy)
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
                if due - to_instant(self.clock.now()) > interval:  # the clock was ahead when this step was set, and went back
                    break
            if self.is_stopping():
                return
            now = to_instant(self.clock.now())
            if due - now > interval:
                due = (max(now, self._instants[-1] if self._instants else 0) // interval + 1) * interval
                continue
            yield from_instant(due)
            following = (max(now, to_instant(self.clock.now())) // interval + 1) * interval
            if following > due + interval:
                self._log_skipped(due + interval, following - interval)
            due = following

    def _log_skipped(self, first: int, last: int) -> None:
        message = f"no step from {iso(from_instant(first))} to {iso(from_instant(last))}: the one before took too long"
        self._log_error(self.clock.now(), "ENG-003", message)

    def _work(self, at: datetime, market: MarketSnapshot) -> None:
        """Close what is open; go on with the plan in hand, or decide."""
        busy = self._recover(market)
        self._stop_for_late_fills(at, market, busy)
        if busy:
            self._guard(at, market, busy=busy)
            return
        if self._unwinds_to is not None:
            self._unwind(at, market, self._unwinds_to)
        if self.live.pipeline.plan_in_hand() is not None:
            self._continue(market)
        elif self._is_halted_at(at):
            self._halted_steps += 1
        elif self.is_leaving or (to_instant(at), DECISION) not in self._sent:
            self._decide(at, market)
        self._guard(at, market)

    def _is_halted_at(self, at: datetime) -> bool:
        """Whether nothing new is to be started; the log has the first step at which that is so, and the first at which it is no more."""
        is_halted = self.is_halted()
        if is_halted is not self._was_halted:
            self.event_logger.log_event(at, "state_update", COMPONENT, {"halted": is_halted})
            self._was_halted = is_halted
        if is_halted:
            self._halted_from = self._halted_from or iso(at)
        return is_halted

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
        before = self.memory
        self.memory = memory
        on_failure = getattr(self.config.strategy, "on_failure", None)
        if not self._try(at, market, lambda: self.live.pipeline.run(at, blocks, encode_memory(memory), on_failure, purpose)):
            self.memory = before

    def _continue(self, market: MarketSnapshot) -> None:
        in_hand = self.live.pipeline.plan_in_hand()
        assert in_hand is not None
        self._try(in_hand.plan.at, market, lambda: self.live.pipeline.complete(in_hand))

    def _try(self, at: datetime, market: MarketSnapshot, run: Callable[[], Sequence[ExecutionReport]]) -> bool:
        """Run a plan and record what it did, whatever became of the rest; whether it passed its check."""
        try:
            if run():  # also where all of them were repetitions
                self._changed = self._has_cash_flows = True
                self._unwound = 0
            self._book_closed(market)
        except StillPending:  # no error: it is looked up from time to time, and its plan goes on when it has ended
            self._book_closed(market)
        except OutcomeUnknown:  # the plan stays in hand; a supervisor starts the run again, which looks it up first
            self._book_closed(market)
            raise
        except PlanStopped as stopped:
            self._book_closed(market)
            self._stopped(at, market, stopped)
        except ComponentError as refused:
            if refused.severity == "CRITICAL":
                raise
            self._skip(at, refused)
            return False
        return True

    def _stopped(self, at: datetime, market: MarketSnapshot, stopped: PlanStopped) -> None:
        """Unwind a plan that was stopped while it entered. After several in a row the run is halted: each costs fees and slippage."""
        if isinstance(stopped.original_exception, ShortFill):
            self._log_error(at, "EXM-001", stopped.message)
        if stopped.on_failure != UNWIND or stopped.before is None:
            return
        self._unwound += 1
        if self._unwound >= MOST_UNWOUND and not self.is_halted():
            self.halt()
            message = f"{self._unwound} plans in a row were unwound, the last because: {stopped.message}"
            self._log_error(at, "ENG-005", message)
        self.live.pipeline.meant = stopped.before
        self._forget(at)
        self._unwind(at, market, stopped.before)

    def _forget(self, at: datetime) -> None:
        """Take back the memory of the newest plan, which is unwound: what it was to do was not done. The journal has it, too."""
        journal = self.live.journal
        number = journal.mark().plan
        before = journal.plans_after(JournalMark(plan=number - 2))[0].plan.memory if number > 1 else None
        self.memory = self._decoded(before)
        self.live.pipeline.run(at, [], encode_memory(self.memory))

    def _decoded(self, text: str | None) -> Any:
        return None if text is None else decode_memory(text, getattr(self.strategy, "memory_kinds", ()))

    def _close_where_it_ends(self, at: datetime, instant: int, market: MarketSnapshot) -> None:
        if self.waits is None and instant == self._end and (instant, LEAVE) not in self._sent:
            self._close(at, market)

    def _close(self, at: datetime, market: MarketSnapshot) -> None:
        if not self.config.close_at_end:
            return
        blocks, memory = self.strategy.leave(Step(at, market, self.portfolio, self.config.strategy), self.memory)
        if blocks or memory != self.memory:
            self._execute(at, market, blocks, memory, LEAVE)

    def _watch(self) -> None:
        """Read what fell due, close what is open, and keep the hedge, while the next step is waited for."""
        now = self.clock.now()
        market = self._advance_to(to_instant(now), now)
        busy = self._recover(market)
        self._stop_for_late_fills(now, market, busy)
        if not busy and self._unwinds_to is not None:
            self._unwind(now, market, self._unwinds_to)
        if not busy and self.live.pipeline.plan_in_hand() is not None:
            self._continue(market)
        self._guard(now, market, busy=busy)
        self._compare_holdings(now, market)
        if self._handler.state is not self._recorded_state:
            self._rebase(market)

    def _resume(self) -> None:
        """Take up the strategy's memory: not that of a plan which an earlier process stopped and has not unwound."""
        newest = self.live.journal.newest_plan()
        if newest is None:
            return
        if self._unwinds_to is not None and newest.blocks:
            self._forget(newest.at)
        else:
            self.memory = self._decoded(self.live.journal.memory())
