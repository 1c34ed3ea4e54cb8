"""Symbols that an exchange delists, renames or redenominates: what becomes of a holding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.clock import iso
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.position_names import perp_name
from basis_strategy_v1.core.state import ZERO, ExchangeAccount, Perp
from basis_strategy_v1.venues.exchanges import base_of
from basis_strategy_v1.venues.venue import Settlement


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


Change = Delisted | Renamed


def refusal_of(changes: Sequence[Change], symbol: str, trade_type: str, instant: int, exchange: str) -> str:
    """Why a symbol is not traded there any more; nothing where it is."""
    for change in changes:
        if change.symbol != symbol or change.at > instant:
            continue
        if isinstance(change, Renamed):
            return f"{symbol} is {change.to} at {exchange} since {iso(change.at)}; write {change.to}"
        if trade_type == "perp":
            return f"the perp {symbol} was delisted by {exchange} at {iso(change.at)}; no position in it is left or can be opened"
    return ""


def concerns(change: Change, account: ExchangeAccount) -> bool:
    """Whether something is held that it changes."""
    is_held = change.symbol in account.perps
    return is_held or (isinstance(change, Renamed) and bool(account.balances.get(base_of(change.symbol), ZERO)))


def settled(change: Change, account: ExchangeAccount, name: str, settle: str, mark: Decimal | None) -> tuple[ExchangeAccount, Settlement]:
    """The account after a change, and what is reported of it; `mark` is what the perp of the symbol was worth until now."""
    if isinstance(change, Renamed):
        return _renamed(change, account, name, settle)
    perp = account.perps[change.symbol]
    paid = perp.base * change.price - perp.cost
    moved = ZERO if mark is None else perp.base * (mark - change.price)
    perps = {symbol: held for symbol, held in account.perps.items() if symbol != change.symbol}
    deltas = Deltas.at(name, {perp_name(change.symbol): -perp.base, settle: paid})
    details = {"symbol": change.symbol, "price": plain(change.price), "position": plain(perp.base)}
    costs = (Cost("perp_price", settle, moved),) if moved else ()
    return account.moved({settle: paid}, perps), Settlement("delisted", name, deltas, costs, details)


def _renamed(change: Renamed, account: ExchangeAccount, name: str, settle: str) -> tuple[ExchangeAccount, Settlement]:
    """A perp joins the one that is open under the other symbol; where the two cancel, what they have gained is paid out."""
    moved = dict(_moved(change, account))
    perps = dict(account.perps)
    if (held := perps.pop(change.symbol, None)) is not None:
        other = perps.pop(change.to, Perp(ZERO, ZERO))
        joined = Perp(other.base + held.base * change.ratio, other.cost + held.cost)
        if joined.base:
            perps[change.to] = joined
        else:
            moved[settle] = moved.get(settle, ZERO) - joined.cost
        moved |= {perp_name(change.symbol): -held.base, perp_name(change.to): held.base * change.ratio}
    after = account.moved({token: amount for token, amount in moved.items() if not token.endswith("-PERP")}, perps)
    details = {"symbol": change.symbol, "to": change.to, "ratio": plain(change.ratio)}
    return after, Settlement("renamed", name, Deltas.at(name, moved), (), details)


def _moved(change: Renamed, account: ExchangeAccount) -> Iterator[tuple[str, Decimal]]:
    old, new = base_of(change.symbol), base_of(change.to)
    amount = account.balances.get(old, ZERO)
    if amount and old != new:
        yield old, -amount
        yield new, amount * change.ratio
