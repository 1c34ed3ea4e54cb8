"""ccxt, unmodified, trades on the local exchange as on binance: what it parses is what the ledger has."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import ccxt
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Times
    from .process import ExchangeProcess

SPOT, PERP = "ETH/USDT", "ETH/USDT:USDT"
D = Decimal
IOC = {"timeInForce": "IOC"}


def code(client: Any) -> int:
    """The venue's code in the last answer."""
    return json.loads(client.last_http_response)["code"]


def test_an_order_moves_what_its_answer_the_look_up_and_the_fills_say(exchange: ExchangeProcess, connect: Callable[..., Any]) -> None:
    exchange.grant("binance", "spot", USDT="1000")
    binance = connect("binance")
    placed = binance.create_order(SPOT, "limit", "buy", "0.1", "2010", {**IOC, "clientOrderId": "a" * 32})
    found = binance.fetch_order(None, SPOT, {"clientOrderId": "a" * 32})
    (fill,) = binance.fetch_my_trades(SPOT, params={"orderId": placed["id"]})
    assert (placed["status"], placed["filled"], placed["cost"], placed["fee"]) == (
        "closed", "0.10000000", "200.00000000", {"currency": "ETH", "cost": "0.00010000"},
    )  # fmt: skip
    assert (found["id"], found["filled"], found["cost"]) == (placed["id"], placed["filled"], placed["cost"])
    assert (fill["side"], fill["price"], fill["amount"], fill["fee"]) == ("buy", "2000.00000000", "0.10000000", placed["fee"])
    assert exchange.balances("binance", "spot") == {"USDT": D(800), "ETH": D("0.0999")}
    assert binance.fetch_balance()["total"] | {"BNB": None} == {"ETH": "0.0999", "USDT": "800", "BTC": "0", "USDC": "0", "BNB": None}


def test_an_order_takes_the_levels_that_its_limit_reaches_and_the_rest_expires(
    exchange: ExchangeProcess, connect: Callable[..., Any]
) -> None:
    exchange.grant("binance", "spot", USDT="1000")
    levels = [["2000", "0.03"], ["2001", "0.02"], ["2050", "9"]]
    exchange.control(levels={"venue": "binance", "kind": "spot", "symbol": "ETHUSDT", "levels": levels})
    placed = connect("binance").create_order(SPOT, "limit", "buy", "0.1", "2010", IOC)
    assert (placed["status"], placed["filled"], placed["cost"]) == ("expired", "0.05000000", "100.02000000")
    assert [(fill["price"], fill["amount"]) for fill in placed["trades"]] == [
        ("2000.00000000", "0.03000000"),
        ("2001.00000000", "0.02000000"),
    ]
    assert exchange.balances("binance", "spot") == {"USDT": D("899.98"), "ETH": D("0.04995")}


def test_a_fee_is_in_bnb_where_the_account_has_some_and_wants_that(exchange: ExchangeProcess, connect: Callable[..., Any]) -> None:
    exchange.grant("binance", "spot", USDT="1000", BNB="0.0004")
    exchange.control(setting={"venue": "binance", "bnb_fees": True})
    exchange.control(levels={"venue": "binance", "kind": "spot", "symbol": "ETHUSDT", "levels": [["2000", "0.1"], ["2000", "0.1"]]})
    placed = connect("binance").create_order(SPOT, "limit", "buy", "0.2", "2010", IOC)
    assert [fill["fee"] for fill in placed["trades"]] == [
        {"currency": "BNB", "cost": "0.00025000"},
        {"currency": "ETH", "cost": "0.00010000"},
    ]
    assert exchange.balances("binance", "spot") == {"USDT": D(600), "BNB": D("0.00015"), "ETH": D("0.1999")}


def test_an_order_that_rests_holds_its_funds_until_it_is_cancelled_or_filled(
    exchange: ExchangeProcess, connect: Callable[..., Any]
) -> None:
    exchange.grant("binance", "spot", USDT="1000")
    binance = connect("binance")
    first = binance.create_order(SPOT, "limit", "buy", "0.1", "1900", {"clientOrderId": "one"})
    second = binance.create_order(SPOT, "limit", "buy", "0.2", "1800")
    assert binance.fetch_balance()["USDT"] == {"free": "450.00000000", "used": "550.00000000", "total": "1000"}
    with pytest.raises(ccxt.InvalidOrder):
        binance.create_order(SPOT, "limit", "buy", "0.1", "1900", {"clientOrderId": "one"})
    assert code(binance) == -2010
    assert binance.cancel_order(second["id"], SPOT)["status"] == "canceled"
    exchange.control(price={"symbol": "ETHUSDT", "price": "1890"})
    assert binance.fetch_open_orders(SPOT) == []
    assert binance.fetch_order(first["id"], SPOT)["average"] == "1900"
    assert exchange.balances("binance", "spot") == {"USDT": D(810), "ETH": D("0.0999")}


def test_an_id_may_be_used_again_once_its_order_is_done(exchange: ExchangeProcess, connect: Callable[..., Any]) -> None:
    exchange.grant("binance", "spot", USDT="1000")
    orders = [connect("binance").create_order(SPOT, "limit", "buy", "0.1", "2010", {**IOC, "clientOrderId": "one"}) for _ in range(2)]
    assert orders[0]["id"] != orders[1]["id"]
    assert connect("binance").fetch_order(None, SPOT, {"clientOrderId": "one"})["id"] == orders[1]["id"]


@pytest.mark.parametrize(
    ("symbol", "given", "number", "kind"),
    [
        (SPOT, ("buy", "1", "2010"), -2010, ccxt.InsufficientFunds),
        (SPOT, ("buy", "0.001", "2010"), -1013, ccxt.BadRequest),
        (PERP, ("buy", "50", "2010"), -2019, ccxt.InsufficientFunds),
        (PERP, ("buy", "0.001", "2010"), -4164, ccxt.InvalidOrder),
    ],
)
def test_what_cannot_be_is_refused_with_the_venues_code(
    exchange: ExchangeProcess, connect: Callable[..., Any], symbol: str, given: tuple[str, str, str], number: int, kind: type[Exception]
) -> None:
    exchange.grant("binance", "spot", USDT="1000")
    exchange.grant("binance", "perp", USDT="1000")
    binance = connect("binance")
    with pytest.raises(kind):
        binance.create_order(symbol, "limit", *given, IOC)
    assert code(binance) == number
    assert exchange.account("binance")["orders"] == []


RAW = {"symbol": "ETHUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "IOC", "quantity": "0.1", "price": "2010"}


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"quantity": "0.10001"}, -1013),
        ({"price": "2000.001"}, -1013),
        ({"symbol": "ETHUSDX"}, -1121),
        ({"newClientOrderId": "a" * 37}, -1100),
        ({"price": ""}, -1102),
    ],
)
def test_what_ccxt_would_not_send_is_refused_too(
    exchange: ExchangeProcess, connect: Callable[..., Any], changes: dict[str, str], number: int
) -> None:
    exchange.grant("binance", "spot", USDT="1000")
    binance = connect("binance")
    with pytest.raises(ccxt.BaseError):
        binance.privatePostOrder({**RAW, **changes})
    assert code(binance) == number


def test_an_order_in_a_market_that_is_closed_is_refused(exchange: ExchangeProcess, connect: Callable[..., Any]) -> None:
    exchange.control(market={"venue": "binance", "kind": "spot", "symbol": "ETHUSDT", "is_open": False})
    binance = connect("binance")
    with pytest.raises(ccxt.MarketClosed):
        binance.privatePostOrder(RAW)
    assert code(binance) == -1013
    assert [one["status"] for one in binance.publicGetExchangeInfo({"symbol": "ETHUSDT"})["symbols"]] == ["BREAK"]


def test_a_wrong_signature_a_wrong_key_and_a_key_without_permission_are_refused(
    exchange: ExchangeProcess, connect: Callable[..., Any]
) -> None:
    exchange.control(key={"venue": "binance", "key": "reader", "secret": "s", "may": ["read"]})
    found = []
    for config in ({"secret": "wrong"}, {"apiKey": "unknown"}, {"apiKey": "reader", "secret": "s"}):
        binance = connect("binance", **config)
        with pytest.raises(ccxt.AuthenticationError):
            binance.privatePostOrder(RAW)
        found.append(code(binance))
    assert found == [-1022, -2015, -2015]
    assert connect("binance", apiKey="reader", secret="s").sapiGetAccountApiRestrictions()["enableWithdrawals"] is False


def test_a_request_from_another_time_is_refused(exchange: ExchangeProcess, connect: Callable[..., Any], times: Times) -> None:
    binance = connect("binance", options={"recvWindow": 2_000})
    binance.fetch_balance()
    for seconds in (2.001, -4.002):  # behind its receive window, then more than a second ahead
        exchange.control(advance_s=seconds)
        with pytest.raises(ccxt.InvalidNonce):
            binance.fetch_balance()
        assert code(binance) == -1021


def test_a_position_is_opened_reduced_and_turned_with_exact_profit(exchange: ExchangeProcess, connect: Callable[..., Any]) -> None:
    exchange.grant("binance", "perp", USDT="1000")
    binance = connect("binance")
    binance.set_leverage(10, PERP)
    binance.create_order(PERP, "limit", "sell", "1", "1990", IOC)
    exchange.control(price={"symbol": "ETHUSDT", "price": "2100"})
    placed = binance.create_order(PERP, "limit", "buy", "1.5", "2110", IOC)
    (fill,) = binance.fetch_my_trades(PERP, params={"orderId": placed["id"]})
    assert (fill["info"]["realizedPnl"], fill["fee"]) == ("-100", {"currency": "USDT", "cost": "1.575"})
    (position,) = binance.fetch_positions([PERP])
    assert (position["side"], position["contracts"], position["entryPrice"]) == ("long", "0.5", "2100.00000000")
    assert exchange.balances("binance", "perp") == {"USDT": 1000 - 1 - 100 - D("1.575")}
    assert binance.fetch_balance({"type": "swap"})["USDT"] == {"free": "792.42500000", "used": "105.00000000", "total": "897.42500000"}
    with pytest.raises(ccxt.InvalidOrder):
        binance.create_order(PERP, "limit", "buy", "0.1", "2110", {**IOC, "reduceOnly": True})
    assert code(binance) == -2022


def test_funding_deleveraging_and_liquidation_are_listed_and_paid(exchange: ExchangeProcess, connect: Callable[..., Any]) -> None:
    exchange.grant("binance", "perp", USDT="1000")
    binance = connect("binance")
    binance.create_order(PERP, "limit", "sell", "1", "1990", IOC)
    exchange.control(
        {"fund": {"venue": "binance", "symbol": "ETHUSDT", "rate": "0.0001"}},
        {"close": {"venue": "binance", "symbol": "ETHUSDT", "share": "0.25", "origin": "adl"}},
        {"close": {"venue": "binance", "symbol": "ETHUSDT", "origin": "liquidation", "price": "2400", "fee": "0.0125"}},
    )
    income = [(one["incomeType"], one["income"]) for one in binance.fapiPrivateGetIncome()]
    assert income == [("COMMISSION", "-1"), ("FUNDING_FEE", "0.2"), ("COMMISSION", "-22.5"), ("REALIZED_PNL", "-300")]
    forced = [(one["clientOrderId"].split("-")[0], one["executedQty"]) for one in binance.fapiPrivateGetForceOrders()]
    assert forced == [("adl_autoclose", "0.25"), ("autoclose", "0.75")]
    assert binance.fetch_positions([PERP]) == []
    assert exchange.balances("binance", "perp") == {"USDT": D("676.7")}


def test_settings_are_those_of_a_new_account_until_they_are_changed(exchange: ExchangeProcess, connect: Callable[..., Any]) -> None:
    binance = connect("binance")
    with pytest.raises(ccxt.MarginModeAlreadySet):
        binance.set_margin_mode("cross", PERP)
    assert binance.fetch_leverage(PERP)["longLeverage"] == 20
    assert binance.fetch_position_mode()["hedged"] is False
    binance.set_leverage(3, PERP)
    binance.set_margin_mode("isolated", PERP)
    binance.set_position_mode(True, PERP)
    assert (binance.fetch_leverage(PERP)["longLeverage"], binance.fetch_margin_mode(PERP)["marginMode"]) == (3, "isolated")
    assert binance.fetch_position_mode()["hedged"] is True


@pytest.mark.parametrize(
    ("method", "params", "number"),
    [
        ("privateGetMyTrades", {"startTime": 0, "endTime": 86_400_001}, -1127),
        ("privateGetMyTrades", {"orderId": 1, "startTime": 0}, -1128),
        ("privateGetAllOrders", {"startTime": 0, "endTime": 86_400_001}, -1127),
        ("fapiPrivateGetUserTrades", {"startTime": 0, "endTime": 7 * 86_400_001}, -4165),
        ("fapiPrivateGetUserTrades", {"fromId": 1, "startTime": 0}, -1128),
        ("sapiGetCapitalDepositHisrec", {"startTime": 0}, -1128),
    ],
)
def test_a_question_about_too_long_a_time_is_refused(
    exchange: ExchangeProcess, connect: Callable[..., Any], method: str, params: dict[str, int], number: int
) -> None:
    binance = connect("binance")
    with pytest.raises(ccxt.BaseError):
        getattr(binance, method)({"symbol": "ETHUSDT", **params})
    assert code(binance) == number


def test_futures_without_a_time_know_the_last_week_and_from_a_time_the_week_after_it(
    exchange: ExchangeProcess, connect: Callable[..., Any], times: Times
) -> None:
    exchange.grant("binance", "perp", USDT="1000")
    binance = connect("binance")
    for days in (0, 8):
        times.advance(days * 86_400)
        binance.create_order(PERP, "limit", "buy", "0.1", "2010", IOC)
    start = times.now_ms - 8 * 86_400_000
    found = [
        [int(row["time"]) - start for row in binance.fapiPrivateGetUserTrades({"symbol": "ETHUSDT", **params})]
        for params in ({}, {"startTime": start}, {"startTime": start + 1, "limit": 1})
    ]
    assert found == [[8 * 86_400_000], [0], []]
