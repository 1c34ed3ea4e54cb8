"""Checks before a run: lists everything that would stop it, at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from basis_strategy_v1.app.initial_positions import initial_position_problems
from basis_strategy_v1.core.clock import HOUR_US, MICROSECOND, iso, to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.market import SAME_AS, base_of
from basis_strategy_v1.core.position_names import Kind, read_common_name
from basis_strategy_v1.data.layout import EVENTS, interval_name
from basis_strategy_v1.execution.market_events import exchanges_of, recorded_events
from basis_strategy_v1.venues import wallet
from basis_strategy_v1.venues.aave_prices import MARKET
from basis_strategy_v1.venues.exchange_events import Adl
from basis_strategy_v1.venues.exchange_terms import without_figures
from basis_strategy_v1.venues.exchanges import EXCHANGES
from basis_strategy_v1.venues.registry import with_wallets
from basis_strategy_v1.venues.venue import ONCHAIN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from basis_strategy_v1.config import Config
    from basis_strategy_v1.data.data_provider import Bars
    from basis_strategy_v1.strategies.strategy import Strategy

MOST_LISTED = 5
OF_USERS = ("custom", "blocks")  # strategy modes whose needs the program cannot know by itself


def require_runnable(config: Config, strategy: Strategy, provider: Any) -> None:
    """Refuse a run whose data lack, or cannot give, a series that the strategy needs, whose blocks lie outside its time, or whose
    initial positions cannot be opened.

    Raises:
        ComponentError: with a line for each problem, and the code of the first; DAT-003, an event of an exchange is wrong.
    """
    require_known_events(config, strategy, provider)
    problems = [*_blocks_outside(config, strategy), *_without_figures(config, strategy), *_series_problems(config, strategy, provider)]
    problems += _without_health_prices(config, provider)
    if not problems and is_hedge(config) and (apart := legs_apart(config, strategy, provider)):
        problems.append(ComponentError("DAT-001", apart))
    if config.initial_positions is not None or not problems:  # without a series there may be no price to split the capital at
        problems += initial_position_problems(config, strategy, provider)
    if not problems:
        problems += _valuation_problems(config, strategy, provider)
    if problems:
        raise ComponentError(problems[0].error_code, "\n".join(problem.message for problem in problems))


def _blocks_outside(config: Config, strategy: Strategy) -> Iterator[ComponentError]:
    assert config.start is not None and config.end is not None
    first, last = to_instant(config.start), to_instant(config.end)
    outside = [instant for instant in getattr(strategy, "instants", ()) if not first <= instant <= last]
    if outside:
        line = f"blocks at {', '.join(map(iso, outside[:MOST_LISTED]))}{' and later' if len(outside) > MOST_LISTED else ''}"
        yield ComponentError("STR-001", f"{line} lie outside the run, {iso(first)} to {iso(last)}: change start or end, or leave them out")


def require_known_events(config: Config, strategy: Strategy, provider: Any) -> None:
    """Refuse an event of an exchange that is wrong, or an auto-deleveraging within the run of a perp that it cannot hold.

    Raises:
        ComponentError: DAT-003, naming the row.
    """
    held = _perps_held(config, strategy)
    for exchange in exchanges_of(config):
        for event in recorded_events(provider, exchange):
            within = config.start is None or event.at >= to_instant(config.start)
            if isinstance(event, Adl) and within and held is not None and event.symbol not in held:
                trades = f"it trades {', '.join(sorted(held))}" if held else "it trades no perp"
                where = f"{EVENTS}/{exchange} at {iso(event.at)}"
                raise ComponentError("DAT-003", f"{where}: adl of {event.symbol}, which the run never trades; {trades}; leave the row out")


def _perps_held(config: Config, strategy: Strategy) -> set[str] | None:
    """The symbols of the perps that a run may hold; None where a user's strategy does not say it."""
    if config.strategy_mode == "custom":
        return None
    needed = {name for kind, _, name in strategy.needs(config.strategy) if kind == "perp"} if hasattr(strategy, "needs") else set()
    own = needed | {symbol for _, symbol in _perps_of_blocks(strategy, config)}
    return own | {renaming.to for symbol, renaming in config.renamed.items() if symbol in own}


def _without_figures(config: Config, strategy: Strategy) -> Iterator[ComponentError]:
    """Each perp that the run is to trade, or holds at the start, of which its exchange's table has no figures."""
    perps = [(key[1], key[2]) for key in strategy.needs(config.strategy) if key[0] == "perp"] if hasattr(strategy, "needs") else []
    rows = {name: own.row(name, config.alike) for name, own in config.venues.cex.items()}
    by_exchange = {row.name: row for row in rows.values()}
    found = [(exchange, by_exchange[exchange], symbol) for exchange, symbol in perps if exchange in by_exchange]
    found += [(name, rows[name], symbol) for name, symbol in _perps_of_blocks(strategy, config) if name in rows]
    problems = {
        (name, symbol): without_figures(name, row, symbol)
        for name, row, symbol in found
        if symbol.endswith(row.settle) and not row.has(symbol)
    }
    yield from (ComponentError("CEX-001", problem) for problem in problems.values())


def _without_health_prices(config: Config, provider: Any) -> Iterator[ComponentError]:
    """A lender whose loans are to be judged by the market, in data without an hourly or finer series of a coin."""
    asked = [name for name, own in config.venues.onchain.items() if getattr(own, "health_prices", None) == MARKET]
    if not asked or not hasattr(provider, "snapshot") or config.start is None:
        return
    market = provider.snapshot(config.start)
    keys = [key for base in dict.fromkeys(SAME_AS.values()) if (key := market.price_series(base)) is not None]
    if not any(0 < market.bar_interval_us(*key) <= HOUR_US for key in keys):
        for name in asked:
            lacking = "market needs an hourly or finer spot series of a coin at the start (ohlcv/bybit/spot/ETHUSDT_1h.csv); write oracle"
            yield ComponentError("DAT-001", f"venues.onchain.{name}.health_prices: {lacking}, or bring one")


def _perps_of_blocks(strategy: Strategy, config: Config) -> Iterator[tuple[str, str]]:
    """(venue, symbol) of the perps in a user's blocks and in the initial positions."""
    for block in getattr(strategy, "blocks", ()):
        if isinstance(block, dict) and block.get("trade_type") == "perp":
            yield str(block.get("venue")), str(block.get("symbol"))
    for venue, tokens in (config.initial_positions or {}).items():
        for token in tokens:
            kind, symbol = read_common_name(token)
            if kind is Kind.PERP:
                yield venue, symbol


def _series_problems(config: Config, strategy: Strategy, provider: Any) -> Iterator[ComponentError]:
    """Each series that is not there when it is needed, or cannot be read."""
    if not hasattr(provider, "coverage"):
        return
    needed = list(strategy.needs(config.strategy)) if hasattr(strategy, "needs") else []
    needed += [("gas", chain, chain) for chain in chains_with_gas(config)]
    needed += _prices_of_fee_tokens(config)
    needed += _marks_of(config, provider, needed)
    for key in dict.fromkeys(needed):
        try:
            problem = _problem(config, provider, key)
        except ComponentError as unreadable:
            yield unreadable
        else:
            if problem:
                yield ComponentError("DAT-001", problem)
    for key in _of_new_names(config, provider):
        if provider.coverage(*key) is None:
            yield ComponentError("DAT-001", missing_series(provider, key))


def _marks_of(config: Config, provider: Any, needed: Iterable[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """The mark and index series of perps that are needed: where the data have one, it must cover the run."""
    rows = {row.name: row for row in (own.row(name) for name, own in config.venues.cex.items())}
    perps = [(venue, name) for kind, venue, name in needed if kind == "perp" and venue in rows]
    wanted = [(kind, venue, name) for venue, name in perps for kind in dict.fromkeys(("mark", rows[venue].funding_price))]
    return [key for key in wanted if provider.coverage(*key) is not None]


def _of_new_names(config: Config, provider: Any) -> Iterator[tuple[str, str, str]]:
    """The series of the symbols that others are renamed to, where the data have those of the others."""
    for exchange in dict.fromkeys(own.row(name).name for name, own in config.venues.cex.items()):
        for symbol, renaming in config.renamed.items():
            yield from ((kind, exchange, renaming.to) for kind in ("spot", "perp") if provider.coverage(kind, exchange, symbol) is not None)


def _prices_of_fee_tokens(config: Config) -> Iterator[tuple[str, str, str]]:
    """The series by which spot fees are taken in a token of their own."""
    for name, own in config.venues.cex.items():
        row = own.row(name)
        if row.spot_fee_in in row.fee_tokens:
            yield "spot", row.name, row.spot_fee_in + row.settle


def valued_by(config: Config, strategy: Strategy, provider: Any) -> Iterator[tuple[str, str, str]]:
    """The series that price, in dollars, what the strategy will hold.

    Raises:
        ComponentError: DAT-001, one of these tokens has no price at the start.
    """
    if not hasattr(provider, "snapshot") or config.start is None:
        return
    market = provider.snapshot(config.start)
    for token in getattr(strategy, "holds", lambda parameters: ())(config.strategy):
        market.price(token)
        if (key := market.price_series(token)) is not None:
            yield key


def _valuation_problems(config: Config, strategy: Strategy, provider: Any) -> Iterator[ComponentError]:
    """Positions are valued in dollars, whatever the run is counted in."""
    try:
        keys = list(valued_by(config, strategy, provider))
    except ComponentError as lacking:
        yield ComponentError(lacking.error_code, f"{lacking.message}; positions are valued in dollars: bring spot/ETHUSDT of an exchange")
        return
    for key in dict.fromkeys(keys):
        if problem := _problem(config, provider, key):
            yield ComponentError("DAT-001", problem)


def is_hedge(config: Config) -> bool:
    """Whether it is a strategy of the package that holds a coin against its perp."""
    return hasattr(config.strategy, "spot_venue") and hasattr(config.strategy, "perp_venue")


def legs_apart(config: Config, strategy: Strategy, provider: Any) -> str:
    """Which legs of one coin have bars that close at different times where the run trades them; empty where none have."""
    if not hasattr(provider, "bars_of") or config.start is None:
        return ""
    first, step_us = to_instant(config.start), config.interval // MICROSECOND
    legs: dict[str, list[Bars]] = {}
    for kind, venue, name in dict.fromkeys(strategy.needs(config.strategy)):
        if kind in ("spot", "perp") and (bars := provider.bars_of(kind, venue, name, first)):
            legs.setdefault(base_of(name), []).append(bars)
    for bars_of_coin in legs.values():
        fine = min(bars_of_coin, key=lambda bars: bars.interval_us)
        coarse = max(bars_of_coin, key=lambda bars: bars.interval_us)
        late_us = (first - coarse.first_close) % coarse.interval_us
        if fine.interval_us < coarse.interval_us and (step_us % coarse.interval_us or late_us):
            interval, finer = interval_name(coarse.interval_us), interval_name(fine.interval_us)
            next_close = iso(first - late_us + coarse.interval_us * (late_us > 0))
            return (
                f"{coarse.series} has bars of {interval} and {fine.series} of {finer}: at steps of {interval_name(step_us)} from "
                f"{iso(first)} on the legs would be priced at closes of different times; bring bars of {finer} for both, "
                f"or set interval: {interval} and a start at which a bar of {interval} closes, such as {next_close}"
            )
    return ""


def chains_with_gas(config: Config) -> list[str]:
    """The chains on which a wallet pays the market's price of gas."""
    rows = with_wallets(config.venues.sections())[ONCHAIN].values()
    return [own.chain for own in rows if isinstance(own, wallet.Settings) and own.gas_price_gwei == "market"]


def _problem(config: Config, provider: Any, key: tuple[str, str, str]) -> str | None:
    kind, venue, name = key
    assert config.start is not None and config.end is not None
    covered = provider.coverage(kind, venue, name)
    label = f"{kind} of {venue} for {name}"
    if covered is None:
        return missing_series(provider, key)
    first, last = covered
    if first > to_instant(config.start):
        return f"{label} begins at {iso(first)}, the run at {iso(config.start)}: start later or bring earlier data"
    # Which series a longer one is for is known when the run reads it.
    longest = max(config.data.staleness.values())
    if last + longest // MICROSECOND < to_instant(config.end):
        return f"{label} ends at {iso(last)}, the run at {iso(config.end)}: end earlier or bring later data"
    return None


def missing_series(provider: Any, key: tuple[str, str, str]) -> str:
    """That a series is not there, and what there is in its place."""
    kind, venue, name = key
    others = sorted(other for other in EXCHANGES if other != venue and provider.coverage(kind, other, name))
    way_out = f"; set the venue to {' or '.join(others)}" if others else ""
    there = provider.unread_like(kind, venue, name) if hasattr(provider, "unread_like") else []
    unread = "".join(f"; {path} is there, but {why}" for path, why in there)
    return f"no {kind} of {venue} for {name}; {provider.what_there_is(kind, venue)}{way_out}{unread}"


def gap_lines(config: Config, provider: Any) -> list[str]:
    """A line for each time at which a price that the run needs is missing: the last one then values positions."""
    assert config.start is not None and config.end is not None
    last = to_instant(config.end)
    spans = provider.stale_spans(to_instant(config.start), last) if hasattr(provider, "stale_spans") else []
    return [f"gap: {series} from {iso(start)} until {iso(min(end, last))}: no trade is opened on it" for series, start, end in spans]


def needs_are_known(config: Config, strategy: Strategy) -> bool:
    """Whether it is known before the run which series it needs: a user's own strategy may not name any, and a file of blocks cannot."""
    return config.strategy_mode not in OF_USERS or bool(strategy.needs(config.strategy))


def data_line(config: Config, strategy: Strategy, provider: Any) -> str:
    """What is known of the series that the run needs, once nothing is wrong with them."""
    line = f"data: {'generated' if provider.generated else 'real'}"
    if needs_are_known(config, strategy):
        return f"{line}, all series that the run needs are there"
    looked_at = f"the prices of the initial positions{' and the price of gas' if chains_with_gas(config) else ''}"
    line = f"{line}; which series the run needs is not known, only {looked_at} were looked at"
    if config.strategy_mode == "blocks":
        return line
    return f"{line}: name them in needs(self, parameters), such as [('spot', 'bybit', 'ETHUSDT')]"
