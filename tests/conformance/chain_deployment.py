"""Puts the contracts of a `World` on the node, funds its account, and lets others use them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from basis_strategy_v1.core.tokens import decimals_of
from basis_strategy_v1.live.trader_account import deploy_call, designator, executor_address, runtime_code
from basis_strategy_v1.venues.curve_pool import FEE_DENOMINATOR, NG_ADMIN_FEE, StableSwapPool, rate_of
from basis_strategy_v1.venues.staking_shares import Protocol
from basis_strategy_v1.venues.uniswap_data import sqrt_price_of
from basis_strategy_v1.venues.uniswap_pool import full_range

from .aave_deployment import mock
from .aave_market import deploy_market
from .chain import compiled
from .chain_model import STAKED
from .chain_world import MORPHO_PRICE, POOLS, World
from .morpho_deployment import ALL, PARAMS, deploy_morpho
from .staking_deployment import deploy_staking
from .test_curve_conformance import deploy_pool
from .uniswap_deployment import DeployedPool, deploy_uniswap

if TYPE_CHECKING:
    from pathlib import Path

    from .chain import Chain

ETHER, USD = 10**18, 10**6
PREMIUM_BPS = 5  # as on Ethereum
# Ether that others have staked, and what they got for it: a rate of 18 decimals is exactly the pool's.
STAKED_WEI = 10**27
RATES = {"lido": 1_152_739_000_000_000_001, "etherfi": 1_052_738_999_999_999_987}


def deploy_world(chain: Chain, folder: Path) -> World:
    aave = deploy_market(chain)
    listings = aave.deployment.listings
    _become(chain, listings["WETH"].token, chain.deploy(mock("tokens/WETH9Mocked.sol", "WETH9Mocked")))
    _become(chain, listings["USDT"].token, chain.deploy(compiled("OldDollar.sol", "OldDollar")))
    staking = {protocol.value: deploy_staking(chain, protocol) for protocol in Protocol}
    morpho = deploy_morpho(chain, 86 * 10**16, 5 * 10**16, MORPHO_PRICE, staking["lido"].wrapped)
    pair = sorted((listings["USDT"].token, listings["WETH"].token), key=lambda address: int(address, 16))
    uniswap = replace(deploy_uniswap(chain, listings["WETH"].token), token0=pair[0], token1=pair[1])
    world = World(chain, aave, morpho, DeployedPool(uniswap, "", 500, 10), {}, staking, chain.accounts[9], folder)
    _fund(world, uniswap.router, uniswap.positions)
    _fill_pools(world)
    chain.send(aave.deployment.configurator, "updateFlashloanPremiumTotal(uint128)", (PREMIUM_BPS,))
    # What a premium adds to the suppliers' index is not simulated (docs/truth.md).
    chain.send(aave.deployment.configurator, "updateFlashloanPremiumToProtocol(uint128)", (10_000,))
    _use(world)
    _delegate(world)
    return world


def _delegate(world: World) -> None:
    """The account gets the executor's code."""
    lenders = (world.aave.deployment.pool, world.morpho.morpho)
    chain = world.chain
    call = deploy_call(*lenders)
    chain.send_raw(call.to, f"0x{call.data.hex()}")
    executor = executor_address(*lenders)
    assert bytes.fromhex(chain.rpc("eth_getCode", (executor, "latest"))[2:]) == runtime_code(*lenders)
    chain.rpc("anvil_setCode", (world.account, f"0x{designator(executor).hex()}"))


def _become(chain: Chain, address: str, contract: str) -> None:
    """Give an address the code of another token, with what that has in its first places; nobody has any of it yet."""
    chain.rpc("anvil_setCode", (address, chain.rpc("eth_getCode", (contract, "latest"))))
    for slot in range(3):
        kept = chain.rpc("eth_getStorageAt", (contract, hex(slot), "latest"))
        chain.rpc("anvil_setStorageAt", (address, f"0x{slot:064x}", kept))
    chain.deal(address, 10**30)  # what its minted units can be unwrapped to


def _fund(world: World, router: str, positions: str) -> None:
    """The account has 1,000 of each token, the first of the node's plenty, approved for whoever takes it of that one."""
    chain, tokens = world.chain, world.tokens()
    for name, (_, wrapped) in STAKED.items():
        staking = world.staking[name]
        staking.submit(STAKED_WEI)
        staking.report(STAKED_WEI * RATES[name] // ETHER)
        staking.wrap(10**26)
        chain.send(tokens[wrapped], "transfer(address,uint256)", (chain.accounts[0], 10**25), sender=staking.staker)
        chain.send(tokens[wrapped], "transfer(address,uint256)", (world.account, 1_000 * ETHER), sender=staking.staker)
    spenders = (router, positions, world.aave.deployment.pool, world.morpho.morpho)
    for name in ("WETH", "USDT", "USDC"):
        world.send(tokens[name], "mint(uint256)", 1_000 * 10 ** decimals_of(name))
        chain.send(tokens[name], "mint(uint256)", (10**30,))
    for name in ("WETH", "USDT", "USDC", "wstETH"):
        for spender in spenders:
            chain.send(tokens[name], "approve(address,uint256)", (spender, ALL))
    chain.deal(world.account, 1_000 * ETHER)


def _fill_pools(world: World) -> None:
    """A Uniswap pool of WETH at 2,500 USDT, one on Curve of two dollars (3pool's kind), and one whose rate the staking protocol reports."""
    chain, tokens, uniswap = world.chain, world.tokens(), world.pool.deployment
    is_first = uniswap.token0 == tokens["WETH"]
    price, decimals = (Decimal(2_500), (18, 6)) if is_first else (Decimal("0.0004"), (6, 18))
    world.pool = uniswap.create_pool(500, sqrt_price_of(price, *decimals))
    middle = world.pool.state().tick // 10 * 10
    world.pool.mint(*full_range(10), 10**22, 10**22)
    world.pool.mint(middle - 200, middle + 200, 10**21, 10**21)
    dollars = (27 * 10**12, 28 * 10**12)
    models = {
        "USDC_USDT": StableSwapPool(dollars, 2_000, 1_000_000, FEE_DENOMINATOR // 2, (rate_of(6), rate_of(6)), "3pool"),
        "weETH_WETH": StableSwapPool(
            (4_000 * ETHER, 5_000 * ETHER), 500 * 100, 4_000_000, NG_ADMIN_FEE, (RATES["etherfi"], ETHER), "ng", 2 * FEE_DENOMINATOR
        ),
    }
    for coins, name in POOLS.items():
        addresses = tuple(tokens[coin] for coin in coins)
        staking = world.staking["etherfi"] if "weETH" in coins else None
        world.curve[name] = deploy_pool(chain, models[name], addresses, chain.accounts[0], staking=staking)
        assert world.curve[name].state() == models[name]


def _use(world: World) -> None:
    """Others lend and borrow, and time passes, so that no index is 1 and no share price round."""
    chain, owner = world.chain, world.chain.accounts[0]
    pool, listings = world.aave.deployment.pool, world.aave.deployment.listings
    chain.send(pool, "supply(address,uint256,address,uint16)", (listings["USDT"].token, 3_000_000 * USD, owner, 0))
    chain.send(pool, "supply(address,uint256,address,uint16)", (listings["WETH"].token, 2_000 * ETHER, owner, 0))
    chain.send(pool, "borrow(address,uint256,uint256,uint16,address)", (listings["USDT"].token, 1_000_000 * USD, 2, 0, owner))
    chain.send(pool, "borrow(address,uint256,uint256,uint16,address)", (listings["WETH"].token, 300 * ETHER, 2, 0, owner))
    params = world.morpho.params
    chain.send(world.morpho.morpho, f"supply({PARAMS},uint256,uint256,address,bytes)", (params, 1_000_000 * USD, 0, owner, b""))
    chain.send(world.morpho.morpho, f"supplyCollateral({PARAMS},uint256,address,bytes)", (params, 1_000 * ETHER, owner, b""))
    chain.send(world.morpho.morpho, f"borrow({PARAMS},uint256,uint256,address,address)", (params, 800_000 * USD, 0, owner, owner))
    chain.set_next_timestamp(chain.timestamp() + 90 * 86_400)
    for name in ("USDT", "WETH"):  # a payment back: the reserve's index is of a day that has passed
        chain.send(pool, "repay(address,uint256,uint256,address)", (listings[name].token, 1_000, 2, owner))
    chain.send(world.morpho.morpho, f"accrueInterest({PARAMS})", (params,))
