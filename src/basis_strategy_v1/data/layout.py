"""The layout of the data: which series there can be, what is in their columns, and when a row becomes visible."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from basis_strategy_v1.core.clock import DAY_US, HOUR_US, MICROSECOND
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.state_rows import CURVE_POOL, MORPHO_MARKET, UNISWAP_POOL

if TYPE_CHECKING:
    from collections.abc import Iterable

# A folder named after a version of a protocol belongs to the protocol's venue.
VENUE_OF_FOLDER = {"aave_v3": "aave", "uniswap_v3": "uniswap"}
_MINUTE_US = HOUR_US // 60
INTERVALS_US = {
    **{f"{minutes}m": minutes * _MINUTE_US for minutes in (1, 3, 5, 15, 30)},
    **{f"{hours}h": hours * HOUR_US for hours in (1, 2, 4, 6, 8, 12)},
    "1d": DAY_US,
}
FOLDERS = ("ohlcv", "funding", "lending", "staking", "dex", "gas", "queue", "events")
NO_INTERVAL = 0

ANY, NOT_NEGATIVE, POSITIVE = "a number", "a number of 0 or more", "a number above 0"
# Kept as text: what a contract holds does not fit in eight bytes.
WHOLE, WORDS = "a whole number", "names, numbers or tick:amount pairs, joined by ;"
TRADED = ("spot", "perp")
BARS = (*TRADED, "mark", "index")
POOL, MARKET = "pool", "market"
STATES = (POOL, MARKET)
EVENTS = "events"


class Column(NamedTuple):
    name: str
    allowed: str
    kept: bool = True

    @property
    def is_text(self) -> bool:
        return self.allowed in (WHOLE, WORDS)


class Key(NamedTuple):
    """What a reader asks for. `kind` is spot, perp, mark, index, funding, lending, staking, dex, gas, queue, events, pool or market."""

    kind: str
    venue: str
    name: str


class SeriesSpec(NamedTuple):
    """One series: its id is its path in the folder without `.csv`.

    A row becomes visible `interval_us` after its stamp; 0 is at the stamp itself.
    """

    id: str
    key: Key
    interval_us: int
    columns: tuple[Column, ...]

    @property
    def has_bars(self) -> bool:
        """Whether a row is an open, a high, a low, a close and a volume."""
        return self.key.kind in BARS

    @property
    def may_repeat(self) -> bool:
        """Whether several rows may have one stamp: what happens to several symbols at once."""
        return self.key.kind == EVENTS

    @property
    def is_traded(self) -> bool:
        """Whether a bar without volume is one in which nobody traded."""
        return self.key.kind in TRADED

    @property
    def header(self) -> str:
        return ",".join(("timestamp", *(column.name for column in self.columns)))


_BARS = (
    Column("open", POSITIVE, kept=False),
    Column("high", POSITIVE),
    Column("low", POSITIVE),
    Column("close", POSITIVE),
    Column("volume", NOT_NEGATIVE),
)
_BLOCK = Column("block", NOT_NEGATIVE, kept=False)
_LENDING = (
    _BLOCK,
    Column("liquidity_index", POSITIVE),
    Column("liquidity_rate", NOT_NEGATIVE),
    Column("variable_borrow_index", POSITIVE),
    Column("variable_borrow_rate", NOT_NEGATIVE),
    Column("total_supplied", NOT_NEGATIVE),
    Column("total_borrowed", NOT_NEGATIVE),
    Column("oracle_price_usd", POSITIVE),
)
_GAS = (_BLOCK, Column("base_fee_gwei", NOT_NEGATIVE), Column("priority_fee_gwei", NOT_NEGATIVE))
_ETH_PER_TOKEN = (Column("eth_per_token", POSITIVE),)

_EVENT = tuple(Column(name, WORDS) for name in ("kind", "symbol", "share", "price", "to", "until"))
_WORDS = ("token0", "token1", "ticks", "coins", "decimals", "kind", "balances", "rates")


def _state(names: tuple[str, ...]) -> tuple[Column, ...]:
    return tuple(Column(name, WORDS if name in _WORDS else WHOLE, kept=name != "block") for name in names)


_INTERVAL = "|".join(INTERVALS_US)
_NAME = r"[A-Za-z0-9._\-]+"
_POOL_NAME = r"[A-Za-z0-9_\-]+"
_SHAPES = (
    (rf"ohlcv/(?P<venue>{_NAME})/(?P<kind>{'|'.join(BARS)})/(?P<name>[A-Za-z0-9]+)_(?P<interval>{_INTERVAL})", "", NO_INTERVAL, _BARS),
    (rf"funding/(?P<venue>{_NAME})/(?P<name>[A-Za-z0-9]+)", "funding", NO_INTERVAL, (Column("funding_rate", ANY),)),
    (rf"lending/(?!morpho/)(?P<venue>{_NAME})/(?P<name>[A-Za-z0-9]+)", "lending", NO_INTERVAL, _LENDING),
    (rf"staking/(?P<venue>{_NAME})/(?P<name>[A-Za-z0-9]+)", "staking", NO_INTERVAL, _ETH_PER_TOKEN),
    (rf"dex/(?P<venue>{_NAME})/(?P<name>[A-Za-z0-9]+_[A-Za-z0-9]+)", "dex", HOUR_US, _ETH_PER_TOKEN),
    (r"gas/(?P<name>[A-Za-z0-9_\-]+)", "gas", NO_INTERVAL, _GAS),
    (r"queue/(?P<name>[A-Za-z0-9_\-]+)", "queue", NO_INTERVAL, (Column("days", NOT_NEGATIVE),)),
    (rf"{EVENTS}/(?P<name>{_NAME})", EVENTS, NO_INTERVAL, _EVENT),
    (rf"dex/(?P<venue>uniswap|uniswap_v3)/(?P<name>{_POOL_NAME})\.state", POOL, NO_INTERVAL, _state(UNISWAP_POOL)),
    (rf"dex/(?P<venue>curve)/(?P<name>{_POOL_NAME})\.state", POOL, NO_INTERVAL, _state(CURVE_POOL)),
    (rf"lending/(?P<venue>morpho)/(?P<name>{_POOL_NAME}_{_POOL_NAME})", MARKET, NO_INTERVAL, _state(MORPHO_MARKET)),
)
SHAPES = tuple((re.compile(pattern), kind, delay, columns) for pattern, kind, delay, columns in _SHAPES)


def spec_of(series_id: str) -> SeriesSpec | None:
    """The series of an id such as `ohlcv/bybit/perp/ETHUSDT_1h`; None where the layout has no such path."""
    for pattern, kind, interval_us, columns in SHAPES:
        if match := pattern.fullmatch(series_id):
            found = match.groupdict()
            folder = found.get("venue", found["name"])
            key = Key(found.get("kind", kind), VENUE_OF_FOLDER.get(folder, folder), found["name"])
            return SeriesSpec(series_id, key, INTERVALS_US.get(found.get("interval", ""), interval_us), columns)
    return None


def by_key(specs: Iterable[SeriesSpec]) -> dict[Key, list[SeriesSpec]]:
    """The series of each key, the finest first.

    Raises:
        ComponentError: DAT-006, two series say the same thing (folders `aave` and `aave_v3` side by side).
    """
    found: dict[Key, list[SeriesSpec]] = {}
    for spec in sorted(specs, key=lambda spec: (spec.interval_us, spec.id)):
        same = found.setdefault(spec.key, [])
        if same and same[-1].interval_us == spec.interval_us:
            raise ComponentError("DAT-006", f"{same[-1].id} and {spec.id} are the same series of {spec.key.venue}; keep one of them")
        same.append(spec)
    return found


_UNIT_US = {"s": 1_000_000, "m": HOUR_US // 60, "h": HOUR_US, "d": DAY_US}


def duration_us(value: object) -> int:
    """Microseconds of `36h`, `30d`, `90m`, `15s` or of a timedelta.

    Raises:
        ComponentError: CFG-001, it is something else or not above 0.
    """
    found, expected = 0, "a number above 0 and s, m, h or d, such as 36h"
    if isinstance(value, timedelta):
        found = value // MICROSECOND
    elif isinstance(value, str) and (match := re.fullmatch(r"([0-9]{1,6})([smhd])", value)):
        found = int(match[1]) * _UNIT_US[match[2]]
    if found <= 0:
        raise ComponentError("CFG-001", f"data.max_staleness: {value!r} is no duration; write {expected}")
    return found


def interval_name(interval_us: int) -> str:
    """`1d`, as in the names of files; another duration as `render_duration` has it."""
    return next((name for name, us in INTERVALS_US.items() if us == interval_us), render_duration(interval_us))


def render_duration(microseconds: int) -> str:
    """`36h`: the largest unit that divides it, seconds otherwise."""
    for unit in ("d", "h", "m"):
        if microseconds % _UNIT_US[unit] == 0 and not (unit == "d" and microseconds < 3 * DAY_US):
            return f"{microseconds // _UNIT_US[unit]}{unit}"
    return f"{microseconds / 1_000_000:g}s"
