"""One step of a plan: which venue it goes to, and what it would do there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.instruction_steps import located, top_steps
from basis_strategy_v1.core.instructions import CexTrade, Chain, SmartContractAction, WalletTransfer
from basis_strategy_v1.venues.chain import simulate_transaction
from basis_strategy_v1.venues.deviation import require_estimate_met
from basis_strategy_v1.venues.transfers import simulate_transfer
from basis_strategy_v1.venues.venue import CEX, DEX, ONCHAIN, SimulationResult

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from basis_strategy_v1.core.instructions import Instruction
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.core.state import State
    from basis_strategy_v1.venues.venue import Venues


class Destination(Struct, frozen=True, gc=False):
    """The configured venue that an instruction is sent to, and its kind: cex, dex or onchain."""

    venue: str
    kind: str


class StepSimulator:
    """Finds the venue of an instruction and simulates it there. `atomic_chaining`: whether atomic chains are allowed."""

    def __init__(self, venues: Venues, *, atomic_chaining: bool = True) -> None:
        self.venues = venues
        self.atomic_chaining = atomic_chaining
        self._of_kind: dict[str, dict[str, Destination]] = {CEX: {}, DEX: {}, ONCHAIN: {}}
        for name, venue in venues.items():
            self._of_kind[venue.kind][name] = Destination(name, venue.kind)
        self.exchanges = self._of_kind[CEX]
        self._transfers = {**self.exchanges, **self._of_kind[DEX], **self._of_kind[ONCHAIN]}

    def destination(self, instruction: Instruction) -> Destination:
        """Where an instruction is sent: a transfer to its sender, a chain to the venue of its first step.

        Raises:
            ComponentError: EIM-002, a venue that it names is not configured; EIM-001, its protocol has no such action, or
                atomic chains are not allowed.
        """
        if type(instruction) is CexTrade:
            return self.exchanges.get(instruction.venue) or _found(self.exchanges, "cex", instruction.venue)
        if isinstance(instruction, WalletTransfer):
            _found(self._transfers, "cex or venues.onchain", instruction.to_venue)
            return _found(self._transfers, "cex or venues.onchain", instruction.from_venue)
        if isinstance(instruction, Chain):
            if instruction.atomic and not self.atomic_chaining:
                raise ComponentError("EIM-001", "an atomic chain is refused: enable_atomic_chaining is false in the config")
            return self._of_steps(instruction.steps, chained=len(instruction.steps) > 1)
        assert isinstance(instruction, SmartContractAction)
        return self._of_steps((instruction,), chained=False)

    def _of_steps(self, steps: Sequence[SmartContractAction], *, chained: bool) -> Destination:
        """The venue of the first step, if there is one for each of them."""
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

    def _of_action(self, action: SmartContractAction) -> Destination:
        if action.protocol in self.venues and (fault := not_offered(action, self.venues)):
            raise ComponentError("EIM-001", fault)
        if action.action == "swap":
            return _found(self._of_kind[DEX], "dex", action.protocol)
        return _found(self._of_kind[ONCHAIN], "onchain", action.protocol)

    def simulate(self, instruction: Instruction, destination: Destination, state: State, market: MarketSnapshot) -> SimulationResult:
        """What the instruction would do; pure.

        Raises:
            VenueRejected: with the numbers in its message, for whatever the real venue would refuse, and for an outcome that is worse than
                estimated.
        """
        if type(instruction) is CexTrade:
            moved = self.venues[instruction.venue].simulate(instruction, state, market)
        elif isinstance(instruction, WalletTransfer):
            moved = simulate_transfer(instruction, self.venues, state, market)
        else:
            moved = simulate_transaction(top_steps(instruction), self.venues, state, market)
        if instruction.max_deviation_bps is not None:
            require_estimate_met(instruction, moved, market, destination.kind)
        return moved


def _found(destinations: Mapping[str, Destination], kind: str, name: str) -> Destination:
    try:
        return destinations[name]
    except KeyError:
        listed = ", ".join(destinations) or "none"
        raise ComponentError("EIM-002", f"venue {name} is not configured; configured are {listed}: add it under venues.{kind}") from None


def not_offered(action: SmartContractAction, venues: Venues) -> str | None:
    """The message about an action that its protocol does not have."""
    offered = venues[action.protocol].actions
    return None if action.action in offered else f"{action.protocol} has {', '.join(offered) or 'no actions'}; got {action.action}"
