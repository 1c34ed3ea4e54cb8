"""What happens at an account without an order of the run is recorded, each thing once under the exchange's id."""

from __future__ import annotations

from decimal import Decimal

import pytest

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import VenueUnreachable
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.live import exchange_due

D = Decimal
BINANCE = {"venue": "binance"}
FUND = {"fund": {**BINANCE, "symbol": "ETHUSDT", "rate": "0.0001"}}


def take_up(trader):
    """What is new since the last time, as the live account takes it up."""
    trader.time.sleep(60)
    items, cursor = trader.gateway.due(trader.journal.cursor("binance"))
    return trader.journal.add_due("binance", items, cursor, trader.holdings.with_due)


def closed_by(origin):
    return {"close": {**BINANCE, "symbol": "ETHUSDT", "share": "1", "origin": origin, "price": "2100", "fee": "0.0125"}}


@pytest.fixture
def short(trade):
    """A trader who is 0.5 ETH short."""
    trader = trade()
    trader.send("k1", "perp", "sell", "0.5")
    return trader


def test_funding_is_paid_on_the_position(short, exchange):
    exchange.control(FUND)
    (item,) = take_up(short)
    assert (item.kind, item.deltas) == ("funding", Deltas.at("binance", {"USDT": D("0.1")}))
    assert (item.costs, item.details) == ((Cost("funding", "USDT", D("-0.1")),), {"symbol": "ETHUSDT"})
    assert short.account.positions() == short.theirs()


def test_what_was_read_before_is_not_recorded_again(short, exchange):
    exchange.control(FUND)
    assert len(take_up(short)) == 1
    assert take_up(short) == []
    exchange.control(FUND)
    assert len(take_up(short)) == 1
    assert short.account.positions() == short.theirs()


def test_what_the_exchange_shows_late_is_still_recorded(short, exchange):
    exchange.control(FUND, {"lag_s": {"binance": 90}})
    assert take_up(short) == []
    assert len(take_up(short)) == 1


def test_what_was_before_the_account_began_is_in_its_balance_already(trade, exchange, short):
    exchange.control(FUND)
    short.time.sleep(1)
    later = trade(time=short.time)
    assert take_up(later) == []
    assert later.account.positions() == later.theirs()


def test_an_order_of_the_run_is_not_somebody_elses_after_a_restart_either(short):
    assert take_up(short) == []
    assert take_up(short.again()) == []


@pytest.mark.parametrize(("origin", "kind"), [("liquidation", "liquidation"), ("adl", "deleveraging")])
def test_a_position_that_the_exchange_closes_is_recorded_with_its_loss(short, exchange, origin, kind):
    exchange.control(closed_by(origin))
    (item,) = take_up(short)
    assert item.kind == kind
    assert item.deltas == Deltas.at("binance", {"ETHUSDT-PERP": D("0.5"), "USDT": D(-50) - D("13.125")})
    assert (short.account.perps, short.account.positions()) == ({}, short.theirs())


@pytest.mark.parametrize(("kind", "side"), [("spot", "buy"), ("perp", "sell")])
def test_somebody_elses_order_is_recorded_as_a_foreign_fill(short, exchange, kind, side):
    exchange.control(order={**BINANCE, "market": kind, "symbol": "ETHUSDT", "side": side, "amount": "0.2"})
    (item,) = take_up(short)
    assert item.kind == "foreign fill"
    assert item.details["filled"] == D("0.2")
    assert short.account.positions() == short.theirs()


def test_an_order_of_another_run_on_the_same_account_is_a_foreign_fill(short, trade):
    other = trade(time=short.time, run="other")
    other.send("k1", "spot", "buy", "0.1")
    assert [item.kind for item in take_up(short)] == ["foreign fill"]
    assert take_up(other) == []
    assert short.account.positions() == short.theirs()


def test_it_remembers_so_many_orders_and_looks_the_others_up_again(short, monkeypatch):
    monkeypatch.setattr(exchange_due, "MOST_KNOWN", 2)
    for number in range(4):
        short.send(f"s{number}", "spot", "buy", "0.1")
    assert take_up(short) == []
    assert len(short.gateway._due._orders) == 2


def test_a_deposit_is_a_credit_once_it_is_credited(short, exchange):
    exchange.control(deposit={**BINANCE, "token": "USDT", "amount": "100", "hash": "0xab", "status": "pending"})
    assert take_up(short) == []
    exchange.control(deposit={**BINANCE, "token": "USDT", "amount": "100", "hash": "0xab", "status": "completed"})
    (item,) = take_up(short)
    assert (item.kind, item.deltas) == ("credit", Deltas.at("binance", {"USDT": D(100)}))
    assert short.account.positions() == short.theirs()


def test_a_move_between_the_wallets_by_hand_moves_nothing_where_both_are_the_runs(short):
    short.gateway._api.move("spot", "perp", "USDT", D(50), short.gateway._access.now_ms(), short.gateway._access.now_ms() + 2000)
    assert take_up(short) == []
    assert short.account.positions() == short.theirs()


@pytest.mark.parametrize(("kind", "amount"), [("spot", -50), ("perp", 50)])
def test_it_is_a_credit_or_a_debit_where_the_run_uses_one_of_them(trade, kind, amount):
    trader = trade(symbols={kind: ("ETHUSDT",)})
    trader.time.sleep(1)
    access = trader.gateway._access
    access.api.move("spot", "perp", "USDT", D(50), access.now_ms(), access.now_ms() + 2000)
    (item,) = take_up(trader)
    assert item.deltas == Deltas.at("binance", {"USDT": D(amount)})


def test_an_account_that_cannot_be_asked_loses_nothing(short, exchange):
    exchange.control(FUND, {"maintenance": ["binance"]})
    with pytest.raises(VenueUnreachable, match="binance cannot be asked: 1 System is under maintenance"):
        take_up(short)
    exchange.control(clear=True)
    assert len(take_up(short)) == 1


def test_more_deposits_than_a_page_are_all_recorded(short, exchange):
    deposit = {"venue": "binance", "token": "USDT", "amount": "1"}
    exchange.control(*({"deposit": {**deposit, "hash": f"0x{number:x}"}} for number in range(1_001)))
    assert len(take_up(short)) == 1_001
    assert short.account.positions() == short.theirs()


def test_more_moves_between_the_wallets_than_a_page_are_all_seen(trade, exchange):
    trader = trade()
    api, now_ms = trader.gateway._api, trader.gateway._access.now_ms()
    for _ in range(101):
        api.move("spot", "perp", "USDT", D(1), now_ms, now_ms + 2_000)
    assert len(api.moves_since("spot", "perp", now_ms - 1_000)) == 101
