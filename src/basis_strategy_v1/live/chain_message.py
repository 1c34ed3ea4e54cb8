"""A transaction as it is sent: everything in its bytes, signed, and what it is for."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from msgspec import Struct, json, structs

from basis_strategy_v1.core.gateway import Message
from basis_strategy_v1.live.chain_fees import WEI_PER_ETH, Fees

if TYPE_CHECKING:
    from basis_strategy_v1.live.wallet_key import Signer

EMPTY_GAS = 60_000  # the account has code where it is delegated


class Unsigned(Struct, frozen=True, kw_only=True):
    """What is signed. `data` is hexadecimal text."""

    chain_id: int
    nonce: int
    to: str
    value_wei: int
    data: str
    gas: int
    fees: Fees

    def fields(self) -> dict[str, Any]:
        """As eth-account takes it."""
        from eth_utils.address import to_checksum_address

        return {
            "type": 2, "chainId": self.chain_id, "nonce": self.nonce, "to": to_checksum_address(self.to), "value": self.value_wei,
            "data": self.data, "gas": self.gas, "maxFeePerGas": self.fees.most_wei, "maxPriorityFeePerGas": self.fees.priority_wei,
            "accessList": [],
        }  # fmt: skip

    def call(self, sender: str) -> dict[str, Any]:
        """As a node takes it to try it out."""
        return {"from": sender, "to": self.to, "value": hex(self.value_wei), "data": self.data, "gas": hex(self.gas)}


class SentTransaction(Struct, frozen=True, kw_only=True):
    """The body of a message.

    `instruction` is what it is for, as text, with its amounts as numbers; `pays_to` the address that a transfer pays. `at_block` was the
    newest block when it was made. `until_s`: after this time (seconds since 1970) it is no longer wanted. `most_fee_wei`: what a gas unit
    may cost at most when it is replaced; `most_empty_fee_wei`, where that is more: when an empty one takes its place. `is_batch`: its calls
    are run by the account's own code. `is_empty`: it does nothing but take the nonce from one that is no longer wanted.
    """

    unsigned: Unsigned
    raw: str
    instruction: str
    pays_to: str = ""
    at_block: int
    until_s: int
    most_fee_wei: int
    most_empty_fee_wei: int = 0
    is_batch: bool = False
    is_empty: bool = False

    def message(self) -> Message:
        """As the journal keeps it: its id is the transaction's hash."""
        most_gas_eth = Decimal(self.unsigned.gas * self.unsigned.fees.most_wei) / WEI_PER_ETH
        return Message(client_id=hash_of(self.raw), body=json.encode(self).decode(), nonce=self.unsigned.nonce, most_gas_eth=most_gas_eth)


def sent_of(message: Message) -> SentTransaction:
    """The transaction of a message."""
    return json.decode(message.body, type=SentTransaction)


def signed(unsigned: Unsigned, signer: Signer, **what: Any) -> SentTransaction:
    """The transaction with its signature; `what` are the fields of SentTransaction that say what it is for."""
    return SentTransaction(unsigned=unsigned, raw="0x" + signer.sign_transaction(unsigned.fields()).hex(), **what)


def hash_of(raw: str) -> str:
    """The hash of a signed transaction."""
    from eth_utils.crypto import keccak

    return "0x" + keccak(bytes.fromhex(raw[2:])).hex()


def replaced(sent: SentTransaction, signer: Signer, at_block: int, *, is_empty: bool) -> SentTransaction | None:
    """The same call with both fees raised, or an empty transaction to ourselves in its place; None where the limit forbids it."""
    fees = sent.unsigned.fees.raised()
    if fees.most_wei > (max(sent.most_fee_wei, sent.most_empty_fee_wei) if is_empty else sent.most_fee_wei):
        return None
    unsigned = structs.replace(sent.unsigned, fees=fees)
    if is_empty:
        unsigned = structs.replace(unsigned, to=signer.address, value_wei=0, data="0x", gas=EMPTY_GAS)
    return signed(
        unsigned, signer, instruction=sent.instruction, pays_to=sent.pays_to, at_block=at_block, until_s=sent.until_s,
        most_fee_wei=sent.most_fee_wei, most_empty_fee_wei=sent.most_empty_fee_wei, is_batch=sent.is_batch,
        is_empty=is_empty or sent.is_empty,
    )  # fmt: skip
