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
from basis_strategy_v1.data.data_provider import DataProvider
from basis_strategy_v1.data.database import import_to_database
from basis_strategy_v1.data.layout import Key
from basis_strategy_v1.data.series import Numbers
from basis_strategy_v1.data.sources import CsvFolder, DuckDbFile

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
    for spec in CsvFolder(folder).specs:
        assert [said(db, spec.key, at) for at in times] == [said(csv, spec.key, at) for at in times]
    assert [db.get_data(at) for at in times[:3]] == [csv.get_data(at) for at in times[:3]]


def test_the_database_answers_as_the_sample_does(sample: Path, sample_database: Path) -> None:
    times = [T0 - timedelta(days=2), *(T0 + timedelta(minutes=95 * step) for step in range(0, 1900, 97))]
    require_same_answers(sample, sample_database, times, until=None)
    require_same_answers(sample, sample_database, times, until=T0 + timedelta(days=20))


def test_the_database_answers_as_the_real_series_do(real: Path, tmp_path: Path) -> None:
    path = tmp_path / "real.duckdb"
    counts = import_to_database(real, path)
    assert counts == {spec.id: sum(1 for _ in (real / f"{spec.id}.csv").open()) - 1 for spec in CsvFolder(real).specs}
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
    files = CsvFolder(folder)
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


def test_a_second_import_replaces_the_first(write: Write, tmp_path: Path) -> None:
    target = tmp_path / "x.duckdb"
    assert import_to_database(write("gas/ethereum", "2024-06-01T00:00:00Z,1,2,3"), target) == {"gas/ethereum": 1}
    folder = write("gas/ethereum", "2024-06-01T00:00:00Z,1,7,3", "2024-06-01T01:00:00Z,1,8,3")
    assert import_to_database(folder, target) == {"gas/ethereum": 2}
    assert DataProvider(database=target).snapshot(T0).gas().base_fee_gwei == 7


def test_a_database_that_differs_from_its_files_is_not_left_behind(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write("gas/ethereum", "2024-06-01T00:00:00Z,1,2.25,3")
    monkeypatch.setattr(Numbers, "fits", lambda _, digits: digits - 17)
    with pytest.raises(ComponentError, match="DAT-006: the database does not hold gas/ethereum as its file does"):
        import_to_database(folder, tmp_path / "x.duckdb")
    assert [path.name for path in tmp_path.iterdir()] == ["gas"]


def test_a_place_that_cannot_be_written_is_named(sample: Path, tmp_path: Path) -> None:
    target = tmp_path / "absent" / "x.duckdb"
    with pytest.raises(ComponentError, match=f"DAT-006: the database {target} cannot be written: "):
        import_to_database(sample, target)
    (tmp_path / "folder.duckdb").mkdir()
    with pytest.raises(ComponentError, match=r"DAT-006: the database .*folder.duckdb cannot be written: Is a directory"):
        import_to_database(sample, tmp_path / "folder.duckdb")
    assert os.listdir(tmp_path) == ["folder.duckdb"]


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
        tmp_path: "is a folder; CSV files are given with mode csv",
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
    way_out = "give a folder of CSV series, or a database that `basis data import` wrote"
    assert str(raised.value) == f"DAT-006: {text} is no database; {way_out}"


def test_a_table_changed_by_hand_is_refused(write: Write, tmp_path: Path) -> None:
    folder = write("gas/ethereum", "2024-06-01T00:00:00Z,1,2,3")
    for name, statement, expected in (
        ("twice", 'INSERT INTO "gas/ethereum" SELECT * FROM "gas/ethereum"', "the stamps do not only rise"),
        ("dropped", 'ALTER TABLE "gas/ethereum" DROP COLUMN base_fee_gwei', "there is no column base_fee_gwei"),
    ):
        import_to_database(folder, tmp_path / name)
        marked(tmp_path / name, statement)
        with pytest.raises(ComponentError) as raised:
            DataProvider(database=tmp_path / name).snapshot(T0).gas()
        assert str(raised.value) == (
            f"DAT-003: {tmp_path / name} table gas/ethereum: {expected}; write the database again with `basis data import`"
        )


def test_a_bar_whose_close_is_not_between_its_low_and_its_high_is_refused_as_in_a_file(write: Write, tmp_path: Path) -> None:
    rows = ("2024-05-31T22:00:00Z,10,12,9,11,1", "2024-05-31T23:00:00Z,11,12,10,11.5,1", "2024-06-01T00:00:00Z,11,12,10,11.5,1")
    folder = write("ohlcv/bybit/spot/ETHUSDT_1h", *rows)
    import_to_database(folder, tmp_path / "x")
    marked(tmp_path / "x", "UPDATE \"ohlcv/bybit/spot/ETHUSDT_1h\" SET high = 11 WHERE timestamp >= TIMESTAMP '2024-05-31 23:00:00'")
    with pytest.raises(ComponentError) as raised:
        DataProvider(database=tmp_path / "x").snapshot(T0).spot("bybit", "ETHUSDT")
    wrong = "in the bar of 2024-05-31T23:00:00Z close 11.5 is above high 11; expected low <= open, close <= high"
    assert str(raised.value) == (
        f"DAT-003: {tmp_path / 'x'} table ohlcv/bybit/spot/ETHUSDT_1h: {wrong}; correct the row, or leave it out; "
        "write the database again with `basis data import`"
    )
    early = DataProvider(database=tmp_path / "x", until=T0 - timedelta(hours=1))
    assert early.snapshot(T0 - timedelta(hours=1)).spot("bybit", "ETHUSDT") == 11
    write("ohlcv/bybit/spot/ETHUSDT_1h", rows[0], "2024-05-31T23:00:00Z,13,12,10,11.5,1")
    with pytest.raises(ComponentError, match="line 3: in the bar of 2024-05-31T23:00:00Z open 13 is above high 12"):
        import_to_database(folder, tmp_path / "y")
    assert not (tmp_path / "y").exists()


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
