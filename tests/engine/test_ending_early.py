"""A run that does not come to its end leaves what it recorded, readable, and says why."""

from __future__ import annotations

import csv
import decimal
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from basis_strategy_v1 import EventDrivenStrategyEngine
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.monitoring import event_files
from basis_strategy_v1.monitoring.event_line import Event
from basis_strategy_v1.report import report as report_module

CONFIG: dict[str, Any] = {
    "strategy_mode": "eth_basis",
    "share_class": "usdt_stable",
    "initial_capital": 10_000,
    "start": "2024-06-01",
    "end": "2024-06-03",
    "strategy": {"spot_venue": "bybit", "perp_venue": "bybit", "hedge_tolerance_bps": 10_000, "rebalance_threshold_bps": 10_000},
    "venues": {"cex": ["bybit"]},
}
RECORDED = ["config.yaml", "equity.csv", "events.csv", "positions.csv", "risk.csv", "timing.json", "trades.csv"]


def engine_of(sample: Path, folder: Path, config: dict[str, Any] = CONFIG, **options: Any) -> EventDrivenStrategyEngine:
    return EventDrivenStrategyEngine.from_config(config, data=sample, results=folder / "results", logs=folder / "logs", **options)


def left_behind(folder: Path) -> Path:
    [run] = (folder / "results").iterdir()
    return run


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_an_interruption_between_two_steps_keeps_the_steps_before_it(sample: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine_of(sample, tmp_path, progress=stop).run()
    folder = left_behind(tmp_path)
    assert names(folder) == RECORDED
    assert len(rows(folder / "equity.csv")) == 30
    assert rows(folder / "equity.csv")[-1]["timestamp"] == "2024-06-02T05:00:00Z"
    assert [row["event_type"] for row in rows(folder / "events.csv")] == [
        "component_initialization", "execution", "execution", "settlement", "settlement", "settlement",
    ]  # fmt: skip
    assert sorted(json.loads((folder / "timing.json").read_text())["seconds"]) == ["loop", "total", "write"]


def test_an_interruption_in_the_middle_of_an_event_leaves_no_half_line(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = 0

    def stop(events: list[Event]) -> bytes:
        nonlocal written
        written += len(events)
        if written == 4:
            raise KeyboardInterrupt
        return lines_of(events)

    lines_of = event_files.lines_of
    monkeypatch.setattr(event_files, "lines_of", stop)
    with pytest.raises(KeyboardInterrupt):
        engine_of(sample, tmp_path).run()
    assert [row["sequence"] for row in rows(left_behind(tmp_path) / "events.csv")] == ["1", "2", "3"]


def test_an_interruption_of_the_report_keeps_the_results(sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*of: Any) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(report_module, "write_report", stop)
    with pytest.raises(KeyboardInterrupt):
        engine_of(sample, tmp_path).run()
    folder = left_behind(tmp_path)
    assert names(folder) == sorted([*RECORDED, "summary.json"])
    assert not list(folder.glob(".*"))
    assert len(rows(folder / "equity.csv")) == 49


def test_a_strategy_that_fails_after_a_day_leaves_that_day(sample: Path, tmp_path: Path) -> None:
    code = "class Mine:\n    def decide(self, snapshot, *of):\n        assert snapshot.at.day == 1, 'enough'\n        return []\n"
    (tmp_path / "mine.py").write_text(code)
    config = {**CONFIG, "strategy_mode": "custom", "strategy": {"file": str(tmp_path / "mine.py")}}
    with pytest.raises(ComponentError) as failed:
        engine_of(sample, tmp_path, config).run()
    assert str(failed.value) == "STR-002: mine.py, line 3: AssertionError: enough (in decide at 2024-06-02T00:00:00Z)"
    assert isinstance(failed.value.original_exception, AssertionError)
    assert len(rows(left_behind(tmp_path) / "equity.csv")) == 24


@pytest.mark.parametrize("given", ["[5]", "[{}]", "[{'instruction_type': 'dance'}]", "[None, None]"])
def test_a_plan_of_nonsense_is_refused_and_nothing_of_it_is_sent(given: str, sample: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(f"class Mine:\n    def decide(self, *of):\n        return {given}\n")
    config = {**CONFIG, "strategy_mode": "custom", "strategy": {"file": str(tmp_path / "mine.py")}}
    with pytest.raises(ComponentError) as failed:
        engine_of(sample, tmp_path, config).run()
    assert failed.value.error_code in ("EIM-001", "EXM-001")
    assert "execution" not in {row["event_type"] for row in rows(left_behind(tmp_path) / "events.csv")}


def test_the_callers_decimal_context_is_left_as_it_was(sample: Path, tmp_path: Path) -> None:
    outside = decimal.getcontext().copy()
    engine_of(sample, tmp_path, report=False).run()
    assert decimal.getcontext().prec == outside.prec
    with decimal.localcontext() as narrow:
        narrow.prec = 3
        again = engine_of(sample, tmp_path / "narrow", report=False).run()
    assert again.summary == json.loads((left_behind(tmp_path) / "summary.json").read_text())


def test_a_price_that_grows_too_old_while_nothing_happens_ends_the_run_at_that_very_step(sample: Path, tmp_path: Path) -> None:
    code = (
        "class Mine:\n    def decide(self, *of):\n        return []\n\n"
        "    def needs(self, *of):\n        return [('spot', 'bybit', 'ETHUSDT')]\n"
    )
    (tmp_path / "mine.py").write_text(code)
    series = tmp_path / "data/ohlcv/bybit/spot/ETHUSDT_1h.csv"
    series.parent.mkdir(parents=True)
    bars = (sample / "ohlcv/bybit/spot/ETHUSDT_1h.csv").read_text().splitlines(keepends=True)
    series.write_text("".join([*bars[:40], *bars[50:]]))
    config = {
        **CONFIG, "strategy_mode": "custom", "strategy": {"file": str(tmp_path / "mine.py")}, "data": {"max_staleness": "3h"},
        "initial_positions": {"bybit": {"ETH": 2}},
    }  # fmt: skip
    with pytest.raises(ComponentError) as failed:
        engine_of(tmp_path / "data", tmp_path, config).run()
    assert failed.value.error_code == "DAT-002"
    equity = rows(left_behind(tmp_path) / "equity.csv")
    stamp, *_, close, _ = bars[39].split(",")  # known an hour after its stamp, and good for three more
    known = datetime.fromisoformat(stamp) + timedelta(hours=1)
    hours = [(known + timedelta(hours=hour)).strftime("%Y-%m-%dT%H:%M:%SZ") for hour in range(4)]
    assert [(row["timestamp"], row["equity"]) for row in equity[-4:]] == [(hour, str(2 * decimal.Decimal(close))) for hour in hours]


def test_a_closing_plan_on_a_stale_price_is_left_out_and_listed(sample: Path, tmp_path: Path) -> None:
    name = "ohlcv/bybit/perp/ETHUSDT_1h.csv"
    for series in (name, "ohlcv/bybit/spot/ETHUSDT_1h.csv", "funding/bybit/ETHUSDT.csv"):
        target = tmp_path / "data" / series
        target.parent.mkdir(parents=True, exist_ok=True)
        lines = (sample / series).read_text().splitlines(keepends=True)
        target.write_text("".join(line for line in lines if series != name or line < "2024-06-02T20" or line.startswith("t")))
    summary = engine_of(tmp_path / "data", tmp_path, {**CONFIG, "close_at_end": True}, report=False).run().summary
    [skipped] = summary["skipped"]
    assert skipped["timestamp"] == "2024-06-03T00:00:00Z" and "it still values positions, but no trade is opened on it" in skipped["reason"]
    assert summary["instructions_routed"] == 2
