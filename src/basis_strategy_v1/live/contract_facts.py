"""What is read of contracts once, before anything is sent to them: a market's parameters, a pool's coins, what a router belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import structs

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.limits import same_address
from basis_strategy_v1.core.tokens import WETH
from basis_strategy_v1.live.chain_abi import ContractRead
from basis_strategy_v1.venues.morpho_calls import MorphoContracts, MorphoParams
from basis_strategy_v1.venues.swap_calls import CurveContracts, UniswapContracts

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from basis_strategy_v1.core.chain_call import Deployment, VenueContracts

    Reads = Callable[[Sequence[ContractRead]], list[Any]]

WRONG = "CFG-001"
PARAMS = ("address", "address", "address", "address", "uint256")


def with_facts(at: Deployment, read: Reads) -> Deployment:
    """The deployment with the parameters of Morpho's markets, whose other contracts are what the config takes them for.

    Raises:
        ComponentError: CFG-001, with a line for each that is not. VenueUnreachable, MalformedAnswer.
    """
    faults: list[str] = []
    venues: dict[str, VenueContracts] = {}
    for name, here in at.venues.items():
        venues[name] = here
        if isinstance(here, MorphoContracts):
            venues[name] = _with_markets(name, here, read, faults)
        elif isinstance(here, CurveContracts):
            faults += _other_coins(name, here, at.tokens, read)
        elif isinstance(here, UniswapContracts):
            faults += _other_router(name, here, at.tokens, read)
    if faults:
        raise ComponentError(WRONG, "\n".join(faults))
    return structs.replace(at, venues=venues)


def _with_markets(name: str, here: MorphoContracts, read: Reads, faults: list[str]) -> MorphoContracts:
    """The markets that the config names by an id get their parameters."""
    ids = {market: market_id for market, market_id in here.ids.items() if market not in here.markets}
    reads = [ContractRead(here.address, "idToMarketParams(bytes32)", (bytes.fromhex(each[2:]),), PARAMS) for each in ids.values()]
    found = dict(here.markets)
    for (market, market_id), row in zip(ids.items(), read(reads), strict=True):
        params = MorphoParams(*row)
        if f"0x{params.market_id.hex()}" == market_id.lower():
            found[market] = params
        else:
            faults.append(
                f"venues.onchain.{name}.markets.{market}: there is no market {market_id} at {here.address}; give the market's own id"
            )
    return structs.replace(here, markets=found)


def _other_coins(name: str, here: CurveContracts, tokens: Mapping[str, str], read: Reads) -> list[str]:
    """Pools whose coins are others than their name says, or in another order."""
    places = [(pool_name, pool.address, index, coin) for pool_name, pool in here.pools.items() for index, coin in enumerate(pool.coins)]
    found = read([ContractRead(address, "coins(uint256)", (index,), ("address",)) for _, address, index, _ in places])
    names = {address.lower(): token for token, address in tokens.items()}
    return [
        f"venues.dex.{name}.pools.{pool_name}: coin {index} of {address} is {names.get(is_.lower(), is_)}, not {coin}; "
        "name them in its order"
        for (pool_name, address, index, coin), is_ in zip(places, found, strict=True)
        if not same_address(is_, tokens.get(coin, ""))
    ]


def _other_router(name: str, here: UniswapContracts, tokens: Mapping[str, str], read: Reads) -> list[str]:
    """A router of another factory, or one that wraps ether into another token."""
    own = {"factory": here.factory, WETH: tokens.get(WETH, "")}
    factory, wrapped = read([ContractRead(here.router, signature, (), ("address",)) for signature in ("factory()", "WETH9()")])
    return [
        f"venues.dex.{name}.router: the {what} of {here.router} is {is_}, not {meant or 'known'}; give the router of the same deployment"
        for (what, meant), is_ in zip(own.items(), (factory, wrapped), strict=True)
        if not same_address(is_, meant)
    ]
