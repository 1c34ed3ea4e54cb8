"""Which gateway stands for which configured venue account, and so in which modes a venue works."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.state import WALLET
from basis_strategy_v1.execution.paper import PaperGateway
from basis_strategy_v1.venues.exchanges import EXCHANGES
from basis_strategy_v1.venues.registry import kind_of
from basis_strategy_v1.venues.venue import CEX

if TYPE_CHECKING:
    from basis_strategy_v1.config import Config
    from basis_strategy_v1.core.clock import Clock
    from basis_strategy_v1.core.gateway import Gateway
    from basis_strategy_v1.core.settings import VenueSettings
    from basis_strategy_v1.execution.paper import PaperWorld
    from basis_strategy_v1.live.secrets import Secrets
    from basis_strategy_v1.venues.venue import Venues

    Maker = Callable[[str, VenueSettings, Config, Secrets, Clock], Gateway]  # name, settings of the account, config, keys, clock

REAL: Mapping[str, Maker] = {}
"""Exchange or protocol -> what makes the gateway of an account there. One line here, and it trades live."""


def account_names(venues: Venues) -> list[str]:
    """The venue accounts: each exchange account, and the wallet with every protocol on its chain."""
    names = [name for name, venue in venues.items() if venue.kind == CEX]
    return [*names, WALLET] if WALLET in venues else names


def paper_gateways(world: PaperWorld, venues: Venues, clock: Any) -> dict[str, Gateway]:
    """A simulated gateway for each venue account."""
    return {name: PaperGateway(name, world, clock) for name in account_names(venues)}


def real_gateways(config: Config, venues: Venues, secrets: Secrets, clock: Clock) -> dict[str, Gateway]:
    """A real gateway for each venue account that has one.

    Raises:
        ComponentError: CFG-003, its keys are missing.
    """
    found = {}
    for name in account_names(venues):
        settings = settings_of(config, name)
        if settings is not None and (make := REAL.get(kind_of(name, settings))) is not None:
            found[name] = make(name, settings, config, secrets, clock)
    return found


def settings_of(config: Config, name: str) -> VenueSettings | None:
    """The settings of a configured venue; None of a wallet that is not named."""
    return next((rows[name] for rows in config.venues.sections().values() if name in rows), None)


def without_gateway(config: Config, venues: Venues) -> list[str]:
    """The venue accounts that have no real gateway in this version."""
    names = account_names(venues)
    return [name for name in names if (own := settings_of(config, name)) is None or kind_of(name, own) not in REAL]


def require_real(config: Config, venues: Venues) -> None:
    """Refuse to trade where a venue account has no real gateway.

    Raises:
        ComponentError: CFG-001.
    """
    if without := without_gateway(config, venues):
        raise ComponentError("CFG-001", f"{', '.join(without)}: no live gateway in this version; add --paper")


def modes_of(kind: str) -> str:
    """The modes in which the actions of an exchange or protocol work, as a part of a line."""
    paper = "paper" if kind in EXCHANGES else "paper over recorded data"
    return ", ".join(["backtest", paper, *(["live"] if kind in REAL else [])])
