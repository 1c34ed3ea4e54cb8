"""An order meets each thing that can go wrong between us and the exchange: it is executed once or not at all, and both know the same."""

from __future__ import annotations

from decimal import Decimal

import pytest

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, OutcomeUnknown, VenueUnreachable
from basis_strategy_v1.core.journal import GivenFee, Status

D = Decimal
SPOT, PERP = ("spot", "buy"), ("perp", "sell")
MARKETS = [pytest.param(SPOT, id="spot"), pytest.param(PERP, id="perp")]


def fault(name, **more):
    return {"on": "order", "fault": name, **more}


LAG, STALE = {"lag_s": {"binance": 5}}, {"stale_s": {"binance": 10}}
DROPPED_FILLS, DROPPED_LOOK_UPS = {"on": "fills", "fault": "drop"}, {"on": "find", "fault": "drop", "times": 2}
MAINTENANCE = {"maintenance": ["binance"]}
# What goes wrong, and whether the order is executed by it. None: by a later attempt, within this call.
MATRIX = {
    "dropped before it was read": ([fault("drop_unread")], False),
    "dropped unexecuted": ([fault("drop")], False),
    "executed and dropped": ([fault("drop_after")], True),
    "hangs unexecuted": ([fault("hang")], False),
    "executed and hangs": ([fault("hang_after")], True),
    "slow": ([fault("delay", seconds=0.1)], True),
    "500 as a page": ([fault("status", status=500)], False),
    "503 as JSON": ([fault("status", status=503, body="json")], False),
    "520 without a body": ([fault("status", status=520, body="empty")], False),
    "executed and 502": ([fault("status", status=502, after=True)], True),
    "executed and 504": ([fault("status", status=504, after=True)], True),
    "executed and 408": ([fault("status", status=408, after=True)], True),
    "executed and empty": ([fault("empty_after")], True),
    "executed and a page": ([fault("html_after")], True),
    "executed and half the JSON": ([fault("truncated_after")], True),
    "executed and other JSON": ([fault("garbage_after")], True),
    "executed and cut off": ([fault("half_after")], True),
    "executed and named a duplicate": ([fault("duplicate_after")], True),
    "executed and an unknown code": ([fault("code", code=-9999, after=True)], True),
    "-1007 after it was executed": ([fault("code", code=-1007, after=True)], True),
    "-1021 once": ([fault("code", code=-1021)], True),
    "429 and Retry-After": ([fault("status", status=429, retry_after=0.2)], True),
    "executed and 429": ([fault("status", status=429, retry_after=0.2, after=True)], True),
    "429 without": ([fault("status", status=429)], False),
    "418": ([fault("status", status=418, retry_after=300)], False),
    "refused": ([fault("refuse", reason="lot")], False),
    "404 as a page": ([fault("status", status=404)], False),
    "in maintenance": ([MAINTENANCE], False),
    "late, and in time": ([fault("late", seconds=1)], True),
    "late, after it has expired": ([fault("late", seconds=5)], False),
    "executed, dropped, look-ups lag": ([LAG, fault("drop_after")], True),
    "executed, look-ups lag": ([LAG], True),
    "balances are stale": ([STALE], True),
    "fills are dropped": ([DROPPED_FILLS], True),
    "fills and look-ups are dropped": ([DROPPED_FILLS, DROPPED_LOOK_UPS, fault("drop_after")], True),
}  # fmt: skip


@pytest.mark.parametrize("market", MARKETS)
@pytest.mark.parametrize("name", MATRIX)
def test_an_order_is_executed_once_or_not_at_all(trade, exchange, market, name):
    commands, is_executed = MATRIX[name]
    trader = trade(timeout_s=0.5)
    exchange.control(*commands)
    before = exchange.count("binance", "order")
    try:
        report = trader.send("k1", *market, "0.5")
    except ComponentError:
        report = None
    attempts = exchange.count("binance", "order") - before
    exchange.control(clear=True)
    trader.again()
    entry = trader.journal.entry("k1")
    assert (len(trader.executed()), entry.status is Status.SETTLED) == (is_executed, is_executed)
    assert not trader.journal.open_entries()
    assert attempts <= (2 if name in ("-1021 once", "429 and Retry-After") else 3 if name == "429 without" else 1)
    if report is not None:
        assert report.filled == 1
    assert trader.account.positions() == trader.theirs()


LATER = {"lag_s": {"binance": 40}}  # than anybody expects


@pytest.mark.parametrize("market", MARKETS)
def test_an_order_that_look_ups_do_not_show_is_not_sent_again_while_the_balance_shows_it(trade, exchange, market):
    trader = trade(timeout_s=0.5)
    exchange.control(LATER, fault("drop_after"))
    with pytest.raises(OutcomeUnknown, match="perhaps it was executed"):
        trader.send("k1", *market, "0.5")
    assert trader.journal.entry("k1").status is Status.SENT
    trader.time.sleep(60)
    trader.again()
    assert (trader.journal.entry("k1").status, len(trader.executed())) == (Status.SETTLED, 1)
    assert trader.account.positions() == trader.theirs()


def take_up(trader):
    trader.time.sleep(60)
    items, cursor = trader.gateway.due(trader.journal.cursor("binance"))
    return trader.journal.add_due("binance", items, cursor, trader.holdings.with_due)


def test_a_fill_of_a_row_that_was_closed_as_never_happened_is_taken_over_once(trade, exchange):
    trader = trade(timeout_s=0.5)
    exchange.control(LATER, {"stale_s": {"binance": 40}}, fault("drop_after"))
    with pytest.raises(VenueUnreachable, match="it may be sent again"):
        trader.send("k1", *SPOT, "0.5")
    assert trader.journal.entry("k1").status is Status.NEVER_HAPPENED
    exchange.control(clear=True)
    trader.send("k2", *SPOT, "0.25")
    (late,) = take_up(trader)
    first, _ = exchange.account("binance")["orders"]
    assert (late.kind, late.client_id, late.reference) == ("late fill", first["client_id"], str(first["id"]))
    assert (late.details["filled"], trader.account.positions()) == (D("0.5"), trader.theirs())
    assert take_up(trader) == take_up(trader.again()) == []


@pytest.mark.parametrize("market", MARKETS)
def test_a_fill_of_a_row_that_a_person_closed_as_never_happened_is_taken_over(trade, exchange, market):
    trader = trade(timeout_s=0.5)
    exchange.control(LATER, fault("drop_after"))
    with pytest.raises(OutcomeUnknown):
        trader.send("k1", *market, "0.5")
    assert take_up(trader) == []
    trader.journal.resolve("k1", None, at=trader.time.clock.now(), by="me")
    trader.again()
    exchange.control(clear=True)
    assert trader.journal.entry("k1").status is Status.NEVER_HAPPENED
    assert [item.kind for item in take_up(trader)] == ["late fill"]
    assert trader.account.positions() == trader.theirs()


def test_a_fill_of_a_first_attempt_is_taken_over_although_the_second_settled_under_the_same_key(trade, exchange):
    trader = trade(timeout_s=0.5)
    exchange.control(LATER, {"stale_s": {"binance": 40}}, fault("drop_after"))
    with pytest.raises(VenueUnreachable, match="it may be sent again"):
        trader.send("k1", *SPOT, "0.5")
    exchange.control({"clear": True}, LATER)
    trader.send("k1", *SPOT, "0.5")
    assert trader.journal.entry("k1").status is Status.SETTLED
    exchange.control(clear=True)
    assert [item.kind for item in take_up(trader)] == ["late fill"]
    assert (len(trader.executed()), trader.account.positions()) == (2, trader.theirs())


NO_FEE = {"on": "fills", "fault": "edit_after", "edits": [{"path": [0, "commission"]}], "times": -1}


@pytest.mark.parametrize(
    ("fee", "recorded", "said"),
    [
        (GivenFee(D("0.7"), "USDT"), D("0.7"), "given: 0.7 USDT"),
        (GivenFee(D("0.7"), "BNB"), D("0.7"), "given: 0.7 BNB"),
        (GivenFee(D(0), "USDT"), None, "given: 0"),
        (GivenFee(None), None, "not known"),
    ],
)
def test_an_execution_whose_fee_the_exchange_never_shows_is_closed_with_the_one_that_a_person_gives(trade, exchange, fee, recorded, said):
    trader = trade(symbols={"perp": ("ETHUSDT",)})
    exchange.control(NO_FEE)
    with pytest.raises(ComponentError, match=r"a fill \d+ without its fee.*--happened \d+ --fee 'AMOUNT TOKEN'`, or `--fee unknown`"):
        trader.send("k1", *PERP, "0.5")
    before = trader.account.positions()
    (order,) = exchange.account("binance")["orders"]
    trader.journal.resolve("k1", str(order["id"]), at=trader.time.clock.now(), by="me")
    assert [one.entry.key for one in trader.recovery.once().open] == ["k1"], "a fee was not given"
    trader.journal.resolve("k1", str(order["id"]), at=trader.time.clock.now(), by="me", fee=fee)
    trader.again()
    entry = trader.journal.entry("k1")
    paid = {} if recorded is None else {fee.token: -recorded}
    assert (entry.status, entry.reports[-1].deltas) == (Status.SETTLED, Deltas.at("binance", {"ETHUSDT-PERP": D("-0.5"), **paid}))
    assert [(cost.token, cost.amount) for cost in entry.reports[-1].costs] == ([] if recorded is None else [(fee.token, recorded)])
    assert entry.reports[-1].details["fee"] == said
    after = {**before, "ETHUSDT-PERP": D("-0.5")}
    assert trader.account.positions() == {**after, **{token: before.get(token, D(0)) + amount for token, amount in paid.items()}}
    assert take_up(trader) == []


def test_the_fee_of_a_person_does_not_take_the_place_of_the_one_that_the_exchange_shows(trade, exchange):
    trader = trade()
    exchange.control(NO_FEE)
    with pytest.raises(ComponentError):
        trader.send("k1", *PERP, "0.5")
    exchange.control(clear=True)
    (order,) = exchange.account("binance")["orders"]
    trader.journal.resolve("k1", str(order["id"]), at=trader.time.clock.now(), by="me", fee=GivenFee(D(7), "USDT"))
    trader.again()
    assert trader.account.positions() == trader.theirs()


def test_a_late_fill_without_a_fee_says_so(trade, exchange):
    trader = trade(symbols={"perp": ("ETHUSDT",)})
    exchange.control(NO_FEE)
    with pytest.raises(ComponentError):
        trader.send("k1", *PERP, "0.5")
    trader.journal.resolve("k1", None, at=trader.time.clock.now(), by="me")
    trader.recovery.once()
    (late,) = take_up(trader)
    assert (late.kind, late.details["fee"], late.costs) == ("late fill", "not known", ())
