"""A strategy looks back at a live feed as it does at recorded data."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from basis_strategy_v1.core.clock import HOUR_US, to_instant
from basis_strategy_v1.core.history import History
from basis_strategy_v1.core.market import MissingData
from basis_strategy_v1.live.feed_series import FeedSeries
from basis_strategy_v1.live.feed_snapshot import FeedSnapshot
from basis_strategy_v1.live.public_exchange import Bar, Rate

T0 = datetime(2024, 6, 1, tzinfo=UTC)
FIRST = to_instant(T0)


def history(series: FeedSeries | None, hours_after: float, kind: str = "spot", hours: float = 3) -> History:
    at = T0 + hours_after * timedelta(hours=1)
    there = "the exchanges that are read are okx"
    feed: Any = SimpleNamespace(series=lambda kind, venue, name: series, what_there_is=lambda kind, venue: there)
    return FeedSnapshot(at, to_instant(at), feed).history(kind, "bybit", "ETHUSDT", hours=hours)


def test_closed_bars_are_there_and_the_price_of_now_is_not() -> None:
    series = FeedSeries("spot", "bybit", "ETHUSDT")
    bars = [Bar(FIRST + hour * HOUR_US, Decimal(101 + hour), Decimal(99), Decimal(100 + hour)) for hour in range(5)]
    series.add_bars(bars, HOUR_US, FIRST + 4 * HOUR_US + 90_500_000)
    found = history(series, 4.5)
    assert ([*found.times], [*found.values]) == ([FIRST + hour * HOUR_US for hour in (2, 3, 4)], [101.0, 102.0, 103.0])
    assert found.before == (FIRST + HOUR_US, 100.0)
    assert [*history(series, 2.5).values] == [100.0, 101.0]


def test_funding_has_its_mean_over_the_time_it_was_paid_for() -> None:
    series = FeedSeries("funding", "bybit", "ETHUSDT")
    series.add_rates([Rate(FIRST + hour * HOUR_US, Decimal("0.0008")) for hour in (0, 8, 16)])
    assert round(history(series, 17, "funding", 12).mean() or 0, 9) == 0.876


@pytest.mark.parametrize("kind", ["spot", "funding"])
def test_a_series_that_the_feed_does_not_have_is_refused(kind: str) -> None:
    with pytest.raises(MissingData, match=rf"no {kind} data of bybit for ETHUSDT at .*; the exchanges that are read are okx"):
        history(None, 4, kind)
