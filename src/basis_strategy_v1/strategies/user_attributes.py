"""Finds what a user's strategy keeps outside its memory: a restart would lose it."""

from __future__ import annotations

from collections import deque
from types import ModuleType
from typing import Any

CONTAINERS = (list, dict, set, deque, bytearray)


class Attributes:
    """The attributes of a strategy as they were; of a file without a class, the names at its top.

    Identities are compared, and of containers the length: no code of the user's runs for it.
    """

    def __init__(self, owner: Any) -> None:
        self._owner = owner
        self._is_file = isinstance(owner, ModuleType)
        self.noun = "global" if self._is_file else "attribute"
        self._now: dict[str, Any] = getattr(owner, "__dict__", {})
        self._before = dict(self._now)  # holds the values, so that no other gets the identity of one of them
        self._ids = list(map(id, self._now.values()))
        self._slots: list[tuple[str, Any]] = [(name, getattr(owner, name, None)) for name in _slots_of(type(owner))]
        kept = [(name, value) for name, value in self._before.items() if not self._is_pythons(name)]
        self._sizes: list[tuple[str, Any, int]] = [
            (name, value, len(value)) for name, value in [*kept, *self._slots] if isinstance(value, CONTAINERS)
        ]

    def changed(self) -> str | None:
        """The first that has been set, or has grown or shrunk, since then; None where all are as they were."""
        if list(map(id, self._now.values())) != self._ids and (name := self._set()) is not None:
            return name
        for name, value in self._slots:
            if getattr(self._owner, name, None) is not value:
                return name
        for name, container, size in self._sizes:
            if len(container) != size:
                return name
        return None

    def _set(self) -> str | None:
        names: list[str] = [*self._before, *self._now]
        for name in names:
            if self._now.get(name, self) is not self._before.get(name, self) and not self._is_pythons(name):
                return name
        return None

    def _is_pythons(self, name: str) -> bool:
        return self._is_file and name.startswith("__")


def _slots_of(kind: type) -> list[str]:
    slots: list[Any] = [vars(base).get("__slots__", ()) for base in kind.__mro__]
    return [name for names in slots for name in ((names,) if isinstance(names, str) else names) if name not in ("__dict__", "__weakref__")]
