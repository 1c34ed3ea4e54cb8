"""What positions are called: made here, and read here. A plain token is called what it is; everything else is made of its name."""

from __future__ import annotations

from enum import Enum, auto
from functools import lru_cache
from typing import NamedTuple

from basis_strategy_v1.core.tokens import SHARE_TOKENS

SUPPLY, COLLATERAL, DEBT = SIDES = ("supply", "collateral", "debt")
_DEPOSIT, _DEBT, _MORPHO = "a", "variableDebt", "morpho:"
_PERP, _QUEUED = "-PERP", "-QUEUED"


class Kind(Enum):
    """What a position is: a plain token, an aToken, a debt to a lending pool, a perp, what waits in a queue, a side of a Morpho market."""

    TOKEN = auto()
    DEPOSIT = auto()
    DEBT = auto()
    PERP = auto()
    QUEUED = auto()
    MORPHO = auto()


class PositionName(NamedTuple):
    """A name, read. It is `of` a token; a perp of a symbol, and a position at Morpho of a market, on one of its sides.

    What begins like a position at Morpho and is none has no side, and is `of` its whole name.
    """

    kind: Kind
    of: str
    side: str = ""

    @property
    def underlying(self) -> str:
        """The token that its amounts are of; of a perp its symbol."""
        if not self.side:
            return self.of
        collateral, loan = pair_of(self.of)
        return collateral if self.side == COLLATERAL else loan

    @property
    def is_owed(self) -> bool:
        return self.kind is Kind.DEBT or self.side == DEBT


def deposit_name(token: str) -> str:
    """`USDT` -> `aUSDT`."""
    return f"{_DEPOSIT}{token}"


def debt_name(token: str) -> str:
    """`USDT` -> `variableDebtUSDT`."""
    return f"{_DEBT}{token}"


def perp_name(symbol: str) -> str:
    """`ETHUSDT` -> `ETHUSDT-PERP`."""
    return f"{symbol}{_PERP}"


def queued_name(token: str) -> str:
    """`ETH` -> `ETH-QUEUED`: asked for and not yet claimed."""
    return f"{token}{_QUEUED}"


def morpho_name(market: str, side: str) -> str:
    """`wstETH/WETH` and `debt` -> `morpho:wstETH/WETH:debt`."""
    return f"{_MORPHO}{market}:{side}"


def pair_of(market: str) -> tuple[str, str]:
    """(collateral, loan) of a market's name; a third part, such as in `wstETH/WETH/945`, tells apart markets of one pair."""
    collateral, _, rest = market.partition("/")
    return collateral, rest.partition("/")[0]


@lru_cache(maxsize=1024)  # few names, asked for at every settlement
def read_name(name: str) -> PositionName:
    """What a name says, wherever it stands. Whether it begins with the `a` of an aToken shows in the token after it: that begins with a
    capital letter, or is kept in shares."""
    if name.endswith(_PERP):
        return PositionName(Kind.PERP, name.removesuffix(_PERP))
    if name.startswith(_DEBT):
        return PositionName(Kind.DEBT, name.removeprefix(_DEBT))
    if name.startswith(_MORPHO):
        return _read_morpho(name)
    if name.endswith(_QUEUED):
        return PositionName(Kind.QUEUED, name.removesuffix(_QUEUED))
    token = name.removeprefix(_DEPOSIT)
    if token != name and (token[:1].isupper() or token in SHARE_TOKENS):
        return PositionName(Kind.DEPOSIT, token)
    return PositionName(Kind.TOKEN, name)


def read_name_at_pool(name: str) -> PositionName:
    """What a name says at a lending pool, which holds no plain tokens: whatever begins with `a` is an aToken, `acbETH` too."""
    if name.startswith(_DEPOSIT):
        return PositionName(Kind.DEPOSIT, name.removeprefix(_DEPOSIT))
    return read_name(name)


def _read_morpho(name: str) -> PositionName:
    market, _, side = name.removeprefix(_MORPHO).partition(":")
    return PositionName(Kind.MORPHO, market, side) if side in SIDES else PositionName(Kind.MORPHO, name)
