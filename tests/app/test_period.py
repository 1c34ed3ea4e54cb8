"""A config without `start` or `end` runs over what all series that its strategy needs cover."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from basis_strategy_v1 import run
from basis_strategy_v1.app import build
from basis_strategy_v1.config import ConfigError
from basis_strategy_v1.core.clock import iso
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.results.run_memory import RunMemory

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


def stamp_late(folder: Path, late: str = "00:00.008") -> None:
    """Funding as binance stamps it, 8 ms after the hour, or later."""
    path = folder / "funding/bybit/ETHUSDT.csv"
    path.write_text(path.read_text().replace(":00:00Z", f":{late}Z"))


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
        ({"warmup": "10h"}, ("2024-06-01T18:00:00Z", "2024-06-03T12:00:00Z")),
        ({"warmup": "90m"}, ("2024-06-01T10:00:00Z", "2024-06-03T12:00:00Z")),
        ({"interval": "1d"}, ("2024-06-02T00:00:00Z", "2024-06-03T00:00:00Z")),
    ],
)
def test_what_is_left_out_is_what_all_needed_series_cover(given: dict[str, Any], expected: tuple[str, str], folder: Path) -> None:
    assert period(folder, **given) == expected


@pytest.mark.parametrize(
    ("bars_until", "interval", "end", "payments"),
    [
        (60, "1h", "2024-06-02T17:00:00Z", 4),
        (60, "15m", "2024-06-02T16:15:00Z", 4),
        (60, "1d", "2024-06-03T00:00:00Z", 3),
        (40, "1h", "2024-06-02T16:00:00Z", 3),
    ],
)
def test_the_last_payment_is_paid_where_it_is_stamped_a_little_after_the_hour(
    bars_until: int, interval: str, end: str, payments: int, tmp_path: Path
) -> None:
    folder = write(tmp_path, spot=(0, bars_until), perp=(0, bars_until), funding=(8, 41))
    stamp_late(folder)
    engine = build({**BASIS, "initial_capital": 1_000, "interval": interval}, data=folder, results=None, logs=None)
    assert iso(engine.end) == end
    engine.run()
    assert isinstance(engine.folder, RunMemory)
    events = list(csv.DictReader((engine.folder.text("events.csv") or "").splitlines()))
    paid = [row["timestamp"] for row in events if '"kind":"funding"' in row["data"]]
    assert len(paid) == payments


@pytest.mark.parametrize(("interval", "end"), [("1h", "2024-06-02T18:00:00Z"), ("4h", "2024-06-02T16:00:00Z")])
def test_the_end_goes_past_no_payment_that_has_no_row(interval: str, end: str, tmp_path: Path) -> None:
    folder = write(tmp_path, spot=(0, 90), perp=(0, 90), funding=(8, 41))
    rows = [f"2024-06-{1 + hour // 24:02}T{hour % 24:02}:00:00.008Z,0.0001" for hour in range(8, 42)]
    (folder / "funding/bybit/ETHUSDT.csv").write_text("\n".join(["timestamp,funding_rate", *rows, ""]))
    assert period(folder, interval=interval)[1] == end


def test_a_row_in_the_middle_of_an_hour_does_not_move_the_end(tmp_path: Path) -> None:
    folder = write(tmp_path, spot=(0, 90), perp=(0, 90), funding=(8, 41))
    stamp_late(folder, "30:00")
    assert period(folder)[1] == "2024-06-02T16:00:00Z"


def test_a_run_over_its_whole_data_is_the_run_with_that_time_written_out(folder: Path) -> None:
    written = {"start": "2024-06-01T08:00:00Z", "end": "2024-06-03T12:00:00Z"}
    runs = [build({**BASIS, **given}, data=folder, results=None, logs=None) for given in ({}, written)]
    assert runs[0].config.hash == runs[1].config.hash


def test_data_without_any_needed_series_are_named_and_not_the_time(folder: Path) -> None:
    with pytest.raises(ComponentError) as error:
        build({**BASIS, "strategy": {"spot_venue": "okx", "perp_venue": "okx"}, "venues": {"cex": ["okx"]}}, data=folder, results=None)
    assert error.value.error_code == "DAT-001"
    assert [line.partition(";")[0] for line in error.value.message.splitlines()] == [
        "no spot of okx for ETHUSDT", "no perp of okx for ETHUSDT", "no funding of okx for ETHUSDT",
    ]  # fmt: skip


def test_that_there_are_no_data_is_said_and_not_that_the_time_is_missing() -> None:
    with pytest.raises(ComponentError) as error:
        build(BASIS, results=None, logs=None)
    assert str(error.value) == "DAT-006: no data: give a folder or a database with --data, or data.directory in the config"


def test_a_malformed_series_is_shown_and_not_that_the_time_is_missing(folder: Path) -> None:
    perp = folder / "ohlcv/bybit/perp/ETHUSDT_1h.csv"
    perp.write_text(perp.read_text().replace("close", "Close"))
    with pytest.raises(ComponentError) as error:
        build(BASIS, data=folder, results=None, logs=None)
    assert error.value.error_code == "DAT-003"
    assert "Close" in error.value.message and "\n" not in error.value.message


def does_nothing(snapshot: Any, positions: Any, parameters: Any) -> list[Any]:
    return []


@pytest.mark.parametrize(("given", "missing"), [({}, ["start", "end"]), ({"start": "2024-06-02"}, ["end"])])
def test_a_strategy_that_names_no_series_needs_the_time_and_the_error_says_why(
    given: dict[str, Any], missing: list[str], folder: Path
) -> None:
    with pytest.raises(ConfigError) as error:
        run({**BASIS, "strategy": {}, **given}, folder, does_nothing)
    allowed = "a time, such as 2024-06-01; the data say it only for the series in needs(self, parameters), and this strategy names none"
    assert error.value.faults == [(name, "missing", allowed) for name in missing]


class AnyProvider:
    """Data of which nothing but a fingerprint can be asked."""

    def fingerprint(self) -> str:
        return "any"


def test_data_that_cannot_be_asked_what_they_cover_leave_the_time_to_the_config() -> None:
    with pytest.raises(ConfigError) as error:
        build(BASIS, data=AnyProvider(), results=None, logs=None)
    assert [(fault.path, fault.value) for fault in error.value.faults] == [("start", "missing"), ("end", "missing")]


@pytest.mark.parametrize(
    ("wrong", "path"), [({"initial_capital": "100k"}, "initial_capital"), ({"strategy": {"spot_venue": "bybit"}}, "strategy.perp_venue")]
)
def test_another_fault_is_shown_without_the_time_that_could_not_be_looked_for(wrong: dict[str, Any], path: str, folder: Path) -> None:
    with pytest.raises(ConfigError) as error:
        build({**BASIS, **wrong}, data=folder, results=None, logs=None)
    assert [fault.path for fault in error.value.faults] == [path]


def test_a_capital_with_underscores_is_the_number(folder: Path, tmp_path: Path) -> None:
    text = "strategy_mode: eth_basis\nshare_class: usdt_stable\ninitial_capital: 100_000\n"
    (tmp_path / "run.yaml").write_text(f"{text}strategy: {{spot_venue: bybit, perp_venue: bybit}}\nvenues: {{cex: [bybit]}}\n")
    assert build(tmp_path / "run.yaml", data=folder, results=None, logs=None).config.initial_capital == 100_000
