"""Data that contradict each other, or themselves, before a run: refused or warned of, by `basis check` and by the run alike."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas
import pytest
import yaml

from basis_strategy_v1.app import build
from basis_strategy_v1.app.commands import check_run, run_blocks
from basis_strategy_v1.app.live import build_paper_replay
from basis_strategy_v1.core.error_codes.exceptions import ComponentError

from . import runs

SPOT, PERP, FUNDING = "ohlcv/bybit/spot/ETHUSDT_1h", "ohlcv/bybit/perp/ETHUSDT_1h", "funding/bybit/ETHUSDT"
USDT, WETH = "lending/aave_v3/USDT", "lending/aave_v3/WETH"
LIMITS = {
    "max_notional_per_instruction": 10**9, "max_notional_per_day": 10**10, "max_slippage_bps": 100, "max_unhedged_notional": 50_000,
    "max_unhedged_seconds": 60, "max_gas_per_day_eth": 1,
}  # fmt: skip
Change = Callable[[list[str]], list[str]]


def scaled(data: Path, series: str, factor: float, columns: range, since: str = "") -> None:
    path = data / f"{series}.csv"
    header, *rows = path.read_text().splitlines()
    fields = [row.split(",") for row in rows]
    for row in fields:
        if row[0] >= since:
            for place in columns:
                row[place] = f"{float(row[place]) * factor:.12f}"
    path.write_text("\n".join([header, *map(",".join, fields), ""]))


def changed(data: Path, series: str, change: Change) -> None:
    path = data / f"{series}.csv"
    path.write_text("".join(change(path.read_text().splitlines(keepends=True))))


def run_of(**changes: Any) -> dict[str, Any]:
    return runs.config(**{"initial_capital": 100_000, "start": "2024-06-02", "end": "2024-06-16", **changes})


def lending_of(token: str, **changes: Any) -> dict[str, Any]:
    strategy = {"protocol": "aave", "token": token}
    venues = {"onchain": {"aave": {}, "wallet": {"gas_price_gwei": 0}}}
    return run_of(strategy_mode="pure_lending", strategy=strategy, venues=venues, **changes)


def blocks_of(data: Path, *stamps: str, kind: str = "perp") -> dict[str, Any]:
    block = {"instruction_type": "cex_trade", "venue": "bybit", "trade_type": kind, "side": "buy", "symbol": "ETHUSDT", "amount": 1}
    path = data.parent / "blocks.jsonl"
    path.write_text("".join(json.dumps({"timestamp": stamp, "block": block}) + "\n" for stamp in stamps))
    return run_of(strategy_mode="blocks", strategy={"file": str(path)}, initial_positions={"bybit": {"USDT": 100_000}})


def checked(data: Path, config: dict[str, Any]) -> list[str]:
    path = data.parent / "run.yaml"
    path.write_text(yaml.safe_dump(config))
    return list(check_run(path, data=data))[2:]


def ran(data: Path, config: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The summary of the run, and what it was warned of."""
    warnings: list[str] = []
    engine = build(config, data, data.parent / "results", data.parent / "logs", report=False, warn=warnings.append)
    return engine.run().summary, warnings


def refused(data: Path, config: dict[str, Any]) -> list[str]:
    """The lines that `basis check` and the run are both refused with."""
    with pytest.raises(ComponentError) as by_check:
        checked(data, config)
    with pytest.raises(ComponentError) as by_run:
        ran(data, config)
    assert str(by_run.value) == str(by_check.value)
    return str(by_check.value).splitlines()


def test_the_sample_is_sound(data: Path) -> None:
    assert checked(data, run_of()) == checked(data, lending_of("USDT")) == ["ready"]
    assert ran(data, run_of())[1] == []


@pytest.mark.parametrize(("series", "columns"), [(SPOT, range(1, 5)), (PERP, range(1, 5))])
def test_a_hedge_whose_legs_are_in_other_units_is_refused(data: Path, series: str, columns: range) -> None:
    scaled(data, series, 0.001, columns)
    [line] = refused(data, run_of())
    assert line.startswith(f"DAT-003: {SPOT}: {SPOT} and {PERP} contradict each other: ")
    factor = float(line.split("apart by a factor of ")[1].split()[0])
    assert 900 < factor < 1100


def test_funding_in_percent_is_refused(data: Path) -> None:
    scaled(data, FUNDING, 100, range(1, 2))
    [line] = refused(data, run_of())
    assert line.startswith(f"DAT-003: {FUNDING}: column funding_rate: the usual rate of ")


def test_lending_rates_in_percent_are_refused(data: Path) -> None:
    scaled(data, USDT, 100, range(3, 4))
    [line] = refused(data, lending_of("USDT"))
    assert line.startswith(f"DAT-003: {USDT}: column liquidity_rate: ")


def test_a_file_in_another_unit_from_some_day_on_is_a_warning(data: Path) -> None:
    scaled(data, FUNDING, 100, range(1, 2), since="2024-06-12")
    lines = checked(data, run_of(end="2024-06-25"))
    assert (len(lines) == 1 and lines[0].startswith("ready")) or lines[-1].startswith("ready, with ")


def test_a_change_of_level_is_a_warning_to_a_file_of_blocks_too(data: Path) -> None:
    scaled(data, PERP, 0.001, range(1, 5), since="2024-06-10T00:00:00Z")
    config = blocks_of(data, "2024-06-04T01:00:00Z")
    lines = checked(data, config)
    [level] = [line for line in lines if "the level changes" in line]
    assert level.startswith(f"warning: {PERP}, row of 2024-06-10T00:00:00Z: column close: the level changes from ")
    assert level in ran(data, config)[1]
    assert not any("the level changes" in line for line in checked(data, {**config, "end": "2024-06-09"}))


def test_the_report_says_what_is_wrong_with_the_data_that_a_strategy_of_ones_own_read_and_did_not_name(data: Path) -> None:
    (data.parent / "mine.py").write_text(
        "class Mine:\n    def decide(self, snapshot, positions, parameters):\n"
        "        snapshot.perp('bybit', 'ETHUSDT')\n        return []\n"
    )
    config = run_of(strategy_mode="custom", strategy={"file": str(data.parent / "mine.py")})
    assert not any(line.startswith("Data check: ") for line in ran(data, config)[0]["assumptions"])
    scaled(data, PERP, 0.001, range(1, 5), since="2024-06-10T00:00:00Z")
    summary, warnings = ran(data, config)
    assert warnings == []
    [line] = [line for line in summary["assumptions"] if line.startswith("Data check: ")]
    assert line.startswith(f"Data check: {PERP}, row of 2024-06-10T00:00:00Z: column close: the level changes from ")


def test_a_malformed_series_of_a_file_of_blocks_is_refused_before_the_run(data: Path) -> None:
    changed(data, SPOT, lambda rows: [*rows[:50], rows[50].replace(":00:00Z", ":30:00Z"), *rows[50:]])
    out_of_order, early = refused(data, blocks_of(data, "2024-06-04T01:00:00Z", kind="spot"))
    assert out_of_order.startswith(f"DAT-003: {data / SPOT}.csv line ") and "is out of order" in out_of_order
    assert early.startswith(f"{data / SPOT}.csv line ") and "bars of 1h" in early


def test_what_a_file_of_blocks_trades_on_a_venue_that_is_not_there_is_left_to_the_run(data: Path) -> None:
    config = blocks_of(data, "2024-06-04T01:00:00Z", kind="spot")
    path = data.parent / "blocks.jsonl"
    path.write_text(path.read_text().replace("bybit", "nowhere"))
    assert checked(data, config)[-1] == "ready, as far as is known"


def executed(data: Path, config: dict[str, Any], said: list[str]) -> list[str]:
    """The lines of `basis execute` with the blocks of a config."""
    path = data.parent / "run.yaml"
    path.write_text(yaml.safe_dump(config))
    logs = data.parent / "logs"
    blocks = data.parent / "blocks.jsonl"
    return list(run_blocks(blocks, path, data=data, logs=logs, at=None, preflight=False, warn=said.append))


def test_execute_warns_and_refuses_as_a_run_does(data: Path) -> None:
    said: list[str] = []
    config = blocks_of(data, "2024-06-10T01:00:00Z")
    assert len(executed(data, config, said)) == 1 and said == []
    scaled(data, PERP, 0.1, range(1, 5), since="2024-06-08T00:00:00Z")
    assert len(executed(data, config, said)) == 1
    [level] = said
    assert level.startswith(f"warning: {PERP}, row of 2024-06-08T00:00:00Z: column close: the level changes from ")
    scaled(data, FUNDING, 100, range(1, 2))
    with pytest.raises(ComponentError, match=f"DAT-003: {FUNDING}: column funding_rate: the usual rate of "):
        executed(data, config, said)


def test_a_replay_on_paper_is_refused_what_a_backtest_is(data: Path) -> None:
    scaled(data, FUNDING, 100, range(1, 2))
    config = run_of(limits=LIMITS)
    with pytest.raises(ComponentError, match=f"DAT-003: {FUNDING}: column funding_rate: the usual rate of "):
        build_paper_replay(config, data, data.parent / "state", data.parent / "results", data.parent / "logs")


# Legs whose bars close at different times.


def daily(data: Path, series: str, hour: int = 0) -> None:
    """Days instead of hours, each from `hour` on."""
    path = data / f"{series}.csv"
    header, *rows = path.read_text().splitlines()
    days = [row for row in rows if row[11:13] == f"{hour:02}"]
    path.with_name(path.name.replace("_1h", "_1d")).write_text("\n".join([header, *days, ""]))
    path.unlink()


@pytest.mark.parametrize(
    ("hour", "changes", "next_close"),
    [
        (0, {}, "2024-06-02T00:00:00Z"),
        (0, {"interval": "4h", "start": "2024-06-02T04:00:00Z"}, "2024-06-03T00:00:00Z"),
        (0, {"interval": "1d", "start": "2024-06-02T12:00:00Z"}, "2024-06-03T00:00:00Z"),
        (16, {"interval": "1d"}, "2024-06-02T16:00:00Z"),
    ],
)
def test_legs_whose_bars_close_at_different_times_are_refused(data: Path, hour: int, changes: dict[str, Any], next_close: str) -> None:
    daily(data, SPOT, hour)
    config = run_of(**changes)
    interval, start = changes.get("interval", "1h"), str(changes.get("start", "2024-06-02T00:00:00Z"))
    assert refused(data, config) == [
        f"DAT-001: ohlcv/bybit/spot/ETHUSDT_1d has bars of 1d and {PERP} of 1h: at steps of {interval} from {start} on the legs would be "
        "priced at closes of different times; bring bars of 1h for both, or set interval: 1d and a start at which a bar of 1d closes, "
        f"such as {next_close}"
    ]


def test_legs_whose_bars_close_together_at_each_step_run(data: Path) -> None:
    daily(data, SPOT)
    assert checked(data, run_of(interval="1d")) == ["ready"]
    daily(data, PERP)
    assert checked(data, run_of()) == ["ready"]


def test_a_strategy_of_ones_own_is_warned_of_such_legs(data: Path) -> None:
    daily(data, SPOT)
    needs = "[('spot', 'bybit', 'ETHUSDT'), ('perp', 'bybit', 'ETHUSDT')]"
    (data.parent / "mine.py").write_text(
        "class Mine:\n    def decide(self, snapshot, positions, parameters):\n        return []\n"
        f"    def needs(self, parameters):\n        return {needs}\n"
    )
    config = run_of(strategy_mode="custom", strategy={"file": str(data.parent / "mine.py")})
    start = "warning: ohlcv/bybit/spot/ETHUSDT_1d has bars of 1d and "
    assert [line.startswith(start) for line in checked(data, config)] == [True, False]
    assert [line.startswith(start) for line in ran(data, config)[1]] == [True]


# Files that are there and are not read.


def test_a_series_that_is_missing_names_the_file_that_would_be_it(data: Path) -> None:
    path = data / f"{SPOT}.csv"
    with zipfile.ZipFile(path.with_name("ETHUSDT_1h.zip"), "w") as archive:
        archive.writestr("ETHUSDT_1h.csv", path.read_bytes())
    (path.with_name("ETH-USDT_60m.csv")).write_bytes(path.read_bytes())
    path.unlink()
    [line] = refused(data, run_of())
    intervals = "1m, 3m, 5m, 15m, 30m, 1h, 2h, 4h, 6h, 8h, 12h, 1d"
    assert line == (
        "DAT-001: no spot of bybit for ETHUSDT; bybit has BTCUSDT; ohlcv/bybit/spot/ETH-USDT_60m.csv is there, but its name is not in the "
        f"layout of docs/data.md, so it is not read: bars of 60m are not known, only {intervals}; ohlcv/bybit/spot/ETHUSDT_1h.zip is "
        "there, but only files that end in .csv, .csv.gz or .parquet are read: bring it in with `basis data import`"
    )


def test_a_packed_series_and_a_parquet_file_give_the_run_of_the_plain_file(data: Path) -> None:
    expected = ran(data, run_of())
    path = data / f"{SPOT}.csv"
    frame = pandas.read_csv(path, parse_dates=["timestamp"])
    path.with_name("ETHUSDT_1h.csv.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    assert ran(data, run_of()) == expected
    path.with_name("ETHUSDT_1h.csv.gz").unlink()
    frame.to_parquet(path.with_name("ETHUSDT_1h.parquet"))
    assert ran(data, run_of()) == expected


def test_a_folder_without_a_series_names_the_first_file_in_it(tmp_path: Path) -> None:
    path = tmp_path / "data/ohlcv/bybit/spot/ETHUSDT_1h.feather"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"ARROW1")
    with pytest.raises(ComponentError) as error:
        ran(tmp_path / "data", run_of())
    assert error.value.message.endswith(
        "; ohlcv/bybit/spot/ETHUSDT_1h.feather: only files that end in .csv, .csv.gz or .parquet are read: write it as CSV or Parquet"
    )


# A dollar that is none, a deposit over a gap.


def test_a_token_that_counts_as_a_dollar_for_want_of_a_series_is_an_assumption(data: Path) -> None:
    changed(data, USDT, lambda rows: rows)
    (data / "lending/aave_v3/USDC.csv").write_bytes((data / f"{USDT}.csv").read_bytes())
    counted = "USDC counts as 1 USDT: the data have no spot series USDCUSDT."
    assert counted in ran(data, lending_of("USDC"))[0]["assumptions"]
    assert counted not in ran(data, lending_of("USDT"))[0]["assumptions"]
    scaled(data, "lending/aave_v3/USDC", 0.88, range(8, 9), since="2024-06-10")
    [line, ready] = checked(data, lending_of("USDC"))
    assert line.startswith(
        "warning: lending/aave_v3/USDC, row of 2024-06-10T00:00:00Z: USDC counts as 1 USDT, and column oracle_price_usd says 0.88"
    )
    assert ready == "ready, with 1 warning"


def test_a_deposit_over_a_gap_longer_than_max_staleness_ends_the_run(data: Path) -> None:
    changed(data, USDT, lambda rows: [row for row in rows if not "2024-06-05" <= row < "2024-06-09"])
    with pytest.raises(ComponentError) as error:
        checked(data, lending_of("USDT"))
    assert str(error.value).startswith(f"DAT-002: {USDT}: from 2024-06-05T12:00:00Z until 2024-06-09T00:00:00Z the last row is older than")
    with pytest.raises(ComponentError) as ended:
        ran(data, lending_of("USDT"))
    assert ended.value.error_code == "DAT-002" and "last row visible at 2024-06-05T13:00:00Z" in ended.value.message


def test_no_trade_is_opened_while_the_market_stands_still(data: Path) -> None:
    def still(rows: list[str]) -> list[str]:
        price = rows[100].split(",")[4]
        flat = ",".join([price] * 4)
        return [f"{row.split(',')[0]},{flat},0\n" if 100 < place <= 112 else row for place, row in enumerate(rows)]

    changed(data, SPOT, still)
    stamp = (data / f"{SPOT}.csv").read_text().splitlines()[106].split(",")[0]
    summary, warnings = ran(data, blocks_of(data, stamp, kind="spot"))
    assert (summary["instructions_routed"], len(summary["skipped"])) == (0, 1)
    assert any("12 bars without a trade from " in line for line in warnings)


SUPPLY = {"instruction_type": "smart_contract_action", "protocol": "aave", "action": "supply", "token": "USDT", "amount": 1000}
BORROW = {"instruction_type": "smart_contract_action", "protocol": "aave", "action": "borrow", "token": "WETH", "amount": "0.1"}
SELL_PERP = {
    "instruction_type": "cex_trade", "venue": "bybit", "trade_type": "perp", "side": "sell", "symbol": "ETHUSDT", "amount": 1
}  # fmt: skip
HELD: dict[str, tuple[str, dict[str, dict[str, int]], list[dict[str, Any]]]] = {
    "a coin": (SPOT, {"bybit": {"ETH": 1}}, []),
    "a perp": (PERP, {"bybit": {"USDT": 10_000}}, [SELL_PERP]),
    "a deposit": (USDT, {"wallet": {"USDT": 10_000}}, [SUPPLY]),
    "a debt": (WETH, {"wallet": {"USDT": 10_000}}, [SUPPLY, BORROW]),
    "a deposit with a debt": (USDT, {"wallet": {"USDT": 10_000}}, [SUPPLY, BORROW]),
    "a staked token": ("staking/lido/wstETH", {"wallet": {"wstETH": 1}}, []),
}


@pytest.mark.parametrize("held", HELD)
def test_any_position_over_a_gap_longer_than_max_staleness_ends_the_run(data: Path, held: str) -> None:
    series, positions, blocks = HELD[held]
    changed(data, series, lambda rows: [row for row in rows if not "2024-06-05" <= row < "2024-06-09"])
    path = data.parent / "blocks.jsonl"
    path.write_text("".join(json.dumps({"timestamp": "2024-06-02T00:00:00Z", "block": block}) + "\n" for block in blocks))
    venues = {"cex": {"bybit": {}}, "dex": {"uniswap": {}}, "onchain": {"aave": {}, "lido": {}, "wallet": {"gas_price_gwei": 0}}}
    zero = {"missing_funding": "zero"}
    config = run_of(strategy_mode="blocks", strategy={"file": str(path)}, initial_positions=positions, venues=venues, data=zero)
    with pytest.raises(ComponentError) as ended:
        ran(data, config)
    assert (ended.value.error_code, series in ended.value.message) == ("DAT-002", True)
    assert ran(data, {**config, "end": "2024-06-05T06:00:00Z"})[0]["final_equity"]
