"""What `basis check` tells of the data before a run, and that the run then fares as it was told."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from basis_strategy_v1.app import build
from basis_strategy_v1.app.commands import check_run
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.data.sample import write_sample

PERP, FUNDING = "ohlcv/bybit/perp/ETHUSDT_1h", "funding/bybit/ETHUSDT"
SPOT = "ohlcv/bybit/spot/ETHUSDT_1h"
ALWAYS_IN = {"spot_venue": "bybit", "perp_venue": "bybit"}
IN_BY_RULE = {**ALWAYS_IN, "enter_above_apr": 0.9}

Spoil = Callable[[list[str]], list[str]]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    write_sample(folder)
    return folder


def spoil(data: Path, series: str, change: Spoil) -> None:
    path = data / f"{series}.csv"
    path.write_text("".join(change(path.read_text().splitlines(keepends=True))))


def without(first: str, last: str) -> Spoil:
    return lambda rows: [row for row in rows if row.startswith("t") or not first <= row.split(",")[0] <= last]


def run_of(**changes: Any) -> dict[str, Any]:
    return {
        "strategy_mode": "eth_basis",
        "share_class": "usdt_stable",
        "initial_capital": 100_000,
        "start": "2024-06-02",
        "end": "2024-06-08",
        "strategy": ALWAYS_IN,
        "venues": {"cex": ["bybit"]},
        **changes,
    }


def checked(data: Path, /, **changes: Any) -> list[str]:
    """What `basis check` prints after it has found all series."""
    path = data.parent / "run.yaml"
    path.write_text(yaml.safe_dump(run_of(**changes)))
    return list(check_run(path, data=data))[2:]


def refused(data: Path, /, **changes: Any) -> list[str]:
    with pytest.raises(ComponentError) as error:
        checked(data, **changes)
    return str(error.value).splitlines()


def run(data: Path, /, **changes: Any) -> str:
    """The code that the run ends with; empty where it comes to its end."""
    engine = build(run_of(**changes), data, data.parent / "results", data.parent / "logs", report=False)
    try:
        engine.run()
    except ComponentError as error:
        return error.error_code
    return ""


# Funding.

NO_FUNDING = f"{FUNDING} has no row for 3 payments from 2024-06-04T00:00:00Z to 2024-06-04T16:00:00Z"
FUNDING_WAY_OUT = "fill the gap, set data.missing_funding: zero, or leave that time out of the run"


def test_a_hole_in_the_funding_of_a_perp_that_is_always_held_is_a_fault(data: Path) -> None:
    spoil(data, FUNDING, without("2024-06-04", "2024-06-05"))
    assert refused(data) == [f"DAT-005: {NO_FUNDING}, and eth_basis needs it then; {FUNDING_WAY_OUT}"]
    assert run(data) == "DAT-005"


def test_a_hole_in_the_funding_of_a_perp_that_may_not_be_held_is_a_warning(data: Path) -> None:
    spoil(data, FUNDING, without("2024-06-04", "2024-06-05"))
    assert checked(data, strategy=IN_BY_RULE) == [
        f"warning: {NO_FUNDING}: it would end the run (DAT-005) if anything is held then; {FUNDING_WAY_OUT}",
        "ready, with 1 warning",
    ]
    assert run(data, strategy=IN_BY_RULE) == ""


def test_a_hole_in_the_funding_is_nothing_where_missing_payments_are_zero_or_where_it_lies_outside_the_run(data: Path) -> None:
    spoil(data, FUNDING, without("2024-06-04", "2024-06-05"))
    assert checked(data, data={"missing_funding": "zero"}) == ["ready"]
    assert checked(data, start="2024-06-05") == ["ready"]
    assert checked(data, end="2024-06-03T23:00:00Z") == ["ready"]


def test_an_end_at_a_payment_that_the_funding_does_not_reach_is_a_fault(data: Path) -> None:
    spoil(data, FUNDING, without("2024-06-08T00", "2025"))
    told = f"{FUNDING} has no row for the payment at 2024-06-08T00:00:00Z, and eth_basis needs it then; {FUNDING_WAY_OUT}"
    assert refused(data) == [f"DAT-005: {told}"]
    assert run(data) == "DAT-005"
    assert checked(data, end="2024-06-07T23:00:00Z") == ["ready"]
    assert run(data, end="2024-06-07T23:00:00Z") == ""


def test_a_row_that_stands_a_little_after_the_hour_is_there(data: Path) -> None:
    spoil(data, FUNDING, lambda rows: [row.replace("T08:00:00Z", "T08:00:07Z") for row in rows])
    assert checked(data) == ["ready"]
    assert run(data) == ""


# Prices.

PRICE_WAY_OUT = "fill the gap, raise data.max_staleness, or leave that time out of the run"


def too_old(series: str) -> str:
    return f"{series}: from 2024-06-04T11:00:00Z until 2024-06-05T01:00:00Z the last row is older than max_staleness"


@pytest.mark.parametrize("series", [SPOT, PERP])
def test_a_hole_that_is_longer_than_max_staleness_in_a_price_that_is_read_for_certain_is_a_fault(data: Path, series: str) -> None:
    spoil(data, series, without("2024-06-02T23", "2024-06-05"))
    assert refused(data) == [f"DAT-002: {too_old(series)}, and eth_basis needs it then; {PRICE_WAY_OUT}"]
    assert run(data) == "DAT-002"


def test_a_hole_that_is_longer_than_max_staleness_in_a_perp_that_may_not_be_held_is_a_warning(data: Path) -> None:
    spoil(data, PERP, without("2024-06-02T23", "2024-06-05"))
    gap, *rest = checked(data, strategy=IN_BY_RULE)
    assert gap == f"gap: {PERP} from 2024-06-03T00:00:00Z until 2024-06-05T01:00:00Z: no trade is opened on it"
    assert rest == [
        f"warning: {too_old(PERP)}: it would end the run (DAT-002) if anything is held then; {PRICE_WAY_OUT}",
        "ready, with 1 warning",
    ]
    assert run(data, strategy=IN_BY_RULE) == ""


def test_a_hole_between_two_ticks_ends_no_run_for_certain(data: Path) -> None:
    spoil(data, SPOT, without("2024-06-02T23", "2024-06-05"))
    [_, warning, _] = checked(data, interval="7d")
    assert warning.startswith(f"warning: {too_old(SPOT)}")


def test_a_hole_that_max_staleness_allows_is_only_a_gap(data: Path) -> None:
    spoil(data, SPOT, without("2024-06-02T23", "2024-06-03T13"))
    assert checked(data) == [f"gap: {SPOT} from 2024-06-03T00:00:00Z until 2024-06-03T14:00:00Z: no trade is opened on it", "ready"]
    assert run(data) == ""


# Prices and rates that look wrong.


def test_funding_in_percent_is_told_in_a_few_lines(data: Path) -> None:
    def times_100(rows: list[str]) -> list[str]:
        return [rows[0], *(f"{stamp},{float(rate) * 1000:.8f}\n" for stamp, rate in (row.strip().split(",") for row in rows[1:]))]

    spoil(data, FUNDING, times_100)
    *lines, last = checked(data)
    assert len(lines) == 6 and last == "ready, with 6 warnings"
    assert all(line.startswith(f"warning: {FUNDING}, row of 2024-06-0") and line.endswith(" is beyond 0.01") for line in lines[:5])
    assert " more such rows, the last of 2024-06-0" in lines[5]


def test_one_false_high_is_told_where_the_run_reads_it_and_not_where_it_does_not(data: Path) -> None:
    def twice_as_high(rows: list[str]) -> list[str]:
        place = next(place for place, row in enumerate(rows) if row.startswith("2024-06-05T03"))
        stamp, first, high, *rest = rows[place].split(",")
        return [*rows[:place], ",".join([stamp, first, str(float(high) * 2), *rest]), *rows[place + 1 :]]

    spoil(data, PERP, twice_as_high)
    [told, last] = checked(data)
    assert told.startswith(f"warning: {PERP}, row of 2024-06-05T03:00:00Z: column high: ") and last == "ready, with 1 warning"
    assert checked(data, end="2024-06-05T03:00:00Z") == ["ready"]
    assert checked(data, start="2024-06-06") == ["ready"]


# Positions, the strategy's own.


def test_a_capital_that_is_not_used_is_told(data: Path) -> None:
    assert checked(data, initial_positions={"bybit": {"USDT": 5}}) == [
        "initial_positions are held at the start; initial_capital of 100,000 is not used",
        "ready",
    ]


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("(self, snapshot)", "too many positional arguments"),
        ("(self)", "too many positional arguments"),
        ("(self, a, b, c, d)", "missing a required argument: 'd'"),
    ],
)
def test_a_decide_with_another_number_of_arguments_is_told(data: Path, written: str, why: str) -> None:
    (data.parent / "mine.py").write_text(f"class Mine:\n    def decide{written}:\n        return []\n")
    [told] = refused(data, strategy_mode="custom", strategy={"file": "mine.py"})
    taken = written.replace("self, ", "").replace("self", "")
    asked = "(snapshot, positions, parameters)"
    assert told == f"STR-001: mine.py: decide{taken} is called with {asked}: {why}; write def decide(self, {asked[1:]}"


@pytest.mark.parametrize("written", ["(self, *given)", "(self, snapshot, positions, parameters, more=1)", "(self, a, b, c)"])
def test_a_decide_that_takes_what_it_is_given_is_none_of_them(data: Path, written: str) -> None:
    (data.parent / "mine.py").write_text(f"class Mine:\n    def decide{written}:\n        return []\n")
    assert checked(data, strategy_mode="custom", strategy={"file": "mine.py"}) == ["ready"]
