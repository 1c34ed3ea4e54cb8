"""Equity, and where each part of its change came from: the sources add up to the profit exactly."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import Struct, field

from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.attribution_sources import PAID, PRICES, SOURCES
from basis_strategy_v1.core.market import REDEEMED_BY
from basis_strategy_v1.core.tokens import SHARE_TOKENS
from basis_strategy_v1.results.line import DOLLAR, FOR_GOOD, SCALE, ZERO, Feeds, Line, line_of
from basis_strategy_v1.results.staked_price import traded_rate
from basis_strategy_v1.venues.venue import Exposure, PerpExposure

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable, Sequence

    from basis_strategy_v1.core.execution_report import ExecutionReport
    from basis_strategy_v1.core.market import Feed, MarketSnapshot

RESIDUAL, PERPS = PRICES
ETHER = "ETH"
ETH_CLASS = "eth_directional"
CURRENCIES = {"usdt_stable": ("USDT",), ETH_CLASS: (ETHER, "WETH")}  # the tokens that a share class is counted in
ONE = Decimal(1)
_SCALE = Decimal(SCALE)
_scaled = EXACT.scaleb


def to_units(amount: Decimal) -> int:
    """An amount of the share class currency in units of 1e-12, as it is recorded."""
    return round(_scaled(amount, _SCALE))  # half to even, whatever the context


def units_text(units: int) -> str:
    """Units of 1e-12 as a decimal number, without trailing zeros."""
    sign, digits = ("-", str(-units)) if units < 0 else ("", str(units))
    digits = digits.zfill(SCALE + 1)
    fraction = digits[-SCALE:].rstrip("0")
    return f"{sign}{digits[:-SCALE]}.{fraction}" if fraction else f"{sign}{digits[:-SCALE]}"


class AttributionLedger(Struct, frozen=True, kw_only=True):
    """What an attribution has come to: enough to go on in another process, to the last digit.

    `instant` is when the positions were taken over (microseconds since 1970), `marks` the perps' prices then, `rates` the redemption rates.
    Units of 1e-12 are text: they may have more digits than JSON's readers take.
    """

    instant: int
    initial_equity: str
    recorded: dict[str, str] = field(name="booked")
    exposures: tuple[Exposure, ...]
    perps: tuple[PerpExposure, ...]
    marks: tuple[Decimal, ...]
    rates: dict[str, Decimal]


class Attribution:
    """The ledger of a run, in integers of 1e-12 of the share class currency.

    What happens is recorded when it happens, each flow rounded once. What the prices of tokens did is what remains of the change
    of equity, so that the sources always add up to it to the last digit.
    """

    def __init__(self, share_class: str) -> None:
        self._numeraire = ETHER if share_class == ETH_CLASS else DOLLAR
        self.recorded = dict.fromkeys(SOURCES, 0)  # cumulative; the residual's entry stays 0, the perps' is as of the last holding
        self.initial_equity = 0
        self._recorded_sum = 0
        self._taken_at = 0
        self._exposures: tuple[Exposure, ...] = ()
        self._amounts: dict[str, Decimal] = {}
        self._names: tuple[str, ...] = ()  # of the amounts
        self._staked: list[str] = []  # those of them that a protocol redeems
        self._priced_as: tuple[str, ...] = ()  # the tokens whose prices they have, without the dollar
        self._growing: dict[tuple[str, str], Exposure] = {}
        self._perps: tuple[PerpExposure, ...] = ()
        self._marks: tuple[Decimal, ...] = ()
        self._rates: dict[str, Decimal] = {}
        self._feeds = Feeds()
        self._found: list[Feed] | None = None  # of the positions
        self._line: Line | None = None  # made where it is asked for
        self._may_be_line = False
        self.valid_until = (
            FOR_GOOD  # the positions have to be taken over again by then, even where nothing happens (microseconds since 1970)
        )

    @property
    def held(self) -> tuple[tuple[Exposure, ...], tuple[PerpExposure, ...]]:
        """The positions as they were last taken over."""
        return self._exposures, self._perps

    def open(self, exposures: Sequence[Exposure], perps: Sequence[PerpExposure], market: MarketSnapshot) -> None:
        """Begin the ledger with the initial positions."""
        self.rebase(exposures, perps, market)
        self.initial_equity = self.mark(market)[0]

    # Positions.

    def settle(
        self,
        exposures: Sequence[Exposure],
        perps: Sequence[PerpExposure],
        market: MarketSnapshot,
        reports: Iterable[ExecutionReport] = (),
    ) -> None:
        """Take over the positions of now, where only time has passed: what accrued is recorded under its source.

        `reports` are what fell due: what they moved (an arrival, a liquidation) has not grown.
        """
        before, now, moved = self._growing, _growing(exposures), _moved(reports)
        for key, held in {**before, **now}.items():
            change = moved.get(key, ZERO)
            grown = change if SOURCES[held.growth].sign == PAID else -change
            grown += (now[key].amount if key in now else ZERO) - (before[key].amount if key in before else ZERO)
            if grown:
                self._book(held.growth, grown * self._in_share(held.token, market))
        for token, last_rate in self._rates.items():
            rate = market.redemption(REDEEMED_BY[token][0], token)
            if rate != last_rate:
                self._book("staking", self._amounts[token] * (rate - last_rate) * self._in_share(REDEEMED_BY[token][1], market))
        self.rebase(exposures, perps, market)
        for feed in self._found or ():
            feed.close(market.instant)  # a price that is too old now is none, whether or not a later one comes before the next mark

    def rebase(self, exposures: Sequence[Exposure], perps: Sequence[PerpExposure], market: MarketSnapshot) -> None:
        """Take over the positions after an execution; its costs are recorded from its report."""
        if self._perps:
            self._book_units(PERPS, self._perps_since(market))
        self._hold(exposures, perps, market.instant)
        self._rates = {token: market.redemption(REDEEMED_BY[token][0], token) for token in self._staked} if self._staked else {}
        self._marks = tuple([market.perp(perp.exchange, perp.symbol) for perp in perps]) if perps else ()
        self._line, self._may_be_line = None, True
        self._find_feeds(market)

    def _hold(self, exposures: Sequence[Exposure], perps: Sequence[PerpExposure], instant: int) -> None:
        self._taken_at = instant
        self._exposures, self._perps = tuple(exposures), tuple(perps)
        amounts: dict[str, Decimal] = {}
        for held in exposures:
            token = held.token
            amounts[token] = amounts[token] + held.amount if token in amounts else held.amount
        self._amounts, self._growing = amounts, _growing(exposures)
        if self._names != (names := tuple(amounts)):
            self._names, self._staked = names, [token for token in names if token in REDEEMED_BY]
            self._priced_as = tuple([REDEEMED_BY[token][1] if token in REDEEMED_BY else token for token in names if token != DOLLAR])

    def next_rate(self, market: MarketSnapshot) -> int | None:
        """When the next redemption rate of something held is published (microseconds since 1970), if the data know."""
        if not self._rates:
            return None
        rows = [market.next_row("staking", REDEEMED_BY[token][0], token) for token in self._rates]
        return min((row for row in rows if row is not None), default=None)

    # From one process to the next.

    def ledger(self) -> AttributionLedger:
        """What it has come to."""
        return AttributionLedger(
            instant=self._taken_at,
            initial_equity=str(self.initial_equity),
            recorded={source: str(units) for source, units in self.recorded.items()},
            exposures=self._exposures,
            perps=self._perps,
            marks=self._marks,
            rates=self._rates,
        )

    def restore(self, ledger: AttributionLedger, market: MarketSnapshot) -> None:
        """Go on with an earlier process's ledger. `market` is the snapshot of their instant; where that is gone, one of now."""
        self.initial_equity = int(ledger.initial_equity)
        self.recorded = {source: int(ledger.recorded.get(source, "0")) for source in SOURCES}
        self._recorded_sum = sum(self.recorded.values())
        self._hold(ledger.exposures, ledger.perps, ledger.instant)
        self._rates = dict(ledger.rates)
        self._marks = ledger.marks
        self._line, self._may_be_line = None, market.instant == ledger.instant
        if self._may_be_line:
            self._find_feeds(market)

    # Flows.

    def book(self, reports: Iterable[ExecutionReport], market: MarketSnapshot) -> None:
        """Book the costs of executions and settlements at the snapshot's prices."""
        for report in reports:
            for cost in () if report.replayed else report.costs:
                amount = cost.amount if cost.token == self._numeraire else cost.amount * self._in_share(cost.token, market)
                self._book_units(cost.source, -to_units(amount))

    def _book(self, source: str, amount: Decimal) -> None:
        self._book_units(source, to_units(amount))

    def _book_units(self, source: str, units: int) -> None:
        self.recorded[source] += units
        self._recorded_sum += units

    # Readings.

    def mark(self, market: MarketSnapshot) -> tuple[int, int, int]:
        """(equity, what token prices did, what perp prices did), cumulative, at the snapshot."""
        line = self._line
        if line is not None:
            equity, perps = line.mark(market.instant)
        else:
            equity = to_units(self._equity(market))
            perps = 0 if market.instant == self._taken_at else self._perps_since(market)
        return equity, equity - self.initial_equity - self._recorded_sum - perps, self.recorded[PERPS] + perps

    @property
    def is_line(self) -> bool:
        """Whether instants at which nothing but prices moved can be marked with `marks`."""
        if self._may_be_line:
            self._line, self._may_be_line = self._as_line(), False
        return self._line is not None

    def marks(self, instants: array[int]) -> tuple[list[int], list[int], list[int]]:
        """The three columns of `mark` at instants that rise, at which nothing happened since the last holding was taken over.

        Raises:
            MissingData: a price is too old at one of them.
        """
        line = self._line
        assert line is not None
        recorded = self.recorded[PERPS]
        equities, gains = line.marks(instants)
        gained = [recorded + gain for gain in gains]
        others = self.initial_equity + self._recorded_sum - recorded
        return equities, [equity - others - gain for equity, gain in zip(equities, gained, strict=True)], gained

    def totals(self, market: MarketSnapshot) -> dict[str, int]:
        """source -> cumulative units; they add up to equity - initial equity."""
        _, residual, perps = self.mark(market)
        return {**self.recorded, RESIDUAL: residual, PERPS: perps}

    def at_market(self, market: MarketSnapshot) -> int:
        """The equity with staked tokens at their market price, where the data have one, in place of what their protocol redeems.

        What waits in a withdrawal queue is no token any more: it will be redeemed, and stays at that.
        """
        found = self.mark(market)[0]
        for token, amount in self._amounts.items():
            traded = traded_rate(token, market) if token in SHARE_TOKENS else None
            if traded is not None:
                found += to_units(amount * (traded * self._in_share(ETHER, market) - self._in_share(token, market)))
        return found

    def _equity(self, market: MarketSnapshot) -> Decimal:
        total, numeraire = ZERO, self._numeraire
        for token, amount in self._amounts.items():
            total += amount if token == numeraire else amount * self._in_share(token, market)
        for perp in self._perps:
            gained = perp.base * market.perp(perp.exchange, perp.symbol) - perp.cost
            total += gained if perp.settle == numeraire else gained * self._in_share(perp.settle, market)
        return total

    def _perps_since(self, market: MarketSnapshot) -> int:
        """What the marks did since the perps were taken over."""
        if self._line is not None:
            return self._line.perps_gained(market.instant)
        total, numeraire = ZERO, self._numeraire
        for perp, then in zip(self._perps, self._marks, strict=True):
            gained = perp.base * (market.perp(perp.exchange, perp.symbol) - then)
            total += gained if perp.settle == numeraire else gained * self._in_share(perp.settle, market)
        return to_units(total)

    def _in_share(self, token: str, market: MarketSnapshot) -> Decimal:
        if token == self._numeraire:
            return ONE
        price = market.price(token)
        return price if self._numeraire == DOLLAR else price / market.price(self._numeraire)

    # The same as a line: the price of each token is the integer of one series.

    def _as_line(self) -> Line | None:
        """The positions since they were last taken over, as a line; None where a price has no feed, or an amount too many decimals."""
        if self._found is None:
            return None
        amounts = [amount * self._rates.get(token, ONE) for token, amount in self._amounts.items() if token != DOLLAR]
        return line_of(self._amounts.get(DOLLAR, ZERO), amounts, self._perps, self._found, self._taken_at)

    def _find_feeds(self, market: MarketSnapshot) -> None:
        """The feeds of the positions, and until when these are a line: then a rate is too old, or another series prices a token."""
        self._found, self.valid_until = None, FOR_GOOD
        if self._numeraire != DOLLAR:
            return
        found = self._feeds.find(self._priced_as, self._perps, market)
        if found is not None:
            self._found, until = found
            ends = [market.next_expiry("staking", REDEEMED_BY[token][0], token) for token in self._staked] if self._staked else ()
            self.valid_until = min([until, *(end for end in ends if end is not None)]) if ends else until


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
