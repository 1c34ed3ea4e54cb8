"""Lend one token and hold."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any

from basis_strategy_v1.core.settings import Mark, Token, VenueOf
from basis_strategy_v1.strategies.parameters import CommonParameters
from basis_strategy_v1.strategies.strategy import Plan, Step, VenueFacts, because

if TYPE_CHECKING:
    from basis_strategy_v1.core.venue_facts import LendingLimits

# More than a withdrawal takes at any lender.
WITHDRAWAL_GAS = 500_000
# More than a supply takes at any.
SUPPLY_GAS = 400_000
# A share of the deposit: under a cap that is nearly reached, no less is supplied.
LEAST_PART = Decimal("0.01")


# It supplies without naming a market.
LENDER_OF_TOKENS = VenueOf("onchain", ("supply",), ("supply_collateral",))
# By share class.
LENT_TOKENS = {"usdt_stable": ("USDT", "USDC"), "eth_directional": ("ETH", "WETH", "wstETH", "weETH")}


class Parameters(CommonParameters, frozen=True, kw_only=True):
    """What is lent, and where."""

    protocol: Annotated[str, LENDER_OF_TOKENS, "where the token is supplied"] = "aave"
    token: Annotated[Token, Mark.RUN, "what is supplied"]


class PureLending:
    """Supplies all of the token at the first step: as soon as the wallet can pay the gas, and as far as caps allow."""

    memory_kinds = ()

    def __init__(self, parameters: Parameters, venues: VenueFacts) -> None:
        self._protocol, self._token = parameters.protocol, parameters.token
        own = venues[self._protocol]
        assert own.deposit is not None
        self._deposit, self._wallet = own.deposit(self._token), own.wallet

    def decide(self, step: Step, memory: None) -> Plan:
        held = step.positions.amount(self._wallet, self._token)
        if not held or not self._can_pay_gas(step, SUPPLY_GAS, held):
            return [], memory
        room = self._limits(step).supply
        if room is None or room >= held:
            return because("cash in the wallet: supply it", [self._deposit.supply("all")]), memory
        # A cap is nearly reached: what it leaves now, the rest when there is room again.
        part = [self._deposit.supply(room)] if room >= held * LEAST_PART else []
        return because("cash in the wallet: supply what the cap leaves", part), memory

    def leave(self, step: Step, memory: None) -> Plan:
        deposit = step.positions.amount(self._protocol, self._deposit.position)
        if not deposit or not self._can_pay_gas(step, WITHDRAWAL_GAS):
            return [], memory
        cash = self._limits(step).withdraw
        if cash is None or cash >= deposit:
            return because("the end: leave", [self._deposit.withdraw("all")]), memory
        return because("the end: leave what the pool has cash for", [self._deposit.withdraw(cash)] if cash else []), memory

    def _limits(self, step: Step) -> LendingLimits:
        return step.positions.limits(self._protocol, self._token, step.snapshot)

    def _can_pay_gas(self, step: Step, units: int, kept: Decimal = Decimal(0)) -> bool:
        ether = step.positions.amount(self._wallet, "ETH") - (kept if self._token == "ETH" else 0)
        return ether >= step.positions.gas_fee(units, step.snapshot)

    def too_little(self, step: Step) -> str:
        """Why nothing can be done with what is there at the start; nothing where something can."""
        if step.positions.amount(self._wallet, "ETH") or not step.positions.gas_fee(SUPPLY_GAS, step.snapshot):
            return ""
        return f"{self._wallet} holds no ETH to pay gas with: nothing is supplied; set gas_reserve_eth, or gas_price_gwei: 0"

    def needs(self, parameters: Any) -> list[tuple[str, str, str]]:
        return list(self._deposit.series)

    def placed(self, capital: Decimal, parameters: Any) -> dict[str, dict[str, Decimal]]:
        return {self._wallet: {self._token: capital}}
