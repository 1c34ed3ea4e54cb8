"""Routes each instruction to its venue's interface and returns the deltas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import localcontext
from typing import TYPE_CHECKING, Any, TypeVar

from basis_strategy_v1.config import Config, Environment, load_config
from basis_strategy_v1.core.amounts import EXACT, shown
from basis_strategy_v1.core.clock import SystemClock
from basis_strategy_v1.core.deltas import floats_of
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.execution.account import Account
from basis_strategy_v1.execution.execution_interfaces import (
    BACKTEST,
    LIVE,
    CEXExecutionInterface,
    DEXExecutionInterface,
    ExecutionInterface,
    OnChainExecutionInterface,
    require_mode,
)
from basis_strategy_v1.execution.live_parts import live_parts
from basis_strategy_v1.execution.live_run import LiveRun
from basis_strategy_v1.execution.market_events import events_at, exchanges_of
from basis_strategy_v1.execution.market_source import MarketSource
from basis_strategy_v1.execution.pipeline import Pipeline, require_aware
from basis_strategy_v1.execution.pretrade_check import Problem
from basis_strategy_v1.execution.routing_events import COMPONENT
from basis_strategy_v1.execution.routing_record import HISTORY, RoutingRecord
from basis_strategy_v1.execution.step import StepSimulator
from basis_strategy_v1.execution.timing import REAL_TIME, Timing
from basis_strategy_v1.monitoring.health import WORSE
from basis_strategy_v1.positions.ledger import Ledger, UnknownHoldings
from basis_strategy_v1.positions.position_update_handler import PositionUpdateHandler
from basis_strategy_v1.venues import exchanges
from basis_strategy_v1.venues.registry import kind_of, make_venue, with_wallets
from basis_strategy_v1.venues.venue import CEX, DEX, ONCHAIN, OnChainVenue
from basis_strategy_v1.venues.wallet import gas_is_free

if TYPE_CHECKING:
    from pathlib import Path

    from basis_strategy_v1.core.clock import Clock
    from basis_strategy_v1.core.execution_report import ExecutionReport
    from basis_strategy_v1.core.gateway import Gateway
    from basis_strategy_v1.core.journal import LiveJournal
    from basis_strategy_v1.monitoring.event_logger import EventLogger
    from basis_strategy_v1.monitoring.health import UnifiedHealthManager
    from basis_strategy_v1.venues.venue import Venue

E = TypeVar("E", bound=ExecutionInterface)
TRIGGERS = ("execution_manager", "manual", "retry")


class ExecutionInterfaceManager:
    """Routes cex_trade, smart_contract_action and wallet_transfer blocks.

    Args:
        config: a dict, or what load_config gives; at least strategy_mode, share_class, initial_capital and venues.
        data_provider: anything with `get_data(timestamp)`.
        execution_mode: backtest or live; None reads BASIS_EXECUTION_MODE.
        positions: the balances at the start; with them, spending more than is there is rejected.
            A PositionUpdateHandler, or venue -> token -> amount.
            Live without them, the balances are read from the venues at the first start, and restored from the journal later.
        gateways: live, the way to each venue account by its configured name. Without any, every instruction is refused (EIM-002).
        state: live, the folder of the journal, `state/` where it is left out; it is opened with the first instruction.
        journal: live, a journal that is open already, in place of `state`; whoever opened it closes it.

    Raises:
        ComponentError: CFG-001 (all faults of the config; live with gateways also the want of `limits`), CFG-002 (environment).
    """

    def __init__(
        self,
        config: Any,
        data_provider: Any = None,
        execution_mode: str | None = None,
        *,
        positions: PositionUpdateHandler | Mapping[str, Mapping[str, Any]] | None = None,
        event_logger: EventLogger | None = None,
        health_manager: UnifiedHealthManager | None = None,
        clock: Clock | None = None,
        history: int = HISTORY,
        gateways: Mapping[str, Gateway] | None = None,
        state: str | Path | None = None,
        journal: LiveJournal | None = None,
        timing: Timing = REAL_TIME,
    ) -> None:
        environment = Environment.read()
        self.config = config
        self.settings = settings = config if isinstance(config, Config) else load_config(config)
        self.execution_mode = require_mode(execution_mode or environment.execution_mode)
        self.environment = environment
        self.data_provider = data_provider
        self.event_logger = event_logger
        self.health_manager = health_manager
        self.clock = clock or getattr(data_provider, "clock", None) or SystemClock()
        if positions is not None and not isinstance(positions, PositionUpdateHandler):
            positions = PositionUpdateHandler(positions)
        is_live = self.execution_mode == LIVE
        opens_with = positions is not None
        if is_live and gateways and positions is None:
            positions = PositionUpdateHandler()
        self.positions = positions
        ledger: Ledger = UnknownHoldings() if positions is None else positions
        source = MarketSource(data_provider, clock)
        self.record = RoutingRecord(
            event_logger,
            health_manager,
            source.now,
            history=history,
            # Live a clock for differences; in a backtest none, so that two runs write the same.
            measured_s=timing.monotonic if is_live else None,
            retries=settings.max_retry_attempts > 1,
        )
        configured = with_wallets(settings.venues.sections())
        # Without positions it computes deltas alone: the amount of a transfer arrives whole unless the config says otherwise.
        venues = venues_of_config(settings, data_provider, free_withdrawals=positions is None)
        self.live: LiveRun | None = None
        self.account: Account
        self.pipeline: Pipeline
        own: Pipeline
        if is_live:
            self.live = LiveRun(
                live_parts(settings, gateways or {}, state, journal, event_logger),
                venues,
                source,
                ledger,
                self.record,
                self.clock,
                timing,
                atomic_chaining=settings.enable_atomic_chaining,
                opens_with=opens_with,
            )
            self.account, self.pipeline, own = self.live.account, self.live.pipeline, self.live.pipeline
        else:
            self.account = Account(venues, source, ledger)
            self.pipeline, own = self._pipelines()
        self.cex_execution_interfaces = _interfaces(CEXExecutionInterface, configured[CEX], self, own)
        self.dex_execution_interfaces = _interfaces(DEXExecutionInterface, configured[DEX], self, own)
        self.onchain_execution_interfaces = _interfaces(OnChainExecutionInterface, configured[ONCHAIN], self, own)
        self.venue_interfaces: dict[str, ExecutionInterface] = {
            **self.cex_execution_interfaces, **self.dex_execution_interfaces, **self.onchain_execution_interfaces,
        }  # fmt: skip
        self._settlements: list[ExecutionReport] = []  # of what fell due before an instruction, for `settle`
        ledger.know_wallets({name: venue.wallet for name, venue in venues.items() if isinstance(venue, OnChainVenue)})
        if health_manager is not None:
            health_manager.register_component(component_name=COMPONENT, checker=self._health_check)
        self._log_initialization()

    # Setting up.

    def _pipelines(self) -> tuple[Pipeline, Pipeline]:
        """The manager's pipeline of a backtest, and that of its interfaces, which counts and logs nothing."""
        simulator = StepSimulator(self.account.venues, atomic_chaining=self.settings.enable_atomic_chaining)
        journal = self.account.ledger.journal
        return Pipeline(self.account, simulator, journal, self.record), Pipeline(self.account, simulator, journal, RoutingRecord())

    def close(self) -> None:
        """Let go of the journal that a live manager has opened in `state`. The next instruction opens it again."""
        if self.live is not None:
            self.live.close()

    def _log_initialization(self) -> None:
        data = {"execution_mode": self.execution_mode, "venue_interfaces": list(self.venue_interfaces), "config_hash": self.settings.hash}
        started = self.settings.start if self.execution_mode == BACKTEST else None
        self.record.events.log(started or self.clock.now(), [("component_initialization", data)])

    @property
    def interfaces(self) -> dict[str, ExecutionInterface]:
        """The registry under the specification's second name."""
        return self.venue_interfaces

    # The specification's state.

    @property
    def current_instruction(self) -> dict[str, Any] | None:
        """The block that was executed last."""
        return self.record.current_instruction  # type: ignore[no-any-return]  # whatever was handed in

    @property
    def instructions_routed(self) -> int:
        return self.record.instructions_routed

    @property
    def instructions_failed(self) -> int:
        return self.record.instructions_failed

    @property
    def routing_count(self) -> int:
        """How many instructions were executed or refused."""
        return self.instructions_routed + self.instructions_failed

    @property
    def last_routing_timestamp(self) -> datetime | None:
        return self.record.last_routing_timestamp

    @property
    def routing_history(self) -> list[dict[str, Any]]:
        """The last instructions, oldest first: timestamp, instruction_type, success, and deltas or error."""
        return self.record.routing_history

    # The specification's entrances.

    def update_state(
        self, timestamp: datetime, trigger_source: str, instruction_block: dict[str, Any] | None = None
    ) -> dict[str, dict[str, float]]:
        """Route a block, if there is one, and give the net changes: venue -> token -> float.

        Raises:
            ComponentError: EIM-001, an unknown trigger source or a block that cannot be executed; EIM-002, no such venue.
        """
        if trigger_source not in TRIGGERS:
            raise ComponentError("EIM-001", f"trigger_source must be {', '.join(TRIGGERS)}, got {shown(trigger_source)}", COMPONENT)
        if type(timestamp) is not datetime or timestamp.tzinfo is not UTC:  # the quick way for nearly all of them
            require_aware(timestamp)
        if instruction_block is None:
            self.record.log_update(timestamp, trigger_source, None, self.record.measured_s() if self.record.measured_s else 0.0)
            return {}
        return floats_of(self._executed(timestamp, instruction_block, trigger_source)[1])

    def route_instruction(self, timestamp: datetime, instruction_block: dict[str, Any]) -> dict[str, dict[str, float]]:
        """Execute a block and give the net changes: venue -> token -> float, zeros left out."""
        return floats_of(self._executed(timestamp, instruction_block, None)[1])

    def execute(self, timestamp: datetime, block: dict[str, Any]) -> ExecutionReport:
        """Execute a block and give its report, with the exact deltas, costs and the venue's reference.

        Raises:
            ComponentError: as `Pipeline.execute`.
        """
        return self._executed(timestamp, block, None)[0]

    def _executed(self, timestamp: datetime, block: Any, trigger: str | None) -> tuple[ExecutionReport, bytes]:
        try:
            report, packed = self.pipeline.execute(timestamp, block, trigger)
        except ComponentError as error:
            self._settlements += error.settlements
            raise
        if report.settlements:
            self._settlements += report.settlements
        return report, packed

    def run_plan(self, timestamp: datetime, blocks: Sequence[Any]) -> list[ExecutionReport]:
        """Execute a plan and give a report for each block.

        Raises:
            ComponentError: as `Pipeline.run`.
        """
        try:
            reports = self.pipeline.run(timestamp, blocks)
        except ComponentError as error:
            self._settlements += error.settlements
            raise
        self._settlements += [settled for report in reports for settled in report.settlements]
        return reports

    # The specification's own routes: dicts in, floats out, at the clock's or the last routing's time.

    def _route_cex_trade(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        return self._route_as("cex_trade", instruction)

    def _route_smart_contract_action(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        return self._route_as("smart_contract_action", instruction)

    def _route_wallet_transfer(self, instruction: dict[str, Any]) -> dict[str, dict[str, float]]:
        return self._route_as("wallet_transfer", instruction)

    def _route_as(self, kind: str, block: dict[str, Any]) -> dict[str, dict[str, float]]:
        if isinstance(block, dict):
            block = {"instruction_type": kind, **block}
            if block["instruction_type"] != kind:
                raise ComponentError("EIM-001", f"_route_{kind} takes a {kind}, got {shown(block['instruction_type'])}", COMPONENT)
        return self.route_instruction(self.account.source.now(), block)

    # Time, and looking ahead of sending.

    def settle(self, until: datetime) -> list[ExecutionReport]:
        """What falls due by time up to `until` (funding, interest, arrivals, claims, liquidation), each at its own instant.

        With it come the reports of what fell due before an instruction since the last call.
        """
        if self.live is not None:
            self.live.take_up(until)
        with self.account.lock, localcontext(EXACT):
            for _, reports in self.account.advance_to(until):
                self.pipeline.take_up(reports)
                self._settlements += reports
            found, self._settlements = self._settlements, []
            return found

    def preflight(self, timestamp: datetime, blocks: Sequence[Any]) -> list[Problem]:
        """All problems of all steps of all blocks, each checked on the state that those before it would leave.

        A step that would fail counts as not there for those after it; a block that was executed already would be replayed
        and has no problem. Nothing is sent, counted, logged or changed.

        Raises:
            ComponentError: EIM-001, no timestamp or no list of blocks; DAT-…, no data at all at that time.
        """
        return self.pipeline.check(timestamp, blocks).problems

    # What others may ask.

    def gas_is_free(self) -> bool:
        """Whether transactions cost nothing here, or there are none."""
        return gas_is_free(self.account.venues)

    # These wait for no instruction that is on its way to a venue.

    def get_routing_status(self) -> dict[str, Any]:
        """The specification's status: health, counters, mode, and the venues that there are."""
        return {
            "status": self._health()["status"],
            "current_instruction": self.current_instruction,
            "instructions_routed": self.instructions_routed,
            "instructions_failed": self.instructions_failed,
            "execution_mode": self.execution_mode,
            "available_venues": {
                "cex": list(self.cex_execution_interfaces),
                "dex": list(self.dex_execution_interfaces),
                "onchain": list(self.onchain_execution_interfaces),
            },
        }

    def get_state_snapshot(self) -> dict[str, Any]:
        """The manager's state as plain values, for an event log."""
        return {
            "current_instruction": self.current_instruction,
            "instructions_routed": self.instructions_routed,
            "instructions_failed": self.instructions_failed,
            "routing_count": self.routing_count,
            "last_routing_timestamp": self.last_routing_timestamp,
            "venue_interfaces": list(self.venue_interfaces),
            "routing_history_length": len(self.record.history),
        }

    def _health_check(self) -> dict[str, Any]:
        found = self._health()
        found["metrics"].update(
            instructions_routed=self.instructions_routed,
            instructions_failed=self.instructions_failed,
            venue_interfaces_available=len(self.venue_interfaces),
        )
        return found

    def _health(self) -> dict[str, Any]:
        """How routing is; live also how sending is: what is open for too long, and what a venue shows otherwise."""
        found = self.record.health.check()
        if self.live is not None:
            sending = self.live.senders.check_health()
            found["status"] = max(found["status"], sending["status"], key=WORSE.__getitem__)
            found["errors"] = [*found["errors"], *sending["errors"]]
        return found


def venues_of_config(settings: Config, provider: Any = None, *, free_withdrawals: bool = False) -> dict[str, Venue]:
    """The simulators of a config's venues, by name. `free_withdrawals`: where nothing else is written they are free and at once.

    `provider` says what has happened at exchanges (`events/<venue>` of its data), where it knows.

    Raises:
        ComponentError: DAT-003, a row of these is wrong.
    """
    events = {row: list(events_at(settings, provider, row)) for row in exchanges_of(settings)}
    venues = {}
    for section, rows in with_wallets(settings.venues.sections()).items():
        for name, own in rows.items():
            given = own.with_free_withdrawals() if free_withdrawals and isinstance(own, exchanges.Settings) else own
            own_events = events.get(kind_of(name, own), ()) if section == CEX else ()
            venues[name] = make_venue(section, name, given, settings.alike, own_events)
    return venues


def _interfaces(make: type[E], names: Iterable[str], manager: ExecutionInterfaceManager, pipeline: Pipeline) -> dict[str, E]:
    written = manager.settings.effective["venues"].get(make.kind, {})
    return {name: make(name, written.get(name, {}), manager.data_provider, manager.execution_mode, pipeline=pipeline) for name in names}


__all__ = ["HISTORY", "TRIGGERS", "ExecutionInterfaceManager", "Problem"]
