"""What is sent to a venue, and the plan that it belongs to."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec import Struct

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.instructions import Instruction


class Order(Struct, frozen=True, kw_only=True):
    """An instruction as it will be sent: every amount is a number, and the price has a bound.

    `venue` is the configured name of the account that sends it: the exchange of a trade, the sender of a transfer, the wallet of an action.
    `price` is the snapshot's price of a trade (quote per base), `worst_price` the limit that goes to the venue, `minimum_out` the least
    that a swap may pay out (token units). `expected` are the simulated deltas. `leaves`: the plan reduces risk (contract, section 8).
    """

    key: str
    at: datetime
    venue: str
    instruction: Instruction
    expected: Deltas
    price: Decimal | None = None
    worst_price: Decimal | None = None
    minimum_out: Decimal | None = None
    leaves: bool = False


class Plan(Struct, frozen=True, kw_only=True):
    """The blocks of one decision, in the order in which they are sent.

    `number` counts the plans of one instant from 0. `on_failure` says what becomes of the rest when a step fails: `complete`, `unwind` or
    `hold`; None takes the default (unwind while entering, complete while leaving). `memory` is the strategy's memory as text
    (`core/memory.py`), stored with the plan.
    """

    at: datetime
    blocks: tuple[dict[str, Any], ...]
    number: int = 0
    on_failure: str | None = None
    memory: str | None = None
