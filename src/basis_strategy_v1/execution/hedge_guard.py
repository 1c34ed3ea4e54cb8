"""The hedge guard: what stays unhedged for too long is closed, and CRITICAL where it cannot be."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct, json

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.clock import SECOND_US
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.instructions import CexTrade, parse_instruction
from basis_strategy_v1.core.state import ExchangeAccount
from basis_strategy_v1.venues.cex import Exchange
from basis_strategy_v1.venues.exchanges import base_of

if TYPE_CHECKING:
    from basis_strategy_v1.core.limits import Limits
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.core.state import State
    from basis_strategy_v1.execution.exposure import Unhedged
    from basis_strategy_v1.venues.venue import Venues

ZERO = Decimal(0)
PARTS = (1, 2, 4, 8)  # what an exchange does not take whole is tried in parts
Since = Mapping[str, int]  # asset -> the instant (microseconds since 1970) since which its unhedged notional is above the limit


class Verdict(Struct, frozen=True):
    """What the guard decides. `blocks` close what has been unhedged for too long; `critical` says what they do not close and why, empty
    where nothing is left. Neither: there is nothing to do. `since` is what the next decision goes on from."""

    since: Since
    blocks: tuple[dict[str, Any], ...] = ()
    critical: str = ""


class _Way(NamedTuple):
    """A trade that could close a part: at most `most` base units of it, None for any amount."""

    venue: str
    trade_type: str
    symbol: str
    most: Decimal | None
    reduce_only: bool = False


def judge(
    since: Since, unhedged: Mapping[str, Unhedged], *, now: int, limits: Limits, state: State, venues: Venues, market: MarketSnapshot,
    busy: Collection[str] = (),
) -> Verdict:  # fmt: skip
    """What to do about what is unhedged at an instant (microseconds since 1970). Pure.

    Each asset whose unhedged notional has been above `max_unhedged_notional` for longer than `max_unhedged_seconds` is closed: first by
    reducing what is there (perps, then coins at an exchange), then by a perp the other way. Each trade is simulated on the state that
    those before it leave. `busy` are the venues that cannot be traded at, because an instruction there is open or they do not answer.
    """
    most = limits.max_unhedged_notional
    above = {} if most is None else {asset: gap for asset, gap in unhedged.items() if gap.usd > most}
    begun = {asset: min(since.get(asset, now), now) for asset in above}
    blocks: list[dict[str, Any]] = []
    failures: list[str] = []
    for asset, gap in above.items():
        if now - begun[asset] <= limits.max_unhedged_seconds * SECOND_US:
            continue
        closed = _close(asset, gap, state, venues, market, busy)
        state = closed.state
        blocks += closed.blocks
        left_usd = abs(closed.left) * gap.usd / abs(gap.base)
        if most is not None and left_usd > most:
            lasted, why = (now - begun[asset]) // SECOND_US, "; ".join(closed.refusals) or "no exchange trades it"
            failures.append(f"{_money(left_usd)} USD of {asset} are unhedged for {lasted} s and cannot be closed, "
                            f"limits.max_unhedged_notional is {plain(most)}: {why}")  # fmt: skip
    return Verdict(begun, tuple(blocks), "\n".join(failures))


class _Closed(NamedTuple):
    """`left` is what the blocks leave open (base units), 0 where it is less than any exchange's smallest order; `refusals` are why."""

    state: State
    blocks: list[dict[str, Any]]
    left: Decimal
    refusals: list[str]


def _close(asset: str, gap: Unhedged, state: State, venues: Venues, market: MarketSnapshot, busy: Collection[str]) -> _Closed:
    """Trades that bring the net exposure of an asset back by the gap (positive: too long)."""
    side, left, price_usd = ("sell" if gap.base > 0 else "buy"), abs(gap.base), gap.usd / abs(gap.base)
    blocks: list[dict[str, Any]] = []
    ways = list(_ways(asset, side, state, venues))
    refusals: list[str] = []
    for way in ways:
        if _is_too_small(way, left, price_usd, venues):
            continue
        if way.venue in busy:
            refusals.append(f"{way.venue} is busy or does not answer")
            continue
        done = _largest(way, side, left, state, venues, market, refusals)
        if done is not None:
            block, amount, state = done
            left -= amount
            blocks.append(block)
    if ways and all(way.most is not None or _is_too_small(way, left, price_usd, venues) for way in ways):
        left = ZERO
    return _Closed(state, blocks, left, list(dict.fromkeys(refusals)))


def _is_too_small(way: _Way, left: Decimal, price_usd: Decimal, venues: Venues) -> bool:
    """Whether what is left is less than the smallest order there."""
    exchange = venues[way.venue]
    assert isinstance(exchange, Exchange)
    lot, minimum = exchange.smallest_order(way.trade_type, way.symbol)
    return left < lot or left * price_usd < (0 if way.reduce_only else minimum)


def _largest(
    way: _Way, side: str, left: Decimal, state: State, venues: Venues, market: MarketSnapshot, refusals: list[str]
) -> tuple[dict[str, Any], Decimal, State] | None:
    """The block that closes as much as the exchange takes, its amount, and the state after it: all of it, else a half, a quarter, an
    eighth. What the exchange says to all of it goes to `refusals` where it takes less."""
    exchange = venues[way.venue]
    assert isinstance(exchange, Exchange)
    lot = exchange.smallest_order(way.trade_type, way.symbol)[0]
    whole = left if way.most is None else min(left, way.most)
    for parts in PARTS:
        amount = whole / parts // lot * lot
        if not amount:
            return None
        block = _block(way, side, amount)
        trade = parse_instruction(block)
        assert isinstance(trade, CexTrade)
        try:
            return block, amount, exchange.simulate(trade, state, market).state
        except ComponentError as refused:
            if parts == 1:
                refusals.append(refused.message)
    return None


def _ways(asset: str, side: str, state: State, venues: Venues) -> Iterator[_Way]:
    """The trades that bring an asset back, in the order in which they are tried: what reduces, the largest first, then what opens."""
    exchanges = [venue for venue in venues.values() if isinstance(venue, Exchange)]
    accounts = {exchange.name: state.part(exchange.name, ExchangeAccount) for exchange in exchanges}
    perps = [
        _Way(exchange.name, "perp", symbol, abs(perp.base), reduce_only=True)
        for exchange in exchanges
        for symbol, perp in accounts[exchange.name].perps.items()
        if base_of(symbol) == asset and (perp.base > 0) == (side == "sell")
    ]
    coins = [
        _Way(exchange.name, "spot", f"{token}{exchange.row.settle}", amount)
        for exchange in exchanges
        for token, amount in accounts[exchange.name].balances.items()
        if token == asset and amount > 0 and side == "sell"
    ]
    yield from sorted(perps, key=_size, reverse=True)
    yield from sorted(coins, key=_size, reverse=True)
    yield from (_Way(exchange.name, "perp", f"{asset}{exchange.row.settle}", None) for exchange in exchanges)
    if side == "buy":
        yield from (_Way(exchange.name, "spot", f"{asset}{exchange.row.settle}", None) for exchange in exchanges)


def _size(way: _Way) -> Decimal:
    return way.most or ZERO


def _block(way: _Way, side: str, amount: Decimal) -> dict[str, Any]:
    block = {
        "instruction_type": "cex_trade", "venue": way.venue, "trade_type": way.trade_type, "side": side, "symbol": way.symbol,
        "amount": plain(amount),
    }  # fmt: skip
    return {**block, "reduce_only": True} if way.reduce_only else block


def _money(usd: Decimal) -> str:
    return plain(round(usd, 2))


def encode_since(since: Since) -> str:
    """Since when which assets are unhedged, as JSON text."""
    return json.encode(since).decode()


def decode_since(text: str | None) -> Since:
    """The same of a text; None: nothing is."""
    return {} if text is None else json.decode(text, type=dict[str, int])
