"""Ether staked at one protocol, alone or as collateral of a WETH debt: its position, and the blocks that stake it and redeem it."""

from __future__ import annotations

from datetime import datetime
from decimal import ROUND_DOWN, Decimal
from typing import Annotated, Literal, NamedTuple, TypeVar

from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.market import MissingData
from basis_strategy_v1.core.settings import Mark, OrNull, VenueOf, number
from basis_strategy_v1.core.tokens import WETH
from basis_strategy_v1.core.venue_facts import LendingLimits, Loan
from basis_strategy_v1.strategies.parameters import StakeParameters
from basis_strategy_v1.strategies.strategy import Block, Step, VenueFacts, Window, action, because, chain

ZERO = Decimal(0)
BPS = Decimal(10_000)
WEI = Decimal("1e-18")
# Ether below this, or below this many times the gas, is left where it is: what it earns in months does not pay for the gas.
SMALLEST_STAKE = Decimal("0.1")
WORTH_OF_GAS = 50
# More than a stake, and a supply of what it gave, take at any protocol.
STAKE_GAS = 350_000
# More than anything takes but the building of a loop. While that costs more than the ETH of the wallet, nothing is sent that can wait.
TRANSACTION_GAS = 1_000_000
# A debt grows until the transaction is mined: a loan that pays it off is larger by this much, the rest goes back at once.
GROWTH_ALLOWED = Decimal("0.0001")
# What each further request of one call takes.
REQUEST_GAS = 80_000
# The health factor that a sale leaves at least; of what it has above 1, half at most is used up.
HEALTH_KEPT = Decimal("1.01")
M = TypeVar("M")


# A loop borrows, and repays from a flash loan of the same lender.
LenderOfEther = Annotated[str, VenueOf("onchain", ("borrow", "flash_loan"))]
StakingVenue = Annotated[str, VenueOf("onchain", ("stake",)), Mark.RUN, "where ETH is staked"]
Unstake = Annotated[Literal["queue", "dex"], "how the stake is redeemed: the protocol's queue, or a sale on a DEX"]
Dex = Annotated[
    OrNull[Annotated[str, VenueOf("dex")]],
    "where the staked token is sold; null: where most of it trades (`basis venues` has the DEX)",
]
SaleSlippage = Annotated[
    Decimal,
    number("100 is 1 %", at_least=0, below=10_000),
    "fee and slippage of a sale that are allowed for when it is sized; what is brought too much is staked again",
]
LeaveAt = Annotated[OrNull[datetime], "from this time on everything is redeemed and nothing new is begun; null: never"]


class StakedPosition(NamedTuple):
    """The position on chain, in token units; `rate` is the ETH that the protocol redeems a wrapped token for."""

    wallet_ether: Decimal
    reserve: Decimal
    weth: Decimal
    rebasing: Decimal
    wrapped: Decimal
    collateral: Decimal
    debt: Decimal
    queued: Decimal
    rate: Decimal

    @property
    def ether(self) -> Decimal:
        """ETH of the wallet beyond what is kept for gas; less than 0 where gas has eaten into it."""
        return self.wallet_ether - self.reserve

    @property
    def staked(self) -> Decimal:
        """Wrapped tokens, wherever they are."""
        return self.wrapped + self.collateral

    @property
    def exposure(self) -> Decimal:
        """ETH that all of it is worth, what is kept for gas included."""
        return self.wallet_ether + self.weth + self.rebasing + self.staked * self.rate + self.queued - self.debt


class StakedEther:
    """The names that a strategy's parameters lead to, and the blocks made of them."""

    def __init__(self, parameters: StakeParameters, venues: VenueFacts) -> None:
        self.protocol = parameters.protocol
        own = venues[self.protocol]
        assert own.staked is not None
        self.tokens, self.series_name, self.wallet, self._queued = own.staked, own.series, own.wallet, own.queued
        self.dex = parameters.dex or own.dex
        self._dex_series = venues[self.dex].series if self.dex in venues else self.dex
        name: str | None = getattr(parameters, "lender", None)
        loan = venues[name].loan if name else None
        self.loan: Loan | None = loan(self.tokens.wrapped, WETH) if loan else None
        self._leave_at = parameters.leave_at
        self._unstake = parameters.unstake
        self._worst_sale = 1 - parameters.sale_slippage_bps / BPS

    def read(self, step: Step) -> StakedPosition:
        """The position at a step."""
        positions, loan = step.positions, self.loan
        rebasing, wrapped = self.tokens.rebasing, self.tokens.wrapped
        return StakedPosition(
            wallet_ether=positions.amount(self.wallet, "ETH"),
            reserve=positions.gas_reserve(),
            weth=positions.amount(self.wallet, WETH),
            rebasing=ZERO if rebasing is None else positions.amount(self.wallet, rebasing),
            wrapped=positions.amount(self.wallet, wrapped),
            collateral=positions.amount(loan.lender, loan.collateral) if loan else ZERO,
            debt=positions.amount(loan.lender, loan.debt) if loan else ZERO,
            queued=positions.amount(self.protocol, self._queued),
            rate=step.snapshot.redemption(self.series_name, wrapped),
        )

    def is_leaving(self, step: Step) -> bool:
        """Whether the time to give everything back has come."""
        return self._leave_at is not None and step.at >= self._leave_at

    def can_pay_gas(self, held: StakedPosition, step: Step, asked: Decimal = ZERO) -> bool:
        """Whether the wallet can pay for any transaction now, and for one that asks for so much ETH at the queue: it takes more gas with
        every request that it is made of. While gas is expensive it waits."""
        largest = self.tokens.largest_request
        more = int(asked / largest) if largest and asked > largest else 0
        return held.wallet_ether >= step.positions.gas_fee(TRANSACTION_GAS + more * REQUEST_GAS, step.snapshot)

    def can_give_back(self, held: StakedPosition, step: Step) -> bool:
        """Whether the wallet can pay for the end of the stake now."""
        asked = held.rebasing if self._unstake == "dex" else held.rebasing + held.staked * held.rate - held.debt
        return self.can_pay_gas(held, step, asked)

    def sendable(self, held: StakedPosition, step: Step) -> Decimal:
        """ETH of the wallet that can be sent away: a transaction after it can still be paid for."""
        return min(held.ether, held.wallet_ether - step.positions.gas_fee(TRANSACTION_GAS, step.snapshot))

    def spare(self, held: StakedPosition, step: Step) -> Decimal:
        """ETH to stake now, its gas taken off; 0 where that is not worth it."""
        if held.ether < SMALLEST_STAKE:
            return ZERO
        fee = step.positions.gas_fee(STAKE_GAS, step.snapshot)
        spare = held.ether - fee
        return spare if spare >= max(SMALLEST_STAKE, WORTH_OF_GAS * fee) else ZERO

    def series(self) -> list[tuple[str, str, str]]:
        """What has to be in the data: the redemption rate, the market's, and the lender's."""
        found = [("staking", self.series_name, self.tokens.wrapped)]
        if self.loan or self._unstake == "dex":
            found.append(("dex", self._dex_series, self._pair))
        return [*found, *(self.loan.series if self.loan else ())]

    @property
    def _pair(self) -> str:
        return f"{self.tokens.wrapped}_{WETH}"

    # Steps.

    def decide(self, held: StakedPosition, step: Step, memory: M) -> tuple[list[Block], M]:
        """Stake what is to spare; there is nothing to remember."""
        spare = self.spare(held, step)
        return because("ETH in the wallet: stake it", [self.stake(spare)] if spare else []), memory

    def windows(self) -> list[Window]:
        """None: a stake alone judges no mean."""
        return []

    def stake(self, ether: Decimal) -> Block:
        return action(self.protocol, "stake", token="ETH", amount=wei(ether), token_out=self.tokens.wrapped)

    def unwrap_weth(self, amount: Decimal | str) -> Block:
        return action(self.wallet, "unwrap", token=WETH, amount=amount)

    def claims(self, step: Step) -> list[Block]:
        """A block for each withdrawal request whose time has come."""
        return [action(self.protocol, "claim", request_id=name) for name in step.positions.claimable(self.protocol, step.snapshot)]

    def sell(self, held: StakedPosition, step: Step, repaid: Decimal, brought: Decimal) -> Block:
        """One transaction that sells as much of the stake as repays `repaid` of the debt and brings `brought` ETH into the wallet.

        Where the stake is not worth that much, or what is left of it would not be healthy, all of it is sold.
        """
        loan, fee = self._flash_loan(held, step, repaid)
        needed = wei((repaid + fee + brought) / (self._market_rate(held, step) * self._worst_sale))
        whole = needed >= held.staked
        if self._leaves_unhealthy(held, step, repaid, needed) and self._is_loanable(held, step):
            repaid, whole = held.debt, True
            loan, fee = self._flash_loan(held, step, repaid)
        taken = "all" if whole else needed - held.wrapped
        steps = []
        if self.loan and held.collateral and (whole or needed > held.wrapped):
            steps.append(self.loan.withdraw(taken))
        steps.append(self._swap("all" if whole else needed))
        return chain(*self._while_loaned(held, loan, repaid, steps), self.unwrap_weth("all"))

    def _leaves_unhealthy(self, held: StakedPosition, step: Step, repaid: Decimal, sold: Decimal) -> bool:
        """Whether the debt that is left would be badly secured: more is sold than the repayment needs."""
        if self.loan is None or repaid >= held.debt or sold <= held.wrapped:
            return False
        health = step.positions.health_factor(self.loan.lender, step.snapshot)
        if health is None:
            return False
        left = health * (held.staked - sold) / held.collateral * held.debt / (held.debt - repaid)
        return left < min(HEALTH_KEPT, (1 + health) / 2)

    def _is_loanable(self, held: StakedPosition, step: Step) -> bool:
        return self.repayable(held, step, held.debt) == held.debt

    def release(self, ether: Decimal, held: StakedPosition, step: Step) -> list[Block]:
        """What brings so much ETH into the wallet: a sale, or a request at the protocol's queue. For a stake without debt."""
        if self._unstake == "dex":
            return [self.sell(held, step, ZERO, ether)]
        return [action(self.protocol, "unstake", token=self.tokens.wrapped, amount=min(wei(ether / held.rate), held.wrapped))]

    def limits(self, token: str, step: Step) -> LendingLimits:
        """What the lender lets move of a token now; nothing is limited without one."""
        return step.positions.limits(self.loan.lender, token, step.snapshot, self.tokens.wrapped) if self.loan else LendingLimits()

    def salable(self, held: StakedPosition, step: Step) -> Decimal:
        """The ETH that a sale brings of the wrapped tokens that can be had now: a lender gives back no more collateral than its cash."""
        most = self.limits(self.tokens.wrapped, step).withdraw if held.collateral else None
        tokens = held.staked if most is None else held.wrapped + min(held.collateral, most)
        return tokens * self._market_rate(held, step) * self._worst_sale

    def repayable(self, held: StakedPosition, step: Step, repaid: Decimal) -> Decimal:
        """As much of a repayment as its flash loan can bring now: a lender lends no more than its cash. What is repaid is cash again, so
        that the rest follows in steps; 0 where a step is not worth it."""
        if self.loan is None:
            return repaid
        cash = step.positions.loanable(self.loan.lender, WETH, step.snapshot)
        loan, fee = self._flash_loan(held, step, repaid)
        part = repaid if cash is None or loan <= cash else wei(cash * (1 - GROWTH_ALLOWED))
        most = self.limits(self.tokens.wrapped, step).withdraw
        if most is not None and most < held.collateral:
            part = min(part, wei(self.salable(held, step) * (1 - GROWTH_ALLOWED)) - fee)
        if part == repaid:
            return repaid
        return part if part >= SMALLEST_STAKE else ZERO

    def give_back(self, held: StakedPosition, step: Step) -> list[Block]:
        """The transaction that ends the stake: debt is repaid from a sale; the rest is sold too, or asked for at the protocol's queue.

        Where the lender has not the cash for a loan of all the debt, the next step: a part of it.
        """
        if held.debt and (part := self.repayable(held, step, held.debt)) < held.debt:
            return [self.sell(held, step, part, ZERO)] if part else []
        loan, fee = self._flash_loan(held, step, held.debt)
        steps: list[Block] = []
        if self.loan and held.collateral:
            most = self.limits(self.tokens.wrapped, step).withdraw
            whole = most is None or most >= held.collateral
            if most is not None and not whole:
                held = held._replace(collateral=wei(most * (1 - GROWTH_ALLOWED)))
            steps += [self.loan.withdraw("all" if whole else held.collateral)] if held.collateral else []
        needed = wei((held.debt + fee) / (self._market_rate(held, step) * self._worst_sale)) if held.debt else ZERO
        sells_all = self._unstake == "dex" or needed >= held.staked
        if held.staked and (sells_all or needed):
            steps.append(self._swap("all" if sells_all else needed))
        steps = self._while_loaned(held, loan, held.debt, steps)
        if held.weth or (held.staked and (sells_all or needed)):
            steps.append(self.unwrap_weth("all"))
        if held.staked and not sells_all:
            steps.append(action(self.protocol, "unstake", token=self.tokens.wrapped, amount="all"))
        if held.rebasing:
            steps.append(action(self.protocol, "unstake", token=self.tokens.rebasing, amount="all"))
        return [chain(*steps)] if steps else []

    def _flash_loan(self, held: StakedPosition, step: Step, repaid: Decimal) -> tuple[Decimal, Decimal]:
        """The flash loan that repays so much, and its fee."""
        if not repaid or self.loan is None:
            return ZERO, ZERO
        loan = wei(repaid * (1 + GROWTH_ALLOWED)) if repaid >= held.debt else repaid
        return loan, step.positions.flash_fee(self.loan.lender, WETH, loan)

    def _while_loaned(self, held: StakedPosition, loan: Decimal, repaid: Decimal, steps: list[Block]) -> list[Block]:
        """The steps with the debt repaid before them, by a loan that they pay back."""
        if not loan or self.loan is None:
            return steps
        repay = self.loan.repay("all" if repaid >= held.debt else repaid)
        return [action(self.loan.lender, "flash_loan", token=WETH, amount=loan, sub_instructions=[repay, *steps])]

    def _swap(self, amount: Decimal | str) -> Block:
        return action(self.dex, "swap", token=self.tokens.wrapped, amount=amount, token_out=WETH)

    def _market_rate(self, held: StakedPosition, step: Step) -> Decimal:
        """WETH per wrapped token at the DEX; where the data have no price there, what the protocol redeems."""
        try:
            return step.snapshot.dex_rate(self._dex_series, self._pair)
        except MissingData:
            return held.rate


def wei(amount: Decimal) -> Decimal:
    """The amount in whole wei, rounded down."""
    return amount.quantize(WEI, ROUND_DOWN, EXACT)
