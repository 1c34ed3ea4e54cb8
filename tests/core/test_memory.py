"""A strategy's memory: what is stored is equal when it is read, and what would not be is refused with its place."""

from __future__ import annotations

import enum
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct, defstruct

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.memory import MOST_LEVELS, decode_memory, encode_memory, require_frozen

BERLIN = ZoneInfo("Europe/Berlin")


class Leg(Struct, frozen=True):
    size: Any
    note: Any = None


class Wide(Struct, frozen=True, kw_only=True):
    legs: Any
    first: Any = 1


class Derived(Leg, frozen=True):
    more: Any = ()


class Empty(Struct, frozen=True):
    pass


KINDS = (Leg, Wide, Derived, Empty)


def is_frozen(value: Any) -> bool:
    try:
        require_frozen(value)
    except ComponentError:
        return False
    return True


offsets = st.timedeltas(timedelta(hours=-23), timedelta(hours=23)).map(timezone)
moments = st.datetimes(timezones=offsets | st.timezones() | st.just(UTC), allow_imaginary=True).filter(is_frozen)
texts = st.text(st.characters(exclude_categories=["Cs"]))
whole = st.integers() | st.integers(-3, 3).map(lambda power: power * 10**5_000)
atoms = st.none() | st.booleans() | whole | texts | st.decimals(allow_nan=False, allow_infinity=False) | moments
memories = st.recursive(
    atoms,
    lambda inner: (
        st.lists(inner, max_size=4).map(tuple)
        | st.builds(Leg, inner, inner)
        | st.builds(Wide, legs=inner, first=inner)
        | st.builds(Derived, inner, inner, inner)
        | st.builds(Empty)
    ),
    max_leaves=12,
)


def same(one: Any, other: Any) -> bool:
    """Equal, of equal types all the way down, and written alike: -0 is not 0, and 1.0 is not 1.00."""
    if type(one) is not type(other) or one != other:
        return False
    if isinstance(one, tuple):
        return all(map(same, one, other))
    if isinstance(one, Struct):
        return all(same(getattr(one, name), getattr(other, name)) for name in one.__struct_fields__)
    return str(one) == str(other) if isinstance(one, Decimal) else True


@given(memories)
def test_what_is_stored_is_equal_when_it_is_read(memory: Any) -> None:
    text = encode_memory(memory)
    assert same(decode_memory(text, KINDS), memory)
    assert encode_memory(decode_memory(text, KINDS)) == text
    text.encode()


def test_a_memory_is_stored_as_text_that_a_person_can_read() -> None:
    memory = Leg((Decimal("-0.00"), 5, True, "5", None, 2**70), datetime(2024, 6, 1, 2, tzinfo=BERLIN))
    assert encode_memory(memory) == (
        '{"Leg":{"size":[{"Decimal":"-0.00"},5,true,"5",null,{"int":"0x400000000000000000"}],'
        '"note":{"datetime":"2024-06-01T02:00:00+02:00"}}}'
    )


def test_a_moment_keeps_its_instant_and_its_offset_and_not_the_name_of_its_zone() -> None:
    read = decode_memory(encode_memory(datetime(2024, 7, 1, tzinfo=BERLIN)), ())
    assert (read, read.tzinfo) == (datetime(2024, 7, 1, tzinfo=BERLIN), timezone(timedelta(hours=2)))


class Colour(enum.IntEnum):
    RED = 1


class Pair(NamedTuple):
    left: int


class Text(str):
    pass


class Loose(Struct):
    size: int = 1


class Filled(Struct, frozen=True):
    prices: list[int]


class Attached(Struct, frozen=True, dict=True):
    size: int = 1


class Unequal(Struct, frozen=True, eq=False):
    size: int = 1


def nested(levels: int) -> Any:
    value: Any = ()
    for _ in range(levels):
        value = (value,)
    return value


NOT_FROZEN: list[tuple[Any, str]] = [
    (0.5, "memory is a float, which cannot be frozen; use a Decimal"),
    ([1], "memory is a list, which cannot be frozen; use a tuple"),
    ({"a": 1}, "memory is a dict, which cannot be frozen; use a frozen msgspec Struct, or a tuple of pairs"),
    ({1}, "memory is a set, which cannot be frozen; use a tuple"),
    (frozenset(), "memory is a frozenset, which cannot be frozen; use a tuple"),
    (b"x", "memory is a bytes, which cannot be frozen"),
    (date(2024, 6, 1), "memory is a date, which cannot be frozen"),
    (Colour.RED, "memory is a Colour, which cannot be frozen; use a plain int"),
    (Pair(1), "memory is a Pair, which cannot be frozen; use a plain tuple"),
    (Text("x"), "memory is a Text, which cannot be frozen; use a plain str"),
    (Decimal("NaN"), "memory is NaN; a Decimal must be finite"),
    (Decimal("-Infinity"), "memory is -Infinity; a Decimal must be finite"),
    ("a\ud800", "memory is a str with a lone surrogate at 1, which cannot be stored"),
    (datetime(2024, 6, 1), "memory is a datetime without a time zone; give it one, such as UTC"),  # noqa: DTZ001
    (
        datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN),
        "memory is a datetime that its zone has twice or not at all, 2024-10-27T02:30:00+02:00; use at.astimezone(UTC)",
    ),
    (Loose(), "memory is a Loose, which is not frozen; write class Loose(Struct, frozen=True)"),
    (Attached(), "memory is a Attached, which must be a Struct with eq=True and dict=False"),
    (Unequal(), "memory is a Unequal, which must be a Struct with eq=True and dict=False"),
    (Filled([1]), "memory.prices is a list, which cannot be frozen; use a tuple"),
    ((1, Wide(legs=(Leg(1), Leg(0.5)))), "memory[1].legs[1].size is a float, which cannot be frozen; use a Decimal"),
    (nested(MOST_LEVELS), f"memory{'[0]' * MOST_LEVELS} lies {MOST_LEVELS} levels deep; at most that many are allowed"),
    (type("\x1b[31m", (), {})(), "memory is a \\x1b[31m, which cannot be frozen"),
]


@pytest.mark.parametrize(("memory", "why"), NOT_FROZEN, ids=[why[:40] for _, why in NOT_FROZEN])
def test_what_could_change_or_would_come_back_otherwise_is_refused_with_its_place(memory: Any, why: str) -> None:
    for refuse in (require_frozen, encode_memory):
        with pytest.raises(ComponentError) as error:
            refuse(memory)
        allowed = "None, bool, int, str, Decimal, datetime with a time zone, or tuples and frozen msgspec Structs of these"
        assert str(error.value) == f"STR-001: {why} (memory is {allowed})"


def test_as_many_levels_as_are_allowed_are_stored() -> None:
    assert decode_memory(encode_memory(nested(MOST_LEVELS - 1)), ()) == nested(MOST_LEVELS - 1)


def test_a_struct_that_nobody_will_know_when_it_is_read_is_refused() -> None:
    require_frozen(Leg(Derived(1)), KINDS)
    with pytest.raises(ComponentError, match=r"^STR-001: memory\.size is a Derived, which is not known when the memory is read again"):
        require_frozen(Leg(Derived(1)), (Leg,))


STORED = [
    ("{", "Input data was truncated"),
    ("1.5", "a float, 1.5"),
    ("[" * 10**6 + "]" * 10**6, "nested 1000000 deep"),
    ('{"a":1,"b":2}', "an object with 2 keys"),
    ('{"Decimal":5}', "an object with the key 'Decimal'"),
    ('{"Decimal":"five"}', r"\[<class 'decimal.ConversionSyntax'>\]"),
    ('{"int":"five"}', "invalid literal for int"),
    ('{"datetime":"now"}', "Invalid isoformat string: 'now'"),
    ('{"Other":{}}', "it holds a Other, and the strategy has Leg, Wide, Derived, Empty"),
    ('{"Leg":{"length":1}}', "Leg: Unexpected keyword argument 'length'"),
    ('{"Leg":{}}', "Leg: Missing required argument 'size'"),
]


@pytest.mark.parametrize(("text", "why"), STORED)
def test_a_stored_memory_that_is_damaged_or_of_another_strategy_is_refused(text: str, why: str) -> None:
    with pytest.raises(ComponentError, match=rf"^STR-001: the stored memory cannot be read: {why}.*; it was stored as '"):
        decode_memory(text, KINDS)


@pytest.mark.parametrize("text", ['{"datetime":"2024-06-01"}', '{"Decimal":"NaN"}', '{"Loose":{"size":1}}'])
def test_what_could_not_have_been_stored_is_not_read(text: str) -> None:
    with pytest.raises(ComponentError, match=r"^STR-001: memory is "):
        decode_memory(text, (*KINDS, Loose))


def test_a_struct_that_refuses_its_own_fields_is_named() -> None:
    class Picky(Struct, frozen=True):
        size: int

        def __post_init__(self) -> None:
            if self.size < 0:
                raise LookupError("no such size")

    with pytest.raises(ComponentError, match="cannot be read: Picky: no such size"):
        decode_memory('{"Picky":{"size":-1}}', (Picky,))


def test_two_structs_of_one_name_are_refused() -> None:
    other = defstruct("Leg", [("size", int)], frozen=True)
    with pytest.raises(ComponentError, match="two Structs of its memory are called Leg; rename one"):
        decode_memory("5", (Leg, other))
    assert decode_memory("5", (Leg, Leg)) == 5


def test_the_memory_of_the_first_step_is_stored_too() -> None:
    assert (encode_memory(None), decode_memory("null", ())) == ("null", None)
