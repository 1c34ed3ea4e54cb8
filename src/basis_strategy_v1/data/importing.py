"""Import: what exchanges and libraries write, checked and merged into a data folder or a database."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.clock import to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.text import printable
from basis_strategy_v1.data.import_settling import CLOSE, MARKETS, OPEN, Identity, Settling, Wanted, identity_of, plain_symbol
from basis_strategy_v1.data.import_targets import DatabaseTarget, Target, target_of, working_folder
from basis_strategy_v1.data.layout import INTERVALS_US, SeriesSpec
from basis_strategy_v1.data.row_files import SourceFault
from basis_strategy_v1.data.series_sources import OwnSeries, arrow_of, own_series, whole
from basis_strategy_v1.data.sources import DataFolder, series_files
from basis_strategy_v1.data.staging import Staged, Staging, describe
from basis_strategy_v1.data.vendor_formats import (
    FORMATS,
    FUNDING,
    METATRADER,
    OHLCV,
    UNITS,
    of_columns,
    recognised,
)
from basis_strategy_v1.data.vendor_rows import VendorRows
from basis_strategy_v1.data.vendor_tables import DATA_ENDINGS, open_table

if TYPE_CHECKING:
    from basis_strategy_v1.data.vendor_formats import Shape
    from basis_strategy_v1.data.vendor_tables import Table

AS_SEEN = Wanted()


class Imported(NamedTuple):
    """What became of one series: the rows added and all rows there are now, the formats that were read, what a user should know."""

    id: str
    added: int
    rows: int
    formats: tuple[str, ...]
    files: int
    notes: tuple[str, ...]


class _Pending:
    """A series whose rows are being collected."""

    def __init__(self, identity: Identity | None, spec: SeriesSpec, staged: Staged) -> None:
        self.identity, self.spec, self.staged = identity, spec, staged
        self.formats, self.notes = dict[str, None](), dict[str, None]()
        self.files = 0
        self.names_no_zone = False


def import_data(source: str | Path, dest: str | Path, wanted: Wanted = AS_SEEN, *, now: datetime | None = None) -> list[Imported]:
    """Read a file, or every file of a folder, and merge it into `dest`: a data folder, or a database (`.duckdb`).

    What is there stays as it is, and equal rows are added once. All is written, or nothing: a series is put in its place when all of
    it is on the disk. `now`: rows stamped later are refused.

    Raises:
        ComponentError: DAT-003, naming file, row, value and way out; DAT-006, a file cannot be read, or `dest` cannot be written; CFG-001.
    """
    origin = Path(source)
    _require_known(wanted)
    if not origin.exists():
        raise ComponentError("DAT-006", f"{shown(origin)} does not exist; give a file or a folder of files")
    return _merged(target_of(Path(dest)), shown(Path(dest)), wanted, now, lambda job: job.add(origin))


def import_to_database(directory: str | Path, database: str | Path) -> dict[str, int]:
    """The series of a data folder in a database, whatever its name: rows per series id. Raises: as `import_data`."""
    target, origin = DatabaseTarget(Path(database)), DataFolder(directory)
    found = _merged(target, shown(Path(database)), Wanted(), None, lambda job: job.add(origin.directory))
    return {one.id: one.rows for one in found}


def import_table(table: Table, shape: Shape, identity: tuple[str, str, str, str, str], dest: str | Path, named_as: str) -> list[Imported]:
    """Merge one table into `dest`; `identity` is kind, venue, market, symbol and interval. Raises: as `import_data`."""
    return _merged(
        target_of(Path(dest)), shown(Path(dest)), Wanted(), None, lambda job: job.add_table(table, shape, Identity(*identity), named_as)
    )


def _merged(target: Target, given: str, wanted: Wanted, now: datetime | None, add: Callable[[_Import], None]) -> list[Imported]:
    import duckdb

    try:
        with working_folder(target.folder, given):
            staging = Staging(target.folder)
            try:
                job = _Import(staging, target, wanted, to_instant(now or datetime.now(UTC)))
                add(job)
                return job.finish()
            finally:
                staging.close()
    except OSError as error:
        raise ComponentError("DAT-006", f"{given} cannot be written: {error.strerror or error}", original_exception=error) from error
    except duckdb.Error as error:
        reason = printable(str(error).split("\n", 1)[0])
        raise ComponentError("DAT-006", f"{given} cannot be written: {reason}", original_exception=error) from error


def _require_known(wanted: Wanted) -> None:
    """Raises: ComponentError, CFG-001, an option has a value that is not known."""
    for name, known in (("format", FORMATS), ("kind", (OHLCV, FUNDING)), ("market", MARKETS), ("interval", tuple(INTERVALS_US)),
                        ("unit", UNITS), ("stamped", (OPEN, CLOSE))):  # fmt: skip
        value = getattr(wanted, name)
        if value and value not in known:
            raise ComponentError("CFG-001", f"--{name}: {shown(value)} is not known; there are {', '.join(known)}")
    if wanted.columns and not all(re.fullmatch("[^=,]+=[^=,]+", part) for part in wanted.columns.split(",")):
        raise ComponentError(
            "CFG-001", f"--columns: {shown(wanted.columns)} is not understood; write timestamp=time,open=o,high=h,low=l,close=c,volume=v"
        )


class _Import:
    """One import: collects rows, then finds out what they are, compares, and writes."""

    def __init__(self, staging: Staging, target: Target, wanted: Wanted, now: int) -> None:
        self._staging, self._target, self._wanted, self._now = staging, target, wanted, now
        self._sources = [""]  # the first is the destination itself
        self._pending: dict[object, _Pending] = {}
        self._generated = set[bool]()

    def add(self, origin: Path) -> None:
        """Collect the rows of a file, or of every file of a folder that holds data; what lies in the destination is left alone."""
        if origin.is_dir() and any(series_files(origin)) and self._may_be_ours:
            self._add_ours(origin)
            return
        files = [origin]
        if origin.is_dir():
            here = self._target.root.resolve()
            files = sorted(path for path in origin.rglob("*") if path.name.lower().endswith(DATA_ENDINGS))
            files = [path for path in files if not (here != origin.resolve() and path.resolve().is_relative_to(here))]
        if not files:
            raise ComponentError("DAT-006", f"{shown(origin)} holds no file that ends in {', '.join(DATA_ENDINGS)}")
        for path in files:
            if not (self._may_be_ours and self._add_ours(path)):
                self._add_file(path, path.relative_to(origin.parent).as_posix() if origin.is_dir() else path.as_posix())

    @property
    def _may_be_ours(self) -> bool:
        return self._wanted.format in ("", "basis") and not self._wanted.columns

    def _add_ours(self, path: Path) -> bool:
        """Whether a folder, a database or a file is in our layout."""
        found = list(own_series(path))
        for one in found:
            self._add_own(one)
        return bool(found)

    def _add_own(self, one: OwnSeries) -> None:
        loaded = one.load()
        pending = self._pending_of(one.spec.id, None, whole(one.spec))
        pending.formats["basis"] = None
        pending.files += 1
        self._generated.add(one.generated)
        pending.staged.add(*arrow_of(loaded), self._source(one.name), 2)

    def _add_file(self, path: Path, name: str) -> None:
        wanted = self._wanted
        try:
            with open_table(path) as table:
                is_parquet = path.name.lower().endswith(".parquet")
                if wanted.columns or (wanted.format == "csv" and not is_parquet):
                    shape = of_columns(wanted.columns, table, wanted.unit, is_parquet)
                else:
                    shape = recognised(table, wanted.format, wanted.kind, is_parquet)
                self.add_table(table, shape, identity_of(name, table, shape, wanted), shown(path))
        except SourceFault as fault:
            raise ComponentError("DAT-003", f"{shown(path)} {fault}") from None
        except OSError as error:
            raise ComponentError("DAT-006", f"{shown(path)} cannot be read: {error.strerror}", original_exception=error) from error

    def add_table(self, table: Table, shape: Shape, identity: Identity, name: str) -> None:
        if identity.market == "perp" and shape.perp_volume in table.names:
            shape = shape._replace(take={**shape.take, "volume": shape.perp_volume})
        spec = whole(identity.spec(identity.interval if identity.interval in INTERVALS_US else "1m"))
        pending = self._pending_of(identity, identity, spec)
        source = self._source(name)
        rows = VendorRows(table, shape, spec, self._wanted.unit, plain_symbol(self._wanted.symbol))
        for part in rows.rows():
            pending.staged.add(part.stamps, part.values, source, part.line)
        pending.formats[shape.format] = None
        pending.files += 1
        self._generated.add(False)
        if rows.names_no_zone:
            pending.names_no_zone = True
            pending.notes["stamps without a zone are taken as UTC"] = None
        if shape.unit == METATRADER:
            pending.notes["the clock of MetaTrader files is UTC+3: stamps are 3 hours earlier here"] = None

    def _pending_of(self, key: object, identity: Identity | None, spec: SeriesSpec) -> _Pending:
        if key not in self._pending:
            columns = [column.name for column in spec.columns]
            self._pending[key] = _Pending(identity, spec, self._staging.series(columns, may_repeat=spec.may_repeat))
        return self._pending[key]

    def _source(self, name: str) -> int:
        self._sources.append(name)
        return len(self._sources) - 1

    # -- when all rows are there

    def finish(self) -> list[Imported]:
        generated = self._generated == {True}
        if self._target.generated not in (None, generated) or len(self._generated) > 1:
            raise ComponentError(
                "DAT-006", "generated series (of `basis data sample`) and market data do not go into one place; give another"
            )
        done, to_write = list[Imported](), list[tuple[SeriesSpec, Staged]]()
        for pending in self._pending.values():
            spec = pending.spec if pending.identity is None else self._settled(pending, pending.identity)
            before = self._add_existing(spec, pending.staged)
            if found := pending.staged.conflict():
                hint = " (local time, in which an hour comes twice? give the stamps in UTC)" if pending.names_no_zone else ""
                what = describe(found, [self._target.name_of(spec), *self._sources[1:]])
                raise ComponentError("DAT-003", f"{spec.id}: two different rows {what}{hint}; nothing was written: keep one of them")
            rows = pending.staged.count()
            if rows > before:
                to_write.append((spec, pending.staged))
            done.append(Imported(spec.id, rows - before, rows, tuple(pending.formats), pending.files, tuple(pending.notes)))
        if to_write:
            self._target.write(self._staging, to_write, generated=generated)
        return sorted(done)

    def _settled(self, pending: _Pending, identity: Identity) -> SeriesSpec:
        settling = Settling(self._sources, self._wanted, self._now, pending.names_no_zone)
        spec = settling.spec(pending.staged, identity)
        pending.notes.update(settling.notes)
        return spec

    def _add_existing(self, spec: SeriesSpec, staged: Staged) -> int:
        loaded = self._target.existing(whole(spec))
        if loaded is None:
            return 0
        staged.add(*arrow_of(loaded), 0, 2)
        return len(loaded.stamps)
