"""The checks before anything is sent live: each step is simulated, has a gateway, and is within the limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, getcontext, setcontext
from typing import TYPE_CHECKING, Any

from msgspec import structs

from basis_strategy_v1.core.clock import iso, to_instant
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueRejected
from basis_strategy_v1.core.instruction_codec import encode_instruction
from basis_strategy_v1.core.instructions import COMPONENT, CexTrade, WalletTransfer, parse_instruction
from basis_strategy_v1.core.journal import automatic_key
from basis_strategy_v1.core.order import HEDGE, Order, Plan
from basis_strategy_v1.core.state import WALLET
from basis_strategy_v1.execution.exposure import exposures_of, leaves
from basis_strategy_v1.execution.pipeline import Pipeline, SimulatedStep, StepSequence, foreign
from basis_strategy_v1.execution.pretrade_check import Problem
from basis_strategy_v1.execution.risk import Spent, approve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from basis_strategy_v1.core.instructions import Instruction
    from basis_strategy_v1.core.journal import LiveJournal
    from basis_strategy_v1.core.limits import Limits
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.core.order import Approved
    from basis_strategy_v1.core.state import State
    from basis_strategy_v1.execution.live_account import LiveAccount
    from basis_strategy_v1.execution.pipeline import Prepared
    from basis_strategy_v1.execution.routing_record import RoutingRecord
    from basis_strategy_v1.execution.senders import Senders
    from basis_strategy_v1.execution.step import StepSimulator

ZERO = Decimal(0)


class LiveChecks(Pipeline):
    """The checks of one live account's plans. Nothing is sent here."""

    account: LiveAccount
    journal: LiveJournal  # type: ignore[assignment]  # the one of a backtest has less

    def __init__(
        self,
        account: LiveAccount,
        simulator: StepSimulator,
        journal: LiveJournal,
        record: RoutingRecord,
        senders: Senders,
        limits: Limits,
        take_up_account: Callable[[datetime], None],
        addresses: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(account, simulator, journal, record)  # type: ignore[arg-type]  # only what is overridden here uses the rest of it
        self._senders = senders
        self._limits = limits
        self._take_up_account = take_up_account  # before the first instruction
        self._addresses = addresses or {}
        self.meant: Mapping[str, Decimal] | None = None  # the net exposure with which the last plan was simulated to end, by asset

    def _computing(self) -> _Computing:
        return _Computing(self)

    def _require_gateway(self, instruction: Instruction) -> None:
        """Refuse what no gateway can send.

        Raises:
            ComponentError: EIM-002.
        """
        self.simulator.destination(instruction)
        self._senders.of(_account_of(instruction))

    def _new_key(self, instant: int, instruction: Instruction) -> str:
        """A key that no instruction has had, in an earlier process either."""
        while True:
            key = automatic_key(self.journal.run, instant, self._calls.next(instant), instruction)
            if self.journal.entry(key) is None:
                return key

    def _new_number(self, at: datetime, instructions: Sequence[Instruction]) -> int:
        """The number of a plan among those of its instant, so that its keys are ones that no instruction has had."""
        instant, run = to_instant(at), self.journal.run
        while True:
            number = int(self._plans.next(instant).partition(".")[0])
            keys = (automatic_key(run, instant, f"p{number}.{index}", one) for index, one in enumerate(instructions))
            if all(self.journal.entry(key) is None for key in keys):
                return number

    def _checked(self, plan: Plan) -> tuple[Plan, bool, list[tuple[int, Approved]]]:
        """Simulate and approve a whole plan on the state as it is: the plan with its number and its net exposures, whether it leaves, and
        its steps as they were approved, each with the block's index.

        Raises:
            ComponentError: EXM-001, or of a single block its own: nothing was sent.
        """
        at, blocks = plan.at, plan.blocks
        prepared: list[Prepared] = []
        try:
            instructions = [parse_instruction(block) for block in blocks]
            for instruction in instructions:
                self._require_gateway(instruction)
            number = self._new_number(at, instructions)
            market, _ = self._arrive(at)
            before = self.account.met_by_instruction(market)
            after = self._prepare_all(instructions, f"p{number}", before, market, prepared)
            is_leaving = self._is_leaving(prepared, before, market)
            approved: list[tuple[int, Approved]] = []
            for _, fault in self._faults_of_limits(at, prepared, market, approved, is_leaving=is_leaving):
                raise fault
            if plan.purpose != HEDGE:  # which brings about what was meant
                self.meant = exposures_of(after, self.simulator.venues, market).net
            found = exposures_of(before, self.simulator.venues, market).net
            return structs.replace(plan, number=number, before=found, meant=self.meant), is_leaving, approved
        except Exception as error:
            failure = error if isinstance(error, ComponentError) else foreign(error)
            if len(blocks) == 1:
                self._record.failed(at, blocks[0], failure, None, 0.0)
                raise failure from (None if failure is error else error)
            raise self._refused(at, blocks, len(prepared), failure) from error

    def _prepare_all(
        self, instructions: Sequence[Instruction], place: str, state: State, market: MarketSnapshot, prepared: list[Prepared]
    ) -> State:
        """Simulate the blocks of a plan one after another into `prepared`; the state after them."""
        for index, instruction in enumerate(instructions):
            one = self._prepare_next(instruction, f"{place}.{index}", state, market, prepared)
            state = one.state_after(state)
            prepared.append(one)
        return state

    def _rehearse(self, at: datetime, blocks: Sequence[Any], approved: Sequence[tuple[int, Approved]]) -> None:
        """Let the venues quote and prepare the legs after the first one, before that is sent: what is wrong with them stops it.

        Raises:
            ComponentError: EXM-001, with the venue's reason; nothing was sent.
        """
        earlier = Deltas()
        for place, (index, one) in enumerate(approved):
            try:
                if place:
                    self._senders.of(one.order.venue).rehearse(one, earlier)
            except ComponentError as failure:
                raise self._refused(at, blocks, index, failure) from failure
            earlier += one.order.expected

    def _is_leaving(self, prepared: Sequence[Prepared], before: State, market: MarketSnapshot) -> bool:
        steps = [step for one in prepared for step in _steps_of(one)]
        results = [step.simulated for step in steps]
        return leaves([step.instruction for step in steps], before, results, self.simulator.venues, market)

    def _faults_of_limits(
        self, at: datetime, prepared: Sequence[Prepared], market: MarketSnapshot, passed: list[tuple[int, Approved]], *, is_leaving: bool
    ) -> Iterator[tuple[int, VenueRejected]]:
        """What the limits forbid, each with the block's index; what they let pass is added to `passed`. A step that is forbidden spends
        nothing of its day."""
        spent_usd = self.journal.spent_usd(iso(at)[:10])
        for index, whole in enumerate(prepared):
            within_usd = ZERO
            for step in _steps_of(whole):
                try:
                    one = self._approved(at, step, market, is_leaving=is_leaving, spent_usd=spent_usd, within_usd=within_usd)
                    spent_usd, within_usd = spent_usd + one.spends_usd, within_usd + one.spends_usd
                    passed.append((index, one))
                except VenueRejected as refused:
                    yield index, refused

    def _beyond_limits(self, at: datetime, blocks: Sequence[Any]) -> list[Problem]:
        """The blocks of a plan that could be executed, and that have no gateway or that the limits forbid."""
        instructions = [parse_instruction(block) for block in blocks]
        if without := [*self._without_gateway(instructions)]:
            return without
        prepared: list[Prepared] = []
        market, before = self.account.look(at)
        self._prepare_all(instructions, "check", before, market, prepared)
        is_leaving = self._is_leaving(prepared, before, market)
        found = self._faults_of_limits(at, prepared, market, [], is_leaving=is_leaving)
        return [Problem(index, fault.error_code, fault.message) for index, fault in found]

    def _without_gateway(self, instructions: Sequence[Instruction]) -> Iterator[Problem]:
        for index, instruction in enumerate(instructions):
            try:
                self._require_gateway(instruction)
            except ComponentError as error:
                yield Problem(index, error.error_code, error.message)

    def _approved(
        self, at: datetime, step: SimulatedStep, market: MarketSnapshot, *, is_leaving: bool, spent_usd: Decimal | None = None,
        within_usd: Decimal = ZERO,
    ) -> Approved:  # fmt: skip
        day = iso(at)[:10]
        spent = Spent(
            notional_usd=self.journal.spent_usd(day) if spent_usd is None else spent_usd, gas_eth=self.journal.spent_gas_eth(day),
            within_instruction_usd=within_usd,
        )  # fmt: skip
        order = Order(
            key=step.key, at=at, venue=_account_of(step.instruction), instruction=step.instruction, expected=step.simulated.deltas,
            asked=encode_instruction(step.instruction),
        )  # fmt: skip
        venues = self.simulator.venues
        try:
            return approve(
                order, step.simulated, market, venues=venues, limits=self._limits, spent=spent, leaves=is_leaving, addresses=self._addresses
            )
        except VenueRejected as refused:
            raise VenueRejected("EIM-001", refused.message, COMPONENT, original_exception=refused) from refused


class _Computing:
    """The account's lock, in the exact decimal context."""

    def __init__(self, checks: LiveChecks) -> None:
        self._lock, self._exact = checks._lock, checks._exact

    def __enter__(self) -> None:
        self._lock.acquire()
        self._outside = getcontext()
        setcontext(self._exact)

    def __exit__(self, *error: object) -> None:
        setcontext(self._outside)
        self._lock.release()


def _steps_of(prepared: Prepared) -> Sequence[SimulatedStep]:
    if isinstance(prepared, SimulatedStep):
        return (prepared,)
    return prepared.steps if isinstance(prepared, StepSequence) else ()


def _account_of(instruction: Instruction) -> str:
    """The venue account that sends it: the exchange of a trade, the sender of a transfer, the wallet of an action."""
    if isinstance(instruction, CexTrade):
        return instruction.venue
    return instruction.from_venue if isinstance(instruction, WalletTransfer) else WALLET
