"""Recovery: looks up what an earlier run, or an unanswered order, left open, until its outcome is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from basis_strategy_v1.core.instructions import is_internal_move
from basis_strategy_v1.core.journal import Entry, Status
from basis_strategy_v1.execution.order_in_hand import Concluded, NotConcluded
from basis_strategy_v1.execution.sender import LEAST_PAUSE_S, MOST_PAUSE_S
from basis_strategy_v1.execution.timing import REAL_TIME

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from basis_strategy_v1.execution.senders import Senders
    from basis_strategy_v1.execution.timing import Timing

WITH_REPORT = (Status.SETTLED, Status.FAILED)


class Closed(Struct, frozen=True):
    """An entry that was open, and how it ended. Journal and account hold the outcome; its events are not logged yet."""

    entry: Entry
    concluded: Concluded


class StillOpen(Struct, frozen=True):
    """An entry whose outcome is not known. `reason` says what to inspect, and how to go on; `is_overdue`: its deadline has passed."""

    entry: Entry
    reason: str
    is_overdue: bool


class Recovered(Struct, frozen=True):
    """What a recovery closed, and what it could not."""

    closed: tuple[Closed, ...]
    open: tuple[StillOpen, ...]


class Recovery:
    """Looks up the open entries of one journal. What a sender is just working on is left to it. Nothing is sent."""

    def __init__(self, senders: Senders, timing: Timing = REAL_TIME) -> None:
        self._senders = senders
        self._journal = senders.journal
        self._timing = timing
        self._since: dict[str, float] = {}  # when an open entry was first looked up (monotonic)

    def once(self) -> Recovered:
        """Look every open entry up once; for a timer. A connection that gives no answer is left alone for this time."""
        closed: list[Closed] = []
        still: list[StillOpen] = []
        silent: dict[str, str] = {}  # connection -> why
        for known in self._journal.open_entries():
            with self._senders.keys.held_if_free(known.key) as is_free:
                entry = self._journal.entry(known.key) if is_free else None
                if entry is None or not entry.is_open or self._waits_for_its_steps(entry):
                    continue
                found = self._looked_up(entry, silent)
            if isinstance(found, Closed):
                closed.append(found)
                self._since.pop(entry.key, None)
            else:
                still.append(found)
        return Recovered(tuple(closed), tuple(still))

    def until_closed(self, patience_s: float | None = None) -> Recovered:
        """Look up until every entry is closed, or open beyond its deadline, at most for about `patience_s`; for the start."""
        closed: list[Closed] = []
        pause_s, waited_s, began_s = LEAST_PAUSE_S, 0.0, self._timing.monotonic()
        while True:
            found = self.once()
            closed += found.closed
            is_patient = patience_s is None or waited_s < patience_s
            if not is_patient or all(entry.is_overdue for entry in found.open):
                return Recovered(tuple(closed), found.open)
            self._timing.sleep(pause_s)
            waited_s = max(waited_s + pause_s, self._timing.monotonic() - began_s)
            pause_s = min(pause_s * 2, MOST_PAUSE_S)

    def unlogged(self, keys_in_log: Callable[[Collection[str]], Collection[str]]) -> tuple[list[Entry], list[Entry]]:
        """The closed entries that the journal does not know as logged, oldest first: those whose reports are missing in the event log, and
        the others. The caller logs the missing ones, and says so of all to the journal.

        `keys_in_log` gives which of some keys have an event with their final report there, of their own or as a step of a sequence. Entries
        without a report changed nothing, and are taken as logged; so are moves within an account. The event of a sequence counts as one of
        each of its steps: those that are in none are given, the whole never is.
        """
        entries = self._journal.unlogged_entries()
        with_report = [entry for entry in entries if entry.status in WITH_REPORT and not is_internal_move(entry.instruction)]
        there = set(keys_in_log({entry.key for entry in with_report})) if with_report else set()
        missing = [entry for entry in with_report if entry.key not in there and not self._steps_of(entry)]
        return missing, [entry for entry in entries if entry not in missing]

    def _waits_for_its_steps(self, entry: Entry) -> bool:
        """Whether it only stands for its steps, which have entries of their own, and may still get more of them: under an id, by its plan,
        or while one of them is open."""
        steps = self._steps_of(entry) if entry.status is Status.INTENDED else []
        if not steps:
            return False
        in_hand = self._journal.plan_in_hand()
        is_in_hand = in_hand is not None and in_hand[0] == entry.plan
        return is_in_hand or _asked_with_id(entry) or any(step.is_open for step in steps)

    def _steps_of(self, entry: Entry) -> list[Entry]:
        """Its children, without the moves within an account that came before it."""
        return [child for child in self._journal.children(entry.key) if not is_internal_move(child.instruction)]

    def _looked_up(self, entry: Entry, silent: dict[str, str]) -> Closed | StillOpen:
        if entry.status is Status.INTENDED:
            if self._steps_of(entry):
                self._journal.close(entry.key, Status.REJECTED, None, None, "one of its steps failed, and nothing goes on with the rest")
                return Closed(entry, Concluded(status=Status.REJECTED))
            return self._never_happened(entry, "it was not sent")
        sender = self._senders.by_venue.get(entry.venue)
        nonce = entry.messages[-1].nonce if _is_decided_never(entry) and entry.messages else None
        if entry.decision is not None and _is_decided_never(entry) and (nonce is None or sender is None):
            return self._never_happened(entry, f"{entry.decision.by} decided that it never happened")
        if sender is None:
            return self._still_open(entry, 0.0, "EIM-002", _without_gateway(entry))
        assert entry.order is not None, "what was sent live was an order"
        deadline_s, connection = sender.deadline_s(entry.order), sender.connection.name
        if connection in silent:
            lost = sender.lost(entry, silent[connection])
            return self._still_open(entry, deadline_s, lost.error_code, lost.message)
        found = sender.look_up(entry)
        if isinstance(found, NotConcluded):
            if not found.is_answered:
                silent[connection] = f"{connection} did not answer just before"
            reason = found.error.message if nonce is None else _still_valid(entry, nonce, found.error.message)
            return self._still_open(entry, deadline_s, found.error.error_code, reason)
        if found.status is None:
            lost = sender.lost(entry, f"what {entry.venue} answers cannot be read")
            return self._still_open(entry, deadline_s, lost.error_code, lost.message)
        return Closed(entry, found)

    def _never_happened(self, entry: Entry, reason: str) -> Closed:
        self._journal.close(entry.key, Status.NEVER_HAPPENED, None, None, reason)
        self._senders.health.is_well(entry.key)
        return Closed(entry, Concluded(status=Status.NEVER_HAPPENED))

    def _still_open(self, entry: Entry, deadline_s: float, error_code: str, reason: str) -> StillOpen:
        now_s = self._timing.monotonic()
        is_overdue = now_s - self._since.setdefault(entry.key, now_s) >= deadline_s
        if is_overdue:
            self._senders.health.trouble(entry.key, error_code, reason, is_critical=True)
        return StillOpen(entry, reason, is_overdue)


def _asked_with_id(entry: Entry) -> bool:
    return entry.instruction.instruction_id is not None


def _is_decided_never(entry: Entry) -> bool:
    return entry.decision is not None and entry.decision.reference is None


def _still_valid(entry: Entry, nonce: int, why: str) -> str:
    """What is said where a person decided that a transaction never happened that still can."""
    return (
        f"{entry.key} is not closed as never happened, because its transaction stays valid until nonce {nonce} is used: send another "
        f"transaction of the account with nonce {nonce} (0 ETH to itself, at a higher fee), and start again once a block has it; {why}"
    )


def _without_gateway(entry: Entry) -> str:
    key = entry.key
    return (
        f"{entry.venue} has no gateway any more, so that nobody says what became of {key}: add it to the config again, or look there and "
        f"run `basis resolve {key} --happened REFERENCE` or `basis resolve {key} --never`"
    )
