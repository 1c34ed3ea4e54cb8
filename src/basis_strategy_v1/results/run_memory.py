"""The files of a run that writes nothing: each is made when it is asked for."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from basis_strategy_v1.monitoring.event_memory import EventMemory


class RunMemory:
    """In place of a `RunFolder`: the same calls, and nothing on the disk."""

    def __init__(self) -> None:
        self._made: dict[str, Callable[[], str]] = {}
        self._texts: dict[str, str] = {}

    def begin(self, *, finished: bool, summary: str = "") -> None:
        """There is nothing in the way."""

    def write(self, name: str, text: str) -> Path:
        self._texts[name] = text
        return Path(name)

    def write_rows(self, name: str, header: str, rows: Iterable[str]) -> Path:
        self._made[name] = partial(_text_of, header, rows)
        return Path(name)

    def write_events(self, logger: EventMemory) -> Path:
        self._made["events.csv"] = logger.csv_text
        return Path("events.csv")

    def close(self) -> None:
        """There is nothing to let go."""

    def text(self, name: str) -> str | None:
        """A file's content; None where the run has none of this name."""
        if name not in self._texts and name in self._made:
            self._texts[name] = self._made.pop(name)()
        return self._texts.get(name)

    @property
    def names(self) -> list[str]:
        return sorted({*self._made, *self._texts})


def _text_of(header: str, rows: Iterable[str]) -> str:
    return "".join([f"{header}\n", *rows])
