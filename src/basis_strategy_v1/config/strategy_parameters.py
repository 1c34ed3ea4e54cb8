"""The strategies by mode: their parameters, and the share classes that fit them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple

from msgspec import Struct

from basis_strategy_v1.core.settings import Bps, Fraction, Mark, OrNull, Token, VenueOf, number, path, text, whole
from basis_strategy_v1.core.tokens import STAKED_AT

D = Decimal
_USUAL_DEX = ", ".join(f"{row.dex} for {row.protocol}" for row in STAKED_AT.values())
_SPREAD = number("100 is 1 %", at_least=0, at_most=10_000)

SpotVenue = Annotated[str, VenueOf("cex"), Mark.RUN, "exchange that holds the spot leg"]
PerpVenue = Annotated[str, VenueOf("cex"), Mark.RUN, "exchange that holds the short perp"]
Leverage = Annotated[Decimal, number(above=0, at_most=20), "perp notional / equity on the perp venue"]
Threshold = Annotated[Bps, "margin is brought back to `leverage` when it is off by more than this share of the equity"]
Tolerance = Annotated[Bps, "the legs may differ by this share of the spot leg before they are made equal"]
OnShortage = Annotated[
    Literal["move", "reduce", "ignore"],
    "move: bring collateral, and where there is none reduce both legs; reduce: reduce both legs at once; ignore: do nothing",
]
LeastMargin = Annotated[OrNull[Fraction], "equity / perp notional under which margin counts as short; null: the strategy's own"]
Apr = OrNull[Annotated[Decimal, number("0.08 is 8 %", above=-1, below=1)]]
Staking = Annotated[str, VenueOf("onchain", ("stake",)), Mark.RUN, "where ETH is staked"]
# A loop borrows, and repays from a flash loan of the same lender.
LenderOfEther = Annotated[str, VenueOf("onchain", ("borrow", "flash_loan"))]
Flash = Annotated[bool, "build the loop in one transaction with a flash loan, instead of step by step"]
LtvTolerance = Annotated[
    Decimal,
    number("50 is 0.5 %", above=0, at_most=10_000),
    "how far below target_ltv debt / collateral may be, in bps of the collateral, before more is borrowed",
]
LeastHealth = Annotated[Decimal, number(at_least=1, at_most=10), "under it debt is repaid"]
LeastSpread = Annotated[
    Decimal,
    number("100 is 1 %", at_least=-10_000, at_most=10_000),
    "the loop is unwound when staking minus borrowing earns less a year",
]
Hysteresis = Annotated[Decimal, _SPREAD, "the loop is built again when the spread is above min_spread_bps by this much"]
SpreadWindow = Annotated[int, whole(at_least=24, at_most=8760), "hours of rates that the spread is the mean of"]
Unstake = Annotated[Literal["queue", "dex"], "how the stake is given back: the protocol's queue, or a sale on a DEX"]
Dex = Annotated[OrNull[Annotated[str, VenueOf("dex")]], f"where the staked token is sold; null: {_USUAL_DEX}"]
SaleSlippage = Annotated[
    Decimal,
    number("100 is 1 %", at_least=0, below=10_000),
    "fee and slippage of a sale that are allowed for when it is sized; what is brought too much is staked again",
]
LeaveAt = Annotated[OrNull[datetime], "from this time on everything is given back and nothing new is begun; null: never"]
File = Annotated[Path, path("the path of a file, from the config's own folder")]
ClassName = Annotated[str, text(r"[A-Za-z_][A-Za-z0-9_]{0,99}", "the name of a class")]


# It supplies without naming a market.
LENDER_OF_TOKENS = VenueOf("onchain", ("supply",), ("supply_collateral",))


class LendingParameters(Struct, frozen=True, kw_only=True):
    protocol: Annotated[str, LENDER_OF_TOKENS, "where the token is supplied"] = "aave"
    token: Annotated[Token, Mark.RUN, "what is supplied"]


class BasisParameters(Struct, frozen=True, kw_only=True):
    spot_venue: SpotVenue
    perp_venue: PerpVenue
    leverage: Leverage = D(1)
    rebalance_threshold_bps: Threshold = D(500)
    hedge_tolerance_bps: Tolerance = D(50)
    on_margin_shortage: OnShortage = "move"
    min_margin_ratio: LeastMargin = None
    enter_above_apr: Annotated[Apr, "enter when the mean funding is at least this fraction a year; null: enter at start"] = None
    leave_below_apr: Annotated[Apr, "leave when the mean funding is below this fraction a year; null: never"] = None
    funding_window_hours: Annotated[int, whole(at_least=1, at_most=8760), "hours of funding that the mean is taken over"] = 72


class StakingParameters(Struct, frozen=True, kw_only=True):
    protocol: Staking
    unstake: Unstake = "queue"
    dex: Dex = None
    sale_slippage_bps: SaleSlippage = D(100)
    leave_at: LeaveAt = None


class LeveragedParameters(Struct, frozen=True, kw_only=True):
    protocol: Staking
    lender: Annotated[LenderOfEther, Mark.RUN, "where ETH is borrowed against the stake"]
    target_ltv: Annotated[Fraction, Mark.RUN, "debt / collateral to hold"]
    flash: Flash = False
    ltv_tolerance_bps: LtvTolerance = D(50)
    min_health_factor: LeastHealth = D("1.05")
    min_spread_bps: LeastSpread = D(0)
    spread_hysteresis_bps: Hysteresis = D(100)
    spread_window_hours: SpreadWindow = 168
    unstake: Unstake = "queue"
    dex: Dex = None
    sale_slippage_bps: SaleSlippage = D(100)
    leave_at: LeaveAt = None


class MarketNeutralParameters(Struct, frozen=True, kw_only=True):
    protocol: Staking
    spot_venue: SpotVenue
    perp_venue: PerpVenue
    lender: Annotated[OrNull[LenderOfEther], "where ETH is borrowed against the stake; null: no loop"] = None
    target_ltv: Annotated[OrNull[Fraction], "debt / collateral to hold; with a lender, and only then"] = None
    flash: Flash = False
    ltv_tolerance_bps: LtvTolerance = D(50)
    min_health_factor: LeastHealth = D("1.05")
    min_spread_bps: LeastSpread = D(0)
    spread_hysteresis_bps: Hysteresis = D(100)
    spread_window_hours: SpreadWindow = 168
    leverage: Leverage = D(1)
    rebalance_threshold_bps: Threshold = D(500)
    hedge_tolerance_bps: Tolerance = D(50)
    on_margin_shortage: OnShortage = "move"
    min_margin_ratio: LeastMargin = None
    unstake: Unstake = "queue"
    dex: Dex = None
    sale_slippage_bps: SaleSlippage = D(100)
    leave_at: LeaveAt = None


class BlocksParameters(Struct, frozen=True, kw_only=True):
    file: Annotated[File, Mark.RUN, 'JSONL, a line {"timestamp": …, "block": …}']


class CustomParameters(Struct, frozen=True, kw_only=True, rename={"class_": "class"}):
    file: Annotated[File, Mark.RUN, "the Python file of the strategy"]
    class_: Annotated[OrNull[ClassName], "the class in it; null: the only one"] = None
    parameters: Annotated[Mapping[str, Any], "handed to the class as they are"] = {}


class Mode(NamedTuple):
    parameters: type[Struct]
    share_classes: tuple[str, ...]


STABLE, ETHER, BOTH = ("usdt_stable",), ("eth_directional",), ("usdt_stable", "eth_directional")
STRATEGIES: Final = {
    "pure_lending": Mode(LendingParameters, BOTH),
    "eth_basis": Mode(BasisParameters, STABLE),
    "btc_basis": Mode(BasisParameters, STABLE),
    "eth_staking_only": Mode(StakingParameters, ETHER),
    "eth_leveraged": Mode(LeveragedParameters, ETHER),
    "usdt_market_neutral": Mode(MarketNeutralParameters, STABLE),
    "blocks": Mode(BlocksParameters, BOTH),
    "custom": Mode(CustomParameters, BOTH),
}
LENT_TOKENS: Final = {"usdt_stable": ("USDT", "USDC"), "eth_directional": ("ETH", "WETH", "wstETH", "weETH")}
