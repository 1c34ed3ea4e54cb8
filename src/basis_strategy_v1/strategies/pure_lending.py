"""Lend one token and hold."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from msgspec import Struct

from basis_strategy_v1.core.settings import Mark, Token, VenueOf
from basis_strategy_v1.strategies.strategy import Plan, Step, VenueFacts

# More than a withdrawal takes at any lender.
WITHDRAWAL_GAS = 500_000


# It supplies without naming a market.
LENDER_OF_TOKENS = VenueOf("onchain", ("supply",), ("supply_collateral",))
# By share class.
LENT_TOKENS = {"usdt_stable": ("USDT", "USDC"), "eth_directional": ("ETH", "WETH", "wstETH", "weETH")}


class Parameters(Struct, frozen=True, kw_only=True):
    """What is lent, and where."""

    protocol: Annotated[str, LENDER_OF_TOKENS, "where the token is supplied"] = "aave"
    token: Annotated[Token, Mark.RUN, "what is supplied"]


class PureLending:
    """Supplies all of the token at the first step."""

    memory_kinds = ()

    def __init__(self, parameters: Parameters, venues: VenueFacts) -> None:
        self._protocol, self._token = parameters.protocol, parameters.token
        own = venues[self._protocol]
        assert own.deposit is not None
        self._deposit, self._wallet = own.deposit(self._token), own.wallet

    def decide(self, step: Step, memory: None) -> Plan:
        has_some = step.positions.amount(self._wallet, self._token)
        return [self._deposit.supply("all")] if has_some else [], memory

    def leave(self, step: Step, memory: None) -> Plan:
        if not step.positions.amount(self._protocol, self._deposit.position):
            return [], memory
        can_pay_gas = step.positions.amount(self._wallet, "ETH") >= step.positions.gas_fee(WITHDRAWAL_GAS, step.snapshot)
        return [self._deposit.withdraw("all")] if can_pay_gas else [], memory

    def needs(self, parameters: Any) -> list[tuple[str, str, str]]:
        return list(self._deposit.series)

    def placed(self, capital: Decimal, parameters: Any) -> dict[str, dict[str, Decimal]]:
        return {self._wallet: {self._token: capital}}
