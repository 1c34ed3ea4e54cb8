"""A connection to a venue that several accounts share, and the keys that are being worked on."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Condition, RLock
from typing import TYPE_CHECKING

from basis_strategy_v1.execution.circuit_breaker import CircuitBreaker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Connection:
    """An exchange's host or a chain's node: its circuit breaker, and the lock that lets one order be sent at a time."""

    def __init__(self, name: str, *, failures: int, monotonic: Callable[[], float]) -> None:
        self.name = name
        self.breaker = CircuitBreaker(name, failures=failures, monotonic=monotonic)
        self.lock = RLock()


class KeysInHand:
    """The keys that some thread is sending or looking up, so that no two threads send or close the same one."""

    def __init__(self) -> None:
        self._keys: set[str] = set()
        self._changed = Condition()

    @contextmanager
    def held(self, key: str) -> Iterator[None]:
        """Work on a key, once nobody else does."""
        with self._changed:
            self._changed.wait_for(lambda: key not in self._keys)
            self._keys.add(key)
        try:
            yield
        finally:
            self._let_go(key)

    @contextmanager
    def held_if_free(self, key: str) -> Iterator[bool]:
        """Work on a key, unless somebody else does: whether it is free."""
        with self._changed:
            is_free = key not in self._keys
            if is_free:
                self._keys.add(key)
        try:
            yield is_free
        finally:
            if is_free:
                self._let_go(key)

    def _let_go(self, key: str) -> None:
        with self._changed:
            self._keys.discard(key)
            self._changed.notify_all()
