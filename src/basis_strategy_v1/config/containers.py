"""Kinds of values that hold others: records, lists, mappings, alternatives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from basis_strategy_v1.config.faults import UNREADABLE, ConfigError, Reading, Unreadable, is_secret_name, joined
from basis_strategy_v1.config.scalars import Choice, Kind

ABSENT: Final = UNREADABLE  # the default of a field that is simply not there when nobody wrote it


class Field(Struct, frozen=True):
    """A row of a table: what a key means, what it may hold, and what holds when it is left out.

    `needed` is `always`, `run` or `live` where it must be written; `is_path` keeps it out of the canonical config.
    """

    name: str
    kind: Kind
    about: str
    default: Any = ABSENT
    needed: str = ""
    is_path: bool = False


class Record:
    """A mapping with known keys, read as a dict with the defaults filled in, in the order of the table."""

    def __init__(self, *fields: Field) -> None:
        self.fields = fields
        self.by_name = {field.name: field for field in fields}
        self._defaults = {field.name: _read_default(field) for field in fields if field.default is not ABSENT}

    @property
    def allowed(self) -> str:
        return f"a mapping with {', '.join(self.by_name)}" if self.by_name else "an empty mapping"

    def read(self, value: object, path: str, reading: Reading) -> dict[str, Any] | Unreadable:
        if not isinstance(value, Mapping):
            return reading.fault(path, value, self.allowed)
        for key in value:
            if key not in self.by_name:
                reading.unknown(path, key, self.by_name)
        found: dict[str, Any] = {}
        for field in self.fields:
            self._read_field(field, value, path, reading, found)
        return found

    def _read_field(self, field: Field, value: Mapping[Any, Any], path: str, reading: Reading, found: dict[str, Any]) -> None:
        name = field.name
        where = f"{path}.{name}" if path else name
        if name in value:
            item = field.kind.read(value[name], where, reading)
            if item is not UNREADABLE:
                found[name] = item
        elif reading.needs(field.needed):
            reading.missing(where, field.kind.allowed)
        elif name in self._defaults:
            found[name] = self._defaults[name]

    def plain(self, value: Mapping[str, Any]) -> dict[str, Any]:
        return {field.name: field.kind.plain(value[field.name]) for field in self.fields if field.name in value}

    def schema(self) -> dict[str, Any]:
        properties = {field.name: {"description": field.about, **field.kind.schema()} for field in self.fields}
        needed = [field.name for field in self.fields if field.needed in {"always", "run"}]
        return {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}


def _read_default(field: Field) -> Any:
    reading = Reading()
    value = field.kind.read(field.default, field.name, reading)
    if reading.faults:
        raise ConfigError(reading.faults)
    return value


class Nullable(Struct, frozen=True):
    """A value, or null."""

    kind: Kind

    @property
    def allowed(self) -> str:
        return f"{self.kind.allowed}, or null"

    def read(self, value: object, path: str, reading: Reading) -> Any:
        return None if value is None else self.kind.read(value, path, reading)

    def plain(self, value: Any) -> Any:
        return None if value is None else self.kind.plain(value)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [{"type": "null"}, self.kind.schema()]}


class Either(Struct, frozen=True):
    """A value of one kind or of the other: a word or a number, a number for all or a mapping with one for each name."""

    one: Kind
    other: Kind

    @property
    def allowed(self) -> str:
        return f"{self.one.allowed}, or {self.other.allowed}"

    def read(self, value: object, path: str, reading: Reading) -> Any:
        if isinstance(value, Mapping):
            return self.other.read(value, path, reading)
        for kind in (self.one, self.other):
            aside = Reading()
            item = kind.read(value, path, aside)
            if not aside.faults:
                return item
        return reading.fault(path, value, self.allowed)

    def plain(self, value: Any) -> Any:
        is_word = isinstance(self.one, Choice) and isinstance(value, str)
        is_one = is_word or not (isinstance(self.one, Choice) or isinstance(value, Mapping))
        return (self.one if is_one else self.other).plain(value)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.one.schema(), self.other.schema()]}


class ListOf(Struct, frozen=True):
    """A list of values of one kind, each once; read as a tuple."""

    kind: Kind

    @property
    def allowed(self) -> str:
        return f"a list, each {self.kind.allowed}, none twice"

    def read(self, value: object, path: str, reading: Reading) -> Any:
        if not isinstance(value, list | tuple):
            return reading.fault(path, value, self.allowed)
        items = tuple(self.kind.read(item, f"{path}[{index}]", reading) for index, item in enumerate(value))
        seen: list[Any] = []
        for index, item in enumerate(items):
            if item in seen and item is not UNREADABLE:
                reading.fault(f"{path}[{index}]", item, "each item once")
            seen.append(item)
        return items

    def plain(self, value: tuple[Any, ...]) -> list[Any]:
        return [self.kind.plain(item) for item in value]

    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": self.kind.schema(), "uniqueItems": True}


class MapOf(Struct, frozen=True):
    """A mapping from names of one kind to values of another; written in the order of its names."""

    key: Kind
    value: Kind

    @property
    def allowed(self) -> str:
        return f"a mapping from {self.key.allowed} to {self.value.allowed}"

    def read(self, value: object, path: str, reading: Reading) -> dict[str, Any] | Unreadable:
        if not isinstance(value, Mapping):
            return reading.fault(path, value, self.allowed)
        found = {}
        for name, item in value.items():
            where = joined(path, name)
            if isinstance(name, str) and is_secret_name(name):
                reading.unknown(path, name, ())
            elif self.key.read(name, where, reading) is not UNREADABLE:
                found[name] = self.value.read(item, where, reading)
        return found

    def plain(self, value: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self.value.plain(value[name]) for name in sorted(value)}

    def schema(self) -> dict[str, Any]:
        return {"type": "object", "propertyNames": self.key.schema(), "additionalProperties": self.value.schema()}
