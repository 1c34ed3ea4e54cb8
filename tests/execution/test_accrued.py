"""Interest that a chain does not report: what the balances have grown by, in the pool as it was read."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from msgspec.structs import replace

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.gateway import Due
from basis_strategy_v1.core.state import State, Wallet
from basis_strategy_v1.core.state_change import apply_changes, change_between
from basis_strategy_v1.execution.accrued import with_interest
from basis_strategy_v1.execution.venue_reads import VenueReads
from basis_strategy_v1.venues.aave_account import Pool, UserAccount
from basis_strategy_v1.venues.aave_interest import RAY
from basis_strategy_v1.venues.aave_reserve import Reserve
from basis_strategy_v1.venues.aave_state import AaveState

from .scripted_gateway import ScriptedGateway, StillTime
from .sending import BEFORE, FILL, Bench

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)


def pool_at(index, at_s=10):
    """Somebody with 100 USDT (scaled) in a pool whose index is this."""
    pool = Pool(revision="3.0", rules={}, reserves={"USDT": Reserve(liquidity_index_ray=int(index * RAY), last_update_s=at_s)})
    return AaveState(pool, UserAccount({"USDT": 100_000_000}), at_s * 10**6, at_s, prices={"USDT": 10**8})


def as_read(part):
    """What a chain says of a pool: what is held there is left out."""
    change = change_between(None, part.without_holdings())
    changes = {"aave": {key: value for key, value in change.items() if key != "whole"}}
    return Due(id="interest:1", venue="aave", kind="interest", at=NOON, deltas=Deltas(), changes=changes)


HELD = State({"aave": pool_at(Decimal(1)), "wallet": Wallet({"USDT": 5})})
LATER = pool_at(Decimal("1.05"), 20)


def test_an_item_without_amounts_gets_what_the_balances_grow_by():
    (item,) = with_interest(HELD, [as_read(LATER)])
    assert item.deltas == Deltas.at("aave", {"aUSDT": Decimal(5)})
    assert apply_changes(HELD, item.changes).parts["aave"] == LATER


def test_a_later_item_grows_from_where_the_one_before_it_left_off():
    first, second = with_interest(HELD, [as_read(LATER), as_read(pool_at(Decimal("1.06"), 30))])
    assert (first.deltas, second.deltas) == (Deltas.at("aave", {"aUSDT": Decimal(5)}), Deltas.at("aave", {"aUSDT": Decimal(1)}))


def test_other_items_and_amounts_that_are_known_stay_as_they_are():
    known = Due(id="2", venue="aave", kind="interest", at=NOON, deltas=Deltas.at("aave", {"aUSDT": Decimal(9)}))
    arrival = Due(id="3", venue="wallet", kind="arrival", at=NOON, deltas=Deltas())
    assert with_interest(HELD, [known, arrival]) == [known, arrival]


def test_where_nothing_is_known_to_be_held_there_is_no_interest():
    assert with_interest(State(checked=False), [as_read(LATER)])[0].deltas == Deltas()


def test_interest_before_an_order_is_in_its_settlements_unless_nothing_has_grown():
    settled = replace(FILL, settlements=(as_read(LATER),))
    bench = Bench(settled, reads=[State()], held=State({**BEFORE.parts, "aave": pool_at(Decimal(1))}))
    (interest,) = bench.send().report.settlements
    assert interest.deltas == Deltas.at("aave", {"aUSDT": Decimal(5)})
    assert bench.holdings.state.parts["aave"] == LATER
    bench = Bench(settled, reads=[State()], held=State({**BEFORE.parts, "aave": LATER}))
    assert bench.send().report.settlements == ()


def test_a_settlement_that_does_not_fit_the_state_cannot_be_recorded():
    unfit = Due(id="1", venue="binance", kind="interest", at=NOON, deltas=Deltas(), changes={"binance": {"type": "nothing", "changed": {}}})
    for raw in (FILL.raw, None):
        bench = Bench(replace(FILL, settlements=(unfit,), raw=raw), reads=[State()], held=BEFORE)
        error = bench.fails(ComponentError)
        assert error.error_code == "EIM-003" and "settlements that do not fit the state" in error.message


class Seeing(ScriptedGateway):
    """One that knows its protocols wholly."""

    def look(self):
        return State({"aave": LATER})


@pytest.mark.parametrize(("gateway", "seen"), [(Seeing, {"aave": LATER}), (ScriptedGateway, {})])
def test_protocols_are_looked_at_where_a_gateway_knows_them(gateway, seen):
    time = StillTime()
    assert VenueReads(gateway(time), 1.0, time.timing).look().parts == seen
