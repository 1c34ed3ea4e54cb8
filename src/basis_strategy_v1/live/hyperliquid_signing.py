"""Hyperliquid's signatures: EIP-712, over the packed action for trading, and over plain fields for a move of money."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import msgpack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from basis_strategy_v1.live.secrets import Secret

MAINNET = "a"
ZERO_ADDRESS = "0x" + "0" * 40
DOMAIN = {"name": "Exchange", "version": "1", "chainId": 1337, "verifyingContract": ZERO_ADDRESS}
USER_DOMAIN = {"name": "HyperliquidSignTransaction", "version": "1", "chainId": 42161, "verifyingContract": ZERO_ADDRESS}
MOVE_FIELDS = (("hyperliquidChain", "string"), ("amount", "string"), ("toPerp", "bool"), ("nonce", "uint64"))
MOVE = {"HyperliquidTransaction:UsdClassTransfer": [{"name": name, "type": kind} for name, kind in MOVE_FIELDS]}
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
    message = {"source": MAINNET, "connectionId": _digest(action, nonce, expires_ms)}
    return {"action": dict(action), "nonce": nonce, "signature": _signature(secret, DOMAIN, AGENT, message), "expiresAfter": expires_ms}


def signed_move(secret: Secret, amount: str, nonce: int, *, to_perp: bool) -> dict[str, Any]:
    """A move between the spot and the perp wallet as it leaves; an account's own key signs it. The venue takes no expiry for it."""
    fields = {"hyperliquidChain": "Mainnet", "amount": amount, "toPerp": to_perp, "nonce": nonce}
    action = {"type": "usdClassTransfer", "signatureChainId": hex(42161), **fields}
    return {"action": action, "nonce": nonce, "signature": _signature(secret, USER_DOMAIN, MOVE, fields)}


def _signature(secret: Secret, domain: dict[str, Any], types: dict[str, Any], message: dict[str, Any]) -> dict[str, Any]:
    from eth_account import Account

    made = Account.sign_typed_data(secret.reveal(), domain, types, message)
    return {"r": hex(made.r), "s": hex(made.s), "v": made.v}


def _digest(action: Mapping[str, Any], nonce: int, expires_ms: int) -> bytes:
    from eth_utils.crypto import keccak

    no_vault = b"\x00"
    return keccak(msgpack.encode(action) + nonce.to_bytes(8, "big") + no_vault + b"\x00" + expires_ms.to_bytes(8, "big"))
