from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from basis_strategy_v1.core.clock import SimulatedClock, to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.market import DictSnapshot
from basis_strategy_v1.data.data_provider import DataProvider

Write = Callable[..., Path]
T0 = datetime(2024, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def bar(hour: int, close: object, minute: int = 0) -> str:
    return f"{(T0 + hour * HOUR + timedelta(minutes=minute)).isoformat()},{close},{close},{close},{close},1"


@pytest.fixture
def folder(write: Write) -> Path:
    """One series of each kind, all visible from one hour after T0."""
    write("ohlcv/bybit/spot/ETHUSDT_1h", bar(0, "2295.61"), bar(1, "2303.41"))
    write("ohlcv/uniswap_v3/spot/WETHUSDT_1h", bar(0, "2289.29694049011"))
    write("ohlcv/bybit/perp/ETHUSDT_1h", bar(0, "2297.63"))
    write("funding/bybit/ETHUSDT", "2024-06-01T00:00:00Z,8.966e-05")
    lending = "2024-06-01T00:00:00Z,18908894,1.0361969326346498,0.08,1.0494,0.1,436727963.715508,395987308.4507,0.99965"
    write("lending/aave_v3/USDT", lending)
    write("staking/lido/wstETH", "2024-06-01T00:00:00Z,1.15")
    write("dex/curve/weETH_WETH", "2024-06-01T00:00:00Z,1.0375")
    return write("gas/ethereum", "2024-06-01T00:00:00Z,18908889,11.97,0.1")


EVERYTHING = {
    "timestamp": T0 + HOUR,
    "market_data": {
        "prices": {"USDT": 1.0, "USDC": 1.0, "ETH": 2295.61, "WETH": 2295.61, "wstETH": 2639.9515},
        "spot_prices": {"bybit": {"ETHUSDT": 2295.61}, "uniswap": {"WETHUSDT": 2289.29694049011}},
        "perp_prices": {"bybit": {"ETHUSDT": 2297.63}},
        "funding_rates": {"bybit": {"ETHUSDT": 8.966e-05}},
    },
    "protocol_data": {
        "aave": {
            "USDT": {
                "liquidity_index": 1.0361969326346498,
                "liquidity_rate": 0.08,
                "variable_borrow_index": 1.0494,
                "variable_borrow_rate": 0.1,
                "total_supplied": 436727963.715508,
                "total_borrowed": 395987308.4507,
                "oracle_price_usd": 0.99965,
            }
        },
        "lido": {"wstETH": {"eth_per_token": 1.15}},
        "curve": {"weETH_WETH": 1.0375},
    },
    "execution_data": {"gas": {"base_fee_gwei": 11.97, "priority_fee_gwei": 0.1}},
}


def test_get_data_gives_everything_visible_as_the_floats_of_the_text(folder: Path) -> None:
    assert DataProvider(folder).get_data(T0 + HOUR) == EVERYTHING


def test_what_is_not_yet_visible_is_absent(folder: Path) -> None:
    data = DataProvider(folder).get_data(T0)
    assert data["market_data"] == {
        "prices": {"USDT": 1.0, "USDC": 1.0},
        "spot_prices": {},
        "perp_prices": {},
        "funding_rates": EVERYTHING["market_data"]["funding_rates"],  # type: ignore[index]
    }
    assert sorted(data["protocol_data"]) == ["aave", "lido"]
    before = DataProvider(folder).get_data(T0 - HOUR)
    assert (before["protocol_data"], before["execution_data"]) == ({}, {})


def test_what_is_too_old_is_absent(folder: Path) -> None:
    data = DataProvider(folder, max_staleness={"default": "30d", "ohlcv/bybit": "1h"}).get_data(T0 + 4 * HOUR)
    assert data["market_data"]["spot_prices"] == {"uniswap": {"WETHUSDT": 2289.29694049011}}
    assert data["market_data"]["perp_prices"] == {}
    assert sorted(data["protocol_data"]) == ["aave", "curve", "lido"]


def test_the_timestamp_is_returned_as_given(folder: Path) -> None:
    from zoneinfo import ZoneInfo

    at = (T0 + HOUR).astimezone(ZoneInfo("Asia/Kolkata"))
    data = DataProvider(folder).get_data(at)
    assert data["timestamp"] is at
    assert data["market_data"] == EVERYTHING["market_data"]


def test_both_snapshots_say_the_same(sample: Path) -> None:
    provider = DataProvider(sample)
    at = T0 + 50 * HOUR
    exact, from_floats = provider.snapshot(at), DictSnapshot(at, provider.get_data(at))
    assert exact.spot("bybit", "ETHUSDT") == from_floats.spot("bybit", "ETHUSDT")
    assert exact.funding("binance", "BTCUSDT") == from_floats.funding("binance", "BTCUSDT")
    assert exact.dex_rate("curve", "weETH_WETH") == from_floats.dex_rate("curve", "weETH_WETH")
    assert exact.gas() == from_floats.gas()
    assert exact.price("WETH") == from_floats.price("WETH")
    assert float(exact.lending("aave", "USDT").liquidity_index) == float(from_floats.lending("aave", "USDT").liquidity_index)


def test_a_time_after_the_clock_is_refused(folder: Path) -> None:
    provider = DataProvider(folder, clock=SimulatedClock(T0 + HOUR))
    assert provider.get_data(T0 + HOUR) == EVERYTHING
    for ask in (provider.get_data, provider.snapshot):
        with pytest.raises(ComponentError) as raised:
            ask(T0 + 2 * HOUR)
        assert str(raised.value) == (
            "DAT-004: 2024-06-01T02:00:00Z is after the clock, which stands at 2024-06-01T01:00:00Z; ask for that or earlier"
        )


@pytest.mark.parametrize("at", [datetime(2024, 6, 1), "2024-06-01", None])  # noqa: DTZ001
def test_a_time_without_a_zone_is_refused(folder: Path, at: datetime) -> None:
    provider = DataProvider(folder)
    for ask in (provider.get_data, provider.snapshot):
        with pytest.raises(ComponentError, match=r"DAT-004: a timestamp (needs a time zone|must be a timezone-aware)"):
            ask(at)
    if at is not None:
        with pytest.raises(ComponentError, match="DAT-004"):
            DataProvider(folder, until=at)


def test_the_mode_comes_from_the_environment_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BASIS_DATA_MODE", "csv")
    provider = DataProvider(folder)
    monkeypatch.setenv("BASIS_DATA_MODE", "db")
    assert provider.mode == "csv"
    assert DataProvider(folder, mode="csv").mode == "csv"
    with pytest.raises(ComponentError) as raised:
        DataProvider(folder)
    assert str(raised.value) == "DAT-006: the data mode is db and no database was given; write one with `basis data import`"


def test_another_mode_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ComponentError) as raised:
        DataProvider(folder, mode="sql")
    assert str(raised.value) == "CFG-002: mode: must be one of csv, db, got 'sql'"
    monkeypatch.setenv("BASIS_DATA_MODE", "parquet")
    with pytest.raises(ComponentError) as raised:
        DataProvider(folder)
    assert str(raised.value) == "CFG-002: BASIS_DATA_MODE: must be one of csv, db, got 'parquet'"


def test_another_way_with_missing_funding_is_refused(folder: Path) -> None:
    with pytest.raises(ComponentError) as raised:
        DataProvider(folder, missing_funding="skip")
    assert str(raised.value) == "CFG-001: data.missing_funding: must be one of error, zero, got 'skip'"


PLAIN_FILE = "give a folder of series (docs/data.md has its layout), or a database that `basis data import` wrote"


def test_a_folder_that_is_no_data_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BASIS_DATA_MODE", raising=False)
    file = tmp_path / "file"
    file.write_text("")
    (tmp_path / "empty").mkdir()
    messages = {}
    for name in (None, "absent", "file", "empty"):
        with pytest.raises(ComponentError) as raised:
            DataProvider(None if name is None else tmp_path / name)
        messages[name] = str(raised.value)
    assert messages == {
        None: "DAT-006: the data mode is csv and no folder was given; give one, or make a sample with `basis data sample`",
        "absent": f"DAT-006: the data folder {tmp_path}/absent does not exist; `basis data sample` makes one to try",
        "file": f"DAT-006: the data folder {tmp_path}/file is a file; {PLAIN_FILE}",
        "empty": f"DAT-006: the data folder {tmp_path}/empty holds no series; expected files such as "
        "ohlcv/bybit/spot/ETHUSDT_1h.csv in it (docs/data.md has the layout)",
    }


def test_a_malformed_file_is_reported_when_its_series_is_asked_for(folder: Path) -> None:
    (folder / "funding/bybit/ETHUSDT.csv").write_text("timestamp,funding_rate\n2024-06-01T00:00:00Z,high\n")
    provider = DataProvider(folder)
    snapshot = provider.snapshot(T0 + HOUR)
    assert snapshot.spot("bybit", "ETHUSDT") == Decimal("2295.61")
    with pytest.raises(ComponentError) as raised:
        snapshot.funding("bybit", "ETHUSDT")
    assert str(raised.value) == (
        f"DAT-003: {folder}/funding/bybit/ETHUSDT.csv line 2: column funding_rate: 'high' is not a number; "
        "expected a number, such as 2295.61"
    )
    with pytest.raises(ComponentError, match="DAT-003"):
        provider.get_data(T0 + HOUR)


def test_coverage_is_from_the_first_to_the_last_visible_row(folder: Path) -> None:
    provider = DataProvider(folder)
    assert provider.coverage("spot", "bybit", "ETHUSDT") == (to_instant(T0 + HOUR), to_instant(T0 + 2 * HOUR))
    assert provider.coverage("spot", "okx", "ETHUSDT") is None
    assert provider.what_there_is("spot", "uniswap") == "uniswap has WETHUSDT"
    assert DataProvider(folder, until=T0 - HOUR).coverage("spot", "bybit", "ETHUSDT") is None
    files = [path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.csv")]
    assert sorted(provider.series_ids) == sorted(files)


def test_only_generated_data_are_called_generated(folder: Path, sample: Path) -> None:
    assert not DataProvider(folder).generated
    assert DataProvider(sample).generated


def test_nonsense_after_the_end_changes_no_answer(sample: Path, tmp_path: Path) -> None:
    end = T0 + 40 * 24 * HOUR
    for path in sample.rglob("*.csv"):
        copy = tmp_path / path.relative_to(sample)
        copy.parent.mkdir(parents=True, exist_ok=True)
        header, *rows = path.read_text().splitlines()
        cut = sum(datetime.fromisoformat(row.split(",")[0]) <= end for row in rows)
        assert 0 < cut < len(rows)
        nonsense = [f"{row.split(',')[0]},-99999999.123456789,\x00nan" for row in rows[cut:]]
        copy.write_text("\n".join((header, *rows[:cut], *nonsense)))
    for at in (end, end - HOUR, end - timedelta(minutes=7), end - 20 * 24 * HOUR):
        spoiled, whole = (DataProvider(folder, until=end, spot_venues=("bybit",)).get_data(at) for folder in (tmp_path, sample))
        assert json.dumps(spoiled, default=str) == json.dumps(whole, default=str)
        assert spoiled == DataProvider(sample).get_data(at)
