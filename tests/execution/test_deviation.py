"""An outcome may be worse than its estimate by so many basis points, and no more."""

from __future__ import annotations

import pytest

from basis_strategy_v1 import ComponentError

from ..world import chain, refused
from .trading import CONFIG, NOON, Market, act, manager_of, trade


def limits(block, market=None, **venues):
    """The message that refuses a block, or None."""
    manager = manager_of(config={**CONFIG, **venues}, market=market)
    try:
        manager.route_instruction(NOON, block)
    except ComponentError as error:
        return error.message
    return None


def estimated(block, deltas, bps):
    return {**block, "estimated_deltas": deltas, "max_deviation_bps": bps}


BUY = {"binance": {"ETH": 1, "USDT": -3300}}
PERP = {"binance": {"ETHUSDT-PERP": -1}}
SLIPPERY = {"venues": {"cex": {"binance": {"spot_taker_fee_bps": 0, "perp_taker_fee_bps": 0, "slippage_bps": 10}}}}


def test_an_outcome_as_estimated_is_done():
    assert limits(estimated(trade(), BUY, 0)) is None


def test_a_better_one_is_done():
    assert limits(estimated(trade(), {"binance": {"ETH": 1, "USDT": -3400}}, 0)) is None


def test_a_worse_one_is_refused_with_both_figures():
    expected = "the simulated outcome is 9.99 bps of the notional worse than estimated_deltas, max_deviation_bps is 5"
    assert limits(estimated(trade(), BUY, 5), **SLIPPERY) == f"{expected}; estimate again or allow more"
    assert limits(estimated(trade(), BUY, 10), **SLIPPERY) is None


def test_slippage_of_a_perp_counts_though_its_deltas_show_none():
    perp = trade("sell", 1, trade_type="perp")
    assert limits(estimated(perp, PERP, 5), **SLIPPERY).startswith("the simulated outcome is 10 bps")
    assert limits(estimated(perp, PERP, 10), **SLIPPERY) is None


def test_a_perp_that_is_smaller_than_estimated_is_short_of_what_is_missing():
    half = trade("sell", "0.5", trade_type="perp")
    assert limits(estimated(half, PERP, 100)).startswith("the simulated outcome is 5000 bps")


def test_without_an_estimate_there_is_nothing_to_compare_with():
    block = {**trade(), "max_deviation_bps": 5}
    assert limits(block) == "max_deviation_bps needs estimated_deltas to compare with; add them or leave it out"


def test_an_estimate_without_a_limit_binds_nobody():
    assert limits({**trade(), "estimated_deltas": {"binance": {"ETH": 100}}}) is None


def test_an_outcome_without_any_value_deviates_by_nothing():
    assert limits(estimated(chain(act("supply"), act("withdraw")), {"aave": {}}, 0)) is None


VALUED = {
    "a deposit is worth its token": (act("supply"), {"aave": {"USDT": -1000, "aUSDT": 1000}}),
    "a deposit of a staked token too": (act("supply", "wstETH", 1), {"aave": {"wstETH": -1, "awstETH": 1}}),
    "a debt costs its token": (act("borrow"), {"aave": {"USDT": 1000, "variableDebtUSDT": 1000}}),
    "what waits in a queue is worth its token": (act("unstake", "stETH", 1, "lido"), {"lido": {"stETH": -1, "ETH-QUEUED": 1}}),
}


@pytest.mark.parametrize(("block", "deltas"), VALUED.values(), ids=VALUED)
def test_every_kind_of_delta_is_valued(block, deltas):
    assert limits(estimated(block, deltas, 0)) is None


@pytest.mark.parametrize(
    "deltas", [{"morpho:wstETH/WETH:supply": 1}, {"morpho:wstETH/WETH:collateral": 1}, {"morpho:wstETH/WETH:debt": -1}]
)
def test_what_is_in_a_market_of_morpho_is_worth_its_tokens(deltas):
    # None of it comes: all that was estimated is missing, and it is worth a hundred times the trade.
    assert limits(estimated(trade(amount="0.01"), {"morpho": deltas}, 0)).startswith("the simulated outcome is 10000 bps")


# What is estimated, and how many bps of the larger side of it do not come.
SHORT = {
    "a supply at morpho": (trade(), {"binance": {"ETH": 1, "USDT": -3300}, "morpho": {"morpho:wstETH/WETH:supply": 1}}, "5000"),
    "a collateral at morpho": (trade(), {"binance": {"ETH": 1, "USDT": -3300}, "morpho": {"morpho:wstETH/WETH:collateral": 1}}, "5454.55"),
    "a debt at morpho": (trade(), {"binance": {"ETH": 1, "USDT": -3300}, "morpho": {"morpho:wstETH/WETH:debt": -1}}, "5000"),
    "a debt in one of two markets of a pair": (
        trade(), {"binance": {"ETH": 1, "USDT": -3300}, "morpho": {"morpho:wstETH/WETH/945:debt": -1}}, "5000"),
    "a debt at aave": (act("borrow"), {"aave": {"USDT": 1000, "variableDebtUSDT": 900}}, "1000"),
    "a deposit of weETH": (trade(), {"binance": {"ETH": 1, "USDT": -3300}, "aave": {"aweETH": 1}}, "5074.63"),
    "less than a dollar": (act("supply", amount="0.5"), {"aave": {"USDT": -0.5, "aUSDT": 0.6}}, "1666.67"),
    "two perps": (trade("sell", 1, trade_type="perp"), {"binance": {"ETHUSDT-PERP": -2, "BTCUSDT-PERP": -1}}, "9166.67"),
    "a third decimal": (trade(), {"binance": {"ETH": 1, "USDT": -3299}}, "3.03"),
}  # fmt: skip


@pytest.mark.parametrize(("block", "deltas", "bps"), SHORT.values(), ids=SHORT)
def test_what_is_missing_is_worth_what_its_token_is_worth(block, deltas, bps):
    expected = f"the simulated outcome is {bps} bps of the notional worse than estimated_deltas, max_deviation_bps is 0"
    assert limits(estimated(block, deltas, 0), Market(BTC=33_000.0, weETH=3400.0)) == f"{expected}; estimate again or allow more"


def test_slippage_is_valued_at_the_price_of_the_token_that_it_is_in():
    perp = estimated(trade("sell", 1, trade_type="perp"), PERP, 0)
    assert limits(perp, Market(USDT=0.5), **SLIPPERY).startswith("the simulated outcome is 5 bps")


def test_what_is_no_side_of_a_market_has_no_price():
    error = refused(manager_of(market=Market()).route_instruction, NOON, estimated(trade(), {"morpho": {"morpho:wstETH/WETH": 1}}, 5))
    assert (error.error_code, error.message.partition(" at ")[0]) == ("DAT-001", "no price of morpho:wstETH/WETH")


def test_a_price_that_is_missing_is_an_error():
    block = estimated(trade(), {"binance": {"DOGE": 1}}, 5)
    assert refused(manager_of(market=Market()).route_instruction, NOON, block).error_code == "DAT-001"
