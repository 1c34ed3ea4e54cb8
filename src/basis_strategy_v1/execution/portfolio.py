"""The positions, margin and health that a strategy sees, at the step's prices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import TYPE_CHECKING, NoReturn

from basis_strategy_v1.core.state import IN_TRANSIT, ExchangeAccount
from basis_strategy_v1.venues.cex import Exchange, MarginAccount
from basis_strategy_v1.venues.exchanges import FREE, Withdrawal
from basis_strategy_v1.venues.staking import Queue
from basis_strategy_v1.venues.venue import FlashLender, Lender
from basis_strategy_v1.venues.wallet import gas_is_free, wallet_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.core.venue_facts import LendingLimits
    from basis_strategy_v1.execution.account import Account
    from basis_strategy_v1.venues.exchange_terms import MarginTerms

ZERO = Decimal(0)
BPS = Decimal(10_000)
MARGIN_OF_COSTS = Decimal("1.1")


class Portfolio(Mapping[str, Mapping[str, Decimal]]):
    """venue -> token -> amount, and what follows from it at the snapshot that the strategy was given."""

    def __init__(self, account: Account, gas_reserve: Decimal = ZERO) -> None:
        self._account = account
        self._gas_reserve = gas_reserve
        venues = account.venues
        # What can be asked of whom.
        self._exchanges = {name: venue for name, venue in venues.items() if isinstance(venue, Exchange)}
        self._lenders = {name: venue for name, venue in venues.items() if isinstance(venue, Lender)}
        self._flash_lenders = {name: venue for name, venue in venues.items() if isinstance(venue, FlashLender)}

    def _held(self) -> Mapping[str, Mapping[str, Decimal]]:
        return self._account.ledger.positions

    def __getitem__(self, venue: str) -> Mapping[str, Decimal]:
        return MappingProxyType(self._held()[venue])  # what is recorded is not the strategy's to change

    def __iter__(self) -> Iterator[str]:
        return iter(self._held())

    def __len__(self) -> int:
        return len(self._held())

    def amount(self, venue: str, token: str) -> Decimal:
        """The balance of a token at a venue, 0 where there is none. A perp is `ETHUSDT-PERP`, signed.

        Raises:
            LookupError: the venue is not configured.
        """
        if (tokens := self._held().get(venue)) is not None:
            return tokens.get(token, ZERO)
        if venue not in self._account.venues and venue != IN_TRANSIT:
            self._unanswered("amount", venue, self._account.venues)
        return ZERO

    def in_transit(self, token: str) -> Decimal:
        """What is on its way between venues."""
        return self.amount(IN_TRANSIT, token)

    def withdrawal(self, venue: str, token: str) -> Withdrawal:
        """Fee, minimum (token units) and minutes of a transfer out of a venue."""
        exchange = self._account.venues[venue]
        return (exchange.row.withdrawals if isinstance(exchange, Exchange) else FREE).at(self._now(), token)

    def costs_of_trades(self, spot_venue: str, perp_venue: str) -> Decimal:
        """Fees and slippage of a spot and a perp trade together, a fraction of the notional, and a tenth more."""
        spot, perp = (self._exchange(name, "costs_of_trades").row for name in (spot_venue, perp_venue))
        figures = (spot.spot_taker_fee_bps, spot.slippage_bps, perp.perp_taker_fee_bps, perp.slippage_bps)
        bps = sum((figure.at(self._now()) for figure in figures), ZERO)
        return bps * MARGIN_OF_COSTS / BPS

    def smallest_order(self, venue: str, trade_type: str, symbol: str) -> tuple[Decimal, Decimal]:
        """The lot (base units) that amounts are cut down to, and the smallest order (quote)."""
        return self._exchange(venue, "smallest_order").smallest_order(trade_type, symbol)

    def margin(self, venue: str, market: MarketSnapshot) -> MarginAccount:
        """Equity, notional and maintenance margin of the perps at an exchange, in its settlement token."""
        exchange, account = self._exchange(venue, "margin"), self._account.state(market).part(venue, ExchangeAccount)
        return exchange.margin(account, exchange.marks(account, market))

    def margin_terms(self, venue: str, symbol: str, instant: int) -> MarginTerms:
        """By what an exchange judges the margin of a perp at an instant."""
        return self._exchange(venue, "margin_terms").terms_at(instant).margin(symbol)

    def shortable(self, venue: str, symbol: str, costs: Decimal, market: MarketSnapshot) -> Decimal:
        """By how many base units a short can grow before the exchange refuses it for want of margin, where a trade costs the share `costs`
        of its notional; 0 where it cannot."""
        exchange, account = self._exchange(venue, "shortable"), self._account.state(market).part(venue, ExchangeAccount)
        marks = exchange.marks(account, market)
        equity, held = exchange.margin(account, marks).equity, account.perps.get(symbol)
        others = {name: abs(perp.base) * marks[name] for name, perp in account.perps.items() if name != symbol}
        own = abs(held.base) * marks[symbol] if held is not None else ZERO
        carried = exchange.terms.carried(symbol, equity - sum((exchange.terms.initial(name, size) for name, size in others.items()), ZERO))
        if carried <= own:
            return ZERO
        # Maintenance rises faster than the notional: at a share of the notional it is at most that share of the maintenance.
        free = equity - sum((exchange.terms.maintenance(name, size) for name, size in others.items()), ZERO)
        maintenance = exchange.terms.maintenance(symbol, carried)
        if maintenance > free:
            carried *= free / maintenance
        room = (carried - own) / (1 + costs * exchange.terms.leverage(symbol)) / market.perp(exchange.row.name, symbol)
        return max(room, ZERO)

    def health_factor(self, protocol: str, market: MarketSnapshot) -> Decimal | None:
        """Collateral x liquidation threshold over debt; None without debt."""
        return self._lender(protocol, "health_factor").health_factor(self._account.state(market), market)

    def borrow_rate(self, protocol: str, token: str, market: MarketSnapshot, more: Decimal = ZERO, against: str | None = None) -> Decimal:
        """What a debt of the token pays now, a fraction a year: the published rate, and with `rate_impact` what our own debt makes of it.

        `more` is what would be owed on top, `against` the collateral of a lender whose rate depends on it.
        """
        return self._lender(protocol, "borrow_rate").borrow_rate(self._account.state(market), token, market, more, against)

    def limits(self, protocol: str, token: str, market: MarketSnapshot, against: str | None = None) -> LendingLimits:
        """The most of a token that can be supplied, withdrawn and borrowed there now, by caps and cash; `against` is the collateral of a
        lender where it depends on that."""
        return self._lender(protocol, "limits").limits(self._account.state(market), token, market, against)

    def _now(self) -> int:
        """The instant of the last snapshot; figures that a venue changes are those of then."""
        latest = self._account.source.latest
        return 0 if latest is None else latest.instant

    def _exchange(self, name: str, question: str) -> Exchange:
        return self._exchanges.get(name) or self._unanswered(question, name, self._exchanges)

    def _lender(self, name: str, question: str) -> Lender:
        return self._lenders.get(name) or self._unanswered(question, name, self._lenders)

    def _flash_lender(self, name: str, question: str) -> FlashLender:
        return self._flash_lenders.get(name) or self._unanswered(question, name, self._flash_lenders)

    def _unanswered(self, question: str, name: str, able: Iterable[str]) -> NoReturn:
        """Refuse a question to a venue that is not configured, or of another kind."""
        why = "which has none" if name in self._account.venues else "which is not configured under venues"
        raise LookupError(f"{question} of {name}, {why}; it can be asked of {', '.join(able) or 'no venue of this config'}")

    def gas_reserve(self) -> Decimal:
        """ETH of the wallet that is kept for gas; 0 where gas is free."""
        return ZERO if gas_is_free(self._account.venues) else self._gas_reserve

    def gas_fee(self, units: int, market: MarketSnapshot) -> Decimal:
        """ETH that a transaction of so many units of gas costs now; 0 where gas is free."""
        wallet = wallet_of(self._account.venues)
        return ZERO if wallet.is_free() else wallet.gas_fee(units, market)

    def flash_fee(self, protocol: str, token: str, amount: Decimal) -> Decimal:
        """The fee of a flash loan, in the token."""
        return self._flash_lender(protocol, "flash_fee").flash_fee(token, amount)

    def loanable(self, protocol: str, token: str, market: MarketSnapshot) -> Decimal | None:
        """The most that a flash loan can be now, in the token; None where that is not known."""
        return self._flash_lender(protocol, "loanable").loanable(self._account.state(market), token, market)

    def claimable(self, protocol: str, market: MarketSnapshot) -> tuple[str, ...]:
        """The ids of the withdrawal requests at a staking protocol that can be claimed now, oldest first."""
        requests = self._account.state(market).part(protocol, Queue).requests
        return tuple(request.request_id for request in requests if request.claimable <= market.instant)
