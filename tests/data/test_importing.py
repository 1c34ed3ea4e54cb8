"""What exchanges and libraries write is imported as it is meant, once, and never by half."""

from __future__ import annotations

import gzip
import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas
import polars
import pyarrow
import pytest
from pyarrow import parquet

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.data.data_provider import DataProvider
from basis_strategy_v1.data.import_settling import Wanted
from basis_strategy_v1.data.importing import Imported, import_data
from basis_strategy_v1.data.layout import spec_of
from basis_strategy_v1.data.row_files import load_file
from basis_strategy_v1.data.series import Loaded
from basis_strategy_v1.data.sources import DataFolder

T0 = datetime(2024, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOUR_MS = 3_600_000
BARS = [
    (f"{3000 + hour % 5}.5", f"{3006 + hour % 5}.25", f"{2992 + hour % 7}", f"{3001 + hour % 3}.125", f"{hour % 4}.5") for hour in range(48)
]
RATES = ["0.0001", "-0.00005", "0.00012345", "0", "0.0003", "0.0001"]
NAMES = ["timestamp", "open", "high", "low", "close", "volume"]


def ms(hour: int) -> int:
    return int((T0 + hour * HOUR).timestamp() * 1000)


def stamp(hour: int) -> str:
    return (T0 + hour * HOUR).strftime("%Y-%m-%dT%H:%M:%SZ")


BAR_ROWS = [f"{stamp(hour)},{','.join(bar)}" for hour, bar in enumerate(BARS)]
RATE_ROWS = [f"{stamp(8 * place)},{rate}" for place, rate in enumerate(RATES)]


def zipped(path: Path, text: str, inner: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(inner or f"{path.stem}.csv", text)
    return path


def written(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def loaded(dest: Path, series: str) -> Loaded:
    spec = spec_of(series)
    assert spec is not None
    whole = spec._replace(columns=tuple(column._replace(kept=True) for column in spec.columns))
    return load_file(dest / f"{series}.csv", whole, None)


@pytest.fixture
def bars(tmp_path: Path) -> Loaded:
    """The bars as they are in our own layout."""
    written(tmp_path / "own/ohlcv/binance/spot/ETHUSDT_1h.csv", "\n".join([",".join(NAMES), *BAR_ROWS, ""]))
    return loaded(tmp_path / "own", "ohlcv/binance/spot/ETHUSDT_1h")


@pytest.fixture
def rates(tmp_path: Path) -> Loaded:
    written(tmp_path / "own/funding/binance/ETHUSDT.csv", "\n".join(["timestamp,funding_rate", *RATE_ROWS, ""]))
    return loaded(tmp_path / "own", "funding/binance/ETHUSDT")


def binance_rows(first: int, stop: int, per_ms: int = 1) -> str:
    """As in the public dumps: no header, twelve columns, eight decimals."""
    lines = []
    for hour in range(first, stop):
        prices = ",".join(f"{float(text):.8f}" for text in BARS[hour])
        lines.append(f"{ms(hour) * per_ms},{prices},{(ms(hour + 1) - 1) * per_ms},37500.1,25,6.1,18300.5,0\n")
    return "".join(lines)


def frame() -> pandas.DataFrame:
    columns = {name: [float(bar[place]) for bar in BARS] for place, name in enumerate(NAMES[1:])}
    return pandas.DataFrame({"timestamp": [T0 + hour * HOUR for hour in range(48)], **columns})


def of_binance(folder: Path) -> None:
    """Months that changed from milliseconds to microseconds, and days that overlap."""
    at = folder / "spot/monthly/klines/ETHUSDT/1h"
    zipped(at / "ETHUSDT-1h-2024-06.zip", binance_rows(0, 30))
    zipped(at / "ETHUSDT-1h-2024-06-02.zip", binance_rows(24, 48, per_ms=1000))
    (at / "ETHUSDT-1h-2024-06-02.zip.CHECKSUM").write_text("0  ETHUSDT-1h-2024-06-02.zip\n")


def of_binance_with_a_header(folder: Path) -> None:
    header = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore\n"
    zipped(folder / "ETHUSDT-1h-2024-06.zip", header + binance_rows(0, 48))


def of_the_api_of_binance(folder: Path) -> None:
    rows = [[ms(hour), *bar, ms(hour + 1) - 1, "1", 2, "3", "4", "0"] for hour, bar in enumerate(BARS)]
    written(folder / "ETHUSDT_1h.json", rows)


def of_bybit(folder: Path) -> None:
    rows = [[str(ms(hour)), *bar, "37500.1"] for hour, bar in enumerate(BARS)]
    answer = {"retCode": 0, "result": {"symbol": "ETHUSDT", "category": "spot", "list": rows[::-1]}, "time": 1}
    written(folder / "klines.json", answer)


def of_metatrader(folder: Path) -> None:
    """bybit's own archive: minutes in the name, a clock three hours ahead, packed."""
    lines = [f"{(T0 + (hour + 3) * HOUR).strftime('%Y.%m.%d %H:%M')},{','.join(bar)}\n" for hour, bar in enumerate(BARS)]
    (folder / "ETHUSDT_60_2024-06-01_2024-06-30.csv.gz").write_bytes(gzip.compress("".join(lines).encode()))


def of_okx(folder: Path) -> None:
    """The last bar has not closed."""
    rows = [f"ETH-USDT,{','.join(bar)},150,37500.1,{ms(hour)},1" for hour, bar in enumerate(BARS)]
    rows.append(f"ETH-USDT,1,1,1,1,1,1,1,{ms(48)},0")
    header = "instrument_name,open,high,low,close,vol,vol_ccy,vol_quote,open_time,confirm"
    zipped(folder / "ETH-USDT-candlesticks-2024-06.zip", "\n".join([header, *rows, ""]))


def of_the_api_of_okx(folder: Path) -> None:
    rows = [[str(ms(hour)), *bar, "1", "2", "1"] for hour, bar in enumerate(BARS)]
    rows.append([str(ms(48)), "1", "1", "1", "1", "1", "1", "1", "0"])
    written(folder / "ETHUSDT_1h.json", {"code": "0", "msg": "", "data": rows[::-1]})


def of_hyperliquid(folder: Path) -> None:
    rows = [{"t": ms(hour), "T": ms(hour + 1) - 1, "s": "ETH", "i": "1h", "n": 5} for hour in range(48)]
    written(folder / "candles.json", [{**row, **dict(zip("ohlcv", bar, strict=True))} for row, bar in zip(rows, BARS, strict=True)])


def of_ccxt(folder: Path) -> None:
    written(folder / "ohlcv.json", [[ms(hour), *map(float, bar)] for hour, bar in enumerate(BARS)])


def of_a_csv_of_ccxt(folder: Path) -> None:
    changed = frame()
    changed["timestamp"] = [ms(hour) for hour in range(48)]
    changed[::-1].to_csv(folder / "ohlcv.csv", index=False)


def of_pandas(folder: Path) -> None:
    frame().to_parquet(folder / "bars.parquet")


def of_polars(folder: Path) -> None:
    polars.DataFrame(frame().to_dict("list")).reverse().write_parquet(folder / "bars.parquet")


def of_arrow(folder: Path) -> None:
    """Decimals and texts stay exact."""
    from decimal import Decimal

    columns = {name: [Decimal(bar[place]) for bar in BARS] for place, name in enumerate(NAMES[1:])}
    columns["volume"] = [bar[4] for bar in BARS]  # type: ignore[misc]
    parquet.write_table(pyarrow.table({"timestamp": [T0 + hour * HOUR for hour in range(48)], **columns}), folder / "bars.parquet")


def of_columns(folder: Path) -> None:
    lines = [f"{ms(hour) // 1000};x".replace(";x", f",{bar[3]},{bar[0]},{bar[1]},{bar[2]},{bar[4]}") for hour, bar in enumerate(BARS)]
    written(folder / "mine.csv", "\n".join(["when,last,first,top,bottom,traded", *lines, ""]))


COLUMNS = "timestamp=when,open=first,high=top,low=bottom,close=last,volume=traded"
SPOT = Wanted(venue="binance", market="spot", symbol="ETHUSDT")
SHAPES: dict[str, tuple[Callable[[Path], None], Wanted, str]] = {
    "binance": (of_binance, Wanted(), "binance"),
    "binance, header": (of_binance_with_a_header, Wanted(market="spot"), "binance"),
    "binance, API": (of_the_api_of_binance, Wanted(market="spot"), "binance"),
    "bybit": (of_bybit, Wanted(venue="binance"), "bybit"),
    "bybit, archive": (of_metatrader, Wanted(venue="binance", market="spot"), "bybit"),
    "okx": (of_okx, Wanted(venue="binance"), "okx"),
    "okx, API": (of_the_api_of_okx, SPOT, "okx"),
    "hyperliquid": (of_hyperliquid, SPOT._replace(symbol="ETHUSDC"), "hyperliquid"),
    "ccxt": (of_ccxt, SPOT, "ccxt"),
    "ccxt, CSV": (of_a_csv_of_ccxt, SPOT, "ccxt"),
    "pandas": (of_pandas, SPOT, "parquet"),
    "polars": (of_polars, SPOT, "parquet"),
    "arrow": (of_arrow, SPOT, "parquet"),
    "columns": (of_columns, SPOT._replace(format="csv", columns=COLUMNS, unit="s"), "csv"),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_bars_in_the_shape_of_a_vendor_are_those_of_our_own_layout(shape: str, tmp_path: Path, bars: Loaded) -> None:
    write, wanted, seen = SHAPES[shape]
    (tmp_path / "vendor").mkdir()
    write(tmp_path / "vendor")
    [found] = import_data(tmp_path / "vendor", tmp_path / "dest", wanted)
    assert (found.id, found.added, found.rows, found.formats) == (
        f"ohlcv/binance/spot/{wanted.symbol or 'ETHUSDT'}_1h", 48, 48, (seen,)
    )  # fmt: skip
    assert loaded(tmp_path / "dest", found.id) == bars
    assert [path.name for path in (tmp_path / "dest").iterdir()] == ["ohlcv"]


@pytest.mark.parametrize(
    ("write", "wanted"),
    [
        (lambda at: zipped(at / "ETHUSDT-fundingRate-2024-06.zip", "calc_time,funding_interval_hours,last_funding_rate\n"
                           + "".join(f"{ms(8 * place)},8,{float(rate):.8f}\n" for place, rate in enumerate(RATES))), Wanted()),
        (lambda at: written(at / "x.json", [{"symbol": "ETHUSDT", "fundingTime": ms(8 * place), "fundingRate": rate, "markPrice": "1"}
                                            for place, rate in enumerate(RATES)]), Wanted()),
        (lambda at: written(at / "x.json", {"result": {"category": "linear", "list": [
            {"symbol": "ETHUSDT", "fundingRate": rate, "fundingRateTimestamp": str(ms(8 * place))}
            for place, rate in reversed([*enumerate(RATES)])]}}), Wanted(venue="binance")),
        (lambda at: zipped(at / "allswap-fundingrates-2024-06.zip", "instrument_name,funding_rate,funding_time\n"
                           + "".join(f"BTC-USDT-SWAP,0.1,{ms(8 * place)}\nETH-USDT-SWAP,{rate},{ms(8 * place)}\n"
                                     for place, rate in enumerate(RATES))), Wanted(venue="binance", symbol="ETH-USDT")),
        (lambda at: written(at / "x.json", {"code": "0", "data": [
            {"instId": "ETH-USDT-SWAP", "fundingRate": "0.9", "realizedRate": rate, "fundingTime": str(ms(8 * place))}
            for place, rate in enumerate(RATES)]}), Wanted(venue="binance")),
        (lambda at: written(at / "x.json", [{"coin": "ETH", "fundingRate": rate, "premium": "0", "time": ms(8 * place)}
                                            for place, rate in enumerate(RATES)]), Wanted(venue="binance")),
        (lambda at: written(at / "x.json", [{"info": {"a": 1}, "symbol": "ETH/USDT:USDT", "fundingRate": float(rate),
                                             "timestamp": ms(8 * place), "datetime": stamp(8 * place)}
                                            for place, rate in enumerate(RATES)]), Wanted(venue="binance")),
        (lambda at: written(at / "x.csv", "timestamp,funding_rate\n" + "\n".join([*RATE_ROWS, ""])),
         Wanted(venue="binance", symbol="ETHUSDT")),
    ],
    ids=["binance", "binance, API", "bybit", "okx", "okx, API", "hyperliquid", "ccxt", "own"],
)  # fmt: skip
def test_funding_in_the_shape_of_a_vendor_is_that_of_our_own_layout(
    write: Callable[[Path], Path], wanted: Wanted, tmp_path: Path, rates: Loaded
) -> None:
    [found] = import_data(write(tmp_path / "vendor"), tmp_path / "dest", wanted)
    assert (found.id in ("funding/binance/ETHUSDT", "funding/binance/ETHUSDC"), found.added) == (True, 6)
    assert loaded(tmp_path / "dest", found.id) == rates


@pytest.mark.parametrize("of_market", ["ETH-USDT-SWAP", "ETH-USDT"])
def test_the_volume_of_okx_is_in_base_units(of_market: str, tmp_path: Path) -> None:
    """Of a swap `vol` counts contracts; of spot `vol_ccy` is in the quote token."""
    header = "instrument_name,open,high,low,close,vol,vol_ccy,vol_quote,open_time,confirm"
    rows = [f"{of_market},{','.join(bar[:4])},150,15,37500.1,{ms(hour)},1" for hour, bar in enumerate(BARS)]
    [found] = import_data(zipped(tmp_path / "x.zip", "\n".join([header, *rows, ""])), tmp_path / "dest")
    kind, volume = ("perp", "15") if of_market.endswith("SWAP") else ("spot", "150")
    assert found.id == f"ohlcv/okx/{kind}/ETHUSDT_1h"
    lines = (tmp_path / "dest" / f"{found.id}.csv").read_text().splitlines()[1:]
    assert {line.rsplit(",", 1)[1] for line in lines} == {volume}


def test_a_bar_that_has_not_closed_is_left_out_and_comes_with_the_next_import(tmp_path: Path, bars: Loaded) -> None:
    source = zipped(tmp_path / "ETHUSDT-1h-2024-06.zip", binance_rows(0, 48).replace(f"{ms(47)},3002.5", f"{ms(47)},3001.5"))
    [first] = import_data(source, tmp_path / "dest", Wanted(market="spot"), now=T0 + 47.5 * HOUR)
    assert (first.rows, first.notes) == (47, ("1 bar left out, which had not closed",))
    [second] = import_data(zipped(source, binance_rows(0, 48)), tmp_path / "dest", Wanted(market="spot"), now=T0 + 48 * HOUR)
    assert (second.added, second.rows, second.notes) == (1, 48, ())
    assert loaded(tmp_path / "dest", "ohlcv/binance/spot/ETHUSDT_1h") == bars


def test_a_hyperliquid_coin_is_a_perp_in_usdc(tmp_path: Path) -> None:
    of_hyperliquid(tmp_path)
    [found] = import_data(tmp_path / "candles.json", tmp_path / "dest")
    assert found.id == "ohlcv/hyperliquid/perp/ETHUSDC_1h"


def test_a_second_import_adds_what_is_new_and_changes_nothing_else(tmp_path: Path, bars: Loaded) -> None:
    zipped(tmp_path / "ETHUSDT-1h-2024-05.zip", binance_rows(0, 20))
    zipped(tmp_path / "ETHUSDT-1h-2024-06.zip", binance_rows(10, 48))
    first = import_data(tmp_path / "ETHUSDT-1h-2024-05.zip", tmp_path / "dest", Wanted(market="spot"))
    second = import_data(tmp_path / "ETHUSDT-1h-2024-06.zip", tmp_path / "dest", Wanted(market="spot"))
    assert [(one.added, one.rows) for one in (*first, *second)] == [(20, 20), (28, 48)]
    file = tmp_path / "dest/ohlcv/binance/spot/ETHUSDT_1h.csv"
    before = (file.read_bytes(), file.stat().st_mtime_ns)
    [third] = import_data(tmp_path / "ETHUSDT-1h-2024-05.zip", tmp_path / "dest", Wanted(market="spot"))
    assert ((third.added, third.rows), before) == ((0, 48), (file.read_bytes(), file.stat().st_mtime_ns))
    assert loaded(tmp_path / "dest", "ohlcv/binance/spot/ETHUSDT_1h") == bars


@pytest.mark.parametrize("dest", ["dest", "dest.duckdb"])
def test_one_changed_value_is_refused_with_both_and_nothing_is_written(tmp_path: Path, dest: str) -> None:
    source = zipped(tmp_path / "ETHUSDT-1h-2024-06.zip", binance_rows(0, 48))
    import_data(source, tmp_path / dest, Wanted(market="spot"))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".zip"}
    changed = zipped(tmp_path / "ETHUSDT-1h-2024-07.zip", binance_rows(0, 48).replace("3001.125", "3001.126", 1))
    with pytest.raises(ComponentError) as error:
        import_data(changed, tmp_path / dest, Wanted(market="spot"))
    there = (
        tmp_path / dest / "ohlcv/binance/spot/ETHUSDT_1h.csv"
        if dest == "dest"
        else f"{tmp_path / dest} table ohlcv/binance/spot/ETHUSDT_1h"
    )
    assert error.value.message == (
        f"ohlcv/binance/spot/ETHUSDT_1h: two different rows of 2024-06-01T00:00:00Z: {there} 2 has open 3000.5, high 3006.25, low 2992, "
        f"close 3001.125, volume 0.5; {changed} 1 has open 3000.5, high 3006.25, low 2992, close 3001.126, volume 0.5; "
        "nothing was written: keep one of them"
    )
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".zip"} == before


def test_a_database_of_imports_answers_as_the_folder_does(tmp_path: Path) -> None:
    of_binance(tmp_path / "vendor")
    for dest in ("dest", "dest.duckdb"):
        import_data(tmp_path / "vendor", tmp_path / dest)
    import_data(tmp_path / "dest.duckdb", tmp_path / "again")
    at = T0 + 30 * HOUR
    answers = [
        DataProvider(tmp_path / "dest").get_data(at),
        DataProvider(database=tmp_path / "dest.duckdb").get_data(at),
        DataProvider(tmp_path / "again").get_data(at),
    ]
    assert answers[0] == answers[1] == answers[2]
    assert (tmp_path / "again/ohlcv/binance/spot/ETHUSDT_1h.csv").read_bytes() == (
        tmp_path / "dest/ohlcv/binance/spot/ETHUSDT_1h.csv"
    ).read_bytes()


def test_the_sample_imported_into_a_folder_is_the_sample(sample: Path, tmp_path: Path) -> None:
    found = import_data(sample, tmp_path / "dest")
    assert {one.id for one in found} == {spec.id for spec in DataFolder(sample).specs}
    for one in found:
        assert loaded(tmp_path / "dest", one.id) == loaded(sample, one.id)
    assert DataFolder(tmp_path / "dest").generated
    zipped(tmp_path / "ETHUSDT-1h-2024-06.zip", binance_rows(0, 4))
    with pytest.raises(ComponentError, match=r"generated series .* and market data do not go into one place"):
        import_data(tmp_path / "ETHUSDT-1h-2024-06.zip", tmp_path / "dest", Wanted(market="spot"))


# Bars of other intervals, and stamps of another kind.


def test_bars_stamped_at_their_close_are_moved_to_their_open(tmp_path: Path, bars: Loaded) -> None:
    changed = frame()
    for shift in (HOUR, HOUR - timedelta(milliseconds=1)):
        changed["timestamp"] = [T0 + hour * HOUR + shift for hour in range(48)]
        changed.to_parquet(tmp_path / "x.parquet")
        dest = tmp_path / f"{shift}"
        import_data(tmp_path / "x.parquet", dest, SPOT._replace(stamped="close"))
        assert loaded(dest, "ohlcv/binance/spot/ETHUSDT_1h") == bars
    with pytest.raises(ComponentError, match="all bars are stamped just before they close; give --stamped close"):
        import_data(tmp_path / "x.parquet", tmp_path / "dest", SPOT)


def test_coarser_bars_are_made_of_finer_ones_and_incomplete_ones_are_left_out(tmp_path: Path) -> None:
    frame().drop(index=[9]).to_parquet(tmp_path / "x.parquet")
    [found] = import_data(tmp_path / "x.parquet", tmp_path / "dest", SPOT._replace(interval="8h"))
    assert (found.id, found.rows) == ("ohlcv/binance/spot/ETHUSDT_8h", 5)
    assert found.notes == ("bars of 8h made of bars of 1h", "1 bar left out, because finer bars are missing in them")
    lines = (tmp_path / "dest/ohlcv/binance/spot/ETHUSDT_8h.csv").read_text().splitlines()
    assert lines[1] == "2024-06-01T00:00:00Z,3000.5,3010.25,2992,3002.125,16"
    assert [line[:13] for line in lines[1:]] == ["2024-06-01T00", "2024-06-01T16", "2024-06-02T00", "2024-06-02T08", "2024-06-02T16"]


@pytest.mark.parametrize(
    ("name", "rows", "wanted", "expected"),
    [
        ("ETHUSDT-15m-2024-06.zip", binance_rows(0, 5), Wanted(market="spot"), " 1: rows are 1h apart, in bars of 15m; give --interval 1h"),
        ("ETHUSDT-4h-2024-06.zip", binance_rows(0, 5), Wanted(market="spot"),
         " 2: 2024-06-01T01:00:00Z is 1h after the row before it, in bars of 4h; give the interval by --interval, or leave the row out"),
        ("ETHUSDT-1s-2024-06.zip", binance_rows(0, 5), Wanted(market="spot"), ": bars of 1s are not known, only 1m, 3m, 5m, 15m, 30m, 1h, "
         "2h, 4h, 6h, 8h, 12h, 1d; give --interval to have coarser ones made of them"),
        ("ETHUSDT.zip", binance_rows(0, 1), SPOT, " does not say its interval, and it has one row; give --interval, one of "),
    ],
)  # fmt: skip
def test_a_file_whose_rows_do_not_keep_the_interval_in_its_name_is_refused(
    name: str, rows: str, wanted: Wanted, expected: str, tmp_path: Path
) -> None:
    source = zipped(tmp_path / name, rows)
    with pytest.raises(ComponentError) as error:
        import_data(source, tmp_path / "dest", wanted)
    assert error.value.message.startswith(f"{source}{expected}")
    assert not (tmp_path / "dest").exists()


# What is refused: one line with file, row, value and way out, and nothing is written.

GOOD = "".join(f"{row}\n" for row in BAR_ROWS)
HEADER = ",".join(NAMES) + "\n"


def parquet_of(change: Callable[[pandas.DataFrame], Any]) -> Callable[[Path], Path]:
    def write(at: Path) -> Path:
        change(frame()).to_parquet(at / "x.parquet")
        return at / "x.parquet"

    return write


def sparse(at: Path) -> Path:
    with (at / "x.csv").open("wb") as file:
        file.truncate(10_000_000_000)
    return at / "x.csv"


def raw(name: str, content: bytes) -> Callable[[Path], Path]:
    def write(at: Path) -> Path:
        (at / name).write_bytes(content)
        return at / name

    return write


def two_files(at: Path) -> Path:
    with zipfile.ZipFile(at / "x.zip", "w") as archive:
        archive.writestr("a.csv", GOOD)
        archive.writestr("b.csv", GOOD)
    return at / "x.zip"


def zip_in_zip(at: Path) -> Path:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a.csv", GOOD)
    with zipfile.ZipFile(at / "x.zip", "w") as archive:
        archive.writestr("a.zip", inner.getvalue())
    return at / "x.zip"


def local_time(at: Path, month: int, day: int, hours: list[int]) -> Path:
    """Bars of a year before, stamped by a clock that is put forward or back on that day."""
    rows = [f"2024-{month:02}-{day:02} {hour:02}:00:00,{','.join(BARS[place])}" for place, hour in enumerate(hours)]
    return written(at / "x.csv", "\n".join(["timestamp,open,high,low,close,volume", *rows, ""]))


ISO = SPOT._replace(format="csv", columns="timestamp=timestamp", unit="iso", interval="1h")
REFUSED: dict[str, tuple[Callable[[Path], Path], Wanted, str]] = {
    "truncated gzip": (raw("x.csv.gz", gzip.compress((HEADER + GOOD).encode())[:-9]), SPOT,
     " cannot be unpacked: it is damaged, or was cut; "),
    "truncated zip": (lambda at: raw("y.zip", zipped(at / "x.zip", GOOD).read_bytes()[:-30])(at), SPOT,
     " cannot be unpacked (File is not a zip"),
    "a cut line": (raw("x.csv", (HEADER + GOOD)[:-3].encode()), SPOT, " line 49 does not end in a newline, so it may have been cut"),
    "a zip with two files": (two_files, SPOT, " holds 2 files ('a.csv, b.csv'); expected one: unpack it"),
    "a zip with a path": (lambda at: zipped(at / "x.zip", GOOD, "../x.csv"), SPOT, " holds '../x.csv', a path; expected a plain name"),
    "a zip in a zip": (zip_in_zip, SPOT, " holds 'a.zip', packed again: unpack it once"),
    "10 GB": (sparse, SPOT, " has 10.0 GB; at most 4.3 GB are read at once: split it"),
    "10,000 columns": (raw("x.csv", ",".join(["1"] * 10_000).encode() + b"\n"), SPOT, " has 10,000 columns; at most 200 are read"),
    "binary": (raw("x.csv", bytes(range(256)) * 20), SPOT, " is no text in UTF-8 (UTF-16, or a binary file); write it as UTF-8"),
    "UTF-16": (raw("x.csv", (HEADER + GOOD).encode("utf-16")), SPOT, " is no text in UTF-8 (UTF-16, or a binary file); write it as UTF-8"),
    "latin-1": (raw("x.csv", (HEADER + GOOD + "é\n").encode("latin-1")), SPOT, " line 50 is no text in UTF-8; write the file as UTF-8"),
    "HTML": (raw("x.csv", b"<html><body>429 Too Many Requests</body></html>\n"), SPOT, " is no table: it begins with '<html>"),
    "HTML for JSON": (raw("x.json", b"<html><body>blocked</body></html>"), SPOT,
     " is no JSON (Expecting value: line 1 column 1 (char 0)): it begins"),
    "an error for JSON": (raw("x.json", b'{"code": -1121, "msg": "Invalid symbol."}'), SPOT, " holds no list of rows: "),
    "nested Parquet": (parquet_of(lambda bars: bars.assign(volume=[[1.0]] * 48)), SPOT, " column volume is nested (list<element: double>)"),
    "NaT": (parquet_of(lambda bars: bars.assign(timestamp=[*bars.timestamp[:-1], pandas.NaT])), SPOT,
            " row 48: column timestamp: 'None' is not a time (NaT and None are none)"),
    "NaN": (parquet_of(lambda bars: bars.assign(close=[*bars.close[:-1], float("nan")])), SPOT,
            " row 48: column close: '' is not a number; expected a number above 0"),
    "a short row": (raw("x.csv", (HEADER + GOOD + "1,2\n").encode()), SPOT,
     " line 50: 2 columns in '1,2'; expected 6, as in the first line"),
    "mixed units": (lambda at: zipped(at / "ETHUSDT-1h-2024-06.zip", binance_rows(0, 5) + binance_rows(5, 9, per_ms=1000)),
                    Wanted(market="spot"), f" line 6: column timestamp: '{ms(5)}000' is not a time in ms since 1970"),
    "a word": (lambda at: zipped(at / "ETHUSDT-1h-2024-06.zip", binance_rows(0, 5).replace("3001.12500000", "n/a", 1)),
               Wanted(market="spot"),
               " line 1: column close: 'n/a' is not a number; expected a number above 0, such as 2295.61"),
    "no bar": (lambda at: zipped(at / "ETHUSDT-1h-2024-06.zip", binance_rows(0, 5).replace("3006.25", "3000.75", 1)), Wanted(market="spot"),
               " line 1: in the bar of 2024-06-01T00:00:00Z close 3001.12500000 is above high 3000.75000000; "),
    "an hour left out in spring": (lambda at: local_time(at, 3, 31, [0, 1, 3, 4, 5]), ISO,
     " 4: an hour is missing before 2024-03-31T03:00:00Z, "
                                   "a night in which clocks are put forward, and the stamps name no zone; write them in UTC, ending in Z"),
    "the future": (lambda at: zipped(at / "ETHUSDT-1h-2024-06.zip", binance_rows(0, 48)), Wanted(market="spot"),
                   " 42: 2024-06-02T17:00:00Z is after now, 2024-06-02T16:00:00Z; correct the unit (--unit), or leave it out"),
    "no market": (lambda at: zipped(at / "ETHUSDT-1h-2024-06.zip", binance_rows(0, 48)), Wanted(),
                  " (binance, ohlcv) does not say its market; give --market, such as spot or perp"),
    "no symbol": (lambda at: zipped(at / "x.zip", binance_rows(0, 48)), Wanted(market="spot"),
     " (binance, ohlcv) does not say its symbol; "),
    "several symbols": (lambda at: written(at / "x.csv", f"instrument_name,funding_rate,funding_time\nA-USDT-SWAP,0,{ms(0)}\n"
                                           f"B-USDT-SWAP,0,{ms(0)}\n"), Wanted(),
     " holds 2 symbols ('A-USDT-SWAP, B-USDT-SWAP'); choose one by "),
    "coin-margined": (lambda at: written(at / "x.csv", f"instrument_name,funding_rate,funding_time\nETH-USD-SWAP,0,{ms(0)}\n"), Wanted(),
                      " is of 'ETH-USD-SWAP': coin-margined and dated futures are not supported; take the perp settled in USDT or USDC"),
    "dated": (lambda at: written(at / "x.json", [{"symbol": "ETH/USDT:USDT-241227", "timestamp": ms(0), "fundingRate": 0}]),
              Wanted(venue="binance"), " is of 'ETH/USDT:USDT-241227': coin-margined and dated futures are not supported"),
    "another format": (lambda at: zipped(at / "x.zip", binance_rows(0, 48)), Wanted(format="okx"), " has no header and begins '"),
    "no such column": (raw("x.csv", (HEADER + GOOD).encode()), ISO._replace(columns="close=last"),
     " has no column 'last' for close; it has '"),
    "no such target": (raw("x.csv", (HEADER + GOOD).encode()), ISO._replace(columns="price=close"),
     " --columns names 'price'; allowed are "),
    "no unit": (raw("x.csv", (HEADER + GOOD).encode()), ISO._replace(unit=""),
     " is imported by --columns: say how its stamps are written by --unit"),
    "nothing": (raw("x.csv", b""), SPOT, " is empty"),
    "a header alone": (raw("x.csv", HEADER.encode()), SPOT, " has a header and no row"),
    "an empty list": (raw("x.json", b"[]"), SPOT, " has no row"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_imported_is_refused_in_one_line_and_nothing_is_written(what: str, tmp_path: Path) -> None:
    write, wanted, expected = REFUSED[what]
    source = write(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(ComponentError) as error:
        import_data(source, tmp_path / "dest", wanted, now=T0 + 40 * HOUR)
    assert (error.value.error_code, error.value.message[: len(str(source) + expected)]) == ("DAT-003", f"{source}{expected}")
    assert "\n" not in error.value.message
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_an_hour_that_comes_twice_in_autumn_is_refused_as_local_time(tmp_path: Path) -> None:
    twice = r"\(local time, in which an hour comes twice\?"
    source = local_time(tmp_path, 5, 26, [0, 1, 2, 2, 3, 4])
    with pytest.raises(ComponentError, match=rf"two different rows of 2024-05-26T02:00:00Z: .* {twice}"):
        import_data(source, tmp_path / "dest", ISO)


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("format", "kraken", "--format: 'kraken' is not known; there are binance, bybit, okx, hyperliquid, ccxt, parquet, csv, basis"),
        ("market", "futures", "--market: 'futures' is not known; there are spot, perp"),
        ("unit", "ns", "--unit: 'ns' is not known; there are ms, us, s, iso"),
        ("interval", "7m", "--interval: '7m' is not known; there are 1m, 3m, 5m, 15m, 30m, 1h, 2h, 4h, 6h, 8h, 12h, 1d"),
        ("stamped", "middle", "--stamped: 'middle' is not known; there are open, close"),
        ("columns", "close", "--columns: 'close' is not understood; write timestamp=time,open=o,high=h,low=l,close=c,volume=v"),
    ],
)
def test_an_option_that_is_not_known_is_answered_with_those_that_are(option: str, value: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(ComponentError) as error:
        import_data(tmp_path, tmp_path / "dest", Wanted(**{option: value}))
    assert error.value.message.replace(value, f"'{value}'", 1).replace("''", "'") in (expected, expected.replace("'", ""))


# An import that is interrupted.

KILLED = """
import os, signal, sys
left = int(sys.argv[1])
def look(event, arguments):
    global left
    if event in ("open", "os.rename", "os.remove", "os.mkdir") and "dest" in str(arguments[0]):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
from basis_strategy_v1.data.import_settling import Wanted
from basis_strategy_v1.data.importing import import_data
import pyarrow.csv, duckdb
sys.addaudithook(look)
import_data(sys.argv[2], sys.argv[3], Wanted(market="spot"))
"""


@pytest.mark.parametrize("dest", ["dest", "dest.duckdb"])
def test_an_import_that_is_killed_leaves_what_was_there_or_all_that_is_new(tmp_path: Path, dest: str) -> None:
    first = zipped(tmp_path / "ETHUSDT-1h-2024-05.zip", binance_rows(0, 20))
    second = zipped(tmp_path / "ETHUSDT-1h-2024-06.zip", binance_rows(0, 48))
    outcomes = set[int]()
    for point in range(1, 60, 4):
        at = tmp_path / str(point) / dest
        import_data(first, at, Wanted(market="spot"))
        done = subprocess.run([sys.executable, "-c", KILLED, str(point), str(second), str(at)], capture_output=True, check=False)
        provider = DataProvider(at) if dest == "dest" else DataProvider(database=at)
        coverage = provider.coverage("spot", "binance", "ETHUSDT")
        assert coverage is not None
        rows = len(provider.rows_visible("spot", "binance", "ETHUSDT", 2**60)[1])  # type: ignore[index]
        assert rows in (20, 48)
        outcomes.add(rows)
        [after] = import_data(second, at, Wanted(market="spot"))
        assert after.rows == 48
        assert sorted(path.name for path in at.parent.iterdir()) == [dest]
        if done.returncode == 0:
            break
    assert (done.returncode, point > 8) == (0, True)
    assert outcomes == {20, 48}


FULL = """
import resource, sys
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.data.import_settling import Wanted
from basis_strategy_v1.data.importing import import_data
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
try:
    import_data(sys.argv[2], sys.argv[3], Wanted(market="spot"))
except ComponentError as error:
    print(error)
"""


@pytest.mark.parametrize(("size", "dest"), [(1, "dest"), (1000, "dest"), (1, "dest.duckdb"), (100_000, "dest.duckdb")])
def test_a_disk_that_fills_leaves_what_was_there(tmp_path: Path, size: int, dest: str) -> None:
    first = zipped(tmp_path / "ETHUSDT-1h-2024-05.zip", binance_rows(0, 20))
    second = zipped(tmp_path / "ETHUSDT-1h-2024-06.zip", binance_rows(0, 48))
    import_data(first, tmp_path / "there" / dest, Wanted(market="spot"))
    before = {path: path.read_bytes() for path in (tmp_path / "there").rglob("*") if path.is_file()}
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(size), str(second), str(tmp_path / "there" / dest)], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"DAT-006: {tmp_path / 'there' / dest} cannot be written: "), done
    assert done.stdout.count("\n") == 1
    assert {path: path.read_bytes() for path in (tmp_path / "there").rglob("*") if path.is_file()} == before


def test_two_imports_into_one_place_do_not_run_at_once(tmp_path: Path) -> None:
    from filelock import FileLock

    source = zipped(tmp_path / "ETHUSDT-1h-2024-06.zip", binance_rows(0, 48))
    (tmp_path / "dest/.import").mkdir(parents=True)
    with FileLock(tmp_path / "dest/.import/lock"), pytest.raises(ComponentError) as error:
        import_data(source, tmp_path / "dest", Wanted(market="spot"))
    assert error.value.message == f"another import is writing into {tmp_path / 'dest'}; wait for it, or end it"


def test_a_source_that_is_not_there_or_holds_nothing_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for source, expected in (("absent", "absent does not exist; "), ("empty", "empty holds no file that ends in .csv, .csv.gz, .json, ")):
        with pytest.raises(ComponentError, match=expected):
            import_data(tmp_path / source, tmp_path / "dest")
    assert not (tmp_path / "dest").exists()


def test_the_result_says_what_was_read_and_what_to_know(tmp_path: Path) -> None:
    of_metatrader(tmp_path)
    assert import_data(tmp_path, tmp_path / "dest") == [
        Imported(
            "ohlcv/bybit/perp/ETHUSDT_1h",
            48,
            48,
            ("bybit",),
            1,
            ("the clock of MetaTrader files is UTC+3: stamps are 3 hours earlier here",),
        )
    ]
    assert os.listdir(tmp_path / "dest") == ["ohlcv"]
