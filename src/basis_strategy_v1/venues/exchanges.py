"""The exchanges, a row each: what they charge, what they trade in, what margin they want.

Figures are the exchanges' published ones for the lowest tier on `as_of`; each can be overridden in the config.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, TypeVar

from msgspec import Struct, structs

from basis_strategy_v1.core import market
from basis_strategy_v1.core.figure import Figure
from basis_strategy_v1.core.settings import (
    AboveZero,
    Amount,
    Bps,
    ByName,
    FeeBps,
    Mark,
    Token,
    Url,
    VenueName,
    VenueSettings,
    number,
    text,
    whole,
)
from basis_strategy_v1.venues.impact import Impact
from basis_strategy_v1.venues.symbol_facts import (
    ANY,
    SOURCES,
    FigureSource,
    Tier,
    by_symbol,
    leverage_by_symbol,
    smallest_perp_orders,
    tiers,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from basis_strategy_v1.core.settings import Misfit

D = Decimal
SYMBOL = text(r"[A-Z0-9]{2,20}", "a symbol or its base (ETHUSDT, ETH)")
T = TypeVar("T")
BySymbol = Annotated[Figure[T], ByName(SYMBOL)]
Steps = Annotated[Figure[AboveZero], ByName(SYMBOL)]
TierBps = Annotated[Decimal, number(above=0, below=10_000)]
Haircut = Annotated[Decimal, number("0.1 is 10 %", at_least=0, at_most=1)]
Leverage = Annotated[Decimal, number(above=0, at_most=500)]


class Withdrawal(NamedTuple):
    """What a withdrawal of a token costs."""

    fee: Annotated[Amount, "token units"] = D(0)
    minimum: Annotated[Amount, "token units"] = D(0)
    minutes: Annotated[Decimal, number(at_least=0, at_most=100_000), "minutes until it arrives"] = D(0)


class MarginTier(NamedTuple):
    """A tier as a config has it; without `up_to` it is the last one, and `leverage` may be left out: the account's."""

    maintenance_bps: Annotated[TierBps, "of the part of the notional in the tier"]
    up_to: Annotated[AboveZero | None, "notional (settlement token)"] = None
    leverage: Annotated[Leverage | None, "the most of a notional in the tier"] = None


FEES_IN = RECEIVED, QUOTE = "received", "quote"
FINEST_LOT = D("1e-8")
NO_IMPACT = Impact(model="none")
FREE: Figure[Withdrawal] = Figure(Withdrawal())


class ExchangeRow(Struct, frozen=True, kw_only=True):
    """Perps are margined and settled in `settle`; a spot symbol ends in one of `quotes`. Lots and ticks are by base, fees in bps."""

    name: str
    settle: str
    quotes: tuple[str, ...] = ()  # and the settlement token
    spot_taker_fee_bps: Figure[Decimal]
    perp_taker_fee_bps: Figure[Decimal]
    slippage_bps: Figure[Decimal] = Figure(D(1))
    impact: Impact = NO_IMPACT
    min_notional: Figure[Decimal]
    perp_min_notional: Figure[Decimal]
    spot_lots: Figure[Decimal]
    perp_lots: Figure[Decimal]
    ticks: Figure[Decimal]
    tiers: Figure[tuple[Tier, ...]]
    max_leverage: Figure[Decimal]
    funding_interval_hours: Figure[int]
    funding_price: str = "mark"  # the price that funding is paid on: mark, or index (an oracle's)
    spot_fee_in: str = "received"  # what a spot fee is taken from: what the trade pays out, always the quote, or one of fee_tokens
    fee_tokens: Mapping[str, Decimal] = {}  # token -> the share by which a fee is less in it
    separate_wallets: bool  # spot and futures wallets are separate; the gateway moves between them when a trade needs it
    public_withdrawals: Figure[Withdrawal]
    withdrawals: Figure[Withdrawal] = FREE
    deposit_minutes: Decimal = D(0)  # until what came from a chain is credited
    haircuts: Mapping[
        str, Figure[Decimal]
    ] = {}  # coins that count as margin -> the share of their worth that does not; none: split wallets
    negative_balance_apr: Figure[Decimal] = Figure(D(0))  # interest on a negative balance of the settlement token
    sources: Mapping[str, tuple[FigureSource, ...]] = {}  # by base, of what is by symbol
    alike: Mapping[str, str] = {}  # symbols without figures -> whose figures they are taken to have
    as_of: str = "2025-05-31"

    @property
    def bases(self) -> tuple[str, ...]:
        """The bases whose figures the exchange's table has; none where it is the same for all."""
        return tuple(EXCHANGES.get(self.name, self).perp_lots.by_name)

    @property
    def dates(self) -> tuple[int, ...]:
        """The instants at which one of its figures changes, in order."""
        own = (value for name in self.__struct_fields__ if isinstance(value := getattr(self, name), Figure))
        figures = (*own, *self.haircuts.values())
        return tuple(sorted({date for figure in figures for date in figure.dates}))

    def names(self, symbol: str) -> tuple[str, ...]:
        """What the figures of a symbol are found under: the symbol, its base, and those that it is taken to be like."""
        like = self.alike.get(symbol)
        return (symbol, base_of(symbol)) if like is None else (symbol, base_of(symbol), like, base_of(like))

    def has(self, symbol: str) -> bool:
        """Whether a perp of that symbol has figures, its own or those of another."""
        known = (*self.bases, *self.tiers.by_name)
        return not self.bases or any(name in known for name in self.names(symbol))


def of(number: str | int) -> Figure[Decimal]:
    """A figure for all."""
    return Figure(D(number))


def steps(**numbers: str) -> Figure[Decimal]:
    """Figures by base; elsewhere the finest step that any exchange has."""
    return Figure(FINEST_LOT, {base: of(number) for base, number in numbers.items()})


def withdrawals(**rows: tuple[str, str, int]) -> Figure[Withdrawal]:
    """(fee, minimum, minutes) by token."""
    return Figure(Withdrawal(), {token: Figure(Withdrawal(*(D(number) for number in row))) for token, row in rows.items()})


_ROWS = (
    ExchangeRow(
        name="binance", settle="USDT", spot_taker_fee_bps=of(10), perp_taker_fee_bps=of(5), min_notional=of(5),
        perp_min_notional=smallest_perp_orders("binance", D(20)),
        spot_lots=steps(ETH="0.0001", BTC="0.00001"), perp_lots=steps(ETH="0.001", BTC="0.001"), ticks=steps(ETH="0.01", BTC="0.1"),
        tiers=by_symbol("binance", tiers(("50000", 40), ("600000", 50), ("3000000", 65), ("12000000", 100), ("Infinity", 200))),
        max_leverage=leverage_by_symbol("binance", D(100)), funding_interval_hours=Figure(8), separate_wallets=True,
        fee_tokens={"BNB": D("0.25")},
        sources=SOURCES["binance"],
        public_withdrawals=withdrawals(USDT=("4", "10", 10), USDC=("4", "10", 10), ETH=("0.0012", "0.01", 10)),
    ),
    ExchangeRow(
        name="bybit", settle="USDT", spot_taker_fee_bps=of(10), perp_taker_fee_bps=of("5.5"), min_notional=of(5), perp_min_notional=of(5),
        spot_lots=steps(ETH="0.00001", BTC="0.000001"), perp_lots=steps(ETH="0.01", BTC="0.001"), ticks=steps(ETH="0.01", BTC="0.1"),
        tiers=tiers(("2000000", 50), ("10000000", 100), ("Infinity", 200)), max_leverage=of(100),
        funding_interval_hours=Figure(8), separate_wallets=False,
        public_withdrawals=withdrawals(USDT=("5", "10", 10), USDC=("5", "10", 10), ETH=("0.0012", "0.01", 10)),
    ),
    ExchangeRow(
        name="okx", settle="USDT", spot_taker_fee_bps=of(10), perp_taker_fee_bps=of(5), min_notional=of(1), perp_min_notional=of(1),
        spot_lots=steps(ETH="0.000001", BTC="0.00000001"), perp_lots=steps(ETH="0.001", BTC="0.0001"), ticks=steps(ETH="0.01", BTC="0.1"),
        tiers=tiers(("1000000", 40), ("5000000", 65), ("Infinity", 150)), max_leverage=of(100),
        funding_interval_hours=Figure(8), separate_wallets=False,
        public_withdrawals=withdrawals(USDT=("3", "10", 10), USDC=("3", "10", 10), ETH=("0.001", "0.01", 10)),
    ),
    ExchangeRow(
        name="hyperliquid", settle="USDC", spot_taker_fee_bps=of(7), perp_taker_fee_bps=of("4.5"),
        min_notional=of(10), perp_min_notional=of(10),
        spot_lots=steps(ETH="0.0001", BTC="0.00001"), perp_lots=steps(ETH="0.0001", BTC="0.00001"), ticks=steps(ETH="0.1", BTC="1"),
        tiers=by_symbol("hyperliquid", tiers(("Infinity", 200))), max_leverage=leverage_by_symbol("hyperliquid", D(25)),
        funding_interval_hours=Figure(1), funding_price="index", separate_wallets=True, sources=SOURCES["hyperliquid"],
        public_withdrawals=withdrawals(USDC=("1", "2", 5)),
    ),
)  # fmt: skip

# What an account has whose settings leave it out.
EXCHANGES = {row.name: structs.replace(row, withdrawals=row.public_withdrawals, impact=Impact()) for row in _ROWS}
# The figures of an exchange that a config may give in the same form.
PUBLISHED = ("spot_taker_fee_bps", "perp_taker_fee_bps", "slippage_bps", "max_leverage", "funding_interval_hours")


def quote_tokens() -> list[str]:
    """What a symbol ends in at one exchange or another, the longest first; `USD` is what people write of either dollar."""
    found = {"USD", *(quote for row in EXCHANGES.values() for quote in (row.settle, *row.quotes))}
    return sorted(found, key=lambda quote: (-len(quote), quote))


class Settings(VenueSettings, frozen=True, kw_only=True):
    """An account's own figures; one that is left out is the exchange's."""

    exchange: Annotated[VenueName | None, "which exchange it is at, where the name does not begin with it"] = None
    spot_taker_fee_bps: Annotated[BySymbol[FeeBps] | None, "of the notional"] = None
    perp_taker_fee_bps: Annotated[BySymbol[FeeBps] | None, "of the notional"] = None
    slippage_bps: Annotated[Figure[Bps] | None, "how much worse than the price an order fills"] = None
    impact: Annotated[
        Impact | None, "what an order's size does to its price; left out: sqrt where the bars have volume, none with a slippage_bps written"
    ] = None
    min_notional: Annotated[BySymbol[Amount] | None, "smallest order, in quote"] = None
    lot: Annotated[Steps | None, "step of an order's amount, in base"] = None
    tick: Annotated[Steps | None, "step of a limit price, in quote"] = None
    maintenance_margin_bps: Annotated[BySymbol[TierBps] | None, "of the perp notional; under it the position is liquidated"] = None
    tiers: Annotated[
        Mapping[Annotated[str, SYMBOL], Figure[tuple[MarginTier, ...]]] | None,
        Mark.QUIET,
        "by symbol: margin tiers in place of the published ones",
    ] = None
    max_leverage: Annotated[BySymbol[Leverage] | None, "highest leverage of a perp position"] = None
    funding_interval_hours: Annotated[BySymbol[Annotated[int, whole(at_least=1, at_most=24)]] | None, "hours between two fundings"] = None
    margin: Annotated[
        Literal["split", "unified"],
        Mark.QUIET,
        "backtests: unified: coins with a haircut are margin too, and a liquidation goes in steps and leaves what remains",
    ] = "split"
    haircuts: Annotated[
        dict[Token, Figure[Haircut]] | None,
        Mark.QUIET,
        "unified: by coin, the share of its worth that is no margin ({ETH: 0.1})",
    ] = None
    negative_balance_apr: Annotated[
        Figure[Annotated[Decimal, number("0.1 is 10 %", at_least=0, at_most=10)]] | None,
        Mark.QUIET,
        "unified: interest a year on a negative balance of the settlement token; left out: none",
    ] = None
    spot_fee_in: Annotated[
        Token | None,
        Mark.QUIET,
        "what a spot fee is taken from: received (what the trade pays out), quote, or a token with a discount (BNB at binance), "
        "where enough of it is held",
    ] = None
    withdrawal: Annotated[
        Literal["default"] | dict[Token, Figure[Withdrawal]] | None,
        "fee, minimum and delay by token; {}: free and at once; left out, or default: the public ones",
    ] = None
    deposit_minutes: Annotated[
        Annotated[Decimal, number(at_least=0, at_most=100_000)] | None, "minutes until a deposit is credited; left out: at once"
    ] = None
    endpoint: Annotated[Url | None, "live: all requests of the venue go there"] = None

    def misfits(self, name: str) -> Iterator[Misfit]:
        """A lot or a tick of a symbol in a quote that the exchange does not have would be read by nobody."""
        row = EXCHANGES[exchange_of(name, self)]
        for key, figure in (("lot", self.lot), ("tick", self.tick)):
            for symbol in figure.by_name if figure is not None else ():
                quote = next((quote for quote in quote_tokens() if symbol.endswith(quote) and symbol != quote), row.settle)
                if quote not in (row.settle, *row.quotes):
                    allowed = f"{symbol.removesuffix(quote)}{row.settle}: {row.name} settles in {row.settle}"
                    yield f"{key}.{symbol}", symbol, allowed
        for symbol, own in (self.tiers or {}).items():
            for rows in own.values():
                yield from _misfits_of_tiers(f"tiers.{symbol}", rows)
        if self.spot_fee_in is not None and self.spot_fee_in not in (fee_tokens := (*FEES_IN, *row.fee_tokens)):
            yield "spot_fee_in", self.spot_fee_in, " | ".join(fee_tokens)
        if self.margin == "unified" and not self.haircuts:
            yield "haircuts", "none", f"at least one coin that is margin, such as {{ETH: 0.1}}: {row.name} has no published haircuts here"
        if self.margin == "split" and (self.haircuts or self.negative_balance_apr is not None):
            yield "margin", "split", "unified, or no haircuts and no negative_balance_apr"
        yield from self._leverage_misfits(row)
        if self.impact is not None:
            yield from _misfits_of_impact(self.impact)

    def _leverage_misfits(self, row: ExchangeRow) -> Iterator[Misfit]:
        """A leverage above what the symbol's first tier lets."""
        if self.max_leverage is None:
            return
        tiers, dates = self._over(row).tiers, (0, *self._over(row).dates)
        for symbol, own in self.max_leverage.by_name.items():
            for found, most in {(own.at(date), tiers.at(date, *row.names(symbol))[0].leverage): None for date in dates}:
                if found > most:
                    yield f"max_leverage.{symbol}", str(found), f"at most {most}, the leverage of its first tier at {row.name}"

    def without_costs(self) -> Settings:
        """Fees, slippage and withdrawals are 0 where nothing else is written."""
        free: dict[str, Any] = dict.fromkeys(("spot_taker_fee_bps", "perp_taker_fee_bps", "slippage_bps"), of(0)) | {"withdrawal": {}}
        return structs.replace(self, **{field: value for field, value in free.items() if getattr(self, field) is None})

    def with_free_withdrawals(self) -> Settings:
        """Withdrawals are free and at once where nothing else is written."""
        return structs.replace(self, withdrawal={}) if self.withdrawal is None else self

    def with_figures(self, name: str) -> Settings:
        """These settings with the exchange's own fees, slippage, leverage and funding interval where none were given."""
        row = self.row(name)
        impact = row.impact if self.impact is None else self.impact  # a slippage that is written alone would mean none
        return structs.replace(self, impact=impact, **{field: getattr(row, field) for field in PUBLISHED if getattr(self, field) is None})

    def row(self, name: str, alike: Mapping[str, str] | None = None) -> ExchangeRow:
        """The row of the account of that name: its exchange's, with these figures in place of the published ones. `alike` has symbols
        without figures, and the symbol whose figures each is taken to have.

        Raises:
            KeyError: no such exchange.
        """
        row = structs.replace(EXCHANGES[exchange_of(name, self)], alike=alike or {})
        return self._over(row)

    def _over(self, row: ExchangeRow) -> ExchangeRow:
        """A row with these figures in place of the published ones."""
        by_symbol = ("spot_taker_fee_bps", "perp_taker_fee_bps", "slippage_bps", "min_notional", "max_leverage", "funding_interval_hours")
        changes: dict[str, Any] = {field: own.over(getattr(row, field)) for field in by_symbol if (own := getattr(self, field)) is not None}
        if self.haircuts:
            changes["haircuts"] = self.haircuts
        if self.negative_balance_apr is not None:
            changes["negative_balance_apr"] = self.negative_balance_apr
        if self.spot_fee_in is not None:
            changes["spot_fee_in"] = self.spot_fee_in
        if self.deposit_minutes is not None:
            changes["deposit_minutes"] = self.deposit_minutes
        changes["impact"] = self.impact or (Impact() if self.slippage_bps is None else NO_IMPACT)
        if self.min_notional is not None:
            changes["perp_min_notional"] = self.min_notional.over(row.perp_min_notional)
        if self.maintenance_margin_bps is not None:
            changes["tiers"] = self.maintenance_margin_bps.map(_one_tier).over(row.tiers)
        if self.tiers:
            own_tiers = {symbol: rows.map(_tiers_of) for symbol, rows in self.tiers.items()}
            changes["tiers"] = Figure((), own_tiers).over(changes.get("tiers", row.tiers))
        if self.lot is not None:
            changes["spot_lots"], changes["perp_lots"] = self.lot.over(row.spot_lots), self.lot.over(row.perp_lots)
        if self.tick is not None:
            changes["ticks"] = self.tick.over(row.ticks)
        if self.withdrawal is None or self.withdrawal == "default":
            changes["withdrawals"] = row.public_withdrawals
        else:
            changes["withdrawals"] = Figure(Withdrawal(), dict(self.withdrawal))
        return structs.replace(row, **changes)


def _misfits_of_impact(impact: Impact) -> Iterator[Misfit]:
    if (impact.model == "depth") != (impact.depth is not None):
        allowed = "a notional above 0 with model: depth" if impact.depth is None else "null with another model than depth"
        yield "impact.depth", "null" if impact.depth is None else str(impact.depth), allowed
    if impact.refuse_share < impact.report_share:
        yield "impact.refuse_share", str(impact.refuse_share), f"at least report_share, {impact.report_share}"


def _one_tier(bps: Decimal) -> tuple[Tier, ...]:
    return (Tier(ANY, bps),)


def _tiers_of(rows: tuple[MarginTier, ...]) -> tuple[Tier, ...]:
    return tuple(Tier(row.up_to or ANY, row.maintenance_bps, row.leverage or ANY) for row in rows)


def _misfits_of_tiers(path: str, rows: tuple[MarginTier, ...]) -> Iterator[Misfit]:
    """Tiers rise in notional and in maintenance, and fall in leverage; the last one is open."""
    if not rows or [row.up_to is None for row in rows] != [False] * (len(rows) - 1) + [True]:
        yield path, f"{len(rows)} tiers", "at least one tier, the last one and no other without up_to"
        return
    for place, (low, high) in enumerate(pairwise(_tiers_of(rows)), 1):
        if high.notional <= low.notional:
            yield f"{path}[{place}].up_to", str(high.notional), f"above {low.notional}, where the tier before it ends"
        if high.maintenance_bps < low.maintenance_bps:
            yield (
                f"{path}[{place}].maintenance_bps",
                str(high.maintenance_bps),
                f"at least {low.maintenance_bps}, what the tier before it asks",
            )
        if ANY > high.leverage > low.leverage:
            yield f"{path}[{place}].leverage", str(high.leverage), f"at most {low.leverage}, what the tier before it lets"


def base_of(symbol: str) -> str:
    """`ETHUSDT` -> `ETH`, in whatever token some exchange quotes it."""
    return market.base_of(symbol, quote_tokens())


def exchange_of(name: str, settings: Settings) -> str:
    """The exchange of a configured account: the one that its settings name, else the one that its name is or begins with."""
    return settings.exchange or exchange_named(name) or name


def exchange_named(name: str) -> str | None:
    """The exchange that a name is, or begins with."""
    return next((found for found in (name, name.partition("_")[0]) if found in EXCHANGES), None)
