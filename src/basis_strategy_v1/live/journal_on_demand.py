"""The journal of a folder, opened by whoever needs it first: a manager that sends nothing leaves no file."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.live.journal import SqliteJournal

if TYPE_CHECKING:
    from pathlib import Path


class JournalOnDemand:
    """Is used as a SqliteJournal is. Raises what that one raises, at the first use."""

    def __init__(self, folder: str | Path = "state") -> None:
        self._folder = folder
        self._journal: SqliteJournal | None = None
        self._opening = Lock()

    def __getattr__(self, name: str) -> Any:
        with self._opening:
            if self._journal is None:
                self._journal = SqliteJournal(self._folder)
        return getattr(self._journal, name)

    def close_file(self) -> None:
        """Close the file, if it is open. The next use opens it again."""
        with self._opening:
            if self._journal is not None:
                self._journal.close_file()
                self._journal = None
