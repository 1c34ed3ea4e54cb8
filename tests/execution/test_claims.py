"""A withdrawal request that can be claimed is reported, once, whoever let the time pass."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from basis_strategy_v1 import DataProvider, EventLogger, ExecutionInterfaceManager, PositionUpdateHandler
from basis_strategy_v1.core.clock import to_instant
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.execution_report import ExecutionReport
from basis_strategy_v1.data.importing import import_to_database

from .trading import CONFIG, NOON, VENUES, act, manager_of, send, trade

START = datetime(2024, 6, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
HELD = {"bybit": {"USDT": 10_000}, "wallet": {"stETH": 9, "eETH": 9}}


def protocols(**settings: Any) -> dict[str, Any]:
    names = {name: dict(settings) for name in ("lido", "etherfi")}
    return {**CONFIG, "venues": {**VENUES, "onchain": {**names, "wallet": {"gas_price_gwei": 0}}}}


def ask(token: str, amount: Any = 3) -> dict[str, Any]:
    return act("unstake", token, amount, "lido" if token == "stETH" else "etherfi")


def claim(name: str) -> dict[str, Any]:
    kind = {"instruction_type": "smart_contract_action", "protocol": name.partition("-")[0]}
    return {**kind, "action": "claim", "request_id": name}


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def summaries(reports: list[ExecutionReport]) -> list[tuple[str, str, datetime]]:
    """(kind, request, when) of the claims among reports."""
    return [(report.kind, report.details["request_id"], report.at) for report in reports if report.kind == "claim"]


@pytest.fixture(scope="module")
def database(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("imported") / "sample.duckdb"
    import_to_database(sample, path)
    return path


def driven(data: DataProvider, logs: Path, *, settles: bool) -> list[str]:
    """The settlements in the log, where a request of each protocol became claimable between two blocks of an exchange."""
    with EventLogger(logs) as log:
        handler = PositionUpdateHandler(HELD)
        manager = ExecutionInterfaceManager(protocols(), data, "backtest", positions=handler, event_logger=log)
        manager.execute(START, ask("stETH"))
        manager.execute(START, ask("eETH"))
        if settles:
            manager.settle(START + 8 * DAY)
        manager.execute(START + 8 * DAY, trade("buy", 1, venue="bybit"))
        manager.execute(START + 8 * DAY, claim("lido-1"))
        manager.settle(START + 9 * DAY)
    lines = (logs / "events" / "execution_interface_manager_events.jsonl").read_text().splitlines()
    return [line for line in lines if json.loads(line)["event_type"] == "settlement"]


def test_a_jump_over_the_time_reports_it_at_its_own_instant_as_settling_does(sample: Path, tmp_path: Path) -> None:
    settled, jumped = (driven(DataProvider(sample), tmp_path / str(settles), settles=settles) for settles in (True, False))
    events = [json.loads(line) for line in jumped if '"kind":"claim"' in line]
    assert [(event["timestamp"], event["data"]) for event in events] == [
        (at, {"key": f"claim:{venue}:{to_instant(moment(at)):x}:{venue}-1", "kind": "claim", "venue": venue, "deltas": {}, "costs": [],
              "details": {"request_id": f"{venue}-1", "amount": "3", "claimable": at}})
        for venue, at in (("lido", "2024-06-08T01:00:00Z"), ("etherfi", "2024-06-10T01:00:00Z"))
    ]  # fmt: skip
    assert [json.loads(line)["data"] for line in settled] == [json.loads(line)["data"] for line in jumped]


def test_a_folder_and_the_database_made_of_it_report_the_same(sample: Path, database: Path, tmp_path: Path) -> None:
    provided = (DataProvider(sample), DataProvider(database=database, mode="db"))
    folder, imported = (driven(data, tmp_path / str(place), settles=False) for place, data in enumerate(provided))
    assert folder == imported


@pytest.mark.parametrize("mode", ["backtest", "live"])
def test_both_modes_give_the_report_of_a_claim_from_settle_once(mode: str, live_run: Any) -> None:
    made = live_run(held={"wallet": {"stETH": 9}}) if mode == "live" else None
    manager = manager_of({"wallet": {"stETH": 9}}) if made is None else made.manager

    def settled(at: datetime) -> list[ExecutionReport]:
        if made is not None:
            made.time.now_s = 1_000 + (at - NOON.replace(minute=0)).total_seconds()
        return manager.settle(at)

    settled(NOON)
    manager.execute(NOON, ask("stETH"))
    assert summaries(settled(NOON + 5 * DAY - timedelta(microseconds=1))) == []
    [report] = settled(NOON + 5 * DAY)
    assert report == ExecutionReport(
        key=f"claim:lido:{to_instant(NOON + 5 * DAY):x}:lido-1", venue="lido", at=NOON + 5 * DAY, kind="claim",
        deltas=Deltas(), expected=Deltas(),
        details={"request_id": "lido-1", "amount": "3", "claimable": "2024-06-06T12:10:00Z"}, recorded=True,
    )  # fmt: skip
    assert settled(NOON + 5 * DAY) == settled(NOON + 50 * DAY) == []
    assert manager.positions.update_state(NOON, "execution_manager", report) == {}


def test_requests_of_one_instant_are_reported_together_and_each_under_its_own_key() -> None:
    manager = manager_of({"wallet": {"stETH": 9}})
    for hours in (0, 0, 1):
        manager.execute(NOON + timedelta(hours=hours), ask("stETH"))
    reports = manager.settle(NOON + 6 * DAY)
    due = NOON + 5 * DAY
    assert summaries(reports) == [("claim", "lido-1", due), ("claim", "lido-2", due), ("claim", "lido-3", due + timedelta(hours=1))]
    assert len({report.key for report in reports}) == 3


def test_what_is_finalised_at_once_is_reported_before_it_is_claimed_or_with_the_next_time_that_passes() -> None:
    manager = manager_of({"wallet": {"stETH": 9}}, config=protocols(withdrawal_days=0))
    manager.execute(NOON, ask("stETH"))
    manager.execute(NOON, ask("stETH"))
    manager.execute(NOON, claim("lido-2"))
    manager.execute(NOON, ask("stETH"))
    reports = manager.settle(NOON + DAY)
    assert summaries(reports) == [
        ("claim", "lido-1", NOON),
        ("claim", "lido-2", NOON),
        ("claim", "lido-3", NOON + timedelta(microseconds=1)),
    ]
    assert reports[-1].details["claimable"] == "2024-06-01T12:10:00Z"
    assert len({report.key for report in reports}) == 3


def test_where_the_source_cannot_say_when_its_rows_came_a_jump_reports_it_with_the_next_block_on_chain_or_settling() -> None:
    manager = manager_of({"wallet": {"stETH": 9}, "bybit": {"USDT": 10_000}})
    manager.execute(NOON, ask("stETH"))
    manager.execute(NOON + 6 * DAY, trade("buy", 1, venue="bybit"))
    [report] = manager.settle(NOON + 7 * DAY)
    assert (report.at, report.details["claimable"]) == (NOON + 6 * DAY + timedelta(microseconds=1), "2024-06-06T12:10:00Z")
    manager.execute(NOON + 7 * DAY, ask("stETH"))
    manager.execute(NOON + 20 * DAY, send("bybit", "wallet", 100))
    manager.execute(NOON + 20 * DAY, claim("lido-2"))
    assert summaries(manager.settle(NOON + 20 * DAY)) == [("claim", "lido-2", NOON + 20 * DAY)]


def test_a_claim_moves_what_was_asked_for_whether_or_not_somebody_settled_before() -> None:
    for settles in (True, False):
        manager = manager_of({"wallet": {"stETH": 9}})
        manager.execute(NOON, ask("stETH"))
        if settles:
            manager.settle(NOON + 5 * DAY)
        moved = manager.execute(NOON + 5 * DAY, claim("lido-1")).deltas
        assert moved == Deltas.at("lido", {"ETH-QUEUED": Decimal(-3), "ETH": Decimal(3)})
        assert summaries(manager.settle(NOON + 9 * DAY)) == ([] if settles else [("claim", "lido-1", NOON + 5 * DAY)])
