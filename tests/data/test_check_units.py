"""A whole series in another unit."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.data.check_table import Issue, issues_of
from basis_strategy_v1.data.columns import Columns

from .columns_of import FUNDING, STAKING, columns_of

HOURS = st.sampled_from([1, 4, 8])


def units(columns: Columns) -> list[Issue]:
    return [issue for issue in issues_of(columns, in_run=True) if issue.kind == "unit"]


def usual_rates(seed: int, payments: int, hours: int, usual: float = 0.11) -> list[float]:
    """Funding of about `usual` a year, as it is: mostly the base rate, at times several times as much, at times below 0."""
    random = Random(seed)
    base = usual * hours / 8760
    return [base * random.choice([1, 1, 1, 0.7, 2, 4, -0.5]) for _ in range(payments)]


@given(st.integers(0, 999), HOURS, st.integers(1, 400), st.sampled_from([0.02, 0.11, 0.6]))
def test_usual_funding_is_in_its_unit(seed: int, hours: int, payments: int, usual: float) -> None:
    rates = usual_rates(seed, payments, hours, usual)
    assert units(columns_of(FUNDING, range(0, hours * payments, hours), funding_rate=rates)) == []


@given(st.integers(0, 999), HOURS, st.sampled_from([100.0, 10_000.0, 1e8, -100.0]), st.integers(12, 60))
def test_funding_in_another_unit_is_an_error_from_ten_days_on(seed: int, hours: int, factor: float, days: int) -> None:
    payments = days * 24 // hours
    rates = [rate * factor for rate in usual_rates(seed, payments, hours)]
    [issue] = units(columns_of(FUNDING, range(0, hours * payments, hours), funding_rate=rates))
    assert (issue.severity, issue.row < 21) == ("error", True)
    assert "a year, which no market has had for long; rates are fractions of a payment: 0.0001 is 0.01 %" in issue.message


@given(st.integers(0, 999), HOURS)
def test_funding_that_changes_its_unit_in_the_middle_is_a_warning_with_the_first_place(seed: int, hours: int) -> None:
    rates = usual_rates(seed, 420, hours)
    rates = [*rates[:273], *(rate * 100 for rate in rates[273:])]
    [issue] = units(columns_of(FUNDING, range(0, 420 * hours, hours), funding_rate=rates))
    assert (issue.severity, issue.rows) == ("warning", 147)
    assert 273 <= issue.row < 294


def test_a_week_of_stress_is_no_error() -> None:
    rates = [0.0001] * 60 + [-0.02] * 21 + [0.0001] * 60
    assert [issue.severity for issue in units(columns_of(FUNDING, range(0, 141 * 8, 8), funding_rate=rates))] in ([], ["warning"])
    assert units(columns_of(FUNDING, range(0, 24, 8), funding_rate=[0.02] * 3)) == []
    assert units(columns_of(FUNDING, range(0, 800, 8), funding_rate=[0.0001] * 95 + [0.02] * 5)) == []


def lending(seed: int, days: int, *, liquidity: float = 1, borrow: float = 1, since: int = 0) -> Columns:
    """A market whose indices grow by its rates, up to a twentieth; its rate columns by factors from the day `since` on."""
    random = Random(seed)
    rates = [random.uniform(0.0, 0.15) for _ in range(days)]
    indices = [1.05]
    for rate in rates[:-1]:
        indices.append(indices[-1] * (1 + rate * random.uniform(0.95, 1.05) / 365))
    factors = [(liquidity, borrow) if day >= since else (1, 1) for day in range(days)]
    return columns_of(
        "lending/aave_v3/USDT", range(0, 24 * days, 24),
        liquidity_rate=[rate * factor for rate, (factor, _) in zip(rates, factors, strict=True)], liquidity_index=indices,
        variable_borrow_rate=[rate * factor for rate, (_, factor) in zip(rates, factors, strict=True)], variable_borrow_index=indices,
    )  # fmt: skip


@given(st.integers(0, 999), st.integers(1, 100))
def test_rates_that_their_indices_grow_by_are_in_their_unit(seed: int, days: int) -> None:
    assert units(lending(seed, days)) == []


@pytest.mark.parametrize(("name", "other"), [("liquidity", "borrow"), ("borrow", "liquidity")])
@given(seed=st.integers(0, 999), factor=st.sampled_from([100.0, 1e4, 1e27]), days=st.integers(12, 60))
def test_a_rate_in_another_unit_contradicts_its_index(name: str, other: str, seed: int, factor: float, days: int) -> None:
    column = {"liquidity": "liquidity_rate", "borrow": "variable_borrow_rate"}[name]
    issues = units(lending(seed, days, **{name: factor, other: 1}))
    assert [issue.message.split(":")[0] for issue in issues] == [f"column {column}"]
    assert issues[0].severity == "error"
    assert "a year where " in issues[0].message and issues[0].message.endswith("rates are fractions a year: 0.02 is 2 %")


def test_a_rate_that_changes_its_unit_late_is_a_warning_with_the_first_place() -> None:
    [issue] = units(lending(5, 100, liquidity=100, since=80))
    assert (issue.severity, issue.row) == ("warning", 80)
    assert "in 19 of 99 rows from 2024-03-21T00:00:00Z on" in issue.message


@given(st.floats(0.3, 0.89), st.integers(0, 8))
def test_a_share_that_redeems_for_less_than_it_was_made_for_is_turned_over(rate: float, since: int) -> None:
    [issue] = units(columns_of(STAKING, range(0, 240, 24), eth_per_token=[1 / rate] * since + [rate] * (10 - since)))
    assert (issue.row, issue.rows, issue.severity) == (since, 10 - since, "error" if since <= 5 else "warning")
    assert f"the rate may be turned over (1 / {rate:.10g} is {1 / rate:.6g})" in issue.message


def test_a_share_of_another_kind_may_be_worth_less() -> None:
    assert units(columns_of("staking/lido/other", [0, 24], eth_per_token=[0.5, 0.5])) == []
