"""ccxt, unmodified, trades on the local exchange as on bybit's unified account."""

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

D = Decimal
SPOT, PERP = "ETH/USDT", "ETH/USDT:USDT"
IOC = {"timeInForce": "IOC"}
ELSEWHERE = "0x" + "1" * 40


def code(client: Any) -> int:
    return json.loads(client.last_http_response)["retCode"]


@pytest.fixture
def bybit(exchange: ExchangeProcess, connect: Callable[..., Any]) -> Any:
    exchange.grant("bybit", "unified", USDT="1000")
    return connect("bybit")


def test_an_order_is_acknowledged_and_its_fills_and_fees_are_in_the_executions(exchange: ExchangeProcess, bybit: Any) -> None:
    levels = [["2000", "0.03"], ["2001", "0.02"]]
    exchange.control(levels={"venue": "bybit", "kind": "spot", "symbol": "ETHUSDT", "levels": levels})
    placed = bybit.create_order(SPOT, "limit", "buy", "0.1", "2010", {**IOC, "clientOrderId": "a" * 32})
    assert (placed["status"], placed["filled"], placed["clientOrderId"]) == (None, None, "a" * 32)
    (found,) = bybit.privateGetV5OrderRealtime({"category": "spot", "symbol": "ETHUSDT", "orderLinkId": "a" * 32})["result"]["list"]
    assert (found["orderStatus"], found["cumExecQty"], found["cumExecValue"]) == ("PartiallyFilledCanceled", "0.05", "100.02")
    fills = bybit.fetch_my_trades(SPOT, params={"orderId": placed["id"]})
    assert [(fill["side"], fill["price"], fill["amount"], fill["fee"]["cost"], fill["fee"]["currency"]) for fill in fills] == [
        ("buy", "2000", "0.03", "0.00003", "ETH"), ("buy", "2001", "0.02", "0.00002", "ETH"),
    ]  # fmt: skip
    assert exchange.balances("bybit", "unified") == {"USDT": D("899.98"), "ETH": D("0.04995")}
    assert bybit.fetch_balance()["total"] == {"USDT": "899.98", "ETH": "0.04995"}


def test_spot_and_perp_share_one_wallet(exchange: ExchangeProcess, bybit: Any) -> None:
    bybit.set_leverage(4, PERP)
    with pytest.raises(ccxt.BadRequest):
        bybit.set_leverage(4, PERP)
    assert code(bybit) == 110043
    placed = bybit.create_order(PERP, "limit", "sell", "1", "1990", IOC)
    (fill,) = bybit.fetch_my_trades(PERP, params={"orderId": placed["id"]})
    assert fill["fee"] == {"cost": "1.1", "currency": "USDT", "rate": "0.00055"}
    (position,) = bybit.fetch_positions([PERP])
    assert (position["side"], position["contracts"], position["entryPrice"], position["leverage"]) == ("short", "1", "2000", "4")
    assert bybit.fetch_balance()["USDT"] == {"free": "498.9", "used": "500", "total": "998.9", "debt": "0"}
    with pytest.raises(ccxt.InsufficientFunds):
        bybit.create_order(SPOT, "limit", "buy", "0.3", "2010", IOC)
    assert code(bybit) == 170131
    with pytest.raises(ccxt.InsufficientFunds):
        bybit.create_order(PERP, "limit", "sell", "1", "1990", IOC)
    assert code(bybit) == 110007


def test_an_id_is_refused_again_for_ever(exchange: ExchangeProcess, bybit: Any) -> None:
    for symbol, number in ((SPOT, 170141), (PERP, 110072)):
        bybit.create_order(symbol, "limit", "buy", "0.1", "2010", {**IOC, "clientOrderId": str(number)})
        with pytest.raises(ccxt.InvalidOrder):
            bybit.create_order(symbol, "limit", "buy", "0.1", "2010", {**IOC, "clientOrderId": str(number)})
        assert code(bybit) == number
    assert len(exchange.account("bybit")["orders"]) == 2


def test_funding_liquidation_and_deleveraging_are_executions_of_their_own_kinds(exchange: ExchangeProcess, bybit: Any) -> None:
    bybit.create_order(PERP, "limit", "sell", "1", "1990", IOC)
    exchange.control(
        {"fund": {"venue": "bybit", "symbol": "ETHUSDT", "rate": "0.0001"}},
        {"close": {"venue": "bybit", "symbol": "ETHUSDT", "share": "0.25", "origin": "adl"}},
        {"close": {"venue": "bybit", "symbol": "ETHUSDT", "origin": "liquidation", "price": "2400", "fee": "0.001"}},
    )
    assert [(one["info"]["execFee"], one["code"]) for one in bybit.fetch_funding_history(PERP)] == [("-0.2", "USDT")]
    kinds = [row["execType"] for row in bybit.privateGetV5ExecutionList({"category": "linear"})["result"]["list"]]
    assert kinds == ["BustTrade", "AdlTrade", "Funding", "Trade"]
    log = bybit.privateGetV5AccountTransactionLog({"category": "linear"})["result"]["list"]
    moved = sum(D(row["change"]) for row in log)
    assert exchange.balances("bybit", "unified") == {"USDT": 1000 + moved} == {"USDT": 1000 - D("1.1") + D("0.2") - 300 - D("1.8")}


def test_transfers_and_withdrawals_have_ids_that_are_taken_once(exchange: ExchangeProcess, bybit: Any, times: Times) -> None:
    transfer = {"transferId": "11111111-1111-1111-1111-111111111111"}
    bybit.transfer("USDT", "100", "unified", "funding", transfer)
    with pytest.raises(ccxt.ExchangeError):
        bybit.transfer("USDT", "100", "unified", "funding", transfer)
    (listed,) = bybit.fetch_transfers("USDT", params=transfer)
    assert (listed["amount"], listed["status"]) == ("100", "ok")
    withdrawal = {"chain": "ETH", "requestId": "one"}
    bybit.withdraw("USDT", "50", ELSEWHERE, params=withdrawal)
    with pytest.raises(ccxt.ExchangeError):
        bybit.withdraw("USDT", "50", ELSEWHERE, params=withdrawal)
    bybit.withdraw("USDT", "50", ELSEWHERE, params={"chain": "ETH", "accountType": "FUND", "feeType": 1})
    assert exchange.account("bybit")["balances"] == {"unified": {"USDT": "845"}, "funding": {"USDT": "50"}}
    times.advance(600)
    assert [(one["status"], one["amount"], one["fee"]["cost"]) for one in bybit.fetch_withdrawals("USDT")] == [
        ("ok", "45", "5"),
        ("ok", "50", "5"),
    ]
    assert bybit.fetch_deposit_address("USDT", {"network": "ERC20"})["address"].startswith("0x")


def test_wrong_signatures_keys_and_times_are_refused(exchange: ExchangeProcess, bybit: Any, connect: Callable[..., Any]) -> None:
    exchange.control(key={"venue": "bybit", "key": "reader", "secret": "s", "may": ["read"]})
    found = []
    for config in ({"secret": "wrong"}, {"apiKey": "unknown"}, {"apiKey": "reader", "secret": "s"}):
        other = connect("bybit", **config)
        with pytest.raises(ccxt.AuthenticationError):
            other.privatePostV5OrderCreate({"category": "spot"})
        found.append(code(other))
    exchange.control(advance_s=6)
    with pytest.raises(ccxt.InvalidNonce):
        bybit.privatePostV5OrderCreate({"category": "spot"})
    assert [*found, code(bybit)] == [10004, 10003, 10005, 10002]


@pytest.mark.parametrize(
    ("fault", "executed", "kind"),
    [
        ({"fault": "drop_unread"}, 0, ccxt.NetworkError),
        ({"fault": "drop_after"}, 1, ccxt.NetworkError),
        ({"fault": "code", "code": 10000, "status": 200, "after": True, "text": "Server Timeout"}, 1, ccxt.ExchangeError),
        ({"fault": "code", "code": 10006, "status": 200, "text": "Too many visits!"}, 0, ccxt.RateLimitExceeded),
        ({"fault": "duplicate_after"}, 1, ccxt.InvalidOrder),
    ],
    ids=lambda value: value["fault"] if isinstance(value, dict) else "",
)
def test_a_fault_fails_the_call_and_the_ledger_says_whether_it_was_executed(
    exchange: ExchangeProcess, bybit: Any, fault: dict[str, Any], executed: int, kind: type[Exception]
) -> None:
    exchange.control({"on": "order", "venue": "bybit", **fault})
    with pytest.raises(kind):
        bybit.create_order(SPOT, "limit", "buy", "0.1", "2010", {**IOC, "clientOrderId": "one"})
    found = bybit.privateGetV5OrderRealtime({"category": "spot", "symbol": "ETHUSDT", "orderLinkId": "one"})["result"]["list"]
    assert len(exchange.account("bybit")["orders"]) == len(found) == executed


def test_in_maintenance_nothing_answers(exchange: ExchangeProcess, bybit: Any) -> None:
    exchange.control(maintenance=["bybit"])
    with pytest.raises(ccxt.ExchangeError):
        bybit.fetch_balance()
    assert code(bybit) == 10016
