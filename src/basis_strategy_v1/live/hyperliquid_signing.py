"""Hyperliquid's signatures of trading actions: EIP-712, over the packed action."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import msgpack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from basis_strategy_v1.live.secrets import Secret

MAINNET = "a"
ZERO_ADDRESS = "0x" + "0" * 40
DOMAIN = {"name": "Exchange", "version": "1", "chainId": 1337, "verifyingContract": ZERO_ADDRESS}
AGENT = {"Agent": [{"name": "source", "type": "string"}, {"name": "connectionId", "type": "bytes32"}]}


def address_of(secret: Secret) -> str:
    """The address of a private key, in small letters.

    Raises:
        ValueError: it is none.
    """
    from eth_account import Account

    return str(Account.from_key(secret.reveal()).address).lower()


def signed(secret: Secret, action: Mapping[str, Any], nonce: int, expires_ms: int) -> dict[str, Any]:
    """A trading action as it leaves. The order of the action's fields counts; the same fields and nonce give the same bytes."""
    from eth_account import Account

    message = {"source": MAINNET, "connectionId": _digest(action, nonce, expires_ms)}
    made = Account.sign_typed_data(secret.reveal(), DOMAIN, AGENT, message)
    signature = {"r": hex(made.r), "s": hex(made.s), "v": made.v}
    return {"action": dict(action), "nonce": nonce, "signature": signature, "expiresAfter": expires_ms}


def _digest(action: Mapping[str, Any], nonce: int, expires_ms: int) -> bytes:
    from eth_utils.crypto import keccak

    no_vault = b"\x00"
    return keccak(msgpack.encode(action) + nonce.to_bytes(8, "big") + no_vault + b"\x00" + expires_ms.to_bytes(8, "big"))
