"""An order that ended without a fill is known for some time only: a later look-up of it finds nothing, and that means nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ccxt
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Times
    from .process import ExchangeProcess

IOC = {"timeInForce": "IOC"}
PERP = "ETH/USDT:USDT"
DAY_S = 86_400


@pytest.mark.parametrize(("venue", "wallet", "known_s"), [("binance", "perp", 3 * DAY_S), ("okx", "trading", 7_200)])
def test_binances_futures_know_it_for_three_days_and_okx_for_two_hours(
    exchange: ExchangeProcess, connect: Callable[..., Any], times: Times, venue: str, wallet: str, known_s: int
) -> None:
    exchange.grant(venue, wallet, USDT="1000")
    client = connect(venue)
    for name, price in (("empty", "1990"), ("filled", "2010")):
        client.create_order(PERP, "limit", "buy", "1", price, {**IOC, "clientOrderId": name})
    times.advance(known_s)
    assert client.fetch_order(None, PERP, {"clientOrderId": "empty"})["filled"] == "0"
    times.advance(1)
    assert client.fetch_order(None, PERP, {"clientOrderId": "filled"})["status"] == "closed"
    with pytest.raises(ccxt.OrderNotFound):
        client.fetch_order(None, PERP, {"clientOrderId": "empty"})


def test_bybit_has_the_newest_five_hundred_at_hand_and_the_others_in_its_history(
    exchange: ExchangeProcess, connect: Callable[..., Any]
) -> None:
    exchange.grant("bybit", "unified", USDT="1000000")
    bybit = connect("bybit")
    named = {"category": "spot", "symbol": "ETHUSDT", "orderLinkId": "first"}
    bybit.create_order("ETH/USDT", "limit", "buy", "0.01", "2010", {**IOC, "clientOrderId": "first"})
    order = {"venue": "bybit", "market": "spot", "symbol": "ETHUSDT", "side": "buy", "amount": "0.01"}
    exchange.control(*({"order": order} for _ in range(499)))
    assert len(bybit.privateGetV5OrderRealtime(named)["result"]["list"]) == 1
    exchange.control(order=order)
    assert bybit.privateGetV5OrderRealtime(named)["result"]["list"] == []
    assert len(bybit.privateGetV5OrderHistory(named)["result"]["list"]) == 1
