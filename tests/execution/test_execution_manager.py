"""Plans: all of them or none, one after another, and never a leg lost in an error."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from basis_strategy_v1 import DataProvider, ExecutionManager, PositionUpdateHandler
from basis_strategy_v1.core.market import MissingData, StaleSeries
from basis_strategy_v1.execution.pretrade_check import Problem, _follows

from ..world import AT, chain, refused, write_bars
from .test_live_manager import BOUGHT, REJECTED, REVERTED
from .trading import CONFIG, NOON, act, held, manager_of, send, trade

HELD = {"binance": {"USDT": 10_000}, "wallet": {"USDT": 500}}


def execution(positions=None, **parts):
    handler = PositionUpdateHandler(positions) if positions is not None else None
    manager = manager_of(handler, **parts)
    return manager, ExecutionManager(CONFIG, manager, handler)


def test_a_plan_gives_a_report_for_each_block_and_moves_the_positions_once():
    manager, executor = execution(HELD)
    reports = executor.execute_blocks(NOON, [trade(), send("binance", "wallet", 500), act("supply", amount=1000)])
    assert [report.venue for report in reports] == ["binance", "binance", "aave"]
    assert manager.positions.positions == held(binance={"USDT": 6200, "ETH": 1}, aave={"aUSDT": 1000})


def test_a_plan_with_a_leg_that_would_fail_is_refused_whole_with_all_problems():
    manager, executor = execution(HELD)
    error = refused(executor.execute_blocks, NOON, [trade(), trade("buy", 9), act("supply", amount=9999)])
    assert (error.error_code, error.partial_deltas) == ("EXM-001", {})
    assert error.message == (
        "nothing was sent. step 1: buy of 9 ETHUSDT needs 29700 USDT, binance holds 6700; use less or move USDT there first; "
        "step 2: aave supply needs 9999 USDT, wallet holds 500; use less or move USDT there first"
    )
    assert (manager.positions.positions, manager.routing_count) == (held(**HELD), 0)


def test_one_block_fails_with_its_own_error():
    _, executor = execution(HELD)
    assert refused(executor.execute_blocks, NOON, [trade("buy", 9)]).error_code == "EIM-001"


def test_an_empty_plan_gives_no_reports():
    assert execution()[1].execute_blocks(NOON, []) == []


@pytest.mark.parametrize("plan", [None, "cex_trade", b"", {}, trade(), 7])
def test_what_is_no_list_of_blocks_is_refused(plan):
    error = refused(execution()[1].execute_blocks, NOON, plan)
    assert (error.error_code, error.message.startswith("a plan must be a list of instruction blocks, got")) == ("EXM-001", True)


def test_without_a_position_handler_the_reports_are_all_there_is():
    (report,) = execution()[1].execute_blocks(NOON, [trade()])
    assert report.deltas.as_floats() == {"binance": {"ETH": 1.0, "USDT": -3300.0}}


def live_error(live_run, plan, **faults):
    """What a plan ends with whose last step the venue refuses."""
    made = live_run(faults=faults)
    return refused(ExecutionManager(CONFIG, made.manager, made.manager.positions).execute_blocks, NOON, plan)


def test_a_leg_that_the_venue_rejects_reports_what_the_legs_before_it_moved(live_run):
    error = live_error(live_run, [trade(), trade("sell", venue="bybit")], bybit=[REJECTED])
    assert (error.error_code, error.partial_deltas) == ("EXM-001", BOUGHT)


def test_what_a_sequence_moved_before_it_failed_is_added_to_what_the_legs_before_it_moved(live_run):
    plan = [trade(), act("supply"), chain(act("supply"), act("supply"), atomic=False)]
    error = live_error(live_run, plan, wallet=[None, None, REVERTED])
    assert error.partial_deltas == {**BOUGHT, "aave": {"USDT": -2000.0, "aUSDT": 2000.0}}


def test_what_a_sequence_moved_at_a_venue_that_no_leg_before_it_touched_is_reported_too(live_run):
    error = live_error(live_run, [trade(), chain(act("supply"), act("supply"), atomic=False)], wallet=[None, REVERTED])
    assert error.partial_deltas == {**BOUGHT, "aave": {"USDT": -1000.0, "aUSDT": 1000.0}}


def test_what_a_sequence_moved_of_another_token_stands_with_what_the_legs_before_it_moved(live_run):
    wrap = act("wrap", "ETH", 2, "wallet")
    plan = [wrap, act("supply", "USDT", 1), chain(act("supply", "WETH", 1), act("supply", "WETH", 1), atomic=False)]
    error = live_error(live_run, plan, wallet=[None, None, None, REVERTED])
    moved = {"USDT": -1.0, "aUSDT": 1.0, "WETH": -1.0, "aWETH": 1.0}
    assert error.partial_deltas == {"wallet": {"ETH": -2.0, "WETH": 2.0}, "aave": moved}


def test_a_plan_that_fails_for_old_prices_only_says_so_by_its_kind(tmp_path):
    for venue in ("binance", "bybit"):
        write_bars(tmp_path, venue, "spot", "ETHUSDT", [(3300,)], AT + timedelta(hours=8))
    _, executor = execution(HELD, market=DataProvider(tmp_path))
    error = refused(executor.execute_blocks, NOON, [trade(), trade(venue="bybit")])
    assert (type(error), error.error_code, "2024-06-01T08:00:00Z" in error.message) == (StaleSeries, "DAT-002", True)
    assert error.message == refused(executor.execute_blocks, NOON, [trade()]).message
    for plan in ([trade(), trade(symbol="BTCUSDT")], [trade(symbol="BTCUSDT"), trade()]):  # one of the series is not there at all
        error = refused(executor.execute_blocks, NOON, plan)
        assert (type(error), error.error_code) == (MissingData, "DAT-001")
    assert refused(executor.execute_blocks, NOON, [trade(), {}]).error_code == "EXM-001"
    assert (
        refused(executor.execute_blocks, NOON, [trade(), send("binance", "wallet", 10**9)]).error_code == "DAT-002"
    )  # its proceeds are not there
    assert refused(executor.execute_blocks, NOON, [send("binance", "wallet", 10**9), trade()]).error_code == "EXM-001"


def test_a_repeated_plan_moves_nothing_again():
    manager, executor = execution(HELD)
    plan = [trade(instruction_id="a"), send("binance", "wallet", 500, instruction_id="b")]
    first = executor.execute_blocks(NOON, plan)
    again = executor.execute_blocks(NOON, plan)
    assert [report.deltas for report in again] == [report.deltas for report in first]
    assert manager.positions.positions["binance"] == {"USDT": Decimal(6200), "ETH": Decimal(1)}


def test_what_is_no_list_of_blocks_is_shown():
    assert refused(execution()[1].execute_blocks, NOON, 7).message == "a plan must be a list of instruction blocks, got 7; nothing was sent"


def test_a_handler_of_its_own_is_given_each_report_by_the_execution_manager():
    seen = []

    class Handler(PositionUpdateHandler):
        def update_state(self, timestamp, trigger_source, execution_deltas=None):
            seen.append((timestamp, trigger_source, execution_deltas))
            return super().update_state(timestamp, trigger_source, execution_deltas)

    handler = Handler(HELD)
    reports = ExecutionManager(CONFIG, manager_of(handler), handler).execute_blocks(NOON, [trade(), act("supply", amount=500)])
    assert seen == [(NOON, "execution_manager", report) for report in reports]


def test_its_config_is_the_one_that_it_was_given():
    assert execution()[1].config is CONFIG


def test_what_was_simulated_to_look_at_a_plan_is_not_simulated_again(tmp_path):
    write_bars(tmp_path, "binance", "spot", "ETHUSDT", [(3300,)], AT + timedelta(hours=11))
    manager, executor = execution(HELD, market=DataProvider(tmp_path))
    simulated = []
    venue = manager.account.venues["binance"]
    venue.simulate = lambda *given, simulate=venue.simulate: simulated.append(given[0]) or simulate(*given)
    manager.execute(NOON, trade("buy", "0.1"))
    executor.execute_blocks(NOON, [trade("buy", "0.2"), trade("buy", "0.3")])
    assert [str(instruction.amount) for instruction in simulated] == ["0.1", "0.2", "0.3"]


def test_a_leg_that_would_fill_nothing_keeps_the_other_from_being_sent():
    manager, executor = execution(HELD)
    error = refused(executor.execute_blocks, NOON, [trade(order_type="limit", price=10**6, side="sell"), send("binance", "wallet", 500)])
    assert error.error_code == "EXM-001" and "would fill nothing: its limit is 1000000, the price" in error.message
    assert manager.instructions_routed == 0


def test_a_fault_of_the_very_block_whose_price_is_too_old_is_its_own():
    stale, own = Problem(0, "DAT-002", "too old"), Problem(0, "EIM-001", "less than one lot")
    assert [_follows(own._replace(step=step), stale, [trade(), trade()]) for step in (0, 1)] == [False, True]
