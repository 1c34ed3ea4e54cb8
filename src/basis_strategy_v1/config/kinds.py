"""The kinds of values that a config takes, made from a type and its annotations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache
from itertools import pairwise
from math import isfinite
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

from msgspec import NODEFAULT, Struct, structs

from basis_strategy_v1.config.faults import UNREADABLE, Reading, did_you_mean, is_secret_name, joined
from basis_strategy_v1.core.clock import from_instant, to_instant
from basis_strategy_v1.core.figure import Figure
from basis_strategy_v1.core.settings import FLAG, INSTANT, VENUE_NAME, ByName, Dated, Mark, Scalar, VenueOf, choice, text
from basis_strategy_v1.venues.registry import known_names, offering

Read = Callable[[object, str, Reading], Any]
VALUE = "value"  # under which a list of figures by date has each of them
_DEEPEST = 16
_FREE = f"a mapping of texts, finite numbers, true, false, null, lists and mappings, at most {_DEEPEST} deep"


def _same(value: Any) -> Any:
    return value


def is_mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def _is_list(value: object) -> bool:
    return isinstance(value, list | tuple)


def _is_by_date(value: object) -> bool:
    return isinstance(value, list | tuple) and any(isinstance(item, Mapping) and "from" in item for item in value)


class ValueKind(NamedTuple):
    """`read` gives the typed value or reports a fault, in which `allowed` is what may stand there; `plain` is its inverse.

    A value that `is_meant` (a mapping, a list) to be of this kind has the faults of this kind. `holds` is the record inside, under each
    name where it `has_names`.
    """

    allowed: str
    read: Read
    schema: Callable[[], dict[str, Any]]  # JSON schema
    plain: Callable[[Any], Any] = _same
    is_meant: Callable[[object], bool] = lambda value: False
    holds: Any = None
    has_names: bool = False
    venue: VenueOf | None = None  # that it names


class Row(NamedTuple):
    """A field of a record. `needed` is "always", or for what it must be written."""

    name: str
    attribute: str
    kind: ValueKind
    about: str
    default: Any
    needed: Mark | str | None
    marks: tuple[Any, ...]

    def is_written(self, value: Any) -> bool:
        """Whether the effective config has it."""
        return (value is not None or Mark.NULL in self.marks) and not (Mark.QUIET in self.marks and value == self.default)


class Record:
    """A mapping with known keys, read as a Struct. What could not be read, or is missing, is UNREADABLE in it."""

    def __init__(self, cls: type[Any], rows: tuple[Row, ...]) -> None:
        self.cls = cls
        self.rows = rows
        self.names = [row.name for row in rows]

    def with_row(self, name: str, **changes: Any) -> Record:
        """The record with something else under a name: another kind of value, another default."""
        return Record(self.cls, tuple(row._replace(**changes) if row.name == name else row for row in self.rows))

    def read(self, value: object, path: str, reading: Reading) -> Any:
        if not isinstance(value, Mapping):
            return reading.fault(path, value, _with(self.names))
        for key in value:
            if key not in self.names:
                reading.unknown(path, key, self.names)
        return self.cls(**{row.attribute: self._read(row, value, joined(path, row.name), reading) for row in self.rows})

    def _read(self, row: Row, value: Mapping[Any, Any], path: str, reading: Reading) -> Any:
        if row.name in value:
            return row.kind.read(value[row.name], path, reading)
        return reading.missing(path, row.kind.allowed) if reading.needs(row.needed) else row.default

    def plain(self, value: Any) -> dict[str, Any]:
        found = ((row, getattr(value, row.attribute)) for row in self.rows)
        return {row.name: row.kind.plain(item) for row, item in found if row.is_written(item)}

    def schema(self) -> dict[str, Any]:
        properties = {row.name: {"description": row.about, **row.kind.schema()} for row in self.rows}
        needed = [row.name for row in self.rows if row.needed in ("always", Mark.RUN)]
        return {"type": "object", "properties": properties, "required": needed, "additionalProperties": False}


@cache
def record_of(cls: type[Any]) -> Record:
    """The record that a Struct or a NamedTuple describes."""
    if issubclass(cls, Struct):
        fields = [
            (field.encode_name, field.name, field.type, field.default if field.default_factory is NODEFAULT else field.default_factory())
            for field in structs.fields(cls)
        ]
    else:
        hints = get_type_hints(cls, include_extras=True)
        fields = [(name, name, hint, cls._field_defaults.get(name, NODEFAULT)) for name, hint in hints.items()]
    return Record(cls, tuple(_row(*field) for field in fields))


def _row(name: str, attribute: str, hint: Any, default: Any) -> Row:
    marks = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    needed: Mark | str | None = next((mark for mark in marks if mark in (Mark.RUN, Mark.BACKTEST, Mark.LIVE)), None)
    if default is NODEFAULT:
        needed, default = needed or "always", None
    about = next((mark for mark in marks if isinstance(mark, str)), "")
    return Row(name, attribute, kind_of(hint), about, default, needed, marks)


def kind_of(hint: Any, *marks: Any) -> ValueKind:
    """The kind of value that a type hint describes."""
    origin, of = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return kind_of(of[0], *marks, *of[1:])
    for mark in marks:
        if isinstance(mark, ValueKind):
            return mark
    if origin in (Union, UnionType):
        kinds = [kind_of(arg, *marks) for arg in of if arg is not NoneType]
        kind = kinds[0] if len(kinds) == 1 else _either(*kinds)
        return _or_null(kind) if Mark.NULL in marks else kind
    if origin is Figure:
        return _figure(kind_of(of[0]), marks)
    if origin is Literal:
        return scalar(choice(*of))
    if origin is tuple:
        return _list(kind_of(of[0]))
    if origin is not None:
        return free() if of[1] is Any else _mapping(kind_of(of[0]), kind_of(of[1]), is_ordered=Mark.ORDERED in marks)
    if hasattr(hint, "__struct_fields__") or hasattr(hint, "_fields"):
        return _record(hint)
    for mark in marks:
        if isinstance(mark, VenueOf):
            of_kinds = " | ".join(kinds_of(mark))
            words = f"a name under venues.{mark.section}{of_kinds and f' of {of_kinds}'}"
            return scalar(structs.replace(text(VENUE_NAME, words), words=known_names(mark.section)))._replace(venue=mark)
    return scalar(next((mark for mark in marks if isinstance(mark, Scalar)), None) or {bool: FLAG, datetime: INSTANT}[hint])


def kinds_of(venue: VenueOf) -> tuple[str, ...]:
    """The protocols that fit; none where any does."""
    able = offering(*venue.offers) if venue.offers else ()
    return tuple(name for name in able if name not in offering(*venue.lacks)) if venue.lacks else able


def _record(cls: Any) -> ValueKind:
    """A record, looked into when it is first asked for: to evaluate annotations takes its time."""
    allowed = _with(cls.__struct_encode_fields__ if issubclass(cls, Struct) else cls._fields)

    def read(value: object, path: str, reading: Reading) -> Any:
        return record_of(cls).read(value, path, reading)

    return ValueKind(allowed, read, lambda: record_of(cls).schema(), lambda value: record_of(cls).plain(value), is_mapping, cls)


def _with(names: Iterable[str]) -> str:
    listed = ", ".join(names)
    return f"a mapping with {listed}" if listed else "an empty mapping"


def scalar(of: Scalar) -> ValueKind:
    def read(value: object, path: str, reading: Reading) -> Any:
        found = of.parse(value)
        if found is not None:
            return found
        allowed = of.allowed + did_you_mean(value, of.words)
        return reading.fault(path, "not shown" if of.is_hidden(value) else value, allowed)

    return ValueKind(of.allowed, read, lambda: dict(of.schema), of.plain)


def _or_null(kind: ValueKind) -> ValueKind:
    return kind._replace(
        allowed=f"{kind.allowed}, or null",
        read=lambda value, path, reading: None if value is None else kind.read(value, path, reading),
        schema=lambda: {"anyOf": [{"type": "null"}, kind.schema()]},
        plain=lambda value: None if value is None else kind.plain(value),
    )


def _either(*kinds: ValueKind, allowed: str = "") -> ValueKind:
    """A value of one of several kinds: the one of its form, else the first that it is. A text is plain as it is, and of the last kind is
    what holds others, if that does."""
    allowed = allowed or ", or ".join(kind.allowed for kind in kinds)

    def read(value: object, path: str, reading: Reading) -> Any:
        for kind in kinds:
            aside = reading if kind.is_meant(value) else Reading()
            item = kind.read(value, path, aside)
            if aside is reading or not aside.faults:
                return item
        return reading.fault(path, value, allowed)

    def plain(value: Any) -> Any:
        if isinstance(value, str):
            return value
        is_single = kinds[-1].is_meant is is_mapping and not isinstance(value, Mapping | Struct)
        return kinds[0 if is_single else -1].plain(value)

    last = kinds[-1]
    schema = lambda: {"anyOf": [kind.schema() for kind in kinds]}  # noqa: E731
    is_meant = lambda value: any(kind.is_meant(value) for kind in kinds)  # noqa: E731
    return ValueKind(allowed, read, schema, plain, is_meant, last.holds, last.has_names)


def _list(of: ValueKind) -> ValueKind:
    """Values of one kind, each once."""
    allowed = f"a list, each {of.allowed}, none twice"

    def read(value: object, path: str, reading: Reading) -> Any:
        if not isinstance(value, list | tuple):
            return reading.fault(path, value, allowed)
        items = tuple(of.read(item, f"{path}[{place}]", reading) for place, item in enumerate(value))
        for place, item in enumerate(items):
            if item is not UNREADABLE and item in items[:place]:
                reading.fault(f"{path}[{place}]", item, "each item once")
        return items

    def schema() -> dict[str, Any]:
        return {"type": "array", "items": of.schema(), "uniqueItems": True}

    return ValueKind(allowed, read, schema, lambda items: [of.plain(item) for item in items], _is_list)


def _mapping(key: ValueKind, of: ValueKind, *, is_ordered: bool = False) -> ValueKind:
    """From names to values of one kind; plain in the order of the names, where its own has no meaning."""
    allowed = f"a mapping from {key.allowed} to {of.allowed}"

    def read(value: object, path: str, reading: Reading) -> Any:
        if not isinstance(value, Mapping):
            return reading.fault(path, value, allowed)
        found = {}
        for name, item in value.items():
            where = joined(path, name)
            if is_secret_name(name):
                reading.unknown(path, name, ())
            elif key.read(name, where, reading) is not UNREADABLE:
                found[name] = of.read(item, where, reading)
        return found

    def schema() -> dict[str, Any]:
        return {"type": "object", "propertyNames": key.schema(), "additionalProperties": of.schema()}

    def plain(value: Mapping[str, Any]) -> dict[str, Any]:
        return {name: of.plain(value[name]) for name in (value if is_ordered else sorted(value))}

    return ValueKind(allowed, read, schema, plain, is_mapping, of.holds, has_names=True)


def _figure(of: ValueKind, marks: tuple[Any, ...]) -> ValueKind:
    """A figure for all, by date, or by name (and there by date too)."""
    key = next((mark.key for mark in marks if isinstance(mark, Dated)), VALUE)
    allowed = f"{of.allowed}, or by date: [{{from: date, {key}: …}}, …]"
    single = _either(_dated(of, key), of._replace(read=_then(of.read, Figure)), allowed=allowed)

    def plain(figure: Figure[Any]) -> Any:
        if figure.by_name:
            return {name: plain(figure.by_name[name]) for name in sorted(figure.by_name)}
        dates = [{"from": INSTANT.plain(from_instant(start)), key: of.plain(value)} for start, value in figure.since]
        return dates or of.plain(figure.value)

    single = single._replace(plain=plain)
    for mark in marks:
        if isinstance(mark, ByName):
            by_name = _mapping(scalar(mark.name), single)
            by_name = by_name._replace(read=_then(by_name.read, _by_name))
            single = _either(single, by_name, allowed=f"{allowed}, or either of them by {mark.name.allowed}")
    return single._replace(plain=plain)


def _by_name(values: Mapping[str, Figure[Any]]) -> Figure[Any]:
    return Figure(None, values)


def _then(read: Read, make: Callable[[Any], Any]) -> Read:
    def both(value: object, path: str, reading: Reading) -> Any:
        found = read(value, path, reading)
        return found if found is UNREADABLE else make(found)

    return both


def _dated(of: ValueKind, key: str) -> ValueKind:
    """Values from when they hold on; the first of them held before, too."""
    since, shape = scalar(INSTANT), f"{{from: date, {key}}}"
    allowed = f"a list of {shape} in order of time"

    def step(item: object, path: str, reading: Reading) -> tuple[Any, Any]:
        name = key if isinstance(item, Mapping) and key in item else VALUE
        pair = (item["from"], item[name]) if isinstance(item, Mapping) and set(item) == {"from", name} else item
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            return reading.fault(path, item, shape), UNREADABLE
        return since.read(pair[0], f"{path}.from", reading), of.read(pair[1], f"{path}.{key}", reading)

    def read(value: object, path: str, reading: Reading) -> Any:
        if not isinstance(value, list | tuple):
            return reading.fault(path, value, allowed)
        steps = [step(item, f"{path}[{place}]", reading) for place, item in enumerate(value)]
        if any(UNREADABLE in pair for pair in steps):
            return UNREADABLE
        if not steps or any(earlier[0] >= later[0] for earlier, later in pairwise(steps)):
            return reading.fault(path, value, allowed)
        return Figure(steps[0][1], since=tuple((to_instant(start), found) for start, found in steps))

    def schema() -> dict[str, Any]:
        start, value = since.schema(), of.schema()
        item = {"type": "object", "properties": {"from": start, key: value}, "required": ["from", key], "additionalProperties": False}
        pair = {"type": "array", "prefixItems": [start, value], "minItems": 2, "maxItems": 2}
        return {"type": "array", "minItems": 1, "items": {"anyOf": [item, pair]}}

    return ValueKind(allowed, read, schema, is_meant=_is_by_date if of.is_meant is _is_list else _is_list)


def free() -> ValueKind:
    """Whatever JSON can hold, for a user's own strategy; numbers arrive as int or float."""

    def item(value: Any, path: str, reading: Reading, levels: int) -> Any:
        reading.nodes_left -= 1
        if reading.nodes_left < 0:
            return UNREADABLE
        if not reading.nodes_left:
            return reading.fault(path, value, "fewer values")
        if levels >= 0 and isinstance(value, Mapping):
            return {key: below(key, value[key], path, reading, levels) for key in value}
        if levels >= 0 and isinstance(value, list | tuple):
            return [item(inner, f"{path}[{place}]", reading, levels - 1) for place, inner in enumerate(value)]
        if levels < 0:
            return reading.fault(path, value, _FREE)
        if value is None or isinstance(value, str | bool) or (isinstance(value, int) and abs(value) < 2**63):
            return value
        is_number = isinstance(value, float) or (isinstance(value, Decimal) and value.is_finite())
        return float(value) if is_number and isfinite(float(value)) else reading.fault(path, value, _FREE)

    def below(key: object, value: Any, path: str, reading: Reading, levels: int) -> Any:
        if is_secret_name(key):
            return reading.unknown(path, key, ())
        where = joined(path, key)
        return item(value, where, reading, levels - 1) if isinstance(key, str) else reading.fault(where, key, "a text as key")

    def read(value: object, path: str, reading: Reading) -> Any:
        return item(value, path, reading, _DEEPEST) if isinstance(value, Mapping) else reading.fault(path, value, _FREE)

    return ValueKind(_FREE, read, lambda: {"type": "object"}, is_meant=is_mapping)
