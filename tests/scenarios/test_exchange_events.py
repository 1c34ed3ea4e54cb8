"""Auto-deleveraging and halts of an exchange, from the data or made up: positions, orders and the strategies that hold them."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1 import ComponentError, load_config, run
from basis_strategy_v1.app.commands import check_run
from basis_strategy_v1.core.clock import DAY_US, HOUR_US, iso, to_instant
from basis_strategy_v1.core.history import History
from basis_strategy_v1.data.data_provider import DataProvider
from basis_strategy_v1.data.importing import import_to_database
from basis_strategy_v1.data.validation import validate
from basis_strategy_v1.execution.execution_interface_manager import venues_of_config
from basis_strategy_v1.venues.cex import Exchange
from basis_strategy_v1.venues.exchange_events import Adl, stressed

from ..world import AT, write_bars, write_funding, write_series

D = Decimal
HOURS = 72
SHORT = {"instruction_type": "cex_trade", "venue": "bybit", "trade_type": "perp", "side": "sell", "symbol": "ETHUSDT", "amount": 1}
HEADER = ("kind", "symbol", "share", "price", "to", "until")


def at(hour: float) -> str:
    return iso(AT + timedelta(hours=hour))


def data(folder: Path, *events: str, prices: list[float] | None = None, **other: list[tuple[float, ...]]) -> Path:
    bars: list[tuple[float, ...]] = [(price,) for price in prices or [3000.0] * HOURS]
    for kind in ("spot", "perp"):
        write_bars(folder, "bybit", kind, "ETHUSDT", bars, AT)
    for kind, rows in other.items():
        write_bars(folder, "bybit", kind, "ETHUSDT", rows, AT)
    write_funding(folder, "bybit", "ETHUSDT", {AT + timedelta(hours=hour): 0 for hour in range(0, HOURS + 1, 8)})
    if events:
        write_series(folder, "events/bybit", HEADER, list(events))
    return folder


def config(**own: Any) -> dict[str, Any]:
    return {
        "strategy_mode": "eth_basis", "share_class": "usdt_stable", "initial_capital": 60_000, "costs": "none",
        "start": at(2), "end": at(70),
        "strategy": {"spot_venue": "bybit", "perp_venue": "bybit"}, "venues": {"cex": {"bybit": {"impact": {"model": "none"}}}}, **own,
    }  # fmt: skip


def of_blocks(folder: Path, *rows: tuple[float, dict[str, Any]]) -> dict[str, Any]:
    path = folder / "blocks.jsonl"
    path.write_text("".join(json.dumps({"timestamp": at(hour), "block": block}) + "\n" for hour, block in rows))
    held = {"initial_positions": {"bybit": {"USDT": 60_000}}}
    return {**config(**held), "strategy_mode": "blocks", "strategy": {"file": str(path)}}


def settlements(found: Any, kind: str) -> list[dict[str, Any]]:
    rows = [json.loads(row["data"]) for row in found.events.to_pylist() if row["event_type"] == "settlement"]
    return [row for row in rows if row["kind"] == kind]


def held(found: Any) -> dict[str, Decimal]:
    rows = found.positions.to_pylist()
    return {row["token"]: D(str(row["amount"])) for row in rows if row["timestamp"] == rows[-1]["timestamp"]}


def test_an_adl_closes_its_share_of_a_perp_at_the_mark_and_the_profit_adds_up(tmp_path: Path) -> None:
    marks = [(2900.0,)] * HOURS
    folder = data(tmp_path / "data", f"{at(20)},adl,ETHUSDT,0.4,,,", mark=marks)
    found = run(of_blocks(tmp_path, (5, SHORT)), folder)
    (row,) = settlements(found, "adl")
    assert {token: D(amount) for token, amount in row["deltas"]["bybit"].items()} == {"ETHUSDT-PERP": D("0.4"), "USDT": D(40)}
    assert row["details"] == {"symbol": "ETHUSDT", "price": "2900", "position": "-1", "closed": "-0.4"}
    assert held(found)["ETHUSDT-PERP"] == D("-0.6")
    assert D(found.summary["attribution"]["perp_price"]) == D(found.summary["pnl"]) == 40


@pytest.mark.parametrize("share", ["1", "0.01", "0.009"])
def test_an_adl_closes_whole_lots(share: str, tmp_path: Path) -> None:
    found = run(of_blocks(tmp_path, (5, SHORT)), data(tmp_path / "data", f"{at(20)},adl,ETHUSDT,{share},,,"))
    closed = D(share) if D(share) >= D("0.01") else D(0)
    assert held(found).get("ETHUSDT-PERP", D(0)) == closed - 1
    assert len(settlements(found, "adl")) == (closed > 0)


def test_an_adl_is_of_what_was_open_at_its_time(tmp_path: Path) -> None:
    folder = data(tmp_path / "data", f"{at(20)},adl,ETHUSDT,1,,,")
    assert held(run(of_blocks(tmp_path, (20, SHORT)), folder))["ETHUSDT-PERP"] == -1
    assert held(run(of_blocks(tmp_path, (21, SHORT)), folder))["ETHUSDT-PERP"] == -1


@pytest.mark.parametrize("share", ["0.3", "0.95", "1"])
def test_a_basis_is_hedged_again_at_the_step_after_an_adl(share: str, tmp_path: Path) -> None:
    found = run(config(), data(tmp_path / "data", f"{at(20.5)},adl,ETHUSDT,{share},,,"))
    assert len(settlements(found, "adl")) == 1
    positions = held(found)
    assert abs(positions.get("ETH", D(0)) + positions.get("ETHUSDT-PERP", D(0))) <= D("0.01")
    assert sum(D(value) for value in found.summary["attribution"].values()) == D(found.summary["pnl"])


def test_orders_in_a_halted_symbol_are_refused_and_a_strategy_waits_for_its_end(tmp_path: Path) -> None:
    folder = data(tmp_path / "data", f"{at(1)},halt,ETHUSDT,,,,{at(30)}")
    found = run(config(), folder)
    trades = [row["timestamp"] for row in found.trades.to_pylist()]
    assert {str(moment)[:16].replace(" ", "T") for moment in trades} == {at(30)[:16]}
    assert "bybit halted ETHUSDT from 2024-06-01T01:00:00Z to 2024-06-02T06:00:00Z; no order is taken until then" in str(
        found.summary["skipped"]
    )
    with pytest.raises(ComponentError, match="bybit halted ETHUSDT from 2024-06-01T01:00:00Z to 2024-06-02T06:00:00Z"):
        run(of_blocks(tmp_path, (20, SHORT)), folder)


def test_a_halt_over_the_end_of_a_run_leaves_the_positions_open_and_lists_them(tmp_path: Path) -> None:
    folder = data(tmp_path / "data", f"{at(60)},halt,ETHUSDT,,,,{at(90)}")
    found = run(config(close_at_end=True), folder)
    assert {row["token"] for row in found.summary["left_open"]} >= {"ETH"}
    assert held(found)["ETHUSDT-PERP"] < 0


def test_an_adl_and_a_halt_of_one_instant_are_read_from_one_file(tmp_path: Path) -> None:
    folder = data(tmp_path / "data", f"{at(20)},adl,ETHUSDT,0.5,,,", f"{at(20)},halt,ETHUSDT,,,,{at(24)}")
    found = run(config(), folder)
    assert len(settlements(found, "adl")) == 1
    times = sorted({str(one["timestamp"])[:16].replace(" ", "T") for one in found.trades.to_pylist()})
    assert times[:2] == [at(2)[:16], at(24)[:16]]  # nothing between the two
    assert any(line.startswith("bybit: 1 adl, 1 halt from events/bybit") for line in found.summary["assumptions"])


def test_delistings_and_renamed_symbols_come_from_the_data_too(tmp_path: Path) -> None:
    folder = data(tmp_path / "data", f"{at(20)},delisted,ETHUSDT,,2800,,")
    found = run(of_blocks(tmp_path, (5, SHORT)), folder)
    assert [row["details"]["price"] for row in settlements(found, "delisted")] == ["2800"]
    folder = data(tmp_path / "renamed", f"{at(20)},renamed,ETHUSDT,1000,,PETHUSDT,")
    for kind in ("spot", "perp"):
        write_bars(folder, "bybit", kind, "PETHUSDT", [(3.0,)] * HOURS, AT)
    write_funding(folder, "bybit", "PETHUSDT", {AT + timedelta(hours=hour): 0 for hour in range(0, HOURS + 1, 8)})
    carried = run({**of_blocks(tmp_path, (5, SHORT)), "assume": {"PETHUSDT": {"like": "ETHUSDT"}}}, folder)
    assert held(carried)["PETHUSDT-PERP"] == -1000


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("adl,ETHUSDT,1.5,,,", "column share: '1.5' is not allowed; expected a number above 0 and at most 1"),
        ("adl,ETHUSDT,,,,", "column share: '' is not allowed; expected a number above 0 and at most 1"),
        ("adl,,1,,,", "column symbol: '' is not allowed; expected a symbol such as ETHUSDT"),
        ("delisted,ETHUSDT,,-1,,", "column price: '-1' is not allowed; expected a number above 0"),
        ("renamed,ETHUSDT,,,,", "column to: '' is not allowed; expected the other symbol"),
        ("halt,ETHUSDT,,,,", "column until: '' is not allowed; expected a time after the row's, such as 2024-06-01T12:00:00Z"),
        ("halt,ETHUSDT,,,,2024-01-01T00:00:00Z", "column until: '2024-01-01T00:00:00Z' is not allowed; expected a time after the row's"),
        ("split,ETHUSDT,,,,", "column kind: 'split' is not allowed; expected adl, halt, delisted or renamed"),
        ("adl,SOLUSDT,1,,,", "adl of SOLUSDT, which the run never trades; it trades ETHUSDT; leave the row out"),
    ],
)
def test_a_row_that_says_nothing_is_refused_before_the_run(row: str, message: str, tmp_path: Path) -> None:
    folder = data(tmp_path / "data", f"{at(20)},{row}")
    written = tmp_path / "config.yaml"
    written.write_text(json.dumps(config()))
    for ask in (lambda: list(check_run(written, data=folder)), lambda: run(config(), folder)):
        with pytest.raises(ComponentError) as refused:
            ask()
        assert refused.value.message.startswith("events/bybit at 2024-06-01T20:00:00Z: ")
        assert message in refused.value.message


def test_a_stress_deleverages_the_side_that_gains_after_a_large_move_the_same_for_a_seed(tmp_path: Path) -> None:
    falls = [3000.0] * 30 + [2300.0] * (HOURS - 30)
    folder = data(tmp_path / "data", prices=falls)
    runs = [run(config(stress={"adl_on_move_over": 0.2, "seed": seed}), folder) for seed in (1, 1, 2)]
    rows = [settlements(found, "adl") for found in runs]
    assert [len(found) for found in rows] == [1, 1, 1]
    assert rows[0] == rows[1] != rows[2]
    assert settlements(run(config(stress={"adl_on_move_over": 0.3}), folder), "adl") == []
    assert settlements(run(config(), folder), "adl") == []
    rises = data(tmp_path / "rises", prices=[3000.0] * 30 + [3700.0] * (HOURS - 30))
    assert settlements(run(config(stress={"adl_on_move_over": 0.2}), rises), "adl") == []  # a short does not gain


@given(
    prices=st.lists(st.floats(50, 200), min_size=30, max_size=120), later=st.lists(st.floats(1, 1e6), max_size=20), seed=st.integers(0, 9)
)
def test_a_stress_depends_on_no_later_close_and_happens_at_most_once_a_day(prices: list[float], later: list[float], seed: int) -> None:
    def events(values: list[float]) -> list[Adl]:
        times = [hour * HOUR_US for hour in range(len(values))]
        return list(stressed("bybit", "ETHUSDT", History(times, values, None, 0, times[-1]), D("0.2"), seed))

    known = (len(prices) - 1) * HOUR_US
    found = events(prices)
    assert [event for event in events([*prices, *later]) if event.at <= known] == found
    assert all(second.at - first.at >= DAY_US for first, second in pairwise(found))
    assert all(0 < event.share <= 1 for event in found)


def test_the_time_of_a_row_is_its_own(tmp_path: Path) -> None:
    folder = data(tmp_path / "data", f"{at(20)},adl,ETHUSDT,1,,,")
    series, rows = DataProvider(folder).exchange_events("bybit") or ("", [])
    texts = {"kind": "adl", "symbol": "ETHUSDT", "share": "1", "price": "", "to": "", "until": ""}
    assert (series, rows) == ("events/bybit", [(to_instant(AT) + 20 * HOUR_US, texts)])
    assert DataProvider(folder).exchange_events("okx") is None


def test_a_database_of_a_folder_has_its_events_also_those_of_one_time(tmp_path: Path) -> None:
    rows = [f"{at(20)},adl,ETHUSDT,0.5,,,", f"{at(20)},halt,ETHUSDT,,,,{at(24)}", f"{at(30)},adl,ETHUSDT,0.1,,,"]
    folder = data(tmp_path / "data", *rows)
    database = tmp_path / "x.duckdb"
    import_to_database(folder, database)
    assert DataProvider(None, database).exchange_events("bybit") == DataProvider(folder).exchange_events("bybit")
    assert validate(folder) == validate(database) == []
    assert run(config(), folder).summary["pnl"] == run(config(data={"database": str(database)})).summary["pnl"]


def test_without_a_time_or_prices_a_stress_makes_nothing_up() -> None:
    stressed_config = load_config(config(stress={"adl_on_move_over": 0.2}))
    exchange = venues_of_config(stressed_config, None)["bybit"]
    assert isinstance(exchange, Exchange) and exchange.events == ()
