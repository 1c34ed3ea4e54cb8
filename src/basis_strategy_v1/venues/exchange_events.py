"""Events of an exchange: delistings, renamed symbols, auto-deleveraging and halts, and what becomes of a position."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from basis_strategy_v1.core.amounts import exact_number, plain, shown
from basis_strategy_v1.core.clock import DAY_US, iso, to_instant
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, MarketHalted
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.position_names import perp_name
from basis_strategy_v1.core.state import ZERO, ExchangeAccount, Perp
from basis_strategy_v1.venues.exchanges import base_of
from basis_strategy_v1.venues.venue import CEX, COMPONENTS, REJECTED, Settlement, reject

if TYPE_CHECKING:
    from basis_strategy_v1.core.history import History

REALISED_UNIT = Decimal("1e-8")
LONG, SHORT = "long", "short"


class Delisted(NamedTuple):
    """A perp ends at an instant (microseconds since 1970): an open position is settled at a price."""

    symbol: str
    at: int
    price: Decimal


class Renamed(NamedTuple):
    """A symbol is another one from an instant on: one unit of its base is `ratio` units of the other's."""

    symbol: str
    at: int
    to: str
    ratio: Decimal


class Adl(NamedTuple):
    """Auto-deleveraging: the exchange closes a share of each position in a perp at its mark. `side` (long or short): of those alone."""

    symbol: str
    at: int
    share: Decimal
    side: str = ""


class Halt(NamedTuple):
    """No order in a symbol, spot or perp, is taken from `at` until before `until`. Funding is paid and margin is judged all the same."""

    symbol: str
    at: int
    until: int


ExchangeEvent = Delisted | Renamed | Adl | Halt


class PerpPrices(NamedTuple):
    """Of a perp: its last price, by which a position is valued, and its mark."""

    last: Decimal
    mark: Decimal


def dates_of(events: Sequence[ExchangeEvent]) -> set[int]:
    """The instants at which something about orders or positions changes."""
    return {event.at for event in events} | {event.until for event in events if isinstance(event, Halt)}


def require_tradable(events: Sequence[ExchangeEvent], symbol: str, trade_type: str, instant: int, exchange: str) -> None:
    """Refuse an order in a symbol that is not traded now.

    Raises:
        MarketHalted: it will be traded again. VenueRejected: it is another symbol by now, or its perp has ended.
    """
    for event in events:
        if event.symbol != symbol or event.at > instant:
            continue
        if isinstance(event, Renamed):
            reject(CEX, f"{symbol} is {event.to} at {exchange} since {iso(event.at)}; write {event.to}")
        if isinstance(event, Delisted) and trade_type == "perp":
            reject(CEX, f"the perp {symbol} was delisted by {exchange} at {iso(event.at)}; no position in it is left or can be opened")
        if isinstance(event, Halt) and instant < event.until:
            message = f"{exchange} halted {symbol} from {iso(event.at)} to {iso(event.until)}; no order is taken until then"
            raise MarketHalted(REJECTED[CEX], message, COMPONENTS[CEX])


def concerns(event: ExchangeEvent, account: ExchangeAccount) -> bool:
    """Whether it changes something of an account."""
    if isinstance(event, Renamed) and account.balances.get(base_of(event.symbol), ZERO):
        return True
    perp = account.perps.get(event.symbol)
    if perp is None or isinstance(event, Halt):
        return False
    return not (isinstance(event, Adl) and event.side) or event.side == (LONG if perp.base > 0 else SHORT)


def is_due(event: ExchangeEvent, account: ExchangeAccount, instant: int) -> bool:
    """Whether it happens to an account now; an auto-deleveraging happens to what is open at its own instant."""
    is_time = event.at == instant if isinstance(event, Adl) else event.at <= instant
    return is_time and concerns(event, account)


def settled(
    event: ExchangeEvent, account: ExchangeAccount, name: str, settle: str, prices: PerpPrices | None, lot: Decimal
) -> tuple[ExchangeAccount, Settlement | None]:
    """The account after an event, and what is reported of it; `prices` are those of the symbol's perp until now."""
    if isinstance(event, Renamed):
        return _renamed(event, account, name, settle)
    assert isinstance(event, Delisted | Adl) and prices is not None, "a halt changes no account"
    perp = account.perps[event.symbol]
    if isinstance(event, Delisted):
        return _closed(account, event.symbol, perp.base, event.price, prices.last, ("delisted", name, settle))
    closed = perp.base if event.share == 1 else perp.base * event.share // lot * lot  # towards 0
    if not closed:
        return account, None
    return _closed(account, event.symbol, closed, prices.mark, prices.last, ("adl", name, settle))


def _closed(
    account: ExchangeAccount, symbol: str, closed: Decimal, price: Decimal, last: Decimal, report: tuple[str, str, str]
) -> tuple[ExchangeAccount, Settlement]:
    """So many base units of a perp closed at a price, without a fee."""
    kind, name, settle = report
    perp = account.perps[symbol]
    whole = closed == perp.base
    cost = perp.cost if whole else (perp.cost * closed / perp.base).quantize(REALISED_UNIT)
    paid = closed * price - cost
    perps = {held: other for held, other in account.perps.items() if held != symbol}
    if not whole:
        perps[symbol] = Perp(perp.base - closed, perp.cost - cost)
    deltas = Deltas.at(name, {perp_name(symbol): -closed, settle: paid})
    details = {"symbol": symbol, "price": plain(price), "position": plain(perp.base), "closed": plain(closed)}
    costs = (Cost("perp_price", settle, moved),) if (moved := closed * (last - price)) else ()
    return account.moved({settle: paid}, perps), Settlement(kind, name, deltas, costs, details)


def _renamed(event: Renamed, account: ExchangeAccount, name: str, settle: str) -> tuple[ExchangeAccount, Settlement]:
    """A perp joins the one that is open under the other symbol; where the two cancel, what they have gained is paid out."""
    moved = dict(_moved(event, account))
    perps = dict(account.perps)
    if (held := perps.pop(event.symbol, None)) is not None:
        other = perps.pop(event.to, Perp(ZERO, ZERO))
        joined = Perp(other.base + held.base * event.ratio, other.cost + held.cost)
        if joined.base:
            perps[event.to] = joined
        else:
            moved[settle] = moved.get(settle, ZERO) - joined.cost
        moved |= {perp_name(event.symbol): -held.base, perp_name(event.to): held.base * event.ratio}
    after = account.moved({token: amount for token, amount in moved.items() if not token.endswith("-PERP")}, perps)
    details = {"symbol": event.symbol, "to": event.to, "ratio": plain(event.ratio)}
    return after, Settlement("renamed", name, Deltas.at(name, moved), (), details)


def _moved(event: Renamed, account: ExchangeAccount) -> Iterator[tuple[str, Decimal]]:
    old, new = base_of(event.symbol), base_of(event.to)
    amount = account.balances.get(old, ZERO)
    if amount and old != new:
        yield old, -amount
        yield new, amount * event.ratio


# Where events come from: rows of the data, and a stress that is made up.


def event_of(series: str, at: int, row: Mapping[str, str]) -> ExchangeEvent:
    """The event of a row of `events/<venue>.csv`: kind, symbol, share, price, to, until as text; what a kind does not need is empty.

    `share` is the part of a position that is closed (adl), or how many units of `to`'s base one unit is (renamed; empty: 1).

    Raises:
        ComponentError: DAT-003, a field is missing or out of range.
    """
    kind, symbol = row["kind"], row["symbol"]

    def wrong(field: str, allowed: str) -> ComponentError:
        place = f"{series} at {iso(at)}: column {field}: {shown(row[field])}"
        return ComponentError("DAT-003", f"{place} is not allowed; expected {allowed}")

    def above_0(field: str, most: str = "", default: str = "") -> Decimal:
        try:
            number = exact_number(row[field] or default)
        except ValueError:
            number = ZERO
        if number <= 0 or (most and number > Decimal(most)):
            raise wrong(field, f"a number above 0{f' and at most {most}' if most else ''}")
        return number

    if not symbol:
        raise wrong("symbol", "a symbol such as ETHUSDT")
    if kind == "adl":
        return Adl(symbol, at, above_0("share", "1"))
    if kind == "delisted":
        return Delisted(symbol, at, above_0("price"))
    if kind == "renamed":
        if not row["to"]:
            raise wrong("to", "the other symbol")
        return Renamed(symbol, at, row["to"], above_0("share", default="1"))
    if kind == "halt":
        try:
            until = to_instant(datetime.fromisoformat(row["until"]))
        except ValueError:
            until = at
        if until <= at:
            raise wrong("until", "a time after the row's, such as 2024-06-01T12:00:00Z")
        return Halt(symbol, at, until)
    raise wrong("kind", "adl, halt, delisted or renamed")


def stressed(exchange: str, symbol: str, closes: History, move: Decimal, seed: int) -> Iterator[Adl]:
    """An auto-deleveraging at each close that is more than `move` (a fraction) from that of a day before, at most one a day: of the side
    that gains, by a share of 1 to 100 % that follows from the seed. Nothing depends on a later close."""
    times, values, most = closes.times, closes.values, float(move)
    last = -DAY_US
    for at, price in zip(times, values, strict=True):
        before = bisect_right(times, at - DAY_US) - 1
        if before < 0 or at - last < DAY_US:
            continue
        moved = price / values[before] - 1
        if abs(moved) > most:
            last = at
            share = Decimal(Random(f"{seed} {exchange} {symbol} {at}").randint(1, 100)) / 100
            yield Adl(symbol, at, share, LONG if moved > 0 else SHORT)
