"""One table of what the account holds, next to what the venues show. It compares and never corrects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import Struct, json, structs

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.clock import iso
from basis_strategy_v1.core.position_names import Kind
from basis_strategy_v1.core.state import IN_TRANSIT, ExchangeAccount, Transit
from basis_strategy_v1.core.state_change import apply_changes
from basis_strategy_v1.core.tokens import REBASING, to_amount
from basis_strategy_v1.execution.comparison import ACCRUAL, EXCHANGE_DIGITS
from basis_strategy_v1.venues.position_names import read_name

if TYPE_CHECKING:
    from basis_strategy_v1.core.execution_report import ExecutionReport
    from basis_strategy_v1.core.gateway import Due
    from basis_strategy_v1.core.order import Order
    from basis_strategy_v1.core.state import State

ZERO = Decimal(0)
NOT_OURS, INTEREST, ON_ITS_WAY, OPEN, ROUNDING = "not the run's", "interest", "in transit", "open order", "rounding"
PAID = {"fees": "fee", "gas": "gas"}  # the costs that a venue may take elsewhere than its report says
GROWS = (Kind.DEPOSIT, Kind.DEBT)


class Part(Struct, frozen=True):
    """A part of a difference, and why it is there: interest, funding, arrival, fee, gas, in transit …"""

    reason: str
    amount: Decimal


class Holding(Struct, frozen=True, kw_only=True):
    """One token at one venue: what the account holds and what the venue shows. Their difference is the sum of the `explained` parts and
    of `unexplained`, which is a break where it is not 0."""

    venue: str
    token: str
    held: Decimal
    shown: Decimal
    explained: tuple[Part, ...] = ()
    unexplained: Decimal = ZERO

    def __str__(self) -> str:
        parts = [f"{part.reason} {plain(part.amount)}" for part in self.explained]
        if self.unexplained:
            parts.append(f"unexplained {plain(self.unexplained)}")
        remark = f": {', '.join(parts)}" if parts else ""
        return f"{self.venue} shows {plain(self.shown)} {self.token}, held are {plain(self.held)}{remark}"


class HoldingsTable(Struct, frozen=True, kw_only=True):
    """All holdings at an instant. `unread`: venue or account -> why nobody could compare it."""

    at: datetime
    rows: tuple[Holding, ...] = ()
    unread: Mapping[str, str] = {}

    @property
    def breaks(self) -> tuple[Holding, ...]:
        """The rows of which a part is not explained."""
        return tuple(row for row in self.rows if row.unexplained)

    @property
    def differences(self) -> tuple[Holding, ...]:
        """The rows where the venue shows another amount, explained or not."""
        return tuple(row for row in self.rows if row.held != row.shown)


class Known(Struct, frozen=True, kw_only=True):
    """What may explain a difference.

    `not_ours`: what the venues held at the first start beyond what belongs to the run. `due`: what happened at the venues and is not taken
    over yet. `open`: orders whose outcome is not known. `executed`: what was executed since the last comparison. `wallets`: the wallet of
    each protocol.
    """

    not_ours: Mapping[str, Mapping[str, Decimal]] = {}
    due: Sequence[Due] = ()
    open: Sequence[Order] = ()
    executed: Sequence[ExecutionReport] = ()
    wallets: Mapping[str, str] = {}


def reconcile(at: datetime, held: State, read: State, known: Known, unread: Mapping[str, str] | None = None) -> HoldingsTable:
    """The table of the account's balances next to those that were read. Pure.

    Each difference is explained as far as something known explains it. What fell due, what is on its way and what an open order does count
    only where they bring the two nearer; a fee or gas only where it is the whole of the rest.
    """
    ours = held.positions()
    candidates = _candidates(held, known)
    rows: list[Holding] = []
    for venue, part in read.parts.items():
        has, shows = ours.get(venue, {}), part.positions()
        others = known.not_ours.get(venue, {})
        for token in dict.fromkeys((*has, *shows, *others)):
            row = Holding(venue=venue, token=token, held=has.get(token, ZERO), shown=shows.get(token, ZERO))
            found = _explained(
                row, candidates.get((venue, token), ()), others.get(token, ZERO), is_exchange=isinstance(part, ExchangeAccount)
            )
            rows.append(_with_payments(found, known))
    alone = {venue: "no gateway reads it" for venue in ours if venue != IN_TRANSIT and venue not in read.parts}
    return HoldingsTable(at=at, rows=tuple(rows), unread={**alone, **(unread or {})})


def _explained(row: Holding, candidates: Sequence[Part], others: Decimal, *, is_exchange: bool) -> Holding:
    left = row.shown - row.held
    parts: list[Part] = []
    for part in (Part(NOT_OURS, others), *candidates):
        taken = part.amount if part.reason == NOT_OURS else _towards(part, left)
        if taken:
            parts.append(Part(part.reason, taken))
            left -= taken
    if left and (reason := _of_little(row, left, is_exchange=is_exchange)) is not None:
        parts.append(Part(reason, left))
        left = ZERO
    return structs.replace(row, explained=tuple(parts), unexplained=left)


def _towards(part: Part, left: Decimal) -> Decimal:
    """How much of a part brings a difference nearer to 0: all of it, or none. An open order may have done a part."""
    if not left or (part.amount > 0) is not (left > 0):
        return ZERO
    if abs(part.amount) <= abs(left):
        return part.amount
    return left if part.reason == OPEN else ZERO


def _of_little(row: Holding, left: Decimal, *, is_exchange: bool) -> str | None:
    """What a small rest is: accrued interest, or the rounding of what the venue shows."""
    name = read_name(row.token)
    grows = not is_exchange and (name.kind in GROWS or row.token in REBASING)
    if grows and abs(left) <= abs(row.held) * ACCRUAL:
        return INTEREST
    unit = EXCHANGE_DIGITS if is_exchange else to_amount(name.of, 1)
    return ROUNDING if abs(left) <= unit else None


def _with_payments(row: Holding, known: Known) -> Holding:
    """The row whose whole rest is one fee or gas payment, or all of them together, explained by it."""
    if not row.unexplained:
        return row
    paid: dict[str, list[Decimal]] = {}
    for report in known.executed:
        for cost in report.costs:
            if cost.token == row.token and cost.source in PAID and row.venue in (report.venue, known.wallets.get(report.venue)):
                paid.setdefault(PAID[cost.source], []).append(-cost.amount)
    for reason, amounts in paid.items():
        if row.unexplained in (*amounts, sum(amounts)):
            return structs.replace(row, explained=(*row.explained, Part(reason, row.unexplained)), unexplained=ZERO)
    return row


# What may explain a difference, by venue and token.


def _candidates(held: State, known: Known) -> dict[tuple[str, str], list[Part]]:
    found: dict[tuple[str, str], list[Part]] = {}
    for place, part in (*_of_due(held, known.due), *_of_transit(held), *_of_open(held, known)):
        found.setdefault(place, []).append(part)
    return found


def _of_due(held: State, due: Sequence[Due]) -> Iterator[tuple[tuple[str, str], Part]]:
    for item in due:
        try:
            after = apply_changes(held, item.changes)
        except ValueError:  # it does not fit the state, and so explains nothing
            continue
        before, now = held.positions(), after.positions()
        for venue in item.changes:
            then, there = before.get(venue, {}), now.get(venue, {})
            for token in dict.fromkeys((*then, *there)):
                if change := there.get(token, ZERO) - then.get(token, ZERO):
                    yield (venue, token), Part(item.kind, change)
        held = after


def _of_transit(held: State) -> Iterator[tuple[tuple[str, str], Part]]:
    for transfer in held.part(IN_TRANSIT, Transit).transfers:
        yield (transfer.to_venue, transfer.token), Part(ON_ITS_WAY, transfer.amount)


def _of_open(held: State, known: Known) -> Iterator[tuple[tuple[str, str], Part]]:
    for order in known.open:
        for (venue, token), amount in order.expected.items():
            at_protocol = read_name(token).kind is not Kind.TOKEN or isinstance(held.parts.get(venue), ExchangeAccount)
            yield (venue if at_protocol else known.wallets.get(venue, venue), token), Part(OPEN, amount)


# As text: for the state folder and `basis status`.


def encode_table(table: HoldingsTable) -> str:
    """The table as JSON text, amounts as plain text."""
    rows = [
        {
            "venue": row.venue,
            "token": row.token,
            "held": plain(row.held),
            "shown": plain(row.shown),
            "explained": [{"reason": part.reason, "amount": plain(part.amount)} for part in row.explained],
            "unexplained": plain(row.unexplained),
        }
        for row in table.rows
    ]
    return json.encode({"at": iso(table.at), "rows": rows, "unread": table.unread}).decode()


def decode_table(text: str) -> HoldingsTable:
    """The table of a text.

    Raises:
        msgspec.DecodeError: it is none.
    """
    return json.decode(text, type=HoldingsTable)


def lines_of(table: HoldingsTable) -> list[str]:
    """For a person: how many agree, then each difference, the breaks first."""
    differences, breaks = table.differences, table.breaks
    explained = [row for row in differences if not row.unexplained]
    agree = len(table.rows) - len(differences)
    head = f"holdings at {iso(table.at)}: {agree} agree, {len(explained)} explained, {len(breaks)} not explained"
    unread = [f"not compared: {name}: {why}" for name, why in table.unread.items()]
    return [head, *(f"BREAK: {row}" for row in breaks), *unread, *(f"explained: {row}" for row in explained)]
