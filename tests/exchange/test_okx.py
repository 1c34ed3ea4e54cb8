"""ccxt, unmodified, trades on the local exchange as on okx: swaps in contracts, fees with their sign, deadlines in a header."""

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


def code(client: Any) -> str:
    """That of the order, where there is one."""
    answer = json.loads(client.last_http_response)
    return answer["data"][0]["sCode"] if answer["data"] else answer["code"]


@pytest.fixture
def okx(exchange: ExchangeProcess, connect: Callable[..., Any]) -> Any:
    exchange.grant("okx", "trading", USDT="1000")
    return connect("okx")


def test_an_order_is_acknowledged_and_its_fills_have_the_fees(exchange: ExchangeProcess, okx: Any) -> None:
    exchange.control(levels={"venue": "okx", "kind": "spot", "symbol": "ETHUSDT", "levels": [["2000", "0.03"], ["2001", "0.02"]]})
    placed = okx.create_order(SPOT, "limit", "buy", "0.1", "2010", {**IOC, "clientOrderId": "a" * 32})
    found = okx.fetch_order(None, SPOT, {"clientOrderId": "a" * 32})
    fills = okx.fetch_my_trades(SPOT, params={"ordId": placed["id"]})
    assert (found["id"], found["status"], found["filled"], found["average"]) == (placed["id"], "canceled", "0.05", "2000.4")
    assert [(fill["side"], fill["amount"], fill["fee"]) for fill in fills] == [
        ("buy", "0.03", {"cost": "0.00003", "currency": "ETH"}), ("buy", "0.02", {"cost": "0.00002", "currency": "ETH"}),
    ]  # fmt: skip
    assert exchange.balances("okx", "trading") == {"USDT": D("899.98"), "ETH": D("0.04995")}
    assert okx.fetch_balance()["total"] == {"USDT": "899.98", "ETH": "0.04995"}


def test_a_swap_is_counted_in_contracts_of_a_tenth_of_an_ether(exchange: ExchangeProcess, okx: Any) -> None:
    okx.set_leverage(10, PERP)
    placed = okx.create_order(PERP, "limit", "sell", "5", "1990", IOC)
    (fill,) = okx.fetch_my_trades(PERP, params={"ordId": placed["id"]})
    assert (fill["amount"], fill["fee"]) == ("5", {"cost": "0.5", "currency": "USDT"})
    (position,) = okx.fetch_positions([PERP])
    assert (position["side"], position["contracts"], position["entryPrice"], position["leverage"]) == ("short", "5", "2000", "10")
    assert exchange.account("okx")["positions"]["ETHUSDT"]["amount"] == "-0.5"
    assert okx.fetch_balance()["USDT"] == {"free": "899.5", "used": "100", "total": "999.5"}
    with pytest.raises(ccxt.InvalidOrder):
        okx.create_order(PERP, "limit", "buy", "5", "2010", {**IOC, "clientOrderId": placed["clientOrderId"]})
    assert code(okx) == "51016"
    with pytest.raises(ccxt.InsufficientFunds):
        okx.create_order(PERP, "limit", "sell", "50", "1990", IOC)
    assert code(okx) == "51008"


def test_funding_liquidation_and_deleveraging_are_bills(exchange: ExchangeProcess, okx: Any) -> None:
    okx.create_order(PERP, "limit", "sell", "10", "1990", IOC)
    exchange.control(
        {"fund": {"venue": "okx", "symbol": "ETHUSDT", "rate": "0.0001"}},
        {"close": {"venue": "okx", "symbol": "ETHUSDT", "share": "0.25", "origin": "adl"}},
        {"close": {"venue": "okx", "symbol": "ETHUSDT", "origin": "liquidation", "price": "2400", "fee": "0.001"}},
    )
    assert [(one["amount"], one["code"]) for one in okx.fetch_funding_history(PERP)] == [("0.2", "USDT")]
    bills = okx.privateGetAccountBills({"instType": "SWAP"})["data"]
    assert [(bill["type"], bill["balChg"]) for bill in bills] == [("5", "-301.8"), ("9", "0"), ("8", "0.2"), ("2", "-1")]
    assert exchange.balances("okx", "trading") == {"USDT": 1000 + sum(D(bill["balChg"]) for bill in bills)}


def test_an_order_with_a_deadline_is_not_executed_after_it(exchange: ExchangeProcess, okx: Any, times: Times) -> None:
    okx.headers = {"expTime": str(times.now_ms + 2_000)}
    exchange.fault("order", "late", seconds=2.5)
    with pytest.raises(ccxt.NetworkError):
        okx.create_order(SPOT, "limit", "buy", "0.1", "2010", IOC)
    okx.headers = {}
    times.advance(60)
    okx.fetch_balance()
    assert exchange.account("okx")["orders"] == []


def test_transfers_and_withdrawals_have_ids_that_are_taken_once(exchange: ExchangeProcess, okx: Any, times: Times) -> None:
    okx.transfer("USDT", "100", "trading", "funding", {"clientId": "one"})
    with pytest.raises(ccxt.ExchangeError):
        okx.transfer("USDT", "100", "trading", "funding", {"clientId": "one"})
    (state,) = okx.privateGetAssetTransferState({"clientId": "one"})["data"]
    assert (state["state"], state["amt"]) == ("success", "100")
    withdrawal = {"network": "ERC20", "fee": "3", "clientId": "two"}
    okx.withdraw("USDT", "50", ELSEWHERE, params=withdrawal)
    with pytest.raises(ccxt.ExchangeError):
        okx.withdraw("USDT", "40", ELSEWHERE, params=withdrawal)
    assert exchange.account("okx")["balances"] == {"trading": {"USDT": "900"}, "funding": {"USDT": "47"}}
    assert okx.fetch_balance({"type": "funding"})["USDT"]["free"] == "47"
    times.advance(600)
    okx.fetch_balance()
    (listed,) = okx.fetch_withdrawals("USDT", params={"clientId": "two"})
    assert (listed["status"], listed["amount"], listed["fee"]["cost"], bool(listed["txid"])) == ("ok", "50", "3", True)


def test_wrong_signatures_keys_passphrases_and_times_are_refused(exchange: ExchangeProcess, okx: Any, connect: Callable[..., Any]) -> None:
    exchange.control(key={"venue": "okx", "key": "reader", "secret": "s", "may": ["read"]})
    found = []
    for config in ({"secret": "wrong"}, {"apiKey": "unknown"}, {"password": "wrong"}, {"apiKey": "reader", "secret": "s"}):
        other = connect("okx", **config)
        with pytest.raises((ccxt.AuthenticationError, ccxt.ExchangeError)):
            other.create_order(SPOT, "limit", "buy", "0.1", "2010", IOC)
        found.append(code(other))
    exchange.control(advance_s=31)
    with pytest.raises(ccxt.InvalidNonce):
        okx.fetch_balance()
    assert [*found, code(okx)] == ["50113", "50111", "50105", "50120", "50102"]


@pytest.mark.parametrize(
    ("fault", "executed", "kind"),
    [
        ({"fault": "drop_unread"}, 0, ccxt.NetworkError),
        ({"fault": "drop_after"}, 1, ccxt.NetworkError),
        ({"fault": "code", "code": "50011", "status": 429, "text": "Requests too frequent."}, 0, ccxt.RateLimitExceeded),
        ({"fault": "duplicate_after"}, 1, ccxt.InvalidOrder),
    ],
    ids=lambda value: value["fault"] if isinstance(value, dict) else "",
)
def test_a_fault_fails_the_call_and_the_ledger_says_whether_it_was_executed(
    exchange: ExchangeProcess, okx: Any, fault: dict[str, Any], executed: int, kind: type[Exception]
) -> None:
    exchange.control({"on": "order", "venue": "okx", **fault})
    with pytest.raises(kind):
        okx.create_order(SPOT, "limit", "buy", "0.1", "2010", {**IOC, "clientOrderId": "one"})
    assert len(exchange.account("okx")["orders"]) == executed
    if executed:
        assert okx.fetch_order(None, SPOT, {"clientOrderId": "one"})["status"] == "closed"
    else:
        with pytest.raises(ccxt.OrderNotFound):
            okx.fetch_order(None, SPOT, {"clientOrderId": "one"})


def test_in_maintenance_nothing_answers(exchange: ExchangeProcess, okx: Any) -> None:
    exchange.control(maintenance=["okx"])
    with pytest.raises(ccxt.ExchangeNotAvailable):
        okx.fetch_balance()
