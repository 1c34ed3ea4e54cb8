"""Which executions and settlements are in the event log already: asked after a crash, before anything is logged again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from basis_strategy_v1.core.journal import STEP, child_key
from basis_strategy_v1.monitoring.event_reader import EventReader, event_files

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

STEM = "execution_interface_manager_events"
KINDS = ("execution", "settlement")


def logged_keys(directory: str | Path, keys: Collection[str]) -> set[str]:
    """Those of some keys whose execution or settlement is logged below `directory`/events.

    The event of a sequence is one of each step that it has details of, under the step's key. The event of an answer that could not be read
    does not count: its execution is logged once the outcome is known.

    Raises:
        ComponentError: LOG-003, a line that is not the last of its file is no event.
    """
    wanted, found = set(keys), set[str]()
    for path in reversed(event_files(directory).get(STEM, [])):
        if wanted <= found:
            break
        for _, line in EventReader(path).lines():
            if line.event_type in KINDS:
                data: dict[str, Any] = msgspec.json.decode(line.data)
                details = data.get("details", {})
                if "malformed" not in details:
                    found.update(wanted.intersection(_keys_of(data.get("key"), details)))
    return found


def _keys_of(key: Any, details: Iterable[str]) -> Iterator[str]:
    """The key of an event, and of a sequence's those of the steps that it has details of."""
    if isinstance(key, str):
        yield key
        yield from (child_key(key, name.removeprefix(STEP)) for name in details if name.startswith(STEP))
