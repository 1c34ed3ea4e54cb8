"""Every field of a config: missing, of a wrong type, out of range. A new one is tested by being there."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, NamedTuple

import jsonschema
import pytest
from hypothesis import settings
from msgspec import Struct

from basis_strategy_v1.config import ConfigError, json_schema, load_config
from basis_strategy_v1.config.faults import UNREADABLE, Reading
from basis_strategy_v1.config.kinds import Record, Row, record_of
from basis_strategy_v1.config.loading import top_record
from basis_strategy_v1.config.venue_sections import settings_record
from basis_strategy_v1.core.settings import MAINNET, Mark
from basis_strategy_v1.strategies import STRATEGIES
from basis_strategy_v1.venues.registry import known_names
from basis_strategy_v1.venues.venue import CEX, DEX, ONCHAIN

from ..additions import added
from .conftest import right_config

with added():
    VALIDATOR = jsonschema.Draft202012Validator(json_schema())
HUGE = 10**5000
# Whatever there is: each kind refuses most of them, and each refuses some.
CANDIDATES: tuple[Any, ...] = (
    "x", "", " 1", "1,5", "0x10", "nan", "Infinity", "1e99999", "\n", "true", "yes", "nothing_of_this", "-1h", "1w", "0.5h", "1", "2.0",
    "2024-06-01T00:00", "01.06.2024", "2024-W01-1", "20240601", "now", "host", "ftp://host", "http://a b", "http://me@host",
    "http://host?x=1", "0x" + "1" * 39, True, False, 0, 1, -1, 4, 1.5, 2024, 3600, -101, 25, 256, 10_001, 10**16, [], {}, [1], ["x"],
    ["3.0"], [["2024-01-01", "9"]], [["yesterday", "3.0"]], [{"from": "2024-01-01"}], [{"from": "2024-01-01", "revision": "9"}],
    {"\n": 1}, {"x": 1}, {"": {}}, {"bybit_": {}}, {"nothing_of_this": {}}, ["nothing_of_this"],
)  # fmt: skip
# What a mapping with names of its own must have, so that the rest of it may be left out.
NEEDED_IN: Mapping[tuple[str, ...], dict[str, Any]] = {
    ("tokens",): {"address": "0x" + "00" * 20, "decimals": 18},
    ("delisted",): {"at": "2024-06-01", "price": 1},
    ("renamed",): {"at": "2024-06-01", "to": "BTCUSDT"},
}
NOT_JSON: tuple[Any, ...] = (object(), b"1", "a\nb")


class Place(NamedTuple):
    """A field of a config for a mode."""

    mode: str
    path: tuple[str, ...]
    row: Row

    def config(self, value: Any = None) -> dict[str, Any]:
        """A config that is right but for this field: `value`, or nothing at all for None."""
        config = copy.deepcopy(right_config(self.mode))
        place = config
        for key in self.path:
            place = place.setdefault(key, {})
        place |= NEEDED_IN.get(self.path[-2:-1], {})
        if value is None:
            place.pop(self.row.name, None)
        else:
            place[self.row.name] = value
        return config

    @property
    def where(self) -> str:
        return ".".join([*self.path, self.row.name])

    def wrong_values(self) -> list[Any]:
        """What it does not read, all of it JSON."""
        return [value for value in CANDIDATES if self._refuses(value)]

    def _refuses(self, value: Any) -> bool:
        reading = Reading()
        read = self.row.kind.read(value, self.where, reading)
        assert bool(reading.faults) or read is not UNREADABLE
        return bool(reading.faults)


def places() -> Iterator[Place]:
    yield from inner("eth_basis", top_record("eth_basis"), ())
    for mode, row in STRATEGIES.items():
        yield from (Place(mode, ("strategy",), field) for field in record_of(row.parameters).rows if mode != "eth_basis")
    for section in (CEX, DEX, ONCHAIN):
        for name in known_names(section)[: 1 if section == CEX else None]:  # all exchanges have the same settings
            yield from inner("eth_basis", settings_record(section, name), ("venues", section, name))


def inner(mode: str, record: Record, path: tuple[str, ...]) -> Iterator[Place]:
    for row in record.rows:
        yield Place(mode, path, row)
        if row.kind.holds is not None:
            by_name = ("WETH",) if row.kind.has_names else ()
            yield from inner(mode, record_of(row.kind.holds), (*path, row.name, *by_name))


with added():
    PLACES = list(places())


@pytest.fixture(autouse=True, scope="module")
def _added() -> Iterator[None]:
    with added():
        yield


EACH = pytest.mark.parametrize("place", PLACES, ids=lambda place: f"{place.mode}:{place.where}")


@EACH
def test_a_wrong_value_is_a_fault_at_its_path_and_against_the_schema(place: Place) -> None:
    wrong = place.wrong_values()
    assert len(wrong) > len(CANDIDATES) / 4
    for number, value in enumerate(wrong[: settings().max_examples]):  # that is all, but in `make fast`
        config = place.config(value)
        with pytest.raises(ConfigError) as caught:
            load_config(config)
        assert any(fault.path.startswith(place.where) and fault.allowed for fault in caught.value.faults), (value, caught.value.faults)
        assert number % 4 or not is_by_schema(config), (place.where, value)  # every fourth: a schema is slow


@EACH
def test_what_a_field_reads_is_by_the_schema_too(place: Place) -> None:
    wrong = [repr(value) for value in place.wrong_values()]
    # The schema is that of a run, in which a strategy has what it needs.
    right = [value for value in CANDIDATES if repr(value) not in wrong and not (place.where == "strategy" and value == {})]
    assert [value for value in right[:6] if not VALIDATOR.is_valid(place.config(value))] == []


def is_by_schema(config: dict[str, Any]) -> bool:
    """Whether the schema accepts it; a number may be text, whose size a schema cannot judge."""
    return VALIDATOR.is_valid(config) and not any(isinstance(value, str) and value[:1].isdigit() for value in flat(config))


def flat(value: Any) -> Iterator[Any]:
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from flat(item)
    yield value


@EACH
def test_what_only_python_can_hold_and_unusual_text_are_faults_too(place: Place) -> None:
    unusual = () if place.row.name in ("file", "directory", "database") else ("\u0663",)
    for value in (*NOT_JSON, float("nan"), float("inf"), -HUGE, *unusual):
        with pytest.raises(ConfigError) as caught:
            load_config(place.config(value))
        assert place.where in {fault.path.partition("[")[0] for fault in caught.value.faults}


@EACH
def test_a_default_is_a_value_that_the_field_reads(place: Place) -> None:
    row, reading = place.row, Reading()
    if row.default is None:
        return
    assert row.kind.read(row.kind.plain(row.default), place.where, reading) == row.default
    assert reading.faults == []


PURPOSES: Mapping[Any, dict[str, bool]] = {"always": {}, Mark.RUN: {"run": True}, Mark.BACKTEST: {"run": True}, Mark.LIVE: {"live": True}}


@pytest.mark.parametrize("place", [place for place in PLACES if place.row.needed], ids=lambda place: f"{place.mode}:{place.where}")
def test_what_is_needed_is_missed(place: Place) -> None:
    config = place.config()
    with pytest.raises(ConfigError) as caught:
        load_config(config, **PURPOSES[place.row.needed])
    assert (place.where, "missing") in [(fault.path, fault.value) for fault in caught.value.faults]
    assert place.row.needed in (Mark.LIVE, Mark.BACKTEST) or not VALIDATOR.is_valid(config)  # the schema does not know the purpose


@pytest.mark.parametrize("place", [place for place in PLACES if not place.row.needed], ids=lambda place: f"{place.mode}:{place.where}")
def test_what_is_not_needed_may_be_left_out(place: Place) -> None:
    config = place.config()
    load_config(config)
    assert VALIDATOR.is_valid(config)


@pytest.mark.parametrize("mode", STRATEGIES)
def test_the_config_that_the_rows_spoil_is_right(mode: str) -> None:
    load_config(right_config(mode), run=True)
    load_config(right_config(mode), live=True)
    VALIDATOR.validate(right_config(mode))


@pytest.mark.parametrize("path", sorted({place.path for place in PLACES}))
def test_an_unknown_key_is_a_fault_at_every_level_and_names_the_nearest(path: tuple[str, ...]) -> None:
    place = next(place for place in PLACES if place.path == path)
    config = place._replace(row=place.row._replace(name=f"{place.row.name}x")).config(1)
    with pytest.raises(ConfigError) as caught:
        load_config(config)
    assert [fault.path for fault in caught.value.faults if fault.value.startswith("unknown key")] == [f"{place.where}x"]
    assert not VALIDATOR.is_valid(config)


def test_what_a_field_means_is_said_of_each() -> None:
    assert [place.where for place in PLACES if not place.row.about] == []


def test_a_field_that_came_later_is_not_in_the_effective_config_while_it_has_its_default() -> None:
    class Example(Struct, frozen=True, kw_only=True):
        later: Annotated[bool, Mark.QUIET, ""] = False

    record = record_of(Example)
    assert [record.plain(Example(later=value)) for value in (False, True)] == [{}, {"later": True}]
    assert "chain" not in load_config(right_config()).effective["venues"]["onchain"]["aave"]
    assert load_config(right_config()).venues.onchain["aave"].chain == MAINNET
