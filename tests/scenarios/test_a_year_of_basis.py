"""eth_basis and btc_basis on recorded markets: the ledger adds up, the funding is what the exchange paid, the legs stay together."""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import pytest

from .conftest import RunOnce
from .running import HOUR, Ran, basis_config, day, moment, series

OKX = {"start": "2024-10-01", "end": "2025-03-31", "data": {"missing_funding": "zero"}}
SCENARIOS: dict[str, dict[str, Any]] = {
    "eth bybit": basis_config(),
    "eth binance, through its gaps": basis_config(perp="binance"),
    "eth okx": basis_config(perp="okx", **OKX),
    "btc bybit": basis_config("btc_basis"),
    "leverage 3, collateral moves": basis_config(perp="binance", strategy_leverage=3),
    "leverage 3, one account, collateral moves": basis_config(strategy_leverage=3),
    "leverage 3, nothing is done": basis_config(perp="binance", strategy_leverage=3, strategy_on_margin_shortage="ignore"),
    "leverage 3, both legs are reduced": basis_config(perp="binance", strategy_leverage=3, strategy_on_margin_shortage="reduce"),
    "in and out with the funding": basis_config(strategy_enter_above_apr="0.10", strategy_leave_below_apr="0.02"),
    "withdrawals cost and take time": basis_config(
        perp="binance", strategy_leverage=3, venues={"cex": {"bybit": {"withdrawal": "default"}, "binance": {"withdrawal": "default"}}}
    ),
    "closed at the end": basis_config(end="2024-07-01", close_at_end=True),
    "closed at the end when it is out": basis_config(
        strategy_enter_above_apr="0.10", strategy_leave_below_apr="0.09", close_at_end=True, end="2024-08-01"
    ),
    "a small capital and a smaller threshold": basis_config("btc_basis", initial_capital=2_000, strategy_rebalance_threshold_bps=1),
    "a threshold below the smallest order": basis_config(strategy_rebalance_threshold_bps=0, strategy_hedge_tolerance_bps=0),
}
UNIT = Decimal("1e-12")
LOT = {"ETH": Decimal("0.01"), "BTC": Decimal("0.001")}
SOURCES = [
    "spot_price",
    "perp_price",
    "funding",
    "supply_interest",
    "borrow_interest",
    "staking",
    "fees",
    "slippage",
    "gas",
    "transfers",
    "liquidation",
]

every_scenario = pytest.mark.parametrize("name", SCENARIOS)


@every_scenario
def test_the_attribution_adds_up_to_the_profit_to_the_last_decimal(name: str, run_once: RunOnce) -> None:
    summary = run_once(SCENARIOS[name]).summary
    assert list(summary["attribution"]) == SOURCES
    pnl = Decimal(summary["final_equity"]) - Decimal(summary["initial_equity"])
    assert Decimal(summary["pnl"]) == pnl
    assert sum(map(Decimal, summary["attribution"].values())) == pnl


@every_scenario
def test_so_does_each_row_of_the_equity_curve(name: str, run_once: RunOnce) -> None:
    ran = run_once(SCENARIOS[name])
    capital = SCENARIOS[name]["initial_capital"]
    rows = ran.rows("equity.csv")
    assert list(rows[0]) == ["timestamp", "equity", *SOURCES, "stale"]
    wrong = [row for row in rows if Decimal(row["equity"]) != capital + sum(Decimal(row[source]) for source in SOURCES)]
    assert wrong == []
    assert {"equity": rows[-1]["equity"], **{source: rows[-1][source] for source in SOURCES}} == {
        "equity": ran.summary["final_equity"],
        **ran.summary["attribution"],
    }


@every_scenario
def test_there_is_a_step_at_every_hour_from_the_start_to_the_end(name: str, run_once: RunOnce) -> None:
    config = SCENARIOS[name]
    start, end = day(config["start"]), day(config["end"])
    steps = [moment(row["timestamp"]) for row in run_once(config).rows("equity.csv")]
    assert steps == [start + HOUR * hour for hour in range((end - start) // HOUR + 1)]


@every_scenario
def test_the_drawdown_is_the_deepest_fall_from_a_peak_and_the_first_is_the_initial_equity(name: str, run_once: RunOnce) -> None:
    ran = run_once(SCENARIOS[name])
    peak, deepest = Decimal(ran.summary["initial_equity"]), Decimal(0)
    for row in ran.rows("equity.csv"):
        if row["stale"] == "1":  # an old price is neither a peak nor a trough
            continue
        equity = Decimal(row["equity"])
        peak = max(peak, equity)
        deepest = max(deepest, 1 - equity / peak)
    assert abs(Decimal(ran.summary["max_drawdown"]) - deepest) <= UNIT


@every_scenario
def test_the_funding_is_what_the_file_says_on_the_position_held_before_each_payment(
    name: str, run_once: RunOnce, market_data: Path
) -> None:
    config = SCENARIOS[name]
    ran = run_once(config)
    assert Decimal(ran.summary["attribution"]["funding"]) == funding_received(config, ran, market_data)


def funding_received(config: dict[str, Any], ran: Ran, market: Path) -> Decimal:
    """The sum over the rows of the funding file, on the positions that the events leave, at the last close that was known."""
    venue, symbol = config["strategy"]["perp_venue"], f"{config['strategy_mode'][:3].upper()}USDT"
    changes: list[tuple[datetime, Decimal]] = []
    for row in sorted([*ran.events("execution"), *ran.settled("liquidation")], key=lambda row: row.at):
        moved = row.data["deltas"].get(venue, {}).get(f"{symbol}-PERP")
        if moved is not None:
            changes.append((row.at, Decimal(moved)))
    bars = series(market, f"ohlcv/{venue}/perp/{symbol}_1h")
    closed_at = [moment(bar["timestamp"]) + HOUR for bar in bars]
    total = Decimal(0)
    for row in series(market, f"funding/{venue}/{symbol}"):
        at = moment(row["timestamp"])
        if day(config["start"]) < at <= day(config["end"]):
            position = sum((moved for when, moved in changes if when < at), Decimal(0))
            mark = Decimal(bars[bisect_right(closed_at, at) - 1]["close"])
            total += (-position * mark * Decimal(row["funding_rate"])).quantize(UNIT, ROUND_HALF_EVEN)
    return total


@every_scenario
def test_after_every_step_there_are_both_legs_or_none(name: str, run_once: RunOnce) -> None:
    config = SCENARIOS[name]
    base, perp_venue = config["strategy_mode"][:3].upper(), config["strategy"]["perp_venue"]
    alone = []
    for at, held in run_once(config).positions().items():
        spot, short = held.get(f"bybit {base}", Decimal(0)), -held.get(f"{perp_venue} {base}USDT-PERP", Decimal(0))
        # 50 bps of tolerance, and what no order is small enough for.
        if abs(spot - short) > max(spot, short) / 100 + LOT[base] * Decimal("1.2"):
            alone.append((at, spot, short))
    assert alone == []


@pytest.mark.parametrize("name", [name for name in SCENARIOS if "nothing is done" not in name])
def test_nobody_is_liquidated_who_looks_after_the_margin(name: str, run_once: RunOnce) -> None:
    ran = run_once(SCENARIOS[name])
    assert ran.settled("liquidation") == []
    assert ran.summary["attribution"]["liquidation"] == "0"
    assert Decimal(ran.summary["pnl"]) > 0 or "2025" not in SCENARIOS[name]["end"]
    assert ran.summary["instructions_failed"] == 0


def test_at_leverage_3_the_short_that_nobody_looks_after_is_liquidated_in_the_november_rise(run_once: RunOnce, market_data: Path) -> None:
    ran = run_once(SCENARIOS["leverage 3, nothing is done"])
    [liquidation] = ran.settled("liquidation")
    assert day("2024-11-01") < liquidation.at < day("2024-12-01")
    position, cost, balance = last_short(ran, liquidation.at)
    # The first bar whose high takes the margin to 50 bps (40 up to 50,000) of the notional, counted here from the trades.
    bars = {moment(bar["timestamp"]) + HOUR: bar for bar in series(market_data, "ohlcv/binance/perp/ETHUSDT_1h")}
    high, before = (Decimal(bars[liquidation.at - HOUR * back]["high"]) for back in (0, 1))
    assert is_ruined(position, cost, balance, high)
    assert not is_ruined(position, cost, balance, before)
    lost = Decimal(liquidation.data["details"]["margin_lost"])
    assert Decimal(ran.summary["attribution"]["liquidation"]) == -lost.quantize(UNIT, ROUND_HALF_EVEN)
    after = [held for at, held in ran.positions().items() if at >= liquidation.at]
    assert all("binance ETHUSDT-PERP" not in held and held.get("bybit ETH", Decimal(0)) < Decimal("0.01") for held in after)


def last_short(ran: Ran, at: datetime) -> tuple[Decimal, Decimal, Decimal]:
    """(base, quote received for it, USDT balance) on binance just before a time, from the events alone."""
    position = received = Decimal(0)
    start = next(iter(ran.positions().values()))["binance USDT"]
    balance = start - sum(
        (Decimal(row.data["deltas"]["binance"].get("USDT", 0)) for row in ran.events("execution") if row.at == day("2024-06-01")
         and "binance" in row.data["deltas"]), Decimal(0),
    )  # fmt: skip
    for row in sorted([*ran.events("execution"), *ran.settled("funding")], key=lambda row: row.at):
        moved = row.data["deltas"].get("binance", {})
        balance += Decimal(moved.get("USDT", 0))
        base = Decimal(moved.get("ETHUSDT-PERP", 0))
        if base and row.at < at:
            details = row.data["details"]
            position += base
            received -= base * Decimal(details["price"]) + Decimal(details.get("realised", 0))
    return position, received, balance


def is_ruined(position: Decimal, received: Decimal, balance: Decimal, price: Decimal) -> bool:
    notional = -position * price
    maintenance = min(notional, Decimal(50_000)) * Decimal("0.004") + max(notional - 50_000, Decimal(0)) * Decimal("0.005")
    return balance + received - notional <= maintenance


def test_funding_that_is_not_in_the_file_counts_as_zero_and_is_listed(run_once: RunOnce, market_data: Path) -> None:
    summary = run_once(SCENARIOS["eth okx"]).summary
    paid = {moment(row["timestamp"]) for row in series(market_data, "funding/okx/ETHUSDT")}
    due = [day("2024-10-01") + timedelta(hours=8 * step) for step in range(1, 3 * 181 + 1)]
    missing = [at for at in due if at not in paid]
    assert len(missing) == 24
    assert summary["missing_funding"] == [
        {"series": "funding/okx/ETHUSDT", "timestamp": at.isoformat().replace("+00:00", "Z")} for at in missing
    ]


def test_no_trade_is_made_on_a_bar_that_is_missing(run_once: RunOnce, market_data: Path) -> None:
    ran = run_once(SCENARIOS["leverage 3, both legs are reduced"])
    closed = {moment(bar["timestamp"]) + HOUR for bar in series(market_data, "ohlcv/binance/perp/ETHUSDT_1h")}
    traded = {row.at for row in ran.events("execution") if row.data["venue"] == "binance"}
    assert len(traded) > 100
    assert traded - closed == set()


def test_closing_at_the_end_leaves_no_leg(run_once: RunOnce) -> None:
    held = list(run_once(SCENARIOS["closed at the end"]).positions().values())[-1]
    assert held.pop("bybit ETH") < Decimal("0.00001")  # less than a lot
    assert list(held) == ["bybit USDT"]


def test_it_enters_above_one_rate_and_leaves_below_the_other(run_once: RunOnce, market_data: Path) -> None:
    config = SCENARIOS["in and out with the funding"]
    rates = [(moment(row["timestamp"]), Decimal(row["funding_rate"])) for row in series(market_data, "funding/bybit/ETHUSDT")]
    is_in, turns = False, []
    for at, held in run_once(config).positions().items():
        if is_in != ("bybit ETHUSDT-PERP" in held):
            is_in = not is_in
            window = [rate for stamp, rate in rates if at - timedelta(hours=72) < stamp <= at]
            turns.append((is_in, sum(window) / len(window) * 3 * 365))
    assert len(turns) > 4
    assert [turn for turn in turns if (turn[1] < Decimal("0.10") if turn[0] else turn[1] >= Decimal("0.02"))] == []
