"""Which executions are in the event log already: asked after a crash, before anything is logged again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from basis_strategy_v1.monitoring.event_reader import EventReader, event_files

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

STEM = "execution_interface_manager_events"


def logged_keys(directory: str | Path, keys: Collection[str]) -> set[str]:
    """Those of some keys whose execution is logged below `directory`/events.

    The event of an answer that could not be read does not count: its execution is logged once the outcome is known.

    Raises:
        ComponentError: LOG-003, a line that is not the last of its file is no event.
    """
    wanted, found = set(keys), set[str]()
    for path in reversed(event_files(directory).get(STEM, [])):
        if wanted <= found:
            break
        for _, line in EventReader(path).lines():
            if line.event_type == "execution":
                data: dict[str, Any] = msgspec.json.decode(line.data)
                if data.get("key") in wanted and "malformed" not in data.get("details", {}):
                    found.add(data["key"])
    return found
