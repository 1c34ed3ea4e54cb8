"""The leveraged stake: staked ether is collateral, the ether borrowed on it is staked again, up to a share of debt in the collateral."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, cast

from msgspec import Struct
from msgspec.structs import replace

from basis_strategy_v1.core.settings import number
from basis_strategy_v1.core.tokens import WETH
from basis_strategy_v1.core.venue_facts import Loan
from basis_strategy_v1.strategies.parameters import LoopParameters, StakeParameters
from basis_strategy_v1.strategies.spread import Spread, SpreadMemory
from basis_strategy_v1.strategies.staked_ether import (
    BPS,
    GROWTH_ALLOWED,
    SMALLEST_STAKE,
    WORTH_OF_GAS,
    ZERO,
    StakedEther,
    StakedPosition,
    wei,
)
from basis_strategy_v1.strategies.strategy import Block, Step, Window, action, as_percent, because, chain

# Rounds in one transaction: a chain takes 64 steps, a block's gas no more of them. What is missing then follows at the next step.
MOST_ROUNDS = 12
# More than a round takes at any lender, and than a whole build by flash loan; kept back from what is staked.
ROUND_GAS, CHAIN_GAS = 700_000, 1_000_000
# More than what has to be done once before the first borrow takes, and than the transaction itself.
OPENING_GAS = 200_000
# After a repayment the health factor is above its minimum by this share, so that the next step does not repay again.
HEALTH_CLEARANCE = Decimal("1.005")


Flash = Annotated[bool, "build the loop in one transaction with a flash loan, instead of step by step"]
LtvTolerance = Annotated[
    Decimal,
    number("50 is 0.5 %", above=0, at_most=10_000),
    "how far below target_ltv debt / collateral may be, in bps of the collateral, before more is borrowed",
]
LeastHealth = Annotated[Decimal, number(at_least=1, at_most=10), "under it debt is repaid"]


def work_of(stake: StakedEther, parameters: StakeParameters) -> StakedEther | Loop:
    """What stakes the ether of the wallet and brings it back: with a lender a loop, else the stake alone."""
    return stake if stake.loan is None else Loop(stake, stake.loan, cast("LoopParameters", parameters))


class LoopMemory(Struct, frozen=True, gc=False):
    """What the positions do not show of a loop."""

    target: Decimal  # debt / collateral to hold: `target_ltv`, or less where that was not healthy
    spread: SpreadMemory = SpreadMemory()


class Loop:
    """Keeps debt / collateral at `target_ltv`, and takes the debt away when its terms are bad."""

    def __init__(self, stake: StakedEther, loan: Loan, parameters: LoopParameters) -> None:
        self._stake = stake
        self._loan = loan
        self._target = parameters.target_ltv or ZERO
        self._tolerance: Decimal = parameters.ltv_tolerance_bps / BPS
        self._min_health: Decimal = parameters.min_health_factor
        self._is_flash: bool = parameters.flash
        self._spread = Spread(stake.series_name, stake.tokens.wrapped, parameters)

    def decide(self, held: StakedPosition, step: Step, memory: LoopMemory | None) -> tuple[list[Block], LoopMemory]:
        """Repay where health or the spread demand it, else build up to the target. Ether worth staking pays for that; what has none waits
        while gas is expensive."""
        price = self._loan.price(step.snapshot)
        known = memory or LoopMemory(self._target)
        spread = self._spread.update_to(known.spread, step.snapshot, self._loan, lambda: self._borrow_rate(held, price, known.target, step))
        now = known if spread is known.spread else replace(known, spread=spread)
        if held.debt:
            repaid, now = self._to_repay(held, price, step, now)
            if repaid:
                return because(self._why_repaid(now), self._repay(repaid, held, step)), now
        return because(f"debt below target_ltv {now.target:.4f}, or ETH to stake: build up", self._build(held, price, step, now)), now

    def _why_repaid(self, memory: LoopMemory) -> str:
        spread = self._spread.value(memory.spread.rows)
        if memory.spread.is_out and spread is not None:
            return f"spread {as_percent(spread)} too small: unwind"
        return f"health factor below {self._min_health}: repay"

    def windows(self) -> list[Window]:
        """The spread is judged once the run has seen so many hours of it."""
        return [Window("spread_window_hours", self._spread.hours)]

    def release(self, ether: Decimal, held: StakedPosition, step: Step) -> list[Block]:
        """The transaction that brings so much ETH into the wallet and leaves debt / collateral as it is; less where the lender has not the
        cash for more, nothing where a step is not worth it."""
        collateral = held.collateral * self._loan.price(step.snapshot)
        share = held.debt / collateral if collateral else ZERO
        repaid = min(wei(ether * share / (1 - share)), held.debt)
        most = self._stake.salable(held, step)
        if most < ether + repaid and held.collateral:
            repaid, ether = (wei(amount * max(most, ZERO) / (ether + repaid)) for amount in (repaid, ether))
        possible = self._stake.repayable(held, step, repaid) if repaid else ZERO
        if possible < repaid:
            repaid, ether = possible, wei(ether * possible / repaid)
        return [self._stake.sell(held, step, repaid, ether)] if ether >= SMALLEST_STAKE else []

    def _borrow_rate(self, held: StakedPosition, price: Decimal, target: Decimal, step: Step) -> Decimal:
        """What the debt pays; without one, what the debt would pay that is to be built, lest it is built and repaid in turn."""
        own = held.staked * price + held.ether
        more = ZERO if held.debt else max(wei(target / (1 - target) * own), ZERO)
        return step.positions.borrow_rate(self._loan.lender, WETH, step.snapshot, more, self._stake.tokens.wrapped)

    # Less debt.

    def _to_repay(self, held: StakedPosition, price: Decimal, step: Step, memory: LoopMemory) -> tuple[Decimal, LoopMemory]:
        """How much of the debt is to go; a target that is not healthy is lowered for good."""
        if memory.spread.is_out:
            return held.debt, memory
        health = step.positions.health_factor(self._loan.lender, step.snapshot)
        if health is None or health >= self._min_health:
            return ZERO, memory
        collateral = held.collateral * price
        healthy = held.debt / collateral * health / (self._min_health * HEALTH_CLEARANCE)
        target = min(memory.target, healthy)
        return wei((held.debt - target * collateral) / (1 - target)), replace(memory, target=target)

    def _repay(self, repaid: Decimal, held: StakedPosition, step: Step) -> list[Block]:
        if not self._stake.can_pay_gas(held, step):
            return []
        repaid = self._stake.repayable(held, step, repaid)
        return [self._stake.sell(held, step, repaid, ZERO)] if repaid else []

    # More debt.

    def _build(self, held: StakedPosition, price: Decimal, step: Step, memory: LoopMemory) -> list[Block]:
        target = ZERO if memory.spread.is_out else memory.target
        spare = self._stake.spare(held, step)
        is_below = held.debt < (target - self._tolerance) * held.collateral * price
        if not spare and not is_below and held.wrapped * held.rate < SMALLEST_STAKE:
            return []
        if not self._stake.can_pay_gas(held, step):
            return []
        steps = (self._by_flash_loan if self._is_flash else self._by_rounds)(held, spare, price, target, step)
        return [chain(*steps)] if steps else []

    def _by_flash_loan(self, held: StakedPosition, spare: Decimal, price: Decimal, target: Decimal, step: Step) -> list[Block]:
        """Borrowed first: all of it is staked at once, and the debt that this secures pays the loan back."""
        fee = step.positions.gas_fee(CHAIN_GAS, step.snapshot)
        own = held.ether - fee
        grown = price / held.rate  # WETH of collateral per ETH staked
        fee_share = step.positions.flash_fee(self._loan.lender, WETH, Decimal(1))
        wanted = wei((target * (held.staked * price + own * grown) - held.debt) / (1 + fee_share - target * grown))
        loan = min(wanted, self._most_by_flash_loan(own, held, fee_share, step))
        is_little = loan < wanted and loan < SMALLEST_STAKE  # of what the lender has
        if loan + own < SMALLEST_STAKE or loan < WORTH_OF_GAS * fee or loan <= 0 or is_little:
            return self._stake_and_supply(spare, held, step)
        owed = loan + step.positions.flash_fee(self._loan.lender, WETH, loan)
        steps = [
            *(() if held.debt else self._loan.opening),
            self._stake.unwrap_weth(loan),
            self._stake.stake(loan + own),
            self._loan.supply("all"),
            self._loan.borrow(owed),
        ]
        return [action(self._loan.lender, "flash_loan", token=WETH, amount=loan, sub_instructions=steps)]

    def _most_by_flash_loan(self, own: Decimal, held: StakedPosition, fee_share: Decimal, step: Step) -> Decimal:
        """The largest loan that the lender's cash and caps allow: it is out while as much is borrowed to pay it back."""
        cash = step.positions.loanable(self._loan.lender, WETH, step.snapshot)
        borrow, supply = self._stake.limits(WETH, step).borrow, self._stake.limits(self._stake.tokens.wrapped, step).supply
        most = [
            *([] if cash is None else [cash / (2 + fee_share)]),
            *([] if borrow is None else [borrow / (1 + fee_share)]),
            *([] if supply is None else [(supply - held.wrapped) * held.rate - own]),
        ]
        return wei(min(most) * (1 - GROWTH_ALLOWED)) if most else Decimal("Infinity")

    def _by_rounds(self, held: StakedPosition, spare: Decimal, price: Decimal, target: Decimal, step: Step) -> list[Block]:
        """Supply, borrow what the target and the lender allow, stake it, supply again, until the target is near enough."""
        grown = price / held.rate
        round_fee, opening_fee = (step.positions.gas_fee(units, step.snapshot) for units in (ROUND_GAS, OPENING_GAS))
        steps = self._stake_and_supply(spare, held, step)
        opening = () if held.debt else self._loan.opening
        collateral, debt = held.staked * price + spare * grown, held.debt
        most, room = self._stake.limits(WETH, step).borrow, self._stake.limits(self._stake.tokens.wrapped, step).supply
        most = None if most is None else wei(most * (1 - GROWTH_ALLOWED))
        if room is not None:
            room -= held.wrapped + spare / held.rate
        for _ in range(MOST_ROUNDS):
            borrowed = wei(target * collateral - debt)
            if most is not None:
                borrowed = min(borrowed, most)
            if borrowed < max(SMALLEST_STAKE, collateral * self._tolerance / 2, WORTH_OF_GAS * round_fee):
                break
            staked = borrowed - round_fee - (opening_fee if opening else ZERO)  # each round leaves the ETH that its gas takes
            if room is not None and (room := room - staked / held.rate) < 0:
                break
            steps += [
                *opening,
                self._loan.borrow(borrowed),
                self._stake.unwrap_weth(borrowed),
                self._stake.stake(staked),
                self._loan.supply("all"),
            ]
            collateral, debt, opening = collateral + wei(staked) * grown, debt + borrowed, ()
            most = None if most is None else most - borrowed
        return steps

    def _stake_and_supply(self, spare: Decimal, held: StakedPosition, step: Step) -> list[Block]:
        steps = [self._stake.stake(spare)] if spare else []
        wrapped, room = held.wrapped + spare / held.rate, self._stake.limits(self._stake.tokens.wrapped, step).supply
        if room is not None and room < wrapped:  # a cap is nearly reached: what it leaves, the rest stays in the wallet
            return [*steps, self._loan.supply(wei(room))] if room * held.rate >= SMALLEST_STAKE else steps
        return [*steps, self._loan.supply("all")] if spare or held.wrapped * held.rate >= SMALLEST_STAKE else []
