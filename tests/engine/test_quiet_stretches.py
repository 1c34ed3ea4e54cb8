"""Steps at which nothing happens are recorded in one piece, and the records are those of each recorded in turn."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from basis_strategy_v1 import ComponentError, EventDrivenStrategyEngine
from basis_strategy_v1.results.attribution import Attribution
from basis_strategy_v1.results.recorder import EquityCurve

from ..world import iso

START = datetime(2024, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
IDLE = "class Mine:\n    def decide(self, snapshot, *of):\n        return []\n"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    bars(folder, "bybit", 3000)
    rates = [f"{iso(START + timedelta(days=day))},1.17\n" for day in (-1, 0, 1, 2)]
    write(folder / "staking/lido/wstETH.csv", "timestamp,eth_per_token\n", rates)
    return folder


def bars(folder: Path, venue: str, price: int, first: int = -24, but: range = range(0)) -> None:
    rows = [f"{iso(START + hour * HOUR)},{price},{price},{price},{price},1\n" for hour in range(first, 72) if hour not in but]
    write(folder / f"ohlcv/{venue}/spot/ETHUSDT_1h.csv", "timestamp,open,high,low,close,volume\n", rows)


def write(path: Path, header: str, rows: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join([header, *rows]))


def engine_of(
    where: Path, code: str = IDLE, progress: Callable[[int, int], None] | None = None, **config: Any
) -> EventDrivenStrategyEngine:
    (where.parent / "mine.py").write_text(code)
    settings: dict[str, Any] = {
        "strategy_mode": "custom", "share_class": "usdt_stable", "initial_capital": 10_000, "start": "2024-06-01", "end": "2024-06-02",
        "strategy": {"file": str(where.parent / "mine.py")}, "venues": {"cex": ["binance", "bybit"]},
        "initial_positions": {"bybit": {"ETH": 2}}, **config,
    }  # fmt: skip
    return EventDrivenStrategyEngine.from_config(
        settings, data=where, results=where.parent / "results", logs=where.parent / "logs", report=False, progress=progress
    )


def equities(data: Path) -> list[str]:
    [run] = [path for path in (data.parent / "results").iterdir() if path.is_dir()]
    with (run / "equity.csv").open(newline="") as file:
        return [row["equity"] for row in csv.DictReader(file)]


def test_what_is_handed_in_from_outside_changes_no_step_that_is_past(data: Path) -> None:
    def deposit(done: int, total: int) -> None:
        if done == 10:
            engine.manager.positions.update_state(engine.clock.now(), "manual", {"bybit": {"USDT": 500}})

    engine = engine_of(data, progress=deposit)
    engine.run()
    assert equities(data) == ["6000"] * 10 + ["6500"] * 15


def test_a_series_that_begins_later_and_comes_first_prices_from_then_on(data: Path) -> None:
    bars(data, "binance", 3300, first=4)
    engine_of(data).run()
    assert equities(data) == ["6000"] * 5 + ["6600"] * 20


def test_a_redemption_rate_that_grows_too_old_ends_the_run_whatever_the_share_class(data: Path) -> None:
    write(data / "staking/lido/wstETH.csv", "timestamp,eth_per_token\n", [f"{iso(START - 20 * HOUR)},1.17\n"])
    held = {
        "venues": {"cex": ["bybit"], "onchain": {"lido": {}, "wallet": {"gas_price_gwei": 0}}},
        "initial_positions": {"wallet": {"wstETH": 1}},
    }
    for share_class in ("usdt_stable", "eth_directional"):
        with pytest.raises(ComponentError) as failed:
            engine_of(data, share_class=share_class, **held).run()
        assert (failed.value.error_code, "visible at 2024-06-01T17:00:00Z" in failed.value.message) == ("DAT-002", True)


def test_a_price_that_was_too_old_first_is_what_ended_the_run(data: Path) -> None:
    bars(data, "bybit", 3000, but=range(2, 40))
    code = IDLE.replace("return []", "assert snapshot.at.hour < 20\n        return []")
    with pytest.raises(ComponentError) as failed:
        engine_of(data, code, data={"max_staleness": "2h"}).run()
    assert (failed.value.error_code, str(failed.value.__cause__)[:7], len(equities(data))) == ("DAT-002", "STR-002", 5)


@pytest.mark.parametrize(("kind", "name"), [(Attribution, "marks"), (EquityCurve, "add_all")])
def test_an_interruption_while_a_stretch_is_recorded_loses_none_of_it(kind: type, name: str, data: Path) -> None:
    original, calls = getattr(kind, name), 0

    def interrupted(self: Any, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        found = original(self, *arguments)
        if calls == 2:
            raise KeyboardInterrupt
        return found

    engine = engine_of(data, end="2024-06-03")
    with patch.object(kind, name, interrupted), pytest.raises(KeyboardInterrupt):
        engine.run()
    recorded = equities(data)
    assert recorded == ["6000"] * len(recorded)
    assert len(recorded) in (25, 48, 49)  # all that were done: the stretch was recorded again


def test_the_line_reads_what_a_mark_at_each_step_reads(data: Path) -> None:
    bars(data, "binance", 3300, first=30)
    code = (
        "class Mine:\n    def decide(self, snapshot, *of):\n        if snapshot.at.hour != 7:\n            return []\n"
        "        common = dict(instruction_type='cex_trade', venue='bybit', trade_type='spot', symbol='ETHUSDT')\n"
        "        return [dict(common, side='sell', amount='0.1')]\n"
    )
    engine_of(data, code, end="2024-06-03").run()
    by_line = equities(data)
    with patch.object(Attribution, "_as_line", lambda self: None):
        engine_of(data, code, end="2024-06-03").run()
    assert equities(data) == by_line
    assert len(set(map(Decimal, by_line))) > 2
