"""Which gateway stands for which configured venue account, and so in which modes the actions of a venue work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from basis_strategy_v1.core.state import WALLET
from basis_strategy_v1.execution.paper import PaperGateway
from basis_strategy_v1.live.live_extra import TO_CHAIN, TO_EXCHANGES, require_live
from basis_strategy_v1.venues import exchanges
from basis_strategy_v1.venues.exchanges import EXCHANGES
from basis_strategy_v1.venues.registry import kind_of
from basis_strategy_v1.venues.venue import CEX, DEX, ONCHAIN, OnChainVenue
from basis_strategy_v1.venues.wallet import Settings as WalletSettings

if TYPE_CHECKING:
    from basis_strategy_v1.config import Config
    from basis_strategy_v1.core.clock import Clock
    from basis_strategy_v1.core.gateway import Gateway
    from basis_strategy_v1.core.journal import Status
    from basis_strategy_v1.core.settings import VenueSettings
    from basis_strategy_v1.execution.paper import PaperWorld
    from basis_strategy_v1.live.secrets import Secrets
    from basis_strategy_v1.venues.venue import Venues

EXCHANGE_ACTIONS = ("spot trade", "perp trade", "transfer")
PASSPHRASE_AT = ("okx",)
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


class VenueAccount(NamedTuple):
    """All that the gateway of one configured venue account is made of. `run` is the journal's, "" where there is none yet; `symbols` are
    those that the strategy needs at its exchange: {"spot": (…), "perp": (…)}. `others` are the accounts that were made before it;
    `sent_as` says how far the instruction of a message has come (None: nobody else uses the keys)."""

    name: str
    kind: str  # the exchange or protocol that it is at
    settings: VenueSettings
    config: Config
    secrets: Secrets
    clock: Clock
    symbols: Mapping[str, tuple[str, ...]]
    run: str
    venues: Venues
    others: Mapping[str, Gateway]
    sent_as: Callable[[str], Status | None] | None = None


class RealVenue(NamedTuple):
    """What makes the gateway of an account, which actions it can send, and which keys it has in any case."""

    make: Callable[[VenueAccount], Gateway]
    actions: tuple[str, ...]
    keys: tuple[str, ...] = ()


def _exchange(account: VenueAccount) -> Gateway:
    require_live(TO_EXCHANGES)
    from basis_strategy_v1.live.exchanges import open_exchange

    assert isinstance(account.settings, exchanges.Settings)
    timeout_s = float(account.config.venue_timeout)
    return open_exchange(
        account.name, account.settings, account.secrets, account.symbols, clock=account.clock, run=account.run, timeout_s=timeout_s
    )


def _wallet(account: VenueAccount) -> Gateway:
    require_live(TO_CHAIN)
    from basis_strategy_v1.live.chains import open_wallet

    def pays_to(venue: str, token: str) -> str | None:
        ask = getattr(account.others.get(venue), "deposit_address", None)
        return None if ask is None else ask(token, chain)

    config = account.config
    assert isinstance(account.settings, WalletSettings)
    chain = account.settings.chain
    on_chain = {**config.venues.sections()[DEX], **config.venues.sections()[ONCHAIN]}
    slip_bps = None if config.limits is None else config.limits.max_slippage_bps
    return open_wallet(
        account.name, on_chain, account.venues, account.secrets, clock=account.clock, timeout_s=float(config.venue_timeout),
        pays_to=pays_to, slip_bps=slip_bps, **({} if account.sent_as is None else {"sent_as": account.sent_as}),
    )  # fmt: skip


_TRADES, _KEYS = ("spot trade", "perp trade"), ("API_KEY", "API_SECRET")
REAL: dict[str, RealVenue] = {
    "binance": RealVenue(_exchange, EXCHANGE_ACTIONS, _KEYS),
    "bybit": RealVenue(_exchange, _TRADES, _KEYS),
    "hyperliquid": RealVenue(_exchange, _TRADES, _KEYS),
    "okx": RealVenue(_exchange, _TRADES, _KEYS),
    WALLET: RealVenue(_wallet, ("wrap", "unwrap", "transfer")),
}
"""By exchange or protocol. With one line here it trades live."""
FROM_WALLET = {"aave": ("supply", "withdraw", "borrow", "repay", "set_emode", "flash_loan")}
"""By protocol, the actions that the wallet's gateway sends: those whose state it reads, so that they can be tried out before."""


def account_names(venues: Venues) -> list[str]:
    """The venue accounts: each exchange account, and the wallet with every protocol on its chain."""
    names = [name for name, venue in venues.items() if venue.kind == CEX]
    return [*names, WALLET] if WALLET in venues else names


def paper_gateways(world: PaperWorld, venues: Venues, clock: Any) -> dict[str, Gateway]:
    """A simulated gateway for each venue account."""
    return {name: PaperGateway(name, world, clock) for name in account_names(venues)}


def real_gateways(
    config: Config,
    venues: Venues,
    secrets: Secrets,
    clock: Clock,
    series: Sequence[tuple[str, str, str]] = (),
    run: str = "",
    sent_as: Callable[[str], Status | None] | None = None,
) -> dict[str, Gateway]:
    """A real gateway for each venue account that has one.

    Raises:
        ComponentError: CFG-003, its keys are missing.
    """
    found: dict[str, Gateway] = {}
    for name in account_names(venues):
        settings, kind = settings_of(config, name) or WalletSettings(), exchange_or_protocol(config, name)
        if kind in REAL:
            symbols = {wanted: tuple(symbol for of, at, symbol in series if (of, at) == (wanted, kind)) for wanted in ("spot", "perp")}
            found[name] = REAL[kind].make(VenueAccount(name, kind, settings, config, secrets, clock, symbols, run, venues, found, sent_as))
    chains = {name: venue.chain for name, venue in venues.items() if isinstance(venue, OnChainVenue)}
    for gateway in found.values():
        if hasattr(gateway, "payees") and hasattr(gateway, "chains"):
            gateway.payees, gateway.chains = {name: one for name, one in found.items() if hasattr(one, "deposit_address")}, chains
    return found


def settings_of(config: Config, name: str) -> VenueSettings | None:
    """The settings of a configured venue; None of a wallet that is not named."""
    return next((rows[name] for rows in config.venues.sections().values() if name in rows), None)


def exchange_or_protocol(config: Config, name: str) -> str:
    """What a venue account is at."""
    settings = settings_of(config, name)
    return name if settings is None else kind_of(name, settings)


def without_gateway(config: Config, venues: Venues) -> list[str]:
    """The venue accounts, and the protocols on chain, that have no real gateway in this version."""
    accounts = [name for name in account_names(venues) if exchange_or_protocol(config, name) not in REAL]
    protocols = [name for name, venue in venues.items() if venue.kind != CEX]
    return [*accounts, *(name for name in protocols if exchange_or_protocol(config, name) not in (*REAL, *FROM_WALLET))]


def not_on_this_machine(config: Config, venues: Venues, secrets: Secrets) -> list[str]:
    """The venue accounts whose requests would leave this machine."""

    def is_local(name: str) -> bool:
        if exchange_or_protocol(config, name) == WALLET:
            send_url = getattr(settings_of(config, name), "send_url", None)
            addresses = [url.reveal() for url in secrets.urls(name, "RPC_URL")] + ([send_url] if send_url else [])
        else:
            endpoint = getattr(settings_of(config, name), "endpoint", None)
            addresses = [endpoint] if endpoint else []
        return bool(addresses) and all(urlsplit(address).hostname in LOCAL_HOSTS for address in addresses)

    return [name for name in account_names(venues) if not is_local(name)]


def key_fields(exchange: str) -> tuple[str, ...]:
    """The fields of the keys of an account at an exchange, as `Secrets` has them."""
    return ("API_KEY", "API_SECRET", *(("PASSPHRASE",) if exchange in PASSPHRASE_AT else ()))


def modes_line(kind: str, actions: Sequence[str]) -> str:
    """The actions of an exchange or protocol with the modes in which each of them works."""
    modes = ["backtest", "paper" if kind in EXCHANGES else "paper over recorded data"]
    live = REAL[kind].actions if kind in REAL else FROM_WALLET.get(kind, ())
    sent = [action for action in actions if action in live]
    if len(sent) == len(actions):
        return f"{', '.join(actions)}: {', '.join([*modes, 'live'])}"
    return f"{', '.join(actions)}: {', '.join(modes)}{'; live: ' if sent else ''}{', '.join(sent)}"
