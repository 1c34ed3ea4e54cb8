"""The rows of risk.csv of a live run: the cells of a step are made at its own prices, and are kept in the record."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec import Struct

from basis_strategy_v1.core.clock import iso_each
from basis_strategy_v1.results.risk import (
    OF_ACCOUNT,
    OF_ALL,
    OF_LENDER,
    Prices,
    RiskPoint,
    RiskRows,
    account_cells,
    bases_of,
    delta_cells,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.results.risk import MarketAt

NO_ACCOUNT, NO_LENDER = ("",) * len(OF_ACCOUNT), ("",) * len(OF_LENDER)
_encoded = msgspec.json.Encoder().encode


class RiskCells(Struct, frozen=True):
    """The cells of a step, as in the file: of everything; by account leverage, margin ratio and distance to liquidation; by lender
    loan-to-value and health; by coin its delta."""

    instant: int
    of_all: tuple[str, ...]
    accounts: dict[str, tuple[str, ...]]
    lenders: dict[str, tuple[str, ...]]
    deltas: dict[str, str]


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

    def see(self, market: MarketSnapshot) -> RiskRow | None:
        """Make the cells of a step from its prices; None where no positions are known since a start."""
        if (point := self._point) is None:
            return None
        cells = self._seen(point, market)
        self._cells_at[cells.instant] = cells
        row = RiskRow(_encoded(cells).decode(), _encoded(point).decode() if self._is_new else None)
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
            self._point = msgspec.json.decode(row.point, type=RiskPoint)

    @property
    def accounts(self) -> list[str]:
        return sorted({name for cells in self._cells_at.values() for name in cells.accounts})

    @property
    def lenders(self) -> list[str]:
        return sorted({name for cells in self._cells_at.values() for name, loan in cells.lenders.items() if loan[0]})

    @property
    def bases(self) -> list[str]:
        return sorted({base for cells in self._cells_at.values() for base in cells.deltas})

    def rows(self, instants: array[int], market_at: MarketAt) -> Iterator[str]:
        """A line a step. A cell is empty where a price was not known, or there was nothing of the kind."""
        accounts, lenders, bases = self.accounts, self.lenders, self.bases
        unseen = RiskCells(0, ("",) * len(OF_ALL), {}, {}, {})
        for stamp, instant in zip(iso_each(instants), instants, strict=True):
            cells = self._cells_at.get(instant, unseen)
            of_accounts = (cell for name in accounts for cell in cells.accounts.get(name, NO_ACCOUNT))
            of_lenders = (cell for name in lenders for cell in cells.lenders.get(name, NO_LENDER))
            deltas = (cells.deltas.get(base, "") for base in bases)
            yield ",".join((stamp, *cells.of_all, *of_accounts, *of_lenders, *deltas)) + "\n"

    def _seen(self, point: RiskPoint, market: MarketSnapshot) -> RiskCells:
        names, bases, step = sorted({perp.venue for perp in point.perps}), sorted(bases_of(point)), range(1)
        prices = Prices(array("q", [market.instant]), lambda at, instant: market, self._currency[0])
        try:
            of_all = tuple(column[0] for column in self._exposures(point, step, prices))
            accounts = {name: tuple(column[0] for column in account_cells(name, point, step, prices)) for name in names}
            deltas = {base: delta_cells(base, point, step, prices)[0] for base in bases}
        except TypeError:  # a price is not known
            of_all, accounts, deltas = ("",) * len(OF_ALL), dict.fromkeys(names, NO_ACCOUNT), dict.fromkeys(bases, "")
        lenders = {name: tuple(text_of(value) for value in loan) for name, loan in point.loans.items()}
        return RiskCells(market.instant, of_all, accounts, lenders, deltas)
