"""The integer model of Morpho Blue with AdaptiveCurveIrm against the real contracts: equal to the wei, and the same moves refused."""

from __future__ import annotations

import os
from random import Random
from typing import TYPE_CHECKING

import pytest

from .morpho_game import deploy_market, new_game

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .chain import Chain
    from .morpho_deployment import MorphoDeployment

pytestmark = pytest.mark.chain


@pytest.fixture(scope="module")
def deployed(chain: Chain) -> Iterator[MorphoDeployment]:
    before = chain.snapshot()
    yield deploy_market(chain)
    chain.revert(before)


@pytest.fixture
def deployment(chain: Chain, deployed: MorphoDeployment) -> Iterator[MorphoDeployment]:
    before = chain.snapshot()
    yield deployed
    chain.revert(before)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_random_game_on_morpho_gives_the_same_numbers_to_the_wei(deployment: MorphoDeployment, seed: int) -> None:
    game = new_game(deployment, Random(seed))
    game.play(120)
    assert game.compared == 120 * len(game.wanted)
    assert min(game.accepted[kind] for kind in ("supply", "withdraw", "borrow", "repay", "withdraw_collateral")) > 0


@pytest.mark.prove
def test_a_long_random_game_on_morpho_gives_the_same_numbers_to_the_wei(deployment: MorphoDeployment) -> None:
    game = new_game(deployment, Random(int(os.environ.get("BASIS_SEED", "11"))))
    game.play(2_500)
    assert set(game.accepted) >= {"supply", "withdraw", "borrow", "repay", "withdraw_collateral", "liquidate", "flash"}
