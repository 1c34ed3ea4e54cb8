"""The assumptions of a run: sentences for its summary, and for its page what its venues charge."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from basis_strategy_v1.config import load_config
from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.clock import iso, to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.text import printable
from basis_strategy_v1.venues.aave import Aave
from basis_strategy_v1.venues.aave_revisions import revision_lines
from basis_strategy_v1.venues.cex import Exchange
from basis_strategy_v1.venues.exchanges import EXCHANGES, exchange_of
from basis_strategy_v1.venues.registry import make_venue
from basis_strategy_v1.venues.staking import StakingProtocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from decimal import Decimal
    from pathlib import Path

    from basis_strategy_v1.config import Config
    from basis_strategy_v1.core.figure import Figure
    from basis_strategy_v1.venues.exchanges import ExchangeRow, Withdrawal
    from basis_strategy_v1.venues.symbol_facts import Tier
    from basis_strategy_v1.venues.venue import Venues


T = TypeVar("T")


def assumptions(config: Config, venues: Venues) -> list[str]:
    """What the simulators take for granted with these venues, for the report."""
    sentences = []
    if config.initial_positions is not None:
        sentences.append(f"initial_positions are held at the start; initial_capital of {config.initial_capital:,f} is not used.")
    if config.venues.cex:
        sentences += [
            "A market order fills in full at the last visible close plus slippage_bps against the trader; "
            "a limit order only where that close reaches it.",
            *_margin_lines({name: own.margin for name, own in config.venues.cex.items()}),
        ]
    sized = {name: venue.own_size for name, venue in venues.items() if isinstance(venue, Exchange) and venue.own_size is not None}
    constant = [name for name in config.venues.cex if name not in sized]
    if constant:
        sentences.append(f"An order at {', '.join(constant)} has the same slippage_bps whatever its size (impact: none).")
    sentences += [line for own in sized.values() for line in own.lines()]
    if config.venues.dex:
        sentences.append("A swap has the same slippage_bps whatever its size, but through a pool's state or depth_usd.")
    free = [name for name, settings in config.venues.cex.items() if not settings.row(name).withdrawals.by_name]
    if free and len(venues) > 1:
        sentences.append(f"Transfers out of {', '.join(free)} cost nothing and arrive at once: the config says so.")
    if public := [name for name, own in config.venues.cex.items() if own.withdrawal in (None, "default")]:
        sentences += [
            f"Transfers out of {name} cost and take what it published on {EXCHANGES[exchange_of(name, config.venues.cex[name])].as_of}; "
            "a token without a published fee is free."
            for name in public
            if len(venues) > 1
        ]
    if config.costs == "none":
        sentences.append("costs: none: what the config leaves out of fees, slippage, withdrawals and gas is 0.")
    if config.venues.cex and "wallet" in venues:
        sentences.append("Transfers out of the wallet pay gas and arrive at once.")
    sentences += dict.fromkeys(line for venue in venues.values() for line in venue.assumptions)
    for name, venue in venues.items():
        if isinstance(venue, Aave) and config.start is not None and config.end is not None:
            sentences += venue.pool.health.lines()
            sentences += revision_lines(name, venue.pool.revision, to_instant(config.start), to_instant(config.end))
        if isinstance(venue, StakingProtocol):
            days = " or ".join(dict.fromkeys(plain(value) for value in venue.row.withdrawal_days.values()))
            unless = f", unless queue/{venue.series}.csv says how long it was" if venue.row.reads_queue else ""
            sentences.append(f"The withdrawal queue of {name} takes {days} days, whatever its length was{unless}.")
    if config.data.missing_funding == "zero":
        sentences.append("A funding payment without a row in the data is taken as 0; each one is listed.")
    return sentences


def _margin_lines(kinds: Mapping[str, str]) -> Iterator[str]:
    """What is margin at each exchange of a run, and what a liquidation leaves."""
    split = [name for name, kind in kinds.items() if kind == "split"]
    if split:
        where = "" if len(split) == len(kinds) else f" (at {', '.join(split)})"
        yield f"Margin is the settlement token and the perps' unrealised profit; other coins on the exchange do not count as margin{where}."
        yield f"A perp is liquidated in the bar whose high or low reaches its liquidation price; what is left of the margin is lost{where}."
    for name in (name for name in kinds if name not in split):
        yield f"Coins on {name} count as margin after their haircuts; a liquidation there goes in steps, and what remains stays."


def costs_of_run(folder: Path) -> list[dict[str, str]]:
    """The rows of `costs_of` for the folder of a run; none where it has no config, or one that another version wrote."""
    path = folder / "config.yaml"
    try:
        return costs_of(load_config(path)) if path.is_file() else []
    except ComponentError:
        return []


def costs_of(config: Config) -> list[dict[str, str]]:
    """A row a venue of the config: what it charges and allows, its own settings included."""
    rows = [_exchange(name, settings.row(name)) for name, settings in config.venues.cex.items()]
    for kind, configured in list(config.venues.sections().items())[1:]:
        for name, settings in configured.items():
            lines = make_venue(kind, name, settings).lines()
            rows += [_row(name, terms=line) for line in lines] if lines else []
    return rows


def figures_as_comments(config: Config) -> str:
    """The rows of `costs_of` as comments in YAML: figures of the venues' tables that have no key of their own."""
    lines = ["", "# What the venues of this run charged and allowed:"]
    for row in costs_of(config):
        said = "; ".join(f"{name.replace('_', ' ')} {text}" for name, text in row.items() if text and name != "venue")
        lines.append(f"# {row['venue']}: {printable(said)}")
    return "\n".join([*lines, ""]) if len(lines) > 2 else ""


def _exchange(name: str, row: ExchangeRow) -> dict[str, str]:
    withdrawal = withdrawals_of(row.withdrawals) or "free, arrives at once"
    return _row(name, fees_of(row), f"{over_time(row.slippage_bps, plain)} bps", withdrawal, f"{margin_of(row)} (as of {row.as_of})")


def _row(venue: str, fees: str = "", slippage: str = "", withdrawal: str = "", terms: str = "") -> dict[str, str]:
    return {"venue": venue, "fees": fees, "slippage": slippage, "withdrawal": withdrawal, "margin_and_terms": terms}


def over_time(figure: Figure[T], show: Callable[[T], str]) -> str:
    """`10`, or `10, from 2024-06-02T00:00:00Z 8` for a figure that changes; one that differs by name shows what holds for all."""
    later = (f", from {iso(start)} {show(value)}" for start, value in figure.since[1:])
    return "".join((show(figure.at()), *later))


def fees_of(row: ExchangeRow) -> str:
    return f"spot taker {over_time(row.spot_taker_fee_bps, plain)} bps, perp taker {over_time(row.perp_taker_fee_bps, plain)} bps"


def margin_of(row: ExchangeRow) -> str:
    """By symbol where it is by symbol."""
    bases = row.tiers.by_name
    return "; ".join(f"{base} {_margin(row, base)}" for base in bases) if bases else _margin(row)


def _margin(row: ExchangeRow, *base: str) -> str:
    tiers, leverage = over_time(row.tiers.named(*base), tiers_of), over_time(row.max_leverage.named(*base), plain)
    return f"maintenance margin {tiers}; leverage up to {leverage}"


def tiers_of(tiers: Iterable[Tier]) -> str:
    return ", ".join(f"{_bps(tier)} to {_up_to(tier.notional)}" for tier in tiers)


def _bps(tier: Tier) -> str:
    most = "" if tier.leverage.is_infinite() else f" ({plain(tier.leverage)}x)"
    return f"{plain(round(tier.maintenance_bps, 4).normalize())} bps{most}"


def withdrawals_of(withdrawals: Figure[Withdrawal]) -> str:
    return "; ".join(_withdrawals(withdrawals))


def _withdrawals(withdrawals: Figure[Withdrawal]) -> Iterator[str]:
    for token in withdrawals.by_name:
        yield f"{token} {over_time(withdrawals.named(token), _withdrawal)}"


def _withdrawal(terms: Withdrawal) -> str:
    return f"fee {plain(terms.fee)}, minimum {plain(terms.minimum)}, {plain(terms.minutes)} min"


def _up_to(notional: Decimal) -> str:
    return "any" if notional.is_infinite() else plain(notional)
