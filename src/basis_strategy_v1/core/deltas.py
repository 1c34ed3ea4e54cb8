"""Signed amounts by venue and token: fills, fees, transfers and balances alike."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import Struct, ValidationError
from msgspec.json import Decoder, Encoder

from basis_strategy_v1.core.amounts import EXACT

if TYPE_CHECKING:
    from collections.abc import ItemsView, Iterable, Mapping

Key = tuple[str, str]
Venues = dict[str, dict[str, Decimal]]
_texts = Encoder(enc_hook=Decimal).encode  # a subclass of Decimal, from somebody's client, is one too
_floats = Decoder(dict[str, dict[str, float]], strict=False).decode
_decimals = Decoder(dict[str, dict[str, Decimal]]).decode
_add = EXACT.add  # whatever the caller's decimal context rounds to


class Deltas(Struct, frozen=True, gc=False):
    """Net changes, venue and token -> Decimal. Immutable; a change of zero is not kept.

    >>> Deltas.at("binance", {"ETH": Decimal(1), "USDT": Decimal(-3300)}) + Deltas.at("binance", {"ETH": Decimal(-1)})
    Deltas({'binance': {'USDT': '-3300'}})
    """

    amounts: Venues = {}  # venue -> token -> Decimal; not to be changed

    @classmethod
    def of(cls, amounts: Mapping[Key, Decimal]) -> Deltas:
        """The changes as (venue, token) -> amount."""
        venues: Venues = {}
        for (venue, token), amount in amounts.items():
            if amount:
                venues.setdefault(venue, {})[token] = amount
        return cls(venues)

    @classmethod
    def at(cls, venue: str, tokens: dict[str, Decimal]) -> Deltas:
        """The changes at one venue; the dict is taken over, and is not to be changed by its maker."""
        if not all(tokens.values()):
            tokens = {token: amount for token, amount in tokens.items() if amount}
        return cls({venue: tokens} if tokens else {})

    @classmethod
    def nested(cls, venues: Mapping[str, Mapping[str, Decimal]]) -> Deltas:
        """The changes as venue -> token -> amount."""
        return cls._of({venue: {token: amount for token, amount in tokens.items() if amount} for venue, tokens in venues.items()})

    @classmethod
    def total(cls, parts: Iterable[Deltas]) -> Deltas:
        """The sum of several."""
        found: Venues = {}
        for part in parts:
            for venue, tokens in part.amounts.items():
                there = found.get(venue)
                if there is None:
                    found[venue] = tokens.copy()
                    continue
                for token, amount in tokens.items():
                    there[token] = _add(there[token], amount) if token in there else amount
        for tokens in found.values():
            if not all(tokens.values()):
                return cls.nested(found)
        return cls(found)

    @classmethod
    def _of(cls, venues: Venues) -> Deltas:
        """Amounts that are known to hold no zero."""
        return cls({venue: tokens for venue, tokens in venues.items() if tokens})

    def get(self, venue: str, token: str) -> Decimal:
        return self.amounts.get(venue, {}).get(token, Decimal(0))

    def items(self) -> ItemsView[Key, Decimal]:
        """((venue, token), change) of each."""
        return {(venue, token): amount for venue, tokens in self.amounts.items() for token, amount in tokens.items()}.items()

    def tokens(self, venue: str) -> dict[str, Decimal]:
        """token -> change at one venue."""
        return dict(self.amounts.get(venue, {}))

    def __add__(self, other: Deltas) -> Deltas:
        if not other.amounts:
            return self
        if not self.amounts:
            return other
        return Deltas.total((self, other))

    def __neg__(self) -> Deltas:
        return Deltas._of(
            {venue: {token: amount.copy_negate() for token, amount in tokens.items()} for venue, tokens in self.amounts.items()}
        )

    def __sub__(self, other: Deltas) -> Deltas:
        return self + -other

    def __bool__(self) -> bool:
        return bool(self.amounts)

    def __hash__(self) -> int:
        return hash(frozenset(self.items()))

    def __repr__(self) -> str:
        return f"Deltas({self.as_texts()})"

    def as_floats(self) -> dict[str, dict[str, float]]:
        """The specification's shape: venue -> token -> net change."""
        return floats_of(self.packed())  # by way of JSON: half the time of a float() for each

    def packed(self) -> bytes:
        """The exact amounts as an event's line has them, in a tenth of the memory; `floats_of` and `unpacked` read it."""
        return _texts(self.amounts)

    @classmethod
    def unpacked(cls, packed: bytes) -> Deltas:
        """What was packed."""
        return cls(_decimals(packed))

    def as_texts(self) -> dict[str, dict[str, str]]:
        """The exact amounts as plain text."""
        return {venue: {token: format(amount, "f") for token, amount in tokens.items()} for venue, tokens in self.amounts.items()}


def floats_of(packed: bytes) -> dict[str, dict[str, float]]:
    """What was packed, in the specification's shape: venue -> token -> net change."""
    try:
        return _floats(packed)
    except ValidationError:  # beyond the largest float
        return {venue: {token: float(amount) for token, amount in tokens.items()} for venue, tokens in _decimals(packed).items()}
