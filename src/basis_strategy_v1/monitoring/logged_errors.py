"""The errors that an event log has from a time on: a step that is repeated after a crash does not log them again."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from basis_strategy_v1.core.clock import to_instant
from basis_strategy_v1.monitoring.event_reader import EventReader, event_files

if TYPE_CHECKING:
    from pathlib import Path

ERRORS = frozenset({"error", "instruction_routing_failed", "venue_interface_unavailable", "execution_delta_aggregation_failed"})


class LoggedError(NamedTuple):
    """An error in the log, by what makes it the same one: its instant (microseconds since 1970), type, component and message."""

    instant: int
    event_type: str
    component: str
    message: str


def errors_since(directory: str | Path, instant: int) -> Counter[LoggedError]:
    """The errors of an instant and after it, and how often each is there.

    Raises:
        ComponentError: LOG-003, a line that is not the last of its file is no event.
    """
    found: Counter[LoggedError] = Counter()
    for paths in event_files(directory).values():
        for path in paths:
            for _, line in EventReader(path).lines():
                if line.event_type in ERRORS and (at := to_instant(datetime.fromisoformat(line.timestamp))) >= instant:
                    message = msgspec.json.decode(line.data).get("error_message", "")
                    found[LoggedError(at, line.event_type, line.component, message)] += 1
    return found
