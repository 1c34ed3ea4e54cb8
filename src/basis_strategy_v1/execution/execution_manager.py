"""Executes plans: several blocks that belong together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.error_codes.exceptions import ComponentError

if TYPE_CHECKING:
    from datetime import datetime

    from basis_strategy_v1.core.execution_report import ExecutionReport
    from basis_strategy_v1.execution.execution_interface_manager import ExecutionInterfaceManager
    from basis_strategy_v1.positions.position_update_handler import PositionUpdateHandler


class ExecutionManager:
    """Sends the blocks of a plan one after another, once all of them have been checked."""

    def __init__(
        self,
        config: Any,
        execution_interface_manager: ExecutionInterfaceManager,
        position_update_handler: PositionUpdateHandler | None = None,
    ) -> None:
        self.config = config
        self.execution_interface_manager = execution_interface_manager
        self.position_update_handler = position_update_handler

    def execute_blocks(self, timestamp: datetime, blocks: Sequence[dict[str, Any]]) -> list[ExecutionReport]:
        """Execute a plan and give a report for each block.

        Every block of a plan of two or more is checked on the state that the ones before it would leave, before the
        first one is sent: never one leg without the other.

        Raises:
            StaleSeries: a price is too old to trade on; nothing was sent. MissingData: a series is missing; the same.
            ComponentError: EXM-001, the plan would fail, or is no list of blocks; the message names each problem and its step;
                nothing was sent. Or what a block was refused for: `reports` then are of what was executed before, `partial_deltas`
                their sum.
        """
        try:
            reports = self.execution_interface_manager.run_plan(timestamp, blocks)
        except ComponentError as error:
            self._hand_in(timestamp, error.reports)
            raise
        self._hand_in(timestamp, reports)
        return reports

    def _hand_in(self, timestamp: datetime, reports: Sequence[ExecutionReport]) -> None:
        if self.position_update_handler is not None:
            for report in reports:
                self.position_update_handler.update_state(timestamp, "execution_manager", report)
