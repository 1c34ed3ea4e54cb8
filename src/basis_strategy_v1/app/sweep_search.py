"""Which runs a sweep makes: the whole grid, those that optuna asks for, or a walk forward.

A search yields runs together, is sent their rows, and yields the next ones. What it yields depends on the rows alone, so that a sweep
that was killed goes on where it was.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.clock import iso
from basis_strategy_v1.core.error_codes.exceptions import ComponentError

Changes = dict[str, Any]
Row = Mapping[str, Any]
ASKED_TOGETHER = 4  # by optuna, whatever the number of workers, so that the rows do not depend on it
TRAIN, TEST = "train", "test"


class Trial(NamedTuple):
    """One run: what is set in its config, and what its row says besides."""

    changes: Changes
    labels: Mapping[str, Any] = {}


Search = Generator[list[Trial], list[Row], None]


class Windows(NamedTuple):
    """A walk forward: on `train` the best combination is chosen, and `test` after it shows what it was worth; both move by `test`."""

    train: timedelta
    test: timedelta

    @classmethod
    def of(cls, text: str) -> Windows:
        """From `90d/30d`.

        Raises:
            ComponentError: CFG-001, it has another form.
        """
        match = re.fullmatch(r"([1-9]\d{0,3})d/([1-9]\d{0,3})d", text)
        if match is None:
            raise ComponentError(
                "CFG-001", f"sweep: walk-forward {shown(text)}; expected days to choose on and days to try, such as 90d/30d"
            )
        return cls(*(timedelta(days=int(days)) for days in match.groups()))


def whole_grid(combinations: Sequence[Changes]) -> Search:
    """Every combination, once."""
    yield [Trial(changes) for changes in combinations]


def walk_forward(windows: Windows, combinations: Sequence[Changes], start: datetime, end: datetime, metric: str) -> Search:
    """All combinations on each training window, then the best of each by `metric` on the window after it.

    Raises:
        ComponentError: CFG-001, the time of the run holds no two windows.
    """
    spans = []
    begin = start
    while begin + windows.train + windows.test <= end:
        middle = begin + windows.train
        spans.append((begin, middle, middle + windows.test))
        begin += windows.test
    if not spans:
        given, needed = (end - start).days, (windows.train + windows.test).days
        raise ComponentError("CFG-001", f"sweep: walk-forward needs {needed} days, the run has {given} ({iso(start)} to {iso(end)})")
    rows = yield [
        _in_window(number, TRAIN, begin, middle, changes) for number, (begin, middle, _) in enumerate(spans, 1) for changes in combinations
    ]
    tests = []
    for number, (_, middle, last) in enumerate(spans, 1):
        own = rows[(number - 1) * len(combinations) : number * len(combinations)]
        best = max(range(len(own)), key=lambda place: worth_of(own[place], metric))
        tests.append(_in_window(number, TEST, middle, last, combinations[best]))
    yield tests


def _in_window(number: int, part: str, start: datetime, end: datetime, changes: Changes) -> Trial:
    ends = {"start": iso(start), "end": iso(end)}
    return Trial({**changes, **ends}, {"window": number, "part": part, **ends})


def by_optuna(grid: Mapping[str, Sequence[Any]], count: int, seed: int, metric: str) -> Search:
    """`count` combinations of the grid, each chosen by the rows before it (optuna's TPE).

    Raises:
        ComponentError: CFG-001, optuna is not installed.
    """
    try:
        import optuna
    except ImportError as missing:
        raise ComponentError("CFG-001", "sweep: --optuna needs the extra search: pip install 'basis-strategy[search]'") from missing
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    of = optuna.distributions
    places: dict[str, Any] = {
        key: of.IntDistribution(0, len(values) - 1) if _is_in_order(values) else of.CategoricalDistribution(tuple(range(len(values))))
        for key, values in grid.items()
    }
    done = 0
    while done < count:
        trials = [study.ask(places) for _ in range(min(ASKED_TOGETHER, count - done))]
        rows = yield [Trial({key: grid[key][trial.params[key]] for key in grid}) for trial in trials]
        for trial, row in zip(trials, rows, strict=True):
            study.tell(trial, worth_of(row, metric))
        done += len(trials)


def _is_in_order(values: Sequence[Any]) -> bool:
    """Whether near places have near values, so that a good one says something of those next to it."""
    return all(isinstance(value, int | float) for value in values) and list(values) == sorted(values)


WORST = -1e300


def worth_of(row: Row, metric: str) -> float:
    """A row's figure; a run that failed, or has none, is worth less than any other."""
    value = row.get(metric)
    return WORST if row["error"] or value is None else float(value)
