"""The lines of `basis venues`: what each venue charges and asks, and what an exchange asks for one symbol."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from basis_strategy_v1.app.assumptions import fees_of, margin_of, over_time, tiers_of, withdrawals_of
from basis_strategy_v1.app.venue_accounts import EXCHANGE_ACTIONS, modes_line
from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.instruction_fields import symbol_name
from basis_strategy_v1.venues.exchanges import EXCHANGES, ExchangeRow, base_of
from basis_strategy_v1.venues.registry import VENUES, make_venue
from basis_strategy_v1.venues.venue import CEX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from basis_strategy_v1.core.figure import Figure


def venue_lines() -> Iterator[str]:
    """The lines of `basis venues`: each venue with what it charges, and the modes in which each of its actions works."""
    for row in EXCHANGES.values():
        yield from _exchange_lines(row)
        yield f"    {modes_line(row.name, EXCHANGE_ACTIONS)}"
    for name, protocol in VENUES.items():
        venue = make_venue(protocol.section, name, protocol.settings())
        yield f"{name} ({protocol.section}): {modes_line(name, tuple(venue.actions))}"
        yield from (f"    {line}" for line in venue.lines())


def symbol_lines(symbol: str) -> Iterator[str]:
    """The lines of `basis venues --symbol`: what each exchange that lists the symbol asks, with the source and the date of each figure.

    Raises:
        ComponentError: CEX-001, it is no symbol, or no exchange has figures of it.
    """
    try:
        symbol_name(symbol)
    except ValueError as fault:
        raise ComponentError("CEX-001", f"--symbol: {fault}") from None
    base = base_of(symbol)
    rows = [row for row in EXCHANGES.values() if base in row.bases and symbol.removeprefix(base) in ("", "USD", row.settle, *row.quotes)]
    if not rows:
        known = dict.fromkeys(base + row.settle for row in EXCHANGES.values() for base in row.bases)
        like = f"a config may say assume: {{{symbol}: {{like: {next(iter(known))}}}}}"
        raise ComponentError("CEX-001", f"no exchange has figures of {symbol}, only of {', '.join(known)}; {like}")
    for row in rows:
        yield from _symbol_lines(row, base)


def _symbol_lines(row: ExchangeRow, base: str) -> Iterator[str]:
    spot_fee, perp_fee, lot, tick, spot_least, perp_least, most, hours = (
        plain(Decimal(figure.at(0, base)))
        for figure in (
            row.spot_taker_fee_bps, row.perp_taker_fee_bps, row.perp_lots, row.ticks, row.min_notional, row.perp_min_notional,
            row.max_leverage, row.funding_interval_hours,
        )
    )  # fmt: skip
    yield f"{row.name} {base}{row.settle} (as of {row.as_of}, where no other date is given)"
    yield f"    taker fee spot {spot_fee} bps, perp {perp_fee} bps; smallest order {spot_least} spot, {perp_least} perp {row.settle}"
    yield f"    perp lot {lot}, tick {tick}; leverage up to {most}; funding each {hours} h"
    yield f"    maintenance margin {tiers_of(row.tiers.at(0, base))}"
    for figures, source, as_of in row.sources.get(base, ()):
        yield f"    {figures}: {source}; true on {as_of}"
    if base not in row.sources:
        yield "    not by symbol: margin tiers, leverage and smallest order are the same for all symbols"


def _exchange_lines(row: ExchangeRow) -> Iterator[str]:
    slippage = over_time(row.slippage_bps, plain)
    yield f"{row.name} ({CEX}, as of {row.as_of}): settles in {row.settle}; {fees_of(row)}, slippage {slippage} bps"
    spot, perp = _lots(row.spot_lots), _lots(row.perp_lots)
    yield f"    lots spot {spot}, perp {perp}; smallest order {plain(row.min_notional.at())} spot, {plain(row.perp_min_notional.at())} perp"
    wallets = "separate wallets" if row.separate_wallets else "one wallet"
    yield f"    {margin_of(row)}"
    yield f"    funding each {row.funding_interval_hours.at()} h; {wallets}"
    yield f"    withdrawal: default means {withdrawals_of(row.public_withdrawals)}"


def _lots(lots: Figure[Decimal]) -> str:
    return " ".join(f"{base} {plain(lots.at(0, base))}" for base in lots.by_name)
