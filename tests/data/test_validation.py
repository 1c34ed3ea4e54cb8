from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basis_strategy_v1.core.clock import HOUR_US
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.data.data_provider import DataProvider
from basis_strategy_v1.data.importing import import_to_database
from basis_strategy_v1.data.layout import FOLDERS, spec_of
from basis_strategy_v1.data.rows import parse_stamp
from basis_strategy_v1.data.validation import DataIssue, validate

Write = Callable[..., Path]
RISE = "expected stamps that only rise"
GAS = "gas/ethereum"
BARS = "ohlcv/bybit/spot/ETHUSDT_1h"
FIRST_US = parse_stamp("2024-01-01T00:00:00Z")


def gas(hour: int, fee: object = 10) -> str:
    return f"2024-01-01T{hour:02}:00:00Z,1,{fee},0.1"


def bar(hour: int, close: object, first: object = 100, high: object = 101, low: object = 99) -> str:
    return f"2024-01-01T{hour:02}:00:00Z,{first},{high},{low},{close},5"


def test_a_sound_folder_has_no_finding(sample: Path) -> None:
    assert validate(sample) == []


def test_the_real_data_have_the_gaps_that_are_known(real: Path) -> None:
    findings = validate(real)
    assert Counter((finding.file, finding.kind) for finding in findings) == {
        ("ohlcv/binance/perp/BTCUSDT_1h.csv", "gap"): 12,
        ("ohlcv/binance/perp/ETHUSDT_1h.csv", "gap"): 12,
        ("ohlcv/binance/spot/BTCUSDT_1h.csv", "gap"): 12,
        ("ohlcv/okx/perp/ETHUSDT_1h.csv", "gap"): 2,
        ("funding/okx/BTCUSDT.csv", "gap"): 11,
        ("funding/okx/ETHUSDT.csv", "gap"): 11,
    }
    assert [finding for finding in findings if finding.file == "ohlcv/okx/perp/ETHUSDT_1h.csv"] == [
        DataIssue("ohlcv/okx/perp/ETHUSDT_1h.csv", 738, "gap",
                "720 rows missing after 2024-08-31T15:00:00Z: the next is 2024-09-30T16:00:00Z, 721h later instead of 1h"),
        DataIssue("ohlcv/okx/perp/ETHUSDT_1h.csv", 5106, "gap",
                "720 rows missing after 2025-03-31T15:00:00Z: the next is 2025-04-30T16:00:00Z, 721h later instead of 1h"),
    ]  # fmt: skip


@pytest.mark.parametrize("which", ["real", "sample"])
def test_no_window_of_a_real_or_a_generated_market_has_an_issue(which: str, request: pytest.FixtureRequest) -> None:
    provider = DataProvider(request.getfixturevalue(which))
    for series in provider.series_ids:
        spec = spec_of(series)
        assert spec is not None and provider.coverage(*spec.key) is not None
    random = Random(5)
    for hours in (1, 5, 24, 100, 1000, 4000):
        for _ in range(8):
            since = FIRST_US + random.randrange(0, 12_000) * HOUR_US
            assert provider.issues(since, since + hours * HOUR_US) == []


def test_gaps_duplicates_and_disorder_are_reported_by_line(write: Write) -> None:
    folder = write(GAS, gas(0), gas(1), gas(1), gas(2), gas(5), gas(4), gas(6))
    assert validate(folder) == [
        DataIssue("gas/ethereum.csv", 4, "duplicate", f"column timestamp: '2024-01-01T01:00:00Z' is there already, in line 3; {RISE}",
                "error"),
        DataIssue("gas/ethereum.csv", 6, "gap",
                "2 rows missing after 2024-01-01T02:00:00Z: the next is 2024-01-01T05:00:00Z, 3h later instead of 1h"),
        DataIssue("gas/ethereum.csv", 7, "disorder", "column timestamp: '2024-01-01T04:00:00Z' is out of order, after "
                f"2024-01-01T05:00:00Z of line 6; {RISE}",
                "error"),
    ]  # fmt: skip


def test_zeros_and_malformed_lines_are_reported_and_the_rest_is_read_on(write: Write) -> None:
    folder = write(BARS, bar(0, 100), bar(1, 0), bar(2, "x"), "2024-01-01T03:00:00Z,1", bar(4, 100), bar(5, -1))
    found = validate(folder)
    assert [(finding.line, finding.kind) for finding in found] == [
        (3, "zero"), (4, "malformed"), (5, "malformed"), (6, "gap"), (7, "malformed")
    ]  # fmt: skip
    assert found[0].message == "column close: '0' is not allowed; expected a number above 0"


def test_a_price_away_from_both_rows_next_to_it_is_an_outlier(write: Write) -> None:
    folder = write(BARS, bar(0, 100), bar(1, 100, high=130), bar(2, 100), bar(3, 100))
    assert validate(folder) == [
        DataIssue(f"{BARS}.csv", 3, "outlier", "column high: 130 is more than 20% away from the neighbouring rows, 101 and 101")
    ]


@pytest.mark.parametrize(("prices", "line"), [(("1.00", "1.50", "1.51"), 2), (("1.51", "1.50", "1.00"), 4)])
def test_a_price_at_an_end_is_held_against_the_two_that_are_nearest(write: Write, prices: tuple[str, ...], line: int) -> None:
    folder = write("staking/lido/wstETH", *(f"2024-01-0{day}T00:00:00Z,{price}" for day, price in enumerate(prices, 1)))
    assert [(finding.line, finding.kind) for finding in validate(folder)] == [(line, "outlier")]


def test_two_rows_far_apart_are_both_reported(write: Write) -> None:
    found = validate(write("staking/lido/wstETH", "2024-01-01T00:00:00Z,1", "2024-01-02T00:00:00Z,2"))
    assert [finding.line for finding in found] == [2, 3]
    assert validate(write("staking/lido/wstETH", "2024-01-01T00:00:00Z,1")) == []


def test_rates_beyond_reason_are_outliers(write: Write) -> None:
    assert validate(write("funding/okx/ETHUSDT", "2024-01-01T00:00:00Z,-0.011")) == [
        DataIssue("funding/okx/ETHUSDT.csv", 2, "outlier", "column funding_rate: -0.011 is beyond 0.01")
    ]


def test_lending_indices_and_oracle_prices_have_limits_of_their_own(write: Write) -> None:
    rows = [f"2024-01-0{day}T00:00:00Z,1,{index},0.05,1.1,0.06,100,90,{price}" for day, index, price in
            ((1, "1.00", 2000), (2, "1.05", 2500), (3, "1.00", 4000), (4, "1.00", 2000))]  # fmt: skip
    found = validate(write("lending/aave_v3/WETH", *rows))
    assert [(finding.line, finding.message.split(" is ")[0]) for finding in found] == [
        (3, "column liquidity_index: 1.05"),
        (4, "column oracle_price_usd: 4000"),
    ]


def test_bars_whose_range_does_not_hold_their_prices_are_reported_as_what_strict_reading_refuses(write: Write) -> None:
    found = validate(write(BARS, bar(0, 100), bar(1, 102), bar(2, 98)))
    assert [(finding.line, finding.kind) for finding in found[:2]] == [(3, "malformed"), (4, "malformed")]
    assert found[0].message == (
        "in the bar of 2024-01-01T01:00:00Z close 102 is above high 101; "
        "expected low <= open, close <= high; correct the row, or leave it out"
    )


@pytest.mark.parametrize(
    ("wrong", "meant", "row"),
    [
        ("ohlcv/bybit/spot/ethusdt_1h", "ohlcv/bybit/spot/ETHUSDT_1h", bar(0, 100)),
        ("funding/Bybit/ETHUSDT", "funding/bybit/ETHUSDT", "2024-01-01T00:00:00Z,0.0001"),
        ("staking/lido/WSTETH", "staking/lido/wstETH", "2024-01-01T00:00:00Z,1.1"),
        ("dex/curve/weeth_weth", "dex/curve/weETH_WETH", "2024-01-01T00:00:00Z,1.1"),
    ],
)
def test_a_name_that_only_its_capitals_keep_from_being_found_is_reported(write: Write, wrong: str, meant: str, row: str) -> None:
    assert validate(write(wrong, row)) == [
        DataIssue(f"{wrong}.csv", 0, "malformed", f"nothing finds it under this name: rename it to {meant}.csv", "error")
    ]


@pytest.mark.parametrize("symbol", ["kPEPEUSDC", "1000PEPEUSDT", "ETHUSD", "ETHUSDT"])
def test_a_symbol_that_a_config_can_name_is_taken_as_it_is_written(write: Write, symbol: str) -> None:
    assert validate(write(f"funding/hyperliquid/{symbol}", "2024-01-01T00:00:00Z,0.0001")) == []


@pytest.mark.parametrize("symbol", ["ethusdt", "EthUSDT", "ETHusdt", "kpepeUSDC"])
def test_a_symbol_that_nothing_can_name_is_reported(write: Write, symbol: str) -> None:
    (found,) = validate(write(f"funding/hyperliquid/{symbol}", "2024-01-01T00:00:00Z,0.0001"))
    assert found.message == f"nothing finds it under this name: rename it to funding/hyperliquid/{symbol.upper()}.csv"


def outliers(provider: DataProvider, since: int, until: int) -> list[tuple[int, str]]:
    return [(issue.stamp, issue.message) for issue in provider.issues(since, until) if issue.kind == "outlier"]


CLOSES = st.lists(st.sampled_from([80, 90, 100, 130, 1000]), min_size=1, max_size=9)


@given(closes=CLOSES, since=st.integers(0, 10), hours=st.integers(0, 10))
def test_the_outliers_of_a_loaded_series_are_those_of_its_file_within_the_time_asked_for(
    tmp_path_factory: pytest.TempPathFactory, closes: list[int], since: int, hours: int
) -> None:
    folder = tmp_path_factory.mktemp("both")
    path = folder / f"{BARS}.csv"
    path.parent.mkdir(parents=True)
    rows = [bar(hour, close, close, close, close) for hour, close in enumerate(closes)]
    path.write_text("\n".join(["timestamp,open,high,low,close,volume", *rows, ""]))
    listed = [finding for finding in validate(folder) if finding.kind == "outlier" and "column open" not in finding.message]
    reported = [(finding.line - 2, finding.message) for finding in listed]
    provider = DataProvider(folder)
    assert provider.coverage("spot", "bybit", "ETHUSDT") is not None
    first, last = FIRST_US + since * HOUR_US, FIRST_US + (since + hours) * HOUR_US
    # A bar is in force from the end of its hour until the end of the next one's; the last one for good.
    in_force = [hour for hour in range(len(closes)) if hour + 1 <= since + hours and (hour + 2 > since or hour + 1 == len(closes))]
    found = outliers(provider, first, last)
    whole = outliers(provider, FIRST_US, FIRST_US + 20 * HOUR_US)
    assert [(stamp, message) for stamp, message in whole] == [(FIRST_US + hour * HOUR_US, message) for hour, message in reported]
    assert found == [(stamp, message) for stamp, message in whole if (stamp - FIRST_US) // HOUR_US in in_force]


def test_a_rate_at_its_limit_is_no_outlier(write: Write) -> None:
    provider = DataProvider(write("funding/okx/ETHUSDT", "2024-01-01T00:00:00Z,0.01", "2024-01-01T08:00:00Z,-0.0101"))
    assert provider.coverage("funding", "okx", "ETHUSDT") is not None
    assert outliers(provider, FIRST_US, FIRST_US + 20 * HOUR_US) == [
        (FIRST_US + 8 * HOUR_US, "column funding_rate: -0.0101 is beyond 0.01")
    ]


ENDING = "end in .csv, .csv.gz or .parquet are read:"
INTERVALS = "1m, 3m, 5m, 15m, 30m, 1h, 2h, 4h, 6h, 8h, 12h, 1d"
NOT_IN_THE_LAYOUT = "its name is not in the layout of docs/data.md, so it is not read"


def test_files_that_hold_no_series_are_reported(tmp_path: Path, write: Write) -> None:
    write(GAS)
    files = {
        "funding/okx/ETHUSDT.csv": "",
        "funding/bybit/ETHUSDT.csv": "time,rate\n",
        "funding/bybit/BTCUSDT.csv": "timestamp,funding_rate\n2024-01-01T00:00:00Z,0.0",
        "ohlcv/bybit/spot/ETHUSDT.csv": "x",
        "dex/sushi/weETH_WETH.state.csv": "another layout\n",
        "lending/morpho/wstETH.csv": "another layout\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert validate(tmp_path) == [
        DataIssue("ohlcv/bybit/spot/ETHUSDT.csv", 0, "malformed", NOT_IN_THE_LAYOUT, "error"),
        DataIssue("lending/morpho/wstETH.csv", 0, "malformed", NOT_IN_THE_LAYOUT, "error"),
        DataIssue("dex/sushi/weETH_WETH.state.csv", 0, "malformed", NOT_IN_THE_LAYOUT, "error"),
        DataIssue("funding/bybit/BTCUSDT.csv", 2, "malformed", "'2024-01-01T00:00:00Z,0.0' does not end in a newline, "
                "so it may have been cut; complete it or delete it", "error"),
        DataIssue("funding/bybit/ETHUSDT.csv", 1, "malformed", "the header is 'time,rate'; expected timestamp,funding_rate", "error"),
        DataIssue("funding/okx/ETHUSDT.csv", 0, "empty", "is empty; expected the header timestamp,funding_rate", "error"),
        DataIssue("gas/ethereum.csv", 1, "empty", "has a header and no row; delete the file or fill it", "error"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("ohlcv/bybit/spot/ETHUSDT_1h.CSV", f"only names that {ENDING} rename it to ETHUSDT_1h.csv"),
        ("ohlcv/bybit/spot/ETHUSDT_1h.csv.zst", f"only files that {ENDING} unpack it"),
        ("ohlcv/bybit/spot/ETHUSDT_1h.zip", f"only files that {ENDING} bring it in with `basis data import`"),
        ("funding/bybit/ETHUSDT.feather", f"only files that {ENDING} write it as CSV or Parquet"),
        ("ohlcv/bybit/spot/ETHUSDT_10m.csv", f"{NOT_IN_THE_LAYOUT}: bars of 10m are not known, only {INTERVALS}"),
        ("ohlcv/bybit/spot/ETHUSDT_60m.csv", f"{NOT_IN_THE_LAYOUT}: bars of 60m are not known, only {INTERVALS}"),
        ("ohlcv/bybit/spot/ETH-USDT_1h.csv", f"{NOT_IN_THE_LAYOUT}: rename it to ETHUSDT_1h.csv"),
        ("funding/okx/ETH-USDT.csv", f"{NOT_IN_THE_LAYOUT}: rename it to ETHUSDT.csv"),
        ("ohlcv/bybit/futures/ETHUSDT_1h.csv", NOT_IN_THE_LAYOUT),
    ],
)
def test_a_file_that_is_there_and_not_read_is_named_with_the_way_out(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text("")
    assert validate(tmp_path) == [DataIssue(name, 0, "malformed", why, "error")]


@pytest.mark.parametrize("name", ["ohlcv/README.md", "ohlcv/bybit/spot/.hidden", "GENERATED.txt", "notes/x.csv.gz"])
def test_a_file_that_holds_no_data_of_the_layout_is_none_of_its_business(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("")
    assert [finding.kind for finding in validate(tmp_path)] == ["empty"]


def test_a_database_has_the_findings_of_the_folder_it_was_made_of(write: Write, tmp_path: Path) -> None:
    write(GAS, gas(0), gas(1), gas(2, 9000), gas(3), gas(7))
    folder = write("ohlcv/bybit/perp/ETHUSDT_1d", "2024-01-01T00:00:00Z,100,101,99,100,5")
    write(BARS, *(bar(hour, 100 + 50 * (hour == 3), high=160) for hour in range(6)))
    import_to_database(folder, tmp_path / "x.duckdb")
    expected = validate(folder)
    assert [(found.kind, found.severity) for found in expected] == [
        ("outlier", "warning"), ("outlier", "warning"), ("gap", "warning"), ("resolution", "note")
    ]  # fmt: skip
    assert sorted(
        found._replace(file=found.file.removesuffix(".csv"), line=found.line - 1 if found.line else 0) for found in expected
    ) == sorted(validate(tmp_path / "x.duckdb"))


def test_legs_of_a_coin_without_a_common_interval_are_noted(write: Write) -> None:
    write(BARS, bar(0, 100), bar(1, 100))
    write("ohlcv/okx/perp/ETHUSDT_1d", "2024-01-01T00:00:00Z,100,101,99,100,5")  # another venue's: no legs of one trade
    folder = write("ohlcv/bybit/perp/ETHUSDT_4h", "2024-01-01T00:00:00Z,100,101,99,100,5")
    assert validate(folder) == [
        DataIssue("ohlcv/bybit/perp/ETHUSDT_4h.csv", 2, "resolution",
                  "spot and perp of ETHUSDT have bars of no common interval; bring bars of 1h for both", "note")
    ]  # fmt: skip
    write("ohlcv/bybit/perp/ETHUSDT_1h", bar(0, 100), bar(1, 100))
    assert validate(folder) == []


def test_a_table_that_was_changed_is_a_finding_of_a_database(write: Write, tmp_path: Path) -> None:
    import_to_database(write(GAS, gas(0)), tmp_path / "x.duckdb")
    with duckdb.connect(str(tmp_path / "x.duckdb")) as connection:
        connection.execute(f'ALTER TABLE "{GAS}" DROP COLUMN base_fee_gwei')
    [found] = validate(tmp_path / "x.duckdb")
    assert (found.file, found.line, found.kind, found.severity) == (GAS, 0, "malformed", "error")
    assert found.message.endswith(": there is no column base_fee_gwei; write the database again with `basis data import`")


def test_a_folder_without_files_is_reported(tmp_path: Path) -> None:
    assert validate(tmp_path) == [DataIssue(".", 0, "empty", f"the folder holds no file of a series in {', '.join(FOLDERS)}", "error")]
    with pytest.raises(ComponentError, match=r"DAT-006: the data folder .*absent does not exist; `basis data sample` makes one to try"):
        validate(tmp_path / "absent")


def test_a_file_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    (tmp_path / f"{GAS}.csv").mkdir(parents=True)
    assert validate(tmp_path) == [DataIssue("gas/ethereum.csv", 0, "malformed", "it cannot be read: Is a directory", "error")]


def test_a_pipe_or_a_device_is_reported_and_not_read(tmp_path: Path) -> None:
    (tmp_path / "gas").mkdir()
    os.mkfifo(tmp_path / f"{GAS}.csv")
    (tmp_path / "gas" / "base.csv").symlink_to("/dev/zero")
    reported = [
        DataIssue(f"gas/{name}.csv", 0, "malformed", "it cannot be read: it is no regular file", "error") for name in ("base", "ethereum")
    ]
    assert validate(tmp_path) == reported


@settings(deadline=None, max_examples=60)
@given(content=st.one_of(st.binary(max_size=200), st.text(alphabet="0123456789-:TZ,.\ne", max_size=300).map(str.encode)))
def test_no_content_raises(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    folder = tmp_path_factory.mktemp("any")
    spec = spec_of(BARS)
    assert spec is not None
    path = folder / f"{BARS}.csv"
    path.parent.mkdir(parents=True)
    path.write_bytes(spec.header.encode() + b"\n" + content)
    assert all("\n" not in finding.message for finding in validate(folder))
