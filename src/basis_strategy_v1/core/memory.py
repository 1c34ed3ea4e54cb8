"""What a strategy remembers from one step to the next: a frozen value, stored as JSON text, and equal when it is read again."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.text import one_line

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

ALLOWED = "memory is None, bool, int, str, Decimal, datetime with a time zone, or tuples and frozen msgspec Structs of these"
MOST_LEVELS = 50
DEEPEST_TEXT = 4 * MOST_LEVELS  # a level of a memory is at most four of its text
LARGEST_JSON_INT = 2**63 - 1
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_BRACKETS = re.compile(r"[\[\]{}]")
HINTS: dict[type, str] = {  # of a type, and of what is derived from it
    **{kind: f"use a plain {kind.__name__}" for kind in (int, str, Decimal, datetime, tuple)},
    float: "use a Decimal",
    list: "use a tuple",
    set: "use a tuple",
    frozenset: "use a tuple",
    dict: "use a frozen msgspec Struct, or a tuple of pairs",
}


class _NotFrozen(Exception):
    """Why a value cannot be frozen, and where in the memory it is."""

    def __init__(self, why: str, place: str = "") -> None:
        super().__init__(why)
        self.why, self.place = why, place

    def within(self, place: str) -> _NotFrozen:
        return _NotFrozen(self.why, f"{place}{self.place}")


def require_frozen(memory: Any, kinds: Collection[type[Struct]] | None = None) -> None:
    """Refuse a memory that could change later, or would not be equal after being stored.

    Types are taken exactly: an IntEnum, a NamedTuple or a pandas Timestamp is refused, as it would come back as something else.
    `kinds` are the Structs that `decode_memory` will know; None: any.

    Raises:
        ComponentError: STR-001, with the place in the memory and the type that is not allowed there.
    """
    try:
        _require(memory, kinds, MOST_LEVELS)
    except _NotFrozen as fault:
        raise ComponentError("STR-001", f"{one_line(f'memory{fault.place} {fault.why}')} ({ALLOWED})") from None


def encode_memory(memory: Any) -> str:
    """The memory as JSON text.

    Exact: a Decimal keeps its digits, exponent and sign, an int its size. A datetime keeps its instant and its offset from UTC, but not
    the name of its zone.

    Raises:
        ComponentError: STR-001, as `require_frozen`.
    """
    require_frozen(memory)
    return msgspec.json.encode(_as_json(memory)).decode()


def decode_memory(text: str, kinds: Iterable[type[Struct]]) -> Any:
    """The memory that `encode_memory` made the text of; `kinds` are the Structs that may be in it.

    Raises:
        ComponentError: STR-001, the text is damaged, or holds a Struct that is not among `kinds` or has other fields there.
    """
    try:
        known = kinds_by_name(kinds)
        _require_shallow(text)
        memory = _from_json(msgspec.json.decode(text), known)
    except (msgspec.DecodeError, ValueError, ArithmeticError, RecursionError) as fault:
        message = f"the stored memory cannot be read: {one_line(str(fault))}; it was stored as {shown(text)}"
        raise ComponentError("STR-001", message) from fault
    require_frozen(memory, known.values())
    return memory


def _require_shallow(text: str) -> None:
    """Refuse a text that is nested deeper than any memory: the decoder would go as deep as the process's stack."""
    depth = deepest = 0
    for bracket in _BRACKETS.findall(_STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    if deepest > DEEPEST_TEXT:
        raise ValueError(f"nested {deepest} deep")


def kinds_by_name(kinds: Iterable[type[Struct]]) -> dict[str, type[Struct]]:
    """The Structs of a memory by the names that they are stored under.

    Raises:
        ValueError: two of them have the same name.
    """
    found: dict[str, type[Struct]] = {}
    for kind in kinds:
        if found.setdefault(kind.__name__, kind) is not kind:
            raise ValueError(f"two Structs of its memory are called {kind.__name__}; rename one")
    return found


def _require(value: Any, kinds: Collection[type[Struct]] | None, levels: int) -> None:
    kind = type(value)
    if value is None or kind is bool or kind is int:
        return
    if kind is str:
        _require_text(value)
    elif kind is Decimal:
        if not value.is_finite():
            raise _NotFrozen(f"is {value}; a Decimal must be finite")
    elif kind is datetime:
        _require_instant(value)
    elif levels == 0:
        raise _NotFrozen(f"lies {MOST_LEVELS} levels deep; at most that many are allowed")
    elif kind is tuple:
        _require_items(value, kinds, levels - 1)
    elif issubclass(kind, Struct):
        _require_struct(value, kinds, levels - 1)
    else:
        raise _NotFrozen(_why_not(kind))


def _require_items(items: tuple[Any, ...], kinds: Collection[type[Struct]] | None, levels: int) -> None:
    for place, item in enumerate(items):
        try:
            _require(item, kinds, levels)
        except _NotFrozen as fault:
            raise fault.within(f"[{place}]") from None


def _require_struct(value: Struct, kinds: Collection[type[Struct]] | None, levels: int) -> None:
    kind = type(value)
    if why := _fault_of(kind):
        raise _NotFrozen(why)
    if kinds is not None and kind not in kinds:
        raise _NotFrozen(f"is a {kind.__name__}, which is not known when the memory is read again; define it at the top of the file")
    for name in kind.__struct_fields__:
        try:
            _require(getattr(value, name), kinds, levels)
        except _NotFrozen as fault:
            raise fault.within(f".{name}") from None


@lru_cache(maxsize=256)
def _fault_of(kind: type[Struct]) -> str | None:
    """Why a Struct cannot be stored, whatever it holds."""
    config = kind.__struct_config__
    if not config.frozen:
        return f"is a {kind.__name__}, which is not frozen; write class {kind.__name__}(Struct, frozen=True)"
    if config.dict or not config.eq:
        return f"is a {kind.__name__}, which must be a Struct with eq=True and dict=False"
    return None


def _require_text(text: str) -> None:
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as fault:
        raise _NotFrozen(f"is a str with a lone surrogate at {fault.start}, which cannot be stored") from None


def _require_instant(at: datetime) -> None:
    if at.tzinfo is None or at.utcoffset() is None:
        raise _NotFrozen("is a datetime without a time zone; give it one, such as UTC")
    if datetime.fromisoformat(at.isoformat()) != at:  # an hour that comes twice, or not at all, equals nothing in another zone
        raise _NotFrozen(f"is a datetime that its zone has twice or not at all, {at.isoformat()}; use at.astimezone(UTC)")


def _why_not(kind: type) -> str:
    hint = next((hint for base, hint in HINTS.items() if issubclass(kind, base)), "")
    return f"is a {kind.__name__}, which cannot be frozen{hint and f'; {hint}'}"


def _as_json(value: Any) -> Any:
    """The value as JSON has it: what JSON does not know is an object with its type's name as the only key."""
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    if kind is int:
        return value if abs(value) <= LARGEST_JSON_INT else {"int": hex(value)}
    if kind is Decimal:
        return {"Decimal": str(value)}
    if kind is datetime:
        return {"datetime": value.isoformat()}
    if kind is tuple:
        return [_as_json(item) for item in value]
    return {kind.__name__: {name: _as_json(getattr(value, name)) for name in kind.__struct_fields__}}


def _from_json(value: Any, kinds: dict[str, type[Struct]]) -> Any:
    if type(value) is list:
        return tuple([_from_json(item, kinds) for item in value])
    if type(value) is float:
        raise ValueError(f"a float, {value}")
    if type(value) is not dict:
        return value
    if len(value) != 1:
        raise ValueError(f"an object with {len(value)} keys")
    ((name, content),) = value.items()
    if type(content) is dict:
        return _struct(name, content, kinds)
    if name not in _READERS or type(content) is not str:
        raise ValueError(f"an object with the key {shown(name)}")
    return _READERS[name](content)


_READERS: dict[str, Any] = {"int": lambda text: int(text, 16), "Decimal": Decimal, "datetime": datetime.fromisoformat}


def _struct(name: str, fields: dict[str, Any], kinds: dict[str, type[Struct]]) -> Struct:
    if name not in kinds:
        raise ValueError(f"it holds a {name}, and the strategy has {', '.join(kinds) or 'no Struct'}")
    values = {field: _from_json(content, kinds) for field, content in fields.items()}
    try:
        return kinds[name](**values)
    except Exception as fault:  # other fields than then, or a __post_init__ that refuses them
        raise ValueError(f"{name}: {fault}") from fault
