"""Series from one DuckDB file, which may be damaged, or made by somebody to do harm."""

from __future__ import annotations

import re
from array import array
from contextlib import contextmanager
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.clock import from_instant, iso
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.text import printable
from basis_strategy_v1.data.layout import ANY, NOT_NEGATIVE, POSITIVE, Column, interval_name, render_duration, spec_of
from basis_strategy_v1.data.rows import RowFault, parse_number, parse_text, require_bar
from basis_strategy_v1.data.series import AFTER_ALL, Loaded, are_apart, empty_column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import duckdb

    from basis_strategy_v1.data.layout import SeriesSpec

Parsed = TypeVar("Parsed")

SCHEMA_VERSION = 1
BATCH_ROWS = 8192
MOST_ROWS = 50_000_000  # of a series: a bar a minute for 95 years
MOST_SERIES = 10_000
_ON_ITS_OWN: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
}
_ATTACHED = "given"  # the name of the file within the connection
_LEAST = {ANY: -(2**63), NOT_NEGATIVE: 0, POSITIVE: 1}  # of the whole numbers that a DECIMAL is read as
_DECIMAL = re.compile(r"DECIMAL\([0-9]+, ?([0-9]+)\)")


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
                "is a folder; CSV files are given with mode csv"
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
            way_out = "give a folder of CSV series, or a database that `basis data import` wrote"
            raise ComponentError("DAT-006", f"{self._given} is no database; {way_out}", original_exception=error) from error
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
        import duckdb

        try:
            with self._open() as connection:
                return self._load(connection, spec, until)
        except RowFault as fault:
            raise self._changed(spec, str(fault)) from None
        except duckdb.Error as error:
            raise self._changed(spec, f"it cannot be read ({_first_line(error)})") from error

    def _load(self, connection: duckdb.DuckDBPyConnection, spec: SeriesSpec, until: int | None) -> Loaded:
        stamps = array("q")
        kept = [column for column in spec.columns if column.kept]
        columns = tuple(empty_column(column) for column in kept)
        self._require_table(connection, spec)
        decimals = self._decimals(connection, spec, kept)
        self._require_bars(connection, spec, until)
        connection.execute(*_query(spec, kept, decimals, until))
        while rows := connection.fetchmany(BATCH_ROWS):
            stamp_column, *found = zip(*rows, strict=True)
            if None in stamp_column:
                raise self._changed(spec, "a row has no timestamp")
            for column, values, scale in zip(kept, found, decimals, strict=True):
                _require_allowed(column, stamp_column, values, scale)
            stamps.extend(stamp_column)
            for numbers, values, scale in zip(columns, found, decimals, strict=True):
                numbers.extend_texts(values) if scale is None else numbers.extend_scaled(values, scale)
        if not are_apart(stamps, 1):
            raise self._changed(spec, "the stamps do not only rise")
        if spec.has_bars:
            self._require_interval(spec, stamps)
        return Loaded(stamps, tuple(column.trimmed() for column in columns), self._without_volume(connection, spec, until))

    def _require_interval(self, spec: SeriesSpec, stamps: array[int]) -> None:
        if are_apart(stamps, spec.interval_us):
            return
        one, after = next(pair for pair in pairwise(stamps) if pair[1] - pair[0] < spec.interval_us)
        apart, interval = render_duration(after - one), interval_name(spec.interval_us)
        raise self._changed(spec, f"the bar of {iso(after)} is {apart} after the one before it, in a series of bars of {interval}")

    def _without_volume(self, connection: duckdb.DuckDBPyConnection, spec: SeriesSpec, until: int | None) -> array[int]:
        """The rows, from 0, of the bars without volume; none where the table has no such column."""
        columns = {name for name, *_ in connection.execute(f"DESCRIBE {_table(spec.id)}").fetchall()} if spec.has_bars else set()
        if "volume" not in columns:
            return array("q")
        numbered = (
            f'SELECT row_number() OVER (ORDER BY timestamp) - 1 AS place, TRY_CAST("volume" AS DOUBLE) AS traded FROM {_table(spec.id)}'
        )
        numbered = f"{numbered} WHERE epoch_us(timestamp) <= ?"
        found = connection.execute(
            f"SELECT place FROM ({numbered}) WHERE traded = 0 ORDER BY place", [AFTER_ALL if until is None else until]
        )
        return array("q", [place for (place,) in found.fetchall()])

    def _require_table(self, connection: duckdb.DuckDBPyConnection, spec: SeriesSpec) -> None:
        table = _tables(connection).get(spec.id)
        if table is None:
            raise self._changed(spec, "there is no such table (a view is not read)")
        if table.rows > MOST_ROWS:
            raise self._changed(spec, f"it has {table.rows:,} rows; at most {MOST_ROWS:,} are read")
        if "GENERATED ALWAYS AS" in table.sql:
            raise self._changed(spec, "it has a column that is computed; columns must hold what they say")

    def _decimals(self, connection: duckdb.DuckDBPyConnection, spec: SeriesSpec, kept: list[Column]) -> list[int | None]:
        """The decimals of the DECIMAL columns; None for text."""
        types = {name: kind for name, kind, *_ in connection.execute(f"DESCRIBE {_table(spec.id)}").fetchall()}
        needed = [*spec.columns[:4], *kept] if spec.has_bars else kept
        for column in (Column("timestamp", "a time"), *needed):
            if column.name not in types:
                raise self._changed(spec, f"there is no column {column.name}")
            kind = types[column.name]
            if column.name == "timestamp":
                wanted, is_right = "TIMESTAMP", kind == "TIMESTAMP"
            elif column.is_text:
                wanted, is_right = "VARCHAR", kind == "VARCHAR"
            else:
                wanted, is_right = "DECIMAL or VARCHAR", kind == "VARCHAR" or _DECIMAL.fullmatch(kind) is not None
            if not is_right:
                raise self._changed(spec, f"column {column.name} is {kind[:60]}; expected {wanted}")
        found = (_DECIMAL.fullmatch(types[column.name]) for column in kept)
        return [int(match[1]) if match else None for match in found]

    def _require_bars(self, connection: duckdb.DuckDBPyConnection, spec: SeriesSpec, until: int | None) -> None:
        """An import refuses such bars as reading the files does; a database may be older than that rule, or have been changed."""
        if not spec.has_bars:
            return
        prices = spec.columns[:4]
        first, high, low, close = (f'TRY_CAST("{column.name}" AS DOUBLE)' for column in prices)
        # Every comparison with what is no number is unknown: such a row is none to be trusted.
        sound = f"{first} <= {high} AND {first} >= {low} AND {close} <= {high} AND {close} >= {low}"
        query = f"SELECT epoch_us(timestamp), open, high, low, close FROM {_table(spec.id)} WHERE ({sound}) IS NOT TRUE"
        query = f"{query} AND epoch_us(timestamp) <= ? ORDER BY timestamp LIMIT 1"
        for stamp, *values in connection.execute(query, [AFTER_ALL if until is None else until]).fetchall():
            require_bar(stamp, *[_number(value, stamp, column) for value, column in zip(values, prices, strict=True)])

    def _changed(self, spec: SeriesSpec, what: str) -> ComponentError:
        return ComponentError("DAT-003", f"{self._given} table {spec.id}: {what}; write the database again with `basis data import`")


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


def _require_allowed(column: Column, stamps: Sequence[int], values: Sequence[Any], scale: int | None) -> None:
    """Refuse what a file would not have: nothing at all, a word, a number that the column does not allow.

    Raises:
        RowFault: naming the first.
    """
    if scale is not None and None not in values and min(values) >= _LEAST[column.allowed]:
        return
    for stamp, value in zip(stamps, values, strict=True):
        if column.is_text:
            _in_row(stamp, parse_text, "" if value is None else value, column)
        else:
            _number(value if scale is None or value is None else Decimal(value).scaleb(-scale), stamp, column)


def _number(value: Any, stamp: int, column: Column) -> Decimal:
    text = "" if value is None else format(value, "f") if isinstance(value, Decimal) else value
    return _in_row(stamp, parse_number, text, column)


def _in_row(stamp: int, parse: Callable[[str, Column], Parsed], text: str, column: Column) -> Parsed:
    try:
        return parse(text, column)
    except RowFault as fault:
        raise RowFault(fault.kind, "", f"in the row of {iso(stamp)} {fault}") from None


def _query(spec: SeriesSpec, kept: list[Column], decimals: list[int | None], until: int | None) -> tuple[str, list[object]]:
    values = [
        f'"{column.name}"' if scale is None else f'CAST("{column.name}" * CAST({10**scale} AS DECIMAL(19, 0)) AS BIGINT)'
        for column, scale in zip(kept, decimals, strict=True)
    ]
    query = f"SELECT epoch_us(timestamp), {', '.join(values)} FROM {_table(spec.id)}"
    if until is None:
        return f"{query} ORDER BY timestamp", []
    return f"{query} WHERE timestamp <= ? ORDER BY timestamp", [from_instant(until).replace(tzinfo=None)]
