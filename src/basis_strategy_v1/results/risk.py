"""Risk over time: exposures, deltas, leverage and margin of perp accounts, loan-to-value and health of loans, at every step."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.core.clock import from_instant, iso_each
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.market import DOLLAR_TOKENS, REDEEMED_BY, SAME_AS
from basis_strategy_v1.core.position_names import queued_name
from basis_strategy_v1.core.state import IN_TRANSIT
from basis_strategy_v1.venues.venue import Exposure, PerpExposure

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from basis_strategy_v1.core.market import MarketSnapshot

    MarketAt = Callable[[datetime, int], MarketSnapshot]

OF_ALL = ("gross_exposure", "net_exposure", "in_transit", "queued")
OF_ACCOUNT = ("leverage", "margin_ratio", "liquidation_distance")
OF_LENDER = ("ltv", "health_factor")
QUEUED = queued_name("")


class LoanRisk(NamedTuple):
    """A lender's view of us: debt / collateral, and the health factor; None without a debt."""

    ltv: float | None
    health_factor: float | None


class MarginRisk(NamedTuple):
    """The margin of an account's perps: equity without coins (settlement token, at the marks of the point), the coins that count, by token
    and after their haircut, and the mark at which its only perp is liquidated; None: there is no such price."""

    equity: float
    coins: Mapping[str, float] = {}
    liquidation: float | None = None


class RiskPoint(NamedTuple):
    """The positions from an instant on, until they change: what has a price, the perps and their marks, by account the margin of its perps,
    and by lender its view."""

    instant: int
    exposures: tuple[Exposure, ...]
    perps: tuple[PerpExposure, ...]
    marks: tuple[float, ...]
    accounts: Mapping[str, MarginRisk]
    loans: Mapping[str, LoanRisk]


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

    @property
    def bases(self) -> list[str]:
        return sorted({base for point in self._points for base in bases_of(point)})

    def header(self) -> str:
        """The first line of the file."""
        of_accounts = [f"{name}_{what}" for name in self.accounts for what in OF_ACCOUNT]
        of_lenders = [f"{name}_{what}" for name in self.lenders for what in OF_LENDER]
        return ",".join(("timestamp", *OF_ALL, *of_accounts, *of_lenders, *(f"{base}_delta" for base in self.bases)))

    def rows(self, instants: array[int], market_at: MarketAt) -> Iterator[str]:
        """A line a step. A cell is empty where a price is not known, or there is nothing of the kind."""
        accounts, lenders, bases, points = self.accounts, self.lenders, self.bases, self._points
        prices = Prices(instants, market_at, self._currency[0])
        stamps = iso_each(instants)
        begins = [bisect_left(instants, point.instant) for point in points]
        nothing = "," * (len(OF_ALL) + len(OF_ACCOUNT) * len(accounts) + len(OF_LENDER) * len(lenders) + len(bases) - 1)
        for _ in range(begins[0] if begins else len(instants)):
            yield f"{next(stamps)},{nothing}\n"
        ends = [*begins[1:], len(instants)] if begins else []
        for point, begin, end in zip(points, begins, ends, strict=True):
            if begin < end:
                loans = [point.loans.get(name, LoanRisk(None, None)) for name in lenders]
                of_loans = [text_of(value) for loan in loans for value in loan]
                for cells in self._cells(point, range(begin, end), accounts, of_loans, bases, prices):
                    yield f"{next(stamps)},{cells}\n"

    def _cells(
        self, point: RiskPoint, steps: range, accounts: Sequence[str], loans: list[str], bases: Sequence[str], prices: Prices
    ) -> Iterator[str]:
        """The cells of the steps between two changes of the positions."""
        try:
            columns = [
                *self._exposures(point, steps, prices),
                *(cells for name in accounts for cells in account_cells(name, point, steps, prices)),
                *([cell] * len(steps) for cell in loans),
                *(delta_cells(base, point, steps, prices) for base in bases),
            ]
        except TypeError:  # a price is None: it is not known at some step
            if len(steps) == 1:
                unknown = "," * (len(OF_ALL) + len(OF_ACCOUNT) * len(accounts) - 1)
                yield ",".join((unknown, *loans, *("" for _ in bases)))
                return
            for step in steps:
                yield from self._cells(point, range(step, step + 1), accounts, loans, bases, prices)
            return
        yield from map(",".join, zip(*columns, strict=True))

    def _exposures(self, point: RiskPoint, steps: range, prices: Prices) -> list[list[str]]:
        sums = [[0.0] * len(steps) for _ in OF_ALL]
        for token, shares in self._by_token(point.exposures).items():
            column = prices.of(token)[steps.start : steps.stop]
            for place, share in enumerate(shares):
                if share:
                    sums[place] = [total + share * price for total, price in zip(sums[place], column, strict=True)]
        for perp in point.perps:
            base, worth = float(perp.base), prices.of(perp.settle)[steps.start : steps.stop]
            marks = prices.of_perp(perp.exchange, perp.symbol)[steps.start : steps.stop]
            notionals = [base * mark * price for mark, price in zip(marks, worth, strict=True)]
            sums[0] = [total + abs(notional) for total, notional in zip(sums[0], notionals, strict=True)]
            sums[1] = [total + notional for total, notional in zip(sums[1], notionals, strict=True)]
        return [_texts(column) for column in sums]

    def _by_token(self, exposures: Sequence[Exposure]) -> dict[str, list[float]]:
        """token -> how much of it is in each of the four sums, in its own units."""
        found: dict[str, list[float]] = {}
        for held in exposures:
            amount, row = float(held.amount), found.setdefault(held.token, [0.0, 0.0, 0.0, 0.0])
            if not (held.held_as in self._currency or held.token in DOLLAR_TOKENS):
                row[0] += abs(amount)
                row[1] += amount
            row[2] += amount if held.venue == IN_TRANSIT else 0.0
            row[3] += amount if held.held_as.endswith(QUEUED) else 0.0
        return {token: row for token, row in found.items() if any(row)}


def account_cells(name: str, point: RiskPoint, steps: range, prices: Prices) -> list[list[str]]:
    """Leverage, margin ratio and distance to liquidation (a fraction of the mark) of a perp account at some steps."""
    own = [(perp, then) for perp, then in zip(point.perps, point.marks, strict=True) if perp.venue == name]
    if not own:
        return [[""] * len(steps)] * len(OF_ACCOUNT)
    margin = point.accounts.get(name, MarginRisk(0.0))
    sizes, equities, distances = [0.0] * len(steps), [margin.equity] * len(steps), [""] * len(steps)
    for perp, then in own:
        base = float(perp.base)
        marks = prices.of_perp(perp.exchange, perp.symbol)[steps.start : steps.stop]
        sizes = [size + abs(base) * mark for size, mark in zip(sizes, marks, strict=True)]
        equities = [equity + base * (mark - then) for equity, mark in zip(equities, marks, strict=True)]
        if margin.liquidation is not None:
            distances = [f"{abs(margin.liquidation / mark - 1):.6f}" for mark in marks]
    for token, amount in margin.coins.items():
        column, settle = (prices.of(of)[steps.start : steps.stop] for of in (token, own[0][0].settle))
        equities = [equity + amount * price / unit for equity, price, unit in zip(equities, column, settle, strict=True)]
    leverages = [f"{size / equity:.6f}" if equity > 0 else "" for size, equity in zip(sizes, equities, strict=True)]
    ratios = [f"{equity / size:.6f}" if size else "" for size, equity in zip(sizes, equities, strict=True)]
    return [leverages, ratios, distances]


def base_of_token(token: str) -> str:
    """The coin that a token follows: ETH of WETH and wstETH."""
    underlying = REDEEMED_BY[token][1] if token in REDEEMED_BY else token
    return SAME_AS.get(underlying, underlying)


def bases_of(point: RiskPoint) -> set[str]:
    """The coins of which there is a delta."""
    held = {base_of_token(one.token) for one in point.exposures if one.token not in DOLLAR_TOKENS}
    return held | {perp.symbol.removesuffix(perp.settle) for perp in point.perps}


def delta_cells(base: str, point: RiskPoint, steps: range, prices: Prices) -> list[str]:
    """The net amount of a coin at some steps, in its own units: tokens that follow it at what they are worth of it, and perps."""
    perps = sum(float(perp.base) for perp in point.perps if perp.symbol.removesuffix(perp.settle) == base)
    total = [perps] * len(steps)
    amounts: dict[str, float] = {}
    for one in point.exposures:
        if one.token not in DOLLAR_TOKENS and base_of_token(one.token) == base:
            amounts[one.token] = amounts.get(one.token, 0.0) + float(one.amount)
    for token, amount in amounts.items():
        if SAME_AS.get(token, token) == base or not amount:
            total = [value + amount for value in total]
        else:
            column, unit = (prices.of(of)[steps.start : steps.stop] for of in (token, base))
            total = [value + amount * price / one for value, price, one in zip(total, column, unit, strict=True)]
    return [f"{value:.8f}" for value in total] if amounts or perps else [""] * len(steps)


class Prices:
    """Prices at every step as floats, None where one is not known: read as a column where the data have them as one."""

    def __init__(self, instants: array[int], market_at: MarketAt, currency: str) -> None:
        self._instants = instants
        self._market_at = market_at
        self._currency = currency
        self._tokens: dict[str, list[Any]] = {currency: [1.0] * len(instants)}
        self._perps: dict[tuple[str, str], list[Any]] = {}

    def of(self, token: str) -> list[Any]:
        """What 1 of a token is worth in the currency."""
        if token not in self._tokens:
            column = self._column(lambda market: market.price_series(token), lambda market: market.price(token))
            if self._currency not in DOLLAR_TOKENS:
                ether = self._column(lambda market: market.price_series(self._currency), lambda market: market.price(self._currency))
                column = [None if None in pair else pair[0] / pair[1] for pair in zip(column, ether, strict=True)]
            self._tokens[token] = column
        return self._tokens[token]

    def of_perp(self, exchange: str, symbol: str) -> list[Any]:
        """The mark of a perp."""
        key = (exchange, symbol)
        if key not in self._perps:
            self._perps[key] = self._column(
                lambda market: (market.kind_of_price("mark", *key), *key), lambda market: market.perp_price("mark", *key)
            )
        return self._perps[key]

    def _column(self, series_of: Callable[[MarketSnapshot], Any], read: Callable[[MarketSnapshot], Any]) -> list[Any]:
        first = self._instants[0]
        try:
            market = self._market_at(from_instant(first), first)
            series = series_of(market)
            feed = None if series is None else market.feed(*series)
            if feed is not None:
                scale = 10**feed.decimals
                return [value / scale for value in (feed.close(first), *feed.closes(self._instants[1:]))]
        except ComponentError:  # there is none at some step: each is read by itself
            pass
        return [self._read(instant, read) for instant in self._instants]

    def _read(self, instant: int, read: Callable[[MarketSnapshot], Any]) -> float | None:
        try:
            return float(read(self._market_at(from_instant(instant), instant)))
        except ComponentError:
            return None


def _texts(values: list[float]) -> list[str]:
    return [f"{value:.6f}" for value in values] if any(values) else ["0"] * len(values)


def text_of(value: float | None) -> str:
    return "" if value is None else f"{value:.6f}"


def loan_of(exposures: Sequence[Exposure], lender: str, health: Any, value: Callable[[str], Any]) -> LoanRisk:
    """What a lender sees: debts are exposures of less than nothing there."""
    owed = held = 0.0
    for one in exposures:
        if one.venue == lender:
            worth = float(one.amount) * float(value(one.token))
            owed, held = (owed - worth, held) if worth < 0 else (owed, held + worth)
    if not owed:
        return LoanRisk(None, None)
    return LoanRisk(owed / held if held else None, None if health is None else float(health))
