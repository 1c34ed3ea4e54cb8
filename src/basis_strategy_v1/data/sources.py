"""Where series come from: what a source has, and the one that is a folder of CSV files. Files only."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.data.csv_file import CsvReading
from basis_strategy_v1.data.layout import FOLDERS, spec_of

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
            raise ComponentError("DAT-006", f"the data folder {given} holds no series; expected files such as "
                                 "ohlcv/bybit/spot/ETHUSDT_1h.csv in it (docs/data.md has the layout)")  # fmt: skip

    def path_of(self, spec: SeriesSpec) -> Path:
        return self.directory / f"{spec.id}.csv"

    def load(self, spec: SeriesSpec, until: int | None) -> Loaded:
        return CsvReading(self.path_of(spec), spec, until, self._given / f"{spec.id}.csv").read()


def csv_files(directory: Path) -> Iterator[Path]:
    """Every CSV file in the folders of the layout, sorted, so that what follows does not depend on the file system."""
    for folder in FOLDERS:
        yield from sorted((directory / folder).rglob("*.csv"))


def series_id(directory: Path, path: Path) -> str:
    return path.relative_to(directory).with_suffix("").as_posix()
