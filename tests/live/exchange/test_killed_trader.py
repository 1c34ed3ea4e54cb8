"""A process is killed around every write, call and answer: the exchange executes each order at most once, and each delta is logged once."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from basis_strategy_v1.live.exchange_orders import client_id_of

from ...kill_points import forks_of
from ..killed_plan import KILLED, KilledPlan
from .conftest import HELD, MARGIN
from .trader import next_minute, theirs

SPOT = [("k1", "spot", "buy", "0.5")]
PERP = [("k1", "perp", "sell", "0.5")]
BOTH = [("k1", "spot", "buy", "0.5"), ("k2", "perp", "sell", "0.5")]
NO_MARGIN = {"grant": {"venue": "binance", "wallet": "spot", "USDT": "3000"}}
CALLS = ("after gateway.move_for", "after gateway.prepare", "before gateway.send", "after gateway.send")
BEGUN = "before intended"


@pytest.fixture(scope="module")
def forks():
    with forks_of("tests.live.exchange.killed_trader") as parent:
        yield parent


class Run(KilledPlan):
    """Each process begins a minute after the one before."""

    function = "trade"

    def __init__(self, forks, exchange, folder, plan, held=(HELD, MARGIN)):
        super().__init__(forks, exchange, folder, plan)
        exchange.begin(folder / "exchange.jsonl", *held)

    def given(self):
        return {"now": next_minute(self.venue).isoformat()}

    def require_all_once(self):
        """The exchange executed each order once; log, journal and its ledger hold the same."""
        filled = [order["client_id"] for order in self.venue.account("binance")["orders"] if Decimal(order["filled"])]
        assert sorted(filled) == sorted(client_id_of(key, "run") for key, *_ in self.plan)
        assert sorted(key for key, _ in self.logged()) == sorted(key for key, *_ in self.plan)
        with self.journal() as journal:
            assert journal.state().parts["binance"].positions() == theirs(self.venue)
            assert (journal.open_entries(), journal.unlogged_entries()) == ([], [])


def points_of(forks, exchange, folder, plan, **held):
    """The points that a process without faults passes from its first order on, each with its number."""
    whole = Run(forks, exchange, folder, plan, **held)
    assert whole.process() == 0
    whole.require_all_once()
    points = whole.points()
    begins = points.index(BEGUN)
    return list(enumerate(points[begins:], begins + 1))


def test_one_spot_order_is_sent_the_process_is_killed_and_the_next_one_recovers_it(forks, exchange, folder):
    (number,) = [number for number, name in points_of(forks, exchange, folder / "whole", SPOT) if name == "after gateway.send"]
    run = Run(forks, exchange, folder / "run", SPOT)
    assert run.process(number) == KILLED
    assert len(exchange.account("binance")["orders"]) == 1
    assert run.process() == 0
    run.require_all_once()


@pytest.mark.parametrize("plan", [pytest.param(SPOT, id="spot"), pytest.param(PERP, id="perp", marks=pytest.mark.prove)])
def test_a_kill_at_each_point_of_an_order_executes_and_logs_it_once(forks, exchange, folder, plan):
    for number, name in points_of(forks, exchange, folder / "whole", plan):
        run = Run(forks, exchange, folder / str(number), plan)
        assert (run.process(number), run.points()[-1]) == (KILLED, name)
        run.finish()
        run.require_all_once()


@pytest.mark.parametrize("points", [CALLS, pytest.param(None, marks=pytest.mark.prove)], ids=["calls", "all"])
def test_a_kill_at_each_point_of_a_move_between_the_wallets_makes_it_once(forks, exchange, folder, points):
    held = {"held": (NO_MARGIN,)}
    for number, name in points_of(forks, exchange, folder / "whole", PERP, **held):
        if points is not None and name not in points:
            continue
        run = Run(forks, exchange, folder / str(number), PERP, **held)
        assert (run.process(number), run.points()[-1]) == (KILLED, name)
        run.finish()
        run.require_all_once()
        assert len(exchange.account("binance")["transfers"]) == 1


FAULTS = ("drop_unread", "drop", "drop_after", "hang", "hang_after", "empty_after", "html_after", "truncated_after", "half_after", "", "")


@pytest.mark.prove
@pytest.mark.parametrize("part", range(10))
def test_twenty_kills_over_random_plans_and_faults_execute_and_log_each_order_once(forks, exchange, folder, part, pytestconfig):
    chance = random.Random(f"{part} {pytestconfig.getoption('hypothesis_seed', None)}")
    kills = number = 0
    while kills < 20:
        number += 1
        run = Run(forks, exchange, folder / str(number), chance.choice((SPOT, PERP, BOTH)), (chance.choice((HELD, NO_MARGIN)), MARGIN))
        for _ in range(chance.randint(1, 3)):
            for _ in run.plan:
                if fault := chance.choice(FAULTS):
                    exchange.fault(chance.choice(("order", "fills", "find", "transfer")), fault)
            kills += run.process(chance.randint(1, 30 + 25 * len(run.plan))) == KILLED
        exchange.control(clear=True)
        run.finish()
        run.require_all_once()
