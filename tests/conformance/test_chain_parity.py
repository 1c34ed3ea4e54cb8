"""Random chains on a state that others have just moved: simulated on what was read before and then sent, each gives the same to the wei, or
is refused on both sides."""

from __future__ import annotations

import os
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

import pytest

from basis_strategy_v1.core.error_codes.exceptions import VenueRejected
from basis_strategy_v1.live.trader_account import pack_batch
from basis_strategy_v1.venues.transaction_calls import encode_transaction

from .chain import TransactionReverted
from .chain_model import instruction_of, simulated
from .chain_world import with_any_number
from .random_chain import RandomChain, third_parties

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from .trader import Trader

pytestmark = pytest.mark.chain
MOVED_RATE_WEI = 4  # our own stake moves the share rate by less than its digits have (docs/truth.md)
SEED = int(os.environ.get("BASIS_SEED", "1"))


def compare(trader: Trader, seed: int) -> bool:
    """Whether the chain of this seed was carried out, on both sides."""
    rng = Random(seed)
    third_parties(trader, rng)
    world, later_s = trader.world, rng.randint(1, 50_000)
    world.write_data()
    market = world.snapshot(world.chain.timestamp() + later_s)

    def is_possible(steps: list[dict[str, Any]]) -> bool:
        try:
            simulated(steps, market)
        except VenueRejected:
            return False
        return True

    steps = RandomChain(rng).steps(rng.randint(1, 12), is_possible)
    try:
        trader.run(steps, later_s=later_s, apart=MOVED_RATE_WEI if any(step["action"] == "stake" for step in steps) else 0)
    except VenueRejected as refused:
        require_reverted(trader, steps, str(refused))
        return False
    return True


def require_reverted(trader: Trader, steps: list[dict[str, Any]], why: str) -> None:
    from msgspec import structs

    world, account = trader.world, trader.account
    meant = instruction_of(steps)
    made_up = structs.replace(meant, steps=tuple(map(with_any_number, meant.steps)))
    batch = pack_batch(encode_transaction(meant, made_up, world.deployment()), (), 2**256 - 1, account.address)
    before = world.balances(), world.pools()
    with pytest.raises(TransactionReverted):
        trader.give_back(account.send(account.address, batch))
        pytest.fail(f"it was carried out on chain, and refused here: {why}")
    trader.world.chain.deal(account.address, before[0]["ETH"])
    assert (world.balances(), world.pools()) == before


@pytest.mark.parametrize("seed", range(40))
def test_a_random_chain_is_the_same_on_both_sides(trader: Trader, seed: int) -> None:
    compare(trader, 1_000 * SEED + seed)


@pytest.mark.prove
def test_three_hundred_random_chains_are_the_same_on_both_sides_and_most_are_carried_out(trader: Trader, tmp_path: Path) -> None:
    chain, done = trader.world.chain, 0
    for seed in range(40, 340):
        before = chain.snapshot()
        (tmp_path / str(seed)).mkdir()
        done += compare(trader._replace(world=replace(trader.world, folder=tmp_path / str(seed))), 1_000 * SEED + seed)
        chain.revert(before)
    assert 200 < done < 290
