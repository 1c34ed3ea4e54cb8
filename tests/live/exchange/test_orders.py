"""One order at the local exchange, and what becomes of it."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest
from msgspec import structs

from basis_strategy_v1 import ExecutionInterfaceManager
from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import VenueRejected, VenueUnreachable
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.gateway import MalformedAnswer
from basis_strategy_v1.core.instructions import WalletTransfer
from basis_strategy_v1.core.order import Approved, Order
from basis_strategy_v1.core.state import Perp
from basis_strategy_v1.live.exchange_orders import client_id_of

from .trader import LIMITS, NOON, approved, block_of

D = Decimal
BINANCE = {"venue": "binance"}


def levels(kind, *rows):
    return {"levels": {**BINANCE, "kind": kind, "symbol": "ETHUSDT", "levels": [list(row) for row in rows]}}


def market(kind, **fields):
    return {"market": {**BINANCE, "kind": kind, "symbol": "ETHUSDT", **fields}}


def test_a_spot_purchase_gives_what_was_filled_less_its_fee(trade):
    trader = trade()
    report = trader.send("k1", "spot", "buy", "0.5")
    assert report.deltas == Deltas.at("binance", {"ETH": D("0.4995"), "USDT": D(-1000)})
    assert (report.filled, report.costs) == (1, (Cost("fees", "ETH", D("0.0005")),))
    assert (report.details["filled"], report.details["price"]) == (D("0.5"), 2000)
    assert trader.account.balances == trader.theirs()
    assert trader.executed() == [client_id_of("k1", "run")]


def test_a_spot_sale_pays_its_fee_in_the_quote(trade):
    report = trade().send("k1", "spot", "sell", "0.5")
    assert report.deltas == Deltas.at("binance", {"ETH": D("-0.5"), "USDT": D(999)})
    assert report.costs == (Cost("fees", "USDT", D(1)),)


@pytest.mark.parametrize(("kind", "side", "fee"), [("spot", "buy", "0.00125"), ("perp", "sell", "0.00075")])
def test_a_fee_in_a_third_token_is_a_change_of_that_token(trade, exchange, kind, side, fee):
    exchange.control({"setting": {**BINANCE, "bnb_fees": True}}, {"grant": {**BINANCE, "wallet": kind, "BNB": "2"}})
    trader = trade()
    report = trader.send("k1", kind, side, "0.5")
    assert report.costs == (Cost("fees", "BNB", D(fee)),)
    assert report.deltas.get("binance", "BNB") == -D(fee)
    assert trader.account.balances["BNB"] == trader.theirs()["BNB"] == 2 - D(fee)


def test_a_part_that_was_filled_is_reported_as_that(trade, exchange):
    exchange.fault("order", "partial", share="0.4")
    report = trade().send("k1", "spot", "buy", "0.5")
    assert (report.filled, report.details["filled"]) == (D("0.4"), D("0.2"))
    assert report.deltas == Deltas.at("binance", {"ETH": D("0.1998"), "USDT": D(-400)})


@pytest.mark.parametrize(("kind", "side", "now"), [("spot", "buy", "2011"), ("spot", "sell", "1989"), ("perp", "sell", "1989")])
def test_an_order_beyond_its_worst_price_fills_nothing(trade, exchange, kind, side, now):
    exchange.control(price={"symbol": "ETHUSDT", "price": now})
    trader = trade()
    report = trader.send("k1", kind, side, "0.5")
    assert (report.filled, report.deltas) == (0, Deltas())
    assert trader.executed() == []


def test_several_fills_give_their_average_price_and_what_they_were_worse_than_the_snapshot(trade, exchange):
    exchange.control(levels("spot", ("2001", "0.1"), ("2004", "0.2"), ("2009", "5"), ("2030", "5")))
    report = trade().send("k1", "spot", "buy", "0.4")
    cost = D("200.1") + D("400.8") + D("200.9")
    assert report.deltas == Deltas.at("binance", {"ETH": D("0.3996"), "USDT": -cost})
    assert report.details["price"] == cost / D("0.4")
    assert report.costs == (Cost("fees", "ETH", D("0.0004")), Cost("slippage", "USDT", cost - 800))


def test_a_better_fill_is_a_negative_slippage(trade, exchange):
    exchange.control(price={"symbol": "ETHUSDT", "price": "1990"})
    report = trade().send("k1", "spot", "buy", "0.5")
    assert report.costs[1] == Cost("slippage", "USDT", D(-5))


def test_a_perp_gives_its_position_the_realised_profit_and_the_fee(trade, exchange):
    trader = trade()
    opened = trader.send("k1", "perp", "sell", "0.5")
    assert opened.deltas == Deltas.at("binance", {"ETHUSDT-PERP": D("-0.5"), "USDT": D("-0.5")})
    exchange.control(price={"symbol": "ETHUSDT", "price": "1900"})
    reduced = trader.send("k2", "perp", "buy", "0.2", price=D(1900), reduce_only=True)
    assert reduced.deltas == Deltas.at("binance", {"ETHUSDT-PERP": D("0.2"), "USDT": D(20) - D("0.19")})
    assert reduced.details["realised"] == 20
    assert trader.account.perps == {"ETHUSDT": Perp(D("-0.3"), D(-600))}
    closed = trader.send("k3", "perp", "buy", "0.3", price=D(1900))
    assert closed.deltas.get("binance", "USDT") == D(30) - D("0.285")
    assert trader.account.perps == {}


def test_a_perp_that_was_turned_around_has_the_cost_of_the_new_side(trade, exchange):
    trader = trade()
    trader.send("k1", "perp", "sell", "0.5")
    exchange.control(price={"symbol": "ETHUSDT", "price": "1900"})
    trader.send("k2", "perp", "buy", "0.8", price=D(1900))
    assert trader.account.perps == {"ETHUSDT": Perp(D("0.3"), D(570))}
    assert trader.gateway.read().parts["binance"] == trader.account


def test_nothing_is_left_of_a_position_that_was_closed_at_an_entry_that_has_no_end(trade, exchange):
    exchange.control(levels("perp", ("2001", "0.001"), ("2000", "0.002"), ("1999", "9")))
    trader = trade()
    trader.send("k1", "perp", "sell", "0.013")
    exchange.control({"levels": {**BINANCE, "kind": "perp", "symbol": "ETHUSDT", "levels": None}})
    for key, amount in (("k2", "0.003"), ("k3", "0.003"), ("k4", "0.003"), ("k5", "0.004")):
        trader.send(key, "perp", "buy", amount, reduce_only=True)
    assert trader.account.perps == {}
    assert trader.account.balances == trader.theirs()


# Checks before sending.


@pytest.mark.parametrize(
    ("commands", "order", "why"),
    [
        ([], ("spot", "buy", "0.00009"), "in lots of 0.0001 ETH; the order is less than one"),
        ([], ("spot", "buy", "0.002"), "takes no order of ETHUSDT below 5 USDT; 0.002 ETH at 2010"),
        ([], ("perp", "buy", "0.009"), "takes no order of ETHUSDT below 20 USDT"),
        ([market("spot", maximum="2")], ("spot", "sell", "3"), "takes no order of ETHUSDT above 2 ETH, got 3 ETH; split it"),
        ([market("spot", is_open=False)], ("spot", "buy", "1"), "does not trade ETHUSDT now"),
        ([], ("spot", "sell", "6"), "has 5 ETH free in its spot wallet; the sale of 6 ETHUSDT needs more"),
        ([], ("spot", "buy", "8"), "USDT free in its spot wallet; 8 ETHUSDT at 2000 needs 16000"),
        ([], ("perp", "buy", "200"), "of margin left; buy of 200 ETHUSDT perp needs"),
    ],
)
def test_what_the_exchange_would_refuse_is_not_sent(trade, exchange, commands, order, why):
    exchange.control(*commands)
    trader = trade()
    with pytest.raises(VenueRejected) as refused:
        trader.send("k1", *order)
    assert why in refused.value.message
    assert refused.value.message.endswith("nothing was sent")
    assert exchange.count("binance", "order") == 0


def test_amount_and_price_are_cut_towards_less(trade, exchange):
    exchange.control(market("spot", lot="0.01", tick="0.7"))
    trader = trade()
    report = trader.send("k1", "spot", "buy", "0.5199")
    (order,) = exchange.account("binance")["orders"]
    assert (order["amount"], order["limit"]) == ("0.51", "2009.7")
    assert report.filled == EXACT.divide(D("0.51"), D("0.5199"))


def test_a_purchase_with_the_whole_balance_has_the_limit_that_the_balance_pays_for(trade, exchange):
    trader = trade(symbols={"spot": ("ETHUSDT",)})
    report = trader.send("k1", "spot", "buy", "5")
    (order,) = exchange.account("binance")["orders"]
    assert (report.filled, order["limit"]) == (1, "2000")


def test_the_rules_are_read_again_after_a_refusal(trade, exchange):
    trader = trade()
    trader.send("k1", "spot", "buy", "0.5")
    exchange.control(market("spot", lot="0.1"))
    with pytest.raises(VenueRejected, match="LOT_SIZE"):
        trader.send("k2", "spot", "buy", "0.55")
    assert trader.send("k3", "spot", "buy", "0.55").details["filled"] == D("0.5")


def test_an_order_that_is_not_for_this_exchange_is_refused(trade, exchange):
    trader = trade(symbols={"spot": ("ETHUSDT",)})
    with pytest.raises(VenueRejected, match="binance has no spot market SOLUSDT"):
        trader.send("k1", "spot", "buy", "1", symbol="SOLUSDT")


# What an order costs in requests.


def requests_of(trader, key, *order):
    before = trader.exchange.read("counts")
    one = approved(key, *order, at=trader.time.clock.now())
    quote = trader.gateway.quote(one.order)
    trader.gateway.send(trader.gateway.prepare(one, LIMITS, quote, None))
    after = trader.exchange.read("counts")
    return {kind.removeprefix("binance "): after[kind] - before.get(kind, 0) for kind in after if after[kind] > before.get(kind, 0)}


def test_a_spot_order_is_one_request_and_a_perp_order_three(trade):
    trader = trade()
    requests_of(trader, "k1", "spot", "buy", "0.5")
    requests_of(trader, "k2", "perp", "sell", "0.5")
    assert requests_of(trader, "k3", "spot", "buy", "0.5") == {"order": 1}
    assert requests_of(trader, "k4", "perp", "sell", "0.5") == {"balance": 1, "order": 1, "fills": 1}


# The same block in a backtest.


def simulated(venue):
    """A backtest's manager at the exchange's fees and lots, without slippage."""
    config = {
        "strategy_mode": "blocks", "share_class": "usdt_stable", "initial_capital": 10_000,
        "venues": {"cex": {"binance": {"slippage_bps": 0, "lot": {"ETHUSDT": "0.001"}, "min_notional": 20}}},
    }  # fmt: skip
    data = {"market_data": {"prices": {"ETH": 2000.0, "USDT": 1.0}}}
    held = {"binance": {"USDT": 15_000, "ETH": 5}}

    class Prices:
        def get_data(self, timestamp):
            return {"timestamp": timestamp, **data}

    return ExecutionInterfaceManager(config, Prices(), "backtest", positions=held), data["market_data"]["prices"]


def test_forty_random_trades_move_the_same_in_a_backtest_and_live(trade, exchange):
    chance = random.Random(7)
    trader = trade(symbols={"spot": ("ETHUSDT",), "perp": ("ETHUSDT",)})
    manager, prices = simulated("binance")
    for number in range(40):
        price = D(chance.randint(180_000, 220_000)) / 100
        prices["ETH"] = float(price)
        exchange.control(price={"symbol": "ETHUSDT", "price": str(price)})
        order = chance.choice(("spot", "perp")), chance.choice(("buy", "sell")), str(D(chance.randint(10, 400)) / 1000)
        if D(order[2]) * price < 21:
            continue
        expected = manager.execute(NOON, block_of(*order)).deltas
        found = trader.send(f"k{number}", *order, price=price).deltas
        # The exchange cuts a fee, and rounds a realised profit, to 8 decimals; nothing else differs.
        difference = found - expected
        assert max((abs(amount) for _, amount in difference.items()), default=0) <= D("2e-8"), (order, price)
        assert {token for (_, token), _ in difference.items()} <= {"ETH", "USDT"}
    assert trader.account.positions() == trader.theirs()


# What the gateway refuses, and what it looks up.


def prepared(trader, one):
    return trader.gateway.prepare(one, LIMITS, trader.gateway.quote(one.order), None)


def test_a_withdrawal_to_an_account_that_takes_no_deposits_is_refused_before_it_is_sent(trade):
    trader = trade()
    transfer = WalletTransfer(from_venue="binance", to_venue="wallet", token="USDT", amount=D(10))
    order = Order(key="k1", at=NOON, venue="binance", instruction=transfer, expected=Deltas())
    with pytest.raises(VenueRejected, match="wallet has no live deposits in this version; nothing was sent"):
        prepared(trader, Approved(order=order, notional_usd=D(10)))


def test_an_order_without_a_worst_price_is_refused(trade):
    trader = trade()
    one = approved("k1", "spot", "buy", "0.5")
    bare = structs.replace(one.order, worst_price=None)
    with pytest.raises(VenueRejected, match="binance is sent no order without a worst price"):
        prepared(trader, Approved(order=bare, notional_usd=D(0)))


def test_a_message_that_has_expired_is_not_sent(trade, exchange):
    trader = trade()
    message = prepared(trader, approved("k1", "spot", "buy", "0.5"))
    trader.time.sleep(2)
    with pytest.raises(VenueUnreachable, match="expired before it was sent"):
        trader.gateway.send(message)
    assert exchange.count("binance", "order") == 0


@pytest.mark.parametrize("order", [("spot", "buy"), ("perp", "sell")])
def test_an_execution_is_found_by_the_exchanges_own_name_of_it(trade, order):
    trader = trade()
    message = prepared(trader, approved("k1", *order, "0.5"))
    sent = trader.gateway.send(message)
    assert trader.gateway.find(message, sent.reference).deltas == sent.deltas
    assert trader.gateway.find(message).deltas == sent.deltas
    assert trader.gateway.find(message, "77").reason == "binance has no order 77"


def test_somebody_elses_execution_is_not_taken_for_an_order_of_ours(trade, exchange):
    trader = trade()
    message = prepared(trader, approved("k1", "spot", "buy", "0.5"))
    exchange.control(order={**BINANCE, "market": "spot", "symbol": "ETHUSDT", "side": "buy", "amount": "0.2"})
    (other,) = exchange.account("binance")["orders"]
    with pytest.raises(MalformedAnswer, match=r"another order under the id .*: amount is 0\.2"):
        trader.gateway.find(message, str(other["id"]))


def test_an_order_that_still_rests_is_pending_and_one_that_is_filled_in_part_is_not_final(trade, exchange):
    trader = trade()
    message = prepared(trader, approved("k1", "spot", "buy", "0.5"))
    resting = {**BINANCE, "market": "spot", "symbol": "ETHUSDT", "side": "buy", "amount": "0.5", "limit": "1990", "life": "GTC"}
    exchange.control(order={**resting, "client_id": message.client_id})
    assert trader.gateway.find(message).reason == "it is NEW"
    exchange.control(levels("spot", ("1980", "0.2")), {"order": {**resting, "client_id": "c2", "limit": "1985"}})
    partial = trader.gateway.find(structs.replace(message, body=message.body.replace(message.client_id, "c2")))
    assert (partial.filled, partial.final) == (D("0.4"), False)


def test_who_does_not_name_symbols_trades_whatever_there_is(trade):
    trader = trade(symbols={})
    assert trader.account.positions() == trader.theirs()
    trader.send("k1", "perp", "sell", "0.5")
    trader.send("k2", "spot", "buy", "0.5")
    assert trader.account.positions() == trader.theirs()
    _, cursor = trader.gateway.due(trader.journal.cursor("binance"))
    assert trader.journal.new_due("binance", trader.gateway.due(cursor)[0]) == []


# Before the legs ahead of it are executed.


def rehearsed(trader, side, amount, kind, **moved):
    """What a later leg would be refused for, after these changes; nothing where it would pass."""
    one = approved("k1", kind, side, amount, at=trader.time.clock.now())
    earlier = Deltas.at("binance", {token.replace("_", "-"): D(change) for token, change in moved.items()})
    before = trader.exchange.count("binance", "order")
    try:
        trader.gateway.rehearse(one, LIMITS, earlier)
    except VenueRejected as refused:
        return refused.message
    finally:
        assert trader.exchange.count("binance", "order") == before
    return None


@pytest.fixture
def rich(trade):
    """100,000 USDT in the spot wallet, nothing in the other."""
    return trade()


def test_a_later_leg_pays_with_what_the_legs_before_it_bring_and_without_what_they_spend(rich):
    ours = rich.account.balances
    assert rehearsed(rich, "sell", ours.get("ETH", D(0)) + 1, "spot") is not None
    assert rehearsed(rich, "sell", ours.get("ETH", D(0)) + 1, "spot", ETH="1") is None
    assert rehearsed(rich, "buy", "0.5", "spot") is None
    assert "free in its spot wallet" in rehearsed(rich, "buy", "0.5", "spot", USDT=-ours["USDT"])


def test_a_perp_leg_is_margined_with_both_wallets_less_what_the_legs_before_it_spend(rich):
    ours = rich.account.balances
    assert rehearsed(rich, "sell", "0.5", "perp") is None
    assert "of margin left" in rehearsed(rich, "sell", "0.5", "perp", USDT=-ours["USDT"])


def test_what_a_perp_leg_leaves_of_the_margin_is_not_guessed(rich):
    gone = {"USDT": -rich.account.balances["USDT"], "ETHUSDT_PERP": "1"}
    assert rehearsed(rich, "sell", "0.5", "perp", **gone) is None
    assert rehearsed(rich, "buy", "0.5", "spot", **gone) is None


def test_a_market_that_would_refuse_a_later_leg_says_so(rich, exchange):
    assert "in lots of" in rehearsed(rich, "sell", "0.0000001", "perp")
    with pytest.raises(VenueRejected, match="binance has no spot market NOPEUSDT"):
        rich.gateway.rehearse(approved("k1", "spot", "buy", "1", at=rich.time.clock.now(), symbol="NOPEUSDT"), LIMITS, Deltas())
    move = WalletTransfer(from_venue="binance", to_venue="wallet", token="USDT", amount=D(1), network="ethereum")
    of_move = structs.replace(approved("k1", "spot", "buy", "1", at=NOON).order, instruction=move)
    with pytest.raises(VenueRejected, match="wallet has no live deposits in this version; nothing was sent"):
        rich.gateway.rehearse(Approved(order=of_move, notional_usd=D(1)), LIMITS, Deltas())
