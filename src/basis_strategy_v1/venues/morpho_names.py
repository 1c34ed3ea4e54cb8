"""What our sides of a Morpho market are called: `morpho:wstETH/WETH:debt`."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from basis_strategy_v1.core.position_names import Kind, PositionName

SUPPLY, COLLATERAL, DEBT = SIDES = ("supply", "collateral", "debt")
_MORPHO = "morpho:"


class Side(NamedTuple):
    """One side of a market."""

    market: str
    side: str

    @property
    def token(self) -> str:
        """The token that its amounts are of."""
        collateral, loan = pair_of(self.market)
        return collateral if self.side == COLLATERAL else loan

    @property
    def is_owed(self) -> bool:
        return self.side == DEBT


def morpho_name(market: str, side: str) -> str:
    """`wstETH/WETH` and `debt` -> `morpho:wstETH/WETH:debt`."""
    return f"{_MORPHO}{market}:{side}"


def pair_of(market: str) -> tuple[str, str]:
    """(collateral, loan) of a market's name; a third part, such as in `wstETH/WETH/945`, distinguishes markets of one pair."""
    collateral, _, rest = market.partition("/")
    return collateral, rest.partition("/")[0]


@lru_cache(maxsize=1024)  # few names, asked for at every settlement
def side_of(name: str) -> Side | None:
    """The side of a market that a name says; None: it is none."""
    if not name.startswith(_MORPHO):
        return None
    market, _, side = name.removeprefix(_MORPHO).partition(":")
    return Side(market, side) if side in SIDES else None


def token_of(name: str) -> str:
    """The token that the amounts of a position at Morpho are of."""
    side = side_of(name)
    assert side is not None
    return side.token


def read_anywhere(name: str) -> PositionName | None:
    """What a name says, wherever it stands; None: it is no position at Morpho. One that only begins like such a position is `of` its whole
    name."""
    side = side_of(name)
    if side is not None:
        return PositionName(Kind.DEBT if side.is_owed else Kind.DEPOSIT, side.token)
    return PositionName(Kind.DEPOSIT, name) if name.startswith(_MORPHO) else None
