"""The rows of risk.csv of a live run: the cells of a step are made at its own prices, and are kept in the record."""

from __future__ import annotations

from array import array
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec import Struct

from basis_strategy_v1.core.clock import iso_each
from basis_strategy_v1.results.risk import OF_ALL, RiskRows, absent, cells_of, columns_of, in_order
from basis_strategy_v1.results.risk_steps import Prices, RiskPoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.results.funding_aprs import FundingLook
    from basis_strategy_v1.results.risk_steps import MarketAt

_encoded = msgspec.json.Encoder().encode


class RiskCells(Struct, frozen=True):
    """The cells of a step, as in the file, by column."""

    instant: int
    cells: dict[str, str] = {}


class RiskRow(NamedTuple):
    """What the record keeps of a step, as JSON text: its cells, and the positions where they have changed."""

    cells: str
    point: str | None


class RiskOfSteps(RiskRows):
    """The rows of risk.csv, a step after another. No price of the past is needed to write them."""

    def __init__(self, currency: Sequence[str]) -> None:
        super().__init__(currency)
        self._cells_at: dict[int, RiskCells] = {}
        self._point: RiskPoint | None = None
        self._is_new = False

    def add(self, point: RiskPoint) -> None:
        """Take the positions from this step on."""
        self._point, self._is_new = point, True

    @property
    def funding(self) -> FundingLook | None:
        return None if self._point is None else self._point.funding

    def see(self, market: MarketSnapshot) -> RiskRow | None:
        """Make the cells of a step from its prices; None where no positions are known since a start."""
        if (point := self._point) is None:
            return None
        prices = Prices(array("q", [market.instant]), lambda at, instant: market, self._currency[0])
        made = cells_of([point], [1], prices, self._currency)
        cells = {name: made[name][0] for name in (*OF_ALL, *in_order(columns_of([point])))}
        self._cells_at[market.instant] = seen = RiskCells(market.instant, cells)
        row = RiskRow(_encoded(seen).decode(), _encoded(point).decode() if self._is_new else None)
        self._is_new = False
        return row

    def restore(self, row: RiskRow) -> None:
        """Take up a step that an earlier process has seen.

        Raises:
            ValueError: the text is none of a step's.
        """
        cells = msgspec.json.decode(row.cells, type=RiskCells)
        self._cells_at[cells.instant] = cells
        if row.point is not None:
            with suppress(msgspec.ValidationError):  # of an earlier version: the next look will know
                self._point = msgspec.json.decode(row.point, type=RiskPoint)

    def columns(self) -> list[str]:
        return in_order({name for cells in self._cells_at.values() for name in cells.cells if name not in OF_ALL})

    def rows(self, instants: array[int], market_at: MarketAt) -> Iterator[str]:
        """A line a step. A cell is empty where a price was not known, or there was nothing of the kind."""
        columns = (*OF_ALL, *self.columns())
        absents, unseen = [absent(name) for name in columns], "," * len(columns)
        for stamp, instant in zip(iso_each(instants), instants, strict=True):
            seen = self._cells_at.get(instant)
            cells = unseen if seen is None else "".join([f",{seen.cells.get(*pair)}" for pair in zip(columns, absents, strict=True)])
            yield f"{stamp}{cells}\n"
