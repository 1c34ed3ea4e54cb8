"""A config: what each of its keys means, what it may hold, and what holds when it is left out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Struct

from basis_strategy_v1.config.kinds import free
from basis_strategy_v1.config.venue_sections import VenuesConfig
from basis_strategy_v1.core.clock import to_instant
from basis_strategy_v1.core.limits import Limits
from basis_strategy_v1.core.settings import (
    VENUE_NAME,
    AboveZero,
    Amount,
    Mark,
    OrNull,
    Token,
    VenueName,
    duration,
    number,
    path,
    seconds,
    text,
    whole,
)
from basis_strategy_v1.venues.exchange_events import Delisted, ExchangeEvent, Renamed
from basis_strategy_v1.venues.exchanges import SYMBOL

_DAY = 86_400
_STALE, _HOUR = timedelta(hours=36), timedelta(hours=1)
_TRIES = whole(above=0, below=10)
Folder = Annotated[Path, path("the path of a folder, from the config's own folder")]
File = Annotated[Path, path("the path of a file, from the config's own folder")]
Age = Annotated[timedelta, duration("1m", "400d")]
Series = Annotated[str, text(r"[A-Za-z0-9_][A-Za-z0-9_./-]{0,199}", "`default` or a series (funding/okx/ETHUSDT)")]
Balances = Mapping[VenueName, Mapping[Token, Amount]]


class DataConfig(Struct, frozen=True, kw_only=True):
    """Where the series come from, and how old they may be."""

    directory: Annotated[OrNull[Folder], "folder of CSV series; --data goes before it"] = None
    database: Annotated[OrNull[File], "DuckDB file; where both are given, BASIS_DATA_MODE says which is read"] = None
    max_staleness: Annotated[Age | Mapping[Series, Age], "how old the last row of a series may be, for all or by series"] = _STALE
    missing_funding: Annotated[Literal["error", "zero"], "when a funding rate is missing while a position is held"] = "error"

    @property
    def staleness(self) -> dict[str, timedelta]:
        """How old a last row may be, by series; for the others `default`."""
        own = self.max_staleness
        return {"default": _STALE, **own} if isinstance(own, Mapping) else {"default": own}


class Deadlines(Struct, frozen=True, kw_only=True):
    """How long it may take until an outcome is known."""

    exchange: Annotated[float, seconds(above=0, at_most=_DAY), "of an order"] = 30.0
    chain: Annotated[float, seconds(above=0, at_most=7 * _DAY), "of a transaction"] = 900.0
    withdrawal: Annotated[float, seconds(above=0, at_most=30 * _DAY), "of a withdrawal"] = 21_600.0


class Live(Struct, frozen=True, kw_only=True):
    """How a live run looks after itself."""

    settle_deadline_s: Annotated[Deadlines, "until an outcome is known"] = Deadlines()
    recovery_interval_s: Annotated[float, seconds(above=0, at_most=3600), "between two looks for what is open"] = 10.0
    reconcile_interval_s: Annotated[float, seconds(above=0, at_most=_DAY), "between two comparisons with the venues"] = 300.0
    allocation: Annotated[Balances, "{venue: {token: amount}}: how much of a balance belongs to the run; left out: all of it"] = {}


class Like(Struct, frozen=True, kw_only=True):
    """Whose figures a symbol is taken to have."""

    like: Annotated[str, SYMBOL, "a symbol that the exchange's table has"]


class Stress(Struct, frozen=True, kw_only=True):
    """What is made up against a backtest, the same for the same seed."""

    adl_on_move_over: Annotated[
        OrNull[Annotated[Decimal, number("0.2 is 20 %", above=0, at_most=10)]],
        "auto-deleveraging of the side that gains when a perp's price is this fraction from that of a day before; null: none",
    ] = None
    seed: Annotated[int, whole(at_least=0, at_most=2**31), "what the shares that are closed follow from"] = 1


class Delisting(Struct, frozen=True, kw_only=True):
    """When a perp ends, and what it is settled at."""

    at: Annotated[datetime, "what is open then is settled"]
    price: Annotated[AboveZero, "in the quote"]


class Renaming(Struct, frozen=True, kw_only=True):
    """When a symbol becomes another."""

    to: Annotated[str, SYMBOL, "the other symbol"]
    at: Annotated[datetime, "from then on"]
    ratio: Annotated[AboveZero, "units of the other's base for one of its own"] = Decimal(1)


class PortfolioPart(Struct, frozen=True, kw_only=True):
    """One strategy of several, with its own accounts and its share of the capital."""

    name: Annotated[str, text(VENUE_NAME, "a name of its own"), "what its accounts, trades and results are called by"]
    share: Annotated[Decimal, number("0.5 is a half", above=0, at_most=1), "of initial_capital; all of them at most 1"]
    strategy_mode: Annotated[str, text(VENUE_NAME, "the name of a strategy"), "which strategy"]
    strategy: Annotated[Mapping[str, Any], "the strategy's parameters"] = {}


class Top(Struct, frozen=True, kw_only=True):
    """The whole of a config, as it is written."""

    strategy_mode: Annotated[str, text(VENUE_NAME, "the name of a strategy"), "which strategy"]
    share_class: Annotated[Literal["usdt_stable", "eth_directional"], "what the capital is counted in: USDT or ETH"]
    initial_capital: Annotated[AboveZero, "in the share class's currency"]
    start: Annotated[datetime | None, Mark.BACKTEST, "first step; left out: when all series that it needs are there"] = None
    end: Annotated[datetime | None, Mark.BACKTEST, "last step; left out: when the first of them ends"] = None
    interval: Annotated[timedelta, duration("1s", "366d"), "time between two steps; there is a step at start and one at end"] = _HOUR
    warmup: Annotated[
        Annotated[timedelta | None, duration("1m", "1100d")],
        Mark.QUIET,
        "history before start for snapshot.history: a start that is left out comes so much later; live, so much is loaded at the start",
    ] = None
    venue_timeout: Annotated[float, seconds(above=0, below=120), "seconds to wait for a venue's answer"] = 15.0
    max_retries_per_venue: Annotated[int, _TRIES, "failures in a row after which a venue is unavailable for 60 s"] = 3
    max_retry_attempts: Annotated[int, _TRIES, "attempts per instruction, in all"] = 3
    retry_delay_seconds: Annotated[float, seconds(at_least=0, at_most=60), "before the second attempt; doubles; at most 60 s in all"] = 0.1
    enable_atomic_chaining: Annotated[bool, "false refuses atomic chains"] = True
    close_at_end: Annotated[bool, "false: positions are marked at the end, not closed"] = False
    initial_positions: Annotated[OrNull[Balances], "{venue: {token: amount}} at start; null: the strategy's own split"] = None
    benchmark: Annotated[
        Literal["none", "hold", "lend"],
        "what the metrics compare with: hold (the base asset), lend (the share class's token at the first lender with data), or none",
    ] = "none"
    risk_free_rate: Annotated[
        Decimal, number("0.04 is 4 %", above=-1, below=1), "fraction a year that Sharpe, Sortino and Omega ask for"
    ] = Decimal(0)
    gas_reserve_eth: Annotated[
        Decimal, number(at_least=0, at_most=1000), "ETH bought at start when gas is not free and anything is done on chain"
    ] = Decimal("0.05")
    data: Annotated[DataConfig, "where the series come from"] = DataConfig()
    strategy: Annotated[Any, free(), Mark.RUN, "the strategy's parameters"] = None
    portfolio: Annotated[
        tuple[PortfolioPart, ...],
        Mark.QUIET,
        "instead of strategy_mode and strategy: several strategies in one backtest, each on its own accounts",
    ] = ()
    limits: Annotated[Limits | None, Mark.LIVE, "what live never goes beyond"] = None
    costs: Annotated[
        Literal["public", "none"],
        Mark.QUIET,
        "what a venue's settings leave out: as the venues publish it (fees, withdrawals, gas), or 0; none is for backtests and paper",
    ] = "public"
    assume: Annotated[
        Mapping[Annotated[str, SYMBOL], Like], Mark.QUIET, "{SOLUSDT: {like: ETHUSDT}}: figures of a symbol that an exchange's table lacks"
    ] = {}
    delisted: Annotated[
        Mapping[Annotated[str, SYMBOL], Delisting], Mark.QUIET, "{SOLUSDT: {at: TIME, price: 20}}: a perp that ends, and at what price"
    ] = {}
    renamed: Annotated[
        Mapping[Annotated[str, SYMBOL], Renaming],
        Mark.QUIET,
        "{LUNAUSDT: {to: LUNCUSDT, ratio: 1, at: TIME}}: a symbol that is another from then on, one unit of it `ratio` of the other",
    ] = {}
    stress: Annotated[Stress, Mark.QUIET, "what is made up against a backtest"] = Stress()
    venues: Annotated[VenuesConfig, "what the run may reach"]
    live: Annotated[Live, Mark.QUIET, "how a live run looks after itself"] = Live()

    @property
    def listing_changes(self) -> list[ExchangeEvent]:
        """What becomes of symbols within the run."""
        ended: list[ExchangeEvent] = [Delisted(symbol, to_instant(own.at), own.price) for symbol, own in self.delisted.items()]
        return [*ended, *(Renamed(symbol, to_instant(own.at), own.to, own.ratio) for symbol, own in self.renamed.items())]

    @property
    def alike(self) -> dict[str, str]:
        """Symbols without figures -> the symbol whose figures they are taken to have."""
        return {symbol: own.like for symbol, own in self.assume.items()}
