"""Where everything is on a chain: the addresses of the settings, else Ethereum mainnet's. And the calls of a venue's actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.core.chain_call import Deployment
from basis_strategy_v1.core.state import WALLET
from basis_strategy_v1.venues import aave_calls, wallet_calls
from basis_strategy_v1.venues.registry import kind_of
from basis_strategy_v1.venues.venue import ONCHAIN, reject
from basis_strategy_v1.venues.wallet import Settings as WalletSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from basis_strategy_v1.core.chain_call import ChainCall, EncodeAction, Encoder, VenueContracts
    from basis_strategy_v1.core.settings import VenueSettings


class CallRow(NamedTuple):
    """How a protocol's actions become calls: its encoder, and its contracts from its settings (None: it has none of its own)."""

    encode: Encoder
    contracts: Callable[[Any], VenueContracts] | None = None


# By protocol, as in `VENUES`.
CALLS: dict[str, CallRow] = {
    "wallet": CallRow(wallet_calls.encode),
    "aave": CallRow(aave_calls.encode, aave_calls.contracts),
}


def deployment(account: str, settings: Mapping[str, VenueSettings], wallet: str = WALLET) -> Deployment:
    """The deployment of the configured venues on chain (name -> settings), those of DEXes among them; `account` is the trader's address."""
    own = settings.get(wallet, WalletSettings())
    assert isinstance(own, WalletSettings)
    venues = {}
    for name, each in settings.items():
        row = CALLS.get(kind_of(name, each))
        if row is not None and row.contracts is not None:
            venues[name] = row.contracts(each)
    tokens = {name: token.address for name, token in (own.tokens or {}).items()}
    return Deployment(account=account, tokens={**wallet_calls.TOKENS, **tokens}, venues=venues, chain_id=own.chain_id)


def encode(kind: str, made: EncodeAction, at: Deployment) -> tuple[ChainCall, ...]:
    """The calls of one action of a venue; `kind` is the protocol that it is.

    Raises:
        VenueRejected: the protocol is not sent live, or an address is not known.
    """
    if kind not in CALLS:
        reject(ONCHAIN, f"{made.action.protocol} is a {kind}, whose actions are not sent; those of {', '.join(CALLS)} are")
    return CALLS[kind].encode(made, at)
