"""Executes instructions at a real venue: sent once, retried only where nothing was sent, looked up where that is not known."""

from __future__ import annotations

from decimal import localcontext
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, OutcomeUnknown, VenueRejected, VenueUnreachable
from basis_strategy_v1.core.execution_report import ExecutionReport
from basis_strategy_v1.execution.circuit_breaker import CircuitBreaker
from basis_strategy_v1.execution.gateway import MalformedAnswer, Outcome, require_well_formed
from basis_strategy_v1.execution.timing import REAL_TIME, Timing
from basis_strategy_v1.venues.venue import CEX, COMPONENTS, DEX, ONCHAIN

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from typing import Any

    from basis_strategy_v1.config import Config
    from basis_strategy_v1.core.instructions import Instruction
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.core.state import State
    from basis_strategy_v1.execution.gateway import Gateway
    from basis_strategy_v1.venues.venue import Moved

T = TypeVar("T")


class Context(Struct, frozen=True, gc=False):
    """When and on what an instruction is executed, and the key under which it is known."""

    at: datetime
    key: str
    state: State
    market: MarketSnapshot


UNREACHABLE = {CEX: "CEX-002", DEX: "DEX-002", ONCHAIN: "OCH-002"}
UNKNOWN = {CEX: "CEX-003", DEX: "DEX-003", ONCHAIN: "OCH-003"}
LEAST_LOOK_UP_PAUSE_S = 0.1  # a configured delay of 0 must not become a flood of requests


class LiveExecution:
    """The live side of one venue's interface.

    Args:
        attempts: how often an instruction is sent in all, while the venue is unreachable.
        delay_s: before the second attempt; it doubles.
        timeout_s: how long an answer is waited for, and then how long an unanswered instruction is looked for.
    """

    def __init__(
        self,
        gateway: Gateway,
        venue: str,
        kind: str,
        *,
        breaker: CircuitBreaker,
        attempts: int = 3,
        delay_s: float = 0.1,
        timeout_s: float = 15.0,
        timing: Timing = REAL_TIME,
    ) -> None:
        self.breaker = breaker
        self._gateway = gateway
        self._venue = venue
        self._kind = kind
        self._attempts = attempts
        self._delay_s = delay_s
        self._timeout_s = timeout_s
        self._timing = timing
        self._lock = Lock()
        self._open: set[str] = set()  # keys under which something was perhaps sent and nothing is booked

    @classmethod
    def configured(cls, gateway: Gateway, venue: str, kind: str, settings: Config, timing: Timing = REAL_TIME) -> LiveExecution:
        """One with a config's attempts, delay, timeout and breaker."""
        return cls(
            gateway,
            venue,
            kind,
            breaker=CircuitBreaker(venue, failures=settings.max_retries_per_venue, monotonic=timing.monotonic),
            attempts=settings.max_retry_attempts,
            delay_s=settings.retry_delay_seconds,
            timeout_s=settings.venue_timeout,
            timing=timing,
        )

    def execute(self, instruction: Instruction, context: Context, moved: Moved) -> tuple[ExecutionReport, State]:
        """Send an instruction under the context's key and give its report, and the state after it.

        The report has the venue's deltas, and the simulated ones as `expected`; its details have `attempts` where there
        were several and `looked_up` where the outcome was asked for by key.
        Under a key whose outcome is still open nothing is sent: it is looked up.

        Raises:
            VenueRejected: the venue said no; final.
            VenueUnreachable: nothing was sent, in any of the attempts.
            OutcomeUnknown: perhaps it was sent, and the venue did not tell in time.
            ComponentError: EIM-002, the breaker is open; EIM-003, the answer cannot be booked (`original_exception.raw`).
        """
        with self.breaker.guard():
            try:
                outcome, notes = self._outcome(instruction, context.key)
            except MalformedAnswer as malformed:
                return self._reconciled(malformed, context, moved), context.state
        state, read_notes = self._state_after(context, moved)
        self._settle(context.key)
        return self._report(context, moved, outcome, {**notes, **read_notes}), state

    def _outcome(self, instruction: Instruction, key: str) -> tuple[Outcome, dict[str, Any]]:
        with self._lock:
            is_open = key in self._open
            self._open.add(key)
        if is_open:
            return self._looked_up(key, f"{self._venue} has not told yet what became of {key}")
        try:
            outcome, attempts = self._submit(instruction, key)
        except (VenueUnreachable, VenueRejected):
            self._settle(key)
            raise
        except OutcomeUnknown as unknown:
            return self._looked_up(key, unknown.message, unknown)
        return outcome, {"attempts": attempts} if attempts > 1 else {}

    def _submit(self, instruction: Instruction, key: str) -> tuple[Outcome, int]:
        attempt = 1
        while True:
            try:
                return self._ask(lambda: require_well_formed(self._gateway.submit(instruction, key))), attempt
            except VenueUnreachable as error:
                if attempt >= self._attempts:
                    tried = f"{error.message}; nothing was sent in {attempt} attempt{'s' if attempt > 1 else ''}"
                    raise VenueUnreachable(UNREACHABLE[self._kind], tried, COMPONENTS[self._kind], original_exception=error) from error
            self._timing.sleep(self._delay_s * 2 ** (attempt - 1))
            attempt += 1

    def _looked_up(self, key: str, why: str, unknown: OutcomeUnknown | None = None) -> tuple[Outcome, dict[str, Any]]:
        """What the venue says became of a key, asked again and again until the timeout. Nothing is sent."""
        deadline, delay_s = self._timing.monotonic() + self._timeout_s, max(self._delay_s, LEAST_LOOK_UP_PAUSE_S)
        while True:
            found = self._find(key)
            if found is not None:
                return found, {"looked_up": True}
            left_s = deadline - self._timing.monotonic()
            if left_s <= 0:
                lost = f"{why}; not found under {key} in {self._timeout_s:g} s: perhaps it was done, look there before going on"
                raise self._unknown(lost, unknown)
            self._timing.sleep(min(delay_s, left_s))
            delay_s *= 2

    def _find(self, key: str) -> Outcome | None:
        try:
            found = self._ask(lambda: self._gateway.find(key))
        except VenueRejected:
            self._settle(key)
            raise
        except (VenueUnreachable, OutcomeUnknown):
            return None
        return None if found is None else require_well_formed(found)

    def _ask(self, call: Callable[[], T]) -> T:
        """What the gateway gives. Silence, and an error it was not meant to raise, are an unknown outcome."""

        def alone() -> T:
            with localcontext():  # a client may change the decimal context that the house computes in
                return call()

        try:
            return self._timing.within(self._timeout_s, alone)
        except (ComponentError, MalformedAnswer):
            raise
        except TimeoutError as late:
            raise self._unknown(f"{self._venue} did not answer within {self._timeout_s:g} s", late) from None
        except Exception as error:  # noqa: BLE001 a client's fault: nobody knows whether it came before or after the sending
            # Its text stays out of the message and the log: a client's error may quote an address with a key in it.
            raise self._unknown(f"{self._venue} did not answer: its gateway raised {type(error).__name__}", error) from None

    def _unknown(self, message: str, error: BaseException | None) -> OutcomeUnknown:
        return OutcomeUnknown(UNKNOWN[self._kind], message, COMPONENTS[self._kind], original_exception=error)

    def _settle(self, key: str) -> None:
        with self._lock:
            self._open.discard(key)

    # The state, and what to do about an answer that cannot be booked.

    def _state_after(self, context: Context, moved: Moved) -> tuple[State, dict[str, Any]]:
        """The simulated state with what the venue says in its place; a venue that cannot be read leaves it as simulated.

        The instruction has been executed by now: nothing that happens here may lose its report.
        """
        if not context.state.checked:
            return moved.state, {}
        try:
            return self._ask(lambda: moved.state.with_parts(**self._gateway.read().parts)), {}
        except (ComponentError, MalformedAnswer):
            return moved.state, {"state_read": False}

    def _reconciled(self, malformed: MalformedAnswer, context: Context, moved: Moved) -> ExecutionReport:
        """A report without deltas where the venue shows that nothing moved; the key stays open either way."""
        if self._nothing_moved(context.state, moved.state):
            details = {"malformed": malformed.fault, "raw": repr(malformed.raw)}
            return self._report(context, moved, Outcome(deltas=Deltas(), reference="reconciled", details=details), {})
        message = f"{self._venue} answered {context.key} with {malformed.fault}; compare its raw answer with the venue before going on"
        raise ComponentError("EIM-003", message, original_exception=malformed) from malformed

    def _nothing_moved(self, before: State, simulated: State) -> bool:
        """Whether the venue holds what it held before, in all parts that the instruction would have changed."""
        touched = {name for name, part in simulated.parts.items() if before.parts.get(name) is not part}
        held = before.positions()

        def is_unmoved() -> bool:
            read = self._gateway.read()
            return touched <= read.parts.keys() and read.positions() == {name: held[name] for name in read.parts if name in held}

        try:
            return before.checked and self._ask(is_unmoved)
        except (ComponentError, MalformedAnswer):
            return False

    def _report(self, context: Context, moved: Moved, outcome: Outcome, notes: dict[str, Any]) -> ExecutionReport:
        return ExecutionReport(
            key=context.key,
            venue=self._venue,
            at=context.at,
            kind="execution",
            deltas=outcome.deltas,
            expected=moved.deltas,
            costs=outcome.costs,
            reference=outcome.reference,
            details={**outcome.details, **notes},
        )
