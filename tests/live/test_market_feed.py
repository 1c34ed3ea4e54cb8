"""The market feed on a clock that a test moves, over real HTTP: what is fresh, what is old, and what an exchange that fails leaves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from basis_strategy_v1.core.clock import HOUR_US, SECOND_US, SimulatedClock, to_instant
from basis_strategy_v1.core.error_codes.exceptions import VenueUnreachable
from basis_strategy_v1.core.market import MissingData, StaleSeries
from basis_strategy_v1.live.feed_series import MOST_ROWS, FeedSeries
from basis_strategy_v1.live.market_feed import MarketFeed
from basis_strategy_v1.live.public_exchange import Bar, PublicExchange, Rate

from ..public_exchange import close_of, rate_of
from ..public_process import PublicProcess

BEGAN = datetime(2026, 6, 1, 7, 34, 56, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
SERIES = (("spot", "bybit", "ETHUSDT"), ("perp", "bybit", "ETHUSDT"), ("funding", "bybit", "ETHUSDT"))


class World:
    """A feed, its clock, and the exchanges, all at one time."""

    def __init__(self, process: PublicProcess, *names: str, series: Any = SERIES, timeout_s: float = 5.0, **options: Any) -> None:
        self.process = process
        self.clock = SimulatedClock(BEGAN)
        process.move_to(BEGAN)
        exchanges = {name: PublicExchange(name, process.url, timeout_s) for name in names or ("bybit",)}
        self.feed = MarketFeed(exchanges, series, self.clock, **options)

    def move_to(self, at: datetime) -> datetime:
        self.process.move_to(at)
        self.clock.move_to(at)
        return at

    def requests(self, text: str) -> int:
        return sum(text in called for called in self.process.seen())


@pytest.fixture
def world(exchanges: PublicProcess) -> World:
    found = World(exchanges)
    found.feed.load(BEGAN - 72 * HOUR)
    return found


def ms(at: datetime) -> int:
    return to_instant(at) // 1_000


def test_prices_are_of_now_and_exact(world: World) -> None:
    at = world.move_to(BEGAN + 5 * MINUTE)
    snapshot = world.feed.snapshot(at)
    assert snapshot.spot("bybit", "ETHUSDT", for_trade=True) == close_of("spot", ms(at))
    assert snapshot.perp("bybit", "ETHUSDT", for_trade=True) == close_of("perp", ms(at))
    assert snapshot.price("ETH") == close_of("spot", ms(at)) and snapshot.price("USDT") == snapshot.price("USDC") == 1
    assert snapshot.price("WETH") == snapshot.price("ETH")
    assert snapshot.perp_range("bybit", "ETHUSDT") == (close_of("perp", ms(at)),) * 2


def test_an_earlier_snapshot_stays_what_it_was_and_the_past_is_read_without_a_request(world: World) -> None:
    first = world.feed.snapshot(world.move_to(BEGAN + MINUTE))
    then = first.spot("bybit", "ETHUSDT")
    world.feed.snapshot(world.move_to(BEGAN + 10 * MINUTE))
    world.process.seen()
    assert first.spot("bybit", "ETHUSDT") == then == world.feed.snapshot(BEGAN + MINUTE).spot("bybit", "ETHUSDT")
    hours_ago = datetime(2026, 5, 30, 12, tzinfo=UTC)
    assert world.feed.snapshot(hours_ago).perp("bybit", "ETHUSDT") == close_of("perp", ms(hours_ago))
    assert world.process.seen() == []


def test_a_look_is_good_for_a_second_and_the_next_step_of_a_plan_gets_a_new_one(world: World) -> None:
    world.feed.snapshot(world.move_to(BEGAN + MINUTE))
    world.process.seen()
    world.clock.move_to(BEGAN + MINUTE + timedelta(milliseconds=900))
    world.feed.fresh()
    assert world.requests("kline") == 0
    at = world.move_to(BEGAN + 2 * MINUTE)
    assert world.feed.fresh().perp("bybit", "ETHUSDT") == close_of("perp", ms(at))
    assert world.requests("kline") == 2


def test_bars_that_closed_between_two_looks_have_their_high_and_low(world: World) -> None:
    before = world.feed.snapshot(BEGAN)
    world.feed.snapshot(world.move_to(BEGAN + 3 * MINUTE))
    closed = datetime(2026, 6, 1, 7, 35, tzinfo=UTC)
    high = close_of("perp", ms(closed)) + 2
    found = before.next_beyond("bybit", "ETHUSDT", high, above=True, until=to_instant(BEGAN + 3 * MINUTE))
    assert found == to_instant(closed) == before.next_row("perp", "bybit", "ETHUSDT")
    assert world.feed.snapshot(closed).perp_range("bybit", "ETHUSDT") == (high - 4, high)
    assert world.feed.snapshot(closed).row_stamp("perp", "bybit", "ETHUSDT") == found


class Moved:
    """A clock that somebody sets, ahead or back."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


@pytest.mark.parametrize("ahead", [timedelta(seconds=5), timedelta(days=1)])
def test_a_clock_that_was_ahead_does_not_keep_the_feed_from_looking(world: World, ahead: timedelta) -> None:
    feed, clock = world.feed, Moved(BEGAN + MINUTE)
    world.process.move_to(clock.at)
    feed.clock = clock
    before = feed.snapshot(clock.at).spot("bybit", "ETHUSDT")
    clock.at += ahead
    for series in SERIES[:2]:
        feed.snapshot(clock.at).row_stamp(*series)
    clock.at = BEGAN + 3 * MINUTE
    world.process.move_to(clock.at)
    now = feed.fresh()
    assert (now.spot("bybit", "ETHUSDT", for_trade=True), before) == (close_of("spot", ms(clock.at)), close_of("spot", ms(BEGAN + MINUTE)))
    assert now.next_row("spot", "bybit", "ETHUSDT") is None
    eight = datetime(2026, 6, 1, 8, tzinfo=UTC)
    assert now.next_row("funding", "bybit", "ETHUSDT") is None
    clock.at = eight + SECOND
    world.process.move_to(clock.at)
    assert feed.fresh().row_stamp("funding", "bybit", "ETHUSDT") == to_instant(eight)


# Funding.


def test_the_mean_funding_has_its_history_from_the_start(world: World) -> None:
    paid = [datetime(2026, 5, 31, 0, tzinfo=UTC) + place * 8 * HOUR for place in range(4)]
    mean = sum((rate_of(ms(at)) for at in paid), Decimal(0)) / 4
    assert world.feed.snapshot(BEGAN).mean_funding("bybit", "ETHUSDT", 32) == mean * 8760 / 8  # of a year's hours, paid every 8
    assert world.feed.snapshot(BEGAN).mean_funding("bybit", "ETHUSDT", 1) is None
    assert world.feed.snapshot(BEGAN - 90 * HOUR).mean_funding("bybit", "ETHUSDT", 72) is None


def test_a_payment_is_a_row_of_its_full_hour_once_it_is_due(world: World) -> None:
    eight = datetime(2026, 6, 1, 8, tzinfo=UTC)
    assert world.feed.snapshot(BEGAN).funding("bybit", "ETHUSDT") == rate_of(ms(eight - 8 * HOUR))
    now = world.feed.snapshot(world.move_to(eight + timedelta(milliseconds=2)))
    assert (now.funding("bybit", "ETHUSDT"), now.row_stamp("funding", "bybit", "ETHUSDT")) == (rate_of(ms(eight)), to_instant(eight))
    assert world.feed.snapshot(BEGAN).next_row("funding", "bybit", "ETHUSDT") == to_instant(eight)


def test_a_payment_that_the_history_does_not_have_yet_is_of_the_rate_that_was_announced(world: World) -> None:
    eight = datetime(2026, 6, 1, 8, tzinfo=UTC)
    world.clock.move_to(eight)  # the exchange is a little behind
    world.process.move_to(eight - SECOND)
    now = world.feed.snapshot(eight)
    assert (now.funding("bybit", "ETHUSDT"), now.row_stamp("funding", "bybit", "ETHUSDT")) == (rate_of(ms(eight)), to_instant(eight))
    later = world.feed.snapshot(world.move_to(eight + 10 * MINUTE))
    assert later.row_stamp("funding", "bybit", "ETHUSDT") == to_instant(eight)  # once, whatever the history says later
    world.feed.snapshot(world.move_to(eight + 8 * HOUR))
    assert later.next_row("funding", "bybit", "ETHUSDT") == to_instant(eight + 8 * HOUR)


def test_a_payment_that_falls_due_within_a_second_of_a_look_is_seen(world: World) -> None:
    eight = datetime(2026, 6, 1, 8, tzinfo=UTC)
    world.feed.snapshot(world.move_to(eight - timedelta(milliseconds=300)))
    now = world.feed.snapshot(world.move_to(eight + timedelta(milliseconds=300)))
    assert now.row_stamp("funding", "bybit", "ETHUSDT") == to_instant(eight)


def test_a_payment_without_any_rate_is_refused_or_zero(exchanges: PublicProcess) -> None:
    strict = World(exchanges).feed.snapshot(BEGAN)
    with pytest.raises(MissingData) as raised:
        strict.funding_missing("bybit", "ETHUSDT")
    assert (raised.value.error_code, "set data.missing_funding: zero" in raised.value.message) == ("DAT-005", True)
    lenient = World(exchanges, missing_funding="zero").feed
    assert lenient.snapshot(BEGAN).funding_missing("bybit", "ETHUSDT") == 0
    assert lenient.missing_funding_used == [("funding/bybit/ETHUSDT", BEGAN)]


# What fails.


def test_prices_of_ten_minutes_ago_value_positions_and_open_no_trade(world: World) -> None:
    at = world.move_to(BEGAN + 20 * MINUTE)
    world.process.fail("stale", "kline")
    snapshot = world.feed.snapshot(at)
    assert snapshot.spot("bybit", "ETHUSDT") == close_of("spot", ms(at - 10 * MINUTE))
    with pytest.raises(StaleSeries) as raised:
        snapshot.spot("bybit", "ETHUSDT", for_trade=True)
    said = "ohlcv/bybit/spot/ETHUSDT: the last price known at 2026-06-01T07:54:56Z is of 2026-06-01T07:45:00Z, 596 s old: "
    assert raised.value.message == said + "it values positions, but no trade is opened on it"


@pytest.mark.parametrize("fault", ["500", "html", "cut", "hang"])
def test_while_an_exchange_fails_its_last_price_stays_no_trade_is_opened_and_health_is_degraded(
    fault: str, exchanges: PublicProcess
) -> None:
    world = World(exchanges, timeout_s=0.5 if fault == "hang" else 5.0)
    world.feed.load(BEGAN - HOUR)
    assert world.feed.check_health()["status"] == "healthy"
    exchanges.fail(fault, "kline")
    snapshot = world.feed.snapshot(world.move_to(BEGAN + 10 * SECOND))
    assert snapshot.perp("bybit", "ETHUSDT") == close_of("perp", ms(BEGAN))
    with pytest.raises(StaleSeries, match="bybit cannot be asked for spot bars of ETHUSDT: "):
        snapshot.perp("bybit", "ETHUSDT", for_trade=True)
    assert world.feed.check_health()["status"] == "degraded"
    exchanges.fail(None)
    snapshot = world.feed.snapshot(world.move_to(BEGAN + 20 * SECOND))
    assert snapshot.perp("bybit", "ETHUSDT", for_trade=True) == close_of("perp", ms(BEGAN + 20 * SECOND))
    assert world.feed.check_health()["status"] == "healthy"


def test_an_exchange_that_fails_is_asked_once_a_look_and_leaves_the_others_alone(exchanges: PublicProcess) -> None:
    world = World(exchanges, "bybit", "binance", series=(*SERIES, ("perp", "binance", "ETHUSDT")))
    world.feed.load(BEGAN - HOUR)
    exchanges.seen()
    exchanges.fail("500", "bybit")
    snapshot = world.feed.snapshot(world.move_to(BEGAN + 10 * SECOND))
    assert snapshot.perp("binance", "ETHUSDT", for_trade=True) == close_of("perp", ms(BEGAN + 10 * SECOND))
    assert sum("bybit" in called for called in exchanges.seen()) == 1
    with pytest.raises(StaleSeries):
        snapshot.spot("bybit", "ETHUSDT", for_trade=True)


def test_what_is_older_than_max_staleness_is_no_price_any_more(exchanges: PublicProcess) -> None:
    world = World(exchanges, max_staleness={"default": 36 * HOUR, "ohlcv/bybit": HOUR})
    world.feed.load(BEGAN - HOUR)
    exchanges.fail("500", "kline")
    snapshot = world.feed.snapshot(world.move_to(BEGAN + 61 * MINUTE))
    with pytest.raises(MissingData) as raised:
        snapshot.spot("bybit", "ETHUSDT")
    assert "3,660 s old, older than the 1 h allowed (bybit cannot be asked for spot bars of ETHUSDT" in raised.value.message
    assert snapshot.funding("bybit", "ETHUSDT") == rate_of(ms(datetime(2026, 6, 1, tzinfo=UTC)))


def test_after_an_hours_long_silence_the_hours_between_are_filled(world: World) -> None:
    world.process.fail("500")
    world.feed.snapshot(world.move_to(BEGAN + 5 * HOUR))
    world.process.fail(None)
    world.feed.snapshot(world.move_to(BEGAN + 9 * HOUR))
    for hour in range(8, 17):
        at = datetime(2026, 6, 1, hour, tzinfo=UTC)
        assert world.feed.snapshot(at + 5 * HOUR if hour < 12 else at).mean_funding("bybit", "ETHUSDT", 24) is not None
    at = datetime(2026, 6, 1, 14, tzinfo=UTC)
    assert world.feed.snapshot(at).spot("bybit", "ETHUSDT") == close_of("spot", ms(at))


def test_at_the_start_an_exchange_that_is_silent_or_lists_no_such_symbol_is_refused_by_name(exchanges: PublicProcess) -> None:
    exchanges.fail("500")
    with pytest.raises(VenueUnreachable, match="bybit cannot be asked for its symbols"):
        World(exchanges).feed.load(BEGAN)
    exchanges.fail("unlisted", "instruments-info")
    with pytest.raises(
        VenueUnreachable, match="bybit cannot be asked for its symbols: its answer cannot be read: ValueError: no symbols at"
    ):
        World(exchanges).feed.load(BEGAN)
    exchanges.fail(None)
    with pytest.raises(MissingData, match="bybit lists no spot FOOUSDT"):
        World(exchanges, series=(("spot", "bybit", "FOOUSDT"),)).feed.load(BEGAN)


# What nobody named, and what a feed does not have.


def test_a_series_that_nobody_named_is_read_when_it_is_asked_for(exchanges: PublicProcess) -> None:
    world = World(exchanges, series=())
    assert world.feed.snapshot(BEGAN).perp("bybit", "ETHUSDT", for_trade=True) == close_of("perp", ms(BEGAN))
    assert world.feed.snapshot(BEGAN).names("perp", "bybit") == ("ETHUSDT",)
    with pytest.raises(MissingData, match="no perp data of okx for ETHUSDT at 2026-06-01T07:34:56Z; the exchanges that are read are bybit"):
        world.feed.snapshot(BEGAN).perp("okx", "ETHUSDT")


def test_what_a_chain_knows_is_named_with_the_way_out(world: World) -> None:
    snapshot = world.feed.snapshot(BEGAN)
    way_out = "what a chain knows is in recorded data: add --data DIR --speed max"
    for ask in (lambda: snapshot.lending("aave", "USDT"), lambda: snapshot.price("weETH"), snapshot.gas):
        with pytest.raises(MissingData, match=way_out):
            ask()
    with pytest.raises(MissingData, match="no price of FOO at 2026-06-01T07:34:56Z: the exchanges that are read are bybit"):
        snapshot.price("FOO")


def test_the_dict_of_everything_has_what_is_read(world: World) -> None:
    found = world.feed.get_data(BEGAN)["market_data"]
    assert found["spot_prices"] == {"bybit": {"ETHUSDT": float(close_of("spot", ms(BEGAN)))}}
    assert found["funding_rates"] == {"bybit": {"ETHUSDT": float(rate_of(ms(datetime(2026, 6, 1, tzinfo=UTC))))}}


# Weeks.


def test_weeks_of_looks_do_not_fill_the_memory_and_the_full_hours_stay() -> None:
    series, minute = FeedSeries("perp", "bybit", "ETHUSDT"), 60 * SECOND_US
    one = Decimal(1)
    for place in range(3 * MOST_ROWS):
        now = place * minute + 30 * SECOND_US
        bars = [Bar((place - 1) * minute, one, one, one), Bar(place * minute, one, one, one)]
        series.add_bars(bars[not place :], minute, now)
    rows = series.within(-1, 3 * MOST_ROWS * minute)
    assert len(rows) < 2 * MOST_ROWS
    assert [row.stamp for row in rows if row.stamp % HOUR_US == 0] == [*range(HOUR_US, 3 * MOST_ROWS * minute, HOUR_US)]


def test_a_bar_or_a_payment_that_comes_late_changes_nothing_that_was_read() -> None:
    series, one = FeedSeries("perp", "bybit", "ETHUSDT"), Decimal(1)
    series.add_bars([Bar(60, one, one, one)], 60, 100)
    series.add_bars([Bar(0, 2 * one, one, one), Bar(60, one, one, one)], 60, 110)
    assert [row.visible for row in series.within(0, 200)] == [100, 110]
    rates = FeedSeries("funding", "bybit", "ETHUSDT")
    rates.add_rates([Rate(100, one)])
    rates.add_rates([Rate(50, one), Rate(100, 2 * one)])
    assert [(row.visible, row.value) for row in rates.within(0, 200)] == [(100, one)]
