"""States: any of every kind, and those that real backtests come through."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from msgspec import Struct, structs

from basis_strategy_v1 import EventDrivenStrategyEngine
from basis_strategy_v1.core.state import ExchangeAccount, ModelState, State, Transit, VenueState
from basis_strategy_v1.core.state_codec import kinds_of
from basis_strategy_v1.data.sample import write_sample
from basis_strategy_v1.positions.position_update_handler import PositionUpdateHandler
from basis_strategy_v1.venues import registry
from basis_strategy_v1.venues.aave_account import EMode, Pool, UserAccount
from basis_strategy_v1.venues.aave_reserve import Reserve, ReserveRules
from basis_strategy_v1.venues.morpho_market import Market, Position

from . import vault
from .additions import added
from .scenarios import pool_world

LENT = {
    "strategy_mode": "pure_lending", "share_class": "eth_directional", "initial_capital": 100, "start": "2024-06-01", "end": "2024-06-03",
    "initial_positions": {"wallet": {"WETH": 100}}, "strategy": {"protocol": "vault", "token": "WETH"},
    "venues": {"onchain": {"vault": {}, "wallet": {"gas_price_gwei": 0}}},
}  # fmt: skip
CONFIGS = sorted((Path(__file__).parents[1] / "config").glob("*.yaml"))
assert registry.VENUES and vault.VaultState  # all kinds of venue states are defined once the venues are imported

st.register_type_strategy(int, st.integers() | st.integers(0, 3))
st.register_type_strategy(str, st.sampled_from(["ETH", "USDT", "wstETH/WETH", "ä\n"]))
st.register_type_strategy(Decimal, st.decimals(-(10**30), 10**30, places=30) | st.integers(-3, 3).map(Decimal) | st.just(Decimal("1E+3")))
st.register_type_strategy(ModelState, lambda _: st.one_of([st.from_type(kind) for kind in kinds_of(ModelState).values()]))


def _built(kind: type[Any]) -> st.SearchStrategy[Any]:
    """A Struct with a value of each field's type: hypothesis itself would leave those that have a default."""
    return st.builds(kind, **{field.name: st.from_type(field.type) for field in structs.fields(kind)})


for struct in (
    *kinds_of(ModelState).values(),
    *kinds_of(VenueState).values(),
    EMode,
    Market,
    Pool,
    Position,
    Reserve,
    ReserveRules,
    UserAccount,
):
    st.register_type_strategy(struct, _built)


def venue_states(kind: type[VenueState]) -> st.SearchStrategy[Any]:
    """Any state of a kind."""
    found = st.from_type(kind)
    if kind is ExchangeAccount:  # a perp of no base is none
        return found.map(lambda one: ExchangeAccount(one.balances, {symbol: perp for symbol, perp in one.perps.items() if perp.base}))
    return found.map(lambda transit: Transit(tuple(sorted(transit.transfers)))) if kind is Transit else found


def states() -> st.SearchStrategy[State]:
    """Any whole state."""
    parts = st.one_of([venue_states(kind) for kind in kinds_of(VenueState).values()])
    by_venue = st.dictionaries(st.sampled_from(["bybit", "wallet", "aave_arbitrum", "in_transit"]), parts)
    return st.tuples(by_venue, st.booleans()).map(lambda found: State(*found))


def states_of_a_run(config: Any, data: Path, folder: Path) -> list[State]:
    """Each state that the account came through in a backtest, in order."""
    found: list[State] = []

    class Recorded:
        def __get__(self, handler: Any, owner: Any) -> State:
            return handler.__dict__["state"]

        def __set__(self, handler: Any, state: State) -> None:
            handler.__dict__["state"] = state
            found.append(state)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PositionUpdateHandler, "state", Recorded(), raising=False)
        EventDrivenStrategyEngine.from_config(config, data=data, results=folder / "results", logs=folder / "logs", report=False).run()
    return found


def runs(folder: Path) -> dict[str, list[State]]:
    """The states of a backtest of each shipped config and of an added lender on the generated sample, and of one that trades with pools and
    Morpho markets."""
    write_sample(folder / "sample")
    found = {path.stem: states_of_a_run(path, folder / "sample", folder / path.stem) for path in CONFIGS}
    with added():
        found["vault"] = states_of_a_run(LENT, folder / "sample", folder / "vault")
    (folder / "pool_blocks").mkdir()
    config = pool_world.config(folder / "pool_blocks", data={"max_staleness": "60h"})
    found["pools"] = states_of_a_run(config, pool_world.write_market(folder / "pools"), folder / "pool_run")
    return found


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal and of the same types, all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, Struct):
        return all(same(getattr(one, name), getattr(other, name)) for name in one.__struct_fields__)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(value, other[key]) for key, value in one.items())
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)
