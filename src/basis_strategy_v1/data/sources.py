"""Where series come from: a folder of CSV files, or one DuckDB file. Files only."""

from __future__ import annotations

import re
from array import array
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from basis_strategy_v1.core.clock import from_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.data.csv_file import CsvReading
from basis_strategy_v1.data.layout import FOLDERS, Column, SeriesSpec, spec_of
from basis_strategy_v1.data.rows import RowFault, require_bar
from basis_strategy_v1.data.series import AFTER_ALL, Loaded, empty_column, is_rising

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

# Its presence in a folder says that the series were generated and are no market data.
GENERATED_FILE = "GENERATED.txt"
SCHEMA_VERSION = 1
BATCH_ROWS = 8192
_DECIMAL = re.compile(r"DECIMAL\([0-9]+, ?([0-9]+)\)")


class Source(Protocol):
    """`generated` says whether the series are invented; `specs` what there is; `load` reads one, up to `until`."""

    @property
    def generated(self) -> bool: ...
    @property
    def specs(self) -> tuple[SeriesSpec, ...]: ...
    def load(self, spec: SeriesSpec, until: int | None) -> Loaded: ...


class CsvFolder:
    """The series of a folder. It is listed at construction; a file is read when its series is asked for.

    Raises:
        ComponentError: DAT-006, there is no such folder or no series in it.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        if not self.directory.is_dir():
            what = (
                "is a file; a database is given with mode db"
                if self.directory.exists()
                else "does not exist; `basis data sample` makes one to try"
            )
            raise ComponentError("DAT-006", f"the data folder {self.directory} {what}")
        self.generated = (self.directory / GENERATED_FILE).is_file()
        self.specs = tuple(spec for path in csv_files(self.directory) if (spec := spec_of(series_id(self.directory, path))))
        if not self.specs:
            raise ComponentError("DAT-006", f"the data folder {self.directory} holds no series; expected files such as "
                                 "ohlcv/bybit/spot/ETHUSDT_1h.csv in it (docs/data.md has the layout)")  # fmt: skip

    def path_of(self, spec: SeriesSpec) -> Path:
        return self.directory / f"{spec.id}.csv"

    def load(self, spec: SeriesSpec, until: int | None) -> Loaded:
        return CsvReading(self.path_of(spec), spec, until).read()


def csv_files(directory: Path) -> Iterator[Path]:
    """Every CSV file in the folders of the layout, sorted, so that what follows does not depend on the file system."""
    for folder in FOLDERS:
        yield from sorted((directory / folder).rglob("*.csv"))


def series_id(directory: Path, path: Path) -> str:
    return path.relative_to(directory).with_suffix("").as_posix()


class DuckDbFile:
    """The series of a database that `basis data import` wrote. It is opened for each series read, and never kept open.

    Raises:
        ComponentError: DAT-006, there is no such file, or it was not written by an import of this version.
    """

    def __init__(self, database: str | Path) -> None:
        self.path = Path(database)
        if not self.path.is_file():
            what = (
                "is a folder; CSV files are given with mode csv"
                if self.path.exists()
                else "does not exist; write it with `basis data import`"
            )
            raise ComponentError("DAT-006", f"the database {self.path} {what}")
        with self._open() as connection:
            self.generated = self._read_marks(connection)
            self.specs = tuple(self._specs(connection))

    def _open(self) -> duckdb.DuckDBPyConnection:
        import duckdb

        try:
            return duckdb.connect(str(self.path), read_only=True)
        except duckdb.Error as error:
            way_out = "give a folder of CSV series, or a database that `basis data import` wrote"
            raise ComponentError("DAT-006", f"{self.path} is no database; {way_out}", original_exception=error) from error

    def _read_marks(self, connection: duckdb.DuckDBPyConnection) -> bool:
        import duckdb

        try:
            rows = connection.execute("SELECT * FROM basis_data").fetchall()
        except duckdb.CatalogException as error:
            raise ComponentError("DAT-006", f"the database {self.path} was not written by `basis data import`") from error
        version = rows[0][0] if rows else None
        if version != SCHEMA_VERSION:
            raise ComponentError("DAT-006", f"the database {self.path} has schema {version!r} and this version reads schema "
                                 f"{SCHEMA_VERSION}; write it again with `basis data import`")  # fmt: skip
        return bool(rows[0][1])

    def _specs(self, connection: duckdb.DuckDBPyConnection) -> Iterator[SeriesSpec]:
        for (name,) in connection.execute("SELECT id FROM basis_series ORDER BY id").fetchall():
            if spec := spec_of(name):
                yield spec

    def load(self, spec: SeriesSpec, until: int | None) -> Loaded:
        stamps = array("q")
        kept = [column for column in spec.columns if column.kept]
        columns = tuple(empty_column(column) for column in kept)
        with self._open() as connection:
            decimals = self._decimals(connection, spec, kept)
            self._require_bars(connection, spec, until)
            connection.execute(*_query(spec, kept, decimals, until))
            while rows := connection.fetchmany(BATCH_ROWS):
                stamp_column, *found = zip(*rows, strict=True)
                stamps.extend(stamp_column)
                for column, values, scale in zip(columns, found, decimals, strict=True):
                    column.extend_texts(values) if scale is None else column.extend_scaled(values, scale)
        if not is_rising(stamps):
            raise self._changed(spec, "the stamps do not only rise")
        return Loaded(stamps, tuple(column.trimmed() for column in columns))

    def _decimals(self, connection: duckdb.DuckDBPyConnection, spec: SeriesSpec, kept: list[Column]) -> list[int | None]:
        """The decimals of the DECIMAL columns; None for text."""
        types = {name: kind for name, kind, *_ in connection.execute(f'DESCRIBE "{spec.id}"').fetchall()}
        for column in kept:
            if column.name not in types:
                raise self._changed(spec, f"there is no column {column.name}")
            if column.is_text and types[column.name] != "VARCHAR":
                raise self._changed(spec, f"column {column.name} is {types[column.name]}")
        found = (_DECIMAL.fullmatch(types[column.name]) for column in kept)
        return [int(match[1]) if match else None for match in found]

    def _require_bars(self, connection: duckdb.DuckDBPyConnection, spec: SeriesSpec, until: int | None) -> None:
        """An import refuses such bars as reading the files does; a database may be older than that rule, or have been changed."""
        if not spec.has_bars:
            return
        first, high, low, close = (f'CAST("{name}" AS DOUBLE)' for name in ("open", "high", "low", "close"))
        beyond = f"(greatest({first}, {close}) > {high} OR least({first}, {close}) < {low})"
        query = f'SELECT epoch_us(timestamp), open, high, low, close FROM "{spec.id}" WHERE {beyond} AND epoch_us(timestamp) <= ?'
        for stamp, *prices in connection.execute(f"{query} ORDER BY timestamp LIMIT 1", [AFTER_ALL if until is None else until]).fetchall():
            try:
                require_bar(stamp, *map(Decimal, prices))
            except RowFault as fault:
                raise self._changed(spec, str(fault)) from None

    def _changed(self, spec: SeriesSpec, what: str) -> ComponentError:
        return ComponentError("DAT-003", f"{self.path} table {spec.id}: {what}; write the database again with `basis data import`")


def _query(spec: SeriesSpec, kept: list[Column], decimals: list[int | None], until: int | None) -> tuple[str, list[object]]:
    values = [
        f'"{column.name}"' if scale is None else f'CAST("{column.name}" * CAST({10**scale} AS DECIMAL(19, 0)) AS BIGINT)'
        for column, scale in zip(kept, decimals, strict=True)
    ]
    query = f'SELECT epoch_us(timestamp), {", ".join(values)} FROM "{spec.id}"'
    if until is None:
        return f"{query} ORDER BY timestamp", []
    return f"{query} WHERE timestamp <= ? ORDER BY timestamp", [from_instant(until).replace(tzinfo=None)]
