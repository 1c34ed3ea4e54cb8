"""One order at one venue that answers, refuses, cannot be reached, falls silent, takes its time or answers nonsense."""

from __future__ import annotations

import asyncio
import pickle
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace as changed

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, OutcomeUnknown, VenueRejected, VenueUnreachable
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.gateway import Due, Happened, MalformedAnswer, Message, NeverHappened, Pending
from basis_strategy_v1.core.instructions import parse_instruction
from basis_strategy_v1.core.journal import Status
from basis_strategy_v1.core.state import ExchangeAccount, State
from basis_strategy_v1.core.state_change import change_between

from .scripted_gateway import STARTED, Hangs, Lost
from .sending import (
    AFTER,
    BEFORE,
    CHANGES,
    EXPECTED,
    FILL,
    FILLED,
    HALF,
    NEVER,
    NOON,
    PENDING,
    REFUSED,
    REJECTED,
    UNKNOWN,
    Bench,
    lost,
    of_order,
    order,
    report,
)

SENT = ["quote k1", "prepare k1", "send k1"]
WRITES = ["intended k1", "sent k1", "close k1"]
CLIENT_ERRORS = [
    KeyError("filled"),
    asyncio.CancelledError(),
    SystemExit(3),
    GeneratorExit(),
    ComponentError("EIM-001", "?"),
    RuntimeError(),
]


def names(errors):
    return [type(error).__name__ for error in errors]


# Answered.


def test_a_fill_gives_the_venues_deltas_next_to_the_expected_ones():
    bench = Bench(FILL)
    sent = bench.send()
    assert (sent.report, sent.changes, sent.breaks) == (report(), CHANGES, ())
    assert (bench.gateway.calls, bench.time.slept, bench.row) == (SENT, [], ("settled", ""))


def test_everything_is_written_down_before_it_is_done():
    bench = Bench(FILL)
    bench.gateway.calls = bench.journal.calls
    bench.send()
    assert bench.journal.calls == ["intended k1", "quote k1", "prepare k1", "sent k1", "send k1", "close k1"]


def test_an_order_that_filled_nothing_is_a_report_without_deltas():
    unfilled = Happened(deltas=Deltas(), reference="order 72", details={"filled": "0"}, filled=Decimal(0))
    sent = Bench(unfilled).send()
    assert sent.report == report(deltas=Deltas(), costs=(), reference="order 72", details={"filled": "0"}, filled=Decimal(0))


def test_an_order_that_filled_in_part_reports_its_share():
    assert Bench(changed(HALF, final=True)).send().report.filled == Decimal("0.5")


def test_the_gateway_is_given_the_order_with_its_bounds_the_limits_the_quote_and_the_nonce():
    """Defects `gateway.py:53`, the bare block, and `limits.py:32`: the bound is part of what is sent."""
    quote = {"gas": "21000", "nonce": 7}
    bench = Bench(FILL, quotes=[quote], gateway={"takes_nonce": True}, limits={"max_fee_gwei": 100})
    bounded = order(price=Decimal(3300), worst_price=Decimal("3316.5"))
    bench.send(bounded)
    assert bench.gateway.given == [(of_order(bounded), {"max_fee_gwei": 100}, quote, 7)]


@pytest.mark.parametrize("quote", [None, {}, {"nonce": "7"}, {"nonce": True}, []])
def test_a_quote_without_the_nonce_that_the_message_needs_is_none(quote):
    bench = Bench(quotes=[quote], gateway={"takes_nonce": True}, attempts=1)
    assert bench.fails(VenueUnreachable).message == "binance gave no quote: 'no nonce'; nothing was sent in 1 attempt"


def test_a_message_has_a_nonce_only_where_the_gateway_takes_one():
    bench = Bench(FILL)
    bench.send()
    assert (bench.gateway.given[0][3], bench.journal.entries["k1"].messages) == (None, (Message(client_id="k1", body="{}"),))


def test_the_row_has_the_place_in_the_plan():
    bench = Bench(FILL)
    bench.send(plan=4, step=1, parent="k0", spends_usd=3300)
    entry = bench.journal.entries["k1"]
    assert bench.journal.spent_usd == {"k1": Decimal(3300)}
    assert (entry.plan, entry.step, entry.parent, entry.order, entry.reports) == (4, 1, "k0", order(), (report(),))


def test_the_state_after_is_the_state_before_and_the_venues_own_deltas_in_one_write():
    """attack.md, row 2: it was the simulated state."""
    bench = Bench(FILL, reads=[AFTER], held=BEFORE)
    sent = bench.send()
    assert (sent.breaks, bench.holdings.state.parts, bench.journal.saved) == ((), AFTER.parts, bench.holdings.state)
    assert (bench.gateway.calls, bench.journal.calls) == ([*SENT, "read"], WRITES)


def test_what_fell_due_just_before_is_in_the_report_and_in_the_state():
    paid = change_between(ExchangeAccount(), ExchangeAccount({"USDT": Decimal(7)}))
    funding = Due(
        id="f1", venue="binance", kind="funding", at=NOON, deltas=Deltas.at("binance", {"USDT": Decimal(7)}), changes={"binance": paid}
    )
    after = State({"binance": ExchangeAccount({"ETH": Decimal(1), "USDT": Decimal("1705.5")})})
    bench = Bench(changed(FILL, settlements=(funding,)), reads=[after], held=BEFORE)
    sent = bench.send()
    assert [(settled.key, settled.kind, settled.deltas) for settled in sent.report.settlements] == [("f1", "funding", funding.deltas)]
    assert (sent.report.deltas, sent.breaks, bench.holdings.state.parts, bench.journal.saved) == (
        FILLED,
        (),
        after.parts,
        bench.holdings.state,
    )


@pytest.mark.parametrize("trouble", [REFUSED, UNKNOWN, REJECTED, ConnectionError("reset"), MalformedAnswer("no balances", {}), None])
def test_a_venue_that_cannot_be_read_afterwards_loses_no_fill_and_degrades_the_health(trouble):
    """attack.md, row 2."""
    bench = Bench(FILL, reads=[trouble], held=BEFORE)
    sent = bench.send()
    assert sent.report == report(details={"price": "3300", "state_read": False})
    assert (bench.holdings.state.parts, bench.health[0], len(sent.breaks)) == (AFTER.parts, "degraded", 1)
    assert sent.breaks[0].startswith("binance cannot be read: ")


@pytest.mark.parametrize(
    ("read", "said"),
    [
        ({"binance": None}, "a State whose 'binance' is None"),
        ({"binance": ExchangeAccount({"ETH": Decimal("NaN")})}, "a State with a change of NaN ETH, which is not a finite Decimal"),
        ({"binance": ExchangeAccount({"ETH": 1.5})}, "a State with a change of 1.5 ETH, which is not a finite Decimal"),
        (7, "a State of 7, not of venues"),
    ],
)
def test_what_is_read_is_checked_as_an_answer_is(read, said):
    """attack.md, row 6."""
    bench = Bench(FILL, reads=[State(read)], held=BEFORE)
    assert bench.send().breaks == (f"binance cannot be read: {said}",)
    assert bench.holdings.state.parts == AFTER.parts


def test_a_venue_that_shows_something_else_is_a_break_and_nothing_is_corrected():
    bench = Bench(FILL, FILL, reads=[BEFORE, AFTER], held=BEFORE)
    said = ("binance shows 0 ETH, held are 1", "binance shows 5000 USDT, held are 1698.5")
    assert (bench.send().breaks, bench.holdings.state.parts, bench.health) == (said, AFTER.parts, ("degraded", ["; ".join(said)]))


def test_health_recovers_with_a_reading_that_agrees():
    twice = State({"binance": ExchangeAccount({"ETH": Decimal(2), "USDT": Decimal("1697")})})
    bench = Bench(FILL, FILL, reads=[BEFORE, twice], held=State({"binance": ExchangeAccount({"USDT": Decimal(8300)})}))
    bench.send()
    assert bench.health[0] == "degraded"
    bench.send(order("k2"))
    assert bench.health == ("healthy", [])


def test_a_fill_that_is_unlike_the_simulated_one_is_a_break_and_is_recorded():
    """A wrong sign was healthy once."""
    expensive = changed(FILL, deltas=Deltas.at("binance", {"ETH": Decimal(1), "USDT": Decimal(-3900)}))
    bench = Bench(expensive)
    said = ("k1 moved -3900 USDT at binance, expected were -3300",)
    assert (bench.send().breaks, bench.health) == (said, ("degraded", list(said)))
    assert bench.row == ("settled", "")


def test_another_order_may_be_taken_over_while_the_venue_is_read():
    bench = Bench(FILL, held=BEFORE)

    def read_while_another_is_taken_over(at=None):
        shown = bench.holdings.state
        bench.holdings.state = BEFORE
        return shown

    bench.gateway.read = read_while_another_is_taken_over
    assert bench.send().breaks == ()


# Rejected: final.


def test_a_rejection_is_final_at_once_and_is_raised_as_the_venue_gave_it():
    bench = Bench(REJECTED)
    assert bench.fails(VenueRejected) is REJECTED
    assert (bench.gateway.calls, bench.time.slept, bench.row) == (SENT, [], ("rejected", "binance: balance too small"))


def test_after_a_rejection_the_key_may_be_used_again():
    bench = Bench(REJECTED, FILL)
    bench.fails(VenueRejected)
    assert (bench.send().report, bench.row) == (report(), ("settled", ""))


def test_what_the_gateway_refuses_to_prepare_is_not_sent():
    def refuses(*_):
        raise REJECTED

    bench = Bench(gateway={"prepares": refuses})
    assert bench.fails(VenueRejected) is REJECTED
    assert (bench.row, bench.journal.entries["k1"].messages) == (("rejected", "binance: balance too small"), ())


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (KeyError("x"), "it raised KeyError"),
        (asyncio.CancelledError(), "it raised CancelledError"),
        (REFUSED, "binance refused the connection"),
        ("{}", "\"'{}', which is not a Message\""),
        (Message(client_id="", body="{}"), "\"a client_id that is '', not text\""),
        (Message(client_id="k1", body="{}", expires=1.5), "'expires that is 1.5, not a whole number'"),
    ],
)
def test_what_the_gateway_fails_to_prepare_is_rejected(result, said):
    def fails(*_):
        if isinstance(result, BaseException):
            raise result
        return result

    bench = Bench(gateway={"prepares": fails})
    assert bench.fails(VenueRejected).message == f"binance cannot prepare k1: {said}; nothing was sent"
    assert (bench.gateway.executed, bench.row[0]) == ([], "rejected")


def test_a_transaction_without_effect_is_rejected_and_its_gas_is_recorded():
    """A revert's gas was not recorded."""
    gas = Deltas.at("wallet", {"ETH": Decimal("-0.01")})
    reverted = Happened(
        deltas=gas,
        changes={"wallet": change_between(ExchangeAccount(), ExchangeAccount({"ETH": Decimal("-0.01")}))},
        reference="0xab",
        filled=Decimal(0),
        failed=True,
        costs=(Cost("gas", "ETH", Decimal("0.01")),),
    )
    supply = parse_instruction(
        {"instruction_type": "smart_contract_action", "protocol": "aave", "action": "supply", "token": "USDT", "amount": 1}
    )
    held = State({"wallet": ExchangeAccount({"ETH": Decimal(1)})})
    after = State({"wallet": ExchangeAccount({"ETH": Decimal("0.99")})})
    bench = Bench(reverted, held=held, reads=[after], gateway={"name": "wallet", "kind": "chain"})
    error = bench.fails(VenueRejected, order(instruction=supply, venue="wallet"))
    assert (error.error_code, error.message) == ("OCH-001", "wallet executed k1 without effect (0xab); its costs are recorded")
    (spent,) = error.reports
    assert (error.partial_deltas, spent.deltas, spent.filled) == ({"wallet": {"ETH": -0.01}}, gas, 0)
    assert (bench.row, bench.holdings.state.parts, bench.journal.saved.parts) == (("failed", ""), after.parts, after.parts)


# Unreachable: nothing was sent, so the same message is sent again.


def test_an_unreachable_venue_is_tried_three_times_with_a_delay_that_doubles():
    bench = Bench(REFUSED, REFUSED, REFUSED)
    error = bench.fails(VenueUnreachable)
    said = "binance refused the connection; nothing was sent in 3 attempts"
    assert (error.error_code, error.message, error.original_exception) == ("CEX-002", said, REFUSED)
    assert (bench.gateway.calls, bench.time.slept) == ([*SENT, "send k1", "send k1"], [0.1, 0.2])
    assert bench.row == ("never happened", said)


def test_a_venue_that_can_be_reached_at_the_third_attempt_is_sent_the_same_message_and_executes_once():
    bench = Bench(REFUSED, REFUSED, FILL)
    assert bench.send().report == report(details={"price": "3300", "attempts": 3})
    assert (bench.gateway.executed, bench.time.slept, bench.journal.calls) == (["k1"], [0.1, 0.2], WRITES)


def test_attempts_and_delay_are_those_of_the_settings():
    bench = Bench(*[REFUSED] * 5, attempts=5, delay_s=2.0)
    bench.fails(VenueUnreachable)
    assert bench.time.slept == [2, 4, 8, 16]
    single = Bench(REFUSED, attempts=1)
    assert single.fails(VenueUnreachable).message == "binance refused the connection; nothing was sent in 1 attempt"
    assert single.time.slept == []


@pytest.mark.parametrize(("delay_s", "slept"), [(60, [60]), (25, [25, 35]), (1, [1, 2, 4, 8, 16, 29]), (0, [0] * 8)])
def test_the_delays_of_one_order_sum_to_at_most_a_minute(delay_s, slept):
    """attack.md, row 10b: they summed to 15,300 s."""
    bench = Bench(*[REFUSED] * 9, attempts=9, delay_s=delay_s)
    error = bench.fails(VenueUnreachable)
    assert bench.time.slept == slept
    assert error.message.endswith(f"nothing was sent in {len(slept) + 1} attempts")


def test_a_message_that_has_expired_is_not_sent_again():
    bench = Bench(*[REFUSED] * 9, attempts=9, delay_s=4, gateway={"expires": STARTED + 10_000_000})
    assert bench.fails(VenueUnreachable).message.endswith("nothing was sent in 3 attempts")
    assert bench.time.slept == [4, 8]


def test_a_rejection_after_an_unreachable_attempt_is_final():
    bench = Bench(REFUSED, REJECTED)
    assert bench.fails(VenueRejected) is REJECTED


def test_after_an_unreachable_venue_the_key_may_be_sent_again():
    bench = Bench(REFUSED, REFUSED, REFUSED, FILL)
    bench.fails(VenueUnreachable)
    assert (bench.send().report, bench.gateway.executed) == (report(), ["k1"])


def begun_again(late_deltas):
    """A row that was closed as not executed; its execution has turned up late since, and the key is sent again."""
    bench = Bench(REFUSED, REFUSED, REFUSED, FILL)
    bench.fails(VenueUnreachable)
    (message,) = bench.journal.entries["k1"].messages[:1]
    late = Due(
        id="fill:1", venue="binance", kind="late fill", at=NOON, deltas=late_deltas, client_id=message.client_id, reference=FILL.reference
    )
    bench.journal.add_due("binance", [late], "1", lambda new: bench.holdings.state)
    return bench


def test_what_was_recorded_when_it_turned_up_late_is_not_recorded_again_when_the_key_is_sent_again():
    bench = begun_again(FILLED)
    details = {"price": "3300", "recorded": ["fill:1"]}
    assert bench.send().report == report(deltas=Deltas(), costs=(), details=details)
    assert bench.row[0] == "settled"


def test_of_an_execution_that_was_recorded_late_in_part_nothing_is_recorded_and_the_row_stays_open():
    bench = begun_again(Deltas.at("binance", {"ETH": Decimal("0.5")}))
    error = bench.fails(ComponentError)
    said = "binance answered k1 with an execution of which fill:1 was recorded late, and no more"
    assert (error.error_code, error.message.partition(";")[0], bench.row[0]) == ("EIM-003", said, "sent")


@pytest.mark.parametrize("trouble", [UNKNOWN, KeyError("gas"), asyncio.CancelledError(), Hangs(), MalformedAnswer("no gas", {})])
def test_a_quote_that_fails_means_that_nothing_was_sent(trouble):
    bench = Bench(quotes=[trouble] * 3)
    error = bench.fails(VenueUnreachable)
    assert error.message.startswith("binance gave no quote: ")
    assert error.message.endswith("; nothing was sent in 3 attempts")
    assert (bench.gateway.calls, bench.row[0], bench.journal.entries["k1"].messages) == (["quote k1"] * 3, "never happened", ())


def test_a_quote_is_asked_for_again_while_the_venue_is_unreachable():
    bench = Bench(FILL, quotes=[REFUSED, {}])
    assert bench.send().report == report(details={"price": "3300", "attempts": 2})
    assert bench.gateway.calls == ["quote k1", *SENT]


def test_a_quote_may_be_refused():
    bench = Bench(quotes=[REJECTED])
    assert bench.fails(VenueRejected) is REJECTED
    assert bench.row == ("rejected", "binance: balance too small")


# Unknown: looked up, never sent again.


@pytest.mark.parametrize("answer", [Lost(FILL), Hangs(FILL)])
def test_an_answer_that_is_lost_or_does_not_come_is_looked_up(answer):
    bench = Bench(answer)
    assert bench.send().report == report(details={"price": "3300", "looked_up": True})
    assert (bench.gateway.calls, bench.gateway.executed, bench.time.slept) == ([*SENT, "find k1"], ["k1"], [])
    assert bench.row == ("settled", "")


@pytest.mark.parametrize("error", CLIENT_ERRORS, ids=names(CLIENT_ERRORS))
def test_any_error_that_a_gateway_should_not_raise_counts_as_perhaps_sent(error):
    """attack.md, row 8: CancelledError, SystemExit and GeneratorExit came out as they were."""
    assert Bench(error, finds=[FILL]).send().report == report(details={"price": "3300", "looked_up": True})


@pytest.mark.parametrize("error", CLIENT_ERRORS, ids=names(CLIENT_ERRORS))
def test_any_such_error_of_a_look_up_means_that_it_is_asked_again(error):
    bench = Bench(UNKNOWN, finds=[error, FILL])
    assert bench.send().report == report(details={"price": "3300", "looked_up": True})


def test_a_venue_that_finds_it_late_is_asked_again_with_a_delay_that_doubles():
    bench = Bench(Lost(FILL), finds=[PENDING, REFUSED, UNKNOWN, ValueError("what?"), FILL])
    assert bench.send().report == report(details={"price": "3300", "looked_up": True})
    assert bench.gateway.calls == [*SENT, *["find k1"] * 5]
    assert bench.time.slept == [0.1, 0.2, 0.4, 0.8]


def test_a_venue_that_says_at_the_look_up_that_it_refused_has_refused():
    bench = Bench(UNKNOWN, FILL, finds=[PENDING, REJECTED])
    assert bench.fails(VenueRejected) is REJECTED
    assert (bench.send().report, bench.gateway.executed) == (report(), ["k1"])


def test_what_is_not_answered_until_the_deadline_stays_unknown_and_its_row_stays_open():
    bench = Bench(UNKNOWN, finds=[REFUSED] * 99)
    error = bench.fails(OutcomeUnknown)
    assert (error.error_code, error.severity) == ("CEX-003", "CRITICAL")
    assert error.message == lost("the connection was lost after sending")
    assert error.original_exception is UNKNOWN
    assert bench.time.slept == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 7.3])
    assert (bench.row[0], bench.health) == ("sent", ("unhealthy", [error.message]))


def test_silence_is_kept_as_what_it_was():
    error = Bench(Hangs(), finds=[REFUSED] * 99).fails(OutcomeUnknown)
    assert error.message == lost("binance did not answer within 15 s")
    assert type(error.original_exception.original_exception) is TimeoutError


def test_look_ups_that_hang_use_up_the_time_there_is():
    bench = Bench(Hangs(), finds=[Hangs()] * 3, timeout_s=15.0)
    error = bench.fails(OutcomeUnknown)
    assert error.message == lost("binance did not answer within 15 s")
    assert bench.gateway.calls.count("find k1") == 2


def test_a_delay_of_zero_does_not_make_the_look_ups_a_flood():
    bench = Bench(Lost(FILL), finds=[REFUSED, REFUSED, FILL], delay_s=0.0)
    bench.send()
    assert bench.time.slept == [0.1, 0.2]


def test_a_key_that_stayed_unknown_is_never_sent_again():
    bench = Bench(Lost(FILL), finds=[REFUSED] * 20 + [FILL])
    bench.fails(OutcomeUnknown)
    error = bench.fails(OutcomeUnknown)
    assert (error.message, error.original_exception) == (lost("binance has not reported yet what became of k1"), None)
    assert bench.send().report == report(details={"price": "3300", "looked_up": True})
    assert (bench.gateway.executed, bench.gateway.calls.count("send k1"), bench.health) == (["k1"], 1, ("healthy", []))


def test_a_settled_key_is_given_its_first_report_again_and_nobody_is_asked():
    bench = Bench(FILL)
    bench.send()
    bench.gateway.calls.clear()
    assert (bench.send().report, bench.send().changes, bench.gateway.calls) == (report(replayed=True), {}, [])


def test_another_key_is_sent_while_one_is_unknown():
    bench = Bench(UNKNOWN, FILL, finds=[REFUSED] * 20)
    bench.fails(OutcomeUnknown)
    assert (bench.send(order("k2")).report, bench.gateway.executed) == (report("k2"), ["k2"])


def test_what_an_error_of_a_client_says_is_not_passed_on():
    secret = "https://rpc.example/v3/c0ffee"
    error = Bench(ConnectionError(secret), finds=[REFUSED] * 20).fails(OutcomeUnknown)
    assert error.message == lost("binance did not answer: its gateway raised ConnectionError")
    assert secret not in pickle.dumps(str(error)).decode("latin-1")
    assert str(error.original_exception.original_exception) == secret


def test_an_interruption_while_sending_leaves_the_row_open():
    bench = Bench(KeyboardInterrupt(), finds=[FILL])
    with pytest.raises(KeyboardInterrupt):
        bench.send()
    assert bench.row == ("sent", "")
    assert bench.send().report == report(details={"price": "3300", "looked_up": True})
    assert bench.gateway.calls == [*SENT, "find k1"]


# Three answers.


def test_a_look_up_can_say_that_it_can_no_longer_happen_and_then_the_key_may_be_sent_again():
    """An order stopped by a 503 ended CRITICAL, its key open for ever."""
    bench = Bench(UNKNOWN, FILL, finds=[PENDING, NEVER])
    error = bench.fails(VenueUnreachable)
    said = "binance: it expired at 12:00:10; k1 was not executed and can no longer be: it may be sent again"
    assert (error.error_code, error.severity, error.message) == ("CEX-002", "HIGH", said)
    assert (bench.row, bench.health) == (("never happened", "it expired at 12:00:10"), ("healthy", []))
    assert (bench.send().report, bench.gateway.executed) == (report(), ["k1"])


def test_what_no_look_up_finds_is_not_sent_again_while_the_venue_shows_that_it_was_executed():
    bench = Bench(UNKNOWN, finds=[NEVER] * 99, held=BEFORE, reads=[AFTER] * 99)
    unknown = bench.fails(OutcomeUnknown)
    why = "it expired at 12:00:10, but binance shows 1 ETH, held are 0: perhaps it was executed"
    assert unknown.message == lost(f"binance has it pending: {why}")
    assert (bench.row[0], bench.gateway.executed) == ("sent", [])
    bench.journal.resolve("k1", None, at=NOON, by="me")
    assert bench.journal.entry("k1").is_open


def test_a_fill_that_a_look_up_finds_late_and_the_balance_early_is_recorded():
    bench = Bench(UNKNOWN, finds=[NEVER, NEVER, FILL], held=BEFORE, reads=[AFTER] * 9)
    assert bench.send().report.deltas == FILLED
    assert bench.row == ("settled", "")


@pytest.mark.parametrize("trouble", [REFUSED, MalformedAnswer("half a page", "<html"), KeyError("x")])
def test_what_no_look_up_finds_never_happened_only_once_the_venue_was_read(trouble):
    bench = Bench(UNKNOWN, finds=[NEVER] * 9, held=BEFORE, reads=[trouble, BEFORE])
    bench.fails(VenueUnreachable)
    assert (bench.row[0], bench.gateway.calls.count("find k1")) == ("never happened", 2)


def test_an_order_that_is_taken_over_meanwhile_casts_no_doubt_on_another():
    bench = Bench(UNKNOWN, finds=[NEVER] * 9, held=BEFORE)

    def read(at=None):
        bench.holdings.state = AFTER
        return AFTER

    bench.gateway.read = read
    bench.fails(VenueUnreachable)
    assert (bench.row[0], bench.gateway.calls.count("find k1")) == ("never happened", 1)


def test_pending_within_its_deadline_is_no_error():
    """Defect `gateway.py:53`: a transaction queued for twice venue_timeout ended CRITICAL."""
    bench = Bench(PENDING, finds=[PENDING] * 6 + [FILL], timeout_s=1.0)
    assert bench.send().report == report(details={"price": "3300", "looked_up": True})
    assert (sum(bench.time.slept), bench.health) == (pytest.approx(12.7), ("healthy", []))


DEADLINES = {"cex_trade": ("exchange", 30), "wallet_transfer": ("exchange", 21_600), "smart_contract_action": ("chain", 900)}
BLOCKS = {
    "cex_trade": {"venue": "binance", "trade_type": "spot", "side": "buy", "symbol": "ETHUSDT", "amount": 1},
    "wallet_transfer": {"from_venue": "binance", "to_venue": "wallet", "token": "USDT", "amount": 1},
    "smart_contract_action": {"protocol": "aave", "action": "supply", "token": "USDT", "amount": 1},
}


@pytest.mark.parametrize("kind", DEADLINES)
def test_pending_after_its_kinds_deadline_is_unknown_and_says_what_to_inspect_and_how(kind):
    place, deadline_s = DEADLINES[kind]
    sent = order(instruction=parse_instruction({"instruction_type": kind, **BLOCKS[kind]}))
    bench = Bench(PENDING, finds=[PENDING] * 3_000, gateway={"kind": place})
    error = bench.fails(OutcomeUnknown, sent)
    assert error.message == lost("binance has it pending: it is being matched", deadline_s=deadline_s)
    assert (sum(bench.time.slept), max(bench.time.slept), bench.row[0]) == (pytest.approx(deadline_s), 10, "sent")


def test_the_deadline_is_the_settings_own():
    bench = Bench(PENDING, finds=[PENDING] * 99, settle_deadline_s={"exchange": 2.0})
    assert bench.fails(OutcomeUnknown).message == lost("binance has it pending: it is being matched", deadline_s=2)


def test_a_part_is_reported_by_its_number_and_the_order_goes_on():
    bench = Bench(HALF, finds=[HALF, FILL])
    assert bench.send().report == report(details={"price": "3300", "looked_up": True})
    parts = [found.filled for found in bench.journal.entries["k1"].reports]
    assert (parts, bench.journal.calls) == ([Decimal("0.5"), 1], ["intended k1", "sent k1", "add_report k1", "close k1"])


def test_a_part_whose_rest_is_not_known_says_so():
    bench = Bench(HALF, finds=[HALF] * 99)
    assert bench.fails(OutcomeUnknown).message == lost("binance has filled a part of it")


@pytest.mark.parametrize("less", [changed(HALF, filled=Decimal("0.25"), deltas=Deltas.at("binance", {"ETH": Decimal("0.25")}))])
def test_a_share_that_falls_is_no_answer_to_record(less):
    bench = Bench(HALF, finds=[less])
    assert bench.fails(ComponentError).message.startswith("binance answered k1 with a filled share of 0.25, after one of 0.5; ")


def test_a_share_that_was_reported_before_a_restart_does_not_fall_either():
    bench = Bench(HALF, finds=[KeyboardInterrupt(), changed(HALF, filled=Decimal(0), deltas=Deltas())])
    with pytest.raises(KeyboardInterrupt):
        bench.send()
    assert "after one of 0.5" in bench.fails(ComponentError).message


# An entry that an earlier run left open.


def left_open(bench, **fields):
    """A row that was intended, and what else an earlier run wrote of it."""
    bench.journal.intended(order(**fields))


def test_what_was_never_sent_is_sent():
    bench = Bench(FILL)
    left_open(bench)
    assert (bench.send().report, bench.gateway.executed) == (report(), ["k1"])
    assert bench.journal.calls == ["intended k1", "close k1", *WRITES]


def test_what_was_perhaps_sent_is_looked_up_by_its_message():
    """The same id was executed twice after a restart, and it was looked up
    by a key alone."""
    bench = Bench(finds=[FILL])
    left_open(bench)
    bench.journal.sent("k1", lambda _: Message(client_id="B7", body="{}"))
    assert bench.send().report == report(details={"price": "3300", "looked_up": True})
    assert bench.gateway.calls == ["find B7"]


def test_of_several_attempts_the_one_that_happened_decides():
    bench = Bench(finds=[NEVER, REJECTED, FILL])
    left_open(bench)
    for name in ("B1", "B2", "B3"):
        bench.journal.sent("k1", lambda _, name=name: Message(client_id=name, body="{}"))
    assert bench.send().report == report(details={"price": "3300", "looked_up": True})
    assert bench.gateway.calls == ["find B3", "find B2", "find B1"]


@pytest.mark.parametrize(
    ("finds", "error", "status"),
    [
        ([NEVER, NeverHappened("another nonce")], VenueUnreachable, "never happened"),
        ([NEVER, REJECTED], VenueRejected, "rejected"),
        ([PENDING] + [NEVER] * 99, VenueUnreachable, "never happened"),
    ],
)
def test_that_it_never_happened_must_hold_for_all_attempts(finds, error, status):
    bench = Bench(finds=finds)
    left_open(bench)
    for name in ("B1", "B2"):
        bench.journal.sent("k1", lambda _, name=name: Message(client_id=name, body="{}"))
    bench.fails(error)
    assert bench.row[0] == status


def test_all_attempts_are_named_where_none_is_known():
    bench = Bench(finds=[REFUSED] * 99)
    left_open(bench)
    for name in ("B1", "B2"):
        bench.journal.sent("k1", lambda _, name=name: Message(client_id=name, body="{}"))
    assert "look for B2 or B1 at binance" in bench.fails(OutcomeUnknown).message


def test_what_began_again_and_was_not_sent_again_is_sent():
    bench = Bench(REJECTED, FILL)
    bench.fails(VenueRejected)
    left_open(bench)
    assert (bench.send().report, bench.gateway.executed) == (report(), ["k1"])


def test_an_attempt_that_failed_before_the_entry_began_again_is_not_recorded_again():
    reverted = Happened(deltas=Deltas(), reference="0xab", filled=Decimal(0), failed=True)
    gateway = {"takes_nonce": True, "prepares": lambda *given: Message(client_id=f"0x{given[3]}", body="{}", nonce=given[3])}
    bench = Bench(reverted, KeyboardInterrupt(), quotes=[{"nonce": 7}, {"nonce": 8}], finds=[PENDING, NEVER], gateway=gateway)
    bench.fails(VenueRejected)
    with pytest.raises(KeyboardInterrupt):
        bench.send()
    bench.gateway.calls.clear()
    bench.fails(VenueUnreachable)
    assert (bench.gateway.calls, bench.row[0]) == (["find 0x8"] * 2, "never happened")
    assert [message.nonce for message in bench.journal.entries["k1"].messages] == [7, 8]


# The journal fails.


@pytest.mark.parametrize(("write", "executed", "status"), [("intended", [], None), ("sent", [], "intended"), ("close", ["k1"], "sent")])
def test_what_cannot_be_written_down_is_raised_and_nothing_is_sent_that_is_not_written_down(write, executed, status):
    full = ComponentError("LOG-001", "the disk is full")
    bench = Bench(FILL, FILL, held=BEFORE, reads=[AFTER])
    bench.journal.fails[write] = full
    with pytest.raises(ComponentError) as raised:
        bench.send()
    entry = bench.journal.entry("k1")
    assert (raised.value, bench.gateway.executed, None if entry is None else str(entry.status)) == (full, executed, status)
    assert bench.holdings.state is BEFORE
    assert (bench.send().report.deltas, bench.gateway.executed, bench.holdings.state.parts) == (FILLED, ["k1"], AFTER.parts)


@pytest.mark.parametrize(("write", "answer"), [("add_report", HALF), ("note", MalformedAnswer("nonsense", {}))])
def test_what_cannot_be_written_down_of_an_order_that_goes_on_leaves_its_row_open(write, answer):
    full = ComponentError("LOG-001", "the disk is full")
    bench = Bench(answer, finds=[FILL])
    bench.journal.fails[write] = full
    assert (bench.fails(ComponentError), bench.row[0]) == (full, "sent")
    assert (bench.send().report.deltas, bench.gateway.executed.count("k1") <= 1) == (FILLED, True)


def test_a_value_error_of_the_journal_is_not_the_venues():
    bench = Bench(FILL, held=BEFORE)
    bench.journal.fails["close"] = ValueError("closed database")
    with pytest.raises(ValueError, match="closed database"):
        bench.send()


# Answers that cannot be recorded.


def test_an_answer_that_cannot_be_recorded_is_an_error_that_keeps_it_and_its_row_stays_open():
    """attack.md, row 1: the key was settled, the fill in no position, and the same id was sent again."""
    raw = {"orderId": 71, "fills": "?"}
    bench = Bench(changed(FILL, details=None, raw=raw), finds=[FILL])
    error = bench.fails(ComponentError)
    said = (
        "binance answered k1 with details that are None, not values by their names; compare its raw answer with the venue before going on"
    )
    assert (error.error_code, error.severity, error.component, error.message) == ("EIM-003", "MEDIUM", "ExecutionInterfaceManager", said)
    assert (error.original_exception.raw, error.__cause__) == (raw, error.original_exception)
    kept = "details that are None, not values by their names; it answered {'orderId': 71, 'fills': '?'}"
    assert (bench.row, bench.health) == (("sent", kept), ("degraded", [said]))
    assert bench.send().report == report(details={"price": "3300", "looked_up": True})
    assert (bench.gateway.executed, bench.health) == (["k1"], ("healthy", []))


def test_a_gateway_may_say_itself_that_an_answer_cannot_be_read():
    malformed = MalformedAnswer("a fill without a price", {"orderId": 71})
    error = Bench(malformed).fails(ComponentError)
    assert error.message == "binance answered k1 with a fill without a price; compare its raw answer with the venue before going on"
    assert error.original_exception is malformed


def test_an_answer_that_cannot_be_recorded_at_the_look_up_is_the_same_error():
    error = Bench(UNKNOWN, finds=[changed(FILL, deltas=None, raw="?")]).fails(ComponentError)
    assert (error.error_code, error.original_exception.raw) == ("EIM-003", "?")


def test_that_it_never_happened_is_no_answer_to_a_message_that_was_just_sent():
    assert Bench(NEVER).fails(ComponentError).error_code == "EIM-003"


def test_answers_that_cannot_be_recorded_are_answers_and_do_not_make_a_venue_unavailable():
    bench = Bench(*[MalformedAnswer("nonsense", {})] * 4)
    assert [bench.fails(ComponentError, order(f"k{index}")).error_code for index in range(4)] == ["EIM-003"] * 4


def test_such_an_answer_is_a_report_without_deltas_where_the_venue_shows_that_nothing_moved():
    same = State({"binance": ExchangeAccount({"USDT": Decimal("5000.0")})})
    bench = Bench(MalformedAnswer("nonsense", {"orderId": 71}), reads=[same, AFTER], finds=[FILL], held=BEFORE)
    details = {"malformed": "nonsense", "raw": "{'orderId': 71}"}
    nothing = report(deltas=Deltas(), costs=(), reference="reconciled", details=details, filled=Decimal(0))
    assert (bench.send().report, bench.row[0], bench.holdings.state) == (nothing, "sent", BEFORE)
    assert bench.send().report == report(details={"price": "3300", "looked_up": True})
    assert (bench.gateway.calls, bench.holdings.state.parts) == ([*SENT, "read", "find k1", "read"], AFTER.parts)


@pytest.mark.parametrize("read", [AFTER, State(), State({"okx": ExchangeAccount()}), REFUSED, UNKNOWN, REJECTED, None, ValueError("no")])
def test_such_an_answer_stays_an_error_where_that_is_not_shown(read):
    assert Bench(MalformedAnswer("nonsense", {}), reads=[read], held=BEFORE).fails(ComponentError).error_code == "EIM-003"


def test_such_an_answer_about_a_transfer_stays_an_error_for_what_is_on_its_way_cannot_be_read():
    on_its_way = EXPECTED + Deltas.at("in_transit", {"USDT": Decimal(9)})
    bench = Bench(MalformedAnswer("nonsense", {}), reads=[BEFORE], held=BEFORE)
    assert bench.fails(ComponentError, order(expected=on_its_way)).error_code == "EIM-003"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "deltas without the changes of the venues' states"),
        ({"binance": {"type": "Pool"}}, "changes that do not fit the state: binance: the type of a change must be one of "),
        ({"okx": {}}, "changes of 0 ETH at binance, where the deltas are 1"),
    ],
)
def test_changes_that_cannot_be_applied_leave_the_row_open(changes, said):
    """attack.md, row 1: a row settles only once its report is made."""
    bench = Bench(changed(FILL, changes=changes), held=BEFORE, reads=[AFTER])
    error = bench.fails(ComponentError)
    assert (error.error_code, error.message.startswith(f"binance answered k1 with {said}")) == ("EIM-003", True)
    assert (bench.row[0], bench.holdings.state, error.original_exception.raw) == ("sent", BEFORE, FILL.raw)


def test_a_raw_answer_that_is_not_there_is_the_answer_itself():
    answer = changed(FILL, changes={}, raw=None)
    assert Bench(answer, held=BEFORE, reads=[AFTER]).fails(ComponentError).original_exception.raw is answer


def test_what_is_kept_of_an_answer_has_an_end():
    bench = Bench(MalformedAnswer("nonsense", "x" * 10**6))
    bench.fails(ComponentError)
    assert len(bench.row[1]) < 11_000


# Whatever happens.

SENDS = st.lists(
    st.sampled_from([FILL, HALF, Lost(FILL), Hangs(FILL), Hangs(), PENDING, REFUSED, REJECTED, UNKNOWN, ValueError("?"), None]), max_size=8
)


@given(sends=SENDS, tries=st.integers(1, 4))
def test_whatever_the_venue_does_a_key_is_executed_at_most_once_until_it_is_reported(sends, tries):
    bench = Bench(*sends, *[FILL] * 12)
    for _ in range(tries):
        try:
            bench.send()
        except ComponentError:
            continue
        break
    assert bench.gateway.executed in ([], ["k1"])


# Codes.

SUPPLY = {"instruction_type": "smart_contract_action", "protocol": "aave", "action": "supply", "token": "USDT", "amount": 1}
SWAP = {**SUPPLY, "protocol": "uniswap", "action": "swap", "token_out": "WETH"}
TRANSFER = {"instruction_type": "wallet_transfer", "from_venue": "a", "to_venue": "b", "token": "USDT", "amount": 1}
CODES = {
    "a trade": ({"instruction_type": "cex_trade", **BLOCKS["cex_trade"]}, "exchange", "CEX", "binance"),
    "a swap": (SWAP, "chain", "DEX", "uniswap"),
    "an action": (SUPPLY, "chain", "OCH", "aave"),
    "a chain, by its first step": (
        {"instruction_type": "smart_contract_action", "atomic": True, "sub_instructions": [SWAP, SUPPLY]},
        "chain",
        "DEX",
        "uniswap",
    ),
    "a withdrawal": (TRANSFER, "exchange", "CEX", "binance"),
    "a transfer from the wallet": (TRANSFER, "chain", "OCH", "binance"),
}


@pytest.mark.parametrize(("block", "kind", "code", "venue"), CODES.values(), ids=CODES)
def test_errors_have_the_code_of_the_kind_of_venue_and_reports_the_venue_of_a_backtest(block, kind, code, venue):
    sent = order(instruction=parse_instruction(block), expected=Deltas())
    gateway = {"kind": kind}
    unreachable = Bench(*[REFUSED] * 3, gateway=gateway).fails(VenueUnreachable, sent)
    unknown = Bench(Hangs(), finds=[REFUSED] * 9_999, gateway=gateway).fails(OutcomeUnknown, sent)
    assert (unreachable.error_code, unknown.error_code) == (f"{code}-002", f"{code}-003")
    nothing = Happened(deltas=Deltas(), reference="x", filled=Decimal(0))
    assert Bench(nothing, gateway=gateway).send(sent).report.venue == venue


def test_a_status_of_a_row_is_the_one_of_its_conclusion():
    bench = Bench(FILL)
    bench.send()
    assert bench.journal.entries["k1"].status is Status.SETTLED


def test_a_reason_that_is_no_text_is_no_answer():
    assert Bench(Pending(7)).fails(ComponentError).message.startswith("binance answered k1 with a reason that is 7, not text; ")


# Before a plan is sent.


class Rehearses:
    """Says of one order after another what the list says."""

    def __init__(self, bench, *answers):
        self.answers, self.asked = list(answers), []
        bench.gateway.rehearse = self

    def __call__(self, approved, limits, earlier):
        self.asked.append((approved.order.key, limits, earlier))
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer


def test_a_later_leg_is_quoted_and_prepared_as_after_those_before_it_and_nothing_is_written():
    bench = Bench(limits="the limits")
    rehearses = Rehearses(bench, None)
    bench.senders.of("binance").rehearse(of_order(order()), FILLED)
    assert (rehearses.asked, bench.journal.calls) == ([("k1", "the limits", FILLED)], [])


def test_a_gateway_that_cannot_rehearse_is_not_asked():
    bench = Bench()
    bench.senders.of("binance").rehearse(of_order(order()), FILLED)
    assert bench.gateway.calls == []


@pytest.mark.parametrize(
    ("answers", "error", "said", "slept"),
    [
        ([REJECTED], VenueRejected, "binance: balance too small", []),
        ([REFUSED] * 3, VenueUnreachable, "binance refused the connection", [0.1, 0.2]),
        ([REFUSED, REJECTED], VenueRejected, "binance: balance too small", [0.1]),
        ([MalformedAnswer("half a page", "<html")] * 3, VenueUnreachable, "binance gave no quote: 'half a page'", [0.1, 0.2]),
        ([KeyError("x")] * 3, VenueUnreachable, "binance gave no quote: binance did not answer: its gateway raised KeyError", [0.1, 0.2]),
    ],
)
def test_what_a_later_leg_would_fail_by_is_known_before_the_first_is_sent(answers, error, said, slept):
    bench = Bench()
    Rehearses(bench, *answers)
    with pytest.raises(error) as raised:
        bench.senders.of("binance").rehearse(of_order(order()), FILLED)
    assert (type(raised.value), raised.value.message, bench.time.slept) == (error, said, slept)


def test_a_venue_that_answers_again_passes_the_later_leg():
    bench = Bench()
    rehearses = Rehearses(bench, REFUSED, None)
    bench.senders.of("binance").rehearse(of_order(order()), FILLED)
    assert len(rehearses.asked) == 2
