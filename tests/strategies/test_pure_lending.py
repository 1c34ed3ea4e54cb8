"""pure_lending: what it sends at the end."""

from __future__ import annotations

import pytest

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
