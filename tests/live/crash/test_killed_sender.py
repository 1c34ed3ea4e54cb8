"""A process is killed around every write, call and answer: the venue executes each order at most once, and each delta is logged once."""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal

import pytest

from ...kill_points import forks_of
from ...ledger_gateway import client_id_of
from ...venue_process import VenueProcess
from ..killed_plan import KILLED, KilledPlan

ONE = [("k1", "buy", "0.5")]
# The points of a process that sends one order to a venue without faults.
WRITES = {"intended", "sent", "close", "logged"}
CALLS = {"gateway.quote", "gateway.prepare", "gateway.send", "gateway.read", "log.log_event"}
EXPECTED = {f"{when} {write}" for write in WRITES for when in ("before", "within", "after")}
EXPECTED |= {f"{when} {call}" for call in CALLS for when in ("before", "after")}


@pytest.fixture(scope="module")
def forks():
    with forks_of("tests.live.crash.sending_process") as parent:
        yield parent


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with VenueProcess(tmp_path_factory.mktemp("venue") / "venue.jsonl") as process:
        yield process


class Run(KilledPlan):
    function = "send_plan"

    def __init__(self, forks, venue, folder, plan):
        super().__init__(forks, venue, folder, plan)
        venue.begin(folder / "venue.jsonl")

    def require_nothing_twice(self):
        assert max(Counter(self.venue.executed()).values(), default=0) <= 1

    def require_all_once(self):
        """Ledger, event log and journal say the same of each order."""
        assert sorted(self.venue.executed()) == sorted(client_id_of(key) for key, _, _ in self.plan)
        of_key = {line["client_id"]: line["deltas"] for line in self.venue.lines("execution")}
        logged = self.logged()
        assert sorted(key for key, _ in logged) == sorted(key for key, _, _ in self.plan)
        for key, deltas in logged:
            assert {token: Decimal(amount) for token, amount in deltas["binance"].items()} == {
                token: Decimal(amount) for token, amount in of_key[client_id_of(key)].items()
            }
        with self.journal() as journal:
            assert journal.state().parts["binance"].balances == self.venue.balances()
            assert (journal.open_entries(), journal.unlogged_entries()) == ([], [])


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
