"""What we hold and what the venues are like, in conserved units: one immutable state per venue."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, NamedTuple, TypeVar

from msgspec import Struct

from basis_strategy_v1.core.position_names import perp_name
from basis_strategy_v1.core.tokens import REBASING, to_amount

if TYPE_CHECKING:
    from collections.abc import Mapping

ZERO = Decimal(0)
IN_TRANSIT = "in_transit"
WALLET = "wallet"
RATE_UNIT = 10**18
AS_READ = "as read"
"""Marks what is read at a venue and not held there: a rate, an index, a stamp, a setting. A change takes its new value; all else changes
by differences (`core/state_change.py`)."""
IN_ORDER = "in order"
"""Marks a tuple that is always sorted."""
Reading = Annotated[int, AS_READ]


class VenueState:
    """What one venue holds for us, and what it is like. Each kind is a frozen Struct with a tag, under which it is stored."""

    __slots__ = ()

    def positions(self) -> dict[str, Decimal]:
        """How it reads as positions: token -> amount, zeros left out."""
        return {}

    @property
    def is_whole(self) -> bool:
        """Whether the venue was read with all that it is like, us in it, at one block of its chain."""
        return False

    def with_reading(self, read: VenueState) -> VenueState:
        """These positions, at a venue that is like `read` (what is marked `AS_READ`)."""
        return self

    def without_holdings(self) -> VenueState:
        """The same venue where nothing is held."""
        return type(self)()


class ModelState:
    """The state of something at a venue that is not ours, such as a pool. Each kind is a frozen Struct with a tag."""

    __slots__ = ()


class Perp(Struct, frozen=True, gc=False):
    """A perpetual position: `base` units, signed, and the signed quote `cost` that was paid for them.

    Its unrealised profit at a mark is base * mark - cost.
    """

    base: Decimal
    cost: Decimal


class ExchangeAccount(Struct, VenueState, frozen=True, gc=False, tag="Account"):
    """An account at an exchange."""

    balances: dict[str, Decimal] = {}
    perps: dict[str, Perp] = {}

    def positions(self) -> dict[str, Decimal]:
        found = {token: amount for token, amount in self.balances.items() if amount}
        for symbol, perp in self.perps.items():
            if perp.base:
                found[perp_name(symbol)] = perp.base
        return found

    def moved(self, changes: Mapping[str, Decimal], perps: dict[str, Perp] | None = None) -> ExchangeAccount:
        """The account after changes to its balances, with other perps where they are given."""
        after = self.balances.copy()
        for token, change in changes.items():
            after[token] = change + after[token] if token in after else change
        if not all(after.values()):
            after = {token: amount for token, amount in after.items() if amount}
        return ExchangeAccount(after, self.perps if perps is None else perps)


class Wallet(Struct, VenueState, frozen=True, gc=False, tag="Wallet"):
    """The trader's own address: token -> base units (a share token: shares), and what a share is worth in 1e-18."""

    units: dict[str, int] = {}
    share_rates: dict[str, Reading] = {}

    def units_of(self, token: str) -> int:
        """Base units held, a rebasing token as its balance reads now (rounded down, as its contract does)."""
        held = self.units.get(token, 0)
        return held * self.share_rates.get(token, RATE_UNIT) // RATE_UNIT if held and token in REBASING else held

    def positions(self) -> dict[str, Decimal]:
        return {token: to_amount(token, units) for token in self.units if (units := self.units_of(token))}

    def moved(self, changes: Mapping[str, int]) -> Wallet:
        """The wallet after changes in its own units (shares for a rebasing token)."""
        units = self.units.copy()
        for token, change in changes.items():
            units[token] = units[token] + change if token in units else change
        if not all(units.values()):
            units = {token: held for token, held in units.items() if held}
        return Wallet(units, self.share_rates)


class Transfer(NamedTuple):
    """An amount on its way; `arrives` is microseconds since 1970."""

    arrives: int
    key: str
    to_venue: str
    token: str
    amount: Decimal


class Transit(Struct, VenueState, frozen=True, tag="Transit"):
    """What has left one venue and not reached the next, earliest arrival first."""

    transfers: Annotated[tuple[Transfer, ...], IN_ORDER] = ()

    def positions(self) -> dict[str, Decimal]:
        found: dict[str, Decimal] = {}
        for transfer in self.transfers:
            found[transfer.token] = found.get(transfer.token, ZERO) + transfer.amount
        return found

    def with_(self, transfer: Transfer) -> Transit:
        return Transit(tuple(sorted((*self.transfers, transfer))))


class Amounts(Struct, VenueState, frozen=True, tag="Amounts"):
    """Plain amounts of a venue whose own units are not known (yet)."""

    amounts: dict[str, Decimal] = {}

    def positions(self) -> dict[str, Decimal]:
        return {token: amount for token, amount in self.amounts.items() if amount}


P = TypeVar("P")


class State(Struct, frozen=True, gc=False, eq=False):
    """The state of each venue. Immutable: `with_parts` gives the state after a change.

    `checked` is False where the balances are not known: then nothing is rejected for want of a balance.
    """

    parts: Mapping[str, VenueState] = {}
    checked: bool = True

    def part(self, venue: str, kind: type[P]) -> P:
        """The state of a venue, or an empty one."""
        found = self.parts.get(venue)
        return found if isinstance(found, kind) else kind()

    def with_part(self, venue: str, part: VenueState) -> State:
        """The whole state with that of one venue replaced."""
        return State({**self.parts, venue: part}, self.checked)

    def with_parts(self, **parts: VenueState) -> State:
        return State({**self.parts, **parts}, self.checked)

    def positions(self) -> dict[str, dict[str, Decimal]]:
        """venue -> token -> amount, as things stand; venues that hold nothing are left out."""
        return {venue: tokens for venue, part in self.parts.items() if (tokens := part.positions())}
