"""What the tests of putting a run together begin with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from basis_strategy_v1.core.clock import SimulatedClock


def config(**changes: Any) -> dict[str, Any]:
    """A day of eth_basis on bybit, with other settings where they are given."""
    return {
        "strategy_mode": "eth_basis",
        "share_class": "usdt_stable",
        "initial_capital": 10_000,
        "start": "2024-06-01",
        "end": "2024-06-02",
        "strategy": {"spot_venue": "bybit", "perp_venue": "bybit"},
        "venues": {"cex": ["bybit"]},
        **changes,
    }


class Waiting:
    """A clock that is only read."""

    def __init__(self, clock: SimulatedClock) -> None:
        self.now = clock.now
