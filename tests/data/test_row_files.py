from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from itertools import takewhile
from pathlib import Path
from typing import Any

import pandas
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from basis_strategy_v1.core.clock import to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.data import row_files
from basis_strategy_v1.data.layout import spec_of
from basis_strategy_v1.data.row_files import load_file
from basis_strategy_v1.data.rows import parse_stamp
from basis_strategy_v1.data.series import Loaded

BARS = "ohlcv/bybit/spot/ETHUSDT_1h"
HEADER = "timestamp,open,high,low,close,volume\n"
FIRST = "2024-01-01T00:00:00Z,10,12,9,11,5.5\n"
SECOND = "2024-01-01T01:00:00Z,11,13,10,12.25,6\n"
THIRD = "2024-01-01T02:00:00Z,12,14,11,13.5,7\n"


def read(path: Path, text: str | bytes, series_id: str = BARS, until: str | None = None) -> Loaded:
    spec = spec_of(series_id)
    assert spec is not None
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_file(path, spec, None if until is None else parse_stamp(until))


def closes(loaded: Loaded) -> list[Decimal]:
    return [loaded.columns[2].decimal(index) for index in range(len(loaded.stamps))]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ETHUSDT_1h.csv"


def test_bars_keep_stamp_high_low_close_and_volume(file: Path) -> None:
    loaded = read(file, HEADER + FIRST + SECOND)
    assert [*loaded.stamps] == [parse_stamp("2024-01-01T00:00:00Z"), parse_stamp("2024-01-01T01:00:00Z")]
    found = [[column.decimal(index) for index in range(2)] for column in loaded.columns]
    assert found == [[12, 13], [9, 10], [11, Decimal("12.25")], [Decimal("5.5"), 6]]


@pytest.mark.parametrize(
    "text",
    [
        HEADER + FIRST + SECOND,
        (HEADER + FIRST + SECOND).replace("\n", "\r\n"),
        (HEADER + FIRST + SECOND).replace("Z,", "+00:00,"),
        (HEADER + FIRST + SECOND).replace("T0", " 0"),
        HEADER + FIRST + SECOND.replace("12.25", "1.225e1"),
        HEADER + FIRST + SECOND.replace("12.25", "12.2500000000000000000"),
    ],
)
def test_ways_of_writing_the_same_rows_give_the_same(file: Path, text: str) -> None:
    assert read(file, text) == read(file, HEADER + FIRST + SECOND)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ": is empty; expected the header timestamp,open,high,low,close,volume"),
        (HEADER, ": has a header and no row; delete the file or fill it"),
        ("time,close\n" + FIRST, ": the header is 'time,close'; expected timestamp,open,high,low,close,volume"),
        (HEADER + FIRST + SECOND.replace("13", "abc"),
         " line 3: column high: 'abc' is not a number; expected a number above 0, such as 2295.61"),
        (HEADER + FIRST + SECOND.replace("13", "NaN"),
         " line 3: column high: 'NaN' is not a number; expected a number above 0, such as 2295.61"),
        (HEADER + FIRST.replace("12", "inf"),
         " line 2: column high: 'inf' is not a number; expected a number above 0, such as 2295.61"),
        (HEADER + FIRST.replace("12", "1_2"),
         " line 2: column high: '1_2' is not a number; expected a number above 0, such as 2295.61"),
        (HEADER + FIRST.replace("12", "+12"),
         " line 2: column high: '+12' is not a number; expected a number above 0, such as 2295.61"),
        (HEADER + FIRST.replace("12", "١٢"),
         " line 2: column high: '\u0661\u0662' is not a number; expected a number above 0, such as 2295.61"),
        (HEADER + FIRST.replace("12", ""), " line 2: column high: '' is not a number; expected a number above 0, such as 2295.61"),
        (HEADER + FIRST.replace("12", "1e400"), " line 2: column high: '1e400' is out of range; expected below 1e30, at most 40 decimals"),
        (HEADER + FIRST.replace("12", "1e-41"), " line 2: column high: '1e-41' is out of range; expected below 1e30, at most 40 decimals"),
        (HEADER + FIRST.replace("11,", "0.0,"), " line 2: column close: '0.0' is not allowed; expected a number above 0"),
        (HEADER + FIRST.replace("10,", "0,"), " line 2: column open: '0' is not allowed; expected a number above 0"),
        (HEADER + FIRST.replace("11,", "-11,"), " line 2: column close: '-11' is not allowed; expected a number above 0"),
        (HEADER + FIRST.replace("5.5", "-1"), " line 2: column volume: '-1' is not allowed; expected a number of 0 or more"),
        (HEADER + FIRST.replace("5.5", "5.5.5"),
         " line 2: column volume: '5.5.5' is not a number; expected a number of 0 or more, such as 2295.61"),
        (HEADER + FIRST + SECOND.replace(",6", ""),
         " line 3: 5 columns in '2024-01-01T01:00:00Z,11,13,10,12.25'; expected 6: timestamp,open,high,low,close,volume"),
        (HEADER + FIRST[:-5] + "\n" + "1," + SECOND,
         " line 2: 5 columns in '2024-01-01T00:00:00Z,10,12,9,11'; expected 6: timestamp,open,high,low,close,volume; "
         "and 1 more such row, the last in line 3"),
        (HEADER + FIRST + SECOND[:-6],
         " line 3: '2024-01-01T01:00:00Z,11,13,10,12' does not end in a newline, so it may have been cut; complete it or delete it"),
        (HEADER + FIRST + SECOND[:-1],
         " line 3: '2024-01-01T01:00:00Z,11,13,10,12.25,6' does not end in a newline, so it may have been cut; complete it or delete it"),
        (HEADER + FIRST + FIRST, " line 3: column timestamp: '2024-01-01T00:00:00Z' is there already, in line 2; "
         "expected stamps that only rise"),
        (HEADER + FIRST + THIRD + SECOND,
         " line 4: column timestamp: '2024-01-01T01:00:00Z' is out of order, after 2024-01-01T02:00:00Z of line 3; "
         "expected stamps that only rise"),
        (HEADER + FIRST.replace("Z", ""),
         " line 2: column timestamp: '2024-01-01T00:00:00' names no time zone; expected UTC, ending in Z or +00:00"),
        (HEADER + FIRST.replace("Z", "+01:00"), " line 2: column timestamp: '2024-01-01T00:00:00+01:00' is no ISO stamp in UTC; "
         "expected one like 2024-06-01T00:00:00Z"),
        (HEADER + FIRST.replace("-01-01", "-02-30"), " line 2: column timestamp: '2024-02-30T00:00:00Z': day is out of range for month; "
         "expected a stamp like 2024-06-01T00:00:00Z"),
        (HEADER + "\n" + FIRST, " line 2: column timestamp: '' is no ISO stamp in UTC; expected one like 2024-06-01T00:00:00Z"),
        (HEADER.encode() + b"\xff\xfe\n", " line 2: column timestamp: '\\\\xff\\\\xfe' is no ISO stamp in UTC; "
         "expected one like 2024-06-01T00:00:00Z"),
    ],
)  # fmt: skip
def test_what_is_malformed_is_named_by_file_line_column_and_value(file: Path, text: str | bytes, expected: str) -> None:
    with pytest.raises(ComponentError) as raised:
        read(file, text)
    assert (raised.value.error_code, raised.value.message) == ("DAT-003", f"{file}{expected}")


def test_the_line_is_counted_across_pieces(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_files, "PIECE_BYTES", 40)
    assert read(file, HEADER + FIRST + SECOND + THIRD) == read(file, (HEADER + FIRST + SECOND + THIRD).replace("Z", "+00:00"))
    with pytest.raises(ComponentError, match="line 4: column close: 'x'"):
        read(file, HEADER + FIRST + SECOND + THIRD.replace("13.5", "x"))
    with pytest.raises(ComponentError, match="line 4: column timestamp: '2024-01-01T01:00:00Z' is there already, in line 3"):
        read(file, HEADER + FIRST + SECOND + SECOND)


@pytest.mark.parametrize("kind", ["pipe", "device", "link to a device"])
def test_what_is_no_regular_file_is_not_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.csv"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/zero")
    else:
        path.symlink_to("/dev/zero")
    spec = spec_of(BARS)
    assert spec is not None
    with pytest.raises(ComponentError) as raised:
        load_file(path, spec, None)
    assert str(raised.value) == f"DAT-006: {path} cannot be read: it is no regular file"


def test_a_link_to_a_file_is_read(tmp_path: Path, file: Path) -> None:
    loaded = read(file, HEADER + FIRST)
    (tmp_path / "link.csv").symlink_to(file)
    spec = spec_of(BARS)
    assert spec is not None
    assert load_file(tmp_path / "link.csv", spec, None) == loaded


def test_a_file_that_is_gone_is_named(file: Path) -> None:
    spec = spec_of(BARS)
    assert spec is not None
    with pytest.raises(ComponentError) as raised:
        load_file(file, spec, None)
    assert (raised.value.error_code, raised.value.message) == ("DAT-006", f"{file} cannot be read: No such file or directory")


@pytest.mark.parametrize("rest", [THIRD, "nonsense", "2024-01-01T02:00:00Z,zero", "2030-01-01T00:00:00Z,abc,,,\n\x00\xff"])
def test_nothing_after_the_end_is_read(file: Path, rest: str) -> None:
    text = HEADER + FIRST + SECOND
    assert read(file, text + THIRD.replace("13.5", "x") + rest, until="2024-01-01T01:59:59Z") == read(file, text)


ROWS = [f"2024-01-01T{hour:02}:00:00Z,12,14,11,{12 + hour / 10},7\n" for hour in range(12)]


@settings(max_examples=60, deadline=None)
@example(order=[0, 1, 2, 4, 5, 6, 3, 7, 8, 9], until=5, piece=1 << 16)
@given(order=st.permutations(range(10)), until=st.integers(0, 11), piece=st.sampled_from([40, 200, 1 << 16]))
def test_rows_out_of_order_are_refused_where_those_before_the_end_have_a_gap(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], until: int, piece: int
) -> None:
    """Reading ends at the first row after the end; where the rows up to it have a gap, what belongs there and stands after it is found."""
    text = HEADER + "".join(ROWS[row] for row in order)
    path = tmp_path_factory.mktemp("order") / "x.csv"
    end = f"2024-01-01T{until:02}:00:00Z"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_files, "PIECE_BYTES", piece)
        try:
            loaded = read(path, text, until=end)
        except ComponentError as error:
            assert order not in (sorted(order), sorted(order, reverse=True))
            assert "expected stamps that only rise" in error.message
        else:
            before = list(takewhile(lambda row: row <= until, order))
            is_without_gap = len(before) > 1 and [*before, *order[len(before) :][:1]] == [*range(before[0], before[0] + len(before) + 1)]
            expected = before if is_without_gap else [row for row in range(10) if row <= until]
            assert closes(loaded) == [Decimal(str(12 + row / 10)) for row in expected]


def test_a_row_of_another_year_is_refused_at_the_row_after_it(file: Path) -> None:
    text = HEADER + "".join([*ROWS[:4], ROWS[4].replace("2024", "2025"), *ROWS[5:]])
    with pytest.raises(ComponentError) as error:
        read(file, text, until="2024-01-01T11:00:00Z")
    why = "is out of order, after 2025-01-01T04:00:00Z of line 6; expected stamps that only rise"
    assert error.value.message == f"{file} line 7: column timestamp: '2024-01-01T05:00:00Z' {why}"


@pytest.mark.parametrize("piece", [40, 1 << 16])
@pytest.mark.parametrize("until", [None, "2024-01-01T03:00:00Z"])
def test_rows_that_come_newest_first_are_read_as_if_they_came_oldest_first(
    file: Path, until: str | None, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_files, "PIECE_BYTES", piece)
    monkeypatch.setattr(row_files, "BATCH_ROWS", 5)
    assert read(file, HEADER + "".join(reversed(ROWS)), until=until) == read(file, HEADER + "".join(ROWS), until=until)


def test_what_is_wrong_in_a_file_that_comes_newest_first_is_named_by_its_line(file: Path) -> None:
    rows = list(reversed(ROWS))
    for wrong, expected in (
        ([*rows[:4], rows[4].replace(",14,", ",x,"), *rows[5:]], "line 6: column high: 'x'"),
        ([*rows[:4], rows[3], *rows[4:]], "line 5: column timestamp: '2024-01-01T08:00:00Z' is there already, in line 6"),
        ([*rows[:-1], rows[-1].rstrip("\n")], "line 13: '2024-01-01T00:00:00Z,12,14,11,12.0,7' does not end in a newline"),
    ):
        with pytest.raises(ComponentError, match=expected):
            read(file, HEADER + "".join(wrong))


@pytest.mark.parametrize("rows", [4, 400])
def test_faults_are_a_line_for_each_kind_with_a_count_and_the_first_place(file: Path, rows: int) -> None:
    """ccxt's stamps are milliseconds, in every row of the file."""
    with pytest.raises(ComponentError) as error:
        read(file, HEADER + ROWS[0] + "".join(f"{1704070800000 + row},12,14,11,12,7\n" for row in range(rows)) + ROWS[0])
    assert error.value.message.splitlines() == [
        f"{file} line 3: column timestamp: '1704070800000' is no ISO stamp in UTC; expected one like 2024-06-01T00:00:00Z; "
        f"and {rows - 1} more such rows, the last in line {rows + 2}",
        f"{file} line {rows + 3}: column timestamp: '2024-01-01T00:00:00Z' is there already, in line 2; expected stamps that only rise",
    ]


@pytest.mark.parametrize("ending", [".csv.gz", ".parquet"])
@pytest.mark.parametrize("backwards", [False, True])
def test_packed_files_and_parquet_give_what_the_csv_gives(file: Path, ending: str, backwards: bool) -> None:
    expected = read(file, HEADER + "".join(ROWS))
    frame = pandas.read_csv(file, parse_dates=["timestamp"])
    frame = frame[::-1] if backwards else frame
    other = file.with_name(f"ETHUSDT_1h{ending}")
    if ending == ".parquet":
        frame.to_parquet(other)
    else:
        frame.to_csv(other, index=False, date_format="%Y-%m-%dT%H:%M:%SZ")
    spec = spec_of(BARS)
    assert spec is not None
    assert load_file(other, spec, None) == expected
    until = parse_stamp("2024-01-01T03:30:00Z")
    assert load_file(other, spec, until) == load_file(file, spec, until)


def test_a_byte_order_mark_is_no_part_of_the_header(file: Path) -> None:
    assert read(file, b"\xef\xbb\xbf" + (HEADER + FIRST).encode()) == read(file, HEADER + FIRST)


CUT_GZIP = gzip.compress((HEADER + FIRST * 1000).encode())[:-12]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("x.csv.gz", CUT_GZIP, ": cannot be unpacked: it is damaged, or was cut; fetch it again"),
        ("x.csv.gz", b"no gzip at all\n", ": cannot be unpacked: it is damaged, or was cut; fetch it again"),
        ("x.parquet", b"PAR1" + bytes(100), ": cannot be read as Parquet (Parquet magic bytes not found in footer"),
        ("x.csv", (HEADER + FIRST).encode("utf-16"), ": is no text in UTF-8 (UTF-16, or a binary file); write it as UTF-8"),
        ("x.csv", bytes(5000), ": is no text in UTF-8 (UTF-16, or a binary file); write it as UTF-8"),
        ("x.csv", b"x" * (1 << 24) + b"x", ": has a line of more than 16,777,216 bytes: it is no CSV"),
    ],
)
def test_a_file_that_is_no_table_is_named_as_such(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    spec = spec_of(BARS)
    assert spec is not None
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ComponentError) as error:
        load_file(tmp_path / name, spec, None)
    assert error.value.error_code == "DAT-003"
    assert error.value.message.startswith(f"{tmp_path / name}{expected}")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda frame: frame.drop(columns="close"), ": has no column close; expected timestamp,open,high,low,close,volume, and it has "),
        (lambda frame: frame.assign(timestamp=range(12)), ": column timestamp is int64; expected a timestamp in UTC, or ISO texts"),
        (lambda frame: frame.assign(volume=[[1]] * 12), ": column volume is nested (list<element: int64>); expected one value a row"),
        (lambda frame: frame.assign(close=[None, *frame.close[1:]]), " row 1: column close: '' is not a number; expected "),
        (lambda frame: frame.assign(timestamp=[*frame.timestamp[:-1], None]), " row 12: column timestamp: '' is no ISO stamp in UTC"),
        (lambda frame: frame.assign(volume=b"x"), ": column volume is binary; expected numbers or texts"),
    ],
)
def test_a_parquet_file_of_another_shape_is_refused(file: Path, change: Callable[[Any], Any], expected: str) -> None:
    read(file, HEADER + "".join(ROWS))
    spec = spec_of(BARS)
    assert spec is not None
    change(pandas.read_csv(file, parse_dates=["timestamp"])).to_parquet(file.with_name("x.parquet"))
    with pytest.raises(ComponentError) as error:
        load_file(file.with_name("x.parquet"), spec, None)
    assert error.value.message.startswith(f"{file.with_name('x.parquet')}{expected}")


def test_values_of_a_parquet_file_are_the_shortest_text_of_its_floats(file: Path) -> None:
    read(file, HEADER + "".join(ROWS))
    spec = spec_of(BARS)
    assert spec is not None
    frame = pandas.read_csv(file, parse_dates=["timestamp"])
    frame["close"] = [12 + 1e-7 * row for row in range(12)]
    frame.to_parquet(file.with_name("x.parquet"))
    assert closes(load_file(file.with_name("x.parquet"), spec, None)) == [Decimal(repr(close)) for close in frame.close]


def test_rows_of_another_time_are_found_however_many_they_are_and_whatever_follows(file: Path) -> None:
    months = ["".join(row.replace("2024-01", f"2024-{month:02}") for row in ROWS) for month in (1, 3, 2, 4)]
    with pytest.raises(ComponentError, match="line 26: column timestamp: '2024-02-01T00:00:00Z' is out of order"):
        read(file, HEADER + "".join(months), until="2024-02-15T00:00:00Z")


def test_of_what_follows_a_gap_at_the_end_only_the_order_is_looked_at(file: Path) -> None:
    later = ["2024-01-02T00:00:00Z,x\n", "nonsense\n", "2024-01-03T00:00:00Z\n", "2024-01-03T00:00:00,,,\n"]
    assert read(file, HEADER + "".join([*ROWS, *later]), until="2024-01-01T12:00:00Z") == read(file, HEADER + "".join(ROWS))
    with pytest.raises(ComponentError, match="line 18: column timestamp: '2024-01-03T00:00:00Z' is there already, in line 17"):
        read(file, HEADER + "".join([*ROWS, *later, later[2]]), until="2024-01-01T12:00:00Z")


@pytest.mark.parametrize("apart", ["00:15", "00:59"])
def test_bars_nearer_together_than_their_interval_are_refused(file: Path, apart: str) -> None:
    with pytest.raises(ComponentError) as error:
        read(file, HEADER + ROWS[0] + ROWS[0].replace("00:00:00", f"{apart}:00"))
    assert error.value.message == (
        f"{file} line 3: column timestamp: '2024-01-01T{apart}:00Z' is {int(apart[3:])}m after the row before it, "
        "in a file of bars of 1h; name the file by its interval, or resample it"
    )


def test_a_row_at_the_end_is_read(file: Path) -> None:
    assert read(file, HEADER + FIRST + SECOND + THIRD, until="2024-01-01T01:00:00Z") == read(file, HEADER + FIRST + SECOND)


def test_an_end_before_the_first_row_leaves_nothing(file: Path) -> None:
    assert [*read(file, HEADER + FIRST, until="2023-12-31T00:00:00Z").stamps] == []


BAR = "2024-01-01T02:00:00Z,{},{},{},{},7\n"


@pytest.mark.parametrize(
    ("prices", "reported"),
    [
        ((12, 14, 11, 23486), "close 23486 is above high 14"),
        ((12, 14, 11, "10.99"), "close 10.99 is below low 11"),
        (("14.01", 14, 11, 12), "open 14.01 is above high 14"),
        ((1, 14, 11, 12), "open 1 is below low 11"),
        ((12, 11, 14, 12), "open 12 is above high 11"),
        (("1.2e1", 14, 11, 15), "close 15 is above high 14"),
        ((12, 14, 11, "14.000000000000000001"), "close 14.000000000000000001 is above high 14"),
    ],
)
def test_a_bar_whose_open_or_close_is_not_between_its_low_and_its_high_is_refused(
    file: Path, prices: tuple[object, ...], reported: str
) -> None:
    with pytest.raises(ComponentError) as error:
        read(file, HEADER + FIRST + SECOND + BAR.format(*prices))
    expected = "expected low <= open, close <= high; correct the row, or leave it out"
    assert error.value.message == f"{file} line 4: in the bar of 2024-01-01T02:00:00Z {reported}; {expected}"
    assert error.value.error_code == "DAT-003"


@settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.tuples(*[st.integers(1, 6)] * 4), min_size=1, max_size=4), piece=st.sampled_from([40, 1 << 16]))
def test_bars_are_read_where_and_only_where_low_to_high_holds_the_rest(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, ...]], piece: int
) -> None:
    text = "".join(f"2024-01-01T{hour:02}:00:00Z,{','.join(map(str, row))},1\n" for hour, row in enumerate(rows))
    wrong = [
        number for number, (first, high, low, close) in enumerate(rows, 2) if not (low <= min(first, close) <= max(first, close) <= high)
    ]
    path = tmp_path_factory.mktemp("bars") / "x.csv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_files, "PIECE_BYTES", piece)
        if not wrong:
            assert closes(read(path, HEADER + text)) == [row[3] for row in rows]
            return
        with pytest.raises(ComponentError, match=f" line {wrong[0]}: in the bar of "):
            read(path, HEADER + text)


PRICES = st.one_of(
    st.decimals(min_value=Decimal("0.01"), max_value=Decimal("99999"), places=2),
    st.decimals(min_value=Decimal("0.0000001"), max_value=Decimal("9e17"), places=7),
    st.floats(min_value=1e-9, max_value=1e20).map(lambda number: Decimal(repr(number))),
)


@settings(max_examples=60, deadline=None)
@given(prices=st.lists(PRICES, min_size=1, max_size=24), piece=st.sampled_from([40, 200, 1 << 16]))
def test_prices_are_read_exactly_as_written(tmp_path_factory: pytest.TempPathFactory, prices: list[Decimal], piece: int) -> None:
    rows = [f"2024-01-01T{hour:02}:00:00Z,{price},{price},{price},{price},0.5\n" for hour, price in enumerate(prices)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_files, "PIECE_BYTES", piece)
        loaded = read(tmp_path_factory.mktemp("exact") / "x.csv", HEADER + "".join(rows))
    assert closes(loaded) == prices
    assert [loaded.columns[2].float(index) for index in range(len(prices))] == [float(str(price)) for price in prices]
    assert [*loaded.stamps] == [to_instant(datetime.fromisoformat(row.split(",")[0])) for row in rows]
