"""Runs of the scenarios, and what they left behind, read without the project's own readers."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from basis_strategy_v1 import EventDrivenStrategyEngine

HOUR = timedelta(hours=1)
CAPITAL = 100_000


def basis_config(mode: str = "eth_basis", perp: str = "bybit", **changes: Any) -> dict[str, Any]:
    """A year of a basis strategy with spot on bybit; `changes` of the strategy's parameters go in as `strategy_...`."""
    parameters = {name.removeprefix("strategy_"): changes.pop(name) for name in list(changes) if name.startswith("strategy_")}
    return {
        "strategy_mode": mode,
        "share_class": "usdt_stable",
        "initial_capital": CAPITAL,
        "start": "2024-06-01",
        "end": "2025-05-31",
        "interval": "1h",
        "strategy": {"spot_venue": "bybit", "perp_venue": perp, "leverage": 1, **parameters},
        "venues": {"cex": sorted({"bybit", perp})},
        **changes,
    }


class Row(NamedTuple):
    """A line of events.csv."""

    at: datetime
    event_type: str
    data: dict[str, Any]


class Ran(NamedTuple):
    """The folder of a run."""

    folder: Path

    @property
    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "summary.json").read_text())
        return found

    def rows(self, name: str) -> list[dict[str, str]]:
        with (self.folder / name).open(newline="") as file:
            return list(csv.DictReader(file))

    def events(self, event_type: str) -> list[Row]:
        return [
            Row(moment(row["timestamp"]), row["event_type"], json.loads(row["data"], parse_float=Decimal))
            for row in self.rows("events.csv")
            if row["event_type"] == event_type
        ]

    def settled(self, kind: str) -> list[Row]:
        return [row for row in self.events("settlement") if row.data["kind"] == kind]

    def positions(self) -> dict[datetime, dict[str, Decimal]]:
        """When -> `venue token` -> amount, for each instant that positions.csv has."""
        found: dict[datetime, dict[str, Decimal]] = {}
        for row in self.rows("positions.csv"):
            found.setdefault(moment(row["timestamp"]), {})[f"{row['venue']} {row['token']}"] = Decimal(row["amount"])
        return found

    def files(self) -> dict[str, bytes]:
        """Everything that two runs must write alike."""
        return {path.name: path.read_bytes() for path in self.folder.iterdir() if path.name != "timing.json"}


def run(config: Any, data: Any, folder: Path, *, report: bool = False) -> Ran:
    engine = EventDrivenStrategyEngine.from_config(config, data=data, results=folder / "results", logs=folder / "logs", report=report)
    return Ran(engine.run().paths["summary.json"].parent)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def series(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def excerpt(market: Path, target: Path, names: tuple[str, ...], until: str) -> Path:
    """A data folder with the rows of some series from 2024-05-30 up to a time."""
    for name in names:
        lines = (market / f"{name}.csv").read_text().splitlines(keepends=True)
        kept = [line for line in lines[1:] if line >= "2024-05-30" and line < until]
        path = target / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join([lines[0], *kept]))
    return target
