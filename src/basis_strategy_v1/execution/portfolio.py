"""What a strategy sees of what is held: positions, margin, health, at the tick's prices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from basis_strategy_v1.core.state import IN_TRANSIT, Account
from basis_strategy_v1.venues.cex import Exchange, Margin
from basis_strategy_v1.venues.exchanges import Withdrawal

if TYPE_CHECKING:
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.execution.desk import Desk

ZERO = Decimal(0)
FREE = Withdrawal()


class Portfolio(Mapping[str, Mapping[str, Decimal]]):
    """venue -> token -> amount, and what follows from it at the snapshot that the strategy was given."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def _held(self) -> Mapping[str, Mapping[str, Decimal]]:
        return self._desk.positions.positions if self._desk.positions is not None else {}

    def __getitem__(self, venue: str) -> Mapping[str, Decimal]:
        return self._held()[venue]

    def __iter__(self) -> Iterator[str]:
        return iter(self._held())

    def __len__(self) -> int:
        return len(self._held())

    def amount(self, venue: str, token: str) -> Decimal:
        """What is held of a token at a venue, 0 where there is none. A perp is `ETHUSDT-PERP`, signed."""
        tokens = self._held().get(venue)
        return tokens.get(token, ZERO) if tokens else ZERO

    def in_transit(self, token: str) -> Decimal:
        """What is on its way between venues."""
        return self.amount(IN_TRANSIT, token)

    def withdrawal(self, venue: str, token: str) -> Withdrawal:
        """Fee, minimum (token units) and minutes of a transfer out of a venue."""
        exchange = self._desk.venues[venue]
        return exchange.row.withdrawals.get(token, FREE) if isinstance(exchange, Exchange) else FREE

    def margin(self, venue: str, market: MarketSnapshot) -> Margin:
        """Equity, notional and maintenance margin of the perps at an exchange, in its settlement token."""
        exchange: Exchange = self._desk.venues[venue]
        account = self._desk.state(market).part(venue, Account)
        return exchange.margin(account, market)

    def health_factor(self, protocol: str, market: MarketSnapshot) -> Decimal | None:
        """Collateral x liquidation threshold over debt; None without debt."""
        venue = self._desk.venues[protocol]
        part = self._desk.state(market).parts.get(protocol)
        found: Decimal | None = venue.health_factor(part, market) if part is not None else None
        return found
