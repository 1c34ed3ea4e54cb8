"""Swaps at a DEX by the state of its pools. A pool stays as our own swaps left it until the data have a new row."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Protocol

from msgspec import Struct

from basis_strategy_v1.core.amounts import plain
from basis_strategy_v1.core.clock import iso
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.market import MissingData
from basis_strategy_v1.core.state import AS_READ, ModelState, VenueState
from basis_strategy_v1.core.state_rows import series_name
from basis_strategy_v1.core.tokens import decimals_of, to_amount, to_units
from basis_strategy_v1.venues.market_swap import MarketSwap, MarketSwapRow, SwapSettings, as_traded
from basis_strategy_v1.venues.reverted import Reverted
from basis_strategy_v1.venues.venue import DEX, Place, SimulationResult, reject
from basis_strategy_v1.venues.wallet import amount_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from basis_strategy_v1.core.instructions import SmartContractAction
    from basis_strategy_v1.core.market import MarketSnapshot
    from basis_strategy_v1.core.state import State

BY_STATE, BY_DEPTH = "pool state", "pool built from price and depth_usd"


class SwapPool(NamedTuple):
    """The coins of a pool in its order as (symbol, decimals), and its model's state."""

    coins: tuple[tuple[str, int], ...]
    state: Any

    def place(self, token: str) -> int | None:
        """Where the pool has a token, ETH and WETH being the same."""
        wanted = as_traded(token)
        return next((index for index, (symbol, _) in enumerate(self.coins) if as_traded(symbol) == wanted), None)


class Filled(NamedTuple):
    """A pool's state after an exact input, the base units that went in and came out, and the part of the input that was fee."""

    state: Any
    paid: int
    received: int
    fee_share: Decimal


class PoolModel(Protocol):
    """The integer model of one protocol's pools."""

    def read(self, texts: Mapping[str, str]) -> SwapPool:
        """The pool of a row of its state file. Raises ValueError, naming the column."""
        ...

    def from_depth(self, pair: tuple[str, str], price: Decimal, depth_usd: Decimal, usd: Decimal, fee_pips: int) -> SwapPool:
        """A pool at `price` (second token per first), `usd` being the worth of the second."""
        ...

    def fee_pips(self, state: Any) -> Decimal: ...
    def spot(self, pool: SwapPool, paid: int, out: int) -> Decimal:
        """The price before the fee of an amount too small to move it, in token units."""
        ...

    def fill(self, pool: SwapPool, paid: int, out: int, units: int) -> Filled:
        """Sell `units` of a coin. Raises Reverted."""
        ...


class MovedPools(Struct, VenueState, frozen=True, tag="MovedPools"):
    """Pools that our own swaps have moved: name -> (stamp of the row that they moved from, state). They hold nothing of ours."""

    states: Annotated[dict[str, tuple[int, ModelState]], AS_READ] = {}


class _Found(NamedTuple):
    name: str
    stamp: int
    pool: SwapPool
    priced_by: str


class PoolSwap(MarketSwap):
    """The simulator of a DEX: by a pool's state where there is one, else by price and `depth_usd`, else by market price."""

    assumptions = (
        "A swap goes through the state of its pool where the data have one, with our own swaps in it until the next row; "
        "else through a pool built from the market price and depth_usd, where that is set; "
        "else at the market price less fee and slippage_bps. Each report's `priced_by` says which.",
    )

    def __init__(self, place: Place, row: MarketSwapRow, model: PoolModel, settings: SwapSettings) -> None:
        """The settings' pools are those that a swap which names none takes first."""
        super().__init__(place, row.with_settings(settings))
        self._model = model
        self._preferred = tuple(map(series_name, settings.pools or ()))
        self._read: dict[str, tuple[Mapping[str, str], SwapPool]] = {}

    def simulate(self, instruction: SmartContractAction, state: State, market: MarketSnapshot) -> SimulationResult:
        if as_traded(instruction.token) != as_traded(instruction.token_out or ""):
            found = self._with_state(instruction, market) or self._with_depth(instruction, market)
            if found is not None:
                return self._through(self._as_left(found, state), instruction, state, market)
        return super().simulate(instruction, state, market)

    def _through(self, found: _Found, instruction: SmartContractAction, state: State, market: MarketSnapshot) -> SimulationResult:
        paid, out, amount = instruction.token, instruction.token_out or "", amount_of(instruction)
        pool, places = found.pool, (found.pool.place(paid), found.pool.place(out))
        source, target = places
        assert source is not None and target is not None
        units = to_units(paid, amount)
        try:
            filled = self._model.fill(pool, source, target, units)
        except Reverted as reverted:
            reject(DEX, f"{self.name} swap of {plain(amount)} {paid} through {found.name}: {reverted}")
        received = to_amount(out, filled.received)
        if filled.paid < units:
            most = to_amount(paid, filled.paid)
            reject(DEX, f"{self.name} swap of {plain(amount)} {paid} is beyond the pool's liquidity: {found.name} takes "
                        f"{plain(most)} {paid} and gives {plain(received)} {out} for it; swap at most that")  # fmt: skip
        spot = self._model.spot(pool, source, target)
        details = {"price": plain(round(received / amount, 18)), "spot_price": plain(round(spot, 18))}
        details |= {"pool": found.name, "priced_by": found.priced_by}
        moved = self._settled(instruction, received, amount * filled.fee_share, details, state, market)
        kept = {**state.part(self.name, MovedPools).states, found.name: (found.stamp, filled.state)}
        return SimulationResult(moved.state.with_part(self.name, MovedPools(kept)), moved.deltas, moved.costs, moved.details)

    def _as_left(self, found: _Found, state: State) -> _Found:
        """The pool as our last swap left it, where the data have had no row since."""
        stamp, left = state.part(self.name, MovedPools).states.get(found.name, (None, None))
        return found._replace(pool=SwapPool(found.pool.coins, left)) if stamp == found.stamp else found

    # Pools of the data.

    def _with_state(self, action: SmartContractAction, market: MarketSnapshot) -> _Found | None:
        names = market.names("pool", self.series)
        if not names:
            return None
        if action.pool is not None:
            return self._named(series_name(action.pool), action, names, market)
        preferred = [name for name in self._preferred if name in names]
        if chosen := self._fitting(preferred, action, market):
            return chosen[0]
        fitting = self._fitting([name for name in names if name not in preferred], action, market)
        usual = (found for found in fitting if self._model.fee_pips(found.pool.state) == self.row.fee_pips)
        return next(usual, fitting[0] if fitting else None)

    def _named(self, name: str, action: SmartContractAction, names: tuple[str, ...], market: MarketSnapshot) -> _Found:
        if name not in names:
            reject(DEX, f"{self.name} has no pool {action.pool} in the data; there are {', '.join(names)}")
        found = self._state(name, market)
        if not self._fits(found, action):
            coins, fee = "/".join(symbol for symbol, _ in found.pool.coins), plain(self._model.fee_pips(found.pool.state))
            asked = "" if action.fee is None else f" with a fee of {action.fee}"
            reject(DEX, f"{self.name} pool {action.pool} is {coins} with a fee of {fee} (millionths); "
                        f"the swap is {action.token} to {action.token_out}{asked}")  # fmt: skip
        return found

    def _fitting(self, names: Sequence[str], action: SmartContractAction, market: MarketSnapshot) -> list[_Found]:
        """Those that can do the swap.

        Raises:
            MissingData: DAT-002, none can, and of one nothing is known but a row that is too old.
        """
        fitting: list[_Found] = []
        too_old: list[MissingData] = []
        for name in names:
            if market.row_stamp("pool", self.series, name) is None:
                continue
            try:
                found = self._state(name, market)
            except MissingData as fault:
                too_old.append(fault)
            else:
                if self._fits(found, action):
                    fitting.append(found)
        if too_old and not fitting:
            raise too_old[0]
        return fitting

    def _fits(self, found: _Found, action: SmartContractAction) -> bool:
        has_both = None not in (found.pool.place(action.token), found.pool.place(action.token_out or ""))
        return has_both and action.fee in (None, self._model.fee_pips(found.pool.state))

    def _state(self, name: str, market: MarketSnapshot) -> _Found:
        row = market.pool(self.series, name)
        known = self._read.get(name)
        if known is None or known[0] != row.texts:
            self._read[name] = known = (row.texts, self._parsed(name, row.texts, market))
        return _Found(name, row.stamp, known[1], BY_STATE)

    def _parsed(self, name: str, texts: Mapping[str, str], market: MarketSnapshot) -> SwapPool:
        where = f"dex/{self.series}/{name}.state at {iso(market.at)}"
        try:
            pool = self._model.read(texts)
        except KeyError as missing:
            raise ComponentError("DAT-003", f"{where}: column {missing.args[0]} is missing") from None
        except ValueError as fault:
            raise ComponentError("DAT-003", f"{where}: {fault}") from None
        for symbol, decimals in pool.coins:
            if decimals != (known := decimals_of(symbol)):
                raise ComponentError("DAT-003", f"{where}: {symbol} has {decimals} decimals there and {known} everywhere else")
        return pool

    # Pools of a price and a depth.

    def _with_depth(self, action: SmartContractAction, market: MarketSnapshot) -> _Found | None:
        if self.row.depth_usd is None:
            return None
        first, second = sorted((as_traded(action.token), as_traded(action.token_out or "")))
        fee_pips = self.row.fee_pips if action.fee is None else action.fee
        price = self._price(first, second, market)
        try:
            pool = self._model.from_depth((first, second), price, self.row.depth_usd, market.price(second), fee_pips)
        except Reverted as reverted:
            depth = f"{plain(self.row.depth_usd)} USD at {plain(round(price, 18))}"
            reject(DEX, f"{self.name} swap: there is no pool of {depth}: {reverted}")
        pairs = (f"{first}_{second}", f"{second}_{first}")
        stamps = (market.row_stamp("dex", self.series, pair) for pair in pairs if self._has(pair, market))
        # A pool whose price is made of other prices is as old as this instant.
        stamp = next((stamp for stamp in stamps if stamp is not None), market.instant)
        return _Found(f"{first}_{second}_{fee_pips} of {plain(self.row.depth_usd)} USD", stamp, pool, BY_DEPTH)

    def _has(self, pair: str, market: MarketSnapshot) -> bool:
        try:
            market.dex_rate(self.series, pair)
        except MissingData:
            return False
        return True
