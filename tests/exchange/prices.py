"""What the venues' markets trade at: set by command, or read from a folder of recorded data."""

from __future__ import annotations

import csv
from bisect import bisect_right
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

INTERVALS_MS = {"1m": 60_000, "1h": 3_600_000, "1d": 86_400_000}
DEFAULTS = {"ETH": Decimal(2_000), "BTC": Decimal(60_000), "BNB": Decimal(600), "USDC": Decimal(1)}


def milliseconds(stamp: str) -> int:
    return round(datetime.fromisoformat(stamp).timestamp() * 1_000)


class Series:
    """Values by the time from which they are known."""

    def __init__(self, rows: list[tuple[int, Decimal]]) -> None:
        self.times = [at for at, _ in rows]
        self.values = [value for _, value in rows]

    def at(self, now_ms: int) -> Decimal | None:
        index = bisect_right(self.times, now_ms) - 1
        return self.values[index] if index >= 0 else None

    def between(self, after_ms: int, until_ms: int) -> list[tuple[int, Decimal]]:
        first, last = bisect_right(self.times, after_ms), bisect_right(self.times, until_ms)
        return list(zip(self.times[first:last], self.values[first:last], strict=True))


class Recorded:
    """A data folder in the project's layout, read when a series is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._series: dict[str, Series | None] = {}

    def price(self, venue: str, kind: str, symbol: str, now_ms: int) -> Decimal | None:
        """The close of the last bar that has closed. Without a series: the venue's other market, another venue, the pair in USDT."""
        others = sorted(path.name for path in (self.folder / "ohlcv").iterdir() if path.is_dir())
        for where in (venue, *(other for other in others if other != venue)):
            for which in (kind, "perp" if kind == "spot" else "spot"):
                series = self._closes(f"ohlcv/{where}/{which}/{symbol}")
                if series is not None and (found := series.at(now_ms)) is not None:
                    return found
        return self.price(venue, kind, symbol[:-1] + "T", now_ms) if symbol.endswith("USDC") else None

    def funding(self, venue: str, symbol: str) -> Series | None:
        found = self._read(f"funding/{venue}/{symbol}.csv", "funding_rate", 0)
        return self.funding(venue, symbol[:-1] + "T") if found is None and symbol.endswith("USDC") else found

    def _closes(self, start: str) -> Series | None:
        found = (self._read(f"{start}_{interval}.csv", "close", length) for interval, length in INTERVALS_MS.items())
        return next((series for series in found if series is not None), None)

    def _read(self, name: str, column: str, delay_ms: int) -> Series | None:
        if name not in self._series:
            path = self.folder / name
            self._series[name] = None
            if path.exists():
                with path.open(newline="") as file:
                    rows = [(milliseconds(row["timestamp"]) + delay_ms, Decimal(row[column])) for row in csv.DictReader(file)]
                self._series[name] = Series(rows)
        return self._series[name]


class Prices:
    """By (venue, kind, symbol). What a command set comes first, then recorded data, then a made-up price."""

    def __init__(self, recorded: Recorded | None) -> None:
        self.recorded = recorded
        self.given: dict[tuple[str, str, str], Decimal] = {}
        self.levels: dict[tuple[str, str, str], list[list[Decimal]]] = {}  # what is still there, in the order in which it is taken

    def price(self, venue: str, kind: str, symbol: str, now_ms: int) -> Decimal:
        given = self.given.get((venue, kind, symbol), self.given.get(("", "", symbol)))
        if given is not None:
            return given
        recorded = None if self.recorded is None else self.recorded.price(venue, kind, symbol, now_ms)
        if recorded is not None:
            return recorded
        return next(price for base, price in DEFAULTS.items() if symbol.startswith(base))
