"""Where everything is on a chain: the addresses of the settings, else Ethereum mainnet's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.chain_call import ETHER, Deployment
from basis_strategy_v1.core.state import WALLET
from basis_strategy_v1.venues import aave_calls, morpho_calls, staking_calls, swap_calls, wallet_calls
from basis_strategy_v1.venues.registry import kind_of
from basis_strategy_v1.venues.wallet import Settings as WalletSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from basis_strategy_v1.core.chain_call import VenueContracts
    from basis_strategy_v1.core.settings import VenueSettings

# By protocol, as in `VENUES`: its contracts, from its settings. What is not here is not sent live.
CONTRACTS: dict[str, Callable[[Any], VenueContracts]] = {
    "wallet": lambda _: wallet_calls.WalletContracts(),
    "aave": aave_calls.contracts,
    "morpho": morpho_calls.contracts,
    "uniswap": swap_calls.uniswap_contracts,
    "curve": swap_calls.curve_contracts,
    "lido": staking_calls.lido_contracts,
    "etherfi": staking_calls.etherfi_contracts,
}


def deployment(account: str, settings: Mapping[str, VenueSettings], wallet: str = WALLET) -> Deployment:
    """The deployment of the configured venues on chain (name -> settings), DEXes among them; `account` is the trader's address."""
    own = settings.get(wallet, WalletSettings())
    assert isinstance(own, WalletSettings)
    kinds = {name: kind_of(name, each) for name, each in {wallet: own, **settings}.items()}
    venues = {name: CONTRACTS[kind](settings.get(name, own)) for name, kind in kinds.items() if kind in CONTRACTS}
    tokens = {name: token.address for name, token in (own.tokens or {}).items()}
    return Deployment(account=account, tokens={**wallet_calls.TOKENS, **tokens}, venues=venues, chain_id=own.chain_id)


def flash_lenders(at: Deployment) -> tuple[str, str]:
    """The Aave pool and the Morpho that the executor takes flash loans from: the configured ones, else Ethereum mainnet's; `ETHER` where
    there is none."""
    pools = [venue.pool for venue in at.venues.values() if isinstance(venue, aave_calls.AaveContracts)]
    morphos = [venue.address for venue in at.venues.values() if isinstance(venue, morpho_calls.MorphoContracts)]
    public = (aave_calls.AaveContracts().pool, morpho_calls.MorphoContracts().address) if at.chain_id == 1 else (ETHER, ETHER)
    return (*pools, public[0])[0], (*morphos, public[1])[0]
