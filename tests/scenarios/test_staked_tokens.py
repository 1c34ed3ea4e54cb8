"""A staked token that is only held: its redemption rate is income, the price of ether is not. And one that is asked back."""

from __future__ import annotations

import itertools
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from basis_strategy_v1.data.importing import import_to_database

from .conftest import RunOnce
from .running import day, excerpt, moment, run, series
from .test_time import blocks_config

HELD = Decimal(20)


def config(folder: Path, **changes: Any) -> dict[str, Any]:
    venues = {"onchain": {"wallet": {"gas_price_gwei": 0}, "lido": {}}, "cex": ["bybit"]}
    return blocks_config(
        folder, [], initial_positions={"wallet": {"wstETH": "20"}}, venues=venues, end="2024-06-11", interval="8h", **changes
    )


def rates(market: Path) -> dict[str, Decimal]:
    return {row["timestamp"]: Decimal(row["eth_per_token"]) for row in series(market, "staking/lido/wstETH")}


def test_in_ether_the_profit_is_the_growth_of_the_redemption_rate(run_once: RunOnce, market_data: Path, tmp_path: Path) -> None:
    ran = run_once(config(tmp_path, share_class="eth_directional"))
    by_day = rates(market_data)
    then, now = by_day["2024-06-01T00:00:00Z"], by_day["2024-06-11T00:00:00Z"]
    assert Decimal(ran.summary["initial_equity"]) == (HELD * then).quantize(Decimal("1e-12"))
    assert Decimal(ran.summary["final_equity"]) == (HELD * now).quantize(Decimal("1e-12"))
    earned = {source: amount for source, amount in ran.summary["attribution"].items() if amount != "0"}
    assert earned == {"staking": ran.summary["pnl"]}


def test_in_dollars_each_rate_is_recorded_at_its_own_time_and_price(run_once: RunOnce, market_data: Path, tmp_path: Path) -> None:
    ran = run_once(config(tmp_path))
    closes = {moment(bar["timestamp"]): Decimal(bar["close"]) for bar in series(market_data, "ohlcv/bybit/spot/ETHUSDT_1h")}
    by_day = {moment(at): rate for at, rate in rates(market_data).items() if day("2024-06-01") <= moment(at) <= day("2024-06-11")}
    times = sorted(by_day)
    expected = sum(
        (HELD * (by_day[now] - by_day[then]) * close_before(closes, now)).quantize(Decimal("1e-12"))
        for then, now in itertools.pairwise(times)
    )
    assert Decimal(ran.summary["attribution"]["staking"]) == expected
    parts = {source for source, amount in ran.summary["attribution"].items() if amount != "0"}
    assert parts == {"staking", "spot_price"}


def close_before(closes: dict[Any, Decimal], at: Any) -> Decimal:
    """The close of the last bar that has closed."""
    return closes[max(opened for opened in closes if opened < at)]


def test_the_equity_at_market_takes_the_price_at_which_the_token_trades(run_once: RunOnce, market_data: Path, tmp_path: Path) -> None:
    ran = run_once(config(tmp_path, share_class="eth_directional"))
    traded = [row for row in series(market_data, "dex/uniswap_v3/wstETH_WETH") if row["timestamp"] < "2024-06-11T00:00:00Z"][-1]
    worth = Decimal(ran.summary["final_equity_at_market"])
    assert abs(worth - HELD * Decimal(traded["eth_per_token"])) <= Decimal("2e-12")
    assert worth != Decimal(ran.summary["final_equity"])


def test_a_staked_token_that_comes_from_an_exchange_is_no_income(run_once: RunOnce, tmp_path: Path) -> None:
    moved = {"instruction_type": "wallet_transfer", "from_venue": "bybit", "to_venue": "wallet", "token": "stETH", "amount": "5"}
    venues = {
        "onchain": {"wallet": {"gas_price_gwei": 0}, "lido": {}},
        "cex": {"bybit": {"withdrawal": {"stETH": {"minutes": 60}}}},
    }
    blocks = [("2024-06-01T02:00:00Z", moved)]
    made = blocks_config(
        tmp_path,
        blocks,
        initial_positions={"bybit": {"stETH": "5"}},
        venues=venues,
        end="2024-06-01T08:00:00Z",
        share_class="eth_directional",
    )
    summary = run_once(made).summary
    assert abs(Decimal(summary["pnl"])) < Decimal("0.001")
    assert abs(Decimal(summary["attribution"]["staking"])) < Decimal("0.001")


# What is asked back at the protocol's queue.


def leaving(protocol: str, **changes: Any) -> dict[str, Any]:
    """Staked on the first of June, asked back on the second; the queue takes five days, seven hours and twelve minutes."""
    return {
        "strategy_mode": "eth_staking_only",
        "share_class": "eth_directional",
        "initial_capital": 100,
        "start": "2024-06-01",
        "end": "2024-06-11",
        "interval": "1h",
        "strategy": {"protocol": protocol, "leave_at": "2024-06-02"},
        "venues": {"onchain": {protocol: {"withdrawal_days": "5.3"}, "wallet": {"gas_price_gwei": 0}}},
        **changes,
    }


every_protocol = pytest.mark.parametrize("protocol", ["lido", "etherfi"])
FINALISED = day("2024-06-07") + timedelta(hours=7, minutes=12)


@every_protocol
@pytest.mark.parametrize(("interval", "step"), [("1h", timedelta(hours=8)), ("1d", timedelta(days=1))])
def test_a_claim_is_reported_at_its_own_instant_and_made_at_the_next_step(
    protocol: str, interval: str, step: timedelta, run_once: RunOnce
) -> None:
    ran = run_once(leaving(protocol, interval=interval))
    asked, claimed = (row for row in ran.events("execution") if "ETH-QUEUED" in row.data["deltas"][protocol])
    amount = asked.data["deltas"][protocol]["ETH-QUEUED"]
    [reported] = ran.settled("claim")
    assert (reported.at, reported.data["venue"], reported.data["deltas"], reported.data["costs"]) == (FINALISED, protocol, {}, [])
    assert reported.data["details"] == {
        "request_id": asked.data["details"]["request_id"],
        "amount": format(Decimal(amount).normalize(), "f"),
        "claimable": "2024-06-07T07:12:00Z",
    }
    assert claimed.at == day("2024-06-07") + step
    assert claimed.data["deltas"][protocol] == {"ETH-QUEUED": f"-{amount}", "ETH": amount}


@every_protocol
def test_where_nobody_claims_it_is_reported_once_and_no_position_is_written_for_it(
    protocol: str, run_once: RunOnce, tmp_path: Path
) -> None:
    wrapped = {"lido": "wstETH", "etherfi": "weETH"}[protocol]
    block = {"instruction_type": "smart_contract_action", "protocol": protocol, "action": "unstake", "token": wrapped, "amount": "all"}
    made = {"initial_positions": {"wallet": {wrapped: "20"}}, "venues": leaving(protocol)["venues"], "share_class": "eth_directional"}
    ran = run_once(blocks_config(tmp_path, [("2024-06-02T00:00:00Z", block)], end="2024-06-11", **made))
    assert [row.at for row in ran.settled("claim")] == [FINALISED]
    assert list(ran.positions()) == [day("2024-06-01") + timedelta(days=number) for number in range(11)]
    held = {token for amounts in ran.positions().values() for token in amounts}
    assert held == {f"wallet {wrapped}", f"{protocol} ETH-QUEUED"}


@every_protocol
def test_a_database_reports_a_claim_as_the_folder_does_that_it_was_made_of(
    protocol: str, run_once: RunOnce, market_data: Path, tmp_path: Path
) -> None:
    names = (f"staking/{protocol}/{'wstETH' if protocol == 'lido' else 'weETH'}", "ohlcv/bybit/spot/ETHUSDT_1h")
    import_to_database(excerpt(market_data, tmp_path / "folder", names, until="2024-06-20"), tmp_path / "market.duckdb")
    ran = run(leaving(protocol), tmp_path / "market.duckdb", tmp_path)
    assert ran.files()["events.csv"] == run_once(leaving(protocol)).files()["events.csv"]
    assert len(ran.settled("claim")) == 1
