"""Only one thread works on a key at a time: the others wait, or leave it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from basis_strategy_v1.execution.connection import KeysInHand

PATIENCE_S = 5


@pytest.fixture
def keys():
    return KeysInHand()


def test_a_key_that_is_looked_up_is_not_sent_before_that_has_ended(keys):
    waits, order = Event(), []

    def send():
        waits.set()
        with keys.held("k1"):
            order.append("sent")

    with ThreadPoolExecutor(1) as pool:
        with keys.held_if_free("k1") as is_free:
            sending = pool.submit(send)
            assert waits.wait(PATIENCE_S)
            with pytest.raises(TimeoutError):
                sending.result(0.02)
            order.append("looked up")
        sending.result(PATIENCE_S)
    assert (is_free, order) == (True, ["looked up", "sent"])


def test_who_leaves_a_key_that_is_in_hand_does_not_let_go_of_it(keys):
    with keys.held("k1"):
        for _ in range(2):
            with keys.held_if_free("k1") as is_free:
                assert is_free is False
    with keys.held_if_free("k1") as is_free:
        assert is_free is True


def test_another_key_is_free(keys):
    with keys.held("k1"), keys.held("k2"), keys.held_if_free("k3") as is_free:
        assert is_free is True


@pytest.mark.parametrize("hold", ["held", "held_if_free"])
def test_a_key_is_let_go_when_the_work_on_it_fails(keys, hold):
    with pytest.raises(KeyError), getattr(keys, hold)("k1"):
        raise KeyError
    with keys.held_if_free("k1") as is_free:
        assert is_free is True
