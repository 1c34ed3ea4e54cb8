"""Bybit: one unified account, look-ups that forget, an account mode. What every exchange does is in test_every_venue.py and at binance."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

import pytest

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueRejected, VenueUnreachable
from basis_strategy_v1.core.gateway import MalformedAnswer
from basis_strategy_v1.core.journal import Status
from basis_strategy_v1.core.state import Perp
from basis_strategy_v1.live.bybit import WINDOWS
from basis_strategy_v1.live.bybit_account import HOST, payment_of, rows_of
from basis_strategy_v1.live.bybit_answers import fill_of, found_of, rules_of
from basis_strategy_v1.live.bybit_errors import refusal_of
from basis_strategy_v1.live.bybit_moves import without_pairs
from basis_strategy_v1.live.exchange_api import Payment
from basis_strategy_v1.live.exchange_gateway import faults_of_account
from basis_strategy_v1.live.exchange_orders import client_id_of
from basis_strategy_v1.live.exchange_rate import RateLimit

from .trader import LIMITS, Trader, take_up

D = Decimal
BYBIT = {"venue": "bybit"}
HELD = {"grant": {**BYBIT, "wallet": "unified", "USDT": "15000", "ETH": "5"}}
SPOT, PERP = ("spot", "buy"), ("perp", "sell")


@pytest.fixture
def exchange(server, tmp_path):
    server.begin(tmp_path / "exchange.jsonl", HELD)
    return server


@pytest.fixture
def trader(trade):
    return trade(venue="bybit", timeout_s=0.5)


# Orders.


def test_an_order_on_a_thin_market_is_filled_in_part_and_its_fee_is_paid_in_what_was_received(trader, exchange):
    exchange.control(levels={**BYBIT, "kind": "spot", "symbol": "ETHUSDT", "levels": [["2001", "0.1"], ["2004", "0.2"], ["2030", "5"]]})
    report = trader.send("k1", "spot", "buy", "0.5")
    cost = D("200.1") + D("400.8")
    assert (report.filled, report.details["price"]) == (D("0.6"), cost / D("0.3"))
    (fee,) = [one.amount for one in report.costs if one.source == "fees"]
    assert fee == D("0.0003")
    assert report.deltas == Deltas.at("bybit", {"ETH": D("0.3") - fee, "USDT": -cost})
    assert (trader.executed(), trader.account.positions()) == ([client_id_of("k1", "run")], trader.theirs())


def test_a_perp_is_opened_and_reduced_with_its_profit(trader, exchange):
    opened = trader.send("k1", "perp", "sell", "0.5")
    assert opened.deltas == Deltas.at("bybit", {"ETHUSDT-PERP": D("-0.5"), "USDT": D("-0.55")})
    exchange.control(price={"symbol": "ETHUSDT", "price": "1900"})
    reduced = trader.send("k2", "perp", "buy", "0.2", price=D(1900), reduce_only=True)
    assert reduced.deltas == Deltas.at("bybit", {"ETHUSDT-PERP": D("0.2"), "USDT": D(20) - D("0.209")})
    assert trader.account.perps == {"ETHUSDT": Perp(D("-0.3"), D(-600))}
    assert trader.gateway.read().parts["bybit"] == trader.account


@pytest.mark.parametrize(
    ("market", "moved"),
    [(("spot", "buy"), {"ETH": D("0.4995"), "USDT": D(-1000)}), (("perp", "sell"), {"ETHUSDT-PERP": D("-0.5"), "USDT": D("-0.55")})],
    ids=["spot", "perp"],
)
def test_an_order_of_an_earlier_week_is_found_by_when_it_was_sent(trader, exchange, market, moved):
    """The venue shows the newest 500 at once, and without a time the history and the fills of one week."""
    exchange.fault("order", "drop_after", venue="bybit")
    exchange.fault("find", "drop", venue="bybit", times=-1)
    with suppress(ComponentError):
        trader.send("k1", *market, "0.5")
    assert trader.journal.entry("k1").status is Status.SENT
    exchange.control(clear=True)
    others = {**BYBIT, "market": market[0], "symbol": "ETHUSDT", "amount": "0.01", "limit": None}
    exchange.control(*[{"order": {**others, "side": side}} for side in ("buy", "sell") * 250])
    trader.time.sleep(9 * 86_400)
    trader.again()
    entry = trader.journal.entry("k1")
    assert (entry.status, entry.reports[-1].deltas) == (Status.SETTLED, Deltas.at("bybit", moved))


def test_a_fill_with_a_further_fee_is_not_recorded_with_half_of_its_fees(trader, exchange):
    """Of some countries' sites: it is in no field that says of which token it is."""
    edit = {"path": ["result", "list", 0, "extraFees"], "value": "[{}]"}
    exchange.control({**BYBIT, "on": "fills", "fault": "edit_after", "edits": [edit], "times": -1})
    with pytest.raises(ComponentError, match="without its fee"):
        trader.send("k1", "spot", "buy", "0.5")


def test_a_perp_that_was_closed_without_its_profit_is_not_recorded(trader, exchange):
    trader.send("k1", "perp", "sell", "0.5")
    exchange.control(price={"symbol": "ETHUSDT", "price": "1999"})
    edit = {"path": ["result", "list", 0, "execPnl"], "value": ""}
    exchange.control({**BYBIT, "on": "fills", "fault": "edit_after", "edits": [edit], "times": -1})
    with pytest.raises(ComponentError, match="without its profit"):
        trader.send("k2", "perp", "buy", "0.5")


def test_an_order_that_the_venue_refused_after_it_had_taken_it_is_refused(trader, exchange):
    """An answer only says that the order arrived."""
    edits = [{"path": ["result", "list", 0, name], "value": value} for name, value in (
        ("orderStatus", "Rejected"), ("rejectReason", "EC_PerCancelRequest"), ("cumExecQty", "0"))]  # fmt: skip
    nothing = [{"path": ["result", "list"], "value": []}]
    exchange.control({**BYBIT, "on": "fills", "fault": "edit_after", "edits": nothing})
    exchange.control({**BYBIT, "on": "find", "fault": "edit_after", "edits": edits})
    with pytest.raises(VenueRejected, match="EC_PerCancelRequest"):
        trader.send("k1", "spot", "buy", "0.5")


# Between the funding account and the unified one.


FUNDING = {"grant": {**BYBIT, "wallet": "funding", "USDT": "3000", "ETH": "2"}}
MOVE = {**BYBIT, "on": "transfer"}


@pytest.fixture
def in_funding(exchange, tmp_path):
    exchange.begin(tmp_path / "funding.jsonl", FUNDING, {"grant": {**BYBIT, "wallet": "unified", "USDT": "100"}})
    made = Trader(exchange, tmp_path / "in_funding", venue="bybit", timeout_s=0.5)
    yield made
    made.close()


@pytest.mark.parametrize("status", ["PENDING", "STATUS_UNKNOWN", ""])
def test_a_move_that_is_not_made_yet_is_looked_up(in_funding, exchange, status):
    exchange.control({**MOVE, "fault": "edit_after", "edits": [{"path": ["result", "status"], "value": status}]})
    with suppress(ComponentError):
        in_funding.send("k1", "spot", "buy", "0.5")
    in_funding.again()
    assert (len(exchange.account("bybit")["transfers"]), len(in_funding.executed())) == (1, 1)
    assert in_funding.account.positions() == in_funding.theirs()


def test_coins_that_are_sold_come_from_there_too_and_no_more_than_there_is(in_funding, exchange):
    in_funding.send("k1", "spot", "sell", "1.5")
    (moved,) = exchange.account("bybit")["transfers"]
    assert (moved["from"], moved["to"], moved["token"]) == ("funding", "unified", "ETH")
    with pytest.raises(VenueRejected, match=r"bybit has .* ETH free in its spot wallet; the sale of 4 ETHUSDT needs more"):
        in_funding.send("k2", "spot", "sell", "4")
    assert in_funding.account.positions() == in_funding.theirs()


def test_what_is_moved_by_hand_within_the_account_is_no_credit_and_what_comes_from_elsewhere_is(in_funding, exchange):
    in_funding.time.sleep(1)
    in_funding.gateway.read()  # the exchange sees the time
    exchange.control({"deposit": {**BYBIT, "token": "USDT", "amount": "70", "hash": "0xd1"}})
    exchange.control({"pay": {**BYBIT, "kind": "transfer_in", "token": "USDT", "amount": "30"}})
    in_funding.time.sleep(60)
    now_ms = in_funding.gateway._access.now_ms()
    in_funding.gateway._api.move("spot", "reserve", "USDT", D(20), now_ms, now_ms + 2_000)
    items = sorted((item.kind, *item.deltas.as_texts()["bybit"].items()) for item in take_up(in_funding))
    assert items == [("credit", ("USDT", "30")), ("credit", ("USDT", "70"))]
    assert in_funding.account.positions() == in_funding.theirs()
    assert take_up(in_funding) == []


def test_a_move_that_only_one_of_both_lists_shows_yet_is_not_reported():
    in_log = Payment(id="log:1", kind="credit", token="USDT", amount=D(20), at_ms=100_000)
    there = Payment(id="transfer:1", kind="credit", token="USDT", amount=D(-20), at_ms=99_000)
    assert without_pairs([in_log], [], settled_ms=99_999) == []
    assert without_pairs([in_log], [there], settled_ms=200_000) == []
    assert without_pairs([], [there], settled_ms=98_999) == []
    assert without_pairs([in_log], [], settled_ms=200_000) == [in_log]
    other = Payment(id="transfer:2", kind="credit", token="USDT", amount=D(-21), at_ms=99_000)
    assert without_pairs([in_log], [other], settled_ms=200_000) == [in_log, other]


def test_a_move_that_failed_says_so(in_funding, exchange):
    exchange.control({**MOVE, "fault": "edit_after", "edits": [{"path": ["result", "status"], "value": "FAILED"}]})
    with pytest.raises(VenueRejected, match="bybit did not move"):
        in_funding.send("k1", "spot", "buy", "0.5")


# How fast it asks.


@pytest.mark.parametrize(("left", "wait_s"), [("1", 0), ("0", 0.4)])
def test_it_waits_until_the_venue_takes_more_requests(left, wait_s):
    slept = []
    limit = RateLimit(WINDOWS, slept.append, lambda: 100.0)
    limit.answered(HOST, 200, {"X-Bapi-Limit-Status": left, "X-Bapi-Limit-Reset-Timestamp": "5400"}, now_ms=5_000)
    limit.wait(HOST)
    assert sum(slept) == pytest.approx(wait_s)


def test_after_a_403_nothing_is_asked_for_ten_minutes(trader, exchange):
    exchange.fault("order", "status", status=403, venue="bybit")
    with pytest.raises(VenueUnreachable, match="no request for 599"):
        trader.send("k1", "spot", "buy", "0.5")
    before = sum(exchange.read("counts").values())
    with pytest.raises(VenueUnreachable, match="no request for"):
        trader.send("k2", "spot", "buy", "0.5")
    assert sum(exchange.read("counts").values()) == before
    trader.time.sleep(600)
    assert trader.send("k3", "spot", "buy", "0.5").filled == 1
    assert trader.account.positions() == trader.theirs()


# The account.


def key(**fields):
    return {"key": {**BYBIT, "key": "key", "secret": "secret", "may": ["read", "trade"], **fields}}


ORDER = {"order": {**BYBIT, "market": "spot", "symbol": "ETHUSDT", "side": "buy", "amount": "0.01", "limit": "1500", "life": "GTC",
                   "client_id": "web1"}}  # fmt: skip
CLASSIC = "bybit: the account is a classic account, which is not supported; upgrade it to a unified trading account at the exchange"


@pytest.mark.parametrize(
    ("commands", "fault"),
    [
        ([key(may=["read"])], "bybit: the key may not trade spot; allow it at the exchange"),
        ([key(may=["read", "trade", "withdraw"])], "bybit: the key may withdraw, and limits.withdrawal_addresses is empty"),
        ([key(), {"setting": {**BYBIT, "unified_status": 1}}], CLASSIC),
        ([key(), {"setting": {**BYBIT, "margin_mode": "PORTFOLIO_MARGIN"}}], "bybit: the account is in portfolio margin mode, which"),
        ([key(), {"setting": {**BYBIT, "margin_mode": "ISOLATED_MARGIN"}}], "bybit: the margin mode of ETHUSDT is isolated; set cross at"),
        ([key(), {"setting": {**BYBIT, "hedge_mode": True}}], "bybit: positions are in hedge mode; set one-way mode"),
        ([key(), {"setting": {**BYBIT, "leverage ETHUSDT": "1"}}], "bybit: the leverage of ETHUSDT is 1, the strategy wants 3"),
        ([key(), ORDER], "bybit: somebody else's open spot order"),
        ([key(is_expired=True)], "bybit cannot be asked: 33004 Your api"),
    ],
)  # fmt: skip
def test_each_fault_of_an_account_is_named_with_the_way_out(trader, exchange, commands, fault):
    exchange.control(*commands)
    try:
        found = faults_of_account(trader.gateway, LIMITS, leverage=D(3))
    finally:
        exchange.control(key(may=["read", "trade", "transfer", "withdraw"]))
    assert len(found) <= 2  # a right that is not there, for each kind of market
    assert found[0].startswith(fault)


def test_a_key_that_may_not_move_is_named(trader, exchange):
    exchange.control(key())
    (note,) = trader.gateway.check_account(LIMITS).notes
    exchange.control(key(may=["read", "trade", "transfer", "withdraw"]))
    assert note == "bybit: the key may not move between the account's wallets; an order that needs what is in the other one is refused"


def test_a_position_that_is_not_the_runs_is_a_fault(trader, exchange):
    exchange.control(order={**BYBIT, "market": "perp", "symbol": "ETHUSDT", "side": "buy", "amount": "0.3", "limit": None})
    found = faults_of_account(trader.gateway, LIMITS, held=trader.account)
    assert found[-1] == "bybit: a position of 0.3 ETHUSDT, where the run holds 0; close the difference"


# Errors.


@pytest.mark.parametrize(
    ("status", "content", "refusal"),
    [
        (200, {"retCode": 0, "retMsg": "OK", "result": {}}, None),
        (200, {"retCode": 110007, "retMsg": "ab not enough for new order"}, ("110007", "ab not enough for new order")),
        (503, {"retCode": 0, "retMsg": "OK"}, ("", "OK")),
        (401, {"retCode": 10003, "retMsg": "API key is invalid."}, ("10003", "API key is invalid.")),
        (502, [], ("", "")),
        (200, [], None),
    ],
)
def test_an_error_is_read_from_the_answer(status, content, refusal):
    assert refusal_of(status, content) == refusal


# Answers that are none.

NONE = [None, [], "text", {}, {"result": None}, {"result": {"list": None}}]
ORDER_ROW = {"orderId": "1", "orderLinkId": "c", "symbol": "ETHUSDT", "side": "Buy", "orderStatus": "Filled", "qty": "1", "cumExecQty": "1",
             "createdTime": "1", "rejectReason": "EC_NoError"}  # fmt: skip
FILL_ROW = {"execId": "1", "execPrice": "2", "execQty": "1", "execValue": "2", "execFee": "0.1", "execTime": "1", "execPnl": "0"}
LOG_ROW = {"id": "1", "type": "SETTLEMENT", "currency": "USDT", "change": "1", "transactionTime": "1"}
RULES_ROW = {"symbol": "ETHUSDT", "baseCoin": "ETH", "quoteCoin": "USDT", "status": "Trading", "priceFilter": {"tickSize": "0.01"},
             "lotSizeFilter": {"basePrecision": "0.01"}}  # fmt: skip


@pytest.mark.parametrize("answer", NONE)
def test_an_answer_without_its_rows_is_refused(answer):
    with pytest.raises(MalformedAnswer):
        rows_of(answer)


@pytest.mark.parametrize(
    ("read", "row"),
    [
        (found_of, ORDER_ROW), (lambda row: fill_of("spot", row), FILL_ROW), (payment_of, LOG_ROW),
        (lambda row: rules_of("spot", row), RULES_ROW),
    ],
    ids=["order", "fill", "log", "rules"],
)  # fmt: skip
def test_a_row_without_a_field_is_refused(read, row):
    assert read(row) is not None
    for name in set(row) - {"rejectReason", "symbol", "execFee", "execPnl"}:
        with pytest.raises(MalformedAnswer):
            read({field: value for field, value in row.items() if field != name})


def test_an_order_whose_answer_has_no_id_is_looked_up(trader, exchange):
    exchange.control({**BYBIT, "on": "order", "fault": "edit_after", "edits": [{"path": ["result", "orderId"]}]})
    with suppress(ComponentError):
        trader.send("k1", "spot", "buy", "0.5")
    trader.again()
    assert (len(trader.executed()), trader.journal.entry("k1").status) == (1, Status.SETTLED)
    assert trader.account.positions() == trader.theirs()
