"""The prices by which a pool judges the health of a loan: its oracle's, between two rows of the lending series by the market.

On chain the oracle publishes a new price when the market has moved by its deviation threshold, or its heartbeat is over. The rows of a
lending series show what it said once a day; a loan that is unhealthy at noon is liquidated at noon.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

from msgspec import Struct

from basis_strategy_v1.core.clock import HOUR_US, MICROSECOND
from basis_strategy_v1.core.market import REDEEMED_BY, SAME_AS, MissingData, SeriesKey
from basis_strategy_v1.core.settings import Bps, duration
from basis_strategy_v1.venues.aave_account import balance_of, collateral_terms, debt_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.venues.aave_state import AaveState

MARKET, ORACLE = "market", "oracle"
UNIT = 10**8
# What an oracle and an exchange may differ by at one instant; beyond it they are not the same market.
NEAR = Decimal("0.02")
# Indices grow until the next look, so that a price a little before the one at which the loan is unhealthy is looked at.
CLEARANCE = Decimal("0.002")


class OracleSettings(Struct, frozen=True, kw_only=True):
    """When the oracle publishes the market's price again. Chainlink's ETH / USD on Ethereum: 0.5 % and one hour."""

    deviation_bps: Annotated[Bps, "how far the market has to move"] = Decimal(50)
    heartbeat: Annotated[timedelta, duration("1m", "7d"), "or how long it is quiet at most"] = timedelta(hours=1)


class HealthPrices:
    """How a lender's oracle is read: `mode` market, oracle, or None: the market where it has an hourly or finer series of the token."""

    def __init__(self, name: str, mode: str | None, oracle: OracleSettings) -> None:
        self.name, self.mode, self.oracle = name, mode, oracle
        self._heartbeat_us = oracle.heartbeat // MICROSECOND
        self._by_market: dict[str, str] = {}  # token -> the series that it was priced by
        self._by_rows: set[str] = set()

    def key(self, token: str, market: MarketSnapshot) -> SeriesKey | None:
        """The spot series whose closes move the token's price; None where the row's own price counts."""
        base = base_of(token)
        if base is None or self.mode == ORACLE:
            return None
        key = market.price_series(base)
        if key is not None and 0 < market.bar_interval_us(*key) <= HOUR_US:
            return key
        if self.mode == MARKET:
            raise MissingData("DAT-001", f"{self.name}: health_prices is market, and no hourly or finer spot series of {base} is visible "
                              f"for {token}; bring one, such as ohlcv/bybit/spot/{base}USDT_1h.csv, or write oracle")  # fmt: skip
        return None

    def price(self, token: str, row: int, stamp: int, market: MarketSnapshot, base_row: int | None) -> int:
        """USD per token, 8 decimals: its worth in its base token, by `row`, at the base's price of now.

        `row` is the price in the last row of the token's lending series, which has this stamp, `base_row` that of its base of the same
        stamp. Where there is none, or the market was elsewhere then, the row is moved as the market has since.
        """
        key = self.key(token, market)
        if key is None:
            if base_of(token) is not None:
                self._by_rows.add(token)
            return row
        closes = market.published_closes(key, stamp, self.oracle.deviation_bps, self._heartbeat_us)
        if closes is None:  # the row is older than the series
            self._by_rows.add(token)
            return row
        self._by_market[token] = "/".join(key)
        then, now = closes[0] * UNIT, closes[1] * UNIT
        is_near = base_row is not None and abs(base_row - then) <= then * NEAR
        return int(row * now / (base_row if is_near and base_row else then))

    @property
    def is_by_market(self) -> bool:
        """Whether the market has moved a price so far."""
        return bool(self._by_market)

    def lines(self) -> Iterator[str]:
        """What was used, for the report."""
        if self._by_market:
            tokens, series = ", ".join(sorted(self._by_market)), ", ".join(sorted(set(self._by_market.values())))
            hours = Decimal(self._heartbeat_us) / HOUR_US
            yield (
                f"The health of loans at {self.name} goes by the market (health_prices: market): {tokens} at closes of {series}, "
                f"published when they have moved by {self.oracle.deviation_bps.normalize():f} bps or after {hours.normalize():f} h."
            )
        if rows := sorted(self._by_rows - set(self._by_market)):
            yield (
                f"The health of loans at {self.name} goes by the oracle price of the last lending row (health_prices: oracle): "
                f"{', '.join(rows)}. What the market does between two rows liquidates nothing."
            )


def base_of(token: str) -> str | None:
    """What a token's price moves with, where it moves."""
    return SAME_AS.get(token) or (REDEEMED_BY[token][1] if token in REDEEMED_BY else None)


def breach_of(
    part: AaveState, keys: Mapping[str, SeriesKey | None], prices: Mapping[str, int], close: Decimal
) -> tuple[Decimal, bool] | None:
    """The close of the one series that moves a loan's prices at which the loan is about to be unhealthy, and whether that is above the
    present one; None where no close makes it so. `keys` says which tokens move with it."""
    pool, user = part.pool, part.user
    emode = pool.emodes.get(user.emode) if user.emode else None
    net = {True: Decimal(0), False: Decimal(0)}  # weighted collateral less debt, USD, of what moves and of what does not
    for token in user.collateral:
        weight = Decimal(collateral_terms(pool, emode, token)[1]) / 10_000
        net[keys[token] is not None] += weight * prices[token] * balance_of(user, pool, token, part.now_s) / pool.rules[token].unit
    for token in user.borrowed:
        net[keys[token] is not None] -= Decimal(prices[token] * debt_of(user, pool, token, part.now_s)) / pool.rules[token].unit
    if net[True] * net[False] >= 0:  # both on one side, or nothing moves: no price changes that
        return None
    above = net[True] < 0
    return close * -net[False] / net[True] * (1 - CLEARANCE if above else 1 + CLEARANCE), above
