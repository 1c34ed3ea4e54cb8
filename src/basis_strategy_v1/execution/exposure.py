"""What a state is exposed to: net amounts by asset, perps and debts; whether a plan leaves or enters; what is unhedged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from basis_strategy_v1.core.instructions import CexTrade, SmartContractAction, WalletTransfer
from basis_strategy_v1.core.market import DOLLAR_TOKENS, REDEEMED_BY, SAME_AS
from basis_strategy_v1.core.position_names import Kind
from basis_strategy_v1.core.state import IN_TRANSIT, Transit, Wallet
from basis_strategy_v1.core.tokens import REBASING
from basis_strategy_v1.venues.cex import Exchange
from basis_strategy_v1.venues.exchanges import base_of
from basis_strategy_v1.venues.position_names import read_name
from basis_strategy_v1.venues.wallet import WalletVenue, with_share_rate

if TYPE_CHECKING:
    from basis_strategy_v1.core.instructions import Instruction
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.core.state import State
    from basis_strategy_v1.venues.venue import SimulationResult, Venues

ZERO = Decimal(0)
# A smaller change is a rounding of the protocols and counts as none.
DUST_USD = Decimal("0.01")
# The steps that only give back what is ours.
TAKES_BACK = ("withdraw", "withdraw_collateral", "claim", "unstake")
COMPLETE, UNWIND, HOLD = "complete", "unwind", "hold"

Amounts = dict[str, Decimal]


class Exposures(NamedTuple):
    """What a state is exposed to, in base units: `net` by asset, signed; the size of each perp, debt and deposit, by venue and name.

    An asset is what prices are of: WETH and staked ether count as ETH, by what they are redeemed for. Dollar tokens are cash.
    """

    net: Amounts
    perps: dict[tuple[str, str], Decimal]
    debts: dict[tuple[str, str], Decimal]
    deposits: dict[tuple[str, str], Decimal]


class Unhedged(Struct, frozen=True):
    """How far the net exposure of an asset is from the one that the last plan was to end with: `base` units, signed, and their `usd`."""

    base: Decimal
    usd: Decimal


def exposures_of(state: State, venues: Venues, market: MarketSnapshot) -> Exposures:
    """What a state is exposed to at the snapshot's instant: spot, perps, deposits, debts, what is queued and in transit.

    Raises:
        MissingData: the redemption rate of a staked token that is held is not known.
    """
    net: Amounts = {}
    perps: dict[tuple[str, str], Decimal] = {}
    debts: dict[tuple[str, str], Decimal] = {}
    deposits: dict[tuple[str, str], Decimal] = {}
    for token, amount in state.part(IN_TRANSIT, Transit).positions().items():
        _add(net, token, amount, market)
    for name in (name for name, venue in venues.items() if isinstance(venue, WalletVenue)):
        for token in REBASING:
            if token in state.part(name, Wallet).units:
                state = with_share_rate(state, name, token, market)
    for name, venue in venues.items():
        if name not in state.parts:
            continue
        held, contracts = venue.exposures(venue.accrue(state, market), market)
        for exposure in held:
            _add(net, exposure.token, exposure.amount, market)
            read = read_name(exposure.held_as)
            if read.is_owed:
                debts[name, exposure.held_as] = -exposure.amount
            elif read.kind is Kind.DEPOSIT:
                deposits[name, exposure.held_as] = exposure.amount
        for perp in contracts:
            _add(net, base_of(perp.symbol), perp.base, market)
            perps[name, perp.symbol] = abs(perp.base)
    return Exposures({asset: amount for asset, amount in net.items() if amount}, perps, debts, deposits)


def _add(net: Amounts, token: str, amount: Decimal, market: MarketSnapshot) -> None:
    asset, units = in_base(token, amount, market)
    if asset not in DOLLAR_TOKENS:
        net[asset] = net.get(asset, ZERO) + units


def in_base(token: str, amount: Decimal, market: MarketSnapshot) -> tuple[str, Decimal]:
    """The asset that a token counts as, and how much of it: 10 wstETH are 12 ETH where it is redeemed at 1.2."""
    if token in REDEEMED_BY:
        protocol, underlying = REDEEMED_BY[token]
        return underlying, amount * market.redemption(protocol, token)
    return SAME_AS.get(token, token), amount


# Leaving and entering.


class Change(NamedTuple):
    """By how many USD a size has grown, and what it may grow by without counting as risen."""

    usd: Decimal
    tolerated_usd: Decimal = DUST_USD


def leaves(
    instructions: Sequence[Instruction], before: State, simulated: Sequence[SimulationResult], venues: Venues, market: MarketSnapshot
) -> bool:
    """Whether a plan leaves; otherwise it enters.

    It leaves if, by its simulated result, the size of a perp, a debt or the |net exposure| of an asset falls and none rises, nor any
    deposit; or if every step is a withdraw, claim, unstake or transfer to the own wallet. Gas, fees, slippage and the protocols' rounding
    are no change of exposure, and a lot of its own trades is no rise: one leg is cut to other lots than the other.

    `simulated` are the results in the order of `instructions`, each on the state that the one before leaves; a chain that is not atomic
    has one for each of its steps.
    """
    if not simulated:
        return False
    if all(_takes_back(step, venues) for step in _all_steps(instructions, simulated)):
        return True
    old, new = exposures_of(before, venues, market), exposures_of(simulated[-1].state, venues, market)
    changes = [*_net_changes(old, new, _paid(simulated, market), _lots(instructions, venues), market), *_size_changes(old, new, market)]
    falls = any(change.usd <= -DUST_USD for change in changes)
    return falls and all(change.usd <= change.tolerated_usd for change in (*changes, *_changes(old.deposits, new.deposits, market)))


def default_on_failure(*, leaves: bool) -> str:
    """What becomes of the rest of a plan when a step fails and the strategy says nothing: unwind while entering, complete while leaving."""
    return COMPLETE if leaves else UNWIND


def _all_steps(instructions: Sequence[Instruction], simulated: Sequence[SimulationResult]) -> list[Instruction]:
    direct = [instruction for instruction in instructions if isinstance(instruction, CexTrade | WalletTransfer)]
    return [*direct, *(step.action for moved in simulated for step in moved.results)]


def _takes_back(step: Instruction, venues: Venues) -> bool:
    if isinstance(step, WalletTransfer):
        return isinstance(venues[step.to_venue], WalletVenue)
    return isinstance(step, SmartContractAction) and step.action in TAKES_BACK


def _net_changes(old: Exposures, new: Exposures, paid: Amounts, lots: Amounts, market: MarketSnapshot) -> Iterator[Change]:
    for asset in sorted({*old.net, *new.net, *paid}):
        change = abs(new.net.get(asset, ZERO) + paid.get(asset, ZERO)) - abs(old.net.get(asset, ZERO))
        if change:
            price = market.price(asset)
            yield Change(change * price, max(DUST_USD, lots.get(asset, ZERO) * price))


def _size_changes(old: Exposures, new: Exposures, market: MarketSnapshot) -> Iterator[Change]:
    for place in sorted({*old.perps, *new.perps}):
        change = new.perps.get(place, ZERO) - old.perps.get(place, ZERO)
        if change:
            yield Change(change * market.price(base_of(place[1])))
    yield from _changes(old.debts, new.debts, market)


def _changes(old: Mapping[tuple[str, str], Decimal], new: Mapping[tuple[str, str], Decimal], market: MarketSnapshot) -> Iterator[Change]:
    for place in sorted({*old, *new}):
        if change := new.get(place, ZERO) - old.get(place, ZERO):
            yield Change(change * market.price(read_name(place[1]).of))


def _paid(simulated: Sequence[SimulationResult], market: MarketSnapshot) -> Amounts:
    """What the plan costs, by asset: it would otherwise pass for a change of exposure."""
    paid: Amounts = {}
    for moved in simulated:
        for cost in moved.costs:
            _add(paid, cost.token, cost.amount, market)
    return paid


def _lots(instructions: Sequence[Instruction], venues: Venues) -> Amounts:
    """The largest lot among the plan's trades of each asset."""
    lots: Amounts = {}
    for trade in instructions:
        if isinstance(trade, CexTrade):
            venue = venues[trade.venue]
            assert isinstance(venue, Exchange)
            asset = base_of(trade.symbol)
            lots[asset] = max(lots.get(asset, ZERO), venue.smallest_order(trade.trade_type, trade.symbol)[0])
    return lots


# What is unhedged.


def unhedged(now: Mapping[str, Decimal], meant: Mapping[str, Decimal], market: MarketSnapshot) -> dict[str, Unhedged]:
    """By asset: how far the net exposure now is from the one with which the last plan was simulated to end; assets without any are left
    out."""
    gaps = {asset: now.get(asset, ZERO) - meant.get(asset, ZERO) for asset in sorted({*now, *meant})}
    return {asset: Unhedged(gap, abs(gap) * market.price(asset)) for asset, gap in gaps.items() if gap}
