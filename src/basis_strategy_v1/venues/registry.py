"""The venues: a row of the table for each protocol, a row of `exchanges.py` for each exchange."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.core.settings import MAINNET, OnChainSettings, ProtocolSettings, VenueSettings
from basis_strategy_v1.core.state import WALLET
from basis_strategy_v1.venues import aave_names, aave_settings, exchanges, market_swap, morpho_data, morpho_names, staking, uniswap, wallet
from basis_strategy_v1.venues.aave import aave
from basis_strategy_v1.venues.cex import Exchange
from basis_strategy_v1.venues.curve import curve
from basis_strategy_v1.venues.etherfi import etherfi
from basis_strategy_v1.venues.exchanges import EXCHANGES
from basis_strategy_v1.venues.lido import lido
from basis_strategy_v1.venues.morpho import morpho
from basis_strategy_v1.venues.unified_exchange import UnifiedExchange
from basis_strategy_v1.venues.venue import CEX, DEX, ONCHAIN, OnChainVenue, Place, Venue, Venues

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from basis_strategy_v1.core.position_names import PositionName
    from basis_strategy_v1.venues.exchange_events import ExchangeEvent


def _no_names(name: str) -> PositionName | None:
    """Of a protocol whose positions are called what the tokens are."""
    return None


class ProtocolRow(NamedTuple):
    """A protocol, or the wallet: the section of the config that it stands in, its Settings, the maker of its simulator from them, and the
    reader of the names of its positions, which gives None for all others."""

    section: str
    settings: type[OnChainSettings]
    make: Callable[[Place, Any], OnChainVenue]
    read_name: Callable[[str], PositionName | None] = _no_names


# A new protocol is a line here and a file in this folder.
VENUES: dict[str, ProtocolRow] = {
    "aave": ProtocolRow(ONCHAIN, aave_settings.Settings, aave, aave_names.read_anywhere),
    "morpho": ProtocolRow(ONCHAIN, morpho_data.Settings, morpho, morpho_names.read_anywhere),
    "lido": ProtocolRow(ONCHAIN, staking.Settings, lido),
    "etherfi": ProtocolRow(ONCHAIN, staking.Settings, etherfi),
    "wallet": ProtocolRow(ONCHAIN, wallet.Settings, wallet.wallet),
    "uniswap": ProtocolRow(DEX, uniswap.Settings, uniswap.uniswap),
    "curve": ProtocolRow(DEX, market_swap.SwapSettings, curve),
}


def known_names(section: str) -> tuple[str, ...]:
    """The exchanges, or the protocols that may stand in a section of the config."""
    return tuple(EXCHANGES) if section == CEX else tuple(name for name, protocol in VENUES.items() if protocol.section == section)


def settings_of(section: str, kind: str) -> type[VenueSettings]:
    """The Settings of an exchange or a protocol.

    Raises:
        KeyError: there is none of that name in that section.
    """
    if kind not in known_names(section):
        raise KeyError(kind)
    return exchanges.Settings if section == CEX else VENUES[kind].settings


def kind_of(name: str, settings: VenueSettings) -> str:
    """The exchange or the protocol that a configured venue is."""
    if isinstance(settings, exchanges.Settings):
        return exchanges.exchange_of(name, settings)
    return (settings.protocol if isinstance(settings, OnChainSettings) else None) or name


def make_venue(
    section: str, name: str, settings: VenueSettings, alike: Mapping[str, str] | None = None, events: Sequence[ExchangeEvent] = ()
) -> Venue:
    """The simulator of a configured venue. `alike`: symbols without figures, whose figures each is taken to have; `events`: of an exchange.

    Raises:
        KeyError: there is no such exchange or protocol in that section.
        TypeError: the settings are those of another.
    """
    kind = kind_of(name, settings)
    expected = settings_of(section, kind)
    if not isinstance(settings, expected):
        given, wanted = (f"{cls.__module__.rpartition('.')[2]}.{cls.__name__}" for cls in (type(settings), expected))
        raise TypeError(f"{name} is {kind}, whose settings are {wanted}, got {given}")
    if isinstance(settings, exchanges.Settings):
        row = settings.row(name, alike)
        return (UnifiedExchange if row.haircuts else Exchange)(name, row, events)
    assert isinstance(settings, OnChainSettings)
    return VENUES[kind].make(place_of(name, settings), settings)


def place_of(name: str, settings: OnChainSettings) -> Place:
    """Where a configured venue is. On mainnet the series of a protocol are called as it is, elsewhere by the chain too."""
    of_chain = "" if settings.chain == MAINNET else f"_{settings.chain}"
    own = settings.wallet if isinstance(settings, ProtocolSettings) else name
    return Place(name, f"{kind_of(name, settings)}{of_chain}", settings.chain, own or f"{WALLET}{of_chain}")


def with_wallets(venues: Mapping[str, Mapping[str, VenueSettings]]) -> dict[str, dict[str, VenueSettings]]:
    """Section -> name -> settings, with the wallets that are not named: what protocols pay and take is in a wallet, named or not."""
    found = {section: dict(rows) for section, rows in venues.items()}
    for rows in (found[DEX], found[ONCHAIN]):
        for name, settings in tuple(rows.items()):
            assert isinstance(settings, OnChainSettings)
            sender = place_of(name, settings).wallet
            found[ONCHAIN].setdefault(sender, wallet.Settings(protocol=WALLET, chain=settings.chain))
    return found


def offering(*actions: str) -> tuple[str, ...]:
    """The protocols that have each of these actions."""
    return tuple(name for name, protocol in VENUES.items() if {*actions} <= _actions_of(name, protocol))


@cache
def _actions_of(name: str, protocol: ProtocolRow) -> frozenset[str]:
    return frozenset(protocol.make(Place(name, name, MAINNET, WALLET), protocol.settings()).actions)


__all__ = ["VENUES", "Venues", "kind_of", "known_names", "make_venue", "offering", "place_of", "settings_of", "with_wallets"]
