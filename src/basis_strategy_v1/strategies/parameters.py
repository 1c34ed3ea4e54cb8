"""What the parts of a strategy read of its Parameters, whichever strategy it is."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal, Protocol

from msgspec import Struct

from basis_strategy_v1.core.settings import Mark


class CommonParameters(Struct, frozen=True, kw_only=True):
    """Of every strategy."""

    on_failure: Annotated[
        Literal["complete", "unwind", "hold"] | None,
        Mark.QUIET,
        "live, what becomes of a plan of which a step fails: complete sends the other steps too, unwind takes back what was executed, "
        "hold sends nothing more; left out: unwind while entering, complete while leaving",
    ] = None


class HedgeParameters(Protocol):
    """Of a perp sold short against something long."""

    @property
    def spot_venue(self) -> str: ...
    @property
    def perp_venue(self) -> str: ...
    @property
    def leverage(self) -> Decimal: ...
    @property
    def rebalance_threshold_bps(self) -> Decimal: ...
    @property
    def hedge_tolerance_bps(self) -> Decimal: ...
    @property
    def on_margin_shortage(self) -> str: ...
    @property
    def min_margin_ratio(self) -> Decimal | None: ...


class StakeParameters(Protocol):
    """Of ether staked at a protocol."""

    @property
    def protocol(self) -> str: ...
    @property
    def unstake(self) -> str: ...
    @property
    def dex(self) -> str | None: ...
    @property
    def sale_slippage_bps(self) -> Decimal: ...
    @property
    def leave_at(self) -> datetime | None: ...


class SpreadParameters(Protocol):
    """Of what staking earns more than borrowing costs."""

    @property
    def min_spread_bps(self) -> Decimal: ...
    @property
    def spread_hysteresis_bps(self) -> Decimal: ...
    @property
    def spread_window_hours(self) -> int: ...


class LoopParameters(SpreadParameters, Protocol):
    """Of a stake that secures a debt."""

    @property
    def target_ltv(self) -> Decimal | None: ...
    @property
    def flash(self) -> bool: ...
    @property
    def ltv_tolerance_bps(self) -> Decimal: ...
    @property
    def min_health_factor(self) -> Decimal: ...
