"""What the simulators approximate: a row each, with its default, its size in one stated run, and how to switch it.

docs/approximations.md has the table (`python -m basis_strategy_v1.app.approximations`); a run names the rows that applied, and
`basis backtest --effects` runs again with each switch off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.venues.aave import Aave
from basis_strategy_v1.venues.cex import Exchange
from basis_strategy_v1.venues.staking import StakingProtocol
from basis_strategy_v1.venues.venue import CEX, ONCHAIN

if TYPE_CHECKING:
    from collections.abc import Callable

    from basis_strategy_v1.config import Config
    from basis_strategy_v1.venues.venue import Venues

Changes = dict[str, Any]
BASIS = "`eth_basis` from bybit to binance, leverage 3, 100,000 USDT, 2024-06-01 to 2025-05-31"


class Approximation(NamedTuple):
    """`applies` says whether it counts with these venues; `off` what to change in the config so that it does not, where that can be."""

    name: str
    modelled: str
    assumed: str
    default: str
    effect: str
    switch: str
    applies: Callable[[Config, Venues], bool]
    off: Callable[[Config, Venues], Changes] = lambda config, venues: {}


def _exchanges(venues: Venues) -> dict[str, Exchange]:
    return {name: venue for name, venue in venues.items() if isinstance(venue, Exchange)}


def _pools(venues: Venues) -> dict[str, Aave]:
    return {name: venue for name, venue in venues.items() if isinstance(venue, Aave)}


def _sized(venues: Venues) -> list[str]:
    return [name for name, venue in _exchanges(venues).items() if venue.own_size is not None]


def _charging(venues: Venues) -> list[str]:
    return [name for name, venue in _exchanges(venues).items() if venue.row.withdrawals.by_name] if len(venues) > 1 else []


APPROXIMATIONS = (
    Approximation(
        "size of orders", "an order fills worse by the square root of its share of the volume of the day before",
        "k is 1; later prices are not moved; a limit order fills whole at its limit", "`impact: {model: sqrt}` where the bars have volume",
        f"{BASIS}: 4.39 %, without 4.49 %", "`impact` of an exchange: `{model: sqrt, k}`, `{model: depth, depth}`, `{model: none}`",
        lambda config, venues: bool(_sized(venues)),
        lambda config, venues: {f"venues.{CEX}.{name}.impact": {"model": "none"} for name in _sized(venues)},
    ),
    Approximation(
        "size at a lender", "own deposits and debts move the rates of an Aave market by its slopes, and count in its cash and caps",
        "nobody else reacts; the slopes are those of 2025-05-31; no cap is known unless the config has one",
        "`rate_impact: true` where the rows have totals",
        "`pure_lending` of 50,000,000 USDT at Aave, 2024-06-01 to 2025-05-31: 4.70 %, without 5.09 %",
        "`rate_impact` of a lender; caps under `reserves`",
        lambda config, venues: any(pool.pool.rate_impact for pool in _pools(venues).values()),
        lambda config, venues: {f"venues.{ONCHAIN}.{name}.rate_impact": False
        for name, own in _pools(venues).items() if own.pool.rate_impact},
    ),
    Approximation(
        "health of loans within the day", "between two lending rows the oracle follows the market by its deviation threshold and heartbeat",
        "the closes of a spot series; a loan below 1 is liquidated at once; Morpho goes by its own oracle row",
        "`health_prices: market` where there is an hourly or finer series",
        "100 WETH against 210,000 USDT, 2025-02-02 to 2025-02-06: -16.4 % with the liquidation of 2025-02-03, by the rows -10.6 %",
        "`health_prices: market \\| oracle` and `oracle: {deviation_bps, heartbeat}` of a lender",
        lambda config, venues: any(pool.pool.health.is_by_market for pool in _pools(venues).values()),
        lambda config, venues: {f"venues.{ONCHAIN}.{name}.health_prices": "oracle" for name in _pools(venues)},
    ),
    Approximation(
        "withdrawals", "a withdrawal from an exchange costs its fee and takes its time",
        "the published figures of one day, one network a token",
        "public", f"{BASIS}: 4.39 %, free 4.81 %", "`withdrawal` of an exchange: left out, `default`, `{}` or by token",
        lambda config, venues: bool(_charging(venues)),
        lambda config, venues: {f"venues.{CEX}.{name}.withdrawal": {} for name in _charging(venues)},
    ),
    Approximation(
        "costs", "taker fees, withdrawals and gas as the venues publish them", "the lowest tier, no maker fills, no rebates",
        "`costs: public`",
        f"{BASIS}: 4.39 %, with `costs: none` 5.90 %", "`costs: public \\| none`",
        lambda config, venues: config.costs == "public", lambda config, venues: {"costs": "none"},
    ),
    Approximation(
        "figures of a symbol", "margin tiers, leverage and smallest orders by symbol, where a source has them",
        "as published on one day, for all times, unless the config gives them by date",
        "a perp without figures is refused", "depends on the symbol",
        "`assume: {SYMBOL: {like: SYMBOL}}`; `tiers`, `max_leverage` of an exchange",
        lambda config, venues: bool(config.assume),
    ),
    Approximation(
        "margin accounts", "split: the settlement token and unrealised profit are margin; unified: coins too, less a haircut",
        "split: a hedged account can be liquidated by a rally; unified: haircuts are yours, and closes of one instant count",
        "`margin: split`",
        "`basis` in ETHUSDT on bybit, leverage 3, no collateral moves, November 2024: 0.1 %, liquidated; unified 3.28 %",
        "`margin: split \\| unified`, `haircuts`, `negative_balance_apr` of an exchange",
        lambda config, venues: bool(_exchanges(venues)),
    ),
    Approximation(
        "prices of perps", "funding on the mark (hyperliquid: the index) and liquidation by the mark, where the data have these series",
        "without them mark and index are the last price", "the last price",
        "bps of a payment; a wick of the last price liquidates", "series `ohlcv/<venue>/mark` and `index`",
        lambda config, venues: bool(_exchanges(venues)),
    ),
    Approximation(
        "liquidation of a perp", "in the bar whose high or low reaches its price, at that price",
        "what is left of the margin is lost",
        "all of it", "the maintenance margin", "none", lambda config, venues: bool(_exchanges(venues)),
    ),
    Approximation(
        "auto-deleveraging and halts", "those of `events/<venue>.csv`: a share of a perp closed at its mark, orders refused for a time",
        "no fee; during a halt funding is paid and margin is judged; what the data do not have has not happened",
        "none without rows", "none on the recorded data, which have no such rows", "rows in the data; `stress: {adl_on_move_over, seed}`",
        lambda config, venues: any(venue.events for venue in _exchanges(venues).values()),
        lambda config, venues: {"stress": {"adl_on_move_over": None}} if config.stress.adl_on_move_over is not None else {},
    ),
    Approximation(
        "symbols that change", "a perp that is delisted is settled at a price; a renamed symbol carries spot and perp over",
        "at one instant, without a fee; what a wallet holds is not renamed", "none", "the difference to the last price",
        "`delisted`, `renamed`, or rows of `events/<venue>.csv`",
        lambda config, venues: bool(config.delisted or config.renamed),
    ),
    Approximation(
        "what spot fees are taken from", "what the trade pays out, the quote, or a token with its discount while enough of it is held",
        "the token is bought beforehand; the discount is that of one day", "what the trade pays out",
        "BNB at binance: a quarter of the spot fees", "`spot_fee_in: received \\| quote \\| TOKEN` of an exchange",
        lambda config, venues: any(venue.row.spot_fee_in != "received" for venue in _exchanges(venues).values()),
        lambda config, venues: {f"venues.{CEX}.{name}.spot_fee_in": "received" for name, venue in _exchanges(venues).items()
        if venue.row.spot_fee_in != "received"},
    ),
    Approximation(
        "withdrawal queues", "a request waits as long as queue/<protocol>.csv says; without it a fixed time", "the same time for all sizes",
        "5 days at Lido, 7 at ether.fi",
        "above 46 days in September 2025", "`queue: usual \\| stressed`, `withdrawal_days` of the protocol",
        lambda config, venues: any(isinstance(venue, StakingProtocol) for venue in venues.values()),
    ),
    Approximation(
        "swaps", "the market price of the pair less fee and slippage_bps, or a pool's state",
        "any amount at one price where there is no state and no depth",
        "slippage_bps", "depends on the amount", "`depth_usd`, `slippage_bps` of a DEX, or state rows in the data",
        lambda config, venues: bool(config.venues.dex),
    ),
    Approximation(
        "revisions of Aave", "3.0 and 3.7", "mainnet's 3.1 to 3.6 are named with what they had else", "`revision: \"3.0\"`",
        "a close factor of half of one debt instead of half of all", "`revision` of a lender", lambda config, venues: bool(_pools(venues)),
    ),
    Approximation(
        "missing funding", "a payment without a row is an error", "with `zero` it is 0, and listed", "`missing_funding: error`",
        "the payments left out",
        "`data.missing_funding`", lambda config, venues: config.data.missing_funding == "zero",
    ),
    Approximation(
        "dollars", "positions are counted in USDT", "USDT is 1 dollar; USDC by its series, else 1", "USDT is 1",
        "below 0.5 % in 2024 and 2025", "none",
        lambda config, venues: config.share_class == "usdt_stable",
    ),
)  # fmt: skip


def applied(config: Config, venues: Venues) -> list[Approximation]:
    """The approximations that count in a run."""
    return [row for row in APPROXIMATIONS if row.applies(config, venues)]


def applied_line(config: Config, venues: Venues) -> str:
    names = ", ".join(row.name for row in applied(config, venues))
    return f"Known approximations that applied (docs/approximations.md; --effects gives their size): {names}."


def page() -> str:
    """docs/approximations.md."""
    rows = "\n".join(f"| {' | '.join(row[:6])} |" for row in APPROXIMATIONS)
    return f"""# Known approximations

What the simulators leave out or take for granted, by how they do it. A run lists those that applied to it under *Assumptions*;
`basis backtest CONFIG --effects` runs again with each switch off and prints what it made of the profit. The effects here are those of the
stated run on the recorded market data; yours differ.

| approximation | modelled | assumed | default | size in one run | switch |
|---|---|---|---|---|---|
{rows}

Days of stress to try a config on: 2024-03-05, 2024-08-05, 2025-02-03 and 2025-04-07 (ether 9 to 13 % below both lending rows within a day).
"""


def main() -> None:
    import sys

    sys.stdout.write(page())


if __name__ == "__main__":
    main()

__all__ = ["APPROXIMATIONS", "applied", "applied_line", "page"]
