"""A market of which only the chain is known: what the simulator of a transaction works on is in the state that was read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from basis_strategy_v1.core.clock import SECOND_US, from_instant
from basis_strategy_v1.core.market import MarketSnapshot

NO_PRICES: Mapping[str, Decimal] = MappingProxyType({})


class ChainSnapshot(MarketSnapshot):
    """The second of a block. `rows` are those of the pools that were read, by (kind, venue, name), `prices` USD by token."""

    __slots__ = ("_prices", "_rows")

    def __init__(self, at_s: int, rows: Mapping[tuple[str, str, str], Any], prices: Mapping[str, Decimal] = NO_PRICES) -> None:
        super().__init__(from_instant(at_s * SECOND_US), at_s * SECOND_US)
        self._rows = rows
        self._prices = prices

    def _close(self, kind: str, venue: str, name: str, *, for_trade: bool) -> Decimal | None:
        return None

    def _row(self, kind: str, venue: str, name: str) -> Any:
        return self._rows.get((kind, venue, name))

    def perp_range(self, venue: str, symbol: str, kind: str = "perp") -> tuple[Decimal, Decimal]:
        found: tuple[Decimal, Decimal] = self._missing("perp", venue, symbol)
        return found

    def next_row(self, kind: str, venue: str, name: str) -> int | None:
        return None

    def row_stamp(self, kind: str, venue: str, name: str) -> int | None:
        return self.instant if (kind, venue, name) in self._rows else None

    def funding_missing(self, venue: str, symbol: str) -> Decimal:
        return self.funding(venue, symbol)

    def price(self, token: str) -> Decimal:
        found: Decimal = self._prices[token] if token in self._prices else self._missing("price", "the chain", token)
        return found

    def names(self, kind: str, venue: str) -> tuple[str, ...]:
        return tuple(sorted(name for of, at, name in self._rows if (of, at) == (kind, venue)))

    def _trading(self, pair: str) -> Iterable[str]:
        return ()

    def mean_funding(self, venue: str, symbol: str, hours: int) -> Decimal | None:
        return None
