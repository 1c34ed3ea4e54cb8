"""Which revisions of Aave a run goes over, and how the simulated one differs from them."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from basis_strategy_v1 import ComponentError
from basis_strategy_v1.config import load_settings
from basis_strategy_v1.core.clock import to_instant
from basis_strategy_v1.core.figure import Figure
from basis_strategy_v1.venues.aave_revisions import REVISIONS, revision_lines


def day(year: int, month: int, number: int) -> int:
    return to_instant(datetime(year, month, number, tzinfo=UTC))


def named(simulated: Figure[str], start: int, end: int) -> list[str]:
    return [line.split("mainnet ran ")[1][:3] for line in revision_lines("aave", simulated, start, end)]


def test_each_revision_has_a_date_a_difference_and_a_source_in_order_of_time() -> None:
    assert [row.number for row in REVISIONS] == ["3.1", "3.2", "3.3", "3.4", "3.5", "3.6"]
    assert all(low.since < high.since for low, high in pairwise(REVISIONS))
    assert all(row.difference and row.source for row in REVISIONS)


def test_a_run_names_the_revisions_of_its_time_and_no_others() -> None:
    simulated = Figure("3.0")
    assert named(simulated, day(2024, 1, 1), day(2024, 7, 26)) == []
    assert named(simulated, day(2024, 6, 1), day(2025, 5, 31)) == ["3.1", "3.2", "3.3"]
    assert named(simulated, day(2025, 3, 1), day(2025, 3, 2)) == ["3.3"]
    assert named(simulated, day(2026, 3, 1), day(2026, 4, 1)) == ["3.6"]
    (line,) = revision_lines("aave", simulated, day(2025, 3, 1), day(2025, 3, 2))
    assert line.startswith(
        "aave is simulated as revision 3.0. Ethereum mainnet ran 3.3 from 2025-02-25 on; 3.3 has: a liquidation may close up to half"
    )


def test_a_later_revision_names_what_the_one_of_its_time_lacked() -> None:
    lines = [*revision_lines("aave", Figure("3.7"), day(2025, 8, 1), day(2026, 2, 1))]
    assert [line.partition(" on; ")[2] for line in lines] == [
        "3.4 lacks: every rounding is in the protocol's favour; an e-mode category no longer inherits a token's zeroes.",
        "3.5 lacks: an e-mode category no longer inherits a token's zeroes.",
        "3.6 lacks: nothing that is simulated.",
    ]


def test_a_list_of_revisions_is_judged_at_each_ones_time() -> None:
    simulated = Figure("3.0", since=((day(2024, 1, 1), "3.0"), (day(2025, 8, 7), "3.7")))
    lines = [*revision_lines("aave", simulated, day(2025, 7, 10), day(2025, 9, 1))]
    assert [line[:35] for line in lines] == ["aave is simulated as revision 3.0. ", "aave is simulated as revision 3.7. "]


@pytest.mark.parametrize("number", [row.number for row in REVISIONS])
def test_a_revision_that_is_not_simulated_is_refused(number: str) -> None:
    with pytest.raises(ComponentError, match=r'"3\.0" \| "3\.7"'):
        load_settings("onchain", "aave", {"revision": number})
