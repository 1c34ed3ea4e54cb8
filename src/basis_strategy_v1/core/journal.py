"""The journal protocol: the outcome of each instruction, by its key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct, structs
from msgspec.json import Encoder

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.execution_report import ExecutionReport
from basis_strategy_v1.core.gateway import Due, Message
from basis_strategy_v1.core.instructions import Chain, Instruction

if TYPE_CHECKING:
    from basis_strategy_v1.core.order import Order, Plan
    from basis_strategy_v1.core.state import State

ZERO = Decimal(0)
STEP = "step_"  # and the number of a step of a sequence: where its details are within those of the whole
AUTOMATIC = "auto:"  # no instruction_id holds a colon
_encoded = Encoder().encode


class Status(StrEnum):
    """How far an instruction has come.

    `intended`: written before anything is sent. `sent`: perhaps with the venue. `settled`: executed, with its report. `rejected`: refused.
    `never happened`: not executed, and it can no longer be. `failed`: executed without effect; its costs are recorded.
    """

    INTENDED = "intended"
    SENT = "sent"
    SETTLED = "settled"
    REJECTED = "rejected"
    NEVER_HAPPENED = "never happened"
    FAILED = "failed"


OPEN = (Status.INTENDED, Status.SENT)


class GivenFee(Struct, frozen=True):
    """The fee of an execution of which the venue does not show it, as a person has found it. `amount` None: nobody knows it, and none is
    recorded."""

    amount: Decimal | None
    token: str = ""


class Decision(Struct, frozen=True, kw_only=True):
    """What a person has decided about an entry whose outcome could not be found out. Recovery closes the entry by it.

    `reference` is the venue's name of the execution that they have found there; None: it never happened. `by` is who decided. `fee` is
    taken where the venue shows none.
    """

    reference: str | None
    at: datetime
    by: str
    fee: GivenFee | None = None


class Entry(Struct, frozen=True, kw_only=True):
    """One instruction in the journal.

    `messages` are the attempts, oldest first, also those from before an entry began again; `reports` the numbered reports, each with the
    cumulative `filled`; `parent` the key of the instruction that this one is a step or an internal move of. `is_logged`: its events are in
    the event log.
    """

    key: str
    venue: str
    instruction: Instruction
    status: Status
    order: Order | None = None
    plan: int | None = None
    step: int | None = None
    parent: str | None = None
    messages: tuple[Message, ...] = ()
    reports: tuple[ExecutionReport, ...] = ()
    reason: str = ""
    is_logged: bool = False
    decision: Decision | None = None

    @property
    def is_open(self) -> bool:
        """Whether its outcome is not known yet."""
        return self.status in OPEN


class JournalMark(Struct, frozen=True, kw_only=True):
    """A place in a live journal: the highest numbers of its entries, dues and plans, and the entries that were open then."""

    entry: int = 0
    due: int = 0
    plan: int = 0
    open: tuple[int, ...] = ()


class StoredPlan(Struct, frozen=True, kw_only=True):
    """A plan of the journal. `settled` counts those of its blocks that were executed for it."""

    plan: Plan
    number: int
    has_ended: bool
    settled: int


class Journal(Protocol):
    """The one owner of "what became of key K". In a backtest it is a dict, live an SQLite file."""

    run: str
    """The run's identity, a part of every automatic key."""

    def entry(self, key: str) -> Entry | None:
        """The entry of a key, if there is one."""
        ...

    def children(self, key: str) -> list[Entry]:
        """The entries whose parent this is, in their order."""
        ...


class LiveJournal(Journal, Protocol):
    """What live execution writes down. Every method returns once its row is on the disk."""

    def open_entries(self) -> list[Entry]:
        """Every entry whose outcome is not known, oldest first."""
        ...

    def unlogged_entries(self) -> list[Entry]:
        """Every closed entry whose events are perhaps not in the event log, oldest first."""
        ...

    # Plans.

    def begin_plan(self, plan: Plan) -> int:
        """Store a plan whole, before its first step. Gives its number in the journal."""
        ...

    def plan_in_hand(self) -> tuple[int, Plan] | None:
        """The plan that was begun and has not ended, if there is one."""
        ...

    def plan_entries(self, number: int) -> list[Entry]:
        """The entries of a plan, oldest first: what a restart finds of it, whatever keys the present code would give."""
        ...

    def end_plan(self, number: int) -> None:
        """All steps of the plan are closed, or will not be sent."""
        ...

    def newest_plan(self) -> Plan | None:
        """The plan that was stored last, if there is one."""
        ...

    def memory(self) -> str | None:
        """The strategy's memory of the newest plan, as text."""
        ...

    # What came after a mark: for the record of the run.

    def mark(self) -> JournalMark:
        """The place that the journal has reached."""
        ...

    def closed_after(self, mark: JournalMark) -> tuple[list[ExecutionReport], JournalMark]:
        """The last report of each entry that was closed after a mark with a report, and the mark of now. Of a sequence its steps are given,
        not the whole."""
        ...

    def dues_after(self, mark: JournalMark) -> list[Due]:
        """What was recorded as fallen due after a mark, oldest first."""
        ...

    def plans_after(self, mark: JournalMark) -> list[StoredPlan]:
        """The plans that were stored after a mark, oldest first."""
        ...

    # One instruction.

    def intended(
        self, order: Order, *, notional_usd: Decimal = ZERO, plan: int | None = None, step: int | None = None, parent: str | None = None
    ) -> None:
        """Write down what is about to be sent, and what it spends of the day's notional. An entry of this key that is closed without
        effect begins again."""
        ...

    def sent(self, key: str, build: Callable[[int | None], Message], *, takes_nonce: bool = False, first_nonce: int = 0) -> Message:
        """Write down a message before it leaves. `build` gets the account's next nonce where `takes_nonce`, else None.

        The nonce and the message are stored in one write; where `build` raises, neither is. The next nonce is the lowest one, from
        `first_nonce` on (the lowest that the chain still takes), that no message has which happened or still can. All attempts of one
        entry have the same, so that at most one of them can happen. `build` is called under the journal's lock.
        """
        ...

    def add_report(self, key: str, report: ExecutionReport) -> None:
        """A report of a part; more may follow."""
        ...

    def note(self, key: str, reason: str) -> None:
        """Keep with an open entry why it is open, for example the answer that cannot be read, as it came. It replaces the note before."""
        ...

    def close(self, key: str, status: Status, report: ExecutionReport | None, state: State | None, reason: str = "") -> None:
        """The outcome, with its last report and the account's state after it, in one write."""
        ...

    def logged(self, key: str) -> None:
        """The events of this key and of its steps, as far as they are closed, are in the event log. Rides on the next write."""
        ...

    def resolve(self, key: str, reference: str | None, *, at: datetime, by: str, fee: GivenFee | None = None) -> Entry:
        """Record a person's decision about an open entry: it happened, under the venue's reference, or never (None). The entry stays open
        until recovery closes it. `fee` is taken where the venue shows none.

        Raises:
            ComponentError: JRN-005, no entry of this key is open.
        """
        ...

    # The account.

    def state(self) -> State | None:
        """The account's state at the newest commit; None at the first start."""
        ...

    def begin_account(self, state: State, cursors: Mapping[str, str], not_ours: Mapping[str, Mapping[str, Decimal]] = ...) -> None:
        """Store the state that was read from the venues at the first start, from where on `due` of each is read, and what they hold beyond
        what belongs to the run (venue -> token -> amount), in one write."""
        ...

    def not_ours(self) -> dict[str, dict[str, Decimal]]:
        """What the venues held at the first start beyond what belongs to the run: venue -> token -> amount."""
        ...

    def spent_usd(self, day: str) -> Decimal:
        """The notional of what was intended on a day (`2024-06-01`, UTC) and was not refused, in USD."""
        ...

    def spent_within_usd(self, key: str) -> Decimal:
        """The notional of the steps of an instruction that were intended and not refused, in USD."""
        ...

    def spent_gas_eth(self, day: str) -> Decimal:
        """What the gas of a day's instructions has cost, in ETH."""
        ...

    def cursor(self, venue: str) -> str | None:
        """How far `due` of a venue account has been read."""
        ...

    def add_due(self, venue: str, items: Sequence[Due], cursor: str, state: Callable[[Sequence[Due]], State]) -> list[Due]:
        """Record what happened at a venue, each item once under the venue's id; gives those that are new (`new_due`).

        `state` gives the account's state after the new ones; items, cursor and state are stored in one write. It is called under the
        journal's lock, only where there are new ones: whoever holds the account's lock meanwhile has it already. Without new ones the
        cursor rides on the next write.
        """
        ...

    def new_due(self, venue: str, items: Sequence[Due]) -> list[Due]:
        """What of it `add_due` would record: each id once, not what is there already, and no fill of an order of the run whose row is open
        or has a report under the venue's name of the order."""
        ...

    def recorded_late(self, key: str, reference: str) -> list[Due]:
        """What was recorded of an instruction as something that happened late, under the venue's name of it, after a row of it had been
        closed as not executed."""
        ...

    def unlogged_due(self) -> list[tuple[str, Due]]:
        """(venue, item) of everything whose event is perhaps not in the event log, oldest first."""
        ...

    def due_logged(self, venue: str, ids: Iterable[str]) -> None:
        """The events of these items are in the event log. Rides on the next write."""
        ...


def automatic_key(run: str, instant: int, place: str, instruction: Instruction) -> str:
    """The key of an instruction without an id: its run, instant, place and a hash of its content.

    The same decision has the same key after a restart. `place` distinguishes what is equal at one instant.
    """
    return f"{AUTOMATIC}{run}{instant:x}.{place}.{instruction.content_hash}"


def child_key(key: str, step: int | str) -> str:
    """The key of a step of a sequence, or of an internal move: no instruction_id holds a slash."""
    return f"{key}/{step}"


def require_same_instruction(key: str, first: Instruction, now: Instruction) -> None:
    """Refuse an id that was used for another instruction.

    Raises:
        ComponentError: EIM-001, naming the first difference.
    """
    if first == now:
        return
    if type(first) is not type(now):
        what = f"it was a {type(first).__name__}, now it is a {type(now).__name__}"
    else:
        before, after = structs.asdict(first), structs.asdict(now)
        name = next(field for field in before if before[field] != after[field])
        what = f"{name} was {_shown(before[name])}, now it is {_shown(after[name])}"
    raise ComponentError("EIM-001", f"instruction_id {key!r} belongs to another instruction: {what}; choose another id")


def _shown(value: Any) -> str:
    return _encoded(value).decode()[:200]


class MemoryJournal:
    """The journal of a backtest. It keeps what somebody may ask for again: the instructions that have an id, and their steps."""

    def __init__(self, run: str = "") -> None:
        self.run = run
        self._entries: dict[str, Entry] = {}

    def entry(self, key: str) -> Entry | None:
        return self._entries.get(key)

    def children(self, key: str) -> list[Entry]:
        return [entry for entry in self._entries.values() if entry.parent == key]

    def settled(self, key: str, instruction: Instruction, report: ExecutionReport, parent: str | None = None) -> None:
        """Keep the report of what was executed under an id."""
        self._entries[key] = Entry(
            key=key, venue=report.venue, instruction=instruction, status=Status.SETTLED, parent=parent, reports=(report,), is_logged=True
        )

    def begun(self, key: str, sequence: Chain) -> None:
        """Keep a sequence of which some steps were executed: under its id only the rest of it is executed later."""
        self._entries[key] = Entry(key=key, venue=sequence.steps[0].protocol, instruction=sequence, status=Status.SENT)

    def clear(self) -> None:
        """Forget everything: the account begins again."""
        self._entries.clear()
