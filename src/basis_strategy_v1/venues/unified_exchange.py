"""An exchange at which one account has one margin: coins count too, and a liquidation goes in steps."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from basis_strategy_v1.core.clock import DAY_US, HOUR_US
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.position_names import perp_name
from basis_strategy_v1.core.state import ZERO, ExchangeAccount, State
from basis_strategy_v1.venues.cex import REALISED_UNIT, Exchange, after_trade
from basis_strategy_v1.venues.venue import Settlement

if TYPE_CHECKING:
    from basis_strategy_v1.core.market import MarketSnapshot

HALF = Decimal("0.5")
YEAR_US = 365 * DAY_US


class UnifiedExchange(Exchange):
    """The simulator of a unified account. Margin is judged by the closes of one instant, of perps and coins alike: the worst price of each
    leg of a hedge does not come at the same time.

    A liquidation closes half of the largest perp at the last close and pays the taker fee, again and again until the margin is enough; what
    remains is the account's. A negative balance stays, at interest, as long as the coins carry it.
    """

    def _collateral(self, account: ExchangeAccount, market: MarketSnapshot) -> Decimal:
        total = ZERO
        for token, haircut in self.row.haircuts.items():
            amount = account.balances.get(token, ZERO)
            if amount > 0:
                total += amount * market.price(token) / market.price(self._settle) * (1 - haircut.at(market.instant))
        return total

    def next_due(self, state: State, market: MarketSnapshot, until: int) -> int | None:
        due = super().next_due(state, market, until)
        account = state.parts.get(self.name)
        if not isinstance(account, ExchangeAccount) or account.balances.get(self._settle, ZERO) >= 0:
            return due
        hour = (market.instant // HOUR_US + 1) * HOUR_US
        return hour if hour <= until and (due is None or hour < due) else due

    def _is_safe(self, account: ExchangeAccount, market: MarketSnapshot, until: int) -> bool:
        return False

    def _next_breach(self, account: ExchangeAccount, market: MarketSnapshot, until: int) -> int | None:
        """The next bar: what the coins are worth moves with it."""
        marks = [market.next_row(self._mark_kind(symbol, market), self._prices_as, symbol) for symbol in account.perps]
        return min((at for at in marks if at is not None and at <= until), default=None)

    def update_to(self, state: State, market: MarketSnapshot) -> tuple[State, tuple[Settlement, ...]]:
        before, interest = self._with_interest(state, market)
        after, settled = super().update_to(before, market)
        return after, (*interest, *settled)

    def _with_interest(self, state: State, market: MarketSnapshot) -> tuple[State, tuple[Settlement, ...]]:
        """The interest of the last hour on a negative balance, at the full hour."""
        account = state.part(self.name, ExchangeAccount)
        owed = -account.balances.get(self._settle, ZERO)
        apr = self.row.negative_balance_apr.at(market.instant)
        if owed <= 0 or not apr or market.instant % HOUR_US:
            return state, ()
        paid = (owed * apr * HOUR_US / YEAR_US).quantize(REALISED_UNIT)
        if not paid:
            return state, ()
        deltas = Deltas.at(self.name, {self._settle: -paid})
        row = Settlement("interest", self.name, deltas, (Cost("borrow_interest", self._settle, paid),), {"owed": str(owed)})
        return state.with_part(self.name, account.moved({self._settle: -paid})), (row,)

    def _is_liquidated(self, account: ExchangeAccount, market: MarketSnapshot) -> bool:
        found = self.margin(account, self.marks(account, market))
        return found.equity + self._collateral(account, market) <= found.maintenance

    def _liquidate(self, account: ExchangeAccount, market: MarketSnapshot) -> tuple[ExchangeAccount, Settlement]:
        settle, closes = self._settle, self.closes(account, market)
        before, paid, closed = account, ZERO, dict[str, Decimal]()
        while account.perps and self._is_liquidated(account, market):
            symbol = max(account.perps, key=lambda name: abs(account.perps[name].base) * closes[name])
            perp, listing = account.perps[symbol], self.terms.listing(symbol, "perp")
            size = abs(perp.base)
            amount = size if size <= 2 * listing.lot else -(-size * HALF // listing.lot) * listing.lot
            signed = -amount if perp.base > 0 else amount
            position, realised = after_trade(perp, signed, closes[symbol])
            fee = amount * closes[symbol] * listing.fee
            perps = {**account.perps, symbol: position} if position.base else {k: v for k, v in account.perps.items() if k != symbol}
            account = account.moved({settle: realised - fee}, perps)
            paid, closed[symbol] = paid + fee, closed.get(symbol, ZERO) + signed
        moved = account.balances.get(settle, ZERO) - before.balances.get(settle, ZERO)
        changes = {perp_name(symbol): signed for symbol, signed in closed.items()}
        costs = (Cost("liquidation", settle, paid),) if paid else ()
        details = {"closed": {symbol: str(-signed) for symbol, signed in closed.items()}, "margin_lost": str(paid)}
        return account, Settlement("liquidation", self.name, Deltas.at(self.name, {**changes, settle: moved}), costs, details)
