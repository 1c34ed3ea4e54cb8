"""What ccxt and binance's answers have in store: each with a literal answer."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec import structs

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.gateway import MalformedAnswer
from basis_strategy_v1.live import binance_errors
from basis_strategy_v1.live.binance import fill_of, found_of, rules_of
from basis_strategy_v1.live.exchange_client import Refusal
from basis_strategy_v1.live.exchange_errors import Meaning, meaning_of
from basis_strategy_v1.live.exchange_moves import made_by, move_of
from basis_strategy_v1.live.exchange_orders import DONE, OPEN, SentMove, SentOrder, client_id_of, difference_of, happened_of, is_ours

D = Decimal
SENT = SentOrder(
    client_id="c", trade_type="spot", symbol="ETHUSDT", base="ETH", quote="USDT", side="buy", amount=D("0.5"), price=D(2010), life="IOC",
    reduce_only=False, asked=D("0.5"), price_then=D(2000), sent_ms=0, expires_ms=2000,
)  # fmt: skip
FILL = {"price": "2000.00000000", "qty": "0.50000000", "commission": "0.00050000", "commissionAsset": "ETH", "tradeId": 28457}
ORDER = {
    "symbol": "ETHUSDT", "orderId": 28, "orderListId": -1, "clientOrderId": "c", "transactTime": 1507725176595, "price": "2010.00000000",
    "origQty": "0.50000000", "executedQty": "0.50000000", "cummulativeQuoteQty": "1000.00000000", "status": "FILLED",
    "timeInForce": "IOC", "type": "LIMIT", "side": "BUY", "fills": [FILL],
}  # fmt: skip


def happened(**order):
    found = found_of({**ORDER, **order})
    return happened_of("binance", SENT, found, found.fills)


def test_the_side_of_fills_that_have_none_is_that_of_the_order():
    assert happened().deltas == Deltas.at("binance", {"ETH": D("0.4995"), "USDT": D(-1000)})


def test_a_fill_with_a_field_that_nobody_knows_is_not_dropped():
    assert happened(fills=[{**FILL, "symbol": "something else", "matchType": "?"}]).filled == 1


@pytest.mark.parametrize("fills", [[], [{**FILL, "qty": "0.4"}], [FILL, FILL]])
def test_fills_that_are_not_what_was_executed_are_no_outcome(fills):
    with pytest.raises(MalformedAnswer, match=r"fills of .* ETH, where 0.5 were executed"):
        happened(fills=fills)


def test_a_fee_that_is_not_known_is_not_zero():
    with pytest.raises(MalformedAnswer, match="a fill 28457 without its fee"):
        happened(fills=[{name: value for name, value in FILL.items() if name != "commission"}])


@pytest.mark.parametrize(
    ("order", "fill", "fault"),
    [
        ({}, {"price": "-3000"}, "a fill 28457 of 0.5 ETH at -3000"),
        ({}, {"price": "0"}, "a fill 28457 of 0.5 ETH at 0"),
        ({}, {"qty": "-0.5"}, "a fill 28457 of -0.5 ETH at 2000"),
        ({}, {"price": "2010.01"}, "a fill 28457 at 2010.01, beyond the limit of 2010"),
        ({}, {"quoteQty": "1001"}, "a fill 28457 that cost 1001 USDT, of 0.5 ETH at 2000"),
        ({}, {"commission": "NaN"}, "a fill 28457 with something that is no number"),
        ({}, {"price": "Infinity"}, "a fill 28457 with something that is no number"),
        ({"executedQty": "NaN"}, {}, "fills of 0.5 ETH, where NaN were executed"),
        ({"executedQty": "0.6"}, {"qty": "0.6"}, "fills of 0.6 ETH, where 0.6 were executed, and 0.5 were sent"),
    ],
)
def test_numbers_that_cannot_be_true_are_no_outcome(order, fill, fault):
    with pytest.raises(MalformedAnswer) as raised:
        happened(**order, fills=[{**FILL, **fill}])
    assert str(raised.value) == fault


def test_a_sale_below_its_limit_is_no_outcome():
    found = found_of({**ORDER, "side": "SELL"})
    with pytest.raises(MalformedAnswer, match="a fill 28457 at 2000, beyond the limit of 2010"):
        happened_of("binance", structs.replace(SENT, side="sell"), found, found.fills)


def test_an_amount_keeps_every_digit_that_came():
    big = "98765432109876.54000001"
    assert found_of({**ORDER, "origQty": big}).amount == D(big)


@pytest.mark.parametrize("gone", ["orderId", "status", "executedQty", "side"])
def test_an_order_without_what_it_needs_is_no_order(gone):
    with pytest.raises(MalformedAnswer):
        found_of({name: value for name, value in ORDER.items() if name != gone})


@pytest.mark.parametrize("row", [None, [], "text", {"price": "x", "qty": "1"}, {"price": "1"}])
def test_what_is_no_fill_is_refused(row):
    with pytest.raises(MalformedAnswer):
        fill_of(row)


def test_expired_is_no_error_and_new_is_not_done():
    assert [found_of({**ORDER, "status": status}).status for status in ("EXPIRED", "EXPIRED_IN_MATCH", "NEW")] == [DONE, DONE, OPEN]


@pytest.mark.parametrize(("field", "value"), [("symbol", "BTCUSDT"), ("side", "SELL"), ("origQty", "0.4")])
def test_an_older_order_under_the_same_id_is_not_taken_for_this_one(field, value):
    assert difference_of(SENT, found_of(ORDER)) is None
    assert difference_of(SENT, found_of({**ORDER, field: value})) is not None


def test_a_client_id_is_32_hexadecimal_digits_and_carries_its_run():
    ids = [client_id_of(key, "run") for key in ("k1", "k2", "auto:run1.p0.0.abc")]
    assert all(len(one) == 32 and int(one, 16) >= 0 for one in ids)
    assert len(set(ids)) == 3
    assert [is_ours(one, "run") for one in (*ids, "web_8000000301", "autoclose-1", ids[0][:-1] + "x")] == [True] * 3 + [False] * 3
    assert not is_ours(ids[0], "other")


def test_the_notional_of_a_perp_market_is_under_another_name():
    row = {
        "symbol": "ETHUSDT", "status": "TRADING", "baseAsset": "ETH", "quoteAsset": "USDT", "marginAsset": "USDT",
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": "0.01"},
            {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "0", "stepSize": "0.001"},
            {"filterType": "MIN_NOTIONAL", "notional": "20"},
        ],
    }  # fmt: skip
    rules = rules_of(row)
    assert (rules.least, rules.most, rules.least_notional, rules.most_notional) == (D("0.001"), None, 20, None)


# Errors: what each means.


ROWS = [
    (table, code, meaning) for table in ("SPOT", "PERP", "WALLET", "WITHDRAWAL") for code, meaning in getattr(binance_errors, table).items()
]


@pytest.mark.parametrize(("table", "code", "meaning"), ROWS)
def test_each_code_of_the_table_means_what_it_says(table, code, meaning):
    number, _, text = code.partition(" ")
    rows = getattr(binance_errors, table)
    assert meaning_of(Refusal(400, number, f"{text} sent."), rows) is meaning
    assert meaning_of(Refusal(429, number, text), rows) is Meaning.LIMITED
    assert meaning_of(Refusal(503, number, text), rows) is Meaning.UNKNOWN


@pytest.mark.parametrize(
    ("status", "code", "meaning"),
    [
        *[(status, "", Meaning.UNKNOWN) for status in (408, 500, 502, 503, 504, 520, 524, 529)],
        *[(status, "", Meaning.FINAL) for status in (400, 403, 404, 405, 451)],
        (429, "", Meaning.LIMITED),
        (418, "-1003", Meaning.LIMITED),
        (400, "-9999", Meaning.UNKNOWN),
        (302, "", Meaning.UNKNOWN),
    ],
)
def test_what_is_in_no_table_is_looked_up(status, code, meaning):
    assert meaning_of(Refusal(status, code, "?"), binance_errors.SPOT) is meaning


def test_a_venue_that_says_that_it_is_in_maintenance_has_taken_nothing():
    for code, text in (("1", "System is under maintenance."), ("", "<title>Maintenance</title>")):
        assert meaning_of(Refusal(503, code, text), binance_errors.SPOT) is Meaning.MAINTENANCE
        assert meaning_of(Refusal(502, code, text), binance_errors.SPOT) is Meaning.UNKNOWN


def test_a_duplicate_is_distinguished_from_a_want_of_balance_by_its_text():
    texts = ("Duplicate order sent.", "Account has insufficient balance for requested action.")
    assert [meaning_of(Refusal(400, "-2010", text), binance_errors.SPOT) for text in texts] == [Meaning.DUPLICATE, Meaning.FINAL]


# Moves between the wallets.


@pytest.mark.parametrize(
    ("lacking", "there", "amount"),
    [
        ("10", "20", "10"),
        ("10", "4", "3.99990001"),
        ("10.000000001", "20", "10.00000001"),
        ("10", "4.000000009", "3.99990001"),
        ("1", "0", None),
    ],
)
def test_a_move_brings_what_is_lacking_as_far_as_it_is_there(lacking, there, amount):
    move = move_of("binance", "perp", "USDT", D(lacking), D(there))
    assert (None if move is None else move.amount) == (None if amount is None else D(amount))


def test_a_move_is_found_by_its_token_amount_and_time():
    sent = SentMove(client_id="c", source="spot", target="perp", token="USDT", amount=D(10), sent_ms=100_000, expires_ms=102_000)
    rows = [("1", "USDT", D(10), 98_000), ("2", "USDC", D(10), 101_000), ("3", "USDT", D(11), 101_000), ("4", "USDT", D(10), 103_000)]
    assert made_by(sent, rows) == "4"
    assert made_by(sent, rows[:3]) is None
