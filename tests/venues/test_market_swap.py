"""Swaps at a DEX by its market price."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueRejected
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.market import DictSnapshot, StaleSeries
from basis_strategy_v1.core.state import State

from ..world import AT, action, exactly, holding, provider, run, venues, write_bars, write_staking

D = Decimal
FREE_GAS = {"wallet": {"gas_price_gwei": 0}}
EXACT_PRICE = {**FREE_GAS, "uniswap": {"fee": 0, "slippage_bps": 0}, "curve": {"fee": 0, "slippage_bps": 0}}


def market(**pairs: Any) -> DictSnapshot:
    rates = {"weETH": {"eth_per_token": "1.05"}, "wstETH": {"eth_per_token": "1.2"}}
    data = {
        "market_data": {"prices": {"ETH": 2000.0, "USDT": 1.0, "BTC": 60000.0}},
        "protocol_data": {"uniswap": pairs, "curve": {}, "etherfi": rates, "lido": rates},
    }
    return DictSnapshot(AT, data)


def swapped(token: str, amount: Any, out: str, at_market: DictSnapshot, settings: Any = EXACT_PRICE, **fields: Any) -> Any:
    all_venues = venues(settings)
    state = holding(all_venues, at_market, wallet={token: 1_000})
    return run(action(fields.pop("protocol", "uniswap"), "swap", token, amount, token_out=out, **fields), all_venues, state, at_market)


@pytest.mark.parametrize(
    ("token", "amount", "out", "received"),
    [
        ("weETH", 10, "WETH", "10.4"), ("weETH", 10, "ETH", "10.4"), ("WETH", "10.4", "weETH", "10"), ("ETH", "10.4", "weETH", "10"),
        ("USDT", 1000, "WETH", "0.5"), ("WBTC", 1, "ETH", "30"), ("wstETH", 10, "stETH", "11.999999999999999999"),
    ],
)  # fmt: skip
@exactly
def test_a_swap_is_at_the_pairs_price_either_way_or_at_the_tokens_values(token, amount, out, received):
    moved = swapped(token, amount, out, market(weETH_WETH="1.04"))
    expected = D(received)
    assert abs(moved.deltas.get("uniswap", out) - expected) <= D("1e-18")
    assert moved.deltas.get("uniswap", token) == -D(str(amount))
    assert moved.details["priced_by"] == "market price"


@exactly
def test_fee_and_slippage_are_taken_and_reported_apart():
    moved = swapped("USDT", 1000, "WETH", market(), FREE_GAS)
    assert moved.deltas == Deltas.at("uniswap", {"USDT": D(-1000), "WETH": D("0.499700025")})
    assert moved.costs == (Cost("fees", "USDT", D("0.5")), Cost("slippage", "USDT", D("0.09995")))


def test_the_instruction_may_name_its_own_fee_tier():
    moved = swapped("USDT", 1000, "WETH", market(), fee=3000)
    assert (moved.costs[0].source, moved.costs[0].amount) == ("fees", D(3))


def test_settings_set_fee_and_slippage():
    assert swapped("USDT", 1000, "WETH", market(), {**FREE_GAS, "curve": {"fee": 10_000}}, protocol="curve").costs[0].amount == 10


@exactly
def test_a_swap_below_min_amount_out_is_refused_with_both_numbers():
    swapped("USDT", 1000, "WETH", market(), min_amount_out="0.5")
    with pytest.raises(VenueRejected) as caught:
        swapped("USDT", 1000, "WETH", market(), min_amount_out="0.500000000000000001")
    assert caught.value.message == (
        "uniswap swap of 1000 USDT gives 0.5 WETH, below min_amount_out 0.500000000000000001; swap less or accept less"
    )


@pytest.mark.parametrize(
    ("token", "amount", "out", "message"),
    [
        ("ETH", 1, "ETH", "uniswap swap: token_out must differ from token, got ETH and ETH; "),
        ("ETH", 1, "WETH", "uniswap swap: token_out must differ from token, got ETH and WETH; "),
        ("USDT", 2_000, "ETH", "uniswap swap needs 2000 USDT, wallet holds 1000; use less or move USDT there first"),
        ("WETH", "1e-18", "WBTC", "uniswap swap of 0.000000000000000001 WETH gives less than one base unit of WBTC; swap more"),
    ],
)
def test_what_cannot_be_swapped_is_refused(token, amount, out, message):
    with pytest.raises(VenueRejected) as caught:
        swapped(token, amount, out, market())
    assert caught.value.message.startswith(message)


def test_a_token_without_a_price_is_an_error_that_names_it():
    with pytest.raises(ComponentError, match="no price of DOGE"):
        swapped("DOGE", 1, "ETH", market())


def test_no_swap_is_made_at_a_stale_price(tmp_path):
    write_bars(tmp_path, "bybit", "spot", "ETHUSDT", [(2000,)] * 40)
    write_staking(tmp_path, "etherfi", "weETH", {AT: "1.05"})
    path = tmp_path / "dex" / "uniswap" / "weETH_WETH.csv"
    path.parent.mkdir(parents=True)
    path.write_text("timestamp,eth_per_token\n2024-06-01T00:00:00Z,1.04\n2024-06-01T01:00:00Z,1.03\n")
    data = provider(tmp_path)
    all_venues = venues(EXACT_PRICE)
    fresh, stale = (data.snapshot(AT + timedelta(hours=hour)) for hour in (2, 20))
    state = holding(all_venues, fresh, wallet={"weETH": 10})
    block = action("uniswap", "swap", "weETH", 10, token_out="WETH")
    assert run(block, all_venues, state, fresh).deltas.get("uniswap", "WETH") == D("10.3")
    with pytest.raises(StaleSeries, match="weETH_WETH"):
        run(block, all_venues, state, stale)


@exactly
def test_a_rebasing_token_that_is_bought_does_not_grow_by_being_held():
    all_venues = venues(EXACT_PRICE)
    state = holding(all_venues, market(), wallet={"WETH": 10})
    moved = run(action("curve", "swap", "WETH", 10, token_out="stETH"), all_venues, state, market())
    held = moved.state.positions()["wallet"]["stETH"]
    assert moved.deltas.get("curve", "stETH") == held
    assert 10 - D("1e-17") <= held <= 10
    assert all_venues["wallet"].update_to(moved.state, market()) == (moved.state, ())


def test_a_dex_holds_nothing_and_waits_for_nothing():
    for name in ("uniswap", "curve"):
        venue = venues()[name]
        assert venue.exposures(State(), market()) == ((), ())
        assert venue.next_due(State(), market(), 2**62) is None
        assert venue.update_to(State(), market())[1] == ()


def test_where_no_balances_are_known_a_swap_passes():
    moved = run(action("uniswap", "swap", "USDT", 100, token_out="stETH"), venues(EXACT_PRICE), State(checked=False), market())
    assert moved.deltas == Deltas.at("uniswap", {"USDT": D(-100), "stETH": D("0.05")})


def test_all_is_what_the_wallet_holds():
    moved = swapped("weETH", "all", "WETH", market(weETH_WETH="1.04"))
    assert moved.deltas.get("uniswap", "WETH") == 1040
