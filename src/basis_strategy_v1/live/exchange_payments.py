"""What comes to a wallet at an exchange, or leaves it, without a trade."""

from __future__ import annotations

from decimal import Decimal

from msgspec import Struct

FUNDING, LIQUIDATION, DELEVERAGING, CREDIT = "funding", "liquidation", "deleveraging", "credit"


class Payment(Struct, frozen=True, kw_only=True):
    """Something that came to a wallet, or left it, without a trade. `id` is the venue's."""

    id: str
    kind: str
    token: str
    amount: Decimal
    at_ms: int
    symbol: str = ""
