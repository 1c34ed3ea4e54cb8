"""A call with a deadline."""

from __future__ import annotations

import decimal
import os
from decimal import Decimal
from threading import Event, current_thread

import pytest

from basis_strategy_v1.core.deadline import current_deadline
from basis_strategy_v1.core.error_codes.exceptions import VenueRejected, VenueUnreachable
from basis_strategy_v1.execution import timing
from basis_strategy_v1.execution.timing import within


def test_it_gives_what_the_call_gives():
    assert within(5, lambda: "filled") == "filled"


def test_it_gives_none_where_the_call_gives_none():
    assert within(5, lambda: None) is None


def test_the_thread_of_a_call_is_named():
    assert within(5, lambda: current_thread().name) == "venue-call"


def test_it_raises_the_very_error_that_the_call_raises():
    error = ValueError("no")

    def call():
        raise error

    with pytest.raises(ValueError) as raised:
        within(5, call)
    assert raised.value is error


def test_a_call_that_is_too_late_is_a_timeout_and_goes_on_to_its_end_unheard():
    answered, ended = Event(), Event()

    def call():
        answered.wait(5)
        ended.set()

    with pytest.raises(TimeoutError, match=r"^not done after 0\.001 s$"):
        within(0.001, call)
    assert not ended.is_set()
    answered.set()
    assert ended.wait(5)


def test_a_late_call_keeps_no_program_from_ending():
    assert within(5, lambda: current_thread().daemon) is True


def test_amounts_are_as_exact_in_the_call_as_outside():
    with decimal.localcontext(prec=60):
        third = Decimal(1) / 3
        assert within(5, lambda: Decimal(1) / 3) == third


class Line:
    """Something that a call has open, and that ends the call when it is cut."""

    def __init__(self):
        self.is_cut = Event()
        self.is_released = Event()

    def cut(self):
        self.is_cut.set()

    def release(self):
        self.is_released.set()


def waits_on(line, then):
    def call():
        current_deadline().opened(line)
        assert line.is_cut.wait(5)
        return then()

    return call


def raises(error):
    raise error


def test_what_a_call_has_open_is_cut_off_at_the_end():
    line = Line()
    with pytest.raises(TimeoutError, match=r"^not done after 0\.001 s$"):
        within(0.001, waits_on(line, lambda: "made from half an answer"))
    assert line.is_released.is_set()


def test_a_call_that_is_cut_off_before_it_sent_anything_says_so():
    unreachable = VenueUnreachable("CEX-002", "no connection")
    with pytest.raises(VenueUnreachable) as raised:
        within(0.001, waits_on(Line(), lambda: raises(unreachable)))
    assert raised.value is unreachable


def test_any_other_end_of_a_call_that_was_cut_off_is_a_timeout():
    with pytest.raises(TimeoutError):
        within(0.001, waits_on(Line(), lambda: raises(VenueRejected("CEX-001", "half an answer"))))


def test_what_a_call_had_open_is_let_go_at_its_end_and_not_cut():
    line = Line()
    assert within(5, lambda: current_deadline().opened(line)) is None
    assert (line.is_released.is_set(), line.is_cut.is_set()) == (True, False)


def test_an_interruption_of_the_caller_cuts_the_call_off(monkeypatch):
    line, opened = Line(), Event()

    def interrupted(self, timeout_s):
        opened.wait(5)
        raise KeyboardInterrupt

    def call():
        current_deadline().opened(line)
        opened.set()
        line.is_cut.wait(5)

    monkeypatch.setattr(timing._Call, "end", interrupted)
    with pytest.raises(KeyboardInterrupt):
        within(5, call)
    assert line.is_cut.is_set()


def test_calls_one_after_another_share_a_thread_and_one_that_hangs_keeps_its_own():
    first = within(5, current_thread)
    go_on = Event()
    with pytest.raises(TimeoutError):
        within(0.001, lambda: go_on.wait(5))
    later = {within(5, current_thread) for _ in range(20)}
    go_on.set()
    assert (first.is_alive(), len(later) <= 2) == (True, True)


def test_a_call_works_in_a_forked_process():
    within(5, lambda: None)
    child = os.fork()
    if not child:
        os._exit(within(5, lambda: 7))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
