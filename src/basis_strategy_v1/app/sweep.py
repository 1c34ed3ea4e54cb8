"""A sweep: the same config with each combination of a grid, a process a run, a row a run."""

from __future__ import annotations

import itertools
import math
import os
from contextlib import closing
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.app import fingerprint_of, maker_of, open_data
from basis_strategy_v1.app.arrow_table import ArrowTable
from basis_strategy_v1.app.own_strategy import own_strategy
from basis_strategy_v1.app.period import missing_ends, other_faults
from basis_strategy_v1.app.sweep_processes import rows_in_processes
from basis_strategy_v1.app.sweep_rows import SweepFolder, table_of
from basis_strategy_v1.app.sweep_work import Changes, Work, load_one, prepare, reads_of
from basis_strategy_v1.config import ConfigError
from basis_strategy_v1.config.loading import raw_config
from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from basis_strategy_v1.app.sweep_work import Row

BACKENDS = ("processes", "ray")
NOTHING_TO_READ = ("DAT-006", "STR-001")  # what no run of the sweep could begin with
MOST_UNASKED = 10_000  # combinations that are run without being asked for again


def sweep(
    config: Any,
    grid: Mapping[str, Sequence[Any]],
    data: Any = None,
    workers: int | None = None,
    backend: str = "processes",
    out: str | Path | None = None,
    *,
    strategy: Any = None,
    random: int | None = None,
    seed: int = 0,
    timeout_s: float = math.inf,
    progress: Callable[[int, int], None] | None = None,
) -> ArrowTable:
    """Run a config with each combination of `grid` (full name of a key -> its values).

    Each run is a process of its own: nothing that a run changes is seen by another, and a run that dies costs only itself. The rows depend
    neither on `workers` (default: one per core) nor on `backend`. A failed run is a row with its `error`.

    Args:
        config, data, strategy: as of `run`.
        backend: `processes` of this machine, or `ray`: the cluster that this process is connected to, or that of RAY_ADDRESS, or one that
            is started here. The data are sent; files that the config names are read by each machine of the cluster.
        out: a folder. Each row is stored there as it is finished; called again after a kill, what is done is not run again. Afterwards it
            has `sweep.parquet`. None: nothing is written.
        random: only so many of the combinations, drawn with `seed`.
        timeout_s: a run that takes longer is ended; its row says so.
        progress: called with (done, total).

    Returns:
        A table in the order of the grid: the swept keys under their full names, `run_id`, `error`, and the figures of the summary.

    Raises:
        ComponentError: CFG-001, an unknown key, no combination, or no such backend; RES-001, the folder cannot be used; or what `run`
            raises before it begins.
    """
    if backend not in BACKENDS:
        raise ComponentError("CFG-001", f"sweep: backend {shown(backend)} is not {' or '.join(BACKENDS)}")
    combinations = combinations_of(grid, random, seed)
    own = None if strategy is None else own_strategy(strategy, raw_config(config).get("strategy"))
    work = Work(config, data, own, {})
    work = work._replace(period=_period(work, combinations))
    _require_keys(work, grid, combinations[0])
    identity = _identity(work, grid, combinations)
    folder = None if out is None else SweepFolder(Path(out), identity)
    rows: dict[int, dict[str, Any]] = {} if folder is None else folder.rows
    try:
        waiting = [(place, changes) for place, changes in enumerate(combinations) if place not in rows]
        with closing(_rows_of(backend, work, waiting, _counted_workers(workers), timeout_s)) as finished:
            for place, row in finished:
                rows[place] = row
                if folder is not None:
                    folder.add(place, row)
                if progress is not None:
                    progress(len(rows), len(combinations))
        table = table_of(list(grid), combinations, rows)
        if folder is not None:
            folder.finish(table)
    finally:
        if folder is not None:
            folder.close()
    return ArrowTable(table)


def combinations_of(grid: Mapping[str, Sequence[Any]], random: int | None = None, seed: int = 0) -> list[Changes]:
    """The combinations of a grid in its order, the last key changing fastest; `random`: so many of them.

    Raises:
        ComponentError: CFG-001, there is none.
    """
    values = {key: list(each) if isinstance(each, list | tuple | range) else [each] for key, each in grid.items()}
    total = math.prod(len(each) for each in values.values())
    if not values or not total:
        raise ComponentError("CFG-001", "sweep: the grid is empty; give each key at least one value, such as strategy.leverage=1,2,3")
    if random is not None:
        if random < 1:
            raise ComponentError("CFG-001", f"sweep: random must be at least 1, got {random}")
        lists = list(values.items())
        places = sorted(Random(seed).sample(range(total), min(random, total)))
        return [_at(place, lists) for place in places]
    return [dict(zip(values, each, strict=True)) for each in itertools.product(*values.values())]


def _at(place: int, lists: Sequence[tuple[str, list[Any]]]) -> Changes:
    """The combination at a place of the product."""
    found = {}
    for key, values in reversed(lists):
        place, index = divmod(place, len(values))
        found[key] = values[index]
    return {key: found[key] for key, _ in lists}


def size_of(grid: Mapping[str, Sequence[Any]]) -> int:
    """How many combinations a grid has."""
    return math.prod(len(each) for each in grid.values())


def _counted_workers(workers: int | None) -> int | None:
    if workers is not None and workers < 1:
        raise ComponentError("CFG-001", f"sweep: workers must be at least 1, got {workers}")
    return workers


def _rows_of(
    backend: str, work: Work, runs: Sequence[tuple[int, Changes]], workers: int | None, timeout_s: float
) -> Generator[tuple[int, Row]]:
    """The rows of these runs, each as it is finished."""
    if backend == "ray":
        from basis_strategy_v1.app.sweep_cluster import rows_on_cluster

        return rows_on_cluster(work, runs, workers, timeout_s)
    return rows_in_processes(work, runs, workers or len(os.sched_getaffinity(0)), timeout_s)


def _period(work: Work, combinations: Sequence[Changes]) -> Changes:
    """The start and the end that the config leaves out: what the series of all runs cover, so that the runs are of one time.

    Raises:
        ComponentError: why the data say it for no run.
    """
    found: dict[str, list[str]] = {}
    causes, prepared = [], set[str]()
    for changes in combinations:
        try:
            settings = load_one(work, changes, run=False)
        except ConfigError:
            continue  # the row of such a run says it
        if (reads := f"{settings.interval} {reads_of(settings)}") in prepared:
            continue
        prepared.add(reads)
        try:
            ends = missing_ends(
                work.config,
                lambda settings: open_data(settings, work.data),
                maker_of(work.own),
                work.changes(changes),
                work.own.code if work.own else "",
            )
        except ComponentError as cause:
            causes.append(cause)
            continue
        for name, at in ends.items():
            found.setdefault(name, []).append(at)
    if causes and not found:
        raise causes[0]
    return {name: max(times) if name == "start" else min(times) for name, times in found.items()}


def _require_keys(work: Work, grid: Mapping[str, Sequence[Any]], first: Changes) -> None:
    """Refuse a key of which no value can be read: it is unknown, or wrong throughout. One wrong value is a row with an error."""
    for key, values in grid.items():
        faults = []
        for value in values if isinstance(values, list | tuple | range) else [values]:
            try:
                load_one(work, {**first, key: value})
                break
            except ConfigError as wrong:
                faults.append(wrong)
        else:
            others = other_faults(faults[0])
            raise ConfigError(others) if others else faults[0]


def _identity(work: Work, grid: Mapping[str, Sequence[Any]], combinations: Sequence[Changes]) -> dict[str, Any]:
    """What makes it this sweep: the grid, the config, the data and the version. The data are read for it, before the processes begin."""
    hashes, prepared = [], set[str]()
    for changes in combinations:
        try:
            settings = load_one(work, changes)
        except ConfigError:
            continue
        if (reads := reads_of(settings)) in prepared:
            continue
        prepared.add(reads)
        hashes.append(settings.hash)
        try:
            prepare(work, changes)
        except ComponentError as wrong:
            if wrong.error_code in NOTHING_TO_READ:
                raise
            continue  # the row of each such run says it
    prints = [fingerprint_of(provider) for provider in work.providers.values()]
    return {
        "grid": {key: list(values) for key, values in grid.items()},
        "runs": len(combinations),
        "configs": hashes,
        "data": prints,
        "version": VERSION,
    }
