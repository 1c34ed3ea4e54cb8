"""Risk over time: exposures, leverage and margin of perp accounts, loan-to-value and health of loans, at every step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.core.clock import from_instant, iso_each
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.market import DOLLAR_TOKENS
from basis_strategy_v1.core.position_names import Kind, read_common_name
from basis_strategy_v1.core.state import IN_TRANSIT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.venues.venue import Exposure, PerpExposure

    MarketAt = Callable[[datetime, int], MarketSnapshot]

OF_ALL = ("gross_exposure", "net_exposure", "in_transit", "queued")
PLACES = 8


class Loan(NamedTuple):
    """A lender's view of us: debt / collateral, and the health factor; None without a debt."""

    ltv: float | None
    health_factor: float | None


class RiskPoint(NamedTuple):
    """The positions from an instant on, until they change: what has a price, the perps, by account the equity of the perps' margin there
    and then, and by lender its view."""

    instant: int
    exposures: tuple[Exposure, ...]
    perps: tuple[PerpExposure, ...]
    equities: Mapping[str, float]
    loans: Mapping[str, Loan]


class RiskRows:
    """The rows of risk.csv. Money is in the share class currency."""

    def __init__(self, currency: Sequence[str]) -> None:
        self._currency = currency  # its own tokens, the one that prices are in first
        self._points: list[RiskPoint] = []

    def add(self, point: RiskPoint) -> None:
        """Keep the positions of a step."""
        self._points.append(point)

    @property
    def accounts(self) -> list[str]:
        return sorted({perp.venue for point in self._points for perp in point.perps})

    @property
    def lenders(self) -> list[str]:
        return sorted({name for point in self._points for name, loan in point.loans.items() if loan.ltv is not None})

    def header(self) -> str:
        """The first line of the file."""
        of_accounts = [f"{name}_{what}" for name in self.accounts for what in ("leverage", "margin_ratio")]
        of_lenders = [f"{name}_{what}" for name in self.lenders for what in ("ltv", "health_factor")]
        return ",".join(("timestamp", *OF_ALL, *of_accounts, *of_lenders))

    def rows(self, instants: Sequence[int], market_at: MarketAt) -> Iterator[str]:
        """A line a step. A cell is empty where a price is not known, or there is nothing of the kind."""
        accounts, lenders, place = self.accounts, self.lenders, -1
        points, first = self._points, self._points[0].instant if self._points else 0
        width = len(OF_ALL) + 2 * (len(accounts) + len(lenders))
        now: _Segment | None = None
        for stamp, instant in zip(iso_each(instants), instants, strict=True):
            if not points or instant < first:
                yield f"{stamp}{',' * width}\n"
                continue
            while place + 1 < len(points) and points[place + 1].instant <= instant:
                place += 1
                now = None
            if now is None:
                now = _Segment(points[place], self._currency, accounts, lenders, market_at)
            yield f"{stamp},{now.cells(market_at(from_instant(instant), instant))}\n"


class _Segment:
    """The cells of the steps between two changes of the positions."""

    def __init__(
        self, point: RiskPoint, currency: Sequence[str], accounts: Sequence[str], lenders: Sequence[str], market_at: MarketAt
    ) -> None:
        self._currency = currency
        self._accounts = accounts
        self._tokens: dict[str, list[float]] = {}  # token -> what is gross, net, in transit and queued of it, in its own units
        for held in point.exposures:
            kind, amount = read_common_name(held.held_as).kind, float(held.amount)
            row = self._tokens.setdefault(held.token, [0.0, 0.0, 0.0, 0.0])
            if not (held.held_as in currency or held.token in DOLLAR_TOKENS):
                row[0] += abs(amount)
                row[1] += amount
            row[2] += amount if held.venue == IN_TRANSIT else 0.0
            row[3] += amount if kind is Kind.QUEUED else 0.0
        self._tokens = {token: row for token, row in self._tokens.items() if any(row)}
        self._perps = [(perp.venue, perp.exchange, perp.symbol, perp.settle, float(perp.base)) for perp in point.perps]
        self._equities = point.equities
        self._marks: dict[tuple[str, str], float] = {}
        if self._perps:
            then = market_at(from_instant(point.instant), point.instant)
            self._marks = {(exchange, symbol): float(then.perp(exchange, symbol)) for _, exchange, symbol, _, _ in self._perps}
        loans = [point.loans.get(name, Loan(None, None)) for name in lenders]
        self._tail = "".join(f",{_text(loan.ltv)},{_text(loan.health_factor)}" for loan in loans)

    def cells(self, market: MarketSnapshot) -> str:
        try:
            return self._cells(market) + self._tail
        except ComponentError:  # a price is not known then
            return "," * (len(OF_ALL) + 2 * len(self._accounts) - 1) + self._tail

    def _cells(self, market: MarketSnapshot) -> str:
        gross = net = transit = queued = 0.0
        for token, row in self._tokens.items():
            price = self._price(token, market)
            gross += row[0] * price
            net += row[1] * price
            transit += row[2] * price
            queued += row[3] * price
        sizes: dict[str, list[float]] = {}
        for venue, exchange, symbol, settle, base in self._perps:
            mark, worth = float(market.perp(exchange, symbol)), self._price(settle, market)
            gross += abs(base) * mark * worth
            net += base * mark * worth
            size = sizes.setdefault(venue, [0.0, self._equities.get(venue, 0.0)])
            size[0] += abs(base) * mark
            size[1] += base * (mark - self._marks[exchange, symbol])
        cells = f"{gross:.{PLACES}f},{net:.{PLACES}f},{transit:.{PLACES}f},{queued:.{PLACES}f}"
        for name in self._accounts:
            notional, equity = sizes.get(name, (0.0, 0.0))
            if notional and equity > 0:
                cells += f",{notional / equity:.{PLACES}f},{equity / notional:.{PLACES}f}"
            else:
                cells += f",,{equity / notional:.{PLACES}f}" if notional else ",,"
        return cells

    def _price(self, token: str, market: MarketSnapshot) -> float:
        own = self._currency[0]
        if token == own:
            return 1.0
        price = float(market.price(token))
        return price if own in DOLLAR_TOKENS else price / float(market.price(own))


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.{PLACES}f}"


def loan_of(exposures: Sequence[Exposure], lender: str, health: Any, value: Callable[[str], Any]) -> Loan:
    """What a lender sees: debts are exposures of less than nothing there."""
    owed = held = 0.0
    for one in exposures:
        if one.venue == lender:
            worth = float(one.amount) * float(value(one.token))
            owed, held = (owed - worth, held) if worth < 0 else (owed, held + worth)
    if not owed:
        return Loan(None, None)
    return Loan(owed / held if held else None, None if health is None else float(health))
