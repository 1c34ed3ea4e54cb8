"""How interest grows and which rates follow from usage, by pool revision, against recorded values of a live market."""

from __future__ import annotations

import csv
from fractions import Fraction
from math import exp
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.core.tokens import decimals_of
from basis_strategy_v1.venues.aave_interest import RAY, YEAR_S, UnknownRevision, compounded_interest, linear_interest, rounding_of
from basis_strategy_v1.venues.aave_reserve import ReserveRules, rates_at
from basis_strategy_v1.venues.aave_settings import AS_OF, Settings

REVISIONS = ("3.0", "3.7")
SHARED = Path(__file__).parents[2] / ".." / "shared" / "data"
VECTORS = SHARED / "vectors" / "aave_v3_polygon_USDC_2023-08-14.minute.csv"
LENDING = SHARED / "market" / "lending" / "aave_v3"
CURVE = ReserveRules(
    decimals=18,
    ltv_bps=0,
    liquidation_threshold_bps=0,
    liquidation_bonus_bps=0,
    reserve_factor_bps=1_000,
    optimal_usage_ray=RAY * 8 // 10,
    base_rate_ray=0,
    slope1_ray=RAY * 4 // 100,
    slope2_ray=RAY * 80 // 100,
)

each_revision = pytest.mark.parametrize("revision", REVISIONS)


def _ray(text: str) -> int:
    return int(Fraction(text) * RAY)


def _lone_update_s(before: dict[str, str], after: dict[str, str], gap_s: int) -> int | None:
    """The seconds that explain a step of both indices by one update at the rates before it, if a whole number of them does."""
    rate, index, new = _ray(before["liquidity_rate"]), _ray(before["liquidity_index"]), _ray(after["liquidity_index"])
    guess_s = round((Fraction(new, index) - 1) * YEAR_S * RAY / rate)
    factor = compounded_interest(_ray(before["variable_borrow_rate"]), guess_s, "3.0")
    borrow_index = (factor * _ray(before["variable_borrow_index"]) + RAY // 2) // RAY
    exact = (linear_interest(rate, guess_s) * index + RAY // 2) // RAY == new and borrow_index == _ray(after["variable_borrow_index"])
    return guess_s if exact and 0 < guess_s <= gap_s else None


def test_recorded_minutes_with_one_update_come_out_to_the_last_digit() -> None:
    """The rule: a whole number of seconds, no longer than since the last change, gives both indices. More updates give none."""
    if not VECTORS.exists():
        pytest.skip("../shared/data/vectors is not next to the repository")
    with VECTORS.open() as file:
        rows = list(csv.DictReader(file))
    changed = [minute for minute in range(1, len(rows)) if rows[minute]["liquidity_index"] != rows[minute - 1]["liquidity_index"]]
    gaps_s = [60 * (minute - before + 1) for before, minute in zip([-1, *changed], changed, strict=False)]
    explained = [_lone_update_s(rows[minute - 1], rows[minute], gap_s) for minute, gap_s in zip(changed, gaps_s, strict=True)]
    assert (len(changed), sum(span is not None for span in explained)) == (683, 427)


@given(rate=st.integers(0, RAY), elapsed_s=st.integers(0, YEAR_S))
def test_compounded_interest_lies_between_the_simple_one_and_the_exponential(rate: int, elapsed_s: int) -> None:
    ceiling = exp(rate * elapsed_s / YEAR_S / RAY) * (1 + 1e-12)
    for revision in REVISIONS:
        grown = compounded_interest(rate, elapsed_s, revision)
        assert linear_interest(rate, elapsed_s) <= grown
        assert grown / RAY <= ceiling


def test_the_two_revisions_compound_differently() -> None:
    five_percent = RAY // 20
    assert compounded_interest(five_percent, 30 * 86_400, "3.0") != compounded_interest(five_percent, 30 * 86_400, "3.7")


def test_an_unknown_revision_is_refused_by_name() -> None:
    with pytest.raises(UnknownRevision, match=r"revision '3\.4' is not known, only 3\.0, 3\.7"):
        compounded_interest(RAY, 1, "3.4")


@each_revision
def test_rates_follow_the_first_slope_to_the_kink_and_the_second_one_behind_it(revision: str) -> None:
    usage = {debt: rates_at(CURVE, debt, 100 - debt, rounding_of(revision))[1] for debt in (0, 40, 80, 90, 100)}
    percent = RAY // 100
    assert usage == {0: 0, 40: 2 * percent, 80: 4 * percent, 90: 44 * percent, 100: 84 * percent}


@each_revision
def test_suppliers_get_the_borrowers_interest_less_the_reserve_factor(revision: str) -> None:
    liquidity_rate, borrow_rate = rates_at(CURVE, 80, 20, rounding_of(revision))
    assert liquidity_rate == borrow_rate * 8 // 10 * 9 // 10


@pytest.mark.parametrize("token", ["WETH", "wstETH", "weETH", "USDT"])
def test_the_public_parameters_give_the_rates_of_the_last_recorded_day(token: str) -> None:
    series = LENDING / f"{token}.csv"
    if not series.exists():
        pytest.skip("../shared/data/market is not next to the repository")
    with series.open() as file:
        row = next(row for row in csv.DictReader(file) if row["timestamp"].startswith(AS_OF))
    unit = 10 ** decimals_of(token)
    supplied, borrowed = (int(Fraction(row[name]) * unit) for name in ("total_supplied", "total_borrowed"))
    found = rates_at(Settings().governed()[0].rules[token], borrowed, supplied - borrowed, rounding_of("3.0"))
    for rate, name in zip(found, ("liquidity_rate", "variable_borrow_rate"), strict=True):
        # The cash is not in the row: what the treasury has not taken out yet makes it a little more than supply less debt.
        assert rate == pytest.approx(_ray(row[name]), rel=2e-4)
