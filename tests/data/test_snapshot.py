from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from basis_strategy_v1.core.clock import to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.market import GasRow, LendingRow, MissingData, StaleSeries
from basis_strategy_v1.data.data_provider import DataProvider

Write = Callable[..., Path]
T0 = datetime(2024, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
D = Decimal


def bar(at: datetime, close: object, high: object = None, low: object = None) -> str:
    return f"{at.isoformat()},{close},{close if high is None else high},{close if low is None else low},{close},1"


def test_each_kind_is_read_exactly(sample: Path) -> None:
    snapshot = DataProvider(sample).snapshot(T0)

    def last(series_id: str) -> list[str]:
        """The row in the file whose stamp is T0, or an hour before for bars."""
        stamp = "2024-05-31T23:00:00Z" if series_id.startswith(("ohlcv", "dex")) else "2024-06-01T00:00:00Z"
        lines = (sample / f"{series_id}.csv").read_text().splitlines()
        return next(line for line in lines if line.startswith(stamp)).split(",")[1:]

    first, high, low, close, _ = last("ohlcv/bybit/perp/ETHUSDT_1h")
    lending = last("lending/aave_v3/weETH")
    gas = last("gas/ethereum")
    assert D(first) > 0
    assert snapshot.perp("bybit", "ETHUSDT", for_trade=True) == D(close)
    assert snapshot.perp_range("bybit", "ETHUSDT") == (D(low), D(high))
    assert snapshot.spot("bybit", "BTCUSDT") == D(last("ohlcv/bybit/spot/BTCUSDT_1h")[3])
    assert snapshot.funding("binance", "ETHUSDT") == D(last("funding/binance/ETHUSDT")[0])
    assert snapshot.lending("aave", "weETH") == LendingRow(to_instant(T0), *map(D, lending[1:]))
    assert snapshot.redemption("lido", "wstETH") == D(last("staking/lido/wstETH")[0])
    assert snapshot.dex_rate("uniswap", "wstETH_WETH", for_trade=True) == D(last("dex/uniswap_v3/wstETH_WETH")[0])
    assert snapshot.gas() == GasRow(D(gas[1]), D(gas[2]))


def test_a_lending_row_as_integers_is_the_row_of_decimals_and_one_object_as_long_as_it_is_in_force(write: Write) -> None:
    row = "1.010,0.07,1.02,0.0925,451506072.78,379724282.811217,1.00037434"
    folder = write("lending/aave/USDT", f"2024-06-01T00:00:00Z,1,{row}", f"2024-06-01T01:00:00Z,2,{row}")
    provider = DataProvider(folder, max_staleness="5h")
    assert provider.snapshot(T0 - HOUR).lending_scaled("aave", "USDT") is None
    assert provider.snapshot(T0).lending_scaled("aave", "WETH") is None
    scaled, later = (provider.snapshot(T0 + minutes * HOUR / 60).lending_scaled("aave", "USDT") for minutes in (0, 59))
    assert scaled is not None
    assert scaled is later
    assert [D(value).scaleb(-places) for value, places in zip(scaled.values, scaled.decimals, strict=True)] == [*map(D, row.split(","))]
    assert provider.snapshot(T0 + HOUR).lending_scaled("aave", "USDT") is not scaled
    for ask in ("lending", "lending_scaled"):
        with pytest.raises(MissingData, match=r"DAT-002: .*the last row visible at 2024-06-01T07:00:00Z"):
            getattr(provider.snapshot(T0 + 7 * HOUR), ask)("aave", "USDT")


def test_a_lending_row_that_does_not_fit_in_integers_has_no_such_form(write: Write) -> None:
    row = "1.010000000000000000000000001,0.07,1.02,0.09,451506072.78,379724282.8,1.0003"
    provider = DataProvider(write("lending/aave/USDT", f"2024-06-01T00:00:00Z,1,{row}"))
    assert provider.snapshot(T0).lending_scaled("aave", "USDT") is None
    assert provider.snapshot(T0).lending("aave", "USDT").liquidity_index == D("1.010000000000000000000000001")


@pytest.mark.parametrize(
    ("ask", "expected"),
    [
        (lambda s: s.spot("okx", "ETHUSDT"), "no spot data of okx for ETHUSDT at 2024-06-01T00:00:00Z; the data have spot of bybit"),
        (lambda s: s.spot("bybit", "XUSDT"), "no spot data of bybit for XUSDT at 2024-06-01T00:00:00Z; bybit has BTCUSDT, ETHUSDT"),
        (lambda s: s.perp("okx", "X"), "no perp data of okx for X at 2024-06-01T00:00:00Z; the data have perp of binance, bybit"),
        (lambda s: s.perp_range("okx", "X"), "no perp data of okx for X at 2024-06-01T00:00:00Z; the data have perp of binance, bybit"),
        (lambda s: s.dex_rate("balancer", "X"), "no dex data of balancer for X at 2024-06-01T00:00:00Z; "
         "the data have dex of curve, uniswap"),
        (lambda s: s.gas("polygon"), "no gas data of polygon for polygon at 2024-06-01T00:00:00Z; the data have gas of ethereum"),
        (lambda s: s.lending("morpho", "X"), "no lending data of morpho for X at 2024-06-01T00:00:00Z; the data have lending of aave"),
        (lambda s: s.price("DOGE"), "no price of DOGE at 2024-06-01T00:00:00Z: no spot series of it is visible; "
         "the data have spot of bybit"),
    ],
)  # fmt: skip
def test_a_miss_names_the_series_the_time_and_what_there_is(sample: Path, ask: Callable[[object], object], expected: str) -> None:
    with pytest.raises(MissingData) as raised:
        ask(DataProvider(sample).snapshot(T0))
    assert str(raised.value) == f"DAT-001: {expected}"


def test_a_miss_in_data_without_the_kind_says_so(write: Write) -> None:
    snapshot = DataProvider(write("gas/ethereum", f"{T0.isoformat()},1,2,3")).snapshot(T0)
    with pytest.raises(MissingData, match="the data have no staking at all"):
        snapshot.redemption("lido", "wstETH")


def test_a_miss_before_the_first_row_says_when_it_comes(sample: Path) -> None:
    snapshot = DataProvider(sample).snapshot(T0 - 25 * HOUR)
    expected = "no row visible at 2024-05-30T23:00:00Z; its first is visible from 2024-05-31T0"
    for ask in (snapshot.spot, snapshot.perp, snapshot.perp_range):
        with pytest.raises(MissingData, match=f"_1h has {expected}1:00:00Z"):
            ask("bybit", "ETHUSDT")
    with pytest.raises(MissingData, match=f"DAT-001: funding/bybit/ETHUSDT has {expected}0:00:00Z"):
        snapshot.funding("bybit", "ETHUSDT")


def test_old_snapshots_stay_valid(sample: Path) -> None:
    provider = DataProvider(sample)
    times = [T0 + hour * HOUR for hour in range(48)]
    kept = [provider.snapshot(at, to_instant(at)) for at in times]
    forwards = [(s.spot("bybit", "ETHUSDT"), s.gas(), s.perp_range("bybit", "BTCUSDT")) for s in kept]
    backwards = [(s.spot("bybit", "ETHUSDT"), s.gas(), s.perp_range("bybit", "BTCUSDT")) for s in reversed(kept)]
    assert forwards == backwards[::-1]
    assert len(set(forwards)) == 48


def test_several_threads_read_the_same(sample: Path) -> None:
    provider = DataProvider(sample)
    times = [T0 + hour * HOUR for hour in range(300)]
    alone = [DataProvider(sample).snapshot(at).price("weETH") for at in times[:3]]
    found: dict[int, list[Decimal]] = {}

    def read(place: int) -> None:
        found[place] = [provider.snapshot(at).price("weETH") for at in (times if place % 2 else times[::-1])]

    threads = [Thread(target=read, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found[1] == found[3] == found[0][::-1] == found[2][::-1]
    assert found[1][:3] == alone


def test_stale_bars_value_but_do_not_trade(write: Write) -> None:
    folder = write("ohlcv/okx/perp/ETHUSDT_1h", bar(T0, 10), bar(T0 + 721 * HOUR, 11))
    later = T0 + 3 * HOUR
    assert DataProvider(folder).snapshot(later).perp("okx", "ETHUSDT") == 10
    with pytest.raises(StaleSeries, match="DAT-002: ohlcv/okx/perp/ETHUSDT_1h: "):
        DataProvider(folder).snapshot(later).perp("okx", "ETHUSDT", for_trade=True)
    much_later = T0 + 700 * HOUR
    with pytest.raises(MissingData, match="older than the 36h allowed"):
        DataProvider(folder).snapshot(much_later).perp_range("okx", "ETHUSDT")
    for allowed in ("31d", timedelta(days=31), {"ohlcv/okx": "31d"}, {"ohlcv": "1h", "ohlcv/okx/perp/ETHUSDT_1h": "31d"}):
        assert DataProvider(folder, max_staleness=allowed).snapshot(much_later).perp("okx", "ETHUSDT") == 10


def test_a_staleness_for_what_is_no_series_is_refused(sample: Path) -> None:
    with pytest.raises(ComponentError) as raised:
        DataProvider(sample, max_staleness={"okx": "30d"})
    assert str(raised.value) == (
        "CFG-001: data.max_staleness: 'okx' is no series; write `default` or a path such as ohlcv/okx, "
        "beginning with ohlcv, funding, lending, staking, dex, gas, queue, events"
    )


def test_the_next_row_and_the_last_show_a_gap_in_funding(write: Write) -> None:
    hours = (0, 8, 40)
    folder = write("funding/okx/ETHUSDT", *(f"{(T0 + hour * HOUR).isoformat()},0.0001" for hour in hours))
    provider = DataProvider(folder)
    rows = {hour: to_instant(T0 + hour * HOUR) for hour in hours}

    def around(at: datetime) -> tuple[int | None, int | None]:
        snapshot = provider.snapshot(at)
        return snapshot.row_stamp("funding", "okx", "ETHUSDT"), snapshot.next_row("funding", "okx", "ETHUSDT")

    assert [around(T0 + hour * HOUR) for hour in (-1, 0, 8, 16, 40)] == [
        (None, rows[0]), (rows[0], rows[8]), (rows[8], rows[40]), (rows[8], rows[40]), (rows[40], None)
    ]  # fmt: skip
    snapshot = provider.snapshot(T0)
    assert snapshot.row_stamp("funding", "okx", "X") is None
    assert snapshot.next_row("funding", "okx", "X") is None


def test_missing_funding_is_an_error_unless_it_may_be_zero(write: Write) -> None:
    folder = write("funding/okx/ETHUSDT", f"{T0.isoformat()},0.0001")
    at = T0 + 8 * HOUR
    with pytest.raises(MissingData) as raised:
        DataProvider(folder).snapshot(at).funding_missing("okx", "ETHUSDT")
    assert str(raised.value) == (
        "DAT-005: funding/okx/ETHUSDT has no row at 2024-06-01T08:00:00Z, when a payment is due on the position held; "
        "fill the gap, or set data.missing_funding: zero"
    )
    provider = DataProvider(folder, missing_funding="zero")
    snapshot = provider.snapshot(at)
    found = [snapshot.funding_missing(*what) for what in (("okx", "ETHUSDT"), ("okx", "ETHUSDT"), ("okx", "BTCUSDT"))]
    assert found == [0, 0, 0]
    assert provider.missing_funding_used == [("funding/okx/ETHUSDT", at), ("funding/okx/BTCUSDT", at)]


def test_prices_come_from_the_venues_in_the_order_given(write: Write) -> None:
    write("ohlcv/uniswap_v3/spot/WETHUSDT_1h", bar(T0, 2001))
    write("ohlcv/bybit/spot/ETHUSDT_1h", bar(T0, 2002))
    folder = write("ohlcv/binance/spot/ETHUSDT_1h", bar(T0 + HOUR, 2003))

    def prices(*venues: str) -> list[Decimal]:
        provider = DataProvider(folder, spot_venues=venues)
        return [provider.snapshot(T0 + hour * HOUR).price("ETH") for hour in (1, 2)]

    assert prices() == [2002, 2003]
    assert prices("bybit", "binance") == [2002, 2002]
    assert prices("uniswap") == [2001, 2001]
    assert prices("okx", "uniswap") == [2001, 2001]


def test_tokens_are_worth_what_they_stand_for(write: Write) -> None:
    write("ohlcv/bybit/spot/ETHUSDC_1h", bar(T0, 2000))
    write("ohlcv/bybit/spot/USDCUSDT_1h", bar(T0 + HOUR, "0.99"))
    write("staking/lido/wstETH", f"{T0.isoformat()},1.2")
    folder = write("staking/etherfi/weETH", f"{T0.isoformat()},1.05")
    provider = DataProvider(folder)
    tokens = ("USDT", "USDC", "ETH", "WETH", "stETH", "eETH", "wstETH", "weETH")
    assert [provider.snapshot(T0 + HOUR).price(token) for token in tokens] == [1, 1, 2000, 2000, 2000, 2000, 2400, 2100]
    assert [provider.snapshot(T0 + 2 * HOUR).price(token) for token in tokens] == [1, D("0.99"), 1980, 1980, 1980, 1980, 2376, 2079]


def minutes_and_hours(write: Write, first: int, last: int) -> Path:
    """Hourly closes of 1 for ten hours, and minute closes of 2 from hour `first` to hour `last`."""
    write("ohlcv/bybit/spot/ETHUSDT_1h", *(bar(T0 + hour * HOUR, 1) for hour in range(10)))
    rows = (bar(T0 + timedelta(minutes=minute), 2) for minute in range(first * 60, last * 60))
    return write("ohlcv/bybit/spot/ETHUSDT_1m", *rows)


def closes(provider: DataProvider, *hours: int) -> list[Decimal]:
    return [provider.snapshot(T0 + hour * HOUR).spot("bybit", "ETHUSDT") for hour in hours]


def test_the_finest_bars_that_cover_the_run_are_used(write: Write) -> None:
    folder = minutes_and_hours(write, 2, 8)
    allowed = {"ohlcv": "1h"}
    run = {"since": T0 + 3 * HOUR, "until": T0 + 8 * HOUR}
    assert closes(DataProvider(folder, max_staleness=allowed, **run), 3, 8, 5) == [2, 2, 2]  # type: ignore[arg-type]


def test_bars_that_begin_or_end_within_the_run_are_not(write: Write) -> None:
    folder = minutes_and_hours(write, 2, 8)
    allowed = {"ohlcv": "1h"}
    assert closes(DataProvider(folder, max_staleness=allowed, since=T0 + HOUR), 1, 3, 8) == [1, 1, 1]
    assert closes(DataProvider(folder, max_staleness=allowed, since=T0 + 3 * HOUR, until=T0 + 10 * HOUR), 3, 10) == [1, 1]
    assert closes(DataProvider(folder, max_staleness=allowed), 3, 10) == [1, 1]


def test_where_the_beginning_is_not_given_the_instant_asked_for_counts(write: Write) -> None:
    folder = minutes_and_hours(write, 2, 10)
    assert closes(DataProvider(folder), 1, 3, 10, 1) == [1, 2, 2, 1]


def test_where_no_bars_cover_the_run_the_newest_row_answers(write: Write) -> None:
    folder = minutes_and_hours(write, 2, 8)
    provider = DataProvider(folder, since=T0 - HOUR, until=T0 + 10 * HOUR, max_staleness={"ohlcv": "1h"})
    assert closes(provider, 1, 3, 8, 9, 10) == [1, 2, 2, 1, 1]
    with pytest.raises(MissingData, match="has no row visible"):
        closes(provider, 0)


def test_only_bars_that_answered_are_reported_as_used(write: Write) -> None:
    folder = minutes_and_hours(write, 2, 8)
    coarse, fine = (f"ohlcv/bybit/spot/ETHUSDT_{interval}" for interval in ("1h", "1m"))
    for since, until, used in [(3, 7, (fine,)), (1, 9, (coarse,)), (0, 10, (coarse, fine))]:
        ends = {"since": T0 + since * HOUR, "until": T0 + until * HOUR}
        provider = DataProvider(folder, max_staleness={"ohlcv": "1h"}, **ends)  # type: ignore[arg-type]
        assert provider.coverage("spot", "bybit", "ETHUSDT") is not None  # which reads them all
        assert provider.series_used == ()
        assert closes(provider, *range(max(since, 1), until + 1))
        assert provider.series_used == used


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    hours=st.sets(st.integers(0, 11), min_size=1),
    quarters=st.sets(st.integers(0, 47), min_size=1),
    since=st.integers(0, 6),
    is_given=st.booleans(),
    allowed=st.integers(4, 20),
)
def test_what_is_reported_of_old_prices_is_what_reading_meets(
    hours: set[int], quarters: set[int], since: int, is_given: bool, allowed: int, write: Write
) -> None:
    """At every instant the bar that is read is older than its interval, or than is allowed, exactly where spans say so."""
    quarter = timedelta(minutes=15)
    write("ohlcv/bybit/spot/ETHUSDT_1h", *(bar(T0 + hour * HOUR, 1) for hour in sorted(hours)))
    folder = write("ohlcv/bybit/spot/ETHUSDT_1m", *(bar(T0 + place * quarter, 1) for place in sorted(quarters)))
    start, end = T0 + since * HOUR, T0 + 13 * HOUR
    provider = DataProvider(folder, max_staleness=allowed * quarter, since=start if is_given else None, until=end)
    first, last = to_instant(start), to_instant(end)
    unusable = provider.unusable_spans("spot", "bybit", "ETHUSDT", first, last)
    stale = provider.stale_spans(first, last)
    for minute in range((13 - since) * 60 + 1):
        at = start + timedelta(minutes=minute)
        kept, traded = closed(provider, at, for_trade=False), closed(provider, at, for_trade=True)
        within = [[name for name, begin, stop in spans if begin <= to_instant(at) < stop] for spans in (unusable, stale)]
        reported = [[] if seen is None else [seen] for seen in (kept, traded or kept)]
        assert within == reported, at


def closed(provider: DataProvider, at: datetime, *, for_trade: bool) -> str | None:
    """The series whose bar is too old to be read at an instant; None where it can be read, or nothing is visible yet."""
    try:
        provider.snapshot(at).spot("bybit", "ETHUSDT", for_trade=for_trade)
    except MissingData as refused:
        return None if refused.error_code == "DAT-001" else refused.message.split(":")[0]
    return None


@pytest.fixture(scope="module")
def exact_rows(sample: Path) -> tuple[list[int], list[Decimal]]:
    lines = [line.split(",") for line in (sample / "ohlcv/binance/perp/BTCUSDT_1h.csv").read_text().splitlines()[1:]]
    return [to_instant(datetime.fromisoformat(line[0]) + HOUR) for line in lines], [D(line[4]) for line in lines]


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(minutes=st.lists(st.integers(61, 120 * 24 * 60), min_size=1, max_size=20))
def test_any_order_of_instants_reads_the_last_bar_closed(
    sample: Path, exact_rows: tuple[list[int], list[Decimal]], minutes: list[int]
) -> None:
    provider = DataProvider(sample)
    visible, values = exact_rows
    for minute in minutes:
        at = T0 - 24 * HOUR + timedelta(minutes=minute)
        expected = values[sum(instant <= to_instant(at) for instant in visible) - 1]
        assert provider.snapshot(at).perp("binance", "BTCUSDT") == expected
