"""A figure that a venue changes on a date: a run across the change is what two runs, before and after it, give joined by hand."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from basis_strategy_v1 import ComponentError, ExecutionInterfaceManager, load_config, run
from basis_strategy_v1.core.clock import from_instant, to_instant

START, CHANGE, END = "2024-06-01", "2024-06-02", "2024-06-03"


def by_date(before: Any, after: Any) -> list[dict[str, Any]]:
    return [{"from": START, "value": before}, {"from": CHANGE, "value": after}]


def config(**figures: Any) -> dict[str, Any]:
    """Blocks on bybit with these figures of it."""
    return {
        "strategy_mode": "blocks",
        "share_class": "usdt_stable",
        "initial_capital": 100_000,
        "start": START,
        "end": END,
        "venues": {"cex": {"bybit": figures}, "onchain": {"wallet": {"gas_price_gwei": 0}}},
    }


PRICES = {"spot": 3_000.0, "perp": 3_000.0}


class Prices:
    """ETH at 3000 in every market, with a funding rate."""

    def get_data(self, at: Any) -> dict[str, Any]:
        symbol = {"bybit": {"ETHUSDT": 3_000.0}}
        return {
            "timestamp": at,
            "market_data": {
                "prices": {"ETH": 3_000.0, "USDT": 1.0},
                "spot_prices": symbol,
                "perp_prices": symbol,
                "funding_rates": {"bybit": {"ETHUSDT": 0.0001}},
            },
        }


def answers(figures: dict[str, Any], days: tuple[str, ...], block: dict[str, Any]) -> list[Any]:
    """What the block's delta, or refusal, is at noon of each day, on an account of its own."""
    found = []
    for day in days:
        held = {"bybit": {"USDT": 50_000, "ETH": 10}}
        manager = ExecutionInterfaceManager(config(**figures), Prices(), "backtest", positions=held)
        at = from_instant(to_instant_of(day))
        try:
            found.append(manager.execute(at, block).deltas)
        except ComponentError as refused:
            found.append(refused.message)
    return found


def to_instant_of(day: str) -> int:
    return to_instant(datetime.fromisoformat(f"{day}T12:00:00+00:00"))


SPOT = {"instruction_type": "cex_trade", "venue": "bybit", "trade_type": "spot", "side": "buy", "symbol": "ETHUSDT", "amount": 1}
PERP = {**SPOT, "trade_type": "perp", "side": "sell"}
OUT = {"instruction_type": "wallet_transfer", "from_venue": "bybit", "to_venue": "wallet", "token": "USDT", "amount": 1000}
FIGURES = {
    "spot fee": ("spot_taker_fee_bps", 10, 5, SPOT),
    "perp fee": ("perp_taker_fee_bps", 6, 3, PERP),
    "fee of a symbol": ("perp_taker_fee_bps", {"ETHUSDT": 6}, {"ETHUSDT": 3}, PERP),
    "slippage": ("slippage_bps", 1, 4, SPOT),
    "smallest order": ("min_notional", 5, 5_000, SPOT),
    "lot": ("lot", "0.01", "0.3", {**SPOT, "amount": 1}),
    "tick": ("tick", "0.01", "7", {**SPOT, "order_type": "limit", "price": 3_001}),
    "most leverage": ("max_leverage", 10, "0.5", {**PERP, "amount": 20}),
    "maintenance": ("maintenance_margin_bps", 50, 9_000, {**PERP, "amount": 20}),
    "tiers": ("tiers", {"ETHUSDT": [{"maintenance_bps": 50}]}, {"ETHUSDT": [{"maintenance_bps": 9000}]}, {**PERP, "amount": 20}),
    "withdrawal": ("withdrawal", {"USDT": {"fee": 1}}, {"USDT": {"fee": 7}}, OUT),
}
BY_NAME = ("tiers", "withdrawal")


@pytest.mark.parametrize(("name", "before", "after", "block"), FIGURES.values(), ids=FIGURES)
def test_a_figure_of_an_exchange_holds_from_its_date(name: str, before: Any, after: Any, block: dict[str, Any]) -> None:
    is_by_name = isinstance(before, dict)
    dated: Any = {key: by_date(before[key], after[key]) for key in before} if is_by_name else by_date(before, after)
    days = (START, CHANGE)
    was, now = answers({name: before}, days[:1], block), answers({name: after}, days[1:], block)
    assert answers({name: dated}, days, block) == [*was, *now]
    assert was != now


def test_a_config_keeps_its_dates() -> None:
    given = config(spot_taker_fee_bps=by_date(10, 5), perp_taker_fee_bps={"ETHUSDT": by_date(6, 3), "BTC": 1})
    written = load_config(given).effective["venues"]["cex"]["bybit"]
    dates = [{"from": f"{START}T00:00:00Z", "value": 6}, {"from": f"{CHANGE}T00:00:00Z", "value": 3}]
    assert written["perp_taker_fee_bps"] == {"BTC": 1, "ETHUSDT": dates}
    assert load_config(load_config(given).effective).hash == load_config(given).hash


@pytest.mark.parametrize(
    ("figure", "message"),
    [
        (by_date(10, 5)[::-1], "venues.cex.bybit.spot_taker_fee_bps: a list of 2; allowed: a list of {from: date, value} in order of time"),
        ([], "venues.cex.bybit.spot_taker_fee_bps: a list of 0; allowed: a list of {from: date, value} in order of time"),
        ([{"from": START, "value": -500}], "venues.cex.bybit.spot_taker_fee_bps[0].value: -500; allowed: a number from -100 to 10000"),
        ([{"since": START, "value": 5}], "venues.cex.bybit.spot_taker_fee_bps[0]: a mapping of 2; allowed: {from: date, value}"),
    ],
)
def test_dates_that_make_no_sense_are_refused_in_one_line(figure: Any, message: str) -> None:
    with pytest.raises(ComponentError) as refused:
        load_config(config(spot_taker_fee_bps=figure))
    assert refused.value.message == message


def basis(start: str, end: str, **figures: Any) -> dict[str, Any]:
    return {
        "strategy_mode": "eth_basis",
        "share_class": "usdt_stable",
        "initial_capital": 100_000,
        "start": start,
        "end": end,
        "strategy": {"spot_venue": "bybit", "perp_venue": "bybit"},
        "venues": {"cex": {"bybit": {"withdrawal": {}, **figures}}},
    }


def test_funding_falls_due_by_the_interval_in_force(sample: Path) -> None:
    """The sample's rows are each 8 h; at 1 h each full hour without a row is a payment that is missing, and named."""

    def paid(interval: Any) -> list[str]:
        found = run({**basis(START, END, funding_interval_hours=interval), "data": {"missing_funding": "zero"}}, sample)
        return [row["timestamp"] for row in found.events.to_pylist() if row["event_type"] == "settlement" and "funding" in str(row)]

    before, after = paid(8), paid(1)
    dated = paid([{"from": START, "value": 8}, {"from": CHANGE, "value": 1}])
    noon = next(index for index, at in enumerate(after) if str(at) > CHANGE)
    assert dated == [at for at in before if str(at) <= CHANGE] + after[noon:]
    assert len(before) < len(dated) < len(after)


def test_a_margin_that_rises_liquidates_at_its_date_though_no_bar_closes_then(sample: Path, tmp_path: Path) -> None:
    at = "2024-06-02T00:30:00Z"
    short = {**PERP, "amount": 10}
    blocks = tmp_path / "short.jsonl"
    blocks.write_text(json.dumps({"timestamp": "2024-06-01T12:00:00Z", "block": short}) + "\n", encoding="utf-8")
    given = config(maintenance_margin_bps=[{"from": START, "value": 50}, {"from": at, "value": 9_900}])
    given |= {"strategy": {"file": str(blocks)}, "initial_positions": {"bybit": {"USDT": 10_000}}}
    found = run(given, sample)
    closed = [row for row in found.events.to_pylist() if row["event_type"] == "settlement" and '"kind":"liquidation"' in row["data"]]
    assert [from_text(row["timestamp"]) for row in closed] == [from_text(at)]
    assert Decimal(found.summary["attribution"]["liquidation"]) < 0


def from_text(at: Any) -> datetime:
    return at if isinstance(at, datetime) else datetime.fromisoformat(str(at))
