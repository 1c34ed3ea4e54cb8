"""Where series come from: what a source has, and the one that is a folder. Files only."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.data.layout import BARS, FOLDERS, INTERVALS_US, VENUE_OF_FOLDER, spec_of
from basis_strategy_v1.data.row_files import ENDINGS, load_file

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


class DataFolder:
    """The series of a folder. It is listed at construction; a file is read when its series is asked for.

    Raises:
        ComponentError: DAT-006, there is no such folder or no series in it.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory).absolute()  # whatever becomes of the working directory
        self._given = Path(directory)
        given = shown(self._given)
        require_folder(self._given)
        self.generated = (self.directory / GENERATED_FILE).is_file()
        self._files = dict[str, str]()  # series id -> its file's name within the folder
        for path in series_files(self.directory):
            identity = series_id(self.directory, path)
            name = path.relative_to(self.directory).as_posix()
            if spec_of(identity) is not None and (other := self._files.setdefault(identity, name)) != name:
                raise ComponentError("DAT-006", f"{other} and {name} of {given} are the same series; keep one of them")
        self.specs = tuple(spec for identity in self._files if (spec := spec_of(identity)))
        if not self.specs:
            there = "".join(f"; {name}: {why}" for name, why in self.unread()[:1])
            raise ComponentError("DAT-006", f"the data folder {given} holds no series; expected files such as "
                                 f"ohlcv/bybit/spot/ETHUSDT_1h.csv in it (docs/data.md has the layout){there}")  # fmt: skip

    def path_of(self, spec: SeriesSpec) -> Path:
        return self.directory / self._files[spec.id]

    def unread(self) -> tuple[tuple[str, str], ...]:
        """(path, why) of each file in the folder that holds data and is not read."""
        return tuple(unread_files(self.directory))

    def load(self, spec: SeriesSpec, until: int | None) -> Loaded:
        return load_file(self.path_of(spec), spec, until, self._given / self._files[spec.id])


def require_folder(path: Path) -> None:
    """Refuse what is no data folder.

    Raises:
        ComponentError: DAT-006, saying what it is and what to do.
    """
    if not path.is_dir():
        what = f"is a file; {what_to_do_with(path)}" if path.exists() else "does not exist; `basis data sample` makes one to try"
        raise ComponentError("DAT-006", f"the data folder {shown(path)} {what}")


def what_to_do_with(path: Path) -> str:
    """What a file is, where a folder or a database of series is expected, and what to do with it."""
    name = path.name.lower()
    if is_database(path):
        return "it is a database, which `--data` takes as it is"
    if name.endswith((*ENDINGS, ".zip", ".json", ".gz")):
        return "it holds rows of a series; bring it into a folder with `basis data import FILE FOLDER`, and give the folder"
    return "give a folder of series (docs/data.md has its layout), or a database that `basis data import` wrote"


def is_database(path: Path) -> bool:
    """Whether a file is one of DuckDB's."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(12)[8:] == b"DUCK"


# Endings of files that hold data and are not read, with the way out.
_UNPACK, _CONVERT, _IMPORT = "unpack it", "write it as CSV or Parquet", "bring it in with `basis data import`"
UNREAD_ENDINGS = {".gz": _UNPACK, ".zip": _IMPORT, ".bz2": _UNPACK, ".xz": _UNPACK, ".zst": _UNPACK, ".7z": _UNPACK,
                  ".feather": _CONVERT, ".arrow": _CONVERT, ".xlsx": _CONVERT, ".json": _IMPORT,
                  ".tsv": _CONVERT, ".txt": _CONVERT}  # fmt: skip
ENDINGS_NAMED = ".csv, .csv.gz or .parquet"
_INTERVAL = re.compile(r"_([0-9]+[a-zA-Z]+)$")


def unread_files(directory: Path) -> Iterator[tuple[str, str]]:
    """(path within the folder, why) of each file that holds data and that no reader finds, in the order of the layout's folders."""
    for folder in FOLDERS:
        for path in sorted((directory / folder).rglob("*")):
            name = path.relative_to(directory).as_posix()
            if why := _why_unread(path, name):
                yield name, why


def _why_unread(path: Path, name: str) -> str:
    if ending := ending_of(path):
        return "" if spec_of(name.removesuffix(ending)) else _why_no_series(name.removesuffix(ending), ending)
    if (lower := path.name.lower()) != path.name and (ending := ending_of(path.with_name(lower))):
        return f"only names that end in {ENDINGS_NAMED} are read: rename it to {path.name[: -len(ending)]}{ending}"
    if (way_out := UNREAD_ENDINGS.get(path.suffix.lower())) and path.is_file():
        return f"only files that end in {ENDINGS_NAMED} are read: {way_out}"
    return ""


def _why_no_series(name: str, ending: str) -> str:
    """What keeps the name of a file from being that of a series."""
    why = "its name is not in the layout of docs/data.md, so it is not read"
    folder, _, last = name.rpartition("/")
    interval = _INTERVAL.search(last)
    if name.startswith("ohlcv/") and interval and interval[1] not in INTERVALS_US:
        return f"{why}: bars of {interval[1]} are not known, only {', '.join(INTERVALS_US)}"
    plain = last.replace("-", "") if interval or not name.startswith("ohlcv/") else last
    if plain != last and spec_of(f"{folder}/{plain}"):
        return f"{why}: rename it to {plain}{ending}"
    return why


def looks_like(path: str, kind: str, venue: str, name: str) -> bool:
    """Whether a path that is no series' has the folder and the name of one: `ohlcv/Bybit/spot/ETH-USDT_15m.csv` of spot, bybit, ETHUSDT."""
    *folders, last = path.lower().split("/")
    plain = re.sub("[^a-z0-9]", "", last)
    of_venue = {VENUE_OF_FOLDER.get(folder, folder) for folder in folders}
    of_kind = kind in folders if kind in BARS else folders[0] in (kind, "dex" if kind == "pool" else "lending")
    return of_kind and (venue in of_venue or kind == "gas") and plain.startswith(re.sub("[^a-z0-9]", "", name.lower()))


def series_files(directory: Path) -> Iterator[Path]:
    """Every file that can hold a series, sorted, so that what follows does not depend on the file system."""
    for folder in FOLDERS:
        yield from (path for path in sorted((directory / folder).rglob("*")) if ending_of(path))


def ending_of(path: Path) -> str:
    """What comes after the series id in the name of a file that can hold one; empty where it cannot."""
    return next((ending for ending in ENDINGS if path.name.endswith(ending)), "")


def series_id(directory: Path, path: Path) -> str:
    return path.relative_to(directory).as_posix().removesuffix(ending_of(path))
