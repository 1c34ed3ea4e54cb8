"""Each exchange after binance, by the same tests: what can go wrong, a killed process, the simulator, and what happens by itself."""

from __future__ import annotations

import random
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from basis_strategy_v1 import ExecutionInterfaceManager
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueRejected
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.journal import Status
from basis_strategy_v1.live.exchange_api import RESERVE
from basis_strategy_v1.live.exchange_orders import client_id_of
from basis_strategy_v1.live.journal import SqliteJournal

from ...kill_points import forks_of
from .trader import LIMITS, NOON, Trader, approved, block_of, next_minute, take_up, theirs
from .venue_cases import CASES

if TYPE_CHECKING:
    from .venue_cases import VenueCase

D = Decimal
SPOT, PERP = ("spot", "buy"), ("perp", "sell")


@pytest.fixture(params=CASES)
def venue(request):
    return CASES[request.param]


@pytest.fixture
def exchange(server, tmp_path, venue):
    server.begin(tmp_path / "exchange.jsonl", *venue.held)
    return server


@pytest.fixture
def trader(exchange, tmp_path, venue):
    made = Trader(exchange, tmp_path / "trader", venue=venue.name, timeout_s=0.5)
    yield made
    made.close()


def matrix(venue: VenueCase):
    """What goes wrong, and whether the order is executed by it."""

    def fault(name, on="order", **more):
        return {"on": on, "fault": name, "venue": venue.name, **more}

    code, status = venue.clock
    text = {"text": str(venue.unknown)}
    return {
        "executed and dropped": ([fault("drop_after")], True),
        "hangs unexecuted": ([fault("hang")], False),
        "executed and 503 as JSON": ([fault("status", status=503, body="json", after=True)], True),
        "dropped before it was read": ([fault("drop_unread")], False),
        "dropped unexecuted": ([fault("drop")], False),
        "executed and hangs": ([fault("hang_after")], True),
        "slow": ([fault("delay", seconds=0.1)], True),
        "500 as a page": ([fault("status", status=500)], False),
        "executed and 502": ([fault("status", status=502, after=True)], True),
        "executed and 408": ([fault("status", status=408, after=True)], True),
        "404 as a page": ([fault("status", status=404)], False),
        "executed and empty": ([fault("empty_after")], True),
        "executed and a page": ([fault("html_after")], True),
        "executed and half the JSON": ([fault("truncated_after")], True),
        "executed and other JSON": ([fault("garbage_after")], True),
        "executed and cut off": ([fault("half_after")], True),
        "executed and named a duplicate": ([fault("duplicate_after")], True),
        "executed and a code that says nothing": ([{**fault("code", code=venue.unknown, status=200, after=True), **text}], True),
        "executed and a code that is in no table": ([fault("code", code=987654, status=200, after=True)], True),
        "its time was refused once": ([fault("code", code=code, text=str(code), status=status)], True),
        "429 and Retry-After": ([fault("status", status=429, retry_after=0.2)], True),
        "executed and 429": ([fault("status", status=429, retry_after=0.2, after=True)], True),
        "429 without": ([fault("status", status=429)], False),
        "refused": ([fault("refuse", reason="lot")], False),
        "in maintenance": ([{"maintenance": [venue.name]}], False),
        "late, and in time": ([fault("late", seconds=1)], True),
        "late, after it has expired": ([fault("late", seconds=5)], False),
        "executed, dropped, look-ups lag": ([{"lag_s": {venue.name: 5}}, fault("drop_after")], True),
        "executed, look-ups lag": ([{"lag_s": {venue.name: 5}}], True),
        "balances are stale": ([{"stale_s": {venue.name: 10}}], True),
        "its look-up is dropped": ([fault("drop", on="find")], True),
        "its fills are dropped": ([fault("drop", on="fills")], True),
        "fills and look-ups are dropped": ([fault("drop", on="fills"), fault("drop", on="find", times=2), fault("drop_after")], True),
    }


NAMES = list(matrix(CASES["okx"]))


@pytest.mark.parametrize("market", [SPOT, PERP], ids=["spot", "perp"])
@pytest.mark.parametrize("name", [*NAMES[:3], *(pytest.param(name, marks=pytest.mark.prove) for name in NAMES[3:])])
def test_an_order_is_executed_once_or_not_at_all(trader, exchange, venue, market, name):
    commands, is_executed = matrix(venue)[name]
    before = exchange.count(venue.name, "order")
    exchange.control(*commands)
    with suppress(ComponentError):  # the next process goes on
        trader.send("k1", *market, "0.5")
    attempts = exchange.count(venue.name, "order") - before
    exchange.control(clear=True)
    trader.again()
    assert (len(trader.executed()), trader.journal.entry("k1").status is Status.SETTLED) == (is_executed, is_executed)
    assert not trader.journal.open_entries()
    assert attempts <= (3 if name in ("its time was refused once", "429 and Retry-After", "429 without") else 1)
    assert trader.account.positions() == trader.theirs()


@pytest.mark.parametrize("market", [pytest.param(SPOT, id="spot", marks=pytest.mark.prove), pytest.param(PERP, id="perp")])
def test_a_process_that_is_killed_behind_its_order_leaves_it_to_the_next_one(exchange, venue, tmp_path, market):
    passed = tmp_path / "passed"
    given = {"folder": str(tmp_path), "url": exchange.url, "plan": [("k1", *market, "0.5")], "venue": venue.name}
    with forks_of("tests.live.exchange.killed_trader") as forks:
        assert forks.run("trade", passed, 0, now=next_minute(exchange).isoformat(), **given) == 0
        number = passed.read_text().splitlines().index("after gateway.send") + 1
        folder = tmp_path / "second"
        folder.mkdir()
        exchange.begin(folder / "exchange.jsonl", *venue.held)
        given |= {"folder": str(folder)}
        assert forks.run("trade", folder / "passed", number, now=next_minute(exchange).isoformat(), **given) == -9
        assert len(exchange.account(venue.name)["orders"]) == 1
        assert forks.run("trade", folder / "passed", 0, now=next_minute(exchange).isoformat(), **given) == 0
    with SqliteJournal(folder / "state") as journal:
        assert (journal.entry("k1").status, journal.open_entries()) == (Status.SETTLED, [])
        assert journal.state().parts[venue.name].positions() == theirs(exchange, venue.name)
    (order,) = exchange.account(venue.name)["orders"]
    assert order["client_id"].removeprefix("0x") == client_id_of("k1", "run")


@pytest.mark.parametrize("trades", [12, pytest.param(300, marks=pytest.mark.prove)])
def test_random_trades_move_the_same_in_a_backtest_and_live(exchange, tmp_path, venue, trades):
    more = [{"grant": {"venue": venue.name, "wallet": wallet, venue.settle: "100000", "ETH": "50"}} for wallet in venue.wallets[:1]]
    exchange.begin(tmp_path / "parity.jsonl", *venue.held, *more)
    trader = Trader(exchange, tmp_path / "parity", venue=venue.name, timeout_s=0.5)
    terms = {"slippage_bps": 0, "lot": {venue.symbol: "0.01"}, "perp_taker_fee_bps": venue.perp_fee_bps, **venue.settings}
    config = {
        "strategy_mode": "blocks", "share_class": "usdt_stable", "initial_capital": 10_000, "venues": {"cex": {venue.name: terms}},
    }  # fmt: skip
    prices = {"ETH": 2000.0, "USDT": 1.0}

    class Prices:
        def get_data(self, timestamp):
            return {"timestamp": timestamp, "market_data": {"prices": prices}}

    manager = ExecutionInterfaceManager(config, Prices(), "backtest", positions={venue.name: {venue.settle: 115_000, "ETH": 55}})
    chance = random.Random(7)
    for number in range(trades):
        price = D(chance.randint(180_000, 220_000)) / 100
        prices["ETH"] = float(price)
        exchange.control(price={"symbol": venue.symbol, "price": str(price)})
        order = chance.choice(("spot", "perp")), chance.choice(("buy", "sell")), str(D(chance.randint(2, 40)) / 100)
        expected = manager.execute(NOON, block_of(*order, venue=venue.name)).deltas
        difference = trader.send(f"k{number}", *order, price=price).deltas - expected
        assert max((abs(amount) for _, amount in difference.items()), default=0) <= D("2e-8"), (order, price)
    assert trader.account.positions() == trader.theirs()
    trader.close()


REQUESTS = {"bybit": (2, 3), "hyperliquid": (2, 3), "okx": (2, 3)}  # of a spot order and a perp order, as docs/live.md says


def test_an_order_costs_a_few_requests(trader, exchange, venue):
    """The gateway's own; a comparison with the account is one more reading."""

    def requests_of(key, *order):
        before = sum(exchange.read("counts").values())
        one = approved(key, *order, "0.1", at=trader.time.clock.now(), venue=venue.name)
        trader.gateway.send(trader.gateway.prepare(one, LIMITS, trader.gateway.quote(one.order), None))
        return sum(exchange.read("counts").values()) - before

    for key, order in (("k1", SPOT), ("k2", PERP)):
        requests_of(key, *order)  # reads rules, balances and settings
        trader.time.sleep(1)
    after_a_perp = 0 if venue.name == "hyperliquid" else 1  # in one wallet its margin takes from the rest: the balance is read again
    spot, perp = REQUESTS[venue.name]
    assert (requests_of("k3", *SPOT), requests_of("k4", *SPOT), requests_of("k5", *PERP)) == (spot + after_a_perp, spot, perp)


# Between the wallet in which nothing trades and the one in which all does.


def moves_matrix(venue: VenueCase):
    """What goes wrong with the move, and how many are made; None: the order is not sent then."""

    def fault(name, **more):
        return {"on": "transfer", "fault": name, "venue": venue.name, **more}

    return {
        "nothing": ([], 1),
        "executed and dropped": ([fault("drop_after")], 1),
        "hangs unexecuted": ([fault("hang")], 1),
        "refused": ([fault("refuse", reason="transfer_balance")], None),
        "dropped before it was read": ([fault("drop_unread")], 1),
        "dropped unexecuted": ([fault("drop")], 1),
        "executed and hangs": ([fault("hang_after")], 1),
        "executed and 502": ([fault("status", status=502, after=True)], 1),
        "503": ([fault("status", status=503)], 1),
        "executed and empty": ([fault("empty_after")], 1),
        "executed and half the JSON": ([fault("truncated_after")], 1),
        "executed and other JSON": ([fault("garbage_after")], 1),
        "executed and named a duplicate": ([fault("duplicate_after")], 1),
        "executed, dropped, look-ups lag": ([{"lag_s": {venue.name: 5}}, fault("drop_after")], 1),
        "429": ([fault("status", status=429, retry_after=0.2)], 1),
        "late": ([fault("late", seconds=5)], 1),
    }


WITH_RESERVE = [name for name, case in CASES.items() if case.reserve]
MOVES = list(moves_matrix(CASES["okx"]))


@pytest.fixture
def reserved(exchange, tmp_path, venue):
    """A trader whose capital lies in the reserve."""
    capital = {"venue": venue.name, "wallet": venue.reserve, "USDT": "3000", "ETH": "2"}
    exchange.begin(
        tmp_path / "reserve.jsonl", {"grant": capital}, {"grant": {"venue": venue.name, "wallet": venue.wallets[0], "USDT": "100"}}
    )
    made = Trader(exchange, tmp_path / "reserved", venue=venue.name, timeout_s=0.5)
    yield made
    made.close()


@pytest.mark.parametrize("venue", WITH_RESERVE, indirect=True)
@pytest.mark.parametrize("market", [SPOT, PERP], ids=["spot", "perp"])
@pytest.mark.parametrize("name", [*MOVES[:4], *(pytest.param(name, marks=pytest.mark.prove) for name in MOVES[4:])])
def test_what_an_order_needs_is_moved_from_the_reserve_once(reserved, exchange, venue, market, name):
    commands, moves = moves_matrix(venue)[name]
    exchange.control(*commands)
    with suppress(ComponentError):
        reserved.send("k1", *market, "0.5")
    exchange.control(clear=True)
    reserved.again()
    made = exchange.account(venue.name)["transfers"]
    assert [(one["from"], one["to"], one["token"]) for one in made] == [(venue.reserve, venue.wallets[0], "USDT")] * (moves or 0)
    assert len(reserved.executed()) == (0 if moves is None else 1)
    assert not reserved.journal.open_entries()
    settled = sum(child.status is Status.SETTLED for child in reserved.journal.children("k1"))
    assert settled == (0 if name == "late" and not venue.moves_expire else moves or 0)  # made after it was given up: nothing held is wrong
    assert reserved.account.positions() == reserved.theirs()
    assert [take_up(reserved), reserved.account.positions()] == [[], reserved.theirs()]


@pytest.mark.parametrize("venue", WITH_RESERVE, indirect=True)
@pytest.mark.parametrize("market", [SPOT, PERP], ids=["spot", "perp"])
def test_a_later_leg_counts_with_the_reserve_less_what_the_legs_before_it_spend(reserved, exchange, venue, market):
    one = approved("k1", *market, "0.5", at=reserved.time.clock.now(), venue=venue.name)
    ours = reserved.account.balances["USDT"]
    assert reserved.gateway.rehearse(one, LIMITS, Deltas.at(venue.name, {"USDT": D(-500)})) is None
    with pytest.raises(VenueRejected, match=r"free in its spot wallet|of margin left"):
        reserved.gateway.rehearse(one, LIMITS, Deltas.at(venue.name, {"USDT": -ours}))
    assert (exchange.account(venue.name)["orders"], exchange.account(venue.name)["transfers"]) == ([], [])


@pytest.mark.parametrize("venue", WITH_RESERVE, indirect=True)
def test_a_deposit_into_the_reserve_is_a_credit_and_a_move_by_hand_is_none(reserved, exchange, venue):
    reserved.time.sleep(1)
    reserved.gateway.read()  # the exchange sees the time
    exchange.control({"deposit": {"venue": venue.name, "token": "USDT", "amount": "70", "hash": "0xd1"}})
    reserved.time.sleep(60)
    access = reserved.gateway._access
    reserved.gateway._api.move("spot", RESERVE, "USDT", D(20), access.now_ms(), access.now_ms() + 2_000)
    (item,) = take_up(reserved)
    assert (item.kind, item.deltas) == ("credit", Deltas.at(venue.name, {"USDT": D(70)}))
    assert reserved.account.positions() == reserved.theirs()
    assert take_up(reserved) == []


# What happens by itself.


@pytest.mark.parametrize(("side", "sign"), [("sell", 1), ("buy", -1)])
def test_funding_is_recorded_once_a_short_perp_receives_it_and_a_long_one_pays(trader, exchange, venue, side, sign):
    trader.send("k1", "perp", side, "0.5")
    exchange.control(fund={"venue": venue.name, "symbol": venue.symbol, "rate": "0.0001"})
    (item,) = take_up(trader)
    assert (item.kind, item.deltas) == ("funding", Deltas.at(venue.name, {venue.settle: sign * D("0.1")}))
    assert (item.costs, item.details) == ((Cost("funding", venue.settle, -sign * D("0.1")),), {"symbol": venue.symbol})
    assert take_up(trader) == []
    assert trader.account.positions() == trader.theirs()


def test_a_deleveraging_a_liquidation_and_somebody_elses_fill_are_recorded_as_what_they_are(trader, exchange, venue):
    trader.send("k1", "perp", "sell", "0.5")
    close = {"venue": venue.name, "symbol": venue.symbol, "price": "2100"}
    exchange.control({"close": {**close, "share": "0.4", "origin": "adl"}}, {"close": {**close, "share": "1", "origin": "liquidation"}})
    order = {"venue": venue.name, "market": "spot", "symbol": venue.symbol, "side": "buy", "amount": "0.1", "limit": None}
    exchange.control(order=order)
    assert sorted(item.kind for item in take_up(trader)) == ["deleveraging", "foreign fill", "liquidation"]
    assert (trader.account.perps, trader.account.positions()) == ({}, trader.theirs())
    assert take_up(trader) == []
