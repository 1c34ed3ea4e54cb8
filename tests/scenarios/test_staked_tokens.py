"""A staked token that is only held: its redemption rate is income, the price of ether is not."""

from __future__ import annotations

import itertools
from decimal import Decimal
from pathlib import Path
from typing import Any

from .conftest import RunOnce
from .running import day, moment, series
from .test_time import blocks_config

HELD = Decimal(20)


def config(folder: Path, **changes: Any) -> dict[str, Any]:
    venues = {"onchain": {"wallet": {"gas_price_gwei": 0}, "lido": {}}, "cex": ["bybit"]}
    return blocks_config(
        folder, [], initial_positions={"wallet": {"wstETH": "20"}}, venues=venues, end="2024-06-11", interval="8h", **changes
    )


def rates(market: Path) -> dict[str, Decimal]:
    return {row["timestamp"]: Decimal(row["eth_per_token"]) for row in series(market, "staking/lido/wstETH")}


def test_in_ether_the_profit_is_the_growth_of_the_redemption_rate(run_once: RunOnce, market_data: Path, tmp_path: Path) -> None:
    ran = run_once(config(tmp_path, share_class="eth_directional"))
    by_day = rates(market_data)
    then, now = by_day["2024-06-01T00:00:00Z"], by_day["2024-06-11T00:00:00Z"]
    assert Decimal(ran.summary["initial_equity"]) == (HELD * then).quantize(Decimal("1e-12"))
    assert Decimal(ran.summary["final_equity"]) == (HELD * now).quantize(Decimal("1e-12"))
    earned = {source: amount for source, amount in ran.summary["attribution"].items() if amount != "0"}
    assert earned == {"staking": ran.summary["pnl"]}


def test_in_dollars_each_rate_is_booked_at_its_own_time_and_price(run_once: RunOnce, market_data: Path, tmp_path: Path) -> None:
    ran = run_once(config(tmp_path))
    closes = {moment(bar["timestamp"]): Decimal(bar["close"]) for bar in series(market_data, "ohlcv/bybit/spot/ETHUSDT_1h")}
    by_day = {moment(at): rate for at, rate in rates(market_data).items() if day("2024-06-01") <= moment(at) <= day("2024-06-11")}
    times = sorted(by_day)
    expected = sum(
        (HELD * (by_day[now] - by_day[then]) * close_before(closes, now)).quantize(Decimal("1e-12"))
        for then, now in itertools.pairwise(times)
    )
    assert Decimal(ran.summary["attribution"]["staking"]) == expected
    parts = {source for source, amount in ran.summary["attribution"].items() if amount != "0"}
    assert parts == {"staking", "spot_price"}


def close_before(closes: dict[Any, Decimal], at: Any) -> Decimal:
    """The close of the last bar that has closed."""
    return closes[max(opened for opened in closes if opened < at)]


def test_the_equity_at_market_takes_the_price_at_which_the_token_trades(run_once: RunOnce, market_data: Path, tmp_path: Path) -> None:
    ran = run_once(config(tmp_path, share_class="eth_directional"))
    traded = [row for row in series(market_data, "dex/uniswap_v3/wstETH_WETH") if row["timestamp"] < "2024-06-11T00:00:00Z"][-1]
    worth = Decimal(ran.summary["final_equity_at_market"])
    assert abs(worth - HELD * Decimal(traded["eth_per_token"])) <= Decimal("2e-12")
    assert worth != Decimal(ran.summary["final_equity"])


def test_a_staked_token_that_comes_from_an_exchange_is_no_income(run_once: RunOnce, tmp_path: Path) -> None:
    moved = {"instruction_type": "wallet_transfer", "from_venue": "bybit", "to_venue": "wallet", "token": "stETH", "amount": "5"}
    venues = {
        "onchain": {"wallet": {"gas_price_gwei": 0}, "lido": {}},
        "cex": {"bybit": {"withdrawal": {"stETH": {"minutes": 60}}}},
    }
    blocks = [("2024-06-01T02:00:00Z", moved)]
    made = blocks_config(
        tmp_path,
        blocks,
        initial_positions={"bybit": {"stETH": "5"}},
        venues=venues,
        end="2024-06-01T08:00:00Z",
        share_class="eth_directional",
    )
    summary = run_once(made).summary
    assert abs(Decimal(summary["pnl"])) < Decimal("0.001")
    assert abs(Decimal(summary["attribution"]["staking"])) < Decimal("0.001")
