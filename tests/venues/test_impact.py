"""What an order's own size does to its fill: by the square root of its share of a day's volume, by a depth, or nothing."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from basis_strategy_v1 import ComponentError
from basis_strategy_v1.config import load_settings
from basis_strategy_v1.core.error_codes.exceptions import VenueRejected
from basis_strategy_v1.core.market import DictSnapshot

from ..world import AT, exactly, holding, provider, run, trade, venues, write_series

D = Decimal
HOURS = 24 * 9
# A price that goes up and down by 1 % an hour.
PRICES = [2_000 * (1.01 if hour % 2 else 1.0) for hour in range(HOURS)]
BARS = ("open", "high", "low", "close", "volume")


def market(folder: Path, volume: float = 1_000, days: float = 8.5, prices: list[float] = PRICES) -> Any:
    start = AT - timedelta(days=days)
    rows = [f"{(start + timedelta(hours=hour)).isoformat()},{price},{price},{price},{price},{volume}" for hour, price in enumerate(prices)]
    write_series(folder, "ohlcv/bybit/spot/ETHUSDT_1h", BARS, rows)
    write_series(folder, "ohlcv/bybit/perp/ETHUSDT_1h", BARS, rows)
    return provider(folder).snapshot(AT)


def filled(at: Any, amount: float, settings: dict[str, Any] | None = None, side: str = "buy", kind: str = "spot") -> Decimal:
    """By how many bps an order fills worse than the price."""
    everything = venues({"bybit": settings or {}})
    state = holding(everything, at, bybit={"USDT": 10**9, "ETH": 10**6})
    moved = run(trade("bybit", side, "ETHUSDT", amount, kind), everything, state, at)
    price = at.spot("bybit", "ETHUSDT")
    return abs(moved.details["price"] - price) / price * 10_000


@exactly
def test_an_order_fills_worse_by_the_square_root_of_its_share_of_the_day(tmp_path: Path) -> None:
    """1 % an hour is about 4.9 % a day; 240 of 24,000 ETH are 1 % of the day, whose square root is 10 %."""
    at = market(tmp_path)
    traded = at.traded_before("spot", "bybit", "ETHUSDT")
    assert (traded.volume, round(traded.volatility_bps)) == (24_000, 489)
    tenth, fifth = ((traded.volatility_bps / part).quantize(D("1e-6")) for part in (10, 5))
    assert filled(at, 240) == 1 + tenth
    assert filled(at, 960) == 1 + fifth
    assert filled(at, 240, side="sell") == filled(at, 240, kind="perp") == filled(at, 240)
    assert filled(at, 240, {"impact": {"k": 2}}) == 1 + fifth


@exactly
def test_a_slippage_that_is_written_is_constant_unless_an_impact_is_written_too(tmp_path: Path) -> None:
    at = market(tmp_path)
    assert filled(at, 240, {"slippage_bps": 3}) == 3
    assert filled(at, 240, {"slippage_bps": 0}) == 0
    assert filled(at, 240, {"impact": {"model": "none"}}) == 1
    assert filled(at, 240, {"slippage_bps": 3, "impact": {}}) == filled(at, 240) + 2


@exactly
def test_a_depth_moves_the_price_evenly_and_the_mean_of_the_way_is_paid(tmp_path: Path) -> None:
    at = market(tmp_path)
    notional = 100 * at.spot("bybit", "ETHUSDT")
    assert filled(at, 100, {"impact": {"model": "depth", "depth": str(notional)}}) == 1 + 50
    assert filled(at, 50, {"impact": {"model": "depth", "depth": str(notional)}}) == 1 + 25


@exactly
def test_without_a_day_of_volume_the_slippage_is_constant_and_the_report_states_it(tmp_path: Path) -> None:
    young = market(tmp_path / "young", days=0.5, prices=PRICES[:24])
    silent = market(tmp_path / "silent", volume=0)
    only_prices = DictSnapshot(AT, {"market_data": {"prices": {"ETH": 2000.0, "USDT": 1.0}}})
    everything = venues()
    for at in (young, silent, only_prices):
        assert filled(at, 5) == 1
        run(trade("bybit", "buy", "ETHUSDT", 5), everything, holding(everything, at, bybit={"USDT": 10**6}), at)
    (line,) = everything["bybit"].own_size.lines()
    assert line.endswith("of the day before (impact: sqrt), by slippage_bps alone where there is no such day; it moves no later price.")


@exactly
def test_an_order_beyond_a_share_of_its_bar_is_reported_and_beyond_another_refused(tmp_path: Path) -> None:
    at, everything = market(tmp_path), venues()
    state = holding(everything, at, bybit={"USDT": 10**9})
    for amount in (100, 101, 9_000):
        run(trade("bybit", "buy", "ETHUSDT", amount), everything, state, at)
    assert list(everything["bybit"].own_size.lines())[-1] == (
        "bybit: 1 orders were more than 0.1 of their bar's volume, the largest 9.00 of it (ETHUSDT spot, 2024-06-01T00:00:00Z)."
    )
    with pytest.raises(VenueRejected) as caught:
        run(trade("bybit", "buy", "ETHUSDT", 10_001), everything, state, at)
    assert caught.value.message == (
        "bybit takes no spot order of 10001 ETHUSDT, more than 10 times the 1000 of its last bar; trade less, or set impact.refuse_share"
    )
    with pytest.raises(VenueRejected, match="more than 0"):
        run(
            trade("bybit", "buy", "ETHUSDT", 51), venues({"bybit": {"impact": {"report_share": "0.01", "refuse_share": "0.05"}}}), state, at
        )


@exactly
def test_an_order_never_fills_at_a_price_below_zero(tmp_path: Path) -> None:
    at = market(tmp_path)
    settings = {"bybit": {"impact": {"k": 100, "refuse_share": 1000}}}
    everything = venues(settings)
    with pytest.raises(VenueRejected, match=r"sell of 9000 ETHUSDT spot would move its price by 2\d\d"):
        run(trade("bybit", "sell", "ETHUSDT", 9_000), everything, holding(everything, at, bybit={"ETH": 10_000}), at)


@exactly
def test_what_a_strategy_is_given_for_a_notional_is_no_less_than_what_the_order_pays_and_the_same_all_day(tmp_path: Path) -> None:
    at, bybit = market(tmp_path), venues()["bybit"]
    price = at.traded_before("spot", "bybit", "ETHUSDT").close
    for amount in (1, 37, 240, 999):
        pays = bybit.own_size.bps("spot", "ETHUSDT", D(amount), price, at) / 10_000
        given = bybit.fact().impact("spot", "ETHUSDT", amount * price, at)
        assert pays <= given + D("1e-8") and given <= pays + D("2e-8")
    assert bybit.impact("spot", "ETHUSDT", D(0), at) == 0
    depth = venues({"bybit": {"impact": {"model": "depth", "depth": 1_000}}})["bybit"]
    assert depth.impact("spot", "ETHUSDT", D(500), at) == D("0.0025")
    young = DictSnapshot(AT, {"market_data": {"prices": {"ETH": 2000.0}}})
    assert venues()["bybit"].impact("spot", "ETHUSDT", D(500), young) == 0
    assert venues({"bybit": {"slippage_bps": 0}})["bybit"].fact().impact is None


@pytest.mark.parametrize(
    ("impact", "fault"),
    [
        ({"model": "linear"}, "impact.model: 'linear'; allowed: sqrt | depth | none"),
        ({"k": -1}, "impact.k: -1; allowed: a number from 0 to 100"),
        ({"model": "depth"}, "impact.depth: 'null'; allowed: a notional above 0 with model: depth"),
        ({"depth": 5}, "impact.depth: '5'; allowed: null with another model than depth"),
        ({"report_share": 2, "refuse_share": 1}, "impact.refuse_share: '1'; allowed: at least report_share, 2"),
    ],
)
def test_parameters_that_cannot_be_are_refused(impact: dict[str, Any], fault: str) -> None:
    with pytest.raises(ComponentError) as caught:
        load_settings("cex", "bybit", {"impact": impact})
    assert f"venues.cex.bybit.{fault}" in str(caught.value)
