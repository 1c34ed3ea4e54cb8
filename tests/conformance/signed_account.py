"""An account that sends signed raw transactions to a node that charges for gas and signs for nobody."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from eth_account import Account
from eth_utils.address import to_checksum_address

from .chain import TransactionReverted

if TYPE_CHECKING:
    from eth_account.signers.local import LocalAccount

    from .chain import Chain

MNEMONIC = "test test test test test test test test test test test junk"  # of anvil's own accounts
GWEI = 10**9


@dataclass(slots=False)
class SignedAccount:
    """The node's account with this number, known by its key."""

    chain: Chain
    number: int

    @cached_property
    def key(self) -> LocalAccount:
        Account.enable_unaudited_hdwallet_features()
        found: LocalAccount = Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{self.number}")
        return found

    @property
    def address(self) -> str:
        return str(self.key.address)

    def nonce(self) -> int:
        return int(self.chain.rpc("eth_getTransactionCount", (self.address, "latest")), 16)

    def send(self, to: str, data: bytes = b"", value_wei: int = 0, gas: int = 16_000_000, **more: Any) -> dict[str, Any]:
        """The receipt; TransactionReverted with the contract's reason."""
        receipt = self.receipt_of(to, data, value_wei, gas, **more)
        if receipt["status"] != "0x1":
            raise TransactionReverted(self.chain.reason(receipt["transactionHash"]))
        return receipt

    def receipt_of(self, to: str, data: bytes, value_wei: int, gas: int, **more: Any) -> dict[str, Any]:
        fields = {
            "type": 2, "chainId": 31337, "nonce": self.nonce(), "to": to_checksum_address(to), "value": value_wei, "data": data, "gas": gas,
            "maxFeePerGas": 100 * GWEI, "maxPriorityFeePerGas": GWEI, "accessList": [], **more,
        }  # fmt: skip
        raw = self.key.sign_transaction(fields).raw_transaction.to_0x_hex()
        receipt: dict[str, Any] = self.chain.rpc("eth_sendRawTransactionSync", (raw,))
        return receipt

    def delegate(self, executor: str, nonce_ahead: int = 1) -> dict[str, Any]:
        """Give the account the executor's code. The authorization comes after the transaction that brings it: its nonce is one more."""
        authorization = {"chainId": 31337, "address": executor, "nonce": self.nonce() + nonce_ahead}
        signed = self.key.sign_authorization(authorization)
        return self.send(self.address, type=4, authorizationList=[signed], gas=200_000)


def fee_wei(receipt: dict[str, Any]) -> int:
    """What a transaction cost for gas."""
    return int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
