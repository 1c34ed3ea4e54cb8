"""Who signed an action: EIP-712, over the packed action for trading, and in plain fields for what moves money."""

from __future__ import annotations

from functools import cache
from typing import Any

from .dialect import VenueError

ZERO_ADDRESS = "0x" + "0" * 40
DOMAIN = [("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address")]
AGENT = [("source", "string"), ("connectionId", "bytes32")]
# The actions that a user's own key signs, field by field; an agent's key may not.
BY_USER = {
    "usdClassTransfer": ("UsdClassTransfer", [("amount", "string"), ("toPerp", "bool"), ("nonce", "uint64")]),
    "withdraw3": ("Withdraw", [("destination", "string"), ("amount", "string"), ("time", "uint64")]),
    "usdSend": ("UsdSend", [("destination", "string"), ("amount", "string"), ("time", "uint64")]),
    "approveBuilderFee": ("ApproveBuilderFee", [("maxFeeRate", "string"), ("builder", "address"), ("nonce", "uint64")]),
    "approveAgent": ("ApproveAgent", [("agentAddress", "address"), ("agentName", "string"), ("nonce", "uint64")]),
}


@cache
def load() -> None:
    """Load what verifies a signature."""
    import eth_account.messages  # noqa: F401


def signer_of(body: dict[str, Any]) -> str:
    """The address, in small letters, that signed a request to /exchange."""
    from eth_account import Account
    from eth_account.messages import encode_typed_data

    action = body["action"]
    data = _by_user(action) if action["type"] in BY_USER else _packed(body)
    signature = body["signature"]
    parts = (int(signature["v"]), int(signature["r"], 16), int(signature["s"], 16))
    try:
        return str(Account.recover_message(encode_typed_data(full_message=data), vrs=parts)).lower()
    except ValueError as wrong:  # it is no signature at all
        raise VenueError("", f"Invalid signature: {wrong}", 200) from None


def action_hash(action: dict[str, Any], nonce: int, vault: str | None, expires_after: int | None) -> bytes:
    """What the agent's message of a trading action commits to. The order of the action's fields counts."""
    from eth_utils import keccak
    from msgspec import msgpack

    packed = msgpack.encode(action) + nonce.to_bytes(8, "big")
    packed += b"\x00" if vault is None else b"\x01" + bytes.fromhex(vault.removeprefix("0x"))
    if expires_after is not None:
        packed += b"\x00" + expires_after.to_bytes(8, "big")
    return bytes(keccak(packed))


def _packed(body: dict[str, Any]) -> dict[str, Any]:
    digest = action_hash(body["action"], body["nonce"], body.get("vaultAddress"), body.get("expiresAfter"))
    domain = {"name": "Exchange", "version": "1", "chainId": 1337, "verifyingContract": ZERO_ADDRESS}
    return _typed("Agent", AGENT, domain, {"source": "a", "connectionId": digest})


def _by_user(action: dict[str, Any]) -> dict[str, Any]:
    name, fields = BY_USER[action["type"]]
    chain = int(action["signatureChainId"], 16)
    domain = {"name": "HyperliquidSignTransaction", "version": "1", "chainId": chain, "verifyingContract": ZERO_ADDRESS}
    fields = [("hyperliquidChain", "string"), *fields]
    return _typed(f"HyperliquidTransaction:{name}", fields, domain, {field: action[field] for field, _ in fields})


def _typed(name: str, fields: list[tuple[str, str]], domain: dict[str, Any], message: dict[str, Any]) -> dict[str, Any]:
    types = {"EIP712Domain": DOMAIN, name: fields}
    described = {kind: [{"name": field, "type": of} for field, of in rows] for kind, rows in types.items()}
    return {"types": described, "primaryType": name, "domain": domain, "message": message}
