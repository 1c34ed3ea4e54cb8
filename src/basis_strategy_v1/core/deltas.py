"""Signed amounts by venue and token: fills, fees, transfers and balances alike."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from basis_strategy_v1.core.amounts import EXACT

if TYPE_CHECKING:
    from collections.abc import ItemsView, Mapping

Key = tuple[str, str]
_add = EXACT.add  # whatever the caller's decimal context rounds to


class Deltas:
    """Net changes, venue and token -> Decimal. Immutable; a change of zero is not kept.

    >>> Deltas.at("binance", {"ETH": Decimal(1), "USDT": Decimal(-3300)}) + Deltas.at("binance", {"ETH": Decimal(-1)})
    Deltas({'binance': {'USDT': '-3300'}})
    """

    __slots__ = ("_amounts",)

    def __init__(self, amounts: Mapping[Key, Decimal] | None = None) -> None:
        self._amounts: dict[Key, Decimal] = {key: amount for key, amount in amounts.items() if amount} if amounts else {}

    @classmethod
    def at(cls, venue: str, tokens: Mapping[str, Decimal]) -> Deltas:
        """The changes at one venue."""
        found = cls.__new__(cls)
        found._amounts = amounts = {}
        for token, amount in tokens.items():
            if amount:
                amounts[venue, token] = amount
        return found

    @classmethod
    def nested(cls, venues: Mapping[str, Mapping[str, Decimal]]) -> Deltas:
        """The changes as venue -> token -> amount."""
        return cls({(venue, token): amount for venue, tokens in venues.items() for token, amount in tokens.items()})

    @classmethod
    def _of(cls, amounts: dict[Key, Decimal]) -> Deltas:
        """Amounts that are known to hold no zero, kept without a copy."""
        found = cls.__new__(cls)
        found._amounts = amounts
        return found

    def get(self, venue: str, token: str) -> Decimal:
        return self._amounts.get((venue, token), Decimal(0))

    def items(self) -> ItemsView[Key, Decimal]:
        return self._amounts.items()

    def tokens(self, venue: str) -> dict[str, Decimal]:
        """token -> change at one venue."""
        return {token: amount for (name, token), amount in self._amounts.items() if name == venue}

    def __add__(self, other: Deltas) -> Deltas:
        if not other._amounts:
            return self
        if not self._amounts:
            return other
        total = dict(self._amounts)
        for key, amount in other._amounts.items():
            if key not in total:
                total[key] = amount
            elif left := _add(total[key], amount):
                total[key] = left
            else:
                del total[key]
        return Deltas._of(total)

    def __neg__(self) -> Deltas:
        return Deltas._of({key: amount.copy_negate() for key, amount in self._amounts.items()})

    def __sub__(self, other: Deltas) -> Deltas:
        return self + -other

    def __bool__(self) -> bool:
        return bool(self._amounts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Deltas) and self._amounts == other._amounts

    def __hash__(self) -> int:
        return hash(frozenset(self._amounts.items()))

    def __repr__(self) -> str:
        return f"Deltas({self.as_texts()})"

    def as_floats(self) -> dict[str, dict[str, float]]:
        """The specification's shape: venue -> token -> net change."""
        found: dict[str, dict[str, float]] = {}
        tokens: dict[str, float] = {}
        last = None
        for (venue, token), amount in self._amounts.items():
            if venue is not last:
                last = venue
                tokens = found.setdefault(venue, {})
            tokens[token] = float(amount)
        return found

    def as_texts(self) -> dict[str, dict[str, str]]:
        """The exact amounts as text, for event logs."""
        found: dict[str, dict[str, str]] = {}
        for (venue, token), amount in self._amounts.items():
            found.setdefault(venue, {})[token] = format(amount, "f")
        return found
