"""The specification's own examples, and a manager to try them with."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from basis_strategy_v1 import EventLogger, ExecutionInterfaceManager

from ..world import AT, FREE, write_bars

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(hours=1)
CONFIG = {
    "strategy_mode": "blocks",
    "share_class": "usdt_stable",
    "initial_capital": 100_000,
    "venues": {
        "cex": {"binance": FREE, "hyperliquid": FREE},
        "dex": {"uniswap": {"slippage_bps": 0, "fee": 500}, "curve": {}},
        "onchain": {"aave": {}, "lido": {}, "etherfi": {}, "wallet": {"gas_price_gwei": 0}},
    },
}
# The three examples of "Instruction Types", as they are written there.
TRANSFER = {
    "instruction_type": "wallet_transfer", "from_venue": "binance", "to_venue": "wallet", "token": "USDT", "amount": 1000.0,
    "estimated_deltas": {"binance": {"USDT": -1000.0}, "wallet": {"USDT": 1000.0}},
}  # fmt: skip
SUPPLY = {
    "instruction_type": "smart_contract_action", "protocol": "aave", "action": "supply", "token": "USDT", "amount": 1000.0,
    "estimated_deltas": {"aave": {"aUSDT": 1000.0, "USDT": -1000.0}},
}  # fmt: skip
TRADE = {
    "instruction_type": "cex_trade", "venue": "binance", "trade_type": "spot", "side": "sell", "symbol": "ETHUSDT", "amount": 1.0,
    "estimated_deltas": {"binance": {"ETH": -1.0, "USDT": 3300.0}},
}  # fmt: skip
EXAMPLES = {"wallet_transfer": TRANSFER, "smart_contract_action": SUPPLY, "cex_trade": TRADE}
SWAP = {
    "instruction_type": "smart_contract_action", "protocol": "uniswap", "action": "swap",
    "token": "WETH", "amount": 1.0, "token_out": "USDT",
}  # fmt: skip
UNKNOWN_TYPE = {**TRADE, "instruction_type": "nft_mint"}
NOT_CONFIGURED = {**TRADE, "venue": "okx"}
FILE = "execution_interface_manager_events.jsonl"


class Prices:
    """Only `market_data.prices`: what the specification asks of a data provider."""

    def __init__(self, **prices: float) -> None:
        self.prices = {"ETH": 3300.0, "BTC": 65_000.0, "USDT": 1.0, "USDC": 1.0, **prices}
        self.asked: list[datetime] = []

    def get_data(self, timestamp: datetime) -> dict[str, Any]:
        self.asked.append(timestamp)
        return {"timestamp": timestamp, "market_data": {"prices": self.prices}}


def manager(data_provider: Any = None, execution_mode: str | None = "backtest", **parts: Any) -> ExecutionInterfaceManager:
    config = {**CONFIG, **parts.pop("config", {})}
    return ExecutionInterfaceManager(config, data_provider or Prices(), execution_mode, **parts)


def data_folder(folder: Path) -> Path:
    """A folder with one series: ETHUSDT at binance, an hour at 3300."""
    write_bars(folder, "binance", "spot", "ETHUSDT", [(3300,)], AT + timedelta(hours=11))
    return folder


class Logged:
    """A manager with a log in a folder; `events()` are what it wrote so far, without its beginning."""

    def __init__(self, folder: Any, execution_mode: str = "backtest", **parts: Any) -> None:
        self.folder = folder
        self.logger = EventLogger(folder, execution_mode)
        self.manager = manager(execution_mode=execution_mode, event_logger=self.logger, **parts)

    def lines(self) -> list[dict[str, Any]]:
        self.logger.flush()
        return [json.loads(line) for line in (self.folder / "events" / FILE).read_text().splitlines()]

    def events(self) -> list[dict[str, Any]]:
        return self.lines()[1:]

    def types(self) -> list[str]:
        return [event["event_type"] for event in self.events()]
