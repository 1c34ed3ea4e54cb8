"""Spot and perpetual trades at an exchange: fills, fees, margin, funding and liquidation."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from math import ceil
from typing import TYPE_CHECKING, NamedTuple

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.clock import DAY_US, SECOND_US
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import OrderTooLarge
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.position_names import Kind, perp_name, read_common_name
from basis_strategy_v1.core.state import ZERO, ExchangeAccount, Perp, State
from basis_strategy_v1.core.venue_facts import VenueFact
from basis_strategy_v1.venues.exchange_events import PerpPrices, concerns, is_due
from basis_strategy_v1.venues.exchange_events import settled as event_settled
from basis_strategy_v1.venues.exchange_terms import ExchangeTerms, without_figures
from basis_strategy_v1.venues.exchanges import FEES_IN, QUOTE, ExchangeRow
from basis_strategy_v1.venues.impact import OwnSize
from basis_strategy_v1.venues.venue import (
    CEX,
    COMPONENTS,
    REJECTED,
    Exposure,
    Holder,
    PerpExposure,
    Settlement,
    SimulationResult,
    reject,
    require_held,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from basis_strategy_v1.core.instructions import CexTrade
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.venues.exchange_events import ExchangeEvent
    from basis_strategy_v1.venues.exchange_terms import TradeTerms

BPS = Decimal(10_000)
ONE = Decimal(1)
NO_PERP = Perp(ZERO, ZERO)
NO_ACCOUNT = ExchangeAccount()
IMPACT_UNITS = 10**8
REALISED_UNIT = Decimal("1e-8")
# Exchanges stamp a payment a few milliseconds after the full hour; a row within this time belongs to that hour.
FUNDING_STAMP_TOLERANCE_US = 60 * SECOND_US


class MarginAccount(NamedTuple):
    """A margin account in its settlement token. Coins other than that token do not count as margin."""

    equity: Decimal
    notional: Decimal
    maintenance: Decimal

    @property
    def leverage(self) -> Decimal:
        """Notional over equity; infinite where there is a position and no equity."""
        if not self.notional:
            return ZERO
        return self.notional / self.equity if self.equity > 0 else Decimal("Infinity")


class Exchange(Holder):
    """The simulator of one account at an exchange. `terms` are the figures in force at the instant that it was last asked about."""

    kind = CEX

    def __init__(self, name: str, row: ExchangeRow, events: Sequence[ExchangeEvent] = ()) -> None:
        self.name = name
        self.row = row
        self.events = tuple(sorted(events, key=lambda event: event.at))
        self.terms = ExchangeTerms(name, row, 0, self.events)
        self._impacts: dict[tuple[str, str], tuple[int, float, float]] = {}  # (day, factor, power of the notional)
        self.own_size = None if row.impact.model == "none" else OwnSize(name, row.name, row.impact)
        self._prices_as, self._settle, self._fee_in = row.name, row.settle, row.spot_fee_in

    def terms_at(self, instant: int) -> ExchangeTerms:
        """The figures in force at an instant."""
        if not self.terms.since <= instant < self.terms.until:
            self.terms = ExchangeTerms(self.name, self.row, instant, self.events)
        return self.terms

    # Trades.

    def simulate(self, instruction: CexTrade, state: State, market: MarketSnapshot) -> SimulationResult:
        symbol, trade_type, side = instruction.symbol, instruction.trade_type, instruction.side
        asked = self.terms_at(market.instant)
        terms = asked.trades.get((trade_type, side, symbol)) or asked.of_trade(trade_type, side, symbol)
        wanted, amount, _ = terms.cut
        if wanted is not instruction.amount:
            amount = self._in_lots(instruction, terms)
        price = (market.perp if terms.is_perp else market.spot)(self._prices_as, symbol, for_trade=True)
        if terms.has_no_figures:
            reject(CEX, without_figures(self.name, self.row, symbol))
        fill = price * (terms.worse if self.own_size is None else self._worse_by_size(instruction, amount, price, market))
        if instruction.price is not None:
            limited = self._limited(instruction, instruction.price, terms.tick, price, fill)
            if limited is None:
                return SimulationResult(state, Deltas(), (), {"filled": ZERO, "price": price, "limit": instruction.price}, 0, ZERO)
            fill = limited
        worth = amount * price
        if worth < terms.minimum and not instruction.reduce_only:
            reject(CEX, f"{self.name} takes no {trade_type} order below {plain(terms.minimum)} {terms.quote}; "
                        f"{plain(amount)} {terms.base} at {plain(price)} is {plain(worth)}")  # fmt: skip
        trade = self._perp_trade if terms.is_perp else self._spot_trade
        return trade(instruction, terms, amount, price, fill, state, market)

    def _worse_by_size(self, trade: CexTrade, amount: Decimal, price: Decimal, market: MarketSnapshot) -> Decimal:
        """The factor of the price that an order of that size fills at."""
        assert self.own_size is not None
        kind, symbol = trade.trade_type, trade.symbol
        if refusal := self.own_size.refusal(kind, symbol, amount, market):
            raise OrderTooLarge(REJECTED[CEX], refusal, COMPONENTS[CEX])
        worse = self.terms.slippage + self.own_size.bps(kind, symbol, amount, price, market) / BPS
        if worse >= 1:
            move = f"{plain(worse * 100)} %"
            reject(CEX, f"{self.name}: {trade.side} of {plain(amount)} {symbol} {kind} would move its price by {move}; trade less")
        return 1 + worse if trade.side == "buy" else 1 - worse

    def impact(self, trade_type: str, symbol: str, notional: Decimal, market: MarketSnapshot) -> Decimal:
        """What an order of a notional does to its price, a fraction rounded up, at what was known when the day began."""
        if self.own_size is None or notional <= 0:
            return ZERO
        day = market.instant // DAY_US
        known = self._impacts.get((trade_type, symbol))
        if known is None or known[0] != day:
            self._impacts[trade_type, symbol] = known = day, *self.own_size.law(trade_type, symbol, market)
        _, factor, power = known
        return Decimal(ceil(factor * float(notional) ** power * IMPACT_UNITS)) / IMPACT_UNITS

    def _in_lots(self, trade: CexTrade, terms: TradeTerms) -> Decimal:
        """The amount of a trade cut down to whole lots."""
        lot, wanted = self.terms.listing(trade.symbol, trade.trade_type).lot, trade.amount
        amount = wanted // lot * lot
        if not amount:
            lots_of = f"{self.name} trades {trade.symbol} {trade.trade_type} in lots of {plain(lot)}"
            reject(CEX, f"{lots_of}; {plain(wanted)} is less than one")
        terms.cut = wanted, amount, ONE if amount == wanted else amount / wanted
        return amount

    def smallest_order(self, trade_type: str, symbol: str) -> tuple[Decimal, Decimal]:
        """The lot (base units) that amounts are cut down to, and the smallest order (quote)."""
        listing = self.terms.listing(symbol, trade_type)
        return listing.lot, listing.minimum

    def price_and_tick(self, trade: CexTrade, market: MarketSnapshot) -> tuple[Decimal, Decimal]:
        """The snapshot's price of a trade, and the step of its limit price (quote per base)."""
        read = market.perp if trade.trade_type == "perp" else market.spot
        listing = self.terms_at(market.instant).listing(trade.symbol, trade.trade_type)
        return read(self._prices_as, trade.symbol, for_trade=True), listing.tick

    def _limited(self, trade: CexTrade, wanted: Decimal, tick: Decimal, price: Decimal, worse: Decimal) -> Decimal | None:
        """The price with slippage against the trader, never beyond the limit; None where the limit is not reached."""
        buy = trade.side == "buy"
        # A limit goes onto the tick on the trader's side: it may miss a fill, it never makes one worse.
        limit = (wanted / tick).to_integral_value(ROUND_FLOOR if buy else ROUND_CEILING) * tick
        if (price > limit) if buy else (price < limit):
            return None
        return min(worse, limit) if buy else max(worse, limit)

    def _spot_trade(
        self, trade: CexTrade, terms: TradeTerms, amount: Decimal, price: Decimal, fill: Decimal, state: State, market: MarketSnapshot
    ) -> SimulationResult:
        base, quote, is_buy, account = terms.base, terms.quote, terms.is_buy, state.parts.get(self.name)
        if type(account) is not ExchangeAccount:
            account = NO_ACCOUNT
        if trade.reduce_only:
            reject(CEX, "reduce_only is for perps; leave it out of a spot trade")
        paid = amount * fill
        if self._fee_in not in FEES_IN and (in_token := self._fee_in_token(paid * terms.fee, quote, account, state, market)):
            fee_token, fee = self._fee_in, in_token
            of_base, of_quote = (amount, -paid) if is_buy else (-amount, paid)
            of_base -= fee if fee_token == base else ZERO
        elif is_buy and self._fee_in != QUOTE:
            fee_token, fee = base, amount * terms.fee
            of_base, of_quote = amount - fee, -paid
        else:
            fee_token, fee = quote, paid * terms.fee
            of_base, of_quote = (amount, -paid - fee) if is_buy else (-amount, paid - fee)
        held, changes = account.balances, {base: of_base, quote: of_quote}
        if fee_token not in changes:
            changes[fee_token] = -fee
        left_base, left_quote = of_base + held.get(base, ZERO), of_quote + held.get(quote, ZERO)
        if (left_quote if is_buy else left_base) < 0 and state.checked:
            spent = quote if is_buy else base
            require_held(CEX, self.name, spent, -changes[spent], held.get(spent, ZERO), f"{trade.side} of {plain(amount)} {trade.symbol}")
        if of_base and of_quote and left_base and left_quote and len(changes) == 2:
            deltas, after = Deltas({self.name: changes}), ExchangeAccount({**held, base: left_base, quote: left_quote}, account.perps)
        else:  # what is zero is not kept
            deltas, after = Deltas.at(self.name, changes), account.moved(changes)
        if account.perps and is_buy and state.checked:
            self._require_margin(after, market, "buy", amount, "", trade.symbol)
        slipped = amount * (fill - price if is_buy else price - fill)  # a fill is never better than the price
        costs = (
            (Cost("fees", fee_token, fee), Cost("slippage", quote, slipped))
            if fee and slipped
            else _costs(("fees", fee_token, fee), ("slippage", quote, slipped))
        )
        moved = State({**state.parts, self.name: after}, state.checked)
        return SimulationResult(moved, deltas, costs, {"filled": amount, "price": fill}, 0, terms.cut[2])

    def _fee_in_token(self, fee: Decimal, quote: str, account: ExchangeAccount, state: State, market: MarketSnapshot) -> Decimal:
        """What the fee token takes of a fee (quote), less its discount; 0 where too little of it is held: then there is none."""
        token = self._fee_in
        price = market.spot(self._prices_as, token + quote, for_trade=True)
        units = (fee * (1 - self.row.fee_tokens[token]) / price).quantize(REALISED_UNIT)
        return units if not state.checked or account.balances.get(token, ZERO) >= units else ZERO

    def _perp_trade(
        self, trade: CexTrade, terms: TradeTerms, amount: Decimal, price: Decimal, fill: Decimal, state: State, market: MarketSnapshot
    ) -> SimulationResult:
        is_buy, account = terms.is_buy, state.parts.get(self.name)
        settle, symbol = self._settle, trade.symbol
        if type(account) is not ExchangeAccount:
            account = NO_ACCOUNT
        held = account.perps.get(symbol, NO_PERP)
        if trade.reduce_only and state.checked:
            amount = self._at_most_held(trade, amount, held)
        signed = amount if is_buy else -amount
        paid, details = amount * fill, {"filled": amount, "price": fill}
        fee = paid * terms.fee
        if held.base:
            position, details["realised"] = after_trade(held, signed, fill)
            received = details["realised"] - fee
        else:
            position, received = Perp(signed, paid if is_buy else -paid), -fee
        if position.base:
            perps = {**account.perps, symbol: position}
        else:
            perps = account.perps.copy()
            del perps[symbol]
        cash = account.balances.get(settle, ZERO) + received
        after = ExchangeAccount({**account.balances, settle: cash}, perps) if cash else account.moved({settle: received}, perps)
        slipped = amount * (fill - price if is_buy else price - fill)  # a fill is never better than the price
        if state.checked and position.base and (not held.base or abs(position.base) > abs(held.base)):
            # The only perp, just opened: equity is the cash less what slipped, the notional at most what it filled at and what slipped.
            is_paid_for = len(perps) == 1 and not held.base and cash > paid + slipped + slipped
            if not is_paid_for or self.terms.contract(symbol).leverage < 1:
                self._require_margin(after, market, trade.side, amount, " perp", symbol)
        changes = {terms.position: signed, settle: received} if received else {terms.position: signed}
        costs = (
            (Cost("fees", settle, fee), Cost("slippage", settle, slipped))
            if fee and slipped
            else _costs(("fees", settle, fee), ("slippage", settle, slipped))
        )
        moved = State({**state.parts, self.name: after}, state.checked)
        share = terms.cut[2] if amount is terms.cut[1] else ONE if amount == trade.amount else amount / trade.amount
        return SimulationResult(moved, Deltas({self.name: changes}), costs, details, 0, share)

    def _at_most_held(self, trade: CexTrade, amount: Decimal, held: Perp) -> Decimal:
        reduces = held.base < 0 if trade.side == "buy" else held.base > 0
        if not reduces:
            reject(CEX, f"reduce_only {trade.side} of {trade.symbol}: {self.name} holds {plain(held.base)}, there is nothing to reduce")
        return min(amount, abs(held.base))

    # Margin.

    def margin(self, account: ExchangeAccount, marks: Mapping[str, Decimal]) -> MarginAccount:
        """Equity, notional and maintenance margin of an account at the marks of all its perps, in the settlement token."""
        equity, notional, maintenance = account.balances.get(self._settle, ZERO), ZERO, ZERO
        for symbol, perp in account.perps.items():
            worth = perp.base * marks[symbol]
            size = abs(worth)
            equity += worth - perp.cost
            notional += size
            maintenance += self.terms.maintenance(symbol, size)
        return MarginAccount(equity, notional, maintenance)

    def _equity_and_sizes(self, account: ExchangeAccount, marks: Mapping[str, Decimal]) -> tuple[Decimal, dict[str, Decimal]]:
        """The equity of an account, and the notional of each of its perps."""
        equity, sizes = account.balances.get(self._settle, ZERO), {}
        for symbol, perp in account.perps.items():
            worth = perp.base * marks[symbol]
            equity += worth - perp.cost
            sizes[symbol] = abs(worth)
        return equity, sizes

    def _maintenance_of(self, sizes: Mapping[str, Decimal]) -> Decimal:
        return sum((self.terms.maintenance(symbol, notional) for symbol, notional in sizes.items()), ZERO)

    def marks(self, account: ExchangeAccount, market: MarketSnapshot) -> dict[str, Decimal]:
        """The mark price of each perp that an account has, by symbol: what margin is judged by."""
        self.terms_at(market.instant)
        return {symbol: market.perp_price("mark", self._prices_as, symbol) for symbol in account.perps}

    def closes(self, account: ExchangeAccount, market: MarketSnapshot) -> dict[str, Decimal]:
        """The last close of each perp that an account has, by symbol: what it is valued and traded at."""
        return {symbol: market.perp(self._prices_as, symbol) for symbol in account.perps}

    def _mark_kind(self, symbol: str, market: MarketSnapshot) -> str:
        """Which series says at what price a perp is liquidated: its mark, or without one its own."""
        return market.kind_of_price("mark", self._prices_as, symbol)

    def _collateral(self, account: ExchangeAccount, market: MarketSnapshot) -> Decimal:
        """What the coins of an account count as margin, in the settlement token: nothing, where each wallet stands for itself."""
        return ZERO

    def _require_margin(self, after: ExchangeAccount, market: MarketSnapshot, doing: str, amount: Decimal, kind: str, of: str) -> None:
        equity, sizes = self._equity_and_sizes(after, self.marks(after, market))
        equity += self._collateral(after, market)
        notional = sum(sizes.values(), ZERO)
        if equity > notional and all(self.terms.contract(symbol).leverage >= 1 for symbol in sizes):
            return  # no leverage at all: whatever the tiers say, they ask for no more than the whole notional
        maintenance = self._maintenance_of(sizes)
        needed = max(sum((self.terms.initial(symbol, size) for symbol, size in sizes.items()), ZERO), maintenance)
        if equity < needed or (notional and equity == maintenance):
            reject(CEX, f"{doing} of {plain(amount)} {of}{kind} needs {plain(round(needed, 2))} {self._settle} of margin on {self.name}, "
                        f"which would have {plain(round(equity, 2))}; trade less or move {self._settle} there first")  # fmt: skip

    def liquidation_price(self, account: ExchangeAccount, symbol: str) -> Decimal | None:
        """The mark at which equity falls to the maintenance margin, other perps unchanged at cost; None: never."""
        perp = account.perps[symbol]
        size = abs(perp.base)
        cash = account.balances.get(self.row.settle, ZERO) - perp.cost
        below = deducted = rate_before = ZERO
        tiers = iter(self.terms.contract(symbol).tiers)
        while True:  # the last tier is open, so that one of them holds the price
            upper, rate, _ = next(tiers)
            deducted += below * (rate - rate_before)
            price = (cash + deducted) / (size * (1 + rate)) if perp.base < 0 else (-cash - deducted) / (size * (1 - rate))
            if size * price <= upper:
                break
            below, rate_before = upper, rate
        if price > 0:
            return price
        return ZERO if perp.base < 0 else None

    # What falls due by time.

    def next_due(self, state: State, market: MarketSnapshot, until: int) -> int | None:
        account = state.parts.get(self.name)
        if not isinstance(account, ExchangeAccount):
            return None
        terms = self.terms_at(market.instant)
        if not account.perps:
            awaited = (event.at for event in self.events if event.at > market.instant and concerns(event, account))
            return next((at for at in awaited if at <= until), None)
        intervals = [terms.contract(symbol).interval for symbol in account.perps]
        first = min(terms.until, *((market.instant // interval + 1) * interval for interval in intervals))
        for symbol in account.perps:
            row = market.next_row("funding", self._prices_as, symbol)
            if row is not None and row < first:
                first = row
            missed = market.next_missed(self._prices_as, symbol, market.instant + 1)
            if missed is not None and missed < first:
                first = missed
        soon = min(first, until)
        breach = None if self._is_safe(account, market, soon) else self._next_breach(account, market, soon)
        found = first if breach is None else breach
        return found if found <= until else None

    def _next_breach(self, account: ExchangeAccount, market: MarketSnapshot, until: int) -> int | None:
        found: int | None = None
        for symbol, perp in account.perps.items():
            if len(account.perps) > 1:  # one margin for several perps: every bar of each is looked at
                instant = market.next_row(self._mark_kind(symbol, market), self._prices_as, symbol)
            elif (price := self.liquidation_price(account, symbol)) is not None:
                kind = self._mark_kind(symbol, market)
                instant = market.next_beyond(self._prices_as, symbol, price, above=perp.base < 0, until=until, kind=kind)
            else:
                instant = None
            if instant is not None and instant <= until and (found is None or instant < found):
                found = instant
        return found

    def _is_safe(self, account: ExchangeAccount, market: MarketSnapshot, until: int) -> bool:
        """Whether the worst price of all bars up to `until` leaves more equity than maintenance margin. The quick answer to most questions
        for the next breach: equity less maintenance falls wherever the price goes against the position."""
        if len(account.perps) > 1:
            return False
        ((symbol, perp),) = account.perps.items()
        span = market.next_span(self._prices_as, symbol, until, self._mark_kind(symbol, market))
        if span is None:
            return False
        worth = perp.base * span[perp.base < 0]
        return account.balances.get(self._settle, ZERO) + worth - perp.cost > self.terms.maintenance(symbol, abs(worth))

    def update_to(self, state: State, market: MarketSnapshot) -> tuple[State, tuple[Settlement, ...]]:
        account = state.part(self.name, ExchangeAccount)
        if not account.perps and not self.events:
            return state, ()
        self.terms_at(market.instant)
        settled: list[Settlement] = []
        for symbol, perp in account.perps.items():
            if self._pays_funding(symbol, market):
                paid = self._funding(symbol, perp, market)
                settled.append(paid)
                account = account.moved(paid.deltas.tokens(self.name))
        for event in self.events:
            if is_due(event, account, market.instant):
                prices, lot = self._prices_and_lot(event.symbol, account, market)
                account, row = event_settled(event, account, self.name, self._settle, prices, lot)
                settled += [] if row is None else [row]
        if account.perps and self._is_liquidated(account, market):
            account, liquidation = self._liquidate(account, market)
            settled.append(liquidation)
        return (state.with_part(self.name, account), tuple(settled)) if settled else (state, ())

    def _prices_and_lot(self, symbol: str, account: ExchangeAccount, market: MarketSnapshot) -> tuple[PerpPrices | None, Decimal]:
        """Of the perp that is open in a symbol; without one no prices are needed."""
        if symbol not in account.perps:
            return None, ZERO
        prices = PerpPrices(market.perp(self._prices_as, symbol), market.perp_price("mark", self._prices_as, symbol))
        return prices, self.terms.listing(symbol, "perp").lot

    def _pays_funding(self, symbol: str, market: MarketSnapshot) -> bool:
        """Whether funding is paid right now: at a row's stamp, and where the full hour has no row of its own."""
        interval = self.terms.contract(symbol).interval
        after_hour = market.instant % interval
        if not market.has_rows:
            return after_hour <= FUNDING_STAMP_TOLERANCE_US
        stamp = market.row_stamp("funding", self.row.name, symbol)
        if stamp == market.instant or market.next_missed(self.row.name, symbol, market.instant) == market.instant:
            return True
        if after_hour or self._is_of_the_hour(stamp, market.instant, interval):
            return False
        following = market.next_row("funding", self.row.name, symbol)
        return following is None or following > market.instant + FUNDING_STAMP_TOLERANCE_US

    def _is_of_the_hour(self, stamp: int | None, instant: int, interval: int) -> bool:
        """Whether the last row belongs to this hour, or stands a little after an earlier one: then this hour's comes a little later too."""
        if stamp is None:
            return False
        return instant - stamp <= FUNDING_STAMP_TOLERANCE_US or 0 < stamp % interval <= FUNDING_STAMP_TOLERANCE_US

    def _funding(self, symbol: str, perp: Perp, market: MarketSnapshot) -> Settlement:
        stamped = not market.has_rows or market.row_stamp("funding", self.row.name, symbol) == market.instant
        rate = market.funding(self.row.name, symbol) if stamped else market.funding_missing(self.row.name, symbol)
        mark = market.perp_price(self.row.funding_price, self.row.name, symbol)
        paid = perp.base * mark * rate
        return Settlement(
            "funding",
            self.name,
            Deltas.at(self.name, {self.row.settle: -paid}),
            _costs(("funding", self.row.settle, paid)),
            {"symbol": symbol, "rate": plain(rate), "mark": plain(mark), "position": plain(perp.base), "missing": not stamped},
        )

    def _is_liquidated(self, account: ExchangeAccount, market: MarketSnapshot) -> bool:
        if len(account.perps) == 1:
            ((symbol, perp),) = account.perps.items()
            price = self.liquidation_price(account, symbol)
            if price is None:
                return False
            kind = self._mark_kind(symbol, market)
            if market.row_stamp(kind, self.row.name, symbol) != market.instant:
                if market.instant != self.terms.since:
                    return False  # a bar from before now was looked at when it came; the position may be younger than it
                mark = market.perp_price(kind, self.row.name, symbol)  # the exchange asks for another margin from now on
                return mark >= price if perp.base < 0 else mark <= price
            low, high = market.perp_range(self.row.name, symbol, kind)
            return high >= price if perp.base < 0 else low <= price
        at_worst = self.margin(account, {symbol: self._worst(symbol, perp, market) for symbol, perp in account.perps.items()})
        return at_worst.equity <= at_worst.maintenance

    def _worst(self, symbol: str, perp: Perp, market: MarketSnapshot) -> Decimal:
        """The worst mark of a bar that has closed right now, else the last: an older bar may be from before the position."""
        kind = self._mark_kind(symbol, market)
        if market.row_stamp(kind, self.row.name, symbol) != market.instant:
            return market.perp_price(kind, self.row.name, symbol)
        low, high = market.perp_range(self.row.name, symbol, kind)
        return high if perp.base < 0 else low

    def _liquidate(self, account: ExchangeAccount, market: MarketSnapshot) -> tuple[ExchangeAccount, Settlement]:
        """All perps are closed and what is left of the margin goes to the insurance fund: the balance ends at zero.

        One perp is closed at its liquidation price: what is left there is lost by the liquidation, what the price did from there to
        the last close is none of ours. Of several the last closes count, and where they are beyond the whole margin, the fund bears that.
        """
        settle = self.row.settle
        equity = self.margin(account, self.closes(account, market)).equity
        lost = max(equity, ZERO)
        if len(account.perps) == 1:
            ((symbol, perp),) = account.perps.items()
            price = self.liquidation_price(account, symbol) or ZERO
            lost = (account.balances.get(settle, ZERO) + perp.base * price - perp.cost).quantize(REALISED_UNIT)
        balance = account.balances.get(settle, ZERO)
        changes = {perp_name(symbol): -perp.base for symbol, perp in account.perps.items()}
        after = account.moved({settle: -balance}, {})
        details = {"closed": {symbol: plain(perp.base) for symbol, perp in account.perps.items()}, "margin_lost": plain(lost)}
        deltas = Deltas.at(self.name, {**changes, settle: -balance})
        costs = _costs(("liquidation", settle, lost), ("perp_price", settle, equity - lost))
        return after, Settlement("liquidation", self.name, deltas, costs, details)

    # Balances, and transfers to other venues.

    def exposures(self, state: State, market: MarketSnapshot) -> tuple[tuple[Exposure, ...], tuple[PerpExposure, ...]]:
        account = state.part(self.name, ExchangeAccount)
        name, row = self.name, self.row
        held = [Exposure(name, token, token, amount) for token, amount in account.balances.items()]
        perps = [PerpExposure(name, row.name, symbol, row.settle, perp.base, perp.cost) for symbol, perp in account.perps.items()]
        return tuple(held), tuple(perps)

    def take(self, state: State, token: str, amount: Decimal, market: MarketSnapshot) -> State:
        account = state.part(self.name, ExchangeAccount)
        if state.checked:
            require_held(CEX, self.name, token, amount, account.balances.get(token, ZERO), f"transfer of {plain(amount)} {token}")
        after = account.moved({token: -amount})
        if state.checked and account.perps and (token == self.row.settle or self._collateral(account, market)):
            self._require_margin(after, market, "transfer", amount, "", token)
        return state.with_part(self.name, after)

    def fact(self) -> VenueFact:
        return VenueFact(series=self.row.name, settle=self.row.settle, impact=self.impact if self.own_size is not None else None)

    def give(self, state: State, token: str, amount: Decimal) -> State:
        return state.with_part(self.name, state.part(self.name, ExchangeAccount).moved({token: amount}))

    def open(self, amounts: Mapping[str, Decimal], market: MarketSnapshot) -> ExchangeAccount:
        """An account that holds these amounts; a perp (`ETHUSDT-PERP`) counts as entered at the last close."""
        perps = {}
        for token, amount in amounts.items():
            kind, symbol = read_common_name(token)
            if kind is Kind.PERP and amount:
                perps[symbol] = Perp(amount, amount * market.perp(self.row.name, symbol))
        return ExchangeAccount({token: amount for token, amount in amounts.items() if read_common_name(token).kind is not Kind.PERP}, perps)


def after_trade(held: Perp, signed: Decimal, fill: Decimal) -> tuple[Perp, Decimal]:
    """The position after a trade of `signed` base units, and the profit that it realises in the settlement token.

    base * mark - cost + realised changes by exactly signed * (mark - fill): nothing is lost to rounding, because
    what is not realised stays in the cost.
    """
    base, cost = held.base + signed, held.cost + signed * fill
    if not base:
        return NO_PERP, -cost
    if not held.base or (held.base > 0) == (signed > 0):
        return Perp(base, cost), ZERO
    if (base > 0) == (held.base > 0):
        entry = held.cost / held.base
        realised = (-signed * (fill - entry)).quantize(REALISED_UNIT)
    else:  # turned around: the old position is closed, the rest is opened at the fill
        realised = base * fill - cost
    return Perp(base, cost + realised), realised


def _costs(*rows: tuple[str, str, Decimal]) -> tuple[Cost, ...]:
    return tuple(Cost(*row) for row in rows if row[2])
