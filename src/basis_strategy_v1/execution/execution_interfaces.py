"""The interfaces to venues. `execute` holds the only mode switch of the house."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueRejected
from basis_strategy_v1.core.execution_report import ExecutionReport
from basis_strategy_v1.core.instructions import CexTrade, Chain, SmartContractAction, WalletTransfer, parse_instruction
from basis_strategy_v1.execution.desk import Desk
from basis_strategy_v1.execution.deviation import require_estimate_met
from basis_strategy_v1.venues import make_venue
from basis_strategy_v1.venues.chain import simulate_transaction
from basis_strategy_v1.venues.transfers import simulate_transfer
from basis_strategy_v1.venues.venue import CEX, DEX, ONCHAIN, REJECTED, Moved

if TYPE_CHECKING:
    from datetime import datetime

    from basis_strategy_v1.core.instructions import Instruction
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.core.state import State
    from basis_strategy_v1.execution.live_execution import LiveExecution

BACKTEST, LIVE = "backtest", "live"


class Context(NamedTuple):
    """When and on what an instruction is executed, and the key under which it is known."""

    at: datetime
    key: str
    state: State
    market: MarketSnapshot


class ExecutionInterface:
    """One way to a venue, in one mode.

    An interface of its own (`CEXExecutionInterface("binance", settings, data_provider, "backtest")`) knows its own
    venue only and checks no balance; those of a manager share its venues, its positions and its clock.
    """

    kind = ""
    component = ""

    def __init__(
        self,
        venue: str = "",
        config: Any = None,
        data_provider: Any = None,
        execution_mode: str = BACKTEST,
        *,
        protocol: str = "",
        desk: Desk | None = None,
        live: LiveExecution | None = None,
    ) -> None:
        self.venue = venue or protocol
        self.config = config
        self.data_provider = data_provider
        self.execution_mode = execution_mode
        self._desk = desk or Desk({self.venue: make_venue(self.kind, self.venue, config)}, data_provider, None)
        self._live = live

    def execute(self, instruction: Instruction, context: Context) -> tuple[ExecutionReport, State]:
        """Execute one instruction and give the report and the state after it; the caller assigns the state.

        Raises:
            VenueRejected: the venue, or its simulator, says no; nothing was changed.
            VenueUnreachable, OutcomeUnknown: live only.
        """
        moved = self.simulate(instruction, context)
        if self.execution_mode == LIVE:
            if self._live is None:
                raise ComponentError("EIM-002", f"{self.venue} has no live gateway; run a backtest, or give the manager one", self.component)
            return self._live.execute(instruction, context, moved)
        return _report(instruction, context, self.venue, moved), moved.state

    def simulate(self, instruction: Instruction, context: Context) -> Moved:
        """What the instruction would do; also the check before a live one is sent."""
        venues, (_, _, state, market) = self._desk.venues, context
        if isinstance(instruction, CexTrade):
            moved: Moved = venues[instruction.venue].simulate(instruction, state, market)
        elif isinstance(instruction, WalletTransfer):
            moved = simulate_transfer(instruction, venues, state, market)
        else:
            assert isinstance(instruction, Chain | SmartContractAction)
            steps = instruction.steps if isinstance(instruction, Chain) else (instruction,)
            moved = simulate_transaction(steps, venues, state, market)
        if instruction.max_deviation_bps is not None:
            require_estimate_met(instruction, moved, market, self.kind)
        return moved

    # The specification's methods: dicts in, floats out, at the latest instant that the data provider knows.

    def _run(self, block: dict[str, Any], mode: str | None) -> dict[str, dict[str, float]]:
        if mode is not None and mode != self.execution_mode:
            message = f"this interface of {self.venue} runs in {self.execution_mode} mode; its {mode} methods cannot be called"
            raise VenueRejected(REJECTED[self.kind], message, self.component)
        instruction = parse_instruction(block)
        market = self._desk.market(self._now())
        context = Context(market.at, instruction.instruction_id or self._desk.next_key(market.instant), self._desk.state(market), market)
        report, after = self.execute(instruction, context)
        self._desk.commit(after, report.deltas)
        return report.deltas.as_floats()

    def _now(self) -> datetime:
        if self._desk.latest is not None:
            return self._desk.latest.at
        clock = getattr(self.data_provider, "clock", None)
        found: datetime | None = clock.now() if clock is not None else getattr(self.data_provider, "latest", None)
        if found is None:
            raise ComponentError("DAT-006", "the data provider has no clock, so there is no latest instant; route through a manager", self.component)
        return found


class CEXExecutionInterface(ExecutionInterface):
    """Spot and perp trades, and transfers, at an exchange."""

    kind = CEX
    component = "CEXExecutionInterface"

    def execute_trade(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        """Execute a `cex_trade` block in this interface's mode: venue -> token -> net change."""
        return self._run(instruction, None)

    def execute_backtest_trade(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        return self._run(instruction, BACKTEST)

    def execute_live_trade(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        return self._run(instruction, LIVE)

    def execute_transfer(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        """Execute a `wallet_transfer` block in this interface's mode."""
        return self._run(instruction, None)

    def execute_backtest_transfer(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        return self._run(instruction, BACKTEST)

    def execute_live_transfer(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        return self._run(instruction, LIVE)


class DEXExecutionInterface(ExecutionInterface):
    """Swaps."""

    kind = DEX
    component = "DEXExecutionInterface"

    def execute_swap(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        """Execute a swap block in this interface's mode: venue -> token -> net change."""
        return self._run(instruction, None)

    def execute_backtest_swap(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        return self._run(instruction, BACKTEST)

    def execute_live_swap(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        return self._run(instruction, LIVE)


class OnChainExecutionInterface(ExecutionInterface):
    """Lending, staking, wrapping, chains, and transfers out of the wallet."""

    kind = ONCHAIN
    component = "OnChainExecutionInterface"

    def execute_action(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        """Execute a `smart_contract_action` block in this interface's mode: venue -> token -> net change."""
        return self._run(instruction, None)

    def execute_backtest_action(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        return self._run(instruction, BACKTEST)

    def execute_live_action(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        return self._run(instruction, LIVE)

    def execute_transfer(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        """Execute a `wallet_transfer` block in this interface's mode."""
        return self._run(instruction, None)

    def execute_backtest_transfer(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        return self._run(instruction, BACKTEST)

    def execute_live_transfer(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        return self._run(instruction, LIVE)


INTERFACES: dict[str, type[ExecutionInterface]] = {
    CEX: CEXExecutionInterface,
    DEX: DEXExecutionInterface,
    ONCHAIN: OnChainExecutionInterface,
}


def _report(instruction: Instruction, context: Context, venue: str, moved: Moved) -> ExecutionReport:
    return ExecutionReport(
        key=context.key,
        venue=venue,
        at=context.at,
        kind="execution",
        deltas=moved.deltas,
        expected=moved.deltas,
        costs=moved.costs,
        details=dict(moved.details),
    )


__all__ = ["INTERFACES", "CEXExecutionInterface", "Context", "DEXExecutionInterface", "ExecutionInterface", "OnChainExecutionInterface"]
