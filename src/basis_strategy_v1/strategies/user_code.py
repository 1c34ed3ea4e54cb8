"""A user's own strategy (`strategy_mode: custom`), in either form, as the strategies here are."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from decimal import Decimal, getcontext
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.clock import iso
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.market import Seen
from basis_strategy_v1.core.memory import require_frozen
from basis_strategy_v1.core.settings import Mark, OrNull, path, text
from basis_strategy_v1.core.text import one_line, printable
from basis_strategy_v1.strategies.parameters import CommonParameters
from basis_strategy_v1.strategies.strategy import Block, Plan, Step
from basis_strategy_v1.strategies.user_attributes import Attributes
from basis_strategy_v1.strategies.user_file import (
    NEIGHBOURS,
    NOT_FAILURES,
    digest_of,
    error_text,
    keeping_directory,
    line_in,
    module_of,
    read_module,
    strategy_in,
    structs_in,
    takes_memory,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Its attributes are looked at after each of its first steps, each plan, and each step of a number that this divides.
LOOKED_AT_FIRST = 100
LONGEST_NAME = 200
ClassName = Annotated[str, text(r"[A-Za-z_][A-Za-z0-9_]{0,99}", "the name of a class")]


class Parameters(CommonParameters, frozen=True, kw_only=True, rename={"class_": "class"}):
    file: Annotated[Path, path("the path of a file, from the config's own folder"), Mark.RUN, "the Python file of the strategy"]
    class_: Annotated[OrNull[ClassName], "the class in it; null: the only one"] = None
    parameters: Annotated[Mapping[str, Any], "handed to the class as they are"] = {}


class Custom:
    """The strategy in a user's Python file, or one that is `given`; what it raises names the file, the line and the step.

    `neighbours` is a digest of the files that it imports from its own folder; empty where it imports none.
    `warnings` gets a line when it is found to keep something that does not survive a restart, once; `warn` is called with it.
    """

    def __init__(
        self, path: Path, name: str | None = None, parameters: Mapping[str, Any] = MappingProxyType({}), given: Any = None
    ) -> None:
        self._path = path
        self._own = deepcopy(dict(parameters))  # the user's code may change it, and not what the config says
        self._read_only = MappingProxyType(self._own)
        if given is None:
            module = read_module(path)
            found = strategy_in(module, path, name)
        else:
            module, found = module_of(given), given
        self._strategy = self._ask("__init__", found) if isinstance(found, type) else found
        self._decide, self._decide_remembers = self._function("decide")
        self._leave: Callable[..., Any] | None = None
        if hasattr(self._strategy, "leave"):
            self._leave, self._leave_remembers = self._function("leave")
        self.neighbours = digest_of(getattr(module, NEIGHBOURS, ()))
        self.memory_kinds = structs_in(module, path)
        self._kinds = frozenset(self.memory_kinds)
        self.warnings: list[str] = []
        self._calls = 0  # of decide
        self.warn: Callable[[str], None] | None = None
        self._attributes = Attributes(self._strategy)
        self._precision = getcontext().prec  # of the decimal arithmetic around it, which it must leave as it is

    def _function(self, method: str) -> tuple[Callable[..., Any], bool]:
        function = self._ask(method, getattr, self._strategy, method)
        return function, takes_memory(function, method, self._path)

    # Decisions.

    def decide(self, step: Step, memory: Any) -> Plan:
        snapshot: Any = Seen(step.snapshot)
        try:
            if self._decide_remembers:
                answer = self._decide(Step(step.at, snapshot, step.positions, self._read_only), memory)
            else:
                answer = self._decide(snapshot, step.positions, self._own)
        except NOT_FAILURES:
            raise
        except BaseException as error:  # what a user's code raises cannot be known
            raise self._failure("decide", error, step) from error
        if getcontext().prec != self._precision:
            why = "decide changed the decimal context; use decimal.localcontext() in it"
            raise ComponentError("STR-002", f"{self._file}: {why}{_when('decide', step)}")
        if self._decide_remembers or type(answer) is not list:
            answer, memory = self._plan("decide", answer, memory, step, self._decide_remembers)
        self._calls += 1
        if answer or self._calls < LOOKED_AT_FIRST or not self._calls % LOOKED_AT_FIRST:
            self._look_at_attributes()
        return answer, memory

    def leave(self, step: Step, memory: Any) -> Plan:
        if self._leave is None:
            return [], memory
        snapshot: Any = Seen(step.snapshot)
        if self._leave_remembers:
            user_step = Step(step.at, snapshot, step.positions, self._read_only)
            answer = self._ask("leave", self._leave, user_step, memory, step=step)
        else:
            answer = self._ask("leave", self._leave, snapshot, step.positions, self._own, step=step)
        return self._plan("leave", answer, memory, step, self._leave_remembers)

    def _plan(self, method: str, answer: Any, memory: Any, step: Step, remembers: bool) -> Plan:
        """What a user's method returned, once it is known to be a plan."""
        if not remembers:
            return self._as_blocks(method, "a list of blocks", answer, step), memory
        if not isinstance(answer, tuple) or len(answer) != 2:
            found = f"a tuple of {len(answer)}" if isinstance(answer, tuple) else shown(answer)
            raise self._refusal(method, "(blocks, memory)", found, _when(method, step))
        blocks, after = answer
        if after is not memory:  # what was given is frozen
            try:
                require_frozen(after, self._kinds)
            except ComponentError as error:
                message = f"{self._file}: {method} must return a frozen memory: {error.message}{_when(method, step)}"
                raise ComponentError(error.error_code, message) from None
        return self._as_blocks(method, "(blocks, memory) with a list of blocks", blocks, step), after

    def _as_blocks(self, method: str, wanted: str, blocks: Any, step: Step) -> Sequence[Block]:
        if not isinstance(blocks, list | tuple):
            raise self._refusal(method, wanted, shown(blocks), _when(method, step))
        return blocks

    def _look_at_attributes(self) -> None:
        if self.warnings or (name := self._attributes.changed()) is None:
            return
        kept = "keep it in memory" if self._decide_remembers else "return it as memory: decide(step, memory) -> (blocks, memory)"
        changed = f"decide changes its {self._attributes.noun} {one_line(name, 60)}"
        line = f"{self._file}: {changed}, which does not survive a restart of a live run; {kept}."
        self.warnings.append(line)
        if self.warn is not None:
            self.warn(f"warning: {line}")

    # What is asked once.

    def needs(self, parameters: Mapping[str, Any]) -> Sequence[tuple[str, str, str]]:
        if not hasattr(self._strategy, "needs"):
            return ()
        found = self._ask("needs", self._strategy.needs, self._own)
        self._attributes = Attributes(self._strategy)  # what is set here is set at each start
        if not _are_series(found):
            raise self._refusal("needs", 'a list of (kind, venue, name) such as ("perp", "bybit", "ETHUSDT")', shown(found))
        return [(kind, venue, name) for kind, venue, name in found]

    def placed(self, capital: Decimal, parameters: Mapping[str, Any]) -> dict[str, dict[str, Decimal]]:
        if not hasattr(self._strategy, "placed"):
            return {}
        found = self._ask("placed", self._strategy.placed, capital, self._own)
        self._attributes = Attributes(self._strategy)
        if not _is_placement(found):
            raise self._refusal("placed", 'venue -> token -> Decimal, such as {"bybit": {"USDT": capital}}', shown(found))
        return {venue: dict(tokens) for venue, tokens in found.items()}

    def _ask(self, method: str, function: Callable[..., Any], *arguments: Any, step: Step | None = None) -> Any:
        try:
            with keeping_directory():
                return function(*arguments)
        except NOT_FAILURES:
            raise
        except BaseException as error:  # what a user's code raises cannot be known
            raise self._failure(method, error, step) from error

    # Errors.

    @property
    def _file(self) -> str:
        return printable(self._path.name)

    def _failure(self, method: str, error: BaseException, step: Step | None) -> ComponentError:
        if isinstance(error, ComponentError):
            return error
        when = f" at {iso(step.at)}" if step else ""
        message = f"{self._file}{line_in(error, self._path)}: {error_text(error)} (in {method}{when}){_hint(error)}"
        return ComponentError("STR-002", message, original_exception=error)

    def _refusal(self, method: str, wanted: str, found: str, when: str = "") -> ComponentError:
        return ComponentError("STR-002", f"{self._file}: {method} must return {wanted}, got {found}{when}")


def _hint(error: BaseException) -> str:
    """The way out of everybody's first error."""
    text = str(error) if type(error) is TypeError else ""
    if "decimal.Decimal" not in text or "'float'" not in text:
        return ""
    return "; prices and amounts are Decimal: write Decimal('0.9') in place of 0.9, or take floats with snapshot.spot(…, as_float=True)"


def _when(method: str, step: Step) -> str:
    return f" (in {method} at {iso(step.at)})"


def _are_series(found: Any) -> bool:
    return isinstance(found, list | tuple) and all(
        isinstance(row, list | tuple) and len(row) == 3 and all(map(_is_name, row)) for row in found
    )


def _is_placement(found: Any) -> bool:
    return isinstance(found, dict) and all(
        _is_name(venue) and isinstance(tokens, dict) and all(_is_name(token) and _is_amount(amount) for token, amount in tokens.items())
        for venue, tokens in found.items()
    )


def _is_name(word: Any) -> bool:
    return isinstance(word, str) and len(word) <= LONGEST_NAME and word.isprintable()


def _is_amount(amount: Any) -> bool:
    return isinstance(amount, Decimal) and amount.is_finite() and amount >= 0
