"""Where imported rows wait: sorted, compared and written by DuckDB, in bounded memory, in a folder at the destination."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from basis_strategy_v1.core.clock import iso
from basis_strategy_v1.data.duckdb_file import SCHEMA_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import duckdb
    import pyarrow as pa

    from basis_strategy_v1.data.layout import SeriesSpec

# What DuckDB keeps in eight bytes. A number that needs more stays text.
DIGITS = 18
MEMORY = "100MB"
BATCH_ROWS = 1 << 16
_WHOLE, _PARTS = ("strftime(make_timestamp(stamp), '%Y-%m-%dT%H:%M:%S" + rest for rest in ("Z')", ".%fZ')"))
STAMP = f"CASE WHEN stamp % 1000000 = 0 THEN {_WHOLE} ELSE {_PARTS} END"


class Conflict(NamedTuple):
    """Two rows of one stamp with other values: (source, line, values) of each, and how many stamps have such rows."""

    stamp: int
    one: tuple[int, int, str]
    other: tuple[int, int, str]
    stamps: int


class StagedRow(NamedTuple):
    """A row of a source, and the time from the row before it (microseconds)."""

    source: int
    line: int
    stamp: int
    step: int


class Staged:
    """The rows of one series; where rows `may_repeat`, other ones of one stamp stand next to each other."""

    def __init__(self, staging: Staging, number: int, columns: Sequence[str], *, may_repeat: bool = False) -> None:
        self._may_repeat = may_repeat
        self._run, self._stream = staging.run, staging.stream
        self._table = f"staged{number}"
        self.columns = tuple(columns)
        self._names = ", ".join(f'"{name}"' for name in self.columns)
        typed = ", ".join(f'"{name}" VARCHAR' for name in self.columns)
        self._run(f"CREATE TABLE {self._table} (stamp BIGINT, {typed}, source INTEGER, line BIGINT)")

    def add(self, stamps: pa.Array, values: Sequence[pa.Array], source: int, line: int, step: int = 1) -> None:
        """Rows of a source; row k is its line `line + k * step`."""
        import pyarrow as pa

        rows = pa.Table.from_arrays([stamps, *values], ["stamp", *self.columns])
        self._run(f"INSERT INTO {self._table} SELECT *, {source}, {line} + {step} * (row_number() OVER () - 1) FROM rows", rows=rows)

    def conflict(self) -> Conflict | None:
        if self._may_repeat or self._is_single():
            return None
        several = f"SELECT stamp FROM {self._table} GROUP BY stamp HAVING count(*) > 1"
        rows_of_them = f"SELECT * FROM {self._table} WHERE stamp IN ({several})"
        differ = f"GROUP BY stamp HAVING count(DISTINCT row({self._names})) > 1 ORDER BY stamp"
        found = self._run(f"SELECT stamp FROM ({rows_of_them}) {differ}").fetchall()
        if not found:
            return None
        stamp = found[0][0]
        values = " || ', ' || ".join(f"'{name} ' || \"{name}\"" for name in self.columns)
        rows = self._run(f"SELECT source, line, {values} FROM {self._table} WHERE stamp = {stamp} ORDER BY source, line").fetchall()
        other = next(row for row in rows if row[2] != rows[0][2])
        return Conflict(stamp, rows[0], other, len(found))

    def _is_single(self) -> bool:
        """Whether no stamp has two rows, so that nothing need be compared or merged."""
        return self._number(f"SELECT count(*) - count(DISTINCT stamp) FROM {self._table}") == 0

    def _one_each(self) -> str:
        """A query of one row a stamp; the rows of one are equal. Where rows may repeat, of each row once."""
        if self._may_repeat:
            return f"SELECT DISTINCT stamp, {self._names} FROM {self._table} ORDER BY ALL"
        if self._is_single():
            return f"SELECT stamp, {self._names} FROM {self._table}"
        values = ", ".join(f'any_value("{name}") AS "{name}"' for name in self.columns)
        return f"SELECT stamp, {values} FROM {self._table} GROUP BY stamp"

    def least_step(self) -> int | None:
        """The least time between two rows."""
        return self._number(f"SELECT min(step) FROM ({self._steps()})")

    def usual_step(self) -> int | None:
        """The most frequent time between two rows."""
        return self._number(f"SELECT mode(step) FROM ({self._steps()})")

    def first(self, condition: str) -> StagedRow | None:
        """The first row for which something holds, in SQL, of stamp, step, source and line."""
        rows = self._run(f"SELECT source, line, stamp, step FROM ({self._steps()}) WHERE {condition} ORDER BY stamp LIMIT 1").fetchall()
        return StagedRow(*rows[0]) if rows else None

    def _steps(self) -> str:
        rows = f"SELECT stamp, min(source) AS source, arg_min(line, source) AS line FROM {self._table} GROUP BY stamp"
        return f"SELECT *, stamp - lag(stamp) OVER (ORDER BY stamp) AS step FROM ({rows})"

    def count(self) -> int:
        return self._number(f"SELECT count(DISTINCT stamp) FROM {self._table}") or 0

    def _number(self, query: str) -> int | None:
        [(found,)] = self._run(query).fetchall()
        return None if found is None else int(found)

    def drop(self, condition: str) -> int:
        """Leave out the rows for which something holds, in SQL; how many stamps they had."""
        left_out = self._number(f"SELECT count(DISTINCT stamp) FROM {self._table} WHERE {condition}") or 0
        if left_out:
            self._run(f"DELETE FROM {self._table} WHERE {condition}")
        return left_out

    def to_opens(self, interval_us: int) -> None:
        """Stamp bars that are stamped at their close, or just before it (00:59:59.999), at their open."""
        self._run(f"UPDATE {self._table} SET stamp = ((stamp + {interval_us} - 1) // {interval_us} - 1) * {interval_us}")

    def resample(self, interval_us: int, finer_us: int) -> int:
        """Make bars of finer ones. A bar of which some are missing is left out; how many were."""
        rows = f"SELECT DISTINCT ON (stamp) * FROM {self._table} ORDER BY stamp, source"
        bars = f"""
            SELECT stamp // {interval_us} * {interval_us} AS opened, arg_min(open, stamp) AS open,
                arg_max(high, CAST(high AS DECIMAL(38, 15))) AS high,
                arg_min(low, CAST(low AS DECIMAL(38, 15))) AS low, arg_max(close, stamp) AS close,
                CAST(sum(CAST(volume AS DECIMAL(38, 15))) AS VARCHAR) AS volume, min(source) AS source, min(line) AS line, count(*) AS bars
            FROM ({rows}) GROUP BY opened"""
        volume = "CASE WHEN contains(volume, '.') THEN rtrim(rtrim(volume, '0'), '.') ELSE volume END"
        self._run(f"CREATE TABLE {self._table}_bars AS {bars}")
        left_out = self._number(f"SELECT count(*) FROM {self._table}_bars WHERE bars < {interval_us // finer_us}") or 0
        self._run(f"DELETE FROM {self._table}")
        self._run(f"INSERT INTO {self._table} SELECT opened, open, high, low, close, {volume}, source, line FROM {self._table}_bars "
                  f"WHERE bars = {interval_us // finer_us}")  # fmt: skip
        self._run(f"DROP TABLE {self._table}_bars")
        return left_out

    def write_csv(self, path: Path, header: str) -> None:
        """All rows, oldest first, in the layout of a series."""
        import pyarrow as pa
        from pyarrow import csv

        options = csv.WriteOptions(include_header=False, quoting_style="none")
        with path.open("wb") as file:
            file.write(f"{header}\n".encode())
            for batch in self._merged(STAMP):
                csv.write_csv(pa.Table.from_batches([batch]), file, options)

    def _merged(self, stamp: str) -> Iterator[pa.RecordBatch]:
        yield from self._stream(f"SELECT {stamp}, {self._names} FROM ({self._one_each()}) ORDER BY stamp")

    def write_table(self, spec: SeriesSpec) -> None:
        """All rows as a table of the database that is attached as `target`."""
        values = []
        for column in spec.columns:
            decimals = None if column.is_text else self._decimals(column.name)
            kind = "VARCHAR" if decimals is None else f"DECIMAL({DIGITS}, {decimals})"
            values.append(f'CAST("{column.name}" AS {kind}) AS "{column.name}"')
        rows = f"SELECT stamp, {', '.join(values)} FROM ({self._one_each()})"
        name = f'target.main."{spec.id}"'
        self._run(f"DROP TABLE IF EXISTS {name}")
        self._run(f"CREATE TABLE {name} AS SELECT make_timestamp(stamp) AS timestamp, * EXCLUDE stamp FROM ({rows}) ORDER BY stamp")
        self._run(f"INSERT OR REPLACE INTO target.main.basis_series SELECT '{spec.id}', count(*) FROM {name}")

    def _decimals(self, name: str) -> int | None:
        """The decimals that a column needs; None where its numbers do not fit in DIGITS digits."""
        after = f'CASE WHEN contains("{name}", \'.\') THEN length("{name}") - position(\'.\' IN "{name}") ELSE 0 END'
        before = f"length(ltrim(split_part(\"{name}\", '.', 1), '-'))"
        decimals = self._number(f"SELECT max({after}) FROM {self._table}") or 0
        whole = self._number(f"SELECT max({before}) FROM {self._table}") or 0
        return None if decimals + whole > DIGITS else decimals


class Staging:
    """Rows of several series, in a DuckDB file in `folder`."""

    def __init__(self, folder: Path) -> None:
        import duckdb

        self._connection = duckdb.connect(str(folder / "staged.duckdb"))
        for setting in (f"memory_limit = '{MEMORY}'", "threads = 1", f"temp_directory = '{str(folder).replace(chr(39), chr(39) * 2)}'"):
            self._connection.execute(f"SET {setting}")
        self._count = 0

    def run(self, statement: str, rows: pa.Table | None = None) -> duckdb.DuckDBPyConnection:
        if rows is not None:
            self._connection.register("rows", rows)
        return self._connection.execute(statement)

    def stream(self, query: str) -> pa.RecordBatchReader:
        return self._connection.sql(query).to_arrow_reader(BATCH_ROWS)

    def series(self, columns: Sequence[str], *, may_repeat: bool = False) -> Staged:
        self._count += 1
        return Staged(self, self._count, columns, may_repeat=may_repeat)

    def attach(self, path: Path, *, generated: bool) -> None:
        """A database to write into; made where it is not there."""
        self.run(f"ATTACH '{str(path).replace(chr(39), chr(39) * 2)}' AS target")
        self.run(
            f"CREATE TABLE IF NOT EXISTS target.main.basis_data AS SELECT {SCHEMA_VERSION} AS schema_version, {generated} AS generated"
        )
        self.run('CREATE TABLE IF NOT EXISTS target.main.basis_series (id VARCHAR PRIMARY KEY, "rows" BIGINT)')

    def detach(self) -> None:
        self.run("CHECKPOINT target")
        self.run("DETACH target")

    def close(self) -> None:
        self._connection.close()


def describe(conflict: Conflict, named: Sequence[str]) -> str:
    """Both rows of a conflict; `named` are the sources."""
    (one, line, values), (other, other_line, other_values) = conflict.one, conflict.other
    more = f"; and {conflict.stamps - 1:,} more such times" if conflict.stamps > 1 else ""
    return f"of {iso(conflict.stamp)}: {named[one]} {line} has {values}; {named[other]} {other_line} has {other_values}{more}"
