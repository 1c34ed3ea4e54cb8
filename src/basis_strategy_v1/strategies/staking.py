"""Stake ether and hold; with a lender, as collateral of borrowed ether that is staked too."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from basis_strategy_v1.core.settings import Fraction, Mark
from basis_strategy_v1.strategies.loop import Flash, LeastHealth, LoopMemory, LtvTolerance, work_of
from basis_strategy_v1.strategies.parameters import CommonParameters
from basis_strategy_v1.strategies.spread import Hysteresis, LeastSpread, SpreadMemory, SpreadWindow
from basis_strategy_v1.strategies.staked_ether import (
    SMALLEST_STAKE,
    Dex,
    LeaveAt,
    LenderOfEther,
    SaleSlippage,
    StakedEther,
    StakingVenue,
    Unstake,
)
from basis_strategy_v1.strategies.strategy import Plan, Step, VenueFacts, Window, because


class Parameters(CommonParameters, frozen=True, kw_only=True):
    """Where ether is staked, and how it is redeemed."""

    protocol: StakingVenue
    unstake: Unstake = "queue"
    dex: Dex = None
    sale_slippage_bps: SaleSlippage = Decimal(100)
    leave_at: LeaveAt = None


class LeveragedParameters(CommonParameters, frozen=True, kw_only=True):
    """And where ether is borrowed against the stake, up to what."""

    protocol: StakingVenue
    lender: Annotated[LenderOfEther, Mark.RUN, "where ETH is borrowed against the stake"]
    target_ltv: Annotated[Fraction, Mark.RUN, "debt / collateral to hold"]
    flash: Flash = False
    ltv_tolerance_bps: LtvTolerance = Decimal(50)
    min_health_factor: LeastHealth = Decimal("1.05")
    min_spread_bps: LeastSpread = Decimal(0)
    spread_hysteresis_bps: Hysteresis = Decimal(100)
    spread_window_hours: SpreadWindow = 168
    unstake: Unstake = "queue"
    dex: Dex = None
    sale_slippage_bps: SaleSlippage = Decimal(100)
    leave_at: LeaveAt = None


class EthStaking:
    """Stakes all ETH of the wallet but the gas reserve, or builds and keeps the loop with it; from `leave_at` on gives it back, and
    claims what the queue pays."""

    memory_kinds = (LoopMemory, SpreadMemory)

    def __init__(self, parameters: Parameters | LeveragedParameters, venues: VenueFacts) -> None:
        self._stake = StakedEther(parameters, venues)
        self._work = work_of(self._stake, parameters)

    def decide(self, step: Step, memory: LoopMemory | None) -> Plan:
        if self._stake.is_leaving(step):
            return self.leave(step, memory)
        return self._work.decide(self._stake.read(step), step, memory)

    def leave(self, step: Step, memory: LoopMemory | None) -> Plan:
        held = self._stake.read(step)
        if not self._stake.can_give_back(held, step):
            return [], memory
        return because("leave: give the stake back", [*self._stake.claims(step), *self._stake.give_back(held, step)]), memory

    def needs(self, parameters: Any) -> list[tuple[str, str, str]]:
        return self._stake.series()

    def too_little(self, step: Step) -> str:
        """Why nothing can be done with what is there at the start; nothing where something can."""
        ether = self._stake.read(step).ether
        if ether >= SMALLEST_STAKE:
            return ""
        return (
            f"{ether:,.4f} ETH are to be staked, below the smallest stake of the strategy, {SMALLEST_STAKE}: nothing is staked; "
            "give more initial_capital, or lower gas_reserve_eth"
        )

    def holds(self, parameters: Any) -> list[str]:
        """The tokens that it will hold, besides what it begins with."""
        return ["ETH", self._stake.tokens.wrapped]

    def windows(self, parameters: Any) -> list[Window]:
        return self._work.windows()

    def placed(self, capital: Decimal, parameters: Any) -> dict[str, dict[str, Decimal]]:
        return {self._stake.wallet: {"ETH": capital}}
