"""Error Handling: a backtest fails at once; live tries three times where nothing was sent."""

from __future__ import annotations

import pytest

from ..simulated_live_run import REFUSED
from ..world import refused
from .examples import NOON, TRADE, Logged, Prices, manager
from .test_error_codes import live


def test_a_backtest_fails_fast_and_hands_the_failure_down():
    prices = Prices(ETH=None)
    error = refused(manager(prices).update_state, NOON, "execution_manager", TRADE)
    assert (error.error_code, len(prices.asked)) == ("DAT-001", 1)


def test_the_failure_is_visible_at_once(tmp_path):
    logged = Logged(tmp_path, "live")
    refused(logged.manager.route_instruction, NOON, {**TRADE, "amount": -1})
    assert logged.types() == ["error", "instruction_routing_failed"]
    assert logged.manager.get_routing_status()["instructions_failed"] == 1


@pytest.mark.parametrize("failures", [0, 1, 2])
def test_live_waits_a_tenth_of_a_second_and_twice_as_long_each_time(failures, live_run):
    made, _, found = live(live_run, *[REFUSED] * failures)
    assert found.route_instruction(NOON, TRADE) == TRADE["estimated_deltas"]
    assert made.time.slept == [0.1, 0.2][:failures]


def test_live_gives_up_after_three_attempts_and_hands_the_failure_down(live_run):
    _, binance, found = live(live_run, *[REFUSED] * 3)
    error = refused(found.route_instruction, NOON, TRADE)
    assert (len(binance.calls), found.instructions_failed) == (3, 1)
    assert error.message == "connection refused; nothing was sent in 3 attempts"
