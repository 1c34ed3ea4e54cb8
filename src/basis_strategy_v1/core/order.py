"""What is sent to a venue, and the plan that it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
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
    `asked` is the instruction as it was given, as text (`core/instruction_codec.py`); empty where it is the same.
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
    asked: str = ""


class Approved(Struct, frozen=True, kw_only=True):
    """An order that is within the limits: only this can be sent, and only `execution/risk.py` makes it.

    `notional_usd` is the sum over its steps at the snapshot's prices. `gas_left_eth` is what the day's limit leaves for gas, None without
    a limit.
    """

    order: Order
    notional_usd: Decimal
    gas_left_eth: Decimal | None = None

    @property
    def spends_usd(self) -> Decimal:
        """What it uses of the day's notional: nothing where its plan leaves."""
        return Decimal(0) if self.order.leaves else self.notional_usd


DECISION, LEAVE, HEDGE = "decision", "leave", "hedge"


class Plan(Struct, frozen=True, kw_only=True):
    """The blocks of one decision, in the order in which they are sent.

    `number` counts the plans of one instant from 0. `on_failure` says what becomes of the rest when a step fails: `complete`, `unwind` or
    `hold`; None takes the default (unwind while entering, complete while leaving). `memory` is the strategy's memory as text
    (`core/memory.py`), stored with the plan. `purpose` is why it was made: a step's `decision`, to `leave` at the end, or to `hedge`.
    `before` and `meant` are the net exposures (base units, by asset) at its check: what it found, and what it is to end with. A restart
    unwinds to the one, and keeps the hedge by the other.
    """

    at: datetime
    blocks: tuple[dict[str, Any], ...]
    number: int = 0
    on_failure: str | None = None
    memory: str | None = None
    purpose: str = DECISION
    before: Mapping[str, Decimal] | None = None
    meant: Mapping[str, Decimal] | None = None
