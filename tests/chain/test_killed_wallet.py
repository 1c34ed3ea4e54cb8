"""A process is killed around every write, signature, sending and look-up: each transaction is made once, and reported once."""

from __future__ import annotations

import json

import pytest

from basis_strategy_v1.live.journal import SqliteJournal

from ..kill_points import forks_of
from .wallet_trader import action, in_units, transfer

pytestmark = pytest.mark.chain

KILLED = -9
PLAN = [
    transfer("USDT", "1000", instruction_id="pay"),
    action("supply", "USDT", "50000", instruction_id="supply"),
]
LONG = [
    *PLAN,
    action("borrow", "WETH", "3.5", instruction_id="borrow"),
    action("wrap", "ETH", "2", "wallet", instruction_id="wrap"),
    action("repay", "WETH", "all", instruction_id="repay"),
    action("withdraw", "USDT", "all", instruction_id="withdraw"),
]
BEGUN = "before intended"
IN_CHECK = 20


@pytest.fixture(scope="module")
def forks():
    with forks_of("tests.chain.killed_wallet") as parent:
        yield parent


class Run:
    """Processes that do one plan, one after the other, from one state of the chain."""

    def __init__(self, forks, world, folder, plan=PLAN):
        self._forks, self.world, self.folder, self.plan = forks, world, folder, plan
        folder.mkdir()
        self.kept = world.chain.snapshot()
        self.nonce = world.nonce()

    def process(self, kill_at=0):
        world = self.world
        return self._forks.run(
            "trade", self.folder / "passed", kill_at, folder=str(self.folder), url=world.chain.url, config=world.config(),
            shift_s=world.clock.shift.total_seconds(), plan=self.plan,
        )  # fmt: skip

    def points(self):
        return (self.folder / "passed").read_text().splitlines()

    def logged(self):
        lines = [json.loads(line) for path in (self.folder / "logs" / "events").glob("*.jsonl") for line in path.open()]
        return sorted(line["data"]["key"] for line in lines if line["event_type"] == "execution")

    def require_all_once(self):
        world = self.world
        assert world.nonce() - self.nonce == len(self.plan)
        assert self.logged() == sorted(block["instruction_id"] for block in self.plan)
        journal = SqliteJournal(self.folder / "state")
        try:
            held = journal.state().positions()
            assert in_units(held["wallet"] | held.get("aave", {})) == {name: units for name, units in world.balances().items() if units}
            assert (journal.open_entries(), journal.unlogged_entries()) == ([], [])
        finally:
            journal.close_file()

    def undo(self):
        self.world.chain.revert(self.kept)


def points_of(forks, world, folder, plan=PLAN):
    """The points that a process passes from its first order on, each with its number."""
    whole = Run(forks, world, folder, plan)
    assert whole.process() == 0
    whole.require_all_once()
    points = whole.points()
    whole.undo()
    begins = points.index(BEGUN)
    return list(enumerate(points[begins:], begins + 1))


def killed_at(forks, world, folder, number, plan=PLAN):
    """Whether a process was killed at about that point: where a node shows a receipt a look-up later there are points more, and without
    that one it may have ended before."""
    run = Run(forks, world, folder / str(number), plan)
    status = run.process(number)
    assert status in (KILLED, 0)
    assert run.process() == 0
    run.require_all_once()
    run.undo()
    return status == KILLED


def test_a_kill_after_the_sending_leaves_a_transaction_that_the_next_process_finds(forks, world, tmp_path):
    number = next(number for number, name in points_of(forks, world, tmp_path / "whole") if name == "after node.send_raw")
    run = Run(forks, world, tmp_path / "run")
    assert (run.process(number), run.points()[-1]) == (KILLED, "after node.send_raw")
    assert world.nonce() - run.nonce == 1
    assert run.process() == 0
    run.require_all_once()


def test_twenty_kills_between_the_points_of_a_plan_make_and_report_each_transaction_once(forks, world, tmp_path):
    points = points_of(forks, world, tmp_path / "whole")
    chosen = points[:: max(len(points) // (IN_CHECK + 2), 1)][:IN_CHECK]
    assert sum(killed_at(forks, world, tmp_path, number) for number, _ in chosen) == IN_CHECK


@pytest.mark.prove
@pytest.mark.timeout(900)
def test_a_kill_at_each_point_makes_and_reports_each_transaction_once(forks, world, tmp_path):
    points = points_of(forks, world, tmp_path / "whole", LONG)
    assert sum(killed_at(forks, world, tmp_path, number, LONG) for number, _ in points) > len(points) - 20
