"""Aave as a venue: growth by the published index, rounding by revision, what is refused, e-mode."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.clock import EPOCH, to_instant
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueRejected
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.market import DictSnapshot, MissingData
from basis_strategy_v1.core.state import Amounts, State
from basis_strategy_v1.core.state_codec import decode_state, encode_state
from basis_strategy_v1.execution.account import Account as TradingAccount
from basis_strategy_v1.execution.market_source import MarketSource
from basis_strategy_v1.positions.position_update_handler import PositionUpdateHandler
from basis_strategy_v1.venues.aave_settings import RESERVES

from ..world import (
    AT,
    action,
    chain,
    costs_usd,
    exactly,
    holding,
    lending_row,
    provider,
    run,
    settled,
    update_to,
    value,
    venue,
    venues,
    write_bars,
    write_lending,
)

D = Decimal
aave = partial(venue, "aave")
FREE_GAS = {"wallet": {"gas_price_gwei": 0}}
USD = {"USDT": 1.0, "USDC": 1.0, "WETH": 2000.0, "wstETH": 2400.0, "weETH": 2100.0, "WBTC": 60000.0}
USDT_UNIT = D("0.000001")


def market(days: float = 0, **changes: dict[str, Any]) -> DictSnapshot:
    """Lending rows of all tokens; `changes` are by token."""
    rows = {token: lending_row(usd, **changes.get(token, {})) for token, usd in USD.items()}
    data = {
        "market_data": {"prices": {"ETH": 2000.0, "USDT": 1.0, "USDC": 1.0, "BTC": 60000.0}},
        "protocol_data": {"aave": rows, "lido": {"wstETH": {"eth_per_token": 1.2}}, "etherfi": {"weETH": {"eth_per_token": 1.05}}},
    }
    return DictSnapshot(AT + timedelta(days=days), data)


NOW = market()
ALL = venues(FREE_GAS)


NO_IMPACT = {"rate_impact": False}
AS_PUBLISHED = {**FREE_GAS, "aave": NO_IMPACT}


def held(settings: Any = None, **positions: Any) -> tuple[Any, State]:
    all_venues = venues({**FREE_GAS, "aave": settings or {}})
    wallet = positions.pop("wallet", {})
    return all_venues, holding(all_venues, NOW, wallet=wallet, aave=positions)


def refused(block: dict[str, Any], all_venues: Any, state: State, at_market: DictSnapshot = NOW) -> str:
    before = state.positions()
    with pytest.raises(VenueRejected) as caught:
        run(block, all_venues, state, at_market)
    assert (caught.value.error_code, state.positions()) == ("OCH-001", before)
    return caught.value.message


@exactly
def test_a_state_that_is_restored_under_other_settings_has_these_from_the_next_instant_on() -> None:
    """A live run goes on after its config has changed."""
    _, state = held(aUSDT=1000, variableDebtWETH=D("0.1"))
    restored = decode_state(encode_state(state))
    others = venues({**FREE_GAS, "aave": {"reserves": {"USDT": {"liquidation_threshold_bps": 4000, "ltv_bps": 3000}}}})
    later = market(1)
    before, after = (all_venues["aave"].accrue(restored, later) for all_venues in (ALL, others))
    assert before.positions() == after.positions()
    assert after.parts["aave"].pool.rules["USDT"].liquidation_threshold_bps == 4000
    assert others["aave"].health_factor(after, later) == 4000 * ALL["aave"].health_factor(before, later) / (
        ALL["aave"].pool.rules["USDT"].liquidation_threshold_bps
    )


# Growth.

FIRST, LAST = "1.0361969326346498", "1.0497112345678901"


def rows_over_time() -> dict[datetime, dict[str, Any]]:
    row = {**lending_row(1.0), "liquidity_rate": "0.05", "variable_borrow_rate": "0.06"}
    return {
        AT: {**row, "liquidity_index": FIRST, "variable_borrow_index": "1.05"},
        AT + timedelta(days=1): {**row, "liquidity_index": "1.0371", "variable_borrow_index": "1.0512"},
        AT + timedelta(days=2): {**row, "liquidity_index": LAST, "variable_borrow_index": "1.0523"},
    }


@pytest.fixture
def recorded(tmp_path: Any) -> Any:
    write_lending(tmp_path, "aave_v3", "USDT", rows_over_time())
    write_lending(tmp_path, "aave_v3", "WETH", {at: {**row, "oracle_price_usd": 2000} for at, row in rows_over_time().items()})
    write_bars(tmp_path, "bybit", "spot", "ETHUSDT", [(2000,)] * 100)
    return provider(tmp_path)


@exactly
def test_a_deposit_grows_by_the_ratio_of_the_published_indices(recorded):
    all_venues = venues(AS_PUBLISHED)
    handler = PositionUpdateHandler({"wallet": {"USDT": 100_000}})
    account = TradingAccount(all_venues, MarketSource(recorded), handler)
    start = account.market(AT)
    moved = run(action("aave", "supply", "USDT", 100_000), all_venues, account.state(start), start)
    account.ledger.assign(moved.state)
    reports = settled(account, AT + timedelta(days=2))
    assert [(row.kind, row.at) for row in reports] == [("interest", AT + timedelta(days=day)) for day in (1, 2)]
    grown = 100_000 * D(LAST) / D(FIRST)
    assert abs(handler.positions["aave"]["aUSDT"] - grown) <= 3 * USDT_UNIT
    assert sum((row.deltas for row in reports), moved.deltas).get("aave", "aUSDT") == handler.positions["aave"]["aUSDT"]


@exactly
def test_between_two_rows_the_index_goes_forward_from_the_earlier_rate_and_the_next_row_wins(recorded):
    all_venues = venues(AS_PUBLISHED)
    handler = PositionUpdateHandler({"aave": {"aUSDT": 100_000, "variableDebtWETH": 10}})
    account = TradingAccount(all_venues, MarketSource(recorded), handler)
    account.state(account.market(AT))
    settled(account, AT + timedelta(hours=12))
    supplied, owed = handler.positions["aave"]["aUSDT"], handler.positions["aave"]["variableDebtWETH"]
    years = D(12) / (365 * 24)
    assert abs(supplied - 100_000 * (1 + D("0.05") * years)) <= 2 * USDT_UNIT
    assert abs(owed - 10 * (D("0.06") * years).exp()) < D("1e-12")
    assert all_venues["aave"].accrue(handler.state, account.market(AT + timedelta(hours=12))) is handler.state
    settled(account, AT + timedelta(days=1))
    assert abs(handler.positions["aave"]["aUSDT"] - 100_000 * D("1.0371") / D(FIRST)) <= 2 * USDT_UNIT


@exactly
def test_accrued_interest_is_reported_before_an_action_and_only_once():
    all_venues, state = held(aUSDT=1_000, variableDebtUSDC=100, wallet={"USDT": 10})
    later = market(1, USDT={"liquidity_index": 1.05}, USDC={"variable_borrow_index": 1.07})
    state, settled = update_to(all_venues["aave"], state, later)
    (report,) = settled
    assert report.deltas.get("aave", "aUSDT") > 8
    assert report.deltas.get("aave", "variableDebtUSDC") > 0
    moved = run(action("aave", "supply", "USDT", 10), all_venues, state, later)
    assert abs(moved.deltas.get("aave", "aUSDT") - 10) <= USDT_UNIT
    assert update_to(all_venues["aave"], moved.state, later)[1] == ()


def test_an_index_that_steps_back_is_taken_as_it_is():
    all_venues, state = held(aUSDT=1_000)
    _, settled = update_to(all_venues["aave"], state, market(1, USDT={"liquidity_index": 1.04}))
    assert settled[0].deltas.get("aave", "aUSDT") < 0


def test_who_holds_nothing_waits_for_nothing():
    all_venues, state = held()
    venue = all_venues["aave"]
    for empty in (state, State(), State({"aave": Amounts({})})):
        assert venue.next_due(empty, NOW, 2**62) is None
        assert venue.update_to(empty, NOW) == (empty, ())
        assert venue.accrue(empty, market(5)) is empty
        assert venue.exposures(empty, NOW) == ((), ())


# Rounding by revision.


@pytest.mark.parametrize(("revision", "least", "most"), [("3.0", -1, 1), ("3.7", 0, 2)])
@exactly
def test_half_up_rounding_may_favour_either_and_directed_rounding_favours_the_pool(revision, least, most):
    all_venues, state = held({"revision": revision}, wallet={"USDT": 10_000})
    lost = set()
    for units in range(1_000_001, 1_000_040):
        moved = run(action("aave", "supply", "USDT", D(units) * USDT_UNIT), all_venues, state, NOW)
        lost.add(sum(cost.amount for cost in moved.costs) / USDT_UNIT)
    # A scaled unit is worth more than a base unit, so that flooring twice can keep two of them.
    assert least <= min(lost) < max(lost) <= most


@exactly
def test_the_base_unit_that_rounding_keeps_is_a_cost_of_interest():
    all_venues, state = held({"revision": "3.7"}, aWETH=10, wallet={"USDT": 10})
    supplied = run(action("aave", "supply", "USDT", "1.000001"), all_venues, state, NOW)
    assert supplied.costs == (Cost("supply_interest", "USDT", USDT_UNIT),)
    assert supplied.deltas == Deltas.at("aave", {"USDT": D("-1.000001"), "aUSDT": D("1")})
    borrowed = run(action("aave", "borrow", "USDC", "1.000001"), all_venues, state, NOW)
    assert {cost.source for cost in borrowed.costs} <= {"borrow_interest"}
    assert value(all_venues, state, NOW) - value(all_venues, borrowed.state, NOW) == sum(cost.amount for cost in borrowed.costs)


def test_a_revision_holds_from_its_date():
    change = AT + timedelta(days=1)
    venue = aave({"revision": [(AT - timedelta(days=9), "3.0"), (change, "3.7")]})
    assert [venue.pool.revision.at(to_instant(at)) for at in (EPOCH, AT, change)] == ["3.0", "3.0", "3.7"]
    state = State({"aave": venue.open({"aUSDT": D(5)}, NOW)})
    after, _ = venue.update_to(state, market(2))
    assert after.parts["aave"].pool.revision == "3.7"
    assert venue.exposures(after, NOW)[0][0].amount <= 5
    with pytest.raises(ComponentError, match=r"venues.onchain.aave.revision: '3.5'; allowed: \"3.0\" \| \"3.7\""):
        aave({"revision": "3.5"})


CHANGED = {
    "ltv_bps": (7500, 3000),
    "liquidation_threshold_bps": (7800, 7600),
    "liquidation_bonus_bps": (450, 600),
    "reserve_factor_bps": (1000, 2000),
    "supply_cap": (0, 500),
    "borrow_cap": (0, 700),
    "optimal_usage_bps": (9200, 8000),
    "base_rate_bps": (0, 100),
    "slope1_bps": (550, 700),
    "slope2_bps": (3500, 9000),
    "emode_category": (0, 1),
}


@pytest.mark.parametrize("name", CHANGED)
def test_what_governance_changes_holds_from_its_date(name: str) -> None:
    change = AT + timedelta(days=1)
    before, after = CHANGED[name]
    dated = aave({"reserves": {"USDT": {name: [{"from": AT, "value": before}, {"from": change, "value": after}]}}})
    of = [aave({"reserves": {"USDT": {name: value}}}) for value in (before, after)]
    state = State({"aave": dated.open({"aUSDT": D(5)}, NOW)})
    assert dated.next_due(state, NOW, to_instant(AT + timedelta(days=9))) == to_instant(change)
    for at, single in zip((market(0.5), market(1), market(0.75)), (*of, of[0]), strict=True):  # a look back is a look at what was then
        pool = dated.update_to(state, at)[0].parts["aave"].pool
        assert (pool.rules, pool.emodes) == (single.pool.rules, single.pool.emodes)
    assert of[0].pool.rules != of[1].pool.rules or of[0].pool.emodes != of[1].pool.emodes


def test_a_threshold_that_falls_liquidates_at_its_date() -> None:
    change = AT + timedelta(days=1)
    dated = [{"from": AT, "value": 7800}, {"from": change, "value": 5000}]
    all_venues, state = held(
        {"reserves": {"USDT": {"liquidation_threshold_bps": dated, "ltv_bps": 4000}}, **NO_IMPACT}, aUSDT=1000, variableDebtUSDC=600
    )
    assert [row.kind for row in all_venues["aave"].update_to(state, market(0.9))[1]] in ([], ["interest"])
    kinds = [row.kind for row in all_venues["aave"].update_to(state, market(1))[1]]
    assert "liquidation" in kinds


def test_a_loan_to_value_above_the_threshold_of_its_time_is_refused() -> None:
    rows = {"ltv_bps": [{"from": AT, "value": 4000}, {"from": AT + timedelta(days=1), "value": 7000}], "liquidation_threshold_bps": 5000}
    with pytest.raises(ComponentError, match=r"reserves.USDT.ltv_bps: 7000; allowed: at most liquidation_threshold_bps, 5000"):
        aave({"reserves": {"USDT": rows}})


# Withdrawing and repaying all.


@pytest.mark.parametrize("revision", ["3.0", "3.7"])
@pytest.mark.parametrize("amount", ["all", "1000"])
def test_withdrawing_all_leaves_nothing(revision, amount):
    all_venues, state = held({"revision": revision}, wallet={"USDT": 2000})
    state = run(action("aave", "supply", "USDT", 1000), all_venues, state, market(0)).state
    units = all_venues["aave"].exposures(state, NOW)[0][0].amount
    moved = run(action("aave", "withdraw", "USDT", amount if amount == "all" else units), all_venues, state, NOW)
    assert "aave" not in moved.state.positions()
    assert moved.state.parts["aave"].user.supplied == {}


def owed(all_venues: Any, state: State) -> D:
    return all_venues["aave"].exposures(state, NOW)[0][1].amount.copy_negate()


@pytest.mark.parametrize("revision", ["3.0", "3.7"])
@pytest.mark.parametrize("amount", ["all", "what is owed", "a base unit more"])
@exactly
def test_repaying_all_or_the_amount_that_is_owed_leaves_no_debt(revision, amount):
    all_venues, state = held({"revision": revision}, aWETH=10, variableDebtUSDT=1_000, wallet={"USDT": "1000.5"})
    debt = owed(all_venues, state)
    given = {"all": "all", "what is owed": debt, "a base unit more": debt + USDT_UNIT}[amount]
    moved = run(action("aave", "repay", "USDT", given), all_venues, state, NOW)
    assert moved.deltas == Deltas.at("aave", {"USDT": -debt, "variableDebtUSDT": -debt})
    assert moved.state.positions()["aave"].keys() == {"aWETH"}
    assert moved.details == {}


@pytest.mark.parametrize("revision", ["3.0", "3.7"])
@exactly
def test_repaying_more_than_is_owed_is_refused_with_both_amounts(revision):
    all_venues, state = held({"revision": revision}, aWETH=10, variableDebtUSDT="999.98", wallet={"USDT": 5_000})
    debt = owed(all_venues, state)
    for amount in (D(1_000), debt + 2 * USDT_UNIT):
        assert refused(action("aave", "repay", "USDT", amount), all_venues, state) == (
            f'aave repay of {plain(amount)} USDT: {plain(debt)} are owed; repay less, or write amount "all"'
        )
    steps = chain(action("aave", "repay", "USDT", 400), action("aave", "repay", "USDT", 600))
    assert "step 1 (aave repay): aave repay of 600 USDT: 599.9" in refused(steps, all_venues, state)


@given(st.integers(10, 10**13), st.integers(0, 2**40), st.sampled_from(["3.0", "3.7"]))
@exactly
def test_an_amount_that_was_borrowed_can_be_repaid_at_once(units, index, revision):
    """Half-up rounding may record a base unit less than was paid out."""
    rows = {"variable_borrow_index": D(1) + D(index) / 2**40, "total_supplied": 0}
    all_venues, at_market = venues({**FREE_GAS, "aave": {"revision": revision}}), market(USDT=rows)
    state = holding(all_venues, at_market, wallet={}, aave={"aWBTC": 10**6})
    amount = D(units) * USDT_UNIT
    moved = run(chain(action("aave", "borrow", "USDT", amount), action("aave", "repay", "USDT", amount)), all_venues, state, at_market)
    read = moved.state.positions()["aave"]
    assert read.get("variableDebtUSDT", D(0)) <= 2 * USDT_UNIT


def test_all_of_what_is_not_there_is_refused():
    all_venues, state = held(wallet={"USDT": 5})
    assert refused(action("aave", "withdraw", "USDT", "all"), all_venues, state) == "aave withdraw of all USDT: there is none"
    assert refused(action("aave", "repay", "USDT", "all"), all_venues, state) == "aave repay: no USDT is owed"
    assert refused(action("aave", "repay", "USDT", 5), all_venues, state) == "aave repay: no USDT is owed"
    bare = holding(all_venues, NOW, wallet={"USDT": 5})
    assert refused(action("aave", "withdraw", "USDT", "all"), all_venues, bare) == "aave withdraw of all USDT: there is none"
    assert refused(action("aave", "repay", "USDT", "all"), all_venues, bare) == "aave repay of all USDT: there is none"
    assert refused(action("aave", "borrow", "USDT", "all"), all_venues, bare) == (
        'aave borrow needs a number; "all" is for supply, withdraw and repay'
    )


# What is refused.


def test_borrowing_beyond_the_ltv_is_refused_with_the_numbers():
    all_venues, state = held(aWETH=1)
    assert refused(action("aave", "borrow", "USDT", "1610.01"), all_venues, state) == (
        "aave borrow of 1610.01 USDT: needs collateral of 2000.02 USD at LTV 80.50 %, there is 2000.00 USD: borrow less or supply more"
    )
    moved = run(action("aave", "borrow", "USDT", 1609), all_venues, state, NOW)
    assert moved.details == {"health_factor": "1.031697"}


def test_withdrawing_what_secures_a_debt_is_refused_with_the_health_factor():
    all_venues, state = held(aWETH=1, variableDebtUSDT=1000)
    assert refused(action("aave", "withdraw", "WETH", "0.5"), all_venues, state) == (
        "aave withdraw of 0.5 WETH: leaves health factor 0.829999, below 1 (collateral 999.99 USD, debt 1000.00 USD): "
        "repay first, or take less"
    )
    run(action("aave", "withdraw", "WETH", "0.3"), all_venues, state, NOW)


def test_more_than_was_supplied_is_refused():
    all_venues, state = held(aUSDT=10)
    assert refused(action("aave", "withdraw", "USDT", 11), all_venues, state) == (
        'aave withdraw of 11 USDT: 10 are supplied; withdraw less, or write amount "all"'
    )


def test_more_than_the_pool_has_is_refused():
    all_venues, state = held(NO_IMPACT, aWBTC=100_000, aUSDT=700_000)
    message = "the pool has 1300000 USDT in cash; take less"  # 600,000 that others have left there, and ours
    assert message in refused(action("aave", "borrow", "USDT", 1_300_001), all_venues, state)
    borrowed = run(action("aave", "borrow", "USDT", 700_000), all_venues, state, NOW).state
    message = "the pool has 599999.999999 USDT in cash; take less"  # both balances read rounded
    assert message in refused(action("aave", "withdraw", "USDT", 600_001), all_venues, borrowed)
    run(action("aave", "withdraw", "USDT", 600_000), all_venues, borrowed, NOW)


def test_what_one_step_takes_out_of_the_pool_the_next_one_misses_and_what_it_puts_in_it_finds():
    all_venues, state = held(NO_IMPACT, aWBTC=100_000, wallet={"USDT": 50_000})
    borrow = action("aave", "borrow", "USDT", 400_000)
    assert "aave borrow of 400000 USDT: the pool has 200000 USDT in cash; take less" in refused(chain(borrow, borrow), all_venues, state)
    more = action("aave", "borrow", "USDT", 200_001)
    moved = run(chain(borrow, action("aave", "supply", "USDT", 1), more), all_venues, state, NOW)
    assert moved.deltas.get("aave", "variableDebtUSDT") >= 600_000
    repaid = run(action("aave", "repay", "USDT", "all"), all_venues, moved.state, market(1)).state.parts["aave"]
    assert repaid.pool.reserves["USDT"].scaled_debt == repaid.published["USDT"].scaled_debt  # what others owe


def test_a_cap_counts_what_the_steps_before_have_supplied_and_borrowed():
    all_venues, state = held({"reserves": {"USDT": {"supply_cap": 1_000_010, "borrow_cap": 400_010}}}, aWETH=10, wallet={"USDT": 50})
    for name in ("supply", "borrow"):
        six = action("aave", name, "USDT", 6)
        run(six, all_venues, state, NOW)
        total, cap, doing = ("1000011.999999", 1_000_010, "supplied") if name == "supply" else ("400011.999999", 400_010, "borrowed")
        assert refused(chain(six, six), all_venues, state) == (
            f"step 1 (aave {name}): aave {name} of 6 USDT: the total {doing} would be {total} USDT, over the cap of {cap} USDT; {name} less"
        )


def test_more_than_the_wallet_has_is_refused():
    all_venues, state = held(aWETH=5, variableDebtUSDT=1_000, wallet={"USDT": 10})
    for name in ("supply", "repay"):
        assert refused(action("aave", name, "USDT", 11), all_venues, state) == (
            f"aave {name} needs 11 USDT, wallet holds 10; use less or move USDT there first"
        )


@pytest.mark.parametrize("name", ["supply", "withdraw", "borrow", "repay"])
@pytest.mark.parametrize("checked", [True, False])
def test_a_token_without_a_reserve_is_refused_naming_those_that_there_are(name, checked):
    all_venues, state = held(wallet={"DOGE": 5}) if checked else (venues(FREE_GAS), State(checked=False))
    assert refused(action("aave", name, "DOGE", 1), all_venues, state) == (
        f"aave has no reserve of DOGE; it has {', '.join(RESERVES)}: add it under venues.onchain.aave.reserves"
    )


@pytest.mark.parametrize(
    ("token", "way_out"), [("ETH", "WETH (ETH is wrapped first: wallet wrap)"), ("weth", "WETH"), ("WSTETH", "wstETH"), ("usdt", "USDT")]
)
def test_a_token_that_is_only_written_otherwise_is_named_as_it_is_written(token, way_out):
    all_venues, state = held(wallet={token: 5})
    assert refused(action("aave", "supply", token, 1), all_venues, state) == f"aave has no reserve of {token}; write {way_out}"


def test_the_slopes_and_what_they_leave_out_are_assumptions_only_where_they_count():
    listed = aave(NO_IMPACT).assumptions
    assert [len(listed), *(len(aave(own).assumptions) for own in ({}, {"rate_impact": True}))] == [1, 2, 2]
    assert aave({"rate_impact": True}).assumptions[1] == (
        "The slopes of aave are those of 2025-05-31 where the settings give no others; other borrowers and suppliers do not react to us."
    )


def test_a_reserve_without_data_is_an_error_that_names_it():
    data = DictSnapshot(AT, {"market_data": {"prices": {"USDT": 1.0}}})
    with pytest.raises(MissingData, match="no lending data of aave for USDT"):
        run(action("aave", "supply", "USDT", 1), ALL, holding(ALL, NOW, wallet={"USDT": 5}), data)


def test_a_price_is_needed_only_of_positions_and_of_what_moved():
    all_venues, state = held(aWETH=5, wallet={"USDT": 5})
    state = run(action("aave", "supply", "USDT", 5), all_venues, state, NOW).state
    state = run(action("aave", "withdraw", "USDT", "all"), all_venues, state, NOW).state
    only = DictSnapshot(AT, {"market_data": {"prices": {"ETH": 2000.0}}, "protocol_data": {"aave": {"WETH": lending_row(2000.0)}}})
    run(action("aave", "borrow", "WETH", 1), all_venues, state, only)


# E-mode.


def test_emode_lets_more_be_borrowed_of_its_own_tokens():
    all_venues, state = held(awstETH=10)  # 24,000 USD
    block = action("aave", "borrow", "WETH", 11)
    assert "LTV 78.50 %" in refused(block, all_venues, state)
    moved = run(chain(action("aave", "set_emode", category=1), block), all_venues, state, NOW)
    assert moved.state.parts["aave"].user.emode == 1
    assert refused(action("aave", "set_emode", category=0), all_venues, moved.state) == (
        "aave set_emode: leaves health factor 0.883636, below 1 (collateral 24000.00 USD, debt 22000.00 USD): repay first, or take less"
    )
    assert refused(action("aave", "borrow", "USDT", 1), all_venues, moved.state) == (
        "aave borrow of 1 USDT: USDT cannot be borrowed in e-mode category 1, only WETH, weETH, wstETH: "
        "take one of these or leave the category"
    )
    alone = run(action("aave", "set_emode", category=1), all_venues, State(), NOW)
    assert alone.state.parts["aave"].user.emode == 1


def test_an_unknown_category_is_refused():
    assert refused(action("aave", "set_emode", category=7), *held()) == "aave set_emode: there is no e-mode category 7, only 1"


def test_the_category_of_a_token_is_a_setting():
    venue = aave({"reserves": {"WBTC": {"emode_category": 1}, "weETH": {"emode_category": 0}, "rETH": {}}})
    category = venue.pool.emodes[1]
    assert category.collateral == category.borrowable == {"WETH", "wstETH", "WBTC"}
    with pytest.raises(ComponentError, match=r"CFG-001: venues.onchain.aave.reserves.WBTC.emode_category: 3; allowed: 0 \| 1"):
        aave({"reserves": {"WBTC": {"emode_category": 3}}})


def test_a_reserve_takes_its_parameters_from_the_config_and_the_rest_from_the_public_ones():
    all_venues, state = held({"reserves": {"WETH": {"ltv_bps": D(5000)}, "GHO": {"ltv_bps": 0, "decimals": 18}}}, aWETH=1)
    assert "LTV 50.00 %" in refused(action("aave", "borrow", "USDT", 1001), all_venues, state)
    assert all_venues["aave"].pool.rules["WETH"].liquidation_threshold_bps == RESERVES["WETH"].liquidation_threshold_bps.at()


def test_an_initial_position_is_collateral_as_a_first_supply_makes_it_one():
    """A token with an LTV of 0 is none: it secures no debt, and it does not keep other collateral from being withdrawn."""
    all_venues, state = held({"reserves": {"USDT": {"ltv_bps": 0}}}, aWETH=2, aUSDT=50_000)
    assert state.parts["aave"].user.collateral == {"WETH"}
    assert "there is 4000.00 USD" in refused(action("aave", "borrow", "USDC", 4_001), all_venues, state)
    owing = run(action("aave", "borrow", "USDC", 100), all_venues, state, market()).state
    run(action("aave", "withdraw", "WETH", 1), all_venues, owing, market())


def test_the_lines_say_what_a_reserve_allows_and_charges():
    lines = aave({}).lines()
    assert lines[0].startswith("as of 2025-05-31, in bps; ltv / ")
    assert "wstETH  7850 / 8100 / 600 / 500; 8000 / 0 / 160 / 8500" in lines
    assert "rate_impact" in lines[-1]


# Where nothing is known to be held.


@pytest.mark.parametrize(
    ("name", "deltas"),
    [
        ("supply", {"USDT": -1000, "aUSDT": 1000}), ("withdraw", {"USDT": 1000, "aUSDT": -1000}),
        ("borrow", {"USDT": 1000, "variableDebtUSDT": 1000}), ("repay", {"USDT": -1000, "variableDebtUSDT": -1000}),
    ],
)  # fmt: skip
def test_without_positions_the_deltas_need_no_index(name, deltas):
    bare = DictSnapshot(AT, {"market_data": {"prices": {"USDT": 1.0}}})
    moved = run(action("aave", name, "USDT", 1000), ALL, State(checked=False), bare)
    assert moved.deltas.as_floats() == {"aave": deltas}
    assert run(action("aave", "set_emode", category=1), ALL, State(checked=False), bare).deltas == Deltas()


# Reading.


def test_health_is_none_without_a_debt():
    all_venues, state = held(aWETH=1, wallet={"USDT": 1})
    venue = all_venues["aave"]
    assert venue.health_factor(state, NOW) is None
    _, owing = held(aWETH=1, variableDebtUSDT=830)
    assert venue.health_factor(owing, NOW) == 2
    repaid = run(action("aave", "repay", "USDT", 1), *held(aWETH=1, variableDebtUSDT=831, wallet={"USDT": 1}), NOW)
    assert repaid.details == {"health_factor": "2"}


def test_totals_that_are_not_known_do_not_limit():
    unknown = market(WETH={"total_supplied": 0, "total_borrowed": 0})
    all_venues, _ = held()
    state = holding(all_venues, unknown, aave={"aWBTC": 100}, wallet={})
    assert run(action("aave", "borrow", "WETH", 1_500), all_venues, state, unknown).deltas.get("aave", "WETH") == 1_500


# Flash loans.


@exactly
def test_a_flash_loan_of_more_than_the_pool_has_is_refused():
    all_venues, state = held(aWBTC=100_000)
    fee = all_venues["aave"].flash_fee
    assert fee("USDT", D(600_000), state, NOW) == fee("USDT", D(600_000)) == 300
    with pytest.raises(VenueRejected) as caught:
        fee("USDT", D("600000.000001"), state, NOW)
    assert caught.value.message == "aave flash_loan of 600000.000001 USDT: the pool has 600000 USDT in cash; take less"
    borrowed = run(action("aave", "borrow", "USDT", 100_000), all_venues, state, NOW).state
    assert fee("USDT", D(500_000), borrowed, NOW) == 250
    with pytest.raises(VenueRejected, match="the pool has 500000 USDT in cash; take less"):
        fee("USDT", D(500_001), borrowed, NOW)


@pytest.mark.parametrize("impact", [False, True])
def test_what_is_out_in_a_flash_loan_is_neither_borrowed_nor_withdrawn_and_back_after_it(impact):
    all_venues, state = held({"rate_impact": impact}, aWBTC=100_000, wallet={"USDT": 1_000_300})
    cash = 600_000 * 10**6
    assert all_venues["aave"].pool.part(state, NOW, "USDT").pool.reserves["USDT"].available == cash

    def loan(*steps: dict[str, Any]) -> dict[str, Any]:
        return action("aave", "flash_loan", "USDT", 600_000, sub_instructions=list(steps))

    message = refused(loan(action("aave", "borrow", "USDT", 1)), all_venues, state)
    assert message == "step 0 (aave borrow): aave borrow of 1 USDT: the pool has 0 USDT in cash; take less"
    supply = action("aave", "supply", "USDT", 100_000)
    message = refused(loan(supply, loan(supply)), all_venues, state)
    assert message.endswith("aave flash_loan of 600000 USDT: the pool has 100000 USDT in cash; take less")
    done = run(loan(supply, action("aave", "withdraw", "USDT", 40_000), action("aave", "borrow", "USDT", 60_000)), all_venues, state, NOW)
    left = done.state.parts["aave"].pool.reserves["USDT"].available
    assert abs(left - cash - 300 * 10**6) <= 2  # the premium stays there
    run(chain(loan(supply), action("aave", "borrow", "USDT", 700_300)), all_venues, state, NOW)


@exactly
def test_a_flash_loan_has_no_ceiling_where_the_totals_or_the_holdings_are_not_known():
    all_venues, state = held()
    fee = all_venues["aave"].flash_fee
    assert fee("USDT", D(10**9), state, market(USDT={"total_supplied": 0})) == 500_000
    bare = DictSnapshot(AT, {"market_data": {"prices": {"USDT": 1.0}}})
    assert fee("USDT", D(10**9), State(checked=False), bare) == 500_000
    with pytest.raises(VenueRejected, match="aave has no reserve of DOGE"):
        fee("DOGE", D(1), state, NOW)


@exactly
def test_the_fee_is_that_of_the_revision_and_without_a_time_the_dearest():
    change = AT + timedelta(days=1)
    venue = aave({"revision": [(AT - timedelta(days=9), "3.0"), (change, "3.7")]})
    small = D("0.000999")  # 5 bps of it are less than half a base unit
    assert [venue.flash_fee("USDT", small, State(), at) for at in (NOW, market(1))] == [0, USDT_UNIT]
    assert venue.flash_fee("USDT", small) == USDT_UNIT


# Liquidation.


@exactly
def test_an_account_below_its_threshold_is_liquidated_when_a_row_shows_it():
    all_venues, state = held(NO_IMPACT, aWETH=10, variableDebtUSDT="15500")
    fallen = market(1 / 1440, WETH={"oracle_price_usd": 1850.0})
    liquidated, (settled,) = update_to(all_venues["aave"], state, fallen)
    read = liquidated.positions()["aave"]
    assert settled.kind == "liquidation"
    assert settled.details == {"health_factor": "0.990645", "collateral": "WETH", "debt": "USDT"}
    # The close factor lets half of the debt be repaid; the liquidator takes its worth and 5 % on top.
    assert abs(read["variableDebtUSDT"] - 7_750) <= USDT_UNIT
    assert abs(10 - read["aWETH"] - D(7_750) * D("1.05") / 1_850) < D("1e-8")
    assert settled.deltas == Deltas.at("aave", {"aWETH": read["aWETH"] - 10, "variableDebtUSDT": read["variableDebtUSDT"] - 15_500})
    assert [(cost.source, cost.token) for cost in settled.costs] == [("liquidation", "WETH"), ("liquidation", "USDT")]
    assert value(all_venues, liquidated, fallen) - value(all_venues, state, fallen) == -costs_usd(settled.costs, fallen)
    assert update_to(all_venues["aave"], liquidated, fallen)[1] == ()


@exactly
def test_an_account_far_below_loses_all_that_the_debt_can_take():
    all_venues, state = held(NO_IMPACT, aWETH=10, variableDebtUSDT="15500")
    ruined = market(1 / 1440, WETH={"oracle_price_usd": 1000.0})
    liquidated, settled = update_to(all_venues["aave"], state, ruined)
    assert "aWETH" not in liquidated.positions()["aave"]
    assert liquidated.positions()["aave"]["variableDebtUSDT"] > 5_900
    assert {row.kind for row in settled} == {"liquidation"}


@exactly
def test_a_healthy_account_is_left_alone():
    all_venues, state = held(NO_IMPACT, aWETH=10, variableDebtUSDT="15500")
    assert update_to(all_venues["aave"], state, market(1 / 1440))[1] == ()
