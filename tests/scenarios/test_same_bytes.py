"""The same config over the same data writes the same bytes, wherever the data are kept and whatever comes after the end."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from basis_strategy_v1.data.importing import import_to_database

from .running import basis_config, excerpt, run

SERIES = ("ohlcv/bybit/spot/ETHUSDT_1h", "ohlcv/bybit/perp/ETHUSDT_1h", "ohlcv/binance/perp/ETHUSDT_1h", "funding/binance/ETHUSDT")
CONFIG: dict[str, Any] = basis_config(perp="binance", end="2024-06-20", strategy_leverage=3)
WRITTEN = ["config.yaml", "equity.csv", "events.csv", "positions.csv", "report.html", "risk.csv", "summary.json", "trades.csv"]


@pytest.fixture(scope="module")
def weeks(market_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A month of the series that the config needs."""
    return excerpt(market_data, tmp_path_factory.mktemp("weeks"), SERIES, until="2024-07-01")


@pytest.fixture(scope="module")
def first(weeks: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the first run wrote, timing.json left out."""
    return run(CONFIG, weeks, tmp_path_factory.mktemp("first"), report=True).files()


def test_two_runs_write_the_same_bytes(weeks: Path, first: dict[str, bytes], tmp_path: Path) -> None:
    again = run(CONFIG, weeks, tmp_path, report=True).files()
    assert sorted(again) == WRITTEN
    assert [name for name in WRITTEN if again[name] != first[name]] == []


def test_the_second_run_into_the_same_folder_writes_the_same_bytes_too(weeks: Path, first: dict[str, bytes], tmp_path: Path) -> None:
    run(CONFIG, weeks, tmp_path)
    (tmp_path / "results" / "notes").mkdir()
    assert run(CONFIG, weeks, tmp_path, report=True).files() == first


def test_a_database_gives_the_same_bytes_as_the_folder_it_was_made_of(weeks: Path, first: dict[str, bytes], tmp_path: Path) -> None:
    import_to_database(weeks, tmp_path / "market.duckdb")
    imported = run(CONFIG, tmp_path / "market.duckdb", tmp_path, report=True).files()
    assert [name for name in WRITTEN if imported[name] != first[name]] == []


@pytest.mark.parametrize("nonsense", ["1e29,1e29,1e29,1e29,1", "not even numbers", "0,-1"])
def test_nonsense_in_place_of_all_data_after_the_end_changes_no_byte(
    nonsense: str, weeks: Path, first: dict[str, bytes], tmp_path: Path
) -> None:
    end = "2024-06-20T00:00:00Z"
    changed = with_rows(weeks, tmp_path / "data", lambda stamp, numbers: nonsense if stamp > end else numbers)
    files = run(CONFIG, changed, tmp_path, report=True).files()
    assert [name for name in WRITTEN if files[name] != first[name]] == []


def test_other_prices_from_some_time_on_change_nothing_before_it(weeks: Path, first: dict[str, bytes], tmp_path: Path) -> None:
    then = "2024-06-10T00:00:00Z"
    changed = with_rows(weeks, tmp_path / "data", lambda stamp, numbers: doubled(numbers) if stamp > then else numbers)
    files = run(CONFIG, changed, tmp_path).files()
    for name in ("equity.csv", "positions.csv", "events.csv"):
        before, after = ([line for line in lines(texts[name]) if line <= then] for texts in (first, files))
        assert before == after
        assert len(before) > 20
        assert files[name] != first[name]


def lines(text: bytes) -> list[str]:
    """Without the zeros at the end of numbers: how many are written follows the decimals of the whole series."""
    return re.sub(r"(?<=[0-9])(\.[0-9]*?)0+(?![0-9])", r"\1", text.decode()).splitlines()


def with_rows(folder: Path, target: Path, change: Callable[[str, str], str]) -> Path:
    """A copy of a data folder with other numbers: `change(stamp, numbers)` of each row."""
    for name in SERIES:
        header, *rows = (folder / f"{name}.csv").read_text().splitlines()
        changed = [f"{stamp},{change(stamp, numbers)}" for stamp, _, numbers in (row.partition(",") for row in rows)]
        assert changed != rows
        path = target / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([header, *changed, ""]))
    return target


def doubled(numbers: str) -> str:
    return ",".join(repr(round(float(number) * 1.7, 2)) for number in numbers.split(","))
