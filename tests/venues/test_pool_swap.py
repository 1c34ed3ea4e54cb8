"""Swaps through the state of a pool: from data, from price and depth, and through a chain."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueRejected
from basis_strategy_v1.core.market import DictSnapshot, MissingData
from basis_strategy_v1.core.state import State, Wallet
from basis_strategy_v1.data.data_provider import DataProvider
from basis_strategy_v1.data.importing import import_to_database
from basis_strategy_v1.venues import curve_pool, uniswap_data
from basis_strategy_v1.venues.curve_pool import StableSwapPool, exchange, rate_of
from basis_strategy_v1.venues.pool_swap import BY_DEPTH, BY_STATE, MovedPools
from basis_strategy_v1.venues.uniswap_pool import PoolState, add_position, exact_input_single, sqrt_price_at, tick_at
from basis_strategy_v1.venues.venue import SimulationResult

from ..world import AT, action, chain, costs_usd, exactly, holding, iso, run, value, venues, write_bars

D = Decimal
ETHER = 10**18
HOUR = timedelta(hours=1)
FREE_GAS = {"wallet": {"gas_price_gwei": 0}}
ALL = venues(FREE_GAS)
HELD = {"WETH": 10_000, "USDC": 50_000_000, "weETH": 5_000, "USDT": 50_000_000, "ETH": 10}


def weth_usdc(price: int = 3_000, fee_pips: int = 500, liquidity: int = 10**19) -> PoolState:
    """USDC is token0, as on chain: about `price` USDC per WETH, two ranges around it."""
    sqrt_price = uniswap_data.sqrt_price_of(round(D(1) / price, 12), 6, 18)  # whatever the context rounds to
    tick = tick_at(sqrt_price)
    spacing = {500: 10, 3000: 60}[fee_pips]
    middle = tick // spacing * spacing
    pool = PoolState(sqrt_price, tick, 0, fee_pips, spacing, ())
    pool = add_position(pool, middle - 100 * spacing, middle + 100 * spacing, liquidity)
    return add_position(pool, middle - 5 * spacing, middle + 5 * spacing, liquidity)


def uniswap_row(pool: PoolState) -> dict[str, str]:
    return uniswap_data.row_of_pool(uniswap_data.UniswapPoolRow(("USDC", 6), ("WETH", 18), pool))


def weeth_weth(rate: int = 105 * 10**16) -> StableSwapPool:
    return StableSwapPool((4_000 * ETHER, 5_000 * ETHER), 500 * 100, 4_000_000, 5 * 10**9, (rate, rate_of(18)), "ng", 2 * 10**10)


def curve_row(pool: StableSwapPool) -> dict[str, str]:
    return curve_pool.row_of_pool(curve_pool.CurvePoolRow((("weETH", 18), ("WETH", 18)), pool))


def data(uniswap: Any = None, curve: Any = None) -> dict[str, Any]:
    """Prices and the states of pools, as `get_data` gives them."""
    return {
        "market_data": {"prices": {"ETH": 3000.0, "USDT": 1.0, "USDC": 1.0, "DAI": 1.0}},
        "protocol_data": {
            "uniswap": {"pools": uniswap or {}},
            "curve": {"pools": curve or {}, "weETH_WETH": "1.05"},
            "etherfi": {"weETH": {"eth_per_token": "1.05"}},
        },
    }


def market(uniswap: Any = None, curve: Any = None, at: Any = AT) -> DictSnapshot:
    return DictSnapshot(at, data(uniswap, curve))


POOLS = {"WETH_USDC_500": uniswap_row(weth_usdc())}
MARKET = market(POOLS, {"weETH_WETH": curve_row(weeth_weth())})


def swapped(block: dict[str, Any], at_market: Any = MARKET, all_venues: Any = ALL, state: State | None = None) -> SimulationResult:
    return run(block, all_venues, state or holding(all_venues, at_market, wallet=HELD), at_market)


def sell(amount: Any, token: str = "WETH", out: str = "USDC", protocol: str = "uniswap", **fields: Any) -> dict[str, Any]:
    return action(protocol, "swap", token, amount, token_out=out, **fields)


def refused(block: dict[str, Any], at_market: Any = MARKET, all_venues: Any = ALL) -> str:
    """Why a block is refused; nothing has changed by it."""
    state = holding(all_venues, at_market, wallet=HELD)
    before = repr(dict(state.parts))
    with pytest.raises(VenueRejected) as caught:
        run(block, all_venues, state, at_market)
    assert repr(dict(state.parts)) == before
    return caught.value.message


def units(moved: SimulationResult, venue: str, token: str, decimals: int) -> int:
    return int(moved.deltas.get(venue, token).scaleb(decimals))


@exactly
def test_a_swap_on_uniswap_is_what_the_pool_does_to_the_wei() -> None:
    moved = swapped(sell("12.345678901234567891"))
    traded = exact_input_single(weth_usdc(), False, 12_345_678_901_234_567_891)
    assert units(moved, "uniswap", "USDC", 6) == traded.received
    assert moved.deltas.get("uniswap", "WETH") == D("-12.345678901234567891")
    assert moved.state.part("uniswap", MovedPools).states["WETH_USDC_500"][1] == traded.pool
    assert {name: moved.details[name] for name in ("pool", "priced_by")} == {"pool": "WETH_USDC_500", "priced_by": BY_STATE}
    assert abs(D(moved.details["spot_price"]) - 3_000) < D("0.001")


@exactly
def test_a_swap_on_curve_is_what_the_pool_does_to_the_wei() -> None:
    moved = swapped(sell("123.456", "weETH", "WETH", "curve"))
    after, received = exchange(weeth_weth(), 0, 1, 123_456 * 10**15)
    assert units(moved, "curve", "WETH", 18) == received
    assert moved.state.part("curve", MovedPools).states["weETH_WETH"][1] == after
    assert moved.details["priced_by"] == BY_STATE


@exactly
def test_eth_is_what_the_pool_has_as_weth() -> None:
    as_weth, as_eth = swapped(sell(2)), swapped(sell(2, "ETH"))
    assert as_weth.deltas.get("uniswap", "USDC") == as_eth.deltas.get("uniswap", "USDC")


@exactly
@settings(deadline=None, max_examples=60)
@given(st.integers(10**12, 40 * ETHER), st.booleans())
def test_costs_are_the_fee_and_the_rest_and_add_up_to_the_value_lost(wei: int, is_curve: bool) -> None:
    block = sell(D(wei).scaleb(-18), "weETH", "WETH", "curve") if is_curve else sell(D(wei).scaleb(-18))
    state = holding(ALL, MARKET, wallet=HELD)
    moved = swapped(block, state=state)
    lost = value(ALL, state, MARKET) - value(ALL, moved.state, MARKET)
    assert abs(lost - costs_usd(moved.costs, MARKET)) < D("1e-60")
    assert {cost.source for cost in moved.costs} <= {"fees", "slippage"}


@exactly
def test_the_fee_of_uniswap_is_reported_in_the_token_paid_in() -> None:
    fee, slippage = swapped(sell(10)).costs
    assert (fee.source, fee.token, fee.amount) == ("fees", "WETH", D("0.005"))
    assert (slippage.source, slippage.token) == ("slippage", "WETH")
    assert 0 < slippage.amount < D("0.02")


@exactly
def test_the_second_swap_of_a_chain_finds_the_pool_that_the_first_left() -> None:
    twice = swapped(chain(sell(20), sell(20)))
    first = exact_input_single(weth_usdc(), False, 20 * ETHER)
    second = exact_input_single(first.pool, False, 20 * ETHER)
    assert second.received < first.received
    assert units(twice, "uniswap", "USDC", 6) == first.received + second.received
    assert twice.state.part("uniswap", MovedPools).states["WETH_USDC_500"][1] == second.pool


@exactly
def test_there_and_back_costs_the_fees_alone_but_for_rounding() -> None:
    moved = swapped(chain(sell(20), sell({"output_of": 0}, "USDC", "WETH")))
    back = moved.deltas.get("uniswap", "WETH")
    assert D("-0.0201") < back < D("-0.0199")


def write_pool(folder: Path, rows: dict[Any, dict[str, str]], name: str = "WETH_USDC_500") -> None:
    path = folder / "dex" / "uniswap_v3" / f"{name}.state.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = uniswap_data.STATE_COLUMNS
    lines = [
        ",".join(({"timestamp": iso(at), "block": str(number)} | row)[name] for name in columns)
        for number, (at, row) in enumerate(rows.items())
    ]
    path.write_text("\n".join([",".join(columns), *lines]) + "\n")


@pytest.mark.parametrize("mode", ["csv", "db"])
@exactly
def test_the_pool_moved_by_us_stays_until_the_data_have_the_next_row(tmp_path: Path, mode: str) -> None:
    write_bars(tmp_path, "bybit", "spot", "ETHUSDT", [(3000,)] * 4, AT - HOUR)
    write_pool(tmp_path, {AT: uniswap_row(weth_usdc()), AT + 2 * HOUR: uniswap_row(weth_usdc(3_100))})
    if mode == "db":
        import_to_database(tmp_path, tmp_path / "all.duckdb")
        source = DataProvider(database=tmp_path / "all.duckdb")
    else:
        source = DataProvider(tmp_path)
    state = holding(ALL, source.snapshot(AT), wallet=HELD)
    received = []
    for hours in (0, 1, 2):
        moved = swapped(sell(20), source.snapshot(AT + hours * HOUR), state=state)
        state = moved.state
        received.append(units(moved, "uniswap", "USDC", 6))
    first = exact_input_single(weth_usdc(), False, 20 * ETHER)
    second = exact_input_single(first.pool, False, 20 * ETHER)
    third = exact_input_single(weth_usdc(3_100), False, 20 * ETHER)
    assert received == [first.received, second.received, third.received]


def test_before_the_first_row_of_a_pool_the_market_price_counts(tmp_path: Path) -> None:
    write_bars(tmp_path, "bybit", "spot", "ETHUSDT", [(3000,)] * 4, AT - HOUR)
    write_pool(tmp_path, {AT + HOUR: uniswap_row(weth_usdc())})
    assert swapped(sell(1), DataProvider(tmp_path).snapshot(AT)).details["priced_by"] == "market price"


@exactly
def test_the_pool_is_chosen_by_the_fee_named_or_else_the_venues_own() -> None:
    both = market({"A_3000": uniswap_row(weth_usdc(fee_pips=3000)), "B_500": uniswap_row(weth_usdc())})
    assert swapped(sell(1), both).details["pool"] == "B_500"
    assert swapped(sell(1, fee=3000), both).details["pool"] == "A_3000"
    assert swapped(sell(1, pool="A_3000"), both).details["pool"] == "A_3000"
    assert swapped(sell(1, fee=100), both).details["priced_by"] == "market price"
    assert swapped(sell(1), market({"A_3000": uniswap_row(weth_usdc(fee_pips=3000))})).details["pool"] == "A_3000"
    assert swapped(sell(1, "USDT", "WETH"), both).details["priced_by"] == "market price"


@exactly
def test_a_swap_that_names_no_pool_takes_the_first_of_the_settings_that_fits_and_has_data() -> None:
    both = market({"A_3000": uniswap_row(weth_usdc(fee_pips=3000)), "B_500": uniswap_row(weth_usdc())})
    address = "0x" + "ab" * 20
    own = venues({**FREE_GAS, "uniswap": {"pools": dict.fromkeys(("WETH/USDC/100", "A/3000", "B/500"), address)}})
    assert swapped(sell(1), both, own).details["pool"] == "A_3000"
    assert swapped(sell(1, fee=500), both, own).details["pool"] == "B_500"
    assert swapped(sell(1, pool="B_500"), both, own).details["pool"] == "B_500"
    assert swapped(sell(1), market({"B_500": uniswap_row(weth_usdc())}), own).details["pool"] == "B_500"
    assert swapped(sell(1, "USDT", "WETH"), both, own).details["priced_by"] == "market price"
    curve_pools = market(None, {name: curve_row(weeth_weth()) for name in ("one", "two")})
    chosen = venues({**FREE_GAS, "curve": {"pools": {"two": address}}})
    assert swapped(sell(1, "weETH", "WETH", "curve"), curve_pools, chosen).details["pool"] == "two"
    assert swapped(sell(1, "weETH", "WETH", "curve"), curve_pools).details["pool"] == "one"


@exactly
def test_a_pool_whose_last_row_is_too_old_stands_in_the_way_only_where_no_other_fits_or_it_was_chosen(tmp_path: Path) -> None:
    write_bars(tmp_path, "bybit", "spot", "ETHUSDT", [(3000,)] * 60, AT - HOUR)
    write_pool(tmp_path, {AT: uniswap_row(weth_usdc()), AT + 40 * HOUR: uniswap_row(weth_usdc())})
    write_pool(tmp_path, {AT: uniswap_row(weth_usdc())}, "A_500")
    early, late = (DataProvider(tmp_path).snapshot(AT + hours * HOUR) for hours in (0, 41))
    assert swapped(sell(1), early).details["pool"] == "A_500"
    assert swapped(sell(1), late).details["pool"] == "WETH_USDC_500"
    old = "DAT-002: dex/uniswap_v3/A_500.state: the last row visible at 2024-06-02T17:00:00Z is the one stamped 2024-06-01T00:00:00Z"
    preferring, either = (
        venues({**FREE_GAS, "uniswap": {"pools": dict.fromkeys(names, "0x" + "ab" * 20)}})
        for names in (["A/500"], ["A/500", "WETH/USDC/500"])
    )
    assert swapped(sell(1), late, either).details["pool"] == "WETH_USDC_500"
    for block, all_venues in ((sell(1), preferring), (sell(1, pool="A_500"), ALL), (sell(1, "USDT", "WETH"), ALL)):
        with pytest.raises(MissingData, match=old):
            swapped(block, late, all_venues)


def test_a_pool_may_be_named_as_its_pair() -> None:
    assert swapped(sell(1, "weETH", "WETH", "curve", pool="weETH/WETH")).details["pool"] == "weETH_WETH"


@pytest.mark.parametrize("protocol", ["uniswap", "curve"])
@exactly
def test_without_a_state_a_pool_is_built_from_price_and_depth(protocol: str) -> None:
    deep = venues({**FREE_GAS, protocol: {"depth_usd": 5_000_000}})
    small, large = (swapped(sell(amount, "weETH", "WETH", protocol), market(), deep) for amount in ("0.01", 1_000))
    assert small.details["priced_by"] == large.details["priced_by"] == BY_DEPTH
    assert abs(D(small.details["price"]) / D("1.05") - 1) < D("0.0006")
    assert D(large.details["price"]) < D(small.details["price"])
    chained = swapped(chain(*[sell(500, "weETH", "WETH", protocol)] * 2), market(), deep)
    assert abs(chained.deltas.get(protocol, "WETH") - large.deltas.get(protocol, "WETH")) < D("0.1")


@exactly
def test_paying_in_the_depth_moves_the_price_by_two_percent() -> None:
    deep = venues({**FREE_GAS, "uniswap": {"depth_usd": 3_000_000, "fee": 0}})
    moved = swapped(sell(1_000), market(), deep)
    pool = next(iter(moved.state.part("uniswap", MovedPools).states.values()))[1]
    spot = uniswap_data.price_of(pool.sqrt_price_x96, 6, 18)
    assert abs(spot * 3_000 / D("1.02") - 1) < D("1e-6")


# What is refused


def test_beyond_the_pools_liquidity_is_refused_with_what_it_takes() -> None:
    most = exact_input_single(weth_usdc(), False, 10**30)
    assert most.paid < 10_000 * ETHER
    assert refused(sell(10_000)) == (
        f"uniswap swap of 10000 WETH is beyond the pool's liquidity: WETH_USDC_500 takes {D(most.paid).scaleb(-18).normalize():f} WETH "
        f"and gives {D(most.received).scaleb(-6).normalize():f} USDC for it; swap at most that"
    )


def test_an_empty_side_of_a_pool_is_refused() -> None:
    emptied = exact_input_single(weth_usdc(), False, 10**30, sqrt_price_limit=sqrt_price_at(weth_usdc().ticks[-1][0] + 10)).pool
    expected = refused(sell(1), market({"WETH_USDC_500": uniswap_row(emptied)}))
    assert expected == "uniswap swap of 1 WETH through WETH_USDC_500: the pool has no liquidity on this side of its price"


@exactly
def test_less_than_min_amount_out_is_refused_with_both_numbers() -> None:
    received = swapped(sell(1)).deltas.get("uniswap", "USDC")
    assert swapped(sell(1, min_amount_out=received)).deltas.get("uniswap", "USDC") == received
    expected = refused(sell(1, min_amount_out=received + D("0.000001")))
    assert expected == (
        f"uniswap swap of 1 WETH gives {received:f} USDC, below min_amount_out {received + D('0.000001'):f}; swap less or accept less"
    )


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (sell(1, pool="nope"), "uniswap has no pool nope in the data; there are WETH_USDC_500"),
        (sell(1, "weETH", "WETH", pool="WETH_USDC_500"),
         "uniswap pool WETH_USDC_500 is USDC/WETH with a fee of 500 (millionths); the swap is weETH to WETH"),
        (sell(1, pool="WETH_USDC_500", fee=3000),
         "uniswap pool WETH_USDC_500 is USDC/WETH with a fee of 500 (millionths); the swap is WETH to USDC with a fee of 3000"),
        (sell("0.000001", "USDC", "WETH"), "uniswap swap of 0.000001 USDC gives less than one base unit of WETH; swap more"),
        (sell("0.000000000000000001"), "uniswap swap of 0.000000000000000001 WETH gives less than one base unit of USDC; swap more"),
        (sell("0.0000000000000000001"), "0.0000000000000000001 WETH is less than one base unit of it"),
        (sell(20_000), "uniswap swap needs 20000 WETH, wallet holds 10000; use less or move WETH there first"),
        (sell("0.000000000000000001", "WETH", "weETH", "curve"),
         "curve swap of 0.000000000000000001 WETH gives less than one base unit of weETH; swap more"),
        (chain(sell(1), sell(9_999.5)),
         "step 1 (uniswap swap): uniswap swap needs 9999.5 WETH, wallet holds 9999; use less or move WETH there first"),
    ],
)  # fmt: skip
def test_what_cannot_be_swapped_is_refused_and_changes_nothing(block: dict[str, Any], message: str) -> None:
    deep = market({"WETH_USDC_500": uniswap_row(weth_usdc(liquidity=10**24))}, {"weETH_WETH": curve_row(weeth_weth())})
    assert refused(block, deep) == message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"liquidity": "7"}, "the ticks up to"),
        ({"decimals0": "18"}, "USDC has 18 decimals there and 6 everywhere else"),
        ({"ticks": "x"}, "ticks must read tick:liquidity_net"),
    ],
)
def test_a_state_that_cannot_be_is_named(change: dict[str, str], message: str) -> None:
    wrong = market({"WETH_USDC_500": uniswap_row(weth_usdc()) | change})
    with pytest.raises(ComponentError, match=f"DAT-003.*dex/uniswap/WETH_USDC_500.state at 2024-06-01T00:00:00Z: .*{message}"):
        swapped(sell(1), wrong)


def test_a_column_that_is_missing_is_named() -> None:
    row = uniswap_row(weth_usdc())
    del row["ticks"]
    with pytest.raises(ComponentError, match="column ticks is missing"):
        swapped(sell(1), market({"WETH_USDC_500": row}))


def test_a_moved_pool_holds_nothing_of_ours() -> None:
    state = swapped(sell(1)).state
    assert "uniswap" not in state.positions()
    assert ALL["uniswap"].exposures(state, MARKET) == ((), ())
    assert state.part("wallet", Wallet).units_of("WETH") == 9_999 * ETHER


def test_the_whole_band_can_be_crossed_tick_by_tick() -> None:
    pool = weth_usdc()
    lowest, highest = pool.ticks[0][0], pool.ticks[-1][0]
    most = exact_input_single(pool, True, 10**30)
    assert most.pool.liquidity == 0
    assert sqrt_price_at(lowest) >= most.pool.sqrt_price_x96
    assert highest > pool.tick > lowest
