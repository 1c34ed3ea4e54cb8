"""A state as positions: each part renders its own units, zeros left out."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.core.state import RATE_UNIT, Amounts, ExchangeAccount, Perp, State, Transfer, Transit, VenueState, Wallet
from basis_strategy_v1.core.tokens import REBASING, to_amount

ONE = Decimal(1)


@pytest.mark.parametrize(
    ("part", "positions"),
    [
        (ExchangeAccount(), {}),
        (ExchangeAccount({"USDT": Decimal("10.5"), "ETH": Decimal(0)}), {"USDT": Decimal("10.5")}),
        (
            ExchangeAccount({}, {"ETHUSDT": Perp(Decimal(-2), Decimal(-6600)), "BTCUSDT": Perp(Decimal(0), Decimal(0))}),
            {"ETHUSDT-PERP": Decimal(-2)},
        ),
        (Wallet(), {}),
        (Wallet({"USDT": 1_500_000, "ETH": 0, "WETH": 10**17}), {"USDT": Decimal("1.5"), "WETH": Decimal("0.1")}),
        (Wallet({"stETH": 10**18, "wstETH": 10**18}, {"stETH": 12 * 10**17, "wstETH": 9}), {"stETH": Decimal("1.2"), "wstETH": ONE}),
        (Wallet({"eETH": 1}, {"eETH": RATE_UNIT - 1}), {}),
        (Transit(), {}),
        (Amounts({"aUSDT": ONE, "USDT": Decimal(0)}), {"aUSDT": ONE}),
    ],
)
def test_a_part_renders_what_it_holds(part: VenueState, positions: dict[str, Decimal]) -> None:
    assert part.positions() == positions


@pytest.mark.parametrize("token", REBASING)
@given(shares=st.integers(0, 10**30), rate=st.integers(RATE_UNIT, 2 * RATE_UNIT))
def test_a_rebasing_balance_is_its_shares_at_the_rate_rounded_down(token: str, shares: int, rate: int) -> None:
    wallet = Wallet({token: shares}, {token: rate})
    assert 0 <= shares * rate - wallet.units_of(token) * RATE_UNIT < RATE_UNIT
    assert wallet.positions() == ({token: to_amount(token, wallet.units_of(token))} if wallet.units_of(token) else {})
    assert Wallet({token: shares}).units_of(token) == shares


@given(st.dictionaries(st.sampled_from("ABC"), st.integers(-5, 5)), st.dictionaries(st.sampled_from("ABC"), st.integers(-5, 5)))
def test_moving_there_and_back_leaves_what_was_without_zeros(held: dict[str, int], change: dict[str, int]) -> None:
    back = {token: -amount for token, amount in change.items()}
    wallet, kept = Wallet(held, {"A": 1}), {token: units for token, units in held.items() if units}
    account = ExchangeAccount({token: Decimal(amount) for token, amount in held.items()}, {"ETHUSDT": Perp(ONE, ONE)})
    there = wallet.moved(change), account.moved({token: Decimal(amount) for token, amount in change.items()})
    assert all(there[0].units.get(token) != 0 and there[1].balances.get(token) != 0 for token in change)
    assert {token: units for token, units in there[0].moved(back).units.items() if units} == kept
    returned = there[1].moved({token: Decimal(amount) for token, amount in back.items()})
    assert {token: amount for token, amount in returned.balances.items() if amount} == kept
    assert (there[0].share_rates, returned.perps) == ({"A": 1}, {"ETHUSDT": Perp(ONE, ONE)})
    assert (wallet.units, account.balances) == (held, held)


def test_what_is_in_transit_is_ordered_by_arrival_and_added_up() -> None:
    late, early = Transfer(20, "b", "wallet", "ETH", ONE), Transfer(10, "a", "bybit", "ETH", Decimal("0.5"))
    usdt = Transfer(10, "c", "bybit", "USDT", Decimal(7))
    transit = Transit().with_(late).with_(usdt).with_(early)
    assert transit.transfers == (early, usdt, late)
    assert transit.positions() == {"ETH": Decimal("1.5"), "USDT": Decimal(7)}


def test_a_state_gives_a_part_of_the_kind_asked_for_or_an_empty_one() -> None:
    wallet = Wallet({"ETH": 1})
    state = State({"wallet": wallet})
    assert state.part("wallet", Wallet) is wallet
    assert state.part("bybit", ExchangeAccount) == ExchangeAccount()
    assert state.part("wallet", ExchangeAccount) == ExchangeAccount()
    assert State().parts == {}


@pytest.mark.parametrize("checked", [True, False])
def test_a_changed_state_leaves_the_one_before_as_it_was(checked: bool) -> None:
    first = State({"wallet": Wallet({"ETH": 10**18})}, checked=checked)
    second = first.with_parts(bybit=ExchangeAccount({"USDT": ONE}), wallet=Wallet())
    assert first.positions() == {"wallet": {"ETH": ONE}}
    assert second.positions() == {"bybit": {"USDT": ONE}}
    assert (first.checked, second.checked) == (checked, checked)
