"""The interfaces to venues. `execute` holds the only mode switch of the house."""

from __future__ import annotations

import decimal
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.amounts import EXACT, shown
from basis_strategy_v1.core.deltas import floats_of
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueRejected
from basis_strategy_v1.core.execution_report import ExecutionReport
from basis_strategy_v1.core.instructions import CexTrade, Chain, Instruction, SmartContractAction, WalletTransfer, parse_instruction
from basis_strategy_v1.core.state import WALLET
from basis_strategy_v1.execution.desk import Context, Desk
from basis_strategy_v1.execution.deviation import require_estimate_met
from basis_strategy_v1.execution.limits import require_within_limits
from basis_strategy_v1.execution.steps import all_steps, not_offered, top_steps, venues_of
from basis_strategy_v1.venues.chain import simulate_transaction
from basis_strategy_v1.venues.registry import known_names, make_venue
from basis_strategy_v1.venues.transfers import simulate_transfer
from basis_strategy_v1.venues.venue import CEX, DEX, ONCHAIN, REJECTED, Moved

if TYPE_CHECKING:
    from basis_strategy_v1.config import Limits
    from basis_strategy_v1.core.state import State
    from basis_strategy_v1.execution.live_execution import LiveExecution
    from basis_strategy_v1.venues.venue import Venues

BACKTEST, LIVE = "backtest", "live"
SIMULATED = "simulated"
Kinds = tuple[type[Instruction], ...]
TRADES: Kinds = (CexTrade,)
ACTIONS: Kinds = (SmartContractAction, Chain)
TRANSFERS: Kinds = (WalletTransfer,)
_SAID: dict[type[Instruction], str] = {
    CexTrade: "cex_trade", SmartContractAction: "smart_contract_action", Chain: "a chain", WalletTransfer: "wallet_transfer",
}  # fmt: skip


def require_mode(name: str) -> str:
    """The mode, if it is one.

    Raises:
        ComponentError: CFG-002.
    """
    if name not in (BACKTEST, LIVE):
        raise ComponentError("CFG-002", f"execution_mode must be backtest or live, got {shown(name)}")
    return name


class ExecutionInterface:
    """One way to a venue, in one mode.

    An interface of its own (`CEXExecutionInterface("binance", settings, data_provider, "backtest")`) knows its own
    venue only, checks no balance, and pays no gas unless its settings name `gas_price_gwei`; those of a manager share its
    venues, its positions and its clock.
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
        limits: Limits | None = None,
    ) -> None:
        self.venue = venue or protocol
        self.config = config
        self.data_provider = data_provider
        self.execution_mode = require_mode(execution_mode)
        self._desk = desk or Desk(_own_venues(self.kind, self.venue, config), data_provider, None)
        self._venues = self._desk.venues
        self._is_live = execution_mode == LIVE
        self._live = live
        self._limits = limits

    def execute(self, instruction: Instruction, context: Context, foreseen: Moved | None = None) -> tuple[ExecutionReport, State]:
        """Execute one instruction and give the report and the state after it; the caller assigns the state.

        `foreseen` is what `simulate` gave for just this instruction and context, where the caller has it.

        Raises:
            VenueRejected: the venue, or its simulator, says no; nothing was changed.
            VenueUnreachable, OutcomeUnknown: live only.
        """
        if foreseen is not None:
            moved = foreseen
        elif type(instruction) is CexTrade and instruction.max_deviation_bps is None and self._limits is None:
            moved = self._venues[instruction.venue].simulate(instruction, context.state, context.market)
        else:
            moved = self.simulate(instruction, context)
        if self._is_live:
            if self._live is None:
                raise ComponentError(
                    "EIM-002", f"{self.venue} has no live gateway; run a backtest, or give the manager one", self.component
                )
            return self._live.execute(instruction, context, moved)
        deltas = moved.deltas
        return ExecutionReport(
            context.key, self.venue, context.at, "execution", deltas, deltas, moved.costs, SIMULATED, moved.details
        ), moved.state

    def simulate(self, instruction: Instruction, context: Context) -> Moved:
        """What the instruction would do; also the check before a live one is sent."""
        venues, state, market = self._venues, context.state, context.market
        if type(instruction) is CexTrade:
            moved = venues[instruction.venue].simulate(instruction, state, market)
        elif isinstance(instruction, WalletTransfer):
            moved = simulate_transfer(instruction, venues, state, market)
        else:
            moved = simulate_transaction(top_steps(instruction), venues, state, market)
        if instruction.max_deviation_bps is not None:
            require_estimate_met(instruction, moved, market, self.kind)
        if self._limits is not None:
            require_within_limits(instruction, moved, market, self._limits, self.kind)
        return moved

    # The specification's methods: dicts in, floats out, at the latest instant that the data provider knows.

    def _run(self, block: dict[str, Any], kinds: Kinds, mode: str | None = None) -> dict[str, dict[str, float]]:
        if mode is not None and mode != self.execution_mode:
            raise self._refused(f"this interface of {self.venue} runs in {self.execution_mode} mode; its {mode} methods cannot be called")
        instruction = parse_instruction(block)
        self._require_own(instruction, kinds)
        name, done = instruction.instruction_id, self._desk.done
        with self._desk.lock, decimal.localcontext(EXACT):
            if name is not None and name in done:
                return done[name].deltas.as_floats()
            context = self._desk.context(self._desk.now(), name)
            try:
                report, after = self.execute(instruction, context)
            except BaseException:
                if name is None:
                    self._desk.keys.withdraw(context.key)
                raise
            if name is not None:
                self._desk.note_done(name, report)
            return floats_of(self._desk.commit(after, report))

    def _require_own(self, instruction: Instruction, kinds: Kinds) -> None:
        if not isinstance(instruction, kinds):
            takes = " or ".join(_SAID[kind] for kind in kinds)
            raise self._refused(f"this method of {self.venue} takes {takes}, got {_SAID[type(instruction)]}")
        named, own = venues_of(instruction), self.venue
        if own not in named:
            raise self._refused(
                f"this is the interface of {own}, the block is for {' and '.join(dict.fromkeys(named))}; route it through a manager"
            )
        if unknown := [name for name in named if name not in self._desk.venues]:
            raise self._refused(f"this interface of {own} does not know {unknown[0]}; configure both and route the block through a manager")
        if isinstance(instruction, Chain) and not instruction.atomic:
            raise self._refused("a chain that is not atomic is several transactions; route it through a manager")
        if isinstance(instruction, SmartContractAction | Chain):
            for step in all_steps(instruction):
                if fault := not_offered(step, self._desk.venues):
                    raise self._refused(fault)

    def _refused(self, message: str) -> VenueRejected:
        return VenueRejected(REJECTED[self.kind], message, self.component)


class CEXExecutionInterface(ExecutionInterface):
    """Spot and perp trades, and transfers, at an exchange."""

    kind = CEX
    component = "CEXExecutionInterface"

    def execute_trade(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        """Execute a `cex_trade` block in this interface's mode: venue -> token -> net change."""
        return self._run(instruction, TRADES)

    def execute_backtest_trade(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        return self._run(instruction, TRADES, BACKTEST)

    def execute_live_trade(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        return self._run(instruction, TRADES, LIVE)

    def execute_transfer(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        """Execute a `wallet_transfer` block in this interface's mode."""
        return self._run(instruction, TRANSFERS)

    def execute_backtest_transfer(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        return self._run(instruction, TRANSFERS, BACKTEST)

    def execute_live_transfer(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        return self._run(instruction, TRANSFERS, LIVE)


class DEXExecutionInterface(ExecutionInterface):
    """Swaps."""

    kind = DEX
    component = "DEXExecutionInterface"

    def execute_swap(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        """Execute a swap block in this interface's mode: venue -> token -> net change."""
        return self._run(instruction, ACTIONS)

    def execute_backtest_swap(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        return self._run(instruction, ACTIONS, BACKTEST)

    def execute_live_swap(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        return self._run(instruction, ACTIONS, LIVE)


class OnChainExecutionInterface(ExecutionInterface):
    """Lending, staking, wrapping, chains, and transfers out of the wallet."""

    kind = ONCHAIN
    component = "OnChainExecutionInterface"

    def execute_action(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        """Execute a `smart_contract_action` block in this interface's mode: venue -> token -> net change."""
        return self._run(instruction, ACTIONS)

    def execute_backtest_action(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        return self._run(instruction, ACTIONS, BACKTEST)

    def execute_live_action(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        return self._run(instruction, ACTIONS, LIVE)

    def execute_transfer(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        """Execute a `wallet_transfer` block in this interface's mode."""
        return self._run(instruction, TRANSFERS)

    def execute_backtest_transfer(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        return self._run(instruction, TRANSFERS, BACKTEST)

    def execute_live_transfer(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        return self._run(instruction, TRANSFERS, LIVE)


def _own_venues(kind: str, venue: str, config: Any) -> Venues:
    """The venue of an interface of its own; one on chain has a wallet beside it, which pays and takes."""
    try:
        own = {venue: make_venue(kind, venue, config)}
    except KeyError:
        raise ComponentError("EIM-002", f"no {kind} venue is called {venue!r}; there are {', '.join(known_names(kind))}") from None
    if kind == CEX or venue == WALLET:
        return own
    gas_price = (config or {}).get("gas_price_gwei", 0)
    return {**own, WALLET: make_venue(ONCHAIN, WALLET, {"gas_price_gwei": gas_price})}


__all__ = [
    "CEXExecutionInterface",
    "Context",
    "DEXExecutionInterface",
    "ExecutionInterface",
    "OnChainExecutionInterface",
    "require_mode",
]
