"""Cash between two exchanges: a transfer pays for itself, whatever the market does."""

from __future__ import annotations

import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from .conftest import RunOnce
from .random_market import RandomMarket
from .running import Ran, Row, basis_config, run

# Of what a transfer keeps, or makes possible, its fee is at most this share; and all fees of a run of this share of the capital.
FEE_SHARE = Decimal("0.02")
SMALLEST_ORDER = 200  # quote; a lot of BTC, and what an order is above it


def transfers(ran: Ran) -> list[tuple[Row, Decimal, Decimal]]:
    """(event, USDT that left, fee) of each transfer between the exchanges."""
    found = []
    for row in ran.events("execution"):
        fees = [Decimal(cost["amount"]) for cost in row.data["costs"] if cost["source"] == "transfers" and cost["token"] == "USDT"]
        if fees:
            sent = -min(Decimal(tokens["USDT"]) for tokens in row.data["deltas"].values() if "USDT" in tokens)
            found.append((row, sent, fees[0]))
    return found


def two_exchanges(mode: str, spot: str, perp: str, **more: Any) -> dict[str, Any]:
    strategy = {"spot_venue": spot, "perp_venue": perp, **more.pop("strategy", {})}
    venues: dict[str, Any] = {"cex": {name: {"withdrawal": "default"} for name in (spot, perp)}}
    if mode == "usdt_market_neutral":
        strategy["protocol"] = "lido"
        venues |= {"dex": {"uniswap": {}}, "onchain": {"lido": {}, "wallet": {"gas_price_gwei": "market"}}}
    return {
        "strategy_mode": mode, "share_class": "usdt_stable", "start": "2024-06-01", "end": "2024-06-21", "interval": "1h",
        "strategy": strategy, "venues": venues, "data": {"missing_funding": "zero"}, **more,
    }  # fmt: skip


@given(
    seed=st.integers(0, 2**32),
    mode=st.sampled_from(["eth_basis", "btc_basis", "usdt_market_neutral"]),
    venues=st.permutations(["binance", "bybit"]),
    capital=st.sampled_from([500, 1_000, 2_000, 5_000, 20_000, 100_000]),
    leverage=st.sampled_from(["0.5", "1", "2", "3", "5", "10"]),
    threshold=st.sampled_from([10, 50, 100, 500, 1500]),
    volatility=st.sampled_from([0.002, 0.006, 0.015]),
)
def test_the_fees_are_a_small_share_of_what_the_transfers_protect(
    seed: int, mode: str, venues: list[str], capital: int, leverage: str, threshold: int, volatility: float
) -> None:
    rules = {"leverage": leverage, "rebalance_threshold_bps": threshold}
    config = two_exchanges(mode, *venues, strategy=rules, initial_capital=capital, gas_reserve_eth="0.01")
    with tempfile.TemporaryDirectory() as folder:
        ran = run(config, RandomMarket(seed, volatility=volatility).write(Path(folder, "data")), Path(folder))
        moved = transfers(ran)
    for _, sent, fee in moved:
        assert fee <= FEE_SHARE * (sent * max(Decimal(leverage), Decimal(1)) + SMALLEST_ORDER)
    assert sum(fee for _, _, fee in moved) <= FEE_SHARE * capital


@pytest.mark.parametrize(
    ("capital", "leverage", "threshold"), [(1_000, 1, 50), (2_000, 3, 100), (5_000, 1, 50), (5_000, 3, 50), (20_000, 3, 50)]
)
def test_in_two_months_of_a_real_market_the_fees_are_less_than_the_funding_that_comes_in(
    run_once: RunOnce, capital: int, leverage: int, threshold: int
) -> None:
    config = basis_config(
        "btc_basis",
        strategy_spot_venue="binance",
        strategy_leverage=leverage,
        strategy_rebalance_threshold_bps=threshold,
        venues={"cex": {name: {"withdrawal": "default"} for name in ("binance", "bybit")}},
        initial_capital=capital,
        end="2024-07-31",
    )
    attribution = run_once(config).summary["attribution"]
    assert -Decimal(attribution["transfers"]) <= Decimal(attribution["funding"]) / 5
