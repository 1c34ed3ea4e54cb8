"""Where series come from: what a source has, and the one that is a folder of CSV files. Files only."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.data.csv_file import CsvReading
from basis_strategy_v1.data.layout import FOLDERS, INTERVALS_US, VENUE_OF_FOLDER, spec_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from basis_strategy_v1.data.layout import SeriesSpec
    from basis_strategy_v1.data.series import Loaded

# Its presence in a folder says that the series were generated and are no market data.
GENERATED_FILE = "GENERATED.txt"


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
        self.directory = Path(directory).absolute()  # whatever becomes of the working directory
        self._given = Path(directory)
        given = shown(self._given)
        if not self.directory.is_dir():
            what = (
                "is a file; a database is given with mode db"
                if self.directory.exists()
                else "does not exist; `basis data sample` makes one to try"
            )
            raise ComponentError("DAT-006", f"the data folder {given} {what}")
        self.generated = (self.directory / GENERATED_FILE).is_file()
        self.specs = tuple(spec for path in csv_files(self.directory) if (spec := spec_of(series_id(self.directory, path))))
        if not self.specs:
            there = "".join(f"; {name}: {why}" for name, why in self.unread()[:1])
            raise ComponentError("DAT-006", f"the data folder {given} holds no series; expected files such as "
                                 f"ohlcv/bybit/spot/ETHUSDT_1h.csv in it (docs/data.md has the layout){there}")  # fmt: skip

    def path_of(self, spec: SeriesSpec) -> Path:
        return self.directory / f"{spec.id}.csv"

    def unread(self) -> tuple[tuple[str, str], ...]:
        """(path, why) of each file in the folder that holds data and is not read."""
        return tuple(unread_files(self.directory))

    def load(self, spec: SeriesSpec, until: int | None) -> Loaded:
        return CsvReading(self.path_of(spec), spec, until, self._given / f"{spec.id}.csv").read()


# Endings of files that hold data and are not read, with the way out.
_UNPACK, _CONVERT = "unpack it", "write it as CSV"
UNREAD_ENDINGS = {".gz": _UNPACK, ".zip": _UNPACK, ".bz2": _UNPACK, ".xz": _UNPACK, ".zst": _UNPACK, ".7z": _UNPACK,
                  ".parquet": _CONVERT, ".feather": _CONVERT, ".arrow": _CONVERT, ".xlsx": _CONVERT, ".json": _CONVERT,
                  ".tsv": _CONVERT, ".txt": _CONVERT}  # fmt: skip
_INTERVAL = re.compile(r"_([0-9]+[a-zA-Z]+)$")


def unread_files(directory: Path) -> Iterator[tuple[str, str]]:
    """(path within the folder, why) of each file that holds data and that no reader finds, in the order of the layout's folders."""
    for folder in FOLDERS:
        for path in sorted((directory / folder).rglob("*")):
            name = path.relative_to(directory).as_posix()
            if why := _why_unread(path, name):
                yield name, why


def _why_unread(path: Path, name: str) -> str:
    ending = path.suffix
    if ending == ".csv":
        return "" if spec_of(name.removesuffix(".csv")) else _why_no_series(name.removesuffix(".csv"))
    if ending.lower() == ".csv":
        return f"only names that end in .csv are read: rename it to {path.stem}.csv"
    if (way_out := UNREAD_ENDINGS.get(ending.lower())) and path.is_file():
        stem = path.name.removesuffix(ending)
        return f"only files that end in .csv are read: {way_out}, as {stem if stem.lower().endswith('.csv') else f'{stem}.csv'}"
    return ""


def _why_no_series(name: str) -> str:
    """What keeps the name of a CSV file from being that of a series."""
    why = "its name is not in the layout of docs/data.md, so it is not read"
    folder, _, last = name.rpartition("/")
    interval = _INTERVAL.search(last)
    if name.startswith("ohlcv/") and interval and interval[1] not in INTERVALS_US:
        return f"{why}: bars of {interval[1]} are not known, only {', '.join(INTERVALS_US)}"
    plain = last.replace("-", "") if interval or not name.startswith("ohlcv/") else last
    if plain != last and spec_of(f"{folder}/{plain}"):
        return f"{why}: rename it to {plain}.csv"
    return why


def looks_like(path: str, kind: str, venue: str, name: str) -> bool:
    """Whether a path that is no series' has the folder and the name of one: `ohlcv/Bybit/spot/ETH-USDT_15m.csv` of spot, bybit, ETHUSDT."""
    *folders, last = path.lower().split("/")
    plain = re.sub("[^a-z0-9]", "", last)
    of_venue = {VENUE_OF_FOLDER.get(folder, folder) for folder in folders}
    of_kind = kind in folders if kind in ("spot", "perp") else folders[0] in (kind, "dex" if kind == "pool" else "lending")
    return of_kind and (venue in of_venue or kind == "gas") and plain.startswith(re.sub("[^a-z0-9]", "", name.lower()))


def csv_files(directory: Path) -> Iterator[Path]:
    """Every CSV file in the folders of the layout, sorted, so that what follows does not depend on the file system."""
    for folder in FOLDERS:
        yield from sorted((directory / folder).rglob("*.csv"))


def series_id(directory: Path, path: Path) -> str:
    return path.relative_to(directory).with_suffix("").as_posix()
