"""The manager beyond the specification's sentences: ids, sequences, time, threads, and a log that cannot be written."""

from __future__ import annotations

import decimal
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from basis_strategy_v1 import ComponentError, EventLogger, ExecutionInterfaceManager, PositionUpdateHandler, load_config
from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.clock import SimulatedClock, to_instant
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import VenueRejected
from basis_strategy_v1.core.execution_report import ExecutionReport
from basis_strategy_v1.core.instructions import parse_instruction
from basis_strategy_v1.core.journal import automatic_key

from ..simulated_live_run import REFUSED
from ..world import AT, chain, refused, write_bars
from .trading import CONFIG, NOON, VENUES, WITH_GAS, Market, act, held, manager_of, send, trade

LATER = NOON + timedelta(hours=1)
BOUGHT = {"binance": {"ETH": 1.0, "USDT": -3300.0}}


def events_of(folder):
    lines = (folder / "events" / "execution_interface_manager_events.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


# Ids.


def test_an_execution_is_logged_whole():
    manager = manager_of(clock=SimulatedClock(NOON))
    deltas = Deltas.at("binance", {"ETH": Decimal(1), "USDT": Decimal(-3300)})
    assert [manager.execute(NOON, trade()) for _ in range(2)] == [
        ExecutionReport(
            key=automatic_key("", to_instant(NOON), place, parse_instruction(trade())), venue="binance", at=NOON, kind="execution",
            deltas=deltas, expected=deltas, costs=(), reference="simulated", details={"filled": Decimal(1), "price": Decimal(3300)},
        )
        for place in ("0", "1")
    ]  # fmt: skip


def test_a_repeated_id_executes_nothing_and_counts_nothing():
    manager = manager_of({"binance": {"USDT": 5000}})
    first = manager.execute(NOON, trade(instruction_id="a1"))
    again = manager.execute(LATER, trade(instruction_id="a1"))
    assert (first.replayed, again.replayed, again.deltas, again.at) == (False, True, first.deltas, NOON)
    assert (manager.instructions_routed, manager.routing_count, len(manager.routing_history)) == (1, 1, 1)
    assert manager.positions.positions == held(binance={"USDT": 1700, "ETH": 1})


DIFFERENT = {
    "an amount": (trade("buy", 7), 'amount was "1", now it is "7"'),
    "a side": (trade("sell"), 'side was "buy", now it is "sell"'),
    "a type": (send("binance", "bybit"), "it was a CexTrade, now it is a WalletTransfer"),
}


@pytest.mark.parametrize(("block", "difference"), DIFFERENT.values(), ids=DIFFERENT)
def test_an_id_that_is_used_for_another_block_is_refused_with_the_difference(block, difference):
    manager = manager_of({"binance": {"USDT": 50_000}})
    manager.execute(NOON, trade(instruction_id="a1"))
    block = {**block, "instruction_id": "a1"}
    message = f"instruction_id 'a1' belongs to another instruction: {difference}; choose another id"
    assert refused(manager.execute, LATER, block).message == message
    assert [problem.message for problem in manager.preflight(LATER, [block])] == [message]
    assert manager.positions.positions == held(binance={"USDT": 46_700, "ETH": 1})


def test_an_id_that_is_in_a_plan_twice_is_executed_once():
    manager = manager_of({"binance": {"USDT": 50_000}})
    first, again = manager.run_plan(NOON, [trade(instruction_id="a1"), trade(instruction_id="a1")])
    assert (first.replayed, again.replayed, again.deltas) == (False, True, first.deltas)
    assert manager.positions.positions == held(binance={"USDT": 46_700, "ETH": 1})
    error = refused(manager.run_plan, NOON, [trade(instruction_id="a2"), trade("sell", instruction_id="a2")])
    assert error.message.startswith("nothing was sent. step 1: instruction_id 'a2' belongs to another instruction: side was")


def test_an_id_whose_instruction_failed_is_free_again():
    manager = manager_of({"binance": {"USDT": 5000}})
    refused(manager.route_instruction, NOON, trade("buy", 2, instruction_id="a1"))
    assert manager.route_instruction(NOON, trade(instruction_id="a1")) == BOUGHT


def test_a_report_that_no_account_has_recorded_is_of_other_origin():
    manager = manager_of({"binance": {"USDT": 5000}})
    done = manager.execute(NOON, trade())
    foreign = ExecutionReport("of somebody else", "binance", NOON, "execution", Deltas.at("binance", {"USDT": Decimal(5)}), Deltas())
    handed_in = [manager.positions.update_state(NOON, "manual", report) for report in (done, foreign, done)]
    assert handed_in == [{}, {"binance": {"USDT": 5.0}}, {}]


def test_an_automatic_key_is_no_instruction_id():
    manager = manager_of({"binance": {"USDT": 10_000}})
    first = manager.execute(NOON, trade())
    assert "instruction_id" in refused(manager.execute, NOON, trade(instruction_id=first.key)).message


def test_the_key_of_a_plan_step_depends_on_run_instant_place_and_content_alone():
    plan = [trade(), trade("sell")]
    first, again = (manager_of({"binance": {"USDT": 10_000}}).run_plan(NOON, plan) for _ in range(2))
    assert [report.key for report in first] == [report.key for report in again]
    other = manager_of({"binance": {"USDT": 50_000}})
    keys = {report.key for at in (NOON, NOON, LATER) for report in other.run_plan(at, [trade(), trade()])}
    assert len(keys) == 6


@pytest.mark.parametrize("atomic", [True, False])
def test_the_report_of_an_id_is_known_however_often_it_is_handed_in(atomic):
    manager = manager_of({"wallet": {"ETH": 5}})
    steps = [act("wrap", "ETH", amount, "wallet") for amount in (1, 2)]
    block = chain(*steps, atomic=atomic, instruction_id="a1")
    report = manager.execute(NOON, block)
    assert [manager.positions.update_state(NOON, "manual", report) for _ in range(3)] == [{}, {}, {}]
    assert manager.positions.positions == held(wallet={"ETH": 2, "WETH": 3})


def test_an_id_is_executed_once_whichever_of_two_managers_of_a_handler_is_asked():
    positions = PositionUpdateHandler({"binance": {"USDT": 10_000}})
    managers = [manager_of(positions) for _ in range(2)]
    reports = [manager.execute(NOON, trade(instruction_id="a1")) for manager in managers]
    assert ([report.replayed for report in reports], positions.positions) == ([False, True], held(binance={"USDT": 6700, "ETH": 1}))


def test_after_a_handler_has_begun_again_an_id_is_free_again():
    positions = PositionUpdateHandler({"binance": {"USDT": 10_000}})
    manager = manager_of(positions)
    manager.execute(NOON, trade(instruction_id="a1"))
    positions.hold({"binance": {"USDT": 5000}})
    assert not manager.execute(NOON - timedelta(hours=5), trade(instruction_id="a1")).replayed
    assert positions.positions == held(binance={"USDT": 1700, "ETH": 1})


def test_the_key_is_the_id_or_a_name_that_no_other_instruction_has():
    manager = manager_of()
    times = (NOON, LATER, NOON, LATER, NOON)
    keys = [manager.execute(at, trade()).key for at in times]
    again = manager_of()
    assert (len(set(keys)), [again.execute(at, trade()).key for at in times]) == (5, keys)
    assert manager.execute(NOON, trade(instruction_id="mine")).key == "mine"


# Chains that are not atomic.

SUPPLY_THEN_TOO_MUCH = (act("supply", amount=1000), act("supply", amount=4000), act("supply", amount=9999))


def test_what_happened_before_a_failure_stays_and_is_in_the_error():
    manager = manager_of({"wallet": {"USDT": 5000}})
    error = refused(manager.route_instruction, NOON, chain(*SUPPLY_THEN_TOO_MUCH, atomic=False))
    assert (type(error), error.error_code, error.message.split(": ")[0]) == (VenueRejected, "EIM-001", "step 2 (aave supply)")
    assert error.partial_deltas == {"aave": {"USDT": -5000.0, "aUSDT": 5000.0}}
    assert manager.positions.positions == held(aave={"aUSDT": 5000})
    assert (manager.instructions_routed, manager.instructions_failed) == (0, 1)


def test_a_first_step_that_fails_leaves_nothing():
    manager = manager_of({"wallet": {"USDT": 5000}})
    error = refused(manager.route_instruction, NOON, chain(act("supply", amount=9999), act("supply"), atomic=False))
    assert (error.partial_deltas, manager.positions.positions) == ({}, held(wallet={"USDT": 5000}))


def test_a_sequence_gives_one_report_with_the_deltas_and_details_of_its_steps():
    manager = manager_of({"wallet": {"ETH": 3, "USDT": 1000}}, WITH_GAS)
    report = manager.execute(NOON, chain(act("supply"), act("wrap", "ETH", 1, "wallet"), atomic=False, instruction_id="s"))
    gas = report.costs[0].amount + report.costs[1].amount
    assert report.deltas == Deltas.nested(
        {"aave": {"USDT": Decimal(-1000), "aUSDT": Decimal(1000)}, "wallet": {"ETH": -1 - gas, "WETH": Decimal(1)}}
    )
    assert (report.key, report.venue, report.expected, report.reference) == ("s", "aave", report.deltas, "simulated")
    assert [cost.source for cost in report.costs] == ["gas", "gas"]
    assert set(report.details) == {"step_0", "step_1"}


def test_a_sequence_without_an_id_has_an_automatic_key():
    block = chain(act("supply"), act("supply"), atomic=False)
    assert manager_of().execute(NOON, block).key == automatic_key("", to_instant(NOON), "0", parse_instruction(block))


def test_a_step_takes_what_an_earlier_one_paid_out():
    manager = manager_of()
    steps = (act("withdraw", amount=400), act("supply", amount={"output_of": 0, "fraction": "0.5"}))
    assert manager.route_instruction(NOON, chain(*steps, atomic=False)) == {"aave": {"USDT": 200.0, "aUSDT": -200.0}}


def test_an_output_that_is_not_there_is_a_rejection_of_its_step():
    steps = (act("withdraw", amount=400), act("supply", "WETH", amount={"output_of": 0}))
    error = refused(manager_of().route_instruction, NOON, chain(*steps, atomic=False))
    assert (error.error_code, error.message) == ("EIM-001", "step 1 (aave supply): step 0 paid out USDT, not WETH")


def test_a_sequence_that_is_repeated_under_its_id_goes_on_where_it_failed():
    manager = manager_of({"wallet": {"USDT": 5000}})
    plan = chain(*SUPPLY_THEN_TOO_MUCH, atomic=False, instruction_id="s")
    refused(manager.execute, NOON, plan)
    manager.positions.update_state(NOON, "deposit", {"wallet": {"USDT": 9999}})
    report = manager.execute(NOON, plan)
    assert report.deltas == Deltas.at("aave", {"USDT": Decimal(-14999), "aUSDT": Decimal(14999)})
    assert manager.positions.positions == held(aave={"aUSDT": 14999})
    assert manager.execute(NOON, plan).replayed


def failing_at_the_second_step(error):
    """A manager whose lender raises an error at the second of its calls."""
    manager = manager_of()
    venue = manager.account.venues["aave"]
    simulate, calls = venue.simulate, []

    def breaks(*of):
        calls.append(of)
        if len(calls) == 2:
            raise error
        return simulate(*of)

    venue.simulate = breaks
    return manager


def test_a_foreign_error_within_a_sequence_keeps_what_had_moved():
    manager = failing_at_the_second_step(ZeroDivisionError("a fault of the venue"))
    error = refused(manager.execute, NOON, chain(act("supply"), act("supply"), atomic=False))
    assert error.message == "step 1 (aave supply): routing failed: ZeroDivisionError: a fault of the venue"
    assert type(error.original_exception.__cause__) is ZeroDivisionError
    assert error.partial_deltas == {"aave": {"USDT": -1000.0, "aUSDT": 1000.0}}


def test_a_sequence_is_logged_as_one_execution():
    report = manager_of().execute(NOON, chain(act("supply"), act("withdraw", amount=400), atomic=False, instruction_id="s"))
    deltas = Deltas.at("aave", {"USDT": Decimal(-600), "aUSDT": Decimal(600)})
    assert report == ExecutionReport(
        key="s", venue="aave", at=NOON, kind="execution", deltas=deltas, expected=deltas, costs=(), reference="simulated",
        details={"step_0": {}, "step_1": {}},
    )  # fmt: skip


def test_a_sequence_without_an_id_begins_again():
    manager = manager_of({"wallet": {"USDT": 5000}})
    refused(manager.execute, NOON, chain(act("supply"), act("supply", amount=9999), atomic=False))
    report = manager.execute(NOON, chain(act("supply"), act("supply"), atomic=False))
    assert report.deltas == Deltas.at("aave", {"USDT": Decimal(-2000), "aUSDT": Decimal(2000)})
    assert manager.positions.positions == held(wallet={"USDT": 2000}, aave={"aUSDT": 3000})


def test_sequences_of_two_ids_have_nothing_to_do_with_each_other():
    manager = manager_of({"wallet": {"USDT": 5000}})
    refused(manager.execute, NOON, chain(act("supply"), act("supply", amount=9999), atomic=False, instruction_id="a"))
    report = manager.execute(NOON, chain(act("supply"), act("supply"), atomic=False, instruction_id="b"))
    assert report.deltas == Deltas.at("aave", {"USDT": Decimal(-2000), "aUSDT": Decimal(2000)})
    assert manager.positions.positions == held(wallet={"USDT": 2000}, aave={"aUSDT": 3000})


def test_the_error_of_a_step_keeps_its_code_its_component_and_its_cause():
    stale = ComponentError("DAT-005", "the gas is too old", "Gas", "CRITICAL")
    error = refused(failing_at_the_second_step(stale).execute, NOON, chain(act("supply"), act("supply"), atomic=False))
    assert (error.error_code, error.message) == ("DAT-005", "step 1 (aave supply): the gas is too old")
    assert (error.component, error.severity, error.original_exception) == ("Gas", "CRITICAL", stale)


def test_a_chain_is_logged_as_a_chain(tmp_path):
    manager = manager_of(event_logger=EventLogger(tmp_path, "live"))
    manager.execute(NOON, chain(act("supply"), act("withdraw", amount=400)))
    assert events_of(tmp_path)[-1]["data"]["action"] == "chain"


def test_planning_and_settling_are_exact_in_whatever_decimal_context_the_caller_has():
    manager = manager_of({"binance": {"USDT": 10_000}}, market=Market(ETH=3333.33))
    with decimal.localcontext(prec=3):
        problems = manager.preflight(NOON, [trade("sell", "1.2345", trade_type="perp"), trade("buy", "3.0001")])
        manager.execute(NOON, trade("sell", "1.2345", trade_type="perp"))
        (funding,) = manager.settle(NOON.replace(hour=16, minute=0))
    assert problems == manager_of({"binance": {"USDT": 10_000}}, market=Market(ETH=3333.33)).preflight(
        NOON, [trade("sell", "1.2345", trade_type="perp"), trade("buy", "3.0001")]
    )
    assert funding.deltas == Deltas.at("binance", {"USDT": Decimal("0.411332922")})


# Positions of a shared handler.

PLANS = {
    "one instruction": trade(),
    "an atomic chain": chain(act("supply"), act("withdraw", amount=400)),
    "a sequence": chain(act("supply"), act("withdraw", amount=400), atomic=False),
    "a transfer": send("binance", "bybit"),
}


@pytest.mark.parametrize("form", ["report", "deltas", "floats"])
@pytest.mark.parametrize("block", PLANS.values(), ids=PLANS)
def test_deltas_that_are_handed_in_again_are_not_added_again(block, form):
    handler = PositionUpdateHandler({"binance": {"USDT": 9000}, "wallet": {"USDT": 9000, "ETH": 1}})
    report = manager_of(handler).execute(NOON, block)
    after = handler.positions
    given = {"report": report, "deltas": report.deltas, "floats": report.deltas.as_floats()}[form]
    assert (handler.update_state(NOON, "execution_manager", given), handler.positions) == ({}, after)


def test_the_same_deltas_handed_in_twice_are_added_the_second_time():
    handler = PositionUpdateHandler({"binance": {"USDT": 9000}})
    deltas = manager_of(handler).route_instruction(NOON, trade())
    assert [handler.update_state(NOON, "manual", deltas) for _ in range(2)] == [{}, deltas]
    assert handler.positions == held(binance={"USDT": 2400, "ETH": 2})


@pytest.mark.parametrize("form", ["report", "floats"])
def test_a_replayed_instruction_is_not_added_either(form):
    handler = PositionUpdateHandler({"binance": {"USDT": 9000}})
    manager = manager_of(handler)
    for _ in range(3):
        report = manager.execute(NOON, trade(instruction_id="a1"))
        handler.update_state(NOON, "execution_manager", report if form == "report" else report.deltas.as_floats())
    assert handler.positions == held(binance={"USDT": 5700, "ETH": 1})


def test_the_partial_deltas_of_a_sequence_are_confirmed():
    handler = PositionUpdateHandler({"wallet": {"USDT": 5000}})
    error = refused(manager_of(handler).execute, NOON, chain(*SUPPLY_THEN_TOO_MUCH, atomic=False))
    assert handler.update_state(NOON, "execution_manager", error.partial_deltas) == {}
    assert handler.positions == held(aave={"aUSDT": 5000})


def test_what_fell_due_is_confirmed():
    handler = PositionUpdateHandler({"bybit": {"USDT": 500}})
    manager = manager_of(handler)
    manager.execute(NOON, send("bybit", "binance", 100))
    (arrival,) = manager.settle(NOON + timedelta(minutes=5))
    assert (arrival.kind, arrival.deltas) == (
        "arrival", Deltas.nested({"in_transit": {"USDT": Decimal(-99)}, "binance": {"USDT": Decimal(99)}}),
    )  # fmt: skip
    assert handler.update_state(NOON, "execution_manager", arrival) == {}
    assert handler.positions == held(bybit={"USDT": 400}, binance={"USDT": 99})


def test_a_mapping_of_positions_is_taken_too():
    assert manager_of({"binance": {"USDT": "10.5"}}).positions.positions == held(binance={"USDT": "10.5"})


def test_the_config_may_be_loaded_already():
    settings = load_config(CONFIG)
    assert ExecutionInterfaceManager(settings, Market(), "backtest").settings is settings


# Settlements.


def test_what_fell_due_is_logged_with_its_id_and_amounts(tmp_path):
    with EventLogger(tmp_path) as logger:
        manager = manager_of({"bybit": {"USDT": 500}}, event_logger=logger)
        manager.execute(NOON, send("bybit", "binance", 100))
        (arrival,) = manager.settle(NOON + timedelta(minutes=5))
    event = events_of(tmp_path)[-1]
    assert (event["event_type"], event["timestamp"]) == ("settlement", "2024-06-01T12:15:00Z")
    assert event["data"] == {
        "key": arrival.key, "kind": "arrival", "venue": "binance", "details": arrival.details,
        "deltas": {"in_transit": {"USDT": "-99"}, "binance": {"USDT": "99"}},
        "costs": [],
    }  # fmt: skip


def test_what_grew_on_chain_is_settled_and_logged_before_an_instruction_there(tmp_path):
    class Growing(Market):
        def get_data(self, timestamp):
            data = super().get_data(timestamp)
            data["protocol_data"]["aave"]["USDT"]["liquidity_index"] = 1.0 if timestamp == NOON else 1.1
            return data

    with EventLogger(tmp_path) as logger:
        manager = manager_of({"wallet": {"USDT": 5000}}, market=Growing(), event_logger=logger)
        manager.execute(NOON, act("supply"))
        manager.execute(LATER, act("withdraw", amount="all"))
    assert [event["event_type"] for event in events_of(tmp_path)[1:]] == ["execution", "settlement", "execution"]
    assert manager.positions.positions == held(wallet={"USDT": 5100})


def test_without_positions_nothing_falls_due():
    manager = manager_of()
    manager.route_instruction(NOON, act("supply"))
    assert manager.settle(LATER) == []


# Bounds, threads, contexts.


def test_the_history_keeps_the_last_ten_thousand_or_as_many_as_asked_for():
    manager = manager_of(history=3)
    for hour in range(5):
        manager.route_instruction(NOON + timedelta(hours=hour), trade())
    assert [row["timestamp"].hour for row in manager.routing_history] == [14, 15, 16]
    assert manager.get_state_snapshot()["routing_history_length"] == 3
    assert manager_of().record.history.maxlen == 10_000


def test_the_state_snapshot_is_all_of_the_state_as_plain_values():
    manager = manager_of()
    manager.route_instruction(NOON, trade())
    assert manager.get_state_snapshot() == {
        "current_instruction": trade(), "instructions_routed": 1, "instructions_failed": 0, "routing_count": 1,
        "last_routing_timestamp": NOON, "venue_interfaces": ["binance", "bybit", "uniswap", "aave", "lido", "wallet"],
        "routing_history_length": 1,
    }  # fmt: skip


def test_four_threads_spend_every_dollar_once():
    handler = PositionUpdateHandler({"binance": {"USDT": 330_000}})
    manager = manager_of(handler)

    def work(index):
        try:
            report = manager.execute(NOON, trade())
        except ComponentError:
            return 0
        handler.update_state(NOON, "execution_manager", report)
        manager.get_routing_status(), manager.get_state_snapshot(), manager.routing_history, manager._health_check()
        manager.preflight(NOON, [trade()])
        handler.update_state(NOON, "deposit", {"wallet": {"USDT": 1}})
        return 1

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(work, range(150))) == 100
    assert (manager.instructions_routed, manager.instructions_failed) == (100, 50)
    assert handler.positions == held(binance={"ETH": 100}, wallet={"USDT": 100})


def test_two_managers_of_one_handler_take_turns():
    handler = PositionUpdateHandler({"binance": {"USDT": 330_000}})
    managers = [manager_of(handler), manager_of(handler)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda index: managers[index % 2].execute(NOON, trade()), range(100)))
    assert handler.positions == held(binance={"ETH": 100})


CALLS = {
    "route_instruction": lambda manager: manager.route_instruction(NOON, trade()),
    "a failure": lambda manager: refused(manager.route_instruction, NOON, {}),
    "settle": lambda manager: manager.settle(NOON),
    "preflight": lambda manager: manager.preflight(NOON, [trade(), {}]),
    "an interface": lambda manager: manager.interfaces["binance"].execute_trade(trade()),
    "the position handler": lambda manager: manager.positions.update_state(NOON, "deposit", {"binance": {"USDT": 1}}),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_callers_decimal_context_stays_as_it_was(call):
    with decimal.localcontext() as mine:
        mine.prec = 7
        call(manager_of({"binance": {"USDT": 10_000}}))
        assert decimal.getcontext() is mine
        assert mine.prec == 7


def test_within_the_exact_context_nothing_is_switched():
    with decimal.localcontext(EXACT):
        mine = decimal.getcontext()
        decimal.setcontext(EXACT)
        assert manager_of().route_instruction(NOON, trade()) == BOUGHT
        assert decimal.getcontext() is EXACT
        decimal.setcontext(mine)


def test_amounts_are_exact_whatever_the_callers_precision_is():
    amount = "1.123456789012345678901234567"
    venues = {"cex": {"binance": {**VENUES["cex"]["binance"], "lot": "1e-27"}}}
    with decimal.localcontext() as mine:
        mine.prec = 5
        manager = manager_of({"binance": {"USDT": 10_000}}, {**CONFIG, "venues": venues})
        manager.execute(NOON, trade("buy", amount))
        manager.interfaces["binance"].execute_trade(trade("buy", amount))
        assert manager.positions.positions["binance"]["ETH"] == Decimal("2.246913578024691357802469134")


# Times.


@pytest.mark.parametrize("at", [None, "2024-06-01", 1717243200, NOON.replace(tzinfo=None)])
def test_what_is_no_time_is_refused_and_logged_at_the_clocks(at, tmp_path):
    with EventLogger(tmp_path) as logger:
        manager = manager_of(event_logger=logger, clock=SimulatedClock(NOON))
        assert refused(manager.route_instruction, at, trade()).error_code == "EIM-001"
        assert refused(manager.update_state, at, "manual").error_code == "EIM-001"
    assert manager.last_routing_timestamp is None
    assert [(event["event_type"], event["timestamp"]) for event in events_of(tmp_path)[1:]] == [
        ("error", "2024-06-01T12:10:00Z"), ("instruction_routing_failed", "2024-06-01T12:10:00Z"),
    ]  # fmt: skip


def test_a_backtest_is_initialised_at_its_start_and_live_at_the_clock(tmp_path):
    for mode, at in (("backtest", "2024-01-01T00:00:00Z"), ("live", "2024-06-01T12:10:00Z")):
        with EventLogger(tmp_path / mode, mode) as logger:
            manager_of(config={**CONFIG, "start": "2024-01-01"}, execution_mode=mode, event_logger=logger, clock=SimulatedClock(NOON))
        assert [event["timestamp"] for event in events_of(tmp_path / mode)] == [at]


def test_gas_is_free_where_it_costs_nothing_or_there_is_no_chain():
    only_cex = {**CONFIG, "venues": {"cex": ["binance"]}}
    assert [manager_of(config=config).gas_is_free() for config in (CONFIG, WITH_GAS, only_cex)] == [True, False, True]


# Live.


def test_live_the_time_an_update_took_is_measured(live_run, tmp_path):
    with EventLogger(tmp_path / "logs", "live") as logger:
        made = live_run(event_logger=logger)

        def slow(message, send=made.gateways["binance"].send):
            made.time.now_s += 0.25
            return send(message)

        made.gateways["binance"].send = slow
        made.manager.update_state(NOON, "manual", trade())
    assert events_of(tmp_path / "logs")[-1]["data"]["processing_time_ms"] == 250.0
    assert made.manager._health_check()["metrics"]["avg_processing_time_ms"] == 250.0


class Full:
    """A log on a disk that is full for a while."""

    def __init__(self):
        self.is_full = False
        self.written = []

    def log_event(self, timestamp, event_type, component, data):
        if self.is_full:
            raise ComponentError("LOG-001", "the disk is full")
        self.written.append(event_type)


def test_live_nothing_more_is_sent_until_what_was_done_can_be_logged(live_run):
    log = Full()
    made = live_run(event_logger=log)
    manager = made.manager
    log.is_full = True
    assert manager.route_instruction(NOON, trade(instruction_id="a1")) == BOUGHT
    for call in (manager.route_instruction, lambda at, block: manager.run_plan(at, [block])):
        assert refused(call, NOON, trade(instruction_id="a2")).error_code == "LOG-001"
    assert made.executed == ["a1"]
    log.is_full = False
    manager.route_instruction(NOON, trade(instruction_id="a2"))
    assert (made.executed, log.written) == (["a1", "a2"], ["component_initialization", "execution", "execution"])


def test_a_backtest_stops_at_the_first_event_that_cannot_be_written():
    log = Full()
    manager = manager_of(event_logger=log)
    log.is_full = True
    assert refused(manager.route_instruction, NOON, trade()).error_code == "LOG-001"
    assert manager.instructions_routed == 1


def test_an_old_price_is_an_error_and_no_failure_of_the_routing(tmp_path):
    from basis_strategy_v1 import DataProvider

    write_bars(tmp_path / "data", "binance", "spot", "ETHUSDT", [(3300,)], AT + timedelta(hours=8))
    with EventLogger(tmp_path / "logs") as logger:
        manager = manager_of(market=DataProvider(tmp_path / "data"), event_logger=logger)
        error = refused(manager.route_instruction, datetime(2024, 6, 1, 12, tzinfo=UTC), trade())
    assert error.error_code == "DAT-002"
    assert [event["event_type"] for event in events_of(tmp_path / "logs")[1:]] == ["error"]


def test_a_foreign_error_is_in_the_history_under_its_time_and_type():
    class Breaks(Market):
        def get_data(self, timestamp):
            raise ZeroDivisionError("a fault of the provider")

    manager = manager_of(market=Breaks(), clock=SimulatedClock(LATER))
    error = refused(manager.route_instruction, NOON, trade())
    assert (type(error.original_exception), type(error.__cause__)) == (ZeroDivisionError, ZeroDivisionError)
    assert manager.routing_history == [{"timestamp": NOON, "instruction_type": "cex_trade", "success": False, "error": str(error)}]


@pytest.mark.parametrize(("attempts", "status"), [(1, "degraded"), (2, "unhealthy")])
def test_a_failure_in_spite_of_a_retry_is_worse_than_one_without(attempts, status, live_run):
    made = live_run({**CONFIG, "max_retry_attempts": attempts}, faults={"binance": [REFUSED] * attempts})
    refused(made.manager.route_instruction, NOON, trade())
    assert made.manager.get_routing_status()["status"] == status


def test_the_clock_is_the_one_given_or_the_providers():
    class WithClock(Market):
        clock = SimulatedClock(NOON)

    given = SimulatedClock(LATER)
    assert (manager_of(market=WithClock()).clock, manager_of(market=WithClock(), clock=given).clock) == (WithClock.clock, given)


def test_the_health_shows_when_the_last_instruction_was():
    manager = manager_of()
    manager.execute(LATER, trade())
    assert manager.record.health.check()["last_update"] == LATER


def test_a_time_in_another_zone_is_taken_everywhere():
    elsewhere = NOON.astimezone(timezone(timedelta(hours=2)))
    manager = manager_of()
    assert manager.update_state(elsewhere, "manual", trade()) == BOUGHT
    assert manager.preflight(elsewhere, [trade()]) == []
    with decimal.localcontext(EXACT):
        decimal.setcontext(EXACT)
        assert manager.preflight(elsewhere, [trade(), trade("buy", 0)]) == manager_of().preflight(NOON, [trade(), trade("buy", 0)])
    assert manager.last_routing_timestamp == NOON


def test_managers_of_one_handler_take_turns():
    handler = PositionUpdateHandler()
    assert manager_of(handler).account.lock is manager_of(handler).account.lock is handler.lock


def test_a_data_provider_that_changes_the_decimal_context_changes_nothing_here():
    class Careless(Market):
        def get_data(self, timestamp):
            decimal.getcontext().prec = 6
            return super().get_data(timestamp)

    with decimal.localcontext():
        found = manager_of(market=Careless()).execute(NOON, trade("buy", "1.23456789")).deltas
        assert found == manager_of().execute(NOON, trade("buy", "1.23456789")).deltas
        assert (decimal.getcontext().prec, EXACT.prec) == (28, 96)


def test_a_logger_of_ones_own_is_asked_for_every_event(tmp_path):
    class Listening(EventLogger):
        seen, deltas = (), ()

        def log_event(self, timestamp, event_type, component, data):
            self.seen += (event_type,)
            self.deltas += (data.deltas,) if event_type == "execution" else ()
            super().log_event(timestamp, event_type, component, data)

    with Listening(tmp_path) as log:
        manager = manager_of(event_logger=log)
        manager.update_state(NOON, "manual", trade())
        report = manager_of().execute(NOON, trade())
    assert (log.seen, log.deltas) == (("component_initialization", "execution", "state_update"), (report.deltas.amounts,))


def test_a_log_that_was_closed_is_an_error_with_its_code(tmp_path):
    log = EventLogger(tmp_path)
    manager = manager_of(event_logger=log)
    log.close()
    error = refused(manager.execute, NOON, trade())
    assert (error.error_code, "is closed; nothing more can be logged" in error.message) == ("LOG-001", True)


def test_an_action_is_logged_whole(tmp_path):
    with EventLogger(tmp_path) as log:
        manager = manager_of({"wallet": {"USDT": 1000, "ETH": 1}}, WITH_GAS, event_logger=log)
        report = manager.execute(NOON, act("supply", "USDT", 1000))
        manager.execute(NOON, send("wallet", "binance", "0.5", "ETH"))
    supplied, sent = (event["data"] for event in events_of(tmp_path)[1:])
    assert supplied == {
        "key": report.key, "venue": "aave", "instruction_type": "smart_contract_action", "action": "supply",
        "deltas": report.deltas.as_texts(),
        "costs": [{"source": cost.source, "token": cost.token, "amount": str(cost.amount)} for cost in report.costs],
        "reference": "simulated", "details": dict(report.details), "protocol": "aave", "token": "USDT", "amount": 1000,
    }  # fmt: skip
    assert report.costs and report.details
    names = ("instruction_type", "action", "venue", "token", "amount", "to_venue")
    assert {name: sent[name] for name in names} == dict(
        zip(names, ("wallet_transfer", "transfer", "wallet", "ETH", "0.5", "binance"), strict=True)
    )


def test_live_an_instruction_that_took_two_attempts_is_remembered_as_trouble(live_run):
    manager = live_run(faults={"binance": [None, REFUSED]}).manager
    states = []
    for at in (NOON, LATER):
        manager.execute(at, trade())
        states.append((manager.record.health.check()["status"], manager.record.health.check()["last_update"]))
    assert states == [("healthy", NOON), ("degraded", LATER)]


def test_a_failed_update_is_logged_with_what_asked_for_it(tmp_path):
    with EventLogger(tmp_path) as log:
        manager = manager_of({"binance": {"USDT": 1}}, event_logger=log)
        refused(manager.update_state, NOON, "retry", trade())
        manager.update_state(NOON, "manual")
    reported = [event["data"] for event in events_of(tmp_path) if event["event_type"] == "state_update"]
    common = {"instructions_routed": 0, "instructions_failed": 1, "processing_time_ms": 0.0}
    assert reported == [
        {"trigger_source": "retry", "current_instruction_type": "cex_trade", **common},
        {"trigger_source": "manual", "current_instruction_type": None, **common},
    ]
