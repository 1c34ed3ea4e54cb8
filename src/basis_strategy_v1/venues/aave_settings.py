"""What governance set for Aave v3 on Ethereum mainnet, and a config's own parameters in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec import structs

from basis_strategy_v1.core.clock import SECOND_US, to_instant
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.tokens import decimals_of
from basis_strategy_v1.venues.aave_account import EMode
from basis_strategy_v1.venues.aave_interest import RAY, rounding_of
from basis_strategy_v1.venues.aave_reserve import ReserveRules

if TYPE_CHECKING:
    from collections.abc import Mapping

AS_OF = "2025-05-31"
BPS_TO_RAY = RAY // 10_000


class Public(NamedTuple):
    """A reserve's parameters in basis points. The rates are those of a year: borrowing costs `base`, `slope1` more at the `optimal` use,
    and `slope2` more at full use."""

    ltv: int = 0
    liquidation_threshold: int = 0
    bonus: int = 0
    reserve_factor: int = 0
    optimal: int = 9000
    base: int = 0
    slope1: int = 270
    slope2: int = 8000


RESERVES = {
    "WETH": Public(8050, 8300, 500, 1500, 9000, 0, 270, 8000),
    "wstETH": Public(7850, 8100, 600, 500, 8000, 0, 160, 8500),
    "weETH": Public(7750, 8000, 700, 4500, 3000, 100, 700, 30000),
    "USDT": Public(7500, 7800, 450, 1000, 9200, 0, 550, 3500),
    "USDC": Public(7500, 7800, 450, 1000, 9200, 0, 550, 3500),
    "WBTC": Public(7300, 7800, 500, 5000, 8000, 0, 400, 30000),
}
UNLISTED = Public()
# Category 1, "ETH correlated", of the same day.
EMODES = {
    1: EMode(
        ltv_bps=9300, liquidation_threshold_bps=9500, liquidation_bonus_bps=100,
        collateral=frozenset({"WETH", "wstETH", "weETH"}), borrowable=frozenset({"WETH", "wstETH", "weETH"}),
    )
}  # fmt: skip

Reserves = dict[str, Public]


def rules_by_token(reserves: Reserves, own: Mapping[str, Any]) -> dict[str, ReserveRules]:
    """The rules of every listed token and of every one that `own` (token -> settings) adds."""
    return {token: _rules(reserves.get(token, UNLISTED), token, own.get(token) or {}) for token in dict.fromkeys((*reserves, *own))}


def _rules(public: Public, token: str, settings: Mapping[str, Any]) -> ReserveRules:
    def own(name: str, public: int) -> int:
        return public if settings.get(name) is None else int(settings[name])

    return ReserveRules(
        decimals=own("decimals", decimals_of(token)),
        ltv_bps=own("ltv_bps", public.ltv),
        liquidation_threshold_bps=own("liquidation_threshold_bps", public.liquidation_threshold),
        liquidation_bonus_bps=own("liquidation_bonus_bps", public.bonus),
        reserve_factor_bps=own("reserve_factor_bps", public.reserve_factor),
        optimal_usage_ray=own("optimal_usage_bps", public.optimal) * BPS_TO_RAY,
        base_rate_ray=own("base_rate_bps", public.base) * BPS_TO_RAY,
        slope1_ray=own("slope1_bps", public.slope1) * BPS_TO_RAY,
        slope2_ray=own("slope2_bps", public.slope2) * BPS_TO_RAY,
        supply_cap=own("supply_cap", 0),
        borrow_cap=own("borrow_cap", 0),
    )


def emodes_of(name: str, own: Mapping[str, Any], public: Mapping[int, EMode]) -> dict[int, EMode]:
    """The categories, with each token whose `emode_category` is set in that one alone.

    Raises:
        ComponentError: CFG-001, there is no such category.
    """
    found = dict(public)
    for token, row in own.items():
        category = (row or {}).get("emode_category")
        if category is None:
            continue
        if category and category not in public:
            known = ", ".join(map(str, public))
            where = f"venues.onchain.{name}.reserves.{token}.emode_category"
            raise ComponentError("CFG-001", f"{where}: must be 0 (none) or one of {known}, got {category}")
        for number, mode in found.items():
            change = frozenset.union if number == category else frozenset.difference
            only = frozenset({token})
            found[number] = structs.replace(mode, collateral=change(mode.collateral, only), borrowable=change(mode.borrowable, only))
    return found


def revisions_of(setting: Any) -> tuple[tuple[int, str], ...]:
    """(from second, revision), earliest first; the first one also holds before its date. UnknownRevision for one that is not known."""
    if setting is None or isinstance(setting, str):
        rows = [(0, setting or "3.0")]
    else:
        rows = sorted((to_instant(since) // SECOND_US, revision) for since, revision in setting)
        rows[0] = (0, rows[0][1])
    for _, revision in rows:
        rounding_of(revision)
    return tuple(rows)
