"""The market feed of a run on the wall clock, as its config asks for it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from basis_strategy_v1.app.checks import chains_with_gas
from basis_strategy_v1.core.clock import from_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.market import REDEEMED_BY
from basis_strategy_v1.core.settings import OnChainSettings
from basis_strategy_v1.core.state import WALLET
from basis_strategy_v1.live.live_extra import TO_CHAIN, require_live
from basis_strategy_v1.live.market_feed import KINDS, MarketFeed
from basis_strategy_v1.live.public_exchange import PublicExchange
from basis_strategy_v1.venues.exchanges import exchange_of
from basis_strategy_v1.venues.registry import kind_of, place_of, with_wallets
from basis_strategy_v1.venues.venue import DEX, ONCHAIN
from basis_strategy_v1.venues.wallet import Settings as WalletSettings

if TYPE_CHECKING:
    from datetime import datetime

    from basis_strategy_v1.config import Config
    from basis_strategy_v1.core.clock import Clock
    from basis_strategy_v1.live.chain_feed import ChainRows
    from basis_strategy_v1.live.secrets import Secrets
    from basis_strategy_v1.strategies.strategy import Strategy

CHAIN_KINDS = ("gas", "lending")
LEAST_HISTORY = timedelta(days=3)
HISTORY_OF_USERS = timedelta(days=30)  # what a user's strategy looks back to is not known
BY_RECORDED_DATA = "replay recorded data with --data DIR --speed max"


def feed_of(config: Config, strategy: Strategy, clock: Clock, secrets: Secrets | None = None) -> MarketFeed:
    """The feed that gives a strategy its series. Nothing is asked of an exchange yet. `secrets` have the nodes of a chain, whose series
    there are then too.

    Raises:
        ComponentError: as `series_of`.
    """
    return MarketFeed(
        exchanges_of(config),
        series_of(config, strategy, has_chain=secrets is not None),
        clock,
        spot_venues=_spot_venues(config),
        max_staleness=config.data.staleness,
        missing_funding=config.data.missing_funding,
        chain=None if secrets is None else chain_rows(config, secrets),
    )


def chain_rows(config: Config, secrets: Secrets) -> ChainRows | None:
    """What the chain of the wallet gives; None where nothing is on one.

    Raises:
        ComponentError: CFG-003, the wallet's key or its node is missing.
    """
    sections = with_wallets(config.venues.sections())
    on_chain = {**sections[DEX], **sections[ONCHAIN]}
    if WALLET not in on_chain:
        return None
    from basis_strategy_v1.live.chain_feed import ChainRows

    require_live(TO_CHAIN)
    from basis_strategy_v1.live.chains import open_reader

    own = on_chain[WALLET]
    assert isinstance(own, WalletSettings)
    pools = {place_of(name, each).series: name for name, each in on_chain.items()
             if isinstance(each, OnChainSettings) and kind_of(name, each) == "aave"}  # fmt: skip
    reader, _ = open_reader(WALLET, on_chain, secrets, timeout_s=float(config.venue_timeout))
    return ChainRows(reader, own.chain, pools)


def series_of(config: Config, strategy: Strategy, *, has_chain: bool = False) -> list[tuple[str, str, str]]:
    """The series that a strategy needs of exchanges, and of a chain where there is one.

    Raises:
        ComponentError: DAT-001, a line for the series that only a chain gives; CFG-001, the strategy replays a file of blocks.
    """
    if config.strategy_mode == "blocks":
        raise ComponentError("CFG-001", f"strategy_mode blocks has the times of its blocks in its file: {BY_RECORDED_DATA}")
    needed = list(strategy.needs(config.strategy)) if hasattr(strategy, "needs") else []
    missing = [name for kind, name in _of_chains(config, needed) if not (has_chain and kind in CHAIN_KINDS)]
    if missing:
        raise ComponentError("DAT-001", f"no live feed of {', '.join(missing)}: {_way_out(missing)}")
    return [*needed, *(("gas", chain, chain) for chain in chains_with_gas(config) if has_chain)]


def history_from(config: Config, now: datetime, settled: int | None) -> datetime:
    """From when on a strategy's window, and what has fallen due at the simulated venues, need the past."""
    hours = getattr(config.strategy, "funding_window_hours", None)
    window = max(timedelta(hours=hours), LEAST_HISTORY) if isinstance(hours, int) else HISTORY_OF_USERS
    window = max(window, config.warmup or LEAST_HISTORY)
    return now - window if settled is None else min(now - window, from_instant(settled))


def endpoints_of(config: Config) -> dict[str, str | None]:
    """Where each configured exchange is asked instead of its own address: accounts of one exchange share the first that one of them has."""
    found: dict[str, str | None] = {}
    for name, own in config.venues.cex.items():
        exchange = exchange_of(name, own)
        found[exchange] = found.get(exchange) or own.endpoint
    return found


def exchanges_of(config: Config) -> dict[str, PublicExchange]:
    """The public side of each configured exchange."""
    return {name: PublicExchange(name, endpoint, float(config.venue_timeout)) for name, endpoint in endpoints_of(config).items()}


def _of_chains(config: Config, needed: list[tuple[str, str, str]]) -> list[tuple[str, str]]:
    """The series that no exchange gives: their kind, and how they are named in messages."""
    keys = dict.fromkeys((*needed, *(("gas", chain, chain) for chain in chains_with_gas(config))))
    found = [(kind, f"{kind} of {venue} for {name}") for kind, venue, name in keys if kind not in KINDS]
    held = {token for tokens in (config.initial_positions or {}).values() for token in tokens}
    return [*found, *(("staking", f"staking of {REDEEMED_BY[token][0]} for {token}") for token in sorted(held & REDEEMED_BY.keys()))]


def _way_out(missing: list[str]) -> str:
    if all(name.startswith("gas ") for name in missing):
        return f"set gas_price_gwei of the wallet to a number, or {BY_RECORDED_DATA}"
    return f"only a chain gives them. {BY_RECORDED_DATA[0].upper()}{BY_RECORDED_DATA[1:]}"


def _spot_venues(config: Config) -> tuple[str, ...]:
    """Whose prices value a token: the strategy's spot venue, then the configured exchanges in order."""
    own, accounts = getattr(config.strategy, "spot_venue", None), config.venues.cex
    ordered = sorted(accounts, key=lambda name: name != own)
    return tuple(dict.fromkeys(exchange_of(name, accounts[name]) for name in ordered))
