"""Executes plans: several blocks that belong together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.instructions import parse_instruction

if TYPE_CHECKING:
    from datetime import datetime

    from basis_strategy_v1.core.execution_report import ExecutionReport
    from basis_strategy_v1.core.market import MissingData
    from basis_strategy_v1.execution.execution_interface_manager import ExecutionInterfaceManager, Problem
    from basis_strategy_v1.execution.preflight import Foreseen
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
                nothing was sent. Or what a block was refused for: `partial_deltas` then are what those before it had moved.
        """
        if type(blocks) is not list and (isinstance(blocks, Mapping | str | bytes) or not isinstance(blocks, Sequence)):
            raise ComponentError("EXM-001", f"a plan must be a list of instruction blocks, got {shown(blocks)}; nothing was sent")
        manager = self.execution_interface_manager
        foreseen: list[Foreseen | None] = [None] * len(blocks)
        if len(blocks) > 1:
            problems, foreseen, missing = manager.plan(timestamp, blocks)
            if problems:
                raise _refused(problems, blocks, missing)
        reports: list[ExecutionReport] = []
        for block, known in zip(blocks, foreseen, strict=True):
            try:
                report = manager.execute(timestamp, block, known)
            except ComponentError as error:
                error.partial_deltas = _moved(reports, error)
                raise
            if self.position_update_handler is not None:
                self.position_update_handler.update_state(timestamp, "execution_manager", report)
            reports.append(report)
        return reports


def _moved(reports: Sequence[ExecutionReport], error: ComponentError) -> dict[str, dict[str, float]]:
    moved = Deltas.total(report.deltas for report in reports).as_floats()
    for venue, tokens in error.partial_deltas.items():
        there = moved.setdefault(venue, {})
        for token, amount in tokens.items():
            there[token] = there.get(token, 0.0) + amount
    return moved


def _refused(problems: Sequence[Problem], blocks: Sequence[Any], missing: MissingData | None) -> ComponentError:
    """What a plan is refused with: the data that are missing, where there is nothing else wrong with it."""
    first = next((problem for problem in problems if problem.code.startswith("DAT-")), None)
    only_data = first is not None and all(problem.code.startswith("DAT-") or _follows(problem, first, blocks) for problem in problems)
    if missing is not None and only_data:
        return missing
    told = "; ".join(f"step {problem.step}: {problem.message}" for problem in problems)
    return ComponentError("EXM-001", f"nothing was sent. {told}")


def _follows(problem: Problem, first: Problem, blocks: Sequence[Any]) -> bool:
    """Whether a problem may come of an earlier step that lacked data: its proceeds are not there."""
    try:
        parse_instruction(blocks[problem.step])
    except ComponentError:
        return False
    return problem.step > first.step and problem.code == "EIM-001"
