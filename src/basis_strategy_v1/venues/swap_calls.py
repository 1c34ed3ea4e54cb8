"""The calls of the DEXes: Uniswap v3's router, and Curve's pools. Ether is wrapped on the way in and unwrapped on the way out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field

from basis_strategy_v1.core.chain_call import CallAmount, ChainCall, argument, call_data
from basis_strategy_v1.core.settings import MAINNET
from basis_strategy_v1.core.state_rows import series_name
from basis_strategy_v1.core.tokens import WETH, decimals_of, to_units
from basis_strategy_v1.venues.market_swap import as_traded
from basis_strategy_v1.venues.venue import DEX, reject
from basis_strategy_v1.venues.wallet_calls import held, paying, token_of, unwrap_call, wrap_call

if TYPE_CHECKING:
    from basis_strategy_v1.core.chain_call import Deployment, EncodeAction
    from basis_strategy_v1.core.instructions import SmartContractAction
    from basis_strategy_v1.venues.market_swap import SwapSettings
    from basis_strategy_v1.venues.uniswap import Settings as UniswapSettings

USUAL_FEE = 500  # of Uniswap, in hundredths of a bp


class UniswapContracts(Struct, frozen=True, kw_only=True):
    """The first router, whose swaps carry a deadline; the quoter and the factory are only read."""

    router: str = "0xE592427A0AEce92De3Edee1F18E0157C05861564"
    quoter: str = "0x61fFE014bA17989E743c5F6cB21bF9697530B21e"
    factory: str = "0x1F98431c8aD98523631AE4a59f267346ea31F984"
    fee: int = USUAL_FEE

    def addresses(self) -> tuple[str, ...]:
        return (self.router,)

    def encode(self, made: EncodeAction, at: Deployment) -> tuple[ChainCall, ...]:
        """One swap through one pool."""
        action, pays_ether = made.action, made.action.token == "ETH"
        amount = made.amount(held(action.token, at))
        paid, out = (token_of(as_traded(token), at) for token in (action.token, action.token_out or ""))
        path = (paid, out, self._fee(action), at.account, made.deadline_s, amount.units, least_out(action), 0)
        swap = ChainCall(
            to=self.router,
            data=call_data("exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))", path),
            value_wei=amount.units if pays_ether else 0,
            amount=amount,
            places=(argument(5),),
            pays=pays_ether,
            allowance=None if pays_ether else paying(action.token, self.router, amount, at),
        )
        return (swap, *unwrapped(made, at))

    def _fee(self, action: SmartContractAction) -> int:
        """That of the instruction, or the one that the name of its pool ends with, else the configured one."""
        if action.fee is not None:
            return action.fee
        end = (action.pool or "").rpartition("_")[2]
        return int(end) if end.isascii() and end.isdigit() else self.fee


class CurvePool(Struct, frozen=True):
    """A pool, and its coins in their order."""

    address: str
    coins: tuple[str, ...]


CURVE_POOLS = {
    "weETH/WETH": CurvePool("0xDB74dfDD3BB46bE8Ce6C33dC9D82777BCFc3dEd5", ("weETH", "WETH")),
    "DAI/USDC/USDT": CurvePool("0xbEbc44782C7dB0a1A60Cb6fe97d0b483032FF1C7", ("DAI", "USDC", "USDT")),
}


class CurveContracts(Struct, frozen=True, kw_only=True):
    """The pools by name. A name has the coins in the pool's own order, which is compared with the contract's."""

    pools: Mapping[str, CurvePool] = field(default_factory=lambda: CURVE_POOLS)

    def addresses(self) -> tuple[str, ...]:
        return tuple(pool.address for pool in self.pools.values())

    def encode(self, made: EncodeAction, at: Deployment) -> tuple[ChainCall, ...]:
        """One exchange in one pool."""
        action = made.action
        pool = self._pool(action)
        paid, out = as_traded(action.token), as_traded(action.token_out or "")
        amount = made.amount(held(action.token, at))
        first: tuple[ChainCall, ...] = ()
        if action.token == "ETH":
            first = (wrap_call(amount, at),)
            amount = CallAmount(amount.units, None if made.is_number else made.so_far(token_of(WETH, at)))
        swap = ChainCall(
            to=pool.address,
            data=call_data(
                "exchange(int128,int128,uint256,uint256)", pool.coins.index(paid), pool.coins.index(out), amount.units, least_out(action)
            ),
            amount=amount,
            places=(argument(2),),
            allowance=paying(paid, pool.address, amount, at),
        )
        return (*first, swap, *unwrapped(made, at))

    def _pool(self, action: SmartContractAction) -> CurvePool:
        """The one that is named, else the first with both coins."""
        wanted = {as_traded(action.token), as_traded(action.token_out or "")}
        named = None if action.pool is None else series_name(action.pool)
        for name, pool in self.pools.items():
            if wanted <= {*pool.coins} and named in (None, series_name(name)):
                return pool
        what = " and ".join(sorted(wanted)) if action.pool is None else action.pool
        reject(DEX, f"{action.protocol} has no pool of {what}; known are {', '.join(self.pools)}: add it under "
                    f"venues.dex.{action.protocol}.pools")  # fmt: skip


def least_out(action: SmartContractAction) -> int:
    """The least that must come out of a swap, in base units, rounded up."""
    if action.min_amount_out is None:
        return 0
    least = to_units(action.token_out or "", action.min_amount_out)
    return least + (least != action.min_amount_out.scaleb(decimals_of(action.token_out or "")))


def unwrapped(made: EncodeAction, at: Deployment) -> tuple[ChainCall, ...]:
    """The call that turns what came out into ether, where that is asked for."""
    if made.action.token_out != "ETH":
        return ()
    return (unwrap_call(CallAmount(0, made.so_far(token_of(WETH, at))), at),)


def uniswap_contracts(settings: UniswapSettings) -> UniswapContracts:
    """Those of the settings, else Ethereum mainnet's."""
    own = {name: getattr(settings, name) for name in ("router", "quoter", "factory", "fee")}
    return UniswapContracts(**{name: value for name, value in own.items() if value is not None})


def curve_contracts(settings: SwapSettings) -> CurveContracts:
    """Those of the settings; where it names none, Ethereum mainnet's."""
    if not settings.pools:
        return CurveContracts(pools=CURVE_POOLS if settings.chain == MAINNET else {})
    return CurveContracts(pools={name: CurvePool(address, tuple(series_name(name).split("_"))) for name, address in settings.pools.items()})
