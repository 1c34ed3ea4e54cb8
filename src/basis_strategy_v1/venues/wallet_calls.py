"""The wallet's calls: wrapping, transfers, and the tokens' contracts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from basis_strategy_v1.core.chain_call import ETHER, Allowance, BalanceOf, CallAmount, ChainCall, argument, call_data
from basis_strategy_v1.core.tokens import WETH
from basis_strategy_v1.venues.venue import ONCHAIN, reject

if TYPE_CHECKING:
    from basis_strategy_v1.core.chain_call import Deployment, EncodeAction

# Ethereum mainnet's.
TOKENS = {
    "WETH": "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2",
    "USDT": "0xdAC17F958D2ee523a2206206994597C13D831ec7",
    "USDC": "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48",
    "DAI": "0x6B175474E89094C44Da98b954EedeAC495271d0F",
    "WBTC": "0x2260FAC5E5542a773Aa44fBCfeDf7C193bc2C599",
    "stETH": "0xae7ab96520DE3A18E5e111B5EaAb095312D7fE84",
    "wstETH": "0x7f39C581F595B53c5cb19bD0b3f8dA6c935E2Ca0",
    "eETH": "0x35fA164735182de50811E8e2E824cFb9B6118ac2",
    "weETH": "0xCd5fE23C85820F7B72D0926FC9b05b43E359b7ee",
}


class WalletContracts(Struct, frozen=True, kw_only=True):
    """The tokens are those of the deployment; the wallet has nothing of its own."""

    def addresses(self) -> tuple[str, ...]:
        return ()

    def encode(self, made: EncodeAction, at: Deployment) -> tuple[ChainCall, ...]:
        """Wrap or unwrap ether."""
        if made.action.action == "wrap":
            return (wrap_call(made.amount(BalanceOf(ETHER)), at),)
        return (unwrap_call(made.amount(BalanceOf(token_of(WETH, at))), at),)


def encode_transfer(token: str, units: int, receiver: str, at: Deployment) -> ChainCall:
    """A payment to an address: of ETH a call without data."""
    if token == "ETH":
        return ChainCall(to=receiver, value_wei=units)
    return ChainCall(to=token_of(token, at), data=call_data("transfer(address,uint256)", receiver, units))


def wrap_call(amount: CallAmount, at: Deployment) -> ChainCall:
    return ChainCall(to=token_of(WETH, at), data=call_data("deposit()"), value_wei=amount.units, amount=amount, pays=True)


def unwrap_call(amount: CallAmount, at: Deployment) -> ChainCall:
    data = call_data("withdraw(uint256)", amount.units)
    return ChainCall(to=token_of(WETH, at), data=data, amount=amount, places=(argument(0),))


def token_of(token: str, at: Deployment) -> str:
    """The address of a token.

    Raises:
        VenueRejected: it is not known.
    """
    if token not in at.tokens:
        reject(ONCHAIN, f"{token} has no address on chain {at.chain_id}; known are {', '.join(at.tokens)}: "
                        f"add it under venues.onchain.wallet.tokens.{token}")  # fmt: skip
    return at.tokens[token]


def held(token: str, at: Deployment) -> BalanceOf:
    """What the account has of a token, at run time."""
    return BalanceOf(ETHER if token == "ETH" else token_of(token, at))


def paying(token: str, spender: str, amount: CallAmount, at: Deployment) -> Allowance:
    return Allowance(token_of(token, at), spender, amount)
