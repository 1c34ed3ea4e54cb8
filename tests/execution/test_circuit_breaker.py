"""When a venue is left alone, and when it is tried again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from basis_strategy_v1.core.error_codes.exceptions import ComponentError, OutcomeUnknown, VenueRejected, VenueUnreachable
from basis_strategy_v1.execution.circuit_breaker import CircuitBreaker

from .scripted_gateway import StillTime

UNREACHABLE = VenueUnreachable("CEX-002", "connection refused")
UNKNOWN = OutcomeUnknown("CEX-003", "the connection was lost")
REJECTED = VenueRejected("CEX-001", "balance too small")
MALFORMED = ComponentError("EIM-003", "nonsense")


@pytest.fixture
def time():
    return StillTime()


@pytest.fixture
def breaker(time):
    return CircuitBreaker("binance", failures=3, monotonic=time.timing.monotonic)


def pass_through(breaker, error=None):
    """One instruction: `done`, or the code and message with which it ended."""
    try:
        with breaker.guard():
            if error is not None:
                raise error
    except ComponentError as raised:
        return f"{raised.error_code}: {raised.message}"
    return "done"


def open_it(breaker):
    for _ in range(3):
        pass_through(breaker, UNREACHABLE)


def refused(way_out, failures="3 failures", last="connection refused"):
    return f"EIM-002: binance is unavailable after {failures} in a row, {way_out}; not sent (the last failure: {last})"


IN_A_MINUTE = "to be tried again in 60.0 s"


def test_two_failures_in_a_row_of_three_allowed_change_nothing(breaker):
    assert [pass_through(breaker, UNREACHABLE), pass_through(breaker, UNKNOWN)] == [
        "CEX-002: connection refused",
        "CEX-003: the connection was lost",
    ]
    assert (breaker.is_open, pass_through(breaker)) == (False, "done")


@pytest.mark.parametrize("error", [UNREACHABLE, UNKNOWN])
def test_the_third_failure_in_a_row_makes_the_venue_unavailable(breaker, error):
    for _ in range(3):
        pass_through(breaker, error)
    assert (breaker.is_open, pass_through(breaker)) == (True, refused(IN_A_MINUTE, last=error.message))


def test_one_failure_is_enough_where_one_is_allowed(time):
    breaker = CircuitBreaker("binance", failures=1, monotonic=time.timing.monotonic)
    pass_through(breaker, UNREACHABLE)
    assert pass_through(breaker) == refused(IN_A_MINUTE, "1 failure")


def test_two_failures_are_more_than_one(time):
    breaker = CircuitBreaker("binance", failures=2, monotonic=time.timing.monotonic)
    for _ in range(2):
        pass_through(breaker, UNREACHABLE)
    assert pass_through(breaker) == refused(IN_A_MINUTE, "2 failures")


@pytest.mark.parametrize("answer", [None, REJECTED, MALFORMED])
def test_an_answer_between_failures_begins_the_count_again(breaker, answer):
    for error in (UNREACHABLE, UNREACHABLE, answer, UNREACHABLE, UNREACHABLE):
        pass_through(breaker, error)
    assert (breaker.is_open, pass_through(breaker)) == (False, "done")


def test_rejections_never_make_a_venue_unavailable(breaker):
    for _ in range(10):
        pass_through(breaker, REJECTED)
    assert (breaker.is_open, pass_through(breaker)) == (False, "done")


def test_what_is_refused_counts_as_no_failure_and_does_not_prolong_the_pause(breaker, time):
    open_it(breaker)
    time.now_s += 59.5
    assert [pass_through(breaker), pass_through(breaker)] == [refused("to be tried again in 0.5 s")] * 2
    time.now_s += 0.5
    assert pass_through(breaker) == "done"


def test_a_probe_that_is_answered_makes_the_venue_available_again(breaker, time):
    open_it(breaker)
    time.now_s += 60
    assert (pass_through(breaker, REJECTED), breaker.is_open) == ("CEX-001: balance too small", False)
    assert [pass_through(breaker, UNREACHABLE), pass_through(breaker)] == ["CEX-002: connection refused", "done"]


def test_a_probe_that_fails_leaves_the_venue_alone_for_another_minute(breaker, time):
    open_it(breaker)
    time.now_s += 60
    pass_through(breaker, UNKNOWN)
    assert pass_through(breaker) == refused(IN_A_MINUTE, "4 failures", "the connection was lost")
    time.now_s += 60
    assert pass_through(breaker) == "done"


def test_only_one_instruction_at_a_time_is_the_probe(breaker, time):
    open_it(breaker)
    time.now_s += 60
    with breaker.guard():
        second = pass_through(breaker)
    assert second == refused("and one instruction is trying it right now")
    assert pass_through(breaker) == "done"


def test_a_probe_that_is_interrupted_leaves_the_place_to_the_next(breaker, time):
    open_it(breaker)
    time.now_s += 60
    with pytest.raises(KeyboardInterrupt), breaker.guard():
        raise KeyboardInterrupt
    assert (breaker.is_open, pass_through(breaker), breaker.is_open) == (True, "done", False)


def test_of_many_threads_at_the_end_of_the_pause_one_passes(breaker, time):
    open_it(breaker)
    time.now_s += 60
    together, all_tried = Barrier(8), Barrier(8)

    def attempt(_):
        together.wait(5)
        try:
            with breaker.guard():
                all_tried.wait(5)
                return "probe"
        except ComponentError as error:
            all_tried.wait(5)
            return error.error_code

    with ThreadPoolExecutor(8) as pool:
        ended = sorted(pool.map(attempt, range(8)))
    assert ended == ["EIM-002"] * 7 + ["probe"]


def test_failures_of_many_threads_are_all_counted(time):
    breaker = CircuitBreaker("binance", failures=4_000, monotonic=time.timing.monotonic)

    def fail(_):
        for _ in range(1_000):
            pass_through(breaker, UNREACHABLE)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(fail, range(4)))
    assert pass_through(breaker) == refused(IN_A_MINUTE, "4000 failures")
