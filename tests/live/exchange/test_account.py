"""What is wrong with an account is found before any order, all at once."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec import structs

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.state import ExchangeAccount
from basis_strategy_v1.live.exchange_gateway import faults_of_account
from basis_strategy_v1.live.exchanges import VENUES, open_exchange
from basis_strategy_v1.venues.exchanges import Settings

from .trader import BOTH, LIMITS, secrets_of

D = Decimal
BINANCE = {"venue": "binance"}
CLOSED = {"market": {**BINANCE, "kind": "perp", "symbol": "ETHUSDT", "is_open": False}}


def key(**fields):
    return {"key": {**BINANCE, "key": "key", "secret": "secret", "may": ["read", "trade", "transfer"], **fields}}


def setting(**fields):
    return {"setting": {**BINANCE, **fields}}


def order(symbol, client_id="web_1"):
    return {"order": {**BINANCE, "market": "spot", "symbol": symbol, "side": "buy", "amount": "0.01", "limit": "1500", "life": "GTC",
                      "client_id": client_id}}  # fmt: skip


def test_an_account_that_is_set_up_as_it_should_be_has_no_fault(trade, exchange):
    exchange.control(key())
    findings = trade().gateway.check_account(LIMITS, leverage=D(1))
    assert (findings.faults, findings.notes) == ((), ())


@pytest.mark.parametrize(
    ("commands", "fault"),
    [
        ([key(may=["read", "transfer"])], "binance: the key may not trade spot; allow it at the exchange"),
        ([key(may=["read", "trade"])], "binance: the key may not move between the spot and the futures wallet (universal transfer)"),
        ([key(may=["read", "trade", "transfer", "withdraw"])], "binance: the key may withdraw, and limits.withdrawal_addresses is empty"),
        ([key(), setting(hedge_mode=True)], "binance: positions are in hedge mode; set one-way mode at the exchange"),
        ([key(), setting(**{"margin_mode ETHUSDT": "isolated"})], "binance: the margin mode of ETHUSDT is isolated; set cross"),
        ([key(), setting(**{"leverage ETHUSDT": "1"})], "binance: the leverage of ETHUSDT is 1, the strategy wants 3; raise it there"),
        ([key(), order("ETHUSDT")], "binance: somebody else's open spot order"),
        ([key(), CLOSED], "binance: the perp market ETHUSDT is closed"),
        ([key(is_expired=True)], "binance cannot be asked: -2015"),
        ([{"maintenance": ["binance"]}], "binance cannot be asked: 1 System is under maintenance"),
    ],
)  # fmt: skip
def test_each_fault_is_named_with_the_way_out(trade, exchange, commands, fault):
    gateway = trade().gateway
    exchange.control(*commands)
    faults = faults_of_account(gateway, LIMITS, leverage=D(3))
    assert any(found.startswith(fault) for found in faults), faults


def test_all_faults_are_named_at_once(trade, exchange):
    gateway = trade().gateway
    exchange.control(
        key(may=["read", "withdraw"], has_ip_limit=False), setting(hedge_mode=True), order("ETHUSDT"), order("BTCUSDT", "web_2")
    )
    findings = gateway.check_account(LIMITS)
    assert [fault.removeprefix("binance: ").split(";")[0].split(",")[0] for fault in findings.faults] == [
        "the key may not trade spot",
        "the key may not trade perp",
        "the key may not move between the spot and the futures wallet (universal transfer)",
        "the key may withdraw",
        "positions are in hedge mode",
        f"somebody else's open spot order {exchange.account('binance')['orders'][0]['id']}: buy 0.01 ETHUSDT",
    ]
    assert [note.split(" ", 4)[4] for note in findings.notes] == [
        "be used from any address; bind it to this machine's at the exchange",
        f"order {exchange.account('binance')['orders'][1]['id']}: buy 0.01 BTCUSDT is not touched",
    ]


def test_a_key_may_withdraw_where_there_are_addresses_to_withdraw_to(trade, exchange):
    limits = structs.replace(LIMITS, withdrawal_addresses=("0x" + "11" * 20,))
    assert faults_of_account(trade().gateway, limits) == []


def test_a_position_that_the_run_does_not_know_is_a_fault_and_one_in_another_symbol_is_not_touched(trade, exchange):
    for symbol in ("ETHUSDT", "BTCUSDT"):
        exchange.control(order={**BINANCE, "market": "perp", "symbol": symbol, "side": "buy", "amount": "0.1"})
    exchange.control(key())
    findings = trade(symbols={"spot": ("ETHUSDT",), "perp": ("ETHUSDT",)}).gateway.check_account(LIMITS, held=ExchangeAccount())
    assert findings.faults == ("binance: a position of 0.1 ETHUSDT, where the run holds 0; close the difference",)
    assert findings.notes == ("binance: a position of 0.1 BTCUSDT is not touched",)


def test_a_symbol_that_the_exchange_does_not_have_is_a_fault(trade, exchange):
    exchange.control(key())
    gateway = trade(symbols={"spot": ("ETHUSDT", "SOLUSDT")}).gateway
    assert faults_of_account(gateway, LIMITS) == ["binance: there is no spot market SOLUSDT"]


def test_an_exchange_without_a_live_gateway_is_named(monkeypatch):
    monkeypatch.delitem(VENUES, "hyperliquid")
    message = "venues.cex.hyperliquid: hyperliquid cannot be traded live in this version; binance, bybit, okx can, or add --paper"
    with pytest.raises(ComponentError, match=message):
        open_exchange("hyperliquid", Settings(), secrets_of(), BOTH)


def test_a_key_that_is_not_set_is_named():
    with pytest.raises(ComponentError, match="BASIS_DEV__BINANCE_MAIN__API_KEY is not set"):
        open_exchange("binance_main", Settings(), secrets_of(), BOTH)
