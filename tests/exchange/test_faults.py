"""What the local exchange does wrong on command, and that its ledger says what happened all the same."""

from __future__ import annotations

import os
import subprocess
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import ccxt
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Times
    from .process import ExchangeProcess

SPOT = "ETH/USDT"
D = Decimal


def order(client: Any, client_id: str = "one") -> Any:
    return client.create_order(SPOT, "limit", "buy", "0.1", "2010", {"timeInForce": "IOC", "clientOrderId": client_id})


@pytest.fixture
def binance(exchange: ExchangeProcess, connect: Callable[..., Any]) -> Any:
    exchange.grant("binance", "spot", USDT="1000")
    return connect("binance", timeout=300, options={"recvWindow": 2_000})


NETWORK, AWAY = ccxt.NetworkError, ccxt.ExchangeNotAvailable


@pytest.mark.parametrize(
    ("fault", "executed", "kind"),
    [
        ({"fault": "drop_unread"}, 0, NETWORK),
        ({"fault": "drop"}, 0, NETWORK),
        ({"fault": "drop_after"}, 1, NETWORK),
        ({"fault": "hang"}, 0, ccxt.RequestTimeout),
        ({"fault": "hang_after"}, 1, ccxt.RequestTimeout),
        ({"fault": "status", "status": 500}, 0, AWAY),
        ({"fault": "status", "status": 503, "after": True}, 1, AWAY),
        ({"fault": "status", "status": 504, "after": True, "body": "json"}, 1, ccxt.RequestTimeout),
        ({"fault": "status", "status": 524, "after": True, "body": "empty"}, 1, ccxt.ExchangeError),
        ({"fault": "status", "status": 429, "retry_after": 3}, 0, ccxt.DDoSProtection),
        ({"fault": "status", "status": 418}, 0, ccxt.DDoSProtection),
        ({"fault": "code", "code": -1006, "status": 400, "after": True}, 1, ccxt.OperationFailed),
        ({"fault": "code", "code": -1003, "status": 429}, 0, ccxt.DDoSProtection),
        ({"fault": "refuse", "reason": "balance"}, 0, ccxt.InsufficientFunds),
        ({"fault": "duplicate_after"}, 1, ccxt.InvalidOrder),
        ({"fault": "half_after"}, 1, NETWORK),
        ({"fault": "delay_after", "seconds": 0.4}, 1, ccxt.RequestTimeout),
    ],
    ids=lambda value: "-".join(str(one) for one in value.values()) if isinstance(value, dict) else "",
)
def test_a_fault_fails_the_call_and_the_ledger_says_whether_it_was_executed(
    exchange: ExchangeProcess, binance: Any, fault: dict[str, Any], executed: int, kind: type[Exception]
) -> None:
    exchange.control({"on": "order", **fault})
    with pytest.raises(kind):
        order(binance)
    assert len(exchange.account("binance")["orders"]) == executed
    assert exchange.balances("binance", "spot") == ({"USDT": D(800), "ETH": D("0.0999")} if executed else {"USDT": D(1000)})
    assert exchange.count("binance", "order") == 1
    if executed:
        assert binance.fetch_order(None, SPOT, {"clientOrderId": "one"})["status"] == "closed"
    else:
        with pytest.raises(ccxt.OrderNotFound):
            binance.fetch_order(None, SPOT, {"clientOrderId": "one"})
    assert binance.last_response_headers.get("Retry-After") is None


@pytest.mark.parametrize("fault", ["empty_after", "html_after", "truncated_after", "garbage_after"])
def test_an_answer_of_another_shape_is_an_order_without_an_id(exchange: ExchangeProcess, binance: Any, fault: str) -> None:
    exchange.fault("order", fault)
    assert order(binance)["id"] is None
    assert [one["status"] for one in exchange.account("binance")["orders"]] == ["filled"]


def test_the_wait_that_a_429_asks_for_is_in_its_header(exchange: ExchangeProcess, binance: Any) -> None:
    exchange.fault("order", "status", status=429, retry_after=3)
    with pytest.raises(ccxt.DDoSProtection):
        order(binance)
    assert binance.last_response_headers["Retry-After"] == "3"


def test_a_late_order_is_executed_when_it_arrives(exchange: ExchangeProcess, binance: Any, times: Times) -> None:
    exchange.fault("order", "late", seconds=1.5)
    with pytest.raises(ccxt.NetworkError):
        order(binance)
    with pytest.raises(ccxt.OrderNotFound):
        binance.fetch_order(None, SPOT, {"clientOrderId": "one"})
    times.advance(1.5)
    binance.fetch_balance()
    found = binance.fetch_order(None, SPOT, {"clientOrderId": "one"})
    assert (found["status"], found["timestamp"]) == ("closed", times.now_ms)


def test_an_order_that_arrives_after_its_receive_window_is_never_executed(exchange: ExchangeProcess, binance: Any, times: Times) -> None:
    exchange.fault("order", "late", seconds=2.5)
    with pytest.raises(ccxt.NetworkError):
        order(binance)
    times.advance(60)
    binance.fetch_balance()
    assert exchange.account("binance")["orders"] == []


def test_a_look_up_lags_by_the_venues_clock(exchange: ExchangeProcess, binance: Any, times: Times) -> None:
    exchange.control(lag_s={"binance": 3})
    order(binance)
    for seconds in (0, 2.9):
        times.advance(seconds)
        binance.fetch_balance()
        with pytest.raises(ccxt.OrderNotFound):
            binance.fetch_order(None, SPOT, {"clientOrderId": "one"})
        assert binance.fetch_my_trades(SPOT) == []
    times.advance(0.1)
    binance.fetch_balance()
    assert binance.fetch_order(None, SPOT, {"clientOrderId": "one"})["status"] == "closed"


def test_a_stale_balance_is_that_of_some_seconds_ago(exchange: ExchangeProcess, binance: Any, times: Times) -> None:
    exchange.control(stale_s={"binance": 10})
    times.advance(20)
    order(binance)
    shown = []
    for seconds in (0, 9.9, 0.1):
        times.advance(seconds)
        shown.append(binance.fetch_balance()["USDT"]["total"])
    assert shown == ["1000", "1000", "800"]


def test_in_maintenance_nothing_answers_until_it_is_over(exchange: ExchangeProcess, binance: Any) -> None:
    exchange.control(maintenance=["binance"])
    for call in (binance.fetch_balance, lambda: order(binance)):
        with pytest.raises(ccxt.ExchangeNotAvailable):
            call()
    exchange.control(maintenance=[])
    assert order(binance)["status"] == "closed"


def test_a_share_of_an_order_is_executed_on_command(exchange: ExchangeProcess, binance: Any) -> None:
    exchange.fault("order", "partial", share="0.55")
    placed = order(binance)
    assert (placed["status"], placed["filled"]) == ("expired", "0.05500000")


def test_a_fault_may_hold_for_several_calls_and_for_all_kinds(exchange: ExchangeProcess, binance: Any) -> None:
    exchange.fault("*", "status", status=503, times=2)
    for call in (binance.fetch_balance, lambda: order(binance)):
        with pytest.raises(ccxt.ExchangeNotAvailable):
            call()
    assert order(binance)["status"] == "closed"


def test_a_held_order_is_executed_once_it_is_released(exchange: ExchangeProcess, binance: Any) -> None:
    exchange.fault("order", "held")
    with pytest.raises(ccxt.RequestTimeout):
        order(binance)
    assert exchange.account("binance")["orders"] == []
    exchange.control(release=True)
    assert order(binance, "two")["status"] == "closed"
    while len(exchange.account("binance")["orders"]) < 2:  # it runs in a thread of its own
        pass


@pytest.mark.parametrize("fault", ["kill", "kill_after"])
def test_a_process_is_killed_at_its_order_which_is_executed(exchange: ExchangeProcess, binance: Any, fault: str) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as victim:
        exchange.fault("order", fault, pid=victim.pid)
        with pytest.raises(ccxt.NetworkError):
            order(binance)
        assert victim.wait(10) == -9
    assert len(exchange.account("binance")["orders"]) == 1
    assert victim.pid != os.getpid()


def test_a_fill_may_be_gone_or_without_its_fee(exchange: ExchangeProcess, binance: Any) -> None:
    exchange.fault("order", "edit_after", edits=[{"path": ["fills", 0]}])
    exchange.fault("order", "edit_after", edits=[{"path": ["fills", 0, "commission"]}, {"path": ["status"], "value": "NEW"}])
    assert (order(binance)["trades"], order(binance)["fee"]) == ([], None)
    assert exchange.balances("binance", "spot") == {"USDT": D(600), "ETH": D("0.1998")}


@pytest.mark.parametrize(
    ("venue", "kind"), [("binance", ccxt.DDoSProtection), ("bybit", ccxt.RateLimitExceeded), ("okx", ccxt.RateLimitExceeded)]
)
def test_more_requests_than_a_minute_allows_are_refused_until_the_next(
    exchange: ExchangeProcess, connect: Callable[..., Any], times: Times, venue: str, kind: type[Exception]
) -> None:
    client = connect(venue)
    client.fetch_balance()
    times.advance(61)
    client.fetch_balance()
    exchange.control(limit={venue: 3})
    client.fetch_balance()
    for _ in range(2):
        with pytest.raises(kind):
            for _ in range(3):
                client.fetch_balance()
    times.advance(60)
    client.fetch_balance()


def test_what_is_no_command_is_refused(exchange: ExchangeProcess) -> None:
    with pytest.raises(ValueError, match="KeyError"):
        exchange.control(nonsense={})


def test_a_clear_lets_go_of_what_is_held(exchange: ExchangeProcess, binance: Any) -> None:
    exchange.fault("order", "held")
    with pytest.raises(ccxt.RequestTimeout):
        order(binance)
    exchange.control(clear=True)
    while not exchange.account("binance")["orders"]:  # it runs in a thread of its own
        pass
    assert [one["status"] for one in exchange.account("binance")["orders"]] == ["filled"]
