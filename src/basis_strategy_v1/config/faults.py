"""The faults of a config: each with its path, its value and what is allowed."""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from difflib import get_close_matches
from typing import Any, Final, NamedTuple

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.settings import Mark

_LIKE_A_PRIVATE_KEY = re.compile(r"(0[xX])?[0-9a-fA-F]{64}")
_SECRET_NAME = re.compile(r"(^|_)(api_?key|secret|private_?key|passphrase|password|mnemonic|seed_phrase|keystore)s?($|_)", re.IGNORECASE)
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_./:-]{1,64}")
_SECRETS = "nothing: a secret comes from the environment only, such as BASIS_DEV__BINANCE__API_KEY"
_MOST_BITS_SHOWN = 256

_brief = reprlib.Repr()
_brief.maxstring = _brief.maxother = _brief.maxlong = 80


class UnreadableValue:
    """What a reader returns for a value that it has reported as a fault."""


UNREADABLE: Final = UnreadableValue()


_FOR_PEOPLE = re.compile(r"\s*[$€]?([0-9]{1,3}(?:[,' _][0-9]{3}){1,5}|[0-9]{1,15})(\.[0-9]{1,9})?([kKmM]?)\s*")
_TIMES = {"": 1, "k": 1_000, "m": 1_000_000}


class Fault(NamedTuple):
    """One thing that is wrong; `value` is how it is shown, with secrets left out."""

    path: str
    value: str
    allowed: str

    def line(self) -> str:
        return f"{self.path}: {self.value}; allowed: {self.allowed}"


class ConfigError(ComponentError):
    """A config that cannot be used (CFG-001); `faults` holds all that is wrong with it, one line each in the message."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = list(faults)
        super().__init__("CFG-001", "\n".join(fault.line() for fault in self.faults))

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.faults,))


class Reading:
    """One pass over a config: collects the faults, and knows what the config is for."""

    __slots__ = ("_purposes", "faults", "has_code", "is_live", "needs_run", "nodes_left")

    def __init__(self, *, run: bool = False, live: bool = False, has_code: bool = False) -> None:
        self.faults: list[Fault] = []
        self.has_code = has_code
        self.is_live = live
        self.needs_run = run or live
        self._purposes = {"always", *((Mark.RUN, Mark.LIVE if live else Mark.BACKTEST) if self.needs_run else ())}
        self.nodes_left = 10_000

    def again(self) -> Reading:
        """Another pass for the same purpose."""
        return Reading(run=self.needs_run, live=self.is_live, has_code=self.has_code)

    def needs(self, needed: object) -> bool:
        """Whether a field that is needed always, or for a purpose, must be there."""
        return needed in self._purposes

    def fault(self, path: str, value: object, allowed: str) -> UnreadableValue:
        self.faults.append(Fault(path or "config", shown(value), f"{allowed}{_number_meant(value, allowed)}"))
        return UNREADABLE

    def missing(self, path: str, allowed: str) -> UnreadableValue:
        self.faults.append(Fault(path, "missing", allowed))
        return UNREADABLE

    def unknown(self, path: str, key: object, names: Iterable[str]) -> UnreadableValue:
        """Report a key that nobody reads; its value may be a secret and is not shown."""
        where, known = joined(path, key), list(names)
        if is_secret_name(key):
            self.faults.append(Fault(where, "not shown", _SECRETS))
        else:
            hint = did_you_mean(key, known, ", did you mean")
            self.faults.append(Fault(where, f"unknown key{hint}", ", ".join(known) or "no key at all"))
        return UNREADABLE


def _number_meant(value: object, allowed: str) -> str:
    """The way out of a number with a unit or with marks between its thousands: `100_000`, `100k`, `$100,000`."""
    found = _FOR_PEOPLE.fullmatch(value) if isinstance(value, str) and "number" in allowed else None
    if found is None:
        return ""
    plain = Decimal(re.sub("[^0-9]", "", found[1]) + (found[2] or ""))
    return f"; write {(plain * _TIMES[found[3].lower()]).normalize():f}"


def did_you_mean(value: object, known: Iterable[str], words: str = "; did you mean") -> str:
    """The name that was likely meant, as the end of a message."""
    nearest = get_close_matches(value[:64].lower(), list(known), n=1) if isinstance(value, str) else []
    return f"{words} {nearest[0]}?" if nearest else ""


def is_secret_name(key: object) -> bool:
    return isinstance(key, str) and _SECRET_NAME.search(key[:200]) is not None


def joined(path: str, key: object) -> str:
    """The path one key further down; a key that could break a line or a log is quoted."""
    name = key if isinstance(key, str) and _PLAIN_KEY.fullmatch(key) else shown(key)
    return f"{path}.{name}" if path else name


def shown(value: object) -> str:
    """A value on one short line, as YAML has it; what could hold a secret is only described."""
    if isinstance(value, Mapping):
        return f"a mapping of {len(value)}"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, str) and _LIKE_A_PRIVATE_KEY.fullmatch(value.strip()):
        return "a hexadecimal number of 64 digits, not shown"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Decimal):
        text = str(value)
        return text if len(text) <= _brief.maxother else f"{text[: _brief.maxother]}..."
    if isinstance(value, int) and value.bit_length() > _MOST_BITS_SHOWN:
        return f"a whole number of {value.bit_length()} bits"
    return _brief.repr(value).replace("\n", " ")
