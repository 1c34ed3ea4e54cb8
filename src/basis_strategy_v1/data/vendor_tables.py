"""Files as exchanges and libraries write them, as tables of text: CSV, JSON (packed or in a zip) and Parquet; for `data/importing.py`."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.data.row_files import BOM, SourceFault, as_texts, open_text, read_bytes, require_regular
from basis_strategy_v1.data.rows import CUT, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

DATA_ENDINGS = (".csv", ".csv.gz", ".json", ".json.gz", ".zip", ".parquet")
PIECE_BYTES = 1 << 20
BATCH_ROWS = 1 << 16
MOST_BYTES = 4 << 30
MOST_JSON_BYTES = 256 << 20
MOST_COLUMNS = 200


class TextRows(NamedTuple):
    """Rows of a table: its columns, texts or (of Parquet) microseconds since 1970, and the line or row number of the first."""

    columns: list[pa.Array]
    line: int


class Table(NamedTuple):
    """A vendor's table: how its columns are named (`header` of a CSV, keys of JSON objects, Parquet), or how many there are."""

    names: tuple[str, ...]
    has_names: bool
    first: tuple[str, ...]  # the texts of the first row
    rows: Iterator[TextRows]
    place: str  # what a row's number is called


@contextmanager
def open_table(path: Path) -> Iterator[Table]:
    """The table in a file.

    Raises:
        SourceFault: there is none in it; while its rows are read, too.
        OSError: the file cannot be read.
    """
    require_regular(path)
    _require_size(path.stat().st_size, MOST_BYTES)
    name = path.name.lower()
    if name.endswith(".parquet"):
        yield _of_parquet(path)
    elif name.endswith(".zip"):
        with _unzipped(path) as (inner, file):
            yield _of_json(file) if inner.lower().endswith(".json") else _of_csv(file, is_checked=True)
    else:
        with open_text(path) as file:
            packed = name.endswith(".gz")
            yield _of_json(file) if name.removesuffix(".gz").endswith(".json") else _of_csv(file, is_checked=packed)


def _require_size(size: int, most: int) -> None:
    if size > most:
        raise SourceFault(f"has {size / 1e9:.1f} GB; at most {most / 1e9:.1f} GB are read at once: split it")


@contextmanager
def _unzipped(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """The name and the content of the only file in a zip."""
    try:
        with zipfile.ZipFile(path) as archive:
            found = archive.infolist()
            if len(found) != 1:
                raise SourceFault(f"holds {len(found)} files ({quoted(', '.join(one.filename for one in found))}); expected one: unpack it")
            [only] = found
            if "/" in only.filename or "\\" in only.filename or only.is_dir():
                raise SourceFault(f"holds {quoted(only.filename)}, a path; expected a plain name: unpack it and look what it is")
            if only.filename.lower().endswith((".zip", ".gz")):
                raise SourceFault(f"holds {quoted(only.filename)}, packed again: unpack it once")
            _require_size(only.file_size, MOST_BYTES)
            with archive.open(only) as file:
                yield only.filename, file
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, RuntimeError) as error:
        raise SourceFault(f"cannot be unpacked ({str(error)[:80]}): it is damaged, or was cut; fetch it again") from error


# -- CSV


def _of_csv(file: IO[bytes], is_checked: bool) -> Table:
    """`is_checked`: the file was packed, so that a cut would show."""
    piece = read_bytes(file, PIECE_BYTES).removeprefix(BOM)
    if piece.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in piece:
        raise SourceFault("is no text in UTF-8 (UTF-16, or a binary file); write it as UTF-8")
    first_line = piece.partition(b"\n")[0].rstrip(b"\r")
    if first_line.lstrip().startswith((b"<", b"{")):
        raise SourceFault(f"is no table: it begins with {quoted(first_line.decode('utf-8', 'backslashreplace'))}")
    if not first_line:
        raise SourceFault("is empty")
    fields = _fields(first_line)
    if len(fields) > MOST_COLUMNS:
        raise SourceFault(f"has {len(fields):,} columns; at most {MOST_COLUMNS} are read")
    has_names = not fields[0][:1].isdigit()
    names = tuple(fields) if has_names else tuple(str(place) for place in range(len(fields)))
    first = fields
    if has_names:
        piece = piece.partition(b"\n")[2] or read_bytes(file, PIECE_BYTES)
        if not piece:
            raise SourceFault("has a header and no row")
        first = _fields(piece.partition(b"\n")[0].rstrip(b"\r"))
    return Table(names, has_names, tuple(first), _csv_rows(file, piece, len(names), 2 if has_names else 1, is_checked), "line")


def _fields(line: bytes) -> list[str]:
    text = line.decode("utf-8", "backslashreplace")
    return [field.strip().strip('"') for field in text.split(",")]


def _csv_rows(file: IO[bytes], piece: bytes, width: int, line: int, is_checked: bool) -> Iterator[TextRows]:
    import pyarrow as pa
    from pyarrow import csv

    names = [str(place) for place in range(width)]
    while piece:
        following = read_bytes(file, PIECE_BYTES)
        if not following:
            if not piece.endswith(b"\n") and not is_checked:
                last = line + piece.count(b"\n")
                raise SourceFault(f"line {last} {CUT}")
            piece = piece.rstrip(b"\r\n") + b"\n"
        try:
            table = csv.read_csv(
                pa.BufferReader(piece),
                csv.ReadOptions(use_threads=False, column_names=names, block_size=len(piece) + 1),
                csv.ParseOptions(ignore_empty_lines=False),
                csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
            )
        except pa.ArrowInvalid as error:
            raise _unusual_line(piece, width, line, error) from error
        yield TextRows([column.combine_chunks() for column in table.columns], line)
        line += piece.count(b"\n")
        piece = following


def _unusual_line(piece: bytes, width: int, first: int, error: Exception) -> SourceFault:
    for number, line in enumerate(piece.split(b"\n"), first):
        try:
            text = line.rstrip(b"\r").decode()
        except UnicodeDecodeError:
            return SourceFault(f"line {number} is no text in UTF-8; write the file as UTF-8")
        if (found := text.count(",") + 1) != width:
            return SourceFault(f"line {number}: {found} columns in {quoted(text)}; expected {width}, as in the first line")
    return SourceFault(f"cannot be read as CSV ({str(error).splitlines()[0][:120]})")


# -- JSON: lists of rows or of objects, alone or inside an exchange's answer


def _of_json(file: IO[bytes]) -> Table:
    import gzip

    try:
        content = file.read(MOST_JSON_BYTES + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SourceFault("cannot be unpacked: it is damaged, or was cut; fetch it again") from error
    _require_size(len(content), MOST_JSON_BYTES)
    try:
        # Numbers stay as they are written.
        answer = json.loads(content.removeprefix(BOM), parse_float=str, parse_int=str)
    except ValueError as error:
        start = content[:40].decode("utf-8", "backslashreplace")
        raise SourceFault(f"is no JSON ({str(error)[:80]}): it begins with {quoted(start)}") from error
    rows, extra = _rows_in(answer)
    if not rows:
        raise SourceFault("has no row")
    if isinstance(rows[0], dict):
        names = tuple(rows[0])
        records = [[_text(row.get(name)) if isinstance(row, dict) else "" for name in names] + list(extra.values()) for row in rows]
        names += tuple(extra)
        return Table(names, True, tuple(records[0]), _json_rows(records, len(names)), "row")
    width = len(rows[0])
    for number, row in enumerate(rows, 1):
        if not isinstance(row, list) or len(row) != width:
            raise SourceFault(f"row {number}: {quoted(json.dumps(row))}; expected {width} values, as in the first row")
    records = [[*map(_text, row), *extra.values()] for row in rows]
    names = (*(str(place) for place in range(width)), *extra)
    return Table(names, False, tuple(records[0]), _json_rows(records, len(names)), "row")


def _rows_in(answer: Any) -> tuple[list[Any], dict[str, str]]:
    """The list of rows in an answer, and what stands next to it and holds for each of them."""
    extra = dict[str, str]()
    for key in ("result", "data", "list"):
        if isinstance(answer, dict) and key in answer:
            if key == "list":
                extra = {name: str(answer[name]) for name in ("symbol", "category") if answer.get(name)}
            answer = answer[key]
    if not isinstance(answer, list) or (answer and not isinstance(answer[0], dict | list)):
        raise SourceFault(f"holds no list of rows: {quoted(json.dumps(answer))}")
    if answer and isinstance(answer[0], dict):
        extra = {name: text for name, text in extra.items() if name not in answer[0]}
    return answer, extra


def _text(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def _json_rows(records: Sequence[Sequence[str]], width: int) -> Iterator[TextRows]:
    import pyarrow as pa

    for begin in range(0, len(records), BATCH_ROWS):
        part = records[begin : begin + BATCH_ROWS]
        yield TextRows([pa.array([row[place] for row in part], pa.string()) for place in range(width)], begin + 1)


# -- Parquet, and tables of Arrow


def _of_parquet(path: Path) -> Table:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(io.BytesIO(path.read_bytes()) if path.stat().st_size < PIECE_BYTES else path)
        return of_arrow(file.schema_arrow, file.iter_batches(BATCH_ROWS))
    except pa.ArrowException as error:
        raise SourceFault(f"cannot be read as Parquet ({str(error).splitlines()[0][:120]}); write it again") from error


def of_arrow(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Table:
    """A table of Arrow. Columns that are nested, or neither times nor numbers nor texts, are left out."""
    import pyarrow as pa

    if len(schema) > MOST_COLUMNS:
        raise SourceFault(f"has {len(schema):,} columns; at most {MOST_COLUMNS} are read")
    if nested := [field.name for field in schema if pa.types.is_nested(field.type)]:
        raise SourceFault(f"column {nested[0]} is nested ({schema.field(nested[0]).type}); expected one value a row")
    found = iter(batches)
    first = next((batch for batch in found if batch.num_rows), None)
    if first is None:
        raise SourceFault("has no row")
    names = tuple(schema.names)
    texts = [as_texts(first.column(place), name) for place, name in enumerate(names)]

    def rows() -> Iterator[TextRows]:
        yield TextRows(texts, 1)
        row = 1 + first.num_rows
        for batch in found:
            yield TextRows([as_texts(batch.column(place), name) for place, name in enumerate(names)], row)
            row += batch.num_rows

    return Table(names, True, tuple(str(column[0].as_py()) for column in texts), rows(), "row")
