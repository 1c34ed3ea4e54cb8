"""The event log of a run that writes nothing: the same lines, kept in memory."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.clock import from_instant, to_instant
from basis_strategy_v1.monitoring.event_line import EVENT_TYPES, Event, lines_of, parse_line
from basis_strategy_v1.monitoring.event_logger import EventLogger
from basis_strategy_v1.monitoring.event_reader import csv_rows

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from msgspec import Struct

    from basis_strategy_v1.monitoring.logged_errors import LoggedError

    Data = Mapping[str, Any] | Struct
    AppendAll = Callable[[datetime, str, Sequence[tuple[str, Data]]], None]


class EventMemory(EventLogger):
    """Takes events as `EventLogger` does in a backtest. A component's numbers are without gaps."""

    def __init__(self) -> None:
        self.execution_mode = "backtest"
        self._lines: dict[str, list[bytes]] = {}  # by component; a piece has one or more lines
        self._sequences: dict[str, int] = {}

    def log_event(self, timestamp: datetime, event_type: str, component: str, data: Data) -> None:
        """Keep one event.

        Raises:
            ValueError: a type that is not in EVENT_TYPES, or a naive timestamp.
        """
        if event_type not in EVENT_TYPES:
            raise ValueError(f"event_type {event_type!r} is not one of {', '.join(sorted(EVENT_TYPES))}")
        is_plain = type(timestamp) is datetime and timestamp.tzinfo is UTC
        at = timestamp if is_plain else from_instant(to_instant(timestamp))
        self._append(at, component, ((event_type, data),))

    def appender(self, component: str, at: datetime) -> AppendAll:
        """What keeps the events of one component, none of which is checked."""
        return self._append

    def _append(self, at: datetime, component: str, events: Sequence[tuple[str, Data]]) -> None:
        first = self._sequences.get(component, 0) + 1
        numbered = [Event(at, event_type, component, data, number) for number, (event_type, data) in enumerate(events, first)]
        self._lines.setdefault(component, []).append(lines_of(numbered))
        self._sequences[component] = first + len(events) - 1

    def leave_out(self, errors: Counter[LoggedError]) -> None:
        """Nothing is here already."""

    @property
    def components(self) -> tuple[str, ...]:
        """Those that logged anything, in the order of their first events."""
        return tuple(self._lines)

    def lines_of(self, component: str) -> Iterator[bytes]:
        """The lines of a component's events so far."""
        for piece in self._lines.get(component, ()):
            yield from piece.splitlines(keepends=True)

    def csv_text(self) -> str:
        """All events so far, as `events.csv` has them."""
        found = [line for component in self._lines for text in self.lines_of(component) if (line := parse_line(text)) is not None]
        found.sort(key=lambda line: (line.timestamp.rstrip("Z"), line.component, line.sequence))
        table = io.StringIO()
        csv.writer(table, lineterminator="\n").writerows(csv_rows(found))
        return table.getvalue()

    def flush(self) -> None:
        """There is nothing to write."""

    def close(self) -> None:
        """There is nothing to close."""
