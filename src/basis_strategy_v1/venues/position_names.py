"""Reads the name of any position, by what the venues of the registry call theirs."""

from __future__ import annotations

from functools import lru_cache

from basis_strategy_v1.core.position_names import Kind, PositionName, read_common_name
from basis_strategy_v1.venues.registry import VENUES


@lru_cache(maxsize=1024)  # few names, asked for at every settlement
def read_name(name: str) -> PositionName:
    """What a name says, wherever it stands. What no venue knows is a plain token."""
    common = read_common_name(name)
    if common.kind is not Kind.TOKEN:
        return common
    own = (protocol.read_name(name) for protocol in VENUES.values())
    return next((found for found in own if found is not None), common)
