"""The message that is really sent, and the check that it is what was approved."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from decimal import ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING

from msgspec import Struct

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.error_codes.exceptions import VenueRejected
from basis_strategy_v1.core.instruction_steps import all_steps
from basis_strategy_v1.core.instructions import CexTrade, Chain, SmartContractAction, WalletTransfer
from basis_strategy_v1.core.limits import Limits, is_listed
from basis_strategy_v1.core.state import IN_TRANSIT

if TYPE_CHECKING:
    from basis_strategy_v1.core.order import Approved, Order

GWEI_PER_ETH = 10**9
# What must be the same in a call as in the step that it is for; `min_amount_out` may be more.
SAME_IN_A_CALL = ("protocol", "action", "token", "amount", "token_out", "market", "category", "request_id")


class OutgoingTrade(Struct, frozen=True, kw_only=True):
    """An order to an exchange, read back from its message. `price` is its limit (quote per base), None where it has none; `lot` the step
    that the exchange cuts amounts to (base units)."""

    trade_type: str
    symbol: str
    side: str
    amount: Decimal
    price: Decimal | None
    reduce_only: bool = False
    lot: Decimal | None = None


class Gas(Struct, frozen=True):
    """The most that a transaction pays for gas: gwei per unit, and units."""

    fee_gwei: Decimal
    units: int

    @property
    def most_eth(self) -> Decimal:
        return self.fee_gwei * self.units / GWEI_PER_ETH


class OutgoingTransfer(Struct, frozen=True, kw_only=True):
    """A payment, read back from its message: out of an exchange, or out of the wallet with the token's `contract` (None: ETH) and `gas`.

    `lot` is the step that an exchange cuts amounts to.
    """

    token: str
    amount: Decimal
    address: str
    contract: str | None = None
    gas: Gas | None = None
    lot: Decimal | None = None


class OutgoingCall(Struct, frozen=True, kw_only=True):
    """A call within a transaction, read back from its bytes.

    `step` is the action that it is, its amount and minimum out as they are encoded; None for a call that only prepares one, such as an
    approval of `amount` of `token`. `pays_to` are the addresses among its arguments that get tokens or the right to take them.
    """

    contract: str
    step: SmartContractAction | None = None
    token: str = ""
    amount: Decimal = Decimal(0)
    pays_to: tuple[str, ...] = ()


class OutgoingTransaction(Struct, frozen=True, kw_only=True):
    """A transaction of the wallet: its calls in their order, a flash loan's before those that run while it is out."""

    calls: tuple[OutgoingCall, ...]
    gas: Gas


Outgoing = OutgoingTrade | OutgoingTransfer | OutgoingTransaction


def require_message_within(
    approved: Approved, limits: Limits, outgoing: Outgoing, *, contracts: Collection[str] = (), own: Collection[str] = ()
) -> None:
    """Refuse a message that is not what was approved, or that is outside the limits. Pure; a gateway calls it in `prepare`.

    `contracts` are the addresses of the configured venues and tokens, `own` those of the wallet and its executor.

    Raises:
        VenueRejected: with every difference in its message.
    """
    order = approved.order
    faults = [*_differences(order, limits, outgoing), *_beyond_limits(approved, limits, outgoing, tuple(contracts), tuple(own))]
    if faults:
        at_exchange = isinstance(outgoing, OutgoingTrade) or outgoing.gas is None
        code = "CEX-001" if at_exchange else "OCH-001"
        raise VenueRejected(code, f"the message to {order.venue} is not what was approved: {'; '.join(faults)}; nothing was sent")


def _differences(order: Order, limits: Limits, outgoing: Outgoing) -> Iterator[str]:
    instruction = order.instruction
    if isinstance(outgoing, OutgoingTrade) and isinstance(instruction, CexTrade):
        yield from _of_trade(order, instruction, limits, outgoing)
    elif isinstance(outgoing, OutgoingTransfer) and isinstance(instruction, WalletTransfer):
        yield from _of_transfer(order, instruction, outgoing)
    elif isinstance(outgoing, OutgoingTransaction) and isinstance(instruction, SmartContractAction | Chain):
        yield from _of_calls(instruction, outgoing)
    else:
        yield f"it is an {type(outgoing).__name__}, approved was a {type(instruction).__name__}"


def _of_trade(order: Order, trade: CexTrade, limits: Limits, outgoing: OutgoingTrade) -> Iterator[str]:
    for name in ("trade_type", "symbol", "side", "reduce_only"):
        sent, meant = getattr(outgoing, name), getattr(trade, name)
        if sent != meant:
            yield f"{name} is {sent}, approved was {meant}"
    lot = outgoing.lot
    amount = _in_lots(trade.amount, lot)
    if outgoing.amount != amount:
        in_lots = "" if lot is None else f" in lots of {plain(lot)}"
        yield f"amount is {plain(outgoing.amount)}, approved was {plain(trade.amount)}{in_lots}"
    price, worst = outgoing.price, order.worst_price
    if worst is None:
        if limits.max_slippage_bps is not None:
            yield "the order has no worst price, which limits.max_slippage_bps asks for"
    elif price is None:
        yield f"it has no limit price, approved was {plain(worst)}"
    elif price > worst if trade.side == "buy" else price < worst:
        yield f"the limit price is {plain(price)}, approved was {plain(worst)}"


def _of_transfer(order: Order, transfer: WalletTransfer, outgoing: OutgoingTransfer) -> Iterator[str]:
    if outgoing.token != transfer.token:
        yield f"token is {outgoing.token}, approved was {transfer.token}"
    # Some exchanges take the amount that leaves, others the one that arrives.
    there = order.expected.get(transfer.to_venue, transfer.token) or order.expected.get(IN_TRANSIT, transfer.token)
    simulated = -order.expected.get(transfer.from_venue, transfer.token)
    if outgoing.amount not in {_in_lots(amount, outgoing.lot) for amount in (transfer.amount, there, simulated)}:
        yield f"amount is {plain(outgoing.amount)}, approved was {plain(transfer.amount)}"


def _in_lots(amount: Decimal, lot: Decimal | None) -> Decimal:
    return amount if lot is None else (amount / lot).to_integral_value(ROUND_FLOOR) * lot


def _of_calls(instruction: SmartContractAction | Chain, outgoing: OutgoingTransaction) -> Iterator[str]:
    meant = all_steps(instruction)
    sent = [call.step for call in outgoing.calls if call.step is not None]
    if len(sent) != len(meant):
        yield f"it has {len(sent)} steps, approved were {len(meant)}"
        return
    for index, was in enumerate(meant):
        is_ = sent[index]
        for name in SAME_IN_A_CALL:
            if getattr(is_, name) != getattr(was, name):
                yield f"step {index}: {name} is {_shown(getattr(is_, name))}, approved was {_shown(getattr(was, name))}"
        if was.min_amount_out is not None and (is_.min_amount_out is None or is_.min_amount_out < was.min_amount_out):
            yield f"step {index}: minimum out is {_shown(is_.min_amount_out)}, approved was {plain(was.min_amount_out)}"
    for call in outgoing.calls:
        if call.step is None and call.amount > (most := _most_of(call.token, meant)):
            yield f"{plain(call.amount)} {call.token} are approved to be taken, the steps take {plain(most)}"


def _most_of(token: str, actions: list[SmartContractAction]) -> Decimal:
    return Decimal(sum(action.amount for action in actions if action.token == token and isinstance(action.amount, Decimal)))


def _beyond_limits(
    approved: Approved, limits: Limits, outgoing: Outgoing, contracts: tuple[str, ...], own: tuple[str, ...]
) -> Iterator[str]:
    most = limits.max_notional_per_instruction
    if most is not None and approved.spends_usd > most:
        yield f"it moves {plain(round(approved.spends_usd, 2))} USD, limits.max_notional_per_instruction is {plain(most)}"
    if isinstance(outgoing, OutgoingTrade):
        return
    callable_ = contracts if limits.contracts is None else limits.contracts
    called: tuple[str, ...] = ()
    paid: tuple[str, ...] = ()
    if isinstance(outgoing, OutgoingTransfer):
        if not is_listed(outgoing.address, limits.withdrawal_addresses):
            yield f"it pays out to {outgoing.address}, which is not in limits.withdrawal_addresses"
        if outgoing.contract is not None:
            called = (outgoing.contract,)
    else:
        called = tuple(call.contract for call in outgoing.calls)
        paid = tuple(address for call in outgoing.calls for address in call.pays_to)
    for address in dict.fromkeys(called):
        if not is_listed(address, callable_):
            yield f"it calls {address}, which is not in limits.contracts" + (" or configured" if limits.contracts is None else "")
    for address in dict.fromkeys(paid):
        if not is_listed(address, (*own, *callable_, *limits.withdrawal_addresses)):
            yield f"it pays to {address}, which is not the wallet's and not in limits.withdrawal_addresses"
    if outgoing.gas is not None:
        yield from _of_gas(approved, limits, outgoing.gas)


def _of_gas(approved: Approved, limits: Limits, gas: Gas) -> Iterator[str]:
    leaves = approved.order.leaves
    cap = limits.fee_cap_gwei(leaves=leaves)
    if cap is not None and gas.fee_gwei > cap:
        name = "max_fee_gwei_reducing" if leaves and limits.max_fee_gwei_reducing is not None else "max_fee_gwei"
        yield f"it pays up to {plain(gas.fee_gwei)} gwei per gas unit, limits.{name} is {plain(cap)}"
    left = approved.gas_left_eth
    if left is not None and gas.most_eth > left:
        yield f"it pays up to {plain(gas.most_eth)} ETH for gas, limits.max_gas_per_day_eth leaves {plain(left)}"


def _shown(value: object) -> str:
    return plain(value) if isinstance(value, Decimal) else str(value)
