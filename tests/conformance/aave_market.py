"""The Aave market that the games are played on: every kind of reserve and e-mode there is, and users with plenty of each token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from basis_strategy_v1.venues.aave_account import EMode
from basis_strategy_v1.venues.aave_reserve import ReserveRules

from .aave_deployment import AaveDeployment, deploy_aave

if TYPE_CHECKING:
    from .chain import Chain

RAY = 10**27
USERS = ("anna", "boris", "carla")


def _rules(
    decimals: int, ltv: int, threshold: int, bonus: int, factor: int, optimal: int, slopes: tuple[int, int], **more: object
) -> ReserveRules:
    percent = RAY // 100
    return ReserveRules(
        decimals=decimals,
        ltv_bps=ltv,
        liquidation_threshold_bps=threshold,
        liquidation_bonus_bps=bonus,
        reserve_factor_bps=factor,
        optimal_usage_ray=optimal * percent,
        base_rate_ray=percent // 2 if decimals == 8 else 0,
        slope1_ray=slopes[0] * percent,
        slope2_ray=slopes[1] * percent,
        **more,  # type: ignore[arg-type]
    )


RULES = {
    "USDT": _rules(6, 7_500, 8_000, 450, 1_000, 90, (6, 75), borrowable_in_isolation=True, supply_cap=5_000_000, borrow_cap=1_500_000),
    "WETH": _rules(18, 8_050, 8_300, 500, 1_500, 80, (4, 80), liquidation_protocol_fee_bps=1_000),
    "wstETH": _rules(18, 7_850, 8_100, 600, 500, 45, (7, 300), liquidation_protocol_fee_bps=1_000),
    "WBTC": _rules(8, 7_300, 7_800, 700, 0, 45, (7, 300), supply_cap=100),
    "ISO": _rules(18, 5_000, 6_000, 1_000, 2_000, 45, (7, 300), debt_ceiling_cents=300_000_00),
    "SILO": _rules(2, 0, 0, 0, 3_500, 45, (9, 100), siloed=True),
}
STAKED = frozenset({"WETH", "wstETH"})
EMODES = {
    1: EMode(
        ltv_bps=9_300,
        liquidation_threshold_bps=9_500,
        liquidation_bonus_bps=100,
        collateral=STAKED,
        borrowable=STAKED,
        price_source="ETH-like",
    ),
    2: EMode(
        ltv_bps=9_000,
        liquidation_threshold_bps=9_300,
        liquidation_bonus_bps=200,
        collateral=frozenset({"USDT"}),
        borrowable=frozenset({"USDT"}),
    ),
}
PREMIUM_BPS, PREMIUM_TO_PROTOCOL_BPS = 9, 3_000
PRICES = {
    "USDT": 1_00000000,
    "WETH": 2_500_00000000,
    "wstETH": 2_900_12345678,
    "WBTC": 60_000_00000000,
    "ISO": 37_00000000,
    "SILO": 2_00000000,
    "ETH-like": 2_501_00000000,
}


@dataclass(slots=True)
class Market:
    """The deployed market with funded users and its first prices."""

    deployment: AaveDeployment
    addresses: dict[str, str]
    liquidator: str


def deploy_market(chain: Chain) -> Market:
    deployment = deploy_aave(chain, RULES, EMODES, PREMIUM_BPS, PREMIUM_TO_PROTOCOL_BPS)
    addresses = {user: chain.accounts[number + 1] for number, user in enumerate(USERS)}
    liquidator = chain.accounts[len(USERS) + 1]
    for account in (*addresses.values(), liquidator):
        deployment.fund(account)
    for name, price in PRICES.items():
        deployment.set_price(name, price)
    return Market(deployment, addresses, liquidator)
