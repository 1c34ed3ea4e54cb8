"""The duties of a live run besides its steps: it stays hedged, and its balances are compared with the venues'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec import structs

from basis_strategy_v1.core.clock import SECOND_US
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, OutcomeUnknown, StillPending, VenueUnreachable
from basis_strategy_v1.core.market import MissingData, StaleSeries
from basis_strategy_v1.core.memory import encode_memory
from basis_strategy_v1.core.order import HEDGE
from basis_strategy_v1.execution.exposure import exposures_of, unhedged
from basis_strategy_v1.execution.hedge_guard import encode_since, judge
from basis_strategy_v1.execution.reconciliation import encode_table
from basis_strategy_v1.live_record import SINCE, LiveRecord
from basis_strategy_v1.results.run_record import HOLDINGS

if TYPE_CHECKING:
    from datetime import datetime

    from basis_strategy_v1.core.market import MarketSnapshot

ZERO = Decimal(0)
TEMPORARY = (VenueUnreachable, StaleSeries, MissingData)  # nothing was sent, and it may be sent later
MOST_REFUSED = 3


class LiveGuard(LiveRecord):
    """Keeps a live run hedged and compares it with its venues."""

    _refused_hedges = 0  # in a row

    def _guard(self, at: datetime, market: MarketSnapshot, *, at_once: bool = False, busy: Sequence[str] = ()) -> bool:
        """Close what has been unhedged for too long; whether nothing is left to try."""
        pipeline, limits = self.live.pipeline, self.live.parts.limits
        if pipeline.meant is None or (busy and self._is_hedging()):
            return True
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
            is_done = self._try_to_hedge(at, verdict.blocks)
            self._book_closed(market)
            return is_done
        return True

    def _try_to_hedge(self, at: datetime, blocks: Sequence[dict[str, Any]]) -> bool:
        """Hedge, and say whether it was sent. What fails is tried again; what is refused again and again cannot be closed.

        Raises:
            OutcomeUnknown. ComponentError: ENG-002.
        """
        try:
            self._hedge(at, blocks)
        except StillPending:  # it is looked up as any other
            return True
        except OutcomeUnknown:
            raise
        except ComponentError as failed:
            if failed.severity == "CRITICAL":
                raise
            if not isinstance(failed.original_exception or failed, TEMPORARY):
                self._refused_hedges += 1
            if self._refused_hedges >= MOST_REFUSED:
                message = f"what is unhedged could not be closed in {MOST_REFUSED} attempts: {failed.message}"
                raise ComponentError("ENG-002", message, original_exception=failed) from failed
            return False
        self._refused_hedges = 0
        return True

    def _is_hedging(self) -> bool:
        """Whether an order of the guard itself is what is waited for."""
        in_hand = self.live.pipeline.plan_in_hand()
        is_planned = in_hand is not None and in_hand.plan.purpose == HEDGE
        return is_planned or any(entry.plan is None and entry.messages for entry in self.live.journal.open_entries())

    def _hedge(self, at: datetime, blocks: Sequence[dict[str, Any]]) -> None:
        """Trade to close what is unhedged: as a plan, and block by block where another plan waits for an order."""
        pipeline = self.live.pipeline
        if pipeline.plan_in_hand() is None:
            pipeline.run(at, blocks, encode_memory(self.memory), "complete", HEDGE)
            return
        for block in blocks:
            pipeline.execute(at, block)

    def _unwind(self, at: datetime, market: MarketSnapshot, before: Mapping[str, Decimal]) -> None:
        """Go back to the net exposure that a plan found which was stopped while it entered."""
        self._unwinds_to = before
        self.live.pipeline.meant = before
        if self._guard(at, market, at_once=True):
            self._unwinds_to = None

    def _stop_for_late_fills(self, at: datetime, market: MarketSnapshot, busy: Sequence[str] = ()) -> None:
        """End the run where an order was executed after its row was closed; what that left unhedged is closed first.

        Raises:
            ComponentError: JRN-007, or why it cannot be closed.
        """
        late = self.live.late_fills
        if late:
            message = "; ".join(late.values())
            self._guard(at, market, at_once=True, busy=busy)
            raise ComponentError("JRN-007", message)

    def _compare_holdings(self, at: datetime, market: MarketSnapshot) -> None:
        """Compare the positions with the venues, from time to time and after a disagreement; keep the table, and log a new break."""
        reconciler = self.live.reconciler
        if market.instant < self._compares_at and not reconciler.is_needed:
            return
        table = reconciler.compare(at, market)
        self._compares_at = market.instant + round(self.config.live.reconcile_interval_s * SECOND_US)
        self.record.keep(HOLDINGS, encode_table(table))
        breaks = {(row.venue, row.token): row.unexplained for row in table.breaks}
        if breaks and breaks != self._breaks:
            message = f"holdings: {'; '.join(map(str, table.breaks))}"
            self._log_error(at, "EIM-003", message)
        self._breaks = breaks
