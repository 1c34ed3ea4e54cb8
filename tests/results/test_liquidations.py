"""What was liquidated, as the event log has it."""

from __future__ import annotations

import json
from typing import Any

from basis_strategy_v1.results.liquidations import liquidations_in


def line(event_type: str, data: dict[str, Any]) -> bytes:
    event = {"timestamp": "2024-11-06T04:00:00Z", "event_type": event_type, "component": "X", "data": data, "sequence": 1}
    return json.dumps(event, separators=(",", ":")).encode() + b"\n"


PERP = {
    "kind": "liquidation",
    "venue": "binance",
    "deltas": {"binance": {"ETHUSDT-PERP": "385.060", "USDT": "-357.16"}},
    "costs": [{"source": "liquidation", "token": "USDT", "amount": "11970.48"}],
}
LOAN = {
    "kind": "liquidation",
    "venue": "aave",
    "deltas": {"aave": {"awstETH": "-5", "variableDebtWETH": "-4"}},
    "costs": [{"source": "liquidation", "token": "wstETH", "amount": "5"}, {"source": "liquidation", "token": "WETH", "amount": "-4"}],
}


def test_a_perp_and_a_loan_are_reported_with_what_they_lost() -> None:
    at = "2024-11-06T04:00:00Z"
    assert liquidations_in([line("settlement", PERP), line("settlement", LOAN)]) == [
        {"timestamp": at, "venue": "binance", "closed": {"ETHUSDT-PERP": "-385.06"}, "lost": {"USDT": "11970.48"}, "repaid": {}},
        {"timestamp": at, "venue": "aave", "closed": {}, "lost": {"wstETH": "5"}, "repaid": {"WETH": "4"}},
    ]


def test_a_margin_that_was_used_up_before_loses_nothing_more() -> None:
    fund = {**PERP, "costs": [{"source": "perp_price", "token": "USDT", "amount": "-12"}]}
    assert [row["lost"] for row in liquidations_in([line("settlement", fund)])] == [{}]


def test_a_cost_of_nothing_is_neither_lost_nor_repaid() -> None:
    nothing = {**LOAN, "costs": [{"source": "liquidation", "token": "WETH", "amount": "0"}]}
    assert [(row["lost"], row["repaid"]) for row in liquidations_in([line("settlement", nothing)])] == [({}, {})]


def test_other_events_are_none() -> None:
    funding = {**PERP, "kind": "funding"}
    named = {"kind": "arrival", "venue": "a", "deltas": {}, "costs": [], "note": {"kind": "liquidation"}}
    assert (
        liquidations_in([line("settlement", funding), line("settlement", named), line("execution", PERP), b'{"kind":"liquidation"']) == []
    )
