"""Kinds of single values: how each is read, written plainly, described in words and in JSON schema."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol
from urllib.parse import urlsplit

from msgspec import Struct

from basis_strategy_v1.config.faults import Reading, Unreadable, did_you_mean
from basis_strategy_v1.core.amounts import LARGEST, SMALLEST, exact_number
from basis_strategy_v1.core.clock import from_instant, iso, to_instant

NUMBER_TEXT = r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?"

_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = r"[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
INSTANT_TEXT = rf"{_DATE}({_TIME}([Zz]|[+-][0-9]{{2}}:[0-9]{{2}}))?"
_INSTANT = re.compile(INSTANT_TEXT)
_LONG = 10**7
_DATE_ONLY = re.compile(_DATE)

_DURATION = re.compile(r"([0-9]{1,6})([smhd])")
_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1), "s": timedelta(seconds=1)}


class Kind(Protocol):
    """A kind of value that may stand in a config."""

    @property
    def allowed(self) -> str: ...
    def read(self, value: object, path: str, reading: Reading) -> Any: ...
    def plain(self, value: Any) -> Any: ...
    def schema(self) -> dict[str, Any]: ...


class Bounds(Struct, frozen=True):
    """A range of numbers; each end is open (`above`, `below`) or closed (`at_least`, `at_most`)."""

    above: int | None = None
    at_least: int | None = None
    below: int | None = None
    at_most: int | None = None

    def hold(self, number: Decimal) -> bool:
        return (
            (self.above is None or number > self.above)
            and (self.at_least is None or number >= self.at_least)
            and (self.below is None or number < self.below)
            and (self.at_most is None or number <= self.at_most)
        )

    def words(self) -> str:
        if self.at_least is not None and self.at_most is not None:
            return f"from {_short(self.at_least)} to {_short(self.at_most)}"
        ends = (("above", self.above), ("at least", self.at_least), ("below", self.below), ("at most", self.at_most))
        return " and ".join(f"{word} {_short(end)}" for word, end in ends if end is not None)

    def schema(self) -> dict[str, int]:
        ends = {"exclusiveMinimum": self.above, "minimum": self.at_least, "exclusiveMaximum": self.below, "maximum": self.at_most}
        return {name: end for name, end in ends.items() if end is not None}


class Number(Struct, frozen=True):
    """An exact number: int, float, Decimal or decimal text; read as a Decimal. `example` tells a fraction, a percentage and bps apart."""

    bounds: Bounds
    example: str = ""

    @property
    def allowed(self) -> str:
        return f"a number {self.bounds.words()}{self.example and f' ({self.example})'}"

    def read(self, value: object, path: str, reading: Reading) -> Decimal | Unreadable:
        number = exact(value)
        if number is None or not self.bounds.hold(number):
            return reading.fault(path, value, self.allowed)
        return number

    def plain(self, value: Decimal) -> int | float | str:
        return plain_number(value)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [{"type": "number", **self.bounds.schema()}, {"type": "string", "pattern": f"^{NUMBER_TEXT}$"}]}


class Whole(Struct, frozen=True):
    """A whole number, read as an int."""

    bounds: Bounds

    @property
    def allowed(self) -> str:
        return f"a whole number {self.bounds.words()}"

    def read(self, value: object, path: str, reading: Reading) -> int | Unreadable:
        number = None if isinstance(value, str) else exact(value)
        if number is None or number != int(number) or not self.bounds.hold(number):
            return reading.fault(path, value, self.allowed)
        return int(number)

    def plain(self, value: int) -> int:
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "integer", **self.bounds.schema()}


class Seconds(Struct, frozen=True):
    """A span of seconds, read as a float: it goes to timers, not into money."""

    bounds: Bounds

    @property
    def allowed(self) -> str:
        return f"a number of seconds {self.bounds.words()}"

    def read(self, value: object, path: str, reading: Reading) -> float | Unreadable:
        number = exact(value)
        if number is None or not self.bounds.hold(number):
            return reading.fault(path, value, self.allowed)
        return float(number)

    def plain(self, value: float) -> int | float | str:
        return plain_number(Decimal(repr(value)))

    def schema(self) -> dict[str, Any]:
        return Number(self.bounds).schema()


class Choice(Struct, frozen=True):
    """One of a few words."""

    words: tuple[str, ...]

    @property
    def allowed(self) -> str:
        return " | ".join(self.words)

    def read(self, value: object, path: str, reading: Reading) -> str | Unreadable:
        if isinstance(value, str) and value in self.words:
            return value
        return reading.fault(path, value, self.allowed + did_you_mean(value, self.words))

    def plain(self, value: str) -> str:
        return value

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.words)}


class Text(Struct, frozen=True):
    """Text in a fixed form; `what` says in words what the pattern admits."""

    pattern: str
    what: str

    @property
    def allowed(self) -> str:
        return self.what

    def read(self, value: object, path: str, reading: Reading) -> str | Unreadable:
        fits = isinstance(value, str) and re.fullmatch(self.pattern, value)
        return value if fits and isinstance(value, str) else reading.fault(path, value, self.allowed)

    def plain(self, value: str) -> str:
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": rf"^(?:{self.pattern})$"}


class Flag(Struct, frozen=True):
    """true or false."""

    @property
    def allowed(self) -> str:
        return "true | false"

    def read(self, value: object, path: str, reading: Reading) -> bool | Unreadable:
        return value if isinstance(value, bool) else reading.fault(path, value, self.allowed)

    def plain(self, value: bool) -> bool:
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


class Instant(Struct, frozen=True):
    """An instant in UTC; a date stands for its first moment."""

    @property
    def allowed(self) -> str:
        return "a date (2024-06-01, which is 00:00:00Z) or a time with its zone (2024-06-01T12:00:00Z)"

    def read(self, value: object, path: str, reading: Reading) -> datetime | Unreadable:
        moment = instant(value)
        return reading.fault(path, value, self.allowed) if moment is None else moment

    def plain(self, value: datetime) -> str:
        return iso(value)

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{INSTANT_TEXT}$"}


class Duration(Struct, frozen=True):
    """A span of time with its unit, `90s`, `15m`, `1h`, `2d`; read as a timedelta."""

    shortest: str
    longest: str

    @property
    def allowed(self) -> str:
        return f"a duration from {self.shortest} to {self.longest}, a whole number with s, m, h or d (1h)"

    def read(self, value: object, path: str, reading: Reading) -> timedelta | Unreadable:
        span = duration(value)
        if span is None or not _span(self.shortest) <= span <= _span(self.longest):
            return reading.fault(path, value, self.allowed)
        return span

    def plain(self, value: timedelta) -> str:
        return next(f"{value // unit}{letter}" for letter, unit in _UNITS.items() if not value % unit)

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": "^[0-9]{1,6}[smhd]$"}


class Url(Struct, frozen=True):
    """The address of a server, without a user, a password or a query in which a secret could stand."""

    @property
    def allowed(self) -> str:
        return "http(s)://host[:port][/path] without user, password or query"

    def read(self, value: object, path: str, reading: Reading) -> str | Unreadable:
        if isinstance(value, str) and _is_bare_url(value):
            return value
        hidden = isinstance(value, str) and ("@" in value or "?" in value)
        return reading.fault(path, "not shown" if hidden else value, self.allowed)

    def plain(self, value: str) -> str:
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^https?://[^\s/@?#]+(/[^\s@?#]*)?$"}


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


def instant(value: object) -> datetime | None:
    """The UTC datetime that `value` names without doubt, or None."""
    try:
        if isinstance(value, datetime):
            return from_instant(to_instant(value))
        if isinstance(value, date):
            return datetime(value.year, value.month, value.day, tzinfo=UTC)
        return _instant_of_text(value) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None


def _instant_of_text(text: str) -> datetime | None:
    if not _INSTANT.fullmatch(text):
        return None
    whole = f"{text}T00:00:00Z" if _DATE_ONLY.fullmatch(text) else text.upper()
    return from_instant(to_instant(datetime.fromisoformat(whole)))


def duration(value: object) -> timedelta | None:
    if isinstance(value, timedelta):
        return value if not value % _UNITS["s"] else None
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    return int(match[1]) * _UNITS[match[2]] if match else None


def _short(number: int) -> str:
    return str(number) if number < _LONG else f"{number:.0e}".replace("+", "")


def _span(text: str) -> timedelta:
    return int(text[:-1]) * _UNITS[text[-1]]


def _is_bare_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises ValueError for a port that is none
    except ValueError:
        return False
    bare = parts.hostname is not None and not set("@?#\\") & set(text) and text.isprintable() and " " not in text
    return bare and parts.scheme in {"http", "https"}
