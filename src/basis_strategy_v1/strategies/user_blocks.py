"""A user's own instruction blocks (`strategy_mode: blocks`, `basis execute`): a file of them, each with its time."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from basis_strategy_v1.core.clock import iso, to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.settings import Mark, path
from basis_strategy_v1.core.text import one_line, printable
from basis_strategy_v1.strategies.parameters import CommonParameters
from basis_strategy_v1.strategies.strategy import Block, Plan, Step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NUMBERS = msgspec.json.Encoder(decimal_format="number")
_STEP = re.compile(r"(^nothing was sent\. |; )step (\d+): ")


class Parameters(CommonParameters, frozen=True, kw_only=True):
    file: Annotated[Path, path("the path of a file, from the config's own folder"), Mark.RUN, 'JSONL, a line {"timestamp": …, "block": …}']


class Blocks:
    """A JSONL file of `{"timestamp": …, "block": …}`, each sent at its own time, and only then: there is nothing to remember."""

    memory_kinds = ()

    def __init__(self, path: Path) -> None:
        self._rows: dict[int, list[tuple[int, Block]]] = {}  # by their time, in the order of the file: (number of the line, block)
        for instant, number, block in numbered_blocks(path):
            self._rows.setdefault(instant, []).append((number, block))

    @property
    def instants(self) -> list[int]:
        """When there is something to send (microseconds since 1970), once for each block."""
        return [instant for instant, rows in self._rows.items() for _ in rows]

    @property
    def blocks(self) -> list[Block]:
        """All of them, in order of time."""
        return [block for rows in self._rows.values() for _, block in rows]

    def decide(self, step: Step, memory: None) -> Plan:
        return [block for _, block in self._rows.get(step.snapshot.instant, ())], memory

    def located(self, error: ComponentError, at: datetime) -> ComponentError:
        """What the blocks of a time were refused for, with their lines in the file."""
        return at_lines(error, [number for number, _ in self._rows[to_instant(at)]], at)

    def leave(self, step: Step, memory: None) -> Plan:
        return [], memory

    def needs(self, parameters: Mapping[str, Any]) -> Sequence[tuple[str, str, str]]:
        return ()

    def placed(self, capital: Decimal, parameters: Mapping[str, Any]) -> dict[str, dict[str, Decimal]]:
        return {}


def numbered_blocks(path: Path, at: datetime | None = None) -> list[tuple[int, int, Block]]:
    """(microseconds since 1970, number of the line in the file, from 1, block) of each line, in order of time. A line that is a bare
    block happens `at`.

    Raises:
        ComponentError: STR-001, with the file and the line.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as fault:
        raise ComponentError("STR-001", f"{printable(str(path))} cannot be read: {fault.strerror}; give a JSONL file of blocks") from fault
    found = [(number, *_timed(path, number, line, at)) for number, line in enumerate(lines, 1) if line.strip()]
    return [(instant, number, block) for number, instant, block in sorted(found, key=lambda row: row[1])]


def at_lines(error: ComponentError, lines: Sequence[int], at: datetime) -> ComponentError:
    """The error with the lines of the file whose blocks were refused, and their time; the steps of a plan become lines."""
    message = error.message
    if error.error_code == "EXM-001":
        message = _STEP.sub(lambda found: f"{found[1]}line {lines[int(found[2])]}: ", message)
    message = f"line{'s'[: len(lines) > 1]} {', '.join(map(str, lines))} at {iso(at)}: {message}"
    located = ComponentError(error.error_code, message, error.component, error.severity, error, error.partial_deltas)
    located.reports, located.settlements = error.reports, error.settlements
    return located


def _as_text(stamp: Any) -> str:
    """What a number of seconds, milliseconds or microseconds since 1970 is as a time, as a part of a sentence."""
    if isinstance(stamp, int) and not isinstance(stamp, bool):
        for unit, least in ((1, 10**14), (10**3, 10**11), (10**6, 10**8)):
            if least <= stamp < least * 10**3:
                return f", perhaps {iso(stamp * unit)}"
    return " such as 2024-06-01T00:00:00Z"


def _timed(path: Path, number: int, line: bytes, at: datetime | None) -> tuple[int, Block]:
    def refused(why: str) -> ComponentError:
        return ComponentError("STR-001", f"{printable(str(path))}, line {number}: {one_line(why)}")

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
        if stamp is not None and not isinstance(stamp, str):
            raise refused(f"timestamp: {_NUMBERS.encode(stamp).decode()[:60]} is no text; write an ISO time{_as_text(stamp)}")
        moment = datetime.fromisoformat(stamp) if isinstance(stamp, str) else at
        if moment is None:
            raise refused("has no timestamp; write one such as 2024-06-01T00:00:00Z, or give a time with --at")
        return to_instant(moment), row["block"]
    except ValueError as fault:
        raise refused(f"timestamp: {fault}") from None
