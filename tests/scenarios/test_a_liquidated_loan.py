"""A loan that the fall of August 2024 takes below its health: what is lost is the bonus of the liquidator, not interest."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

from .conftest import RunOnce
from .test_time import blocks_config


def lending(action: str, token: str, amount: str) -> dict[str, Any]:
    return {"instruction_type": "smart_contract_action", "protocol": "aave", "action": action, "token": token, "amount": amount}


def test_the_loss_is_a_liquidation_and_the_interest_is_interest(run_once: RunOnce, tmp_path: Path) -> None:
    start = "2024-07-30T00:00:00Z"
    config = blocks_config(
        tmp_path,
        [(start, lending("supply", "WETH", "30")), (start, lending("borrow", "USDT", "70000"))],
        initial_positions={"wallet": {"WETH": "30"}},
        venues={"onchain": {"wallet": {"gas_price_gwei": 0}, "aave": {}}, "cex": ["bybit"]},
        start="2024-07-30", end="2024-08-10", interval="1h",
    )  # fmt: skip
    ran = run_once(config)
    liquidations = ran.settled("liquidation")
    assert liquidations and {row.at.month for row in liquidations} == {8}
    parts = {source: Decimal(amount) for source, amount in ran.summary["attribution"].items() if amount != "0"}
    assert set(parts) == {"spot_price", "supply_interest", "borrow_interest", "liquidation"}
    repaid = sum(-Decimal(row.data["deltas"]["aave"]["variableDebtUSDT"]) for row in liquidations)
    # The bonus on WETH is 5 % of what is repaid, at the oracle's price; the ledger takes the exchange's.
    assert Decimal("0.03") < -parts["liquidation"] / repaid < Decimal("0.09")
    assert 0 < parts["supply_interest"] < 100  # about 2 % a year on 100,000 for 11 days
    assert -400 < parts["borrow_interest"] < -50
    assert sum(parts.values()) == Decimal(ran.summary["pnl"])
