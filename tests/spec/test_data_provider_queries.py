"""Data Provider Queries: get_data(timestamp), its market_data.prices, and nothing from anywhere else."""

from __future__ import annotations

import pytest

from ..world import refused
from .examples import EXAMPLES, LATER, NOON, TRADE, Prices, manager


@pytest.mark.parametrize("name", EXAMPLES)
def test_prices_alone_are_enough_for_the_examples(name):
    assert manager().route_instruction(NOON, EXAMPLES[name]) == EXAMPLES[name]["estimated_deltas"]


def test_the_provider_is_asked_for_the_routings_own_time():
    prices = Prices()
    found = manager(prices)
    found.route_instruction(NOON, TRADE)
    found.update_state(LATER, "manual", TRADE)
    assert prices.asked == [NOON, LATER]


def test_the_price_of_the_trade_is_the_providers():
    assert manager(Prices(ETH=2000.0)).route_instruction(NOON, TRADE) == {"binance": {"ETH": -1.0, "USDT": 2000.0}}


@pytest.mark.parametrize("price", [None, 0.0, -1.0, float("nan"), float("inf"), "many"])
def test_a_price_that_is_missing_or_none_is_an_error_and_never_a_silent_zero(price):
    error = refused(manager(Prices(ETH=price)).route_instruction, NOON, TRADE)
    assert (error.error_code, "ETH" in error.message) == ("DAT-001", True)


def test_without_a_provider_the_error_says_what_to_give():
    found = manager()
    found.account.source.data_provider = None
    assert (
        refused(found.route_instruction, NOON, TRADE).message == "no data provider was given; hand the manager one with get_data(timestamp)"
    )
