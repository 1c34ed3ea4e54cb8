"""What a venue reported, next to what was simulated and to what the venue shows. It compares and never corrects."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from basis_strategy_v1.core.amounts import EXACT, plain
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.instructions import CexTrade, WalletTransfer
from basis_strategy_v1.core.position_names import perp_name
from basis_strategy_v1.core.state import IN_TRANSIT, ExchangeAccount

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from basis_strategy_v1.core.execution_report import ExecutionReport
    from basis_strategy_v1.core.order import Order
    from basis_strategy_v1.core.state import State

    NotOurs = Mapping[str, Mapping[str, Decimal]]

ZERO = Decimal(0)
MODEL_ERROR = Decimal("0.05")  # of an expected change: beyond it the simulation, or the report, is wrong
EXCHANGE_DIGITS = Decimal("1e-8")  # an exchange shows no more
ACCRUAL = Decimal("1e-6")  # of an accruing balance between two looks
NOTHING: NotOurs = {}
NO_TOKENS: Mapping[str, Decimal] = {}


def unlike_expected(report: ExecutionReport) -> Iterator[str]:
    """Each change that is not the filled share of the expected one: in its sign, or by more than 5 % and the token's costs."""
    were, are = _on_its_way(report).amounts, report.deltas.amounts
    for venue in dict.fromkeys((*were, *are)):
        meant, happened = were.get(venue, {}), are.get(venue, {})
        for token in dict.fromkeys((*meant, *happened)):
            expected, moved = meant.get(token, ZERO) * report.filled, happened.get(token, ZERO)
            beyond = abs(moved - expected) - abs(expected) * MODEL_ERROR
            if beyond > 0 and beyond > sum((abs(cost.amount) for cost in report.costs if cost.token == token), ZERO):
                yield f"{report.key} moved {plain(moved)} {token} at {venue}, expected were {plain(expected)}"


def _on_its_way(report: ExecutionReport) -> Deltas:
    """The expected changes; what was simulated to arrive at once is in transit where the venue reports it there."""
    found = report.expected
    for token in report.deltas.amounts.get(IN_TRANSIT, NO_TOKENS):
        if found.get(IN_TRANSIT, token):
            continue
        for (venue, name), amount in report.expected.items():
            if name == token and amount > 0:
                found = found + Deltas.at(venue, {token: -amount}) + Deltas.at(IN_TRANSIT, {token: amount})
    return found


def filled_of_expected(report: ExecutionReport) -> Decimal:
    """The share of the expected changes that a report has: 1 where all was executed that was simulated, or nothing was expected.

    A fee may be paid in another token and a price may be better, so the token counts that comes nearest to what was expected.
    """
    shares = [EXACT.divide(report.deltas.get(*place), amount) for place, amount in report.expected.items() if amount]
    return max(shares, default=Decimal(1))


def unlike_deltas(deltas: Deltas, before: State, after: State) -> Iterator[str]:
    """Each amount at an exchange whose change is not the one of the deltas. On chain tokens go to the wallet, and interest accrues."""
    for venue, part in after.parts.items():
        moved, was = deltas.amounts.get(venue, NO_TOKENS), before.parts.get(venue)
        if isinstance(part, ExchangeAccount) and (moved or part is not was):
            then, now = NO_TOKENS if was is None else was.positions(), part.positions()
            for token in dict.fromkeys((*moved, *then, *now)):
                change = now.get(token, ZERO) - then.get(token, ZERO)
                if change != moved.get(token, ZERO):
                    yield f"{plain(change)} {token} at {venue}, where the deltas are {plain(moved.get(token, ZERO))}"


def unlike_reading(deltas: Deltas, held: State, read: State, not_ours: NotOurs = NOTHING) -> Iterator[str]:
    """Each token of the deltas of which the venue shows another amount than is held, in every part that it shows.

    `not_ours` (venue -> token -> amount) is there too, and belongs to somebody else.
    """
    tokens = {token for moved in deltas.amounts.values() for token in moved}
    for venue, part in read.parts.items():
        ours_there = held.parts.get(venue)
        shown, ours = part.positions(), NO_TOKENS if ours_there is None else ours_there.positions()
        slack = ZERO if isinstance(part, ExchangeAccount) else ACCRUAL
        for token in sorted(tokens & (shown.keys() | ours.keys())):
            has, there = ours.get(token, ZERO), EXACT.subtract(shown.get(token, ZERO), not_ours.get(venue, {}).get(token, ZERO))
            if abs(has - there) > slack * abs(has):
                yield f"{venue} shows {plain(there)} {token}, held are {plain(has)}"


def has_moved(expected: Deltas, held: State, read: State, not_ours: NotOurs = NOTHING) -> bool:
    """Whether the venue shows anything else than the account holds, or does not show all that an order would have changed."""
    if not held.checked or not expected.amounts.keys() <= read.parts.keys():
        return True
    ours = held.positions()
    return any(part.positions() != _with(ours.get(venue, {}), not_ours.get(venue, {})) for venue, part in read.parts.items())


def looks_executed(order: Order, held: State, read: State, not_ours: NotOurs = NOTHING) -> str | None:
    """What an exchange shows as if an order had been executed that a look-up does not find; None: nothing.

    Only what every fill moves counts: the base token or the perp of a trade, the token of a transfer, in the expected direction.
    """
    venue, part = order.venue, read.parts.get(order.venue)
    if not isinstance(part, ExchangeAccount) or not held.checked:
        return None
    ours, shown, others = held.positions().get(venue, {}), part.positions(), not_ours.get(venue, {})
    for token, expected in order.expected.tokens(venue).items():
        if _is_decisive(token, order):
            has, there = ours.get(token, ZERO), EXACT.subtract(shown.get(token, ZERO), others.get(token, ZERO))
            moved = there - has
            if abs(moved) > EXCHANGE_DIGITS and (moved > 0) == (expected > 0):
                return f"{venue} shows {plain(there)} {token}, held are {plain(has)}"
    return None


def _is_decisive(token: str, order: Order) -> bool:
    instruction = order.instruction
    if isinstance(instruction, CexTrade):
        return token == perp_name(instruction.symbol) if instruction.trade_type == "perp" else instruction.symbol.startswith(token)
    return isinstance(instruction, WalletTransfer) and token == instruction.token


def _with(ours: Mapping[str, Decimal], others: Mapping[str, Decimal]) -> dict[str, Decimal]:
    return {token: EXACT.add(ours.get(token, ZERO), others.get(token, ZERO)) for token in (*ours, *others)}
