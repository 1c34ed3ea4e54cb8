"""A process is killed around every write, call and answer: the venue executes each order at most once, and each delta is logged once."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from basis_strategy_v1.live.journal import SqliteJournal
from basis_strategy_v1.monitoring.event_reader import event_files, read_events

from ...kill_points import forks_of
from ...ledger_gateway import client_id_of
from ...venue_process import venue_process

ONE = [("k1", "buy", "0.5")]
KILLED = -9
# The points of a process that sends one order to a venue without faults.
WRITES = {"intended", "sent", "close", "logged"}
CALLS = {"gateway.quote", "gateway.prepare", "gateway.send", "gateway.read", "log.log_event"}
EXPECTED = {f"{when} {write}" for write in WRITES for when in ("before", "within", "after")}
EXPECTED |= {f"{when} {call}" for call in CALLS for when in ("before", "after")}
# How often the whole of an order may be tried again before it is settled.
MOST_ROUNDS = 12


@pytest.fixture(scope="module")
def forks():
    with forks_of("tests.live.crash.sending_process") as parent:
        yield parent


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with venue_process(tmp_path_factory.mktemp("venue") / "venue.jsonl") as process:
        yield process


@pytest.fixture
def folder():
    """In memory where the system has such: a kill takes nothing from it."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        yield Path(name)


class Run:
    """A plan that processes send one after another, until one of them has come to its end."""

    def __init__(self, forks, venue, folder, plan):
        self._forks, self.venue, self._folder, self._plan = forks, venue, folder, plan
        self._passed = folder / "passed"
        folder.mkdir(exist_ok=True)
        venue.begin(folder / "venue.jsonl")

    def process(self, kill_at=0):
        """The exit status of a process, or minus its signal."""
        return self._forks.run("send_plan", self._passed, kill_at, folder=str(self._folder), url=self.venue.url, plan=self._plan)

    def points(self):
        return self._passed.read_text().splitlines()

    def finish(self):
        """Let processes go on until everything is settled."""
        for _ in range(MOST_ROUNDS):
            assert self.process() == 0
            with SqliteJournal(self._folder / "state") as journal:
                entries = [journal.entry(key) for key, _, _ in self._plan]
            if all(entry is not None and str(entry.status) == "settled" for entry in entries):
                return
        raise AssertionError(f"{[str(entry and entry.status) for entry in entries]} after {MOST_ROUNDS} processes")

    def require_nothing_twice(self):
        assert max(Counter(self.venue.executed()).values(), default=0) <= 1

    def require_all_once(self):
        """Ledger, event log and journal say the same of each order."""
        assert sorted(self.venue.executed()) == sorted(client_id_of(key) for key, _, _ in self._plan)
        of_key = {line["client_id"]: line["deltas"] for line in self.venue.lines("execution")}
        logged = self.logged()
        assert sorted(key for key, _ in logged) == sorted(key for key, _, _ in self._plan)
        for key, deltas in logged:
            assert {token: Decimal(amount) for token, amount in deltas["binance"].items()} == {
                token: Decimal(amount) for token, amount in of_key[client_id_of(key)].items()
            }
        with SqliteJournal(self._folder / "state") as journal:
            assert journal.state().parts["binance"].balances == self.venue.balances()
            assert (journal.open_entries(), journal.unlogged_entries()) == ([], [])

    def logged(self):
        """(key, deltas) of each execution in the event log."""
        found = []
        for path in event_files(self._folder / "logs")["execution_interface_manager_events"]:
            found += [(event["data"]["key"], event["data"]["deltas"]) for event in read_events(path) if event["event_type"] == "execution"]
        return found


def test_a_kill_at_each_point_of_an_order_executes_and_logs_it_once(forks, running, folder):
    whole = Run(forks, running, folder / "whole", ONE)
    assert whole.process() == 0
    whole.require_all_once()
    points = whole.points()
    begins = points.index("before intended")
    assert set(points[begins:]) == EXPECTED
    for number, name in enumerate(points[begins:], begins + 1):
        run = Run(forks, running, folder / str(number), ONE)
        assert (run.process(number), run.points()[-1]) == (KILLED, name)
        run.require_nothing_twice()
        run.finish()
        run.require_all_once()


@pytest.mark.parametrize("fault", ["kill", "kill_after"])
def test_a_kill_while_the_venue_has_the_order_executes_and_logs_it_once(forks, running, folder, fault):
    run = Run(forks, running, folder / "run", ONE)
    running.control(on="order", fault=fault)
    assert run.process() == KILLED
    assert run.points()[-1] == "before gateway.send"
    run.finish()
    run.require_all_once()


FAULTS = (
    *("", "", "", "drop_unread", "drop", "drop_after", "hang", "hang_after", "503", "503_after", "html_after", "empty_after"),
    *("garbage_after", "half_after", "refuse", "kill", "kill_after"),
)


@pytest.mark.prove
@pytest.mark.parametrize("part", range(10))
def test_fifty_kills_over_random_plans_and_faults_execute_and_log_each_order_once(forks, running, folder, part, pytestconfig):
    chance = random.Random(f"{part} {pytestconfig.getoption('hypothesis_seed', None)}")
    kills = number = 0
    while kills < 50:
        number += 1
        plan = [(f"k{index}", chance.choice(("buy", "sell")), str(chance.randint(1, 9))) for index in range(chance.randint(1, 4))]
        run = Run(forks, running, folder / str(number), plan)
        for _ in range(chance.randint(1, 3)):
            for _ in plan:
                running.control(on="order", fault=chance.choice(FAULTS))
            running.control(lag=chance.choice((0, 0, 1, 4)))
            kills += run.process(chance.randint(1, 30 + 25 * len(plan))) == KILLED
            run.require_nothing_twice()
        running.control(clear=True)
        run.finish()
        run.require_all_once()
