"""Time is a value with a zone, and goes forward."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.core.clock import SimulatedClock, SystemClock, from_instant, iso, iso_each, to_instant

JUNE = datetime(2024, 6, 1, tzinfo=UTC)
NAIVE = datetime(2024, 6, 1)  # noqa: DTZ001
ZONES = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TIMES = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=ZONES)  # noqa: DTZ001


class NoOffset(tzinfo):
    def utcoffset(self, _: datetime | None) -> None:
        return None


@given(TIMES)
def test_an_instant_is_the_same_time(at: datetime) -> None:
    assert from_instant(to_instant(at)) == at
    assert datetime.fromisoformat(iso(at)) == at
    assert iso(to_instant(at)) == iso(at)


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (JUNE, "2024-06-01T00:00:00Z"),
        (JUNE + timedelta(microseconds=1500), "2024-06-01T00:00:00.001500Z"),
        (datetime(2024, 6, 1, 2, tzinfo=timezone(timedelta(hours=2))), "2024-06-01T00:00:00Z"),
        (1_717_200_000_000_000, "2024-06-01T00:00:00Z"),
        (0, "1970-01-01T00:00:00Z"),
    ],
)
def test_a_time_is_written_in_utc(at: datetime | int, text: str) -> None:
    assert iso(at) == text


@pytest.mark.parametrize(
    ("at", "message"),
    [
        (NAIVE, "a timestamp needs a time zone, got the naive 2024-06-01T00:00:00; write 2024-06-01T00:00:00Z for UTC"),
        (
            NAIVE.replace(tzinfo=NoOffset()),
            "a timestamp needs a time zone, got the naive 2024-06-01T00:00:00; write 2024-06-01T00:00:00Z for UTC",
        ),
        (NAIVE.date(), "a timestamp must be a timezone-aware datetime, got datetime.date(2024, 6, 1)"),
        ("2024-06-01T00:00:00Z", "a timestamp must be a timezone-aware datetime, got '2024-06-01T00:00:00Z'"),
        (None, "a timestamp must be a timezone-aware datetime, got None"),
    ],
)
def test_a_time_without_a_zone_is_refused(at: Any, message: str) -> None:
    clock = SimulatedClock(JUNE)
    for use in (to_instant, SimulatedClock, clock.move_to):
        with pytest.raises(ValueError, match="a timestamp") as refused:
            use(at)
        assert str(refused.value) == message
    assert clock.now() is JUNE


@given(st.lists(TIMES | st.integers(-3, 3).map(lambda hours: JUNE + timedelta(hours=12 * hours))))
def test_many_times_are_written_as_each_of_them(times: list[datetime]) -> None:
    assert list(iso_each(map(to_instant, times))) == [iso(at) for at in times]


@given(st.lists(TIMES, min_size=1))
def test_a_clock_only_goes_forward(times: list[datetime]) -> None:
    clock = SimulatedClock(times[0])
    for at in times:
        before = clock.now()
        if at < before:
            with pytest.raises(ValueError, match=f"the clock stands at {iso(before)} and does not go back to {iso(at)}"):
                clock.move_to(at)
        else:
            clock.move_to(at)
            assert clock.now() is at
    assert clock.now() == max(times)


def test_the_clock_of_the_machine_is_in_utc() -> None:
    before = datetime.now(UTC)
    now = SystemClock().now()
    assert before <= now <= datetime.now(UTC)
    assert now.utcoffset() == timedelta()
