"""Morpho Blue's integer model by itself: what is moved, what is refused, how the rate adapts; tests/conformance has the contracts."""

from __future__ import annotations

from math import exp, expm1

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from basis_strategy_v1.venues import morpho_market
from basis_strategy_v1.venues.morpho_market import Market, Position
from basis_strategy_v1.venues.morpho_rate import (
    INITIAL_RATE_AT_TARGET_WAD,
    MAX_RATE_AT_TARGET_WAD,
    MIN_RATE_AT_TARGET_WAD,
    WAD,
    YEAR_S,
    adapted_rate,
    exp_wad,
    quo,
    taylor_compounded,
)
from basis_strategy_v1.venues.reverted import Reverted

NOW_S = 1_700_000_000
LLTV_WAD = 86 * 10**16
COLLATERAL, LOAN = 10**18, 10**6
PRICE = 2_000 * 10**36 * LOAN // COLLATERAL
EMPTY = Market(lltv_wad=LLTV_WAD, last_update_s=NOW_S)


def lent(assets: int = 100_000 * LOAN) -> tuple[Market, Position]:
    """A market with one lender."""
    moved = morpho_market.supply(EMPTY, Position(), NOW_S, assets=assets)
    return moved.market, moved.position


def borrowed(assets: int = 10_000 * LOAN) -> tuple[Market, Position]:
    """A market with lent money, and a borrower with 10 units of collateral."""
    market, position, _, _ = morpho_market.supply_collateral(lent()[0], Position(), 10 * COLLATERAL)
    moved = morpho_market.borrow(market, position, NOW_S, PRICE, assets=assets)
    return moved.market, moved.position


# --- what is moved ----------------------------------------------------------------------------------------------------------------


def test_the_first_lender_gets_a_million_shares_for_each_base_unit() -> None:
    market, position = lent(5)
    assert (market.total_supply_assets, position) == (5, Position(supply_shares=5 * 10**6))


def test_a_year_of_borrowing_pays_the_lender_what_the_borrower_owes_more() -> None:
    market, position = borrowed()
    later = morpho_market.accrue(market, NOW_S + YEAR_S)
    interest = morpho_market.debt_of(later, position) - 10_000 * LOAN
    gained = later.total_supply_assets - market.total_supply_assets
    assert gained == later.total_borrow_assets - market.total_borrow_assets > 0
    assert 0 <= interest - gained <= 1


def test_repaying_by_shares_clears_the_debt_and_frees_the_collateral() -> None:
    market, position = borrowed()
    later_s = NOW_S + 86_400
    market, position, paid, _ = morpho_market.repay(market, position, later_s, shares=position.borrow_shares)
    market, position, back, _ = morpho_market.withdraw_collateral(market, position, later_s, PRICE, 10 * COLLATERAL)
    assert (position, back, market.total_borrow_shares) == (Position(), 10 * COLLATERAL, 0)
    assert paid > 10_000 * LOAN


def test_the_fee_makes_shares_for_its_recipient_and_takes_nothing_from_the_borrower() -> None:
    market, position = borrowed()
    plain = morpho_market.accrue(market, NOW_S + YEAR_S)
    charged = morpho_market.accrue(replace(market, fee_wad=WAD // 10), NOW_S + YEAR_S)
    recipient = Position(supply_shares=charged.fee_shares)
    assert morpho_market.debt_of(charged, position) == morpho_market.debt_of(plain, position)
    interest = plain.total_borrow_assets - market.total_borrow_assets
    assert abs(morpho_market.supplied_of(charged, recipient) - interest // 10) <= 1


steps = st.tuples(st.sampled_from(["supply", "withdraw", "repay", "borrow"]), st.integers(1, 10**12), st.integers(0, 10**7))


@given(played=st.lists(steps, min_size=1, max_size=25))
def test_nobody_takes_out_more_than_was_put_in_and_earned(played: list[tuple[str, int, int]]) -> None:
    market, position = EMPTY, Position(collateral=10**9 * COLLATERAL)
    now_s, held = NOW_S, 0
    for kind, amount, pause_s in played:
        now_s += pause_s
        prices = (PRICE,) if kind == "borrow" else ()
        try:
            market, position, moved, _ = getattr(morpho_market, kind)(market, position, now_s, *prices, assets=amount)
        except Reverted:
            continue
        held += moved if kind in ("supply", "repay") else -moved
        assert held == market.total_supply_assets - market.total_borrow_assets
        assert morpho_market.supplied_of(market, position) <= market.total_supply_assets


# --- health and liquidation -------------------------------------------------------------------------------------------------------


def test_borrowing_goes_to_the_lltv_and_not_a_unit_further() -> None:
    market, position, _, _ = morpho_market.supply_collateral(lent()[0], Position(), 10 * COLLATERAL)
    most = 17_200 * LOAN
    with pytest.raises(Reverted, match="leaves a debt of 17200000001 where the collateral carries 17200000000"):
        morpho_market.borrow(market, position, NOW_S, PRICE, assets=most + 1)
    done = morpho_market.borrow(market, position, NOW_S, PRICE, assets=most)
    assert morpho_market.health_factor_wad(done.market, done.position, PRICE) == WAD


def test_without_debt_health_is_beyond_measure() -> None:
    assert morpho_market.health_factor_wad(EMPTY, Position(collateral=1), PRICE) == 2**256 - 1


def test_a_liquidator_gets_the_incentive_of_the_lltv() -> None:
    market, position = borrowed(17_000 * LOAN)
    price = PRICE * 98 // 100
    done = morpho_market.liquidate(market, position, NOW_S, price, shares=position.borrow_shares // 2)
    value = done.seized * price // 10**36
    assert (done.repaid, done.bad_debt) == (8_500 * LOAN, 0)
    assert abs(value - done.repaid * morpho_market.liquidation_incentive_wad(LLTV_WAD) // WAD) <= 2


def test_debt_without_collateral_is_written_off_the_lenders_money() -> None:
    market, position = borrowed(17_000 * LOAN)
    done = morpho_market.liquidate(market, position, NOW_S, PRICE // 2, seized=10 * COLLATERAL)
    assert (done.position, done.market.total_borrow_assets) == (Position(), 0)
    assert done.repaid + done.bad_debt == 17_000 * LOAN
    assert done.market.total_supply_assets == market.total_supply_assets - done.bad_debt


def test_rounding_up_cannot_take_the_borrowed_total_below_nothing() -> None:
    """The last debt is worth a unit more than the total where shares are cheap: the total stops at 0."""
    market = replace(lent()[0], total_borrow_assets=10, total_borrow_shares=10**9)
    debtor = Position(borrow_shares=10**9)
    done = morpho_market.repay(market, debtor, NOW_S, shares=10**9)
    assert (done.assets, done.market.total_borrow_assets) == (11, 0)
    ruined = replace(debtor, collateral=1)
    written_off = morpho_market.liquidate(market, ruined, NOW_S, 1, seized=1)
    assert (written_off.market.total_borrow_assets, written_off.position) == (0, Position())


# --- what is refused --------------------------------------------------------------------------------------------------------------


def test_what_others_borrowed_cannot_be_withdrawn() -> None:
    market, lender = lent()
    loan = morpho_market.supply_collateral(market, Position(), 100 * COLLATERAL).position
    market = morpho_market.borrow(market, loan, NOW_S, PRICE, assets=60_000 * LOAN).market
    with pytest.raises(Reverted, match="the market is short of 1 in cash; take less"):
        morpho_market.withdraw(market, lender, NOW_S, assets=40_000 * LOAN + 1)


REFUSALS = {
    "neither assets nor shares": (lambda m, p: morpho_market.supply(m, p, NOW_S), "got 0 and 0"),
    "both": (lambda m, p: morpho_market.repay(m, p, NOW_S, assets=1, shares=1), "got 1 and 1"),
    "a negative amount": (lambda m, p: morpho_market.withdraw(m, p, NOW_S, assets=-1), "got -1 and 0"),
    "no collateral": (lambda m, p: morpho_market.supply_collateral(m, p, 0), "must be more than 0 base units, got 0"),
    "more than supplied": (lambda m, p: morpho_market.withdraw(m, p, NOW_S, assets=1), "^nothing is supplied$"),
    "more than owed": (
        lambda m, p: morpho_market.repay(m, p, NOW_S, assets=10_001 * LOAN),
        '^10000000000 are owed; repay less, or write amount "all"$',
    ),
    "more collateral than there is": (
        lambda m, p: morpho_market.withdraw_collateral(m, p, NOW_S, PRICE, 11 * COLLATERAL),
        "^10000000000000000000 are there; withdraw less$",
    ),
    "more than owed where nothing is": (lambda m, p: morpho_market.repay(m, Position(), NOW_S, assets=1), "^nothing is owed$"),
    "collateral where there is none": (
        lambda m, p: morpho_market.withdraw_collateral(m, Position(), NOW_S, PRICE, 1),
        "^no collateral is there$",
    ),
    "the collateral of a debt": (
        lambda m, p: morpho_market.withdraw_collateral(m, p, NOW_S, PRICE, 6 * COLLATERAL),
        "leaves a debt of 10000000000 where the collateral carries 6880000000",
    ),
    "liquidating the healthy": (lambda m, p: morpho_market.liquidate(m, p, NOW_S, PRICE, shares=1), r"the health factor is 1\.72"),
    "a price of nothing": (lambda m, p: morpho_market.liquidate(m, p, NOW_S, 0, shares=1), "price must be more than 0"),
    "seizing more than there is": (
        lambda m, p: morpho_market.liquidate(m, p, NOW_S, PRICE // 2, seized=11 * COLLATERAL),
        "the position has 10000000000000000 and 10000000000000000000: take less",
    ),
    "a flash loan of more than is there": (lambda m, p: morpho_market.flash_loan(11, 10), "morpho holds 10; take less"),
    "an earlier time": (lambda m, p: morpho_market.accrue(m, NOW_S - 1), "time runs forward only"),
    "more than 128 bits": (lambda m, p: morpho_market.supply(m, p, NOW_S, assets=2**128), "more than 128 bits hold"),
}


@pytest.mark.parametrize(("act", "message"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_says_why(act: object, message: str) -> None:
    market, position = borrowed()
    with pytest.raises(Reverted, match=message):
        act(market, position)  # type: ignore[operator]


# --- the rate ---------------------------------------------------------------------------------------------------------------------


def rate_at(usage_percent: int) -> int:
    return adapted_rate(100, usage_percent, INITIAL_RATE_AT_TARGET_WAD, 0)[0]


def test_the_curve_goes_from_a_quarter_of_the_target_rate_to_four_times_it() -> None:
    target = INITIAL_RATE_AT_TARGET_WAD
    assert (rate_at(0), rate_at(90), rate_at(100)) == (target // 4, target, 4 * target)


def test_a_new_market_starts_at_the_initial_rate() -> None:
    assert adapted_rate(0, 0, 0, 1)[1] == INITIAL_RATE_AT_TARGET_WAD


@pytest.mark.parametrize(("usage_percent", "direction"), [(100, 1), (90, 0), (0, -1)])
def test_the_target_rate_moves_by_fifty_a_year_at_the_ends(usage_percent: int, direction: int) -> None:
    five_days_s = 5 * 86_400
    moved = adapted_rate(100, usage_percent, INITIAL_RATE_AT_TARGET_WAD, five_days_s)[1]
    assert moved / INITIAL_RATE_AT_TARGET_WAD == pytest.approx(exp(50 * direction * five_days_s / YEAR_S), rel=0.01)


def test_the_target_rate_stays_within_its_bounds() -> None:
    after_years = [adapted_rate(100, usage, INITIAL_RATE_AT_TARGET_WAD, 9 * YEAR_S)[1] for usage in (0, 100)]
    assert after_years == [MIN_RATE_AT_TARGET_WAD, MAX_RATE_AT_TARGET_WAD]


@given(x=st.integers(-41 * WAD, 90 * WAD))
def test_the_curves_exponential_is_good_to_a_percent(x: int) -> None:
    assert exp_wad(x) / WAD == pytest.approx(exp(x / WAD), rel=0.01, abs=1e-17)


def test_the_exponential_is_clipped_at_both_ends() -> None:
    assert (exp_wad(-42 * WAD), exp_wad(94 * WAD)) == (0, exp_wad(200 * WAD))


@given(a=st.integers(-(10**40), 10**40), b=st.integers(-(10**20), 10**20).filter(bool))
def test_division_truncates_toward_zero(a: int, b: int) -> None:
    quotient = quo(a, b)
    rest = a - quotient * b
    assert abs(rest) < abs(b)
    assert rest == 0 or (rest > 0) == (a > 0)


@given(rate=st.integers(0, WAD // YEAR_S), elapsed_s=st.integers(0, YEAR_S))
def test_interest_is_the_exponential_less_its_fourth_term(rate: int, elapsed_s: int) -> None:
    x = rate * elapsed_s / WAD
    missing = expm1(x) - taylor_compounded(rate, elapsed_s) / WAD
    assert -1e-15 <= missing <= x**4 / 18 + 1e-15
