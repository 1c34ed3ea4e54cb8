"""Series from one DuckDB file, which may be damaged, or made by somebody to do harm."""

from __future__ import annotations

import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.text import printable
from basis_strategy_v1.data.layout import Column, spec_of
from basis_strategy_v1.data.row_reader import Batch, RowReader, fault_lines
from basis_strategy_v1.data.sources import what_to_do_with

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

    from basis_strategy_v1.data.layout import SeriesSpec
    from basis_strategy_v1.data.series import Loaded

SCHEMA_VERSION = 1
BATCH_ROWS = 1 << 16
MOST_ROWS = 50_000_000  # of a series: a bar a minute for 95 years
MOST_SERIES = 10_000
_ON_ITS_OWN: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
}
_ATTACHED = "given"  # the name of the file within the connection
_DECIMAL = re.compile(r"DECIMAL\([0-9]+, ?[0-9]+\)")


class DuckDbFile:
    """The series of a database that `basis data import` wrote. It is opened for each series read, and never kept open.

    The file may be a stranger's: only tables are read, of a bounded number of rows, and nothing in it reaches another file or a network.

    Raises:
        ComponentError: DAT-006, there is no such file, it cannot be read, or it was not written by an import of this version.
    """

    def __init__(self, database: str | Path) -> None:
        self.path = Path(database).absolute()  # whatever becomes of the working directory
        self._given = shown(Path(database))
        if not self.path.is_file():
            what = (
                "is a folder; give a file of `basis data import`, or the folder as data.directory"
                if self.path.is_dir()
                else "is no regular file"
                if self.path.exists()
                else "does not exist; write it with `basis data import`"
            )
            raise ComponentError("DAT-006", f"the database {self._given} {what}")
        require_name(self.path)
        with self._open() as connection, self._readable():
            self.generated = self._read_marks(connection)
            self.specs = tuple(self._specs(connection))

    def _open(self) -> duckdb.DuckDBPyConnection:
        """A database in memory with the file attached: the file's own macros do not stand in for the functions that are called here."""
        import duckdb

        connection = duckdb.connect(":memory:", config=_ON_ITS_OWN)
        try:
            quoted = str(self.path).replace("'", "''")
            connection.execute(f"ATTACH '{quoted}' AS {_ATTACHED} (READ_ONLY, TYPE duckdb)")
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
        except duckdb.Error as error:
            connection.close()
            what = f"{self._given} is no database; {what_to_do_with(self.path)}"
            raise ComponentError("DAT-006", what, original_exception=error) from error
        return connection

    @contextmanager
    def _readable(self) -> Iterator[None]:
        import duckdb

        try:
            yield
        except duckdb.Error as error:
            what = f"the database {self._given} cannot be read ({_first_line(error)}); write it again with `basis data import`"
            raise ComponentError("DAT-006", what, original_exception=error) from error

    def _read_marks(self, connection: duckdb.DuckDBPyConnection) -> bool:
        tables = _tables(connection)
        if "basis_data" not in tables:
            raise self._foreign()
        rows = connection.execute(f"SELECT schema_version, generated FROM {_table('basis_data')} LIMIT 1").fetchall()
        version = rows[0][0] if rows else None
        if version != SCHEMA_VERSION:
            raise ComponentError("DAT-006", f"the database {self._given} has schema {shown(version)} and this version reads schema "
                                 f"{SCHEMA_VERSION}; write it again with `basis data import`")  # fmt: skip
        if "basis_series" not in tables:
            raise self._foreign()
        return bool(rows[0][1])

    def _foreign(self) -> ComponentError:
        return ComponentError("DAT-006", f"the database {self._given} was not written by `basis data import`")

    def _specs(self, connection: duckdb.DuckDBPyConnection) -> Iterator[SeriesSpec]:
        query = f"SELECT id FROM {_table('basis_series')} ORDER BY id LIMIT {MOST_SERIES + 1}"
        names = [name for (name,) in connection.execute(query).fetchall()]
        if len(names) > MOST_SERIES:
            raise ComponentError("DAT-006", f"the database {self._given} lists more than {MOST_SERIES:,} series; split it")
        for name in names:
            if isinstance(name, str) and (spec := spec_of(name)):
                yield spec

    def load(self, spec: SeriesSpec, until: int | None) -> Loaded:
        reader = RowReader(spec, until, place="row")
        self.feed(spec, reader)
        if reader.faults:
            raise self._changed(spec, next(fault_lines(reader.faults, reader.place)))
        return reader.loaded()

    def feed(self, spec: SeriesSpec, reader: RowReader) -> None:
        """Give the rows of a series to the reader.

        Raises:
            ComponentError: DAT-003, its table cannot be read.
        """
        import duckdb

        try:
            with self._open() as connection:
                self._feed(connection, spec, reader)
        except duckdb.Error as error:
            raise self._changed(spec, f": it cannot be read ({_first_line(error)})") from error

    def _feed(self, connection: duckdb.DuckDBPyConnection, spec: SeriesSpec, reader: RowReader) -> None:
        self._require_table(connection, spec)
        row = 1
        for batch in connection.sql(_query(spec, reader.until)).to_arrow_reader(BATCH_ROWS):
            reader.take(Batch(batch.columns, row))
            row += batch.num_rows

    def _require_table(self, connection: duckdb.DuckDBPyConnection, spec: SeriesSpec) -> None:
        table = _tables(connection).get(spec.id)
        if table is None:
            raise self._changed(spec, ": there is no such table (a view is not read)")
        if table.rows > MOST_ROWS:
            raise self._changed(spec, f": it has {table.rows:,} rows; at most {MOST_ROWS:,} are read")
        if "GENERATED ALWAYS AS" in table.sql:
            raise self._changed(spec, ": it has a column that is computed; columns must hold what they say")
        types = {name: kind for name, kind, *_ in connection.execute(f"DESCRIBE {_table(spec.id)}").fetchall()}
        for column in (Column("timestamp", "a time"), *spec.columns):
            if column.name not in types:
                raise self._changed(spec, f": there is no column {column.name}")
            kind = types[column.name]
            if column.name == "timestamp":
                wanted, is_right = "TIMESTAMP", kind == "TIMESTAMP"
            elif column.is_text:
                wanted, is_right = "VARCHAR", kind == "VARCHAR"
            else:
                wanted, is_right = "DECIMAL or VARCHAR", kind == "VARCHAR" or _DECIMAL.fullmatch(kind) is not None
            if not is_right:
                raise self._changed(spec, f": column {column.name} is {kind[:60]}; expected {wanted}")

    def _changed(self, spec: SeriesSpec, what: str) -> ComponentError:
        return ComponentError("DAT-003", f"{self._given} table {spec.id}{what}; write the database again with `basis data import`")


def require_name(path: Path) -> None:
    """Refuse what DuckDB cannot be given.

    Raises:
        ComponentError: DAT-006.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise ComponentError("DAT-006", f"{shown(path)} is no name in UTF-8, and a database can have no other; rename it") from None


class _Table(NamedTuple):
    rows: int
    sql: str


def _tables(connection: duckdb.DuckDBPyConnection) -> dict[str, _Table]:
    """The tables of the file, by name; its views are none."""
    query = "SELECT table_name, estimated_size, sql FROM duckdb_tables() WHERE database_name = ? AND schema_name = 'main'"
    return {name: _Table(rows, sql) for name, rows, sql in connection.execute(query, [_ATTACHED]).fetchall()}


def _table(name: str) -> str:
    return f'{_ATTACHED}.main."{name}"'


def _first_line(error: Exception) -> str:
    return printable(str(error).split("\n", 1)[0][:200])


def _query(spec: SeriesSpec, until: int | None) -> str:
    values = ", ".join(f'CAST("{column.name}" AS VARCHAR)' for column in spec.columns)
    rows = f"SELECT epoch_us(timestamp) AS stamp, {values} FROM {_table(spec.id)}"
    return f"SELECT * FROM ({rows}) {'' if until is None else f'WHERE stamp <= {until} OR stamp IS NULL'} ORDER BY stamp"
