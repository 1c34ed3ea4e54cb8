"""What every venue's state can do that needs nothing more."""

from __future__ import annotations

from basis_strategy_v1.core.state import VenueState, Wallet


def test_a_state_of_no_kind_of_its_own_has_no_positions_and_is_not_read_whole():
    state = VenueState()
    assert (state.positions(), state.is_whole) == ({}, False)


def test_a_wallet_keeps_its_units_where_it_is_read_and_is_empty_without_them():
    held = Wallet({"USDT": 5})
    assert held.with_reading(Wallet({"USDT": 7})) is held
    assert held.without_holdings() == Wallet()
