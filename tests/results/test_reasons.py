"""P&L by reason adds up, fills are read from the log, and what a strategy waited for is counted."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.results.fills import TradeRow, fills_in
from basis_strategy_v1.results.reasons import Waited, by_reason, waited

HOUR = 3_600_000_000
UNIT = 10**12


def line(**data: Any) -> bytes:
    event = {"timestamp": "1970-01-01T02:00:00Z", "event_type": "execution", "component": "M", "data": data, "sequence": 1}
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"


def trade(**more: Any) -> bytes:
    data = {
        "key": "k", "venue": "bybit", "instruction_type": "cex_trade", "action": "buy", "deltas": {}, "reference": "r",
        "costs": [{"source": "fees", "token": "ETH", "amount": "0.01"}, {"source": "slippage", "token": "USDT", "amount": "1"}],
        "details": {"filled": "2", "price": "3000"}, "symbol": "ETHUSDC", "trade_type": "spot", "amount": "2.0001",
    }  # fmt: skip
    return line(**{**data, **more})


def worth(at: str, token: str) -> Decimal:
    if token == "NOBODY":
        raise ComponentError("DAT-001", "no price")
    return {"ETH": Decimal(3000), "USDT": Decimal(1), "USDC": Decimal("0.99")}[token]


def test_a_trade_is_a_fill_with_its_notional_and_fee_in_the_currency() -> None:
    [fill] = fills_in([b"{}\n", trade(reason="low: buy", tag='a,"b"')], worth)
    assert fill == TradeRow(
        "1970-01-01T02:00:00Z", "bybit", "spot", "ETHUSDC", "buy", "2", "3000", 5940 * UNIT, 30 * UNIT, "low: buy", 'a,"b"', "k"
    )
    assert fill.row() == '1970-01-01T02:00:00Z,bybit,spot,ETHUSDC,buy,2,3000,5940,30,low: buy,"a,""b""",k\n'
    assert '"execution"' in trade().decode() and list(fills_in([trade()[:-9]], worth)) == []


def test_what_is_done_on_chain_is_a_fill_of_what_it_took() -> None:
    common = {"key": "k", "venue": "wallet", "instruction_type": "smart_contract_action", "costs": [], "reference": "r", "details": {}}
    swap = line(**common, action="swap", token="ETH", deltas={"wallet": {"ETH": "-2", "USDT": "5990"}})
    chain = line(**common, action="chain", deltas={"wallet": {"WETH": "1", "NOBODY": "-3"}})
    claim = line(**common, action="claim", deltas={})
    found = list(fills_in([swap, chain, claim], worth))
    assert [(fill.action, fill.symbol, fill.amount, fill.notional) for fill in found] == [
        ("swap", "ETH", "2", 6000 * UNIT), ("chain", "NOBODY", "3", 0), ("claim", "", "", 0),
    ]  # fmt: skip


def fill_at(hour: int, reason: str, tag: str = "") -> TradeRow:
    return TradeRow(f"1970-01-01T{hour:02}:00:00Z", "bybit", "spot", "ETHUSDT", "buy", "1", "1", 10 * UNIT, UNIT, reason, tag, "k")


def test_the_profit_of_a_rule_is_what_came_from_before_its_orders_until_the_next() -> None:
    instants, equities = [hour * HOUR for hour in range(1, 7)], [99, 98, 105, 104, 110, 111]
    fills = [fill_at(2, "mean 5 % > 3 %: enter"), fill_at(2, "other"), fill_at(4, "", "mine"), fill_at(6, "")]
    rows = by_reason(fills, 100, instants, equities)
    assert [(row["reason"], row["orders"], row["notional"], row["fee"], row["pnl"]) for row in rows] == [
        ("enter", 1, "10", "1", "0.000000000006"),
        ("other", 1, "10", "1", "0"),
        ("mine", 1, "10", "1", "0.000000000005"),
        ("no reason given", 1, "10", "1", "0.000000000001"),
    ]
    assert by_reason([], 100, instants, equities) == []
    assert by_reason([fill_at(1, "a: enter")], 100, instants[:1], [99])[0]["pnl"] == "-0.000000000001"


def test_conditions_that_are_not_met_are_counted_with_how_near_they_came() -> None:
    looks = [Waited("rate >= x", Decimal(part) / 10, Decimal("0.9")) for part in (1, 5, 3)]
    assert waited([*looks, Waited("capital", None, None)], 5) == [
        {"condition": "rate >= x", "times": 3, "of": 5, "bound": "0.9", "nearest": "0.5"},
        {"condition": "capital", "times": 1, "of": 5},
    ]
