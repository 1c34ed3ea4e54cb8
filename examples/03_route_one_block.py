"""The manager alone, from Python: one block in, what it moved out.

python examples/03_route_one_block.py
"""

from datetime import UTC, datetime

from basis_strategy_v1 import ComponentError, ExecutionInterfaceManager

CONFIG = {
    "strategy_mode": "custom",
    "share_class": "usdt_stable",
    "initial_capital": 10_000,
    "venues": {"cex": {"bybit": {"spot_taker_fee_bps": 10, "slippage_bps": 0}}},
}


class Prices:
    def get_data(self, timestamp):
        return {"timestamp": timestamp, "market_data": {"prices": {"ETH": 3000, "USDT": 1}}}


manager = ExecutionInterfaceManager(CONFIG, Prices(), "backtest", positions={"bybit": {"USDT": 10_000}})
at = datetime(2024, 6, 1, tzinfo=UTC)
buy = {"instruction_type": "cex_trade", "venue": "bybit", "trade_type": "spot", "side": "buy", "symbol": "ETHUSDT", "amount": 2}
print(manager.route_instruction(at, buy))
try:
    manager.route_instruction(at, buy)
except ComponentError as error:
    print(error.error_code, error.message)
