"""ccxt, unmodified but for its builder's fee, trades on the local exchange as on hyperliquid: signatures count, nonces only once."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import ccxt
import pytest

from .clients import OWNER

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Times
    from .process import ExchangeProcess

D = Decimal
SPOT, PERP = "ETH/USDC", "ETH/USDC:USDC"
IOC = {"timeInForce": "IOC"}
CLOID = "0x" + "a" * 32
STRANGER = "0x" + "2" * 64


@pytest.fixture
def hyperliquid(exchange: ExchangeProcess, connect: Callable[..., Any]) -> Any:
    exchange.grant("hyperliquid", "perp", USDC="1000")
    exchange.grant("hyperliquid", "spot", USDC="1000")
    return connect("hyperliquid")


def test_a_spot_order_is_found_by_its_cloid_and_its_fee_is_in_the_fills(exchange: ExchangeProcess, hyperliquid: Any) -> None:
    exchange.control(levels={"venue": "hyperliquid", "kind": "spot", "symbol": "ETHUSDC", "levels": [["2000", "0.03"], ["2001", "0.02"]]})
    placed = hyperliquid.create_order(SPOT, "limit", "buy", "0.1", "2010", {**IOC, "clientOrderId": CLOID})
    found = hyperliquid.fetch_order(None, SPOT, {"clientOrderId": CLOID})
    fills = hyperliquid.fetch_my_trades(SPOT)
    assert (placed["id"], placed["filled"], placed["average"]) == (found["id"], "0.05", "2000.4")
    assert (found["status"], found["filled"], found["clientOrderId"]) == ("canceled", "0.05", CLOID)
    assert [(fill["order"], fill["side"], fill["amount"], fill["fee"]["cost"], fill["fee"]["currency"]) for fill in fills] == [
        (placed["id"], "buy", "0.03", "0.000021", "UETH"), (placed["id"], "buy", "0.02", "0.000014", "UETH"),
    ]  # fmt: skip
    assert exchange.balances("hyperliquid", "spot") == {"USDC": D("899.98"), "ETH": D("0.049965")}
    assert hyperliquid.fetch_balance({"type": "spot"})["total"] == {"USDC": "899.98", "ETH": "0.049965"}


def test_a_position_its_margin_and_its_funding_are_as_the_ledger_has_them(exchange: ExchangeProcess, hyperliquid: Any) -> None:
    hyperliquid.set_leverage(5, PERP)
    hyperliquid.create_order(PERP, "limit", "sell", "1", "1990", IOC)
    exchange.control(fund={"venue": "hyperliquid", "symbol": "ETHUSDC", "rate": "0.0001"})
    (position,) = hyperliquid.fetch_positions([PERP])
    assert (position["side"], position["contracts"], position["entryPrice"], position["leverage"]) == ("short", "1", "2000", "5")
    assert [one["amount"] for one in hyperliquid.fetch_funding_history(PERP)] == ["0.2"]
    assert exchange.balances("hyperliquid", "perp") == {"USDC": 1000 - D("0.9") + D("0.2")}
    assert hyperliquid.fetch_balance({"type": "swap"})["USDC"] == {"free": "599.3", "used": "400", "total": "999.3"}
    with pytest.raises(ccxt.InsufficientFunds):
        hyperliquid.create_order(PERP, "limit", "sell", "2", "1990", IOC)
    exchange.control(close={"venue": "hyperliquid", "symbol": "ETHUSDC", "origin": "liquidation", "price": "2400"})
    assert [fill["info"]["dir"] for fill in hyperliquid.fetch_my_trades(PERP)] == ["Open Short", "Close Short"]
    assert exchange.balances("hyperliquid", "perp") == {"USDC": D("599.3")}


def test_an_order_that_meets_nothing_is_an_error_and_still_known(exchange: ExchangeProcess, hyperliquid: Any) -> None:
    with pytest.raises(ccxt.InvalidOrder):
        hyperliquid.create_order(SPOT, "limit", "buy", "0.1", "1990", {**IOC, "clientOrderId": CLOID})
    assert hyperliquid.fetch_order(None, SPOT, {"clientOrderId": CLOID})["status"] == "rejected"
    with pytest.raises(ccxt.OrderNotFound):
        hyperliquid.fetch_order(None, SPOT, {"clientOrderId": "0x" + "b" * 32})


def test_the_same_signed_bytes_are_executed_once(exchange: ExchangeProcess, hyperliquid: Any) -> None:
    order = {"symbol": SPOT, "type": "limit", "side": "buy", "amount": "0.1", "price": "2010", "params": IOC}
    signed = hyperliquid.create_orders_request([order])
    hyperliquid.privatePostExchange(signed)
    with pytest.raises(ccxt.ExchangeError, match="nonce"):
        hyperliquid.privatePostExchange(signed)
    assert len(exchange.account("hyperliquid")["orders"]) == 1


def test_an_action_is_not_executed_after_its_expiry(exchange: ExchangeProcess, hyperliquid: Any, times: Times) -> None:
    asset = {"a": 10_000, "b": True, "p": "2010", "s": "0.1", "r": False, "t": {"limit": {"tif": "Ioc"}}}
    action = {"type": "order", "orders": [asset], "grouping": "na"}
    expires = times.now_ms + 2_000
    signature = hyperliquid.sign_l1_action(action, times.now_ms, None, expires)
    exchange.fault("order", "late", seconds=2.5)
    with pytest.raises(ccxt.NetworkError):
        hyperliquid.privatePostExchange({"action": action, "nonce": times.now_ms, "signature": signature, "expiresAfter": expires})
    times.advance(60)
    hyperliquid.set_leverage(5, PERP)  # the next signed request moves the clock
    assert exchange.account("hyperliquid")["orders"] == []


def test_only_known_keys_may_act_and_an_agents_key_moves_no_money(
    exchange: ExchangeProcess, connect: Callable[..., Any], hyperliquid: Any
) -> None:
    stranger = connect("hyperliquid", privateKey=STRANGER)
    with pytest.raises(ccxt.InvalidOrder, match="does not exist") as refused:
        stranger.create_order(SPOT, "limit", "buy", "0.1", "2010", IOC)
    address = str(refused.value).split("Wallet ")[1].split(" ")[0]
    exchange.control(key={"venue": "hyperliquid", "key": address, "secret": "", "may": ["read", "trade", "transfer"]})
    assert stranger.create_order(SPOT, "limit", "buy", "0.1", "2010", IOC)["filled"] == "0.1"
    with pytest.raises(ccxt.ExchangeError):
        stranger.transfer("USDC", "10", "spot", "swap")
    assert exchange.balances("hyperliquid", "perp") == {"USDC": D(1000)}


def test_transfers_withdrawals_and_deposits_are_listed_with_their_nonces(exchange: ExchangeProcess, hyperliquid: Any, times: Times) -> None:
    hyperliquid.transfer("USDC", "100", "spot", "swap")
    times.advance(1)
    hyperliquid.withdraw("USDC", "50", "0x" + "1" * 40)
    exchange.control(deposit={"venue": "hyperliquid", "token": "USDC", "amount": "7", "hash": "0xabc"})
    updates = hyperliquid.publicPostInfo({"type": "userNonFundingLedgerUpdates", "user": OWNER, "startTime": 0})
    assert [one["delta"] for one in updates] == [
        {"type": "accountClassTransfer", "usdc": "100", "toPerp": True},
        {"type": "withdraw", "usdc": "49", "nonce": times.now_ms, "fee": "1"},
        {"type": "deposit", "usdc": "7"},
    ]
    assert exchange.account("hyperliquid")["balances"] == {"spot": {"USDC": "900"}, "perp": {"USDC": "1057"}}


@pytest.mark.parametrize(("fault", "executed"), [("drop_unread", 0), ("drop_after", 1), ("hang", 0)])
def test_a_fault_fails_the_call_and_the_ledger_says_whether_it_was_executed(
    exchange: ExchangeProcess, connect: Callable[..., Any], hyperliquid: Any, fault: str, executed: int
) -> None:
    exchange.fault("order", fault, venue="hyperliquid")
    with pytest.raises((ccxt.NetworkError, ccxt.RequestTimeout)):
        connect("hyperliquid", timeout=300).create_order(SPOT, "limit", "buy", "0.1", "2010", {**IOC, "clientOrderId": CLOID})
    assert len(exchange.account("hyperliquid")["orders"]) == executed


def test_the_builder_and_the_referrer_that_ccxt_signs_unasked_are_counted(exchange: ExchangeProcess, hyperliquid: Any) -> None:
    hyperliquid.create_order(SPOT, "limit", "buy", "0.1", "2010", IOC)
    assert exchange.count("hyperliquid", "builder") == 0
    unchanged = ccxt.hyperliquid({"walletAddress": OWNER, "privateKey": hyperliquid.privateKey})
    unchanged.session.mount("https://", hyperliquid.session.get_adapter("https://api.hyperliquid.xyz"))
    unchanged.load_markets()
    assert exchange.count("hyperliquid", "builder") == 2
