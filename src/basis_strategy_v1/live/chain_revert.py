"""Why a call was reverted, as its contract says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from basis_strategy_v1.core.gateway import MalformedAnswer
from basis_strategy_v1.live.chain_abi import decoded

ERROR, PANIC = "0x08c379a0", "0x4e487b71"
LONGEST = 300


def reason_of(result: Mapping[str, Any]) -> str:
    """The reason in a result of a simulating node."""
    error = result.get("error")
    data = (error.get("data") if isinstance(error, Mapping) else None) or result.get("returnData")
    found = reason_in(data) if isinstance(data, str) else ""
    if found:
        return found
    return str(error.get("message", "it gives no reason"))[:LONGEST] if isinstance(error, Mapping) else "it gives no reason"


def reason_in(data: str) -> str:
    """The text of `Error(string)`, the number of a panic, or the bytes of any other error."""
    try:
        if data.startswith(ERROR):
            return str(decoded(("string",), "0x" + data[10:])[0])[:LONGEST]
        if data.startswith(PANIC):
            return f"panic {decoded(('uint256',), '0x' + data[10:])[0]:#04x}"
    except MalformedAnswer:
        pass
    return data[:LONGEST] if len(data) > 2 else ""
