"""What falls due is processed at its own instant, however far apart the steps are."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from basis_strategy_v1 import EventDrivenStrategyEngine
from basis_strategy_v1.core.error_codes.exceptions import ComponentError

from .conftest import RunOnce
from .running import HOUR, basis_config, day, excerpt, moment, run

MONTH = {"end": "2024-07-01", "strategy_rebalance_threshold_bps": 10_000}


def test_daily_and_hourly_steps_pay_the_same_funding_at_the_same_instants(run_once: RunOnce) -> None:
    hourly, daily = (run_once(basis_config(interval=interval, **MONTH)) for interval in ("1h", "1d"))
    assert [row.at for row in daily.settled("funding")] == [day("2024-06-01") + timedelta(hours=8 * n) for n in range(1, 91)]
    assert daily.settled("funding") == hourly.settled("funding")
    assert daily.summary["attribution"] == hourly.summary["attribution"]
    assert daily.summary["final_equity"] == hourly.summary["final_equity"]
    at_noon = {row["timestamp"] for row in hourly.rows("equity.csv")} - {row["timestamp"] for row in daily.rows("equity.csv")}
    assert len(at_noon) == 30 * 23


def test_funding_is_paid_at_the_end_and_not_at_the_start(run_once: RunOnce) -> None:
    ran = run_once(basis_config(start="2024-06-01T08:00:00Z", end="2024-06-01T16:00:00Z"))
    assert [row.at for row in ran.settled("funding")] == [day("2024-06-01") + 16 * HOUR]
    [short] = [held["bybit ETHUSDT-PERP"] for at, held in ran.positions().items() if at == day("2024-06-01") + 8 * HOUR]
    assert Decimal(ran.settled("funding")[0].data["details"]["position"]) == short < -13
    assert [moment(row["timestamp"]).hour for row in ran.rows("equity.csv")] == list(range(8, 17))


def test_the_start_may_be_written_in_another_time_zone(run_once: RunOnce) -> None:
    utc, paris = (
        run_once(basis_config(start=start, end="2024-06-03T00:00:00Z")) for start in ("2024-06-01T00:00:00Z", "2024-06-01T02:00:00+02:00")
    )
    assert paris.files()["equity.csv"] == utc.files()["equity.csv"]
    assert paris.files()["events.csv"].count(b"2024-06-01T00:00:00Z") == utc.files()["events.csv"].count(b"2024-06-01T00:00:00Z")


def test_there_is_a_step_at_the_end_also_where_the_interval_does_not_divide_the_time(run_once: RunOnce) -> None:
    ran = run_once(basis_config(interval="7h", end="2024-06-02T12:30:00Z"))
    hours = [(moment(row["timestamp"]) - day("2024-06-01")) / HOUR for row in ran.rows("equity.csv")]
    assert hours == [0, 7, 14, 21, 28, 35, 36.5]
    assert [(row.at - day("2024-06-01")) / HOUR for row in ran.settled("funding")] == [8, 16, 24, 32]


# A user's own blocks, and money on its way.


def blocks_config(folder: Path, blocks: list[tuple[str, dict[str, Any]]], **changes: Any) -> dict[str, Any]:
    file = folder / "blocks.jsonl"
    file.write_text("".join(json.dumps({"timestamp": at, "block": block}) + "\n" for at, block in blocks))
    return {
        "strategy_mode": "blocks",
        "share_class": "usdt_stable",
        "initial_capital": 50_000,
        "initial_positions": {"bybit": {"USDT": 50_000}},
        "start": "2024-06-01",
        "end": "2024-06-01T06:00:00Z",
        "interval": "1h",
        "strategy": {"file": str(file)},
        "venues": {"cex": {"bybit": {"withdrawal": {"USDT": {"fee": 5, "minimum": 10, "minutes": 100}}}, "binance": {}}},
        **changes,
    }


def transfer(amount: str) -> dict[str, Any]:
    return {"instruction_type": "wallet_transfer", "from_venue": "bybit", "to_venue": "binance", "token": "USDT", "amount": amount}


def buy(amount: str) -> dict[str, Any]:
    kind = {"instruction_type": "cex_trade", "venue": "bybit", "trade_type": "spot"}
    return {**kind, "side": "buy", "symbol": "ETHUSDT", "amount": amount}


def test_a_transfer_is_on_its_way_until_the_clock_says_that_it_has_arrived(market_data: Path, tmp_path: Path) -> None:
    ran = run(blocks_config(tmp_path, [("2024-06-01T00:30:00Z", transfer("1000"))]), market_data, tmp_path)
    start = day("2024-06-01")
    sent, arrived = start + HOUR / 2, start + timedelta(minutes=130)
    [arrival] = ran.settled("arrival")
    assert arrival.at == arrived
    assert arrival.data["deltas"] == {"in_transit": {"USDT": "-995"}, "binance": {"USDT": "995"}}
    assert ran.positions() == {
        start: {"bybit USDT": 50_000},
        sent: {"bybit USDT": 49_000, "in_transit USDT": 995},
        start + 3 * HOUR: {"bybit USDT": 49_000, "binance USDT": 995},  # the first step that knows of it
        start + 6 * HOUR: {"bybit USDT": 49_000, "binance USDT": 995},
    }
    equity = {moment(row["timestamp"]): (row["equity"], row["transfers"]) for row in ran.rows("equity.csv")}
    assert equity.pop(start) == ("50000", "0")
    assert set(equity.values()) == {("49995", "-5")}
    assert list(equity) == [sent, *(start + HOUR * hour for hour in range(1, 7))]


def test_what_is_still_on_its_way_at_the_end_counts(market_data: Path, tmp_path: Path) -> None:
    ran = run(blocks_config(tmp_path, [("2024-06-01T05:00:00Z", transfer("1000"))]), market_data, tmp_path)
    assert ran.summary["final_equity"] == "49995"
    assert list(ran.positions().values())[-1] == {"bybit USDT": 49_000, "in_transit USDT": 995}


def test_each_block_is_sent_at_its_own_time_also_between_two_steps(market_data: Path, tmp_path: Path) -> None:
    times = ["2024-06-01T05:59:59.500000Z", "2024-06-01T00:00:00Z", "2024-06-01T03:10:00Z", "2024-06-01T03:10:00Z", "2024-06-01T06:00:00Z"]
    ran = run(blocks_config(tmp_path, [(at, buy(f"0.{place}")) for place, at in enumerate(times, 1)]), market_data, tmp_path)
    assert [(row.at, Decimal(row.data["details"]["filled"])) for row in ran.events("execution")] == [
        (moment(times[1]), Decimal("0.2")),
        (moment(times[2]), Decimal("0.3")),
        (moment(times[3]), Decimal("0.4")),
        (moment(times[0]), Decimal("0.1")),
        (moment(times[4]), Decimal("0.5")),
    ]
    assert len(ran.rows("equity.csv")) == 7 + 2
    bought = Decimal("1.5") * Decimal("0.999")
    assert list(ran.positions().values())[-1]["bybit ETH"] == bought


@pytest.mark.parametrize("at", ["2024-05-31T23:00:00Z", "2024-06-01T06:00:01Z"])
def test_a_block_outside_the_run_is_refused_before_it_begins(at: str, market_data: Path, tmp_path: Path) -> None:
    with pytest.raises(ComponentError) as refused:
        run(blocks_config(tmp_path, [(at, transfer("1000"))]), market_data, tmp_path)
    assert refused.value.error_code == "STR-001"
    assert refused.value.message == (
        f"blocks at {at} lie outside the run, 2024-06-01T00:00:00Z to 2024-06-01T06:00:00Z: change start or end, or leave them out"
    )
    assert not (tmp_path / "results").exists()


def test_a_plan_on_a_stale_price_is_left_out_and_listed_and_the_run_goes_on(market_data: Path, tmp_path: Path) -> None:
    data = excerpt(market_data, tmp_path / "data", ("ohlcv/bybit/spot/ETHUSDT_1h",), until="2024-06-01T02:00:00Z")
    config = blocks_config(tmp_path, [("2024-06-01T01:00:00Z", buy("1")), ("2024-06-01T05:00:00Z", buy("1"))])
    ran = run(config, data, tmp_path)
    [skipped] = ran.summary["skipped"]
    assert skipped["timestamp"] == "2024-06-01T05:00:00Z"
    assert "ohlcv/bybit/spot/ETHUSDT_1h" in skipped["reason"] and "2024-06-01T01:00:00Z" in skipped["reason"]
    assert len(ran.events("execution")) == 1
    assert [row.data["error_code"] for row in ran.events("error")][-1] == "DAT-002"


def test_progress_is_reported_about_once_a_hundredth(market_data: Path, tmp_path: Path) -> None:
    reported: list[tuple[int, int]] = []
    engine = EventDrivenStrategyEngine.from_config(
        basis_config(end="2024-06-11"), data=str(market_data), results=str(tmp_path), logs=tmp_path / "logs", report=False,
        progress=lambda done, total: reported.append((done, total)),
    )  # fmt: skip
    engine.run()
    assert reported[0] == (1, 241) and reported[-1] == (241, 241)
    assert 100 <= len(reported) <= 130
