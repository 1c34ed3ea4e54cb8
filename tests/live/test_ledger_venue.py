"""Orders over real HTTP to a venue in another process, which hangs, drops, lies and is killed: each is executed at most once, and what is
reported is what the venue's own ledger says."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, OutcomeUnknown, VenueRejected, VenueUnreachable
from basis_strategy_v1.core.instructions import parse_instruction
from basis_strategy_v1.core.order import Approved, Order
from basis_strategy_v1.core.state import ExchangeAccount, State
from basis_strategy_v1.execution.recovery import Recovery
from basis_strategy_v1.execution.sender import SendSettings
from basis_strategy_v1.execution.senders import Senders
from basis_strategy_v1.execution.timing import Timing, within

from ..execution.memory_live_journal import Held, MemoryLiveJournal
from ..ledger import FEE, OPENING, PRICES
from ..ledger_gateway import LedgerGateway, client_id_of
from ..venue_process import VenueProcess

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
TIMEOUT_S = 0.2


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with VenueProcess(tmp_path_factory.mktemp("venue") / "venue.jsonl") as process:
        yield process


@pytest.fixture
def venue(running, tmp_path):
    running.begin(tmp_path / "venue.jsonl")
    return running


@pytest.fixture
def live(venue):
    return Live(venue)


class Live:
    """A sender to the venue. Who waits between two look-ups moves the venue's clock on instead."""

    def __init__(self, venue):
        self.venue = venue
        self.slept_s = 0.0
        self.journal = MemoryLiveJournal()
        self.holdings = Held(State({"binance": ExchangeAccount(dict(OPENING))}))
        self.start()

    def start(self):
        timing = Timing(self._sleep, lambda: time.monotonic() + self.slept_s, within)
        settings = SendSettings(timeout_s=TIMEOUT_S)
        self.senders = Senders([LedgerGateway(self.venue.url)], self.journal, self.holdings, settings, timing=timing)
        self.recovery = Recovery(self.senders, timing)

    def _sleep(self, seconds):
        self.slept_s += seconds
        self.venue.control(advance_s=seconds)

    def ended(self, sent):
        """What became of an order: its report and None, or None and its error."""
        try:
            return self.senders.send(sent).report, None
        except ComponentError as error:
            return None, error

    @property
    def held(self):
        return self.holdings.state.parts["binance"].balances

    def status(self, key="k1"):
        return str(self.journal.entry(key).status)


def buy(key="k1", amount="0.5", **fields):
    block = {
        "instruction_type": "cex_trade",
        "venue": "binance",
        "trade_type": "spot",
        "side": "buy",
        "symbol": "ETHUSDT",
        "amount": amount,
    }
    notional = Decimal(amount) * PRICES["ETHUSDT"]
    expected = Deltas.at("binance", {"ETH": Decimal(amount), "USDT": -notional * (1 + FEE)})
    order = Order(key=key, at=NOON, venue="binance", instruction=parse_instruction(block), expected=expected, **fields)
    return Approved(order=order, notional_usd=notional)


# Twelve faults, and more: (how often it was executed, the row, the error, the code).

SETTLED, NEVER = (1, "settled", None, None), (0, "never happened", VenueUnreachable, "CEX-002")
UNREADABLE = (1, "sent", ComponentError, "EIM-003")
FAULTS = {
    "nothing is wrong": ([], SETTLED),
    "it drops the connection before it reads": ([{"fault": "drop_unread"}], NEVER),
    "it drops the connection before it executes": ([{"fault": "drop"}], NEVER),
    "it executes and drops the answer": ([{"fault": "drop_after"}], SETTLED),
    "it hangs and does not execute": ([{"fault": "hang"}], NEVER),
    "it executes and hangs": ([{"fault": "hang_after"}], SETTLED),
    "it answers 503 and does not execute": ([{"fault": "503"}], NEVER),
    "it executes and answers 503": ([{"fault": "503_after"}], SETTLED),
    "it executes and answers with a page": ([{"fault": "html_after"}], UNREADABLE),
    "it executes and answers nothing": ([{"fault": "empty_after"}], UNREADABLE),
    "it executes and answers nonsense": ([{"fault": "garbage_after"}], UNREADABLE),
    "it executes and answers half": ([{"fault": "half_after"}], SETTLED),
    "it executes and trickles its answer": ([{"fault": "trickle_after"}], SETTLED),
    "it refuses": ([{"fault": "refuse"}], (0, "rejected", VenueRejected, "CEX-001")),
    "it fills a part": ([{"fault": "partial", "share": "0.25"}], SETTLED),
    "its look-up hangs": ([{"fault": "drop_after"}, {"on": "find", "fault": "hang"}], SETTLED),
    "its look-up is overloaded": ([{"fault": "drop_after"}, {"on": "find", "fault": "503"}], SETTLED),
    "its look-up answers with a page": ([{"fault": "drop_after"}, {"on": "find", "fault": "html_after"}], UNREADABLE),
    "its look-ups lag": ([{"fault": "drop_after"}, {"lag": 6}], SETTLED),
    "its look-ups lag behind an order's end": ([{"fault": "drop_after"}, {"advance_s": 60}, {"lag": 6}], SETTLED),
    "it gives no quote": ([{"on": "quote", "fault": "hang"}] * 3, NEVER),
    "it gives a quote at the third time": ([{"on": "quote", "fault": "503"}] * 2, SETTLED),
    "it gives nonsense for a quote": ([{"on": "quote", "fault": "html_after"}] * 3, NEVER),
    "it cannot be read afterwards": ([{"on": "read", "fault": "hang"}], SETTLED),
    "it reads as nonsense afterwards": ([{"on": "read", "fault": "garbage_after"}], SETTLED),
}


@pytest.mark.parametrize(("faults", "outcome"), FAULTS.values(), ids=FAULTS)
def test_an_order_is_executed_at_most_once_and_reported_as_the_ledger_has_it_when(live, venue, faults, outcome):
    executions, status, error_class, code = outcome
    for fault in faults:
        venue.control(**({"on": "order"} if "fault" in fault else {}) | fault)
    report, error = live.ended(buy())
    assert (type(error), getattr(error, "error_code", None)) == (error_class or type(None), code)
    assert (venue.executed(), live.status()) == ([client_id_of("k1")] * executions, status)
    moved = venue.moved() if status == "settled" else {}
    assert report is None or report.deltas == Deltas.at("binance", moved)
    assert live.held == {token: OPENING[token] + moved.get(token, 0) for token in OPENING}
    if status == "sent":
        closed = live.recovery.until_closed().closed
        assert ([str(found.concluded.status) for found in closed], live.held) == (["settled"], venue.balances())
    if status == "never happened":
        report, _ = live.ended(buy())
        assert (report.deltas, venue.executed(), live.held) == (Deltas.at("binance", venue.moved()), [client_id_of("k1")], venue.balances())


def test_an_abandoned_order_does_not_fill_after_the_next_one_was_sent(live, venue):
    """Defect `timing.py:46`: the call's socket is closed at its deadline, and what the venue has by then expires there."""
    venue.control(on="order", fault="held")
    report, error = live.ended(buy("k1"))
    assert (report, type(error), live.status("k1")) == (None, VenueUnreachable, "never happened")
    report, _ = live.ended(buy("k2"))
    venue.control(release=True)
    assert [line["reason"] for line in venue.wait_for("refused")] == ["it has expired"]
    assert (venue.executed(), report.deltas, live.held) == ([client_id_of("k2")], Deltas.at("binance", venue.moved()), venue.balances())


def test_an_order_in_the_book_settles_when_the_venue_executes_it(live, venue):
    venue.control(on="order", fault="held_open")
    executes = iter([{"share": "0.25", "final": False}, {"share": "0.75", "final": False}, {"share": "1"}])

    def executes_a_part(seconds):
        live.slept_s += seconds
        venue.control(fill=client_id_of("k1"), **next(executes))

    live._sleep = executes_a_part
    live.start()
    report, _ = live.ended(buy())
    parts = [part.filled for part in live.journal.entry("k1").reports]
    assert (parts, report.filled) == ([Decimal("0.25"), Decimal("0.75"), 1], 1)
    assert (report.deltas, live.held) == (Deltas.at("binance", venue.moved()), venue.balances())


def test_an_order_that_stays_in_the_book_is_unknown_after_its_deadline_and_closes_once_it_is_executed(live, venue):
    venue.control(on="order", fault="held_open")
    _, error = live.ended(buy())
    assert (type(error), live.status(), venue.executed()) == (OutcomeUnknown, "sent", [])
    assert error.message.startswith("binance has it pending: it is in the book; k1 has not settled within 30 s")
    assert f"look for {client_id_of('k1')} at binance" in error.message
    venue.control(fill=client_id_of("k1"))
    assert [str(found.concluded.status) for found in live.recovery.until_closed().closed] == ["settled"]
    assert (live.held, live.senders.check_health()["status"]) == (venue.balances(), "healthy")


def test_the_worst_price_is_part_of_what_is_sent(live, venue):
    """Defect `limits.py:32`: a fill 10 % off passed `max_slippage_bps: 5`."""
    report, _ = live.ended(buy(worst_price=Decimal(3000)))
    assert (report.filled, report.deltas, venue.executed(), live.status()) == (0, Deltas(), [], "settled")


def test_what_the_gateway_refuses_to_prepare_does_not_reach_the_venue(live, venue):
    _, error = live.ended(buy(amount="0.001"))
    assert (type(error), error.message) == (VenueRejected, "binance takes no order below 5 USDT, got 3.3")
    assert (venue.executed(), venue.lines("accepted"), live.status()) == ([], [], "rejected")


def test_a_venue_that_is_dead_was_sent_nothing_and_its_breaker_opens(live, venue):
    venue.kill()
    live._sleep = lambda seconds: None
    live.start()
    errors = [live.ended(buy(f"k{index}"))[1] for index in range(4)]
    assert [error.error_code for error in errors] == ["CEX-002"] * 3 + ["EIM-002"]
    assert errors[0].message == "binance gives no answer; nothing was sent in 3 attempts"
    venue.start()
    live.start()
    assert live.ended(buy("k0"))[0].deltas == Deltas.at("binance", venue.moved())


def test_a_venue_that_dies_after_it_executed_is_looked_up_when_it_is_back(live, venue):
    venue.control(on="order", fault="drop_after")
    venue.control(on="find", fault="hang")
    back = iter([False, True])

    def comes_back(seconds):
        live.slept_s += seconds
        if next(back):
            venue.start()
        else:
            venue.kill()

    live._sleep = comes_back
    live.start()
    report, _ = live.ended(buy())
    assert (report.deltas, venue.executed(), live.held) == (Deltas.at("binance", venue.moved()), [client_id_of("k1")], venue.balances())


def test_a_fill_that_a_person_found_is_read_under_the_venues_reference(live, venue):
    venue.control(on="order", fault="held_open")
    live.ended(buy())
    venue.control(fill=client_id_of("k1"))
    (accepted,) = venue.lines("accepted")
    live.journal.resolve("k1", accepted["order_id"], at=NOON, by="ann")
    assert [found.concluded.sent.report.reference for found in live.recovery.once().closed] == [accepted["order_id"]]
    assert live.held == venue.balances()


def test_what_falls_due_comes_with_the_venues_id_and_the_next_cursor(venue):
    gateway = LedgerGateway(venue.url)
    venue.control(pay="funding", moved={"USDT": "-1.5"})
    venue.control(pay="funding", moved={"USDT": "2"})
    first, cursor = gateway.due(None)
    venue.control(pay="arrival", moved={"ETH": "1"})
    second, _ = gateway.due(cursor)
    assert [(item.id, item.kind, item.deltas) for item in (*first, *second)] == [
        ("d1", "funding", Deltas.at("binance", {"USDT": Decimal("-1.5")})),
        ("d2", "funding", Deltas.at("binance", {"USDT": Decimal(2)})),
        ("d3", "arrival", Deltas.at("binance", {"ETH": Decimal(1)})),
    ]


def test_an_order_that_is_sent_twice_is_in_the_ledger_twice(venue):
    """Otherwise none of these tests could fail."""
    gateway = LedgerGateway(venue.url)
    message = gateway.prepare(buy(), None, gateway.quote(buy().order), None)
    gateway.send(message)
    gateway.send(message)
    assert venue.executed() == [client_id_of("k1")] * 2
