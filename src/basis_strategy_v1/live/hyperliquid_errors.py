"""Hyperliquid's errors, which have no codes: what each text, by its beginning, means for an order or a move.

What is not here counts as unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from basis_strategy_v1.live.exchange_errors import Meaning

_FINAL, _KEY = Meaning.FINAL, Meaning.KEY
CODE = "refused"  # stands where others have a code
UNMATCHED = "Order could not immediately match"  # no error: an IOC order that filled nothing

_TEXTS: Mapping[str, Meaning] = {
    "Price must be divisible by tick size": _FINAL,
    "Order must have minimum value": _FINAL,
    "Order has zero size": _FINAL,
    "Order has invalid size": _FINAL,
    "Order has invalid price": _FINAL,
    "Insufficient margin": _FINAL,
    "Insufficient spot balance": _FINAL,
    "Order has insufficient spot balance": _FINAL,
    "Reduce only order would increase position": _FINAL,
    "Post only order would have immediately matched": _FINAL,
    "Invalid TP/SL price": _FINAL,
    "No liquidity available": _FINAL,
    "Order would increase open interest": _FINAL,
    "Order rejected due to price more aggressive": _FINAL,
    "Order price too far from oracle": _FINAL,
    "Order price cannot be more than": _FINAL,
    "Order would cause position to exceed margin tier": _FINAL,
    "Trading is halted": _FINAL,
    "Asset does not exist": _FINAL,
    "Cannot place order": _FINAL,
    "Insufficient balance for token transfer": _FINAL,
    "Cloid already used": Meaning.DUPLICATE,
    "Invalid nonce: duplicate": Meaning.DUPLICATE,
    "Invalid nonce": Meaning.CLOCK,
    "Action expired": Meaning.CLOCK,
    "Too many cumulative requests": Meaning.LIMITED,
    "User or API Wallet": _KEY,
    "Must deposit before performing actions": _KEY,
    "Invalid signature": _KEY,
}

TABLE: Mapping[str, Meaning] = {"HTTP 422": _FINAL, **{f"{CODE} {text}": meaning for text, meaning in _TEXTS.items()}}


def refusal_of(status: int, content: Any) -> tuple[str, str] | None:
    """(code, text) of an answer that is an error; None of one that is not. An order's is within an answer of success."""
    if not 200 <= status < 300:
        return "", content if isinstance(content, str) else ""
    if not isinstance(content, dict):
        return None
    response = content.get("response")
    if content.get("status") == "err":
        return CODE, str(response)
    data = response.get("data") if isinstance(response, dict) else None
    rows = data.get("statuses") if isinstance(data, dict) else None
    row = rows[0] if isinstance(rows, list) and rows else None
    return (CODE, str(row["error"])) if isinstance(row, dict) and "error" in row else None
