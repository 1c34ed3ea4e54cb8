"""What a setting may be: the kinds of single values of which the venues' Settings, the strategies' Parameters and the config are made.

A field is annotated with its type and, as text, with what it means: `fee: Annotated[Bps | None, "of the notional"] = None`. What may be
None need not be written, and None then says that it was not; where null is a value of its own, the type is `OrNull`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, auto
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple, Self, TypeVar
from urllib.parse import urlsplit

from msgspec import Struct

from basis_strategy_v1.core.amounts import LARGEST, SMALLEST, exact_number
from basis_strategy_v1.core.clock import from_instant, iso, to_instant

T = TypeVar("T")
Misfit = tuple[str, object, str]  # path within the settings, value, what is allowed
MAINNET: Final = "ethereum"

_NUMBER = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?"
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_INSTANT = rf"{_DATE}([Tt ][0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}(\.[0-9]{{1,6}})?)?([Zz]|[+-][0-9]{{2}}:[0-9]{{2}}))?"
_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1), "s": timedelta(seconds=1)}
_LONG = 10**7


def _same(value: Any) -> Any:
    return value


class Scalar(Struct, frozen=True, eq=False):
    """A kind of single value. `parse` gives what was meant, None for what is none of the kind; `plain` is its inverse."""

    allowed: str  # in words
    parse: Callable[[object], Any]
    schema: Mapping[str, Any]  # JSON schema
    plain: Callable[[Any], Any] = _same
    words: tuple[str, ...] = ()  # one of which was meant
    is_hidden: Callable[[object], bool] = lambda value: False  # whether a secret may stand in what was written


class Mark(Enum):
    """`NULL`: null is a value. `QUIET`: left out of the effective config while it has its default, so that a config from before the field
    keeps its hash. `ORDERED`: a mapping whose order has a meaning. The others: for what a field must be written."""

    NULL = auto()
    QUIET = auto()
    ORDERED = auto()
    RUN = auto()
    BACKTEST = auto()
    LIVE = auto()


class ByName(NamedTuple):
    """A Figure that may be written as a mapping from such names."""

    name: Scalar


class Dated(NamedTuple):
    """A Figure that may be written as a list of {from: date, KEY: value}."""

    key: str


class VenueOf(NamedTuple):
    """The name of a venue under `venues.<section>`: one that has all actions of `offers` and none of `lacks`."""

    section: str
    offers: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()


class _End(NamedTuple):
    keyword: str
    holds: Callable[[Decimal, int], bool]


_ENDS = {
    "above": _End("exclusiveMinimum", operator.gt),
    "at_least": _End("minimum", operator.ge),
    "below": _End("exclusiveMaximum", operator.lt),
    "at_most": _End("maximum", operator.le),
}

# Numbers: int, float, Decimal or decimal text, exact.


def exact(value: object) -> Decimal | None:
    """The number as it was written, or None for what is not a finite number of a usable size."""
    try:
        number = exact_number(value)
    except ValueError:
        return None
    return number if not number or SMALLEST <= abs(number) <= LARGEST else None


def plain_number(number: Decimal) -> int | float | str:
    """An int where it is whole, a float where that keeps every digit, else text."""
    if number == int(number):
        return int(number)
    short = float(number)
    return short if Decimal(repr(short)) == number else format(number, "f")


def number(example: str = "", /, **ends: int) -> Scalar:
    """A number between two ends, each open (`above`, `below`) or closed (`at_least`, `at_most`); the example shows whether it is a
    fraction, a percentage or bps."""

    def parse(value: object) -> Decimal | None:
        found = exact(value)
        return found if found is not None and all(_ENDS[end].holds(found, limit) for end, limit in ends.items()) else None

    words = " and ".join(f"{end.replace('_', ' ')} {_short(limit)}" for end, limit in ends.items())
    if ends.keys() == {"at_least", "at_most"}:
        words = f"from {_short(ends['at_least'])} to {_short(ends['at_most'])}"
    schema = {"type": "number", **{_ENDS[end].keyword: limit for end, limit in ends.items()}}
    text = {"type": "string", "pattern": f"^{_NUMBER}$"}
    return Scalar(f"a number {words}{example and f' ({example})'}", parse, {"anyOf": [schema, text]}, plain_number)


def whole(**ends: int) -> Scalar:
    """An int; text is none."""
    within = number(**ends)

    def parse(value: object) -> int | None:
        found = None if isinstance(value, str) else within.parse(value)
        return int(found) if found is not None and found == int(found) else None

    return Scalar(f"a whole {within.allowed[2:]}", parse, {**within.schema["anyOf"][0], "type": "integer"})


def seconds(**ends: int) -> Scalar:
    """A float: it goes to timers, not into money."""
    within = number(**ends)

    def parse(value: object) -> float | None:
        found = within.parse(value)
        return None if found is None else float(found)

    allowed = within.allowed.replace("number", "number of seconds", 1)
    return Scalar(allowed, parse, within.schema, lambda span: plain_number(Decimal(repr(span))))


def _short(number: int) -> str:
    return str(number) if number < _LONG else f"{number:.0e}".replace("+", "")


# Texts.


def text(pattern: str, allowed: str) -> Scalar:
    """A text in a form; `allowed` says in words what the pattern admits."""

    def parse(value: object) -> str | None:
        return value if isinstance(value, str) and re.fullmatch(pattern, value) else None

    return Scalar(allowed, parse, {"type": "string", "pattern": rf"^(?:{pattern})$"})


def path(allowed: str) -> Scalar:
    """The path of a file or a folder."""
    form = text(r"[^\x00-\x1f]{1,1000}", allowed)

    def parse(value: object) -> Path | None:
        return Path(str(value)) if form.parse(value) is not None else None

    return Scalar(allowed, parse, form.schema, str)


def choice(*words: str) -> Scalar:
    """One of a few words. Where these are numbers, they may be written as numbers too."""
    numbers = {Decimal(word): word for word in words if word[:1].isdigit()}
    allowed = " | ".join(f'"{word}"' if numbers else word for word in words)

    def parse(value: object) -> str | None:
        if numbers:
            return numbers.get(found) if (found := exact(value)) is not None else None
        return value if isinstance(value, str) and value in words else None

    return Scalar(allowed, parse, {"enum": [*words, *map(float, numbers)]}, words=words)


def _address(value: object) -> str | None:
    """The address, if its capital letters are its checksum (EIP-55), as far as can be computed: that takes the live extra."""
    if not isinstance(value, str) or not re.fullmatch("0x[0-9a-fA-F]{40}", value):
        return None
    if value[2:] in (value[2:].lower(), value[2:].upper()):
        return value
    try:
        from eth_utils.address import is_checksum_address
    except ImportError:
        return value
    return value if is_checksum_address(value) else None


def _url(value: object) -> str | None:
    try:
        parts = urlsplit(value) if isinstance(value, str) and not set("@?#\\ ") & set(value) and value.isprintable() else None
        is_one = parts is not None and parts.hostname is not None and parts.scheme in {"http", "https"} and parts.port is not NotImplemented
    except ValueError:  # a port that is none
        return None
    return str(value) if is_one else None


# Times.


def instant(value: object) -> datetime | None:
    """The UTC datetime that `value` names without doubt, or None."""
    try:
        if isinstance(value, datetime):
            return from_instant(to_instant(value))
        if isinstance(value, date):
            return datetime(value.year, value.month, value.day, tzinfo=UTC)
        if not isinstance(value, str) or not re.fullmatch(_INSTANT, value):
            return None
        return from_instant(to_instant(datetime.fromisoformat(f"{value}T00:00:00Z" if re.fullmatch(_DATE, value) else value.upper())))
    except (ValueError, OverflowError):
        return None


def _duration(value: object) -> timedelta | None:
    if isinstance(value, timedelta):
        return value if not value % _UNITS["s"] else None
    match = re.fullmatch("([0-9]{1,6})([smhd])", value) if isinstance(value, str) else None
    return int(match[1]) * _UNITS[match[2]] if match else None


def duration(shortest: str, longest: str) -> Scalar:
    """A timedelta, written with its unit: `90s`, `15m`, `1h`, `2d`."""
    least, most = _duration(shortest), _duration(longest)

    def parse(value: object) -> timedelta | None:
        found = _duration(value)
        return found if found is not None and least is not None and most is not None and least <= found <= most else None

    def plain(span: timedelta) -> str:
        return next(f"{span // unit}{letter}" for letter, unit in _UNITS.items() if not span % unit)

    allowed = f"a duration from {shortest} to {longest}, a whole number with s, m, h or d (1h)"
    return Scalar(allowed, parse, {"type": "string", "pattern": "^[0-9]{1,6}[smhd]$"}, plain)


FLAG: Final = Scalar("true | false", lambda value: value if isinstance(value, bool) else None, {"type": "boolean"})
INSTANT: Final = Scalar(
    "a date (2024-06-01, which is 00:00:00Z) or a time with its zone (2024-06-01T12:00:00Z)",
    instant,
    {"type": "string", "pattern": f"^{_INSTANT}$"},
    iso,
)
ADDRESS: Final = Scalar(
    "an address, 0x and 40 hexadecimal digits, with the right checksum",
    _address,
    {"type": "string", "pattern": "^0x[0-9a-fA-F]{40}$"},
)
URL: Final = Scalar(
    "http(s)://host[:port][/path] without user, password or query",
    _url,
    {"type": "string", "pattern": r"^https?://[^\s/@?#]+(/[^\s@?#]*)?$"},
    is_hidden=lambda value: isinstance(value, str) and ("@" in value or "?" in value),
)

OrNull = Annotated[T | None, Mark.NULL]
Bps = Annotated[Decimal, number("500 is 5 %", at_least=0, at_most=10_000)]
FeeBps = Annotated[Decimal, number(at_least=-100, at_most=10_000)]
RateBps = Annotated[Decimal, number(at_least=0, at_most=100_000)]
Fraction = Annotated[Decimal, number("0.9 is 90 %", above=0, below=1)]
Amount = Annotated[Decimal, number(at_least=0, at_most=10**15)]
AboveZero = Annotated[Decimal, number(above=0, at_most=10**15)]
Decimals = Annotated[int, whole(at_least=0, at_most=36)]
Token = Annotated[str, text(r"[A-Za-z][A-Za-z0-9.]{0,19}", "the name of a token (USDT, WETH)")]
MarketName = Annotated[str, text(r"[A-Za-z0-9][A-Za-z0-9._/:-]{0,99}", "the name or id of a market or pool (wstETH/WETH)")]
VENUE_NAME: Final = "[a-z0-9]+(_[a-z0-9]+)*"
VenueName = Annotated[str, text(VENUE_NAME, "the name of a configured venue")]
Address = Annotated[str, ADDRESS]
Url = Annotated[str, URL]


class VenueSettings(Struct, frozen=True, kw_only=True):
    """The settings of a venue, as its Settings have them."""

    def misfits(self, name: str) -> Iterable[Misfit]:
        """What does not fit together in the settings of the venue of that name."""
        return ()

    def without_costs(self) -> Self:
        """The same settings with 0 for each cost that they leave to the venue's own figure (`costs: none`)."""
        return self

    def as_read(self) -> Self:
        """The same settings for a venue that is read and not simulated: what our own size does is in what is read already."""
        return self


class OnChainSettings(VenueSettings, frozen=True, kw_only=True):
    """Those that every venue on chain has."""

    protocol: Annotated[VenueName | None, "what it is, where it has a name of its own"] = None
    chain: Annotated[str, text(r"[a-z0-9]{1,40}", "the name of a chain"), Mark.QUIET, "where it is; one chain in a run"] = MAINNET


class ProtocolSettings(OnChainSettings, frozen=True, kw_only=True):
    """Those that every protocol has: what it takes and pays is a wallet's."""

    wallet: Annotated[VenueName | None, "the wallet that pays and is paid; left out: wallet, on another chain wallet_CHAIN"] = None
