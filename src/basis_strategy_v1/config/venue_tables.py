"""The settings of the venues, a row each; one that is left out has the venue's public value."""

from __future__ import annotations

from typing import Final

from basis_strategy_v1.config.containers import Either, Field, ListOf, MapOf, Record
from basis_strategy_v1.config.scalars import Bounds, Choice, Flag, Number, Text, Url, Whole
from basis_strategy_v1.config.strategy_tables import BPS, TOKEN
from basis_strategy_v1.config.venue_kinds import Revisions, Venues
from basis_strategy_v1.core.state import WALLET
from basis_strategy_v1.venues.registry import offering

ADDRESS: Final = Text(r"0x[0-9a-fA-F]{40}", "an address, 0x and 40 hexadecimal digits")
AMOUNT: Final = Number(Bounds(at_least=0, at_most=10**15))
ABOVE_ZERO: Final = Number(Bounds(above=0, at_most=10**15))
_SYMBOL = Text(r"[A-Z0-9]{2,20}", "a symbol or its base (ETHUSDT, ETH)")
_FEE_BPS = Number(Bounds(at_least=-100, at_most=10_000))
_RATE_BPS = Number(Bounds(at_least=0, at_most=100_000))
_DAYS = Number(Bounds(at_least=0, at_most=365))
_MARKET = Text(r"[A-Za-z0-9][A-Za-z0-9._/:-]{0,99}", "the name or id of a market or pool (wstETH/WETH)")
_MARKET_ID = Text(r"0x([0-9a-fA-F]{40}|[0-9a-fA-F]{64})", "an address or a market id, 0x and 40 or 64 hexadecimal digits")
_SLIPPAGE = Field("slippage_bps", BPS, "how much worse than the price an order fills")

_WITHDRAWAL = Record(
    Field("fee", AMOUNT, "token units", 0),
    Field("minimum", AMOUNT, "token units", 0),
    Field("minutes", Number(Bounds(at_least=0, at_most=100_000)), "minutes until it arrives", 0),
)

_CEX = Record(
    Field("spot_taker_fee_bps", _FEE_BPS, "of the notional"),
    Field("perp_taker_fee_bps", _FEE_BPS, "of the notional"),
    _SLIPPAGE,
    Field("min_notional", AMOUNT, "smallest order, in quote"),
    Field("lot", Either(ABOVE_ZERO, MapOf(_SYMBOL, ABOVE_ZERO)), "step of an order's amount, in base"),
    Field("tick", Either(ABOVE_ZERO, MapOf(_SYMBOL, ABOVE_ZERO)), "step of a limit price, in quote"),
    Field("maintenance_margin_bps", Number(Bounds(above=0, below=10_000)), "of the perp notional; under it the position is liquidated"),
    Field("max_leverage", Number(Bounds(above=0, at_most=500)), "highest leverage of a perp position"),
    Field("funding_interval_hours", Whole(Bounds(at_least=1, at_most=24)), "hours between two fundings"),
    Field("withdrawal", Either(Choice(("default",)), MapOf(TOKEN, _WITHDRAWAL)),
          "fee, minimum and delay by token; left out: none of them; default: the public ones"),
    Field("endpoint", Url(), "live: all requests of the venue go there"),
)  # fmt: skip

_DEX = Record(
    Field("router", ADDRESS, "live; left out: Ethereum mainnet's"),
    Field("quoter", ADDRESS, "live; left out: Ethereum mainnet's"),
    Field("factory", ADDRESS, "live; left out: Ethereum mainnet's"),
    Field("fee", Whole(Bounds(at_least=0, below=1_000_000)), "fee tier in hundredths of a bps: 500 is 0.05 %"),
    Field("pools", MapOf(_MARKET, ADDRESS),
          "by name (weETH/WETH), in order: a swap that names no pool takes the first that fits and has data; the address is for live"),
    _SLIPPAGE,
    Field("depth_usd", ABOVE_ZERO, "liquidity around the price, in USD"),
)  # fmt: skip

_RESERVE = Record(
    Field("ltv_bps", BPS, "how much can be borrowed on it"),
    Field("liquidation_threshold_bps", BPS, "debt / collateral at which it is liquidated"),
    Field("liquidation_bonus_bps", BPS, "what the liquidator takes on top"),
    Field("reserve_factor_bps", BPS, "share of the interest that the protocol keeps"),
    Field("supply_cap", AMOUNT, "token units; 0: none"),
    Field("borrow_cap", AMOUNT, "token units; 0: none"),
    Field("optimal_usage_bps", BPS, "where the rate curve bends"),
    Field("base_rate_bps", _RATE_BPS, "borrow rate a year at no use"),
    Field("slope1_bps", _RATE_BPS, "rise of the borrow rate up to the bend"),
    Field("slope2_bps", _RATE_BPS, "rise of the borrow rate beyond the bend"),
    Field("emode_category", Whole(Bounds(at_least=0, at_most=255)), "0: none"),
    Field("decimals", Whole(Bounds(at_least=0, at_most=36)), "of the token"),
)

_MORPHO_MARKET = Record(
    Field("id", _MARKET_ID, "live: the market's id"),
    Field("lltv_bps", Number(Bounds(above=0, below=10_000)),
          "debt / collateral at which it is liquidated; this and what follows count where the data have no series of the market"),
    Field("fee_bps", Number(Bounds(at_least=0, at_most=2_500)), "share of the interest that the protocol keeps"),
    Field("total_supply", AMOUNT, "what others have lent, in the loan token"),
    Field("total_borrow", AMOUNT, "what others have borrowed, in the loan token"),
    Field("rate_at_target_bps", Number(Bounds(above=0, at_most=20_000)), "borrow rate a year at 90 % use"),
)  # fmt: skip

_STAKE = Record(
    Field("withdrawal_days", _DAYS, "days between the request and the claim"),
)

_TOKEN_CONTRACT = Record(
    Field("address", ADDRESS, "of the token", needed="always"),
    Field("decimals", Whole(Bounds(at_least=0, at_most=36)), "of the token", needed="always"),
)

# By an action that only protocols of one kind have: a fork has the settings of what it is a fork of.
_PROTOCOLS: dict[str, Record] = {
    "set_emode": Record(
        Field("revision", Revisions(("3.0", "3.7")),
              "rounding: 3.0 half-up, 3.7 directed; left out: 3.0 in a backtest, read from the pool when live"),
        Field("reserves", MapOf(TOKEN, _RESERVE), "parameters by token"),
        Field("rate_impact", Flag(),
              "backtests: our own deposits and debts move the rates by the two slopes", False),
        Field("pool", ADDRESS, "live; left out: Ethereum mainnet's"),
    ),
    "supply_collateral": Record(
        Field("address", ADDRESS, "live; left out: Ethereum mainnet's"),
        Field("markets", MapOf(_MARKET, Either(_MARKET_ID, _MORPHO_MARKET)), "by name (collateral/loan): the id, or constants"),
    ),
    "stake": _STAKE,
}  # fmt: skip

ONCHAIN_SETTINGS: Final[dict[str, Record]] = {
    **{name: record for action, record in _PROTOCOLS.items() for name in offering(action)},
    WALLET: Record(
        Field("gas_price_gwei", Either(Choice(("market",)), Number(Bounds(at_least=0, at_most=100_000))),
              "market: the gas series; 0: gas is free", "market"),
        Field("chain_id", Whole(Bounds(at_least=1, at_most=10**15)), "a node with another chain id is refused", 1),
        Field("tokens", MapOf(TOKEN, _TOKEN_CONTRACT), "contracts by token"),
        Field("executor", ADDRESS, "live: contract that runs a chain in one transaction"),
    ),
}  # fmt: skip

VENUE_SETTINGS: Final[dict[str, dict[str, Record]]] = {"cex": {"*": _CEX}, "dex": {"*": _DEX}, "onchain": ONCHAIN_SETTINGS}

VENUES: Final = Record(
    Field("cex", Venues("cex", VENUE_SETTINGS["cex"]), "exchanges; binance_spot and binance_perp are two accounts at one exchange", []),
    Field("dex", Venues("dex", VENUE_SETTINGS["dex"]), "where tokens are swapped on chain", []),
    Field("onchain", Venues("onchain", VENUE_SETTINGS["onchain"]), "protocols, and the wallet", []),
)

LIMITS: Final = Record(
    Field("max_notional_per_instruction", ABOVE_ZERO, "USD", needed="live"),
    Field("max_notional_per_day", ABOVE_ZERO, "USD, over a UTC day, survives a restart", needed="live"),
    Field("max_slippage_bps", BPS, "worst fill against the snapshot's price", needed="live"),
    Field("max_unhedged_notional", AMOUNT, "USD, one leg without the other", needed="live"),
    Field("max_unhedged_seconds", Number(Bounds(above=0, at_most=86_400)), "how long it may be so", 60),
    Field("withdrawal_addresses", ListOf(ADDRESS), "nothing else is ever paid out to", []),
    Field("contracts", ListOf(ADDRESS), "nothing else is ever called; left out: the configured venues"),
)
