"""From an exchange through staking, lending and borrowing and back, hedged, on recorded markets."""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from .conftest import RunOnce
from .running import CAPITAL, HOUR, moment, series
from .test_a_year_of_basis import SOURCES

D = Decimal
STAKED = {"lido": ("wstETH", "uniswap"), "etherfi": ("weETH", "curve")}
LEAVE = "2024-11-15"


def cycle(protocol: str, *, perp: str = "bybit", **strategy: Any) -> dict[str, Any]:
    """Six months of usdt_market_neutral with a loop at Aave, and public costs wherever there are some."""
    return {
        "strategy_mode": "usdt_market_neutral",
        "share_class": "usdt_stable",
        "initial_capital": CAPITAL,
        "start": "2024-06-01",
        "end": "2024-12-01",
        "interval": "1h",
        "strategy": {
            "protocol": protocol, "spot_venue": "bybit", "perp_venue": perp, "leverage": 1, "rebalance_threshold_bps": 1500,
            "lender": "aave", "target_ltv": "0.7", "min_spread_bps": -500, "unstake": "queue", "leave_at": LEAVE, **strategy,
        },
        "venues": {
            "cex": {name: {"withdrawal": "default"} for name in sorted({"bybit", perp})},
            "dex": {STAKED[protocol][1]: {}},
            "onchain": {"aave": {"revision": "3.0"}, protocol: {}, "wallet": {"gas_price_gwei": "market"}},
        },
    }  # fmt: skip


SCENARIOS: dict[str, dict[str, Any]] = {
    "lido, flash loan": cycle("lido", flash=True),
    "etherfi, rounds": cycle("etherfi"),
    "etherfi, short on binance": cycle("etherfi", perp="binance", flash=True),
}
every_scenario = pytest.mark.parametrize("name", SCENARIOS)


@every_scenario
def test_every_station_is_passed_in_order(name: str, run_once: RunOnce) -> None:
    ran, protocol = run_once(SCENARIOS[name]), SCENARIOS[name]["strategy"]["protocol"]
    wrapped, dex = STAKED[protocol]
    perp = SCENARIOS[name]["strategy"]["perp_venue"]
    stations = {
        "bought": ("bybit", "ETH", 1), "hedged": (perp, "ETHUSDT-PERP", -1), "sent": ("in_transit", "ETH", 1),
        "staked": (protocol, wrapped, 1), "supplied": ("aave", f"a{wrapped}", 1), "borrowed": ("aave", "variableDebtWETH", 1),
        "repaid": ("aave", "variableDebtWETH", -1), "withdrawn": ("aave", f"a{wrapped}", -1), "sold for the debt": (dex, wrapped, -1),
        "queued": (protocol, "ETH-QUEUED", 1), "claimed": (protocol, "ETH-QUEUED", -1), "back": ("bybit", "ETH", 1),
        "sold": ("bybit", "ETH", -1), "closed": (perp, "ETHUSDT-PERP", 1),
    }  # fmt: skip
    leaving = list(stations).index("repaid")
    after = moment(f"{LEAVE}T00:00:00Z")
    rows = sorted([*ran.events("execution"), *ran.settled("arrival")], key=lambda row: row.at)
    seen = []
    for place, (station, (venue, token, sign)) in enumerate(stations.items()):
        at = [
            row.at
            for row in rows
            if sign * D(row.data["deltas"].get(venue, {}).get(token, "0")) > 0 and (row.at >= after or place < leaving)
        ]
        assert at, f"{name}: never {station}"
        seen.append(at[0] if place < leaving else at[-1] if station in ("sold", "closed", "back", "claimed") else at[0])
    assert seen == sorted(seen)


@every_scenario
def test_at_the_end_there_is_the_quote_currency_and_what_is_left_of_the_gas_reserve(name: str, run_once: RunOnce) -> None:
    positions = run_once(SCENARIOS[name]).positions()
    last = positions[max(positions)]
    perp = SCENARIOS[name]["strategy"]["perp_venue"]
    dust = {token: amount for token, amount in last.items() if not token.endswith("USDT")}
    assert set(dust) <= {"wallet ETH", "wallet WETH", "bybit ETH"}
    assert 0 < dust["wallet ETH"] <= D("0.06")
    assert sum(dust.values()) - dust["wallet ETH"] < D("0.001")
    assert f"{perp} ETHUSDT-PERP" not in last


@every_scenario
def test_the_attribution_of_the_cycle_adds_up_to_the_last_decimal(name: str, run_once: RunOnce) -> None:
    ran = run_once(SCENARIOS[name])
    summary = ran.summary
    assert sum(map(D, summary["attribution"].values())) == D(summary["pnl"])
    wrong = [row for row in ran.rows("equity.csv") if D(row["equity"]) != CAPITAL + sum(D(row[source]) for source in SOURCES)]
    assert wrong == []
    assert D(summary["attribution"]["staking"]) > 0 > D(summary["attribution"]["borrow_interest"])
    assert D(summary["attribution"]["gas"]) < 0 > D(summary["attribution"]["transfers"])
    assert D(summary["attribution"]["liquidation"]) == 0


@every_scenario
def test_a_transfer_arrives_after_its_delay_less_its_fee(name: str, run_once: RunOnce) -> None:
    ran = run_once(SCENARIOS[name])
    arrived = {row.at: row.data["deltas"]["wallet"]["ETH"] for row in ran.settled("arrival") if "wallet" in row.data["deltas"]}
    sent = [
        row for row in ran.events("execution") if row.data["action"] == "transfer" and "ETH" in row.data["deltas"].get("in_transit", {})
    ]
    assert sent
    for row in sent:
        amount = -D(row.data["deltas"]["bybit"]["ETH"])
        at = row.at + HOUR / 6
        assert abs(D(arrived[at]) - (amount - D("0.0012"))) < D("1e-18")


class Prices:
    """The closes of a series, by when they were known."""

    def __init__(self, market: Path, name: str) -> None:
        rows = series(market, name)
        self._known = [moment(row["timestamp"]) + HOUR for row in rows]
        self._closes = [D(row["close"]) for row in rows]

    def at(self, instant: datetime) -> Decimal:
        return self._closes[bisect_right(self._known, instant) - 1]


class Rates(Prices):
    """A redemption rate, known at its stamp."""

    def __init__(self, market: Path, protocol: str) -> None:
        rows = series(market, f"staking/{protocol}/{STAKED[protocol][0]}")
        self._known = [moment(row["timestamp"]) for row in rows]
        self._closes = [D(row["eth_per_token"]) for row in rows]


@every_scenario
def test_the_stake_is_hedged_wherever_it_is(name: str, run_once: RunOnce, market_data: Path) -> None:
    ran, strategy = run_once(SCENARIOS[name]), SCENARIOS[name]["strategy"]
    rates = Rates(market_data, strategy["protocol"])
    worst = D(0)
    for at, held in ran.positions().items():
        ether = ether_of(held, rates.at(at), strategy["protocol"])
        short = -held.get(f"{strategy['perp_venue']} ETHUSDT-PERP", D(0))
        if short:
            worst = max(worst, abs(ether - short) / short)
    assert D(0) < worst < D("0.006"), "half a percent is tolerated, and what a step's gas and fees take"


def ether_of(held: dict[str, Decimal], rate: Decimal, protocol: str) -> Decimal:
    wrapped = STAKED[protocol][0]
    amount = held.get
    plain = sum((amount(f"{venue} ETH", D(0)) for venue in ("wallet", "bybit", "in_transit")), D(0)) + amount("wallet WETH", D(0))
    staked = amount(f"wallet {wrapped}", D(0)) + amount(f"aave a{wrapped}", D(0))
    return plain + staked * rate + amount(f"{protocol} ETH-QUEUED", D(0)) - amount("aave variableDebtWETH", D(0))


@every_scenario
def test_equity_moves_by_no_more_than_the_difference_of_the_two_prices_and_what_was_recorded(
    name: str, run_once: RunOnce, market_data: Path
) -> None:
    """What is hedged moves with spot minus perp only, what is not with the spot price; everything else is in a column of its own."""
    ran, strategy = run_once(SCENARIOS[name]), SCENARIOS[name]["strategy"]
    spot = Prices(market_data, "ohlcv/bybit/spot/ETHUSDT_1h")
    perp = Prices(market_data, f"ohlcv/{strategy['perp_venue']}/perp/ETHUSDT_1h")
    recorded = [source for source in SOURCES if source not in ("spot_price", "perp_price")]
    held = CAPITAL / D(2000)  # ETH at the lowest price of the time; more is never held
    for before, after in pairwise(ran.rows("equity.csv")):
        since, now = moment(before["timestamp"]), moment(after["timestamp"])
        change = D(after["equity"]) - D(before["equity"])
        flows = sum(D(after[source]) - D(before[source]) for source in recorded)
        moved = abs(spot.at(now) - spot.at(since))
        widened = abs((spot.at(now) - perp.at(now)) - (spot.at(since) - perp.at(since)))
        assert abs(change - flows) <= held * (widened + moved * D("0.006")) + D("0.01"), after["timestamp"]
