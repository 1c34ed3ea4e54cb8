"""The leveraged stake: staked ether is collateral, the ether borrowed on it is staked again, up to a share of debt in the collateral."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.strategies.lenders import WETH, Lender
from basis_strategy_v1.strategies.spread import Spread
from basis_strategy_v1.strategies.staked_ether import BPS, SMALLEST_STAKE, ZERO, Held, StakedEther, wei
from basis_strategy_v1.strategies.strategy import Block, Holdings, action, chain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from basis_strategy_v1.core.market import MarketSnapshot

# Rounds in one transaction: a chain takes 64 steps, a block's gas no more of them. What is missing then follows at the next tick.
MOST_ROUNDS = 12
# More than a round, and than all the rest of a chain, takes at any lender; kept back from what is staked.
ROUND_GAS, CHAIN_GAS = 700_000, 1_000_000
# After a repayment the health factor is above its minimum by this share, so that the next tick does not repay again.
HEALTH_CLEARANCE = Decimal("1.005")


class Loop:
    """Keeps debt / collateral at `target_ltv`, and takes the debt away when its terms are bad."""

    def __init__(self, stake: StakedEther, lender: Lender, parameters: Mapping[str, Any]) -> None:
        self._stake = stake
        self._lender = lender
        self._target: Decimal = parameters["target_ltv"]
        self._tolerance: Decimal = parameters["ltv_tolerance_bps"] / BPS
        self._min_health: Decimal = parameters["min_health_factor"]
        self._is_flash: bool = parameters["flash"]
        self._spread = Spread(stake.protocol, stake.tokens.wrapped, lender, parameters)

    def decide(self, held: Held, snapshot: MarketSnapshot, positions: Holdings) -> list[Block]:
        """Repay where health or the spread demand it, else build up to the target."""
        self._spread.observe(snapshot)
        price = self._lender.price(snapshot)
        if held.debt:
            repaid = self._to_repay(held, price, snapshot, positions)
            if repaid:
                return [self._stake.sell(held, snapshot, positions, repaid, ZERO)]
        return self._build(held, price, snapshot, positions)

    def release(self, ether: Decimal, held: Held, snapshot: MarketSnapshot, positions: Holdings) -> Block:
        """The transaction that brings so much ETH into the wallet and leaves debt / collateral as it is."""
        collateral = held.collateral * self._lender.price(snapshot)
        share = held.debt / collateral if collateral else ZERO
        repaid = min(wei(ether * share / (1 - share)), held.debt)
        return self._stake.sell(held, snapshot, positions, repaid, ether)

    # Less debt.

    def _to_repay(self, held: Held, price: Decimal, snapshot: MarketSnapshot, positions: Holdings) -> Decimal:
        if self._spread.is_out:
            return held.debt
        health = positions.health_factor(self._lender.name, snapshot)
        if health is None or health >= self._min_health:
            return ZERO
        collateral = held.collateral * price
        healthy = held.debt / collateral * health / (self._min_health * HEALTH_CLEARANCE)
        self._target = min(self._target, healthy)
        return wei((held.debt - self._target * collateral) / (1 - self._target))

    # More debt.

    def _build(self, held: Held, price: Decimal, snapshot: MarketSnapshot, positions: Holdings) -> list[Block]:
        target = ZERO if self._spread.is_out else self._target
        has_idle = held.ether >= SMALLEST_STAKE or held.wrapped * held.rate >= SMALLEST_STAKE
        if not has_idle and held.debt >= (target - self._tolerance) * held.collateral * price:
            return []
        build = self._by_flash_loan if self._is_flash else self._by_rounds
        steps = build(held, price, target, snapshot, positions)
        return [chain(*steps)] if steps else []

    def _by_flash_loan(self, held: Held, price: Decimal, target: Decimal, snapshot: MarketSnapshot, positions: Holdings) -> list[Block]:
        """Borrowed first: all of it is staked at once, and the debt that this secures pays the loan back."""
        own = held.ether - positions.gas_fee(CHAIN_GAS, snapshot)
        grown = price / held.rate  # WETH of collateral per ETH staked
        fee_share = positions.flash_fee(self._lender.name, WETH, Decimal(1))
        collateral = held.staked * price + own * grown
        loan = wei((target * collateral - held.debt) / (1 + fee_share - target * grown))
        if loan + own < SMALLEST_STAKE or loan <= 0:
            return self._stake_and_supply(own, held)
        owed = loan + positions.flash_fee(self._lender.name, WETH, loan)
        steps = [
            *([] if held.debt else self._lender.opening()),
            self._stake.unwrap_weth(loan),
            self._stake.stake(loan + own),
            self._lender.supply("all"),
            self._lender.borrow(owed),
        ]
        return [action(self._lender.name, "flash_loan", token=WETH, amount=loan, sub_instructions=steps)]

    def _by_rounds(self, held: Held, price: Decimal, target: Decimal, snapshot: MarketSnapshot, positions: Holdings) -> list[Block]:
        """Supply, borrow what the target allows, stake it, supply again, until the target is near enough."""
        fee = positions.gas_fee(CHAIN_GAS + MOST_ROUNDS * ROUND_GAS, snapshot)
        own = held.ether - fee
        steps = self._stake_and_supply(own, held)
        if target and not held.debt:
            steps += self._lender.opening()
        missing = ZERO if own >= SMALLEST_STAKE else max(fee - held.ether, ZERO)  # gas that the first loan has to pay
        grown = price / held.rate
        collateral, debt = held.staked * price + (own * grown if own >= SMALLEST_STAKE else ZERO), held.debt
        for _ in range(MOST_ROUNDS):
            borrowed = wei(target * collateral - debt)
            if borrowed - missing < SMALLEST_STAKE or borrowed < collateral * self._tolerance / 2:
                break
            staked = borrowed - missing
            steps += [
                self._lender.borrow(borrowed),
                self._stake.unwrap_weth(borrowed),
                self._stake.stake(staked),
                self._lender.supply("all"),
            ]
            collateral, debt, missing = collateral + staked * grown, debt + borrowed, ZERO
        return steps

    def _stake_and_supply(self, own: Decimal, held: Held) -> list[Block]:
        steps = [self._stake.stake(own)] if own >= SMALLEST_STAKE else []
        return [*steps, self._lender.supply("all")] if steps or held.wrapped * held.rate >= SMALLEST_STAKE else []
