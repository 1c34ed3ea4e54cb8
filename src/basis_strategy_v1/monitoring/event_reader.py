"""Events read back from their files: as dicts, and as one CSV of all components."""

from __future__ import annotations

import csv
import os
import re
from contextlib import suppress
from datetime import date
from heapq import merge
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.monitoring.event_line import EventLine, decode_line, parse_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

COLUMNS = ("timestamp", "component", "sequence", "event_type", "data")
# A spreadsheet takes a cell that begins with one of these for a formula.
FORMULA_STARTS = ("=", "+", "-", "@", "\t")
_NAME = re.compile(r"(?P<stem>.+_events)(\.(?P<day>\d{4}-\d{2}-\d{2}))?\.jsonl")

Key = tuple[str, str, int]


class EventReader:
    """The events of one file, one dict after another, each with timestamp, event_type, component, data and sequence.

    A last line that a crash cut off ends the reading quietly; it is then in `truncated` (None otherwise).
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.truncated: bytes | None = None
        self._lines = self.lines()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self

    def __next__(self) -> dict[str, Any]:
        _, line = next(self._lines)
        return {
            "timestamp": line.timestamp,
            "event_type": line.event_type,
            "component": line.component,
            "data": msgspec.json.decode(line.data),
            "sequence": line.sequence,
        }

    def lines(self) -> Iterator[tuple[int, EventLine]]:
        """Each event with the place in the file where its line begins."""
        with self.path.open("rb") as file:
            place = 0
            for number, text in enumerate(file, 1):
                line = parse_line(text)
                if line is None:
                    if file.peek(1):
                        raise ComponentError(
                            "LOG-003", f"{shown(self.path)}, line {number} is no event; remove that line or restore the file"
                        )
                    self.truncated = text
                    return
                yield place, line
                place += len(text)


def read_events(path: str | Path) -> EventReader:
    """An iterator over the events of one file, as dicts; see `EventReader.truncated` for a line that a crash cut off.

    Raises:
        FileNotFoundError: there is no such file.
        ComponentError: LOG-003, a line that is not the last is no event.
    """
    return EventReader(path)


def event_files(directory: str | Path) -> dict[str, list[Path]]:
    """The event files below `directory`/events by their name without a day, each with the oldest first."""
    found: dict[str, list[Path]] = {}
    for path in sorted((Path(directory) / "events").glob("*_events*.jsonl")):
        match = _NAME.fullmatch(path.name) if path.is_file() else None  # reading a pipe would never end
        if match and not match["day"]:
            found[match["stem"]] = [*(dated for _, dated in dated_files(path)), path]
        elif match:
            found.setdefault(match["stem"], []).append(path)
    return found


def dated_files(path: Path) -> list[tuple[date, Path]]:
    """The files that a live run's rotation made of `path`, oldest first, each with its day."""
    found = []
    for candidate in path.parent.glob(f"{path.stem}.*.jsonl"):
        match = _NAME.fullmatch(candidate.name)
        if match and match["day"] and candidate.is_file():
            found.append((date.fromisoformat(match["day"]), candidate))
    return sorted(found)


def export_csv(components: Iterable[Sequence[Path]], path: str | Path) -> None:
    """Write the events of all components to one CSV, by timestamp, then component, then sequence.

    `components` are the files of each, oldest first (the values of `event_files`). The file appears whole or not at all, and holds
    the same bytes for the same events. No more than a line of each component is in memory, or one key a line where a component's
    lines are out of order.

    Raises:
        ComponentError: LOG-001 where the file cannot be written, LOG-003 where a line is no event.
    """
    target = Path(path)
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _write_rows(merge(*(_in_order(files) for files in components), key=_key), partial)
        os.replace(partial, target)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ComponentError(
            "LOG-001", f"cannot write the events to {shown(target)}: {reason}; free space or rights there, or choose another path"
        ) from error
    finally:
        with suppress(OSError):  # also where its folder could not be made
            partial.unlink()


def _write_rows(lines: Iterable[EventLine], path: Path) -> None:
    path.unlink(missing_ok=True)  # a link there is not followed
    with path.open("x", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(csv_rows(lines))
        file.flush()
        os.fsync(file.fileno())


def csv_rows(lines: Iterable[EventLine]) -> Iterator[Sequence[Any]]:
    """The rows of a CSV of events, its header first."""
    yield COLUMNS
    for line in lines:
        data = bytes(line.data).decode()
        yield safe(line.timestamp), safe(line.component), line.sequence, safe(line.event_type), safe(data)


def safe(cell: str) -> str:
    """The cell so that no spreadsheet runs it as a formula or breaks the row in it."""
    cell = cell.replace("\r", " ")  # the csv module of Python 3.11 leaves it unquoted
    return "'" + cell if cell.startswith(FORMULA_STARTS) else cell


def _in_order(files: Sequence[Path]) -> Iterator[EventLine]:
    """One component's events by timestamp and sequence."""
    if _is_in_order(files):
        for path in files:
            for _, line in EventReader(path).lines():
                yield line
        return
    places = sorted((_key(line), number, place) for number, path in enumerate(files) for place, line in EventReader(path).lines())
    opened = [path.open("rb") for path in files]
    try:
        for _, number, place in places:
            opened[number].seek(place)
            yield decode_line(opened[number].readline())
    finally:
        for file in opened:
            file.close()


def _is_in_order(files: Sequence[Path]) -> bool:
    before: Key | None = None
    for path in files:
        for _, line in EventReader(path).lines():
            key = _key(line)
            if before is not None and key < before:
                return False
            before = key
    return True


def _key(line: EventLine) -> Key:
    # Without the Z, text order is time order: "…:00" comes before "…:00.5".
    return line.timestamp.rstrip("Z"), line.component, line.sequence
