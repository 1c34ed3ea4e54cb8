"""Staked ether, and a short perp of as much: what staking earns and what the longs pay, without the price."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from msgspec.structs import replace

from basis_strategy_v1.core.settings import Fraction, OrNull
from basis_strategy_v1.strategies.hedge import LEAST_WORTH_OF_FEE, Hedge
from basis_strategy_v1.strategies.legs import (
    ZERO,
    HedgeMemory,
    LeastMargin,
    Legs,
    Leverage,
    OnShortfall,
    PerpVenue,
    SpotVenue,
    Threshold,
    Tolerance,
    not_growing,
)
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
    StakedPosition,
    StakingVenue,
    Unstake,
)
from basis_strategy_v1.strategies.strategy import Block, Holdings, Plan, Step, VenueFacts, Window, because, transfer

# Two of the coarsest lots that an exchange trades ETH perps in, so that no order is less than one.
SMALLEST_ORDER = Decimal("0.02")
# A purchase may arrive smaller by this share, and still be what it was bought for.
FEE_ALLOWED = Decimal("0.01")
# Of the tolerated deviation of the margin: once it is being corrected, it is corrected down to this much of it.
CORRECTED = Decimal("0.1")

Decision = tuple[list[Block], "NeutralMemory"]


class Parameters(CommonParameters, frozen=True, kw_only=True):
    """Where ether is bought, staked and sold short, and by which rules."""

    protocol: StakingVenue
    spot_venue: SpotVenue
    perp_venue: PerpVenue
    lender: Annotated[OrNull[LenderOfEther], "where ETH is borrowed against the stake; null: no loop"] = None
    target_ltv: Annotated[OrNull[Fraction], "debt / collateral to hold; with a lender, and only then"] = None
    flash: Flash = False
    ltv_tolerance_bps: LtvTolerance = Decimal(50)
    min_health_factor: LeastHealth = Decimal("1.05")
    min_spread_bps: LeastSpread = Decimal(0)
    spread_hysteresis_bps: Hysteresis = Decimal(100)
    spread_window_hours: SpreadWindow = 168
    leverage: Leverage = Decimal(1)
    rebalance_threshold_bps: Threshold = Decimal(500)
    hedge_tolerance_bps: Tolerance = Decimal(50)
    on_margin_shortage: OnShortfall = "move"
    min_margin_ratio: LeastMargin = None
    unstake: Unstake = "queue"
    dex: Dex = None
    sale_slippage_bps: SaleSlippage = Decimal(100)
    leave_at: LeaveAt = None


class NeutralMemory(HedgeMemory, frozen=True, gc=False):
    """What the positions do not show."""

    is_freeing: bool = False  # the margin is too small, and ETH is on its way to be sold for it
    was_liquidated: bool = False  # the stake alone would be a bet on the price: it is redeemed for good
    loop: LoopMemory | None = None  # None before the loop is first looked at, and without a lender


class UsdtMarketNeutral:
    """Buys ETH, sends it to the wallet and stakes it, with a perp short of all the ETH that there is, wherever it is.

    ETH changes hands at the spot venue only, in one plan with the perp, so that a transfer or a queue leaves nothing unhedged.
    """

    memory_kinds = (NeutralMemory, LoopMemory, SpreadMemory)

    def __init__(self, parameters: Parameters, venues: VenueFacts) -> None:
        self._hedge = Hedge("ETH", parameters, venues, SMALLEST_ORDER)
        self._stake = StakedEther(parameters, venues)
        self._work = work_of(self._stake, parameters)

    def _read(self, step: Step, memory: NeutralMemory | None) -> tuple[StakedPosition, Legs, NeutralMemory]:
        """The position on chain, and both legs: the long one is all ETH, at every venue and in every form."""
        held = self._stake.read(step)
        legs, seen = self._hedge.read(step, memory or NeutralMemory(), held.exposure + step.positions.in_transit("ETH"))
        return held, legs, seen

    # Decisions.

    def decide(self, step: Step, memory: NeutralMemory | None) -> Plan:
        held, legs, memory = self._read(step, memory)
        is_alone = not legs.short and _at_risk(held, legs) * legs.price > self._hedge.smallest(legs, step.positions)
        if is_alone and memory.has_been_short and not memory.was_liquidated:
            memory = replace(memory, was_liquidated=True)
        if memory.was_liquidated or self._stake.is_leaving(step):
            why = "the short was liquidated: leave" if memory.was_liquidated else "leave_at: leave"
            return because(why, self._leave(held, legs, step)), memory
        if is_alone:
            return because("ETH without its perp: hedge it, or sell it", self._take_on(held, legs, step)), memory
        if blocks := self._follow(legs, step):
            return because("the short differs from the ETH: follow", blocks), memory
        blocks, memory = self._margin(held, legs, step, memory)
        if blocks:
            return because("margin too small: free it" if memory.is_freeing else "margin and cash to the leverage", blocks), memory
        if blocks := self._fuel(held, legs, step):
            return because("gas is running out: buy ETH for it", blocks), memory
        if blocks := self._forward(legs, step.positions, memory):
            return because("ETH at the exchange: send it to be staked", blocks), memory
        blocks, memory = self._put_to_work(held, step, memory)
        return because("ETH in the wallet: put it to work", blocks), memory

    def _follow(self, legs: Legs, step: Step) -> list[Block]:
        """The short brought to the ETH that is held."""
        return self._hedge.follow(legs, step) if legs.short else []

    def _take_on(self, held: StakedPosition, legs: Legs, step: Step) -> list[Block]:
        """ETH that was there at the start is hedged, if the margin carries the short of all of it; else it is sold, and bought again as
        the margin allows."""
        hedged = self._hedge.take_on(legs, step.positions, legs.long)
        unhedged = (legs.long - sum(block["amount"] for block in hedged)) * legs.price
        return hedged if unhedged <= self._hedge.allowed(legs) else self._leave(held, legs, step)

    def _forward(self, legs: Legs, positions: Holdings, memory: NeutralMemory) -> list[Block]:
        """ETH at the exchange goes to the wallet."""
        if memory.is_freeing or legs.at_spot < SMALLEST_STAKE:
            return []
        fee, minimum, _ = positions.withdrawal(self._hedge.spot_venue, "ETH")
        is_worth_it = legs.at_spot >= max(minimum, fee * LEAST_WORTH_OF_FEE)
        return [transfer(self._hedge.spot_venue, self._stake.wallet, "ETH", legs.at_spot)] if is_worth_it else []

    def _fuel(self, held: StakedPosition, legs: Legs, step: Step) -> list[Block]:
        """ETH is bought for gas, and hedged, when half of the reserve has been used."""
        hedge, positions = self._hedge, step.positions
        if 2 * held.wallet_ether >= held.reserve or not legs.short or legs.at_spot or positions.in_transit("ETH"):
            return []
        amount = max(held.reserve, SMALLEST_STAKE, 2 * positions.withdrawal(hedge.spot_venue, "ETH")[1]) * (1 + FEE_ALLOWED)
        if positions.amount(hedge.spot_venue, hedge.quote) < amount * legs.price * (1 + hedge.cushion(positions, legs)):
            return []
        if hedge.shortable(step, legs) < amount:
            return []
        return [hedge.spot("buy", amount), hedge.sell_perp(amount)]

    def _put_to_work(self, held: StakedPosition, step: Step, memory: NeutralMemory) -> Decision:
        """ETH in the wallet is staked; and, with a lender, more of it borrowed and staked."""
        if not self._stake.can_pay_gas(held, step):
            return [], memory
        claims = self._stake.claims(step)
        if claims or memory.is_freeing:
            return claims, memory
        blocks, loop = self._work.decide(held, step, memory.loop)
        return blocks, memory if loop is memory.loop else replace(memory, loop=loop)

    # Margin.

    def _margin(self, held: StakedPosition, legs: Legs, step: Step, memory: NeutralMemory) -> Decision:
        """Both legs brought to what the capital carries at `leverage`, where the margin is off by more than is tolerated."""
        allowed, missing = self._hedge.allowed(legs), legs.margin_missing
        lacking = missing - legs.cash  # what is missing even with the cash of the spot venue
        is_freeing = self._goes_on_freeing(legs, lacking, allowed, memory)
        if is_freeing is not memory.is_freeing:
            memory = replace(memory, is_freeing=is_freeing)
        if is_freeing:
            return self._free(held, legs, allowed, step, memory)
        if missing > allowed and self._hedge.on_shortfall == "move" and not legs.coming:
            blocks, memory = self._send_cash(legs, min(legs.cash, missing), step.positions, memory)
            if blocks:
                return blocks, memory
        return self._grow(legs, step.positions, memory) if memory.is_to_grow or -lacking > allowed else ([], memory)

    def _goes_on_freeing(self, legs: Legs, lacking: Decimal, allowed: Decimal, memory: NeutralMemory) -> bool:
        if self._hedge.on_shortfall == "ignore" or not legs.short:
            return False
        if memory.is_freeing:
            return lacking > max(allowed * CORRECTED, SMALLEST_STAKE * legs.price * (1 + 1 / legs.leverage))
        return lacking > 0 and self._hedge.lacks_margin(legs, lacking, allowed)

    def _grow(self, legs: Legs, positions: Holdings, memory: NeutralMemory) -> Decision:
        """Cash buys ETH, as far as the margin carries the short of it. What the wallet keeps for gas is hedged too, from the first
        purchase on."""
        return self._hedge.expand(legs, positions, memory, unhedged=ZERO if legs.short else legs.long)

    def _send_cash(self, legs: Legs, amount: Decimal, positions: Holdings, memory: NeutralMemory) -> Decision:
        """Cash of the spot venue becomes margin."""
        hedge = self._hedge
        protects = amount * legs.leverage
        return hedge.send(amount, legs, positions, memory, to_perp=True, protects=protects, at_least=hedge.worth_sending(legs))

    def _free(self, held: StakedPosition, legs: Legs, allowed: Decimal, step: Step, memory: NeutralMemory) -> Decision:
        """Make both legs smaller: ETH that is at the exchange is sold at once, what lacks is on its way there."""
        hedge = self._hedge
        moves = hedge.on_shortfall == "move" or hedge.is_one_account
        carried = legs.target if moves else legs.carried
        blocks, sold, freed = hedge.shrink(legs, carried, step.positions)
        memory = not_growing(memory)
        if moves and not legs.coming:
            sent, memory = hedge.bring(freed, legs, step.positions, memory, hedge.worth_sending(legs))
            blocks += sent
        lacking = (legs.notional - carried) / legs.price - sold
        return [*blocks, *self._fetch(held, legs, lacking, allowed, step)], memory

    def _fetch(self, held: StakedPosition, legs: Legs, lacking: Decimal, allowed: Decimal, step: Step) -> list[Block]:
        """The next step that brings so much ETH to the exchange: out of the wallet, or out of the stake."""
        if not self._stake.can_pay_gas(held, step):
            return []
        claims = self._stake.claims(step)
        if claims or lacking < SMALLEST_STAKE or step.positions.in_transit("ETH"):
            return claims
        if (sendable := self._stake.sendable(held, step)) >= SMALLEST_STAKE:
            return [transfer(self._stake.wallet, self._hedge.spot_venue, "ETH", min(lacking, sendable))]
        lacking -= held.ether + held.queued  # what gas has taken out of the reserve comes back with it
        is_enough_for_now = held.queued and lacking * legs.price <= allowed  # not a request for every move of the price
        if lacking < SMALLEST_STAKE or is_enough_for_now or not held.staked:
            return []
        if not self._stake.can_pay_gas(held, step, lacking):
            return []
        return self._work.release(lacking, held, step)

    # The end.

    def leave(self, step: Step, memory: NeutralMemory | None) -> Plan:
        held, legs, memory = self._read(step, memory)
        return because("the end: leave", self._leave(held, legs, step)), memory

    def _leave(self, held: StakedPosition, legs: Legs, step: Step) -> list[Block]:
        """The next steps out, side by side: the stake redeemed, claims, ETH to the exchange, ETH there sold with its short."""
        smallest = self._hedge.smallest(legs, step.positions)
        is_last = (_at_risk(held, legs) - legs.at_spot) * legs.price < smallest
        blocks = [] if is_last else self._follow(legs, step)
        if not blocks:
            blocks = self._sell_at_exchange(legs, smallest, is_last)
        if not self._stake.can_give_back(held, step):
            return blocks
        if (sendable := self._stake.sendable(held, step)) >= SMALLEST_STAKE:
            blocks.append(transfer(self._stake.wallet, self._hedge.spot_venue, "ETH", sendable))
        blocks += self._stake.claims(step)
        return [*blocks, *self._stake.give_back(held, step)]

    def _sell_at_exchange(self, legs: Legs, smallest: Decimal, is_last: bool) -> list[Block]:
        blocks = []
        if legs.at_spot * legs.price >= smallest:
            blocks.append(self._hedge.spot("sell", legs.at_spot))
        closed = legs.short if is_last else min(legs.at_spot, legs.short)
        if closed > 0 and (blocks or is_last):
            blocks.append(self._hedge.buy_back(closed))
        return blocks

    # What it has to do with.

    def needs(self, parameters: Any) -> list[tuple[str, str, str]]:
        return [*self._hedge.series(), *self._stake.series()]

    def too_little(self, step: Step) -> str:
        """Why nothing can be done with what is there at the start; nothing where something can."""
        _, legs, _ = self._read(step, None)
        return self._hedge.too_little(legs, step.positions, unhedged=legs.long)

    def windows(self, parameters: Any) -> list[Window]:
        return self._work.windows()

    def placed(self, capital: Decimal, parameters: Any) -> dict[str, dict[str, Decimal]]:
        return self._hedge.placed(capital)


def _at_risk(held: StakedPosition, legs: Legs) -> Decimal:
    """All ETH but what is kept for gas."""
    return legs.long - min(held.wallet_ether, held.reserve)
