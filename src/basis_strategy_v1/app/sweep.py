"""A sweep: the same config with each combination of a grid, a process a run, a row a run."""

from __future__ import annotations

import itertools
import math
import os
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.app import fingerprint_of, maker_of, open_data
from basis_strategy_v1.app.arrow_table import ArrowTable
from basis_strategy_v1.app.own_strategy import own_strategy
from basis_strategy_v1.app.period import missing_ends, other_faults
from basis_strategy_v1.app.sweep_processes import rows_in_processes
from basis_strategy_v1.app.sweep_rows import SweepFolder, columns, table_of
from basis_strategy_v1.app.sweep_search import Windows, by_optuna, whole_grid
from basis_strategy_v1.app.sweep_search import walk_forward as forward
from basis_strategy_v1.app.sweep_work import Changes, Work, load_one, prepare, reads_of
from basis_strategy_v1.config import ConfigError
from basis_strategy_v1.config.loading import raw_config
from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from basis_strategy_v1.app.sweep_search import Search, Trial
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
    optuna: int | None = None,
    walk_forward: str | None = None,
    metric: str = "sharpe",
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
        optuna: so many of the combinations, each chosen by the rows before it for the highest `metric` (a column of the table).
        walk_forward: `90d/30d`: all combinations on the first 90 days, the best by `metric` on the 30 days after them, and so on each 30
            days. The rows say their `window`, their `part` (train, test), `start` and `end`.
        timeout_s: a run that takes longer is ended; its row says so.
        progress: called with (done, total).

    Returns:
        A table in the order of the grid, or of the search: the swept keys under their full names, `run_id`, `error`, and the figures of
        the summary.

    Raises:
        ComponentError: CFG-001, an unknown key, no combination, no such backend, or a walk forward longer than the run; RES-001, the
            folder cannot be used; or what `run` raises before it begins.
    """
    if backend not in BACKENDS:
        raise ComponentError("CFG-001", f"sweep: backend {shown(backend)} is not {' or '.join(BACKENDS)}")
    lists = {key: list(values) if isinstance(values, list | tuple | range) else [values] for key, values in grid.items()}
    _require_one_way(random=random, optuna=optuna, walk_forward=walk_forward)
    if metric not in (known := columns(())[2:]):
        raise ComponentError("CFG-001", f"sweep: metric {shown(metric)} is no column of the table; it has {', '.join(known)}")
    windows = None if walk_forward is None else Windows.of(walk_forward)
    combinations = combinations_of(lists, random, seed) if optuna is None else _along_each_key(lists)
    own = None if strategy is None else own_strategy(strategy, raw_config(config).get("strategy"))
    work = Work(config, data, own, {})
    work = work._replace(period=_period(work, combinations))
    _require_keys(work, lists, combinations[0])
    if windows is not None:
        settings = load_one(work, combinations[0])
        assert settings.start is not None and settings.end is not None
        search = forward(windows, combinations, settings.start, settings.end, metric)
    else:
        search = whole_grid(combinations) if optuna is None else by_optuna(lists, optuna, seed, metric)
    asked = next(search)  # before the data are read: what it refuses, it refuses at once
    identity = _identity(work, lists, combinations, asked) | {"search": [random, optuna, walk_forward, metric, seed]}
    runs = Runs(work, backend, _counted_workers(workers), timeout_s, progress)
    folder = None if out is None else SweepFolder(Path(out), identity)
    try:
        trials = runs.all_of(search, asked, folder, optuna)
        labels = list(trials[0].labels)
        table = table_of([*labels, *lists], [{**trial.labels, **trial.changes} for trial in trials], runs.rows)
        if folder is not None:
            folder.finish(table)
    finally:
        if folder is not None:
            folder.close()
    return ArrowTable(table)


class Runs:
    """Makes the runs of a search, and keeps their rows by place."""

    def __init__(
        self, work: Work, backend: str, workers: int | None, timeout_s: float, progress: Callable[[int, int], None] | None
    ) -> None:
        self._work, self._backend, self._workers, self._timeout_s, self._progress = work, backend, workers, timeout_s, progress
        self.rows: dict[int, Row] = {}
        self._made: dict[str, Row] = {}  # by what was set in the config

    def all_of(self, search: Search, asked: list[Trial], folder: SweepFolder | None, total: int | None) -> list[Trial]:
        """Every run that the search asks for, in its order; those that the folder has are not made again."""
        self.rows = {} if folder is None else folder.rows
        trials: list[Trial] = []
        while True:
            first = len(trials)
            trials += asked
            for trial in asked if first else ():  # of times that were not among the first ones
                with suppress(ComponentError):
                    prepare(self._work, trial.changes)
            self._make([(place, trials[place].changes) for place in range(first, len(trials))], folder, total or len(trials))
            try:
                asked = search.send([self.rows[place] for place in range(first, len(trials))])
            except StopIteration:
                return trials

    def _make(self, runs: list[tuple[int, Changes]], folder: SweepFolder | None, total: int) -> None:
        waiting = [(place, changes) for place, changes in runs if place not in self.rows]
        for place, changes in [run for run in waiting if repr(run[1]) in self._made]:  # optuna asks for some twice
            self._keep(place, self._made[repr(changes)], folder, total)
            waiting.remove((place, changes))
        made = dict(runs)
        with closing(_rows_of(self._backend, self._work, waiting, self._workers, self._timeout_s)) as finished:
            for place, row in finished:
                self._keep(place, row, folder, total)
        self._made |= {repr(made[place]): self.rows[place] for place in made}

    def _keep(self, place: int, row: Row, folder: SweepFolder | None, total: int) -> None:
        self.rows[place] = row
        if folder is not None:
            folder.add(place, row)
        if self._progress is not None:
            self._progress(len(self.rows), total)


def _require_one_way(**given: int | str | None) -> None:
    written = [name.replace("_", "-") for name, value in given.items() if value is not None]
    if len(written) > 1 and written != ["random", "walk-forward"]:
        raise ComponentError("CFG-001", f"sweep: {' and '.join(written)} exclude each other; choose one")
    if given["optuna"] is not None and int(given["optuna"]) < 1:
        raise ComponentError("CFG-001", f"sweep: optuna must be at least 1, got {given['optuna']}")


def _along_each_key(grid: Mapping[str, Sequence[Any]]) -> list[Changes]:
    """The first combination, and each value of each key in it: all that the data of any combination depend on, in most grids."""
    (first,) = combinations_of({key: values[:1] for key, values in grid.items()})
    return [first, *({**first, key: value} for key, values in grid.items() for value in values[1:])]


def combinations_of(grid: Mapping[str, Sequence[Any]], random: int | None = None, seed: int = 0) -> list[Changes]:
    """The combinations of a grid in its order, the last key changing fastest; `random`: so many of them.

    Raises:
        ComponentError: CFG-001, there is none.
    """
    values = grid
    total = size_of(grid)
    if not values or not total:
        raise ComponentError("CFG-001", "sweep: the grid is empty; give each key at least one value, such as strategy.leverage=1,2,3")
    if random is not None:
        if random < 1:
            raise ComponentError("CFG-001", f"sweep: random must be at least 1, got {random}")
        lists = list(values.items())
        places = sorted(Random(seed).sample(range(total), min(random, total)))
        return [_at(place, lists) for place in places]
    return [dict(zip(values, each, strict=True)) for each in itertools.product(*values.values())]


def _at(place: int, lists: Sequence[tuple[str, Sequence[Any]]]) -> Changes:
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
        for value in values:
            try:
                load_one(work, {**first, key: value})
                break
            except ConfigError as wrong:
                faults.append(wrong)
        else:
            others = other_faults(faults[0])
            raise ConfigError(others) if others else faults[0]


def _identity(work: Work, grid: Mapping[str, Sequence[Any]], combinations: Sequence[Changes], asked: Sequence[Trial]) -> dict[str, Any]:
    """What makes it this sweep: the grid, the config, the data and the version. The data are read for it, before the processes begin."""
    hashes, prepared = [], set[str]()
    for changes in [*combinations, *(trial.changes for trial in asked if trial.labels)]:
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
