"""The interfaces of one manager, and which of them an instruction goes to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.instructions import CexTrade, Chain, SmartContractAction, WalletTransfer
from basis_strategy_v1.core.state import WALLET
from basis_strategy_v1.execution.execution_interfaces import (
    LIVE,
    CEXExecutionInterface,
    DEXExecutionInterface,
    ExecutionInterface,
    OnChainExecutionInterface,
)
from basis_strategy_v1.execution.live_execution import LiveExecution
from basis_strategy_v1.execution.steps import located, not_offered
from basis_strategy_v1.venues.registry import make_venue
from basis_strategy_v1.venues.venue import CEX, DEX, ONCHAIN, Venues

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from basis_strategy_v1.config import Config
    from basis_strategy_v1.core.instructions import Instruction
    from basis_strategy_v1.execution.desk import Desk
    from basis_strategy_v1.execution.gateway import Gateway
    from basis_strategy_v1.execution.timing import Timing

E = TypeVar("E", bound=ExecutionInterface)


class InterfaceRegistry:
    """One interface for each configured venue, all at one desk."""

    def __init__(
        self,
        settings: Config,
        execution_mode: str,
        make_desk: Callable[[Venues], Desk],
        gateways: Mapping[str, Gateway],
        timing: Timing,
    ) -> None:
        self._settings = settings
        self._mode = execution_mode
        self._gateways = gateways if execution_mode == LIVE else {}
        self._timing = timing
        configured = _configured_venues(settings)
        self.desk = make_desk({name: make_venue(kind, name, row) for kind, rows in configured.items() for name, row in rows.items()})
        self.cex = self._made(CEXExecutionInterface, configured[CEX])
        self.dex = self._made(DEXExecutionInterface, configured[DEX])
        self.onchain = self._made(OnChainExecutionInterface, configured[ONCHAIN])
        self.every: dict[str, ExecutionInterface] = {**self.cex, **self.dex, **self.onchain}

    def _made(self, make: type[E], rows: Mapping[str, Any]) -> dict[str, E]:
        desk, limits = self.desk, self._settings.limits if self._mode == LIVE else None
        return {
            name: make(name, row, desk.data_provider, self._mode, desk=desk, live=self._live(make.kind, name), limits=limits)
            for name, row in rows.items()
        }

    def _live(self, kind: str, name: str) -> LiveExecution | None:
        gateway = self._gateways.get(name)
        return None if gateway is None else LiveExecution.configured(gateway, name, kind, self._settings, self._timing)

    def interface_of(self, instruction: Instruction) -> ExecutionInterface:
        """The interface that an instruction goes to: a transfer to its sender's, a chain to that of its first step.

        Raises:
            ComponentError: EIM-002, a venue that it names is not configured; EIM-001, its protocol has no such action, or
                atomic chains are not allowed.
        """
        if type(instruction) is CexTrade:
            return self.cex.get(instruction.venue) or _found(self.cex, "cex", instruction.venue)
        if isinstance(instruction, WalletTransfer):
            _found(self.every, "cex or venues.onchain", instruction.to_venue)
            return _found(self.every, "cex or venues.onchain", instruction.from_venue)
        if isinstance(instruction, Chain):
            if instruction.atomic and not self._settings.enable_atomic_chaining:
                raise ComponentError("EIM-001", "an atomic chain is refused: enable_atomic_chaining is false in the config")
            return self._of_steps(instruction.steps, chained=len(instruction.steps) > 1)
        assert isinstance(instruction, SmartContractAction)
        return self._of_steps((instruction,), chained=False)

    def _of_steps(self, steps: Sequence[SmartContractAction], *, chained: bool) -> ExecutionInterface:
        """The interface of the first step, if there is one for each of them."""
        found = []
        for index, step in enumerate(steps):
            try:
                found.append(self._of_action(step))
                if step.steps:
                    self._of_steps(step.steps, chained=True)
            except ComponentError as error:
                if not chained:
                    raise
                raise ComponentError(error.error_code, located(index, step, error.message)) from error
        return found[0]

    def _of_action(self, action: SmartContractAction) -> ExecutionInterface:
        if action.protocol in self.desk.venues and (fault := not_offered(action, self.desk.venues)):
            raise ComponentError("EIM-001", fault)
        if action.action == "swap":
            return _found(self.dex, "dex", action.protocol)
        return _found(self.onchain, "onchain", action.protocol)


def _configured_venues(settings: Config) -> dict[str, dict[str, Any]]:
    venues = settings.venues
    configured = {CEX: dict(venues.cex), DEX: dict(venues.dex), ONCHAIN: dict(venues.onchain)}
    if configured[DEX] or configured[ONCHAIN]:
        configured[ONCHAIN].setdefault(WALLET, {})  # what protocols pay and take is in the wallet, named or not
    return configured


def _found(interfaces: Mapping[str, ExecutionInterface], kind: str, name: str) -> ExecutionInterface:
    try:
        return interfaces[name]
    except KeyError:
        listed = ", ".join(interfaces) or "none"
        raise ComponentError("EIM-002", f"venue {name} is not configured; configured are {listed}: add it under venues.{kind}") from None
