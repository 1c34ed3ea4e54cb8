"""pure_lending: what it sends at the end."""

from __future__ import annotations

import pytest

from basis_strategy_v1.core.venue_facts import LendingLimits
from basis_strategy_v1.strategies.pure_lending import Parameters, PureLending
from basis_strategy_v1.venues.aave import aave
from basis_strategy_v1.venues.aave_settings import Settings
from basis_strategy_v1.venues.venue import Place

from .markets import D, Held, at_price, step

AAVE = aave(Place("aave", "aave", "ethereum", "wallet"), Settings())
LENDING = PureLending(Parameters(token="USDT"), {"aave": AAVE.fact()})


@pytest.mark.parametrize(("gwei", "count"), [(0, 1), (40, 1), (200, 0)])
def test_it_withdraws_where_the_wallet_can_pay_the_gas(gwei: int, count: int) -> None:
    held = Held(aave={"aUSDT": D(1000)}, wallet={"ETH": D("0.05")})
    held.gas_gwei = D(gwei)
    blocks, memory = LENDING.leave(step(at_price(3000), held, None), None)
    assert (len(blocks), memory) == (count, None)


def test_of_nothing_it_withdraws_nothing() -> None:
    held = Held(wallet={"ETH": D(1), "USDT": D(5)})
    assert LENDING.leave(step(at_price(3000), held, None), None) == ([], None)


@pytest.mark.parametrize(
    ("room", "gwei", "supplied"),
    [(None, 0, "all"), (1000, 0, "all"), (400, 0, D(400)), (9, 0, None), (0, 0, None), (None, 200, None), (None, 100, "all")],
)
def test_it_supplies_what_caps_and_gas_allow(room: int | None, gwei: int, supplied: object) -> None:
    held = Held(wallet={"ETH": D("0.05"), "USDT": D(1000)})
    held.gas_gwei, held.most = D(gwei), LendingLimits(supply=None if room is None else D(room))
    blocks, _ = LENDING.decide(step(at_price(3000), held, None), None)
    assert [block["amount"] for block in blocks] == ([] if supplied is None else [supplied])


@pytest.mark.parametrize(("cash", "withdrawn"), [(None, "all"), (1000, "all"), (400, D(400)), (0, None)])
def test_it_withdraws_no_more_than_the_lender_has_in_cash(cash: int | None, withdrawn: object) -> None:
    held = Held(aave={"aUSDT": D(1000)}, wallet={"ETH": D("0.05")})
    held.most = LendingLimits(withdraw=None if cash is None else D(cash))
    blocks, _ = LENDING.leave(step(at_price(3000), held, None), None)
    assert [block["amount"] for block in blocks] == ([] if withdrawn is None else [withdrawn])
