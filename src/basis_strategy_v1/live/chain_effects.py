"""What a transaction did to one account, from its logs: tokens by venue, and what changed at the protocols in their own units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from basis_strategy_v1.core.tokens import WETH
from basis_strategy_v1.live.aave_events import AaveEffect, aave_effect
from basis_strategy_v1.live.chain_abi import address_of, decoded, topic
from basis_strategy_v1.live.chain_reader import scaled_keys

if TYPE_CHECKING:
    from basis_strategy_v1.core.chain_call import Deployment
    from basis_strategy_v1.live.aave_reading import PoolContracts

TRANSFER = "Transfer(address,address,uint256)"
DEPOSIT, WITHDRAWAL = "Deposit(address,uint256)", "Withdrawal(address,uint256)"
UNISWAP_SWAP = "Swap(address,address,int256,int256,uint160,uint128,int24)"
ETHER_LOGS = "0x" + "ee" * 20
"""Where a simulating node logs payments of ether as transfers."""


class ChainPlaces(Struct, frozen=True, kw_only=True):
    """Whose addresses are whose: the account, tokens by address, and venues by the address that they take from and pay to (lower case)."""

    account: str
    wallet: str
    tokens: Mapping[str, str]
    venues: Mapping[str, str]
    pools: Mapping[str, PoolContracts]
    weth: str
    swaps_at: str  # the venue of a pool that logs a swap as Uniswap's do


def places_of(deployment: Deployment, pools: Mapping[str, PoolContracts], wallet: str, swaps_at: str = "uniswap") -> ChainPlaces:
    """The places of a deployment."""
    venues = {address.lower(): name for name, venue in deployment.venues.items() for address in venue.addresses()}
    for name, pool in pools.items():
        venues |= {reserve.a_token.lower(): name for reserve in pool.reserves.values()}
    tokens = {address.lower(): name for name, address in deployment.tokens.items()}
    weth = deployment.tokens.get(WETH, "").lower()
    venues[weth] = wallet
    return ChainPlaces(
        account=deployment.account.lower(), wallet=wallet, tokens=tokens, venues=venues, pools=pools, weth=weth, swaps_at=swaps_at
    )


class Effect(Struct, frozen=True, kw_only=True):
    """Base units. `tokens`: what each venue paid to the account (took, where negative), ether among them; of somebody else's address under
    the name "". `aave`: what changed at each pool."""

    tokens: Mapping[str, Mapping[str, int]]
    aave: Mapping[str, AaveEffect]

    def moved(self, token: str) -> int:
        """What the account has more of a token."""
        return sum(tokens.get(token, 0) for tokens in self.tokens.values())

    def balances(self) -> dict[str, int]:
        """By how much each balance changed, as `ChainReader.balances` calls them; the gas is left out."""
        found = {token: self.moved(token) for token in self.names}
        for name, changed in self.aave.items():
            for token in dict.fromkeys((*changed.supplied, *changed.borrowed)):
                scaled = changed.supplied.get(token, 0), changed.borrowed.get(token, 0)
                found |= dict(zip(scaled_keys(name, token), scaled, strict=True))
        return {name: units for name, units in found.items() if units}

    @property
    def names(self) -> tuple[str, ...]:
        """The tokens that moved."""
        return tuple(dict.fromkeys(token for tokens in self.tokens.values() for token in tokens))


def effect_of(logs: Iterable[Mapping[str, Any]], places: ChainPlaces, ether: Mapping[str, int] | None = None) -> Effect:
    """What some logs say. `ether`: what the transaction itself pays, by address; a simulating node's logs have it."""
    logs = list(logs)
    tokens: dict[str, dict[str, int]] = {}

    def move(venue: str, token: str, units: int) -> None:
        there = tokens.setdefault(venue, {})
        there[token] = there.get(token, 0) + units

    swaps = {log["address"].lower() for log in logs if log["topics"] and log["topics"][0] == topic(UNISWAP_SWAP)}

    def venue_of(address: str) -> str:
        return places.swaps_at if address in swaps else places.venues.get(address, "")

    has_ether = any(log["address"].lower() == ETHER_LOGS for log in logs)
    for log in logs:
        address, topics = log["address"].lower(), log["topics"]
        if len(topics) == 3 and topics[0] == topic(TRANSFER):
            token = "ETH" if address == ETHER_LOGS else places.tokens.get(address)
            source, target = address_of(topics[1]), address_of(topics[2])
            if token is None or source == target:
                continue
            (units,) = decoded(("uint256",), log["data"])
            if source == places.account:
                move(venue_of(target), token, -units)
            elif target == places.account:
                move(venue_of(source), token, units)
        elif address == places.weth and len(topics) == 2 and address_of(topics[1]) == places.account:
            (units,) = decoded(("uint256",), log["data"])
            sign = {topic(DEPOSIT): 1, topic(WITHDRAWAL): -1}.get(topics[0], 0)
            move(places.wallet, WETH, sign * units)
            if not has_ether:
                move(places.wallet, "ETH", -sign * units)
    for receiver, wei in (ether or {}).items():
        if receiver.lower() not in (places.weth, places.account) and not has_ether:
            move(venue_of(receiver.lower()), "ETH", -wei)
    kept = {venue: {token: units for token, units in moved.items() if units} for venue, moved in tokens.items()}
    aave = {name: aave_effect(logs, pool, places.account) for name, pool in places.pools.items()}
    return Effect(
        tokens={venue: moved for venue, moved in kept.items() if moved}, aave={name: found for name, found in aave.items() if found.is_any}
    )
