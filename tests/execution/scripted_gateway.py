"""A gateway that does what lists say, and a time that passes only when somebody waits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from basis_strategy_v1.core.clock import from_instant, to_instant
from basis_strategy_v1.core.error_codes.exceptions import OutcomeUnknown
from basis_strategy_v1.core.gateway import Happened, Message, NeverHappened
from basis_strategy_v1.core.state import State
from basis_strategy_v1.execution.timing import Timing

STARTED = to_instant(datetime(2024, 6, 1, 12, tzinfo=UTC))


class ScriptEnded(KeyboardInterrupt):
    """A call that the list does not have. Nobody handles an interruption."""


class StillTime:
    """Stands still but for sleeping and for waiting in vain. `now` is the clock's."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.slept: list[float] = []
        self.is_hanging = False
        self.timing = Timing(self._sleep, lambda: self.now_s, self._within)

    def now(self) -> datetime:
        return from_instant(STARTED + round((self.now_s - 1_000) * 1_000_000))

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s = round(self.now_s + seconds, 9)

    def _within(self, timeout_s: float, call: Callable[[], Any], /) -> Any:
        try:
            return call()
        finally:
            if self.is_hanging:
                self.is_hanging = False
                self.now_s += timeout_s
                raise TimeoutError(f"not done after {timeout_s:g} s")


class Hangs(NamedTuple):
    """The call goes on for longer than anybody waits; the venue has executed `outcome` (None: nothing)."""

    outcome: Happened | None = None


class Lost(NamedTuple):
    """It is executed, and the answer is lost on the way."""

    outcome: Happened


LOST = OutcomeUnknown("CEX-003", "the connection was lost after sending")


class ScriptedGateway:
    """Answers each send, find, quote and read with the next item of its list: an answer, an error, or anything.

    Without a list `find` gives what was executed, `read` an empty state, `quote` nothing. `calls` are all calls in their order; `executed`
    the client ids of what was executed, so that one that is there twice was executed twice.
    """

    def __init__(
        self,
        time: StillTime,
        sends: Sequence[Any] = (),
        finds: Sequence[Any] | None = None,
        reads: Sequence[Any] | None = None,
        quotes: Sequence[Any] | None = None,
        *,
        name: str = "binance",
        kind: str = "exchange",
        connection: str = "api.binance.com",
        takes_nonce: bool = False,
        expires: int | None = None,
        prepares: Callable[..., Any] | None = None,
    ) -> None:
        self.name, self.kind, self.connection, self.takes_nonce = name, kind, connection, takes_nonce
        self._time = time
        self._sends, self._finds, self._reads, self._quotes = list(sends), _listed(finds), _listed(reads), _listed(quotes)
        self._expires = expires
        self._prepares = prepares or self._message
        self._known: dict[str, Happened] = {}
        self.executed: list[str] = []
        self.calls: list[str] = []
        self.given: list[Any] = []  # what was prepared from

    def quote(self, order: Any) -> Any:
        self.calls.append(f"quote {order.key}")
        return {} if self._quotes is None else self._done(self._next(self._quotes))

    def prepare(self, approved: Any, limits: Any, quote: Any, nonce: int | None) -> Any:
        order = approved.order
        self.calls.append(f"prepare {order.key}")
        self.given.append((approved, limits, quote, nonce))
        return self._prepares(order, limits, quote, nonce)

    def _message(self, order: Any, limits: Any, quote: Any, nonce: int | None) -> Message:
        return Message(client_id=order.key, body="{}", expires=self._expires, nonce=nonce)

    def send(self, message: Any) -> Any:
        self.calls.append(f"send {message.client_id}")
        step = self._next(self._sends)
        if isinstance(step, Happened):
            self._execute(message.client_id, step)
        if isinstance(step, Lost | Hangs) and step.outcome is not None:
            self._execute(message.client_id, step.outcome)
        return self._done(LOST if isinstance(step, Lost) else step)

    def _execute(self, client_id: str, outcome: Happened) -> None:
        self.executed.append(client_id)
        self._known[client_id] = outcome

    def find(self, message: Any, reference: str | None = None) -> Any:
        self.calls.append(f"find {reference or message.client_id}")
        if self._finds is None:
            return self._known.get(message.client_id, NeverHappened("it is not known"))
        return self._done(self._next(self._finds))

    def read(self, at: str | None = None) -> Any:
        self.calls.append("read")
        return State() if self._reads is None else self._done(self._next(self._reads))

    def due(self, since: str | None) -> Any:
        return (), ""

    def _done(self, step: Any) -> Any:
        if isinstance(step, Hangs):
            self._time.is_hanging = True
            return None
        if isinstance(step, BaseException):
            raise step
        return step

    def _next(self, script: list[Any]) -> Any:
        if not script:
            raise ScriptEnded(self.calls[-1])
        return script.pop(0)


def _listed(script: Sequence[Any] | None) -> list[Any] | None:
    return None if script is None else list(script)
