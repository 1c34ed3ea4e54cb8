"""The report of an instruction, or of what fell due by time: the one value that execution returns."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from msgspec import Struct

from basis_strategy_v1.core.deltas import Deltas


class Cost(Struct, frozen=True, gc=False):
    """Value that an execution took from us at the snapshot's prices: `amount` of `token`, negative for a gain.

    `source` is a row of `core/attribution_sources.py`. Interest as a cost is the base unit that a protocol's rounding keeps, `perp_price`
    what an insurance fund bears.
    """

    source: str
    token: str
    amount: Decimal


class ExecutionReport(Struct, frozen=True, gc=False):
    """An execution or a settlement.

    `kind` is `execution`, or what fell due: `funding`, `interest`, `arrival`, `claim` (a withdrawal request can be claimed
    from now on; nothing has moved), `liquidation`. `deltas` are exact; `expected` are the simulator's for the same
    instruction, so `deltas - expected` is the model's error (zero in a backtest). `reference` is the venue's own name of it:
    an order id, a transaction hash, or `simulated`.
    `filled` is the filled share of the requested amount, 0 to 1. `settlements` are the reports of what fell due on chain just before it and
    was brought up to date by it. `recorded`: an account holds these deltas already.
    `details` holds what else there is to know: fill price, request id, gas used.
    """

    key: str
    venue: str
    at: datetime
    kind: str
    deltas: Deltas
    expected: Deltas
    costs: tuple[Cost, ...] = ()
    reference: str = "simulated"
    details: Mapping[str, Any] = {}
    replayed: bool = False
    filled: Decimal = Decimal(1)
    settlements: tuple[ExecutionReport, ...] = ()
    recorded: bool = False
