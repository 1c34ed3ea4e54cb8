"""The real Uniswap v3 contracts on a local node: factory, router, quoter, position manager, and pools of two tokens."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from basis_strategy_v1.venues.uniswap_data import ticks_in_word
from basis_strategy_v1.venues.uniswap_pool import PoolState

from .chain import Read, artifact

if TYPE_CHECKING:
    from .chain import Chain

CORE = "@uniswap/v3-core/artifacts/contracts"
PERIPHERY = "@uniswap/v3-periphery/artifacts/contracts"
AAVE = "@aave/core-v3/artifacts/contracts"
ZERO = "0x" + "00" * 20
DEADLINE = 2**255
SUPPLY = 2**250


@dataclass(slots=True)
class UniswapDeployment:
    """Everything belongs to the node's first account, which has approved the router and the position manager."""

    chain: Chain
    factory: str
    router: str
    quoter: str
    positions: str
    weth: str
    token0: str
    token1: str

    @property
    def trader(self) -> str:
        return self.chain.accounts[0]

    def create_pool(self, fee_pips: int, sqrt_price_x96: int) -> DeployedPool:
        signature = "createAndInitializePoolIfNecessary(address,address,uint24,uint160)(address)"
        self.chain.send(self.positions, signature, (self.token0, self.token1, fee_pips, sqrt_price_x96))
        pool = self.chain.call(self.factory, "getPool(address,address,uint24)(address)", (self.token0, self.token1, fee_pips))
        spacing = self.chain.call(pool, "tickSpacing()(int24)")
        return DeployedPool(self, pool, fee_pips, spacing)

    def enable_fee(self, fee_pips: int, tick_spacing: int) -> None:
        self.chain.send(self.factory, "enableFeeAmount(uint24,int24)", (fee_pips, tick_spacing))

    def balances(self) -> tuple[int, int]:
        """Wei of token0 and token1 that the trader holds."""
        of = "balanceOf(address)(uint256)"
        held = self.chain.read([Read(self.token0, of, (self.trader,)), Read(self.token1, of, (self.trader,))])
        return held[0], held[1]


@dataclass(slots=True)
class DeployedPool:
    """One pool; `touched` are the ticks that positions were given here."""

    deployment: UniswapDeployment
    address: str
    fee_pips: int
    tick_spacing: int
    touched: set[int] = field(default_factory=set)
    owned: list[tuple[int, int]] = field(default_factory=list)  # (NFT id, liquidity)

    def mint(self, lower: int, upper: int, amount0: int, amount1: int) -> int:
        """Open a position with at most these wei and return its liquidity."""
        deployment = self.deployment
        signature = (
            "mint((address,address,uint24,int24,int24,uint256,uint256,uint256,uint256,address,uint256))(uint256,uint128,uint256,uint256)"
        )
        pair = (deployment.token0, deployment.token1, self.fee_pips)
        arguments = ((*pair, lower, upper, amount0, amount1, 0, 0, deployment.trader, DEADLINE),)
        token_id, liquidity, _, _ = deployment.chain.call(deployment.positions, signature, arguments, sender=deployment.trader)
        deployment.chain.send(deployment.positions, signature, arguments)
        self.touched |= {lower, upper}
        self.owned.append((token_id, liquidity))
        return int(liquidity)

    def burn(self, place: int, liquidity: int | None = None) -> None:
        """Take liquidity (None: all) out of the position at this place of `owned`."""
        token_id, held = self.owned.pop(place)
        liquidity = held if liquidity is None else liquidity
        signature = "decreaseLiquidity((uint256,uint128,uint256,uint256,uint256))"
        self.deployment.chain.send(self.deployment.positions, signature, ((token_id, liquidity, 0, 0, DEADLINE),))

    def ticks_of_map(self, words: range) -> tuple[int, ...]:
        """The initialised ticks that the contract's own map has in these words."""
        found = self.deployment.chain.read([Read(self.address, "tickBitmap(int16)(uint256)", (word,)) for word in words])
        return tuple(tick for word, bits in zip(words, found, strict=True) for tick in ticks_in_word(word, bits, self.tick_spacing))

    def state(self) -> PoolState:
        """What the contract holds: price, tick, liquidity and every initialised tick."""
        ticks = sorted(self.touched)
        of_tick = "ticks(int24)(uint128,int128,uint256,uint256,int56,uint160,uint32,bool)"
        reads = [Read(self.address, "slot0()(uint160,int24,uint16,uint16,uint16,uint8,bool)"), Read(self.address, "liquidity()(uint128)")]
        slot0, liquidity, *found = self.deployment.chain.read(reads + [Read(self.address, of_tick, (tick,)) for tick in ticks])
        nets = tuple((tick, one[1]) for tick, one in zip(ticks, found, strict=True) if one[7])
        return PoolState(slot0[0], slot0[1], liquidity, self.fee_pips, self.tick_spacing, nets)

    def exact_input(self, zero_for_one: bool, amount_in: int, min_amount_out: int, limit: int) -> None:
        """Swap by the router; `limit` 0 is none."""
        self._swap("exactInputSingle", zero_for_one, amount_in, min_amount_out, limit)

    def exact_output(self, zero_for_one: bool, amount_out: int, max_amount_in: int, limit: int) -> None:
        self._swap("exactOutputSingle", zero_for_one, amount_out, max_amount_in, limit)

    def _swap(self, name: str, zero_for_one: bool, amount: int, bound: int, limit: int) -> None:
        deployment = self.deployment
        signature = f"{name}((address,address,uint24,address,uint256,uint256,uint256,uint160))"
        path = (*self._path(zero_for_one), self.fee_pips, deployment.trader, DEADLINE)
        deployment.chain.send(deployment.router, signature, ((*path, amount, bound, limit),))

    def quote(self, zero_for_one: bool, amount: int, limit: int, *, exact_input: bool) -> tuple[int, int]:
        """(the other amount, the sqrt price afterwards), as QuoterV2 answers."""
        name = "quoteExactInputSingle" if exact_input else "quoteExactOutputSingle"
        signature = f"{name}((address,address,uint256,uint24,uint160))(uint256,uint160,uint32,uint256)"
        arguments = ((*self._path(zero_for_one), amount, self.fee_pips, limit),)
        other, price, _, _ = self.deployment.chain.call(self.deployment.quoter, signature, arguments)
        return other, price

    def _path(self, zero_for_one: bool) -> tuple[str, str]:
        pair = self.deployment.token0, self.deployment.token1
        return pair if zero_for_one else (pair[1], pair[0])


def deploy_uniswap(chain: Chain, weth: str | None = None) -> UniswapDeployment:
    """Deploy all of it, with the 0.01 % fee that the factory has on Ethereum, and give the trader both tokens; `weth` is what ether is
    wrapped into, left out: a token of its own."""
    factory = chain.deploy(artifact(f"{CORE}/UniswapV3Factory.sol/UniswapV3Factory.json"))
    weth = weth or chain.deploy(artifact(f"{AAVE}/dependencies/weth/WETH9.sol/WETH9.json"))
    router = chain.deploy(artifact(f"{PERIPHERY}/SwapRouter.sol/SwapRouter.json"), (factory, weth))
    quoter = chain.deploy(artifact(f"{PERIPHERY}/lens/QuoterV2.sol/QuoterV2.json"), (factory, weth))
    manager = artifact(f"{PERIPHERY}/NonfungiblePositionManager.sol/NonfungiblePositionManager.json")
    positions = chain.deploy(manager, (factory, weth, ZERO))  # only tokenURI needs the descriptor
    token0, token1 = sorted((deploy_token(chain, name) for name in ("Left", "Right")), key=lambda address: int(address, 16))
    for token in (token0, token1):
        for spender in (router, positions):
            chain.send(token, "approve(address,uint256)", (spender, 2**256 - 1))
    deployment = UniswapDeployment(chain, factory, router, quoter, positions, weth, token0, token1)
    deployment.enable_fee(100, 1)
    return deployment


def deploy_token(chain: Chain, name: str, decimals: int = 18, supply_wei: int = SUPPLY) -> str:
    """A plain ERC-20, all of it held by the first account."""
    token = chain.deploy(artifact(f"{AAVE}/mocks/tokens/MintableERC20.sol/MintableERC20.json"), (name, name.upper(), decimals))
    chain.send(token, "mint(uint256)", (supply_wei,))
    return token
