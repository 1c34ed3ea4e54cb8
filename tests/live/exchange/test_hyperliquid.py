"""Hyperliquid: orders that are signed here, under a nonce and until an instant; texts for errors. What every exchange does is in
test_every_venue.py."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

import pytest
from eth_account import Account

from basis_strategy_v1.core.clock import to_instant
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueRejected
from basis_strategy_v1.core.gateway import MalformedAnswer
from basis_strategy_v1.core.journal import Status
from basis_strategy_v1.core.state import Perp
from basis_strategy_v1.live.exchange_gateway import faults_of_account
from basis_strategy_v1.live.exchange_orders import client_id_of
from basis_strategy_v1.live.exchanges import open_exchange
from basis_strategy_v1.live.hyperliquid_account import tick_at, update_of
from basis_strategy_v1.live.hyperliquid_answers import fill_of, found_of
from basis_strategy_v1.live.hyperliquid_errors import CODE, refusal_of
from basis_strategy_v1.live.secrets import read_secrets
from basis_strategy_v1.venues.exchanges import Settings

from ...exchange.clients import OWNER
from .trader import LIMITS, Trader, take_up
from .venue_cases import CASES

D = Decimal
VENUE = {"venue": "hyperliquid"}
CASE = CASES["hyperliquid"]
AGENT_KEY = "0x" + "3" * 64
AGENT = Account.from_key(AGENT_KEY).address.lower()
STRANGER_KEY = "0x" + "4" * 64
OWN_KEY = "0x" + "1" * 64


@pytest.fixture
def exchange(server, tmp_path):
    server.begin(tmp_path / "exchange.jsonl", *CASE.held, {"key": {**VENUE, "key": AGENT, "secret": "", "may": ["read", "trade"]}})
    return server


@pytest.fixture
def open_trader(exchange, tmp_path):
    made = []

    def make(key=AGENT_KEY):
        fields = {"API_KEY": OWNER, "API_SECRET": key}
        secrets = read_secrets("dev", {f"BASIS_DEV__HYPERLIQUID__{name}": text for name, text in fields.items()})
        made.append(Trader(exchange, tmp_path / f"trader{len(made)}", venue="hyperliquid", timeout_s=0.5, secrets=secrets))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def trader(open_trader):
    return open_trader()


def test_an_agents_order_is_filled_in_part_and_its_fee_is_paid_in_what_was_received(trader, exchange):
    levels = [["2001", "0.1"], ["2004", "0.2"], ["2030", "5"]]
    exchange.control(levels={**VENUE, "kind": "spot", "symbol": "ETHUSDC", "levels": levels})
    report = trader.send("k1", "spot", "buy", "0.5")
    cost = D("200.1") + D("400.8")
    assert (report.filled, report.details["price"]) == (D("0.6"), cost / D("0.3"))
    assert report.deltas == Deltas.at("hyperliquid", {"ETH": D("0.3") - D("0.00021"), "USDC": -cost})
    assert trader.executed() == ["0x" + client_id_of("k1", "run")]
    assert trader.account.positions() == trader.theirs()


def test_a_perp_is_opened_and_reduced_with_its_profit(trader, exchange):
    opened = trader.send("k1", "perp", "sell", "0.5")
    assert opened.deltas == Deltas.at("hyperliquid", {"ETHUSDC-PERP": D("-0.5"), "USDC": D("-0.45")})
    exchange.control(price={"symbol": "ETHUSDC", "price": "1900"})
    reduced = trader.send("k2", "perp", "buy", "0.2", price=D(1900), reduce_only=True)
    assert reduced.deltas == Deltas.at("hyperliquid", {"ETHUSDC-PERP": D("0.2"), "USDC": D(20) - D("0.171")})
    assert trader.account.perps == {"ETHUSDC": Perp(D("-0.3"), D(-600))}
    assert trader.gateway.read().parts["hyperliquid"] == trader.account


def test_an_order_that_meets_nothing_is_no_error(trader, exchange):
    exchange.control(levels={**VENUE, "kind": "spot", "symbol": "ETHUSDC", "levels": [["2100", "1"]]})
    report = trader.send("k1", "spot", "buy", "0.5")
    assert (report.filled, report.deltas) == (0, Deltas())
    assert trader.account.positions() == trader.theirs()


def test_a_second_attempt_is_the_same_bytes_which_the_venue_takes_once(trader, exchange):
    """The answer says that nothing was executed, though it was."""
    exchange.control({**VENUE, "on": "order", "fault": "code", "code": 0, "text": "Action expired.", "status": 200, "after": True})
    report = trader.send("k1", "spot", "buy", "0.5")
    assert (report.filled, len(trader.executed())) == (1, 1)
    assert trader.account.positions() == trader.theirs()


def test_an_order_carries_no_builder_and_an_instant_after_which_it_is_not_taken(trader, exchange, monkeypatch):
    sent = []
    call = trader.gateway._access.client.call

    def watch(method, params, host=""):
        sent.append((method, params))
        return call(method, params, host)

    monkeypatch.setattr(trader.gateway._access.client, "call", watch)
    trader.send("k1", "spot", "buy", "0.5")
    (order,) = [params for method, params in sent if method == "privatePostExchange"]
    now_ms = to_instant(trader.time.clock.now()) // 1_000
    assert order["action"] == {
        "type": "order", "grouping": "na",
        "orders": [{"a": 10_000, "b": True, "p": "2010", "s": "0.5", "r": False, "t": {"limit": {"tif": "Ioc"}},
                    "c": "0x" + client_id_of("k1", "run")}],
    }  # fmt: skip
    assert (order["nonce"], order["expiresAfter"]) == (now_ms, now_ms + 2_000)
    assert set(order) == {"action", "nonce", "signature", "expiresAfter"}


def test_two_orders_of_one_instant_have_two_nonces(trader):
    api = trader.gateway._api
    assert [api._nonce(name, at_ms) for name, at_ms in (("a", 5), ("b", 5), ("a", 9), ("c", 20))] == [5, 6, 5, 20]


def test_fill_or_kill_is_refused_before_it_is_sent(trader, exchange):
    before = exchange.count("hyperliquid", "order")
    with pytest.raises(VenueRejected, match="hyperliquid has no FOK orders; use IOC; nothing was sent"):
        trader.send("k1", "spot", "buy", "0.5", time_in_force="FOK")
    assert exchange.count("hyperliquid", "order") == before


def test_an_order_of_yesterday_is_found_with_its_fills(trader, exchange):
    exchange.fault("order", "drop_after", venue="hyperliquid")
    exchange.fault("find", "drop", venue="hyperliquid", times=-1)
    with suppress(ComponentError):
        trader.send("k1", "perp", "sell", "0.5")
    exchange.control(clear=True)
    trader.time.sleep(3 * 86_400)
    trader.again()
    assert trader.journal.entry("k1").status is Status.SETTLED
    assert trader.account.positions() == trader.theirs()


@pytest.mark.parametrize(
    ("price", "decimals", "tick"),
    [
        ("2000", 2, "0.1"), ("95000", 1, "1"), ("123456", 1, "1"), ("9500", 2, "1"), ("1.5", 4, "0.0001"), ("0.0123", 6, "0.000001"),
        ("0", 2, "1"),
    ],
)  # fmt: skip
def test_a_price_has_five_digits_of_the_price_of_now_a_tenth_higher(price, decimals, tick):
    assert tick_at(D(price), decimals) == D(tick)


# What happens by itself.


def test_a_deposit_is_a_credit_and_what_is_moved_by_hand_between_the_wallets_is_none(open_trader, exchange):
    trader = open_trader()
    trader.time.sleep(1)
    exchange.control({"deposit": {**VENUE, "token": "USDC", "amount": "70", "hash": "0xd1"}})
    (item,) = take_up(trader)
    assert (item.kind, item.deltas) == ("credit", Deltas.at("hyperliquid", {"USDC": D(70)}))
    assert trader.account.positions() == trader.theirs()
    assert take_up(trader) == []


BOTH_KINDS = ("spot", "perp")


@pytest.mark.parametrize(
    ("delta", "kinds", "moved"),
    [
        ({"type": "deposit", "usdc": "5"}, BOTH_KINDS, ("USDC", D(5))),
        ({"type": "withdraw", "usdc": "5", "fee": "1", "nonce": 1}, BOTH_KINDS, ("USDC", D(-5))),
        ({"type": "accountClassTransfer", "usdc": "5", "toPerp": True}, BOTH_KINDS, None),
        ({"type": "accountClassTransfer", "usdc": "5", "toPerp": True}, ("perp",), ("USDC", D(5))),
        ({"type": "accountClassTransfer", "usdc": "5", "toPerp": True}, ("spot",), ("USDC", D(-5))),
        ({"type": "spotTransfer", "token": "UETH", "amount": "2", "destination": OWNER, "fee": "1"}, BOTH_KINDS, ("ETH", D(2))),
        ({"type": "spotTransfer", "token": "UETH", "amount": "2", "destination": "0x1", "fee": "0.1"}, BOTH_KINDS, ("ETH", D("-2.1"))),
        ({"type": "internalTransfer", "usdc": "2", "destination": "0x1", "fee": "1"}, BOTH_KINDS, ("USDC", D(-3))),
        ({"type": "vaultDistribution", "usdc": "2"}, BOTH_KINDS, None),
    ],
)  # fmt: skip
def test_an_update_of_the_ledger_moves_what_it_says(delta, kinds, moved):
    found = update_of({"time": 7, "hash": "0x9", "delta": delta}, OWNER, kinds)
    assert (None if found is None else (found.token, found.amount)) == moved
    assert found is None or (found.kind, found.at_ms) == ("credit", 7)


# Answers that are none.

ORDER_ROW = {"oid": 1, "cloid": "0xc", "coin": "ETH", "side": "B", "origSz": "1", "sz": "0", "timestamp": 1}
FILL_ROW = {"tid": 1, "px": "2", "sz": "1", "fee": "0.1", "dir": "Open Long", "closedPnl": "0", "time": 1}


@pytest.mark.parametrize("name", sorted(set(ORDER_ROW) - {"cloid", "coin"}))
def test_an_order_without_a_field_is_refused(name):
    assert found_of({"order": ORDER_ROW, "status": "filled"}, "ETHUSDC").executed == 1
    with pytest.raises(MalformedAnswer):
        found_of({"order": {field: value for field, value in ORDER_ROW.items() if field != name}, "status": "filled"}, "ETHUSDC")


@pytest.mark.parametrize(
    ("status", "known"),
    [("open", "open"), ("filled", "done"), ("canceled", "done"), ("marginCanceled", "done"), ("iocCancelRejected", "done"),
     ("tickRejected", "refused"), ("rejected", "refused"), ("something else", None)],
)  # fmt: skip
def test_a_status_that_is_not_known_is_no_outcome(status, known):
    row = {"order": ORDER_ROW, "status": status}
    if known is None:
        with pytest.raises(MalformedAnswer):
            found_of(row, "ETHUSDC")
    else:
        assert found_of(row, "ETHUSDC").status == known


@pytest.mark.parametrize("name", sorted(set(FILL_ROW) - {"fee"}))
def test_a_fill_without_a_field_is_refused_and_one_without_its_fee_has_an_unknown_one(name):
    assert fill_of({field: value for field, value in FILL_ROW.items() if field != "fee"}).fee is None
    with pytest.raises(MalformedAnswer):
        fill_of({field: value for field, value in FILL_ROW.items() if field != name})


@pytest.mark.parametrize("on", ["balance", "positions", "markets"])
def test_an_answer_of_another_kind_is_refused(open_trader, exchange, on):
    trader = open_trader()
    exchange.control({**VENUE, "on": on, "fault": "garbage_after", "times": -1})
    trader.gateway._access.forget()
    with pytest.raises((MalformedAnswer, ComponentError)):
        trader.gateway.read()
    exchange.control(clear=True)


def test_an_order_whose_answer_is_of_another_kind_is_looked_up(trader, exchange):
    exchange.fault("order", "edit_after", venue="hyperliquid", edits=[{"path": ["response", "data", "statuses", 0, "filled", "totalSz"]}])
    with suppress(ComponentError):
        trader.send("k1", "spot", "buy", "0.5")
    trader.again()
    assert (len(trader.executed()), trader.journal.entry("k1").status) == (1, Status.SETTLED)
    assert trader.account.positions() == trader.theirs()


# The account.


@pytest.mark.parametrize(
    ("key", "commands", "fault"),
    [
        (STRANGER_KEY, [], "hyperliquid: the key may not trade spot; allow it at the exchange"),
        (OWN_KEY, [], "hyperliquid: the key may withdraw, and limits.withdrawal_addresses is empty; take that right from the key"),
        (AGENT_KEY, [{"setting": {**VENUE, "leverage ETHUSDC": "1"}}], "hyperliquid: the leverage of ETHUSDC is 1, the strategy wants 3"),
        (AGENT_KEY, [{"setting": {**VENUE, "margin_mode ETHUSDC": "isolated"}}], "hyperliquid: the margin mode of ETHUSDC is isolated"),
        (AGENT_KEY, [{"setting": {**VENUE, "abstraction": "unifiedAccount"}}], "hyperliquid: the account mode is unifiedAccount, which is"),
        (AGENT_KEY, [{"order": {**VENUE, "market": "spot", "symbol": "ETHUSDC", "side": "buy", "amount": "0.01", "limit": "1500",
                                "life": "GTC", "client_id": ""}}], "hyperliquid: somebody else's open spot order"),
    ],
)  # fmt: skip
def test_each_fault_of_an_account_is_named_with_the_way_out(open_trader, exchange, key, commands, fault):
    trader = open_trader(key)
    exchange.control(*commands)
    found = trader.gateway.check_account(LIMITS, leverage=D(3))
    assert len(found.faults) <= 2
    assert found.faults[0].startswith(fault)
    note = "hyperliquid: nothing is moved between the spot and the perp wallet; keep what is needed in each"
    assert (note in found.notes) is (key != OWN_KEY)


def test_an_agents_account_that_is_ready_has_no_fault(trader):
    assert faults_of_account(trader.gateway, LIMITS, leverage=D(3)) == []


@pytest.mark.parametrize(
    ("address", "key", "message"),
    [
        ("me", AGENT_KEY, "API_KEY is the account's address, 0x and 40 hexadecimal digits; set it so"),
        (OWNER, "secret", "API_SECRET is no private key, 0x and 64 hexadecimal digits; set it so"),
    ],
)
def test_a_key_of_another_kind_is_named(address, key, message):
    secrets = read_secrets("dev", {"BASIS_DEV__HYPERLIQUID__API_KEY": address, "BASIS_DEV__HYPERLIQUID__API_SECRET": key})
    with pytest.raises(ComponentError, match=message) as refused:
        open_exchange("hyperliquid", Settings(), secrets, CASE.symbols)
    assert (refused.value.error_code, key in str(refused.value)) == ("CFG-003", False)


# Between the wallets.


def test_an_agent_moves_nothing(trader):
    with pytest.raises(VenueRejected, match="lets an agent's key move nothing between the wallets; nothing was sent"):
        trader.gateway._api.move("spot", "perp", "USDC", D(1), 0, 1)
    assert trader.gateway._api.moves_since("spot", "perp", 0) == []


MOVE = {**VENUE, "on": "transfer"}
MOVES = {
    "nothing": ([], 1),
    "executed and dropped": ([{**MOVE, "fault": "drop_after"}], 1),
    "refused": ([{**MOVE, "fault": "refuse", "reason": "transfer_balance"}], None),
    "hangs unexecuted": ([{**MOVE, "fault": "hang"}], 1),
    "executed and 502": ([{**MOVE, "fault": "status", "status": 502, "after": True}], 1),
    "executed and other JSON": ([{**MOVE, "fault": "garbage_after"}], 1),
    "executed and named expired": ([{**MOVE, "fault": "code", "code": 0, "text": "Action expired.", "status": 200, "after": True}], 1),
    "executed, dropped, look-ups lag": ([{"lag_s": {"hyperliquid": 5}}, {**MOVE, "fault": "drop_after"}], 1),
}


@pytest.mark.parametrize("name", [*list(MOVES)[:3], *(pytest.param(name, marks=pytest.mark.prove) for name in list(MOVES)[3:])])
def test_the_accounts_own_key_moves_the_margin_of_a_perp_once(open_trader, exchange, tmp_path, name):
    commands, moves = MOVES[name]
    exchange.begin(tmp_path / "spot_only.jsonl", {"grant": {**VENUE, "wallet": "spot", "USDC": "3000"}})
    trader = open_trader(OWN_KEY)
    exchange.control(*commands)
    with suppress(ComponentError):
        trader.send("k1", "perp", "sell", "0.5")
    exchange.control(clear=True)
    trader.again()
    made = exchange.account("hyperliquid")["transfers"]
    assert [(one["from"], one["to"], one["token"]) for one in made] == [("spot", "perp", "USDC")] * (moves or 0)
    assert all(D(one["amount"]) == round(D(one["amount"]), 6) for one in made)
    assert len(trader.executed()) == (0 if moves is None else 1)
    assert not trader.journal.open_entries()
    assert trader.account.positions() == trader.theirs()


# Errors.


@pytest.mark.parametrize(
    ("status", "content", "refusal"),
    [
        (200, {"status": "ok", "response": {"type": "order", "data": {"statuses": [{"filled": {}}]}}}, None),
        (200, {"status": "ok", "response": {"type": "order", "data": {"statuses": [{"error": "No. asset=1"}]}}}, (CODE, "No. asset=1")),
        (200, {"status": "err", "response": "Invalid nonce"}, (CODE, "Invalid nonce")),
        (200, {"status": "unknownOid"}, None),
        (200, [], None),
        (422, "Failed to deserialize", ("", "Failed to deserialize")),
        (502, {}, ("", "")),
    ],
)
def test_an_error_is_read_from_the_answer_or_from_the_orders_row_in_it(status, content, refusal):
    assert refusal_of(status, content) == refusal
