"""Aave v3's integer model by itself: what is moved, what is refused and with which numbers. The bytecode's word is in tests/conformance."""

from __future__ import annotations

from copy import deepcopy

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from basis_strategy_v1.venues import aave_pool
from basis_strategy_v1.venues.aave_account import (
    AccountData,
    DirectedAccountData,
    EMode,
    Pool,
    UserAccount,
    account_data,
    balance_of,
    debt_of,
)
from basis_strategy_v1.venues.aave_interest import RAY, WAD, YEAR_S, compounded_interest, rounding_of
from basis_strategy_v1.venues.aave_pool import ALL
from basis_strategy_v1.venues.aave_reserve import UNKNOWN_CASH, Reserve, ReserveRules, accrue
from basis_strategy_v1.venues.reverted import Reverted

REVISIONS = ("3.0", "3.7")
NOW_S = 1_700_000_000
WETH, USDT = 10**18, 10**6
PRICES = {"WETH": 2_000 * 10**8, "USDT": 10**8, "wstETH": 2_300 * 10**8}

each_revision = pytest.mark.parametrize("revision", REVISIONS)


def rules(**changes: object) -> ReserveRules:
    """A reserve with an LTV of 80 %, a threshold of 85 %, and the kink at 80 % usage: 4 % a year there, 84 % at full usage."""
    plain: dict[str, object] = {
        "decimals": 18,
        "ltv_bps": 8_000,
        "liquidation_threshold_bps": 8_500,
        "liquidation_bonus_bps": 500,
        "reserve_factor_bps": 1_000,
        "optimal_usage_ray": RAY * 8 // 10,
        "base_rate_ray": 0,
        "slope1_ray": RAY * 4 // 100,
        "slope2_ray": RAY * 80 // 100,
    }
    return ReserveRules(**{**plain, **changes})  # type: ignore[arg-type]


def market(revision: str, **changes: dict[str, object]) -> Pool:
    """WETH, wstETH and USDT with deep liquidity that others supplied; `changes` are rules by token."""
    terms = {name: rules(decimals=6 if name == "USDT" else 18, **changes.get(name, {})) for name in ("WETH", "wstETH", "USDT")}
    reserves = {
        name: Reserve(last_update_s=NOW_S, scaled_supply=10**9 * rule.unit, available=10**9 * rule.unit) for name, rule in terms.items()
    }
    alike = frozenset({"WETH", "wstETH"})
    mode = EMode(ltv_bps=9_300, liquidation_threshold_bps=9_500, liquidation_bonus_bps=100, collateral=alike, borrowable=alike)
    return Pool(revision=revision, rules=terms, reserves=reserves, emodes={1: mode})


def borrower(pool: Pool, weth: int = 10 * WETH, usdt: int = 10_000 * USDT) -> tuple[Pool, UserAccount]:
    """A user with `weth` supplied and `usdt` borrowed."""
    pool, user, _ = aave_pool.supply(pool, UserAccount(), "WETH", weth, NOW_S)
    pool, user, _ = aave_pool.borrow(pool, user, "USDT", usdt, NOW_S, PRICES)
    return pool, user


# --- what is moved ----------------------------------------------------------------------------------------------------------------


@each_revision
def test_a_first_supply_becomes_collateral_and_withdrawing_all_ends_it(revision: str) -> None:
    pool, user, _ = aave_pool.supply(market(revision), UserAccount(), "WETH", 3 * WETH, NOW_S)
    assert user == UserAccount({"WETH": 3 * WETH}, {}, frozenset({"WETH"}))
    done = aave_pool.withdraw(pool, user, "WETH", ALL, NOW_S, PRICES)
    assert (done.user, done.amount, done.pool) == (UserAccount(), 3 * WETH, market(revision))


@each_revision
def test_repaying_more_than_is_owed_takes_what_is_owed(revision: str) -> None:
    pool, user = borrower(market(revision))
    later_s = NOW_S + 86_400
    owed = debt_of(user, pool, "USDT", later_s)
    done = aave_pool.repay(pool, user, "USDT", owed + 10**9, later_s)
    assert (done.amount, done.user.borrowed) == (owed, {})
    assert owed > 10_000 * USDT


@each_revision
@given(amount=st.integers(2, 10**24), index=st.integers(RAY, 3 * RAY))
def test_what_is_put_in_comes_out_within_a_unit_and_never_more_where_rounding_is_directed(revision: str, amount: int, index: int) -> None:
    pool = market(revision)
    pool = pool.with_reserve("WETH", replace(pool.reserves["WETH"], liquidity_index_ray=index, variable_borrow_index_ray=index))
    if rounding_of(revision).supply_scaled(amount, index) == 0:
        return
    pool, user, _ = aave_pool.supply(pool, UserAccount(), "WETH", amount, NOW_S)
    back = balance_of(user, pool, "WETH", NOW_S)
    assert -(index // RAY + 1) <= back - amount <= (0 if revision == "3.7" else index // RAY + 1)


moves = st.tuples(st.sampled_from(["supply", "withdraw", "borrow", "repay"]), st.integers(1, 10**13), st.integers(0, 10**7))


@given(played=st.lists(moves, min_size=1, max_size=25))
def test_by_the_rules_of_3_7_the_reserve_can_always_pay_what_it_promises(played: list[tuple[str, int, int]]) -> None:
    pool = market("3.7").with_reserve("USDT", Reserve(last_update_s=NOW_S))
    pool, user, _ = aave_pool.supply(pool, UserAccount(), "WETH", 10**6 * WETH, NOW_S)
    now_s = NOW_S
    for kind, amount, pause_s in played:
        now_s += pause_s
        prices = (PRICES,) if kind in ("withdraw", "borrow") else ()
        try:
            pool, user, _ = getattr(aave_pool, kind)(pool, user, "USDT", amount, now_s, *prices)
        except Reverted:
            continue
        reserve = accrue(pool.reserves["USDT"], pool.rules["USDT"], now_s, pool.rounding)
        promised = (reserve.scaled_supply + reserve.accrued_to_treasury) * reserve.liquidity_index_ray // RAY
        there = reserve.available + debt_of(user, pool, "USDT", now_s)
        # The index itself is rounded half up: half a ray on each unit of scaled supply is all that can be missing.
        assert promised <= there + 1 + reserve.scaled_supply * len(played) // RAY


@each_revision
def test_a_flash_loan_leaves_its_premium_in_the_pool(revision: str) -> None:
    pool = market(revision)
    out, premium = aave_pool.take_flash_loan(pool, "WETH", 1_001 * 10**17, NOW_S)
    after = aave_pool.return_flash_loan(out, "WETH", 1_001 * 10**17, premium, NOW_S).reserves["WETH"]
    assert premium == 1_001 * 10**17 * 5 // 10_000
    assert after.available - pool.reserves["WETH"].available == premium
    suppliers, treasury = after.liquidity_index_ray > RAY, after.accrued_to_treasury
    assert (suppliers, treasury) == ((True, 0) if revision == "3.0" else (False, premium))


@each_revision
def test_an_observed_reserve_grows_by_the_published_rates_and_an_action_leaves_them(revision: str) -> None:
    published = {"liquidity_rate_ray": RAY // 50, "variable_borrow_rate_ray": RAY // 20}
    reserve = Reserve(last_update_s=NOW_S, available=UNKNOWN_CASH, observed=True, **published)
    pool = market(revision).with_reserve("USDT", reserve)
    after = aave_pool.supply(pool, UserAccount(), "USDT", 5 * USDT, NOW_S + YEAR_S).pool.reserves["USDT"]
    growth = compounded_interest(RAY // 20, YEAR_S, revision)
    assert (after.liquidity_index_ray, after.variable_borrow_index_ray) == (RAY + RAY // 50, growth)
    assert (after.liquidity_rate_ray, after.variable_borrow_rate_ray) == tuple(published.values())


def test_time_does_not_run_backwards() -> None:
    pool = market("3.0")
    with pytest.raises(Reverted, match="time runs forward only"):
        accrue(pool.reserves["WETH"], pool.rules["WETH"], NOW_S - 1, pool.rounding)


# --- health -----------------------------------------------------------------------------------------------------------------------


@each_revision
def test_account_data_weighs_collateral_by_value(revision: str) -> None:
    pool, user = borrower(market(revision))
    data = account_data(user, pool, PRICES, NOW_S)
    assert data == (20_000 * 10**8, 10_000 * 10**8, 8_000, 8_500, 17 * WAD // 10, False)
    assert data.available_borrows_base == 6_000 * 10**8


@each_revision
def test_an_account_without_debt_is_healthy_beyond_measure(revision: str) -> None:
    assert account_data(UserAccount(), market(revision), {}, NOW_S).health_factor_wad == 2**256 - 1


@each_revision
def test_e_mode_raises_what_may_be_borrowed_and_ends_only_where_health_allows(revision: str) -> None:
    pool, user, _ = aave_pool.supply(market(revision), UserAccount(), "wstETH", 10 * WETH, NOW_S)
    with pytest.raises(Reverted, match="needs collateral of"):
        aave_pool.borrow(pool, user, "WETH", 95 * WETH // 10, NOW_S, PRICES)
    user = aave_pool.set_emode(pool, user, 1, NOW_S, PRICES)
    pool, user, _ = aave_pool.borrow(pool, user, "WETH", 10 * WETH, NOW_S, PRICES)
    with pytest.raises(Reverted, match=r"leaves health factor 0\.977500, below 1"):
        aave_pool.set_emode(pool, user, 0, NOW_S, PRICES)


# --- what is refused --------------------------------------------------------------------------------------------------------------


@each_revision
def test_borrowing_goes_to_the_ltv_and_not_a_unit_further(revision: str) -> None:
    pool, user, _ = aave_pool.supply(market(revision), UserAccount(), "WETH", 10 * WETH, NOW_S)
    with pytest.raises(Reverted, match=r"needs collateral of 20000\.01 USD at LTV 80\.00 %, there is 20000\.00 USD: borrow less"):
        aave_pool.borrow(pool, user, "USDT", 16_000 * USDT + 1, NOW_S, PRICES)
    assert aave_pool.borrow(pool, user, "USDT", 16_000 * USDT, NOW_S, PRICES).amount == 16_000 * USDT


@each_revision
def test_what_secures_a_debt_cannot_be_withdrawn(revision: str) -> None:
    pool, user = borrower(market(revision))
    with pytest.raises(Reverted, match=r"leaves health factor 0\.850000, below 1"):
        aave_pool.withdraw(pool, user, "WETH", 5 * WETH, NOW_S, PRICES)


REFUSALS = {
    "a zero amount": ("supply", "WETH", 0, {}, "the amount of WETH must be more than 0, got 0"),
    "an unknown token": ("supply", "DAI", 1, {}, "no reserve for DAI, only for USDT, WETH, wstETH"),
    "more than the supply cap": ("supply", "WETH", 2 * WETH, {"supply_cap": 10**9 + 1}, "over the cap of 1000000001 WETH"),
    "a frozen reserve": ("supply", "WETH", WETH, {"frozen": True}, "WETH is frozen"),
    "a paused reserve": ("withdraw", "WETH", WETH, {"paused": True}, "reserve is paused"),
    "an inactive reserve": ("repay", "WETH", WETH, {"active": False}, "reserve is not active"),
    "more than is supplied": ("withdraw", "WETH", 11 * WETH, {}, '^10 are supplied; withdraw less, or write amount "all"$'),
    "what is not supplied": ("withdraw", "wstETH", WETH, {}, "^no wstETH is supplied$"),
    "repaying what is not owed": ("repay", "WETH", WETH, {}, "no WETH is owed"),
    "what may not be borrowed": ("borrow", "WETH", WETH, {"borrowable": False}, "WETH cannot be borrowed"),
    "borrowing what is frozen": ("borrow", "WETH", WETH, {"frozen": True}, "WETH is frozen"),
    "more than the borrow cap": ("borrow", "WETH", 2 * WETH, {"borrow_cap": 1}, "over the cap of 1 WETH"),
}


@each_revision
@pytest.mark.parametrize(("action", "token", "amount", "terms", "message"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_says_why_and_changes_nothing(
    revision: str, action: str, token: str, amount: int, terms: dict[str, object], message: str
) -> None:
    pool, user = borrower(market(revision))
    pool = replace(pool, rules={**pool.rules, "WETH": rules(**terms)})
    before = deepcopy((pool, user))
    prices = (PRICES,) if action in ("withdraw", "borrow") else ()
    with pytest.raises(Reverted, match=message):
        getattr(aave_pool, action)(pool, user, token, amount, NOW_S + 60, *prices)
    assert (pool, user) == before


@each_revision
def test_more_than_the_cash_can_neither_be_borrowed_nor_flash_borrowed(revision: str) -> None:
    pool, user = borrower(market(revision), weth=10**6 * WETH, usdt=USDT)
    pool = pool.with_reserve("USDT", replace(pool.reserves["USDT"], available=50))
    with pytest.raises(Reverted, match=r"the pool has 0\.00005 USDT in cash; take less"):
        aave_pool.borrow(pool, user, "USDT", 51, NOW_S, PRICES)
    with pytest.raises(Reverted, match=r"the pool has 0\.00005 USDT in cash; take less"):
        aave_pool.take_flash_loan(pool, "USDT", 51, NOW_S)


@each_revision
def test_less_than_one_scaled_unit_is_refused(revision: str) -> None:
    pool = market(revision)
    pool = pool.with_reserve("USDT", replace(pool.reserves["USDT"], liquidity_index_ray=3 * RAY))
    with pytest.raises(Reverted, match="less than one scaled unit"):
        aave_pool.supply(pool, UserAccount(), "USDT", 1, NOW_S)


@each_revision
def test_a_missing_price_is_named(revision: str) -> None:
    pool, user = borrower(market(revision))
    with pytest.raises(Reverted, match="no price for USDT: prices are given for WETH"):
        account_data(user, pool, {"WETH": 1}, NOW_S)


def isolated_user() -> tuple[Pool, UserAccount]:
    pool = market("3.0", WETH={"debt_ceiling_cents": 5_000_00}, USDT={"borrowable_in_isolation": True})
    pool, user, _ = aave_pool.supply(pool, UserAccount(), "WETH", 10 * WETH, NOW_S)
    assert user.collateral == frozenset()
    return pool, aave_pool.set_collateral(pool, user, "WETH", True, NOW_S, PRICES)


def test_an_isolated_collateral_carries_only_its_ceiling_and_only_some_tokens() -> None:
    pool, user = isolated_user()
    with pytest.raises(Reverted, match=r"all debt against WETH would be 5000\.01 USD, over the ceiling of 5000\.00 USD; borrow less"):
        aave_pool.borrow(pool, user, "USDT", 5_000 * USDT + 10_000, NOW_S, PRICES)
    with pytest.raises(Reverted, match="wstETH cannot be borrowed against WETH, which is in isolation mode"):
        aave_pool.borrow(pool, user, "wstETH", WETH, NOW_S, PRICES)


def test_repaying_frees_the_ceiling_of_an_isolated_collateral() -> None:
    pool, user = isolated_user()
    pool, user, _ = aave_pool.borrow(pool, user, "USDT", 4_000 * USDT, NOW_S, PRICES)
    taken = pool.reserves["WETH"].isolation_debt_cents
    pool, user, _ = aave_pool.repay(pool, user, "USDT", ALL, NOW_S + 86_400)
    assert (taken, pool.reserves["WETH"].isolation_debt_cents) == (4_000_00, 0)


def test_a_siloed_token_is_borrowed_alone() -> None:
    pool, user = borrower(market("3.0", wstETH={"siloed": True}), usdt=USDT)
    with pytest.raises(Reverted, match="wstETH is siloed and USDT is owed already"):
        aave_pool.borrow(pool, user, "wstETH", WETH, NOW_S, PRICES)


def test_an_isolated_category_of_3_7_lets_no_other_collateral_in() -> None:
    pool = market("3.7")
    pool = replace(pool, emodes={1: replace(pool.emodes[1], isolated=True)})
    pool, user, _ = aave_pool.supply(pool, UserAccount(), "USDT", 100 * USDT, NOW_S)
    with pytest.raises(Reverted, match="USDT is collateral and would have an LTV of 0 in category 1"):
        aave_pool.set_emode(pool, user, 1, NOW_S, PRICES)


def test_in_3_0_a_category_does_not_open_a_reserve_that_lends_nothing() -> None:
    pool, user = borrower(market("3.0", wstETH={"borrowable": False}), usdt=USDT)
    with pytest.raises(Reverted, match=r"^wstETH cannot be borrowed$"):
        aave_pool.borrow(pool, replace(user, emode=1), "wstETH", WETH, NOW_S, PRICES)


@each_revision
def test_a_category_that_is_not_there_is_refused(revision: str) -> None:
    with pytest.raises(Reverted, match="no e-mode category 7, only 1"):
        aave_pool.set_emode(market(revision), UserAccount(), 7, NOW_S, PRICES)


# --- borders ----------------------------------------------------------------------------------------------------------------------


@each_revision
def test_caps_may_be_reached_exactly(revision: str) -> None:
    pool, user = borrower(market(revision))
    supplied = 10**9 + 10
    pool = replace(pool, rules={**pool.rules, "WETH": rules(supply_cap=supplied + 1, borrow_cap=1)})
    assert aave_pool.supply(pool, user, "WETH", WETH, NOW_S).amount == WETH
    assert aave_pool.borrow(pool, user, "WETH", WETH, NOW_S, PRICES).amount == WETH


def test_at_a_health_of_exactly_1_nothing_more_is_lent_by_3_0() -> None:
    pool, user = borrower(market("3.0", WETH={"ltv_bps": 8_500}), usdt=17_000 * USDT)
    with pytest.raises(Reverted, match=r"the health factor is 1\.000000, it must be above 1"):
        aave_pool.borrow(pool, user, "USDT", 1, NOW_S, PRICES)


@each_revision
def test_what_is_no_collateral_can_be_withdrawn_even_from_an_unhealthy_position(revision: str) -> None:
    pool, user = borrower(market(revision, wstETH={"ltv_bps": 0}))
    pool, user, _ = aave_pool.supply(pool, user, "wstETH", WETH, NOW_S)
    crashed = {**PRICES, "WETH": 10**8}
    assert aave_pool.withdraw(pool, user, "wstETH", WETH, NOW_S, crashed).amount == WETH


@each_revision
def test_a_collateral_that_lost_its_ltv_is_withdrawn_first(revision: str) -> None:
    pool, user = borrower(market(revision), usdt=USDT)
    pool, user, _ = aave_pool.supply(pool, user, "wstETH", WETH, NOW_S)
    pool = replace(pool, rules={**pool.rules, "wstETH": rules(ltv_bps=0)})
    with pytest.raises(Reverted, match="a collateral with an LTV of 0 has to be withdrawn before WETH"):
        aave_pool.withdraw(pool, user, "WETH", WETH, NOW_S, PRICES)
    assert aave_pool.withdraw(pool, user, "wstETH", ALL, NOW_S, PRICES).amount == WETH


def test_in_isolation_mode_no_other_supply_becomes_collateral() -> None:
    pool, user = isolated_user()
    user = aave_pool.supply(pool, user, "wstETH", WETH, NOW_S).user
    assert user.collateral == frozenset({"WETH"})


@each_revision
def test_what_128_bits_do_not_hold_is_refused(revision: str) -> None:
    pool = market(revision)
    with pytest.raises(Reverted, match="scaled units, more than 128 bits hold"):
        aave_pool.supply(pool, UserAccount(), "WETH", 2**129, NOW_S)
    stuck = pool.with_reserve("WETH", replace(pool.reserves["WETH"], liquidity_index_ray=2**128 - 1, liquidity_rate_ray=RAY))
    with pytest.raises(Reverted, match="the reserve is stuck"):
        aave_pool.supply(stuck, UserAccount(), "WETH", WETH, NOW_S + 60)


def test_3_7_lends_no_more_than_is_supplied_whatever_premium_is_in_its_cash() -> None:
    for revision in REVISIONS:
        pool, user = borrower(market(revision), weth=10**6 * WETH, usdt=USDT)
        pool = pool.with_reserve("USDT", replace(pool.reserves["USDT"], scaled_supply=1_000 * USDT, scaled_debt=0, available=1_001 * USDT))
        if revision == "3.0":
            assert aave_pool.borrow(pool, user, "USDT", 1_001 * USDT, NOW_S, PRICES).amount == 1_001 * USDT
            assert aave_pool.take_flash_loan(pool, "USDT", 1_001 * USDT, NOW_S)[0].reserves["USDT"].available == 0
            continue
        for call in (
            lambda amount, pool=pool, user=user: aave_pool.borrow(pool, user, "USDT", amount, NOW_S, PRICES),
            lambda amount, pool=pool: aave_pool.take_flash_loan(pool, "USDT", amount, NOW_S),
        ):
            call(1_000 * USDT)
            with pytest.raises(Reverted, match="the pool lends no more than is supplied, 1000 USDT; take less"):
                call(1_001 * USDT)


def test_what_can_still_be_borrowed_is_rounded_down_in_3_7_and_half_up_in_3_0() -> None:
    assert [data(1, 0, 8_050, 8_300, 0, False).available_borrows_base for data in (AccountData, DirectedAccountData)] == [1, 0]
    for revision in REVISIONS:
        pool, user = borrower(market(revision), weth=WETH, usdt=USDT)
        assert isinstance(account_data(user, pool, PRICES, NOW_S), DirectedAccountData) == (revision == "3.7")
