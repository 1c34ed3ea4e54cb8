"""Whether a gateway's answer can be recorded. A Struct does not check its fields when it is made, so each of them is looked at here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec import MsgspecError, Struct, structs
from msgspec.json import Encoder

from basis_strategy_v1.core.amounts import EXACT, LARGEST, SMALLEST, exact_number, plain, shown
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.gateway import Due, Finding, Happened, MalformedAnswer, Message, NeverHappened, Pending
from basis_strategy_v1.core.instructions import CexTrade
from basis_strategy_v1.core.position_names import perp_name
from basis_strategy_v1.core.state import State

if TYPE_CHECKING:
    from basis_strategy_v1.core.order import Order

ZERO, ONE = Decimal(0), Decimal(1)
DEEPEST = 16
ROUNDING = Decimal("1e-6")  # of a trade's amount: a venue's share of a fill has few digits
MOST_FEE = Decimal("0.05")  # of what a spot trade buys or sells, where the fee is paid in it
_encoded = Encoder().encode
_PLAIN = (str, int, Decimal, type(None))  # a bool is an int


def require_finding(answer: object, order: Order, filled: Decimal = ZERO) -> Finding:
    """The answer, if it can be recorded as what became of the order. `filled` is the share that the venue reported before.

    Raises:
        MalformedAnswer: what is wrong with it.
    """
    if isinstance(answer, Pending | NeverHappened):
        if isinstance(reason := _as_given(answer)["reason"], str):
            return answer
        raise MalformedAnswer(f"a reason that is {shown(reason)}, not text", answer)
    if not isinstance(answer, Happened):
        raise MalformedAnswer(f"{shown(answer)}, which is not Happened, Pending or NeverHappened", answer)
    fault = _fault_of(_as_given(answer)) or _contradiction(answer, order, filled)
    if fault is not None:
        raise MalformedAnswer(fault, answer if answer.raw is None else answer.raw)
    return answer


def require_message(message: object) -> Message:
    """The message, if it can be written down.

    Raises:
        MalformedAnswer: what is wrong with it.
    """
    if not isinstance(message, Message):
        raise MalformedAnswer(f"{shown(message)}, which is not a Message", message)
    given = _as_given(message)
    for name in ("client_id", "body"):
        if not isinstance(given[name], str) or not given[name]:
            raise MalformedAnswer(f"a {name} that is {shown(given[name])}, not text", message)
    for name in ("expires", "nonce"):
        if given[name] is not None and type(given[name]) is not int:
            raise MalformedAnswer(f"{name} that is {shown(given[name])}, not a whole number", message)
    return message


def require_state(read: object) -> State:
    """What a gateway read of its account, if it can be compared with the account's state.

    Raises:
        MalformedAnswer: what is wrong with it.
    """
    if not isinstance(read, State):
        raise MalformedAnswer(f"{shown(read)}, which is not a State", read)
    parts = _as_given(read)["parts"]
    if not isinstance(parts, Mapping):
        raise MalformedAnswer(f"a State of {shown(parts)}, not of venues", read)
    for venue, part in parts.items():
        if not hasattr(part, "positions"):
            raise MalformedAnswer(f"a State whose {shown(venue)} is {shown(part)}", read)
    try:
        fault = _fault_of_amounts({venue: part.positions() for venue, part in parts.items()})
    except (ArithmeticError, AttributeError, TypeError, ValueError) as error:  # units of another type
        raise MalformedAnswer(f"a State whose positions cannot be counted: {type(error).__name__}", read) from error
    if fault is not None:
        raise MalformedAnswer(f"a State with {fault}", read)
    return read


def require_due(answer: object) -> tuple[Sequence[Due], str]:
    """What a gateway says has happened at a venue, and the next cursor, if they can be recorded.

    Raises:
        MalformedAnswer: what is wrong with it.
    """
    if not isinstance(answer, tuple) or len(answer) != 2 or not isinstance(answer[0], Sequence) or not isinstance(answer[1], str):
        raise MalformedAnswer(f"{shown(answer)}, which is not what fell due and the next cursor", answer)
    items, cursor = answer
    if fault := _fault_of_settlements(tuple(items)):
        raise MalformedAnswer(f"{fault} among what fell due", answer)
    return items, cursor


def _as_given(answer: Struct) -> dict[str, Any]:
    return structs.asdict(answer)


def _fault_of(given: Mapping[str, Any]) -> str | None:
    deltas, filled, reference = given["deltas"], given["filled"], given["reference"]
    if not isinstance(deltas, Deltas):
        return f"deltas that are {shown(deltas)}, not Deltas"
    if fault := _fault_of_amounts(deltas.amounts):
        return fault
    if not _is_finite(filled) or not ZERO <= filled <= ONE:
        return f"a filled share of {shown(filled)}, which is not a Decimal from 0 to 1"
    if not isinstance(reference, str) or not reference:
        return f"a reference that is {shown(reference)}, not the venue's name of it"
    for name in ("final", "failed"):
        if type(given[name]) is not bool:
            return f"{name} that is {shown(given[name])}, not True or False"
    return _fault_of_rest(given) or _fault_of_settlements(given["settlements"])


def _fault_of_rest(given: Mapping[str, Any]) -> str | None:
    return _fault_of_costs(given["costs"]) or _fault_of_changes(given["changes"]) or _fault_of_details(given["details"])


def _fault_of_settlements(settlements: Any) -> str | None:
    if not isinstance(settlements, tuple):
        return f"settlements that are {shown(settlements)}, not a tuple of Due"
    for item in settlements:
        if not isinstance(item, Due):
            return f"a settlement that is {shown(item)}, not a Due"
        due = _as_given(item)
        if not all(map(_is_name, (due["id"], due["venue"], due["kind"]))) or not _is_aware(due["at"]):
            return "a settlement without an id, a venue, a kind or a time with a zone"
        if not isinstance(due["deltas"], Deltas):
            return f"a settlement with deltas that are {shown(due['deltas'])}, not Deltas"
        if fault := _fault_of_amounts(due["deltas"].amounts) or _fault_of_rest(due):
            return f"a settlement with {fault}"
    return None


def _fault_of_amounts(venues: Any) -> str | None:
    """The first fault of venue -> token -> Decimal."""
    if not isinstance(venues, dict):
        return f"deltas of {shown(venues)}, not of venues"
    for venue, tokens in venues.items():
        if not isinstance(tokens, dict):
            return f"deltas of {shown(venue)} that are {shown(tokens)}, not tokens"
        for token, amount in tokens.items():
            if not (_is_name(venue) and _is_name(token)):
                return f"deltas under {shown(venue)} and {shown(token)}, which are not a venue and a token"
            if not _is_finite(amount):
                return f"a change of {shown(amount)} {token}, which is not a finite Decimal"
    return None


def _fault_of_costs(costs: Any) -> str | None:
    if not isinstance(costs, tuple):
        return f"costs that are {shown(costs)}, not a tuple of Cost"
    for cost in costs:
        if not (isinstance(cost, Cost) and _is_name(cost.source) and _is_name(cost.token) and _is_finite(cost.amount)):
            return f"a cost that is {shown(cost)}, not a Cost of a finite Decimal"
    return None


def _fault_of_changes(changes: Any) -> str | None:
    if not isinstance(changes, Mapping):
        return f"changes that are {shown(changes)}, not those of venues"
    for venue, change in changes.items():
        if not _is_name(venue):
            return f"changes of {shown(venue)}, which is not a venue"
        if not isinstance(change, Mapping):
            return f"a change of {shown(venue)} that is {shown(change)}"
        if fault := _not_exact(change, DEEPEST):
            return f"a change of {shown(venue)} that has {fault}"
    return None


def _not_exact(value: Any, depth: int) -> str | None:
    """What in a value is no exact number, no text and no group of them."""
    if isinstance(value, _PLAIN):
        return None if not isinstance(value, Decimal) or _is_finite(value) else f"{shown(value)}, which is not finite"
    if not depth:
        return f"more than {DEEPEST} levels"
    if isinstance(value, Struct):
        value = structs.asdict(value)
    if isinstance(value, Mapping):
        inner = (*value.keys(), *value.values())
    elif isinstance(value, list | tuple):
        inner = tuple(value)
    else:
        return f"{shown(value)}, which is not exact"
    for one in inner:
        if fault := _not_exact(one, depth - 1):
            return fault
    return None


def _fault_of_details(details: Any) -> str | None:
    if not isinstance(details, Mapping) or not all(map(_is_name, details)):
        return f"details that are {shown(details)}, not values by their names"
    try:
        _encoded(dict(details))
    except (TypeError, ValueError, RecursionError, MsgspecError) as error:
        return f"details that cannot be written down: {type(error).__name__}"
    return None


def _contradiction(happened: Happened, order: Order, before: Decimal) -> str | None:
    """Where the answer says one thing in one field and another in the next."""
    filled, deltas = happened.filled, happened.deltas
    if happened.failed and not (happened.final and not filled):
        return f"a failure that is filled to {plain(filled)}" if filled else "a failure that is not final"
    if filled < before:
        return f"a filled share of {plain(filled)}, after one of {plain(before)}"
    if deltas and not (filled or happened.failed):
        return "a filled share of 0 with deltas"
    instruction = order.instruction
    return _misfilled(deltas, instruction, filled) if isinstance(instruction, CexTrade) and filled else None


def _misfilled(deltas: Deltas, trade: CexTrade, filled: Decimal) -> str | None:
    """Where the base that moved is not the filled share of the amount. A spot trade's fee may be paid in it."""
    tokens = deltas.tokens(trade.venue)
    name = perp_name(trade.symbol) if trade.trade_type == "perp" else _base_of(trade.symbol, tokens)
    moved = tokens.get(name, ZERO) if name is not None else ZERO
    bought = moved if trade.side == "buy" else -moved
    asked = trade.amount * filled
    slack = trade.amount * ROUNDING
    fee = asked * MOST_FEE if trade.trade_type == "spot" else ZERO
    most, least = (asked, asked - fee) if trade.side == "buy" else (asked + fee, asked)
    if least - slack <= bought <= most + slack:
        return None
    return f"a change of {plain(moved)} {name or 'base'}, where {plain(filled)} of {trade.side} {plain(trade.amount)} was filled"


def _base_of(symbol: str, tokens: Mapping[str, Decimal]) -> str | None:
    """The token of these that the symbol begins with."""
    return max((token for token in tokens if symbol.startswith(token)), key=len, default=None)


def _is_name(name: object) -> bool:
    """Whether it is text that UTF-8 has: half of a character, from a broken file, has no form there."""
    return isinstance(name, str) and bool(name) and name.isprintable()


def _is_aware(at: object) -> bool:
    return isinstance(at, datetime) and at.utcoffset() is not None


def _is_finite(amount: object) -> bool:
    """Whether it is a Decimal that an amount may be: finite, in reach, not too long."""
    if not isinstance(amount, Decimal):
        return False
    if amount.is_finite() and SMALLEST <= abs(amount) <= LARGEST and EXACT.plus(amount) == amount:
        return True
    try:
        exact_number(amount)
    except ValueError:
        return False
    return True
