"""A config without `start` or `end` runs over what all series that its strategy needs cover."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from basis_strategy_v1.app import build
from basis_strategy_v1.config import ConfigError
from basis_strategy_v1.core.clock import iso

BASIS = {
    "strategy_mode": "eth_basis",
    "share_class": "usdt_stable",
    "initial_capital": 100_000,
    "interval": "1h",
    "strategy": {"spot_venue": "bybit", "perp_venue": "bybit"},
    "venues": {"cex": ["bybit"]},
}


def write(folder: Path, *, spot: tuple[int, int], perp: tuple[int, int], funding: tuple[int, int]) -> Path:
    """Series of hours of June 2024, from and until before."""
    for series, header, (first, stop), row in (
        ("ohlcv/bybit/spot/ETHUSDT_1h", "timestamp,open,high,low,close,volume", spot, "100,101,99,100,5"),
        ("ohlcv/bybit/perp/ETHUSDT_1h", "timestamp,open,high,low,close,volume", perp, "100,101,99,100,5"),
        ("funding/bybit/ETHUSDT", "timestamp,funding_rate", funding, "0.0001"),
    ):
        every = 8 if series.startswith("funding") else 1
        rows = [f"2024-06-{1 + hour // 24:02}T{hour % 24:02}:00:00Z,{row}" for hour in range(first, stop, every)]
        path = folder / f"{series}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([header, *rows, ""]))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "data", spot=(0, 60), perp=(5, 80), funding=(8, 73))


def period(folder: Path, **given: Any) -> tuple[str, str]:
    engine = build({**BASIS, **given}, data=folder, results=None, logs=None)
    return iso(engine.start), iso(engine.end)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ("2024-06-01T08:00:00Z", "2024-06-03T12:00:00Z")),
        ({"start": "2024-06-02"}, ("2024-06-02T00:00:00Z", "2024-06-03T12:00:00Z")),
        ({"end": "2024-06-02"}, ("2024-06-01T08:00:00Z", "2024-06-02T00:00:00Z")),
        ({"interval": "1d"}, ("2024-06-02T00:00:00Z", "2024-06-03T00:00:00Z")),
    ],
)
def test_what_is_left_out_is_what_all_needed_series_cover(given: dict[str, Any], expected: tuple[str, str], folder: Path) -> None:
    assert period(folder, **given) == expected


def test_a_run_over_its_whole_data_is_the_run_with_that_time_written_out(folder: Path) -> None:
    written = {"start": "2024-06-01T08:00:00Z", "end": "2024-06-03T12:00:00Z"}
    runs = [build({**BASIS, **given}, data=folder, results=None, logs=None) for given in ({}, written)]
    assert runs[0].config.hash == runs[1].config.hash


def test_a_time_that_the_data_do_not_say_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        build(BASIS, data=tmp_path, results=None, logs=None)
    assert [(fault.path, fault.value) for fault in error.value.faults] == [("start", "missing"), ("end", "missing")]


def test_another_fault_is_shown_without_the_time_that_could_not_be_looked_for(folder: Path) -> None:
    with pytest.raises(ConfigError) as error:
        build({**BASIS, "initial_capital": "100k"}, data=folder, results=None, logs=None)
    assert [fault.path for fault in error.value.faults] == ["initial_capital"]


def test_a_capital_with_underscores_is_the_number(folder: Path, tmp_path: Path) -> None:
    text = "strategy_mode: eth_basis\nshare_class: usdt_stable\ninitial_capital: 100_000\n"
    (tmp_path / "run.yaml").write_text(f"{text}strategy: {{spot_venue: bybit, perp_venue: bybit}}\nvenues: {{cex: [bybit]}}\n")
    assert build(tmp_path / "run.yaml", data=folder, results=None, logs=None).config.initial_capital == 100_000
