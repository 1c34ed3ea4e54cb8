"""Files of rows for the one reader (`data/row_reader.py`): CSV, packed CSV (`.csv.gz`) and Parquet."""

from __future__ import annotations

import zlib
from array import array
from errno import EINVAL
from itertools import chain
from stat import S_ISDIR, S_ISREG
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.data.arrow_columns import stamps_of
from basis_strategy_v1.data.row_reader import BadRow, Batch, RowReader, fault_lines
from basis_strategy_v1.data.rows import CUT, RowFault, parse_stamp, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    import pyarrow as pa

    from basis_strategy_v1.data.layout import SeriesSpec
    from basis_strategy_v1.data.series import Loaded

PIECE_BYTES = 1 << 20
MOST_LINE_BYTES = 1 << 24
BATCH_ROWS = 1 << 16
PLAIN = b"0123456789.,-:TZ\n"
BOM = b"\xef\xbb\xbf"
ENDINGS = (".csv", ".csv.gz", ".parquet")


class SourceFault(ValueError):
    """A file that cannot be read as rows at all; the text says why."""


def require_regular(path: Path) -> None:
    """Refuse a pipe or a device: reading it may never end. A folder is refused when it is opened.

    Raises:
        OSError: it is one of these, or there is nothing of that name.
    """
    mode = path.stat().st_mode
    if not S_ISREG(mode) and not S_ISDIR(mode):
        raise OSError(EINVAL, "it is no regular file")


def load_file(path: Path, spec: SeriesSpec, until: int | None, given: Path | None = None) -> Loaded:
    """The stamps and the kept columns of a file. Messages name it as it was `given`.

    Raises:
        ComponentError: DAT-003, a line for each kind of fault with the first place; DAT-006, the file cannot be opened.
    """
    named = shown(given or path)
    reader = RowReader(spec, until, place=place_in(path))
    try:
        feed_file(path, reader)
    except OSError as error:
        raise ComponentError("DAT-006", f"{named} cannot be read: {error.strerror}", original_exception=error) from error
    if reader.faults:
        raise ComponentError("DAT-003", "\n".join(f"{named}{line}" for line in fault_lines(reader.faults, reader.place)))
    return reader.loaded()


def place_in(path: Path) -> str:
    """What a row's number is called in a file of this name."""
    return "row" if path.name.endswith(".parquet") else "line"


def feed_file(path: Path, reader: RowReader) -> None:
    """Give the rows of a file to the reader. What is wrong with the file as a whole becomes one of its faults.

    Raises:
        OSError: the file cannot be opened.
    """
    require_regular(path)
    try:
        if path.name.endswith(".parquet"):
            _feed_parquet(path, reader)
        else:
            with open_text(path) as file:
                _feed_csv(file, reader)
    except SourceFault as fault:
        reader.faults.append(BadRow(0, "malformed", str(fault)))
    if not reader.stamps and not reader.has_ended and not reader.faults:
        reader.faults.append(BadRow(1, "empty", "has a header and no row; delete the file or fill it"))


# -- CSV


class _Lines(NamedTuple):
    """Whole lines of a file: the number of the first, and whether the numbers count up (1) or down (-1)."""

    text: bytes
    line: int
    step: int = 1


def open_text(path: Path) -> IO[bytes]:
    """A CSV file, unpacked where its name ends in `.gz`."""
    if path.suffix != ".gz":
        return path.open("rb")
    import gzip

    return cast("IO[bytes]", gzip.open(path, "rb"))


def read_bytes(file: IO[bytes], size: int) -> bytes:
    """At most so many bytes, and the rest of the line in which they end.

    Raises:
        SourceFault: the file was packed and is damaged, or has a line that never ends.
    """
    import gzip

    try:
        found = file.read(size)
        if found and not found.endswith(b"\n"):
            rest = file.readline(MOST_LINE_BYTES)
            if len(rest) == MOST_LINE_BYTES:
                raise SourceFault(f"has a line of more than {MOST_LINE_BYTES:,} bytes: it is no CSV")
            found += rest
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise SourceFault("cannot be unpacked: it is damaged, or was cut; fetch it again") from error
    return found


def _feed_csv(file: IO[bytes], reader: RowReader) -> None:
    if not _has_header(file, reader):
        return
    pieces = _oldest_first(file, reader)
    for piece in pieces:
        seen = _take_lines(piece, reader)
        if reader.has_ended:
            if reader.is_suspicious():
                _check_order_of_rest(chain([_after(piece, seen + 1)], pieces), reader)
            return


def _has_header(file: IO[bytes], reader: RowReader) -> bool:
    line = read_bytes(file, 1)
    if not line:
        reader.faults.append(BadRow(0, "empty", f"is empty; expected the header {reader.spec.header}"))
        return False
    if line.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in line:
        raise SourceFault("is no text in UTF-8 (UTF-16, or a binary file); write it as UTF-8")
    text = line.removeprefix(BOM).decode("utf-8", "backslashreplace").rstrip("\r\n")
    if text != reader.spec.header:
        reader.faults.append(BadRow(1, "malformed", f"the header is {quoted(text)}; expected {reader.spec.header}"))
        return False
    return True


def _oldest_first(file: IO[bytes], reader: RowReader) -> Iterator[_Lines]:
    """Pieces of the file after its header, the last one first where the newest row comes first, as exchanges answer."""
    line = 2
    first = read_bytes(file, PIECE_BYTES)
    if _goes_down(first):
        yield from _from_the_end(first + file.read(), reader)
        return
    while first:
        yield _Lines(first, line)
        line += first.count(b"\n")
        first = read_bytes(file, PIECE_BYTES)


def _goes_down(text: bytes) -> bool:
    """Whether the second row is older than the first."""
    one, _, rest = text.partition(b"\n")
    try:
        return parse_stamp(_stamp_in(rest.partition(b"\n")[0])) < parse_stamp(_stamp_in(one))
    except RowFault:
        return False


def _stamp_in(line: bytes) -> str:
    return line.split(b",", 1)[0].decode("utf-8", "backslashreplace").rstrip()


def _from_the_end(text: bytes, reader: RowReader) -> Iterator[_Lines]:
    lines = text.split(b"\n")
    last = lines.pop()
    if not _goes_down(b"\n".join([lines[0], *lines[-1:]])):
        yield _Lines(text, 2)  # it goes up again further down: disorder
        return
    if last:
        reader.faults.append(BadRow(len(lines) + 2, "malformed", f"{quoted(last.decode('utf-8', 'backslashreplace'))} {CUT}"))
    del text
    for stop in range(len(lines), 0, -BATCH_ROWS):
        part = lines[max(stop - BATCH_ROWS, 0) : stop]
        yield _Lines(b"\n".join([*reversed(part), b""]), stop + 1, -1)


def _take_lines(piece: _Lines, reader: RowReader) -> int:
    text = piece.text.replace(b"\r\n", b"\n") if b"\r" in piece.text else piece.text
    batch = _batch(text, piece, len(reader.spec.columns) + 1)
    if batch is not None:
        return reader.take(batch)
    return reader.take_rows((line, text.split(","), is_whole) for line, text, is_whole in _split(text, piece))


def _batch(text: bytes, piece: _Lines, width: int) -> Batch | None:
    """The piece as columns; None where it has lines of another width, or is cut."""
    if not text.endswith(b"\n"):
        return None
    import pyarrow as pa
    from pyarrow import csv

    names = [str(place) for place in range(width)]
    try:
        table = csv.read_csv(
            pa.BufferReader(text),
            csv.ReadOptions(use_threads=False, column_names=names, block_size=len(text) + 1),
            csv.ParseOptions(quote_char=False, double_quote=False, ignore_empty_lines=False),
            csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
        )
    except pa.ArrowInvalid:
        return None
    columns = [column.combine_chunks() for column in table.columns]
    return Batch(columns, piece.line, piece.step, is_plain=not text.translate(None, PLAIN))


def _split(text: bytes, piece: _Lines) -> Iterator[tuple[int, str, bool]]:
    """(line, text, whether it is whole) of each line."""
    lines = text.decode("utf-8", "backslashreplace").split("\n")
    rest = lines.pop()
    for place, line in enumerate(lines):
        yield piece.line + place * piece.step, line.rstrip("\r"), True
    if rest:
        yield piece.line + len(lines) * piece.step, rest, False


def _after(piece: _Lines, rows: int) -> _Lines:
    """The piece without its first rows."""
    return _Lines(b"\n".join(piece.text.split(b"\n")[rows:]), piece.line + rows * piece.step, piece.step)


def _check_order_of_rest(pieces: Iterable[_Lines], reader: RowReader) -> None:
    """Of the rest of the file only the order is looked at, and nothing else of what may be wrong there."""
    last = reader.first_after or 0
    for piece in pieces:
        if batch := _batch(piece.text, piece, len(reader.spec.columns) + 1) if piece.text else None:
            rises, end = _rises(batch.columns[0], last)
            if rises:
                last = end
                continue
        last = reader.check_order(last, ((line, text.split(",", 1)[0].rstrip()) for line, text, _ in _split(piece.text, piece)))


def _rises(texts: pa.Array, last: int) -> tuple[bool, int]:
    import pyarrow.compute as pc

    try:
        stamps = stamps_of(texts)
    except ValueError:
        return False, last
    steps = pc.min(pc.subtract(stamps[1:], stamps[:-1])).as_py()
    return stamps[0].as_py() > last and (steps is None or steps > 0), stamps[-1].as_py()


# -- Parquet and other tables of Arrow


def _feed_parquet(path: Path, reader: RowReader) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    if path.is_dir():
        raise IsADirectoryError(EINVAL, "Is a directory")
    try:
        with parquet.ParquetFile(path) as file:
            require_columns(file.schema_arrow, reader.spec)
            names = ["timestamp", *(column.name for column in reader.spec.columns)]
            _feed_batches(file.iter_batches(BATCH_ROWS, columns=names), reader)
    except pa.ArrowException as error:
        raise SourceFault(f"cannot be read as Parquet ({str(error).splitlines()[0][:120]}); write it again") from error


def require_columns(schema: pa.Schema, spec: SeriesSpec) -> None:
    """That a table has the columns of a series, each of them once and of single values.

    Raises:
        SourceFault: it has not.
    """
    import pyarrow as pa

    for name in ("timestamp", *(column.name for column in spec.columns)):
        found = schema.get_all_field_indices(name)
        if len(found) != 1:
            there = f"has {len(found)} columns {name}" if found else f"has no column {name}"
            raise SourceFault(f"{there}; expected {spec.header}, and it has {quoted(', '.join(schema.names))}")
        kind = schema.field(found[0]).type
        if pa.types.is_nested(kind):
            raise SourceFault(f"column {name} is nested ({kind}); expected one value a row")
        if name == "timestamp" and not (pa.types.is_timestamp(kind) or pa.types.is_date(kind) or is_text(kind)):
            raise SourceFault(f"column timestamp is {kind}; expected a timestamp in UTC, or ISO texts")


def _feed_batches(batches: Iterable[pa.RecordBatch], reader: RowReader) -> None:
    names = ["timestamp", *(column.name for column in reader.spec.columns)]
    for batch, row, step in _rows_oldest_first(batches):
        columns = [as_texts(batch.column(name), name) for name in names]
        if reader.take(Batch(columns, row, step)) < batch.num_rows:
            return


def _rows_oldest_first(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[Any, int, int]]:
    """(rows, the number of the first of them, whether the numbers count up or down)."""
    import pyarrow as pa

    found = iter(batches)
    first = next(found, None)
    if first is None:
        return
    stamps = as_texts(first.column("timestamp"), "timestamp")
    if len(stamps) > 1 and None not in (one := stamps[:2].to_pylist()) and one[1] < one[0]:
        table = pa.Table.from_batches([first, *found])
        places = array("q", range(table.num_rows - 1, -1, -1))
        backwards = table.take(pa.Array.from_buffers(pa.int64(), len(places), [None, pa.py_buffer(places)]))
        row, step, found, first = table.num_rows, -1, iter(backwards.combine_chunks().to_batches(BATCH_ROWS)), None
    else:
        row, step = 1, 1
    for batch in found if first is None else chain([first], found):
        yield batch, row, step
        row += step * batch.num_rows


def is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def as_texts(values: pa.Array, name: str) -> pa.Array:
    """A column as the reader takes it: times as microseconds since 1970 (without a zone they are UTC), everything else as text.

    Raises:
        SourceFault: it is neither.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(values.type):
        values = pc.cast(values, values.type.value_type)
    kind = values.type
    try:
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            return pc.cast(pc.cast(values, pa.timestamp("us", getattr(kind, "tz", None))), pa.int64())
        if is_text(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind) or pa.types.is_null(kind):
            return pc.cast(values, pa.string())
    except pa.ArrowInvalid as error:
        raise SourceFault(f"column {name} of {kind} cannot be read ({str(error).splitlines()[0][:120]})") from error
    raise SourceFault(f"column {name} is {kind}; expected numbers or texts")
