"""The parameters of each strategy, a row each: type, range, default, meaning."""

from __future__ import annotations

from typing import Final

from basis_strategy_v1.config.containers import Field, Nullable, Record
from basis_strategy_v1.config.free_parameters import Free
from basis_strategy_v1.config.scalars import Bounds, Choice, Flag, Instant, Number, Text, Whole
from basis_strategy_v1.config.venue_kinds import VenueName
from basis_strategy_v1.core.tokens import STAKED_AT
from basis_strategy_v1.venues.registry import offering

# pure_lending supplies without naming a market.
LENDERS_OF_TOKENS: Final = tuple(name for name in offering("supply") if name not in offering("supply_collateral"))
# A loop borrows, and repays from a flash loan of the same lender.
LENDERS_OF_ETHER: Final = tuple(name for name in offering("borrow") if name in offering("flash_loan"))
TOKEN: Final = Text(r"[A-Za-z][A-Za-z0-9.]{0,19}", "the name of a token (USDT, WETH)")
FILE: Final = Text(r"[^\x00-\x1f]{1,1000}", "the path of a file, from the config's own folder")
FOLDER: Final = Text(r"[^\x00-\x1f]{1,1000}", "the path of a folder, from the config's own folder")
FRACTION: Final = Number(Bounds(above=0, below=1), "0.9 is 90 %")
BPS: Final = Number(Bounds(at_least=0, at_most=10_000), "500 is 5 %")
APR: Final = Nullable(Number(Bounds(above=-1, below=1), "0.08 is 8 %"))

_SPOT = Field("spot_venue", VenueName("cex"), "exchange that holds the spot leg", needed="run")
_PERP = Field("perp_venue", VenueName("cex"), "exchange that holds the short perp", needed="run")
_LEVERAGE = Field("leverage", Number(Bounds(above=0, at_most=20)), "perp notional / equity on the perp venue", 1)

_HEDGE = (
    _LEVERAGE,
    Field("rebalance_threshold_bps", BPS, "margin is brought back to `leverage` when it is off by more than this share of the equity", 500),
    Field("hedge_tolerance_bps", BPS, "the legs may differ by this share of the spot leg before they are made equal", 50),
    Field("on_margin_shortage", Choice(("move", "reduce", "ignore")),
          "move: bring collateral, and where there is none reduce both legs; reduce: reduce both legs at once; ignore: do nothing", "move"),
    Field("min_margin_ratio", Nullable(FRACTION),
          "equity / perp notional under which margin counts as short; null: the strategy's own", None),
)  # fmt: skip

_BASIS = Record(
    _SPOT,
    _PERP,
    *_HEDGE,
    Field("enter_above_apr", APR, "enter when the mean funding is at least this fraction a year; null: enter at start", None),
    Field("leave_below_apr", APR, "leave when the mean funding is below this fraction a year; null: never", None),
    Field("funding_window_hours", Whole(Bounds(at_least=1, at_most=8760)), "hours of funding that the mean is taken over", 72),
)

_STAKING = Field("protocol", VenueName("onchain", tuple(STAKED_AT)), "where ETH is staked", needed="run")
_USUAL_DEX = ", ".join(f"{row.dex} for {row.protocol}" for row in STAKED_AT.values())
_SPREAD_BPS = Number(Bounds(at_least=-10_000, at_most=10_000), "100 is 1 %")

_UNSTAKE = (
    Field("unstake", Choice(("queue", "dex")), "how the stake is given back: the protocol's queue, or a sale on a DEX", "queue"),
    Field("dex", Nullable(VenueName("dex")), f"where the staked token is sold; null: {_USUAL_DEX}", None),
    Field("sale_slippage_bps", Number(Bounds(at_least=0, below=10_000), "100 is 1 %"),
          "fee and slippage of a sale that are allowed for when it is sized; what is brought too much is staked again", 100),
    Field("leave_at", Nullable(Instant()), "from this time on everything is given back and nothing new is begun; null: never", None),
)  # fmt: skip
_LOOP = (
    Field("flash", Flag(), "build the loop in one transaction with a flash loan, instead of step by step", False),
    Field("ltv_tolerance_bps", Number(Bounds(above=0, at_most=10_000), "50 is 0.5 %"),
          "how far below target_ltv debt / collateral may be, in bps of the collateral, before more is borrowed", 50),
    Field("min_health_factor", Number(Bounds(at_least=1, at_most=10)), "under it debt is repaid", "1.05"),
    Field("min_spread_bps", _SPREAD_BPS, "the loop is unwound when staking minus borrowing earns less a year", 0),
    Field("spread_hysteresis_bps", Number(Bounds(at_least=0, at_most=10_000), "100 is 1 %"),
          "the loop is built again when the spread is above min_spread_bps by this much", 100),
    Field("spread_window_hours", Whole(Bounds(at_least=24, at_most=8760)), "hours of rates that the spread is the mean of", 168),
)  # fmt: skip

STRATEGIES: Final[dict[str, Record]] = {
    "pure_lending": Record(
        Field("protocol", VenueName("onchain", LENDERS_OF_TOKENS), "where the token is supplied", "aave"),
        Field("token", TOKEN, "what is supplied", needed="run"),
    ),
    "eth_basis": _BASIS,
    "btc_basis": _BASIS,
    "eth_staking_only": Record(_STAKING, *_UNSTAKE),
    "eth_leveraged": Record(
        _STAKING,
        Field("lender", VenueName("onchain", LENDERS_OF_ETHER), "where ETH is borrowed against the stake", needed="run"),
        Field("target_ltv", FRACTION, "debt / collateral to hold", needed="run"),
        *_LOOP,
        *_UNSTAKE,
    ),
    "usdt_market_neutral": Record(
        _STAKING,
        _SPOT,
        _PERP,
        Field("lender", Nullable(VenueName("onchain", LENDERS_OF_ETHER)), "where ETH is borrowed against the stake; null: no loop", None),
        Field("target_ltv", Nullable(FRACTION), "debt / collateral to hold; with a lender, and only then", None),
        *_LOOP,
        *_HEDGE,
        *_UNSTAKE,
    ),
    "blocks": Record(
        Field("file", FILE, 'JSONL, a line {"timestamp": …, "block": …}', needed="run", is_path=True),
    ),
    "custom": Record(
        Field("file", FILE, "the Python file of the strategy", needed="run", is_path=True),
        Field("class", Nullable(Text(r"[A-Za-z_][A-Za-z0-9_]{0,99}", "the name of a class")), "the class in it; null: the only one", None),
        Field("parameters", Free(), "handed to the class as they are", {}),
    ),
}  # fmt: skip

SHARE_CLASSES: Final[dict[str, tuple[str, ...]]] = {
    "pure_lending": ("usdt_stable", "eth_directional"),
    "eth_basis": ("usdt_stable",),
    "btc_basis": ("usdt_stable",),
    "eth_staking_only": ("eth_directional",),
    "eth_leveraged": ("eth_directional",),
    "usdt_market_neutral": ("usdt_stable",),
    "blocks": ("usdt_stable", "eth_directional"),
    "custom": ("usdt_stable", "eth_directional"),
}

LENT_TOKENS: Final[dict[str, tuple[str, ...]]] = {"usdt_stable": ("USDT", "USDC"), "eth_directional": ("ETH", "WETH", "wstETH", "weETH")}
