"""Aave v3 liquidations: who may be liquidated, how much of the debt goes, what the liquidator and the protocol get."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from basis_strategy_v1.venues.aave_account import EMode, Pool, UserAccount, account_data, balance_of, debt_of
from basis_strategy_v1.venues.aave_interest import RAY, WAD
from basis_strategy_v1.venues.aave_liquidation import liquidation_call
from basis_strategy_v1.venues.aave_pool import ALL
from basis_strategy_v1.venues.aave_reserve import Reserve, ReserveRules
from basis_strategy_v1.venues.reverted import Reverted

NOW_S = 1_700_000_000
WETH, USDT = 10**18, 10**6
REVISIONS = ("3.0", "3.7")

each_revision = pytest.mark.parametrize("revision", REVISIONS)


def rules(decimals: int, fee_bps: int = 0) -> ReserveRules:
    return ReserveRules(
        decimals=decimals,
        ltv_bps=8_000,
        liquidation_threshold_bps=8_500,
        liquidation_bonus_bps=500,
        reserve_factor_bps=1_000,
        optimal_usage_ray=RAY * 8 // 10,
        base_rate_ray=0,
        slope1_ray=RAY * 4 // 100,
        slope2_ray=RAY * 80 // 100,
        liquidation_protocol_fee_bps=fee_bps,
    )


def position(revision: str, fee_bps: int = 0, weth: int = 10 * WETH, usdt: int = 16_000 * USDT) -> tuple[Pool, UserAccount]:
    """A market with one user who has WETH as collateral and owes USDT."""
    reserves = {
        "WETH": Reserve(last_update_s=NOW_S, scaled_supply=weth, available=weth),
        "USDT": Reserve(last_update_s=NOW_S, scaled_supply=2 * usdt, scaled_debt=usdt, available=usdt),
    }
    pool = Pool(revision=revision, rules={"WETH": rules(18, fee_bps), "USDT": rules(6)}, reserves=reserves)
    return pool, UserAccount({"WETH": weth}, {"USDT": usdt}, frozenset({"WETH"}))


def prices(weth_usd: int) -> dict[str, int]:
    return {"WETH": weth_usd * 10**8, "USDT": 10**8}


@each_revision
def test_above_a_health_of_0_95_half_the_debt_may_be_covered(revision: str) -> None:
    pool, user = position(revision)
    done = liquidation_call(pool, user, "WETH", "USDT", ALL, NOW_S, prices(1_800))
    assert done.debt_repaid == 8_000 * USDT
    assert done.collateral_paid == 8_000 * WETH * 105 // 100 // 1_800
    assert (balance_of(done.user, done.pool, "WETH", NOW_S), debt_of(done.user, done.pool, "USDT", NOW_S)) == (
        10 * WETH - done.collateral_paid,
        8_000 * USDT,
    )


@each_revision
def test_at_a_health_of_0_95_or_less_all_of_it_may_be_covered(revision: str) -> None:
    pool, user = position(revision)
    assert account_data(user, pool, prices(1_780), NOW_S).health_factor_wad <= 95 * WAD // 100
    done = liquidation_call(pool, user, "WETH", "USDT", ALL, NOW_S, prices(1_780))
    assert (done.debt_repaid, done.user.borrowed) == (16_000 * USDT, {})


@each_revision
def test_at_a_health_of_exactly_1_nobody_is_liquidated(revision: str) -> None:
    pool, user = position(revision, usdt=17_000 * USDT)
    assert account_data(user, pool, prices(2_000), NOW_S).health_factor_wad == WAD
    with pytest.raises(Reverted, match=r"the health factor is 1\.000000, it must be below 1"):
        liquidation_call(pool, user, "WETH", "USDT", ALL, NOW_S, prices(2_000))


@each_revision
def test_at_a_health_of_exactly_0_95_all_of_the_debt_may_be_covered(revision: str) -> None:
    pool, user = position(revision, usdt=17_000 * USDT)
    assert account_data(user, pool, prices(1_900), NOW_S).health_factor_wad == 95 * WAD // 100
    assert liquidation_call(pool, user, "WETH", "USDT", ALL, NOW_S, prices(1_900)).debt_repaid == 17_000 * USDT


@each_revision
def test_the_protocol_keeps_its_part_of_the_bonus_only(revision: str) -> None:
    pool, user = position(revision, fee_bps=1_000)
    whole = liquidation_call(*position(revision), "WETH", "USDT", ALL, NOW_S, prices(1_800)).collateral_paid
    done = liquidation_call(pool, user, "WETH", "USDT", ALL, NOW_S, prices(1_800))
    assert done.collateral_paid + done.protocol_fee == whole
    assert abs(done.protocol_fee - (whole - whole * 100 // 105) // 10) <= 1


@each_revision
def test_where_the_collateral_does_not_reach_less_debt_is_repaid(revision: str) -> None:
    pool, user = position(revision)
    done = liquidation_call(pool, user, "WETH", "USDT", ALL, NOW_S, prices(1_050))
    assert (done.collateral_paid, done.debt_repaid) == (10 * WETH, 10_000 * USDT)
    assert (done.user.supplied, done.user.collateral) == ({}, frozenset())


def test_debt_without_collateral_stays_in_3_0_and_becomes_the_reserves_deficit_in_3_7() -> None:
    left = {}
    for revision in REVISIONS:
        done = liquidation_call(*position(revision), "WETH", "USDT", ALL, NOW_S, prices(1_050))
        left[revision] = (done.user.borrowed.get("USDT", 0), done.pool.reserves["USDT"].deficit)
    assert left == {"3.0": (6_000 * USDT, 0), "3.7": (0, 6_000 * USDT)}


def test_3_7_closes_small_positions_whole() -> None:
    pool, user = position("3.7", weth=WETH, usdt=1_600 * USDT)
    assert liquidation_call(pool, user, "WETH", "USDT", ALL, NOW_S, prices(1_800)).debt_repaid == 1_600 * USDT


def test_3_7_leaves_no_dust() -> None:
    pool, user = position("3.7", weth=WETH, usdt=1_600 * USDT)
    with pytest.raises(Reverted, match=r"leave at least 1000\.00 USD of both, or clear one of them"):
        liquidation_call(pool, user, "WETH", "USDT", 1_000 * USDT, NOW_S, prices(1_800))


@each_revision
def test_a_healthy_user_cannot_be_liquidated(revision: str) -> None:
    pool, user = position(revision)
    with pytest.raises(Reverted, match=r"the health factor is 1\.062500, it must be below 1"):
        liquidation_call(pool, user, "WETH", "USDT", ALL, NOW_S, prices(2_000))


@each_revision
def test_only_what_is_collateral_and_what_is_owed_can_be_named(revision: str) -> None:
    pool, user = position(revision)
    with pytest.raises(Reverted, match="USDT is not the user's collateral"):
        liquidation_call(pool, user, "USDT", "USDT", ALL, NOW_S, prices(1_800))
    with pytest.raises(Reverted, match="no WETH is owed"):
        liquidation_call(pool, user, "WETH", "WETH", ALL, NOW_S, prices(1_800))


@each_revision
def test_a_collateral_that_is_lent_out_cannot_be_paid(revision: str) -> None:
    pool, user = position(revision)
    pool = pool.with_reserve("WETH", replace(pool.reserves["WETH"], available=WETH))
    with pytest.raises(Reverted, match="the pool has 1 WETH in cash"):
        liquidation_call(pool, user, "WETH", "USDT", ALL, NOW_S, prices(1_800))


@each_revision
@given(index_ray=st.integers(RAY, 3 * RAY), weth=st.integers(10**18, 10**22), fee_bps=st.integers(1, 5_000))
def test_taking_all_the_collateral_leaves_no_negative_balance(revision: str, index_ray: int, weth: int, fee_bps: int) -> None:
    pool, user = position(revision, fee_bps, weth=weth, usdt=weth // 10**12 * 2_000)
    pool = pool.with_reserve("WETH", replace(pool.reserves["WETH"], liquidity_index_ray=index_ray, available=10 * weth))
    done = liquidation_call(pool, user, "WETH", "USDT", ALL, NOW_S, prices(100))
    assert min(done.user.supplied.values(), default=0) >= 0
    assert done.user.supplied.get("WETH", 0) <= 1
    assert done.user.collateral == frozenset()


def test_in_e_mode_the_categorys_price_counts_for_the_debt() -> None:
    pool, user = position("3.0")
    dollars = frozenset({"USDT"})
    mode = EMode(
        ltv_bps=8_800,
        liquidation_threshold_bps=9_000,
        liquidation_bonus_bps=100,
        collateral=dollars,
        borrowable=dollars,
        price_source="dollar",
    )
    pool, user = replace(pool, emodes={1: mode}), replace(user, emode=1)
    done = liquidation_call(pool, user, "WETH", "USDT", 1_000 * USDT, NOW_S, {**prices(2_000), "dollar": 2 * 10**8})
    assert done.collateral_paid == WETH * 105 // 100


def test_a_liquidation_frees_the_ceiling_of_an_isolated_collateral() -> None:
    pool, user = position("3.0")
    isolated = replace(pool.rules["WETH"], debt_ceiling_cents=10**9)
    pool = replace(pool, rules={**pool.rules, "WETH": isolated})
    pool = pool.with_reserve("WETH", replace(pool.reserves["WETH"], isolation_debt_cents=16_000_00))
    done = liquidation_call(pool, user, "WETH", "USDT", 5_000 * USDT, NOW_S, prices(1_800))
    assert done.pool.reserves["WETH"].isolation_debt_cents == 11_000_00


def lent_out(revision: str, cash: int) -> tuple[Pool, UserAccount]:
    """100 WETH supplied and 90 owed by one user, at a threshold of 83 %, with so much cash."""
    terms = replace(rules(18), ltv_bps=8_050, liquidation_threshold_bps=8_300)
    reserve = Reserve(last_update_s=NOW_S, scaled_supply=100 * WETH, scaled_debt=90 * WETH, available=cash)
    pool = Pool(revision=revision, rules={"WETH": terms}, reserves={"WETH": reserve})
    return pool, UserAccount({"WETH": 100 * WETH}, {"WETH": 90 * WETH}, frozenset({"WETH"}))


@each_revision
def test_collateral_in_the_token_that_is_owed_is_paid_out_before_the_repayment_arrives(revision: str) -> None:
    pool, user = lent_out(revision, cash=10 * WETH)
    with pytest.raises(Reverted, match="the pool has 10 WETH in cash"):
        liquidation_call(pool, user, "WETH", "WETH", ALL, NOW_S, prices(2_000))
    pool, user = lent_out(revision, cash=100 * WETH)  # given to the pool beforehand
    done = liquidation_call(pool, user, "WETH", "WETH", ALL, NOW_S, prices(2_000))
    assert (done.collateral_paid, done.debt_repaid) == (945 * WETH // 10, 90 * WETH)
    assert done.pool.reserves["WETH"].available == (100 + 90) * WETH - 945 * WETH // 10
