"""A perp is delisted, a symbol renamed or redenominated during a position: equity moves by nothing but the stated price."""

from __future__ import annotations

import json
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from basis_strategy_v1 import ComponentError, load_config, run

D = Decimal
AT = "2024-06-02T12:00:00Z"
SPOT = {"instruction_type": "cex_trade", "venue": "bybit", "trade_type": "spot", "side": "buy", "symbol": "ETHUSDT", "amount": 2}
SHORT = {**SPOT, "trade_type": "perp", "side": "sell", "amount": 3}


@pytest.fixture
def data(sample: Path, tmp_path: Path) -> Path:
    """The sample; PETH is ETH in thousandths, for the whole time."""
    folder = shutil.copytree(sample, tmp_path / "data")
    for path in [*folder.glob("ohlcv/bybit/*/ETHUSDT_1h.csv"), *folder.glob("funding/bybit/ETHUSDT.csv")]:
        header, *rows = path.read_text().splitlines()
        if path.parent.parent.name == "funding":
            lines = rows
        else:
            lines = [",".join([at, *(str(D(price) / 1_000) for price in prices[:4]), *prices[4:]]) for at, *prices in map(split, rows)]
        path.with_name(path.name.replace("ETH", "PETH")).write_text("\n".join([header, *lines, ""]))
    return folder


def split(row: str) -> list[str]:
    return row.split(",")


def blocks(tmp_path: Path, *rows: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    path = tmp_path / "blocks.jsonl"
    path.write_text("".join(json.dumps({"timestamp": at, "block": block}) + "\n" for at, block in rows))
    return {
        "strategy_mode": "blocks", "share_class": "usdt_stable", "initial_capital": 50_000, "start": "2024-06-01", "end": "2024-06-04",
        "strategy": {"file": str(path)}, "initial_positions": {"bybit": {"USDT": 50_000}},
        "venues": {"cex": {"bybit": {"impact": {"model": "none"}}}},
        "assume": {"PETHUSDT": {"like": "ETHUSDT"}},
    }  # fmt: skip


def equity_at(found: Any, at: str) -> Decimal:
    return next(D(str(row["equity"])) for row in found.equity.to_pylist() if str(row["timestamp"]).replace(" ", "T")[:16] == at[:16])


def settlements(found: Any, kind: str) -> list[dict[str, Any]]:
    rows = [json.loads(row["data"]) for row in found.events.to_pylist() if row["event_type"] == "settlement"]
    return [row for row in rows if row["kind"] == kind]


def last(found: Any) -> Any:
    return found.positions.to_pylist()[-1]["timestamp"]


def perp(row: dict[str, Any]) -> bool:
    return bool(row["token"].endswith("-PERP") and D(str(row["amount"])))


def test_a_perp_that_is_delisted_is_settled_at_its_price_and_can_be_traded_no_more(data: Path, tmp_path: Path) -> None:
    given = blocks(tmp_path, ("2024-06-01T06:00:00Z", SHORT))
    held = run(given, data)
    mark = D(next(iter(settlements(held, "funding")))["details"]["mark"])
    assert mark > 0
    ended = run({**given, "delisted": {"ETHUSDT": {"at": AT, "price": "3000"}}}, data)
    (row,) = settlements(ended, "delisted")
    assert (row["details"]["price"], row["details"]["position"]) == ("3000", "-3")
    before, after = equity_at(held, AT), equity_at(ended, AT)
    price_then = D(row["costs"][0]["amount"]) / -3 + 3_000  # what the perp was worth until then
    assert after - before == 3 * (price_then - 3_000)
    assert equity_at(ended, "2024-06-03T12:00:00Z") == after
    assert sum(D(value) for value in ended.summary["attribution"].values()) == D(ended.summary["pnl"])
    again = blocks(tmp_path, ("2024-06-01T06:00:00Z", SHORT), ("2024-06-03T00:00:00Z", SHORT))
    with pytest.raises(ComponentError, match="the perp ETHUSDT was delisted by bybit at 2024-06-02T12:00:00Z"):
        run({**again, "delisted": {"ETHUSDT": {"at": AT, "price": "3000"}}}, data)


def test_a_redenomination_carries_spot_and_perp_over_and_equity_does_not_move(data: Path, tmp_path: Path) -> None:
    given = blocks(tmp_path, ("2024-06-01T06:00:00Z", SPOT), ("2024-06-01T06:00:00Z", SHORT))
    kept = run(given, data)
    carried = run({**given, "renamed": {"ETHUSDT": {"to": "PETHUSDT", "ratio": 1000, "at": AT}}}, data)
    (row,) = settlements(carried, "renamed")
    assert row["details"] == {"symbol": "ETHUSDT", "to": "PETHUSDT", "ratio": "1000"}
    moved = {token: D(amount) for token, amount in row["deltas"]["bybit"].items()}
    assert moved == {"ETH": -D("1.998"), "PETH": D(1_998), "ETHUSDT-PERP": D(3), "PETHUSDT-PERP": D(-3_000)}
    off = [
        abs(D(str(one["equity"])) - D(str(other["equity"])))
        for one, other in zip(kept.equity.to_pylist(), carried.equity.to_pylist(), strict=True)
    ]
    assert max(off) < D("1e-6")
    assert abs(D(carried.summary["final_equity"]) - D(kept.summary["final_equity"])) < D("1e-6")
    again = blocks(tmp_path, ("2024-06-03T00:00:00Z", SPOT))
    with pytest.raises(ComponentError, match="ETHUSDT is PETHUSDT at bybit since 2024-06-02T12:00:00Z; write PETHUSDT"):
        run({**again, "renamed": {"ETHUSDT": {"to": "PETHUSDT", "ratio": 1000, "at": AT}}}, data)


@pytest.mark.parametrize(("bought", "left"), [(1_000, -2_000), (3_000, 0), (5_000, 2_000)])
def test_a_renamed_perp_joins_the_one_that_is_open_under_the_other_symbol(data: Path, tmp_path: Path, bought: int, left: int) -> None:
    other = {**SHORT, "symbol": "PETHUSDT", "side": "buy", "amount": bought}
    given = blocks(tmp_path, ("2024-06-01T06:00:00Z", SHORT), ("2024-06-01T09:00:00Z", other))
    kept = run(given, data)
    joined = run({**given, "renamed": {"ETHUSDT": {"to": "PETHUSDT", "ratio": 1000, "at": AT}}}, data)
    (row,) = settlements(joined, "renamed")
    assert {token: D(amount) for token, amount in row["deltas"]["bybit"].items() if token != "USDT"} == {
        "ETHUSDT-PERP": D(3),
        "PETHUSDT-PERP": D(-3_000),
    }
    perps = {row["token"]: D(str(row["amount"])) for row in joined.positions.to_pylist() if row["timestamp"] == last(joined) and perp(row)}
    assert perps == ({"PETHUSDT-PERP": D(left)} if left else {})
    assert abs(equity_at(joined, AT) - equity_at(kept, AT)) < D("1e-6")


def test_a_rename_to_a_symbol_without_a_series_is_refused_before_the_run(sample: Path, tmp_path: Path) -> None:
    given = {**blocks(tmp_path), "renamed": {"ETHUSDT": {"to": "XYZUSDT", "at": AT}}}
    with pytest.raises(ComponentError, match=r"DAT-001: no spot of bybit for XYZUSDT; .*\n.*no perp of bybit for XYZUSDT"):
        run(given, sample)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"delisted": {"ETHUSDT": {"at": AT}}}, "delisted.ETHUSDT.price: missing; allowed: a number above 0 and at most 1e15"),
        ({"renamed": {"ETHUSDT": {"to": "PETHUSDT"}}}, "renamed.ETHUSDT.at: missing; allowed: "),
        ({"renamed": {"ETHUSDT": {"to": "PETHUSDT", "at": AT, "ratio": 0}}}, "renamed.ETHUSDT.ratio: 0; allowed: a number above 0"),
    ],
)
def test_a_change_that_is_not_whole_is_refused(given: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ComponentError) as refused:
        load_config({**blocks(tmp_path), **given})
    assert refused.value.message.startswith(message)
