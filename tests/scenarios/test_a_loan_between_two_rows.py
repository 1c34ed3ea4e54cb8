"""A loan that interest alone takes below its health between two rows of the reserves, where nothing falls due.

The next instruction on chain finds it liquidated, and the ledger has what that cost.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ..world import AT, action, write_bars, write_lending
from .running import Ran, day, moment, run
from .test_time import blocks_config

D = Decimal
PRICE = D(3_000)  # of an ether, on the exchange and at the oracle, all the time
UNIT = D("1e-12")
START, FOUND = "2024-06-01T00:00:00Z", "2024-06-01T12:40:00Z"
HALFWAY = "2024-06-01T12:00:00Z"


def reserve_row(price: Decimal, rate: Decimal, index: Decimal) -> dict[str, Decimal]:
    return {
        "liquidity_index": index, "liquidity_rate": rate, "variable_borrow_index": index, "variable_borrow_rate": rate,
        "total_supplied": D(900_000_000), "total_borrowed": D(400_000_000), "oracle_price_usd": price,
    }  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two days: an ether at one price by the hour, and a row a day of two reserves whose indices follow from their rates."""
    folder = tmp_path_factory.mktemp("rows")
    write_bars(folder, "bybit", "spot", "ETHUSDT", [(float(PRICE),)] * 48, AT - timedelta(days=1))
    for token, price, rate in (("WETH", PRICE, D("0.02")), ("USDT", D(1), D("5"))):
        rows = {AT + timedelta(days=days): reserve_row(price, rate, 1 + rate * days / 365) for days in range(2)}
        write_lending(folder, "aave_v3", token, rows)
    return folder


def ran(data: Path, folder: Path, *blocks: tuple[str, dict[str, Any]]) -> Ran:
    """A run in which 30 WETH secure nearly as many USDT as they may before the loan is liquidated, and what comes after."""
    reserves = {"WETH": {"ltv_bps": 8299, "liquidation_threshold_bps": 8300, "liquidation_bonus_bps": 500}}
    first = [(START, action("aave", "supply", "WETH", "30")), (START, action("aave", "borrow", "USDT", "74600"))]
    config = blocks_config(
        folder, [*first, *blocks],
        initial_positions={"wallet": {"WETH": "31"}}, end="2024-06-02",
        venues={"onchain": {"wallet": {"gas_price_gwei": 0}, "aave": {"reserves": reserves, "health_prices": "oracle"}}, "cex": ["bybit"]},
    )  # fmt: skip
    return run(config, data, folder)


def parts(found: Ran) -> dict[str, Decimal]:
    return {source: D(amount) for source, amount in found.summary["attribution"].items() if D(amount)}


def test_what_an_instruction_finds_liquidated_is_recorded_as_a_liquidation(data: Path, tmp_path: Path) -> None:
    found = ran(data, tmp_path, (FOUND, action("aave", "supply", "WETH", "1")))
    liquidated = [row for row in found.settled("liquidation") if row.at == moment(FOUND)]
    assert liquidated
    moved = [row.data["deltas"]["aave"] for row in found.settled("liquidation")]
    taken = sum(-D(deltas["aWETH"]) for deltas in moved)
    repaid = sum(-D(deltas["variableDebtUSDT"]) for deltas in moved)
    ledger = parts(found)
    assert abs(-ledger["liquidation"] - (taken * PRICE - repaid)) <= 4 * UNIT
    assert abs(-ledger["liquidation"] / repaid - D("0.05")) < D("1e-8")
    # The prices stood still, so that nothing is left for them but what recording rounds.
    assert set(ledger) <= {"supply_interest", "borrow_interest", "liquidation", "spot_price"}
    assert abs(ledger.get("spot_price", D(0))) <= 8 * UNIT
    assert sum(ledger.values()) == D(found.summary["pnl"])


def test_the_step_on_which_it_was_found_has_it_in_its_row(data: Path, tmp_path: Path) -> None:
    found = ran(data, tmp_path, (FOUND, action("aave", "supply", "WETH", "1")))
    recorded = {moment(row["timestamp"]): D(row["liquidation"]) for row in found.rows("equity.csv")}
    assert {at for at, amount in recorded.items() if not amount} == {at for at in recorded if at < moment(FOUND)}
    assert recorded[moment(FOUND)] < -1_000
    held = found.positions()
    assert held[moment(FOUND)]["aave variableDebtUSDT"] < 40_000 < held[day("2024-06-01")]["aave variableDebtUSDT"]


def test_an_order_to_an_exchange_finds_nothing_on_chain(data: Path, tmp_path: Path) -> None:
    sent = {"instruction_type": "wallet_transfer", "from_venue": "wallet", "to_venue": "bybit", "token": "USDT", "amount": "1000"}
    bought = {"instruction_type": "cex_trade", "venue": "bybit", "trade_type": "spot", "side": "buy", "symbol": "ETHUSDT", "amount": "0.1"}
    found = ran(data, tmp_path, ("2024-06-01T00:00:00Z", sent), (HALFWAY, bought))
    assert {row.at for row in found.settled("liquidation")} == {day("2024-06-02")}
    assert sum(parts(found).values()) == D(found.summary["pnl"])
