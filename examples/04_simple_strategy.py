"""Half ETH, half USDT: traded back to that when it is off by more than `tolerance_bps`. The simple form, which remembers nothing.

basis backtest config/custom_simple.yaml --data build/sample
"""


class ConstantMix:
    def decide(self, snapshot, positions, parameters):
        """Called at every step; returns the blocks."""
        price, usdt = snapshot.spot("bybit", "ETHUSDT"), positions.amount("bybit", "USDT")
        eth = positions.amount("bybit", "ETH")
        amount = round((usdt / price - eth) / 2, 2)
        if abs(amount) <= parameters["tolerance_bps"] * (usdt / price + eth) / 10_000:
            return []
        side = "buy" if amount > 0 else "sell"
        trade = {"instruction_type": "cex_trade", "venue": "bybit", "trade_type": "spot", "symbol": "ETHUSDT"}
        return [{**trade, "side": side, "amount": abs(amount)}]

    def needs(self, parameters):
        return [("spot", "bybit", "ETHUSDT")]
