"""A sweep of 20 combinations next to a bare loop over the same runs, and what metrics, trades and risk cost a backtest."""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml
from figures import show

from basis_strategy_v1 import sweep
from basis_strategy_v1.app import build
from basis_strategy_v1.app.sweep_work import Work, row_of
from basis_strategy_v1.data.sample import write_sample

CONFIG = Path(__file__).resolve().parents[1] / "config" / "eth_basis.yaml"
GRID: dict[str, Any] = {"strategy.leverage": [1, 1.5, 2, 2.5, 3], "strategy.rebalance_threshold_bps": [200, 300, 400, 500]}
ROUNDS = 3


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_sample(folder / "sample")
        config = yaml.safe_load(CONFIG.read_text())
        bare = min(_cpu(lambda: _bare_loop(config, folder / "sample")) for _ in range(ROUNDS))
        swept = min(_cpu(lambda: sweep(config, GRID, folder / "sample", out=None)) for _ in range(ROUNDS))
        show("CPU of a sweep of 20 runs", swept, bare * 1.15, "s", bare, "a bare loop over the runs in one process")
        out = folder / "out"
        sweep(config, GRID, folder / "sample", out=out)
        show("what it leaves on the disk", sum(path.stat().st_size for path in out.rglob("*")) / 1e6, 25, "MB")
        processes, ray = (_rows_per_second(config, folder / "sample", backend) for backend in ("processes", "ray"))
        ratio = f"{ray / processes:.2f}"
        print(f"rows per second of it on Ray {ray:.2f}, on processes {processes:.2f}: ratio {ratio}, 2 at a time")
        on, off = _with_and_without(config, folder)
        show("a backtest with its page, metrics, trades and risk", on, off * 1.1, "s", off, "without metrics, trades and risk")


def _bare_loop(config: Any, data: Path) -> None:
    work = Work(config, data, None, {})
    for values in itertools.product(*GRID.values()):
        row_of(work, dict(zip(GRID, values, strict=True)))


def _rows_per_second(config: Any, data: Path, backend: str) -> float:
    """By the clock, from the first row to the last, so that the start of a cluster does not count."""
    at: list[float] = []
    sweep(config, GRID, data, workers=2, backend=backend, progress=lambda done, total: at.append(time.monotonic()))
    return (len(at) - 1) / (at[-1] - at[0])


def _cpu(call: Any) -> float:
    def used() -> float:
        times = os.times()
        return times.user + times.system + times.children_user + times.children_system

    before = used()
    call()
    return used() - before


def _with_and_without(config: Any, folder: Path) -> tuple[float, float]:
    """CPU seconds of a backtest, and of the same less what it spends on metrics, fills and risk."""
    from basis_strategy_v1.app import writer
    from basis_strategy_v1.engine import EventDrivenStrategyEngine
    from basis_strategy_v1.results.recorder import RunFolder

    spent = {"s": 0.0}

    def timed(call: Any, counts: Any = lambda *words: True) -> Any:
        def measured(*words: Any, **more: Any) -> Any:
            begun = time.process_time()
            try:
                return call(*words, **more)
            finally:
                spent["s"] += (time.process_time() - begun) * counts(*words)

        return measured

    found = []
    with _replaced(writer, "measures_of", timed), _replaced(EventDrivenStrategyEngine, "_risk_point", timed):
        is_new = lambda folder, name, *rest: name in ("trades.csv", "risk.csv")  # noqa: E731
        with _replaced(RunFolder, "write_rows", lambda call: timed(call, is_new)):
            for number in range(ROUNDS):
                spent["s"], begun = 0.0, time.process_time()
                build(config, folder / "sample", folder / f"results-{number}", folder / "logs").run()
                total = time.process_time() - begun
                found.append((total, total - spent["s"]))
    return min(found)


class _replaced:
    """An attribute wrapped while it lasts."""

    def __init__(self, owner: Any, name: str, wrap: Any) -> None:
        self._owner, self._name, self._before = owner, name, getattr(owner, name)
        self._after = wrap(self._before)

    def __enter__(self) -> None:
        setattr(self._owner, self._name, self._after)

    def __exit__(self, *error: object) -> None:
        setattr(self._owner, self._name, self._before)


if __name__ == "__main__":
    main()
