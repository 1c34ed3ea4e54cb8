"""What a strategy sees when it looks back: rows up to now, never one more."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.history import History
from basis_strategy_v1.core.market import DictSnapshot, MissingData
from basis_strategy_v1.data.data_provider import DataProvider

Write = Callable[..., Path]
T0 = datetime(2024, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
SPOT, FUNDING = "ohlcv/bybit/spot/ETHUSDT_1h", "funding/bybit/ETHUSDT"


def instant(hours: float) -> int:
    return round((T0 + hours * HOUR).timestamp() * 1_000_000)


def bar(hour: int, close: float) -> str:
    return f"{(T0 + hour * HOUR).strftime('%Y-%m-%dT%H:%M:%SZ')},{close},{close},{close},{close},1"


def rate(hour: int, value: str) -> str:
    return f"{(T0 + hour * HOUR).strftime('%Y-%m-%dT%H:%M:%SZ')},{value}"


def shown(history: History) -> tuple[list[int], list[float]]:
    return [*history.times], [*history.values]


def test_closes_of_the_last_hours_are_those_of_bars_that_have_closed(write: Write) -> None:
    data = DataProvider(write(SPOT, *(bar(hour, 100 + hour) for hour in range(6))))
    found = data.snapshot(T0 + 4.5 * HOUR).history("spot", "bybit", "ETHUSDT", hours=3)
    assert shown(found) == ([instant(2), instant(3), instant(4)], [101.0, 102.0, 103.0])
    assert (found.before, found.since, found.until, len(found)) == ((instant(1), 100.0), instant(1.5), instant(4.5), 3)


def test_before_the_first_row_and_in_a_dict_there_is_nothing(write: Write) -> None:
    data = DataProvider(write(SPOT, *(bar(hour, 100 + hour) for hour in range(3))))
    for found in (
        data.snapshot(T0).history("spot", "bybit", "ETHUSDT", hours=3),
        DictSnapshot(T0, {"market_data": {"prices": {"ETH": 3000.0}}}).history("spot", "okx", "ETHUSDT", hours=3),
    ):
        assert (shown(found), found.before, found.mean()) == (([], []), None, None)


@pytest.mark.parametrize(
    ("venue", "symbol", "there"),
    [
        ("bybit", "ethusdt", "bybit has ETHUSDT"),
        ("bybit", "ETH/USDT", "bybit has ETHUSDT"),
        ("bybitt", "ETHUSDT", "the data have funding of bybit"),
    ],
)
def test_looking_back_at_a_name_that_the_data_do_not_have_is_refused_as_a_look_at_now_is(
    venue: str, symbol: str, there: str, write: Write
) -> None:
    now = DataProvider(write(FUNDING, rate(0, "0.0001"), rate(8, "0.0001"))).snapshot(T0 + 9 * HOUR)
    asked: list[Callable[[], object]] = [
        lambda: now.funding(venue, symbol),
        lambda: now.mean_funding(venue, symbol, 48),
        lambda: now.history("funding", venue, symbol, hours=48).mean(),
    ]
    for ask in asked:
        with pytest.raises(MissingData) as caught:
            ask()
        assert str(caught.value) == f"DAT-001: no funding data of {venue} for {symbol} at 2024-06-01T09:00:00Z; {there}"


def test_nothing_can_be_written_into_a_history(write: Write) -> None:
    found = DataProvider(write(SPOT, bar(0, 100))).snapshot(T0 + HOUR).history("spot", "bybit", "ETHUSDT", hours=3)
    with pytest.raises(TypeError, match="read-only"):
        found.values[0] = 1.0  # type: ignore[index]


def test_a_mean_price_counts_each_for_as_long_as_it_stood(write: Write) -> None:
    data = DataProvider(write(SPOT, bar(0, 100), bar(1, 200), bar(4, 500)))
    assert data.snapshot(T0 + 6 * HOUR).history("spot", "bybit", "ETHUSDT", hours=4).mean() == (200 * 3 + 500) / 4
    assert data.snapshot(T0 + 6 * HOUR).history("spot", "bybit", "ETHUSDT", hours=99).mean() == (100 + 200 * 3 + 500) / 5
    assert data.snapshot(T0 + 1 * HOUR).history("spot", "bybit", "ETHUSDT", hours=1).mean() == 100


def test_funding_each_8_hours_and_then_each_hour_at_the_same_yearly_rate_has_the_same_mean(write: Write) -> None:
    rows = [*(rate(hour, "0.0008") for hour in range(0, 25, 8)), *(rate(hour, "0.0001") for hour in range(25, 60))]
    data = DataProvider(write(FUNDING, *rows))
    for hour in (16, 24, 30, 48):
        mean = data.snapshot(T0 + hour * HOUR).history("funding", "bybit", "ETHUSDT", hours=16).mean()
        assert mean == pytest.approx(0.0001 * 8760)
        in_all = data.snapshot(T0 + hour * HOUR).mean_funding("bybit", "ETHUSDT", 16)
        assert in_all is not None and float(in_all) == pytest.approx(0.0001 * 8760)
    assert data.snapshot(T0).history("funding", "bybit", "ETHUSDT", hours=16).mean() is None


@given(
    closes=st.lists(st.integers(1, 9), min_size=1, max_size=12), hour=st.integers(0, 14), hours=st.integers(1, 14), later=st.integers(1, 9)
)
def test_nonsense_after_a_step_changes_no_value(
    tmp_path_factory: pytest.TempPathFactory, closes: list[int], hour: int, hours: int, later: int
) -> None:
    def history_of(rows: list[int]) -> tuple[list[int], list[float]]:
        path = tmp_path_factory.mktemp("data") / "market"
        (path / SPOT).parent.mkdir(parents=True)
        (path / f"{SPOT}.csv").write_text("\n".join(["timestamp,open,high,low,close,volume", *map(bar, range(len(rows)), rows), ""]))
        data = DataProvider(path)
        data.snapshot(T0 + 20 * HOUR).history("spot", "bybit", "ETHUSDT", hours=2)  # who looked later disturbs nobody
        return shown(data.snapshot(T0 + hour * HOUR).history("spot", "bybit", "ETHUSDT", hours=hours))

    nonsense = [later * 1000] * (len(closes) - hour + 2) if len(closes) >= hour else []
    found = history_of(closes)
    assert found == history_of([*closes[:hour], *nonsense])
    assert all(at <= instant(hour) for at in found[0])


def test_windows_may_be_asked_for_in_any_order(write: Write) -> None:
    data = DataProvider(write(SPOT, *(bar(hour, 100 + hour) for hour in range(30))))
    for hour, hours in ((5, 2), (6, 2), (7, 2), (29, 10), (3, 1), (30, 30), (1, 5), (12, 4)):
        found = data.snapshot(T0 + hour * HOUR).history("spot", "bybit", "ETHUSDT", hours=hours)
        assert list(found.values) == [99.0 + closed for closed in range(max(hour - hours, 0) + 1, hour + 1)]


@pytest.mark.parametrize(
    ("kind", "hours", "expected"),
    [
        ("lending", 3, "STR-001: history: kind 'lending' has none; there is one of spot, perp, funding, staking, dex"),
        ("spot", 0, "STR-001: history: hours 0 is no window; write a number above 0 and at most 1e6, such as 24"),
        ("spot", float("nan"), "STR-001: history: hours nan is no window; write a number above 0 and at most 1e6, such as 24"),
        ("spot", True, "STR-001: history: hours True is no window; write a number above 0 and at most 1e6, such as 24"),
        ("spot", "1d", "STR-001: history: hours '1d' is no window; write a number above 0 and at most 1e6, such as 24"),
    ],
)
def test_a_kind_without_history_and_a_window_that_is_none_are_refused(write: Write, kind: str, hours: float, expected: str) -> None:
    snapshot = DataProvider(write(SPOT, bar(0, 100))).snapshot(T0 + HOUR)
    with pytest.raises(ComponentError) as error:
        snapshot.history(kind, "bybit", "ETHUSDT", hours=hours)
    assert str(error.value) == expected
