"""The series of a data folder, a database or a file of the layout, as rows that can be merged."""

from __future__ import annotations

from array import array
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.data.duckdb_file import DuckDbFile
from basis_strategy_v1.data.layout import FOLDERS, spec_of
from basis_strategy_v1.data.row_files import load_file
from basis_strategy_v1.data.series import Numbers
from basis_strategy_v1.data.sources import DataFolder, ending_of, is_database, series_files
from basis_strategy_v1.data.vendor_rows import canonical

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import pyarrow as pa

    from basis_strategy_v1.data.layout import SeriesSpec
    from basis_strategy_v1.data.series import Loaded


class OwnSeries(NamedTuple):
    """A series that is there already in our layout: `load` reads it whole."""

    spec: SeriesSpec
    name: str
    load: Callable[[], Loaded]
    generated: bool


def own_series(source: Path) -> Iterator[OwnSeries]:
    """The series of a data folder, of a database, or of a file that lies in the layout; none where it is something else.

    Raises:
        ComponentError: DAT-003, DAT-006, as when they are read.
    """
    if source.is_dir() and any(series_files(source)):
        folder = DataFolder(source)
        for spec in folder.specs:
            yield OwnSeries(spec, folder.path_of(spec).name, partial(folder.load, whole(spec), None), folder.generated)
    elif is_database(source):
        database = DuckDbFile(source)
        for spec in database.specs:
            yield OwnSeries(spec, source.name, partial(database.load, whole(spec), None), database.generated)
    elif ending := ending_of(source):
        parts = source.absolute().as_posix().removesuffix(ending).split("/")
        first = max((place for place, part in enumerate(parts) if part in FOLDERS), default=None)
        found = None if first is None else spec_of("/".join(parts[first:]))
        if found is not None and _has_our_header(source, found):
            yield OwnSeries(found, source.name, partial(load_file, source, whole(found), None, source), False)


def _has_our_header(path: Path, spec: SeriesSpec) -> bool:
    if not path.name.endswith(".csv"):
        return False
    with path.open("rb") as file:
        return file.readline(10_000).lstrip(b"\xef\xbb\xbf").rstrip() == spec.header.encode()


def whole(spec: SeriesSpec) -> SeriesSpec:
    """The series with every column kept, those too that no reader of prices keeps."""
    return spec._replace(columns=tuple(column._replace(kept=True) for column in spec.columns))


def arrow_of(loaded: Loaded) -> tuple[pa.Array, list[pa.Array]]:
    """The stamps and the columns of a series, numbers as canonical texts."""
    import pyarrow as pa

    rows = len(loaded.stamps)
    stamps = pa.Array.from_buffers(pa.int64(), rows, [None, pa.py_buffer(loaded.stamps)])
    return stamps, [_texts(column, rows) for column in loaded.columns]


def _texts(column: Any, rows: int) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not isinstance(column, Numbers):
        return pa.array([column.text(row) for row in range(rows)], pa.string())
    if column.scale is None:
        return canonical(pa.array([str(column.decimal(row)) for row in range(rows)], pa.string()))
    words = array("q", bytes(16 * rows))
    words[0::2] = column.values
    words[1::2] = array("q", [value >> 63 for value in column.values])  # the upper half of each: its sign
    numbers = pa.Array.from_buffers(pa.decimal128(38, column.scale), rows, [None, pa.py_buffer(words)])
    return canonical(pc.cast(numbers, pa.string()))
