"""A figure with each of its values changed."""

from __future__ import annotations

from basis_strategy_v1.core.figure import Figure


def test_each_value_is_changed_by_name_and_by_date_and_none_stays_none() -> None:
    figure = Figure(1, {"ETH": Figure(2, since=((5, 3),))}, ((7, 4),))
    assert figure.map(str) == Figure("1", {"ETH": Figure("2", since=((5, "3"),))}, ((7, "4"),))
    assert Figure(None, {"ETH": Figure(2)}).map(str) == Figure(None, {"ETH": Figure("2")})
