"""A user's own strategy (`custom`) and a user's own blocks (`blocks`)."""

from __future__ import annotations

import importlib.util
import inspect
import re
import sys
from copy import deepcopy
from datetime import datetime
from decimal import Decimal, getcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.clock import iso, to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.market import Seen
from basis_strategy_v1.strategies.strategy import Block, Holdings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from basis_strategy_v1.core.market import MarketSnapshot

NOT_FAILURES = (KeyboardInterrupt, GeneratorExit)  # all else that a user's code raises is one, SystemExit too
_STEP = re.compile(r"(^nothing was sent\. |; )step (\d+): ")


class Custom:
    """The strategy in a user's Python file; what it raises names the file, the line and the tick."""

    def __init__(self, path: Path, name: str | None, parameters: Mapping[str, Any]) -> None:
        self._path = path
        self._own = deepcopy(parameters["parameters"])  # the user's code may change it, and not what the config says
        self._strategy = self._ask("__init__", _load(path, name))
        self._decide = self._strategy.decide
        _require_callable(self._decide, path, self.decide)
        self._precision = getcontext().prec  # of the decimal arithmetic around it, which it must leave as it is

    def decide(self, snapshot: MarketSnapshot, positions: Holdings, parameters: Mapping[str, Any]) -> Sequence[Block]:
        try:
            blocks = self._decide(Seen(snapshot), positions, self._own)
        except NOT_FAILURES:
            raise
        except BaseException as error:  # what a user's code raises cannot be known
            raise self._failure("decide", error, snapshot) from error
        if getcontext().prec != self._precision:
            told = f"{self._path.name}: decide changed the decimal context; use decimal.localcontext() in it"
            raise ComponentError("STR-002", f"{told} (in decide at {iso(snapshot.at)})")
        return blocks if type(blocks) is list else self._as_blocks("decide", blocks, snapshot)

    def leave(self, snapshot: MarketSnapshot, positions: Holdings, parameters: Mapping[str, Any]) -> Sequence[Block]:
        if not hasattr(self._strategy, "leave"):
            return []
        return self._as_blocks("leave", self._ask("leave", self._strategy.leave, Seen(snapshot), positions, self._own), snapshot)

    def needs(self, parameters: Mapping[str, Any]) -> Sequence[tuple[str, str, str]]:
        if not hasattr(self._strategy, "needs"):
            return ()
        found = self._ask("needs", self._strategy.needs, self._own)
        if not _are_series(found):
            raise self._refusal("needs", 'a list of (kind, venue, name) such as ("perp", "bybit", "ETHUSDT")', found)
        return [(kind, venue, name) for kind, venue, name in found]

    def placed(self, capital: Decimal, parameters: Mapping[str, Any]) -> dict[str, dict[str, Decimal]]:
        if not hasattr(self._strategy, "placed"):
            return {}
        found = self._ask("placed", self._strategy.placed, capital, self._own)
        if not _is_placement(found):
            raise self._refusal("placed", 'venue -> token -> Decimal, such as {"bybit": {"USDT": capital}}', found)
        return {venue: dict(tokens) for venue, tokens in found.items()}

    def _ask(self, method: str, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except NOT_FAILURES:
            raise
        except BaseException as error:  # what a user's code raises cannot be known
            raise self._failure(method, error) from error

    def _failure(self, method: str, error: BaseException, snapshot: MarketSnapshot | None = None) -> ComponentError:
        if isinstance(error, ComponentError):
            return error
        when = f" at {iso(snapshot.at)}" if snapshot else ""
        message = f"{self._path.name}{_line_in(error, self._path)}: {_told(error)} (in {method}{when})"
        return ComponentError("STR-002", message, original_exception=error)

    def _as_blocks(self, method: str, blocks: Any, snapshot: MarketSnapshot) -> Sequence[Block]:
        if not isinstance(blocks, list | tuple):
            raise self._refusal(method, "a list of blocks", blocks, f" (in {method} at {iso(snapshot.at)})")
        return blocks

    def _refusal(self, method: str, wanted: str, found: Any, when: str = "") -> ComponentError:
        return ComponentError("STR-002", f"{self._path.name}: {method} must return {wanted}, got {shown(found)}{when}")


def _are_series(found: Any) -> bool:
    return isinstance(found, list | tuple) and all(
        isinstance(row, list | tuple) and len(row) == 3 and all(isinstance(word, str) for word in row) for row in found
    )


def _is_placement(found: Any) -> bool:
    return isinstance(found, dict) and all(
        isinstance(tokens, dict) and all(isinstance(amount, Decimal) and amount >= 0 for amount in tokens.values())
        for tokens in found.values()
    )


class Blocks:
    """A JSONL file of `{"timestamp": …, "block": …}`, each sent at its own time."""

    def __init__(self, path: Path) -> None:
        self._rows = numbered_blocks(path)
        self._first = self._sent = 0  # of the rows, those that were given last begin and end here

    @property
    def instants(self) -> list[int]:
        """When there is something to send (microseconds since 1970)."""
        return sorted({instant for instant, _, _ in self._rows})

    def decide(self, snapshot: MarketSnapshot, positions: Holdings, parameters: Mapping[str, Any]) -> Sequence[Block]:
        first = self._first = self._sent
        while self._sent < len(self._rows) and self._rows[self._sent][0] <= snapshot.instant:
            self._sent += 1
        return [block for _, _, block in self._rows[first : self._sent]]

    def located(self, error: ComponentError, at: datetime) -> ComponentError:
        """What the blocks that were given last were refused for, with their lines in the file."""
        return at_lines(error, [number for _, number, _ in self._rows[self._first : self._sent]], at)

    def leave(self, snapshot: MarketSnapshot, positions: Holdings, parameters: Mapping[str, Any]) -> Sequence[Block]:
        return []

    def needs(self, parameters: Mapping[str, Any]) -> Sequence[tuple[str, str, str]]:
        return ()

    def placed(self, capital: Decimal, parameters: Mapping[str, Any]) -> dict[str, dict[str, Decimal]]:
        return {}


def read_blocks(path: Path, at: datetime | None = None) -> list[tuple[int, Block]]:
    """(microseconds since 1970, block) of each line, in order of time. A line that is a bare block happens `at`.

    Raises:
        ComponentError: STR-001, with the file and the line.
    """
    return [(instant, block) for instant, _, block in numbered_blocks(path, at)]


def numbered_blocks(path: Path, at: datetime | None = None) -> list[tuple[int, int, Block]]:
    """The same as (microseconds since 1970, number of the line in the file, from 1, block).

    Raises:
        ComponentError: STR-001, with the file and the line.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as fault:
        raise ComponentError("STR-001", f"{path} cannot be read: {fault.strerror}; give a JSONL file of blocks") from fault
    found = [(number, *_timed(path, number, line, at)) for number, line in enumerate(lines, 1) if line.strip()]
    return [(instant, number, block) for number, instant, block in sorted(found, key=lambda row: row[1])]


def at_lines(error: ComponentError, lines: Sequence[int], at: datetime) -> ComponentError:
    """The error with the lines of the file whose blocks were refused, and their time; the steps of a plan become lines."""
    message = error.message
    if error.error_code == "EXM-001":
        message = _STEP.sub(lambda found: f"{found[1]}line {lines[int(found[2])]}: ", message)
    told = f"line{'s'[: len(lines) > 1]} {', '.join(map(str, lines))} at {iso(at)}: {message}"
    located = ComponentError(error.error_code, told, error.component, error.severity, error, error.partial_deltas)
    located.reports, located.settlements = error.reports, error.settlements
    return located


def _timed(path: Path, number: int, line: bytes, at: datetime | None) -> tuple[int, Block]:
    def refused(why: str) -> ComponentError:
        return ComponentError("STR-001", f"{path}, line {number}: {why}")

    try:
        row = msgspec.json.Decoder(float_hook=Decimal).decode(line)
    except (msgspec.DecodeError, ValueError, ArithmeticError) as fault:
        raise refused(f"not a JSON object ({fault}); a file of blocks is JSONL, one block a line") from None
    if not isinstance(row, dict):
        raise refused("must be a JSON object; a file of blocks is JSONL, one block a line")
    if "block" not in row:
        if at is None:
            raise refused('has no "block"; write {"timestamp": "2024-06-01T00:00:00Z", "block": {...}}, or give a time with --at')
        return to_instant(at), row
    if unknown := row.keys() - {"timestamp", "block"}:
        raise refused(f"unknown field {min(unknown)}; a line has timestamp and block")
    try:
        stamp = row.get("timestamp")
        moment = datetime.fromisoformat(stamp) if isinstance(stamp, str) else at
        if moment is None:
            raise refused("has no timestamp; write one such as 2024-06-01T00:00:00Z, or give a time with --at")
        return to_instant(moment), row["block"]
    except ValueError as fault:
        raise refused(f"timestamp: {fault}") from None


def _load(path: Path, name: str | None) -> Any:
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as fault:
        raise ComponentError("STR-001", f"{path} cannot be read: {fault}; give the path of a Python file") from fault
    module_name = f"basis_user_strategy_{path.stem}"
    spec = importlib.util.spec_from_loader(module_name, loader=None, origin=str(path))
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    except NOT_FAILURES:
        raise
    except BaseException as error:  # what a user's code raises cannot be known
        raise ComponentError("STR-001", f"{path.name}{_line_in(error, path)}: {_told(error)}", original_exception=error) from error
    return _class_in(module, module_name, path, name)


def _class_in(module: Any, module_name: str, path: Path, name: str | None) -> Any:
    own = {
        found.__name__: found
        for _, found in inspect.getmembers(module, inspect.isclass)
        if found.__module__ == module_name and callable(getattr(found, "decide", None))
    }
    if name is not None:
        if name not in own:
            raise ComponentError("STR-001", f"{path.name} has no class {name} with a method decide; it has {', '.join(own) or 'none'}")
        return own[name]
    if len(own) != 1:
        has = f"it has {', '.join(own)}; name one of them in strategy.class" if own else "it has none; write one"
        raise ComponentError("STR-001", f"{path.name} must have one class with a method decide, {has}")
    return next(iter(own.values()))


def _require_callable(decide: Callable[..., Any], path: Path, asked: Callable[..., Any]) -> None:
    """Refuse a decide that does not take what it will be given."""
    given = list(inspect.signature(asked).parameters)
    try:
        taken = inspect.signature(decide)
    except (TypeError, ValueError):  # not every callable says what it takes
        return
    try:
        taken.bind(*given)
    except TypeError as error:
        told = f"{path.name}: decide{taken} is called with ({', '.join(given)}): {error}"
        raise ComponentError("STR-001", f"{told}; write def decide(self, {', '.join(given)})", original_exception=error) from error


def _told(error: BaseException) -> str:
    """What an exception says, on one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}".removesuffix(": ")


def _line_in(error: BaseException, path: Path) -> str:
    if isinstance(error, SyntaxError) and error.lineno:
        return f", line {error.lineno}"
    trace, line = error.__traceback__, None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return f", line {line}" if line else ""
