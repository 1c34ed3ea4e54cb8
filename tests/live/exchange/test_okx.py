"""OKX: one wallet, sizes in contracts, a deadline in a header, errors in the rows; what every exchange does is tested at binance."""

from __future__ import annotations

import random
from contextlib import suppress
from decimal import Decimal

import pytest

from basis_strategy_v1 import ExecutionInterfaceManager
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueRejected
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.journal import Status
from basis_strategy_v1.core.state import Perp
from basis_strategy_v1.live.exchange_client import Refusal
from basis_strategy_v1.live.exchange_errors import Meaning, meaning_of
from basis_strategy_v1.live.exchange_gateway import faults_of_account
from basis_strategy_v1.live.exchange_orders import client_id_of
from basis_strategy_v1.live.exchanges import open_exchange
from basis_strategy_v1.live.journal import SqliteJournal
from basis_strategy_v1.live.okx_errors import CODES, refusal_of
from basis_strategy_v1.live.secrets import read_secrets
from basis_strategy_v1.venues.exchanges import Settings

from ...kill_points import forks_of
from .trader import BOTH, LIMITS, NOON, Trader, block_of, next_minute

D = Decimal
OKX = {"venue": "okx"}
HELD = {"grant": {**OKX, "wallet": "trading", "USDT": "15000", "ETH": "5"}}
SPOT, PERP = ("spot", "buy"), ("perp", "sell")


@pytest.fixture
def exchange(server, tmp_path):
    server.begin(tmp_path / "exchange.jsonl", HELD)
    return server


@pytest.fixture
def trader(exchange, tmp_path):
    made = Trader(exchange, tmp_path / "trader", venue="okx", timeout_s=0.5)
    yield made
    made.close()


def fault(name, **more):
    return {"on": "order", "fault": name, "venue": "okx", **more}


def take_up(trader):
    trader.time.sleep(60)
    items, cursor = trader.gateway.due(trader.journal.cursor("okx"))
    return trader.journal.add_due("okx", items, cursor, trader.holdings.with_due)


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


FAULTS = {
    "executed and dropped": ([fault("drop_after")], True),
    "hangs unexecuted": ([fault("hang")], False),
    "executed and 503": ([fault("status", status=503, body="json", after=True)], True),
    "late, after its deadline": ([fault("late", seconds=5)], False),
    "refused": ([fault("refuse", reason="lot")], False),
    "its time was refused once": ([fault("code", code=50102, status=401)], True),
    "executed, and named a duplicate": ([fault("duplicate_after")], True),
    "executed, its look-up is dropped": ([{**OKX, "on": "find", "fault": "drop"}], True),
}
FAST = ("executed and dropped", "hangs unexecuted", "executed and 503")


@pytest.mark.parametrize("market", [SPOT, PERP], ids=["spot", "perp"])
@pytest.mark.parametrize("name", [name if name in FAST else pytest.param(name, marks=pytest.mark.prove) for name in FAULTS])
def test_an_order_is_executed_once_or_not_at_all(trader, exchange, market, name):
    commands, is_executed = FAULTS[name]
    exchange.control(*commands)
    with suppress(ComponentError):  # the next process goes on
        trader.send("k1", *market, "0.5")
    exchange.control(clear=True)
    trader.again()
    assert (len(trader.executed()), trader.journal.entry("k1").status is Status.SETTLED) == (is_executed, is_executed)
    assert not trader.journal.open_entries()
    assert trader.account.positions() == trader.theirs()


def test_a_process_that_is_killed_behind_its_order_leaves_it_to_the_next_one(exchange, tmp_path):
    passed = tmp_path / "passed"
    given = {"folder": str(tmp_path), "url": exchange.url, "plan": [("k1", "perp", "sell", "0.5")], "venue": "okx"}
    with forks_of("tests.live.exchange.killed_trader") as forks:
        assert forks.run("trade", passed, 0, now=next_minute(exchange).isoformat(), **given) == 0
        number = passed.read_text().splitlines().index("after gateway.send") + 1
        folder = tmp_path / "second"
        folder.mkdir()
        exchange.begin(folder / "exchange.jsonl", HELD)
        given |= {"folder": str(folder)}
        assert forks.run("trade", folder / "passed", number, now=next_minute(exchange).isoformat(), **given) == -9
        assert len(exchange.account("okx")["orders"]) == 1
        assert forks.run("trade", folder / "passed", 0, now=next_minute(exchange).isoformat(), **given) == 0
    with SqliteJournal(folder / "state") as journal:
        assert (journal.entry("k1").status, journal.open_entries()) == (Status.SETTLED, [])
        balances = exchange.account("okx")["balances"]["trading"]
        assert journal.state().parts["okx"].balances == {token: D(amount) for token, amount in balances.items()}
    assert [order["client_id"] for order in exchange.account("okx")["orders"]] == [client_id_of("k1", "run")]


def test_a_dozen_random_trades_move_the_same_in_a_backtest_and_live(trader, exchange):
    config = {
        "strategy_mode": "blocks", "share_class": "usdt_stable", "initial_capital": 10_000,
        "venues": {"cex": {"okx": {"slippage_bps": 0, "lot": {"ETHUSDT": "0.001"}, "perp_taker_fee_bps": 5}}},
    }  # fmt: skip
    prices = {"ETH": 2000.0, "USDT": 1.0}

    class Prices:
        def get_data(self, timestamp):
            return {"timestamp": timestamp, "market_data": {"prices": prices}}

    manager = ExecutionInterfaceManager(config, Prices(), "backtest", positions={"okx": {"USDT": 15_000, "ETH": 5}})
    chance = random.Random(7)
    for number in range(12):
        price = D(chance.randint(180_000, 220_000)) / 100
        prices["ETH"] = float(price)
        exchange.control(price={"symbol": "ETHUSDT", "price": str(price)})
        order = chance.choice(("spot", "perp")), chance.choice(("buy", "sell")), str(D(chance.randint(20, 400)) / 1000)
        expected = manager.execute(NOON, block_of(*order, venue="okx")).deltas
        difference = trader.send(f"k{number}", *order, price=price).deltas - expected
        assert max((abs(amount) for _, amount in difference.items()), default=0) <= D("2e-8"), (order, price)
    assert trader.account.positions() == trader.theirs()


# What happens by itself.


def test_funding_is_recorded_once_and_a_liquidation_with_its_loss(trader, exchange):
    trader.send("k1", "perp", "sell", "0.5")
    exchange.control(fund={**OKX, "symbol": "ETHUSDT", "rate": "0.0001"})
    (item,) = take_up(trader)
    assert (item.kind, item.deltas) == ("funding", Deltas.at("okx", {"USDT": D("0.1")}))
    assert (item.costs, item.details) == ((Cost("funding", "USDT", D("-0.1")),), {"symbol": "ETHUSDT"})
    assert take_up(trader) == []
    exchange.control(close={**OKX, "symbol": "ETHUSDT", "share": "0.4", "origin": "adl", "price": "2100"})
    exchange.control(close={**OKX, "symbol": "ETHUSDT", "share": "1", "origin": "liquidation", "price": "2100"})
    assert {item.kind for item in take_up(trader)} == {"deleveraging", "liquidation"}
    assert (trader.account.perps, trader.account.positions()) == ({}, trader.theirs())


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


def test_nothing_is_moved_within_the_one_wallet(trader):
    with pytest.raises(VenueRejected, match="okx has one wallet for spot and swaps; nothing was sent"):
        trader.gateway._api.move("spot", "perp", "USDT", D(1), 0, 1)
    assert trader.gateway._api.moves_since("spot", "perp", 0) == []


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


@pytest.mark.parametrize(
    ("status", "code", "meaning"),
    [
        (200, "51008", Meaning.FINAL), (200, "50113", Meaning.KEY), (200, "50004", Meaning.UNKNOWN), (200, "51149", Meaning.UNKNOWN),
        (401, "50102", Meaning.CLOCK), (200, "50061", Meaning.LIMITED), (200, "51016", Meaning.DUPLICATE), (200, "51603", Meaning.ABSENT),
        (200, "99999", Meaning.UNKNOWN), (503, "51008", Meaning.UNKNOWN),
    ],
)  # fmt: skip
def test_a_code_means_what_it_says(status, code, meaning):
    assert meaning_of(Refusal(status, code, ""), CODES) is meaning
