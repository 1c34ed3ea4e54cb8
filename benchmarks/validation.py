"""How long `basis data validate` takes over ten years of hourly bars of 20 series, next to DuckDB reading the same files."""

from __future__ import annotations

import random
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
from figures import best_of, show

from basis_strategy_v1.data.validation import validate

SERIES, ROWS = 20, 10 * 8_766


def write(folder: Path) -> None:
    """One market, read from 20 files: what is in them makes no difference, as long as it is sound."""
    chance, price, at = random.Random(3), 2000.0, datetime(2015, 1, 1)
    lines = ["timestamp,open,high,low,close,volume"]
    for _ in range(ROWS):
        before, price = price, max(round(price * (1 + chance.gauss(0, 0.006)), 2), 100.0)
        high, low = max(before, price) + 1, min(before, price) - 1
        lines.append(f"{at:%Y-%m-%dT%H:%M:%SZ},{before:.2f},{high:.2f},{low:.2f},{price:.2f},{chance.random() * 1000:.3f}")
        at += timedelta(hours=1)
    text = "\n".join([*lines, ""])
    for number in range(SERIES):
        path = folder / f"ohlcv/bybit/spot/COIN{number}USDT_1h.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def read(folder: Path) -> None:
    query = "SELECT count(*), min(low), max(high), sum(volume) FROM read_csv(?)"
    for path in folder.rglob("*.csv"):
        duckdb.execute(query, [str(path)]).fetchall()


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder)
        assert validate(folder) == []
        floor = best_of(3, lambda: read(folder))
        show("validate, ten years of hours, 20 series", best_of(3, lambda: validate(folder)), 5, "s", floor, "DuckDB reading the files")


if __name__ == "__main__":
    main()
