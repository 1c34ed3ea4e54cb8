"""What an import writes into: a data folder, or a database. Nothing of it changes before all of it is written."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from filelock import FileLock, Timeout

from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.data.duckdb_file import DuckDbFile, require_name
from basis_strategy_v1.data.layout import by_key
from basis_strategy_v1.data.sources import GENERATED_FILE, DataFolder, is_database, series_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from basis_strategy_v1.data.layout import SeriesSpec
    from basis_strategy_v1.data.series import Loaded
    from basis_strategy_v1.data.staging import Staged, Staging

GENERATED_NOTE = "These series are generated and are no market data.\n"


class Target(Protocol):
    """`folder` is where it is put together, `root` what holds nothing else; `generated` is None as long as there is nothing in it."""

    folder: Path
    root: Path
    generated: bool | None

    def existing(self, spec: SeriesSpec) -> Loaded | None: ...
    def name_of(self, spec: SeriesSpec) -> str: ...
    def write(self, staging: Staging, found: list[tuple[SeriesSpec, Staged]], *, generated: bool) -> None: ...


def target_of(dest: Path) -> Target:
    """A database where the name ends in `.duckdb` or a file is there, a folder otherwise.

    Raises:
        ComponentError: DAT-006, what is there is neither.
    """
    is_file = dest.suffix == ".duckdb" or (dest.exists() and not dest.is_dir())
    return DatabaseTarget(dest) if is_file else FolderTarget(dest)


class FolderTarget:
    def __init__(self, dest: Path) -> None:
        self._dest = dest
        self.root, self.folder = dest, dest / ".import"
        self._source = DataFolder(dest) if dest.is_dir() and any(series_files(dest)) else None
        self.generated = None if self._source is None else self._source.generated

    def existing(self, spec: SeriesSpec) -> Loaded | None:
        if self._source is None or spec.id not in {one.id for one in self._source.specs}:
            return None
        return self._source.load(spec, None)

    def name_of(self, spec: SeriesSpec) -> str:
        return shown(self._dest / f"{spec.id}.csv")

    def write(self, staging: Staging, found: list[tuple[SeriesSpec, Staged]], *, generated: bool) -> None:
        by_key({spec.id: spec for spec in [*(self._source.specs if self._source else ()), *(spec for spec, _ in found)]}.values())
        parts = []
        for number, (spec, staged) in enumerate(found):
            part = self.folder / f"{number}.part"
            staged.write_csv(part, spec.header)
            _sync(part)
            parts.append((part, self._dest / f"{spec.id}.csv", spec))
        for _, path, _ in parts:
            path.parent.mkdir(parents=True, exist_ok=True)
        if generated:
            (self._dest / GENERATED_FILE).write_text(GENERATED_NOTE)
        for part, path, spec in parts:
            os.replace(part, path)
            for ending in (".csv.gz", ".parquet"):  # the same rows are in the CSV now
                path.with_name(f"{spec.id.rsplit('/', 1)[1]}{ending}").unlink(missing_ok=True)


class DatabaseTarget:
    def __init__(self, dest: Path) -> None:
        require_name(dest)
        self._dest = dest
        self.root = self.folder = dest.with_name(f".{dest.name}.import")
        has_content = dest.is_file() and dest.stat().st_size > 0
        if has_content and not is_database(dest):
            raise ComponentError("DAT-006", f"{shown(dest)} is there and is no database; give another name, or remove it")
        self._source = DuckDbFile(dest) if has_content else None
        self.generated = None if self._source is None or not self._source.specs else self._source.generated

    def existing(self, spec: SeriesSpec) -> Loaded | None:
        if self._source is None or spec.id not in {one.id for one in self._source.specs}:
            return None
        return self._source.load(spec, None)

    def name_of(self, spec: SeriesSpec) -> str:
        return f"{shown(self._dest)} table {spec.id}"

    def write(self, staging: Staging, found: list[tuple[SeriesSpec, Staged]], *, generated: bool) -> None:
        by_key({spec.id: spec for spec in [*(self._source.specs if self._source else ()), *(spec for spec, _ in found)]}.values())
        part = self.folder / "target.duckdb"
        if self._source is not None:
            shutil.copyfile(self._dest, part)
        staging.attach(part, generated=generated)
        for spec, staged in found:
            staged.write_table(spec)
        staging.detach()
        _sync(part)
        os.replace(part, self._dest)


def _sync(path: Path) -> None:
    """What a crash after this must not lose."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


@contextmanager
def working_folder(folder: Path, given: str) -> Iterator[None]:
    """A folder for one import at a time, gone afterwards; what an interrupted import left in it is removed.

    Raises:
        ComponentError: DAT-006, another import is at work.
    """
    made = [parent for parent in (folder.parent, *folder.parent.parents) if not parent.exists()]
    if folder.is_symlink():  # not followed
        folder.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ComponentError("DAT-006", f"another import is writing into {given}; wait for it, or end it") from None
    try:
        for left in folder.iterdir():
            if left.name != "lock":
                left.unlink()
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()
        for parent in made:
            with suppress(OSError):  # what was written is in it
                parent.rmdir()
