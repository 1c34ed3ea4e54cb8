"""A message that does not get on is replaced by another of the same nonce: written down first, and only one of the two can happen."""

from __future__ import annotations

import pytest

from basis_strategy_v1.core.error_codes.exceptions import ComponentError, OutcomeUnknown, VenueUnreachable
from basis_strategy_v1.core.gateway import Message
from basis_strategy_v1.execution.recovery import Recovery

from .memory_live_journal import Held, MemoryLiveJournal
from .scripted_gateway import ScriptedGateway, StillTime
from .sending import FILL, NEVER, PENDING, REFUSED, REJECTED, UNCHECKED, UNKNOWN, Bench

RAISED = Message(client_id="k1 again", body="{}", nonce=7)


class Replacer(ScriptedGateway):
    """A scripted account; each look at what takes the place of a message gives the next of `others`, and none afterwards."""

    def __init__(self, *args, others=(), **options):
        super().__init__(*args, **options)
        self.others = list(others)

    def replacement(self, messages):
        self.calls.append(f"replacement of {' and '.join(message.client_id for message in messages)}")
        return self._done(self.others.pop(0)) if self.others else None


class Slow(Bench):
    def __init__(self, *sends, others, finds, **settings):
        self.time = StillTime()
        self.gateway = Replacer(self.time, sends, finds, others=others)
        self.journal = MemoryLiveJournal()
        self.holdings = Held(UNCHECKED)
        self.senders = self.make([self.gateway], **settings)

    @property
    def attempts(self):
        return [message.client_id for message in self.journal.entry("k1").messages]


def test_what_takes_its_place_is_written_down_and_sent_and_the_newest_is_looked_up_first():
    bench = Slow(PENDING, PENDING, others=[None, RAISED], finds=[PENDING, PENDING, FILL])
    assert bench.send().report.reference == "order 71"
    assert bench.attempts == ["k1", "k1 again"]
    assert bench.gateway.calls == [
        "quote k1", "prepare k1", "send k1",
        "find k1", "replacement of k1",
        "find k1", "replacement of k1", "send k1 again",
        "find k1 again",
    ]  # fmt: skip


def test_one_that_happens_though_the_other_took_its_place_is_the_outcome():
    bench = Slow(PENDING, PENDING, others=[RAISED], finds=[PENDING, NEVER, FILL])
    assert bench.send().report.reference == "order 71"
    assert bench.gateway.calls[-2:] == ["find k1 again", "find k1"]
    assert bench.row[0] == "settled"


def test_that_neither_happened_must_hold_for_both():
    bench = Slow(PENDING, PENDING, others=[RAISED], finds=[PENDING, NEVER, PENDING, NEVER, NEVER])
    bench.fails(VenueUnreachable)
    assert bench.row == ("never happened", NEVER.reason)


@pytest.mark.parametrize("fault", [REFUSED, REJECTED])
def test_one_that_cannot_be_sent_leaves_the_order_pending(fault):
    bench = Slow(PENDING, fault, others=[RAISED], finds=[PENDING, NEVER, FILL])
    assert bench.send().report.reference == "order 71"
    assert bench.attempts == ["k1", "k1 again"]


@pytest.mark.parametrize("fault", [REFUSED, REJECTED, UNKNOWN, "nonsense"])
def test_a_gateway_that_cannot_say_what_takes_its_place_is_asked_again(fault):
    bench = Slow(PENDING, others=[fault], finds=[PENDING, FILL])
    assert bench.send().report.reference == "order 71"
    assert bench.attempts == ["k1"]


def test_recovery_replaces_too_but_not_what_a_person_has_decided():
    bench = Slow(PENDING, PENDING, others=[RAISED], finds=[PENDING] * 20, settle_deadline_s={"exchange": 0, "chain": 0, "withdrawal": 0})
    bench.fails(OutcomeUnknown)
    recovery = Recovery(bench.senders, bench.time.timing)
    assert recovery.once().closed == ()
    assert bench.attempts == ["k1", "k1 again"]
    bench.journal.resolve("k1", "order 71", at=bench.time.now(), by="a person")
    bench.gateway.others.append(RAISED)
    recovery.once()
    assert bench.attempts == ["k1", "k1 again"]


def test_a_lost_answer_to_it_is_looked_up():
    bench = Slow(PENDING, UNKNOWN, others=[RAISED], finds=[PENDING, FILL])
    assert bench.send().report.reference == "order 71"
    assert isinstance(UNKNOWN, ComponentError)


def test_the_older_one_is_looked_up_where_the_newest_is_pending_and_decides_where_it_happened():
    bench = Slow(PENDING, PENDING, others=[RAISED], finds=[PENDING, PENDING, FILL])
    assert bench.send().report.reference == "order 71"
    assert bench.gateway.calls[-2:] == ["find k1 again", "find k1"]


def test_what_a_person_decided_never_to_have_happened_stays_open_until_its_nonce_is_used():
    at_once = {"exchange": 0, "chain": 0, "withdrawal": 0}
    bench = Slow(PENDING, PENDING, others=[RAISED], finds=[PENDING] * 20, settle_deadline_s=at_once)
    bench.fails(OutcomeUnknown)
    recovery = Recovery(bench.senders, bench.time.timing)
    recovery.once()
    bench.journal.resolve("k1", None, at=bench.time.now(), by="a person")
    (found,) = recovery.once().open
    said = "k1 is not closed as never happened, because its transaction stays valid until nonce 7 is used: send another transaction"
    assert found.reason.startswith(said)
    bench.gateway._finds[:] = [NEVER, NEVER]
    recovery.once()
    assert bench.row == ("never happened", NEVER.reason)
