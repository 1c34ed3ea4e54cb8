"""The result of a run: `summary.json`, parsed, with the attribution in groups."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from basis_strategy_v1.core.amounts import EXACT, counted, plain
from basis_strategy_v1.core.attribution_sources import GROUPS, SOURCES, names_of
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.market import DOLLAR_TOKENS
from basis_strategy_v1.core.position_names import Kind, read_common_name
from basis_strategy_v1.core.state import IN_TRANSIT
from basis_strategy_v1.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_READABLE_PLACES = 8
_FEWEST_DAYS = 30  # over less, a return a year is mostly chance and the cost of entry
MOSTLY = 0.5
_TICKERS = ("btc", "eth", "usdt")
CURRENCIES = {"usdt_stable": "USDT", "eth_directional": "ETH"}


class DataOrigin(Struct, frozen=True, kw_only=True):
    """Where the prices came from. `generated` is None where the run did not say."""

    generated: bool | None = None
    directory: str = ""
    name: str = ""
    series: list[Any] | dict[str, Any] = []
    fingerprint: str = ""

    @property
    def place(self) -> str:
        return self.directory or self.name

    @property
    def verdict(self) -> str:
        return {True: "GENERATED", False: "REAL", None: "NOT STATED"}[self.generated]

    @property
    def remark(self) -> str:
        """What `REAL` rests on: there is no mark, and whether the data were recorded cannot be known."""
        return "" if self.generated is not False else "(no mark of generated data)"


class Left(Struct, frozen=True):
    """A position that a run which was to leave still holds, in token units."""

    venue: str
    token: str
    amount: Decimal

    def __str__(self) -> str:
        return f"{self.venue} {short(self.amount)} {self.token}"

    @property
    def takes_time(self) -> bool:
        """Whether it waits in a queue, or is on its way."""
        return read_common_name(self.token).kind is Kind.QUEUED or self.venue == IN_TRANSIT


class StaleMark(Struct, frozen=True, rename={"start": "from", "end": "until"}):
    """A series whose last price stood still from a time until before another."""

    series: str
    start: str
    end: str


class Liquidation(Struct, frozen=True):
    """What a liquidation closed (perps, signed as they were held), took and repaid: token -> units."""

    timestamp: str
    venue: str
    closed: dict[str, Decimal] = {}
    lost: dict[str, Decimal] = {}
    repaid: dict[str, Decimal] = {}

    @property
    def parts(self) -> list[str]:
        of = "margin" if self.closed else "collateral"
        return [
            *(f"{short(abs(amount))} {token} {'short' if amount < 0 else 'long'} closed" for token, amount in self.closed.items()),
            *(f"{_of_token(token, amount)} of {of} lost" for token, amount in self.lost.items()),
            *(f"{_of_token(token, amount)} of debt repaid with it" for token, amount in self.repaid.items()),
        ]

    def __str__(self) -> str:
        return f"liquidated at {self.timestamp} on {self.venue}: {', '.join(self.parts)}"


class Compared(Struct, frozen=True):
    """What the orders of a live run were simulated to move of a token at a venue, and what moved."""

    venue: str
    token: str
    expected: Decimal
    executed: Decimal
    difference: Decimal


class StrategyResult(Struct, frozen=True, kw_only=True):
    """One strategy of a portfolio: its share of the capital, and what it made of it."""

    name: str
    share: Decimal
    strategy_mode: str
    initial_equity: Decimal
    final_equity: Decimal
    pnl: Decimal
    attribution: dict[str, Decimal]
    max_drawdown: Decimal
    metrics: dict[str, float | None] = {}


class Summary(Struct, frozen=True, kw_only=True):
    """Money is in the share class's currency, `max_drawdown` and `annualised_return` are fractions; the first peak of a drawdown is
    the initial equity, and steps at which a price was older than its interval do not count."""

    run_id: str
    strategy_mode: str = ""
    share_class: str = ""
    start: str = ""
    end: str = ""
    initial_equity: Decimal
    final_equity: Decimal
    final_equity_at_market: Decimal | None = None
    pnl: Decimal
    attribution: dict[str, Decimal]
    max_drawdown: Decimal | None = None
    annualised_return: Decimal | None = None
    annualised_return_reason: str = ""
    instructions_routed: int | None = None
    instructions_failed: int | None = None
    data: DataOrigin = DataOrigin()
    assumptions: list[Any] = []
    missing_funding: list[Any] = []
    skipped: list[Any] = []
    left_open: list[Left] = []
    liquidations: list[Liquidation] = []
    stale_marks: list[StaleMark] = []
    expected_and_executed: list[Compared] = []
    metrics: dict[str, float | None] = {}
    metrics_reasons: dict[str, str] = {}
    drawdowns: list[dict[str, Any]] = []
    monthly: dict[str, float] = {}
    by_reason: list[dict[str, Any]] = []
    waited: list[dict[str, Any]] = []
    strategies: list[StrategyResult] = []

    @property
    def currency(self) -> str:
        return CURRENCIES.get(self.share_class, "")

    @property
    def places(self) -> int:
        """How many decimals a rounded amount of the currency has."""
        return 6 if self.currency == "ETH" else 2

    @property
    def return_fraction(self) -> Decimal | None:
        return self.pnl / self.initial_equity if self.initial_equity else None

    @property
    def too_short(self) -> str:
        """Why there is no annualised return; `over 2 days: says little` of that of a short run, which earlier versions gave."""
        if self.annualised_return_reason:
            return self.annualised_return_reason
        try:
            length = datetime.fromisoformat(self.end) - datetime.fromisoformat(self.start)
        except (ValueError, TypeError):
            return ""
        if (length + timedelta(hours=12)).days >= _FEWEST_DAYS:  # the nearest whole days, as where it is computed
            return ""
        return f"over {counted(length.days, 'day') if length.days else 'less than a day'}: says little"

    @property
    def waiting(self) -> list[str]:
        """Of a run that was out of the market for most of the time, a line for each condition that was not met."""
        if (share := self.metrics.get("time_in_market")) is None or share >= MOSTLY:
            return []
        return [_waited(row) for row in self.waited]

    def groups(self) -> dict[str, dict[str, Decimal]]:
        """group -> source -> amount, every source of `attribution` in exactly one group."""
        found = {group: {source: self.attribution[source] for source in names_of(group) if source in self.attribution} for group in GROUPS}
        others = {source: amount for source, amount in self.attribution.items() if source not in SOURCES}
        return {group: sources for group, sources in {**found, "Other": others}.items() if sources}

    def exact_places(self) -> int:
        """The decimals that show every amount of the attribution without rounding; at least `places`."""
        amounts = (self.initial_equity, self.final_equity, self.pnl, *self.attribution.values())
        return max(self.places, *(len(plain(amount).partition(".")[2]) for amount in amounts))

    def residuals(self) -> tuple[Decimal, Decimal]:
        """(pnl less the sum of its sources, final equity less initial equity and pnl): both zero where the ledger adds up."""
        with localcontext(EXACT):
            return self.pnl - total(self.attribution.values()), self.final_equity - self.initial_equity - self.pnl


def parse_summary(found: Mapping[str, Any]) -> Summary:
    """The summary of a run.

    Raises:
        ComponentError: RES-001, with the field that is missing or wrong.
    """
    try:
        return msgspec.convert(dict(found), Summary, strict=False)
    except msgspec.ValidationError as wrong:
        raise ComponentError("RES-001", f"summary.json: {printable(str(wrong))}; run the backtest again", "Report") from wrong


def _waited(row: Mapping[str, Any]) -> str:
    """`mean funding a year >= strategy.enter_above_apr, 0.9: not met on 180 of 184 days; the nearest was 0.11`."""
    days = f"not met on {row.get('times', 0):,} of {row.get('of', 0):,} days"
    if "nearest" not in row:
        return f"{row.get('condition', '')}: {days}"
    return f"{row.get('condition', '')}, {row['bound']}: {days}; the nearest was {float(row['nearest']):.4g}"


def total(amounts: Iterable[Decimal]) -> Decimal:
    """The sum, never rounded."""
    with localcontext(EXACT):
        return sum(amounts, Decimal(0))


def label(source: str) -> str:
    """`spot_price` -> `Spot price`."""
    text = " ".join(word.upper() if word in _TICKERS else word for word in source.split("_"))
    return text[:1].upper() + text[1:]


def rounded(amount: Decimal, places: int) -> str:
    """`1,234.50`; with as many places as the amount has, exact."""
    return format(amount, f"z,.{places}f")


def _of_token(token: str, amount: Decimal) -> str:
    return f"{short(amount, 2 if token in DOLLAR_TOKENS else 6)} {token}"


def short(amount: Decimal, places: int = 6) -> str:
    """Rounded, without zeros at the end: `1,234.5`."""
    text = rounded(amount, places)
    return text.rstrip("0").rstrip(".") if "." in text else text


def readable(amount: Decimal) -> Decimal:
    """The amount to eight decimals."""
    decimals = len(plain(amount).partition(".")[2])
    return amount if decimals <= _READABLE_PLACES else EXACT.normalize(EXACT.quantize(amount, Decimal(1).scaleb(-_READABLE_PLACES)))


def signed(amount: Decimal) -> str:
    """`+1,234.5`, exact."""
    whole, point, fraction = plain(amount).partition(".")
    return f"{int(whole):+,}{point}{fraction}" if int(whole) else f"{'-' if amount < 0 else '+'}0{point}{fraction}"


def percent(fraction: Decimal | None, places: int = 2) -> str:
    return "n/a" if fraction is None else f"{format(fraction * 100, f'z,.{places}f')}%"
