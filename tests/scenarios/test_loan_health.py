"""What moves the health of a loan between two rows of its lending series: the market, or nothing."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from basis_strategy_v1 import ComponentError

from ..world import AT, still_row, write_bars, write_lending, write_staking
from .conftest import RunOnce
from .running import run

D = Decimal
LOAN = [("supply", "WETH", 100), ("borrow", "USDT", 210_000)]


def blocks(folder: Path, at: str, steps: list[tuple[str, str, Any]] = LOAN) -> Path:
    path = folder / "loan.jsonl"
    common = {"instruction_type": "smart_contract_action", "protocol": "aave"}
    rows = [{"timestamp": at, "block": {**common, "action": action, "token": token, "amount": amount}} for action, token, amount in steps]
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def config(file: Path, start: str, end: str, interval: str = "1h", held: dict[str, Any] | None = None, **aave: Any) -> dict[str, Any]:
    return {
        "strategy_mode": "blocks", "share_class": "usdt_stable", "initial_capital": 500_000, "start": start, "end": end,
        "interval": interval, "initial_positions": {"wallet": held or {"WETH": 100}}, "strategy": {"file": str(file)},
        "venues": {"cex": {"bybit": {}}, "onchain": {"aave": aave, "wallet": {"gas_price_gwei": 0}}},
    }  # fmt: skip


@pytest.mark.parametrize("interval", ["1h", "1d"])
def test_the_loan_of_february_2025_is_liquidated_when_it_was_on_chain(run_once: RunOnce, tmp_path: Path, interval: str) -> None:
    """100 WETH against 210,000 USDT: health 1.13 by the row of the day, 0.984 at the close of 02:00."""
    file = blocks(tmp_path, "2025-02-03T00:00:01Z")
    ran = run_once(config(file, "2025-02-02", "2025-02-06", interval))
    (liquidation,) = ran.settled("liquidation")
    assert liquidation.at.isoformat() == "2025-02-03T02:00:00+00:00"
    assert round(D(liquidation.data["details"]["health_factor"]), 3) == D("0.984")
    assert [line for line in ran.summary["assumptions"] if "health_prices" in line] == [
        "The health of loans at aave goes by the market (health_prices: market): WETH at closes of spot/bybit/ETHUSDT, "
        "published when they have moved by 50 bps or after 1 h."
    ]


def test_by_the_oracle_of_the_rows_the_same_loan_lives(run_once: RunOnce, tmp_path: Path) -> None:
    file = blocks(tmp_path, "2025-02-03T00:00:01Z")
    ran = run_once(config(file, "2025-02-02", "2025-02-06", health_prices="oracle"))
    assert ran.settled("liquidation") == []
    assert [line for line in ran.summary["assumptions"] if "health_prices" in line] == [
        "The health of loans at aave goes by the oracle price of the last lending row (health_prices: oracle): WETH. "
        "What the market does between two rows liquidates nothing."
    ]


def folder_with(tmp_path: Path, closes: list[float], usd: float = 2_000) -> Path:
    data = tmp_path / "data"
    write_bars(data, "bybit", "spot", "ETHUSDT", [(close,) for close in closes], AT - timedelta(hours=2))
    days = [AT + timedelta(days=day) for day in range(3)]
    write_lending(data, "aave_v3", "WETH", dict.fromkeys(days, still_row(usd)))
    write_lending(data, "aave_v3", "USDT", dict.fromkeys(days, still_row(1, total_supplied=1e7, total_borrowed=1e6)))
    write_lending(data, "aave_v3", "weETH", dict.fromkeys(days, still_row(usd * 1.05, total_supplied=1e6)))
    write_staking(data, "etherfi", "weETH", dict.fromkeys(days, "1.05"))
    return data


def liquidated(tmp_path: Path, closes: list[float], steps: list[tuple[str, str, Any]], **changes: Any) -> list[tuple[str, str]]:
    """(when, health) of each liquidation over two quiet days of rows."""
    data, file = folder_with(tmp_path, closes, changes.pop("usd", 2_000)), blocks(tmp_path, "2024-06-01T00:00:00Z", steps)
    given = config(file, "2024-06-01", "2024-06-02", held={"WETH": 10, "weETH": 10, "USDT": 100_000}, **changes)
    ran = run(given, data, tmp_path / "out")
    return [(row.at.isoformat()[11:16], row.data["details"]["health_factor"][:5]) for row in ran.settled("liquidation")]


ETHER = [("supply", "WETH", 10), ("borrow", "USDT", 14_000)]  # unhealthy below 14,000 / 8.3 = 1,686.75
QUIET = [2_000.0] * 30


def test_a_dip_of_an_hour_between_two_rows_liquidates_and_a_shallow_one_does_not(tmp_path: Path) -> None:
    dip, shallow = [*QUIET[:8], 1_680.0, *QUIET], [*QUIET[:8], 1_687.0, *QUIET]
    assert liquidated(tmp_path, dip, ETHER) == [("07:00", "0.996")]
    assert liquidated(tmp_path, shallow, ETHER) == []
    assert liquidated(tmp_path, dip, ETHER, interval="1d") == [("07:00", "0.996")]
    assert liquidated(tmp_path, dip, ETHER, health_prices="oracle") == []


def test_a_debt_in_the_coin_is_liquidated_by_a_rise(tmp_path: Path) -> None:
    steps = [("supply", "USDT", 30_000), ("borrow", "WETH", 10)]  # 23,400 of 20,000: unhealthy above 2,340
    assert liquidated(tmp_path, [*QUIET[:8], 2_400.0, *QUIET], steps) == [("07:00", "0.975")]
    assert liquidated(tmp_path, [*QUIET[:8], 1_000.0, *QUIET], steps) == []


def test_a_loop_whose_two_sides_move_together_is_not_touched_by_the_market(tmp_path: Path) -> None:
    loop = [("set_emode", 1), ("supply", "weETH", 10), ("borrow", "WETH", 9)]
    file = tmp_path / "loan.jsonl"
    common = {"instruction_type": "smart_contract_action", "protocol": "aave"}
    rows = [{**common, "action": "set_emode", "category": 1}] + [
        {**common, "action": action, "token": token, "amount": amount} for action, token, amount in loop[1:]
    ]
    file.write_text("".join(f"{json.dumps({'timestamp': '2024-06-01T00:00:00Z', 'block': row})}\n" for row in rows))
    data = folder_with(tmp_path, [*QUIET[:8], 500.0, *QUIET])
    ran = run(config(file, "2024-06-01", "2024-06-02", held={"weETH": 10}), data, tmp_path / "out")
    assert ran.settled("liquidation") == []


def test_the_oracle_publishes_by_its_threshold_and_its_heartbeat(tmp_path: Path) -> None:
    slow = {"oracle": {"deviation_bps": 2_000, "heartbeat": "5h"}}
    # 16 % down is below the threshold of 20 %, and over after four hours: the heartbeat never sees it.
    assert liquidated(tmp_path, [*QUIET[:7], *[1_680.0] * 4, *QUIET], ETHER, **slow) == []
    # After five hours without a publication it does.
    assert liquidated(tmp_path, [*QUIET[:4], *[1_680.0] * 4, *QUIET], ETHER, **slow) == [("05:00", "0.996")]


def test_rows_that_are_not_of_this_market_are_moved_as_it_moves(tmp_path: Path) -> None:
    """A row of 3,000 where the market was at 2,000: what counts is that it lost 16 %."""
    steps = [("supply", "WETH", 10), ("borrow", "USDT", 21_000)]
    assert liquidated(tmp_path, [*QUIET[:8], 1_680.0, *QUIET], steps, usd=3_000) == [("07:00", "0.996")]


def test_market_prices_without_a_series_are_refused_before_the_run_and_left_out_go_by_the_rows(tmp_path: Path) -> None:
    data, file = folder_with(tmp_path, QUIET), blocks(tmp_path, "2024-06-01T00:00:00Z", ETHER)
    daily = data / "ohlcv" / "bybit" / "spot" / "ETHUSDT_1d.csv"
    (data / "ohlcv" / "bybit" / "spot" / "ETHUSDT_1h.csv").unlink()
    daily.write_text(
        "timestamp,open,high,low,close,volume\n2024-05-30T00:00:00Z,2000,2000,2000,2000,1\n2024-05-31T00:00:00Z,2000,2000,2000,2000,1\n"
    )
    given = config(file, "2024-06-01", "2024-06-02", held={"WETH": 10})
    assert [line for line in run(given, data, tmp_path / "out").summary["assumptions"] if "health_prices: oracle" in line]
    given["venues"]["onchain"]["aave"] = {"health_prices": "market"}
    with pytest.raises(ComponentError, match=r"venues\.onchain\.aave\.health_prices: market needs an hourly or finer spot series"):
        run(given, data, tmp_path / "other")


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"health_prices": "spot"}, "aave.health_prices: 'spot'; allowed: market | oracle"),
        ({"oracle": {"deviation_bps": -1}}, "aave.oracle.deviation_bps: -1; allowed: a number from 0 to 10000"),
        ({"oracle": {"heartbeat": "1s"}}, "aave.oracle.heartbeat: '1s'; allowed: a duration from 1m to 7d"),
    ],
)
def test_settings_of_the_oracle_have_their_ranges(tmp_path: Path, settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(ComponentError) as caught:
        run(config(blocks(tmp_path, "2024-06-01T00:00:00Z"), "2024-06-01", "2024-06-02", **settings), tmp_path, tmp_path / "out")
    assert fault in str(caught.value)
