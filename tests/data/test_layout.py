from __future__ import annotations

from datetime import timedelta

import pytest

from basis_strategy_v1.core.clock import DAY_US, HOUR_US
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.data.layout import Key, SeriesSpec, by_key, duration_us, render_duration, spec_of


def spec(series_id: str) -> SeriesSpec:
    found = spec_of(series_id)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("series_id", "key", "interval_us", "header"),
    [
        ("ohlcv/bybit/perp/ETHUSDT_1m", Key("perp", "bybit", "ETHUSDT"), HOUR_US // 60, "timestamp,open,high,low,close,volume"),
        ("ohlcv/uniswap_v3/spot/WETHUSDT_1d", Key("spot", "uniswap", "WETHUSDT"), DAY_US, "timestamp,open,high,low,close,volume"),
        ("funding/okx/BTCUSDT", Key("funding", "okx", "BTCUSDT"), 0, "timestamp,funding_rate"),
        ("lending/aave_v3/USDT", Key("lending", "aave", "USDT"), 0, "timestamp,block,liquidity_index,liquidity_rate,"
         "variable_borrow_index,variable_borrow_rate,total_supplied,total_borrowed,oracle_price_usd"),
        ("staking/lido/wstETH", Key("staking", "lido", "wstETH"), 0, "timestamp,eth_per_token"),
        ("dex/curve/weETH_WETH", Key("dex", "curve", "weETH_WETH"), HOUR_US, "timestamp,eth_per_token"),
        ("dex/uniswap_v3/WETH_USDC_500.state", Key("pool", "uniswap", "WETH_USDC_500"), 0, "timestamp,block,token0,token1,"
         "decimals0,decimals1,fee_pips,tick_spacing,sqrt_price_x96,tick,liquidity,ticks"),
        ("dex/curve/3pool.state", Key("pool", "curve", "3pool"), 0, "timestamp,block,coins,decimals,kind,balances,amplification,fee,"
         "admin_fee,offpeg_fee_multiplier,rates"),
        ("lending/morpho/wstETH_WETH", Key("market", "morpho", "wstETH_WETH"), 0, "timestamp,block,total_supply_assets,total_supply_shares,"
         "total_borrow_assets,total_borrow_shares,last_update,fee,rate_at_target,lltv,oracle_price"),
        ("gas/ethereum", Key("gas", "ethereum", "ethereum"), 0, "timestamp,block,base_fee_gwei,priority_fee_gwei"),
    ],
)  # fmt: skip
def test_a_path_says_what_the_series_is(series_id: str, key: Key, interval_us: int, header: str) -> None:
    found = spec(series_id)
    assert (found.key, found.interval_us, found.header) == (key, interval_us, header)


@pytest.mark.parametrize(
    "series_id",
    [
        "ohlcv/bybit/perp/ETHUSDT_7h",
        "ohlcv/bybit/future/ETHUSDT_1h",
        "funding/ETHUSDT",
        "dex/sushi/weETH_WETH.state",
        "lending/morpho/x",
        "x",
    ],
)
def test_other_paths_are_no_series(series_id: str) -> None:
    assert spec_of(series_id) is None


def test_bars_of_one_symbol_are_kept_together_the_finest_first() -> None:
    specs = [spec(f"ohlcv/bybit/perp/ETHUSDT_{interval}") for interval in ("1d", "1m", "1h")]
    assert by_key(specs) == {Key("perp", "bybit", "ETHUSDT"): [specs[1], specs[2], specs[0]]}


def test_two_folders_of_one_venue_may_not_say_the_same_thing() -> None:
    with pytest.raises(ComponentError) as raised:
        by_key([spec("lending/aave/USDT"), spec("lending/aave_v3/USDT")])
    assert str(raised.value) == "DAT-006: lending/aave/USDT and lending/aave_v3/USDT are the same series of aave; keep one of them"


def test_durations_are_a_number_and_a_unit() -> None:
    values = ["36h", "30d", "90m", "15s", timedelta(minutes=1)]
    assert [duration_us(value) for value in values] == [36 * HOUR_US, 30 * DAY_US, 90 * HOUR_US // 60, 15_000_000, 60_000_000]


@pytest.mark.parametrize("value", ["36", "h", "-1h", "0h", "1.5h", "1w", 36, None, timedelta(0), timedelta(hours=-1)])
def test_anything_else_is_no_duration(value: object) -> None:
    with pytest.raises(ComponentError) as raised:
        duration_us(value)
    assert raised.value.error_code == "CFG-001"
    assert raised.value.message == (f"data.max_staleness: {value!r} is no duration; write a number above 0 and s, m, h or d, such as 36h")


def test_durations_are_shown_in_the_largest_unit_that_fits() -> None:
    values = [36 * HOUR_US, DAY_US, 30 * DAY_US, 90 * HOUR_US // 60, 1_500_000]
    assert [render_duration(value) for value in values] == ["36h", "24h", "30d", "90m", "1.5s"]
