"""The duties of a live run besides its steps: it stays hedged, and its balances are compared with the venues'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec import structs

from basis_strategy_v1.core.clock import SECOND_US
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, StillPending
from basis_strategy_v1.core.memory import encode_memory
from basis_strategy_v1.core.order import HEDGE
from basis_strategy_v1.execution.exposure import exposures_of, unhedged
from basis_strategy_v1.execution.hedge_guard import encode_since, judge
from basis_strategy_v1.execution.reconciliation import encode_table
from basis_strategy_v1.live_record import COMPONENT, SINCE, LiveRecord
from basis_strategy_v1.results.run_record import HOLDINGS

if TYPE_CHECKING:
    from datetime import datetime

    from basis_strategy_v1.core.market import MarketSnapshot

ZERO = Decimal(0)


class LiveGuard(LiveRecord):
    """Keeps a live run hedged and compares it with its venues."""

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
        self._unwinds_to = None
        self.live.pipeline.meant = before
        self._guard(at, market, at_once=True)

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
            data = {"error_code": "EIM-003", "error_message": message, "error_severity": "MEDIUM"}
            self.event_logger.log_event(at, "error", COMPONENT, data)
        self._breaks = breaks
