from __future__ import annotations

from array import array
from bisect import bisect_right
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.core.market import GasRow, MissingData, StaleSeries
from basis_strategy_v1.data.layout import spec_of
from basis_strategy_v1.data.series import Loaded, Numbers, Series

HOUR = 3_600_000_000
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, min_value=Decimal("-1e29"), max_value=Decimal("1e29"), places=9)


def column(*texts: str) -> Numbers:
    found = Numbers()
    found.extend_texts(texts)
    return found.trimmed()


def series_of(series_id: str, stamps: list[int], *columns: Numbers, max_staleness_us: int = 36 * HOUR) -> Series:
    spec = spec_of(series_id)
    assert spec is not None
    return Series(spec, Loaded(array("q", stamps), columns), max_staleness_us)


def test_numbers_keep_what_was_written() -> None:
    texts = ["2295.61", "-8.966e-05", "0", "7E3", "1.0000000000000001"]
    numbers = column(*texts)
    assert [numbers.decimal(index) for index in range(5)] == [Decimal(text) for text in texts]
    assert [numbers.float(index) for index in range(5)] == [float(text) for text in texts]


def test_numbers_that_do_not_fit_in_eight_bytes_stay_exact() -> None:
    texts = ["1", "123456789012345678901234567.123456789", "0.5"]
    numbers = column(*texts)
    assert [numbers.decimal(index) for index in range(3)] == [Decimal(text) for text in texts]
    assert numbers.float(1) == float(texts[1])


def test_numbers_added_after_one_that_does_not_fit_stay_exact() -> None:
    numbers = column("9223372036854775807")
    numbers.extend_scaled([15], 1)
    numbers.extend_scaled([25], 1)
    numbers.extend_texts(["3.5"])
    expected = [Decimal(text) for text in ("9223372036854775807", "1.5", "2.5", "3.5")]
    assert [numbers.decimal(index) for index in range(4)] == expected


def test_equal_columns_are_equal_however_they_came_in() -> None:
    pieces = Numbers()
    pieces.extend_scaled([229500], 2)
    pieces.extend_texts(["2296.100"])
    assert pieces.trimmed() == column("2295", "2296.1")
    assert str(pieces.decimal(0)) == "2295.0"
    assert pieces != column("2295", "2296.2")
    assert pieces != "2295"


@given(st.lists(NUMBERS, min_size=1, max_size=20))
def test_any_numbers_come_back_exactly(numbers: list[Decimal]) -> None:
    found = column(*map(str, numbers))
    assert [found.decimal(index) for index in range(len(numbers))] == numbers
    assert [found.float(index) for index in range(len(numbers))] == [float(number) for number in numbers]


@given(st.lists(st.integers(0, 1000), unique=True, max_size=30).map(sorted), st.lists(st.integers(-5, 1010), max_size=40))
def test_the_cursor_finds_what_bisection_finds(stamps: list[int], instants: list[int]) -> None:
    series = series_of("staking/lido/wstETH", stamps, column(*map(str, range(1, len(stamps) + 1))))
    for instant in instants:
        row = bisect_right(stamps, instant)
        assert series.seek(instant) == row
        assert series.read(instant) == (row or None)
        assert series.visible_since(instant) == (stamps[row - 1] if row else None)
        assert series.visible_next(instant) == (stamps[row] if row < len(stamps) else None)


def test_a_bar_is_visible_when_it_has_closed() -> None:
    series = series_of("ohlcv/bybit/spot/ETHUSDT_1h", [0, HOUR], column("12", "13"), column("8", "9"), column("10", "11"))
    assert series.read(HOUR - 1) is None
    assert series.read(HOUR) == 10
    assert series.read(2 * HOUR - 1) == 10
    assert series.read(2 * HOUR) == 11
    assert series.low_and_high(2 * HOUR) == (Decimal(9), Decimal(13))
    assert series.first_and_last() == (HOUR, 2 * HOUR)


def test_rows_of_gas_have_two_numbers() -> None:
    series = series_of("gas/ethereum", [0], column("11.97"), column("0.1"))
    assert series.read(5) == GasRow(Decimal("11.97"), Decimal("0.1"))
    assert series.floats(5) == (11.97, 0.1)


def test_a_row_older_than_its_interval_values_but_does_not_trade() -> None:
    series = series_of("ohlcv/bybit/spot/ETHUSDT_1h", [0], column("12"), column("8"), column("10"))
    assert series.read(2 * HOUR - 1, for_trade=True) == 10
    assert series.read(2 * HOUR) == 10
    with pytest.raises(StaleSeries) as raised:
        series.read(2 * HOUR, for_trade=True)
    assert str(raised.value) == (
        "DAT-002: ohlcv/bybit/spot/ETHUSDT_1h: the last row visible at 1970-01-01T02:00:00Z is the one stamped 1970-01-01T00:00:00Z, "
        "1h old, older than its interval of 1h: it still values positions, but no trade is opened on it"
    )


def test_a_row_older_than_the_staleness_allowed_is_an_error() -> None:
    series = series_of("ohlcv/bybit/spot/ETHUSDT_1h", [0], column("12"), column("8"), column("10"))
    assert series.read(37 * HOUR) == 10
    for for_trade in (True, False):
        with pytest.raises(MissingData) as raised:
            series.read(37 * HOUR + 60_000_000, for_trade)
        assert type(raised.value) is MissingData
        assert raised.value.message == (
            "ohlcv/bybit/spot/ETHUSDT_1h: the last row visible at 1970-01-02T13:01:00Z is the one stamped 1970-01-01T00:00:00Z, "
            "2161m old, older than the 36h allowed; fill the gap or raise data.max_staleness"
        )
    assert series.floats(37 * HOUR + 1) is None


def test_a_staleness_shorter_than_the_interval_holds_too() -> None:
    series = series_of("ohlcv/bybit/spot/ETHUSDT_1h", [0], column("12"), column("8"), column("10"), max_staleness_us=HOUR // 2)
    assert series.read(HOUR + HOUR // 2) == 10
    with pytest.raises(MissingData, match="older than the 30m allowed"):
        series.read(HOUR + HOUR // 2 + 1)


def test_a_series_without_rows_has_nothing_to_say() -> None:
    series = series_of("funding/bybit/ETHUSDT", [], column())
    assert (series.read(5), series.floats(5), series.first_and_last(), series.visible_next(5)) == (None, None, None, None)


@pytest.mark.parametrize("long", ["", "1e-30"])
def test_a_step_is_found_wherever_it_lies_and_only_within_the_rows_asked_for(long: str) -> None:
    """Also between two parts that are looked through one after the other, and where the numbers do not fit in integers."""
    for place in (*range(60, 68), 127, 128, 129, 198):
        values = column(*["10"] * (place + 1), *["20"] * (199 - place), *[long] * bool(long))
        assert values.figures(0, 200).steps(1.2) == [place]
        assert values.figures(0, place + 2).steps(1.2) == [place]
        assert values.figures(place, 200).steps(1.2) == [0]
        assert (
            values.figures(0, place + 1).steps(1.2) == values.figures(place + 1, 200).steps(1.2) == values.figures(0, 200).steps(2.1) == []
        )


@pytest.mark.parametrize("long", ["", "1e-30"])
def test_rows_are_left_out_of_a_column_whether_or_not_it_fits_in_integers(long: str) -> None:
    values = column(*map(str, range(1, 10)), *[long] * bool(long))
    left = values.without([(0, 2), (4, 7)])
    assert [left.decimal(row) for row in range(4)] == [3, 4, 8, 9]
    assert values.without([]) == values
