"""What must fit together: checks across the fields of a config that can each be read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from basis_strategy_v1.config.containers import Nullable
from basis_strategy_v1.config.faults import Fault, Reading, shown
from basis_strategy_v1.config.known_venues import exchange_of
from basis_strategy_v1.config.strategy_tables import LENDERS_OF_TOKENS, LENT_TOKENS, SHARE_CLASSES, STRATEGIES
from basis_strategy_v1.config.venue_kinds import VenueName
from basis_strategy_v1.core.clock import iso
from basis_strategy_v1.core.market import DOLLAR_TOKENS
from basis_strategy_v1.core.position_names import Kind, debt_name, deposit_name, read_name_at_pool
from basis_strategy_v1.core.state import WALLET
from basis_strategy_v1.core.tokens import STAKED_AT
from basis_strategy_v1.strategies.lenders import WETH
from basis_strategy_v1.venues.exchanges import exchange_row
from basis_strategy_v1.venues.registry import offering, pool_of

Parsed = Mapping[str, Any]


def check_together(config: Parsed, folder: Path, reading: Reading) -> Iterator[Fault]:
    """The faults between fields; a field that could not be read is passed over, it has been reported."""
    yield from _venue_settings(config)
    if not reading.run:
        return
    yield from _period(config)
    yield from _share_class(config)
    yield from _initial_positions(config)
    strategy = config.get("strategy")
    if isinstance(strategy, dict) and config.get("strategy_mode") in STRATEGIES:
        yield from _strategy_venues(config["strategy_mode"], strategy, _sections_read(config, reading))
        yield from _strategy_numbers(strategy, config)
        yield from _most_borrowed(strategy, _sections_read(config, reading))
        yield from _leaving(strategy, config)
        yield from _strategy_file(config["strategy_mode"], strategy, folder)
    if reading.live:
        yield from _limits(config.get("limits") or {})


def _section(config: Parsed, name: str) -> Parsed:
    """The venues that could be read under `venues.<name>`."""
    venues = config.get("venues") or {}
    return {venue: settings for venue, settings in venues.get(name, {}).items() if isinstance(settings, dict)}


def _venue_settings(config: Parsed) -> Iterator[Fault]:
    for name, settings in _section(config, "cex").items():
        yield from _symbols(f"venues.cex.{name}", exchange_of(name), settings)
    for name, settings in _section(config, "onchain").items():
        for token, reserve in (settings.get("reserves") or {}).items():
            if isinstance(reserve, dict):
                yield from _reserve(name, f"venues.onchain.{name}.reserves.{token}", reserve)


def _symbols(path: str, exchange: str, settings: Parsed) -> Iterator[Fault]:
    """A lot or a tick of a symbol in another dollar token than the exchange settles in would be read by nobody."""
    settle = exchange_row(exchange).settle
    others = tuple(token for token in DOLLAR_TOKENS if token != settle)
    for key in ("lot", "tick"):
        steps = settings.get(key)
        for symbol in steps if isinstance(steps, dict) else ():
            quote = next((token for token in others if symbol.endswith(token) and symbol != token), None)
            if quote is not None:
                allowed = f"{symbol.removesuffix(quote)}{settle}: {exchange} settles in {settle}"
                yield Fault(f"{path}.{key}.{symbol}", shown(symbol), allowed)


def _reserve(protocol: str, path: str, reserve: Parsed) -> Iterator[Fault]:
    category = reserve.get("emode_category")
    if category and category not in (known := pool_of(protocol, {}).emodes):
        yield Fault(f"{path}.emode_category", str(category), " | ".join(map(str, (0, *known))))
    ltv, threshold = reserve.get("ltv_bps"), reserve.get("liquidation_threshold_bps")
    if ltv is not None and threshold is not None and ltv > threshold:
        yield Fault(f"{path}.ltv_bps", str(ltv), f"at most liquidation_threshold_bps, {threshold}")


def _period(config: Parsed) -> Iterator[Fault]:
    start, end = config.get("start"), config.get("end")
    if start is None or end is None:
        return
    if end <= start:
        yield Fault("end", iso(end), f"a time after start, {iso(start)}")


def _share_class(config: Parsed) -> Iterator[Fault]:
    mode, share_class, strategy = config.get("strategy_mode", ""), config.get("share_class"), config.get("strategy")
    fitting = SHARE_CLASSES.get(mode, ())
    if share_class is None or not fitting:
        return
    if share_class not in fitting:
        yield Fault("share_class", shown(share_class), f"{' | '.join(fitting)} with strategy_mode {mode}")
    token = strategy.get("token") if mode == "pure_lending" and isinstance(strategy, dict) else None
    if token is not None and token not in LENT_TOKENS[share_class]:
        yield Fault("strategy.token", shown(token), f"{' | '.join(LENT_TOKENS[share_class])} with share_class {share_class}")


def _initial_positions(config: Parsed) -> Iterator[Fault]:
    venues = config.get("venues")
    if venues is None:
        return
    exchanges, on_chain = venues.get("cex", {}), {**venues.get("dex", {}), **venues.get("onchain", {})}
    known = {**exchanges, **on_chain, **({WALLET: {}} if on_chain else {})}
    for name, tokens in (config.get("initial_positions") or {}).items():
        path = f"initial_positions.{name}"
        if name not in known:
            yield Fault(path, "not configured", f"a venue under venues: {', '.join(known) or 'there is none'}")
        elif name in LENDERS_OF_TOKENS:
            yield from _deposits(path, tokens)
        elif tokens and name not in exchanges and name != WALLET:
            yield Fault(path, ", ".join(tokens), f"what {name} pays out is held under {WALLET}")


def _deposits(path: str, tokens: Parsed) -> Iterator[Fault]:
    for token in tokens:
        if read_name_at_pool(token).kind not in (Kind.DEPOSIT, Kind.DEBT):
            allowed = f"{deposit_name(token)}, {debt_name(token)}; {token} itself is held under {WALLET}"
            yield Fault(f"{path}.{token}", shown(token), allowed)


def _sections_read(config: Parsed, reading: Reading) -> Parsed:
    """The sections of `venues` without a fault: where one has a fault, what it lacks is not known."""
    venues = config.get("venues", {})
    return {name: venues[name] for name in venues if not any(fault.path.startswith(f"venues.{name}") for fault in reading.faults)}


def _strategy_venues(mode: str, strategy: Parsed, venues: Parsed) -> Iterator[Fault]:
    for field in STRATEGIES[mode].fields:
        kind = field.kind.kind if isinstance(field.kind, Nullable) else field.kind
        name = strategy.get(field.name)
        if isinstance(kind, VenueName) and name is not None:
            yield from _configured(f"strategy.{field.name}", name, kind.section, venues)
    if "dex" in venues and "dex" in strategy and "protocol" in strategy:
        yield from _sale_venue(strategy, tuple(venues["dex"]))


def _sale_venue(strategy: Parsed, configured: tuple[str, ...]) -> Iterator[Fault]:
    """A sale of the staked token, for leaving or for repaying, needs a DEX."""
    sells, lender = strategy.get("unstake") == "dex", strategy.get("lender")
    if sells and not configured:
        yield Fault("strategy.unstake", "'dex'", "queue, or configure a venue under venues.dex")
    if lender and not configured:
        yield Fault("strategy.lender", shown(lender), "a lender and a venue under venues.dex: debt is repaid from a sale there")
    usual = STAKED_AT[strategy["protocol"]].dex
    if (sells or lender) and configured and strategy["dex"] is None and usual not in configured:
        yield Fault("strategy.dex", "null", f"null with {usual} under venues.dex, or one of {', '.join(configured)}")


def _configured(path: str, name: str, section: str, venues: Parsed) -> Iterator[Fault]:
    if section in venues and name not in venues[section]:
        known = ", ".join(venues[section]) or "there is none"
        yield Fault(path, shown(name), f"a venue under venues.{section}: {known}")


def _strategy_numbers(strategy: Parsed, config: Parsed) -> Iterator[Fault]:
    leverage = strategy.get("leverage")
    most = _section(config, "cex").get(strategy.get("perp_venue", ""), {}).get("max_leverage")
    if leverage is not None and most is not None and leverage > most:
        yield Fault("strategy.leverage", str(leverage), f"at most max_leverage of {strategy['perp_venue']}, {most}")
    enter, leave = strategy.get("enter_above_apr"), strategy.get("leave_below_apr")
    if enter is not None and leave is not None and leave > enter:
        yield Fault("strategy.leave_below_apr", str(leave), f"at most enter_above_apr, {enter}")
    if {"lender", "target_ltv"} <= set(strategy) and (strategy["lender"] is None) != (strategy["target_ltv"] is None):
        given = strategy["target_ltv"]
        allowed = "a fraction with a lender" if given is None else "null, or name a lender"
        yield Fault("strategy.target_ltv", "null" if given is None else str(given), allowed)


def _most_borrowed(strategy: Parsed, venues: Parsed) -> Iterator[Fault]:
    """A loop cannot come to a debt beyond what the pool lends on the staked token, in the category that fits best."""
    target, lender, protocol = strategy.get("target_ltv"), strategy.get("lender"), strategy.get("protocol")
    if target is None or protocol is None or lender not in offering("set_emode") or lender not in venues.get("onchain", {}):
        return
    token, pool = STAKED_AT[protocol].wrapped, pool_of(lender, venues["onchain"][lender])
    modes = [mode.ltv_bps for mode in pool.emodes.values() if token in mode.collateral and WETH in mode.borrowable]
    most_bps = max(modes) if modes else pool.rules[token].ltv_bps if token in pool.rules else 0
    if target * 10_000 > most_bps:
        most = Decimal(most_bps) / 10_000
        yield Fault("strategy.target_ltv", str(target), f"at most {most}, what {lender} lends on {token}")


def _leaving(strategy: Parsed, config: Parsed) -> Iterator[Fault]:
    leave_at, start, end = strategy.get("leave_at"), config.get("start"), config.get("end")
    if leave_at is not None and start is not None and end is not None and not start < leave_at <= end:
        yield Fault("strategy.leave_at", iso(leave_at), f"null, or a time after start, {iso(start)}, and not after end, {iso(end)}")


def _strategy_file(mode: str, strategy: Parsed, folder: Path) -> Iterator[Fault]:
    written = strategy.get("file")
    if written is None:
        return
    what = "a Python file, .py" if mode == "custom" else "a file"
    if not (folder / written).is_file():
        yield Fault("strategy.file", shown(written), f"{what} that exists; a relative path starts at the folder of the config")
    elif mode == "custom" and not written.endswith(".py"):
        yield Fault("strategy.file", shown(written), what)


def _limits(limits: Parsed) -> Iterator[Fault]:
    one, day = limits.get("max_notional_per_instruction"), limits.get("max_notional_per_day")
    if one is not None and day is not None and one > day:
        yield Fault("limits.max_notional_per_instruction", str(one), f"at most max_notional_per_day, {day}")
