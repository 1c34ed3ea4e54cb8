from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.market import MissingData
from basis_strategy_v1.data import duckdb_file
from basis_strategy_v1.data.data_provider import DataProvider
from basis_strategy_v1.data.duckdb_file import DuckDbFile
from basis_strategy_v1.data.importing import import_to_database
from basis_strategy_v1.data.layout import Key
from basis_strategy_v1.data.sources import DataFolder

Write = Callable[..., Path]
T0 = datetime(2024, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def sample_database(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("database") / "sample.duckdb"
    import_to_database(sample, path)
    return path


def said(provider: DataProvider, key: Key, at: datetime) -> str:
    """Everything a snapshot says of a series, as text, misses included."""
    snapshot = provider.snapshot(at)
    try:
        value = snapshot._close(*key, for_trade=False) if key.kind in ("spot", "perp", "dex") else snapshot._row(*key)
        extra = snapshot.perp_range(key.venue, key.name) if key.kind == "perp" and value is not None else ()
    except MissingData as error:
        return str(error)
    return f"{value} {extra} {snapshot.row_stamp(*key)} {snapshot.next_row(*key)}"


def require_same_answers(folder: Path, database: Path, times: list[datetime], until: datetime | None) -> None:
    csv = DataProvider(folder, until=until, max_staleness="60d")
    db = DataProvider(database=database, mode="db", until=until, max_staleness="60d")
    assert sorted(csv.series_ids) == sorted(db.series_ids)
    for spec in DataFolder(folder).specs:
        assert [said(db, spec.key, at) for at in times] == [said(csv, spec.key, at) for at in times]
    assert [db.get_data(at) for at in times[:3]] == [csv.get_data(at) for at in times[:3]]


def test_the_database_answers_as_the_sample_does(sample: Path, sample_database: Path) -> None:
    times = [T0 - timedelta(days=2), *(T0 + timedelta(minutes=95 * step) for step in range(0, 1900, 97))]
    require_same_answers(sample, sample_database, times, until=None)
    require_same_answers(sample, sample_database, times, until=T0 + timedelta(days=20))


def test_the_database_answers_as_the_real_series_do(real: Path, tmp_path: Path) -> None:
    path = tmp_path / "real.duckdb"
    counts = import_to_database(real, path)
    assert counts == {spec.id: sum(1 for _ in (real / f"{spec.id}.csv").open()) - 1 for spec in DataFolder(real).specs}
    times = [T0 + timedelta(hours=97 * step, minutes=step) for step in range(0, 130, 3)]
    require_same_answers(real, path, times, until=None)
    require_same_answers(real, path, times, until=T0 + timedelta(days=300))


def test_numbers_too_long_for_a_decimal_stay_exact(write: Write, tmp_path: Path) -> None:
    rates = ("8.966e-05", "-0.00012345678901234567890123456789", "0")
    folder = write("funding/okx/ETHUSDT", *(f"2024-06-01T0{hour}:00:00+00:00,{rate}" for hour, rate in enumerate(rates)))
    import_to_database(folder, tmp_path / "x.duckdb")
    provider = DataProvider(database=tmp_path / "x.duckdb")
    found = [provider.snapshot(T0 + timedelta(hours=hour)).funding("okx", "ETHUSDT") for hour in range(3)]
    assert found == [Decimal(rate) for rate in rates]
    assert provider.mode == "db"


@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rates=st.lists(st.decimals(min_value=-1, max_value=1, places=17), min_size=1, max_size=9))
def test_any_rates_go_through_the_database_exactly(tmp_path_factory: pytest.TempPathFactory, rates: list[Decimal]) -> None:
    folder = tmp_path_factory.mktemp("rates")
    path = folder / "funding/okx/ETHUSDT.csv"
    path.parent.mkdir(parents=True)
    path.write_text("timestamp,funding_rate\n" + "".join(f"2024-06-01T0{hour}:00:00Z,{rate}\n" for hour, rate in enumerate(rates)))
    import_to_database(folder, folder / "x.duckdb")
    files = DataFolder(folder)
    assert DuckDbFile(folder / "x.duckdb").load(files.specs[0], None) == files.load(files.specs[0], None)


def test_a_person_can_query_the_tables(sample: Path, sample_database: Path) -> None:
    with duckdb.connect(str(sample_database), read_only=True) as connection:
        found = connection.execute('SELECT * FROM "ohlcv/bybit/spot/ETHUSDT_1h" ORDER BY timestamp LIMIT 1').fetchall()
        counted = connection.execute("SELECT \"rows\" FROM basis_series WHERE id = 'gas/ethereum'").fetchall()
    stamp, *numbers = (sample / "ohlcv/bybit/spot/ETHUSDT_1h.csv").read_text().splitlines()[1].split(",")
    assert found == [(datetime.fromisoformat(stamp).replace(tzinfo=None), *map(Decimal, numbers))]
    assert counted == [(4417,)]


def test_generated_series_stay_marked(sample_database: Path, write: Write, tmp_path: Path) -> None:
    assert DataProvider(database=sample_database).generated
    import_to_database(write("gas/ethereum", "2024-06-01T00:00:00Z,1,2,3"), tmp_path / "x.duckdb")
    assert not DataProvider(database=tmp_path / "x.duckdb").generated


def test_a_failed_import_leaves_what_was_there(write: Write, tmp_path: Path) -> None:
    target = tmp_path / "x.duckdb"
    folder = write("gas/ethereum", "2024-06-01T00:00:00Z,1,2,3")
    import_to_database(folder, target)
    before = target.read_bytes()
    write("funding/okx/ETHUSDT", "2024-06-01T00:00:00Z,high")
    with pytest.raises(ComponentError, match=r"DAT-003: .*ETHUSDT.csv line 2: column funding_rate: 'high'"):
        import_to_database(folder, target)
    assert target.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["funding", "gas", "x.duckdb"]


def test_a_second_import_adds_what_is_new_and_refuses_other_values(write: Write, tmp_path: Path) -> None:
    target = tmp_path / "x.duckdb"
    assert import_to_database(write("gas/ethereum", "2024-06-01T00:00:00Z,1,2,3"), target) == {"gas/ethereum": 1}
    folder = write("gas/ethereum", "2024-06-01T00:00:00Z,1,2.0,3", "2024-06-01T01:00:00Z,1,8,3")
    assert import_to_database(folder, target) == {"gas/ethereum": 2}
    assert [DataProvider(database=target).snapshot(T0 + timedelta(hours=hour)).gas().base_fee_gwei for hour in (0, 1)] == [2, 8]
    written = target.read_bytes()
    with pytest.raises(ComponentError) as error:
        import_to_database(write("gas/ethereum", "2024-06-01T00:00:00Z,1,7,3"), target)
    assert error.value.message == (
        f"gas/ethereum: two different rows of 2024-06-01T00:00:00Z: {target} table gas/ethereum 2 has block 1, base_fee_gwei 2, "
        "priority_fee_gwei 3; ethereum.csv 2 has block 1, base_fee_gwei 7, priority_fee_gwei 3; nothing was written: keep one of them"
    )
    assert target.read_bytes() == written


def test_a_place_that_cannot_be_written_is_named(sample: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    target = tmp_path / "file" / "x.duckdb"
    with pytest.raises(ComponentError, match=f"DAT-006: {target} cannot be written: Not a directory"):
        import_to_database(sample, target)
    (tmp_path / "folder.duckdb").mkdir()
    with pytest.raises(ComponentError, match=r"DAT-006: .*folder.duckdb cannot be written: Is a directory"):
        import_to_database(sample, tmp_path / "folder.duckdb")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder.duckdb"]


def marked(path: Path, *statements: str) -> Path:
    with duckdb.connect(str(path)) as connection:
        for statement in statements:
            connection.execute(statement)
    return path


def test_what_is_no_database_of_an_import_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.duckdb"
    text.write_text("timestamp,close\n" * 1000)
    cases = {
        tmp_path / "absent": "does not exist; write it with `basis data import`",
        tmp_path: "is a folder; give a file of `basis data import`, or the folder as data.directory",
        marked(tmp_path / "other", "CREATE TABLE x (y INTEGER)"): "was not written by `basis data import`",
        marked(tmp_path / "newer", "CREATE TABLE basis_data AS SELECT 2 AS schema_version, false AS generated"): "has schema 2 and this "
        "version reads schema 1; write it again with `basis data import`",
        marked(tmp_path / "empty", "CREATE TABLE basis_data (schema_version INTEGER, generated BOOLEAN)"): "has schema None and this "
        "version reads schema 1; write it again with `basis data import`",
    }  # fmt: skip
    for path, expected in cases.items():
        with pytest.raises(ComponentError) as raised:
            DataProvider(database=path)
        assert str(raised.value).startswith(f"DAT-006: the database {path} {expected}")
    with pytest.raises(ComponentError) as raised:
        DataProvider(database=text)
    way_out = "give a folder of series (docs/data.md has its layout), or a database that `basis data import` wrote"
    assert str(raised.value) == f"DAT-006: {text} is no database; {way_out}"


def test_a_table_changed_by_hand_is_refused(write: Write, tmp_path: Path) -> None:
    folder = write("gas/ethereum", "2024-06-01T00:00:00Z,1,2,3")
    for name, statement, expected in (
        (
            "twice",
            'INSERT INTO "gas/ethereum" SELECT * FROM "gas/ethereum"',
            " row 2: column timestamp: '2024-06-01T00:00:00Z' is there already, in row 1; expected stamps that only rise",
        ),
        ("dropped", 'ALTER TABLE "gas/ethereum" DROP COLUMN base_fee_gwei', ": there is no column base_fee_gwei"),
    ):
        import_to_database(folder, tmp_path / name)
        marked(tmp_path / name, statement)
        with pytest.raises(ComponentError) as raised:
            DataProvider(database=tmp_path / name).snapshot(T0).gas()
        assert str(raised.value) == (
            f"DAT-003: {tmp_path / name} table gas/ethereum{expected}; write the database again with `basis data import`"
        )


# Damaged files, and files made to do harm.

RATES = ("2024-06-01T00:00:00Z,0.0001", "2024-06-01T08:00:00Z,-0.0002", "2024-06-01T16:00:00Z,0.0003")
SET, ALTER = 'UPDATE "funding/okx/ETHUSDT" SET', 'ALTER TABLE "funding/okx/ETHUSDT" ALTER'
AS_TEXT, AS_FLOAT = f"{ALTER} funding_rate TYPE VARCHAR", f"{ALTER} funding_rate TYPE DOUBLE"
SECOND, OF_SECOND = "WHERE timestamp = TIMESTAMP '2024-06-01 08:00:00'", " row 2: column funding_rate:"
NO_TABLE = ": there is no such table (a view is not read)"


def refused(path: Path) -> str:
    with pytest.raises(ComponentError) as raised:
        provider = DataProvider(database=path)
        provider.snapshot(T0 + timedelta(days=1)).funding("okx", "ETHUSDT")
    return str(raised.value)


@pytest.fixture
def rates(write: Write, tmp_path: Path) -> Path:
    """A database of one series of rates, to be changed."""
    import_to_database(write("funding/okx/ETHUSDT", *RATES), tmp_path / "x.duckdb")
    return tmp_path / "x.duckdb"


CHANGED = {
    "null": ([f"{SET} funding_rate = NULL {SECOND}"], f"{OF_SECOND} '' is not a number"),
    "a word": ([AS_TEXT, f"{SET} funding_rate = 'about 1' {SECOND}"], f"{OF_SECOND} 'about 1' is not a number"),
    "nan as text": ([AS_TEXT, f"{SET} funding_rate = 'nan' {SECOND}"], f"{OF_SECOND} 'nan' is not a number"),
    "nan": ([AS_FLOAT, f"{SET} funding_rate = 'nan' {SECOND}"], ": column funding_rate is DOUBLE; expected DECIMAL or VARCHAR"),
    "no time": ([f"{SET} timestamp = NULL {SECOND}"], " row 3: column timestamp: '' is no ISO stamp in UTC"),
    "an endless time": ([f"{SET} timestamp = 'infinity' {SECOND}"], " row 3: column timestamp: '' is no ISO stamp in UTC"),
    "text for times": ([f"{ALTER} timestamp TYPE VARCHAR"], ": column timestamp is VARCHAR; expected TIMESTAMP"),
    "no times": (['ALTER TABLE "funding/okx/ETHUSDT" DROP timestamp'], ": there is no column timestamp"),
    "no table": (['DROP TABLE "funding/okx/ETHUSDT"'], NO_TABLE),
}


@pytest.mark.parametrize("how", CHANGED)
def test_what_no_file_would_have_is_refused_as_in_a_file(rates: Path, how: str) -> None:
    statements, expected = CHANGED[how]
    reported = refused(marked(rates, *statements))
    assert reported.startswith(f"DAT-003: {rates} table funding/okx/ETHUSDT{expected}"), reported
    assert reported.endswith("; write the database again with `basis data import`") and reported.isprintable()


def test_a_number_that_its_column_does_not_allow_is_refused_as_in_a_file(write: Write, tmp_path: Path) -> None:
    folder = write("staking/lido/wstETH", "2024-06-01T00:00:00Z,1.17", "2024-06-02T00:00:00Z,1.18")
    for name, rate in (("zero", "0"), ("negative", "-1.17")):
        import_to_database(folder, tmp_path / name)
        marked(
            tmp_path / name, f"UPDATE \"staking/lido/wstETH\" SET eth_per_token = {rate} WHERE timestamp > TIMESTAMP '2024-06-01 12:00:00'"
        )
        with pytest.raises(ComponentError) as raised:
            DataProvider(database=tmp_path / name).snapshot(T0).redemption("lido", "wstETH")
        assert f" row 2: column eth_per_token: '{rate}" in str(raised.value)


def test_a_price_that_is_none_is_refused_whether_or_not_the_column_is_kept(write: Write, tmp_path: Path) -> None:
    folder = write("ohlcv/bybit/spot/ETHUSDT_1h", "2024-05-31T22:00:00Z,10,12,9,11,1", "2024-05-31T23:00:00Z,11,12,10,11.5,1")
    for column in ("open", "close"):
        import_to_database(folder, tmp_path / column)
        marked(
            tmp_path / column,
            f"UPDATE \"ohlcv/bybit/spot/ETHUSDT_1h\" SET {column} = NULL WHERE timestamp > TIMESTAMP '2024-05-31 22:30:00'",
        )
        with pytest.raises(ComponentError) as raised:
            DataProvider(database=tmp_path / column).snapshot(T0).spot("bybit", "ETHUSDT")
        assert f" row 2: column {column}: '' is not a number" in str(raised.value)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("DROP TABLE basis_series", "was not written by `basis data import`"),
        ("DROP TABLE basis_data; CREATE VIEW basis_data AS SELECT 1 AS schema_version", "was not written by `basis data import`"),
        ("ALTER TABLE basis_series RENAME id TO name", "cannot be read (Binder Error: "),
        ("INSERT INTO basis_series SELECT 'gas/x' || range, 1 FROM range(10000)", "lists more than 10,000 series; split it"),
    ],
)  # fmt: skip
def test_a_database_whose_list_of_series_was_changed_is_refused(rates: Path, statement: str, expected: str) -> None:
    assert refused(marked(rates, statement)).startswith(f"DAT-006: the database {rates} {expected}")


@pytest.mark.parametrize(
    "body",
    [
        "SELECT TIMESTAMP '2024-06-01' AS timestamp, CAST(column0 AS VARCHAR) AS funding_rate FROM read_csv('{secret}')",
        "SELECT TIMESTAMP '2024-06-01' AS timestamp, CAST(1 AS DECIMAL(18, 2)) AS funding_rate FROM range(2000000000)",
    ],
    ids=["another file", "endless"],
)
def test_a_view_is_not_read_whatever_it_is_on(rates: Path, tmp_path: Path, body: str) -> None:
    (tmp_path / "secret.csv").write_text("0.5\n")
    name = '"funding/okx/ETHUSDT"'
    marked(rates, f"DROP TABLE {name}", f"CREATE VIEW {name} AS {body.format(secret=tmp_path / 'secret.csv')}")
    assert refused(rates) == f"DAT-003: {rates} table funding/okx/ETHUSDT{NO_TABLE}; write the database again with `basis data import`"


def test_nothing_in_a_database_reaches_a_file_or_an_extension(rates: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("0.5\n")
    with DuckDbFile(rates)._open() as connection:
        for statement in (
            f"SELECT * FROM read_csv('{tmp_path / 'secret.csv'}')",
            "SELECT * FROM 'https://example.invalid/rates.parquet'",
            f"ATTACH '{tmp_path / 'other.duckdb'}'",
            "LOAD httpfs",
            "INSTALL httpfs",
            "SET enable_external_access = true",
            'DROP TABLE given.main."funding/okx/ETHUSDT"',
        ):
            with pytest.raises(duckdb.Error):
                connection.execute(statement)
    assert not (tmp_path / "other.duckdb").exists()


def test_a_column_that_is_computed_is_not_read(rates: Path) -> None:
    name = '"funding/okx/ETHUSDT"'
    marked(rates, f"DROP TABLE {name}", f"CREATE TABLE {name} (timestamp TIMESTAMP, funding_rate VARCHAR AS (repeat('1', 1000000000)))")
    assert "it has a column that is computed" in refused(rates)


def test_more_rows_than_a_series_can_have_are_not_read(rates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duckdb_file, "MOST_ROWS", 2)
    assert "table funding/okx/ETHUSDT: it has 3 rows; at most 2 are read; " in refused(rates)


def test_a_databases_own_macros_do_not_stand_in_for_functions(rates: Path) -> None:
    endless = "(SELECT count(*) FROM range(1000000000000))"
    marked(
        rates,
        f"CREATE MACRO epoch_us(stamp) AS {endless}",
        f"CREATE MACRO duckdb_tables() AS TABLE SELECT * FROM range({endless})",
        f"CREATE MACRO greatest(a, b) AS {endless}",
    )
    assert DataProvider(database=rates).snapshot(T0 + timedelta(hours=16)).funding("okx", "ETHUSDT") == Decimal("0.0003")


def test_a_flipped_bit_changes_nothing_or_is_named(rates: Path, tmp_path: Path) -> None:
    good, damaged = rates.read_bytes(), tmp_path / "damaged.duckdb"
    spec = DuckDbFile(rates).specs[0]
    whole = DuckDbFile(rates).load(spec, None)
    found = set()
    for place in range(0, len(good), len(good) // 60):
        damaged.write_bytes(good[:place] + bytes([good[place] ^ 0x10]) + good[place + 1 :])
        try:
            opened = DuckDbFile(damaged)
            found.add("the same" if opened.specs == (spec,) and opened.load(spec, None) == whole else "another")
        except ComponentError as error:
            assert error.message.isprintable() and str(damaged) in error.message
            found.add(error.error_code)
    assert found <= {"the same", "DAT-003", "DAT-006"} and "DAT-006" in found


@pytest.mark.parametrize("name", ["it's.duckdb", "a;b.duckdb", 'a"b.duckdb', "http:x.duckdb", "a\nb\x1b.duckdb"])
def test_a_database_of_any_name_is_read_and_named_on_one_line(
    rates: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates.rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    provider = DataProvider(database=name)
    monkeypatch.chdir("/")
    assert provider.snapshot(T0).funding("okx", "ETHUSDT") == Decimal("0.0001")
    monkeypatch.chdir(tmp_path)
    assert refused(marked(tmp_path / name, "DROP TABLE basis_series")).isprintable()


def test_a_database_whose_name_has_no_encoding_is_refused(rates: Path, tmp_path: Path) -> None:
    rates.rename(tmp_path / "a\udcff.duckdb")
    expected = f"DAT-006: '{tmp_path}/a\\udcff.duckdb' is no name in UTF-8, and a database can have no other; rename it"
    assert refused(tmp_path / "a\udcff.duckdb") == expected
    with pytest.raises(ComponentError) as raised:
        import_to_database(tmp_path, tmp_path / "a\udcff.duckdb")
    assert str(raised.value) == expected


def test_a_pipe_or_a_device_is_no_database(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.duckdb")
    (tmp_path / "zero.duckdb").symlink_to("/dev/zero")
    for name in ("pipe.duckdb", "zero.duckdb"):
        assert refused(tmp_path / name) == f"DAT-006: the database {tmp_path / name} is no regular file"


def test_a_link_left_where_an_import_works_is_not_followed(write: Write, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "precious").write_text("mine")
    (tmp_path / ".x.duckdb.import").symlink_to(tmp_path / "other")
    import_to_database(write("funding/okx/ETHUSDT", *RATES), tmp_path / "x.duckdb")
    assert (tmp_path / "other" / "precious").read_text() == "mine"


def test_a_bar_whose_close_is_not_between_its_low_and_its_high_is_refused_as_in_a_file(write: Write, tmp_path: Path) -> None:
    rows = ("2024-05-31T22:00:00Z,10,12,9,11,1", "2024-05-31T23:00:00Z,11,12,10,11.5,1", "2024-06-01T00:00:00Z,11,12,10,11.5,1")
    folder = write("ohlcv/bybit/spot/ETHUSDT_1h", *rows)
    import_to_database(folder, tmp_path / "x")
    marked(tmp_path / "x", "UPDATE \"ohlcv/bybit/spot/ETHUSDT_1h\" SET high = 11 WHERE timestamp >= TIMESTAMP '2024-05-31 23:00:00'")
    with pytest.raises(ComponentError) as raised:
        DataProvider(database=tmp_path / "x").snapshot(T0).spot("bybit", "ETHUSDT")
    wrong = "in the bar of 2024-05-31T23:00:00Z close 11.5 is above high 11; expected low <= open, close <= high"
    assert str(raised.value) == (
        f"DAT-003: {tmp_path / 'x'} table ohlcv/bybit/spot/ETHUSDT_1h row 2: {wrong}; correct the row, or leave it out; "
        "and 1 more such row, the last in row 3; "
        "write the database again with `basis data import`"
    )
    early = DataProvider(database=tmp_path / "x", until=T0 - timedelta(hours=1))
    assert early.snapshot(T0 - timedelta(hours=1)).spot("bybit", "ETHUSDT") == 11
    write("ohlcv/bybit/spot/ETHUSDT_1h", rows[0], "2024-05-31T23:00:00Z,13,12,10,11.5,1")
    with pytest.raises(ComponentError, match="line 3: in the bar of 2024-05-31T23:00:00Z open 13 is above high 12"):
        import_to_database(folder, tmp_path / "y")
    assert not (tmp_path / "y").exists()


def test_bars_nearer_together_than_their_interval_are_refused_as_in_a_file(write: Write, tmp_path: Path) -> None:
    folder = write("ohlcv/bybit/spot/ETHUSDT_1h", *(f"2024-05-31T{hour:02}:00:00Z,10,12,9,11,5" for hour in range(3)))
    import_to_database(folder, tmp_path / "x")
    half = "timestamp = TIMESTAMP '2024-05-31 01:30:00' WHERE timestamp = TIMESTAMP '2024-05-31 01:00:00'"
    marked(tmp_path / "x", f'UPDATE "ohlcv/bybit/spot/ETHUSDT_1h" SET {half}')
    with pytest.raises(ComponentError) as error:
        DataProvider(database=tmp_path / "x").coverage("spot", "bybit", "ETHUSDT")
    assert error.value.error_code == "DAT-003"
    assert "column timestamp: '2024-05-31T02:00:00Z' is 30m after the row before it, in a file of bars of 1h" in error.value.message


def test_series_that_this_version_does_not_know_are_left_out(write: Write, tmp_path: Path) -> None:
    target = tmp_path / "x"
    import_to_database(write("gas/ethereum", "2024-06-01T00:00:00Z,1,2,3"), target)
    marked(target, "INSERT INTO basis_series VALUES ('dex/sushi/weETH_WETH.state', 5)")
    assert DataProvider(database=target).series_ids == ("gas/ethereum",)


def test_a_file_that_is_no_database_is_not_written_over(write: Write, tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("a year of notes")
    with pytest.raises(ComponentError) as raised:
        import_to_database(write("gas/ethereum", "2024-06-01T00:00:00Z,1,2,3"), notes)
    assert str(raised.value) == f"DAT-006: {notes} is there and is no database; give another name, or remove it"
    assert notes.read_text() == "a year of notes"
