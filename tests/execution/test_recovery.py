"""Open entries are looked up until they are closed; nothing is sent again, and nothing is logged twice."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace as changed

from basis_strategy_v1 import EventLogger
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.gateway import MalformedAnswer, Message
from basis_strategy_v1.core.journal import Status
from basis_strategy_v1.core.state import ExchangeAccount, State
from basis_strategy_v1.execution.recovery import Recovery
from basis_strategy_v1.monitoring.logged_keys import logged_keys

from .scripted_gateway import Hangs, ScriptedGateway
from .sending import (
    AFTER,
    BEFORE,
    BUY,
    FILL,
    HALF,
    NEVER,
    NOON,
    PENDING,
    REFUSED,
    REJECTED,
    UNKNOWN,
    Bench,
    changed_venue,
    lost,
    order,
    report,
)


class LeftOpen(Bench):
    """A bench whose journal has entries of an earlier run."""

    def __init__(self, *keys, **given):
        super().__init__(**given)
        for key in keys:
            self.left(key)
        self.recovery = Recovery(self.senders, self.time.timing)

    def left(self, key, venue="binance", *, is_sent=True, **place):
        self.journal.intended(order(key, venue=venue), **place)
        if is_sent:
            self.journal.sent(key, lambda _: Message(client_id=key, body="{}"))

    def statuses(self):
        return {key: str(entry.status) for key, entry in self.journal.entries.items()}


def ended(recovered):
    """What became of each: its status, or why it is open."""
    closed = {found.entry.key: str(found.concluded.status) for found in recovered.closed}
    return closed | {found.entry.key: found.reason for found in recovered.open}


def test_what_was_never_sent_is_closed_without_asking_anybody():
    bench = LeftOpen()
    bench.left("k1", is_sent=False)
    assert ended(bench.recovery.once()) == {"k1": "never happened"}
    assert (bench.row, bench.gateway.calls) == (("never happened", "it was not sent"), [])


def test_what_happened_is_closed_with_its_report_and_taken_over_by_the_account_in_one_write():
    bench = LeftOpen("k1", finds=[FILL], held=BEFORE, reads=[AFTER])
    (closed,) = bench.recovery.once().closed
    sent = closed.concluded.sent
    assert (sent.report, sent.changes) == (report(details={"price": "3300", "looked_up": True}), FILL.changes)
    assert (bench.journal.saved, bench.holdings.state.parts) == (bench.holdings.state, AFTER.parts)
    assert (bench.statuses(), bench.gateway.calls) == ({"k1": "settled"}, ["find k1", "read"])


@pytest.mark.parametrize(
    ("answer", "status"),
    [(NEVER, "never happened"), (REJECTED, "rejected"), (changed(FILL, deltas=Deltas(), filled=Decimal(0), failed=True), "failed")],
)
def test_every_last_answer_closes_an_entry(answer, status):
    bench = LeftOpen("k1", finds=[answer])
    (closed,) = bench.recovery.once().closed
    assert (str(closed.concluded.status), bench.statuses()) == (status, {"k1": status})
    assert isinstance(closed.concluded.error, ComponentError)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (PENDING, "binance has it pending: it is being matched"),
        (HALF, "binance has filled a part of it"),
        (REFUSED, "binance cannot be asked: binance refused the connection"),
        (UNKNOWN, "binance cannot be asked: the connection was lost after sending"),
        (Hangs(), "binance cannot be asked: binance did not answer within 15 s"),
        (ValueError("?"), "binance cannot be asked: binance did not answer: its gateway raised ValueError"),
        (MalformedAnswer("nonsense", {}), "what binance answers cannot be read"),
    ],
)
def test_any_other_answer_leaves_it_open_and_says_what_to_inspect_and_how(answer, why):
    bench = LeftOpen("k1", finds=[answer])
    (found,) = bench.recovery.once().open
    assert (found.reason, found.is_overdue, bench.statuses()) == (lost(why), False, {"k1": "sent"})


def test_a_part_that_has_filled_meanwhile_is_reported():
    bench = LeftOpen("k1", finds=[HALF])
    bench.recovery.once()
    assert [part.filled for part in bench.journal.entries["k1"].reports] == [Decimal("0.5")]


# At the start: until everything is closed, or beyond its deadline.


def test_at_the_start_it_looks_again_until_everything_is_closed():
    """Defect `router.py:83`: without an id an unknown outcome was never looked up again."""
    bench = LeftOpen("k1", "k2", finds=[PENDING, NEVER, REFUSED, PENDING, changed(FILL, reference="order 72")])
    assert ended(bench.recovery.until_closed()) == {"k2": "never happened", "k1": "settled"}
    assert bench.time.slept == pytest.approx([0.1, 0.2, 0.4])
    assert bench.health == ("healthy", [])


def test_what_is_open_beyond_its_deadline_ends_the_waiting_and_is_critical():
    bench = LeftOpen("k1", finds=[PENDING] * 99)
    (found,) = bench.recovery.until_closed().open
    assert (found.reason, found.is_overdue) == (lost("binance has it pending: it is being matched"), True)
    assert (bench.health, bench.statuses()) == (("unhealthy", [found.reason]), {"k1": "sent"})
    assert 30 <= sum(bench.time.slept) < 40


def test_a_start_that_has_waited_long_enough_leaves_the_rest_open_and_that_is_no_trouble_yet():
    bench = LeftOpen("k1", finds=[PENDING] * 99)
    (found,) = bench.recovery.until_closed(5).open
    assert (found.is_overdue, bench.health, bench.statuses()) == (False, ("healthy", []), {"k1": "sent"})
    assert 5 <= sum(bench.time.slept) < 10


def test_each_entry_has_the_deadline_of_its_own_kind():
    bench = LeftOpen("k1", finds=[PENDING] * 999)
    node = ScriptedGateway(bench.time, finds=[PENDING] * 999, name="wallet", kind="chain", connection="http://node")
    bench.senders = bench.make([bench.gateway, node])
    bench.left("k2", "wallet")
    recovery = Recovery(bench.senders, bench.time.timing)
    found = recovery.until_closed()
    assert ([entry.is_overdue for entry in found.open], 900 <= sum(bench.time.slept) < 920) == ([True, True], True)


def test_health_recovers_when_the_entry_is_closed():
    bench = LeftOpen("k1", finds=[PENDING] * 12 + [FILL], settle_deadline_s={"exchange": 1.0})
    assert bench.recovery.until_closed().open
    assert bench.health[0] == "unhealthy"
    while bench.recovery.once().open:
        pass
    assert bench.health == ("healthy", [])


def test_nothing_is_open_where_nothing_was():
    bench = LeftOpen()
    assert bench.recovery.until_closed() == bench.recovery.once()
    assert bench.time.slept == []


# A thousand entries, dead venues, other threads.


def test_a_connection_that_gives_no_answer_is_asked_once_a_round():
    bench = LeftOpen("k1", "k2", "k3", finds=[Hangs()])
    found = bench.recovery.once()
    said = ["binance cannot be asked: binance did not answer within 15 s", *["api.binance.com did not answer just before"] * 2]
    assert [entry.reason for entry in found.open] == [lost(why, key) for why, key in zip(said, ("k1", "k2", "k3"), strict=True)]
    assert bench.gateway.calls == ["find k1"]


def test_another_connection_is_asked_all_the_same():
    bench = LeftOpen("k1", finds=[Hangs()])
    bybit = ScriptedGateway(bench.time, finds=[changed_venue(FILL, "bybit")], name="bybit", connection="api.bybit.com")
    bench.senders = bench.make([bench.gateway, bybit])
    bench.journal.intended(changed(order("k2", venue="bybit"), instruction=changed_venue(order().instruction, "bybit")))
    bench.journal.sent("k2", lambda _: Message(client_id="k2", body="{}"))
    found = Recovery(bench.senders, bench.time.timing).once()
    assert ([one.entry.key for one in found.closed], [one.entry.key for one in found.open]) == (["k2"], ["k1"])


def test_an_entry_that_a_sender_is_working_on_is_left_to_it():
    bench = LeftOpen("k1")
    with bench.senders.keys.held("k1"):
        assert ended(bench.recovery.once()) == {}
    assert bench.gateway.calls == []


def test_an_entry_that_was_closed_meanwhile_is_not_closed_again():
    bench = LeftOpen("k1", "k2", finds=[FILL])
    find = bench.gateway.find

    def closes_the_other(message, reference=None):
        bench.journal.close("k2", Status.SETTLED, report("k2"), None)
        return find(message, reference)

    bench.gateway.find = closes_the_other
    assert ended(bench.recovery.once()) == {"k1": "settled"}


def test_an_entry_that_stands_for_its_steps_is_left_to_its_plan_and_closed_once_that_has_ended():
    """Closing note: a chain without an id whose second step failed stayed intended for ever."""
    bench = LeftOpen(finds=[FILL])
    bench.journal.in_hand = 3
    bench.left("k1", is_sent=False, plan=3)
    bench.left("k1/0", parent="k1")
    assert ended(bench.recovery.once()) == {"k1/0": "settled"}
    assert ended(bench.recovery.once()) == {}
    assert bench.statuses() == {"k1": "intended", "k1/0": "settled"}
    bench.journal.in_hand = 4
    assert ended(bench.recovery.once()) == {"k1": "rejected"}
    assert bench.statuses()["k1"] == "rejected"
    assert bench.journal.entries["k1"].reason == "one of its steps failed, and nothing goes on with the rest"


def test_an_entry_that_stands_for_its_steps_is_open_while_a_step_is():
    bench = LeftOpen(finds=[PENDING, PENDING, FILL])
    bench.left("k1", is_sent=False)
    bench.left("k1/0", parent="k1")
    for _ in range(2):
        assert list(ended(bench.recovery.once())) == ["k1/0"]
    assert ended(bench.recovery.once()) == {"k1/0": "settled"}
    assert ended(bench.recovery.once()) == {"k1": "rejected"}


def test_an_entry_that_stands_for_its_steps_under_an_id_may_be_asked_for_again():
    bench = LeftOpen()
    named = changed(BUY, instruction_id="k1")
    bench.journal.intended(order("k1", instruction=named))
    bench.left("k1/0", parent="k1")
    bench.journal.close("k1/0", Status.SETTLED, report("k1/0"), None)
    assert (ended(bench.recovery.once()), bench.statuses()["k1"]) == ({}, "intended")


def test_a_venue_that_is_not_configured_any_more_is_named_at_once():
    """A fault to try: the config changed between two starts with open entries."""
    bench = LeftOpen()
    bench.left("k1", "okx")
    (found,) = bench.recovery.until_closed().open
    said = "okx has no gateway any more, so that nobody says what became of k1: add it to the config again, or look there and run "
    assert found.reason == f"{said}`basis resolve k1 --happened REFERENCE` or `basis resolve k1 --never`"
    assert (found.is_overdue, bench.time.slept, bench.health) == (True, [], ("unhealthy", [found.reason]))


# A person's decision.


@pytest.mark.parametrize("venue", ["binance", "okx"])
def test_what_a_person_decided_never_to_have_happened_is_closed_without_asking(venue):
    bench = LeftOpen()
    bench.left("k1", venue)
    bench.journal.resolve("k1", None, at=NOON, by="ann")
    assert ended(bench.recovery.once()) == {"k1": "never happened"}
    assert (bench.row, bench.gateway.calls) == (("never happened", "ann decided that it never happened"), [])


def test_what_a_person_decided_to_have_happened_is_read_from_the_venue_under_its_reference():
    bench = LeftOpen("k1", finds=[FILL], held=BEFORE, reads=[AFTER])
    bench.journal.resolve("k1", "order 71", at=NOON, by="ann")
    assert ended(bench.recovery.once()) == {"k1": "settled"}
    assert (bench.gateway.calls, bench.holdings.state.parts) == (["find order 71", "read"], AFTER.parts)


@pytest.mark.parametrize("answer", [NEVER, REJECTED])
def test_a_decision_that_the_venue_contradicts_closes_nothing(answer):
    bench = LeftOpen("k1", finds=[answer])
    bench.journal.resolve("k1", "order 7", at=NOON, by="ann")
    assert ended(bench.recovery.once()) == {"k1": lost("binance has no execution order 7")}
    assert bench.statuses() == {"k1": "sent"}


# The event log.


def test_what_was_closed_and_not_logged_is_checked_against_the_log_by_its_key():
    bench = LeftOpen()
    for key, status, its_report in (
        ("k1", Status.SETTLED, report("k1")),
        ("k2", Status.SETTLED, report("k2")),
        ("k3", Status.FAILED, report("k3")),
        ("k4", Status.REJECTED, None),
        ("k5", Status.NEVER_HAPPENED, None),
    ):
        bench.left(key)
        bench.journal.close(key, status, its_report, None)
    asked = []
    missing, others = bench.recovery.unlogged(lambda keys: asked.append(keys) or {"k1"})
    assert ([entry.key for entry in missing], asked) == (["k2", "k3"], [{"k1", "k2", "k3"}])
    assert [entry.key for entry in others] == ["k1", "k4", "k5"]


def test_the_log_is_not_read_where_nothing_needs_it():
    assert LeftOpen().recovery.unlogged(lambda keys: pytest.fail("it was read")) == ([], [])


def test_the_log_says_which_executions_it_has(tmp_path):
    with EventLogger(tmp_path, "live") as log:
        for event_type, data in (
            ("execution", {"key": "k1", "details": {"price": "3300"}}),
            ("execution", {"key": "k2", "details": {"malformed": "nonsense", "raw": "?"}}),
            ("replayed", {"key": "k3"}),
            ("execution", {"key": "k4", "details": {}}),
            ("execution", {"key": "k6", "details": {"step_0": {}, "step_2": {}, "gas": 1}}),
            ("settlement", {"key": "f"}),
            ("settlement", {"kind": "funding"}),
        ):
            log.log_event(NOON, event_type, "ExecutionInterfaceManager", data)
    (path,) = (tmp_path / "events").glob("execution_interface_manager_events.jsonl")
    path.rename(path.with_name("execution_interface_manager_events.2024-05-31.jsonl"))
    with EventLogger(tmp_path, "live") as log:
        log.log_event(NOON, "execution", "ExecutionInterfaceManager", {"key": "k5", "details": {}})
    assert logged_keys(tmp_path, {"k1", "k2", "k3", "k5"}) == {"k1", "k5"}
    assert logged_keys(tmp_path, {"k5"}) == {"k5"}
    assert logged_keys(tmp_path, {"k6/0", "k6/1", "k6/2", "k6", "f"}) == {"k6/0", "k6/2", "k6", "f"}
    assert logged_keys(tmp_path / "elsewhere", {"k1"}) == set()


def test_a_state_that_is_read_at_the_recovery_is_compared_too():
    other = State({"binance": ExchangeAccount({"USDT": Decimal(1)})})
    bench = LeftOpen("k1", finds=[FILL], held=BEFORE, reads=[other])
    (closed,) = bench.recovery.once().closed
    assert closed.concluded.sent.breaks == ("binance shows 0 ETH, held are 1", "binance shows 1 USDT, held are 1698.5")


# What health says of what stays open.


def codes(bench):
    return [error["error_code"] for error in bench.senders.check_health()["errors"]]


@pytest.mark.parametrize("answer", [PENDING, Hangs(), MalformedAnswer("nonsense", {})])
def test_what_is_overdue_is_in_health_with_the_code_of_an_order_whose_outcome_is_unknown(answer):
    bench = LeftOpen("k1", "k2", finds=[answer] * 99, settle_deadline_s={"exchange": 1.0})
    assert bench.recovery.until_closed().open
    assert codes(bench) == ["CEX-003", "CEX-003"]


def test_an_entry_of_a_venue_without_gateway_is_in_health_with_that_code():
    bench = LeftOpen()
    bench.left("k1", "okx")
    bench.recovery.once()
    assert codes(bench) == ["EIM-002"]


def test_health_recovers_when_a_person_decides_that_it_never_happened():
    bench = LeftOpen()
    bench.left("k1", "okx")
    bench.recovery.once()
    assert bench.health[0] == "unhealthy"
    bench.journal.resolve("k1", None, at=NOON, by="ann")
    assert ended(bench.recovery.once()) == {"k1": "never happened"}
    assert bench.health == ("healthy", [])


def test_the_time_of_each_entry_runs_from_its_own_first_look():
    bench = LeftOpen("k1", finds=[PENDING] * 999)
    assert bench.recovery.until_closed().open[0].is_overdue
    bench.left("k2")
    assert [(found.entry.key, found.is_overdue) for found in bench.recovery.once().open] == [("k1", True), ("k2", False)]
