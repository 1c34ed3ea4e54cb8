"""A manager that is driven from Python: what falls due between two of its instructions is not lost."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from basis_strategy_v1 import DataProvider, EventLogger, ExecutionInterfaceManager, ExecutionManager, PositionUpdateHandler
from basis_strategy_v1.core.clock import SimulatedClock
from basis_strategy_v1.core.deltas import Deltas

from ..world import refused
from .trading import act, send, trade

START = datetime(2024, 6, 3, 1, tzinfo=UTC)
HELD = {"binance": {"USDT": 100_000}, "wallet": {"USDT": 10_000}}
CONFIG = {
    "strategy_mode": "eth_basis",
    "share_class": "usdt_stable",
    "initial_capital": 100_000,
    "venues": {"cex": {"binance": {}}, "onchain": {"aave": {}, "wallet": {"gas_price_gwei": 0}}},
}


def driven(sample: Path, logs: Path, *, settles: bool) -> tuple[PositionUpdateHandler, list[tuple[str, str]]]:
    """The positions after a short, a deposit and, more than a day later, a trade; and the times and types of the events."""
    handler = PositionUpdateHandler(HELD)
    later = START + timedelta(hours=30)
    with EventLogger(logs) as log:
        manager = ExecutionInterfaceManager(CONFIG, DataProvider(sample), "backtest", positions=handler, event_logger=log)
        manager.execute(START, trade("sell", 2, trade_type="perp"))
        manager.execute(START, act("supply", amount=5_000))
        if settles:
            manager.settle(later)
        manager.execute(later, trade("buy", 1, trade_type="perp"))
        manager.execute(later, act("withdraw", amount="all"))
    lines = (logs / "events" / "execution_interface_manager_events.jsonl").read_text().splitlines()
    return handler, [(event["timestamp"], event["event_type"]) for event in map(json.loads, lines[1:])]


def test_what_falls_due_before_a_later_instruction_is_settled_at_its_own_instants(sample: Path, tmp_path: Path) -> None:
    (asked, asked_events), (unasked, unasked_events) = (
        driven(sample, tmp_path / "a", settles=True),
        driven(sample, tmp_path / "b", settles=False),
    )
    assert unasked.positions == asked.positions
    assert unasked_events == asked_events
    funded = [at for at, kind in unasked_events if kind == "settlement" and at[11:13] in ("00", "08", "16")]
    assert list(dict.fromkeys(funded))[:3] == ["2024-06-03T08:00:00Z", "2024-06-03T16:00:00Z", "2024-06-04T00:00:00Z"]


def test_what_was_settled_by_itself_is_not_added_again_when_it_is_handed_in(sample: Path, tmp_path: Path) -> None:
    handler, _ = driven(sample, tmp_path, settles=False)
    held = handler.positions
    assert "aUSDT" not in held.get("aave", {})
    assert held["wallet"]["USDT"] > 10_000


def test_a_refused_block_moves_no_time_and_one_before_the_last_finds_things_as_they_are(sample: Path) -> None:
    handler = PositionUpdateHandler(HELD)
    manager = ExecutionInterfaceManager(CONFIG, DataProvider(sample), "backtest", positions=handler, clock=SimulatedClock(START))
    manager.execute(START, trade("sell", 2, trade_type="perp"))
    before = handler.state
    refused(manager.execute, START + timedelta(hours=30), {"instruction_type": "cex_trade"})
    assert handler.state is before
    manager.execute(START - timedelta(hours=20), trade("buy", 1, trade_type="perp"))
    assert handler.positions["binance"]["ETHUSDT-PERP"] == -1


def test_where_nothing_falls_due_nothing_is_logged_and_an_event_is_logged_in_utc_whatever_zone_its_block_was_in(
    sample: Path, tmp_path: Path
) -> None:
    config = {**CONFIG, "venues": {"cex": {"bybit": {}}}}
    with EventLogger(tmp_path) as log:
        manager = ExecutionInterfaceManager(
            config, DataProvider(sample), "backtest", positions={"bybit": {"USDT": 9_000}}, event_logger=log
        )
        manager.execute(START, trade("buy", 2, venue="bybit"))
        manager.execute((START + timedelta(hours=30)).astimezone(ZoneInfo("Asia/Tokyo")), trade("sell", 1, venue="bybit"))
    lines = (tmp_path / "events" / "execution_interface_manager_events.jsonl").read_text().splitlines()
    assert [(event["timestamp"], event["event_type"]) for event in map(json.loads, lines[1:])] == [
        ("2024-06-03T01:00:00Z", "execution"),
        ("2024-06-04T07:00:00Z", "execution"),
    ]


def test_blocks_of_an_earlier_time_make_nothing_fall_due_twice(sample: Path) -> None:
    def held_after(*hours: int) -> object:
        handler = PositionUpdateHandler(HELD)
        manager = ExecutionInterfaceManager(CONFIG, DataProvider(sample), "backtest", positions=handler)
        manager.execute(START, trade("sell", 2, trade_type="perp"))
        for hour in hours:
            manager.execute(START + timedelta(hours=hour), act("supply", amount=1))
        funded = [report for report in manager.settle(START + timedelta(hours=12)) if report.kind == "funding"]
        return handler.positions["binance"], [report.at.hour for report in funded]

    assert held_after(9, 6) == held_after(6, 9) == held_after(12)
    assert held_after(9, 6)[1] == [8]  # type: ignore[index]


def test_every_report_of_what_fell_due_comes_from_settle_once(sample: Path) -> None:
    handler = PositionUpdateHandler(HELD)
    manager = ExecutionInterfaceManager(CONFIG, DataProvider(sample), "backtest", positions=handler)
    moved = Deltas()
    for hours in (0, 30, 60):
        moved += manager.execute(START + timedelta(hours=hours), act("supply", amount=1_000)).deltas
    reports = manager.settle(START + timedelta(hours=60))
    assert moved.get("aave", "aUSDT") + sum(report.deltas.get("aave", "aUSDT") for report in reports) == handler.positions["aave"]["aUSDT"]
    assert manager.settle(START + timedelta(hours=60)) == []
    assert [handler.update_state(START, "manual", report) for report in reports] == [{}] * len(reports)


def test_a_plan_is_looked_at_as_things_will_stand_when_it_is_sent(sample: Path) -> None:
    """What has arrived by then is there, and looking changes nothing."""
    config = {
        **CONFIG,
        "venues": {
            "cex": {"bybit": {}, "binance": {"withdrawal": {"USDT": {"minutes": 30}}}},
            "onchain": {"wallet": {"gas_price_gwei": 0}},
        },
    }
    handler = PositionUpdateHandler({"binance": {"USDT": 10_000}})
    manager = ExecutionInterfaceManager(config, DataProvider(sample), "backtest", positions=handler)
    manager.execute(START, send("binance", "bybit", 9_000))
    later, plan = START + timedelta(hours=2), [trade("buy", 1, venue="bybit"), trade("buy", 1, venue="bybit")]
    before = handler.state
    assert manager.preflight(later, plan) == []
    assert handler.state is before
    assert len(ExecutionManager(config, manager, handler).execute_blocks(later, plan)) == 2


def test_what_fell_due_before_a_settlement_that_fails_is_kept_and_logged(sample: Path, tmp_path: Path) -> None:
    short = tmp_path / "data"
    shutil.copytree(sample, short)
    funding = short / "funding" / "binance" / "ETHUSDT.csv"
    lines = funding.read_text().splitlines()
    funding.write_text("\n".join(line for line in lines if "2024-06-03T16:00:00" not in line) + "\n")
    handler = PositionUpdateHandler(HELD)
    manager = ExecutionInterfaceManager(CONFIG, DataProvider(short), "backtest", positions=handler)
    manager.execute(START, trade("sell", 2, trade_type="perp"))
    assert refused(manager.settle, START + timedelta(hours=20)).error_code == "DAT-005"
    assert [(report.kind, report.at.hour) for report in manager.settle(START + timedelta(hours=8))] == [("funding", 8)]
