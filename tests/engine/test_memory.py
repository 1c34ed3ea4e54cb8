"""When a strategy's memory is kept: with every plan that passed its check, and not with one that was skipped."""

from __future__ import annotations

import shutil
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from basis_strategy_v1 import EventDrivenStrategyEngine
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.data.sample import write_sample

CONFIG: dict[str, Any] = {
    "strategy_mode": "custom",
    "share_class": "usdt_stable",
    "initial_capital": 10_000,
    "start": "2024-06-01",
    "end": "2024-06-02",
    "strategy": {},
    "venues": {"cex": ["bybit"]},
}
SERIES = "ohlcv/bybit/spot/ETHUSDT_1h.csv"
BUYS = """
    BUY = {"instruction_type": "cex_trade", "venue": "bybit", "trade_type": "spot", "side": "buy", "symbol": "ETHUSDT", "amount": "0.01"}
    def decide(step, memory):
        hours = (*(memory or ()), step.at.hour)
        return ([BUY] if PLAN else []), hours
"""


@pytest.fixture(scope="module")
def with_a_gap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample, whose spot prices have no bars of 05:00 to 07:00: nothing is traded from 06:00 until 09:00."""
    folder = tmp_path_factory.mktemp("memory") / "sample"
    write_sample(folder)
    lines = (folder / SERIES).read_text().splitlines(keepends=True)
    (folder / SERIES).write_text("".join(line for line in lines if line[:13] not in ("2024-06-01T05", "2024-06-01T06", "2024-06-01T07")))
    return folder


def ran(data: Path, folder: Path, code: str, **changes: Any) -> EventDrivenStrategyEngine:
    (folder / "mine.py").write_text(dedent(code))
    config = {**CONFIG, **changes, "strategy": {"file": str(folder / "mine.py")}}
    engine = EventDrivenStrategyEngine.from_config(config, data=data, results=folder / "results", logs=folder / "logs", report=False)
    engine.run()
    return engine


def test_the_memory_is_kept_with_an_empty_plan(with_a_gap: Path, tmp_path: Path) -> None:
    engine = ran(with_a_gap, tmp_path, BUYS.replace("PLAN", "False"))
    assert engine.memory == (*range(24), 0)
    assert engine.skipped == []


def test_the_memory_is_kept_with_a_plan_that_is_sent_and_not_with_one_that_is_skipped(with_a_gap: Path, tmp_path: Path) -> None:
    engine = ran(with_a_gap, tmp_path, BUYS.replace("PLAN", "True"))
    skipped = [int(plan.at[11:13]) for plan in engine.skipped]
    assert skipped == [6, 7, 8]
    assert engine.memory == (*(hour for hour in range(24) if hour not in skipped), 0)


def test_a_plan_with_an_order_that_is_too_large_for_its_bar_is_skipped_and_the_run_goes_on(with_a_gap: Path, tmp_path: Path) -> None:
    thin = Path(shutil.copytree(with_a_gap, tmp_path / "thin"))
    lines = (thin / SERIES).read_text().splitlines(keepends=True)
    changed = [f"{line.rpartition(',')[0]},0.0001\n" if line.startswith("2024-06-01T03") else line for line in lines]
    (thin / SERIES).write_text("".join(changed))
    plan_of_two = BUYS.replace("PLAN", "True").replace("[BUY]", "[BUY, BUY]")
    assert [int(plan.at[11:13]) for plan in ran(thin, tmp_path, plan_of_two).skipped] == [4, 6, 7, 8]
    engine = ran(thin, tmp_path, BUYS.replace("PLAN", "True"))
    assert [int(plan.at[11:13]) for plan in engine.skipped] == [4, 6, 7, 8]
    assert engine.skipped[0].reason == (
        "refused (EIM-001): bybit takes no spot order of 0.01 ETHUSDT, more than 10 times the 0.0001 of its last bar; trade less, "
        "or set impact.refuse_share"
    )


def test_what_is_returned_with_the_closing_plan_is_kept_too(with_a_gap: Path, tmp_path: Path) -> None:
    code = BUYS.replace("PLAN", "False") + "    def leave(step, memory):\n        return [], (len(memory), 'left')\n"
    assert ran(with_a_gap, tmp_path, code, close_at_end=True).memory == (25, "left")
    code = code.replace("return [], (len", "return [BUY], (len")
    assert ran(with_a_gap, tmp_path, code, close_at_end=True).memory == (25, "left")


def test_a_plan_that_is_refused_ends_the_run_without_its_memory(with_a_gap: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(dedent(BUYS.replace("PLAN", "len(hours) == 3").replace("0.01", "1000")))
    config = {**CONFIG, "strategy": {"file": str(tmp_path / "mine.py")}}
    engine = EventDrivenStrategyEngine.from_config(config, data=with_a_gap, results=tmp_path / "results", logs=tmp_path / "logs")
    with pytest.raises(ComponentError, match=r"^EIM-001: buy of 1000 ETHUSDT needs"):
        engine.run()
    assert engine.memory == (0, 1)
