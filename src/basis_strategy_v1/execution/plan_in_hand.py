"""An unfinished plan, as the journal holds it, and the error that is raised when one of its steps fails."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import Struct

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.order import Plan
from basis_strategy_v1.execution.exposure import HOLD

if TYPE_CHECKING:
    pass


class PlanStopped(ComponentError):
    """A step of a plan failed after its check. `reports` are of what was executed; `on_failure` is what becomes of it."""

    on_failure = HOLD
    before: Mapping[str, Decimal] | None = None  # the net exposure that the plan found, by asset


class ShortFill(ComponentError):
    """A trade of a plan filled less than was simulated. What it filled is recorded; the legs after it would not be hedged."""


class PlanInHand(Struct, frozen=True):
    """A plan that the journal holds: its number there, whether it leaves, and what becomes of the rest when a step fails."""

    number: int
    plan: Plan
    leaves: bool
    on_failure: str
