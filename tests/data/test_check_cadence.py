"""Gaps, wrong intervals and markets that have stopped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.core.clock import HOUR_US, MICROSECOND
from basis_strategy_v1.core.market import StaleSeries
from basis_strategy_v1.data.check_cadence import gaps, long_steps, stopped, wrong_interval
from basis_strategy_v1.data.check_table import issues_of
from basis_strategy_v1.data.data_provider import DataProvider
from basis_strategy_v1.data.importing import import_to_database

from .columns_of import FUNDING, SPOT, START_US, bars, columns_of

Write = Callable[..., Path]
CADENCES = st.lists(st.tuples(st.sampled_from([1, 2, 4, 8]), st.integers(13, 40)), min_size=1, max_size=4)


def stamps_of(parts: list[tuple[int, int]]) -> list[int]:
    """So many rows every so many hours, one part after the other."""
    found = [0]
    for hours, rows in parts:
        found += [found[-1] + hours * row for row in range(1, rows + 1)]
    return found


@given(CADENCES)
def test_a_series_that_changes_its_cadence_has_no_gap(parts: list[tuple[int, int]]) -> None:
    assert list(gaps(columns_of(FUNDING, stamps_of(parts), funding_rate=[]))) == []


@given(CADENCES, st.data())
def test_rows_that_are_missing_within_a_cadence_are_one_gap_with_their_number(parts: list[tuple[int, int]], data: st.DataObject) -> None:
    hours, rows = parts[part := data.draw(st.integers(0, len(parts) - 1))]
    begins = sum(count for _, count in parts[:part])
    first = begins + data.draw(st.integers(4, 7))
    missing = data.draw(st.integers(1, min(5, rows - 10)))
    whole = stamps_of(parts)
    left = [*whole[:first], *whole[first + missing :]]
    found = list(gaps(columns_of(FUNDING, left, funding_rate=[])))
    assert [(one.row, one.rows) for one in found] == [(first, missing)]
    assert f"instead of {hours}h" in found[0].message


def test_a_gap_at_either_end_of_a_series_is_found() -> None:
    for stamps, row in (([0, 9, 10, 11, 12, 13], 0), ([0, 1, 2, 3, 4, 12], 4)):
        assert [found for found, _ in long_steps([stamp * HOUR_US for stamp in stamps])] == [row]
    assert list(long_steps([0, 5 * HOUR_US])) == list(long_steps([0])) == list(long_steps([])) == []


@pytest.mark.parametrize(
    ("series", "hours", "message"),
    [
        ("1h", [0, 0.25, 0.5, 0.75], "rows 15m apart in a file of 1h: 2024-01-01T00:00:00Z and 2024-01-01T00:15:00Z"),
        ("1h", [0, 1, 2, 2.5, 3.5], "rows 30m apart in a file of 1h: 2024-01-01T02:00:00Z and 2024-01-01T02:30:00Z"),
        ("1d", range(20), "rows 1h apart in a file of 1d: 2024-01-01T00:00:00Z and 2024-01-01T01:00:00Z"),
        ("1h", range(0, 480, 24), "rows 24h apart in a file of 1h, from 2024-01-01T00:00:00Z on"),
        ("1m", range(20), "rows 1h apart in a file of 1m, from 2024-01-01T00:00:00Z on"),
    ],
)
def test_bars_that_do_not_keep_the_interval_of_their_file_are_an_error(series: str, hours: Sequence[float], message: str) -> None:
    columns = columns_of(f"ohlcv/bybit/spot/ETHUSDT_{series}", hours, **{name: [1.0] * len(hours) for name in ("high", "low", "close")})
    [issue] = [one for one in issues_of(columns) if one.kind == "interval"]
    assert (issue.severity, issue.message) == ("error", f"{message}; name the file by the interval of its rows, or resample them")
    assert [one for one in issues_of(columns) if one.kind == "gap"] == []


@pytest.mark.parametrize(
    ("series", "hours"),
    [
        (SPOT, range(50)),
        (SPOT, [0]),
        (SPOT, []),
        (SPOT, [16, 17, 20, 21, 500]),
        ("ohlcv/okx/spot/ETHUSDT_1d", [16 + 24 * day for day in range(30)]),  # a day that begins at 16:00
        (FUNDING, [0, 1, 1.5, 9]),
    ],
)
def test_other_steps_are_no_wrong_interval(series: str, hours: Sequence[float]) -> None:
    assert list(wrong_interval(columns_of(series, hours))) == []


def test_a_bar_off_the_grid_of_the_others_is_a_warning() -> None:
    [found] = wrong_interval(columns_of(SPOT, [0, 1, 2.1, 4, 5, 6]))
    assert (found.row, found.rows, found.severity) == (2, 1, "warning")
    assert found.message == "the bar of 2024-01-01T02:06:00Z is off the grid of 1h that most bars keep"


def test_a_dex_series_of_finer_rows_is_a_warning_as_its_rows_are_only_seen_late() -> None:
    [found] = wrong_interval(columns_of("dex/curve/weETH_WETH", [0, 0.25, 0.5, 0.75]))
    assert (found.severity, found.rows) == ("warning", 3)


# Markets that have stopped.


@given(st.integers(1, 20), st.integers(0, 40), st.integers(1, 20), st.sampled_from([("1h", 1.0, 3), ("1d", 24.0, 3), ("1m", 1 / 60, 60)]))
def test_flat_bars_without_volume_are_a_stop_once_they_last(before: int, flat: int, after: int, interval: tuple[str, float, int]) -> None:
    name, every, least = interval
    flat += least - 20
    flat = max(flat, 0)
    closes = [3000.0 + row for row in range(before)] + [3000.0 + before - 1] * flat + [3010.0 + row for row in range(after)]
    volume = [5.0] * before + [0.0] * flat + [5.0] * after
    columns = bars(f"ohlcv/bybit/spot/ETHUSDT_{name}", closes, spread=0, every=every, volume=volume)
    expected = [(before, flat)] if flat >= least else []
    assert [(one.row, one.rows) for one in stopped(columns)] == expected


def test_volume_alone_or_flatness_alone_is_no_stop() -> None:
    flat, moving = [3000.0] * 10, [3000.0 + row for row in range(10)]
    assert list(stopped(bars(SPOT, flat, spread=0, volume=[5.0] * 10))) == []
    assert list(stopped(bars(SPOT, moving, volume=[5.0, *[0.0] * 9]))) == []
    assert list(stopped(bars(SPOT, flat, spread=0, volume=[0.0] * 10))) == []  # nobody knows the volume
    assert list(stopped(bars(SPOT, flat, spread=0, volume=[0.0] * 8 + [1.0] * 2))) == []  # nor did anybody then
    assert list(stopped(columns_of(FUNDING, range(10), funding_rate=[0.0] * 10))) == []


def standing_still(write: Write, first: int, bars_: int) -> Path:
    def row(hour: int) -> str:
        is_still = first <= hour < first + bars_
        price = f"{3000 + min(hour, first)}"
        return f"2024-01-0{1 + hour // 24}T{hour % 24:02}:00:00Z,{price},{price},{price},{price},{'0.000' if is_still else '1.5'}"

    return write("ohlcv/binance/spot/ETHUSDT_1h", *map(row, range(48)))


@pytest.mark.parametrize("is_database", [False, True])
def test_the_bars_of_a_stopped_market_count_as_missing(write: Write, is_database: bool) -> None:
    folder = standing_still(write, 10, 20)
    database = folder / "x.duckdb"
    if is_database:
        import_to_database(folder, database)
    provider = DataProvider(database=database) if is_database else DataProvider(folder)
    first = datetime(2024, 1, 1, tzinfo=UTC)

    def price(hour: int, *, for_trade: bool = True) -> float:
        return float(provider.snapshot(first + hour * 3_600_000_000 * MICROSECOND).spot("binance", "ETHUSDT", for_trade=for_trade))

    assert (price(12), price(31), price(20, for_trade=False)) == (3010, 3010, 3010)
    for hour in (13, 20, 30):
        with pytest.raises(StaleSeries, match=r"the last row visible .* is the one stamped 2024-01-01T11:00:00Z"):
            price(hour)
    assert provider.stale_spans(START_US, START_US + 48 * HOUR_US) == [
        ("ohlcv/binance/spot/ETHUSDT_1h", START_US + 13 * HOUR_US, START_US + 31 * HOUR_US)
    ]
    [issue] = provider.issues(START_US, START_US + 48 * HOUR_US)
    assert (issue.kind, issue.severity, issue.stamp, issue.rows) == ("stopped", "warning", START_US + 10 * HOUR_US, 20)
    assert issue.message == (
        "20 bars without a trade from 2024-01-01T10:00:00Z to 2024-01-02T05:00:00Z: the market stood still, so no price of it counts from "
        "then on"
    )
    assert provider.issues(START_US + 31 * HOUR_US, START_US + 48 * HOUR_US) == []
    assert provider.issues(START_US, START_US + 10 * HOUR_US) == []


@pytest.mark.parametrize("hours", range(1, 40))
def test_what_a_price_is_does_not_depend_on_bars_after_it(write: Write, hours: int) -> None:
    folder = standing_still(write, 10, 20)
    first = datetime(2024, 1, 1, tzinfo=UTC)
    at = first + hours * 3_600_000_000 * MICROSECOND

    def fresh(until: datetime) -> str:
        try:
            return str(DataProvider(folder, until=until).snapshot(at).spot("binance", "ETHUSDT", for_trade=True))
        except StaleSeries as stale:
            return str(stale)

    assert fresh(at) == fresh(first + 48 * 3_600_000_000 * MICROSECOND)


def test_a_stop_that_lasts_to_the_end_does_not_shorten_what_is_covered(write: Write) -> None:
    provider = DataProvider(standing_still(write, 10, 38))
    assert provider.coverage("spot", "binance", "ETHUSDT") == (START_US + HOUR_US, START_US + 48 * HOUR_US)


def test_two_bars_without_volume_stay(write: Write) -> None:
    provider = DataProvider(standing_still(write, 10, 2))
    assert provider.coverage("spot", "binance", "ETHUSDT") is not None
    assert provider.stale_spans(START_US, START_US + 48 * HOUR_US) == []
