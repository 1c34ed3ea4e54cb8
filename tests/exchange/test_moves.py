"""Transfers, withdrawals and deposits on binance: nothing is lost on the way, and every one is listed."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import ccxt
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Times
    from .process import ExchangeProcess

D = Decimal
ELSEWHERE = "0x" + "1" * 40


def test_a_transfer_moves_between_wallets_and_is_listed(exchange: ExchangeProcess, connect: Callable[..., Any]) -> None:
    exchange.grant("binance", "spot", USDT="100")
    binance = connect("binance")
    moved = binance.transfer("USDT", "60.5", "spot", "swap")
    (listed,) = binance.fetch_transfers("USDT", params={"fromAccount": "spot", "toAccount": "swap"})
    assert (listed["id"], listed["amount"], listed["status"]) == (moved["id"], "60.5", "ok")
    assert exchange.account("binance")["balances"] == {"spot": {"USDT": "39.5"}, "perp": {"USDT": "60.5"}}
    with pytest.raises(ccxt.ExchangeError):
        binance.transfer("USDT", "40", "spot", "swap")
    with pytest.raises(ccxt.ExchangeError):
        binance.transfer("USDT", "61", "swap", "spot")


def test_what_margins_a_position_cannot_be_moved_away(exchange: ExchangeProcess, connect: Callable[..., Any]) -> None:
    exchange.grant("binance", "perp", USDT="201")
    binance = connect("binance")
    binance.create_order("ETH/USDT:USDT", "limit", "sell", "1", "1990", {"timeInForce": "IOC"})
    with pytest.raises(ccxt.ExchangeError):
        binance.transfer("USDT", "100.01", "swap", "spot")
    binance.transfer("USDT", "100", "swap", "spot")
    assert exchange.account("binance")["balances"] == {"perp": {"USDT": "100"}, "spot": {"USDT": "100"}}


def test_a_withdrawal_leaves_at_once_and_arrives_after_its_minutes(
    exchange: ExchangeProcess, connect: Callable[..., Any], times: Times
) -> None:
    exchange.grant("binance", "spot", USDT="100")
    binance = connect("binance")
    binance.withdraw("USDT", "50", ELSEWHERE, params={"network": "ETH", "withdrawOrderId": "one"})
    assert exchange.balances("binance", "spot") == {"USDT": D(50)}
    seen = []
    for seconds in (0, 599, 1):
        times.advance(seconds)
        binance.fetch_balance()
        (listed,) = binance.fetch_withdrawals("USDT", params={"withdrawOrderId": "one"})
        seen.append((listed["status"], listed["amount"], listed["fee"]["cost"], bool(listed["txid"])))
    assert seen == [("pending", "46", "4", False), ("pending", "46", "4", False), ("ok", "46", "4", True)]


def test_a_withdrawal_to_another_accounts_address_is_credited_there(
    exchange: ExchangeProcess, connect: Callable[..., Any], times: Times
) -> None:
    exchange.grant("binance", "spot", USDT="100")
    exchange.control(key={"venue": "binance", "key": "second", "secret": "s", "account": "second"})
    address = connect("binance", apiKey="second", secret="s").fetch_deposit_address("USDT")["address"]
    binance = connect("binance")
    binance.withdraw("USDT", "50", address, params={"network": "ETH"})
    times.advance(600)
    (deposit,) = connect("binance", apiKey="second", secret="s").fetch_deposits("USDT")
    (withdrawal,) = binance.fetch_withdrawals("USDT")
    assert (deposit["txid"], deposit["amount"], deposit["status"]) == (withdrawal["txid"], "46", "ok")
    assert exchange.account("binance", "second")["balances"] == {"spot": {"USDT": "46"}}


def test_a_transfer_on_chain_to_a_deposit_address_is_credited_after_its_confirmations(
    exchange: ExchangeProcess, connect: Callable[..., Any], times: Times
) -> None:
    binance = connect("binance")
    address = binance.fetch_deposit_address("ETH")["address"]
    exchange.control(send={"to": address, "token": "ETH", "amount": "1.5", "hash": "0xabc", "seconds": 120})
    seen = []
    for seconds in (0, 119, 1):
        times.advance(seconds)
        binance.fetch_balance()
        (listed,) = binance.fetch_deposits("ETH")
        seen.append((listed["status"], listed["txid"], exchange.balances("binance", "spot").get("ETH")))
    assert seen == [("pending", "0xabc", None), ("pending", "0xabc", None), ("ok", "0xabc", D("1.5"))]
    with pytest.raises(ValueError, match="KeyError"):
        exchange.control(send={"to": ELSEWHERE, "token": "ETH", "amount": "1", "hash": "0xdef"})


def test_what_leaves_for_an_address_is_on_the_chain_with_its_hash(
    exchange: ExchangeProcess, connect: Callable[..., Any], times: Times
) -> None:
    exchange.grant("binance", "spot", USDT="100")
    binance = connect("binance")
    binance.withdraw("USDT", "50", ELSEWHERE, params={"network": "ETH"})
    assert exchange.read("chain") == []
    times.advance(600)
    (withdrawal,) = binance.fetch_withdrawals("USDT")
    (sent,) = exchange.read("chain")
    assert sent == {
        "venue": "binance",
        "at": times.now_ms,
        "hash": withdrawal["txid"],
        "address": ELSEWHERE,
        "token": "USDT",
        "amount": "46",
    }


def test_a_withdrawal_that_the_venue_cancels_comes_back_whole(exchange: ExchangeProcess, connect: Callable[..., Any]) -> None:
    exchange.grant("binance", "spot", USDT="100")
    binance = connect("binance")
    binance.withdraw("USDT", "50", ELSEWHERE, params={"network": "ETH", "withdrawOrderId": "one"})
    exchange.control(withdrawal={"venue": "binance", "client_id": "one", "status": "cancelled"})
    assert [one["status"] for one in binance.fetch_withdrawals("USDT")] == ["canceled"]
    assert exchange.balances("binance", "spot") == {"USDT": D(100)}


def test_a_withdrawal_that_may_not_be_is_refused(exchange: ExchangeProcess, connect: Callable[..., Any]) -> None:
    exchange.grant("binance", "spot", USDT="100", ETH="1")
    exchange.control(
        {"setting": {"venue": "binance", "addresses": [ELSEWHERE]}},
        {"network": {"venue": "binance", "token": "ETH", "is_open": False}},
        {"key": {"venue": "binance", "key": "trader", "secret": "s", "may": ["read", "trade"]}},
    )
    binance = connect("binance")
    binance.withdraw("USDT", "20", ELSEWHERE, params={"network": "ETH", "withdrawOrderId": "one"})
    for token, amount, address, config, number in (
        ("USDT", "20", "0x" + "2" * 40, {}, "-4104"),  # not on the list of addresses
        ("USDT", "9", ELSEWHERE, {}, "-4003"),
        ("USDT", "81", ELSEWHERE, {}, "-4026"),
        ("ETH", "0.5", ELSEWHERE, {}, "-4015"),
        ("USDT", "20", ELSEWHERE, {"apiKey": "trader", "secret": "s"}, "-2015"),
    ):
        other = connect("binance", **config)
        with pytest.raises(ccxt.BaseError):
            other.withdraw(token, amount, address, params={"network": "ETH"})
        assert f'"code": {number},' in other.last_http_response
    assert len(exchange.account("binance")["withdrawals"]) == 1


def test_whether_a_repeated_withdrawal_is_refused_is_not_known_of_binance_so_both_can_be_had(
    exchange: ExchangeProcess, connect: Callable[..., Any]
) -> None:
    exchange.grant("binance", "spot", USDT="100")
    binance = connect("binance")
    withdrawal = {"network": "ETH", "withdrawOrderId": "one"}
    for _ in range(2):
        binance.withdraw("USDT", "20", ELSEWHERE, params=withdrawal)
    exchange.control(setting={"venue": "binance", "refuses_repeated_withdrawals": True})
    with pytest.raises(ccxt.ExchangeError):
        binance.withdraw("USDT", "20", ELSEWHERE, params=withdrawal)
    assert [one["client_id"] for one in exchange.account("binance")["withdrawals"]] == ["one", "one"]


def test_a_deposit_is_pending_until_it_is_credited_once_and_with_what_came(exchange: ExchangeProcess, connect: Callable[..., Any]) -> None:
    binance = connect("binance")
    deposit = {"venue": "binance", "token": "ETH", "amount": "1", "hash": "0xabc", "status": "pending"}
    exchange.control(deposit=deposit)
    assert [one["status"] for one in binance.fetch_deposits("ETH")] == ["pending"]
    assert exchange.balances("binance", "spot") == {}
    for _ in range(2):
        exchange.control(deposit={**deposit, "amount": "0.99", "status": "completed"})
    assert [(one["status"], one["amount"], one["txid"]) for one in binance.fetch_deposits("ETH")] == [("ok", "0.99", "0xabc")]
    assert exchange.balances("binance", "spot") == {"ETH": D("0.99")}
