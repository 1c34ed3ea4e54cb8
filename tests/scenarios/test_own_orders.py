"""Random configs of every built-in strategy over random markets: no run ends by an order of the strategy's own that is refused."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.core.error_codes.exceptions import ComponentError

from .random_market import RandomMarket
from .running import run

BASE = {"start": "2024-06-01", "end": "2024-06-21", "interval": "1h", "data": {"missing_funding": "zero"}}
WALLET = {"gas_price_gwei": "market"}


@st.composite
def hedges(draw: st.DrawFn) -> dict[str, Any]:
    """A basis trade or a hedged stake, on one exchange or two, with a perp leverage that the exchange may not allow."""
    spot, perp = draw(st.sampled_from([("binance", "bybit"), ("bybit", "binance"), ("bybit", "bybit"), ("binance", "binance")]))
    exchange = draw(st.fixed_dictionaries({}, optional={"withdrawal": st.just("default"), "max_leverage": st.sampled_from([2, 5, 20])}))
    mode = draw(st.sampled_from(["eth_basis", "btc_basis", "usdt_market_neutral"]))
    strategy: dict[str, Any] = {
        "spot_venue": spot,
        "perp_venue": perp,
        "leverage": draw(st.sampled_from(["0.5", "1", "2", "5", "20"])),
        "rebalance_threshold_bps": draw(st.sampled_from([10, 100, 500, 2000])),
        "hedge_tolerance_bps": draw(st.sampled_from([1, 50, 500])),
        "on_margin_shortage": draw(st.sampled_from(["move", "reduce", "ignore"])),
    }
    venues: dict[str, Any] = {"cex": {name: exchange for name in (spot, perp)}}
    if mode == "usdt_market_neutral":
        strategy["protocol"] = "lido"
        strategy |= draw(st.fixed_dictionaries({}, optional={"unstake": st.just("dex"), "leave_at": st.just("2024-06-12")}))
        venues |= {"dex": {"uniswap": {}}, "onchain": {"lido": {}, "wallet": WALLET}}
        if draw(st.booleans()):
            strategy |= {"lender": "aave", "target_ltv": draw(st.sampled_from(["0.3", "0.7", "0.9"])), "flash": draw(st.booleans())}
            venues["onchain"]["aave"] = draw(aaves())
    capital = draw(st.sampled_from([50, 300, 1_000, 5_000, 100_000, 3_000_000]))
    return {"strategy_mode": mode, "share_class": "usdt_stable", "initial_capital": capital, "strategy": strategy, "venues": venues}


def aaves() -> st.SearchStrategy[dict[str, Any]]:
    """Aave as it is, with our size in its rates, or with caps that are nearly reached."""
    caps = {"wstETH": {"supply_cap": 80_060}, "WETH": {"borrow_cap": 80_040}}
    return st.sampled_from([{}, {"rate_impact": True}, {"reserves": caps}])


@st.composite
def stakes(draw: st.DrawFn) -> dict[str, Any]:
    """A stake, or a loop at a lender."""
    strategy: dict[str, Any] = {"protocol": draw(st.sampled_from(["lido", "etherfi"]))}
    strategy |= draw(st.fixed_dictionaries({}, optional={"unstake": st.just("dex"), "leave_at": st.just("2024-06-12")}))
    onchain: dict[str, Any] = {strategy["protocol"]: {}, "wallet": WALLET}
    mode = draw(st.sampled_from(["eth_staking_only", "eth_leveraged"]))
    if mode == "eth_leveraged":
        strategy |= {
            "lender": "aave",
            "target_ltv": draw(st.sampled_from(["0.3", "0.7", "0.9"])),
            "flash": draw(st.booleans()),
            "spread_window_hours": draw(st.sampled_from([24, 72])),
        }
        onchain["aave"] = draw(aaves())
    capital = draw(st.sampled_from(["0.3", "10", "100", "5000"]))
    venues = {"dex": {"uniswap": {}, "curve": {}}, "onchain": onchain}
    return {"strategy_mode": mode, "share_class": "eth_directional", "initial_capital": capital, "strategy": strategy, "venues": venues}


@st.composite
def lent(draw: st.DrawFn) -> dict[str, Any]:
    """A token lent, perhaps of more than a cap allows, and taken back from a pool that may be lent out."""
    token = draw(st.sampled_from(["USDT", "WETH", "wstETH"]))
    caps = draw(st.sampled_from([{}, {"reserves": {token: {"supply_cap": 100_000_060 if token == "USDT" else 100_060}}}]))
    share_class, capital = ("usdt_stable", 100_000) if token == "USDT" else ("eth_directional", 100)
    return {
        "strategy_mode": "pure_lending",
        "share_class": share_class,
        "initial_capital": capital,
        "strategy": {"protocol": "aave", "token": token},
        "venues": {"onchain": {"aave": caps, "wallet": WALLET}},
    }


@given(
    seed=st.integers(0, 2**32),
    config=st.one_of(hedges(), stakes(), lent()),
    reserve=st.sampled_from(["0", "0.01", "0.05", "0.5"]),
    close_at_end=st.booleans(),
    volatility=st.sampled_from([0.002, 0.006, 0.015]),
)
def test_a_run_that_may_begin_comes_to_its_end(
    seed: int, config: dict[str, Any], reserve: str, close_at_end: bool, volatility: float
) -> None:
    whole = {**BASE, **config, "gas_reserve_eth": reserve, "close_at_end": close_at_end}
    with tempfile.TemporaryDirectory() as folder:
        data = RandomMarket(seed, volatility=volatility).write(Path(folder, "data"))
        try:
            run(whole, data, Path(folder))
        except ComponentError as refused:
            assert not any(path.name.startswith(config["strategy_mode"]) for path in Path(folder, "results").glob("*")), str(refused)
