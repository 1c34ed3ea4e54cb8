"""Risk over time: exposures, deltas, perp accounts, loans and funding, at every step."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.clock import iso_each
from basis_strategy_v1.core.market import DOLLAR_TOKENS, REDEEMED_BY, SAME_AS
from basis_strategy_v1.core.position_names import queued_name
from basis_strategy_v1.core.state import IN_TRANSIT
from basis_strategy_v1.results.funding_aprs import OWN, FundingLook
from basis_strategy_v1.results.risk_accounts import account_cells
from basis_strategy_v1.results.risk_steps import Cells, LoanRisk, Prices, RiskPoint, Steps, texts_of
from basis_strategy_v1.venues.exchanges import base_of

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from basis_strategy_v1.results.risk_steps import MarketAt
    from basis_strategy_v1.venues.venue import Exposure

OF_ALL = ("gross_exposure", "net_exposure", "in_transit", "queued")
OF_ACCOUNT, OF_LENDER = ("_leverage", "_margin_ratio", "_liquidation_distance"), ("_ltv", "_health_factor")
GROUPS = (OF_ACCOUNT, OF_LENDER, ("_delta",), ("_funding_apr",))
AT_ONCE = 5_000  # steps whose cells are in memory
OWN_FUNDING = f"{OWN}_funding_apr"
QUEUED = queued_name("")
DELTA = "%.8f"


class RiskRows:
    """The rows of risk.csv. Money is in the share class currency."""

    def __init__(self, currency: Sequence[str]) -> None:
        self._currency = currency  # its own tokens, the one that prices are in first
        self._points: list[RiskPoint] = []
        self._names: list[str] = []  # of the columns, once they were asked for

    def add(self, point: RiskPoint) -> None:
        """Keep the positions of a step."""
        self._points.append(point)
        self._names = []

    @property
    def points(self) -> Sequence[RiskPoint]:
        """What was kept, in order of time."""
        return self._points

    @property
    def funding(self) -> FundingLook | None:
        """The last look at funding."""
        return self._points[-1].funding if self._points else None

    def columns(self) -> list[str]:
        """The columns after the time, in their order."""
        self._names = self._names or in_order(columns_of(self._points))
        return self._names

    def header(self) -> str:
        """The first line of the file."""
        return ",".join(("timestamp", *OF_ALL, *self.columns()))

    def rows(self, instants: array[int], market_at: MarketAt) -> Iterator[str]:
        """A line a step, many lines at once. A cell is empty where a price is not known, or there is nothing of the kind."""
        points, columns = self._points, (*OF_ALL, *self.columns())
        begins = [bisect_left(instants, point.instant) for point in points]
        first = begins[0] if begins else len(instants)
        yield from (f"{stamp}{',' * len(columns)}\n" for stamp in iso_each(instants[:first]))
        ends = [*begins[1:], len(instants)]
        for start in range(first, len(instants), AT_ONCE):
            stop = min(start + AT_ONCE, len(instants))
            there = range(bisect_right(ends, start), bisect_left(begins, stop))
            widths = [min(ends[place], stop) - max(begins[place], start) for place in there]
            prices = Prices(instants[start:stop], market_at, self._currency[0])
            cells = cells_of([points[place] for place in there], widths, prices, self._currency)
            made = [cells.get(name) or [absent(name)] * (stop - start) for name in columns]
            rows = zip(iso_each(instants[start:stop]), *made, strict=True)
            yield "\n".join(map(",".join, rows)) + "\n"


def columns_of(points: Sequence[RiskPoint]) -> set[str]:
    """The columns that positions ask for, besides those of all of them."""
    found = {f"{name}{end}" for point in points for name in point.accounts for end in OF_ACCOUNT}
    found |= {f"{name}{end}" for point in points for name, loan in point.loans.items() if loan.ltv is not None for end in OF_LENDER}
    tokens = {held.token for point in points for held in point.exposures if held.amount}
    symbols = {perp.symbol for point in points for perp in point.perps}
    found |= {f"{base}_delta" for base in (*map(base_token, tokens), *map(base_of, symbols)) if base}
    return found | {f"{name}_funding_apr" for look in _looks(points) for name in look}


def in_order(names: Iterable[str]) -> list[str]:
    """By group, in it by name; our own funding is the last."""

    def key(name: str) -> tuple[int, bool, str, int]:
        group, place, end = next(
            (number, place, end) for number, ends in enumerate(GROUPS) for place, end in enumerate(ends) if name.endswith(end)
        )
        return group, name == OWN_FUNDING, name.removesuffix(end), place

    return sorted(names, key=key)


def absent(name: str) -> str:
    """The cell of a column where there is nothing of its kind."""
    return "0" if name.endswith("_delta") else ""


def base_token(token: str) -> str | None:
    """What a token is worth so and so much of: stETH and WETH of ETH; None of a dollar."""
    if token in DOLLAR_TOKENS:
        return None
    return REDEEMED_BY[token][1] if token in REDEEMED_BY else SAME_AS.get(token, token)


def cells_of(points: Sequence[RiskPoint], widths: Sequence[int], prices: Prices, currency: Sequence[str]) -> Cells:
    """The cells of all columns at consecutive steps; `widths` says for how many of them the positions are those of each point."""
    steps = Steps(points, widths, prices)
    deltas = _deltas(steps)
    found: Cells = {**_exposures(steps, currency), **deltas}
    for name in sorted({name for point in points for name in point.accounts}):
        found |= account_cells(name, steps)
    for name in sorted({name for point in points for name in point.loans}):
        loans = [point.loans.get(name) for point in points]
        found[f"{name}_ltv"] = steps.spread([_text(loan and loan.ltv) for loan in loans])
        found[f"{name}_health_factor"] = steps.spread([_text(loan and loan.health_factor) for loan in loans])
    looks = _looks(points)
    for name in sorted({name for look in looks for name in look}):
        found[f"{name}_funding_apr"] = steps.spread([_text(look.get(name)) for look in looks])
    return found


def _looks(points: Sequence[RiskPoint]) -> list[Mapping[str, float | None]]:
    return [point.funding.aprs if point.funding else {} for point in points]


def _exposures(steps: Steps, currency: Sequence[str]) -> Cells:
    """Gross and net exposure, what is in transit, and what is in queues."""
    sums: list[list[list[float]]] = [[], [], [], []]
    for (venue, held_as, token), amounts in steps.held.items():
        is_exposed = held_as not in currency and token not in DOLLAR_TOKENS
        if is_exposed or venue == IN_TRANSIT or held_as.endswith(QUEUED):
            worth = steps.times(amounts, steps.prices.of(token))
            for place, counts in enumerate((is_exposed, is_exposed, venue == IN_TRANSIT, held_as.endswith(QUEUED))):
                if counts:
                    sums[place].append(worth if place else list(map(abs, worth)))
    for key, worth in steps.worths.items():
        settle, of = key[3], worth
        if settle != currency[0]:
            of = [in_settle and in_settle * price for in_settle, price in zip(worth, steps.prices.of(settle), strict=True)]
        sums[0].append(list(map(abs, of)))
        sums[1].append(of)
    return {name: texts_of(steps.sum(of)) for name, of in zip(OF_ALL, sums, strict=True)}


def _deltas(steps: Steps) -> Cells:
    """By base asset the balances of it less the debts, in its own units."""
    amounts_of: dict[str, dict[str, list[list[float]]]] = {}
    for (_, _, token), amounts in steps.held.items():
        if base := base_token(token):
            amounts_of.setdefault(base, {}).setdefault(token if token in REDEEMED_BY else base, []).append(amounts)
    for (_, _, symbol, _), amounts in steps.perps.items():
        amounts_of.setdefault(base_of(symbol), {}).setdefault(base_of(symbol), []).append(amounts)
    found: Cells = {}
    for base, of in amounts_of.items():
        sums = {token: [sum(row) for row in zip(*rows, strict=True)] for token, rows in of.items()}
        if list(sums) == [base]:
            found[f"{base}_delta"] = steps.spread(texts_of(sums[base], DELTA))
        else:
            columns = [steps.times(amounts, steps.prices.per(token, base)) for token, amounts in sums.items()]
            found[f"{base}_delta"] = texts_of(steps.sum(columns), DELTA)
    return found


def _text(value: float | None) -> str:
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
