"""The summary on a terminal, and in a file."""

from __future__ import annotations

import re
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from basis_strategy_v1.core.attribution_sources import SOURCES
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.report.terminal import summary_table

from .run_folders import basis_year, plain_run


def printed(summary: dict[str, Any], *, terminal: bool = False) -> str:
    out = StringIO()
    Console(file=out, width=80, force_terminal=terminal, color_system="standard" if terminal else None).print(summary_table(summary))
    return out.getvalue()


def test_the_table_of_a_run_reads_line_by_line() -> None:
    attribution = {**dict.fromkeys(SOURCES, "0"), "supply_interest": "1234.5", "gas": "-0.25"}
    run = plain_run(
        pnl="1234.25",
        final_equity="101234.25",
        attribution=attribution,
        max_drawdown="0.001",
        instructions_routed=1,
        instructions_failed=0,
        data={"generated": False, "directory": "market"},
    )
    assert [line.rstrip() for line in printed(run.summary).splitlines()] == [
        "Run                                  eth_basis-0123456789ab",
        "Strategy                              eth_basis usdt_stable",
        "From                                   2024-06-01T00:00:00Z",
        "To                                     2025-05-31T00:00:00Z",
        "Data                REAL market (no mark of generated data)",
        "Return                                                1.23%",
        "Annualised return                                       n/a",
        "Maximum drawdown                                      0.10%",
        "Instructions                           1 executed, 0 failed",
        "",
        "Rounded, in                                            USDT",
        "Initial equity                                   100,000.00",
        "  Supply interest                                  1,234.50",
        "  Gas                                                 -0.25",
        "Profit and loss                                    1,234.25",
        "Final equity                                     101,234.25",
    ]


def amounts(summary: dict[str, Any]) -> dict[str, str]:
    """The lines below the currency: name -> amount as it is shown."""
    lines = printed(summary).splitlines()
    first = next(place for place, line in enumerate(lines) if line.startswith("Rounded, in")) + 1
    return {line[: -len(line.split()[-1])].rstrip(): line.split()[-1] for line in lines[first:]}


def test_the_prices_that_hedge_each_other_are_netted_and_a_source_of_zero_is_left_out() -> None:
    attribution = {**dict.fromkeys(SOURCES, "0"), "spot_price": "4603.623551983802", "perp_price": "-4665.673", "fees": "-1"}
    assert amounts(plain_run(attribution=attribution).summary) == {
        "Initial equity": "100,000.00",
        "  Spot and perp price": "-62.05",
        "    Spot price": "4,603.62",
        "    Perp price": "-4,665.67",
        "  Fees": "-1.00",
        "Profit and loss": "0.00",
        "Final equity": "100,000.00",
    }


def test_dust_is_zero_and_has_no_sign() -> None:
    attribution = {**dict.fromkeys(SOURCES, "0"), "spot_price": "-0.000000000069"}
    assert amounts(plain_run(attribution=attribution).summary)["  Spot price"] == "0.00"


def test_amounts_in_eth_have_six_decimals() -> None:
    run = plain_run(share_class="eth_directional", attribution={**dict.fromkeys(SOURCES, "0"), "staking": "0.123456789"})
    assert amounts(run.summary)["  Staking"] == "0.123457"


LIQUIDATIONS = [
    {"timestamp": "2024-11-06T04:00:00Z", "venue": "binance", "closed": {"ETHUSDT-PERP": "-385.06"}, "lost": {"USDT": "11970.4842"}},
    {"timestamp": "2024-11-07T00:00:00Z", "venue": "aave", "closed": {}, "lost": {"WETH": "1.5"}, "repaid": {"USDT": "3000"}},
]


def test_what_was_liquidated_skipped_or_unknown_is_shown_after_the_instructions() -> None:
    skipped, missing = [{"timestamp": "2024-06-02T00:00:00Z", "reason": "stale"}] * 2, [{"series": "a", "timestamp": "b"}]
    run = plain_run(instructions_routed=1, liquidations=LIQUIDATIONS, skipped=skipped, missing_funding=missing)
    lines = [line.split("  ") for line in printed(run.summary).splitlines()]
    reported = [" | ".join(word.strip() for word in line if word.strip()) for line in lines]
    first = next(place for place, line in enumerate(reported) if line.startswith("Instructions")) + 1
    assert reported[first : reported.index("")] == [
        "Liquidated on binance | at 2024-11-06T04:00:00Z",
        "385.06 ETHUSDT-PERP short closed",
        "11,970.48 USDT of margin lost",
        "Liquidated on aave | at 2024-11-07T00:00:00Z",
        "1.5 WETH of collateral lost",
        "3,000 USDT of debt repaid with it",
        "Skipped on stale prices | 2 steps",
        "Unknown funding, taken as 0 | 1 payment",
    ]


def fact(name: str, **changes: Any) -> str:
    """What stands next to a name."""
    (line,) = (line for line in printed(plain_run(**changes).summary).splitlines() if line.startswith(name))
    return line.removeprefix(name).strip()


@pytest.mark.parametrize(
    ("end", "reported"),
    [
        ("2024-06-01T23:59:59Z", "12.34% (over less than a day: says little)"),
        ("2024-06-02T12:00:00Z", "12.34% (over 1 day: says little)"),
        ("2024-06-30T11:00:00Z", "12.34% (over 29 days: says little)"),
        ("2024-06-30T23:00:00Z", "12.34%"),
        ("2024-07-01T00:00:00Z", "12.34%"),
        ("", "12.34%"),
    ],
)
def test_the_return_a_year_of_a_run_of_less_than_thirty_days_is_remarked_on(end: str, reported: str) -> None:
    assert fact("Annualised return", end=end, annualised_return="0.12345") == reported


def test_where_there_is_no_return_a_year_the_reason_stands_next_to_it() -> None:
    why = "the run has 2 days, and a figure of a year needs 30"
    assert fact("Annualised return", annualised_return_reason=why) == f"n/a ({why})"
    assert fact("Annualised return", end="2024-07-01T00:00:00Z") == "n/a"


@pytest.mark.parametrize(("share_class", "shown"), [("eth_directional", "103.804700"), ("usdt_stable", "103.80")])
def test_the_equity_at_market_is_the_last_line_where_it_is_another_equity(share_class: str, shown: str) -> None:
    def last_line(at_market: str) -> list[str]:
        run = plain_run(share_class=share_class, final_equity="104", final_equity_at_market=at_market)
        return printed(run.summary).splitlines()[-1].rsplit(maxsplit=1)

    assert last_line("103.8047") == ["Equity at market", shown]
    assert last_line("104")[0] == "Final equity"


def test_one_of_a_kind_is_not_written_as_many() -> None:
    one = {"timestamp": "2024-06-02T00:00:00Z", "reason": "stale"}
    assert fact("Skipped on stale prices", skipped=[one]) == "1 step"
    assert fact("Skipped on stale prices", skipped=[one] * 1_000) == "1,000 steps"
    lines = [" ".join(line.split()) for line in printed(plain_run(liquidations=LIQUIDATIONS * 3).summary).splitlines()]
    assert "1 more liquidation" in lines


def test_steps_that_were_skipped_are_counted_by_their_reason() -> None:
    reasons = [
        "stale",
        "refused (EXM-001): nothing was sent. step 0: the instruction moves 5 USD, limits.max_notional_per_day is 1; raise the limit",
        "refused (EXM-001): nothing was sent. step 0: 5 USD, limits.max_notional_per_day is 1; step 1: limits.max_slippage_bps is 1",
        "refused (EIM-001): bybit has 5 USDT",
    ]
    skipped = [{"timestamp": "2024-06-02T00:00:00Z", "reason": reason} for reason in reasons]
    lines = [line.split("  ") for line in printed(plain_run(skipped=skipped).summary).splitlines() if line.startswith("Skipped")]
    assert [[line[0], line[-1].strip()] for line in lines] == [
        ["Skipped on stale prices", "1 step"],
        ["Skipped, refused by limits.max_notional_per_day", "2 steps"],
        ["Skipped, refused with EIM-001", "1 step"],
    ]


def test_data_without_a_mark_are_called_real_with_what_that_rests_on() -> None:
    assert fact("Data", data={"generated": False}) == "REAL (no mark of generated data)"
    assert fact("Data", data={}) == "NOT STATED"


def test_generated_data_are_called_so() -> None:
    data_line = printed(basis_year(days=1, generated=True).summary).splitlines()[4]
    assert data_line.split() == ["Data", "GENERATED", "sample"]


def test_a_file_gets_plain_text_and_a_terminal_colours() -> None:
    summary = basis_year(days=1, generated=True).summary
    assert printed(summary).isascii()
    assert "\x1b" not in printed(summary)
    assert re.search(r"\x1b\[1;33m +GENERATED sample\x1b\[0m", printed(summary, terminal=True))


def test_square_brackets_in_a_name_are_no_markup() -> None:
    assert "[red]x[/red]" in printed(plain_run(run_id="[red]x[/red]").summary)


def test_decimals_are_taken_as_they_are() -> None:
    assert "100,000.10" in printed(plain_run(final_equity=Decimal("100000.1"), pnl=Decimal("0.1")).summary)


def test_a_summary_without_a_profit_is_refused() -> None:
    summary = plain_run().summary
    del summary["pnl"]
    with pytest.raises(ComponentError, match="missing required field `pnl`"):
        summary_table(summary)


LEFT_OPEN = [
    {"venue": "bybit", "token": "ETHUSDT-PERP", "amount": "-12.88"},
    {"venue": "etherfi", "token": "ETH-QUEUED", "amount": "12837.552708496283128"},
]


@pytest.mark.parametrize(
    ("left_open", "reported"),
    [
        ([], []),
        (
            LEFT_OPEN,
            [
                "Still held at the end           bybit -12.88 ETHUSDT-PERP",
                "                         etherfi 12,837.552708 ETH-QUEUED",
                "                        an earlier leave_at gives it time",
            ],
        ),
        (LEFT_OPEN[:1], ["Still held at the end   bybit -12.88 ETHUSDT-PERP"]),
    ],
    ids=["nothing", "a queue", "no queue"],
)
def test_what_could_not_be_closed_is_shown_after_the_instructions(left_open: list[dict[str, str]], reported: list[str]) -> None:
    lines = [line.rstrip() for line in printed(plain_run(instructions_routed=1, left_open=left_open).summary).splitlines()]
    first = next(place for place, line in enumerate(lines) if line.startswith("Instructions")) + 1
    assert lines[first : lines.index("")] == reported


COMPARED = [
    {"venue": "bybit", "token": "USDT", "expected": "-6600", "executed": "-6601.5", "difference": "-1.5"},
    {"venue": "bybit", "token": "ETH", "expected": "2", "executed": "2", "difference": "0"},
]


def test_of_a_live_run_what_orders_were_to_move_stands_next_to_what_moved() -> None:
    lines = [line.split() for line in printed(plain_run(expected_and_executed=COMPARED).summary).splitlines()]
    assert lines[-3] == ["Orders", "moved,", "by", "venue", "and", "token", "expected", "/", "executed", "/", "difference"]
    assert lines[-2:] == [["bybit", "USDT", "-6,600", "/", "-6,601.5", "/", "-1.5"], ["bybit", "ETH", "+2", "/", "+2", "/", "+0"]]


def test_of_a_backtest_there_is_no_such_table() -> None:
    assert "Orders moved" not in printed(plain_run().summary)
