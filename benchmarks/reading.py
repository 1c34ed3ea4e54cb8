"""A year of minutes of two series, from the files until they can be asked, next to pyarrow, DuckDB and pandas reading the same files."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

from figures import best_of, show

ROWS, KIB = 525_600, 1024
NAMES = ("timestamp", "open", "high", "low", "close", "volume")
SERIES = ("ohlcv/bybit/spot/ETHUSDT_1m", "ohlcv/bybit/perp/ETHUSDT_1m")


def write(folder: Path) -> None:
    chance, price, at = random.Random(3), 2000.0, datetime(2024, 1, 1)
    lines = [",".join(NAMES)]
    for _ in range(ROWS):
        before, price = price, max(round(price * (1 + chance.gauss(0, 0.0006)), 2), 100.0)
        high, low = max(before, price) + 1, min(before, price) - 1
        lines.append(f"{at:%Y-%m-%dT%H:%M:%SZ},{before:.2f},{high:.2f},{low:.2f},{price:.2f},{chance.random() * 1000:.3f}")
        at += timedelta(minutes=1)
    for series in SERIES:
        path = folder / f"{series}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([*lines, ""]))


def with_basis(folder: Path) -> None:
    from basis_strategy_v1.data.data_provider import DataProvider

    provider = DataProvider(folder, mode="csv")
    for kind in ("spot", "perp"):
        assert provider.coverage(kind, "bybit", "ETHUSDT") is not None


def with_pyarrow(folder: Path) -> None:
    """The same values, as exact: times and decimals."""
    import pyarrow as pa
    from pyarrow import csv

    types = {"timestamp": pa.timestamp("us", "UTC"), **dict.fromkeys(NAMES[1:], pa.decimal128(18, 3))}
    for series in SERIES:
        options = csv.ConvertOptions(column_types=types)
        assert csv.read_csv(folder / f"{series}.csv", csv.ReadOptions(use_threads=False), convert_options=options).num_rows == ROWS


def with_duckdb(folder: Path) -> None:
    import duckdb

    for series in SERIES:
        columns = {"timestamp": "TIMESTAMPTZ", **dict.fromkeys(NAMES[1:], "DECIMAL(18, 3)")}
        rows = duckdb.read_csv(str(folder / f"{series}.csv"), header=True, dtype=columns).to_arrow_table()
        assert rows.num_rows == ROWS


def with_pandas(folder: Path) -> None:
    import pandas

    for series in SERIES:
        assert len(pandas.read_csv(folder / f"{series}.csv", parse_dates=["timestamp"])) == ROWS


READERS = {"basis": with_basis, "pyarrow": with_pyarrow, "duckdb": with_duckdb, "pandas": with_pandas}


def measured(reader: str, folder: Path) -> tuple[float, float]:
    """(CPU seconds of the best of three, MiB at most above the bare process) in a process of its own."""
    printed = subprocess.run([sys.executable, __file__, reader, str(folder)], check=True, capture_output=True, text=True).stdout
    seconds, mebibytes = json.loads(printed)
    return seconds, mebibytes


def measure(reader: str, folder: Path) -> None:
    bare = most_memory()
    seconds = best_of(3, lambda: READERS[reader](folder), clock=time.process_time)
    print(json.dumps([seconds, most_memory() - bare]))


def most_memory() -> float:
    """MiB that this process has had at most."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / KIB


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder)
        found = {reader: measured(reader, folder) for reader in READERS}
    floor = found["pyarrow"][0]
    for reader, (seconds, mebibytes) in found.items():
        limit = 0.9 if reader == "basis" else None
        show(f"a year of minutes, 2 series, {reader}", seconds, limit, "s", floor, "pyarrow alone, exact")
        show(f"memory above the bare process, {reader}", mebibytes, 120 if reader == "basis" else None, "MiB")


if __name__ == "__main__":
    measure(sys.argv[1], Path(sys.argv[2])) if len(sys.argv) > 1 else main()
