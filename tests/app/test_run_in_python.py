"""A backtest in Python: `run`, `open_run`, a strategy that is handed over, and nothing written unless asked."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas
import polars
import pyarrow
import pytest

from basis_strategy_v1 import open_run, run
from basis_strategy_v1.core.error_codes.exceptions import ComponentError

from .runs import config

TABLES = ("equity", "trades", "events", "positions", "risk")


def buy_once(snapshot: Any, positions: Any, parameters: Any) -> list[dict[str, Any]]:
    """Half of the cash in ETH, with floats."""
    if positions.amount("bybit", "ETH"):
        return []
    price = snapshot.spot("bybit", "ETHUSDT", as_float=True)
    amount = round(parameters.get("share", 0.5) * float(positions.amount("bybit", "USDT")) / price, 2)
    return [{"instruction_type": "cex_trade", "venue": "bybit", "trade_type": "spot", "side": "buy", "symbol": "ETHUSDT", "amount": amount}]


class BuyOnce:
    def decide(self, step: Any, memory: Any) -> tuple[list[dict[str, Any]], Any]:
        return buy_once(step.snapshot, step.positions, step.parameters), memory

    def needs(self, parameters: Any) -> list[tuple[str, str, str]]:
        return [("spot", "bybit", "ETHUSDT")]


def times_a_float(snapshot: Any, positions: Any, parameters: Any) -> list[dict[str, Any]]:
    return [{"amount": 0.9 * snapshot.spot("bybit", "ETHUSDT")}]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_nothing_is_written_and_the_tables_are_there(sample: Path, elsewhere: Path) -> None:
    found = run(config(), data=sample)
    assert [len(getattr(found, name)) for name in TABLES] == [25, 4, 8, 15, 25]
    assert found.metrics == found.summary["metrics"]
    assert found.metrics["best_day"] == pytest.approx(float(found.summary["pnl"]) / 10_000)
    assert list(elsewhere.iterdir()) == []


def test_a_run_that_is_written_is_the_same_run_and_can_be_opened_again(sample: Path, tmp_path: Path, elsewhere: Path) -> None:
    in_memory, written = run(config(), data=sample), run(config(), data=sample, results=tmp_path / "results")
    again = open_run(tmp_path / "results" / in_memory.run_id)
    for other in (written, again):
        assert other.summary == in_memory.summary
        assert [getattr(other, name).equals(getattr(in_memory, name)) for name in TABLES] == [True] * len(TABLES)
    assert json.loads((again.folder or Path()).joinpath("summary.json").read_text()) == in_memory.summary
    assert list(elsewhere.iterdir()) == []
    assert in_memory.report().read_bytes() == again.report(tmp_path / "page.html").read_bytes() == again.report().read_bytes()
    assert [path.name for path in elsewhere.iterdir()] == [f"{in_memory.run_id}.html"]


def test_tables_are_arrow_and_become_frames(sample: Path) -> None:
    found = run(config(), data=sample)
    equity, trades = found.equity, found.trades
    assert equity.arrow.schema.field("timestamp").type == pyarrow.timestamp("us", tz="UTC")
    assert equity.column("timestamp")[0].as_py() == datetime(2024, 6, 1, tzinfo=UTC)
    assert equity["stale"].to_pylist() == [0] * 25
    assert float(Decimal(found.summary["final_equity"])) == equity["equity"][-1].as_py()
    assert (trades["action"].to_pylist(), trades["side"].to_pylist()) == (["spot", "perp"] * 2, ["buy", "sell", "sell", "buy"])
    assert isinstance(trades.to_pandas(), pandas.DataFrame)
    assert isinstance(trades.to_polars(), polars.DataFrame)
    assert pyarrow.table(trades).equals(trades.arrow)
    assert (repr(found), trades.num_rows) == (f"<Run {found.run_id}>", 4)
    assert "venue: string" in repr(trades)


@pytest.mark.parametrize("strategy", [buy_once, BuyOnce])
def test_a_strategy_is_a_function_or_a_class(sample: Path, strategy: Any) -> None:
    found = run(config(strategy={"share": 0.25}), data=sample, strategy=strategy)
    assert found.summary["strategy_mode"] == "custom"
    assert found.trades["notional"].to_pylist() == [pytest.approx(2_500, abs=40)]
    other = run(config(strategy={"parameters": {"share": 0.75}}), data=sample, strategy=strategy)
    assert other.trades["notional"].to_pylist() == [pytest.approx(7_500, abs=40)]
    assert found.run_id != other.run_id
    assert run(config(strategy={"share": 0.25}), data=sample, strategy=strategy).run_id == found.run_id


def test_a_strategy_is_a_file_and_imports_its_neighbours(sample: Path, tmp_path: Path) -> None:
    file, helper = tmp_path / "mine.py", tmp_path / "a_helper.py"
    file.write_text("from a_helper import share\n\ndef decide(snapshot, positions, parameters):\n    return [] if share() else None\n")
    helper.write_text("def share():\n    return 1\n")
    first = run(config(), data=sample, strategy=file)
    helper.write_text("def share():\n    return 2\n")
    os.utime(helper, (1, 1))
    second = run(config(), data=sample, strategy=str(file))
    assert (len(first.trades), len(second.trades)) == (0, 0)
    assert first.run_id != second.run_id
    helper.write_text("def share():\n    return 0\n")
    with pytest.raises(ComponentError, match=r"mine\.py: decide must return a list of blocks, got None"):
        run(config(), data=sample, strategy=file)


def test_what_is_no_strategy_is_refused_in_one_line(sample: Path) -> None:
    class Empty:
        pass

    for wrong in (5, Empty):
        with pytest.raises(ComponentError) as refused:
            run(config(), data=sample, strategy=wrong)
        assert str(refused.value).startswith(
            "STR-001: strategy: must be a class with a method decide, a function or the path of a file, got "
        )


def test_the_error_of_decimal_times_float_names_the_way_out(sample: Path) -> None:
    with pytest.raises(ComponentError) as refused:
        run(config(), data=sample, strategy=times_a_float)
    assert str(refused.value).endswith(
        "(in decide at 2024-06-01T00:00:00Z); prices and amounts are Decimal: write Decimal('0.9') in place of 0.9, "
        "or take floats with snapshot.spot(…, as_float=True)"
    )


def test_a_run_of_an_earlier_version_says_what_it_has_not(sample: Path, tmp_path: Path) -> None:
    found = run(config(), data=sample, results=tmp_path)
    (tmp_path / found.run_id / "trades.csv").unlink()
    with pytest.raises(ComponentError, match=r"RES-001: run eth_basis-\w+ has no trades\.csv"):
        open_run(tmp_path / found.run_id).trades  # noqa: B018
    with pytest.raises(ComponentError, match=r"holds no summary\.json"):
        open_run(tmp_path)
    with pytest.raises(ComponentError, match="cannot be written"):
        found.report(tmp_path / "no" / "page.html")
