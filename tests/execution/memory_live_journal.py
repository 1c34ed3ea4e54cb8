"""A live journal in memory, and what is held next to it: for tests of what is written when, not of what survives."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec import structs

from basis_strategy_v1.core.journal import Decision, Entry, Status
from basis_strategy_v1.core.state_change import apply_changes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from basis_strategy_v1.core.execution_report import ExecutionReport
    from basis_strategy_v1.core.gateway import Message
    from basis_strategy_v1.core.order import Order
    from basis_strategy_v1.core.state import State

HAD_EFFECT = (Status.SETTLED,)


class MemoryLiveJournal:
    """The part of LiveJournal that sending and recovery use. `calls` are its writes in their order; `fails` the name of one that raises."""

    run = "run"

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self.calls: list[str] = []
        self.spent_usd: dict[str, Decimal] = {}
        self.fails: dict[str, BaseException] = {}
        self.saved: State | None = None
        self.in_hand: int | None = None

    def entry(self, key: str) -> Entry | None:
        return self.entries.get(key)

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
        before = self.entries.get(order.key)
        assert before is None or not (before.is_open or before.status in HAD_EFFECT)
        self.spent_usd[order.key] = notional_usd
        messages = before.messages if before is not None else ()
        self.entries[order.key] = Entry(
            key=order.key,
            venue=order.venue,
            instruction=order.instruction,
            status=Status.INTENDED,
            order=order,
            plan=plan,
            step=step,
            parent=parent,
            messages=messages,
        )

    def sent(self, key: str, build: Callable[[int | None], Message], *, takes_nonce: bool = False, first_nonce: int = 0) -> Message:
        message = build(first_nonce if takes_nonce else None)
        self._write("sent", key)
        self._change(key, status=Status.SENT, messages=(*self.entries[key].messages, message))
        return message

    def add_report(self, key: str, report: ExecutionReport) -> None:
        self._write("add_report", key)
        self._change(key, reports=(*self.entries[key].reports, report))

    def note(self, key: str, reason: str) -> None:
        self._write("note", key)
        assert self.entries[key].is_open
        self._change(key, reason=reason)

    def close(self, key: str, status: Status, report: ExecutionReport | None, state: State | None, reason: str = "") -> None:
        self._write("close", key)
        assert self.entries[key].is_open
        reports = self.entries[key].reports if report is None else (*self.entries[key].reports, report)
        self._change(key, status=status, reports=reports, reason=reason)
        self.saved = self.saved if state is None else state

    def resolve(self, key: str, reference: str | None, *, at: datetime, by: str) -> Entry:
        self._change(key, decision=Decision(reference=reference, at=at, by=by))
        return self.entries[key]

    def logged(self, key: str) -> None:
        self._change(key, is_logged=True)

    def _write(self, name: str, key: str) -> None:
        if name in self.fails:
            raise self.fails.pop(name)
        self.calls.append(f"{name} {key}")

    def _change(self, key: str, **fields: Any) -> None:
        self.entries[key] = structs.replace(self.entries[key], **fields)


class Held:
    """What is held, and taken over as an account does it."""

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
