"""The calls of Morpho Blue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field, structs

from basis_strategy_v1.core.chain_call import CallAmount, ChainCall, MorphoOwed, ViewWord, argument, call_data
from basis_strategy_v1.core.settings import MAINNET
from basis_strategy_v1.venues.morpho_data import MarketSettings
from basis_strategy_v1.venues.venue import ONCHAIN, reject
from basis_strategy_v1.venues.wallet_calls import TOKENS, held, paying, token_of

if TYPE_CHECKING:
    from basis_strategy_v1.core.chain_call import Deployment, EncodeAction, RunTimeAmount
    from basis_strategy_v1.venues.morpho_data import Settings

PARAMS = "(address,address,address,address,uint256)"
RATE_MODEL = "0x870aC11D48B15DB9a138Cf899d20F13F79Ba00BC"
# The words of a position, and the arguments of a call behind the five of the market.
SUPPLY_SHARES, BORROW_SHARES, COLLATERAL = range(3)
ASSETS, SHARES = argument(5), argument(6)


class MorphoParams(Struct, frozen=True):
    """What a market is: the addresses of its tokens, its oracle and its rate model, and its loan-to-value (wad)."""

    loan_token: str
    collateral_token: str
    oracle: str
    irm: str
    lltv_wad: int

    @property
    def market_id(self) -> bytes:
        """The hash of the five."""
        from eth_abi.abi import encode
        from eth_utils.crypto import keccak

        return keccak(encode((PARAMS,), (structs.astuple(self),)))


# Ethereum mainnet's; each id is the hash of the market's parameters.
MARKETS = {
    "wstETH/WETH": MorphoParams(TOKENS["WETH"], TOKENS["wstETH"], "0x2a01EB9496094dA03c4E364Def50f5aD1280AD72", RATE_MODEL, 945 * 10**15),
    "weETH/WETH": MorphoParams(TOKENS["WETH"], TOKENS["weETH"], "0xbDd2F2D473E8D63d1BFb0185B5bDB8046ca48a72", RATE_MODEL, 945 * 10**15),
    "wstETH/USDC": MorphoParams(TOKENS["USDC"], TOKENS["wstETH"], "0x48F7E36EB6B826B2dF4B2E630B62Cd25e89E40e2", RATE_MODEL, 860 * 10**15),
    "WBTC/USDC": MorphoParams(TOKENS["USDC"], TOKENS["WBTC"], "0xDddd770BADd886dF3864029e4B377B5F6a2B6b83", RATE_MODEL, 860 * 10**15),
}


class MorphoContracts(Struct, frozen=True, kw_only=True):
    """Morpho, and its markets by name. `ids` are those of the settings; parameters that are not known are read by `idToMarketParams`."""

    address: str = "0xBBBBBbbBBb9cC5e90e3b3Af64bdAF62C37EEFFCb"
    markets: Mapping[str, MorphoParams] = field(default_factory=lambda: MARKETS)
    ids: Mapping[str, str] = {}

    def addresses(self) -> tuple[str, ...]:
        return (self.address,)

    def encode(self, made: EncodeAction, at: Deployment) -> tuple[ChainCall, ...]:
        """All of a loan or a debt goes by its shares, so that nothing stays behind."""
        name = made.action.action
        if name == "flash_loan":
            token = token_of(made.action.token, at)
            data = call_data("flashLoan(address,uint256,bytes)", token, made.units, b"")
            return (ChainCall(to=self.address, data=data, amount=made.amount(), places=(argument(1),), lent=token),)
        params = self._params(made)
        if made.is_all and name in ("withdraw", "repay"):
            return (self._by_shares(made, params, at),)
        return (self._by_assets(made, params, at),)

    def _params(self, made: EncodeAction) -> MorphoParams:
        name = made.action.market or ""
        if name not in self.markets:
            why = f"the parameters of {self.ids[name]} were not read" if name in self.ids else f"known are {', '.join(self.markets)}"
            reject(ONCHAIN, f"{made.action.protocol} market {name or '(none named)'} has no address to send to: {why}")
        return self.markets[name]

    def _by_assets(self, made: EncodeAction, params: MorphoParams, at: Deployment) -> ChainCall:
        own, market, token = at.account, structs.astuple(params), made.action.token
        amount = made.amount(self._whole(made, params, at))
        signature, arguments = {
            "supply": (f"supply({PARAMS},uint256,uint256,address,bytes)", (amount.units, 0, own, b"")),
            "withdraw": (f"withdraw({PARAMS},uint256,uint256,address,address)", (amount.units, 0, own, own)),
            "supply_collateral": (f"supplyCollateral({PARAMS},uint256,address,bytes)", (amount.units, own, b"")),
            "withdraw_collateral": (f"withdrawCollateral({PARAMS},uint256,address,address)", (amount.units, own, own)),
            "borrow": (f"borrow({PARAMS},uint256,uint256,address,address)", (amount.units, 0, own, own)),
            "repay": (f"repay({PARAMS},uint256,uint256,address,bytes)", (amount.units, 0, own, b"")),
        }[made.action.action]
        pays = made.action.action in ("supply", "supply_collateral", "repay")
        return ChainCall(
            to=self.address,
            data=call_data(signature, market, *arguments),
            amount=amount,
            places=(ASSETS,),
            allowance=paying(token, self.address, amount, at) if pays else None,
        )

    def _whole(self, made: EncodeAction, params: MorphoParams, at: Deployment) -> RunTimeAmount:
        """What "all" is of what is not a loan or a debt."""
        if made.action.action == "withdraw_collateral":
            return self._position(params, COLLATERAL, at)
        return held(made.action.token, at)

    def _by_shares(self, made: EncodeAction, params: MorphoParams, at: Deployment) -> ChainCall:
        own, market = at.account, structs.astuple(params)
        if made.action.action == "withdraw":
            data = call_data(f"withdraw({PARAMS},uint256,uint256,address,address)", market, 0, 0, own, own)
            shares = self._position(params, SUPPLY_SHARES, at)
            return ChainCall(to=self.address, data=data, amount=CallAmount(0, shares), places=(SHARES,))
        owed = CallAmount(made.units, MorphoOwed(params.market_id))
        return ChainCall(
            to=self.address,
            data=call_data(f"repay({PARAMS},uint256,uint256,address,bytes)", market, 0, 0, own, b""),
            amount=CallAmount(0, self._position(params, BORROW_SHARES, at)),
            places=(SHARES,),
            allowance=paying(made.action.token, self.address, owed, at),
        )

    def _position(self, params: MorphoParams, word: int, at: Deployment) -> ViewWord:
        return ViewWord(self.address, call_data("position(bytes32,address)", params.market_id, at.account), word)


def contracts(settings: Settings) -> MorphoContracts:
    """Those of the settings, else Ethereum mainnet's."""
    public = MARKETS if settings.chain == MAINNET else {}
    given = {name: own.id if isinstance(own, MarketSettings) else own for name, own in (settings.markets or {}).items()}
    ids = {name: market_id for name, market_id in given.items() if market_id is not None}
    by_id = {f"0x{params.market_id.hex()}": params for params in public.values()} if ids else {}
    known = {**{name: params for name, params in public.items() if name not in ids},
             **{name: by_id[market_id.lower()] for name, market_id in ids.items() if market_id.lower() in by_id}}  # fmt: skip
    here = MorphoContracts(markets=known, ids=ids)
    return here if settings.address is None else structs.replace(here, address=settings.address)
