"""Signed amounts by venue and token: fills, fees, transfers and balances alike."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from basis_strategy_v1.core.amounts import EXACT

if TYPE_CHECKING:
    from collections.abc import ItemsView, Mapping

Key = tuple[str, str]
Venues = dict[str, dict[str, Decimal]]
_add = EXACT.add  # whatever the caller's decimal context rounds to


class Deltas:
    """Net changes, venue and token -> Decimal. Immutable; a change of zero is not kept.

    >>> Deltas.at("binance", {"ETH": Decimal(1), "USDT": Decimal(-3300)}) + Deltas.at("binance", {"ETH": Decimal(-1)})
    Deltas({'binance': {'USDT': '-3300'}})
    """

    __slots__ = ("_venues",)

    def __init__(self, amounts: Mapping[Key, Decimal] | None = None) -> None:
        self._venues: Venues = {}
        for (venue, token), amount in (amounts or {}).items():
            if amount:
                self._venues.setdefault(venue, {})[token] = amount

    @classmethod
    def at(cls, venue: str, tokens: Mapping[str, Decimal]) -> Deltas:
        """The changes at one venue."""
        found = cls.__new__(cls)
        kept = dict(tokens) if all(tokens.values()) else {token: amount for token, amount in tokens.items() if amount}
        found._venues = {venue: kept} if kept else {}
        return found

    @classmethod
    def nested(cls, venues: Mapping[str, Mapping[str, Decimal]]) -> Deltas:
        """The changes as venue -> token -> amount."""
        return cls._of({venue: {token: amount for token, amount in tokens.items() if amount} for venue, tokens in venues.items()})

    @classmethod
    def _of(cls, venues: Venues) -> Deltas:
        """Amounts that are known to hold no zero."""
        found = cls.__new__(cls)
        found._venues = {venue: tokens for venue, tokens in venues.items() if tokens}
        return found

    def get(self, venue: str, token: str) -> Decimal:
        return self._venues.get(venue, {}).get(token, Decimal(0))

    def items(self) -> ItemsView[Key, Decimal]:
        """((venue, token), change) of each."""
        return {(venue, token): amount for venue, tokens in self._venues.items() for token, amount in tokens.items()}.items()

    def tokens(self, venue: str) -> dict[str, Decimal]:
        """token -> change at one venue."""
        return dict(self._venues.get(venue, {}))

    def as_amounts(self) -> Mapping[str, Mapping[str, Decimal]]:
        """The exact amounts: venue -> token -> Decimal. Not to be changed."""
        return self._venues

    def __add__(self, other: Deltas) -> Deltas:
        if not other._venues:
            return self
        if not self._venues:
            return other
        total = dict(self._venues)
        for venue, tokens in other._venues.items():
            total[venue] = _sum(total[venue], tokens) if venue in total else tokens
        return Deltas._of(total)

    def __neg__(self) -> Deltas:
        return Deltas._of(
            {venue: {token: amount.copy_negate() for token, amount in tokens.items()} for venue, tokens in self._venues.items()}
        )

    def __sub__(self, other: Deltas) -> Deltas:
        return self + -other

    def __bool__(self) -> bool:
        return bool(self._venues)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Deltas) and self._venues == other._venues

    def __hash__(self) -> int:
        return hash(frozenset(self.items()))

    def __repr__(self) -> str:
        return f"Deltas({self.as_texts()})"

    def as_floats(self) -> dict[str, dict[str, float]]:
        """The specification's shape: venue -> token -> net change."""
        # zip and map: each comprehension would be a call of its own.
        return {venue: dict(zip(tokens, map(float, tokens.values()), strict=True)) for venue, tokens in self._venues.items()}

    def as_texts(self) -> dict[str, dict[str, str]]:
        """The exact amounts as plain text."""
        return {venue: {token: format(amount, "f") for token, amount in tokens.items()} for venue, tokens in self._venues.items()}


def _sum(one: Mapping[str, Decimal], other: Mapping[str, Decimal]) -> dict[str, Decimal]:
    total = dict(one)
    for token, amount in other.items():
        if token not in total:
            total[token] = amount
        elif left := _add(total[token], amount):
            total[token] = left
        else:
            del total[token]
    return total
