"""Every row of the tables: missing, of a wrong type, out of range. A new row is tested by being there."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jsonschema
import pytest

from basis_strategy_v1.config import ConfigError, json_schema, load_config
from basis_strategy_v1.config.containers import Either, Field, ListOf, MapOf, Nullable, Record
from basis_strategy_v1.config.free_parameters import Free
from basis_strategy_v1.config.known_venues import KNOWN_VENUES
from basis_strategy_v1.config.scalars import Bounds, Choice, Duration, Flag, Instant, Kind, Number, Seconds, Text, Url, Whole
from basis_strategy_v1.config.strategy_tables import SHARE_CLASSES, STRATEGIES
from basis_strategy_v1.config.tables import DATA, TOPS
from basis_strategy_v1.config.venue_kinds import Revisions, VenueName, Venues
from basis_strategy_v1.config.venue_tables import LIMITS, VENUE_SETTINGS, VENUES

from .conftest import right_config

VALIDATOR = jsonschema.Draft202012Validator(json_schema())
HUGE = 10**5000
NOT_JSON: tuple[Any, ...] = (object(), b"1", "a\nb")


class Row(NamedTuple):
    mode: str
    path: tuple[str, ...]
    field: Field

    def config(self, value: Any = None) -> dict[str, Any]:
        """A config that is right but for this row: `value`, or nothing at all for None."""
        config = copy.deepcopy(right_config(self.mode))
        place = config
        for key in self.path:
            place = place.setdefault(key, {})
        if self.path[-2:-1] == ("tokens",):
            place |= {"address": "0x" + "00" * 20, "decimals": 18}
        if value is None:
            place.pop(self.field.name, None)
        else:
            place[self.field.name] = value
        return config

    @property
    def where(self) -> str:
        return ".".join([*self.path, self.field.name])


def rows() -> Iterator[Row]:
    for field in TOPS["eth_basis"].fields:
        yield Row("eth_basis", (), field)
    for mode, record in STRATEGIES.items():
        yield from (Row(mode, ("strategy",), field) for field in record.fields)
    for name, record in (("data", DATA), ("limits", LIMITS), ("venues", VENUES)):
        yield from (Row("eth_basis", (name,), field) for field in record.fields)
    for section, names in KNOWN_VENUES.items():
        for name in names:
            record = Venues(section, VENUE_SETTINGS[section]).record(name)
            yield from inner_rows(record, ("venues", section, name))


def inner_rows(record: Record, path: tuple[str, ...]) -> Iterator[Row]:
    for field in record.fields:
        yield Row("eth_basis", path, field)
        kind = field.kind.other if isinstance(field.kind, Either) else field.kind
        if isinstance(kind, MapOf) and isinstance(kind.value, Record):
            yield from inner_rows(kind.value, (*path, field.name, "WETH"))


NOT_NUMBERS: tuple[Any, ...] = ("x", True, False, [], {}, [1], "1,5", "0x10", "", " 1", "nan", "Infinity", "1e99999")
WRONG: dict[type, Callable[[Any], list[Any]]] = {
    Nullable: lambda kind: wrong_values(kind.kind),
    Number: lambda kind: [*outside(kind.bounds), *NOT_NUMBERS],
    Seconds: lambda kind: [*outside(kind.bounds), *NOT_NUMBERS],
    Whole: lambda kind: [*outside(kind.bounds), "1", 1.5, True, [], {}],
    Choice: lambda _: ["", "nothing_of_this", 1, True, [], {}],
    VenueName: lambda _: ["", "nothing_of_this", 1, True, [], {}],
    Text: lambda _: ["", "\n", 1, True, [], {}],
    Flag: lambda _: ["true", "yes", 1, 0, [], {}],
    Instant: lambda _: ["2024-06-01T00:00", "01.06.2024", "2024-W01-1", "20240601", "now", "", 2024, True, [], {}],
    Duration: lambda _: ["1", "1w", "-1h", "0.5h", "", 3600, True, [], {}],
    Url: lambda _: ["", "host", "ftp://host", "http://", "http://a b", "http://me@host", "http://host?x=1", 1, [], {}],
    ListOf: lambda kind: ["x", 1, {}, *([wrong] for wrong in wrong_values(kind.kind))],
    MapOf: lambda _: ["x", 1, True, [1], {"\n": 1}],
    Revisions: lambda _: ["2.0", "", 4, True, {}, [], ["3.0"], [{"from": "2024-01-01"}], [["2024-01-01", "9"]], [["yesterday", "3.0"]]],
    Either: lambda kind: [value for value in wrong_values(kind.one) if is_among(value, wrong_values(kind.other)) or value == "x"],
    Record: lambda _: ["x", 1, True, []],
    Free: lambda _: ["x", 1, True, []],
    Venues: lambda _: ["x", 1, True, ["nothing_of_this"], {"nothing_of_this": {}}, [1], {"": {}}, {"bybit_": {}}],
}


def wrong_values(kind: Kind) -> list[Any]:
    """What a kind must refuse, all of it JSON."""
    return WRONG[type(kind)](kind)


def is_among(value: Any, values: list[Any]) -> bool:
    return any(type(value) is type(other) and value == other for other in values)


def outside(bounds: Bounds) -> list[int]:
    ends = [(bounds.above, 0), (bounds.at_least, -1), (bounds.below, 0), (bounds.at_most, 1)]
    return [end + step for end, step in ends if end is not None]


ROWS = list(rows())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.mode}:{row.where}")
def test_a_wrong_value_is_a_fault_at_its_path_and_against_the_schema(row: Row) -> None:
    for value in wrong_values(row.field.kind):
        config = row.config(value)
        with pytest.raises(ConfigError) as caught:
            load_config(config, live=True)
        assert any(fault.path.startswith(row.where) and fault.allowed for fault in caught.value.faults), (value, caught.value.faults)
        assert not is_by_schema(config), (row.where, value)


def is_by_schema(config: dict[str, Any]) -> bool:
    """Whether the schema accepts it; a number may be text, whose size a schema cannot judge."""
    return VALIDATOR.is_valid(config) and not any(isinstance(value, str) and value == "1e99999" for value in flat(config))


def flat(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from flat(item)
    yield value


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.mode}:{row.where}")
def test_what_only_python_can_hold_and_odd_text_are_faults_too(row: Row) -> None:
    for value in (*NOT_JSON, float("nan"), float("inf"), -HUGE, *(() if row.field.is_path else ("\u0663",))):
        with pytest.raises(ConfigError) as caught:
            load_config(row.config(value))
        assert row.where in {fault.path.partition("[")[0] for fault in caught.value.faults}


@pytest.mark.parametrize("row", [row for row in ROWS if row.field.needed], ids=lambda row: f"{row.mode}:{row.where}")
def test_what_is_needed_is_missed(row: Row) -> None:
    config = row.config()
    with pytest.raises(ConfigError) as caught:
        load_config(config, live=True)
    assert (row.where, "missing") in [(fault.path, fault.value) for fault in caught.value.faults]
    assert row.field.needed == "live" or not VALIDATOR.is_valid(config)


@pytest.mark.parametrize("row", [row for row in ROWS if not row.field.needed], ids=lambda row: f"{row.mode}:{row.where}")
def test_what_is_not_needed_may_be_left_out(row: Row) -> None:
    config = row.config()
    load_config(config)
    assert VALIDATOR.is_valid(config)


@pytest.mark.parametrize("mode", STRATEGIES)
def test_the_config_that_the_rows_spoil_is_right(mode: str) -> None:
    load_config(right_config(mode), live=True)
    VALIDATOR.validate(right_config(mode))


@pytest.mark.parametrize("path", sorted({row.path for row in ROWS}))
def test_an_unknown_key_is_a_fault_at_every_level_and_names_the_nearest(path: tuple[str, ...]) -> None:
    row = next(row for row in ROWS if row.path == path)
    config = row._replace(field=Field(f"{row.field.name}x", Flag(), "")).config(1)
    with pytest.raises(ConfigError) as caught:
        load_config(config)
    assert [fault.path for fault in caught.value.faults if fault.value.startswith("unknown key")] == [f"{row.where}x"]
    assert not VALIDATOR.is_valid(config)


def test_every_strategy_has_its_share_classes() -> None:
    assert set(SHARE_CLASSES) == set(STRATEGIES)


def test_a_default_that_its_own_kind_refuses_is_found_when_the_table_is_made() -> None:
    with pytest.raises(ConfigError, match="leverage: 0; allowed: a number above 0"):
        Record(Field("leverage", Number(Bounds(above=0)), "", 0))
