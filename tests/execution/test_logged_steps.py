"""What an execution's event reports of the steps of a chain."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.execution_report import ExecutionReport
from basis_strategy_v1.execution.routing_events import execution_events

AT = datetime(2024, 6, 1, tzinfo=UTC)
STAKE = {"protocol": "lido", "action": "stake", "token": "ETH", "amount": 1}
EMODE = {"protocol": "aave", "action": "set_emode", "category": 1}


def logged(block: dict[str, Any]) -> dict[str, Any]:
    report = ExecutionReport(key="a", venue="aave", at=AT, kind="execution", deltas=Deltas(), expected=Deltas())
    [(event_type, data)] = execution_events(report, {"instruction_type": "smart_contract_action", **block})
    assert event_type == "execution"
    found: dict[str, Any] = msgspec.to_builtins(data, str_keys=True)
    return found


def test_each_step_is_logged_and_those_of_a_loan_in_brackets() -> None:
    loan = {"protocol": "aave", "action": "flash_loan", "token": "WETH", "amount": 1, "sub_instructions": [EMODE, STAKE]}
    assert logged({"sub_instructions": [loan, STAKE]})["steps"] == ["flash_loan WETH (set_emode, stake ETH)", "stake ETH"]
    assert logged(loan)["steps"] == ["set_emode", "stake ETH"]


def test_an_action_of_its_own_has_no_steps() -> None:
    assert "steps" not in logged(STAKE)
