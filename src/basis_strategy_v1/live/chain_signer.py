"""Signs transactions with a private key in this process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.error_codes.exceptions import ComponentError

if TYPE_CHECKING:
    from basis_strategy_v1.live.wallet_key import WalletKey


class KeySigner:
    """Signs for the address of a private key. The same transaction always has the same bytes (RFC 6979)."""

    def __init__(self, account: Any) -> None:
        self._account = account

    @property
    def address(self) -> str:
        return str(self._account.address)

    def sign_transaction(self, transaction: Mapping[str, Any]) -> bytes:
        """The raw transaction, signed."""
        return bytes(self._account.sign_transaction(dict(transaction)).raw_transaction)

    def sign_authorization(self, chain_id: int, contract: str, nonce: int) -> Any:
        """An authorization to give the account the code of a contract (EIP-7702), as a transaction of type 4 takes it."""
        return self._account.sign_authorization({"chainId": chain_id, "address": contract, "nonce": nonce})


def signer_of(key: WalletKey) -> KeySigner:
    """The signer of a key.

    Raises:
        ComponentError: CFG-003, the key is no number on the curve, a remote signer has it, or eth-account is not installed.
    """
    try:
        from eth_account import Account
    except ImportError:
        raise ComponentError("CFG-003", "the wallet needs eth-account: install basis-strategy[live]") from None
    if key.private_key is None:
        raise ComponentError("CFG-003", "the wallet's key is at a remote signer, which is not used in this version; "
                                        "set PRIVATE_KEY or KEYSTORE instead of SIGNER_URL")  # fmt: skip
    try:
        return KeySigner(Account.from_key(key.private_key.reveal()))
    except ValueError:  # its text quotes the key
        raise ComponentError("CFG-003", "the wallet's private key is 0 or beyond the curve's order; make another one") from None
