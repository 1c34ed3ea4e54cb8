"""What a strategy sees of what is held: positions, margin, health, at the tick's prices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING

from basis_strategy_v1.core.state import IN_TRANSIT, WALLET, Account
from basis_strategy_v1.venues.cex import Exchange, Margin
from basis_strategy_v1.venues.exchanges import ExchangeRow, Withdrawal
from basis_strategy_v1.venues.staking import Queue

if TYPE_CHECKING:
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.execution.desk import Desk

ZERO = Decimal(0)
FREE = Withdrawal()
BPS = Decimal(10_000)
MARGIN_OF_COSTS = Decimal("1.1")


class Portfolio(Mapping[str, Mapping[str, Decimal]]):
    """venue -> token -> amount, and what follows from it at the snapshot that the strategy was given."""

    def __init__(self, desk: Desk, gas_reserve: Decimal = ZERO) -> None:
        self._desk = desk
        self._gas_reserve = gas_reserve

    def _held(self) -> Mapping[str, Mapping[str, Decimal]]:
        return self._desk.positions.positions if self._desk.positions is not None else {}

    def __getitem__(self, venue: str) -> Mapping[str, Decimal]:
        return MappingProxyType(self._held()[venue])  # what is recorded is not the strategy's to change

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

    def costs_of_trades(self, spot_venue: str, perp_venue: str) -> Decimal:
        """Fees and slippage of a spot and a perp trade together, a fraction of the notional, and a tenth more."""
        spot: ExchangeRow = self._desk.venues[spot_venue].row
        perp: ExchangeRow = self._desk.venues[perp_venue].row
        bps = spot.spot_taker_fee_bps + spot.slippage_bps + perp.perp_taker_fee_bps + perp.slippage_bps
        return bps * MARGIN_OF_COSTS / BPS

    def smallest_order(self, venue: str, trade_type: str, symbol: str) -> tuple[Decimal, Decimal]:
        """The lot (base units) that amounts are cut down to, and the smallest order (quote)."""
        exchange: Exchange = self._desk.venues[venue]
        return exchange.smallest_order(trade_type, symbol)

    def margin(self, venue: str, market: MarketSnapshot) -> Margin:
        """Equity, notional and maintenance margin of the perps at an exchange, in its settlement token."""
        try:
            margin = self._desk.venues[venue].margin
        except (KeyError, AttributeError):
            raise self._unanswered("margin", venue) from None
        found: Margin = margin(self._desk.state(market).part(venue, Account), market)
        return found

    def shortable(self, venue: str, symbol: str, costs: Decimal, market: MarketSnapshot) -> Decimal:
        """By how many base units a short can grow before the exchange refuses it for want of margin, where a trade costs the share `costs`
        of its notional; 0 where it cannot."""
        exchange, margin = self._desk.venues[venue], self.margin(venue, market)
        leverage: Decimal = exchange.row.max_leverage
        carried = margin.equity * leverage
        if carried <= margin.notional:
            return ZERO
        # Maintenance rises faster than the notional: at a share of the notional it is at most that share of the maintenance.
        maintenance = exchange.maintenance(carried)
        if maintenance > margin.equity:
            carried *= margin.equity / maintenance
        room: Decimal = (carried - margin.notional) / (1 + costs * leverage) / market.perp(exchange.row.name, symbol)
        return max(room, ZERO)

    def health_factor(self, protocol: str, market: MarketSnapshot) -> Decimal | None:
        """Collateral x liquidation threshold over debt; None without debt."""
        try:
            health_factor = self._desk.venues[protocol].health_factor
        except (KeyError, AttributeError):
            raise self._unanswered("health_factor", protocol) from None
        part = self._desk.state(market).parts.get(protocol)
        found: Decimal | None = health_factor(part, market) if part is not None else None
        return found

    def borrow_rate(self, protocol: str, token: str, market: MarketSnapshot, more: Decimal = ZERO) -> Decimal:
        """What a debt of the token pays now, a fraction a year: the published rate, and with `rate_impact` what our own debt makes of it.

        `more` is what would be owed on top.
        """
        try:
            borrow_rate = self._desk.venues[protocol].borrow_rate
        except (KeyError, AttributeError):
            raise self._unanswered("borrow_rate", protocol) from None
        found: Decimal = borrow_rate(self._desk.state(market), token, market, more)
        return found

    def _unanswered(self, question: str, name: str) -> LookupError:
        """The refusal of a question to a venue that is not configured, or of another kind."""
        venues = self._desk.venues
        fault = f"{question} of {name}, which has none" if name in venues else f"{question} of {name}, which is not configured under venues"
        able = [found for found, venue in venues.items() if hasattr(venue, question)]
        return LookupError(f"{fault}; it can be asked of {', '.join(able) or 'no venue of this config'}")

    def gas_reserve(self) -> Decimal:
        """ETH of the wallet that is kept for gas; 0 where gas is free."""
        wallet = self._desk.venues.get(WALLET)
        return ZERO if wallet is None or wallet.is_free() else self._gas_reserve

    def gas_fee(self, units: int, market: MarketSnapshot) -> Decimal:
        """ETH that a transaction of so many units of gas costs now; 0 where gas is free."""
        wallet = self._desk.venues[WALLET]
        found: Decimal = ZERO if wallet.is_free() else wallet.gas_fee(units, market)
        return found

    def flash_fee(self, protocol: str, token: str, amount: Decimal) -> Decimal:
        """The fee of a flash loan, in the token."""
        found: Decimal = self._desk.venues[protocol].flash_fee(token, amount)
        return found

    def loanable(self, protocol: str, token: str, market: MarketSnapshot) -> Decimal | None:
        """The most that a flash loan can be now, in the token; None where that is not known."""
        found: Decimal | None = self._desk.venues[protocol].loanable(self._desk.state(market), token, market)
        return found

    def claimable(self, protocol: str, market: MarketSnapshot) -> tuple[str, ...]:
        """The ids of the withdrawal requests at a staking protocol that can be claimed now, oldest first."""
        requests = self._desk.state(market).part(protocol, Queue).requests
        return tuple(request.request_id for request in requests if request.claimable <= market.instant)
