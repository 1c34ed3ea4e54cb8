"""What is in transit is recognised by its hash or its withdrawal, and by nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from basis_strategy_v1.core.clock import SECOND_US, to_instant
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.execution_report import Cost, ExecutionReport
from basis_strategy_v1.core.gateway import Due
from basis_strategy_v1.core.instructions import WalletTransfer
from basis_strategy_v1.core.state import ExchangeAccount, State, Transfer, Transit, Wallet
from basis_strategy_v1.core.state_change import apply_changes, change_between
from basis_strategy_v1.core.transit import ON_CHAIN, RETURNED, UNSENT, is_on_chain, set_off
from basis_strategy_v1.execution.comparison import unlike_expected
from basis_strategy_v1.execution.in_transit import late, taken_up
from basis_strategy_v1.execution.routing_record import RoutingRecord

D = Decimal
NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
OUT = Transfer(to_instant(NOON), f"{UNSENT}c1", "wallet", "USDT", D(996))
BACK = Transfer(to_instant(NOON), "0xAbC", "binance", "USDT", D(500))
HELD = {"binance": ExchangeAccount({"USDT": D(9000)}), "wallet": Wallet({"USDT": 10**9})}
STATE = State({**HELD, "in_transit": Transit((BACK, OUT))})
TO_BINANCE = WalletTransfer(from_venue="wallet", to_venue="binance", token="USDT", amount=D(500))
TO_WALLET = WalletTransfer(from_venue="binance", to_venue="wallet", token="USDT", amount=D(1000))


def none_open():
    return []


def credit(venue="binance", amount="500", transfer="0xabc", token="USDT", at=NOON, kind="credit"):
    exchange = change_between(ExchangeAccount(), ExchangeAccount({token: D(amount)}))
    units = change_between(Wallet(), Wallet({token: int(D(amount) * 10**6)}))
    changes = {venue: units if venue == "wallet" else exchange}
    return Due(
        id=f"deposit:{transfer}", venue=venue, kind=kind, at=at, deltas=Deltas.at(venue, {token: D(amount)}), changes=changes,
        costs=(Cost("transfers", token, -D(amount)),), transfer=transfer,
    )  # fmt: skip


def on_chain(at=NOON):
    return Due(id="w1", venue="binance", kind=ON_CHAIN, at=at, deltas=Deltas(), details={"hash": "0xFFF"}, transfer=f"{UNSENT}c1")


def after(state, items):
    for item in items:
        state = apply_changes(state, item.changes)
    return state


def test_a_credit_under_the_hash_of_a_transfer_ends_it_whatever_the_case_of_its_letters():
    (arrived,), is_held_back = taken_up(STATE, [credit()], none_open)
    assert (arrived.kind, arrived.costs, arrived.details, is_held_back) == ("arrival", (), {"transfer": "0xabc"}, False)
    assert arrived.deltas == Deltas.at("binance", {"USDT": D(500)}) + Deltas.at("in_transit", {"USDT": D(-500)})
    assert after(STATE, [arrived]).positions()["in_transit"] == {"USDT": D(996)}


@pytest.mark.parametrize(
    ("credited", "cost", "more"), [("490", "10", {"on_its_way": "500", "missing": "10"}), ("510", "-10", {})], ids=["less", "more"]
)
def test_what_is_credited_otherwise_than_it_was_sent_is_a_cost(credited, cost, more):
    (arrived,), _ = taken_up(STATE, [credit(amount=credited)], none_open)
    assert (arrived.costs, arrived.details) == ((Cost("transfers", "USDT", D(cost)),), {"transfer": "0xabc", **more})
    assert arrived.deltas.get("in_transit", "USDT") == -500


def test_a_credit_without_a_hash_is_the_transfer_of_exactly_its_amount():
    (arrived,), _ = taken_up(STATE, [credit(transfer="")], none_open)
    assert (arrived.kind, arrived.deltas.get("in_transit", "USDT")) == ("arrival", -500)
    items, is_held_back = taken_up(STATE, [credit("wallet", "996", ""), on_chain()], none_open)
    assert ([item.kind for item in items], is_held_back) == (["arrival", ON_CHAIN], False)
    assert after(STATE, items).positions()["in_transit"] == {"USDT": D(500)}
    others = [credit(transfer="", amount="501"), credit("wallet", "500", ""), credit(transfer="", kind="funding")]
    assert taken_up(STATE, others, none_open) == (others, False)


def test_a_credit_of_an_unknown_transaction_is_somebody_elses_where_nothing_of_ours_can_be_it():
    foreign = [credit(transfer="0xother"), credit(transfer="", amount="7")]
    assert taken_up(STATE, foreign, none_open) == (foreign, False)


@pytest.mark.parametrize(
    ("item", "open_transfers"),
    [
        (credit("wallet", "996", "0xfff"), []),  # the exchange has not shown the hash of the withdrawal
        (credit(transfer="0xnew"), [TO_BINANCE]),
        (credit(transfer=f"{UNSENT}c2", kind=RETURNED), [TO_WALLET]),
    ],
    ids=["a withdrawal without a hash", "an open transfer there", "an open withdrawal"],
)
def test_what_may_turn_out_to_be_ours_is_held_back(item, open_transfers):
    assert taken_up(STATE, [item], lambda: open_transfers) == ([], True)


@pytest.mark.parametrize(
    ("item", "open_transfers"),
    [
        (credit(transfer="0xnew", token="ETH"), [TO_BINANCE]),
        (credit(transfer="0xnew"), [TO_WALLET]),
        (credit(transfer=f"{UNSENT}c2", kind=RETURNED), [TO_BINANCE]),
    ],
    ids=["another token", "another direction", "no withdrawal"],
)
def test_an_open_transfer_holds_back_no_more_than_its_own(item, open_transfers):
    assert taken_up(STATE, [item], lambda: open_transfers) == ([item], False)


def test_a_withdrawal_that_is_on_chain_is_known_by_its_hash_and_its_credit_comes_after_it():
    earlier = NOON - timedelta(seconds=30)  # by the chain's clock
    items, is_held_back = taken_up(STATE, [on_chain(), credit("wallet", "996", "0xfff", at=earlier)], none_open)
    sent, arrived = items
    assert (sent.kind, sent.deltas, sent.costs, is_held_back) == (ON_CHAIN, Deltas(), (), False)
    assert (arrived.kind, arrived.at) == ("arrival", NOON + timedelta(microseconds=1))
    assert after(STATE, items).positions() == {
        "binance": {"USDT": D(9000)}, "wallet": {"USDT": D(1996)}, "in_transit": {"USDT": D(500)},
    }  # fmt: skip


def test_an_arrival_that_the_chain_stamps_before_the_exchange_has_sent_it_comes_after_that_also_from_another_venue():
    sent: dict[str, datetime] = {}
    at_exchange, _ = taken_up(STATE, [on_chain()], none_open, sent)
    (arrived,), _ = taken_up(after(STATE, at_exchange), [credit("wallet", "996", "0xfff", at=NOON - timedelta(seconds=1))], none_open, sent)
    assert (arrived.kind, arrived.at) == ("arrival", NOON + timedelta(microseconds=1))


def test_a_credit_that_is_later_anyhow_keeps_its_time():
    later = NOON + timedelta(seconds=30)
    (_, arrived), _ = taken_up(STATE, [on_chain(), credit("wallet", "996", "0xfff", at=later)], none_open)
    assert arrived.at == later


def test_a_withdrawal_that_comes_back_gives_back_its_fee():
    (returned,), _ = taken_up(STATE, [credit(amount="1000", transfer=f"{UNSENT}c1", kind=RETURNED)], none_open)
    assert (returned.kind, returned.costs) == (RETURNED, (Cost("transfers", "USDT", D(-4)),))
    assert after(STATE, [returned]).positions()["in_transit"] == {"USDT": D(500)}


def test_what_is_late_names_the_withdrawal_or_the_transaction():
    at, deadline_s = to_instant(NOON), 600
    assert list(late(STATE, at + deadline_s * SECOND_US, deadline_s)) == []
    assert dict(late(STATE, at + deadline_s * SECOND_US + 1, deadline_s)) == {
        OUT: "996 USDT to wallet was due at 2024-06-01T12:00:00Z and has not arrived: look for the withdrawal c1 at both ends",
        BACK: "500 USDT to binance was due at 2024-06-01T12:00:00Z and has not arrived: look for 0xAbC at both ends",
    }


def test_what_sets_off_is_in_transit_from_then_on():
    deltas, changes = set_off(f"{UNSENT}c3", "wallet", "USDT", D(7), to_instant(NOON))
    assert deltas == Deltas.at("in_transit", {"USDT": D(7)})
    held = apply_changes(STATE, changes).part("in_transit", Transit).transfers
    assert [is_on_chain(one) for one in sorted(held)] == [True, False, False]
    assert apply_changes(State(), changes).positions() == {"in_transit": {"USDT": D(7)}}


# Next to what was simulated.


def report(expected, deltas):
    return ExecutionReport(key="k", venue="wallet", at=NOON, kind="execution", deltas=deltas, expected=expected)


def test_an_amount_that_was_simulated_to_arrive_at_once_and_is_in_transit_is_as_expected():
    sent = Deltas.at("wallet", {"USDT": D(-500)})
    at_once, on_its_way = Deltas.at("binance", {"USDT": D(500)}), Deltas.at("in_transit", {"USDT": D(500)})
    assert list(unlike_expected(report(sent + at_once, sent + on_its_way))) == []
    assert list(unlike_expected(report(sent + on_its_way, sent + on_its_way))) == []
    assert list(unlike_expected(report(sent + at_once, sent + Deltas.at("in_transit", {"USDT": D(400)})))) == [
        "k moved 400 USDT at in_transit, expected were 500"
    ]


def test_a_record_without_a_log_logs_no_error():
    RoutingRecord().log_error(NOON, ComponentError("CEX-004", "late"))
