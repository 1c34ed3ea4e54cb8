"""`basis check CONFIG --live`: everything that would keep a live run from beginning, all at once. Nothing is sent."""

from __future__ import annotations

import decimal
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.app import strategy_of
from basis_strategy_v1.app.account_checks import NOT_READY, findings_of
from basis_strategy_v1.app.live_feed import exchanges_of, series_of
from basis_strategy_v1.app.venue_accounts import account_names, exchange_or_protocol, key_fields, real_gateways, without_gateway
from basis_strategy_v1.config import Environment, load_config
from basis_strategy_v1.config.loading import load_in_part
from basis_strategy_v1.core.amounts import EXACT, plain
from basis_strategy_v1.core.clock import SECOND_US, SystemClock, to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.gateway import MalformedAnswer
from basis_strategy_v1.core.market import MissingData
from basis_strategy_v1.core.state import WALLET, State
from basis_strategy_v1.execution.execution_interface_manager import venues_of_config
from basis_strategy_v1.execution.run_share import within
from basis_strategy_v1.live.market_feed import MarketFeed
from basis_strategy_v1.live.secrets import read_secrets
from basis_strategy_v1.live.total_deadline import total_deadline
from basis_strategy_v1.live.wallet_key import wallet_key
from basis_strategy_v1.results.attribution import ETH_CLASS

if TYPE_CHECKING:
    from basis_strategy_v1.config import Config
    from basis_strategy_v1.core.clock import Clock
    from basis_strategy_v1.core.gateway import Gateway
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.live.public_exchange import PublicExchange
    from basis_strategy_v1.live.secrets import Secrets
    from basis_strategy_v1.venues.venue import PerpExposure, Venues

CLOCK_OFF_US = SECOND_US
PRICED = ("spot", "perp")
ZERO = Decimal(0)


class LiveProblem(NamedTuple):
    """Something that has to be put right before a live run, and the error code that it would end with."""

    code: str
    message: str


class Readings(NamedTuple):
    """The balances at the venues that answered, and whether all of them did."""

    state: State
    is_whole: bool


def check_live(config: Any, *, gateways: Mapping[str, Gateway] | None = None, clock: Clock | None = None) -> Iterator[str]:
    """The lines of the check. `gateways`: those of the venue accounts; None: the real ones that the config and the keys give.

    Raises:
        ComponentError: with a line for each finding, the code of the first.
    """
    findings: list[LiveProblem] = []
    settings = _settings(config, findings)
    if settings is not None:
        yield f"config: {settings.strategy_mode}, hash {settings.hash[:12]}"
        yield from _checked(settings, findings, gateways, clock or SystemClock())
    if findings:
        first, *others = findings
        raise ComponentError(first.code, "\n".join([first.message, *(f"{one.code}: {one.message}" for one in others)]))
    yield "ready"


def _settings(config: Any, findings: list[LiveProblem]) -> Config | None:
    """The config, with all that is wrong with it among the findings: without the sections that are; None where the rest is no config."""
    try:
        return load_config(config, live=True)
    except ComponentError as wrong:
        findings += [LiveProblem(wrong.error_code, line) for line in wrong.message.splitlines()]
    return load_in_part(config)


def _checked(settings: Config, findings: list[LiveProblem], gateways: Mapping[str, Gateway] | None, clock: Clock) -> Iterator[str]:
    venues = venues_of_config(settings)
    secrets = read_secrets(Environment.read().environment)
    findings += [*_missing_keys(settings, venues, secrets), *_missing_addresses(settings, venues)]
    try:
        exchanges = exchanges_of(settings)
    except ComponentError as without:  # no exchange can be asked
        findings.append(_finding(without))
        return
    series = _series(settings, findings)
    if gateways is None:
        findings += [LiveProblem(NOT_READY, f"{name}: no live gateway in this version") for name in without_gateway(settings, venues)]
        gateways = _made(settings, venues, secrets, clock, series, findings)
    for exchange in exchanges.values():
        try:
            yield from _clock_of(exchange, clock, findings)
            findings += _unlisted(exchange, series)
        except ComponentError as unreachable:
            findings.append(_finding(unreachable))
    yield from _accounts(gateways, settings, findings)
    readings = _read(gateways, float(settings.venue_timeout), findings)
    if readings.is_whole and gateways.keys() >= set(account_names(venues)):
        yield from _funds(settings, venues, exchanges, clock, readings.state, findings)


def _unlisted(exchange: PublicExchange, series: list[tuple[str, str, str]]) -> Iterator[LiveProblem]:
    for kind, venue, symbol in series:
        if kind in PRICED and venue == exchange.name and not exchange.lists(kind, symbol):
            yield LiveProblem("DAT-001", f"{venue} lists no {kind} {symbol}; correct the symbol, or choose another exchange")


def _finding(error: ComponentError) -> LiveProblem:
    return LiveProblem(error.error_code, error.message)


def _missing_keys(settings: Config, venues: Venues, secrets: Secrets) -> Iterator[LiveProblem]:
    for name in account_names(venues):
        if name == WALLET:
            try:
                wallet_key(secrets, name)
            except ComponentError as keyless:
                yield _finding(keyless)
            continue
        fields = key_fields(exchange_or_protocol(settings, name))
        missing = [field for field in fields if secrets.get(name, field) is None]
        yield from (
            LiveProblem("CFG-003", f"{secrets.name(name, field)} is not set; set it in the environment of this process")
            for field in missing
        )
    for name in secrets.unread(account_names(venues)):
        yield LiveProblem("CFG-003", f"{name} is set, and no configured venue reads it: correct the name, or unset it")


def _missing_addresses(settings: Config, venues: Venues) -> Iterator[LiveProblem]:
    accounts = account_names(venues)
    if len(accounts) > 1 and settings.limits is not None and not settings.limits.withdrawal_addresses:
        between = ", ".join(accounts)
        yield LiveProblem(
            "CFG-001",
            f"limits.withdrawal_addresses: none; list the address of each of {between} that is paid to, or nothing moves between them",
        )


def _series(settings: Config, findings: list[LiveProblem]) -> list[tuple[str, str, str]]:
    """The series that the strategy needs of exchanges; what is wrong with its file, or comes from a chain, is a finding."""
    if settings.strategy is None:
        return []
    try:
        return series_of(settings, strategy_of(settings), has_chain=True)
    except ComponentError as wrong:
        findings.append(_finding(wrong))
        return []


def _made(
    settings: Config, venues: Venues, secrets: Secrets, clock: Clock, series: list[tuple[str, str, str]], findings: list[LiveProblem]
) -> dict[str, Gateway]:
    """The real gateways; where keys are missing there are none, and the findings have said so."""
    try:
        return real_gateways(settings, venues, secrets, clock, series)
    except ComponentError as missing:
        findings += [_finding(missing)] if _finding(missing) not in findings else []
        return {}


# What the venues say.


def _clock_of(exchange: PublicExchange, clock: Clock, findings: list[LiveProblem]) -> Iterator[str]:
    """How far an exchange's clock is from ours; half of the time that the answer took is not known."""
    exchange.time()  # the first call loads the client and connects, which takes longer than the clocks may differ
    before = to_instant(clock.now())
    there = exchange.time()
    after = to_instant(clock.now())
    ahead_us = there - (before + after) // 2
    is_ahead = "ahead of" if ahead_us > 0 else "behind"
    line = f"{exchange.name}: its clock is {abs(ahead_us) / SECOND_US:.3f} s {is_ahead} this machine's"
    if abs(ahead_us) - (after - before) // 2 >= CLOCK_OFF_US:
        findings.append(LiveProblem(NOT_READY, f"{line}; set this machine's clock (NTP): orders are refused or expire at once"))
    else:
        yield line


def _accounts(gateways: Mapping[str, Gateway], settings: Config, findings: list[LiveProblem]) -> Iterator[str]:
    """What is wrong with the real accounts, and what is worth knowing about them."""
    for name, gateway in gateways.items():
        try:
            found = findings_of(gateway, settings)
        except TimeoutError as late:
            findings.append(LiveProblem("CEX-002", f"{name} cannot be looked at: {late}"))
            continue
        if found is not None:
            findings += [LiveProblem(NOT_READY, fault) for fault in found.faults]
            yield from found.notes


def _read(gateways: Mapping[str, Gateway], timeout_s: float, findings: list[LiveProblem]) -> Readings:
    state, is_whole = State(), True
    for name, gateway in gateways.items():
        try:
            with total_deadline(timeout_s):
                state = state.with_parts(**gateway.read().parts)
        except (ComponentError, MalformedAnswer, TimeoutError) as unreachable:
            is_whole = False
            code = getattr(unreachable, "error_code", "EIM-002")
            findings.append(LiveProblem(code, f"{name} cannot be read: {getattr(unreachable, 'message', unreachable)}"))
    return Readings(state, is_whole)


# Funds.


def _funds(
    settings: Config, venues: Venues, exchanges: Mapping[str, PublicExchange], clock: Clock, state: State, findings: list[LiveProblem]
) -> Iterator[str]:
    """What belongs to the run, in the share class's currency."""
    currency = "ETH" if settings.share_class == ETH_CLASS else "USDT"
    market = MarketFeed(exchanges, (), clock, max_staleness=settings.data.staleness).fresh()
    with decimal.localcontext(EXACT):
        try:
            worth = _worth(venues, within(state, settings.live.allocation), market)
            funds = round(worth / market.price(currency), 2 if currency == "USDT" else 6)
        except ComponentError as unpriced:
            findings.append(LiveProblem(unpriced.error_code, f"funds: {unpriced.message}"))
            return
    line = f"funds: {plain(funds)} {currency}, initial_capital is {plain(settings.initial_capital)}"
    if funds < settings.initial_capital:
        findings.append(LiveProblem(NOT_READY, f"{line}: bring more, raise live.allocation, or lower initial_capital"))
    else:
        yield line


def _worth(venues: Venues, state: State, market: MarketSnapshot) -> Decimal:
    """USD of all that is held and has a price."""
    total = ZERO
    for name, venue in venues.items():
        if name not in state.parts:
            continue
        exposures, perps = venue.exposures(state, market)
        total += sum((_usd(held.token, held.amount, market) for held in exposures), ZERO)
        total += sum((_profit(perp, market) for perp in perps), ZERO)
    return total


def _usd(token: str, amount: Decimal, market: MarketSnapshot) -> Decimal:
    """What no exchange of the run prices is no money of the run."""
    try:
        return amount * market.price(token)
    except MissingData:
        return ZERO


def _profit(perp: PerpExposure, market: MarketSnapshot) -> Decimal:
    try:
        return (perp.base * market.perp(perp.exchange, perp.symbol) - perp.cost) * market.price(perp.settle)
    except MissingData:
        return ZERO
