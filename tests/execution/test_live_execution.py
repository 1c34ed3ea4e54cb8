"""One instruction at one venue that answers, refuses, cannot be reached, falls silent or talks nonsense."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from decimal import Decimal
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.config import load_config
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, OutcomeUnknown, VenueRejected, VenueUnreachable
from basis_strategy_v1.core.execution_report import Cost, ExecutionReport
from basis_strategy_v1.core.instructions import parse_instruction
from basis_strategy_v1.core.market import DictSnapshot
from basis_strategy_v1.core.state import Account, State, Transfer, Transit
from basis_strategy_v1.execution.circuit_breaker import CircuitBreaker
from basis_strategy_v1.execution.gateway import MalformedAnswer, Outcome
from basis_strategy_v1.execution.live_execution import Context, LiveExecution
from basis_strategy_v1.execution.timing import REAL_TIME
from basis_strategy_v1.venues.venue import Moved

from .fake_gateway import FakeGateway, FakeTime, hangs, lost

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
BUY = parse_instruction(
    {"instruction_type": "cex_trade", "venue": "binance", "trade_type": "spot", "side": "buy", "symbol": "ETHUSDT", "amount": 1}
)
EXPECTED = Deltas.at("binance", {"ETH": Decimal(1), "USDT": Decimal("-3300")})
FILLED = Deltas.at("binance", {"ETH": Decimal(1), "USDT": Decimal("-3301.5")})
FEE = Cost("fees", "USDT", Decimal("1.5"))
FILL = Outcome(deltas=FILLED, reference="order 71", costs=(FEE,), details={"price": "3300"}, raw={"orderId": 71})
BEFORE = State({"binance": Account({"USDT": Decimal(5000)})})
SIMULATED = State({"binance": Account({"ETH": Decimal(1), "USDT": Decimal(1700)})})
AS_READ = State({"binance": Account({"ETH": Decimal(1), "USDT": Decimal("1698.5")})})
REFUSED = VenueUnreachable("CEX-002", "binance refused the connection")
REJECTED = VenueRejected("CEX-001", "binance: balance too small")
LOST = OutcomeUnknown("CEX-003", "the connection was lost after sending")
UNKNOWN_CODES = {"cex": "CEX-003", "dex": "DEX-003", "onchain": "OCH-003"}
UNREACHABLE_CODES = {"cex": "CEX-002", "dex": "DEX-002", "onchain": "OCH-002"}


def report(**changes):
    fields = {"key": "k1", "venue": "binance", "at": NOON, "kind": "execution", "deltas": FILLED, "expected": EXPECTED}
    fields |= {"costs": (FEE,), "reference": "order 71", "details": {"price": "3300"}}
    return ExecutionReport(**{**fields, **changes})


class Bench:
    """A live execution over a scripted gateway, in a time of its own."""

    def __init__(self, *submits, finds=None, reads=None, kind="cex", **settings):
        self.time = FakeTime()
        self.gateway = FakeGateway(submits, finds, reads)
        breaker = CircuitBreaker("binance", failures=3, monotonic=self.time.timing.monotonic)
        self.live = LiveExecution(self.gateway, "binance", kind, **{"breaker": breaker, "timing": self.time.timing, **settings})

    def execute(self, key="k1", before=State(checked=False), simulated=SIMULATED):  # noqa: B008  (immutable)
        context = Context(NOON, key, before, DictSnapshot(NOON, {}))
        return self.live.execute(BUY, context, Moved(simulated, EXPECTED))

    def fails(self, error_class, **given):
        with pytest.raises(error_class) as raised:
            self.execute(**given)
        assert type(raised.value) is error_class
        return raised.value


# Answered.


def test_a_fill_gives_the_venues_deltas_beside_the_expected_ones():
    bench = Bench(FILL)
    assert bench.execute() == (report(), SIMULATED)
    assert (bench.gateway.calls, bench.time.slept) == (["submit k1"], [])


def test_an_answer_without_a_fill_is_a_report_without_deltas():
    unfilled = Outcome(deltas=Deltas(), reference="order 72", details={"filled": "0"})
    assert Bench(unfilled).execute()[0] == report(deltas=Deltas(), costs=(), reference="order 72", details={"filled": "0"})


def test_what_is_held_afterwards_is_what_the_venue_says():
    on_its_way = Transit((Transfer(1, "t", "wallet", "USDT", Decimal(9)),))
    bench = Bench(FILL, reads=[AS_READ])
    found, after = bench.execute(before=BEFORE, simulated=SIMULATED.with_parts(in_transit=on_its_way))
    assert (found, after.parts, after.checked) == (report(), {**AS_READ.parts, "in_transit": on_its_way}, True)
    assert bench.gateway.calls == ["submit k1", "read"]


@pytest.mark.parametrize("trouble", [REFUSED, LOST, REJECTED, ConnectionError("reset"), MalformedAnswer("no balances", {}), None])
def test_a_fill_is_reported_also_where_the_venue_cannot_be_read_afterwards(trouble):
    found = Bench(FILL, reads=[trouble]).execute(before=BEFORE)
    assert found == (report(details={"price": "3300", "state_read": False}), SIMULATED)


def test_the_details_of_the_outcome_itself_are_not_touched():
    Bench(REFUSED, FILL).execute()
    assert FILL.details == {"price": "3300"}


# Rejected: final.


def test_a_rejection_is_final_at_once_and_is_raised_as_the_venue_gave_it():
    bench = Bench(REJECTED)
    assert bench.fails(VenueRejected) is REJECTED
    assert (bench.gateway.calls, bench.time.slept) == (["submit k1"], [])


def test_after_a_rejection_the_key_may_be_used_again():
    bench = Bench(REJECTED, FILL)
    bench.fails(VenueRejected)
    assert (bench.execute()[0], bench.gateway.calls) == (report(), ["submit k1", "submit k1"])


# Unreachable: nothing was sent, so it is sent again.


def test_an_unreachable_venue_is_tried_three_times_with_a_delay_that_doubles():
    bench = Bench(REFUSED, REFUSED, REFUSED)
    error = bench.fails(VenueUnreachable)
    assert (error.error_code, error.message) == ("CEX-002", "binance refused the connection; nothing was sent in 3 attempts")
    assert error.original_exception is REFUSED
    assert (bench.gateway.calls, bench.time.slept) == (["submit k1"] * 3, [0.1, 0.2])


def test_a_venue_that_can_be_reached_at_the_third_attempt_executes_once():
    bench = Bench(REFUSED, REFUSED, FILL)
    assert bench.execute()[0] == report(details={"price": "3300", "attempts": 3})
    assert (bench.gateway.executed, bench.time.slept) == (["k1"], [0.1, 0.2])


def test_attempts_and_delay_are_those_of_the_settings():
    bench = Bench(*[REFUSED] * 5, attempts=5, delay_s=2.0)
    bench.fails(VenueUnreachable)
    assert bench.time.slept == [2, 4, 8, 16]
    single = Bench(REFUSED, attempts=1)
    assert single.fails(VenueUnreachable).message == "binance refused the connection; nothing was sent in 1 attempt"
    assert single.time.slept == []


def test_a_rejection_after_an_unreachable_attempt_is_final():
    bench = Bench(REFUSED, REJECTED)
    assert bench.fails(VenueRejected) is REJECTED
    assert bench.gateway.calls == ["submit k1"] * 2


def test_after_an_unreachable_venue_the_key_may_be_sent_again():
    bench = Bench(REFUSED, REFUSED, REFUSED, FILL)
    bench.fails(VenueUnreachable)
    assert (bench.execute()[0], bench.gateway.executed) == (report(), ["k1"])


# Unknown: looked up, never sent again.


@pytest.mark.parametrize("answer", [lost(FILL), hangs(FILL)])
def test_an_answer_that_is_lost_or_does_not_come_is_looked_up_by_key(answer):
    bench = Bench(answer)
    assert bench.execute() == (report(details={"price": "3300", "looked_up": True}), SIMULATED)
    assert (bench.gateway.calls, bench.gateway.executed, bench.time.slept) == (["submit k1", "find k1"], ["k1"], [])


def test_an_error_that_a_gateway_is_not_meant_to_raise_counts_as_perhaps_sent():
    assert Bench(KeyError("filled"), finds=[FILL]).execute()[0] == report(details={"price": "3300", "looked_up": True})


def test_a_venue_that_finds_it_late_is_asked_again_with_a_delay_that_doubles():
    bench = Bench(lost(FILL), finds=[None, REFUSED, LOST, ValueError("what?"), FILL])
    assert bench.execute()[0] == report(details={"price": "3300", "looked_up": True})
    assert bench.gateway.calls == ["submit k1", *["find k1"] * 5]
    assert bench.time.slept == [0.1, 0.2, 0.4, 0.8]


def test_a_venue_that_tells_at_the_look_up_that_it_refused_has_refused():
    bench = Bench(LOST, FILL, finds=[None, REJECTED])
    assert bench.fails(VenueRejected) is REJECTED
    assert (bench.execute()[0], bench.gateway.executed) == (report(), ["k1"])


def test_what_is_not_found_until_the_timeout_stays_unknown():
    bench = Bench(LOST, finds=[None] * 9)
    error = bench.fails(OutcomeUnknown)
    told = "not found under k1 in 15 s: perhaps it was done, look there before going on"
    assert (error.error_code, error.severity) == ("CEX-003", "CRITICAL")
    assert error.message == f"the connection was lost after sending; {told}"
    assert error.original_exception is LOST
    assert bench.gateway.calls == ["submit k1", *["find k1"] * 9]
    assert bench.time.slept == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 2.3])


def test_the_last_look_up_is_at_the_timeout_however_little_time_is_left():
    bench = Bench(LOST, finds=[None] * 8, timeout_s=6.5)
    bench.fails(OutcomeUnknown)
    assert bench.time.slept == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 0.2])


def test_silence_is_kept_as_what_it_was():
    error = Bench(hangs(FILL), finds=[None] * 9).fails(OutcomeUnknown)
    assert type(error.original_exception.original_exception) is TimeoutError


def test_a_look_up_that_hangs_uses_up_the_time_there_is():
    bench = Bench(hangs(FILL), finds=[hangs(FILL).then], timeout_s=3.0)
    error = bench.fails(OutcomeUnknown)
    told = "not found under k1 in 3 s: perhaps it was done, look there before going on"
    assert error.message == f"binance did not answer within 3 s; {told}"
    assert (bench.gateway.calls, bench.time.now_s, bench.time.slept) == (["submit k1", "find k1"], 1_006, [])


def test_a_delay_of_zero_does_not_make_the_look_up_a_flood():
    bench = Bench(lost(FILL), finds=[None, None, FILL], delay_s=0.0)
    bench.execute()
    assert bench.time.slept == [0.1, 0.2]


def test_a_key_that_stayed_unknown_is_never_sent_again():
    bench = Bench(lost(FILL), finds=[None] * 9 + [None] * 9 + [FILL], timeout_s=15)
    bench.fails(OutcomeUnknown)
    error = bench.fails(OutcomeUnknown)
    told = "not found under k1 in 15 s: perhaps it was done, look there before going on"
    assert (error.message, error.original_exception) == (f"binance has not told yet what became of k1; {told}", None)
    assert bench.execute()[0] == report(details={"price": "3300", "looked_up": True})
    assert (bench.gateway.executed, bench.gateway.calls.count("submit k1")) == (["k1"], 1)


@pytest.mark.parametrize("answer", [FILL, lost(FILL)])
def test_a_key_is_open_no_longer_once_its_outcome_is_reported(answer):
    bench = Bench(answer, FILL)
    bench.execute()
    bench.gateway.calls.clear()
    assert (bench.execute()[0], bench.gateway.calls) == (report(), ["submit k1"])


def test_another_key_is_sent_while_one_is_unknown():
    bench = Bench(LOST, FILL, finds=[None] * 9)
    bench.fails(OutcomeUnknown)
    assert (bench.execute(key="k2")[0], bench.gateway.executed) == (report(key="k2"), ["k2"])


def test_what_an_unforeseen_error_says_is_not_told_on():
    secret = "https://rpc.example/v3/c0ffee"
    bench = Bench(ConnectionError(secret), finds=[None] * 9)
    error = bench.fails(OutcomeUnknown)
    assert error.message.startswith("binance did not answer: its gateway raised ConnectionError; not found under k1 in 15 s")
    assert secret not in pickle.dumps(str(error)).decode("latin-1")
    assert str(error.original_exception.original_exception) == secret


def test_an_interruption_while_sending_leaves_the_key_open():
    bench = Bench(KeyboardInterrupt(), finds=[FILL])
    with pytest.raises(KeyboardInterrupt):
        bench.execute()
    assert bench.execute()[0] == report(details={"price": "3300", "looked_up": True})
    assert bench.gateway.calls == ["submit k1", "find k1"]


@pytest.mark.parametrize("kind", ["cex", "dex", "onchain"])
def test_errors_bear_the_code_of_the_kind_of_venue(kind):
    unreachable = Bench(*[REFUSED] * 3, kind=kind).fails(VenueUnreachable)
    unknown = Bench(hangs(FILL), finds=[None] * 9, kind=kind).fails(OutcomeUnknown)
    assert (unreachable.error_code, unknown.error_code) == (UNREACHABLE_CODES[kind], UNKNOWN_CODES[kind])


def test_a_real_hang_is_given_up_and_looked_up_and_its_late_answer_is_not_heard():
    class Slow(FakeGateway):
        released = Event()
        ended = Event()

        def submit(self, instruction, key):
            answer = super().submit(instruction, key)
            self.released.wait(5)
            self.ended.set()
            return answer

    gateway = Slow([FILL])
    breaker = CircuitBreaker("binance", failures=3, monotonic=REAL_TIME.monotonic)
    live = LiveExecution(gateway, "binance", "cex", breaker=breaker, timeout_s=0.01)
    found, _ = live.execute(BUY, Context(NOON, "k1", State(checked=False), DictSnapshot(NOON, {})), Moved(SIMULATED, EXPECTED))
    gateway.released.set()
    assert gateway.ended.wait(5)
    assert found == report(details={"price": "3300", "looked_up": True})
    assert (gateway.executed, gateway.calls) == (["k1"], ["submit k1", "find k1"])


# The breaker.


def test_three_instructions_that_failed_make_the_venue_unavailable_without_a_further_call():
    bench = Bench(*[REFUSED] * 9)
    for key in ("k1", "k2", "k3"):
        bench.fails(VenueUnreachable, key=key)
    error = bench.fails(ComponentError, key="k4")
    last = "the last failure: binance refused the connection; nothing was sent in 3 attempts"
    assert error.error_code == "EIM-002"
    assert error.message == f"binance is unavailable after 3 failures in a row, to be tried again in 60.0 s; not sent ({last})"
    assert (len(bench.gateway.calls), bench.live.breaker.is_open) == (9, True)


def test_after_a_minute_one_instruction_is_let_through_and_its_answer_opens_the_way():
    bench = Bench(*[REFUSED] * 9, FILL, FILL)
    for key in ("k1", "k2", "k3"):
        bench.fails(VenueUnreachable, key=key)
    bench.time.now_s += 60
    assert [bench.execute(key=key)[0] for key in ("k4", "k5")] == [report(key="k4"), report(key="k5")]
    assert bench.live.breaker.is_open is False


# Answers that cannot be booked.

NONSENSE = {
    "an infinite change": (
        {"deltas": Deltas.at("binance", {"ETH": Decimal("Infinity")})},
        "a change of Infinity ETH, which is not a finite Decimal",
    ),
    "a change that is no number": (
        {"deltas": Deltas.at("binance", {"ETH": Decimal("NaN")})},
        "a change of NaN ETH, which is not a finite Decimal",
    ),
    "a float": ({"deltas": Deltas.at("binance", {"ETH": 1.5})}, "a change of 1.5 ETH, which is not a finite Decimal"),
    "an empty token": ({"deltas": Deltas.of({("binance", ""): Decimal(1)})}, "deltas under a tuple, which is not venue and token"),
    "a venue that is no text": ({"deltas": Deltas.of({(7, "ETH"): Decimal(1)})}, "deltas under a tuple, which is not venue and token"),
    "a dict for deltas": ({"deltas": {"binance": {"ETH": 1}}}, "deltas that are a dict, not Deltas"),
    "no deltas": ({"deltas": None}, "deltas that are None, not Deltas"),
    "a list of costs": ({"costs": [FEE]}, "costs that are a list, not a tuple of Cost"),
    "a cost without a source": ({"costs": (("fees", "USDT", Decimal(1)),)}, "a cost that is a tuple, not a Cost of a finite Decimal"),
    "an endless cost": (
        {"costs": (FEE, Cost("fees", "USDT", Decimal("-Infinity")))},
        "a cost that is a Cost, not a Cost of a finite Decimal",
    ),
    "no reference": ({"reference": ""}, "a reference that is '', not the venue's name of it"),
    "a reference that is a number": ({"reference": 71}, "a reference that is 71, not the venue's name of it"),
}


@pytest.mark.parametrize(("fields", "fault"), NONSENSE.values(), ids=NONSENSE)
def test_an_answer_that_cannot_be_booked_is_an_error_that_keeps_it(fields, fault):
    raw = {"orderId": 71, "fills": "?"}
    bench = Bench(Outcome(**{"deltas": FILLED, "reference": "order 71", "raw": raw, **fields}))
    error = bench.fails(ComponentError)
    assert (error.error_code, error.severity, error.component) == ("EIM-003", "MEDIUM", "ExecutionInterfaceManager")
    assert error.message == f"binance answered k1 with {fault}; compare its raw answer with the venue before going on"
    assert (str(error.original_exception), error.original_exception.raw) == (fault, raw)


def test_an_outcome_without_a_raw_answer_is_kept_itself():
    outcome = Outcome(deltas=None, reference="order 71")
    assert Bench(outcome).fails(ComponentError).original_exception.raw is outcome


@pytest.mark.parametrize(("answer", "said"), [(None, "None"), ({"orderId": 71}, "a dict"), ("ok", "'ok'")])
def test_an_answer_that_is_no_outcome_is_kept_too(answer, said):
    error = Bench(answer).fails(ComponentError)
    assert (error.error_code, error.original_exception.raw) == ("EIM-003", answer)
    assert error.message.startswith(f"binance answered k1 with {said}, which is not an Outcome; ")


def test_a_gateway_may_say_itself_that_an_answer_is_malformed():
    malformed = MalformedAnswer("a fill without a price", {"orderId": 71})
    error = Bench(malformed).fails(ComponentError)
    assert error.message == "binance answered k1 with a fill without a price; compare its raw answer with the venue before going on"
    assert error.original_exception is malformed


def test_a_malformed_answer_at_the_look_up_is_the_same_error():
    error = Bench(LOST, finds=[Outcome(deltas=None, reference="x", raw="?")]).fails(ComponentError)
    assert (error.error_code, error.original_exception.raw) == ("EIM-003", "?")


def test_a_malformed_answer_is_not_sent_again_and_can_be_looked_up_later():
    bench = Bench(MalformedAnswer("nonsense", {}), finds=[FILL])
    bench.fails(ComponentError)
    assert bench.execute()[0] == report(details={"price": "3300", "looked_up": True})
    assert bench.gateway.calls == ["submit k1", "find k1"]


def test_malformed_answers_are_answers_and_do_not_make_a_venue_unavailable():
    bench = Bench(*[MalformedAnswer("nonsense", {})] * 4)
    assert [bench.fails(ComponentError, key=f"k{index}").error_code for index in range(4)] == ["EIM-003"] * 4


def test_a_malformed_answer_is_a_report_without_deltas_where_the_venue_shows_that_nothing_moved():
    same = State({"binance": Account({"USDT": Decimal("5000.0")})})
    bench = Bench(MalformedAnswer("nonsense", {"orderId": 71}), reads=[same], finds=[FILL])
    details = {"malformed": "nonsense", "raw": "{'orderId': 71}"}
    assert bench.execute(before=BEFORE) == (report(deltas=Deltas(), costs=(), reference="reconciled", details=details), BEFORE)
    assert bench.gateway.calls == ["submit k1", "read"]


def test_nothing_moved_where_the_venue_shows_the_parts_that_it_would_have_changed():
    aside = Account({"USDT": Decimal(7)})
    before, simulated = BEFORE.with_parts(okx=aside), SIMULATED.with_parts(okx=aside)
    bench = Bench(MalformedAnswer("nonsense", {}), reads=[BEFORE])
    assert bench.execute(before=before, simulated=simulated)[0].reference == "reconciled"


def test_after_nothing_moved_the_key_is_still_looked_up_and_not_sent():
    bench = Bench(MalformedAnswer("nonsense", {}), reads=[BEFORE, AS_READ], finds=[FILL])
    bench.execute(before=BEFORE)
    assert bench.execute(before=BEFORE)[0] == report(details={"price": "3300", "looked_up": True})
    assert bench.gateway.calls == ["submit k1", "read", "find k1", "read"]


@pytest.mark.parametrize("read", [AS_READ, State(), State({"okx": Account()}), REFUSED, LOST, REJECTED, None, ValueError("no")])
def test_a_malformed_answer_stays_an_error_where_that_is_not_shown(read):
    error = Bench(MalformedAnswer("nonsense", {}), reads=[read]).fails(ComponentError, before=BEFORE)
    assert error.error_code == "EIM-003"


def test_a_malformed_answer_about_a_transfer_stays_an_error_for_what_is_on_its_way_cannot_be_read():
    simulated = BEFORE.with_parts(in_transit=Transit((Transfer(1, "t", "wallet", "USDT", Decimal(9)),)))
    error = Bench(MalformedAnswer("nonsense", {}), reads=[BEFORE]).fails(ComponentError, before=BEFORE, simulated=simulated)
    assert error.error_code == "EIM-003"


def test_a_malformed_answer_survives_being_sent_to_another_process():
    copy = pickle.loads(pickle.dumps(MalformedAnswer("nonsense", {"orderId": 71})))
    assert (str(copy), copy.fault, copy.raw, copy.args) == ("nonsense", "nonsense", {"orderId": 71}, ("nonsense", {"orderId": 71}))


def test_the_gateway_is_handed_the_instruction_and_its_key():
    given = []

    class Told(FakeGateway):
        def submit(self, instruction, key):
            given.append((instruction, key))
            return super().submit(instruction, key)

    bench = Bench()
    bench.live = LiveExecution(
        Told([FILL]), "binance", "cex", breaker=CircuitBreaker("binance", failures=3, monotonic=lambda: 0.0), timing=bench.time.timing
    )
    bench.execute()
    assert given == [(BUY, "k1")]


# Whatever happens.

SUBMITS = st.lists(st.sampled_from([FILL, lost(FILL), hangs(FILL), REFUSED, REJECTED, LOST, ValueError("?"), None]), max_size=8)


@given(submits=SUBMITS, tries=st.integers(1, 4))
def test_whatever_the_venue_does_a_key_is_executed_at_most_once_until_it_is_reported(submits, tries):
    bench = Bench(*submits, *[FILL] * 12)
    for _ in range(tries):
        try:
            bench.execute()
        except ComponentError:
            continue
        break
    assert bench.gateway.executed in ([], ["k1"])


# Settings.


def test_a_live_execution_takes_its_settings_from_the_config():
    config = {"strategy_mode": "blocks", "share_class": "usdt_stable", "initial_capital": 1000, "venues": {"cex": ["binance"]}}
    config |= {"max_retry_attempts": 2, "retry_delay_seconds": 0.5, "venue_timeout": 4, "max_retries_per_venue": 1}
    time = FakeTime()
    gateway = FakeGateway([REFUSED, REFUSED])
    live = LiveExecution.configured(gateway, "binance", "cex", load_config(config), time.timing)
    context = Context(NOON, "k1", State(checked=False), DictSnapshot(NOON, {}))
    with pytest.raises(VenueUnreachable, match="nothing was sent in 2 attempts"):
        live.execute(BUY, context, Moved(SIMULATED, EXPECTED))
    assert (time.slept, live.breaker.is_open) == ([0.5], True)
    time.now_s += 60
    gateway = FakeGateway([hangs(FILL)], finds=[None] * 5)
    live = LiveExecution.configured(gateway, "binance", "cex", load_config(config), time.timing)
    with pytest.raises(OutcomeUnknown, match="did not answer within 4 s"):
        live.execute(BUY, context, Moved(SIMULATED, EXPECTED))
