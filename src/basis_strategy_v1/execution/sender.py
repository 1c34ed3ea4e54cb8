"""Sends orders to one venue account: written down first, sent once, and looked up until the outcome is known."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from msgspec import Struct, structs

from basis_strategy_v1.core.clock import to_instant
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, OutcomeUnknown, VenueRejected, VenueUnreachable
from basis_strategy_v1.core.gateway import Happened, MalformedAnswer, Message, NeverHappened, Pending
from basis_strategy_v1.core.instructions import is_internal_move
from basis_strategy_v1.core.journal import Status, child_key
from basis_strategy_v1.core.order import Order
from basis_strategy_v1.execution.conclusion import Conclusions
from basis_strategy_v1.execution.given_fee import with_fee
from basis_strategy_v1.execution.order_in_hand import ZERO, Concluded, NotConcluded, OrderInHand, Sent, is_answer, is_last
from basis_strategy_v1.execution.risk import approve_move
from basis_strategy_v1.execution.venue_calls import CHAIN, EXCHANGE, WITHDRAWAL, VenueCalls, settles_as

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from basis_strategy_v1.core.clock import Clock
    from basis_strategy_v1.core.gateway import Gateway
    from basis_strategy_v1.core.journal import Entry, LiveJournal
    from basis_strategy_v1.core.order import Approved
    from basis_strategy_v1.execution.conclusion import AccountState
    from basis_strategy_v1.execution.connection import Connection, KeysInHand
    from basis_strategy_v1.execution.order_in_hand import Answer
    from basis_strategy_v1.execution.sending_health import SendingHealth
    from basis_strategy_v1.execution.timing import Timing

MOST_DELAY_S = 60.0  # of one order's retries together
BEGINS_AGAIN = (Status.REJECTED, Status.NEVER_HAPPENED)
LEAST_PAUSE_S, MOST_PAUSE_S = 0.1, 10.0  # between two look-ups
SETTLE_DEADLINE_S = MappingProxyType({EXCHANGE: 30.0, CHAIN: 900.0, WITHDRAWAL: 21_600.0})


class SendSettings(Struct, frozen=True, kw_only=True):
    """How orders are sent.

    `attempts`: how often in all, while the venue is unreachable; `delay_s` before the second, doubling. `timeout_s` of one call. `failures`
    in a row after which a connection is left alone for a while. `settle_deadline_s`: how long an order may take to settle. `limits` go to
    the gateway as they are.
    """

    attempts: int = 3
    delay_s: float = 0.1
    timeout_s: float = 15.0
    failures: int = 3
    settle_deadline_s: Mapping[str, float] = SETTLE_DEADLINE_S
    limits: Any = None


class Sender:
    """The way of orders to one venue account. Senders may share a connection; all of one manager share journal, holdings, keys and health.

    Safe to use from several threads: orders of one connection are sent one at a time, and nobody waits for another connection.
    """

    def __init__(
        self,
        gateway: Gateway,
        journal: LiveJournal,
        holdings: AccountState,
        connection: Connection,
        *,
        keys: KeysInHand,
        health: SendingHealth,
        clock: Clock,
        timing: Timing,
        settings: SendSettings,
    ) -> None:
        self.name = gateway.name
        self.connection = connection
        self._gateway = gateway
        self._journal = journal
        self._keys = keys
        self._health = health
        self._clock = clock
        self._timing = timing
        self._settings = settings
        self.patience_s: float | None = None  # how long a call waits for what the venue has; None: as long as it may take to settle
        self._calls = VenueCalls(gateway, settings.timeout_s, timing)
        self._conclusions = Conclusions(gateway.name, self._calls, journal, holdings, health)

    def send(self, approved: Approved, *, plan: int | None = None, step: int | None = None, parent: str | None = None) -> Sent:
        """Send an approved order and wait until it has settled, at most for its kind's deadline.

        Under a key whose entry is open nothing is sent: it is looked up. Under one that has settled the first report is given again.

        Raises:
            VenueRejected: the venue refused, which is final; or it executed without effect, and `reports` has the report of the costs.
            StillPending: the venue has it, and it has not ended within `patience_s`; the entry stays open.
            VenueUnreachable: nothing was sent, in any of the attempts, or it can no longer happen. The key may be sent again.
            OutcomeUnknown: perhaps it was executed; the entry stays open. The message says what to inspect, and how to go on.
            ComponentError: EIM-001, the key is open at another venue; EIM-002, the connection's breaker is open; EIM-003, the answer cannot
                be recorded (`original_exception.raw`), and the entry stays open.
        """
        key = approved.order.key
        with self._keys.held(key):
            entry = self._journal.entry(key)
            if entry is not None and entry.is_open:
                if entry.venue != self.name:
                    raise ComponentError("EIM-001", _open_elsewhere(entry, self.name))
                if entry.status is Status.SENT:
                    return self._resumed(entry).given()
                self._conclusions.close(key, Status.NEVER_HAPPENED, "it was not sent")
            elif entry is not None and entry.status is Status.SETTLED:
                return Sent(report=structs.replace(entry.reports[-1], replayed=True))
            return self._sent(approved, plan, step, parent).given()

    def rehearse(self, approved: Approved, earlier: Deltas) -> None:
        """Have an order quoted and prepared before those of its plan ahead of it are sent, which are expected to move `earlier`. Nothing is
        sent, and nothing written down.

        Raises:
            VenueRejected, VenueUnreachable: as `send`. ComponentError: EIM-002, the connection's breaker is open.
        """
        if not self._calls.can_rehearse:
            return
        delay_s, left = self._settings.delay_s, self._settings.attempts
        with self.connection.breaker.guard():
            while True:
                try:
                    return self._calls.rehearse(approved, self._settings.limits, earlier)
                except VenueUnreachable:
                    left -= 1
                    if left <= 0:
                        raise
                self._timing.sleep(min(delay_s, MOST_DELAY_S))
                delay_s *= 2

    def look_up(self, entry: Entry) -> Concluded | NotConcluded:
        """Ask once what became of an entry that was sent and is open, by the venue's reference where a person has decided that it happened.

        Nothing is sent but what takes the place of a message that does not get on.
        """
        hand = self._again_in_hand(entry)
        reference, fee = (None, None) if entry.decision is None else (entry.decision.reference, entry.decision.fee)
        answer = self._find(hand, reference)
        if reference is None:
            answer = self._replaced(hand, answer)
        if fee is not None and isinstance(answer, MalformedAnswer) and answer.but_for_fee is not None:
            answer = with_fee(answer.but_for_fee, self.name, fee)
        if isinstance(answer, VenueUnreachable | OutcomeUnknown):
            hand.why, hand.cause = f"{self.name} cannot be asked: {answer.message}", answer
            return NotConcluded(error=self._lost(hand), is_answered=False)
        self.connection.breaker.answered()
        if reference is not None and isinstance(answer, NeverHappened | VenueRejected):
            hand.why = f"{self.name} has no execution {reference}"
        elif is_last(answer):
            return self._conclusions.conclude(hand, answer)
        return NotConcluded(error=self._lost(hand), is_answered=True)

    def lost(self, entry: Entry, why: str) -> OutcomeUnknown:
        """What is said of an open entry at its deadline."""
        hand = self._again_in_hand(entry)
        hand.why = why
        return self._lost(hand)

    def deadline_s(self, order: Order) -> float:
        """How long an order may take to settle."""
        return self._settings.settle_deadline_s[settles_as(order, self._gateway)]

    # Sending.

    def _sent(self, approved: Approved, plan: int | None, step: int | None, parent: str | None) -> Concluded:
        with self.connection.breaker.guard():
            with self.connection.lock:
                self._journal.intended(approved.order, notional_usd=approved.spends_usd, plan=plan, step=step, parent=parent)
                hand, answer = self._transmit(approved)
            if isinstance(answer, OutcomeUnknown):
                answer = self._find(hand)
            answer = self._wait_for(is_answer, hand, answer)
        return self._conclusions.conclude(hand, self._wait_for(is_last, hand, answer))

    def _transmit(self, approved: Approved) -> tuple[OrderInHand, Answer]:
        """Quote, prepare, write down and send; again while the venue is unreachable."""
        order = approved.order
        attempt, delay_s, left_s = 1, self._settings.delay_s, MOST_DELAY_S
        message: Message | None = None
        while True:
            try:
                message = message or self._prepared(approved)
                answer = self._answered(order, message)
                break
            except VenueUnreachable as error:
                if attempt >= self._settings.attempts or left_s <= 0 or self._has_expired(message):
                    raise self._never_sent(order, error, attempt) from error
            except VenueRejected as refused:
                self._conclusions.close(order.key, Status.REJECTED, refused.message)
                raise
            pause_s = min(delay_s, left_s)
            self._timing.sleep(pause_s)
            attempt, delay_s, left_s = attempt + 1, delay_s * 2, left_s - pause_s
        hand = self._in_hand(order, (message,))
        if attempt > 1:
            hand.notes["attempts"] = attempt
        self._take_note(hand, answer)
        return hand, answer

    def _prepared(self, approved: Approved) -> Message:
        if not is_internal_move(approved.order.instruction):
            self._move_first(approved)
        quote = self._calls.quote(approved.order)
        takes_nonce = self._gateway.takes_nonce
        return self._journal.sent(
            approved.order.key,
            lambda nonce: self._calls.prepare(approved, self._settings.limits, quote, nonce),
            takes_nonce=takes_nonce,
            first_nonce=quote["nonce"] if takes_nonce else 0,
        )

    def _move_first(self, approved: Approved) -> None:
        """Bring what the order needs to the wallet that it trades from: a step of its own in the journal, under the order's key.

        Raises:
            VenueRejected, VenueUnreachable: it was not moved. OutcomeUnknown, ComponentError: perhaps it was; its entry stays open, and the
                order is not sent.
        """
        order = approved.order
        move = self._calls.move_for(order)
        if move is None:
            return
        try:
            key = self._key_of_move(order.key)
            child = approve_move(Order(key=key, at=order.at, venue=order.venue, instruction=move, expected=Deltas(), leaves=order.leaves))
            self._journal.intended(child.order, parent=order.key)
            hand, answer = self._transmit(child)
            self._conclusions.conclude(hand, self._wait_for(is_last, hand, answer)).given()
        except (VenueRejected, VenueUnreachable):
            raise
        except ComponentError as lost:
            self._conclusions.close(order.key, Status.NEVER_HAPPENED, f"it was not sent: {lost.message}")
            raise

    def _key_of_move(self, key: str) -> str:
        """The key of the next move before an order.

        Raises:
            OutcomeUnknown: what became of an earlier one is not known.
        """
        number = 0
        while True:
            entry = self._journal.entry(child_key(key, number))
            if entry is None or entry.status in BEGINS_AGAIN:
                return child_key(key, number)
            if entry.is_open:
                raise self.lost(entry, f"{self.name} has not reported yet what became of {entry.key}, which comes before {key}")
            number += 1

    def _answered(self, order: Order, message: Message) -> Answer:
        try:
            return self._calls.send(order, message)
        except (OutcomeUnknown, MalformedAnswer) as answer:
            return answer

    def _has_expired(self, message: Message | None) -> bool:
        return message is not None and message.expires is not None and message.expires <= to_instant(self._clock.now())

    def _never_sent(self, order: Order, error: VenueUnreachable, attempts: int) -> VenueUnreachable:
        message = f"{error.message}; nothing was sent in {attempts} attempt{'s' if attempts > 1 else ''}"
        self._conclusions.close(order.key, Status.NEVER_HAPPENED, message)
        return self._calls.unreachable(order, message, error)

    # Looking up.

    def _resumed(self, entry: Entry) -> Concluded:
        hand = self._again_in_hand(entry)
        with self.connection.breaker.guard():
            answer = self._wait_for(is_answer, hand, self._find(hand))
        return self._conclusions.conclude(hand, self._wait_for(is_last, hand, answer))

    def _again_in_hand(self, entry: Entry) -> OrderInHand:
        assert entry.order is not None, "what was sent live was an order"
        # Those with another nonce are from before the entry began again: their outcome is recorded.
        attempts = {message.client_id: message for message in entry.messages if message.nonce == entry.messages[-1].nonce}
        hand = self._in_hand(entry.order, tuple(attempts.values()))
        hand.why = f"{self.name} has not reported yet what became of {entry.key}"
        hand.filled = max((report.filled for report in entry.reports), default=ZERO)
        return hand

    def _in_hand(self, order: Order, messages: Sequence[Message]) -> OrderInHand:
        return OrderInHand(order=order, messages=messages, ends_s=self._timing.monotonic() + self.deadline_s(order), notes={})

    def _wait_for(self, is_enough: Callable[[Answer], bool], hand: OrderInHand, answer: Answer) -> Answer:
        """The first answer that is enough, asked for again and again until the order's deadline.

        Raises:
            OutcomeUnknown: there was none. StillPending: there was none yet, and nobody waits for longer.
        """
        pause_s, waited_s = max(self._settings.delay_s, LEAST_PAUSE_S), 0.0
        while not is_enough(answer):
            left_s = hand.ends_s - self._timing.monotonic()
            if left_s <= 0:
                lost = self._lost(hand)
                self._health.trouble(hand.order.key, lost.error_code, lost.message, is_critical=True)
                raise lost
            if self.patience_s is not None and waited_s >= self.patience_s and is_answer(answer):
                raise self._calls.pending(hand.order, hand.why)
            self._timing.sleep(min(pause_s, left_s))
            waited_s += pause_s
            pause_s = min(pause_s * 2, MOST_PAUSE_S)
            answer = self._replaced(hand, self._find(hand))
        return answer

    def _replaced(self, hand: OrderInHand, answer: Answer) -> Answer:
        """Where a message does not get on, and its gateway has another that takes its place: that is written down and sent. Only one of the
        two can happen, and until it has the order stays pending."""
        message = self._calls.replacement(hand.order, hand.messages) if isinstance(answer, Pending) else None
        if message is None:
            return answer
        with self.connection.lock:
            self._journal.sent(hand.order.key, lambda _: message)
        hand.messages = (*hand.messages, message)
        try:
            answer = self._answered(hand.order, message)
        except (VenueRejected, VenueUnreachable) as error:
            answer = Pending(f"what takes its place could not be sent: {error.message}")
        self._take_note(hand, answer)
        return answer

    def _find(self, hand: OrderInHand, reference: str | None = None) -> Answer:
        hand.notes["looked_up"] = True
        answer: Answer
        try:
            if reference is not None:
                answer = self._calls.find_one(hand.order, hand.messages[-1], hand.filled, reference)
            else:
                answer = self._calls.find(hand.order, hand.messages, hand.filled)
        except (VenueRejected, MalformedAnswer, VenueUnreachable, OutcomeUnknown) as error:
            answer = error
        if isinstance(answer, NeverHappened) and reference is None and (doubt := self._conclusions.doubt(hand.order)) is not None:
            answer = Pending(f"{answer.reason}, but {doubt}: perhaps it was executed")
        self._take_note(hand, answer)
        return answer

    def _take_note(self, hand: OrderInHand, answer: Answer) -> None:
        """Keep what an answer says about an order that goes on: why it does, and the part that is filled."""
        if isinstance(answer, Pending):
            hand.why, hand.cause = f"{self.name} has it pending: {answer.reason}", None
        elif isinstance(answer, OutcomeUnknown) and not hand.why:
            hand.why, hand.cause = answer.message, answer
        elif isinstance(answer, Happened) and not answer.final:
            hand.why, hand.cause = f"{self.name} has filled a part of it", None
            if answer.filled > hand.filled:
                hand.filled = answer.filled
                self._journal.add_report(hand.order.key, hand.report(answer))

    def _lost(self, hand: OrderInHand) -> OutcomeUnknown:
        """What is said of an order that has not settled by its deadline."""
        order, key = hand.order, hand.order.key
        sought = " or ".join(message.client_id for message in reversed(hand.messages))
        message = (
            f"{hand.why}; {key} has not settled within {self.deadline_s(order):g} s and was perhaps executed: look for {sought} at "
            f"{self.name}, then run `basis resolve {key} --happened REFERENCE` or `basis resolve {key} --never`"
        )
        return self._calls.unknown(order, message, hand.cause)


def _open_elsewhere(entry: Entry, venue: str) -> str:
    return (
        f"{entry.key} is open at {entry.venue} and is not sent to {venue}: wait until it is known what became of it, "
        "or choose another instruction_id"
    )
