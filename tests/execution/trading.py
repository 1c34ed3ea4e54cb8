"""A market with prices, lending rows, staking rates and gas, and a manager that trades in it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from basis_strategy_v1 import ExecutionInterfaceManager

from .. import world
from ..world import FREE

NOON = datetime(2024, 6, 1, 12, 10, tzinfo=UTC)
VENUES = {
    "cex": {"binance": FREE, "bybit": {**FREE, "withdrawal": {"USDT": {"fee": 1, "minimum": 10, "minutes": 5}}}},
    "dex": {"uniswap": {"slippage_bps": 0}},
    "onchain": {"aave": {}, "lido": {}, "wallet": {"gas_price_gwei": 0}},
}
CONFIG = {"strategy_mode": "blocks", "share_class": "usdt_stable", "initial_capital": 100_000, "venues": VENUES}
WITH_GAS = {**CONFIG, "venues": {**VENUES, "onchain": {**VENUES["onchain"], "wallet": {"gas_price_gwei": 10}}}}
USD = {"USDT": 1.0, "WETH": 3300.0, "wstETH": 3960.0}


class Market:
    """Everything at fixed prices, whatever the time."""

    def __init__(self, **prices: float | None) -> None:
        self.prices = {"ETH": 3300.0, "USDT": 1.0, **prices}
        self.asked = 0

    def get_data(self, timestamp: datetime) -> dict[str, Any]:
        self.asked += 1
        lending = {token: world.still_row(usd, total_supplied=1e7, total_borrowed=1e6) for token, usd in USD.items()}
        protocols = {"aave": lending, "lido": {"wstETH": {"eth_per_token": 1.2}}}
        funding = {name: {"ETHUSDT": 0.0001} for name in ("binance", "bybit")}
        return world.data_at(timestamp, self.prices, protocols, (9.0, 1.0), funding_rates=funding)


def trade(
    side: str = "buy", amount: Any = 1, venue: str = "binance", trade_type: str = "spot", symbol: str = "ETHUSDT", **fields: Any
) -> dict[str, Any]:  # fmt: skip
    return world.trade(venue, side, symbol, amount, trade_type, **fields)


def act(action: str, token: str = "USDT", amount: Any = 1000, protocol: str = "aave", **fields: Any) -> dict[str, Any]:
    return world.action(protocol, action, token, amount, **fields)


def send(from_venue: str, to_venue: str, amount: Any = 100, token: str = "USDT", **fields: Any) -> dict[str, Any]:
    return world.transfer(from_venue, to_venue, token, amount, **fields)


def manager_of(positions: Any = None, config: Any = CONFIG, market: Any = None, **parts: Any) -> ExecutionInterfaceManager:
    mode = parts.pop("execution_mode", "backtest")
    return ExecutionInterfaceManager(config, market or Market(), mode, positions=positions, **parts)


def held(**venues: dict[str, Any]) -> dict[str, dict[str, Decimal]]:
    return {venue: {token: Decimal(str(amount)) for token, amount in tokens.items()} for venue, tokens in venues.items()}
