"""The transaction of an order: its calls from what was approved, its fees from what was quoted, checked before it leaves. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import Struct, structs

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.chain_call import ALL, CallStep, ChainCall, Deployment
from basis_strategy_v1.core.error_codes.exceptions import VenueRejected
from basis_strategy_v1.core.instruction_codec import decode_instruction, encode_instruction
from basis_strategy_v1.core.instruction_steps import top_steps
from basis_strategy_v1.core.instructions import Chain, SmartContractAction, WalletTransfer
from basis_strategy_v1.core.outgoing import Gas, Outgoing, OutgoingCall, OutgoingTransaction, OutgoingTransfer, require_message_within
from basis_strategy_v1.core.tokens import to_amount, to_units
from basis_strategy_v1.live.call_reading import ReadCall, read_call
from basis_strategy_v1.live.chain_fees import WEI_PER_ETH, FeeMarket, fees_within, gwei_of, wei_of
from basis_strategy_v1.live.chain_message import EMPTY_GAS, SentTransaction, Unsigned, signed
from basis_strategy_v1.live.trader_account import Floor, direct_call, pack_batch, read_batch
from basis_strategy_v1.venues.transaction_calls import encode_transaction
from basis_strategy_v1.venues.wallet_calls import encode_transfer

if TYPE_CHECKING:
    from basis_strategy_v1.core.limits import Limits
    from basis_strategy_v1.core.order import Approved, Order
    from basis_strategy_v1.live.wallet_key import Signer

REJECTED = "OCH-001"
NO_LIMIT_WEI = 10**15  # a million gwei
WITHOUT_DATA = "0x"


class ChainQuote(Struct, frozen=True, kw_only=True):
    """What the chain says before an order.

    `nonce` is the lowest that it still takes; `at_block` its newest block; `market` what the next one takes; `gas` what the transaction
    may use; `eth_wei` what the account has. `until_s`: from then on (seconds since 1970) it is no longer wanted. `pays_to` is the address
    that a transfer pays, `floors` the least by which balances may change (token's address, base units).
    """

    nonce: int
    at_block: int
    market: FeeMarket
    gas: int
    eth_wei: int
    until_s: int
    pays_to: str = ""
    floors: tuple[tuple[str, int], ...] = ()


class Made(NamedTuple):
    """The call of a transaction before it has a nonce and fees, and the steps that it runs; none of them for a transfer."""

    call: ChainCall
    steps: tuple[CallStep, ...]
    needs_executor: bool


def meant_by(order: Order) -> Any:
    """The instruction as it was given: its open amounts are known when the call is made."""
    return decode_instruction(order.asked) if order.asked else order.instruction


def made_for(order: Order, pays_to: str, floors: Sequence[tuple[str, int]], until_s: int, at: Deployment) -> Made:
    """The call of an order.

    Raises:
        VenueRejected: it is no order that a chain takes, or an address is not known.
    """
    instruction = order.instruction
    if isinstance(instruction, WalletTransfer):
        return Made(encode_transfer(instruction.token, to_units(instruction.token, instruction.amount), pays_to, at), (), False)
    if not isinstance(instruction, SmartContractAction | Chain):
        raise VenueRejected(REJECTED, f"{order.key} is no action on chain; nothing was sent")
    steps = encode_transaction(meant_by(order), instruction, at, until_s)
    direct = direct_call(steps)
    if direct is not None:
        return Made(direct, steps, False)
    data = pack_batch(steps, [Floor(*floor) for floor in floors], until_s, at.account)
    return Made(ChainCall(to=at.account, data=data), steps, True)


def prepared(approved: Approved, limits: Limits, quote: ChainQuote, nonce: int, at: Deployment, signer: Signer) -> SentTransaction:
    """The signed transaction of an approved order.

    Raises:
        VenueRejected: it is not what was approved, is outside the limits, or the account cannot pay for it.
    """
    order = approved.order
    made = made_for(order, quote.pays_to, quote.floors, quote.until_s, at)
    cap = limits.fee_cap_gwei(leaves=order.leaves)
    fees = fees_within(quote.market, cap)
    unsigned = Unsigned(
        chain_id=at.chain_id, nonce=nonce, to=made.call.to, value_wei=made.call.value_wei, data="0x" + made.call.data.hex(), gas=quote.gas,
        fees=fees,
    )  # fmt: skip
    outgoing = outgoing_of(order, made, unsigned, quote.pays_to, at)
    require_message_within(approved, limits, outgoing, contracts=at.addresses(), own=(at.account,))
    _require_ether(quote, unsigned)
    return signed(
        unsigned, signer, instruction=encode_instruction(order.instruction), pays_to=quote.pays_to, at_block=quote.at_block,
        until_s=quote.until_s, is_batch=made.needs_executor, most_fee_wei=_most_fee_wei(approved, cap, quote.gas),
        most_empty_fee_wei=_most_fee_wei(approved, limits.fee_cap_gwei(leaves=True), EMPTY_GAS),
    )  # fmt: skip


def _most_fee_wei(approved: Approved, cap_gwei: Decimal | None, gas: int) -> int:
    """What a gas unit may cost when the transaction is replaced."""
    most = NO_LIMIT_WEI if cap_gwei is None else wei_of(cap_gwei)
    left = approved.gas_left_eth
    return most if left is None else min(most, int(left * WEI_PER_ETH) // gas)


def _require_ether(quote: ChainQuote, unsigned: Unsigned) -> None:
    needed = unsigned.value_wei + unsigned.gas * unsigned.fees.most_wei
    if needed > quote.eth_wei:
        has, needs = (plain(round(to_amount("ETH", wei), 6)) for wei in (quote.eth_wei, needed))
        raise VenueRejected(REJECTED, f"the wallet has {has} ETH, the transaction may need {needs} with its gas; bring ETH there")


# What is really in the bytes.


def outgoing_of(order: Order, made: Made, unsigned: Unsigned, pays_to: str, at: Deployment) -> Outgoing:
    """The transaction, read back from its bytes."""
    gas = Gas(gwei_of(unsigned.fees.most_wei), unsigned.gas)
    names = {address.lower(): name for name, address in at.tokens.items()}
    if not made.steps:
        if unsigned.data == WITHOUT_DATA:
            return OutgoingTransfer(token="ETH", amount=to_amount("ETH", unsigned.value_wei), address=unsigned.to, gas=gas)
        token = names.get(unsigned.to.lower(), unsigned.to)
        receiver, units = "0x" + unsigned.data[34:74], int(unsigned.data[74:138], 16)
        return OutgoingTransfer(token=token, amount=to_amount(token, units), address=receiver, contract=unsigned.to, gas=gas)
    instruction = order.instruction
    assert isinstance(instruction, SmartContractAction | Chain)
    steps = read_batch(bytes.fromhex(unsigned.data[2:])) if made.needs_executor else (CallStep((_sent_alone(unsigned),)),)
    return OutgoingTransaction(calls=tuple(_calls(top_steps(instruction), steps, names)), gas=gas)


def _sent_alone(unsigned: Unsigned) -> ChainCall:
    """The one call of a transaction, as its bytes have it."""
    return ChainCall(to=unsigned.to, data=bytes.fromhex(unsigned.data[2:]), value_wei=unsigned.value_wei)


def _calls(actions: Sequence[SmartContractAction], steps: Sequence[CallStep], names: dict[str, str]) -> Iterator[OutgoingCall]:
    for action, step in zip(actions, steps, strict=True):
        read = [read_call(call) for call in step.calls]
        for index, (call, said) in enumerate(zip(step.calls, read, strict=True)):
            given = call.allowance
            if given is not None:
                token = names.get(given.token.lower(), given.token)
                amount = to_amount(token, given.amount.units)
                yield OutgoingCall(contract=given.token, token=token, amount=amount, pays_to=(given.spender,))
            # The first call has the amount of the action; those after it finish it.
            yield OutgoingCall(contract=call.to, step=None if index else _as_read(action, read), pays_to=said.receivers)
            yield from _calls(action.steps, call.loan, names)


def _as_read(action: SmartContractAction, read: Sequence[ReadCall]) -> SmartContractAction:
    """The action with the amount and the least that must come out as they are in the bytes; an amount that is known only when the call is
    made, or all of it, is the one that was simulated."""
    units, least = read[0].units, next((each.least for each in read if each.least is not None), None)
    if action.token and units is not None and units != ALL:
        action = structs.replace(action, amount=to_amount(action.token, units))
    if least is None:
        return action
    return structs.replace(action, min_amount_out=to_amount(action.token_out or "", least) if least else None)
