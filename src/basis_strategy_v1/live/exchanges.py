"""The exchanges that can be traded live, a row each, and how a gateway to one account is made."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from basis_strategy_v1.core.clock import SimulatedClock, SystemClock
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.live.binance import WINDOWS, Binance
from basis_strategy_v1.live.binance_transfers import BinanceTransfers
from basis_strategy_v1.live.bybit import CLOSED_S as BYBIT_CLOSED_S
from basis_strategy_v1.live.bybit import WINDOWS as BYBIT_WINDOWS
from basis_strategy_v1.live.bybit import Bybit
from basis_strategy_v1.live.bybit_errors import refusal_of as bybit_refusal
from basis_strategy_v1.live.exchange_access import Access
from basis_strategy_v1.live.exchange_client import ExchangeClient, RefusalOf, refusal_by_minus
from basis_strategy_v1.live.exchange_due import DueReader
from basis_strategy_v1.live.exchange_gateway import ExchangeGateway
from basis_strategy_v1.live.exchange_rate import UNSTATED_S, RateLimit, RateWindow, RequestsLeft
from basis_strategy_v1.live.exchange_transfer_check import TransferCheck
from basis_strategy_v1.live.hyperliquid import Hyperliquid
from basis_strategy_v1.live.hyperliquid_errors import refusal_of as hyperliquid_refusal
from basis_strategy_v1.live.okx import Okx
from basis_strategy_v1.live.okx_errors import refusal_of as okx_refusal
from basis_strategy_v1.venues.exchanges import Settings, exchange_of

if TYPE_CHECKING:
    from basis_strategy_v1.core.clock import Clock
    from basis_strategy_v1.live.exchange_api import ExchangeApi
    from basis_strategy_v1.live.exchange_transfers import TransferApi
    from basis_strategy_v1.live.secrets import Secrets


class VenueRow(NamedTuple):
    """The calls of an account at an exchange, how fast each host may be asked, and what is special about its keys, errors and requests.

    `receive_window_ms` is that of every request, where it is not a parameter of each.
    """

    api: Callable[[ExchangeClient], ExchangeApi]
    windows: Mapping[str, tuple[RateWindow | RequestsLeft, ...]]
    refusal_of: RefusalOf = refusal_by_minus
    has_passphrase: bool = False
    receive_window_ms: int | None = None
    closed_s: Mapping[int, float] = UNSTATED_S
    transfers: Callable[[ExchangeClient], TransferApi] | None = None


# Another exchange is a file with these calls, and a row here.
VENUES = {
    "binance": VenueRow(Binance, WINDOWS, transfers=BinanceTransfers),
    "bybit": VenueRow(Bybit, BYBIT_WINDOWS, bybit_refusal, receive_window_ms=Bybit.life_ms, closed_s=BYBIT_CLOSED_S),
    "hyperliquid": VenueRow(Hyperliquid, {}, hyperliquid_refusal),
    "okx": VenueRow(Okx, {}, okx_refusal, has_passphrase=True),
}


def open_exchange(
    name: str,
    settings: Settings,
    secrets: Secrets,
    symbols: Mapping[str, tuple[str, ...]],
    *,
    clock: Clock | None = None,
    run: str = "",
    timeout_s: float = 15.0,
    sleep: Callable[[float], None] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> ExchangeGateway:
    """The gateway to a configured account. `symbols` are those that the run trades: {"spot": (…), "perp": (…)}. Nothing is asked yet.

    `run` is the journal's: orders that carry it are those of this run. Where `clock` is simulated, the venue's clock goes by it.

    Raises:
        ComponentError: CFG-001, the exchange cannot be traded live; CFG-003, a key is missing.
    """
    exchange = exchange_of(name, settings)
    row = VENUES.get(exchange)
    if row is None:
        there = ", ".join(VENUES)
        raise ComponentError("CFG-001", f"venues.cex.{name}: {exchange} cannot be traded live in this version; {there} can, or add --paper")
    ours = SystemClock() if clock is None else clock
    client = ExchangeClient(
        exchange,
        secrets.require(name, "API_KEY"),
        secrets.require(name, "API_SECRET"),
        clock=ours,
        rate=RateLimit(row.windows, sleep, monotonic, row.closed_s),
        endpoint=settings.endpoint,
        timeout_s=timeout_s,
        scrub=secrets.scrub,
        passphrase=secrets.require(name, "PASSPHRASE") if row.has_passphrase else None,
        refusal_of=row.refusal_of,
        receive_window_ms=row.receive_window_ms,
    )
    access = Access(name, row.api(client), client, symbols, measures_clock=not isinstance(ours, SimulatedClock))
    transfers = None if row.transfers is None else row.transfers(client)
    check = None if transfers is None else TransferCheck(access, transfers, settings.row(name))
    return ExchangeGateway(access, DueReader(access, run, transfers), settings.endpoint or exchange, run, transfers, check)
