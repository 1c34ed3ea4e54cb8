"""Risk: an order within the limits becomes an `Approved`, with the bounds that go to the venue."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct, structs

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.clock import iso
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.instructions import CexTrade, Chain, SmartContractAction, WalletTransfer, is_internal_move
from basis_strategy_v1.core.limits import Limits, is_listed
from basis_strategy_v1.core.order import Approved
from basis_strategy_v1.core.tokens import to_amount, to_units
from basis_strategy_v1.venues.cex import Exchange
from basis_strategy_v1.venues.chain import resolved_instruction
from basis_strategy_v1.venues.venue import CEX, reject

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from basis_strategy_v1.core.execution_report import Cost
    from basis_strategy_v1.core.instructions import Instruction
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.core.order import Order
    from basis_strategy_v1.venues.venue import SimulationResult, StepResult, Venues

ZERO = Decimal(0)
BPS = Decimal(10_000)
GWEI_PER_ETH = 10**9
NO_ADDRESSES: Mapping[str, str] = {}


class Spent(Struct, frozen=True, kw_only=True):
    """What the UTC day of an order has used of its limits, by the journal. `within_instruction_usd` is what earlier steps of the same
    instruction, a chain that is not atomic, have moved."""

    notional_usd: Decimal = ZERO
    gas_eth: Decimal = ZERO
    within_instruction_usd: Decimal = ZERO


class Priced(NamedTuple):
    """A trade's price at the snapshot (quote per base), the step of its limit price, and what a unit of quote is worth in USD."""

    price: Decimal
    tick: Decimal
    quote_usd: Decimal


def require_limits(limits: Limits | None) -> Limits:
    """The limits, without which nothing runs live, simulated or not.

    Raises:
        ComponentError: CFG-001, there are none, or one that must be set is not.
    """
    if limits is None:
        raise ComponentError("CFG-001", "limits: missing; live (with --paper too) needs max_notional_per_instruction, "
                             "max_notional_per_day, max_slippage_bps and max_unhedged_notional under limits")  # fmt: skip
    needed = ("max_notional_per_instruction", "max_notional_per_day", "max_slippage_bps", "max_unhedged_notional")
    missing = [name for name in needed if getattr(limits, name) is None]
    if missing:
        raise ComponentError("CFG-001", "\n".join(f"limits.{name}: missing; live (with --paper too) needs it" for name in missing))
    return limits


def approve(
    order: Order, simulated: SimulationResult, market: MarketSnapshot, *, venues: Venues, limits: Limits, spent: Spent, leaves: bool,
    addresses: Mapping[str, str] = NO_ADDRESSES,
) -> Approved:  # fmt: skip
    """The order as it may be sent: its amounts as numbers, its price and the bounds that go to the venue. Pure.

    `simulated` is what its instruction does at this snapshot. `leaves`: its plan leaves, which frees it of the limits of notional.
    `addresses` are those that are known: by venue, the contract that is called or the account that is paid.

    Raises:
        VenueRejected: a limit forbids it; the message names the limit, the amount and what can be done.
    """
    instruction = resolved_instruction(order.instruction, simulated)
    kind = venues[order.venue].kind
    priced = _priced(instruction, venues, market) if isinstance(instruction, CexTrade) else None
    notional = notional_usd(instruction, simulated, market, priced)
    try:
        if not leaves:
            _require_notional(notional, limits, spent, order)
        _require_slippage(simulated, limits, priced)
        _require_addresses(instruction, simulated, limits, addresses)
        _require_gas(simulated, limits, order, spent, leaves=leaves)
        bounded = _bounded(order, instruction, simulated, limits, priced, leaves=leaves)
    except _Beyond as fault:
        reject(kind, str(fault))
    gas_left = None if limits.max_gas_per_day_eth is None else limits.max_gas_per_day_eth - spent.gas_eth
    return _approved(bounded, notional, gas_left)


def approve_move(order: Order) -> Approved:
    """A move between the wallets of one account: nothing is paid to anybody, and it spends nothing of a limit.

    Raises:
        VenueRejected: the order is something else.
    """
    if not is_internal_move(order.instruction):
        reject(CEX, f"{order.key} is no move within one account")
    return _approved(order, ZERO, None)


def _approved(order: Order, notional: Decimal, gas_left: Decimal | None) -> Approved:
    return Approved(order=order, notional_usd=notional, gas_left_eth=gas_left)


class _Beyond(ValueError):
    """What a limit forbids, and why."""


def _priced(trade: CexTrade, venues: Venues, market: MarketSnapshot) -> Priced:
    exchange = venues[trade.venue]
    assert isinstance(exchange, Exchange)
    return Priced(*exchange.price_and_tick(trade, market), market.price(exchange.row.settle))


# Notional.


def notional_usd(instruction: Instruction, simulated: SimulationResult, market: MarketSnapshot, priced: Priced | None) -> Decimal:
    """The sum over the steps at the snapshot's prices: what is traded, sent, or put into each action, a flash loan included."""
    if isinstance(instruction, CexTrade):
        assert priced is not None
        return instruction.amount * priced.price * priced.quote_usd
    if isinstance(instruction, WalletTransfer):
        return instruction.amount * market.price(instruction.token)
    return sum((_step_usd(step, market) for step in simulated.results), ZERO)


def _step_usd(step: StepResult, market: MarketSnapshot) -> Decimal:
    action = step.action
    if action.token:
        assert isinstance(action.amount, Decimal)
        return action.amount * market.price(action.token)
    # A claim names no amount: it pays out what was asked for.
    received = ((token, amount) for (_, token), amount in step.deltas.items() if amount > 0)
    return sum((amount * market.price(token) for token, amount in received), ZERO)


def _require_notional(notional: Decimal, limits: Limits, spent: Spent, order: Order) -> None:
    whole = spent.within_instruction_usd + notional
    most, most_a_day = limits.max_notional_per_instruction, limits.max_notional_per_day
    if most is not None and whole > most:
        raise _Beyond(f"the instruction moves {_money(whole)} USD, limits.max_notional_per_instruction is {plain(most)}; "
                      "split it or raise the limit")  # fmt: skip
    if most_a_day is not None and spent.notional_usd + notional > most_a_day:
        raise _Beyond(f"the instruction moves {_money(notional)} USD after {_money(spent.notional_usd)} USD on {_day(order)}, "
                      f"limits.max_notional_per_day is {plain(most_a_day)}; wait for the next day (UTC) or raise the limit")  # fmt: skip


# Slippage: what is simulated, and the bounds that are sent.


def _require_slippage(simulated: SimulationResult, limits: Limits, priced: Priced | None) -> None:
    worst = limits.max_slippage_bps
    if worst is None:
        return
    slips = [_slip(step) for step in simulated.results if step.action.action == "swap"]
    if priced is not None and (filled := simulated.details["filled"]):
        slips.append((_sum(simulated.costs, "slippage"), filled * priced.price))
    for slipped, of in slips:
        if slipped * BPS > worst * of:
            raise _Beyond(f"the instruction would slip by {_money(slipped / of * BPS)} bps, limits.max_slippage_bps is {plain(worst)}; "
                          "trade less at once or raise the limit")  # fmt: skip


def _slip(swap: StepResult) -> tuple[Decimal, Decimal]:
    """What a swap loses to the price, and the amount that it is lost of: what is left after the pool's fee, in the token paid."""
    assert isinstance(swap.action.amount, Decimal)
    return _sum(swap.costs, "slippage"), swap.action.amount - _sum(swap.costs, "fees")


def _bounded(
    order: Order, instruction: Instruction, simulated: SimulationResult, limits: Limits, priced: Priced | None, *, leaves: bool
) -> Order:
    """The order with its amounts as numbers and the bounds that go to the venue: the worst price of a trade, the least out of each swap."""
    worst_bps = limits.max_slippage_bps
    if priced is not None and isinstance(instruction, CexTrade):
        worst = worst_price(instruction, priced, worst_bps)
        return structs.replace(order, price=priced.price, worst_price=worst, leaves=leaves)
    results = iter(simulated.results)
    minimum = None
    if isinstance(instruction, Chain):
        instruction = structs.replace(instruction, steps=tuple(_with_minimum(step, results, worst_bps) for step in instruction.steps))
    elif isinstance(instruction, SmartContractAction):
        instruction = _with_minimum(instruction, results, worst_bps)
        minimum = instruction.min_amount_out
    return structs.replace(order, instruction=instruction, minimum_out=minimum, leaves=leaves)


def worst_price(trade: CexTrade, priced: Priced, max_slippage_bps: Decimal | None) -> Decimal | None:
    """The limit price to send: the snapshot's price worsened by the slippage that is allowed, on the tick towards the trader, and never
    beyond the trade's own limit. None: nothing bounds it.

    Raises:
        _Beyond: no price above 0 is left.
    """
    is_buy = trade.side == "buy"
    bounds = [] if trade.price is None else [trade.price]
    if max_slippage_bps is not None:
        slip = max_slippage_bps / BPS
        bounds.append(priced.price * (1 + slip if is_buy else 1 - slip))
    if not bounds:
        return None
    bound = min(bounds) if is_buy else max(bounds)
    worst = (bound / priced.tick).to_integral_value(ROUND_FLOOR if is_buy else ROUND_CEILING) * priced.tick
    if not worst:
        raise _Beyond(f"no limit price of {trade.symbol} is left between 0 and {plain(bound)} with a tick of {plain(priced.tick)}; "
                      "change limits.max_slippage_bps or the tick")  # fmt: skip
    return worst


def _with_minimum(action: SmartContractAction, results: Iterator[StepResult], worst_bps: Decimal | None) -> SmartContractAction:
    """The action, and those of its loan, with the least that each swap may pay out; `results` are theirs, in the same order."""
    result = next(results)
    if action.action == "swap" and worst_bps is not None:
        least = max(_minimum_out(result, worst_bps), action.min_amount_out or ZERO)
        return structs.replace(action, min_amount_out=least)
    return structs.replace(action, steps=tuple(_with_minimum(step, results, worst_bps) for step in action.steps))


def _minimum_out(swap: StepResult, worst_bps: Decimal) -> Decimal:
    """What the swap would pay out without slippage, less what it may slip by; whole base units, rounded towards the trader."""
    token = swap.action.token_out
    assert token is not None
    received = swap.deltas.get(swap.action.protocol, token)
    slipped, of = _slip(swap)
    least = received * of / (of - slipped) * (1 - worst_bps / BPS)
    units = to_units(token, least)
    return min(to_amount(token, units if to_amount(token, units) == least else units + 1), received)


# Addresses and gas.


def _require_addresses(instruction: Instruction, simulated: SimulationResult, limits: Limits, addresses: Mapping[str, str]) -> None:
    if isinstance(instruction, WalletTransfer):
        _require_payee(instruction.to_venue, limits.withdrawal_addresses, addresses.get(instruction.to_venue))
    for name in dict.fromkeys(step.action.protocol for step in simulated.results):
        address = addresses.get(name)
        if limits.contracts is not None and address is not None and not is_listed(address, limits.contracts):
            raise _Beyond(f"{name} is {address}, which is not in limits.contracts; add it there or leave {name} out")


def _require_payee(venue: str, allowed: tuple[str, ...], address: str | None) -> None:
    if not allowed:
        raise _Beyond(f"a transfer to {venue} needs its address in limits.withdrawal_addresses, which is empty: add the line "
                      f"withdrawal_addresses: [0x...] with it under limits (with --paper any address stands for {venue})")  # fmt: skip
    if address is not None and not is_listed(address, allowed):
        raise _Beyond(f"{venue} is paid at {address}, which is not in limits.withdrawal_addresses; add it there or send it elsewhere")


def _require_gas(simulated: SimulationResult, limits: Limits, order: Order, spent: Spent, *, leaves: bool) -> None:
    gas_eth = _sum(simulated.costs, "gas")
    if not gas_eth:
        return
    gwei, cap = gas_eth / simulated.details["gas_units"] * GWEI_PER_ETH, limits.fee_cap_gwei(leaves=leaves)
    if cap is not None and gwei > cap:
        name = "max_fee_gwei_reducing" if cap is limits.max_fee_gwei_reducing else "max_fee_gwei"
        raise _Beyond(f"a gas unit costs {_money(gwei)} gwei, limits.{name} is {plain(cap)}; wait or raise the limit")
    most = limits.max_gas_per_day_eth
    if most is not None and spent.gas_eth + gas_eth > most:
        paid, before = plain(round(gas_eth, 6)), plain(round(spent.gas_eth, 6))
        raise _Beyond(f"the instruction pays {paid} ETH for gas after {before} ETH on {_day(order)}, limits.max_gas_per_day_eth is "
                      f"{plain(most)}; wait for the next day (UTC) or raise the limit")  # fmt: skip


def _sum(costs: Iterable[Cost], source: str) -> Decimal:
    return sum((cost.amount for cost in costs if cost.source == source), ZERO)


def _money(amount: Decimal) -> str:
    return plain(round(amount, 2))


def _day(order: Order) -> str:
    return iso(order.at)[:10]
