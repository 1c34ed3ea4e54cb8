"""The Morpho markets that the data or the settings know, at an instant, and what Morpho holds of a token in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from basis_strategy_v1.core.clock import SECOND_US
from basis_strategy_v1.core.market import MissingData
from basis_strategy_v1.core.state_rows import series_name
from basis_strategy_v1.venues.morpho_account import MarketPosition, MorphoState, with_own
from basis_strategy_v1.venues.morpho_data import MarketRow, MarketTerms, market_at_terms, oracle_price, row_of
from basis_strategy_v1.venues.morpho_market import Position
from basis_strategy_v1.venues.morpho_names import pair_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.venues.venue import Place


class Cash(NamedTuple):
    """Base units of a token that Morpho has at hand in the markets known, what flash loans have taken out left out, and these markets."""

    units: int
    markets: tuple[str, ...]


class KnownMarkets:
    """A market is what its last visible row says, with our own position in its totals; without a row, what its constants say."""

    def __init__(self, place: Place, terms: Mapping[str, MarketTerms]) -> None:
        self._series = place.series
        self._terms = dict(terms)
        self._read: dict[str, tuple[int, Mapping[str, str], MarketRow]] = {}

    def names(self, market: MarketSnapshot) -> tuple[str, ...]:
        """All that can be named: those of the settings, then those of the data."""
        return tuple(dict.fromkeys((*self._terms, *self._of_data(market))))

    def knows(self, name: str, market: MarketSnapshot) -> bool:
        return name in self._terms or ("/" in name and series_name(name) in market.names("market", self._series))

    def at(self, part: MorphoState, market: MarketSnapshot, *names: str) -> MorphoState:
        """The part at the snapshot's instant, with new rows taken over; of the markets that hold nothing of ours, only in `names`."""
        held = {name: self._held(name, held, market) if held.is_ours() else held for name, held in part.held.items()}
        held |= {name: self._held(name, held.get(name), market) for name in names}
        return MorphoState(held, market.instant // SECOND_US, part.reported, part.lent)

    def _held(self, name: str, held: MarketPosition | None, market: MarketSnapshot) -> MarketPosition:
        row = self._row(name, market)
        if held is not None and (row is None or row.stamp == held.stamp):
            return held
        position = Position() if held is None else held.position
        if row is None:
            return MarketPosition(market_at_terms(self._terms[name], name, market.instant // SECOND_US), position, 0)
        return MarketPosition(with_own(row.market, position), position, row.stamp)

    def _row(self, name: str, market: MarketSnapshot) -> MarketRow | None:
        """The visible row; None where the data have no such series and the settings do."""
        if series_name(name) not in market.names("market", self._series):
            return None
        row = market.lending_market(self._series, name)
        known = self._read.get(name)
        if known is None or known[0] != row.stamp or known[1] != row.texts:
            self._read[name] = known = (row.stamp, row.texts, row_of(row, name))
        return known[2]

    def price(self, name: str, market: MarketSnapshot) -> int:
        """The oracle's price: loan base units per collateral base unit, 1e36."""
        row = self._row(name, market)
        return oracle_price(name, market) if row is None else row.oracle_price

    def cash(self, part: MorphoState, token: str, market: MarketSnapshot) -> Cash | None:
        """What Morpho has at hand of a token: what is lent and not borrowed over the markets known, and our own collateral.

        The contract has more where others have put the token in as collateral, or lend it in a market that is not known.
        None where no market of it is known.
        """
        lending = tuple(name for name in self._with_cash(part, market) if pair_of(name)[1] == token)
        if not lending:
            return None
        states = (self._held(name, part.held.get(name), market).market for name in lending)
        # Others' debt in a row and our own together may be more than was lent: the row does not know of us.
        units = sum(max(state.total_supply_assets - state.total_borrow_assets, 0) for state in states)
        units += sum(held.position.collateral for name, held in part.held.items() if pair_of(name)[0] == token)
        return Cash(units - part.lent.get(token, 0), lending)

    def _with_cash(self, part: MorphoState, market: MarketSnapshot) -> list[str]:
        """The markets of which it is known what others have in them, and no row is too old."""
        of_data = self._of_data(market)
        known = [name for name in of_data if self._is_visible(name, market)]
        return known + [name for name, terms in self._terms.items() if name not in of_data and terms.total_supply]

    def _of_data(self, market: MarketSnapshot) -> tuple[str, ...]:
        return tuple(name.replace("_", "/") for name in market.names("market", self._series))

    def _is_visible(self, name: str, market: MarketSnapshot) -> bool:
        try:
            market.lending_market(self._series, name)
        except MissingData:
            return False
        return True
