"""The calls to one gateway: each within its time and in isolation, and each failure one of four kinds."""

from __future__ import annotations

from decimal import localcontext
from typing import TYPE_CHECKING, Any, TypeVar

from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, OutcomeUnknown, StillPending, VenueRejected, VenueUnreachable
from basis_strategy_v1.core.gateway import Finding, Happened, MalformedAnswer, Message, NeverHappened, Pending
from basis_strategy_v1.core.instructions import CexTrade, Chain, SmartContractAction, WalletTransfer, is_internal_move
from basis_strategy_v1.execution.answers import ZERO, require_finding, require_message, require_state
from basis_strategy_v1.venues.venue import CEX, COMPONENTS, DEX, ONCHAIN, REJECTED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from decimal import Decimal

    from basis_strategy_v1.core.deltas import Deltas
    from basis_strategy_v1.core.gateway import Gateway
    from basis_strategy_v1.core.order import Approved, Order
    from basis_strategy_v1.core.state import State
    from basis_strategy_v1.execution.timing import Timing

T = TypeVar("T")
U = TypeVar("U", bound=OutcomeUnknown)

UNREACHABLE = {CEX: "CEX-002", DEX: "DEX-002", ONCHAIN: "OCH-002"}
UNKNOWN = {CEX: "CEX-003", DEX: "DEX-003", ONCHAIN: "OCH-003"}
EXCHANGE, CHAIN, WITHDRAWAL = "exchange", "chain", "withdrawal"


class VenueCalls:
    """Calls a gateway. Each call raises only VenueRejected, VenueUnreachable, OutcomeUnknown (silence, and any error that a gateway should
    not raise) or MalformedAnswer; and KeyboardInterrupt."""

    def __init__(self, gateway: Gateway, timeout_s: float, timing: Timing) -> None:
        self.gateway = gateway
        self._timeout_s = timeout_s
        self._within = timing.within

    def quote(self, order: Order) -> Any:
        """What `prepare` needs. Whatever goes wrong, nothing was sent.

        Raises:
            VenueRejected, VenueUnreachable.
        """
        try:
            return self._ask(order, self._quote_of(order))
        except (OutcomeUnknown, MalformedAnswer) as error:
            raise self.unreachable(order, f"{self.gateway.name} gave no quote: {_said(error)}", error) from error

    def _quote_of(self, order: Order) -> Callable[[], Any]:
        def call() -> Any:
            quote = self.gateway.quote(order)
            if self.gateway.takes_nonce and not (isinstance(quote, dict) and type(quote.get("nonce")) is int):
                raise MalformedAnswer("no nonce", quote)
            return quote

        return call

    @property
    def can_rehearse(self) -> bool:
        """Whether the gateway can prepare an order of which those before it were not executed yet."""
        return hasattr(self.gateway, "rehearse")

    def rehearse(self, approved: Approved, limits: Any, earlier: Deltas) -> None:
        """Have an order quoted and prepared as if others had moved `earlier`. Nothing is sent.

        Raises:
            VenueRejected, VenueUnreachable.
        """
        order = approved.order
        try:
            self._ask(order, lambda: self.gateway.rehearse(approved, limits, earlier))  # type: ignore[attr-defined]
        except (OutcomeUnknown, MalformedAnswer) as error:
            raise self.unreachable(order, f"{self.gateway.name} gave no quote: {_said(error)}", error) from error

    def prepare(self, approved: Approved, limits: Any, quote: Any, nonce: int | None) -> Message:
        """The complete message of what was approved.

        Raises:
            VenueRejected: also where the gateway fails to make one; it would fail again.
        """
        try:
            with localcontext():
                return require_message(self.gateway.prepare(approved, limits, quote, nonce))
        except (VenueRejected, KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:
            order = approved.order
            kind = kind_of(order, self.gateway)
            said = _said(error) if isinstance(error, ComponentError | MalformedAnswer) else f"it raised {type(error).__name__}"
            message = f"{self.gateway.name} cannot prepare {order.key}: {said}; nothing was sent"
            raise VenueRejected(REJECTED[kind], message, COMPONENTS[kind], original_exception=error) from error

    def send(self, order: Order, message: Message) -> Happened | Pending:
        """Send a message once."""

        def call() -> Happened | Pending:
            answer = require_finding(self.gateway.send(message), order)
            if isinstance(answer, NeverHappened):
                raise MalformedAnswer("NeverHappened, which only a look-up can find", answer)
            return answer

        return self._ask(order, call)

    def find(self, order: Order, messages: Sequence[Message], filled: Decimal = ZERO) -> Finding:
        """What became of an order, by its messages, the newest first: one that happened decides, else one that is pending; that it never
        happened must hold for all. `filled` is the share that was reported before."""
        last: NeverHappened | None = None
        pending: Pending | None = None
        refused: VenueRejected | None = None
        for message in reversed(messages):
            try:
                finding = self.find_one(order, message, filled)
            except VenueRejected as error:
                refused = refused or error
                continue
            if isinstance(finding, Happened):
                return finding
            if isinstance(finding, Pending):
                pending = pending or finding
            else:
                last = last or finding
        if pending is not None:
            return pending
        if refused is not None:
            raise refused
        assert last is not None, "an order that was sent has a message"
        return last

    def find_one(self, order: Order, message: Message, filled: Decimal, reference: str | None = None) -> Finding:
        """What became of one message, or of the execution that a person has found under the venue's reference."""
        return self._ask(order, lambda: require_finding(self.gateway.find(message, reference), order, filled))

    def move_for(self, order: Order) -> WalletTransfer | None:
        """The move between the account's wallets that an order needs first, where the gateway knows of such moves.

        Raises:
            VenueRejected, VenueUnreachable.
        """
        ask = getattr(self.gateway, "move_for", None)
        if ask is None:
            return None
        try:
            move: WalletTransfer | None = self._ask(order, lambda: ask(order))
        except (OutcomeUnknown, MalformedAnswer) as error:
            raise self.unreachable(order, f"{self.gateway.name} did not show its wallets: {_said(error)}", error) from error
        return move

    def replacement(self, order: Order, messages: Sequence[Message]) -> Message | None:
        """The message that takes the place of those of an order, where its gateway knows of such and it is time; they have one nonce."""
        ask = getattr(self.gateway, "replacement", None)
        if ask is None:
            return None

        def call() -> Message | None:
            found = ask(messages)
            return None if found is None else require_message(found)

        try:
            return self._ask(order, call)
        except (VenueRejected, VenueUnreachable, OutcomeUnknown, MalformedAnswer):
            return None  # it is asked for again

    def read(self, order: Order, at: str | None = None) -> State:
        """What the venue account holds at a named block or time, else now."""
        return self._ask(order, lambda: require_state(self.gateway.read(at)))

    def _ask(self, order: Order, call: Callable[[], T]) -> T:
        def alone() -> T:
            try:
                with localcontext():  # a client may change the decimal context that the caller computes in
                    return call()
            except (VenueRejected, VenueUnreachable, OutcomeUnknown, MalformedAnswer, KeyboardInterrupt):
                raise
            # A client's fault, or the end of its task: nobody knows whether it came before or after the sending. Its text stays out of
            # message and log, because it may quote an address with a key in it.
            except BaseException as error:  # noqa: BLE001
                message = f"{self.gateway.name} did not answer: its gateway raised {type(error).__name__}"
                raise self.unknown(order, message, error) from None

        try:
            return self._within(self._timeout_s, alone)
        except TimeoutError as late:
            raise self.unknown(order, f"{self.gateway.name} did not answer within {self._timeout_s:g} s", late) from None

    # Errors with the code of the kind of venue.

    def unreachable(self, order: Order, message: str, cause: BaseException | None) -> VenueUnreachable:
        """Nothing was sent, or nothing of it was executed and can be."""
        kind = kind_of(order, self.gateway)
        return VenueUnreachable(UNREACHABLE[kind], message, COMPONENTS[kind], original_exception=cause)

    def unknown(self, order: Order, message: str, cause: BaseException | None) -> OutcomeUnknown:
        """Perhaps it was executed."""
        return self._unknown(OutcomeUnknown, order, message, cause)

    def pending(self, order: Order, message: str) -> StillPending:
        """The venue has it, and it has not ended."""
        return self._unknown(StillPending, order, message, None, "LOW")

    def _unknown(self, error: type[U], order: Order, message: str, cause: BaseException | None, severity: str | None = None) -> U:
        kind = kind_of(order, self.gateway)
        made = error(UNKNOWN[kind], message, COMPONENTS[kind], severity, cause)
        made.about = order.key
        return made

    def rejected(self, order: Order, message: str) -> VenueRejected:
        """It was refused, or executed without effect."""
        kind = kind_of(order, self.gateway)
        return VenueRejected(REJECTED[kind], message, COMPONENTS[kind])


def kind_of(order: Order, gateway: Gateway) -> str:
    """cex, dex or onchain: whose error codes an order has. A chain of actions has those of its first step."""
    instruction = order.instruction
    if isinstance(instruction, Chain):
        instruction = instruction.steps[0]
    if isinstance(instruction, SmartContractAction):
        return DEX if instruction.action == "swap" else ONCHAIN
    return CEX if isinstance(instruction, CexTrade) or gateway.kind == EXCHANGE else ONCHAIN


def settles_as(order: Order, gateway: Gateway) -> str:
    """By which deadline an order settles: exchange, chain or withdrawal."""
    leaves = isinstance(order.instruction, WalletTransfer) and not is_internal_move(order.instruction)
    return WITHDRAWAL if gateway.kind == EXCHANGE and leaves else gateway.kind


def _said(error: BaseException) -> str:
    return error.message if isinstance(error, ComponentError) else shown(str(error))
