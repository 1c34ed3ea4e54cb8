"""One node with the contracts for all tests; each test begins with what was there then."""

from __future__ import annotations

import pytest

from ..conformance.chain import started
from .node import GWEI, PricedChain, ShiftedClock, deploy_chain_world
from .wallet_trader import WalletTrader


@pytest.fixture(scope="package")
def deployed():
    with started(PricedChain()) as node:
        yield deploy_chain_world(node)


@pytest.fixture
def world(deployed):
    chain, clock = deployed.chain, deployed.clock
    kept, shift = chain.snapshot(), clock.shift
    chain.rpc("anvil_setNextBlockBaseFeePerGas", (hex(GWEI),))  # a snapshot does not hold it
    chain.mine()
    yield deployed
    chain.revert(kept)
    deployed.clock = ShiftedClock()
    deployed.clock.shift = shift


@pytest.fixture
def trade(world, tmp_path):
    """Makes traders; they are closed afterwards."""
    made = []

    def make(**given):
        made.append(WalletTrader(world, tmp_path / f"trader{len(made)}", **given))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def slow_chain(world):
    """A chain whose blocks come only when they are asked for."""
    world.chain.rpc("evm_setAutomine", (False,))
    yield world
    world.chain.rpc("evm_setAutomine", (True,))
