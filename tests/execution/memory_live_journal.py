"""A live journal in memory, and the state next to it: for tests of what is written when, not of what survives."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.state_change import apply_changes

from ..live.journal_model import Model

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from basis_strategy_v1.core.execution_report import ExecutionReport
    from basis_strategy_v1.core.gateway import Message
    from basis_strategy_v1.core.journal import Entry, Status
    from basis_strategy_v1.core.order import Order
    from basis_strategy_v1.core.state import State


class MemoryLiveJournal(Model):
    """The model of the journal, with what sending and recovery read of it. `calls` are its writes in their order; `fails` the name of one
    that raises; `in_hand` the number of the plan in hand."""

    run = "run"

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.fails: dict[str, BaseException] = {}
        self.in_hand: int | None = None

    @property
    def entries(self) -> dict[str, Entry]:
        return {row.entry.key: entry for row in self.rows if (entry := self.entry(row.entry.key)) is not None}

    @property
    def spent_usd(self) -> dict[str, Decimal]:
        return {row.entry.key: row.notional_usd for row in self.rows}

    @property
    def saved(self) -> State | None:
        return self.held

    def open_entries(self) -> list[Entry]:
        return [entry for entry in self.entries.values() if entry.is_open]

    def unlogged_entries(self) -> list[Entry]:
        return [entry for entry in self.entries.values() if not entry.is_open and not entry.is_logged]

    def children(self, key: str) -> list[Entry]:
        return [entry for entry in self.entries.values() if entry.parent == key]

    def plan_in_hand(self) -> tuple[int, None] | None:
        return None if self.in_hand is None else (self.in_hand, None)

    def intended(
        self,
        order: Order,
        *,
        notional_usd: Decimal = Decimal(0),
        plan: int | None = None,
        step: int | None = None,
        parent: str | None = None,
    ) -> None:
        self._write("intended", order.key)
        super().intended(order, notional_usd=notional_usd, plan=plan, step=step, parent=parent)

    def sent(self, key: str, build: Callable[[int | None], Message], *, takes_nonce: bool = False, first_nonce: int = 0) -> Message:
        def written(nonce: int | None) -> Message:
            message = build(nonce)
            self._write("sent", key)
            return message

        return super().sent(key, written, takes_nonce=takes_nonce, first_nonce=first_nonce)

    def add_report(self, key: str, report: ExecutionReport) -> None:
        self._write("add_report", key)
        super().add_report(key, report)

    def note(self, key: str, reason: str) -> None:
        self._write("note", key)
        super().note(key, reason)

    def close(self, key: str, status: Status, report: ExecutionReport | None, state: State | None, reason: str = "") -> None:
        self._write("close", key)
        super().close(key, status, report, state, reason)

    def _write(self, name: str, key: str) -> None:
        if name in self.fails:
            raise self.fails.pop(name)
        self.calls.append(f"{name} {key}")


class Held:
    """The state, and its changes taken over as an account does it."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.not_ours: dict[str, dict[str, Decimal]] = {}

    def commit(
        self,
        report: ExecutionReport,
        settled: Sequence[Mapping[str, Any]],
        changes: Mapping[str, Any],
        write: Callable[[State, State], None],
    ) -> None:
        before = self.state
        for items in settled:
            before = apply_changes(before, items)
        after = apply_changes(before, changes) if before.checked else before
        write(before, after)
        self.state = after
