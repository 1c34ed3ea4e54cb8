"""The deadline of one call: what it has open is cut off, and what it does later is refused."""

from __future__ import annotations

import pytest

from basis_strategy_v1.core.deadline import Deadline, DeadlinePassed, current_deadline, set_deadline


class Line:
    """Something that a call has open."""

    def __init__(self):
        self.done = []

    def cut(self):
        self.done.append("cut")

    def release(self):
        self.done.append("released")


@pytest.fixture
def now():
    return [100.0]


@pytest.fixture
def deadline(now):
    return Deadline(2, lambda: now[0])


def test_the_time_that_is_left(deadline, now):
    assert deadline.require_time() == 2
    now[0] = 101.5
    assert deadline.require_time() == 0.5
    now[0] = 102.0
    with pytest.raises(DeadlinePassed, match=r"^not done after 2 s$"):
        deadline.require_time()


def test_the_end_cuts_what_is_open_and_lets_go_of_it(deadline):
    lines = [Line(), Line()]
    for line in lines:
        deadline.opened(line)
    assert deadline.expire() == 2
    assert [line.done for line in lines] == [["cut", "released"]] * 2
    assert deadline.expire() == 0


def test_after_the_end_nothing_is_opened_or_sent(deadline):
    line = Line()
    assert deadline.expire() == 0
    with pytest.raises(DeadlinePassed):
        deadline.opened(line)
    with pytest.raises(DeadlinePassed):
        deadline.sending()
    with pytest.raises(DeadlinePassed):
        deadline.require_time()
    assert (line.done, deadline.has_sent) == (["cut", "released"], False)


def test_a_call_that_ends_by_itself_lets_go_of_what_it_had_open_and_cuts_nothing(deadline):
    line = Line()
    deadline.opened(line)
    deadline.sending()
    assert (deadline.finish(), line.done, deadline.has_sent) == (True, ["released"], True)


def test_a_call_that_was_ended_did_not_end_by_itself(deadline):
    deadline.expire()
    assert deadline.finish() is False


def test_a_call_under_no_deadline_has_none(deadline):
    assert current_deadline() is None
    set_deadline(deadline)
    assert current_deadline() is deadline
    set_deadline(None)
    assert current_deadline() is None
