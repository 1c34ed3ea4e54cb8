"""Long ETH and short its perp while the funding is worth it, else flat.

basis backtest config/custom.yaml --data build/sample
"""

PAYMENTS_A_YEAR = 3 * 365
DUST = 0.001  # ETH


class FundingCarry:
    def decide(self, snapshot, positions, parameters):
        """Called at every tick; the blocks that it returns are checked together, then sent in order."""
        venue = parameters["venue"]
        trade = {"instruction_type": "cex_trade", "venue": venue, "symbol": "ETHUSDT"}
        apr = snapshot.funding(venue, "ETHUSDT") * PAYMENTS_A_YEAR
        spot, short = positions.amount(venue, "ETH"), -positions.amount(venue, "ETHUSDT-PERP")
        if spot > DUST and (apr < parameters["leave_below"] or not short):
            sell = {**trade, "trade_type": "spot", "side": "sell", "amount": spot}
            buy = {**trade, "trade_type": "perp", "side": "buy", "amount": short, "reduce_only": True}
            return [sell, buy] if short else [sell]  # no short: it was liquidated
        if not short and apr > parameters["enter_above"]:  # half buys ETH, half is the margin of the short
            amount = round(positions.amount(venue, "USDT") / 2 / snapshot.spot(venue, "ETHUSDT"), 2)
            return [{**trade, "trade_type": kind, "side": side, "amount": amount} for kind, side in (("spot", "buy"), ("perp", "sell"))]
        return []

    def needs(self, parameters):
        return [(kind, parameters["venue"], "ETHUSDT") for kind in ("spot", "perp", "funding")]
