"""The account of a manager: one state, one market, and the only place where time passes."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from basis_strategy_v1 import DataProvider, PositionUpdateHandler
from basis_strategy_v1.config import load_settings
from basis_strategy_v1.core.clock import SimulatedClock, SystemClock, to_instant
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.execution_report import Cost, ExecutionReport
from basis_strategy_v1.core.state import State
from basis_strategy_v1.execution.account import Account
from basis_strategy_v1.execution.market_source import MarketSource
from basis_strategy_v1.positions.ledger import Places, UnknownHoldings
from basis_strategy_v1.venues.registry import make_venue

from ..world import AT, refused, write_bars
from .trading import NOON, Market, act, held, manager_of, send, trade

LATER = NOON + timedelta(minutes=5)


NOTHING = ExecutionReport(key="k1", venue="binance", at=NOON, kind="execution", deltas=Deltas(), expected=Deltas())


def account(positions=None, provider=None, clock=None):
    own = {"binance": load_settings("cex", "binance", {}), "wallet": load_settings("onchain", "wallet", {"gas_price_gwei": 0})}
    venues = {"binance": make_venue("cex", "binance", own["binance"]), "wallet": make_venue("onchain", "wallet", own["wallet"])}
    return Account(venues, MarketSource(provider or Market(), clock), UnknownHoldings() if positions is None else positions)


def settle_at(found, at):
    return [report for _, reports in found.advance_to(at) for report in reports]


def csv_provider(folder, **parts):
    write_bars(folder, "binance", "perp", "ETHUSDT", [(3300,)], AT + timedelta(hours=11))
    return DataProvider(folder, **parts)


# Time.


def test_now_is_the_clocks_time_but_never_before_the_last_snapshot():
    clock = SimulatedClock(NOON)
    found = account(clock=clock)
    assert found.source.now() == NOON
    found.market(LATER)
    assert found.source.now() == LATER
    clock.move_to(LATER + timedelta(hours=1))
    assert found.source.now() == LATER + timedelta(hours=1)


def test_without_a_clock_now_is_the_last_snapshots_time_or_the_providers_or_the_machines():
    class Ending(Market):
        latest = LATER

    assert account(provider=Ending()).source.now() == LATER
    found = account()
    before = SystemClock().now()
    assert before <= found.source.now() <= SystemClock().now()
    found.market(NOON)
    assert found.source.now() == NOON


def test_the_providers_own_clock_is_used(tmp_path):
    assert account(provider=csv_provider(tmp_path, clock=SimulatedClock(NOON))).source.now() == NOON


# The market and the state.


def test_a_provider_with_snapshots_is_asked_once_for_an_instant(tmp_path):
    found = account(provider=csv_provider(tmp_path))
    assert found.market(NOON) is found.market(NOON)


def test_without_a_provider_the_error_says_what_to_give():
    found = Account({}, MarketSource(None), UnknownHoldings())
    assert refused(found.market, NOON).error_code == "DAT-006"


def test_looking_changes_nothing():
    handler = PositionUpdateHandler({"binance": {"ETHUSDT-PERP": -1}})
    found = account(handler)
    state = handler.state
    market, seen = found.look(NOON)
    assert (market.at, seen.positions(), handler.state is state, found.source.latest) == (
        NOON,
        held(binance={"ETHUSDT-PERP": -1}),
        True,
        None,
    )
    opened = found.state(found.market(NOON))
    assert found.look(LATER)[1] is opened
    assert found.source.latest.at is NOON
    assert account().look(NOON)[1].checked is False


def test_positions_at_a_venue_that_is_not_configured_are_refused():
    found = account(PositionUpdateHandler({"okx": {"USDT": 1}}))
    error = refused(found.state, found.market(NOON))
    assert (error.error_code, error.message) == ("PUH-001", "positions name okx, which is not configured; configured are binance, wallet")


def test_positions_on_their_way_cannot_be_opened():
    found = account(PositionUpdateHandler({"in_transit": {"USDT": 1}}))
    assert refused(found.state, found.market(NOON)).message == "positions name in_transit, which is not configured"


def test_without_positions_nothing_is_kept_and_nothing_falls_due():
    found = account()
    assert found.commit(State(), NOTHING) == b"{}"
    found.ledger.assign(State())
    found.ledger.expect(NOTHING)
    market = found.market(NOON)
    assert (settle_at(found, NOON), found.accrued_on_chain(found.state(market), market)[1], found.next_due(to_instant(LATER))) == (
        [],
        [],
        None,
    )
    assert (found.accrues(), found.exposures(market), found.ledger.positions) == (False, ([], []), {})


def test_nothing_falls_due_before_there_is_a_market():
    assert account(PositionUpdateHandler()).next_due(to_instant(LATER)) is None


# What falls due.


def test_each_thing_falls_due_at_its_own_instant():
    manager = manager_of({"bybit": {"USDT": 1000}})
    for minutes in (0, 1, 2):
        manager.execute(NOON + timedelta(minutes=minutes), send("bybit", "binance", 100))
    reports = manager.settle(NOON + timedelta(minutes=6))
    assert [(report.kind, report.at) for report in reports] == [
        ("arrival", NOON + timedelta(minutes=5)), ("arrival", NOON + timedelta(minutes=6)),
    ]  # fmt: skip
    assert manager.positions.positions == held(bybit={"USDT": 700}, binance={"USDT": 198}, in_transit={"USDT": 99})
    assert len({report.key for report in reports}) == 2


def test_a_perp_pays_funding_and_what_is_on_its_way_arrives_in_order():
    manager = manager_of({"binance": {"USDT": 10_000}, "bybit": {"USDT": 200}})
    manager.execute(NOON, trade("sell", 1, trade_type="perp"))
    manager.execute(NOON, send("bybit", "binance", 100))
    reports = manager.settle(NOON + timedelta(hours=4))
    assert [report.kind for report in reports] == ["arrival", "funding"]
    assert reports[1].deltas == Deltas.at("binance", {"USDT": Decimal("0.33")})


def test_settling_begins_the_market_where_there_was_none():
    manager = manager_of({"binance": {"USDT": 1}})
    assert manager.settle(NOON) == []
    assert manager.account.source.latest.at is NOON


def test_what_grows_is_brought_to_the_time_asked_for():
    class Growing(Market):
        def get_data(self, timestamp):
            data = super().get_data(timestamp)
            data["protocol_data"]["aave"]["USDT"]["liquidity_index"] = 1.0 if timestamp == NOON else 1.1
            return data

    manager = manager_of({"wallet": {"USDT": 1000}}, market=Growing())
    assert manager.account.accrues() is False
    manager.execute(NOON, act("supply"))
    assert manager.account.accrues() is True
    manager.settle(LATER)
    assert manager.positions.positions == held(aave={"aUSDT": 1100})
    state = manager.positions.state
    manager.settle(LATER)
    assert manager.positions.state.positions() == state.positions()


def test_exposures_are_the_balances_what_is_in_transit_and_the_perps():
    manager = manager_of({"binance": {"USDT": 10_000}, "bybit": {"USDT": 200}})
    manager.execute(NOON, trade("sell", 1, trade_type="perp"))
    manager.execute(NOON, send("bybit", "wallet", 100))
    exposures, perps = manager.account.exposures(manager.account.source.latest)
    assert [(row.venue, row.held_as, row.token, row.amount) for row in exposures] == [
        ("in_transit", "USDT", "USDT", Decimal(99)), ("binance", "USDT", "USDT", Decimal(10_000)), ("bybit", "USDT", "USDT", Decimal(100)),
    ]  # fmt: skip
    assert [(row.venue, row.symbol, row.base) for row in perps] == [("binance", "ETHUSDT", Decimal(-1))]


@pytest.mark.parametrize("instants", [[1, 1, 1], [1, 2, 1, 2], [5, 4, 3], [2, 1, 2, 1]])
def test_no_two_calls_of_one_instant_have_the_same_place_and_each_run_gives_the_same_places(instants):
    places, again = Places(), Places()
    found = [(instant, places.next(instant)) for instant in instants]
    assert len(set(found)) == len(found)
    assert [(instant, again.next(instant)) for instant in instants] == found


FOUR_HOURS = timedelta(hours=4) - timedelta(minutes=10)


@pytest.mark.parametrize(("microseconds", "found"), [(-1, None), (0, 0), (1, 0)])
def test_what_falls_due_just_then_is_found_and_nothing_else(microseconds, found):
    manager = manager_of({"binance": {"USDT": 10_000}})
    manager.execute(NOON, trade("sell", 1, trade_type="perp"))
    funding = to_instant(NOON + FOUR_HOURS)
    due = manager.account.next_due(funding + microseconds)
    assert due == (None if found is None else funding + found)


def test_with_nothing_on_its_way_nothing_falls_due():
    manager = manager_of({"binance": {"USDT": 10_000}})
    manager.execute(NOON, trade())
    assert manager.account.next_due(to_instant(NOON + timedelta(hours=9))) is None


def test_what_fell_due_is_a_report_of_its_own():
    manager = manager_of({"binance": {"USDT": 10_000}})
    manager.execute(NOON, trade("sell", 1, trade_type="perp"))
    at = NOON + FOUR_HOURS
    deltas = Deltas.at("binance", {"USDT": Decimal("0.33")})
    assert manager.settle(at) == [
        ExecutionReport(
            key=f"funding:binance:{to_instant(at):x}:0",
            venue="binance",
            at=at,
            kind="funding",
            deltas=deltas,
            expected=deltas,
            costs=(Cost("funding", "USDT", Decimal("-0.33")),),
            details={"symbol": "ETHUSDT", "rate": "0.0001", "mark": "3300", "position": "-1", "missing": False},
            recorded=True,
        )
    ]


def test_what_falls_due_is_recorded_once_whichever_of_two_managers_of_a_handler_settles_it():
    positions = PositionUpdateHandler({"binance": {"USDT": 10_000}})
    managers = [manager_of(positions) for _ in range(2)]
    for manager in managers:
        manager.settle(NOON)
    managers[0].execute(NOON, trade("sell", 1, trade_type="perp"))
    found = [report.kind for manager in managers for report in manager.settle(NOON + FOUR_HOURS)]
    assert (found, positions.positions) == (["funding"], held(binance={"USDT": "10000.33", "ETHUSDT-PERP": -1}))


def test_what_falls_due_at_one_instant_has_keys_of_its_own():
    manager = manager_of({"bybit": {"USDT": 1000}})
    for amount in (100, 200, 300):
        manager.execute(NOON, send("bybit", "binance", amount))
    reports = manager.settle(NOON + timedelta(minutes=5))
    assert (len(reports), len({report.key for report in reports})) == (3, 3)


def test_exposures_are_of_the_initial_positions_where_nothing_has_been_executed_yet():
    manager = manager_of({"aave": {"aUSDT": 1000, "variableDebtWETH": "0.1"}, "binance": {"USDT": 5}})
    exposures, perps = manager.account.exposures(manager.account.market(NOON))
    assert ([(row.venue, row.held_as, row.token, row.amount) for row in exposures], perps) == (
        [
            ("binance", "USDT", "USDT", Decimal(5)),
            ("aave", "aUSDT", "USDT", Decimal(1000)),
            ("aave", "variableDebtWETH", "WETH", Decimal("-0.1")),
        ],
        [],
    )


def test_without_positions_nothing_grows():
    assert manager_of().account.accrues() is False


def test_settling_at_an_instant_records_what_falls_due_right_then_and_moves_the_time():
    manager = manager_of({"binance": {"USDT": 10_000}})
    manager.execute(NOON, trade("sell", 1, trade_type="perp"))
    found, funding = manager.account, NOON + FOUR_HOURS
    (report,) = settle_at(found, funding)
    assert (report.kind, report.at, report.deltas) == ("funding", funding, Deltas.at("binance", {"USDT": Decimal("0.33")}))
    assert manager.positions.positions["binance"]["USDT"] == 10_000 + Decimal("0.33")
    assert found.next_due(to_instant(funding)) is None
    assert settle_at(found, NOON) == []
    assert found.next_due(to_instant(funding)) is None
