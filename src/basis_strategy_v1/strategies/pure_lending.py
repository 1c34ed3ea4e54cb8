"""Lend one token and hold."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.position_names import deposit_name
from basis_strategy_v1.strategies.strategy import Plan, Step, action

# More than a withdrawal takes at any lender.
WITHDRAWAL_GAS = 500_000

if TYPE_CHECKING:
    from collections.abc import Mapping


class PureLending:
    """Supplies all of the token at the first step."""

    memory_kinds = ()

    def decide(self, step: Step, memory: None) -> Plan:
        protocol, token = step.parameters["protocol"], step.parameters["token"]
        return [action(protocol, "supply", token=token, amount="all")] if step.positions.amount("wallet", token) else [], memory

    def leave(self, step: Step, memory: None) -> Plan:
        protocol, token = step.parameters["protocol"], step.parameters["token"]
        if not step.positions.amount(protocol, deposit_name(token)):
            return [], memory
        can_pay_gas = step.positions.amount("wallet", "ETH") >= step.positions.gas_fee(WITHDRAWAL_GAS, step.snapshot)
        return [action(protocol, "withdraw", token=token, amount="all")] if can_pay_gas else [], memory

    def needs(self, parameters: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        return [("lending", parameters["protocol"], parameters["token"])]

    def placed(self, capital: Decimal, parameters: Mapping[str, Any]) -> dict[str, dict[str, Decimal]]:
        return {"wallet": {parameters["token"]: capital}}
