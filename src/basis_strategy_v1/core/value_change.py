"""How a value of each type changes: the difference between two, as plain JSON data, and a value with a difference added.

`core/state_change.py` has the shape of the data.
"""

from __future__ import annotations

import types
from bisect import insort
from decimal import Context, Decimal, Inexact
from functools import cache
from typing import Annotated, Any, Protocol, get_args, get_origin, get_type_hints

from msgspec import UNSET, Struct, convert, structs
from msgspec.json import Encoder, decode

from basis_strategy_v1.core.state import AS_READ, IN_ORDER
from basis_strategy_v1.core.state_codec import model_state

# Wide enough for the difference of any two amounts that `core/amounts.py` lets in.
_EXACT = Context(prec=2_000, traps=[Inexact])
_encoded = Encoder(order="deterministic").encode


class Form(Protocol):
    """How the values of one type change. A value that is not there is taken as `empty`; a change that is none is UNSET."""

    empty: Any
    """0, or nothing; UNSET where there is no such value."""

    def between(self, before: Any, after: Any) -> Any: ...
    def applied(self, before: Any, change: Any) -> Any: ...


class _Amount:
    """A number that is ours: by its difference."""

    def __init__(self, kind: type[int] | type[Decimal]) -> None:
        self._kind: Any = kind
        self.empty = kind()

    def between(self, before: Any, after: Any) -> Any:
        if before == after:
            return UNSET
        return after - before if self._kind is int else str(_EXACT.subtract(after, before))

    def applied(self, before: Any, change: Any) -> Any:
        difference = convert(change, self._kind)
        if self._kind is int:
            return before + difference
        if not difference.is_finite():
            raise ValueError(f"{difference} is no difference")
        return _EXACT.add(before, difference)


class _Read:
    """What takes its new value."""

    empty = UNSET

    def __init__(self, hint: Any) -> None:
        self._hint = hint

    def between(self, before: Any, after: Any) -> Any:
        return UNSET if before == after else _plain(after)

    def applied(self, before: Any, change: Any) -> Any:
        return convert(change, self._hint, dec_hook=model_state)


class _Record:
    """A Struct, a NamedTuple, or a tuple with a form for each place: by its fields."""

    def __init__(self, make: Any, forms: dict[str, Form]) -> None:
        self._make, self._forms = make, forms
        self._empties = {name: form.empty for name, form in forms.items()}
        self.empty = UNSET if UNSET in self._empties.values() else make(**self._empties)

    def between(self, before: Any, after: Any) -> Any:
        if before is after:
            return UNSET
        values = self._values(before)
        changes = {name: self._forms[name].between(values[name], value) for name, value in self._values(after).items()}
        return {name: change for name, change in changes.items() if change is not UNSET} or UNSET

    def applied(self, before: Any, change: Any) -> Any:
        if unknown := change.keys() - self._forms.keys():
            raise ValueError(f"it has no field {min(unknown)}")
        values = self._values(before)
        values |= {name: self._forms[name].applied(values[name], entry) for name, entry in change.items()}
        for name, value in values.items():
            if value is UNSET:
                raise ValueError(f"{name} is missing")
        return self._make(**values)

    def _values(self, record: Any) -> dict[str, Any]:
        if record is UNSET:
            return self._empties.copy()
        if isinstance(record, Struct):
            return {name: getattr(record, name) for name in self._forms}
        return dict(zip(self._forms, record, strict=True))


class _ByKey:
    """A dict: by its keys. One whose value has become empty leaves, as an amount of 0 does."""

    def __init__(self, key: type, form: Form) -> None:
        self._key, self._form = key, form
        self.empty: Any = {}

    def between(self, before: Any, after: Any) -> Any:
        if before is after:
            return UNSET
        empty, form = self._form.empty, self._form
        left = [key for key in before if key not in after]
        changes = {key: form.between(before[key], empty) for key in left if empty is not UNSET}
        changes |= {key: form.between(before.get(key, empty), value) for key, value in after.items()}
        changed = {key: change for key, change in changes.items() if change is not UNSET}
        kept = [key for key, value in after.items() if value == empty and (key in changed or key not in before)]
        found = {
            "changed": {str(key): change for key, change in changed.items()},
            "gone": [str(key) for key in left if key not in changed],
            "kept": [str(key) for key in kept],
        }
        return {name: entries for name, entries in found.items() if entries} or UNSET

    def applied(self, before: Any, change: Any) -> Any:
        held = dict(before)
        empty, kept = self._form.empty, change.get("kept", ())
        for text, entry in change.get("changed", {}).items():
            key = self._key(text)
            value = self._form.applied(held.get(key, empty), entry)
            if value == empty and text not in kept:
                held.pop(key, None)
            else:
                held[key] = value
        for key in map(self._key, change.get("gone", ())):
            held.pop(key, None)
        for key in map(self._key, kept):
            held.setdefault(key, empty)
        return held


class _Records:
    """A tuple of records that come and go."""

    empty: Any = ()

    def __init__(self, record: Any, *, in_order: bool) -> None:
        self._record, self._in_order = record, in_order

    def between(self, before: Any, after: Any) -> Any:
        if before == after:
            return UNSET
        from difflib import SequenceMatcher

        spans = [span for span in SequenceMatcher(None, before, after).get_opcodes() if span[0] != "equal"]
        removed = [[place, _plain(before[place])] for _, start, end, _, _ in spans for place in range(start, end)]
        added = [[place, _plain(after[place])] for _, _, _, start, end in spans for place in range(start, end)]
        return {name: records for name, records in (("removed", removed), ("added", added)) if records}

    def applied(self, before: Any, change: Any) -> Any:
        held = list(before)
        for place, data in reversed(change.get("removed", ())):
            record = convert(data, self._record)
            if record not in held:
                raise ValueError(f"it removes {record}, which is not there")
            is_in_place = held[place : place + 1] == [record]  # unless another change has moved it
            held.pop(place if is_in_place else held.index(record))
        for place, data in change.get("added", ()):
            record = convert(data, self._record)
            if self._in_order:
                insort(held, record)
            else:
                held.insert(place, record)
        return tuple(held)


class _Elements:
    """A set."""

    empty: Any = frozenset()

    def __init__(self, hint: Any) -> None:
        self._hint = hint

    def between(self, before: Any, after: Any) -> Any:
        found = {"added": sorted(after - before), "removed": sorted(before - after)}
        return {name: elements for name, elements in found.items() if elements} or UNSET

    def applied(self, before: Any, change: Any) -> Any:
        return (before | convert(change.get("added", ()), self._hint)) - convert(change.get("removed", ()), self._hint)


@cache
def form_of(hint: Any, *, as_read: bool = False, in_order: bool = False) -> Form:
    """How the values of a type change, by its annotation."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return form_of(arguments[0], as_read=as_read or AS_READ in arguments, in_order=in_order or IN_ORDER in arguments)
    if fields := _fields(hint):
        return _Record(hint, {name: form_of(field, as_read=as_read) for name, field in fields.items()})
    if origin is dict:
        return _ByKey(arguments[0], form_of(arguments[1], as_read=as_read))
    if as_read:
        return _Read(hint)
    if hint is int or hint is Decimal:
        return _Amount(hint)
    if origin is frozenset:
        return _Elements(hint)
    if origin is tuple and arguments[-1] is Ellipsis:
        return _Records(arguments[0], in_order=in_order)
    if origin is tuple:
        return _Record(_tuple, {f"_{place}": form_of(argument) for place, argument in enumerate(arguments)})
    return _Read(hint)


def _fields(hint: Any) -> dict[str, Any]:
    """The fields of a Struct or a NamedTuple, with their annotations."""
    if isinstance(hint, types.GenericAlias) or not isinstance(hint, type):
        return {}
    if issubclass(hint, Struct):
        return {field.name: field.type for field in structs.fields(hint)}
    return get_type_hints(hint, include_extras=True) if hasattr(hint, "_fields") else {}


def _tuple(**values: Any) -> tuple[Any, ...]:
    return tuple(values.values())


def _plain(value: Any) -> Any:
    """The value as plain JSON data."""
    return decode(_encoded(value))
