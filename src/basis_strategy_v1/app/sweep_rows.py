"""The rows of a sweep: stored one by one as they are finished, and as a table in the order of the grid."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.monitoring.folder_lock import FolderLock
from basis_strategy_v1.report.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow

ROWS, TABLE, SWEEP = "rows.jsonl", "sweep.parquet", "sweep.json"
MONEY = ("initial_equity", "final_equity", "final_equity_at_market", "pnl", "max_drawdown", "annualised_return")
COUNTS = ("instructions_routed", "instructions_failed")
WAY_OUT = "choose another folder with --out"


def figures_of(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a run as a sweep has them. A metric named as a figure of the summary has `daily_` before it."""
    found: dict[str, Any] = {"run_id": summary["run_id"], "error": ""}
    for name in MONEY:
        value = summary.get(name)
        found[name] = None if value is None else float(value)
    found |= {name: summary.get(name) for name in COUNTS}
    initial = float(summary["initial_equity"])
    found["return"] = float(summary["pnl"]) / initial if initial else None
    found |= {_column(name): summary["metrics"].get(name) for name, *_ in METRICS}
    return found


def failed(error: str) -> dict[str, Any]:
    """The figures of a run that failed."""
    return {"run_id": "", "error": error}


def _column(metric: str) -> str:
    return f"daily_{metric}" if metric in MONEY else metric


def columns(keys: Sequence[str]) -> list[str]:
    """The columns of a sweep over these keys."""
    return [*keys, "run_id", "error", *MONEY, *COUNTS, "return", *(_column(name) for name, *_ in METRICS)]


def table_of(keys: Sequence[str], combinations: Sequence[Mapping[str, Any]], rows: Mapping[int, Mapping[str, Any]]) -> pyarrow.Table:
    """The rows that there are, in the order of the grid."""
    import pyarrow

    order = sorted(rows)
    whole, texts = set(COUNTS), {"run_id", "error"}
    found: dict[str, Any] = {}
    for name in columns(keys):
        if name in keys:
            found[name] = _as_given([combinations[index][name] for index in order])
            continue
        kind = pyarrow.string() if name in texts else pyarrow.int64() if name in whole else pyarrow.float64()
        found[name] = pyarrow.array([rows[index].get(name) for index in order], kind)
    return pyarrow.table(found)


def _as_given(values: list[Any]) -> pyarrow.Array:
    """A column of swept values: numbers where all are, else texts."""
    import pyarrow

    if all(type(value) is bool for value in values):
        return pyarrow.array(values, pyarrow.bool_())
    if all(isinstance(value, int) and type(value) is not bool for value in values):
        return pyarrow.array(values, pyarrow.int64())
    if all(isinstance(value, int | float) and type(value) is not bool for value in values):
        return pyarrow.array([float(value) for value in values], pyarrow.float64())
    return pyarrow.array([value if isinstance(value, str) else json.dumps(value, default=str) for value in values], pyarrow.string())


class SweepFolder:
    """DIR of a sweep: `sweep.json` says which it is, `rows.jsonl` has a line for each finished run, `sweep.parquet` is the result.

    Raises:
        ComponentError: RES-001, it cannot be written, another process is writing there, or it holds another sweep.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.path = folder.absolute()
        self._given = folder
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = FolderLock(folder, self.path / ".sweep.lock", "RES-001", WAY_OUT)
            try:
                self.rows = self._taken_up(json.loads(json.dumps(identity, default=str)))
                self._file = (self.path / ROWS).open("ab")
            except BaseException:
                self._lock.release()
                raise
        except OSError as fault:
            raise self._unwritable(folder, fault) from fault

    def _taken_up(self, identity: Any) -> dict[int, dict[str, Any]]:
        """The rows of an earlier process, by their place in the grid; a last line that it did not finish is cut off."""
        mark, rows = self.path / SWEEP, self.path / ROWS
        if not mark.exists():
            if rows.exists():
                raise ComponentError("RES-001", f"{shown(self._given)} holds {ROWS} of something else; {WAY_OUT}")
            _write(mark, (json.dumps(identity, indent=2) + "\n").encode())
            return {}
        if _read_json(mark) != identity:
            what = "another sweep (another grid, config, data or version)"
            raise ComponentError("RES-001", f"{shown(self._given)} holds {what}; {WAY_OUT}")
        found: dict[int, dict[str, Any]] = {}
        whole = 0
        for line in rows.read_bytes().splitlines(keepends=True) if rows.exists() else ():
            try:
                index, row = json.loads(line) if line.endswith(b"\n") else (None, {})
            except ValueError:
                index = None
            if not isinstance(index, int):
                break
            found[index], whole = row, whole + len(line)
        if rows.exists():
            os.truncate(rows, whole)
        return found

    def add(self, index: int, row: dict[str, Any]) -> None:
        """Store a finished row; it is on the disk afterwards."""
        try:
            self._file.write(json.dumps([index, row]).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as fault:
            raise self._unwritable(self._given / ROWS, fault) from fault
        self.rows[index] = row

    def finish(self, table: pyarrow.Table) -> Path:
        """Write the table, whole or not at all."""
        from pyarrow import parquet

        target, part = self.path / TABLE, self.path / f".{TABLE}.part"
        try:
            parquet.write_table(table, part)
            os.replace(part, target)
        except OSError as fault:
            raise self._unwritable(self._given / TABLE, fault) from fault
        return target

    def close(self) -> None:
        with suppress(OSError):
            self._file.close()
        self._lock.release()

    @staticmethod
    def _unwritable(path: Path, fault: OSError) -> ComponentError:
        why = fault.strerror or str(fault)
        return ComponentError("RES-001", f"{shown(path)} cannot be written: {why}; the finished rows are kept; {WAY_OUT}")


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    os.replace(part, path)
