"""`run` and `open_run`: a backtest in Python, with its results as tables."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.app import build
from basis_strategy_v1.app.arrow_table import ArrowTable, table_of_csv
from basis_strategy_v1.app.assumptions import costs_of_run
from basis_strategy_v1.app.own_strategy import own_strategy
from basis_strategy_v1.config.loading import raw_config
from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.report.report import write_report
from basis_strategy_v1.report.run_folder import read_run_summary
from basis_strategy_v1.results.run_memory import RunMemory

if TYPE_CHECKING:
    from collections.abc import Callable

    from basis_strategy_v1.engine import EventDrivenStrategyEngine


class Run:
    """A finished run.

    `metrics` (name -> number, None where undefined) and `summary` are plain data, as in summary.json; docs/metrics.md has the units.
    `equity`, `trades`, `events`, `positions` and `risk` are Arrow tables of the run's files: timestamps are UTC, amounts 64-bit floats.
    `.to_pandas()` and `.to_polars()` make a DataFrame of a table. `folder` is where the run is, None where nothing was written.
    """

    def __init__(self, summary: dict[str, Any], text: Callable[[str], str | None], folder: Path | None = None) -> None:
        self.summary = summary
        self.folder = folder
        self._text = text
        self._tables: dict[str, ArrowTable] = {}

    def __repr__(self) -> str:
        return f"<Run {self.run_id}>"

    @property
    def run_id(self) -> str:
        found: str = self.summary["run_id"]
        return found

    @property
    def metrics(self) -> dict[str, float | None]:
        found: dict[str, float | None] = self.summary.get("metrics", {})
        return dict(found)

    @property
    def equity(self) -> ArrowTable:
        """A row a step: timestamp, equity, each source of attribution (cumulative), stale."""
        return self._table("equity.csv")

    @property
    def trades(self) -> ArrowTable:
        """A row a fill: timestamp, venue, action, symbol, side, amount, price, notional, fee, reason, tag, key."""
        return self._table("trades.csv")

    @property
    def events(self) -> ArrowTable:
        """A row an event: timestamp, component, sequence, event_type, data (JSON)."""
        return self._table("events.csv")

    @property
    def positions(self) -> ArrowTable:
        """A row a position at each step with a change, and one a day: timestamp, venue, token, amount."""
        return self._table("positions.csv")

    @property
    def risk(self) -> ArrowTable:
        """A row a step: exposures, and by account and lender leverage, margin ratio, LTV and health factor."""
        return self._table("risk.csv")

    def report(self, path: str | Path | None = None) -> Path:
        """Write the report's page and return its path: into the run's folder, or to `path`. A run without a folder goes to
        `<run_id>.html` in the working directory.

        Raises:
            ComponentError: RES-001, it cannot be written.
        """
        if self.folder is not None and path is None:
            return write_report(self.folder, costs_of_run(self.folder))
        target = Path(path if path is not None else f"{self.run_id}.html")
        with TemporaryDirectory(prefix="basis-report-") as name:
            made = Path(name)
            for file in ("summary.json", "config.yaml", "equity.csv", "positions.csv", "events.csv", "trades.csv", "risk.csv"):
                if (text := self._text(file)) is not None:
                    (made / file).write_text(text, encoding="utf-8")
            page = write_report(made, costs_of_run(made)).read_bytes()
        try:
            target.write_bytes(page)
        except OSError as fault:
            raise ComponentError(
                "RES-001", f"{shown(target)} cannot be written: {fault.strerror}; choose another path", "Report"
            ) from fault
        return target

    def _table(self, name: str) -> ArrowTable:
        if name not in self._tables:
            text = self._text(name)
            if text is None:
                raise ComponentError("RES-001", f"run {self.run_id} has no {name}: an earlier version wrote it; run it again", "Report")
            self._tables[name] = table_of_csv(text)
        return self._tables[name]


def run(config: Any, data: Any = None, strategy: Any = None, results: str | Path | None = None) -> Run:
    """Run a backtest.

    Args:
        config: the path of a YAML file, or a dict.
        data: a folder of series, a database file, or a data provider; None: what the config names.
        strategy: a class with a method `decide`, a function, or the path of a Python file, in place of the config's own. Its parameters
            are those in the config's `strategy`.
        results: the folder in which the run's own folder is made; None: nothing is written.

    Raises:
        ComponentError: what is wrong with the config, the data or the strategy; each with a code that `basis errors` explains.
    """
    engine = engine_for(config, data, strategy, results)
    result = engine.run()
    if results is not None:
        return open_run(Path(results) / result.run_id)
    folder = engine.folder
    assert isinstance(folder, RunMemory)
    return Run(json.loads(folder.text("summary.json") or "{}"), folder.text)


def engine_for(
    config: Any, data: Any = None, strategy: Any = None, results: str | Path | None = None, **how: Any
) -> EventDrivenStrategyEngine:
    """The engine of `run`, before it has begun; the logs are in the run's own folder."""
    own = None if strategy is None else own_strategy(strategy, raw_config(config).get("strategy"))
    return build(config, data, results, None, report=False, own=own, **how)


def open_run(folder: str | Path) -> Run:
    """A run that was written before: `folder` is its own (`results/<run_id>`).

    Raises:
        ComponentError: RES-001, it holds no finished run.
    """
    path = Path(folder)

    def text(name: str) -> str | None:
        return (path / name).read_text(encoding="utf-8") if (path / name).is_file() else None

    return Run(read_run_summary(path), text, path)
