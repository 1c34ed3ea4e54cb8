"""A perp's mark and index prices: funding is paid on what the exchange pays it on, and the mark liquidates."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from basis_strategy_v1 import ComponentError, run
from basis_strategy_v1.core.clock import iso
from basis_strategy_v1.data import from_frame
from basis_strategy_v1.data.data_provider import DataProvider
from basis_strategy_v1.data.validation import validate

from ..world import AT, write_bars, write_funding

D = Decimal
HOURS = 24
CALM = [(3000, 3000, 3000, 3000)] * HOURS
SPIKE = [*CALM[:11], (3000, 9000, 3000, 3000), *CALM[12:]]  # closes at 12:00
QUOTES = {"bybit": "USDT", "hyperliquid": "USDC"}


def data(folder: Path, venue: str = "bybit", coins: tuple[str, ...] = ("ETH",), **series: list[tuple[float, ...]]) -> Path:
    for coin in coins:
        symbol = coin + QUOTES[venue]
        for kind in ("spot", "perp"):
            write_bars(folder, venue, kind, symbol, series.get(kind, CALM), AT)
        for kind in ("mark", "index"):
            if kind in series:
                write_bars(folder, venue, kind, symbol, series[kind], AT)
        each = 8 if venue == "bybit" else 1
        write_funding(folder, venue, symbol, {AT + timedelta(hours=hour): "0.001" for hour in range(0, HOURS + 1, each)})
    return folder


def short(folder: Path, venue: str = "bybit", coins: tuple[str, ...] = ("ETH",), **own: Any) -> Any:
    """A short of 1 of each coin from 09:00 on, with 2,000 of margin for each."""
    blocks = folder.parent / f"{folder.name}.jsonl"
    order = {"instruction_type": "cex_trade", "venue": venue, "trade_type": "perp", "side": "sell", "amount": 1}
    rows = [{"timestamp": iso(AT + timedelta(hours=9)), "block": {**order, "symbol": coin + QUOTES[venue]}} for coin in coins]
    blocks.write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = {
        "strategy_mode": "blocks", "share_class": "usdt_stable", "initial_capital": 2_000 * len(coins),
        "start": iso(AT + timedelta(hours=2)), "end": iso(AT + timedelta(hours=HOURS - 1)), "costs": "none",
        "strategy": {"file": str(blocks)},
        "initial_positions": {venue: {QUOTES[venue]: 2_000 * len(coins)}},
        "venues": {"cex": {venue: {"impact": {"model": "none"}, **own}}},
    }  # fmt: skip
    return run(config, folder)


def settlements(found: Any, kind: str) -> list[dict[str, Any]]:
    rows = [json.loads(row["data"]) for row in found.events.to_pylist() if row["event_type"] == "settlement"]
    return [row for row in rows if row["kind"] == kind]


@pytest.mark.parametrize(
    ("series", "is_liquidated"),
    [
        ({"perp": SPIKE}, True),
        ({"perp": SPIKE, "mark": CALM}, False),
        ({"perp": CALM, "mark": SPIKE}, True),
        ({"perp": CALM, "mark": CALM, "index": SPIKE}, False),
    ],
    ids=["last, without a mark", "last, and the mark is calm", "mark", "index"],
)
@pytest.mark.parametrize("coins", [("ETH",), ("ETH", "BTC")], ids=["one perp", "two perps"])
def test_a_spike_liquidates_where_the_mark_has_it(series: Any, is_liquidated: bool, coins: tuple[str, ...], tmp_path: Path) -> None:
    found = short(data(tmp_path / "data", coins=coins, **series), coins=coins)
    assert len(settlements(found, "liquidation")) == is_liquidated
    assert sum(D(value) for value in found.summary["attribution"].values()) == D(found.summary["pnl"])


def test_a_unified_account_is_liquidated_by_the_mark_and_trades_at_the_last_price(tmp_path: Path) -> None:
    marks = [*CALM[:11], (9000, 9000, 9000, 9000), *CALM[12:]]
    own = {"margin": "unified", "haircuts": {"ETH": 0.1}}
    assert settlements(short(data(tmp_path / "calm", mark=CALM), **own), "liquidation") == []
    (row,) = settlements(short(data(tmp_path / "spike", mark=marks), **own), "liquidation")
    assert row["details"]["closed"] == {"ETHUSDT": "-0.75"}  # a half, and a half of the rest
    assert {token: D(amount) for token, amount in row["deltas"]["bybit"].items()} == {"ETHUSDT-PERP": D("0.75")}  # bought at 3000, as sold


@pytest.mark.parametrize(
    ("venue", "series", "price"),
    [
        ("bybit", {}, "3000"),
        ("bybit", {"index": [(3200, 3200, 3200, 3200)] * HOURS}, "3000"),
        ("bybit", {"mark": [(3100, 3100, 3100, 3100)] * HOURS}, "3100"),
        ("hyperliquid", {"mark": [(3100, 3100, 3100, 3100)] * HOURS}, "3000"),
        ("hyperliquid", {"index": [(3200, 3200, 3200, 3200)] * HOURS}, "3200"),
    ],
)
def test_funding_is_paid_on_the_price_that_the_exchange_pays_it_on(venue: str, series: Any, price: str, tmp_path: Path) -> None:
    found = short(data(tmp_path / "data", venue, **series), venue)
    paid = settlements(found, "funding")
    assert {row["details"]["mark"] for row in paid} == {price}
    assert {D(row["deltas"][venue][QUOTES[venue]]) for row in paid} == {D(price) * D("0.001")}


def test_the_run_states_which_prices_were_used(tmp_path: Path) -> None:
    def line(folder: Path, venue: str = "bybit") -> list[str]:
        return [line for line in short(folder, venue).summary["assumptions"] if "pays funding on" in line]

    assert line(data(tmp_path / "none")) == ["ETHUSDT at bybit pays funding on its last price, and is liquidated by its last price."]
    assert line(data(tmp_path / "mark", mark=CALM)) == ["ETHUSDT at bybit pays funding on its mark, and is liquidated by its mark."]
    given = data(tmp_path / "index", "hyperliquid", index=CALM)
    assert line(given, "hyperliquid") == ["ETHUSDC at hyperliquid pays funding on its index, and is liquidated by its last price."]


def test_a_mark_that_begins_within_the_run_is_an_error_that_names_it(tmp_path: Path) -> None:
    folder = data(tmp_path / "data")
    write_bars(folder, "bybit", "mark", "ETHUSDT", CALM[12:], AT + timedelta(hours=12))
    with pytest.raises(ComponentError, match=r"DAT-001: .*ohlcv/bybit/mark/ETHUSDT_1h has no row visible at 2024-06-01T09:00:00Z"):
        short(folder)


def test_marks_are_read_imported_and_checked_like_other_bars_but_for_their_volume(tmp_path: Path) -> None:
    import pyarrow as pa

    folder = data(tmp_path / "data")
    times = [iso(AT + timedelta(hours=hour)) for hour in range(HOURS)]
    prices = {name: [3000.0] * HOURS for name in ("open", "high", "low", "close")}
    frame = pa.table({"timestamp": times, **prices, "volume": [0.0] * HOURS})
    from_frame(frame, kind="mark", venue="bybit", symbol="ETHUSDT", into=folder)
    assert [issue for issue in validate(folder) if "mark" in issue.file] == []
    read = DataProvider(folder).get_data(AT + timedelta(hours=5))["market_data"]
    assert read["mark_prices"] == {"bybit": {"ETHUSDT": 3000.0}}
