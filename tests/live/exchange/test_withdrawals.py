"""Withdrawals to the wallet and deposits from it: what leaves is in transit until it is credited, whatever goes wrong."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from decimal import Decimal

import pytest

from basis_strategy_v1.core.clock import iso
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, OutcomeUnknown, VenueRejected
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.journal import Status
from basis_strategy_v1.core.limits import Limits
from basis_strategy_v1.live.exchange_orders import client_id_of

from .trader import block_of
from .transfers import ADDRESS, LIMITS, LiveTransfers, transfer

D = Decimal


@pytest.fixture
def live(exchange, tmp_path):
    made = []

    def make(**given):
        made.append(LiveTransfers(exchange, tmp_path / f"live{len(made)}", **given))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_a_withdrawal_is_in_transit_until_the_wallet_has_it(live, exchange):
    one = live()
    report = one.execute(transfer("binance", "wallet", "1000"))
    assert report.deltas.amounts == {"binance": {"USDT": D(-1000)}, "in_transit": {"USDT": D(996)}}
    assert report.deltas == report.expected
    assert one.positions["in_transit"] == {"USDT": D(996)}
    assert one.settle(5) == []
    found = [settled for _ in range(3) for settled in one.settle(3)]
    assert [(settled.kind, settled.venue, settled.deltas.amounts) for settled in found] == [
        ("on chain", "binance", {}),
        ("arrival", "wallet", {"wallet": {"USDT": D(996)}, "in_transit": {"USDT": D(-996)}}),
    ]
    assert one.positions["wallet"]["USDT"] == 2996
    one.require_agreement()


def test_a_deposit_is_in_transit_until_the_exchange_credits_it(live, exchange):
    one = live()
    report = one.execute(transfer("wallet", "binance", "500"))
    assert report.deltas.amounts == {"wallet": {"USDT": D(-500)}, "in_transit": {"USDT": D(500)}}
    assert report.deltas == report.expected
    assert one.settle(1) == []
    (arrived,) = one.settle(2)
    assert (arrived.kind, arrived.venue, arrived.deltas.amounts, arrived.costs) == (
        "arrival", "binance", {"binance": {"USDT": D(500)}, "in_transit": {"USDT": D(-500)}}, (),
    )  # fmt: skip
    one.require_agreement()


# Exactly once, whatever goes wrong.


def fault(name, **more):
    return {"on": "withdraw", "fault": name, **more}


# What goes wrong with the withdrawal, and how many the venue makes.
MATRIX = {
    "nothing": ([], 1),
    "dropped before it was read": ([fault("drop_unread")], 0),
    "dropped unexecuted": ([fault("drop")], 0),
    "executed and dropped": ([fault("drop_after")], 1),
    "hangs unexecuted": ([fault("hang")], 0),
    "executed and hangs": ([fault("hang_after")], 1),
    "executed and 502": ([fault("status", status=502, after=True)], 1),
    "503": ([fault("status", status=503)], 0),
    "executed and empty": ([fault("empty_after")], 1),
    "executed and half the JSON": ([fault("truncated_after")], 1),
    "executed and the connection ends": ([fault("half_after")], 1),
    "executed and other JSON": ([fault("garbage_after")], 1),
    "executed and called a duplicate": ([fault("duplicate_after")], 1),
    "executed, dropped, look-ups lag": ([{"lag_s": {"binance": 40}}, fault("drop_after")], 1),
    "executed, and balances are stale": ([{"stale_s": {"binance": 10}}, fault("drop_after")], 1),
    "429 with Retry-After": ([fault("status", status=429, retry_after=0.2)], 0),
    "executed and 429, look-ups lag": ([{"lag_s": {"binance": 40}}, fault("status", status=429, retry_after=0.2, after=True)], 1),
    "executed and 418, look-ups lag": ([{"lag_s": {"binance": 40}}, fault("status", status=418, retry_after=0.2, after=True)], 1),
    "429 without, which lasts longer than the attempts": ([fault("status", status=429)], 0),
    "late, after it has expired": ([fault("late", seconds=5)], 0),
    "slow": ([fault("delay", seconds=0.05)], 1),
    "refused": ([fault("refuse", reason="withdrawal_balance")], 0),
}  # fmt: skip


@pytest.mark.parametrize("name", MATRIX)
def test_a_withdrawal_is_made_once_or_not_at_all(live, exchange, name):
    commands, makes = MATRIX[name]
    one = live(timeout_s=0.4)
    exchange.control(*commands)
    with suppress(ComponentError):
        one.execute(transfer("binance", "wallet", "1000", instruction_id="w1"))
    posts = exchange.count("binance", "withdraw")
    exchange.control(clear=True)
    one.again()
    made = exchange.account("binance")["withdrawals"]
    assert [(row["token"], row["amount"], row["address"]) for row in made] == [("USDT", "996", ADDRESS)] * makes
    assert posts == 1
    assert one.journal.open_entries() == []
    arrived = [settled for _ in range(4) for settled in one.settle(5) if settled.kind == "arrival"]
    assert [settled.deltas.get("wallet", "USDT") for settled in arrived] == [D(996)] * makes
    assert "in_transit" not in one.positions
    one.require_agreement()


def test_an_id_under_which_a_withdrawal_is_there_already_is_not_sent_a_second_time(live, exchange):
    """The venue would take it again: it has executed what it refused as one request too many."""
    one = live(timeout_s=0.4)
    exchange.control(fault("status", status=429, retry_after=0.2, after=True))
    one.execute(transfer("binance", "wallet", "1000", instruction_id="w1"))
    assert exchange.count("binance", "withdraw") == 1
    assert len(exchange.account("binance")["withdrawals"]) == 1


def test_a_withdrawal_that_begins_again_under_its_key_finds_the_first_however_late_the_list_shows_it(live, exchange):
    one = live(timeout_s=0.4, live={"settle_deadline_s": {"withdrawal": 900}})
    exchange.control({"lag_s": {"binance": 100_000}}, fault("drop_after"))
    with pytest.raises(OutcomeUnknown):
        one.execute(transfer("binance", "wallet", "1000", instruction_id="w1"))
    one.journal.close("w1", Status.NEVER_HAPPENED, None, None, "a person decided that it never happened")
    one.time.sleep(2 * 86_400)
    exchange.control(clear=True)
    report = one.execute(transfer("binance", "wallet", "1000", instruction_id="w1"))
    assert report.deltas.amounts == {"binance": {"USDT": D(-1000)}, "in_transit": {"USDT": D(996)}}
    assert len(exchange.account("binance")["withdrawals"]) == 1
    for _ in range(3):
        one.settle(15)
    assert "in_transit" not in one.positions
    one.require_agreement()


def test_a_withdrawal_that_was_taken_over_late_and_is_asked_for_again_under_its_key_is_recorded_once(live, exchange):
    one = live(timeout_s=0.4, live={"settle_deadline_s": {"withdrawal": 900}})
    exchange.control({"lag_s": {"binance": 100_000}}, fault("drop_after"))
    with pytest.raises(OutcomeUnknown):
        one.execute(transfer("binance", "wallet", "1000", instruction_id="w1"))
    one.journal.close("w1", Status.NEVER_HAPPENED, None, None, "a person decided that it never happened")
    before = one.positions["binance"]["USDT"]
    exchange.control(clear=True)
    late = [settled for _ in range(4) for settled in one.settle(1000)]
    assert "late withdrawal" in [settled.kind for settled in late]
    report = one.execute(transfer("binance", "wallet", "1000", instruction_id="w1"))
    assert (report.deltas.amounts, report.costs) == ({}, ())
    assert [name.startswith("withdrawal:") for name in report.details["recorded"]] == [True]
    assert one.positions["binance"]["USDT"] == before - 1000
    assert len(exchange.account("binance")["withdrawals"]) == 1
    assert one.journal.entry("w1").status is Status.SETTLED
    one.require_agreement()


def test_two_withdrawals_under_one_id_are_no_outcome_and_both_are_named(live, exchange):
    one = live()
    client_id = client_id_of("w1", "run")
    for _ in range(2):
        exchange.control(withdraw={"venue": "binance", "token": "USDT", "amount": "1000", "address": ADDRESS, "client_id": client_id})
    with pytest.raises(ComponentError, match=f"2 withdrawals under the id {client_id}: "):
        one.execute(transfer("binance", "wallet", "1000", instruction_id="w1"))
    assert exchange.count("binance", "withdraw") == 0


# What is refused, and nothing is sent.

REFUSED = {
    "an address that is not in the limits": (
        [], {"limits": {**LIMITS, "withdrawal_addresses": ["0x" + "b" * 40]}}, {},
        f"it pays out to {ADDRESS}, which is not in limits.withdrawal_addresses",
    ),
    "no address in the limits": (
        [], {"limits": {**LIMITS, "withdrawal_addresses": []}}, {},
        "needs its address in limits.withdrawal_addresses",
    ),
    "a closed network": (
        [{"network": {"venue": "binance", "token": "USDT", "is_open": False}}], {}, {},
        "binance has closed withdrawals of USDT over ETH; wait",
    ),
    "another network than the wallet's": (
        [], {}, {"network": "TRX"},
        "wallet is paid on ethereum, which binance calls ETH; got the network TRX: leave it out",
    ),
    "less than the venue's minimum": (
        [{"network": {"venue": "binance", "token": "USDT", "minimum": "2000"}}], {}, {},
        "binance pays out no less than 2000 USDT (fee 4), got 1000; transfer more",
    ),
    "a fee that is far above the simulated one": (
        [{"network": {"venue": "binance", "token": "USDT", "fee": "12"}}], {}, {},
        "binance takes 12 USDT for a withdrawal over ETH, simulated were 4: 80 bps more, limits.max_slippage_bps is 50",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_withdrawal_that_may_not_be_is_refused_before_anything_leaves(live, exchange, name):
    commands, changes, fields, says = REFUSED[name]
    exchange.control(*commands)
    one = live(**changes)
    before = one.positions
    with pytest.raises(ComponentError) as refused:
        one.execute(transfer("binance", "wallet", "1000", **fields))
    assert says in refused.value.message
    assert (exchange.count("binance", "withdraw"), one.journal.open_entries(), one.positions) == (0, [], before)


def test_a_wallet_on_another_chain_is_paid_over_that_chain_or_not_at_all(live, exchange):
    one = live()
    one.binance.chains = {"wallet": "arbitrum"}
    with pytest.raises(VenueRejected, match="binance sends no USDT over ARBITRUM; it has ETH"):
        one.execute(transfer("binance", "wallet", "1000"))
    exchange.control(network={"venue": "binance", "token": "USDT", "network": "ARBITRUM"})
    one.execute(transfer("binance", "wallet", "1000"))
    (made,) = exchange.account("binance")["withdrawals"]
    exchange.control(network={"venue": "binance", "token": "USDT", "network": "ETH"})
    assert made["network"] == "ARBITRUM"


def test_an_address_that_is_missing_from_the_venues_list_is_refused_there_and_named_by_the_check(live, exchange):
    exchange.control(setting={"venue": "binance", "addresses": ["0x" + "c" * 40]})
    one = live()
    with pytest.raises(VenueRejected, match="-4104 The withdrawal address is not in the whitelist"):
        one.execute(transfer("binance", "wallet", "1000"))
    assert exchange.account("binance")["withdrawals"] == []
    notes = one.binance.check_account(Limits(withdrawal_addresses=(ADDRESS,))).notes
    listed = "is not on its list of addresses; a withdrawal there will be refused"
    assert f"binance: {ADDRESS} of limits.withdrawal_addresses {listed}" in notes


def test_the_check_names_a_fee_that_the_simulator_does_not_take_a_closed_network_and_a_key_without_the_right(live, exchange):
    exchange.control(
        {"network": {"venue": "binance", "token": "USDT", "fee": "5"}}, {"network": {"venue": "binance", "token": "ETH", "is_open": False}}
    )
    limits = Limits(withdrawal_addresses=(ADDRESS,))
    one = live()
    assert [note for note in one.binance.check_account(limits).notes if "withdraw" in note] == [
        "binance: withdrawals and deposits of ETH over ETH are closed now",
        "binance: a withdrawal of USDT over ETH costs 5, the simulator takes 4; set venues.cex.binance.withdrawal",
    ]
    assert [note for note in one.binance.check_account(Limits()).notes if "withdraw" in note] == []
    exchange.control(key={"venue": "binance", "key": "key", "secret": "secret", "may": ["read", "trade", "transfer"]})
    notes = one.binance.check_account(limits).notes
    exchange.control(key={"venue": "binance", "key": "key", "secret": "secret", "may": ["read", "trade", "transfer", "withdraw"]})
    assert "binance: the key may not withdraw; a transfer out of the account will be refused" in notes


# What becomes of it.


@pytest.mark.parametrize("has_fee", [False, True], ids=["amount without the fee", "amount with the fee in it"])
def test_a_withdrawal_that_the_venue_cancels_an_hour_later_comes_back_with_its_fee_once(live, exchange, has_fee):
    exchange.control(setting={"venue": "binance", "shows_fee_in_amount": has_fee})
    exchange.control(network={"venue": "binance", "token": "USDT", "minutes": 240})
    one = live()
    before = one.positions
    one.execute(transfer("binance", "wallet", "1000", instruction_id="w1"))
    assert one.settle(60) == []
    exchange.control(withdrawal={"venue": "binance", "client_id": client_id_of("w1", "run"), "status": "cancelled"})
    (returned,) = one.settle(1)
    assert (returned.kind, returned.venue) == ("returned", "binance")
    assert returned.deltas.amounts == {"binance": {"USDT": D(1000)}, "in_transit": {"USDT": D(-996)}}
    assert returned.costs == (Cost("transfers", "USDT", D(-4)),)
    assert returned.details["status"] == "cancelled"
    assert one.positions == before
    one.require_agreement()


def test_a_withdrawal_that_ends_while_nobody_runs_is_reported_by_the_next_process(live, exchange):
    one = live()
    one.execute(transfer("binance", "wallet", "1000"))
    one.close()
    one.time.sleep(3 * 86_400)
    one._open()
    kinds = [settled.kind for _ in range(2) for settled in one.settle(1)]
    assert kinds == ["on chain", "arrival"]
    one.require_agreement()


def test_what_is_late_is_reported_once_and_health_is_degraded_until_it_arrives(live, exchange):
    one = live()
    due = iso(one.execute(transfer("binance", "wallet", "1000", instruction_id="w1")).at + timedelta(minutes=10))
    client_id = client_id_of("w1", "run")
    exchange.control(hold={"venue": "binance", "client_id": client_id})
    for _ in range(3):
        one.settle(6 * 60)
        one.manager.live.recover()
    late = f"996 USDT to wallet was due at {due} and has not arrived: look for the withdrawal"
    assert [event["data"]["error_message"] for event in one.errors()] == [f"{late} {client_id} at both ends"]
    assert one.manager.live.senders.health.check()["status"] == "degraded"
    exchange.control(withdrawal={"venue": "binance", "client_id": client_id, "status": "completed"})
    for _ in range(3):
        one.settle(1)
    one.manager.live.recover()
    assert one.manager.live.senders.health.check()["status"] == "healthy"
    one.require_agreement()


def test_a_withdrawal_that_no_look_up_shows_stays_open_while_the_balance_shows_it(live, exchange):
    one = live(timeout_s=0.4, live={"settle_deadline_s": {"withdrawal": 900}})
    exchange.control({"lag_s": {"binance": 100_000}}, fault("drop_after"))
    with pytest.raises(OutcomeUnknown, match="but binance shows 14000 USDT, held are 15000: perhaps it was executed"):
        one.execute(transfer("binance", "wallet", "1000", instruction_id="w1"))
    exchange.control(clear=True)
    one.again()
    assert one.journal.entry("w1").status is Status.SETTLED
    for _ in range(3):
        one.settle(15)
    assert "in_transit" not in one.positions
    one.require_agreement()


def test_a_withdrawal_whose_row_a_person_closed_as_if_it_never_happened_is_taken_over_and_somebody_must_look(live, exchange):
    one = live(timeout_s=0.4, live={"settle_deadline_s": {"withdrawal": 900}})
    exchange.control({"lag_s": {"binance": 100_000}}, fault("drop_after"))
    with pytest.raises(OutcomeUnknown):
        one.execute(transfer("binance", "wallet", "1000", instruction_id="w1"))
    one.journal.close("w1", Status.NEVER_HAPPENED, None, None, "a person decided that it never happened")
    exchange.control(clear=True)
    taken = [settled for _ in range(3) for settled in one.settle(15)]
    moved = [(settled.kind, settled.deltas.amounts) for settled in taken if settled.deltas]
    assert moved == [("late withdrawal", {"binance": {"USDT": D(-1000)}}), ("credit", {"wallet": {"USDT": D(996)}})]
    assert one.manager.live.senders.health.check()["status"] == "unhealthy"
    one.require_agreement()


def test_a_withdrawal_by_hand_is_somebody_elses(live, exchange):
    one = live()
    one.settle(1)
    exchange.control(withdraw={"venue": "binance", "token": "USDT", "amount": "100", "address": "0x" + "d" * 40})
    (taken,) = one.settle(1)
    assert (taken.kind, taken.deltas.amounts) == ("foreign withdrawal", {"binance": {"USDT": D(-100)}})
    one.require_agreement()


# Deposits.


def test_a_deposit_that_is_credited_with_less_is_reported(live, exchange):
    one = live()
    one.wallet.credits = {"USDT": "490"}
    report = one.execute(transfer("wallet", "binance", "500"))
    (arrived,) = one.settle(3)
    assert arrived.deltas.amounts == {"binance": {"USDT": D(490)}, "in_transit": {"USDT": D(-500)}}
    assert arrived.costs == (Cost("transfers", "USDT", D(10)),)
    assert (arrived.details["on_its_way"], arrived.details["missing"]) == ("500", "10")
    message = f"binance credited 10 less than the 500 of {report.reference}; ask both ends for the rest"
    assert [event["data"]["error_message"] for event in one.errors()] == [message]
    one.require_agreement()


def test_a_deposit_of_somebody_else_is_a_credit_also_while_one_of_ours_is_on_its_way(live, exchange):
    one = live()
    one.execute(transfer("wallet", "binance", "500"))
    exchange.control(deposit={"venue": "binance", "token": "USDT", "amount": "7", "hash": "0xforeign"})
    (foreign,) = one.settle(1)
    assert (foreign.kind, foreign.deltas.amounts) == ("credit", {"binance": {"USDT": D(7)}})
    assert [settled.kind for settled in one.settle(2)] == ["arrival"]
    one.require_agreement()


def test_a_deposit_that_was_first_seen_two_days_before_it_is_credited_is_taken_up(live, exchange):
    one = live()
    exchange.control(deposit={"venue": "binance", "token": "USDT", "amount": "7", "hash": "0xslow", "status": "pending"})
    for _ in range(4):
        assert one.settle(12 * 60) == []
    exchange.control(deposit={"venue": "binance", "token": "USDT", "amount": "7", "hash": "0xslow", "status": "completed"})
    (credited,) = one.settle(1)
    assert credited.deltas.amounts == {"binance": {"USDT": D(7)}}
    one.require_agreement()


def test_a_run_that_goes_back_before_a_withdrawal_has_its_arrival_after_it(live, exchange):
    """The record of a step is missing; the withdrawal of that step and its arrival are in the journal."""
    one = live()
    account, journal = one.manager.live.account, one.journal
    before, mark, market = account.ledger.state, journal.mark(), account.market(one.time.clock.now())
    one.execute(transfer("binance", "wallet", "1000"))
    for _ in range(3):
        one.settle(10)
    now, held = one.time.clock.now(), account.ledger.state
    account.go_back(before, market, journal.dues_after(mark))
    assert [report for _, reports in account.advance_to(now) for report in reports] == []
    assert account.ledger.state.positions() == before.positions()
    account.come_back(account.market(now))
    later = now + timedelta(minutes=1)
    assert [report.kind for _, reports in account.advance_to(later) for report in reports] == ["on chain", "arrival"]
    assert account.ledger.state.positions() == held.positions()


def test_a_plan_that_buys_and_withdraws_what_it_has_bought_is_executed_whole(live, exchange):
    one = live()
    one.time.sleep(1)
    buy = block_of("spot", "buy", "3")
    reports = one.manager.run_plan(one.time.clock.now(), [buy, transfer("binance", "wallet", "7.5", "ETH")])
    assert [report.filled for report in reports] == [1, 1]
    arrived = [settled for _ in range(3) for settled in one.settle(10) if settled.kind == "arrival"]
    assert [settled.deltas.get("wallet", "ETH") for settled in arrived] == [D("7.4988")]
    one.require_agreement()


def test_a_plan_whose_withdrawal_is_refused_beforehand_sends_none_of_its_legs(live, exchange):
    exchange.control(network={"venue": "binance", "token": "USDT", "is_open": False})
    one = live()
    one.time.sleep(1)
    with pytest.raises(ComponentError, match="has closed withdrawals of USDT over ETH"):
        one.manager.run_plan(one.time.clock.now(), [block_of("spot", "buy", "3"), transfer("binance", "wallet", "1000")])
    assert exchange.account("binance")["orders"] == []
