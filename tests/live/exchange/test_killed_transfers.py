"""A process is killed around every write, call and answer of a transfer: it is made once, and nothing of it is lost on the way."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from basis_strategy_v1.live.exchange_orders import client_id_of
from basis_strategy_v1.monitoring.event_reader import event_files, read_events

from ...kill_points import forks_of
from ..killed_plan import KILLED, MOST_PROCESSES, KilledPlan
from .conftest import HELD, MARGIN
from .trader import next_minute, theirs
from .transfers import HELD as IN_WALLET
from .transfers import ChainWallet

OUT = [("w1", "out", "1000")]
IN = [("d1", "in", "500")]
ALL = [("w1", "out", "1000"), ("k1", "buy", "0.5"), ("d1", "in", "500"), ("w2", "out", "300")]
LITTLE = {"grant": {"venue": "binance", "wallet": "spot", "USDT": "500", "ETH": "5"}}  # the rest lies in the futures wallet
POINTS = ("after sent", "before binance.send", "after binance.send", "before close", "after close", "after binance.due")
BEGUN = "before intended"


@pytest.fixture(scope="module")
def forks():
    with forks_of("tests.live.exchange.killed_transfers") as parent:
        yield parent


class Run(KilledPlan):
    """Each process begins a quarter of an hour after the one before."""

    function = "run"

    def __init__(self, forks, exchange, folder, plan, held=(HELD, MARGIN)):
        super().__init__(forks, exchange, folder, plan)
        exchange.begin(folder / "exchange.jsonl", *held)

    def given(self):
        return {"now": (next_minute(self.venue) + timedelta(minutes=15)).isoformat()}

    def finish(self):
        """Let processes go on until everything is settled and nothing is in transit."""
        super().finish()
        for _ in range(MOST_PROCESSES):
            with self.journal() as journal:
                if not journal.state().parts.get("in_transit", None) or not journal.state().positions().get("in_transit"):
                    return
            assert self.process() == 0
        raise AssertionError("something is still in transit")

    def require_all_once(self):
        """The exchange and the chain have made each of them once; journal, log and their ledgers hold the same."""
        account = self.venue.account("binance")
        kinds = {kind: [key for key, its, _ in self.plan if its == kind] for _, kind, _ in self.plan}
        sent = sorted(client_id_of(key, "run") for key in kinds.get("out", ()))
        assert sorted(row["client_id"] for row in account["withdrawals"]) == sent
        assert len({row["hash"] for row in account["deposits"]}) == len(account["deposits"]) == len(kinds.get("in", ()))
        assert len(account["orders"]) == len(kinds.get("buy", ()))
        with self.journal() as journal:
            held = journal.state().positions()
            assert held["binance"] == theirs(self.venue)
            assert held["wallet"] == ChainWallet(self.venue, self._folder, None, IN_WALLET).read().positions()["wallet"]
            assert (journal.open_entries(), journal.unlogged_entries(), journal.unlogged_due()) == ([], [], [])
        paths = event_files(self._folder / "logs")["execution_interface_manager_events"]
        events = [event for path in paths for event in read_events(path)]
        executed = [event["data"]["key"] for event in events if event["event_type"] == "execution"]
        assert sorted(executed) == sorted(key for key, *_ in self.plan)
        settled = [event["data"]["key"] for event in events if event["event_type"] == "settlement"]
        assert len(settled) == len(set(settled)) == 2 * len(kinds.get("out", ())) + len(kinds.get("in", ()))


def points_of(forks, exchange, folder, plan, **held):
    """The points that a process without faults passes from its first instruction on, each with its number."""
    whole = Run(forks, exchange, folder, plan, **held)
    assert whole.process() == 0
    points = whole.points()
    whole.finish()
    whole.require_all_once()
    begins = points.index(BEGUN)
    return list(enumerate(points[begins:], begins + 1))


@pytest.mark.parametrize("points", [POINTS, pytest.param(None, marks=pytest.mark.prove)], ids=["some", "all"])
@pytest.mark.parametrize("plan", [pytest.param(OUT, id="withdrawal"), pytest.param(IN, id="deposit", marks=pytest.mark.prove)])
def test_a_kill_at_each_point_of_a_transfer_makes_it_once_and_loses_nothing(forks, exchange, folder, plan, points):
    for number, name in points_of(forks, exchange, folder / "whole", plan):
        if points is not None and name not in points:
            continue
        run = Run(forks, exchange, folder / str(number), plan)
        assert (run.process(number), run.points()[-1]) == (KILLED, name)
        run.finish()
        run.require_all_once()


FAULTS = ("drop_unread", "drop", "drop_after", "hang", "hang_after", "empty_after", "html_after", "truncated_after", "half_after", "", "")
KINDS = ("withdraw", "withdrawals", "deposits", "transfer", "order", "fills", "balance", "address")


@pytest.mark.prove
@pytest.mark.parametrize("part", range(10))
def test_twenty_kills_over_random_transfers_and_faults_make_each_once(forks, exchange, folder, part, pytestconfig):
    chance = random.Random(f"{part} {pytestconfig.getoption('hypothesis_seed', None)}")
    kills = number = 0
    while kills < 20:
        number += 1
        plan = chance.choice((OUT, IN, ALL, chance.sample(ALL, 2)))
        run = Run(forks, exchange, folder / str(number), plan, (chance.choice((HELD, LITTLE)), MARGIN))
        for _ in range(chance.randint(1, 3)):
            for _ in run.plan:
                if fault := chance.choice(FAULTS):
                    exchange.fault(chance.choice(KINDS), fault)
            kills += run.process(chance.randint(1, 40 + 30 * len(run.plan))) == KILLED
        exchange.control(clear=True)
        run.finish()
        run.require_all_once()
