"""A process is killed while it writes the journal: what had returned is there, what had not is there wholly or not at all."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from basis_strategy_v1.live.journal import SqliteJournal

from ...kill_points import forks_of
from ..journal_model import Model, make, random_calls, seen

CALLS = 25
Killed = Callable[[Path, int, int], int]


@pytest.fixture(scope="module")
def killed() -> Iterator[Killed]:
    """`killed(folder, seed, point)`: a child has made the calls of a seed there, and was killed at a point (0: at none; -N: N microseconds
    after it began to write); gives minus its signal."""
    with forks_of("tests.live.crash.killed") as parent:

        def run(folder: Path, seed: int, point: int) -> int:
            given = {"folder": str(folder), "seed": seed, "count": CALLS, "alarm_us": max(-point, 0)}
            return parent.run("write_journal", folder / "passed", max(point, 0), **given)

        yield run


@pytest.fixture
def folders() -> Iterator[Iterator[Path]]:
    """New folders, in memory where the system has such: a kill takes nothing from them."""
    root = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    try:
        yield (made(root / str(number)) for number in range(10_000))
    finally:
        shutil.rmtree(root)


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def points(folder: Path, seed: int, killed: Killed) -> int:
    """How many points the calls of a seed pass."""
    assert killed(folder, seed, 0) == 0
    return len((folder / "passed").read_text().splitlines())


def returned(folder: Path) -> int:
    """How many calls had returned."""
    done = folder / "done"
    return len(done.read_text().splitlines()) if done.exists() else 0


def after(seed: int, count: int) -> Model:
    """What is there after the first calls of a seed."""
    model = Model()
    for call in random_calls(seed, count):
        make(call, model)
    return model


def require_survived(folder: Path, seed: int) -> str:
    """The journal is as after all calls that had returned, and goes on from there as if nothing had been. Gives where it was killed."""
    point = (folder / "passed").read_text().splitlines()[-1]
    count = returned(folder) + (point.startswith("after") and not point.endswith("create"))
    model = after(seed, count)
    with SqliteJournal(folder / "state", new_run="run") as journal:
        assert (seen(journal), journal.run) == (model.seen(), "run")
        for call in random_calls(seed, CALLS)[count:]:
            assert make(call, journal) == make(call, model)
        assert seen(journal) == model.seen()
    return point


@pytest.mark.parametrize("seed", range(5))
def test_what_had_returned_is_there_after_a_kill_at_a_point(seed: int, killed: Killed, folders: Iterator[Path]) -> None:
    every = points(next(folders), seed, killed)
    for point in random.Random(seed).sample(range(1, every + 1), 4):
        folder = next(folders)
        assert killed(folder, seed, point) == -9
        require_survived(folder, seed)


def test_a_kill_while_the_journal_is_made_leaves_none_or_a_whole_one(killed: Killed, folders: Iterator[Path]) -> None:
    at = []
    for point in (1, 2, 3):
        folder = next(folders)
        assert killed(folder, 0, point) == -9
        at.append(require_survived(folder, 0))
    assert at == ["before create", "within create", "after create"]


@pytest.mark.prove
def test_what_had_returned_is_there_after_a_kill_at_any_point_of_many_sequences(killed: Killed, folders: Iterator[Path]) -> None:
    chance, passed = random.Random(7), set()
    for seed in range(1_000, 1_500):
        every = points(next(folders), seed, killed)
        folder = next(folders)
        assert killed(folder, seed, chance.randint(1, every)) == -9
        passed.add(require_survived(folder, seed))
    writes = ("begin_plan", "end_plan", "intended", "sent", "note", "close", "logged", "resolve", "begin_account", "add_due", "due_logged")
    assert {f"{when} {write}" for when in ("before", "within", "after") for write in writes} <= passed


@pytest.mark.prove
def test_what_had_returned_is_there_after_a_kill_at_any_moment(killed: Killed, folders: Iterator[Path]) -> None:
    chance, kills = random.Random(8), 0
    for seed in range(2_000, 2_300):
        folder = next(folders)
        kills += killed(folder, seed, -chance.randint(1, 8_000)) == -9
        done = returned(folder)
        with SqliteJournal(folder / "state") as journal:
            assert seen(journal) in (after(seed, done).seen(), after(seed, done + 1).seen())
    assert kills > 50
