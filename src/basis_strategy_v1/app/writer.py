"""Writes the folder of a run."""

from __future__ import annotations

import time
from contextlib import closing
from decimal import Decimal
from filecmp import cmp
from typing import TYPE_CHECKING, Any, cast

from basis_strategy_v1.app.approximations import applied_line
from basis_strategy_v1.app.assumptions import assumptions, costs_of_run, figures_as_comments
from basis_strategy_v1.app.assumptions_of_data import assumptions_of_data
from basis_strategy_v1.app.data_checks import issue_lines
from basis_strategy_v1.app.measuring import Measures, fills_of, market_at, measures_of
from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.clock import to_instant
from basis_strategy_v1.engine import EventDrivenStrategyEngine, RunResult
from basis_strategy_v1.execution.routing_events import COMPONENT
from basis_strategy_v1.monitoring.event_logger import EventLogger
from basis_strategy_v1.results.daily import stale_flags
from basis_strategy_v1.results.expected import EXPECTED_HEADER, expected_in_sum, expected_rows
from basis_strategy_v1.results.fills import TRADES_HEADER
from basis_strategy_v1.results.left_open import left_open
from basis_strategy_v1.results.liquidations import liquidations_in
from basis_strategy_v1.results.recorder import POSITIONS_HEADER, RunFolder, equity_header, plain_json
from basis_strategy_v1.results.run_memory import RunMemory
from basis_strategy_v1.results.summary import summary_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from basis_strategy_v1.config import Config


EARLIER = "earlier results"  # among the paths of a run: where other results of the same config went


def earlier_lines(paths: Mapping[str, Path], results: Path) -> list[str]:
    """Where the results of an earlier run of the same config went, and whether it came to the same; nothing where there was none.
    `results` is the folder of runs, as it was given."""
    if (kept := paths.get(EARLIER)) is None:
        return []
    place, equity = shown(results / kept.name), kept / "equity.csv"
    if equity.is_file() and cmp(equity, paths["equity.csv"], shallow=False):
        return [f"an earlier run of this config came to the same equity at every step; its files are kept in {place}"]
    why = "other data, another version, or one of the two was live"
    return [f"an earlier run of this config came to other results ({why}); they are kept in {place}"]


class Writer:
    """Writes a run's folder, also of a run that ended early."""

    def __init__(
        self, run_id: str, folder: RunFolder | RunMemory, logger: EventLogger, provider: Any, started: float, *, report: bool
    ) -> None:
        self._run_id = run_id
        self._folder = folder
        self._logger = logger
        self._provider = provider
        self._started = started
        self._report = report
        self._is_complete = False

    def __call__(self, engine: EventDrivenStrategyEngine, *, finished: bool = True) -> RunResult:
        """Write, and let other runs have the folders; where writing a finished run fails, what there is is written by a second call."""
        if finished:
            result = self._written(engine, finished=True)
            self._folder.close()
            return result
        with closing(self._folder), self._logger:
            return self._written(engine, finished=False)

    def _written(self, engine: EventDrivenStrategyEngine, *, finished: bool) -> RunResult:
        if self._is_complete:  # only the page was interrupted, and what it is made of is there
            return self._timed(engine, {}, {})
        seconds = engine.seconds
        begun = time.perf_counter()
        folder = self._folder
        spans = self._stale_marks(engine.config)
        measures = measures_of(engine, self._provider, [(start, end) for _, start, end in spans]) if finished else None
        fills = fills_of(engine, self._provider) if measures is None else measures.fills
        summary = {} if measures is None else self._summary(engine, measures, spans)
        live = engine.executed_live()
        if finished:
            summary |= {**({} if live is None else {"expected_and_executed": expected_in_sum(live)}), **engine.findings()}
        stale = stale_flags(engine.curve.instants, [(start, end) for _, start, end in spans])
        kept = folder.begin(finished=finished, summary=plain_json(summary))
        paths = {} if kept is None else {EARLIER: kept}
        paths |= {
            "equity.csv": folder.write_rows("equity.csv", equity_header(), engine.curve.rows(stale)),
            "positions.csv": folder.write_rows("positions.csv", POSITIONS_HEADER, engine.holdings.rows()),
            "risk.csv": folder.write_rows(
                "risk.csv", engine.risk.header(), engine.risk.rows(engine.curve.instants, market_at(engine, self._provider))
            ),
            "config.yaml": folder.write("config.yaml", engine.config.to_yaml() + figures_as_comments(engine.config)),
            "trades.csv": folder.write_rows("trades.csv", TRADES_HEADER, (fill.row() for fill in fills)),
        }
        if live is not None:
            paths["expected.csv"] = folder.write_rows("expected.csv", EXPECTED_HEADER, expected_rows(live))
        paths["events.csv"] = folder.write_events(cast("Any", self._logger))
        self._logger.close()
        seconds["write"] = time.perf_counter() - begun
        if finished:
            paths["summary.json"] = folder.write("summary.json", plain_json(summary))
            self._is_complete = True
            if self._report:
                paths["report.html"] = self._write_report(seconds)
        return self._timed(engine, summary, paths)

    def _timed(self, engine: EventDrivenStrategyEngine, summary: dict[str, Any], paths: dict[str, Path]) -> RunResult:
        """The result, once the times that it took are written too."""
        engine.seconds["total"] = time.perf_counter() - self._started
        timing = {name: round(value, 6) for name, value in engine.seconds.items()}
        paths["timing.json"] = self._folder.write("timing.json", plain_json({"seconds": timing}))
        return RunResult(self._run_id, summary, paths)

    def _write_report(self, seconds: dict[str, float]) -> Path:
        assert isinstance(self._folder, RunFolder)
        from basis_strategy_v1.report.report import write_report

        begun = time.perf_counter()
        path = write_report(self._folder.path, costs_of_run(self._folder.path))
        seconds["report"] = time.perf_counter() - begun
        return path

    def _summary(self, engine: EventDrivenStrategyEngine, measures: Measures, stale: list[tuple[str, int, int]]) -> dict[str, Any]:
        return summary_of(
            engine.config,
            run_id=self._run_id,
            initial=engine.attribution.initial_equity,
            final=engine.equity,
            at_market=engine.equity_at_market,
            totals=engine.totals,
            max_drawdown=engine.curve.max_drawdown_without(measures.stale),
            measured=measures.measured,
            by_reason=measures.by_reason,
            waited=measures.waited,
            routed=engine.manager.instructions_routed,
            failed=engine.manager.instructions_failed,
            data=_data_details_of(self._provider),
            skipped=engine.skipped,
            assumptions=[
                applied_line(engine.config, engine.manager.account.venues),
                *assumptions(engine.config, engine.manager.account.venues),
                *assumptions_of_data(engine, self._provider, stale),
                *self._data_issues(engine.config),
                *getattr(engine.strategy, "warnings", ()),
            ],
            stale_marks=stale,
            missing_funding=getattr(self._provider, "missing_funding_used", ()),
            left_open=_left_open(engine) if _was_to_leave(engine) else (),
            liquidations=liquidations_in(self._logger.lines_of(COMPONENT)),
        )

    def _stale_marks(self, config: Config) -> list[tuple[str, int, int]]:
        """Where a price that values a position stood still for want of data."""
        assert config.start is not None and config.end is not None
        if not hasattr(self._provider, "stale_spans"):
            return []
        found: list[tuple[str, int, int]] = self._provider.stale_spans(to_instant(config.start), to_instant(config.end))
        return found

    def _data_issues(self, config: Config) -> list[str]:
        """What the data checks find in the series that were read, those too that a strategy of a user's own did not name."""
        assert config.start is not None and config.end is not None
        if not hasattr(self._provider, "issues"):
            return []
        return [f"Data check: {line}." for line in issue_lines(self._provider.issues(to_instant(config.start), to_instant(config.end)))]


def _was_to_leave(engine: EventDrivenStrategyEngine) -> bool:
    config = engine.config
    return getattr(engine, "is_leaving", False) or config.close_at_end or getattr(config.strategy, "leave_at", None) is not None


def _left_open(engine: EventDrivenStrategyEngine) -> list[dict[str, str]]:
    config, account = engine.config, engine.account
    market = account.market(engine.end)
    reserve = Decimal(0) if engine.manager.gas_is_free() else config.gas_reserve_eth
    return left_open(engine.portfolio, *account.exposures(market), market, share_class=config.share_class, gas_reserve=reserve)


def _data_details_of(provider: Any) -> Mapping[str, Any]:
    return {
        "generated": bool(getattr(provider, "generated", False)),
        "series": list(getattr(provider, "series_used", ())),
        **_fingerprint(provider),
    }


def _fingerprint(provider: Any) -> dict[str, str]:
    return {"fingerprint": provider.fingerprint()} if hasattr(provider, "fingerprint") else {}
