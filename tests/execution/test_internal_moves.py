"""A move between the wallets of one account is a step of its own: written down, sent once, looked up, before the order that needs it."""

from __future__ import annotations

from decimal import Decimal

import pytest

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, OutcomeUnknown, VenueRejected, VenueUnreachable
from basis_strategy_v1.core.gateway import Happened, MalformedAnswer
from basis_strategy_v1.core.instructions import WalletTransfer, is_internal_move
from basis_strategy_v1.execution.recovery import Recovery
from basis_strategy_v1.execution.risk import approve_move

from .memory_live_journal import Held, MemoryLiveJournal
from .scripted_gateway import ScriptedGateway, StillTime
from .sending import BEFORE, BUY, FILL, NEVER, PENDING, REFUSED, REJECTED, UNCHECKED, UNKNOWN, Bench, order

MOVE = WalletTransfer(from_venue="binance", to_venue="binance", token="USDT", amount=Decimal(10), network="spot-perp")
MOVED = Happened(deltas=Deltas(), reference="transfer 9", details={"moved": "10"})


class Mover(ScriptedGateway):
    """A scripted account with two wallets: each order meets the next of `moves`, and none afterwards."""

    def __init__(self, *args, moves=(MOVE,), **options):
        super().__init__(*args, **options)
        self.moves = list(moves)

    def move_for(self, order):
        self.calls.append(f"move_for {order.key}")
        return self._done(self.moves.pop(0)) if self.moves else None


class Wallets(Bench):
    def __init__(self, *sends, moves=(MOVE,), finds=None, held=UNCHECKED, **settings):
        self.time = StillTime()
        self.gateway = Mover(self.time, sends, finds, moves=moves)
        self.journal = MemoryLiveJournal()
        self.holdings = Held(held)
        self.senders = self.make([self.gateway], **settings)

    @property
    def rows(self):
        return {key: str(entry.status) for key, entry in self.journal.entries.items()}


def test_a_move_is_made_before_the_order_as_a_row_of_its_own():
    bench = Wallets(MOVED, FILL)
    report = bench.send().report
    assert report.reference == "order 71"
    assert bench.gateway.executed == ["k1/0", "k1"]
    assert bench.rows == {"k1": "settled", "k1/0": "settled"}
    entry = bench.journal.entry("k1/0")
    assert (entry.parent, entry.instruction, entry.reports[-1].reference) == ("k1", MOVE, "transfer 9")


def test_an_order_that_needs_none_is_sent_at_once():
    bench = Wallets(FILL, moves=())
    bench.send()
    assert bench.rows == {"k1": "settled"}


def test_a_move_that_is_pending_is_waited_for():
    bench = Wallets(PENDING, FILL, finds=[PENDING, MOVED])
    bench.send()
    assert bench.gateway.calls == [
        *("move_for k1", "quote k1/0", "prepare k1/0", "send k1/0", "find k1/0", "find k1/0"),
        *("quote k1", "prepare k1", "send k1"),
    ]


def test_a_move_is_looked_up_as_an_order_is():
    bench = Wallets(UNKNOWN, FILL, finds=[MOVED])
    bench.send()
    assert bench.rows == {"k1": "settled", "k1/0": "settled"}


def test_an_order_whose_move_is_refused_is_refused():
    bench = Wallets(REJECTED)
    assert bench.fails(VenueRejected).message == REJECTED.message
    assert bench.rows == {"k1": "rejected", "k1/0": "rejected"}


def test_an_order_whose_move_was_never_made_is_tried_again_with_another():
    bench = Wallets(UNKNOWN, MOVED, FILL, moves=(MOVE, MOVE), finds=[NEVER])
    bench.send()
    assert bench.rows == {"k1": "settled", "k1/0": "settled"}
    assert bench.gateway.executed == ["k1/0", "k1"]


def test_an_order_whose_move_is_unknown_is_not_sent_and_the_move_stays_open():
    bench = Wallets(UNKNOWN, finds=[REFUSED] * 20, held=BEFORE)
    lost = bench.fails(OutcomeUnknown)
    assert "look for k1/0 at binance, then run `basis resolve k1/0 --happened REFERENCE`" in lost.message
    assert bench.rows == {"k1": "never happened", "k1/0": "sent"}
    assert bench.gateway.executed == []


def test_a_second_move_is_not_made_while_the_first_is_open():
    bench = Wallets(UNKNOWN, finds=[REFUSED] * 20, held=BEFORE, moves=(MOVE, MOVE))
    bench.fails(OutcomeUnknown)
    assert "what became of k1/0, which comes before k1" in bench.fails(OutcomeUnknown).message
    assert bench.rows == {"k1": "never happened", "k1/0": "sent"}
    assert bench.gateway.calls.count("send k1/0") == 1


def test_an_order_whose_move_cannot_be_read_is_not_sent():
    bench = Wallets(MalformedAnswer("a transfer without its id", {}))
    with pytest.raises(ComponentError) as raised:
        bench.send()
    assert raised.value.error_code == "EIM-003"
    assert bench.rows == {"k1": "never happened", "k1/0": "sent"}


@pytest.mark.parametrize("trouble", [UNKNOWN, MalformedAnswer("no balances", {}), RuntimeError("x")])
def test_wallets_that_cannot_be_seen_mean_that_nothing_was_sent(trouble):
    bench = Wallets(moves=[trouble] * 3)
    assert "binance did not show its wallets: " in bench.fails(VenueUnreachable).message
    assert bench.rows == {"k1": "never happened"}


def test_a_second_move_of_one_order_has_the_next_key():
    bench = Wallets(MOVED, REJECTED, MOVED, FILL, moves=(MOVE, MOVE))
    bench.fails(VenueRejected)
    bench.send()
    assert bench.rows == {"k1": "settled", "k1/0": "settled", "k1/1": "settled"}


def test_a_move_is_no_step_of_the_order_when_it_is_recovered():
    """The order was written down, its move was sent, and the process ended."""
    bench = Wallets(finds=[MOVED])
    bench.journal.intended(order())
    bench.journal.intended(approve_move(order("k1/0", MOVE, Deltas())).order, parent="k1")
    bench.journal.sent("k1/0", lambda nonce: bench.gateway._message(order("k1/0"), None, None, nonce))
    recovery = Recovery(bench.senders, bench.time.timing)
    assert {closed.entry.key for closed in recovery.until_closed().closed} == {"k1", "k1/0"}
    assert bench.rows == {"k1": "never happened", "k1/0": "settled"}
    assert recovery.unlogged(lambda keys: ())[0] == []


def test_an_order_after_a_move_is_logged_by_the_next_process():
    bench = Wallets(MOVED, FILL)
    bench.send()
    recovery = Recovery(bench.senders, bench.time.timing)
    assert [entry.key for entry in recovery.unlogged(lambda keys: ())[0]] == ["k1"]


def test_only_a_move_within_one_account_passes_without_the_limits():
    assert approve_move(order(instruction=MOVE)).spends_usd == 0
    elsewhere = WalletTransfer(from_venue="binance", to_venue="wallet", token="USDT", amount=Decimal(10))
    for instruction in (BUY, elsewhere):
        assert not is_internal_move(instruction)
        with pytest.raises(VenueRejected, match="k1 is no move within one account"):
            approve_move(order(instruction=instruction))
