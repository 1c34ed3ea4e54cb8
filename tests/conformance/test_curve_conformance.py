"""Random exchanges on our own stable-swap contract with the rounding of 3pool and of StableSwap-NG: equal after every one."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import msgspec
import pytest

from basis_strategy_v1.venues.curve_pool import (
    FEE_DENOMINATOR,
    NG_ADMIN_FEE,
    Kind,
    StableSwapPool,
    exchange,
    get_dy,
    rate_of,
)
from basis_strategy_v1.venues.reverted import Reverted
from basis_strategy_v1.venues.staking_shares import Protocol

from .chain import TransactionReverted, call_data, compiled
from .staking_deployment import MAX_UINT, OF, StakingDeployment, deploy_staking
from .uniswap_deployment import ZERO, deploy_token

if TYPE_CHECKING:
    from collections.abc import Callable

    from .chain import Chain

    Deploy = Callable[[Chain], tuple["DeployedStableSwap", StableSwapPool]]

pytestmark = pytest.mark.chain

EXCHANGE = "exchange(int128,int128,uint256,uint256)"
GET_DY = "get_dy(int128,int128,uint256)(uint256)"
STAKED_WEI = 10**24


@dataclass(slots=True)
class DeployedStableSwap:
    """A pool that the trader filled and may trade against; `staking` makes one coin's rate, if any does."""

    chain: Chain
    address: str
    coins: tuple[str, ...]
    trader: str
    kind: Kind
    staking: StakingDeployment | None = None

    def state(self) -> StableSwapPool:
        names = ("get_balances()(uint256[])", "stored_rates()(uint256[])", "A_precise()(uint256)", "fee()(uint256)", "admin_fee()(uint256)")
        balances, rates, a, fee, admin, multiplier = self.chain.read(
            [(self.address, name) for name in (*names, "offpeg_fee_multiplier()(uint256)")]
        )
        return StableSwapPool(tuple(balances), a, fee, admin, tuple(rates), self.kind, multiplier)

    def held(self) -> list[int]:
        return self.chain.read([(coin, OF, (self.trader,)) for coin in self.coins])

    def exchange(self, i: int, j: int, dx: int, min_dy: int) -> None:
        self.chain.send(self.address, EXCHANGE, (i, j, dx, min_dy), sender=self.trader)


def deploy_pool(
    chain: Chain, model: StableSwapPool, coins: tuple[str, ...], trader: str, *, staking: StakingDeployment | None = None
) -> DeployedStableSwap:
    """A pool like the model, filled by the trader; with `staking` coin 0 is the wrapped token and its own rate oracle."""
    oracles = [ZERO] * len(coins)
    multipliers, calls = list(model.rates), [bytes(4)] * len(coins)
    if staking is not None:
        oracles[0], multipliers[0] = staking.wrapped, rate_of(18)
        calls[0] = bytes.fromhex(call_data("stEthPerToken()")[2:])
    a = model.amplification // (100 if model.kind == "ng" else 1)
    numbers = (a, model.fee, model.admin_fee, model.offpeg_fee_multiplier)
    arguments = (model.kind == "ng", *numbers, coins, multipliers, oracles, calls)
    address = chain.deploy(compiled("StableSwapTwin.sol", "StableSwapTwin"), arguments)
    for coin in coins:
        chain.send(coin, "approve(address,uint256)", (address, MAX_UINT), sender=trader)
    chain.send(address, "add_liquidity(uint256[],uint256)", (model.balances, 0), sender=trader)
    return DeployedStableSwap(chain, address, coins, trader, model.kind, staking)


def deploy_three_pool(chain: Chain) -> tuple[DeployedStableSwap, StableSwapPool]:
    decimals = (18, 6, 6)
    coins = tuple(deploy_token(chain, name, places) for name, places in zip(("Dai", "Usdc", "Usdt"), decimals, strict=True))
    rates = tuple(rate_of(places) for places in decimals)
    model = StableSwapPool((27 * 10**24, 28 * 10**12, 108 * 10**12), 4_000, 1_500_000, FEE_DENOMINATOR // 2, rates, "3pool")
    return deploy_pool(chain, model, coins, chain.accounts[0]), model


def deploy_lopsided_three_pool(chain: Chain) -> tuple[DeployedStableSwap, StableSwapPool]:
    """Nearly empty of one coin and of little amplification: here the two kinds' roundings of D part."""
    pool, model = deploy_three_pool(chain)
    lopsided = msgspec.structs.replace(model, balances=(10**27, 10**10, 10**14), amplification=2)
    return deploy_pool(chain, lopsided, pool.coins, pool.trader), lopsided


def deploy_ng_pool(chain: Chain) -> tuple[DeployedStableSwap, StableSwapPool]:
    """wstETH / WETH / a 6-decimals coin, the first with a rate oracle that moves."""
    staking = deploy_staking(chain, Protocol.LIDO)
    staking.submit(STAKED_WEI)
    staking.report(STAKED_WEI * 1_052_739 // 1_000_000)
    staking.wrap(STAKED_WEI)
    others = (deploy_token(chain, "Weth"), deploy_token(chain, "Usdx", 6))
    for coin in others:
        chain.send(coin, "transfer(address,uint256)", (staking.staker, 2**240))
    rates = (chain.call(staking.wrapped, "stEthPerToken()(uint256)"), rate_of(18), rate_of(6))
    model = StableSwapPool(
        (5_000 * 10**18, 6_200 * 10**18, 4_000 * 10**6), 50_000, 4_000_000, NG_ADMIN_FEE, rates, "ng", 2 * FEE_DENOMINATOR
    )
    return deploy_pool(chain, model, (staking.wrapped, *others), staking.staker, staking=staking), model


def trade_both(pool: DeployedStableSwap, model: StableSwapPool, i: int, j: int, dx: int, min_dy: int) -> StableSwapPool | None:
    """Exchange on both and compare; the pool afterwards, or None where both refused."""
    try:
        after, received = exchange(model, i, j, dx, min_dy)
    except Reverted:
        with pytest.raises(TransactionReverted):
            pool.exchange(i, j, dx, min_dy)
        assert pool.state() == model
        return None
    assert pool.chain.call(pool.address, GET_DY, (i, j, dx)) == get_dy(model, i, j, dx)
    before = pool.held()
    pool.exchange(i, j, dx, min_dy)
    assert pool.state() == after, (i, j, dx)
    before[i] -= dx
    before[j] += received
    assert pool.held() == before, (i, j, dx)
    return after


def play(pool: DeployedStableSwap, model: StableSwapPool, random: Random, steps: int) -> tuple[int, int]:
    """(filled, refused)"""
    assert pool.state() == model
    filled = 0
    for place in range(steps):
        if pool.staking is not None and place % 9 == 0:
            pool.staking.report(pool.staking.pool().pooled_wei * random.choice((10_004, 9_998)) // 10_000 + place)
            model = msgspec.structs.replace(model, rates=pool.state().rates)
        i, j = random.randint(0, 2), random.randint(0, 3)
        dx = min(int(model.balances[i] * 10 ** random.uniform(-18, -0.3)), pool.held()[i])
        min_dy = random.choice((0, 0, 0, dx, 2**200))
        after = trade_both(pool, model, i, j, dx, min_dy)
        filled += after is not None
        model = after or model
    return filled, steps - filled


@pytest.mark.parametrize("deploy", [deploy_three_pool, deploy_lopsided_three_pool, deploy_ng_pool])
def test_random_exchanges_come_out_equal_to_the_wei(chain: Chain, deploy: Deploy) -> None:
    snapshot = chain.snapshot()
    filled, refused = play(*deploy(chain), Random(5), 350)
    assert filled > 80
    assert refused > 100
    chain.revert(snapshot)


@pytest.mark.prove
@pytest.mark.parametrize("seed", range(1, 5))
@pytest.mark.parametrize("deploy", [deploy_three_pool, deploy_lopsided_three_pool, deploy_ng_pool])
def test_many_random_exchanges_come_out_equal_to_the_wei(chain: Chain, deploy: Deploy, seed: int) -> None:
    snapshot = chain.snapshot()
    play(*deploy(chain), Random(seed), 1_000)
    chain.revert(snapshot)


@pytest.mark.parametrize("dx", [2**100, 2**130, 2**200, 2**239])
def test_amounts_beyond_256_bits_are_refused_by_both(chain: Chain, dx: int) -> None:
    snapshot = chain.snapshot()
    pool, model = deploy_ng_pool(chain)
    trade_both(pool, model, 1, 0, dx, 0)
    chain.revert(snapshot)
