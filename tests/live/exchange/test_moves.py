"""The margin of a perp lies in the spot wallet, the money of a purchase in the futures wallet: it is moved once, whatever goes wrong."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

import pytest

from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueRejected
from basis_strategy_v1.core.journal import Status
from basis_strategy_v1.live.exchange_moves import made_by, mark_of
from basis_strategy_v1.live.exchange_orders import SentMove, client_id_of

D = Decimal
SPOT_ONLY = {"grant": {"venue": "binance", "wallet": "spot", "USDT": "3000"}}
PERP_ONLY = {"grant": {"venue": "binance", "wallet": "perp", "USDT": "3000"}}


def fault(name, **more):
    return {"on": "transfer", "fault": name, **more}


# What goes wrong with the move, and how many are made; None: the order is not sent then.
MATRIX = {
    "nothing": ([], 1),
    "dropped before it was read": ([fault("drop_unread")], 1),
    "dropped unexecuted": ([fault("drop")], 1),
    "executed and dropped": ([fault("drop_after")], 1),
    "hangs unexecuted": ([fault("hang")], 1),
    "executed and hangs": ([fault("hang_after")], 1),
    "executed and 502": ([fault("status", status=502, after=True)], 1),
    "503": ([fault("status", status=503)], 1),
    "executed and empty": ([fault("empty_after")], 1),
    "executed and half the JSON": ([fault("truncated_after")], 1),
    "executed and other JSON": ([fault("garbage_after")], 1),
    "executed, dropped, look-ups lag": ([{"lag_s": {"binance": 5}}, fault("drop_after")], 1),
    "429": ([fault("status", status=429, retry_after=0.2)], 1),
    "late, after it has expired": ([fault("late", seconds=5)], 1),
    "429 without, which lasts longer than the attempts": ([fault("status", status=429)], None),
    "executed and 429": ([fault("status", status=429, retry_after=0.2, after=True)], 1),
    "executed and cut off": ([fault("half_after")], 1),
    "slow": ([fault("delay", seconds=0.05)], 1),
    "in maintenance": ([{"maintenance": ["binance"]}], None),
    "refused": ([fault("refuse", reason="transfer_balance")], None),
}


@pytest.fixture
def begun(exchange, tmp_path, trade):
    """A trader who holds something in one wallet only."""

    def begin(held):
        exchange.begin(tmp_path / "one_wallet.jsonl", held)
        return trade(timeout_s=0.5)

    return begin


@pytest.mark.parametrize("name", MATRIX)
def test_the_margin_of_a_perp_is_moved_once(begun, exchange, name):
    commands, moves = MATRIX[name]
    trader = begun(SPOT_ONLY)
    exchange.control(*commands)
    with suppress(ComponentError):
        trader.send("k1", "perp", "sell", "0.5")
    exchange.control(clear=True)
    trader.again()
    made = exchange.account("binance")["transfers"]
    assert [(one["from"], one["to"], one["token"]) for one in made] == [("spot", "perp", "USDT")] * (moves or 0)
    assert len(trader.executed()) == (0 if moves is None else 1)
    assert not trader.journal.open_entries()
    children = trader.journal.children("k1")
    assert sum(child.status is Status.SETTLED for child in children) == (moves or 0)
    assert trader.account.positions() == trader.theirs()


def test_margin_that_stale_balances_do_not_show_yet_is_not_moved_a_second_time(begun, exchange):
    trader = begun(SPOT_ONLY)
    exchange.control({"stale_s": {"binance": 10}}, fault("drop_after"))
    with suppress(ComponentError):
        trader.send("k1", "perp", "sell", "0.5")
    exchange.control(clear=True)
    trader.again().send("k2", "perp", "sell", "0.5")
    assert len(exchange.account("binance")["transfers"]) == len(trader.executed()) == 1
    assert trader.account.positions() == trader.theirs()


def test_it_is_as_much_as_the_notional_and_its_fee(begun, exchange):
    trader = begun(SPOT_ONLY)
    trader.send("k1", "perp", "sell", "0.5")
    (moved,) = exchange.account("binance")["transfers"]
    assert 1001 < D(moved["amount"]) < D("1001.0001")
    (child,) = trader.journal.children("k1")
    assert (child.key, D(child.reports[-1].details["moved"])) == ("k1/0", D(moved["amount"]))


def test_it_is_all_that_there_is_where_that_is_less_and_the_order_is_refused_where_it_does_not_do(begun, exchange):
    trader = begun(SPOT_ONLY)
    trader.send("k1", "perp", "sell", "3")  # 6000 at leverage 20
    assert exchange.balances("binance", "spot")["USDT"] < D("0.0001")
    with pytest.raises(VenueRejected, match="of margin left; sell of 40 ETHUSDT perp needs"):
        trader.send("k2", "perp", "sell", "40")
    assert trader.account.positions() == trader.theirs()


def test_the_money_of_a_purchase_comes_back_from_the_futures_wallet(begun, exchange):
    trader = begun(PERP_ONLY)
    trader.send("k1", "spot", "buy", "0.5")
    (moved,) = exchange.account("binance")["transfers"]
    assert (moved["from"], moved["to"], int(D(moved["amount"]))) == ("perp", "spot", 1005)  # at the worst price
    assert trader.account.positions() == trader.theirs()


@pytest.mark.parametrize("order", [("perp", "buy", "0.2"), ("spot", "sell", "0.1")])
def test_what_makes_a_position_smaller_or_sells_needs_none(trade, exchange, order):
    trader = trade()
    trader.send("k1", "perp", "sell", "0.5")
    trader.send("k2", *order)
    assert exchange.account("binance")["transfers"] == []


def test_an_account_of_which_one_wallet_is_used_moves_nothing(exchange, tmp_path, trade):
    exchange.begin(tmp_path / "one_wallet.jsonl", PERP_ONLY)
    trader = trade(symbols={"spot": ("ETHUSDT",)})
    with pytest.raises(VenueRejected, match="binance has 0 USDT free in its spot wallet"):
        trader.send("k1", "spot", "buy", "0.5")
    assert exchange.account("binance")["transfers"] == []


def test_two_equal_moves_within_a_second_are_distinguished_by_the_marks_in_their_amounts():
    order = {"source": "spot", "target": "perp", "token": "USDT", "sent_ms": 1_000, "expires_ms": 3_000}
    first, second = (SentMove(client_id=client_id_of(key), amount=1001 + mark_of(client_id_of(key)), **order) for key in ("k1/0", "k2/0"))
    rows = [("7", "USDT", first.amount, 1_100), ("8", "USDT", second.amount, 1_200)]
    assert (made_by(first, rows), made_by(second, rows), made_by(second, rows[:1])) == ("7", "8", None)
