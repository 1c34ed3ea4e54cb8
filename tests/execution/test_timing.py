"""A call with a deadline."""

from __future__ import annotations

import decimal
from decimal import Decimal
from threading import Event, current_thread

import pytest

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
