"""What a position's name says, and the names that are no protocol's own: a perp's, and that of what waits in a queue.

A plain token is called what it is. What a protocol calls a deposit or a debt is in its files under `venues/`;
`venues/position_names.py` reads all of them.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

_PERP, _QUEUED = "-PERP", "-QUEUED"


class Kind(Enum):
    """What a position is: a plain token, something lent or put up as collateral, a debt, a perp, what waits in a queue."""

    TOKEN = auto()
    DEPOSIT = auto()
    DEBT = auto()
    PERP = auto()
    QUEUED = auto()


class PositionName(NamedTuple):
    """A name, read: what the position is, and the token that its amounts are of (of a perp its symbol)."""

    kind: Kind
    of: str

    @property
    def is_owed(self) -> bool:
        return self.kind is Kind.DEBT


def perp_name(symbol: str) -> str:
    """`ETHUSDT` -> `ETHUSDT-PERP`."""
    return f"{symbol}{_PERP}"


def queued_name(token: str) -> str:
    """`ETH` -> `ETH-QUEUED`: asked for and not yet claimed."""
    return f"{token}{_QUEUED}"


def read_common_name(name: str) -> PositionName:
    """What a name says that is no protocol's own."""
    if name.endswith(_PERP):
        return PositionName(Kind.PERP, name.removesuffix(_PERP))
    if name.endswith(_QUEUED):
        return PositionName(Kind.QUEUED, name.removesuffix(_QUEUED))
    return PositionName(Kind.TOKEN, name)
