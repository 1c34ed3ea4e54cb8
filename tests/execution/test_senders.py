"""Several venues of one manager: who waits for whom, who shares a breaker, and which key belongs to whom."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from basis_strategy_v1.core.error_codes.exceptions import ComponentError, OutcomeUnknown, VenueRejected, VenueUnreachable
from basis_strategy_v1.core.gateway import Message
from basis_strategy_v1.execution.sender import SendSettings
from basis_strategy_v1.execution.senders import Senders
from basis_strategy_v1.execution.timing import REAL_TIME

from .memory_live_journal import Held, MemoryLiveJournal
from .scripted_gateway import Lost, ScriptedGateway, StillTime
from .sending import BUY, FILL, PENDING, REFUSED, REJECTED, UNCHECKED, Bench, approved, changed_venue, order, report

PATIENCE_S = 5
BYBIT = changed_venue(FILL, "bybit")


def at_bybit(key="k1"):
    return approved(key, venue="bybit", instruction=changed_venue(BUY, "bybit"), expected=BYBIT.deltas)


def many(*gateways, timing=REAL_TIME, **settings):
    return Senders(gateways, MemoryLiveJournal(), Held(UNCHECKED), SendSettings(**settings), timing=timing)


class Slow(ScriptedGateway):
    """Its calls wait until they are let go."""

    def __init__(self, name, connection, *sends, finds=None):
        super().__init__(StillTime(), sends, finds, name=name, connection=connection)
        self.is_called, self.go_on = Event(), Event()

    def send(self, message):
        self.is_called.set()
        self.go_on.wait(PATIENCE_S)
        return super().send(message)


# A lock for each connection.


def test_a_venue_that_is_slow_does_not_hold_up_another():
    """attack.md, row 10, and the defect `execution_interface_manager.py:106`."""
    slow = Slow("binance", "api.binance.com", FILL)
    senders = many(slow, ScriptedGateway(StillTime(), [BYBIT], name="bybit", connection="api.bybit.com"))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(senders.send, approved("k1"))
        assert slow.is_called.wait(PATIENCE_S)
        assert senders.send(at_bybit("k2")).report.key == "k2"
        assert (waiting.done(), senders.check_health()["status"]) == (False, "healthy")
        slow.go_on.set()
        assert waiting.result(PATIENCE_S).report == report()


def test_orders_of_one_connection_are_sent_one_after_another():
    slow = Slow("wallet", "http://node", FILL)
    other = ScriptedGateway(StillTime(), [BYBIT], name="bybit", connection="http://node")
    senders = many(slow, other)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(senders.send, approved("k1", venue="wallet"))
        assert slow.is_called.wait(PATIENCE_S)
        second = pool.submit(senders.send, at_bybit("k2"))
        assert (other.calls, second.done()) == ([], False)
        slow.go_on.set()
        assert [first.result(PATIENCE_S).report.key, second.result(PATIENCE_S).report.key] == ["k1", "k2"]


def test_an_order_that_is_pending_does_not_hold_up_the_next_one_of_its_connection():
    is_pending, go_on = Event(), Event()

    def waits(seconds):
        is_pending.set()
        go_on.wait(PATIENCE_S)

    gateway = ScriptedGateway(StillTime(), [PENDING, FILL], [FILL])
    senders = many(gateway, timing=REAL_TIME._replace(sleep=waits))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(senders.send, approved("k1"))
        assert is_pending.wait(PATIENCE_S)
        assert senders.send(approved("k2")).report == report("k2")
        go_on.set()
        assert first.result(PATIENCE_S).report.details["looked_up"]


def test_two_threads_with_one_id_send_it_once():
    slow = Slow("binance", "api.binance.com", FILL)
    senders = many(slow)
    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(senders.send, approved()) for _ in range(2)]
        assert slow.is_called.wait(PATIENCE_S)
        slow.go_on.set()
        assert sorted(sent.result(PATIENCE_S).report.replayed for sent in both) == [False, True]
    assert slow.executed == ["k1"]


# A breaker for each connection.


def fail(senders, sent):
    with pytest.raises(ComponentError) as raised:
        senders.send(sent)
    return raised.value


def test_a_dead_node_makes_all_its_venues_unavailable_together():
    time = StillTime()
    wallets = [ScriptedGateway(time, [REFUSED] * 9, name=name, connection="http://node") for name in ("wallet", "wallet_2")]
    senders = many(*wallets, ScriptedGateway(time, [FILL]), timing=time.timing)
    for key, venue in (("k1", "wallet"), ("k2", "wallet_2"), ("k3", "wallet")):
        assert type(fail(senders, approved(key, venue=venue))) is VenueUnreachable
    error = fail(senders, approved("k4", venue="wallet_2"))
    last = "the last failure: binance refused the connection; nothing was sent in 3 attempts"
    assert error.error_code == "EIM-002"
    assert error.message == f"http://node is unavailable after 3 failures in a row, to be tried again in 60.0 s; not sent ({last})"
    assert ([len(wallet.calls) for wallet in wallets], senders.journal.entry("k4")) == ([10, 5], None)
    assert senders.send(approved("k5")).report == report("k5")


def test_after_a_minute_one_order_is_let_through_and_its_answer_opens_the_way():
    bench = Bench(*[REFUSED] * 9, FILL, FILL)
    for key in ("k1", "k2", "k3"):
        bench.fails(VenueUnreachable, order(key))
    bench.time.now_s += 60
    assert [bench.send(order(key)).report for key in ("k4", "k5")] == [report("k4"), report("k5")]


def test_an_answer_to_the_look_up_of_a_lost_order_is_an_answer():
    bench = Bench(*[Lost(FILL)] * 4)
    assert [bench.send(order(f"k{index}")).report.key for index in range(4)] == ["k0", "k1", "k2", "k3"]


def test_an_order_that_stays_pending_beyond_its_deadline_says_nothing_against_the_connection():
    bench = Bench(*[PENDING] * 4, FILL, finds=[PENDING] * 999)
    for index in range(4):
        bench.fails(OutcomeUnknown, order(f"k{index}"))
    assert bench.send(order("k9")).report == report("k9")


def test_orders_that_nobody_answers_make_a_connection_unavailable_and_a_look_up_that_is_answered_opens_it():
    bench = Bench(*[REFUSED] * 9, FILL, finds=[PENDING], attempts=3)
    for index in range(3):
        bench.fails(VenueUnreachable, order(f"k{index}"))
    bench.journal.intended(order("old"))
    bench.journal.sent("old", lambda _: Message(client_id="old", body="{}"))
    entry = bench.journal.entry("old")
    assert bench.senders.of("binance").look_up(entry).is_answered
    assert bench.send(order("k9")).report == report("k9")


def test_a_disk_that_is_full_says_nothing_about_the_connection():
    bench = Bench(REFUSED, REFUSED, FILL, attempts=1, failures=3)
    for index in range(2):
        bench.fails(VenueUnreachable, order(f"k{index}"))
    bench.journal.fails["intended"] = ComponentError("LOG-001", "the disk is full")
    bench.fails(ComponentError, order("k3"))
    bench.gateway._sends.insert(0, REFUSED)
    bench.fails(VenueUnreachable, order("k4"))
    assert bench.fails(ComponentError, order("k5")).error_code == "EIM-002"


# One id, one venue.


def test_an_id_that_is_open_at_one_venue_is_not_sent_at_another():
    """attack.md, row 10a: it was sent there too."""
    time = StillTime()
    binance = ScriptedGateway(time, [PENDING], [PENDING] * 99 + [FILL])
    bybit = ScriptedGateway(time, [BYBIT], name="bybit", connection="api.bybit.com")
    senders = many(binance, bybit, timing=time.timing, settle_deadline_s={"exchange": 1.0})
    assert type(fail(senders, approved())) is OutcomeUnknown
    error = fail(senders, at_bybit())
    said = "k1 is open at binance and is not sent to bybit: wait until it is known what became of it, or choose another instruction_id"
    assert (error.error_code, error.message, bybit.calls) == ("EIM-001", said, [])


def test_what_was_refused_at_one_venue_may_be_sent_at_another():
    bench = Bench(REJECTED)
    bybit = ScriptedGateway(bench.time, [BYBIT], name="bybit", connection="api.bybit.com")
    bench.senders = bench.make([bench.gateway, bybit])
    bench.fails(VenueRejected)
    assert (bench.send(at_bybit().order).report.venue, bench.journal.entry("k1").venue) == ("bybit", "bybit")


def test_a_venue_without_a_gateway_is_named_with_those_there_are():
    error = Bench().fails(ComponentError, order(venue="okx"))
    assert (error.error_code, error.message) == ("EIM-002", "okx has no live gateway; there are binance: add it to the config")
    with pytest.raises(ComponentError, match="there are none"):
        many().of("okx")


def test_the_machines_clock_says_what_has_expired_where_no_other_is_given():
    senders = many(ScriptedGateway(StillTime(), [REFUSED] * 3, expires=1))
    assert fail(senders, approved()).message.endswith("nothing was sent in 1 attempt")
