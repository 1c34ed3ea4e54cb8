"""A sweep: the same config with each combination of a grid, a process a run, a row a run."""

from __future__ import annotations

import itertools
import math
import multiprocessing
import os
import signal
import time
from multiprocessing.connection import wait
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.app import build, fingerprint_of, maker_of, open_data
from basis_strategy_v1.app.arrow_table import ArrowTable
from basis_strategy_v1.app.own_strategy import OwnStrategy, own_strategy
from basis_strategy_v1.app.period import missing_ends, other_faults
from basis_strategy_v1.app.sweep_rows import SweepFolder, failed, figures_of, table_of
from basis_strategy_v1.config import ConfigError, load_config
from basis_strategy_v1.config.loading import raw_config
from basis_strategy_v1.core.amounts import counted, shown
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.version import VERSION
from basis_strategy_v1.data.data_provider import DataProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.context import ForkProcess

    from basis_strategy_v1.config import Config

BACKENDS = ("processes", "ray")
NOTHING_TO_READ = ("DAT-006", "STR-001")  # what no run of the sweep could begin with
TRIES = 2  # of a run whose process was killed
MOST_UNASKED = 10_000  # combinations that are run without being asked for again

Changes = dict[str, Any]


class Work(NamedTuple):
    """What every run of a sweep has in common."""

    config: Any
    data: Any
    own: OwnStrategy | None
    providers: dict[Any, DataProvider]  # loaded before the processes begin, so that they share what is in memory
    period: Mapping[str, Any] = MappingProxyType({})  # the start and the end that the config leaves out

    def changes(self, combination: Changes) -> Changes:
        """What is set in the config for one run."""
        return {**(self.own.changes if self.own else {}), **self.period, **combination}


class _Running(NamedTuple):
    place: int
    process: ForkProcess
    answer: Connection
    ends_at: float


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

    Each run is a process of its own, forked from this one, which has read the data: nothing that a run changes is seen by another, and
    a run that dies costs only itself. The rows do not depend on `workers` (default: one per core). A failed run is a row with its `error`.

    Args:
        config, data, strategy: as of `run`.
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
    if backend != BACKENDS[0]:
        known = (
            "the ray backend is not in this version" if backend == "ray" else f"backend: {shown(backend)} is not {' or '.join(BACKENDS)}"
        )
        raise ComponentError("CFG-001", f"sweep: {known}; use processes")
    combinations = combinations_of(grid, random, seed)
    own = None if strategy is None else own_strategy(strategy, raw_config(config).get("strategy"))
    work = Work(config, data, own, {})
    work = work._replace(period=_period(work, combinations))
    _require_keys(work, grid, combinations[0])
    identity = _identity(work, grid, combinations)
    folder = None if out is None else SweepFolder(Path(out), identity)
    rows: dict[int, dict[str, Any]] = {} if folder is None else folder.rows
    try:
        _run_all(work, combinations, rows, folder, _workers(workers), timeout_s, progress)
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


def _workers(workers: int | None) -> int:
    if workers is not None and workers < 1:
        raise ComponentError("CFG-001", f"sweep: workers must be at least 1, got {workers}")
    return workers or len(os.sched_getaffinity(0))


def _load(work: Work, changes: Changes, *, run: bool = True) -> Any:
    return load_config(work.config, run=run, changes=work.changes(changes), code=work.own.code if work.own else "")


def _period(work: Work, combinations: Sequence[Changes]) -> Changes:
    """The start and the end that the config leaves out: what the series of all runs cover, so that the runs are of one time.

    Raises:
        ComponentError: why the data say it for no run.
    """
    found: dict[str, list[str]] = {}
    causes, prepared = [], set[str]()
    for changes in combinations:
        try:
            settings = _load(work, changes, run=False)
        except ConfigError:
            continue  # the row of such a run says it
        if (reads := f"{settings.interval} {_reads(settings)}") in prepared:
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


def _reads(settings: Config) -> str:
    """What the series that a run reads depend on."""
    return repr((_key_of(settings), [value for value in _flat(settings.effective["strategy"]) if isinstance(value, str)]))


def _require_keys(work: Work, grid: Mapping[str, Sequence[Any]], first: Changes) -> None:
    """Refuse a key of which no value can be read: it is unknown, or wrong throughout. One wrong value is a row with an error."""
    for key, values in grid.items():
        faults = []
        for value in values if isinstance(values, list | tuple | range) else [values]:
            try:
                _load(work, {**first, key: value})
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
            settings = _load(work, changes)
        except ConfigError:
            continue
        if (reads := _reads(settings)) in prepared:
            continue
        prepared.add(reads)
        hashes.append(settings.hash)
        try:
            _prepare(work, changes)
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


def _flat(value: Any) -> list[Any]:
    return [inner for each in value.values() for inner in _flat(each)] if isinstance(value, dict) else [value]


def _prepare(work: Work, changes: Changes) -> None:
    """Put a run together, so that its series are in memory."""
    engine = build(work.config, _provider_of(work, changes), None, changes=work.changes(changes), own=work.own)
    engine.event_logger.close()


def _key_of(settings: Any) -> Any:
    """What a provider of data depends on."""
    data = settings.data
    own = getattr(settings.strategy, "spot_venue", None)
    return repr(
        (
            settings.start,
            settings.end,
            data.directory,
            data.database,
            data.max_staleness,
            data.missing_funding,
            own,
            list(settings.venues.cex),
        )
    )


def _provider_of(work: Work, changes: Changes) -> Any:
    """The data of one run: the series that were read already, with nothing noted of another run."""
    if work.data is not None and not isinstance(work.data, str | Path):
        return work.data
    settings = _load(work, changes)
    key = _key_of(settings)
    if key not in work.providers:
        work.providers[key] = open_data(settings, work.data)
    return work.providers[key].again()


def _run_all(
    work: Work,
    combinations: Sequence[Changes],
    rows: dict[int, dict[str, Any]],
    folder: SweepFolder | None,
    workers: int,
    timeout_s: float,
    progress: Callable[[int, int], None] | None,
) -> None:
    waiting = [index for index in range(len(combinations)) if index not in rows]
    waiting.reverse()
    tried: dict[int, int] = {}
    running: dict[Connection, _Running] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                started = _start(work, waiting[-1], combinations[waiting[-1]], timeout_s)
                waiting.pop()
                running[started.answer] = started
            for answer in _ready(running):
                one = running.pop(answer)
                row = _row_of(one)
                if row is None and tried.setdefault(one.place, 1) < TRIES:
                    tried[one.place] += 1
                    waiting.append(one.place)
                    continue
                row = row or failed(f"its process was killed ({counted(TRIES, 'time')})")
                rows[one.place] = row
                if folder is not None:
                    folder.add(one.place, row)
                if progress is not None:
                    progress(len(rows), len(combinations))
    finally:
        for one in running.values():
            one.process.kill()
        for one in running.values():
            one.process.join()
            one.answer.close()


def _ready(running: Mapping[Connection, _Running]) -> list[Any]:
    """The runs that have answered, have died, or have taken too long; it waits until there is one."""
    ends_at = min(one.ends_at for one in running.values())
    ready = wait(list(running), None if ends_at == math.inf else max(ends_at - time.monotonic(), 0))
    return ready or [answer for answer, one in running.items() if one.ends_at <= time.monotonic()]


def _start(work: Work, index: int, changes: Changes, timeout_s: float) -> _Running:
    context = multiprocessing.get_context("fork")
    answer, question = context.Pipe(duplex=False)
    process = context.Process(target=_in_process, args=(work, changes, question), daemon=True)
    process.start()
    question.close()
    return _Running(index, process, answer, time.monotonic() + timeout_s)


def _row_of(one: _Running) -> dict[str, Any] | None:
    """The row of a run that has ended; None where its process died without one."""
    row: dict[str, Any] | None = None
    if one.answer.poll():
        try:
            row = one.answer.recv()
        except EOFError:
            row = None
    elif one.process.is_alive():
        row = failed("it took longer than the timeout")
    one.process.kill()
    one.process.join()
    one.answer.close()
    return row


def _in_process(work: Work, changes: Changes, answer: Connection) -> None:
    """One run, in a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends it
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    answer.send(row_of(work, changes))
    answer.close()


def row_of(work: Work, changes: Changes) -> dict[str, Any]:
    """The figures of one run, or its error."""
    try:
        engine = build(work.config, _provider_of(work, changes), None, changes=work.changes(changes), own=work.own)
        return figures_of(engine.run().summary)
    except ComponentError as error:
        return failed(" ".join(str(error).split()))
    except Exception as error:  # noqa: BLE001 whatever ends one run is its row: the others go on
        return failed(" ".join(f"{type(error).__name__}: {error}".split()))
