"""What was liquidated in a run, read from the settlements in its event log."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.position_names import Kind, read_common_name
from basis_strategy_v1.monitoring.event_line import parse_line

if TYPE_CHECKING:
    from collections.abc import Iterable

LIQUIDATION = "liquidation"
# Almost no line is one, and to look for this is quicker than to read it.
_MARK = f'"kind":"{LIQUIDATION}"'.encode()


def liquidations_in(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    """`timestamp`, `venue`, and by token what was `closed` (perps, signed as held), `lost` (margin or collateral) and `repaid`."""
    found = []
    for text in lines:
        if _MARK not in text or (line := parse_line(text)) is None or line.event_type != "settlement":
            continue
        data = msgspec.json.decode(line.data)
        if data["kind"] == LIQUIDATION:
            found.append({"timestamp": line.timestamp, "venue": data["venue"], **_taken(data)})
    return found


def _taken(data: dict[str, Any]) -> dict[str, dict[str, str]]:
    moved = data["deltas"].get(data["venue"], {})
    costs = [(cost["token"], Decimal(cost["amount"])) for cost in data["costs"] if cost["source"] == LIQUIDATION]
    return {
        "closed": {token: plain(-Decimal(amount)) for token, amount in moved.items() if read_common_name(token).kind is Kind.PERP},
        "lost": {token: plain(amount) for token, amount in costs if amount > 0},
        "repaid": {token: plain(-amount) for token, amount in costs if amount < 0},
    }
