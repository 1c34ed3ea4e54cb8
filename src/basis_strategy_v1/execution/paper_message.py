"""What a simulated venue is sent: made of what was approved, read back from its text, and checked before it leaves."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import Struct, json, structs

from basis_strategy_v1.core.instruction_codec import decode_instruction, encode_instruction
from basis_strategy_v1.core.instruction_steps import all_steps
from basis_strategy_v1.core.instructions import CexTrade, WalletTransfer
from basis_strategy_v1.core.outgoing import (
    Gas,
    Outgoing,
    OutgoingCall,
    OutgoingTrade,
    OutgoingTransaction,
    OutgoingTransfer,
    require_message_within,
)

if TYPE_CHECKING:
    from basis_strategy_v1.core.instructions import Instruction
    from basis_strategy_v1.core.limits import Limits
    from basis_strategy_v1.core.order import Approved

NOWHERE = "0x" + "0" * 40
NO_GAS = Gas(Decimal(0), 0)


class PaperMessage(Struct, frozen=True, kw_only=True):
    """The body of a message: the instruction as text, the worst price of a trade, the address that a transfer pays to, and the gas that
    a transaction may use (None at an exchange)."""

    instruction: str
    worst_price: Decimal | None = None
    pays_to: str = ""
    gas: Gas | None = None

    @property
    def asked(self) -> Instruction:
        return decode_instruction(self.instruction)


def body_of(approved: Approved, limits: Limits, gas: Gas | None) -> str:
    """The body of what was approved, as text.

    A simulated account has no address: the first one of `limits.withdrawal_addresses` stands for whatever a transfer pays to.

    Raises:
        VenueRejected: it is not what was approved, or is outside the limits.
    """
    order = approved.order
    pays_to = next(iter(limits.withdrawal_addresses), NOWHERE) if isinstance(order.instruction, WalletTransfer) else ""
    message = PaperMessage(instruction=encode_instruction(order.instruction), worst_price=order.worst_price, pays_to=pays_to, gas=gas)
    body = json.encode(message).decode()
    outgoing = outgoing_of(read_body(body))
    called = {call.contract for call in outgoing.calls} if isinstance(outgoing, OutgoingTransaction) else ()
    # Nor has a simulated protocol: its name stands for its contract, and a list of contracts says nothing about names.
    require_message_within(approved, structs.replace(limits, contracts=None), outgoing, contracts=called)
    return body


def read_body(body: str) -> PaperMessage:
    """The message of a text."""
    return json.decode(body, type=PaperMessage)


def outgoing_of(message: PaperMessage) -> Outgoing:
    """What is really in a message."""
    asked = message.asked
    if isinstance(asked, CexTrade):
        return OutgoingTrade(
            trade_type=asked.trade_type, symbol=asked.symbol, side=asked.side, amount=asked.amount, price=message.worst_price,
            reduce_only=asked.reduce_only,
        )  # fmt: skip
    if isinstance(asked, WalletTransfer):
        return OutgoingTransfer(token=asked.token, amount=asked.amount, address=message.pays_to, gas=message.gas)
    calls = tuple(OutgoingCall(contract=action.protocol, step=action) for action in all_steps(asked))
    return OutgoingTransaction(calls=calls, gas=message.gas or NO_GAS)
