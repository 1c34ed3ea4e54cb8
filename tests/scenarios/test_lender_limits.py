"""What a lender says that it lets move is what it takes and gives: that much passes, a little more is refused."""

from __future__ import annotations

import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1 import ExecutionInterfaceManager, PositionUpdateHandler, load_config
from basis_strategy_v1.app import open_data
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.venue_facts import LendingLimits
from basis_strategy_v1.execution.portfolio import Portfolio

from .random_market import START, RandomMarket

D = Decimal
CAPPED = {"reserves": {"WETH": {"supply_cap": 100_050, "borrow_cap": 99_990}}}


class Borrower:
    """A wallet with much of both tokens, and collateral at Aave."""

    def __init__(self, folder: Path, seed: int, aave: dict[str, Any]) -> None:
        data = RandomMarket(seed, days=2, has_gaps=False).write(folder / "data")
        config = {
            "strategy_mode": "pure_lending", "share_class": "eth_directional", "initial_capital": 1,
            "start": "2024-06-01", "end": "2024-06-03",
            "strategy": {"protocol": "aave", "token": "WETH"},
            "venues": {"onchain": {"aave": aave, "wallet": {"gas_price_gwei": 0}}},
        }  # fmt: skip
        settings = load_config(config, run=True)
        handler = PositionUpdateHandler({"wallet": {"WETH": 300_000, "wstETH": 300_000}})
        self.manager = ExecutionInterfaceManager(settings, open_data(settings, data), "backtest", positions=handler)
        self.portfolio = Portfolio(self.manager.account)
        self.send("supply", "wstETH", D(200_000))

    def limits(self) -> LendingLimits:
        return self.portfolio.limits("aave", "WETH", self.manager.account.market(START))

    def send(self, action: str, token: str, amount: Decimal) -> None:
        block = {"instruction_type": "smart_contract_action", "protocol": "aave", "action": action, "token": token, "amount": amount}
        self.manager.execute(START, block)


@given(seed=st.integers(0, 1000), aave=st.sampled_from([{}, {"rate_impact": True}, CAPPED]), action=st.sampled_from(["supply", "borrow"]))
def test_as_much_as_the_limit_passes_and_a_little_more_is_refused(seed: int, aave: dict[str, Any], action: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        borrower = Borrower(Path(folder), seed, aave)
        most = borrower.limits().supply if action == "supply" else borrower.limits().borrow
        assert (most is None) == (action == "supply" and aave is not CAPPED)
        if most is None:
            return
        with pytest.raises(ComponentError):
            borrower.send(action, "WETH", most + 1)
        if most:
            borrower.send(action, "WETH", most)
