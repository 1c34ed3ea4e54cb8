"""The venues: a row of the table for each protocol, a row of `exchanges.py` for each exchange."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.venues.aave import Aave, aave
from basis_strategy_v1.venues.cex import Exchange
from basis_strategy_v1.venues.curve import curve
from basis_strategy_v1.venues.etherfi import etherfi
from basis_strategy_v1.venues.exchanges import EXCHANGES, exchange_row, with_settings
from basis_strategy_v1.venues.lido import lido
from basis_strategy_v1.venues.morpho import morpho
from basis_strategy_v1.venues.uniswap import uniswap
from basis_strategy_v1.venues.venue import CEX, DEX, ONCHAIN, OnChainVenue, Venue, Venues
from basis_strategy_v1.venues.wallet import WalletVenue

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from basis_strategy_v1.venues.aave_observed import ObservedPool


def _wallet(settings: dict[str, Any]) -> WalletVenue:
    price = settings.get("gas_price_gwei")
    return WalletVenue(None if price in (None, "market") else Decimal(str(price)))


# name -> (kind, maker of its simulator from the venue's settings). A new protocol is a line here and a file beside this one.
VENUES: dict[str, tuple[str, Callable[[dict[str, Any]], OnChainVenue]]] = {
    "aave": (ONCHAIN, aave),
    "morpho": (ONCHAIN, morpho),
    "lido": (ONCHAIN, lido),
    "etherfi": (ONCHAIN, etherfi),
    "wallet": (ONCHAIN, _wallet),
    "uniswap": (DEX, uniswap),
    "curve": (DEX, curve),
}


def make_venue(kind: str, name: str, settings: Mapping[str, Any] | None) -> Venue:
    """The simulator of a configured venue.

    Raises:
        KeyError: there is no such venue of that kind.
    """
    if kind == CEX:
        return Exchange(name, with_settings(exchange_row(name), dict(settings or {})))
    found_kind, maker = VENUES[name]
    if found_kind != kind:
        raise KeyError(name)
    return maker(dict(settings or {}))


def known_names(kind: str) -> tuple[str, ...]:
    """The names that a config may list under a kind of venue."""
    return tuple(EXCHANGES) if kind == CEX else tuple(name for name, (found, _) in VENUES.items() if found == kind)


def offering(action: str) -> tuple[str, ...]:
    """The protocols that have an action."""
    return tuple(name for name, (_, maker) in VENUES.items() if action in maker({}).actions)


def pool_of(name: str, settings: Mapping[str, Any]) -> ObservedPool:
    """The rules and e-mode categories of a configured lender from one pool: of what is `offering("set_emode")`."""
    lender = make_venue(ONCHAIN, name, settings)
    assert isinstance(lender, Aave), f"{name} has e-modes and none of aave.py's pools"
    return lender.pool


__all__ = ["VENUES", "Venues", "known_names", "make_venue", "offering", "pool_of"]
