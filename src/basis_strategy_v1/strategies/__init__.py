"""The strategies, by mode: a line each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.strategies import basis, market_neutral, pure_lending, staking, user_blocks, user_code

if TYPE_CHECKING:
    from collections.abc import Callable

    from msgspec import Struct

    from basis_strategy_v1.strategies.strategy import Strategy, VenueFacts

STABLE, ETHER, BOTH = ("usdt_stable",), ("eth_directional",), ("usdt_stable", "eth_directional")


class Mode(NamedTuple):
    """A strategy: its parameters, the share classes that fit it, and its maker."""

    parameters: type[Struct]
    share_classes: tuple[str, ...]
    make: Callable[[Any, VenueFacts], Strategy]


STRATEGIES = {
    "pure_lending": Mode(pure_lending.Parameters, BOTH, pure_lending.PureLending),
    "basis": Mode(basis.SymbolParameters, STABLE, basis.of_symbol),
    "eth_basis": Mode(basis.Parameters, STABLE, lambda parameters, venues: basis.Basis("ETH", parameters, venues)),
    "btc_basis": Mode(basis.Parameters, STABLE, lambda parameters, venues: basis.Basis("BTC", parameters, venues)),
    "eth_staking_only": Mode(staking.Parameters, ETHER, staking.EthStaking),
    "eth_leveraged": Mode(staking.LeveragedParameters, ETHER, staking.EthStaking),
    "usdt_market_neutral": Mode(market_neutral.Parameters, STABLE, market_neutral.UsdtMarketNeutral),
    "blocks": Mode(user_blocks.Parameters, BOTH, lambda parameters, venues: user_blocks.Blocks(parameters.file)),
    "custom": Mode(user_code.Parameters, BOTH, lambda own, venues: user_code.Custom(own.file, own.class_, own.parameters)),
}


def make_strategy(mode: str, parameters: Any, venues: VenueFacts) -> Strategy:
    """The strategy of a mode.

    Raises:
        ComponentError: STR-001, a user's file cannot be used, or this version has no strategy for the mode.
    """
    if mode not in STRATEGIES:
        raise ComponentError("STR-001", f"strategy_mode {mode} is not in this version; it has {', '.join(STRATEGIES)}")
    return STRATEGIES[mode].make(parameters, venues)
