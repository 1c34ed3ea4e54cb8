"""Long ETH and short its perp while the funding is worth it, else flat; once liquidated it stays out.

basis backtest config/custom.yaml --data build/sample
"""

HOURS, DUST_ETH = 8, 0.001  # a symbol may pay each 8 hours or each hour: a mean over time is the same


def decide(step, memory):
    """Called at every step. The blocks are checked together, then sent in order; the memory comes back at the next step."""
    venue, held = step.parameters["venue"], step.positions
    trade = {"instruction_type": "cex_trade", "venue": venue, "symbol": "ETHUSDT"}
    apr = step.snapshot.mean_funding(venue, "ETHUSDT", HOURS)
    if apr is None:  # not known yet
        return [], memory
    spot, short = held.amount(venue, "ETH"), -held.amount(venue, "ETHUSDT-PERP")
    is_out = memory == "out" or (memory == "in" and not short)  # a short that was there and is gone was liquidated
    if spot > DUST_ETH and (apr < step.parameters["leave_below"] or not short):
        sell = {**trade, "trade_type": "spot", "side": "sell", "amount": spot}
        buy = {**trade, "trade_type": "perp", "side": "buy", "amount": short, "reduce_only": True}
        return [sell, buy] if short else [sell], "out" if is_out else None
    if not short and not is_out and apr > step.parameters["enter_above"]:  # half buys ETH, half is the margin of the short
        amount = round(held.amount(venue, "USDT") / 2 / step.snapshot.spot(venue, "ETHUSDT"), 2)
        return [{**trade, "trade_type": kind, "side": side, "amount": amount} for kind, side in (("spot", "buy"), ("perp", "sell"))], "in"
    return [], "out" if is_out else memory


def needs(parameters):
    return [(kind, parameters["venue"], "ETHUSDT") for kind in ("spot", "perp", "funding")]
