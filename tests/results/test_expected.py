"""What orders were simulated to move, next to what moved: an order at a time, and in sum."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.execution_report import ExecutionReport
from basis_strategy_v1.results.expected import expected_in_sum, expected_rows

AT = datetime(2024, 6, 1, tzinfo=UTC)


def report(key: str, deltas: dict[str, str], expected: dict[str, str], filled: str = "1", venue: str = "bybit") -> ExecutionReport:
    amounts = (Deltas.at(venue, {token: Decimal(text) for token, text in tokens.items()}) for tokens in (deltas, expected))
    moved, simulated = amounts
    return ExecutionReport(key=key, venue=venue, at=AT, kind="execution", deltas=moved, expected=simulated, filled=Decimal(filled))


REPORTS = [
    report("a", {"ETH": "1", "USDT": "-3301.5"}, {"ETH": "1", "USDT": "-3300"}),
    report("b", {"ETH": "0.5", "USDT": "-1650", "BNB": "-0.1"}, {"ETH": "1", "USDT": "-3300"}, "0.5"),
    report("c", {"USDT": "-5.000000000000000000000000000000001"}, {"USDT": "-5"}, venue="wallet"),
]


def test_each_order_has_a_row_for_each_venue_and_token_with_what_was_expected_and_what_moved() -> None:
    assert [row.rstrip() for row in expected_rows(REPORTS)] == [
        "2024-06-01T00:00:00Z,a,bybit,ETH,1,1,0",
        "2024-06-01T00:00:00Z,a,bybit,USDT,-3300,-3301.5,-1.5",
        "2024-06-01T00:00:00Z,b,bybit,ETH,1,0.5,-0.5",
        "2024-06-01T00:00:00Z,b,bybit,USDT,-3300,-1650,1650",
        "2024-06-01T00:00:00Z,b,bybit,BNB,0,-0.1,-0.1",
        "2024-06-01T00:00:00Z,c,wallet,USDT,-5,-5.000000000000000000000000000000001,-0.000000000000000000000000000000001",
    ]


def test_the_sums_are_exact_and_by_venue_and_token() -> None:
    def row(venue: str, token: str, expected: str, executed: str, difference: str) -> dict[str, str]:
        return {"venue": venue, "token": token, "expected": expected, "executed": executed, "difference": difference}

    assert expected_in_sum(REPORTS) == [
        row("bybit", "ETH", "2", "1.5", "-0.5"),
        row("bybit", "USDT", "-6600", "-4951.5", "1648.5"),
        row("bybit", "BNB", "0", "-0.1", "-0.1"),
        row("wallet", "USDT", "-5", "-5.000000000000000000000000000000001", "-0.000000000000000000000000000000001"),
    ]
    assert (expected_in_sum([]), list(expected_rows([]))) == ([], [])
