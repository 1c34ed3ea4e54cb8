"""Lend one token and hold."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.position_names import deposit_name
from basis_strategy_v1.strategies.strategy import Block, Holdings, action

# More than a withdrawal takes at any lender.
WITHDRAWAL_GAS = 500_000

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from basis_strategy_v1.core.market import MarketSnapshot


class PureLending:
    """Supplies all of the token at the first tick."""

    def decide(self, snapshot: MarketSnapshot, positions: Holdings, parameters: Mapping[str, Any]) -> Sequence[Block]:
        protocol, token = parameters["protocol"], parameters["token"]
        return [action(protocol, "supply", token=token, amount="all")] if positions.amount("wallet", token) else []

    def leave(self, snapshot: MarketSnapshot, positions: Holdings, parameters: Mapping[str, Any]) -> Sequence[Block]:
        protocol, token = parameters["protocol"], parameters["token"]
        if not positions.amount(protocol, deposit_name(token)):
            return []
        can_pay_gas = positions.amount("wallet", "ETH") >= positions.gas_fee(WITHDRAWAL_GAS, snapshot)
        return [action(protocol, "withdraw", token=token, amount="all")] if can_pay_gas else []

    def needs(self, parameters: Mapping[str, Any]) -> list[tuple[str, str, str]]:
        return [("lending", parameters["protocol"], parameters["token"])]

    def placed(self, capital: Decimal, parameters: Mapping[str, Any]) -> dict[str, dict[str, Decimal]]:
        return {"wallet": {parameters["token"]: capital}}
