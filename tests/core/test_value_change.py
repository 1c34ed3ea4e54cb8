"""How values of types change that no venue's state has at its top yet."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest
from msgspec import UNSET

from basis_strategy_v1.core.value_change import form_of


@pytest.fixture(autouse=True, scope="module")
def forms_are_made_again() -> None:
    """What makes them is tested too, whatever was tested before in this process."""
    form_of.cache_clear()


class Vault(NamedTuple):
    """What is ours there, whether it is open, and its note."""

    shares: int
    is_open: bool
    note: str | None


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (Vault(1, True, "a"), Vault(3, False, None), {"shares": 2, "is_open": False, "note": None}),
        (Vault(3, False, None), Vault(3, False, "b"), {"note": "b"}),
        (Vault(3, False, None), Vault(3, False, None), UNSET),
        (UNSET, Vault(0, True, None), {"is_open": True, "note": None}),
    ],
)
def test_of_what_is_no_amount_the_new_value_is_taken(before: Any, after: Vault, change: Any) -> None:
    form = form_of(Vault)
    assert form.between(before, after) == change
    assert form.empty is UNSET
    if change is not UNSET:
        assert form.applied(before, change) == after
