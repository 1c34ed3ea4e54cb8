"""Own size on recorded markets: small capitals do not feel it, large ones pay for it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from .conftest import RunOnce
from .running import basis_config

D = Decimal


def loop(capital: int, **aave: Any) -> dict[str, Any]:
    return {
        "strategy_mode": "eth_leveraged", "share_class": "eth_directional", "initial_capital": capital, "start": "2024-06-01",
        "end": "2024-07-15", "interval": "6h", "strategy": {"protocol": "lido", "lender": "aave", "target_ltv": 0.9, "flash": True},
        "venues": {"dex": ["uniswap"], "onchain": {"aave": aave, "lido": {}, "wallet": {"gas_price_gwei": 0}}},
    }  # fmt: skip


def returned(run_once: RunOnce, config: dict[str, Any]) -> Decimal:
    summary = run_once(config).summary
    return D(summary["pnl"]) / D(summary["initial_equity"])


def test_a_loop_of_ten_thousand_ether_pays_for_what_it_borrows_and_one_of_a_hundred_hardly(run_once: RunOnce) -> None:
    small, large = (returned(run_once, loop(capital, rate_impact=False)) - returned(run_once, loop(capital)) for capital in (100, 10_000))
    assert abs(small) < D("0.001")
    assert large > 5 * abs(small) and large > D("0.002")


@pytest.mark.parametrize("capital", [10_000, 3_000_000])
def test_orders_pay_the_square_root_of_their_size(run_once: RunOnce, capital: int) -> None:
    """300 times the capital, and so about 17 times the slippage a unit of notional beyond the constant part."""
    config = basis_config(initial_capital=capital, end="2024-06-20")
    summary = run_once(config).summary
    constant = run_once({**config, "venues": {"cex": {"bybit": {"impact": {"model": "none"}}}}}).summary
    paid, without = (abs(D(found["attribution"]["slippage"])) / capital for found in (summary, constant))
    assert paid > without
    assert summary["instructions_failed"] == 0
