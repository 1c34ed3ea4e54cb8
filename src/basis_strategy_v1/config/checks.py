"""Checks across the fields of a config, once each field by itself is valid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

from basis_strategy_v1.config.faults import UNREADABLE, Fault, Reading, did_you_mean, shown
from basis_strategy_v1.config.kinds import kinds_of, record_of
from basis_strategy_v1.config.models import Live
from basis_strategy_v1.config.venue_sections import VenuesConfig
from basis_strategy_v1.core.clock import iso
from basis_strategy_v1.core.settings import OnChainSettings, VenueSettings
from basis_strategy_v1.core.state import WALLET
from basis_strategy_v1.core.tokens import WETH
from basis_strategy_v1.core.venue_facts import VenueFact
from basis_strategy_v1.strategies import STRATEGIES
from basis_strategy_v1.strategies.pure_lending import LENT_TOKENS
from basis_strategy_v1.venues import exchanges as exchange_rows
from basis_strategy_v1.venues.registry import kind_of, make_venue, place_of
from basis_strategy_v1.venues.venue import CEX, DEX, ONCHAIN, PoolLender

Parsed = Mapping[str, Any]
Sections = Mapping[str, Mapping[str, VenueSettings]]
LONGEST_DELAYS_S = 60


def check_together(top: Any, folder: Path, reading: Reading) -> Iterator[Fault]:
    """The faults between the fields of a Top; one that could not be read is passed over, it has been reported."""
    faulty = [fault.path for fault in reading.faults]
    configured: Any = top.venues.sections() if isinstance(top.venues, VenuesConfig) else {}
    configured = {section: rows for section, rows in configured.items() if rows is not UNREADABLE}
    # Where a section has a fault, what it lacks is not known.
    whole = {section: rows for section, rows in configured.items() if not any(path.startswith(f"venues.{section}") for path in faulty)}
    venues = {
        section: {name: own for name, own in rows.items() if not any(f"{path}.".startswith(f"venues.{section}.{name}.") for path in faulty)}
        for section, rows in configured.items()
    }
    yield from _venues(venues, whole)
    yield from _assumed(top.assume, whole.get(CEX, {}))
    yield from _delays(top)
    if not reading.needs_run:
        return
    yield from _period(top)
    strategy = _read_of(top.strategy)
    yield from _share_class(top, strategy)
    if isinstance(top.initial_positions, dict):
        yield from _initial_positions(top.initial_positions, configured, venues)
    if isinstance(top.strategy, Struct):
        yield from _strategy_venues(top.strategy_mode, strategy, whole)
        if {DEX, ONCHAIN} <= set(whole) and "dex" in strategy and "protocol" in strategy:
            yield from _sale_venue(strategy, whole)
        yield from _strategy_numbers(top.strategy_mode, strategy, venues)
        yield from _symbol(strategy, venues.get(CEX, {}))
        yield from _most_borrowed(strategy, whole.get(ONCHAIN, {}))
        yield from _leaving(strategy, top)
        if not reading.has_code:
            yield from _strategy_file(top.strategy_mode, strategy, folder)
    if reading.is_live:
        yield from _limits(top.limits)
        yield from _allocation(top, configured)


def _known(*values: Any) -> bool:
    return not any(value is None or value is UNREADABLE for value in values)


def _read_of(strategy: Any) -> dict[str, Any]:
    """The strategy's parameters that could be read, by name."""
    if not isinstance(strategy, Struct):
        return {}
    found = {row.name: getattr(strategy, row.attribute) for row in record_of(type(strategy)).rows}
    return {name: value for name, value in found.items() if value is not UNREADABLE}


def _venues(venues: Sections, whole: Sections) -> Iterator[Fault]:
    for section, rows in venues.items():
        for name, settings in rows.items():
            path = f"venues.{section}.{name}"
            for where, value, allowed in settings.misfits(name):
                yield Fault(f"{path}.{where}", shown(value), allowed)
            if any(name in others for other, others in venues.items() if other < section):
                yield Fault(path, "the name of another venue, too", "a name of its own: it identifies the venue in blocks and positions")
    placed = [(f"venues.{section}.{name}", own) for section in (DEX, ONCHAIN) for name, own in venues.get(section, {}).items()]
    on_chain: dict[str, Any] = dict(placed)
    chains = [settings.chain for settings in on_chain.values()]
    wallets = [name for name, own in whole.get(ONCHAIN, {}).items() if kind_of(name, own) == WALLET]
    for path, settings in on_chain.items():
        if settings.chain != chains[0]:
            yield Fault(f"{path}.chain", shown(settings.chain), f"{chains[0]}, where the others are: one chain in a run")
        own = getattr(settings, "wallet", None)
        if own is not None and ONCHAIN in whole and own not in wallets:
            yield Fault(f"{path}.wallet", shown(own), f"a wallet under venues.onchain: {', '.join(wallets) or 'there is none'}")


def _assumed(assume: Any, exchanges: Mapping[str, VenueSettings]) -> Iterator[Fault]:
    """Symbols that are to be like one that no configured exchange has figures of."""
    rows = [own.row(name) for name, own in exchanges.items() if isinstance(own, exchange_rows.Settings)]
    for symbol, own in assume.items() if isinstance(assume, dict) else ():
        like = own.like
        if like is not UNREADABLE and rows and not any(row.has(like) for row in rows):
            bases = dict.fromkeys(base for row in rows for base in row.bases)
            yield Fault(f"assume.{symbol}.like", shown(like), f"a symbol whose figures are known, of {', '.join(bases)}")


def _delays(top: Any) -> Iterator[Fault]:
    attempts, delay = top.max_retry_attempts, top.retry_delay_seconds
    if _known(attempts, delay) and delay * (2 ** (attempts - 1) - 1) > LONGEST_DELAYS_S:
        most = LONGEST_DELAYS_S / (2 ** (attempts - 1) - 1)
        why = f"at most {most:.4g} with {attempts} attempts: each delay is twice the one before, in all at most {LONGEST_DELAYS_S} s"
        yield Fault("retry_delay_seconds", f"{delay:g}", why)


def _period(top: Any) -> Iterator[Fault]:
    if isinstance(top.start, datetime) and isinstance(top.end, datetime) and top.end <= top.start:
        yield Fault("end", iso(top.end), f"a time after start, {iso(top.start)}")


def _share_class(top: Any, strategy: Parsed) -> Iterator[Fault]:
    mode, share_class = top.strategy_mode, top.share_class
    if not _known(mode, share_class):
        return
    fitting = STRATEGIES[mode].share_classes
    if share_class not in fitting:
        yield Fault("share_class", shown(share_class), f"{' | '.join(fitting)} with strategy_mode {mode}")
    token = strategy.get("token")
    if mode == "pure_lending" and token is not None and token not in LENT_TOKENS[share_class]:
        yield Fault("strategy.token", shown(token), f"{' | '.join(LENT_TOKENS[share_class])} with share_class {share_class}")


def _initial_positions(positions: Mapping[str, Parsed], configured: Sections, venues: Sections) -> Iterator[Fault]:
    on_chain = {**venues.get(DEX, {}), **venues.get(ONCHAIN, {})}
    places = {name: place_of(name, own) for name, own in on_chain.items() if isinstance(own, OnChainSettings)}
    pools = {name: pool for name, own in venues.get(ONCHAIN, {}).items() if isinstance(pool := make_venue(ONCHAIN, name, own), PoolLender)}
    known = dict.fromkeys((*(name for rows in configured.values() for name in rows), *(place.wallet for place in places.values())))
    for name, tokens in positions.items() if configured else ():
        path, place = f"initial_positions.{name}", places.get(name)
        if name not in known:
            yield Fault(path, "not configured", f"a venue under venues: {', '.join(known) or 'there is none'}{did_you_mean(name, known)}")
        elif name in pools:
            yield from _deposits(path, tokens, pools[name])
        elif tokens and place is not None and place.wallet != name:
            yield Fault(path, ", ".join(tokens), f"what {name} pays out is held under {place.wallet}")


def _deposits(path: str, tokens: Parsed, pool: PoolLender) -> Iterator[Fault]:
    for token in tokens:
        if pool.read_position(token) is None:
            allowed = f"{', '.join(pool.position_names(token))}; {token} itself is held under {pool.wallet}"
            yield Fault(f"{path}.{token}", shown(token), allowed)


def _allocation(top: Any, venues: Sections) -> Iterator[Fault]:
    known = [name for rows in venues.values() for name in rows]
    for name in top.live.allocation if isinstance(top.live, Live) and isinstance(top.live.allocation, dict) else ():
        if name not in known:
            yield Fault(f"live.allocation.{name}", "not configured", f"a venue under venues: {', '.join(known)}{did_you_mean(name, known)}")


def _strategy_venues(mode: str, strategy: Parsed, venues: Sections) -> Iterator[Fault]:
    for row in record_of(STRATEGIES[mode].parameters).rows:
        name, venue = strategy.get(row.name), row.kind.venue
        if name is None or venue is None or venue.section not in venues:
            continue
        kinds, configured = kinds_of(venue), venues[venue.section]
        fitting = [other for other, own in configured.items() if not venue.offers or kind_of(other, own) in kinds]
        if name not in fitting:
            of = f" of {' | '.join(kinds)}" if name in configured else ""
            allowed = f"a venue under venues.{venue.section}{of}: {', '.join(fitting) or 'there is none'}"
            yield Fault(f"strategy.{row.name}", shown(name), allowed + did_you_mean(name, fitting))


def _sale_venue(strategy: Parsed, venues: Sections) -> Iterator[Fault]:
    """A sale of the staked token, for leaving or for repaying, needs a DEX."""
    configured = venues[DEX]
    sells, lender = strategy.get("unstake") == "dex", strategy.get("lender")
    if sells and not configured:
        yield Fault("strategy.unstake", "'dex'", "queue, or configure a venue under venues.dex")
    if lender and not configured:
        yield Fault("strategy.lender", shown(lender), "a lender and a venue under venues.dex: debt is repaid from a sale there")
    at = _fact_of("protocol", strategy, venues[ONCHAIN])
    if (sells or lender) and configured and strategy["dex"] is None and at is not None and at.dex and at.dex not in configured:
        yield Fault("strategy.dex", "null", f"null with {at.dex} under venues.dex, or one of {', '.join(configured)}")


def _fact_of(parameter: str, strategy: Parsed, on_chain: Mapping[str, VenueSettings]) -> VenueFact | None:
    """What the venue that a parameter names says of itself."""
    name = strategy.get(parameter) or ""
    return make_venue(ONCHAIN, name, on_chain[name]).fact() if name in on_chain else None


def _strategy_numbers(mode: str, strategy: Parsed, venues: Sections) -> Iterator[Fault]:
    leverage, perp = strategy.get("leverage"), venues.get(CEX, {}).get(strategy.get("perp_venue", ""))
    if leverage is not None and isinstance(perp, exchange_rows.Settings):
        row = perp.row(strategy["perp_venue"])
        names = row.names(_base_of(mode, strategy) + row.settle)
        most = min(min(row.max_leverage.at(date, *names), row.tiers.at(date, *names)[0].leverage) for date in (0, *row.dates))
        if leverage > most:
            yield Fault("strategy.leverage", str(leverage), f"at most max_leverage of {strategy['perp_venue']}, {most}")
    enter, leave = strategy.get("enter_above_apr"), strategy.get("leave_below_apr")
    if enter is not None and leave is not None and leave > enter:
        yield Fault("strategy.leave_below_apr", str(leave), f"at most enter_above_apr, {enter}")
    if {"lender", "target_ltv"} <= set(strategy) and (strategy["lender"] is None) != (strategy["target_ltv"] is None):
        given = strategy["target_ltv"]
        allowed = "a fraction with a lender" if given is None else "null, or name a lender"
        yield Fault("strategy.target_ltv", "null" if given is None else str(given), allowed)


def _base_of(mode: str, strategy: Parsed) -> str:
    """What a hedge is long in."""
    return exchange_rows.base_of(strategy["symbol"]) if "symbol" in strategy else "BTC" if mode == "btc_basis" else "ETH"


def _symbol(strategy: Parsed, exchanges: Mapping[str, VenueSettings]) -> Iterator[Fault]:
    """A symbol is written in what its spot venue settles."""
    symbol, spot = strategy.get("symbol"), exchanges.get(strategy.get("spot_venue", ""))
    if symbol is None or not isinstance(spot, exchange_rows.Settings):
        return
    settle = spot.row(strategy["spot_venue"]).settle
    if not symbol.endswith(settle) or symbol == settle:
        allowed = f"{exchange_rows.base_of(symbol)}{settle}: {strategy['spot_venue']} settles in {settle}"
        yield Fault("strategy.symbol", shown(symbol), allowed)


def _most_borrowed(strategy: Parsed, on_chain: Mapping[str, VenueSettings]) -> Iterator[Fault]:
    """A loop cannot come to a debt beyond what the lender lends on the staked token."""
    target, at, lender = strategy.get("target_ltv"), _fact_of("protocol", strategy, on_chain), _fact_of("lender", strategy, on_chain)
    if target is None or at is None or at.staked is None or lender is None or lender.loan is None:
        return
    most = lender.loan(at.staked.wrapped, WETH).max_ltv
    if most is not None and target > most:
        yield Fault("strategy.target_ltv", str(target), f"at most {most}, what {strategy['lender']} lends on {at.staked.wrapped}")


def _leaving(strategy: Parsed, top: Any) -> Iterator[Fault]:
    leave_at, start, end = strategy.get("leave_at"), top.start, top.end
    if leave_at is not None and isinstance(start, datetime) and isinstance(end, datetime) and not start < leave_at <= end:
        yield Fault("strategy.leave_at", iso(leave_at), f"null, or a time after start, {iso(start)}, and not after end, {iso(end)}")


def _strategy_file(mode: str, strategy: Parsed, folder: Path) -> Iterator[Fault]:
    written = strategy.get("file")
    if written is None:
        return
    what = "a Python file, .py" if mode == "custom" else "a file"
    if not (folder / written).is_file():
        yield Fault("strategy.file", shown(str(written)), f"{what} that exists; a relative path starts at the folder of the config")
    elif mode == "custom" and written.suffix != ".py":
        yield Fault("strategy.file", shown(str(written)), what)


def _limits(limits: Any) -> Iterator[Fault]:
    one, day = getattr(limits, "max_notional_per_instruction", None), getattr(limits, "max_notional_per_day", None)
    if one is not None and day is not None and _known(one, day) and one > day:
        yield Fault("limits.max_notional_per_instruction", str(one), f"at most max_notional_per_day, {day}")
