"""Equity, and where each part of its change came from: the sources add up to the profit exactly."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, NamedTuple

from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.market import REDEEMED_BY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from basis_strategy_v1.core.execution_report import ExecutionReport
    from basis_strategy_v1.core.market import Feed, MarketSnapshot
    from basis_strategy_v1.venues.venue import Exposure, PerpExposure

SOURCES = (
    "spot_price",
    "perp_price",
    "funding",
    "supply_interest",
    "borrow_interest",
    "staking",
    "fees",
    "slippage",
    "gas",
    "transfers",
    "liquidation",
)
RESIDUAL = "spot_price"
DEBT_GROWTH = "borrow_interest"
PERPS = "perp_price"
ETH_CLASS = "eth_directional"
SCALE = 12
DIGITS = 30  # decimals of an amount on a line; more than the product of a price and a lot has
ZERO = Decimal(0)


def to_units(amount: Decimal) -> int:
    """An amount of the share class currency in units of 1e-12, as it is booked."""
    return int(EXACT.scaleb(amount, SCALE).to_integral_value(ROUND_HALF_EVEN))


def units_text(units: int) -> str:
    """Units of 1e-12 as a decimal number, without trailing zeros."""
    sign, digits = ("-", str(-units)) if units < 0 else ("", str(units))
    digits = digits.zfill(SCALE + 1)
    fraction = digits[-SCALE:].rstrip("0")
    return f"{sign}{digits[:-SCALE]}.{fraction}" if fraction else f"{sign}{digits[:-SCALE]}"


class _Term(NamedTuple):
    """What is held against one price series: `factor` times its close as an integer is 10**-digits of the currency."""

    close: Callable[[int], int]
    factor: int


class _Line(NamedTuple):
    """Equity and perp profit as linear functions of integer prices: what is evaluated at a tick on which nothing happened."""

    constant: int
    prices: tuple[_Term, ...]
    perps: tuple[_Term, ...]
    perps_then: int
    unit: int  # 10**digits / 10**12


class Attribution:
    """The books of a run, in integers of 1e-12 of the share class currency.

    What happens is booked when it happens, each flow rounded once. What the prices of tokens did is what remains of the change
    of equity, so that the sources always add up to it to the last digit.
    """

    def __init__(self, share_class: str) -> None:
        self._numeraire = "ETH" if share_class == ETH_CLASS else "USDT"
        self.booked = dict.fromkeys(SOURCES, 0)  # cumulative; the residual's entry stays 0, the perps' is as of the last holding
        self.initial_equity = 0
        self._booked_sum = 0
        self._amounts: dict[str, Decimal] = {}
        self._growing: dict[tuple[str, str], Exposure] = {}
        self._perps: tuple[PerpExposure, ...] = ()
        self._marks: tuple[Decimal, ...] = ()
        self._rates: dict[str, Decimal] = {}
        self._line: _Line | None = None

    def open(self, exposures: Sequence[Exposure], perps: Sequence[PerpExposure], market: MarketSnapshot) -> None:
        """Begin the books with what is held at the start."""
        self.rebase(exposures, perps, market)
        self.initial_equity = self.mark(market)[0]

    # What is held.

    def settle(
        self,
        exposures: Sequence[Exposure],
        perps: Sequence[PerpExposure],
        market: MarketSnapshot,
        reports: Iterable[ExecutionReport] = (),
    ) -> None:
        """Take over what is held now, where only time has passed: what grew by itself is booked to its source.

        `reports` are what fell due: what they moved (an arrival, a liquidation) has not grown.
        """
        before, now, moved = self._growing, _growing(exposures), _moved(reports)
        for key, held in {**before, **now}.items():
            change = moved.get(key, ZERO)
            grown = -change if held.growth != DEBT_GROWTH else change
            grown += (now[key].amount if key in now else ZERO) - (before[key].amount if key in before else ZERO)
            if grown:
                self._book(held.growth, grown * self._in_share(held.token, market))
        for token, before in self._rates.items():
            rate = market.redemption(REDEEMED_BY[token][0], token)
            if rate != before:
                self._book("staking", self._amounts[token] * (rate - before) * self._in_share(REDEEMED_BY[token][1], market))
        self.rebase(exposures, perps, market)

    def rebase(self, exposures: Sequence[Exposure], perps: Sequence[PerpExposure], market: MarketSnapshot) -> None:
        """Take over what is held after an execution, whose costs are booked from its report."""
        if self._perps:
            self._book_units(PERPS, self._perps_since(market) if self._line is None else _on_line(self._line, market.instant)[1])
        self._growing = _growing(exposures)
        amounts: dict[str, Decimal] = {}
        for held in exposures:
            amounts[held.token] = amounts.get(held.token, ZERO) + held.amount
        self._amounts = amounts
        self._perps = tuple(perps)
        self._marks = tuple(market.perp(perp.exchange, perp.symbol) for perp in perps)
        self._rates = {token: market.redemption(REDEEMED_BY[token][0], token) for token in amounts if token in REDEEMED_BY}
        self._line = self._as_line(market)

    def next_rate(self, market: MarketSnapshot) -> int | None:
        """When the next redemption rate of something held is published (microseconds since 1970), if the data know."""
        rows = [market.next_row("staking", REDEEMED_BY[token][0], token) for token in self._rates]
        return min((row for row in rows if row is not None), default=None)

    # Flows.

    def book(self, reports: Iterable[ExecutionReport], market: MarketSnapshot) -> None:
        """Book the costs of executions and settlements at the snapshot's prices."""
        for report in reports:
            for cost in report.costs:
                self._book(cost.source, -cost.amount * self._in_share(cost.token, market))

    def _book(self, source: str, amount: Decimal) -> None:
        self._book_units(source, to_units(amount))

    def _book_units(self, source: str, units: int) -> None:
        self.booked[source] += units
        self._booked_sum += units

    # Readings.

    def mark(self, market: MarketSnapshot) -> tuple[int, int, int]:
        """(equity, what token prices did, what perp prices did), cumulative, at the snapshot."""
        if self._line is not None:
            equity, perps = _on_line(self._line, market.instant)
        else:
            equity, perps = to_units(self._equity(market)), self._perps_since(market)
        return equity, equity - self.initial_equity - self._booked_sum - perps, self.booked[PERPS] + perps

    def totals(self, market: MarketSnapshot) -> dict[str, int]:
        """source -> cumulative units; they add up to equity - initial equity."""
        _, residual, perps = self.mark(market)
        return {**self.booked, RESIDUAL: residual, PERPS: perps}

    def at_market(self, market: MarketSnapshot) -> int:
        """The equity with staked tokens at their market price, where the data have one, in place of their redemption rate."""
        found = self.mark(market)[0]
        for token, rate in self._rates.items():
            traded = market.market_rate(token)
            if traded is not None:
                found += to_units(self._amounts[token] * (traded - rate) * self._in_share(REDEEMED_BY[token][1], market))
        return found

    def _equity(self, market: MarketSnapshot) -> Decimal:
        total = ZERO
        for token, amount in self._amounts.items():
            total += amount * self._in_share(token, market)
        for perp in self._perps:
            total += (perp.base * market.perp(perp.exchange, perp.symbol) - perp.cost) * self._in_share(perp.settle, market)
        return total

    def _perps_since(self, market: MarketSnapshot) -> int:
        """What the marks did since the perps were taken over."""
        gained = ZERO
        for perp, then in zip(self._perps, self._marks, strict=True):
            gained += perp.base * (market.perp(perp.exchange, perp.symbol) - then) * self._in_share(perp.settle, market)
        return to_units(gained)

    def _in_share(self, token: str, market: MarketSnapshot) -> Decimal:
        if token == self._numeraire:
            return Decimal(1)
        price = market.price(token)
        return price if self._numeraire == "USDT" else price / market.price(self._numeraire)

    # The same as a line: the price of each token is the integer of one series.

    def _as_line(self, market: MarketSnapshot) -> _Line | None:
        if self._numeraire != "USDT" or any(perp.settle != "USDT" for perp in self._perps):
            return None
        constant = self._amounts.get("USDT", ZERO) - sum((perp.cost for perp in self._perps), ZERO)
        priced, perps = self._priced(market), [(market.feed("perp", perp.exchange, perp.symbol), perp.base) for perp in self._perps]
        held = [[(feed, amount) for feed, amount in rows if feed is not None] for rows in (priced, perps)]
        if len(held[0]) != len(priced) or len(held[1]) != len(perps):
            return None
        return _line(constant, held[0], held[1], market.instant)

    def _priced(self, market: MarketSnapshot) -> list[tuple[Feed | None, Decimal]]:
        """The feed that prices each token held, and the amount of what it prices."""
        found = []
        for token, amount in self._amounts.items():
            if token == "USDT":
                continue
            if token in self._rates:
                series, factor = market.price_series(REDEEMED_BY[token][1]), amount * self._rates[token]
            else:
                series, factor = market.price_series(token), amount
            found.append((None if series is None else market.feed(*series), factor))
        return found


def _growing(exposures: Iterable[Exposure]) -> dict[tuple[str, str], Exposure]:
    return {(held.venue, held.held_as): held for held in exposures if held.growth != RESIDUAL}


def _moved(reports: Iterable[ExecutionReport]) -> dict[tuple[str, str], Decimal]:
    """What came and went by itself but is no growth, as the deltas have it: a debt is positive there."""
    found: dict[tuple[str, str], Decimal] = {}
    for report in reports:
        if report.kind != "interest":
            for key, amount in report.deltas.items():
                found[key] = found.get(key, ZERO) + amount
    return found


Held = list[tuple["Feed", Decimal]]


def _line(constant: Decimal, priced: Held, perps: Held, instant: int) -> _Line | None:
    """The line, in units that hold every product exactly; None where an amount has more decimals than expected."""
    deepest = max((feed.decimals for feed, _ in (*priced, *perps)), default=0)
    terms, shorts = ([_term(feed, amount, deepest) for feed, amount in held] for held in (priced, perps))
    fixed = _whole(constant)
    known = [term for term in terms if term is not None], [term for term in shorts if term is not None]
    if fixed is None or len(known[0]) != len(terms) or len(known[1]) != len(shorts):
        return None
    then = sum(factor * close(instant) for close, factor in known[1])
    return _Line(fixed * 10**deepest, tuple(known[0]), tuple(known[1]), then, 10 ** (DIGITS + deepest - SCALE))


def _term(feed: Feed, amount: Decimal, deepest: int) -> _Term | None:
    factor = _whole(amount)
    return None if factor is None else _Term(feed.close, factor * 10 ** (deepest - feed.decimals))


def _whole(amount: Decimal) -> int | None:
    """The amount in 10**-DIGITS, if it is a whole number of them."""
    scaled = EXACT.scaleb(amount, DIGITS)
    whole = int(scaled)
    return whole if whole == scaled else None


def _on_line(line: _Line, instant: int) -> tuple[int, int]:
    """(equity, what the marks did since the perps were taken over)."""
    total = line.constant
    for close, factor in line.prices:
        total += factor * close(instant)
    perps = 0
    for close, factor in line.perps:
        perps += factor * close(instant)
    return _rounded(total + perps, line.unit), _rounded(perps - line.perps_then, line.unit)


def _rounded(value: int, unit: int) -> int:
    """value / unit, half to even."""
    whole, rest = divmod(value, unit)
    twice = 2 * rest
    return whole + 1 if twice > unit or (twice == unit and whole & 1) else whole
