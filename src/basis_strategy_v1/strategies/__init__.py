"""The strategies, by mode: a line each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.strategies.basis import Basis
from basis_strategy_v1.strategies.market_neutral import UsdtMarketNeutral
from basis_strategy_v1.strategies.pure_lending import PureLending
from basis_strategy_v1.strategies.staking import EthStaking
from basis_strategy_v1.strategies.user_blocks import Blocks
from basis_strategy_v1.strategies.user_code import Custom

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from basis_strategy_v1.strategies.strategy import Strategy, VenueFacts

STRATEGIES: dict[str, Callable[[Mapping[str, Any], VenueFacts], Strategy]] = {
    "pure_lending": lambda parameters, venues: PureLending(),
    "eth_basis": lambda parameters, venues: Basis("ETH", parameters, venues),
    "btc_basis": lambda parameters, venues: Basis("BTC", parameters, venues),
    "eth_staking_only": EthStaking,
    "eth_leveraged": EthStaking,
    "usdt_market_neutral": UsdtMarketNeutral,
    "blocks": lambda parameters, venues: Blocks(parameters["file"]),
    "custom": lambda parameters, venues: Custom(parameters["file"], parameters["class"], parameters),
}


def make_strategy(mode: str, parameters: Mapping[str, Any], venues: VenueFacts) -> Strategy:
    """The strategy of a mode.

    Raises:
        ComponentError: STR-001, a user's file cannot be used, or this version has no strategy for the mode.
    """
    if mode not in STRATEGIES:
        raise ComponentError("STR-001", f"strategy_mode {mode} is not in this version; it has {', '.join(STRATEGIES)}")
    return STRATEGIES[mode](parameters, venues)
