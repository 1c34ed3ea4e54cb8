"""Import: every series of a folder into one DuckDB file that a person can query too."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.text import printable
from basis_strategy_v1.data.duckdb_file import SCHEMA_VERSION, DuckDbFile, require_name
from basis_strategy_v1.data.layout import by_key
from basis_strategy_v1.data.sources import DataFolder

if TYPE_CHECKING:
    import duckdb

    from basis_strategy_v1.data.layout import SeriesSpec
    from basis_strategy_v1.data.series import Loaded

# What DuckDB keeps in eight bytes. A number that needs more stays text.
DIGITS = 18


def import_to_database(directory: str | Path, database: str | Path) -> dict[str, int]:
    """Rows per series id written to `database`: one table a series, named by its id, UTC stamps and exact decimals.

    The file is there when all of it is written and read back equal; until then, and after a failure, what was there before stays.

    Raises:
        ComponentError: DAT-003, a file is malformed; DAT-006, the folder or the database cannot be used.
    """
    folder = DataFolder(directory)
    by_key(folder.specs)
    target = Path(database)
    for path in (folder.directory, target):
        require_name(path)
    _require_replaceable(target)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.unfinished")
    try:
        unfinished.unlink(missing_ok=True)  # a link there is not followed
        counts = _write(folder, unfinished, target)
        os.replace(unfinished, target)
    except OSError as error:
        raise ComponentError(
            "DAT-006", f"the database {shown(target)} cannot be written: {error.strerror}", original_exception=error
        ) from error
    finally:
        for leftover in (unfinished, unfinished.with_name(f"{unfinished.name}.wal")):
            with suppress(OSError):  # where the folder itself is none
                leftover.unlink(missing_ok=True)
    return counts


def _require_replaceable(target: Path) -> None:
    """Refuse to write over a file that is no database."""
    if not target.is_file():
        return
    with target.open("rb") as file:
        start = file.read(12)
    if start and start[8:] != b"DUCK":
        raise ComponentError("DAT-006", f"{shown(target)} is there and is no database; give another name, or remove it")


def _write(folder: DataFolder, path: Path, target: Path) -> dict[str, int]:
    counts: dict[str, int] = {}
    with _create(path, target) as connection:
        connection.execute("CREATE TABLE basis_data AS SELECT ?::INTEGER AS schema_version, ?::BOOLEAN AS generated",
                           [SCHEMA_VERSION, folder.generated])  # fmt: skip
        connection.execute('CREATE TABLE basis_series (id VARCHAR PRIMARY KEY, "rows" BIGINT)')
        for spec in folder.specs:
            loaded = _read_all(folder, spec)
            counts[spec.id] = len(loaded.stamps)
            _copy(connection, folder.path_of(spec), spec, loaded)
            connection.execute("INSERT INTO basis_series VALUES (?, ?)", [spec.id, counts[spec.id]])
        connection.execute("CHECKPOINT")
    _require_equal(folder, DuckDbFile(path))
    return counts


def _create(path: Path, target: Path) -> duckdb.DuckDBPyConnection:
    import duckdb

    try:
        return duckdb.connect(str(path))
    except duckdb.Error as error:
        reason = printable(str(error).split("\n", 1)[0])
        raise ComponentError("DAT-006", f"the database {shown(target)} cannot be written: {reason}", original_exception=error) from error


def _read_all(folder: DataFolder, spec: SeriesSpec) -> Loaded:
    """Every column, those too that no reader of prices keeps."""
    whole = spec._replace(columns=tuple(column._replace(kept=True) for column in spec.columns))
    return folder.load(whole, None)


def _copy(connection: duckdb.DuckDBPyConnection, path: Path, spec: SeriesSpec, loaded: Loaded) -> None:
    columns = ["CAST(regexp_replace(timestamp, '(Z|[+]00:00)$', '') AS TIMESTAMP) AS timestamp"]
    for column, numbers in zip(spec.columns, loaded.columns, strict=True):
        decimals = numbers.fits(DIGITS)
        kind = "VARCHAR" if decimals is None else f"DECIMAL({DIGITS}, {decimals})"
        columns.append(f'CAST("{column.name}" AS {kind}) AS "{column.name}"')
    connection.execute(
        f"CREATE TABLE \"{spec.id}\" AS SELECT {', '.join(columns)} FROM read_csv(?, header = true, all_varchar = true, delim = ',')",
        [str(path)],
    )


def _require_equal(folder: DataFolder, written: DuckDbFile) -> None:
    for spec in folder.specs:
        if folder.load(spec, None) != written.load(spec, None):
            raise ComponentError("DAT-006", f"the database does not hold {spec.id} as its file does; keep to the CSV folder")
