"""Import: what exchanges and libraries write, checked and merged into a data folder or a database."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from basis_strategy_v1.core.amounts import counted, shown
from basis_strategy_v1.core.clock import HOUR_US, SECOND_US, iso, to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.text import printable
from basis_strategy_v1.data.import_targets import DatabaseTarget, Target, target_of, working_folder
from basis_strategy_v1.data.layout import INTERVALS_US, SeriesSpec, interval_name, render_duration, spec_of
from basis_strategy_v1.data.row_files import SourceFault
from basis_strategy_v1.data.series_sources import OwnSeries, arrow_of, own_series, whole
from basis_strategy_v1.data.sources import DataFolder, series_files
from basis_strategy_v1.data.staging import Staged, StagedRow, Staging, describe
from basis_strategy_v1.data.vendor_formats import (
    FORMATS,
    FUNDING,
    METATRADER,
    OHLCV,
    UNITS,
    Named,
    named,
    of_columns,
    of_symbol,
    recognised,
)
from basis_strategy_v1.data.vendor_rows import VendorRows
from basis_strategy_v1.data.vendor_tables import DATA_ENDINGS, open_table

if TYPE_CHECKING:
    from basis_strategy_v1.data.vendor_formats import Shape
    from basis_strategy_v1.data.vendor_tables import Table

CLOSE, OPEN = "close", "open"
MARKETS = ("spot", "perp", "mark", "index")
_SPRING = "dayofweek(make_timestamp(stamp)) = 0 AND month(make_timestamp(stamp)) IN (3, 4) AND hour(make_timestamp(stamp)) BETWEEN 1 AND 4"


class Wanted(NamedTuple):
    """What the command says of its source; what is empty is seen from the files."""

    format: str = ""
    kind: str = ""
    venue: str = ""
    market: str = ""
    symbol: str = ""
    interval: str = ""
    columns: str = ""
    unit: str = ""
    stamped: str = OPEN


AS_SEEN = Wanted()


class Imported(NamedTuple):
    """What became of one series: the rows added and all rows there are now, the formats that were read, what a user should know."""

    id: str
    added: int
    rows: int
    formats: tuple[str, ...]
    files: int
    notes: tuple[str, ...]


class Identity(NamedTuple):
    """Which series a table is; `interval` is empty where its name does not say it."""

    kind: str
    venue: str
    market: str
    symbol: str
    interval: str

    def spec(self, interval: str) -> SeriesSpec:
        """Raises: SourceFault, the layout has no such series."""
        place = f"{self.venue}/{self.market}/{self.symbol}_{interval}" if self.kind == OHLCV else f"{self.venue}/{self.symbol}"
        place = self.venue if self.kind == "gas" else place
        found = spec_of(f"{self.kind}/{place}")
        if found is None:
            raise SourceFault(
                f"would be {self.kind}/{place}, which is no series of the layout (docs/data.md); give --venue, --market, --symbol"
            )
        return found


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
                self.add_table(table, shape, _identity(name, table, shape, wanted), shown(path))
        except SourceFault as fault:
            raise ComponentError("DAT-003", f"{shown(path)} {fault}") from None
        except OSError as error:
            raise ComponentError("DAT-006", f"{shown(path)} cannot be read: {error.strerror}", original_exception=error) from error

    def add_table(self, table: Table, shape: Shape, identity: Identity, name: str) -> None:
        spec = whole(identity.spec(identity.interval if identity.interval in INTERVALS_US else "1m"))
        pending = self._pending_of(identity, identity, spec)
        source = self._source(name)
        rows = VendorRows(table, shape, spec, self._wanted.unit, _plain(self._wanted.symbol))
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
            self._pending[key] = _Pending(identity, spec, self._staging.series(columns))
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

    def _add_existing(self, spec: SeriesSpec, staged: Staged) -> int:
        loaded = self._target.existing(whole(spec))
        if loaded is None:
            return 0
        staged.add(*arrow_of(loaded), 0, 2)
        return len(loaded.stamps)

    def _settled(self, pending: _Pending, identity: Identity) -> SeriesSpec:
        """Which series it is, now that its rows are there; bars are stamped at their open afterwards, and have its interval.

        Raises:
            ComponentError: DAT-003, its rows do not keep an interval, are stamped at their close, or later than now.
        """
        staged = pending.staged
        try:
            self._require_times(pending)
            if identity.kind != OHLCV:
                return identity.spec("")
            source_us = self._own_interval(staged, identity)
            if self._wanted.stamped == CLOSE:
                staged.to_opens(source_us)
            elif staged.first(f"stamp % {source_us} < {source_us - SECOND_US}") is None:
                raise SourceFault(f"{self._place(staged.first('true'))}: all bars are stamped just before they close; give --stamped close")
            wanted_us = INTERVALS_US.get(self._wanted.interval, source_us)
            if wanted_us != source_us:
                left_out = staged.resample(wanted_us, source_us)
                pending.notes[f"bars of {interval_name(wanted_us)} made of bars of {interval_name(source_us)}"] = None
                if left_out:
                    pending.notes[f"{counted(left_out, 'bar')} left out, because finer bars are missing in them"] = None
            return identity.spec(interval_name(wanted_us))
        except SourceFault as fault:
            raise ComponentError("DAT-003", str(fault)) from None

    def _require_times(self, pending: _Pending) -> None:
        if later := pending.staged.first(f"stamp > {self._now}"):
            raise SourceFault(
                f"{self._place(later)}: {iso(later.stamp)} is after now, {iso(self._now)}; correct the unit (--unit), or leave it out"
            )
        usual = pending.staged.usual_step() or 0
        if pending.names_no_zone and 0 < usual <= HOUR_US and (gap := pending.staged.first(f"step = {usual + HOUR_US} AND {_SPRING}")):
            what = f"an hour is missing before {iso(gap.stamp)}, a night in which clocks are put forward, and the stamps name no zone"
            raise SourceFault(f"{self._place(gap)}: {what}; write them in UTC, ending in Z")

    def _own_interval(self, staged: Staged, identity: Identity) -> int:
        """The interval of the bars in the files, in microseconds."""
        least, usual = staged.least_step(), staged.usual_step()
        wanted_us = INTERVALS_US.get(self._wanted.interval)
        if identity.interval and identity.interval not in INTERVALS_US and wanted_us is None:
            raise SourceFault(f"{self._sources[-1]}: bars of {identity.interval} are not known, only {', '.join(INTERVALS_US)}; "
                              "give --interval to have coarser ones made of them")  # fmt: skip
        named_us = INTERVALS_US.get(identity.interval) or (usual if wanted_us is None or (usual and wanted_us % usual == 0) else wanted_us)
        named_us = named_us or wanted_us
        if named_us is None or (not identity.interval and wanted_us is None and named_us not in INTERVALS_US.values()):
            apart = f"its rows are {render_duration(usual)} apart" if usual else "it has one row"
            raise SourceFault(
                f"{self._sources[-1]} does not say its interval, and {apart}; give --interval, one of {', '.join(INTERVALS_US)}"
            )
        if least is not None and least < named_us:
            near = staged.first(f"step < {named_us}")
            assert near is not None
            what = f"{iso(near.stamp)} is {render_duration(near.step)} after the row before it, in bars of {interval_name(named_us)}"
            raise SourceFault(f"{self._place(near)}: {what}; give the interval by --interval, or leave the row out")
        if usual is not None and usual > named_us:
            what = f"rows are {render_duration(usual)} apart, in bars of {interval_name(named_us)}"
            raise SourceFault(f"{self._place(staged.first('true'))}: {what}; give --interval {interval_name(usual)}")
        if wanted_us is not None and wanted_us % named_us:
            raise SourceFault(f"--interval {self._wanted.interval}: no such bars can be made of bars of {interval_name(named_us)}")
        return named_us

    def _place(self, place: StagedRow | None) -> str:
        assert place is not None
        return f"{self._sources[place.source]} {place.line}"


def _plain(symbol: str) -> str:
    return re.sub("[^A-Za-z0-9]", "", symbol)


def _identity(name: str, table: Table, shape: Shape, wanted: Wanted) -> Identity:
    """Which series a table is, by what was given, its columns and its file's name.

    Raises:
        SourceFault: one of them is not said; it is coin-margined or dated.
    """
    by_name, by_column = named(name, shape), Named()
    row = dict(zip(table.names, table.first, strict=True))
    venue = wanted.venue or shape.venue
    if shape.symbol in row and not wanted.symbol:
        by_column = of_symbol(row[shape.symbol], shape.venue)
    category = {"linear": "perp", "spot": "spot"}.get(row.get("category", ""), "")
    if row.get("category") == "inverse" or re.search("USD_PERP|USD_[0-9]{6}|/cm/", name):
        raise SourceFault("is of a coin-margined or dated future, which are not supported; take the perp settled in USDT or USDC")
    found = Identity(
        shape.kind,
        venue,
        "perp" if shape.kind == FUNDING else wanted.market or shape.market or category or by_column.market or by_name.market,
        _plain(wanted.symbol) or by_column.symbol or by_name.symbol,
        row.get(shape.interval, "") or by_name.interval,
    )
    for what, like in (("venue", "binance"), ("market", "spot or perp"), ("symbol", "ETHUSDT")):
        if not getattr(found, what):
            raise SourceFault(f"({shape.format}, {shape.kind}) does not say its {what}; give --{what}, such as {like}")
    return found
