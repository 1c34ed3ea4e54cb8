"""A figure that a venue may change: by date, by name, or neither."""

from __future__ import annotations

from basis_strategy_v1.core.figure import Figure

MARCH, JUNE = 1_000, 2_000


def test_a_constant_holds_at_any_time_and_for_any_name() -> None:
    assert [Figure(5).at(), Figure(5).at(MARCH), Figure(5).at(MARCH, "ETHUSDT")] == [5, 5, 5]


def test_a_dated_figure_changes_at_its_dates_and_its_value_holds_before() -> None:
    figure = Figure("3.0", since=((MARCH, "3.1"), (JUNE, "3.7")))
    assert [figure.at(instant) for instant in (0, MARCH - 1, MARCH, JUNE - 1, JUNE)] == ["3.0", "3.0", "3.1", "3.1", "3.7"]


def test_the_first_name_that_has_a_figure_of_its_own_counts_by_its_own_dates() -> None:
    figure = Figure(1, {"ETH": Figure(2, since=((JUNE, 3),)), "ETHUSDT": Figure(4)})
    assert [figure.at(JUNE, *names) for names in (("ETHUSDT", "ETH"), ("ETHUSDC", "ETH"), ("BTCUSDT", "BTC"), ())] == [4, 3, 1, 1]
    assert figure.at(MARCH, "ETH") == 2


def test_a_figure_of_ones_own_goes_over_the_public_one_by_name_or_for_all() -> None:
    public = Figure(1, {"ETH": Figure(2), "BTC": Figure(3)}, ((MARCH, 9),))
    assert Figure(7).over(public) == Figure(7)
    own = Figure(None, {"ETH": Figure(5)})
    assert own.over(public) == Figure(1, {"ETH": Figure(5), "BTC": Figure(3)}, ((MARCH, 9),))
