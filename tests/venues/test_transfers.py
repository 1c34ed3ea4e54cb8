"""Transfers between venues: fee, minimum, delay, arrival."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import VenueRejected
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.market import DictSnapshot
from basis_strategy_v1.core.state import IN_TRANSIT, State, Transfer, Transit
from basis_strategy_v1.execution.account import Account as TradingAccount
from basis_strategy_v1.execution.market_source import MarketSource
from basis_strategy_v1.positions.position_update_handler import PositionUpdateHandler
from basis_strategy_v1.venues.transfers import Arrivals

from ..world import AT, STAKED, change_of_positions, everything, exactly, holding, market, run, settled, transfer, update_to, value, venues

D = Decimal
FREE_GAS = {"wallet": {"gas_price_gwei": 0}}
TERMS = {"bybit": {"withdrawal": {"USDT": {"fee": "1.5", "minimum": 10, "minutes": "7.5"}, "ETH": {"fee": "0.001"}}}}
NOW = market()


def given(settings: Any = None, **positions: Any) -> tuple[Any, State]:
    all_venues = venues({**FREE_GAS, **(settings or {})})
    return all_venues, holding(all_venues, NOW, **positions)


def refused(block: dict[str, Any], all_venues: Any, state: State) -> str:
    with pytest.raises(VenueRejected) as caught:
        run(block, all_venues, state, NOW)
    return caught.value.message


def test_without_terms_a_transfer_is_free_and_arrives_at_once():
    moved = run(transfer("bybit", "okx", "USDT", "123.4567891"), *given({"bybit": {"withdrawal": {}}}, bybit={"USDT": 200}), NOW)
    assert moved.deltas == Deltas.nested({"bybit": {"USDT": D("-123.4567891")}, "okx": {"USDT": D("123.4567891")}})
    assert (moved.costs, moved.details) == ((), {"amount": "123.4567891", "arriving": "123.4567891"})
    assert moved.state.positions() == {"bybit": {"USDT": D("76.5432109")}, "okx": {"USDT": D("123.4567891")}}


def test_a_withdrawal_pays_its_fee_and_is_on_its_way_until_it_arrives():
    all_venues, state = given(TERMS, bybit={"USDT": 200})
    moved = run(transfer("bybit", "wallet", "USDT", 100), all_venues, state, NOW)
    assert moved.deltas == Deltas.nested({"bybit": {"USDT": D(-100)}, IN_TRANSIT: {"USDT": D("98.5")}})
    assert moved.costs == (Cost("transfers", "USDT", D("1.5")),)
    assert moved.details == {"amount": "100", "arriving": "98.5", "arrives": "2024-06-01T00:07:30Z"}
    assert moved.state.positions() == {"bybit": {"USDT": D(100)}, IN_TRANSIT: {"USDT": D("98.5")}}
    assert value(all_venues, moved.state, NOW) == D("198.5")


def test_what_is_on_its_way_arrives_at_its_own_instant_and_counts_as_equity_meanwhile():
    all_venues, _ = given(TERMS)
    handler = PositionUpdateHandler({"bybit": {"USDT": 500}})

    class Provider:
        def get_data(self, timestamp: Any) -> dict[str, Any]:
            return everything(timestamp)

    account = TradingAccount(all_venues, MarketSource(Provider()), handler)
    for minutes in (0, 2):
        at = account.market(AT + timedelta(minutes=minutes))
        moved = run(transfer("bybit", ("wallet", "okx")[minutes // 2], "USDT", 100), all_venues, account.state(at), at)
        account.ledger.assign(moved.state)
    assert [row.amount for row in account.exposures(at)[0] if row.venue == IN_TRANSIT] == [D(197)]
    assert settled(account, AT + timedelta(minutes=7)) == []
    reports = settled(account, AT + timedelta(hours=1))
    assert [(report.kind, report.venue, report.at, report.deltas) for report in reports] == [
        ("arrival", where, AT + timedelta(minutes=minutes), Deltas.nested({IN_TRANSIT: {"USDT": -D("98.5")}, where: {"USDT": D("98.5")}}))
        for where, minutes in (("wallet", 7.5), ("okx", 9.5))
    ]
    assert handler.positions == {"bybit": {"USDT": D(300)}, "wallet": {"USDT": D("98.5")}, "okx": {"USDT": D("98.5")}}


@pytest.mark.parametrize(
    ("token", "amount", "message"),
    [
        ("USDT", "9.99", "bybit pays out no less than 10 USDT (fee 1.5), got 9.99; transfer more"),
        ("ETH", "0.001", "bybit pays out no less than 0.001 ETH (fee 0.001), got 0.001; transfer more"),
        ("USDT", "201", "transfer of 201 USDT needs 201 USDT, bybit holds 200; use less or move USDT there first"),
        ("USDT", "0.0000001", "transfer of 0.0000001 USDT is less than one base unit of it"),
        ("ETHUSDT-PERP", "1", "ETHUSDT-PERP is a position and stays on its exchange; close it there and open it on wallet"),
    ],
)
def test_what_the_sender_does_not_pay_out_is_refused(token, amount, message):
    assert refused(transfer("bybit", "wallet", token, amount), *given(TERMS, bybit={"USDT": 200, "ETH": 1})) == message


def test_the_least_that_is_paid_out_arrives():
    moved = run(transfer("bybit", "okx", "USDT", 10), *given(TERMS, bybit={"USDT": 10}), NOW)
    assert moved.state.positions() == {IN_TRANSIT: {"USDT": D("8.5")}}


def test_on_chain_an_amount_is_whole_base_units_and_the_rest_stays_with_its_owner():
    all_venues, state = given({"bybit": {"withdrawal": {}}}, bybit={"USDT": 5}, wallet={"USDT": 5})
    for ends in (("bybit", "wallet"), ("wallet", "bybit")):
        moved = run(transfer(*ends, "USDT", "1.2345678"), all_venues, state, NOW)
        assert moved.deltas == Deltas.nested({ends[0]: {"USDT": D("-1.234567")}, ends[1]: {"USDT": D("1.234567")}})


def test_a_fee_below_one_base_unit_takes_the_whole_unit():
    settings = {"bybit": {"withdrawal": {"USDT": {"fee": "0.0000004"}}}}
    moved = run(transfer("bybit", "wallet", "USDT", 1), *given(settings, bybit={"USDT": 1}), NOW)
    assert (moved.deltas.get("wallet", "USDT"), moved.costs) == (D("0.999999"), (Cost("transfers", "USDT", D("0.000001")),))


def test_a_transfer_out_of_the_wallet_pays_gas():
    all_venues, state = given({"wallet": {"gas_price_gwei": 20}}, wallet={"USDT": 5, "ETH": 1})
    moved = run(transfer("wallet", "binance", "USDT", 5), all_venues, state, NOW)
    assert moved.deltas.tokens("wallet") == {"USDT": D(-5), "ETH": D("-0.0013")}
    assert moved.costs == (Cost("gas", "ETH", D("0.0013")),)
    assert refused(transfer("wallet", "binance", "ETH", 1), all_venues, state).startswith("gas needs 0.0013 ETH, wallet holds 0;")


@pytest.mark.parametrize("protocol", ["aave", "uniswap"])
def test_a_protocol_is_no_end_of_a_transfer(protocol):
    assert refused(transfer("bybit", protocol, "USDT", 5), *given(bybit={"USDT": 5})) == (
        f"{protocol} holds no plain tokens; its tokens are in the wallet: use a smart_contract_action of {protocol} instead"
    )


@exactly
def test_a_rebasing_token_comes_into_a_wallet_that_has_none_at_its_rate_of_today():
    all_venues, state = given(bybit={"stETH": 10})
    moved = run(transfer("bybit", "wallet", "stETH", 10), all_venues, state, NOW)
    held = moved.state.positions()["wallet"]["stETH"]
    assert D("9.999999999999999998") <= held <= 10
    assert moved.deltas.get("wallet", "stETH") == held
    assert moved.costs == ((Cost("staking", "stETH", 10 - held),) if held < 10 else ())
    assert update_to(all_venues["wallet"], moved.state, NOW) == (moved.state, ())


@exactly
def test_a_rebasing_token_that_arrives_later_has_not_accrued_on_its_way():
    all_venues, _ = given()
    early = DictSnapshot(AT, everything(AT))
    later = DictSnapshot(AT + timedelta(days=30), everything(AT + timedelta(days=30), growth=1.01))
    state = holding(all_venues, early, wallet={"stETH": 100})
    arrives = later.instant
    state = state.with_parts(in_transit=Transit((Transfer(arrives, "k", "wallet", "stETH", D(50)),)))
    arrivals = Arrivals(all_venues)
    after, settled = arrivals.update_to(state, later)
    assert [row.kind for row in settled] == ["interest", "arrival"]
    changed, reported = change_of_positions(all_venues, state, after, sum((row.deltas for row in settled), Deltas()))
    assert changed == reported
    assert abs(settled[0].deltas.get("wallet", "stETH") - 1) < D("1e-12")
    assert abs(after.positions()["wallet"]["stETH"] - 151) < D("1e-12")
    assert all_venues["wallet"].update_to(after, later) == (after, ())
    assert STAKED["wstETH"] > 1  # a share is not one token, so that the rate matters above


def test_where_no_balances_are_known_a_transfer_needs_no_rate():
    bare = DictSnapshot(AT, {"market_data": {"prices": {"ETH": 2000.0}}})
    moved = run(transfer("bybit", "wallet", "stETH", 1), venues(FREE_GAS), State(checked=False), bare)
    assert moved.deltas == Deltas.nested({"bybit": {"stETH": D(-1)}, "wallet": {"stETH": D(1)}})


def test_nothing_arrives_where_nothing_is_on_its_way():
    arrivals = Arrivals(venues())
    assert arrivals.next_due(State(), NOW, NOW.instant + 1) is None
    assert arrivals.next_due(State({IN_TRANSIT: Transit()}), NOW, NOW.instant + 1) is None
    waiting = State({IN_TRANSIT: Transit((Transfer(NOW.instant + 9, "k", "okx", "USDT", D(1)),))})
    assert arrivals.next_due(waiting, NOW, NOW.instant + 8) is None
    assert arrivals.next_due(waiting, NOW, NOW.instant + 9) == NOW.instant + 9
    assert arrivals.update_to(waiting, NOW) == (waiting, ())


def test_what_is_overdue_is_due_right_after_now_so_that_going_from_one_due_instant_to_the_next_ends():
    arrivals = Arrivals(venues())
    overdue = State(
        {IN_TRANSIT: Transit((Transfer(NOW.instant - 9, "k", "okx", "USDT", D(1)), Transfer(NOW.instant, "l", "okx", "ETH", D(2))))}
    )
    assert arrivals.next_due(overdue, NOW, NOW.instant) is None
    assert arrivals.next_due(overdue, NOW, NOW.instant + 1) == NOW.instant + 1
    after, settled = arrivals.update_to(overdue, NOW)
    assert [row.details for row in settled] == [{"transfer": "k"}, {"transfer": "l"}]
    assert after.positions() == {"okx": {"USDT": D(1), "ETH": D(2)}}
    assert arrivals.next_due(after, NOW, NOW.instant + 1) is None


def test_what_arrives_is_what_is_due_and_nothing_else_whatever_its_place():
    mixed = [Transfer(NOW.instant + 5, "later", "okx", "USDT", D(1)), Transfer(NOW.instant, "now", "okx", "USDT", D(2))]
    after, settled = Arrivals(venues()).update_to(State({IN_TRANSIT: Transit(tuple(mixed))}), NOW)
    assert [row.details for row in settled] == [{"transfer": "now"}]
    assert after.positions() == {"okx": {"USDT": D(2)}, IN_TRANSIT: {"USDT": D(1)}}


def test_a_delay_of_less_than_a_microsecond_is_none():
    settings = {"bybit": {"withdrawal": {"USDT": {"minutes": "0.00000001"}}}}
    moved = run(transfer("bybit", "okx", "USDT", 1), *given(settings, bybit={"USDT": 1}), NOW)
    assert (moved.state.positions(), "arrives" in moved.details) == ({"okx": {"USDT": D(1)}}, False)
