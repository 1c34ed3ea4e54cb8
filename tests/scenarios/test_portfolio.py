"""Several strategies in one run: each has its own accounts and attribution, and together they are the run."""

from __future__ import annotations

import json
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from basis_strategy_v1 import Run, run
from basis_strategy_v1.app.live import build_paper_replay
from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.attribution_sources import SOURCES
from basis_strategy_v1.core.error_codes.exceptions import ComponentError

D = Decimal
BYBIT = {"spot_venue": "bybit", "perp_venue": "bybit"}
STRATEGIES: dict[str, tuple[str, dict[str, Any]]] = {
    "carry": ("eth_basis", {**BYBIT, "leverage": 2}),
    "slow": ("eth_basis", {**BYBIT, "enter_above_apr": 0.15, "leave_below_apr": 0.05}),
    "lend": ("pure_lending", {"token": "USDT"}),
    "neutral": ("usdt_market_neutral", {"protocol": "lido", "spot_venue": "bybit", "perp_venue": "bybit"}),
}
VENUES: dict[str, Any] = {"cex": ["bybit"], "dex": ["curve", "uniswap"], "onchain": {"aave": {}, "lido": {}, "wallet": {}}}


def config(shares: dict[str, Decimal], **changes: Any) -> dict[str, Any]:
    parts = [
        {"name": name, "share": share, "strategy_mode": STRATEGIES[name][0], "strategy": STRATEGIES[name][1]}
        for name, share in shares.items()
    ]
    return {
        "share_class": "usdt_stable", "initial_capital": 50_000, "start": "2024-06-01", "end": "2024-06-06", "venues": VENUES,
        "portfolio": parts, **changes,
    }  # fmt: skip


def exactly(rows: list[dict[str, str]], name: str) -> Decimal:
    total = D(0)
    for row in rows:
        total = EXACT.add(total, D(row[name]))
    return total


NAMES = st.lists(st.sampled_from(sorted(STRATEGIES)), min_size=1, max_size=3, unique=True)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=NAMES, parts=st.lists(st.integers(1, 333), min_size=3, max_size=3), capital=st.decimals("20000", "900000", places=2))
def test_each_attribution_adds_up_to_its_profit_and_their_sum_to_the_whole(
    sample: Path, names: list[str], parts: list[int], capital: Decimal
) -> None:
    shares = {name: D(part) / 1000 + D("0.0001") for name, part in zip(names, parts, strict=False)}
    capital = max(capital, 2000 / min(shares.values()))
    summary = run(config(shares, initial_capital=str(capital)), data=sample).summary
    rows = summary["strategies"]
    for row in rows:
        assert exactly([{"v": amount} for amount in row["attribution"].values()], "v") == D(row["pnl"])
        assert EXACT.add(D(row["initial_equity"]), D(row["pnl"])) == D(row["final_equity"])
    for source in SOURCES:
        assert exactly([row["attribution"] for row in rows], source) == D(summary["attribution"][source])
    assert exactly(rows, "pnl") == D(summary["pnl"]) == exactly([{"v": amount} for amount in summary["attribution"].values()], "v")
    idle = EXACT.subtract(capital, sum(EXACT.multiply(capital, share) for share in shares.values()))
    assert exactly(rows, "initial_equity") + round(idle, 12) == pytest.approx(D(summary["initial_equity"]), abs=D("1e-11"))


@cache
def three(sample: Path, results: Path | None = None) -> Run:
    return run(config({"carry": D("0.5"), "lend": D("0.3"), "slow": D("0.1")}, end="2024-07-10"), data=sample, results=results)


def alone(name: str, share: str, sample: Path) -> Run:
    mode, strategy = STRATEGIES[name]
    own = {key: value for key, value in config({}, end="2024-07-10").items() if key != "portfolio"}
    return run({**own, "strategy_mode": mode, "strategy": strategy, "initial_capital": D(50_000) * D(share)}, data=sample)


def test_a_strategy_does_the_same_as_alone_with_its_share(sample: Path) -> None:
    found = three(sample)
    for row in found.summary["strategies"]:
        single = alone(row["name"], row["share"], sample).summary
        assert {name: row[name] for name in row if name not in ("name", "share")} == {name: single[name] for name in row if name in single}


def test_the_files_of_the_run_have_all_strategies_under_their_names(sample: Path) -> None:
    found = three(sample)
    carry, lend, slow = (alone(name, share, sample) for name, share in (("carry", "0.5"), ("lend", "0.3"), ("slow", "0.1")))
    equities = [result.equity.to_pylist() for result in (carry, lend, slow)]
    for row, *parts in zip(found.equity.to_pylist(), *equities, strict=True):
        assert row["timestamp"] == parts[0]["timestamp"]
        assert row["equity"] == pytest.approx(sum(part["equity"] for part in parts) + 5_000, abs=1e-9)
        assert all(row[source] == pytest.approx(sum(part[source] for part in parts), abs=1e-9) for source in SOURCES)
    trades = found.trades.to_pylist()
    assert len(trades) == sum(len(result.trades.to_pylist()) for result in (carry, lend, slow))
    assert [row["timestamp"] for row in trades] == sorted(row["timestamp"] for row in trades)
    assert {row["venue"] for row in trades} == {"carry/bybit", "slow/bybit", "lend/aave"}
    last = max(row["timestamp"] for row in found.positions.to_pylist())
    held = {(row["venue"], row["token"]): row["amount"] for row in found.positions.to_pylist() if row["timestamp"] == last}
    assert held["unallocated", "USDT"] == 5_000
    own = [row for row in carry.positions.to_pylist() if row["timestamp"] == last]
    assert {("carry/" + row["venue"], row["token"]): row["amount"] for row in own}.items() <= held.items()
    assert found.summary["instructions_routed"] == sum(result.summary["instructions_routed"] for result in (carry, lend, slow))


def test_its_risk_is_that_of_all_accounts(sample: Path) -> None:
    found = three(sample).risk.to_pylist()
    carry, lend, slow = (
        alone(name, share, sample).risk.to_pylist() for name, share in (("carry", "0.5"), ("lend", "0.3"), ("slow", "0.1"))
    )
    for row, *parts in zip(found, carry, lend, slow, strict=True):
        for column in ("gross_exposure", "net_exposure", "ETH_delta"):
            assert row[column] == pytest.approx(sum(part[column] for part in parts), abs=1e-5)
        assert [row["carry/bybit_leverage"], row["slow/bybit_leverage"]] == [parts[0]["bybit_leverage"], parts[2]["bybit_leverage"]]
    received = [row["own_funding_apr"] for row in found if row["own_funding_apr"] is not None]
    assert received and max(received) < max(row["own_funding_apr"] for row in carry if row["own_funding_apr"] is not None)


def test_events_and_reasons_name_the_strategy(sample: Path) -> None:
    found = three(sample)
    events = [json.loads(row["data"]) for row in found.events.to_pylist() if row["event_type"] in ("execution", "settlement")]
    assert {data["strategy"] for data in events} == {"carry", "lend", "slow"}
    assert all(data["venue"].startswith(f"{data['strategy']}/") for data in events)
    reasons = found.summary["by_reason"]
    assert {row["reason"].partition(": ")[0] for row in reasons} == {"carry", "lend", "slow"}


def test_two_runs_write_the_same_bytes_and_the_page_shows_each_strategy(sample: Path, tmp_path: Path) -> None:
    first, second = (run(config({"carry": D("0.5"), "lend": D("0.3")}), data=sample, results=tmp_path / name) for name in "ab")
    assert first.folder is not None and second.folder is not None
    pages = [result.report().read_text() for result in (first, second)]
    assert pages[0] == pages[1]
    for name in ("summary.json", "equity.csv", "risk.csv", "events.csv", "trades.csv", "positions.csv", "config.yaml"):
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes()
    assert '<h2 id="strategies">' in pages[0] or 'id="strategies"' in pages[0]
    assert ">lend<" in pages[0] and ">pure_lending<" in pages[0]


def test_what_is_still_held_at_the_end_has_the_name_of_its_strategy(sample: Path) -> None:
    found = run(config({"neutral": D(1)}, close_at_end=True), data=sample).summary
    assert found["left_open"] and all(row["venue"].startswith("neutral/") for row in found["left_open"])


def test_a_strategy_that_fails_is_named_and_what_was_recorded_is_kept(sample: Path, tmp_path: Path) -> None:
    file = tmp_path / "own.py"
    file.write_text("def decide(step, memory):\n    raise ValueError('no more')\n")
    own = {"name": "own", "share": 0.2, "strategy_mode": "custom", "strategy": {"file": str(file)}}
    given_config = config({"carry": D("0.5")})
    given_config["portfolio"].append(own)
    with pytest.raises(Exception, match="no more") as caught:
        run(given_config, data=sample, results=tmp_path / "results")
    assert "in portfolio: own" in caught.value.__notes__
    (folder,) = [path for path in (tmp_path / "results").iterdir() if path.is_dir()]
    assert not (folder / "summary.json").exists()
    assert "carry/bybit" in (folder / "trades.csv").read_text()


def test_a_live_replay_refuses_it(sample: Path, tmp_path: Path) -> None:
    limits = {"max_notional_per_instruction": 10**6, "max_notional_per_day": 10**7, "max_slippage_bps": 50, "max_unhedged_notional": 5000}
    with pytest.raises(ComponentError, match=r"^CFG-001: portfolio: a list of 1; allowed: one strategy live: write strategy_mode"):
        build_paper_replay(config({"carry": D("0.5")}, limits=limits), sample, tmp_path / "state", tmp_path / "r", tmp_path / "l")
