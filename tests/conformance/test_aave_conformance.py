"""The integer model of Aave 3.0 against the real bytecode: after every move all numbers are equal, and both refuse the same moves."""

from __future__ import annotations

import os
from random import Random
from typing import TYPE_CHECKING

import pytest

from .aave_game import new_game
from .aave_market import deploy_market

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .aave_market import Market
    from .chain import Chain

pytestmark = pytest.mark.chain


@pytest.fixture(scope="module")
def deployed(chain: Chain) -> Iterator[Market]:
    before = chain.snapshot()
    yield deploy_market(chain)
    chain.revert(before)


@pytest.fixture
def market(chain: Chain, deployed: Market) -> Iterator[Market]:
    before = chain.snapshot()
    yield deployed
    chain.revert(before)


@pytest.mark.parametrize("seed", [1, 5, 7, 10])
def test_a_random_game_on_aave_3_0_gives_the_same_numbers_to_the_wei(market: Market, seed: int) -> None:
    game = new_game(market, Random(seed))
    game.play(150)
    assert game.compared == 150 * len(game.wanted)
    assert min(game.accepted[kind] for kind in ("supply", "withdraw", "borrow", "repay", "flash", "liquidate")) > 0


@pytest.mark.prove
@pytest.mark.parametrize("number", range(3))
def test_a_long_random_game_on_aave_3_0_gives_the_same_numbers_to_the_wei(market: Market, number: int) -> None:
    game = new_game(market, Random(int(os.environ.get("BASIS_SEED", "11")) * 100 + number))
    game.play(500)
    assert set(game.accepted) >= {"supply", "withdraw", "borrow", "repay", "collateral", "emode", "flash", "govern"}
