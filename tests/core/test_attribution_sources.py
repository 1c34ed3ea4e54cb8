"""A source of attribution is one row; a row that lacks something fails."""

from __future__ import annotations

import re

import pytest

from basis_strategy_v1.core.attribution_sources import COST, GROUPS, PRICES, SOURCES, AttributionSource, Colour, names_of, table

from ..additions import added

COMPLETE = AttributionSource("points", "Carry", 1, Colour("#0a7f8c", "#37b6c4"), "points of a protocol")


def faults_of(source: AttributionSource) -> list[str]:
    """What a row lacks, field by field."""
    is_right = {
        "name": re.fullmatch(r"[a-z]+(_[a-z]+)*", source.name),
        "group": source.group in GROUPS,
        "sign": source.sign in (-1, 0, 1),
        "colour": all(re.fullmatch("#[0-9a-f]{6}", shade) for shade in source.colour),
        "about": source.about,
    }
    return [field for field in AttributionSource._fields if not is_right[field]]


with added():
    ROWS = dict(SOURCES)


@pytest.mark.parametrize("name", ROWS)
def test_every_source_has_a_name_a_group_a_sign_a_colour_and_a_line(name: str) -> None:
    assert (ROWS[name].name, faults_of(ROWS[name])) == (name, [])


@pytest.mark.parametrize("field", AttributionSource._fields)
def test_a_row_without_one_of_its_fields_is_refused(field: str) -> None:
    given = {name: value for name, value in COMPLETE._asdict().items() if name != field}
    with pytest.raises(TypeError, match=f"missing 1 required positional argument: '{field}'"):
        AttributionSource(**given)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("group", "Luck"),
        ("sign", 2),
        ("colour", Colour("#0a7f8c", "")),
        ("colour", Colour("red", "#0a7f8c")),
        ("about", ""),
    ],
)
def test_a_row_with_something_wrong_in_it_is_found(field: str, value: object) -> None:
    assert faults_of(COMPLETE) == []
    assert faults_of(COMPLETE._replace(**{field: value})) == [field]


def test_two_sources_are_distinguished_by_their_colours() -> None:
    for shade in range(2):
        assert len({source.colour[shade] for source in ROWS.values()}) == len(ROWS)


def test_every_source_is_in_one_group_and_in_one_line_of_the_table() -> None:
    assert [name for group in GROUPS for name in names_of(group)] == list(SOURCES)
    assert names_of(COST) == ("fees", "slippage", "gas", "transfers", "liquidation")
    assert set(PRICES) <= set(SOURCES)
    assert [line.split("`")[1] for line in table().splitlines()[2:]] == list(SOURCES)
