"""The specification's interfaces to venues."""

from __future__ import annotations

from typing import Any

from basis_strategy_v1.config import load_settings
from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.clock import SystemClock
from basis_strategy_v1.core.deltas import floats_of
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueRejected
from basis_strategy_v1.core.instruction_steps import all_steps, venues_of
from basis_strategy_v1.core.instructions import CexTrade, Chain, Instruction, SmartContractAction, WalletTransfer, parse_instruction
from basis_strategy_v1.core.journal import MemoryJournal
from basis_strategy_v1.core.state import WALLET
from basis_strategy_v1.execution.account import Account
from basis_strategy_v1.execution.live_parts import NO_GATEWAYS
from basis_strategy_v1.execution.live_run import LiveRun
from basis_strategy_v1.execution.market_source import MarketSource
from basis_strategy_v1.execution.pipeline import Pipeline
from basis_strategy_v1.execution.routing_record import RoutingRecord
from basis_strategy_v1.execution.step import StepSimulator, not_offered
from basis_strategy_v1.execution.timing import REAL_TIME
from basis_strategy_v1.positions.ledger import UnknownHoldings
from basis_strategy_v1.venues import exchanges
from basis_strategy_v1.venues.registry import known_names, make_venue
from basis_strategy_v1.venues.venue import CEX, DEX, ONCHAIN, REJECTED, OnChainVenue

BACKTEST, LIVE = "backtest", "live"
Kinds = tuple[type[Instruction], ...]
TRADES: Kinds = (CexTrade,)
ACTIONS: Kinds = (SmartContractAction, Chain)
TRANSFERS: Kinds = (WalletTransfer,)
NAMES: dict[type[Instruction], str] = {
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
    """One way to a venue, in one mode, as the specification has it: dicts in, floats out.

    An interface of its own (`CEXExecutionInterface("binance", settings, data_provider, "backtest")`) knows its own
    venue only, checks no balance, and pays no gas unless its settings name `gas_price_gwei`; those of a manager share its
    account and its pipeline.
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
        pipeline: Pipeline | None = None,
    ) -> None:
        self.venue = venue or protocol
        self.config = config
        self.data_provider = data_provider
        self.execution_mode = require_mode(execution_mode)
        self._pipeline = pipeline or _own_pipeline(self.kind, self.venue, config, data_provider, self.execution_mode)

    def _run(self, block: dict[str, Any], kinds: Kinds, mode: str | None = None) -> dict[str, dict[str, float]]:
        """Execute a block at the latest instant that the data provider knows."""
        if mode is not None and mode != self.execution_mode:
            raise self._refused(f"this interface of {self.venue} runs in {self.execution_mode} mode; its {mode} methods cannot be called")
        self._require_own(parse_instruction(block), kinds)
        try:
            _, packed = self._pipeline.execute(self._pipeline.account.source.now(), block)
        except VenueRejected as refused:
            raise refused.original_exception or refused from refused.__cause__
        return floats_of(packed)

    def _require_own(self, instruction: Instruction, kinds: Kinds) -> None:
        venues, own = self._pipeline.simulator.venues, self.venue
        if not isinstance(instruction, kinds):
            takes = " or ".join(NAMES[kind] for kind in kinds)
            raise self._refused(f"this method of {own} takes {takes}, got {NAMES[type(instruction)]}")
        named = venues_of(instruction)
        if own not in named:
            raise self._refused(
                f"this is the interface of {own}, the block is for {' and '.join(dict.fromkeys(named))}; route it through a manager"
            )
        if unknown := [name for name in named if name not in venues]:
            raise self._refused(f"this interface of {own} does not know {unknown[0]}; configure both and route the block through a manager")
        if isinstance(instruction, Chain) and not instruction.atomic:
            raise self._refused("a chain that is not atomic is several transactions; route it through a manager")
        if isinstance(instruction, SmartContractAction | Chain):
            for step in all_steps(instruction):
                if fault := not_offered(step, venues):
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


def _own_pipeline(kind: str, venue: str, config: Any, data_provider: Any, execution_mode: str) -> Pipeline:
    """The pipeline of an interface of its own. One on chain has a wallet too, which pays and takes."""
    given = dict(config or {})
    gas = {"protocol": WALLET, "gas_price_gwei": given.get("gas_price_gwei", 0) if venue == WALLET else given.pop("gas_price_gwei", 0)}
    try:
        settings = load_settings(kind, venue, given)
        own = make_venue(kind, venue, settings.with_free_withdrawals() if isinstance(settings, exchanges.Settings) else settings)
    except KeyError:
        raise ComponentError("EIM-002", f"no {kind} venue is called {venue!r}; there are {', '.join(known_names(kind))}") from None
    venues = {venue: own}
    if isinstance(own, OnChainVenue) and own.wallet != venue:
        venues[own.wallet] = make_venue(ONCHAIN, own.wallet, load_settings(ONCHAIN, own.wallet, gas))
    source, record = MarketSource(data_provider), RoutingRecord()
    if execution_mode == LIVE:  # it has no gateway, and refuses what it is handed
        return LiveRun(NO_GATEWAYS, venues, source, UnknownHoldings(), record, SystemClock(), REAL_TIME).pipeline
    return Pipeline(Account(venues, source, UnknownHoldings()), StepSimulator(venues), MemoryJournal(), record)


__all__ = [
    "CEXExecutionInterface",
    "DEXExecutionInterface",
    "ExecutionInterface",
    "OnChainExecutionInterface",
    "require_mode",
]
