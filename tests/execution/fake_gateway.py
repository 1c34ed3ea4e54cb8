"""A venue that does what a list says, and a time that passes only when somebody waits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.core.error_codes.exceptions import OutcomeUnknown
from basis_strategy_v1.core.state import State
from basis_strategy_v1.execution.timing import Timing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from basis_strategy_v1.execution.gateway import Outcome


class Hang(BaseException):
    """The call would go on for longer than anybody waits."""


class ScriptEnded(BaseException):
    """A call that the list does not foresee; no ordinary error, so that nobody handles it."""


class FakeTime:
    """Stands still but for sleeping and for waiting in vain."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.slept: list[float] = []
        self.timing = Timing(self._sleep, lambda: self.now_s, self._within)

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s = round(self.now_s + seconds, 9)

    def _within(self, timeout_s: float, call: Callable[[], Any], /) -> Any:
        try:
            return call()
        except Hang:
            self.now_s += timeout_s
            raise TimeoutError from None


class Executes(NamedTuple):
    """The venue carries it out, whatever becomes of its answer."""

    outcome: Outcome
    then: BaseException


def lost(outcome: Outcome) -> Executes:
    """It is done, and the answer is lost on the way."""
    return Executes(outcome, OutcomeUnknown("CEX-003", "the connection was lost after sending"))


def hangs(outcome: Outcome) -> Executes:
    """It is done, and no answer comes."""
    return Executes(outcome, Hang())


class FakeGateway:
    """Answers each submit, find and read with the next item of its list: an outcome, a state, an error, or anything.

    Without a list, `find` tells what was executed under a key, and `read` gives an empty state. `calls` is all that was
    asked; `executed` are the keys of what was carried out, so a key that is there twice was traded twice.
    """

    def __init__(self, submits: Sequence[Any] = (), finds: Sequence[Any] | None = None, reads: Sequence[Any] | None = None) -> None:
        self._submits = list(submits)
        self._finds = None if finds is None else list(finds)
        self._reads = None if reads is None else list(reads)
        self._known: dict[str, Outcome] = {}
        self.executed: list[str] = []
        self.calls: list[str] = []

    def submit(self, instruction: Any, key: str) -> Any:
        self.calls.append(f"submit {key}")
        step = _next(self._submits)
        if isinstance(step, BaseException):
            raise step
        outcome = step.outcome if isinstance(step, Executes) else step
        self.executed.append(key)
        self._known[key] = outcome
        if isinstance(step, Executes):
            raise step.then
        return outcome

    def find(self, key: str) -> Any:
        self.calls.append(f"find {key}")
        return self._known.get(key) if self._finds is None else _raised_or_given(_next(self._finds))

    def read(self) -> Any:
        self.calls.append("read")
        return State() if self._reads is None else _raised_or_given(_next(self._reads))


def _next(script: list[Any]) -> Any:
    if not script:
        raise ScriptEnded
    return script.pop(0)


def _raised_or_given(step: Any) -> Any:
    if isinstance(step, BaseException):
        raise step
    return step
