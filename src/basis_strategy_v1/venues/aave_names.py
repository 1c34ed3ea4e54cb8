"""What a deposit and a debt are called at Aave and its forks: `aUSDT`, `variableDebtUSDT`."""

from __future__ import annotations

from basis_strategy_v1.core.position_names import Kind, PositionName
from basis_strategy_v1.core.tokens import SHARE_TOKENS

_DEPOSIT, _DEBT = "a", "variableDebt"


def deposit_name(token: str) -> str:
    """`USDT` -> `aUSDT`."""
    return f"{_DEPOSIT}{token}"


def debt_name(token: str) -> str:
    """`USDT` -> `variableDebtUSDT`."""
    return f"{_DEBT}{token}"


def read_anywhere(name: str) -> PositionName | None:
    """What a name says, wherever it stands; None: it is no position at a pool. Whether it begins with the `a` of an aToken shows in the
    token after it: that begins with a capital letter, or is kept in shares."""
    if name.startswith(_DEBT):
        return PositionName(Kind.DEBT, name.removeprefix(_DEBT))
    token = name.removeprefix(_DEPOSIT)
    if token != name and (token[:1].isupper() or token in SHARE_TOKENS):
        return PositionName(Kind.DEPOSIT, token)
    return None


def read_at_pool(name: str) -> PositionName | None:
    """What a name says at a pool, which holds no plain tokens: whatever begins with `a` is an aToken, `acbETH` too."""
    if name.startswith(_DEPOSIT):
        return PositionName(Kind.DEPOSIT, name.removeprefix(_DEPOSIT))
    return read_anywhere(name)
