"""A generated market of a few days with the states of two DEX pools and of two Morpho markets, and a user's blocks to trade in it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from basis_strategy_v1.core.state_rows import CURVE_POOL, MORPHO_MARKET, UNISWAP_POOL
from basis_strategy_v1.venues import curve_pool, uniswap_data
from basis_strategy_v1.venues.curve_pool import StableSwapPool, rate_of
from basis_strategy_v1.venues.morpho_market import Market
from basis_strategy_v1.venues.uniswap_pool import PoolState, add_position, tick_at

from ..world import BARS, YEAR_S, action, iso, morpho_texts, write_series, write_staking, write_states
from .running import HOUR, day

D = Decimal
ETHER, USD = 10**18, 10**6
START, END = day("2024-06-01"), day("2024-06-04")
STAKED = "wstETH/WETH"
DOLLARS = "wstETH/USDC"
DAY = timedelta(days=1)
GAS_GWEI = 8


class MarketRow(NamedTuple):
    """A market as others left it, and the oracle's price."""

    market: Market
    price: int


def close(hour: int) -> Decimal:
    """USDT for an ether: the close of the bar that closes `hour` hours after the start."""
    return D(3_000) + (37 * hour) % 101 - 50 + D(hour) / 8


PRICES = {START + hour * HOUR: close(hour) for hour in range(73)}
RATES = {START: D("1.170123456789012345"), START + DAY: D("1.170234567890123456"), START + 2 * DAY: D("1.170345678901234567")}


def _weth_usdc(price: int) -> PoolState:
    """USDC is token0: two ranges around the price."""
    sqrt_price = uniswap_data.sqrt_price_of(D(1) / price, 6, 18)
    middle = tick_at(sqrt_price) // 10 * 10
    pool = PoolState(sqrt_price, tick_at(sqrt_price), 0, 500, 10, ())
    pool = add_position(pool, middle - 1_000, middle + 1_000, 3 * 10**18)
    return add_position(pool, middle - 50, middle + 50, 10**18)


def _wsteth_weth(rate: Decimal, weth: int) -> StableSwapPool:
    rates = (int(rate * ETHER), rate_of(18))
    return StableSwapPool((4_000 * ETHER, weth * ETHER), 500 * 100, 4_000_000, 5 * 10**9, rates, "ng", 2 * 10**10)


def _market(at: datetime, unit: int, growth: int, *, lltv: int, fee: int, rate_percent: int) -> Market:
    """60,000 lent and 52,000 borrowed, and `growth` base units of interest since the beginning."""
    return Market(
        lltv_wad=lltv, last_update_s=int(at.timestamp()) - 40, total_supply_assets=60_000 * unit + growth + 7,
        total_supply_shares=58_000 * unit * 10**6 + 11, total_borrow_assets=52_000 * unit + growth + 5,
        total_borrow_shares=50_000 * unit * 10**6 + 3, fee_wad=fee, rate_at_target_wad=rate_percent * 10**16 // YEAR_S,
    )  # fmt: skip


UNISWAP = {START: _weth_usdc(2_950), START + DAY: _weth_usdc(3_010), START + 2 * DAY: _weth_usdc(2_990)}
CURVE = {START - HOUR: _wsteth_weth(RATES[START], 5_000), START + 30 * HOUR + HOUR / 3: _wsteth_weth(RATES[START + DAY], 4_800)}
# The second row of the first market comes between two steps.
MORPHO: dict[str, dict[datetime, MarketRow]] = {
    STAKED: {
        at: MarketRow(_market(at, ETHER, grown * 10**15, lltv=945 * 10**15, fee=0, rate_percent=3), int(RATES[START] * 10**36))
        for at, grown in ((START, 0), (START + 11.5 * HOUR, 2_500), (START + DAY, 5_100), (START + 2 * DAY, 9_900))
    },
    DOLLARS: {
        at: MarketRow(_market(at, USD, grown, lltv=86 * 10**16, fee=10**17, rate_percent=9), 3_450 * 10**24)
        for at, grown in ((START, 0), (START + 1.25 * DAY, 19_000_000))
    },
}
FILES = {STAKED: "wstETH_WETH", DOLLARS: "wstETH_USDC"}


def write_market(folder: Path) -> Path:
    """The data folder, in the layout of docs/data.md."""
    bars = [f"{iso(at - HOUR)},{price},{price},{price},{price},1" for at, price in PRICES.items()]
    write_series(folder, "ohlcv/bybit/spot/ETHUSDT_1h", BARS, bars)
    write_staking(folder, "lido", "wstETH", RATES)
    pools = {at: uniswap_data.row_of_pool(uniswap_data.UniswapPoolRow(("USDC", 6), ("WETH", 18), pool)) for at, pool in UNISWAP.items()}
    write_states(folder, "dex/uniswap_v3/WETH_USDC_500.state", UNISWAP_POOL, pools)
    coins = (("wstETH", 18), ("WETH", 18))
    stable = {at: curve_pool.row_of_pool(curve_pool.CurvePoolRow(coins, pool)) for at, pool in CURVE.items()}
    write_states(folder, "dex/curve/wstETH_WETH.state", CURVE_POOL, stable)
    for name, rows in MORPHO.items():
        write_morpho(folder, name, rows)
    return folder


def write_morpho(folder: Path, name: str, rows: dict[datetime, MarketRow]) -> None:
    write_states(
        folder, f"lending/morpho/{FILES[name]}", MORPHO_MARKET, {at: morpho_texts(row.market, row.price) for at, row in rows.items()}
    )


# The user's blocks


LOOP = {
    "instruction_type": "smart_contract_action",
    "atomic": True,
    "sub_instructions": [
        action("uniswap", "swap", "USDC", "15000.5", token_out="WETH"),
        action("morpho", "flash_loan", "WETH", "130", sub_instructions=[
            action("curve", "swap", "WETH", "70.000000000000000001", token_out="wstETH"),
            action("lido", "stake", "WETH", "60", token_out="wstETH"),
            action("morpho", "supply_collateral", "wstETH", {"output_of": 0}, market=STAKED),
            action("morpho", "supply_collateral", "wstETH", {"output_of": 1, "fraction": "0.999"}, market=STAKED),
            action("morpho", "borrow", "WETH", "125.5", market=STAKED),
        ]),
        action("morpho", "repay", "WETH", {"output_of": 0, "fraction": "0.5"}, market=STAKED),
    ],
}  # fmt: skip
HELD = {"ETH": D(2), "WETH": D(300), "wstETH": D(150), "USDC": D(40_000)}
BLOCKS: list[tuple[datetime, dict[str, Any]]] = [
    (START + 3 * HOUR, action("uniswap", "swap", "WETH", "20", token_out="USDC")),
    (START + 3 * HOUR + HOUR / 3, action("uniswap", "swap", "WETH", "10.000000000000000001", token_out="USDC")),
    (START + 6 * HOUR, action("curve", "swap", "WETH", "50", token_out="wstETH", pool="wstETH/WETH")),
    (START + 6 * HOUR, action("curve", "swap", "wstETH", "12.345678901234567891", token_out="WETH")),
    (START + 7.5 * HOUR, action("morpho", "supply_collateral", "wstETH", "100", market=STAKED)),
    (START + 7.5 * HOUR, action("morpho", "borrow", "WETH", "60.5", market=STAKED)),
    (START + 9 * HOUR, action("morpho", "supply", "USDC", "30000", market=DOLLARS)),
    (START + DAY + 5 * HOUR, action("uniswap", "swap", "WETH", "5", token_out="USDC", fee=500)),
    (START + DAY + 5.25 * HOUR, LOOP),
    (START + 2 * DAY + 5.75 * HOUR, action("morpho", "repay", "WETH", "20", market=STAKED)),
    (START + 2 * DAY + 10 * HOUR, action("morpho", "withdraw", "USDC", "12345.678901", market=DOLLARS)),
    (START + 2 * DAY + 11 * HOUR, action("morpho", "withdraw", "USDC", "all", market=DOLLARS)),
    (START + 2 * DAY + 12 * HOUR, action("morpho", "repay", "WETH", "all", market=STAKED)),
    (START + 2 * DAY + 12 * HOUR, action("morpho", "withdraw_collateral", "wstETH", "70", market=STAKED)),
]


def config(folder: Path, blocks: list[tuple[datetime, dict[str, Any]]] = BLOCKS, **changes: Any) -> dict[str, Any]:
    """A run of the blocks, hour by hour, with gas at a price of its own."""
    file = folder / "blocks.jsonl"
    file.write_text("".join(json.dumps({"timestamp": iso(at), "block": block}) + "\n" for at, block in blocks))
    return {
        "strategy_mode": "blocks",
        "share_class": "usdt_stable",
        "initial_capital": 1_500_000,
        "start": iso(START),
        "end": iso(END),
        "interval": "1h",
        "initial_positions": {"wallet": {token: str(amount) for token, amount in HELD.items()}},
        "strategy": {"file": str(file)},
        "venues": {
            "dex": {"uniswap": {}, "curve": {}},
            "onchain": {"morpho": {}, "lido": {}, "wallet": {"gas_price_gwei": GAS_GWEI}},
        },
        **changes,
    }
