"""OKX: one wallet, sizes in contracts, a deadline in a header, errors in the rows; what every exchange does is tested at binance."""

from __future__ import annotations

from decimal import Decimal

import pytest

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.state import Perp
from basis_strategy_v1.live.exchange_gateway import faults_of_account
from basis_strategy_v1.live.exchange_orders import client_id_of
from basis_strategy_v1.live.exchanges import open_exchange
from basis_strategy_v1.live.okx_errors import refusal_of
from basis_strategy_v1.live.secrets import read_secrets
from basis_strategy_v1.venues.exchanges import Settings

from .trader import BOTH, LIMITS

D = Decimal
OKX = {"venue": "okx"}
HELD = {"grant": {**OKX, "wallet": "trading", "USDT": "15000", "ETH": "5"}}
SPOT, PERP = ("spot", "buy"), ("perp", "sell")


@pytest.fixture
def exchange(server, tmp_path):
    server.begin(tmp_path / "exchange.jsonl", HELD)
    return server


@pytest.fixture
def trader(trade):
    return trade(venue="okx", timeout_s=0.5)


# Orders.


def test_an_order_on_a_thin_market_is_filled_in_part_and_its_fee_is_paid_in_what_was_received(trader, exchange):
    exchange.control(levels={**OKX, "kind": "spot", "symbol": "ETHUSDT", "levels": [["2001", "0.1"], ["2004", "0.2"], ["2030", "5"]]})
    report = trader.send("k1", "spot", "buy", "0.5")
    cost = D("200.1") + D("400.8")
    assert (report.filled, report.details["price"]) == (D("0.6"), cost / D("0.3"))
    (fee,) = [one.amount for one in report.costs if one.source == "fees"]
    assert fee > 0
    assert report.deltas == Deltas.at("okx", {"ETH": D("0.3") - fee, "USDT": -cost})
    assert (trader.executed(), trader.account.positions()) == ([client_id_of("k1", "run")], trader.theirs())


def test_a_swap_is_sent_in_contracts_and_reported_in_base(trader, exchange):
    opened = trader.send("k1", "perp", "sell", "0.5")
    assert opened.deltas.get("okx", "ETHUSDT-PERP") == D("-0.5")
    assert opened.deltas.get("okx", "USDT") == D("-0.5")
    exchange.control(price={"symbol": "ETHUSDT", "price": "1900"})
    reduced = trader.send("k2", "perp", "buy", "0.2", price=D(1900), reduce_only=True)
    assert reduced.deltas == Deltas.at("okx", {"ETHUSDT-PERP": D("0.2"), "USDT": D(20) - D("0.19")})
    assert trader.account.perps == {"ETHUSDT": Perp(D("-0.3"), D(-600))}
    assert trader.gateway.read().parts["okx"] == trader.account


# The account.


def key(**fields):
    return {"key": {**OKX, "key": "key", "secret": "secret", "may": ["read", "trade"], **fields}}


ORDER = {"order": {**OKX, "market": "spot", "symbol": "ETHUSDT", "side": "buy", "amount": "0.01", "limit": "1500", "life": "GTC",
                   "client_id": "web1"}}  # fmt: skip


@pytest.mark.parametrize(
    ("commands", "fault"),
    [
        ([key(may=["read"])], "okx: the key may not trade spot; allow it at the exchange"),
        ([key(may=["read", "trade", "withdraw"])], "okx: the key may withdraw, and limits.withdrawal_addresses is empty"),
        ([key(), {"setting": {**OKX, "hedge_mode": True}}], "okx: positions are in hedge mode; set one-way mode"),
        ([key(), {"setting": {**OKX, "account_level": "1"}}], "okx: the account mode is spot, which trades no swaps; set futures mode"),
        ([key(), {"setting": {**OKX, "account_level": "3"}}], "okx: the account mode is multi-currency margin, which is not supported"),
        ([key(), {"setting": {**OKX, "account_level": "4"}}], "okx: the account mode is portfolio margin, which is not supported"),
        ([key(), {"setting": {**OKX, "leverage ETHUSDT": "1"}}], "okx: the leverage of ETHUSDT is 1, the strategy wants 3"),
        ([key(), ORDER], "okx: somebody else's open spot order"),
        ([key(passphrase="another")], "okx cannot be asked: 50105 Request header OK-ACCESS-PASSPHRASE incorrect"),
    ],
)  # fmt: skip
def test_each_fault_of_an_account_is_named_with_the_way_out(trader, exchange, commands, fault):
    exchange.control(*commands)
    try:
        found = faults_of_account(trader.gateway, LIMITS, leverage=D(3))
    finally:
        exchange.control(key(may=["read", "trade", "transfer", "withdraw"]))
    assert len(found) <= 2  # a right that is not there, for each kind of market
    assert found[0].startswith(fault)


def test_a_missing_passphrase_is_named():
    secrets = read_secrets("dev", {"BASIS_DEV__OKX__API_KEY": "key", "BASIS_DEV__OKX__API_SECRET": "secret"})
    with pytest.raises(ComponentError, match="BASIS_DEV__OKX__PASSPHRASE is not set"):
        open_exchange("okx", Settings(), secrets, BOTH)


# Errors.


@pytest.mark.parametrize(
    ("status", "content", "refusal"),
    [
        (200, {"code": "0", "data": []}, None),
        (200, {"code": "1", "msg": "All operations failed", "data": [{"sCode": "51008", "sMsg": "no balance"}]}, ("51008", "no balance")),
        (200, {"code": "51603", "msg": "none", "data": []}, ("51603", "none")),
        (503, {"code": "50001", "msg": "unavailable", "data": []}, ("50001", "unavailable")),
        (502, [], ("", "")),
        (200, [], None),
    ],
)
def test_an_error_is_read_from_the_row_of_its_order_or_from_the_answer(status, content, refusal):
    assert refusal_of(status, content) == refusal
