"""Where each series of a data folder can be had."""

from __future__ import annotations

from typing import NamedTuple

NOT_YET = "`basis data download` does not read it in this version"


class Origin(NamedTuple):
    """A series by its path in the folder, and the ways to get it."""

    path: str
    ways: tuple[str, ...]


ORIGINS = (
    Origin(
        "ohlcv/<venue>/<spot|perp>/<SYMBOL>_<interval>.csv",
        (
            "binance, bybit, okx, hyperliquid: `basis data download DIR --venue V --symbol S --kind ohlcv --since TIME`",
            "hyperliquid keeps the last 5,000 bars of an interval",
            "years of binance at once: the zips of data.binance.vision, by `basis data import`",
            "exports of bybit and okx, what ccxt wrote, Parquet and CSV: `basis data import`; frames: `data.from_frame`",
        ),
    ),
    Origin(
        "ohlcv/<venue>/<mark|index>/<SYMBOL>_<interval>.csv",
        ("the exchanges' mark and index price bars (volume 0): `basis data import` of a CSV, or `data.from_frame`", NOT_YET),
    ),
    Origin("funding/<venue>/<SYMBOL>.csv", ("as ohlcv, with --kind funding", "okx keeps three months")),
    Origin(
        "lending/<protocol>/<TOKEN>.csv",
        ("an archive node: getReserveData of the pool and the oracle's price, at the blocks that you want", NOT_YET),
    ),
    Origin(
        "lending/morpho/<COLLATERAL>_<LOAN>.csv",
        ("an archive node: market(id), rateAtTarget of the rate model, price() of the oracle, in the contracts' integers", NOT_YET),
    ),
    Origin("staking/<protocol>/<TOKEN>.csv", ("an archive node: stEthPerToken() of wstETH, getRate() of weETH", NOT_YET)),
    Origin("dex/<protocol>/<TOKEN>_<QUOTE>.csv", ("prices of a pool or of a price service: `basis data import` of a CSV", NOT_YET)),
    Origin(
        "dex/<uniswap_v3|curve>/<POOL>.state.csv",
        (
            "uniswap_v3, from an archive node: `basis data download DIR POOL --block N --rpc URL`",
            "curve, from an archive node: balances(i), A, fee and stored_rates(); `basis data download` does not read them in this version",
        ),
    ),
    Origin(
        "queue/<protocol>.csv", ("the protocol's own queue page, or the times between requests and their finalisation on chain", NOT_YET)
    ),
    Origin(
        "events/<venue>.csv",
        ("notices of the exchange: auto-deleveraging of your own account, halts, delistings and renamed symbols, written by hand", NOT_YET),
    ),
    Origin("gas/<chain>.csv", ("a node: eth_feeHistory, a row for each block or hour that you want", NOT_YET)),
)
