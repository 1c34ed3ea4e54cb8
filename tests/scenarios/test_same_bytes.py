"""The same config over the same data writes the same bytes, wherever the data are kept and whatever comes after the end."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from basis_strategy_v1.data.database import import_to_database

from .running import basis_config, excerpt, run

SERIES = ("ohlcv/bybit/spot/ETHUSDT_1h", "ohlcv/bybit/perp/ETHUSDT_1h", "ohlcv/binance/perp/ETHUSDT_1h", "funding/binance/ETHUSDT")
CONFIG: dict[str, Any] = basis_config(perp="binance", end="2024-06-20", strategy_leverage=3)
WRITTEN = ["config.yaml", "equity.csv", "events.csv", "positions.csv", "report.html", "summary.json"]


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


@pytest.mark.parametrize("nonsense", ["1e29,1e29,1e29,1e29,1\n", "not even numbers\n", "0,-1\n"])
def test_nonsense_in_place_of_all_data_after_the_end_changes_no_byte(
    nonsense: str, weeks: Path, first: dict[str, bytes], tmp_path: Path
) -> None:
    for name in SERIES:
        lines = (weeks / f"{name}.csv").read_text().splitlines(keepends=True)
        # A row stamped at the end is seen where it is visible at its stamp; a bar stamped then has not closed.
        after = "2024-06-20T00:00:00Z" if "ohlcv" in name else "2024-06-20T00:00:01Z"
        replaced = [line if line < after or line.startswith("timestamp") else f"{line.split(',')[0]},{nonsense}" for line in lines]
        assert replaced != lines
        path = tmp_path / "data" / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(keep_shape(replaced, "ohlcv" in name)))
    changed = run(CONFIG, tmp_path / "data", tmp_path, report=True).files()
    assert [name for name in WRITTEN if changed[name] != first[name]] == []


def keep_shape(lines: list[str], is_bar: bool) -> list[str]:
    """The bar that opens at the end may be read, though not used: it keeps its form."""
    return [
        line if not (is_bar and line.startswith("2024-06-20T00:00:00Z")) else "2024-06-20T00:00:00Z,1e29,1e29,1e29,1e29,1\n" for line in lines
    ]


def test_other_prices_from_some_time_on_change_nothing_before_it(weeks: Path, first: dict[str, bytes], tmp_path: Path) -> None:
    then = "2024-06-10T00:00:00Z"
    shutil.copytree(weeks, tmp_path / "data")
    for name in SERIES:
        path = tmp_path / "data" / f"{name}.csv"
        path.write_text("".join(line if line < then or line.startswith("timestamp") else doubled(line) for line in path.open()))
    changed = run(CONFIG, tmp_path / "data", tmp_path, report=False).files()
    for name in ("equity.csv", "positions.csv", "events.csv"):
        before = [line for line in first[name].decode().splitlines() if line <= then]  # the bar that opens then closes an hour later
        assert [line for line in changed[name].decode().splitlines() if line <= then] == before
        assert len(before) > 200 if name == "equity.csv" else before
        assert changed[name] != first[name]


def doubled(line: str) -> str:
    stamp, *numbers = line.rstrip("\n").split(",")
    return ",".join([stamp, *(repr(float(number) * 1.7) for number in numbers)]) + "\n"
