"""Series of market data. `from_frame` adds a data frame to a data folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from basis_strategy_v1.data.frames import from_frame

__all__ = ["from_frame"]


def __getattr__(name: str) -> Any:
    if name != "from_frame":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from basis_strategy_v1.data.frames import from_frame

    return from_frame
