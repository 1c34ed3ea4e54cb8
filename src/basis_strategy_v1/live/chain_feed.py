"""What a chain gives a live feed: the price of gas, and lending rows as the pools are at the newest block."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.clock import SECOND_US
from basis_strategy_v1.core.error_codes.exceptions import VenueUnreachable
from basis_strategy_v1.core.gateway import MalformedAnswer
from basis_strategy_v1.core.market import GasRow, LendingRow
from basis_strategy_v1.core.tokens import to_amount
from basis_strategy_v1.live.chain_client import RpcError
from basis_strategy_v1.live.chain_fees import HISTORY_BLOCKS, PERCENTILE, fee_market, gwei_of
from basis_strategy_v1.venues.aave_interest import RAY
from basis_strategy_v1.venues.aave_reserve import accrue
from basis_strategy_v1.venues.aave_state import AaveState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from basis_strategy_v1.live.chain_reader import ChainReader

GAS, LENDING = "gas", "lending"
KINDS = (GAS, LENDING)
ORACLE_UNIT = 10**8
Key = tuple[str, str, str]


class ChainRows:
    """Reads one chain. `pools` are the Aave markets by the name that their series have; its gas series is called `chain`."""

    def __init__(self, reader: ChainReader, chain: str, pools: Mapping[str, str]) -> None:
        self._reader = reader
        self._chain = chain
        self._pools = dict(pools)  # series -> venue

    def has(self, kind: str, venue: str, name: str) -> bool:
        """Whether a series is one of this chain's. Whether a pool has the token shows when it is read."""
        return (kind == GAS and name == self._chain) or (kind == LENDING and venue in self._pools)

    def read(self, keys: Iterable[Key]) -> tuple[int, dict[Key, Any]]:
        """The time of the newest block (microseconds since 1970) and the row of each series there.

        Raises:
            VenueUnreachable.
        """
        try:
            return self._read(list(keys))
        except (MalformedAnswer, RpcError) as error:
            raise VenueUnreachable("OCH-002", f"{self._chain} cannot be read: {error}") from None

    def _read(self, keys: list[Key]) -> tuple[int, dict[Key, Any]]:
        found: dict[Key, Any] = {}
        reading = self._reader.read()
        for key in keys:
            kind, venue, name = key
            if kind == GAS:
                market = fee_market(self._reader.client.get("eth_feeHistory", hex(HISTORY_BLOCKS), "latest", [PERCENTILE]))
                found[key] = GasRow(gwei_of(market.base_wei), gwei_of(market.priority_wei))
            else:
                part = reading.state.part(self._pools[venue], AaveState)
                if name in part.pool.reserves:
                    found[key] = lending_row(part, name)
        return reading.block.time_s * SECOND_US, found


def lending_row(part: AaveState, token: str) -> LendingRow:
    """A reserve as a row: its indices brought to the second of the block."""
    pool = part.pool
    reserve = accrue(pool.reserves[token], pool.rules[token], part.now_s, pool.rounding)
    supplied = pool.rounding.supply_balance(reserve.scaled_supply, reserve.liquidity_index_ray)
    owed = pool.rounding.debt_balance(reserve.scaled_debt, reserve.variable_borrow_index_ray)

    def of_ray(ray: int) -> Decimal:
        return EXACT.divide(Decimal(ray), Decimal(RAY))

    return LendingRow(
        stamp=part.instant,
        liquidity_index=of_ray(reserve.liquidity_index_ray),
        liquidity_rate=of_ray(reserve.liquidity_rate_ray),
        variable_borrow_index=of_ray(reserve.variable_borrow_index_ray),
        variable_borrow_rate=of_ray(reserve.variable_borrow_rate_ray),
        total_supplied=to_amount(token, supplied),
        total_borrowed=to_amount(token, owed),
        oracle_price_usd=EXACT.divide(Decimal(part.prices[token]), Decimal(ORACLE_UNIT)),
    )
