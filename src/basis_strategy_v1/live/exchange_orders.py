"""What every exchange's orders have in common: the rules of a market, an order as it was sent, and what its fills come to. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from hashlib import blake2b
from typing import TYPE_CHECKING

from msgspec import Struct

from basis_strategy_v1.core.amounts import EXACT, plain
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.gateway import Happened, MalformedAnswer
from basis_strategy_v1.core.position_names import perp_name
from basis_strategy_v1.core.state import ExchangeAccount, Perp
from basis_strategy_v1.core.state_change import change_between

if TYPE_CHECKING:
    from typing import Any

ZERO = Decimal(0)
SPOT, PERP = "spot", "perp"
OPEN, DONE, REFUSED = "open", "done", "refused"
_OURS = b"basis client id"
COST_ROUNDING, LEAST_COST = Decimal("1e-6"), Decimal("1e-6")  # how far a fill's cost may be from price times amount: a share, and in quote


class Rules(Struct, frozen=True, kw_only=True):
    """How a market is traded: base and quote token, the steps of amounts (base) and prices (quote), the least and the most of an order.

    None: the venue names none. `is_open`: it trades now.
    """

    base: str
    quote: str
    lot: Decimal
    tick: Decimal
    least: Decimal | None = None
    most: Decimal | None = None
    least_notional: Decimal | None = None
    most_notional: Decimal | None = None
    is_open: bool = True


class SentOrder(Struct, frozen=True, kw_only=True, tag="order"):
    """An order as it leaves: the body of its message. `asked` is the amount of the instruction (base), `price_then` the snapshot's price.

    `sent_ms` and `expires_ms` are the venue's time: it is not executed after the latter.
    """

    client_id: str
    trade_type: str
    symbol: str
    base: str
    quote: str
    side: str
    amount: Decimal
    price: Decimal
    life: str
    reduce_only: bool
    asked: Decimal
    price_then: Decimal | None
    sent_ms: int
    expires_ms: int


class SentMove(Struct, frozen=True, kw_only=True, tag="move"):
    """A move between the wallets of one account, as it leaves. Times as of an order."""

    client_id: str
    source: str
    target: str
    token: str
    amount: Decimal
    sent_ms: int
    expires_ms: int


class Fill(Struct, frozen=True, kw_only=True):
    """One execution at the venue. `cost` is in quote. A `fee` of None is not known. `realised`: the profit of a perp."""

    id: str
    price: Decimal
    amount: Decimal
    cost: Decimal
    fee: Decimal | None
    fee_token: str
    realised: Decimal = ZERO
    at_ms: int = 0


class FoundOrder(Struct, frozen=True, kw_only=True):
    """An order as the venue shows it. `status`: `open`, `done`, `refused`. `fills` None: they are to be asked for."""

    id: str
    client_id: str
    symbol: str
    side: str
    status: str
    amount: Decimal
    executed: Decimal
    at_ms: int
    reason: str = ""
    fills: tuple[Fill, ...] | None = None


def client_id_of(key: str, run: str = "") -> str:
    """The venue's form of a key: 32 hexadecimal digits, which every exchange takes.

    The last 8 are a check of the first 24 and the run, so that an order of this run is recognised by its id alone.
    """
    first = blake2b(key.encode(), digest_size=12).hexdigest()
    return first + _check(first, run)


def is_ours(client_id: str, run: str = "") -> bool:
    """Whether an order is one of this run."""
    return len(client_id) == 32 and client_id[24:] == _check(client_id[:24], run)


def _check(first: str, run: str) -> str:
    return blake2b(first.encode(), digest_size=4, key=_OURS, person=blake2b(run.encode(), digest_size=16).digest()).hexdigest()


# What is sent.


def whole_lots(amount: Decimal, rules: Rules) -> Decimal:
    """An amount cut down to whole lots."""
    return (amount / rules.lot).to_integral_value(ROUND_FLOOR) * rules.lot


def on_tick(price: Decimal, rules: Rules, side: str) -> Decimal:
    """A limit price on the tick towards the trader: never a worse one."""
    return (price / rules.tick).to_integral_value(ROUND_FLOOR if side == "buy" else ROUND_CEILING) * rules.tick


def fault_of(name: str, symbol: str, amount: Decimal, price: Decimal, rules: Rules, *, reduce_only: bool) -> str | None:
    """What the venue would refuse an order for."""
    shown = f"{plain(amount)} {rules.base}"
    if not rules.is_open:
        return f"{name} does not trade {symbol} now"
    if not amount:
        return f"{name} trades {symbol} in lots of {plain(rules.lot)} {rules.base}; the order is less than one"
    if rules.least is not None and amount < rules.least:
        return f"{name} takes no order of {symbol} below {plain(rules.least)} {rules.base}, got {shown}; trade more"
    if rules.most is not None and amount > rules.most:
        return f"{name} takes no order of {symbol} above {plain(rules.most)} {rules.base}, got {shown}; split it"
    notional = amount * price
    worth = f"{shown} at {plain(price)} is {plain(notional)} {rules.quote}"
    if rules.least_notional is not None and notional < rules.least_notional and not reduce_only:
        return f"{name} takes no order of {symbol} below {plain(rules.least_notional)} {rules.quote}; {worth}"
    if rules.most_notional is not None and notional > rules.most_notional:
        return f"{name} takes no order of {symbol} above {plain(rules.most_notional)} {rules.quote}; {worth}; split it"
    return None


# What became of it.


def difference_of(sent: SentOrder, found: FoundOrder) -> str | None:
    """In what an order of the same client id is another one than the one that was sent."""
    for name in ("symbol", "side", "amount"):
        is_, was = getattr(found, name), getattr(sent, name)
        if is_ != was:
            return f"{name} is {is_}, sent was {was}"
    return None


def executed_by(fills: Iterable[Fill]) -> Decimal:
    return sum((fill.amount for fill in fills), ZERO)


def happened_of(venue: str, sent: SentOrder, found: FoundOrder, fills: tuple[Fill, ...], raw: Any = None) -> Happened:
    """What an order has come to by its fills.

    Raises:
        MalformedAnswer: the fills are not what was executed, a number cannot be true, or a fee is not known.
    """
    for fill in fills:
        if (fault := _fault_of_fill(sent, fill)) is not None:
            raise MalformedAnswer(fault, raw)
    executed = executed_by(fills)
    if executed != found.executed or executed > sent.amount:
        were = plain(found.executed) if found.executed.is_finite() else str(found.executed)
        more = f", and {plain(sent.amount)} were sent" if executed > sent.amount else ""
        raise MalformedAnswer(f"fills of {plain(executed)} {sent.base}, where {were} were executed{more}", raw)
    lacks = next((fill.id for fill in fills if fill.fee is None), None)
    tokens, perps = moved_by(sent.trade_type, sent.symbol, sent.base, sent.quote, sent.side, fills)
    is_final = found.status == DONE
    if not executed:
        details: dict[str, Any] = {"filled": ZERO, "price": sent.price_then, "limit": sent.price}
        return Happened(deltas=Deltas(), reference=found.id, filled=ZERO, details=details, final=is_final, raw=raw)
    cost = sum((fill.cost for fill in fills), ZERO)
    details = {"filled": executed, "price": _average(cost, executed, fills)}
    if any(fill.realised for fill in fills):
        details["realised"] = sum((fill.realised for fill in fills), ZERO)
    happened = Happened(
        deltas=deltas_of(venue, tokens, perps),
        changes=changes_of(venue, tokens, perps),
        reference=found.id,
        filled=EXACT.divide(executed, sent.asked),
        costs=costs_of(sent, fills, executed, cost),
        details=details,
        final=is_final,
        raw=raw,
    )
    if lacks is not None:
        raise MalformedAnswer(f"a fill {lacks} without its fee", raw, happened)
    return happened


def _fault_of_fill(sent: SentOrder, fill: Fill) -> str | None:
    """Why a fill cannot be one of this order. Its cost may be rounded by the exchange."""
    if not all(number.is_finite() for number in (fill.price, fill.amount, fill.cost, fill.fee or ZERO, fill.realised)):
        return f"a fill {fill.id} with something that is no number"
    if fill.price <= 0 or fill.amount <= 0:
        return f"a fill {fill.id} of {plain(fill.amount)} {sent.base} at {plain(fill.price)}"
    if fill.price > sent.price if sent.side == "buy" else fill.price < sent.price:
        return f"a fill {fill.id} at {plain(fill.price)}, beyond the limit of {plain(sent.price)}"
    if abs(fill.cost - fill.price * fill.amount) > fill.price * fill.amount * COST_ROUNDING + LEAST_COST:
        return f"a fill {fill.id} that cost {plain(fill.cost)} {sent.quote}, of {plain(fill.amount)} {sent.base} at {plain(fill.price)}"
    return None


def moved_by(
    trade_type: str, symbol: str, base: str, quote: str, side: str, fills: Iterable[Fill]
) -> tuple[dict[str, Decimal], dict[str, Perp]]:
    """What fills moved: token -> change, and symbol -> change of the perp.

    The quote cost of a perp grows by what was paid and by the profit that was realised, so that base * mark - cost + cash is conserved.
    """
    sign = 1 if side == "buy" else -1
    tokens: dict[str, Decimal] = {}
    amount, cost = ZERO, ZERO

    def add(token: str, change: Decimal) -> None:
        tokens[token] = tokens.get(token, ZERO) + change

    for fill in fills:
        if trade_type == SPOT:
            add(base, sign * fill.amount)
            add(quote, -sign * fill.cost)
        else:
            amount += sign * fill.amount
            cost += sign * fill.cost + fill.realised
            add(quote, fill.realised)
        if fill.fee:
            add(fill.fee_token, -fill.fee)
    perps = {symbol: Perp(amount, cost)} if amount or cost else {}
    return {token: change for token, change in tokens.items() if change}, perps


def deltas_of(venue: str, tokens: Mapping[str, Decimal], perps: Mapping[str, Perp]) -> Deltas:
    return Deltas.at(venue, {**{perp_name(symbol): perp.base for symbol, perp in perps.items()}, **tokens})


def changes_of(venue: str, tokens: Mapping[str, Decimal], perps: Mapping[str, Perp]) -> dict[str, Any]:
    """The same as a change of the account's state, which adds to whatever it holds."""
    change = change_between(ExchangeAccount(), ExchangeAccount(dict(tokens), dict(perps)))
    return {venue: change} if change else {}


def costs_of(sent: SentOrder, fills: Iterable[Fill], executed: Decimal, cost: Decimal) -> tuple[Cost, ...]:
    """The fees by token, and what the fills were worse than the snapshot's price (negative: better)."""
    fees: dict[str, Decimal] = {}
    for fill in fills:
        if fill.fee:
            fees[fill.fee_token] = fees.get(fill.fee_token, ZERO) + fill.fee
    costs = [Cost("fees", token, fee) for token, fee in fees.items()]
    if sent.price_then is not None:
        slipped = (cost - executed * sent.price_then) * (1 if sent.side == "buy" else -1)
        if slipped:
            costs.append(Cost("slippage", sent.quote, slipped))
    return tuple(costs)


def _average(cost: Decimal, executed: Decimal, fills: tuple[Fill, ...]) -> Decimal:
    prices = {fill.price for fill in fills}
    return prices.pop() if len(prices) == 1 else EXACT.divide(cost, executed)
