"""Live mode from end to end, over gateways that do what a list says: each instruction exactly once, whatever goes wrong."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from basis_strategy_v1 import ComponentError, EventLogger, ExecutionInterfaceManager, PositionUpdateHandler
from basis_strategy_v1.core.clock import SimulatedClock
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import OutcomeUnknown, VenueRejected, VenueUnreachable
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.instructions import parse_instruction
from basis_strategy_v1.core.state import Account, State
from basis_strategy_v1.execution.gateway import MalformedAnswer, Outcome

from .fake_gateway import FakeGateway, FakeTime, hangs, lost

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
CONFIG = {
    "strategy_mode": "blocks",
    "share_class": "usdt_stable",
    "initial_capital": 10_000,
    "venues": {
        "cex": {"binance": {"spot_taker_fee_bps": 0, "slippage_bps": 0}, "bybit": {"spot_taker_fee_bps": 0, "slippage_bps": 0}},
        "onchain": {"wallet": {"gas_price_gwei": 0}},
    },
}
FILLED = {"binance": {"ETH": 1.0, "USDT": -3301.5}}
FILL = Outcome(
    deltas=Deltas.at("binance", {"ETH": Decimal(1), "USDT": Decimal("-3301.5")}),
    reference="order 71",
    costs=(Cost("fees", "USDT", Decimal("1.5")),),
)
BYBIT_FILL = Outcome(deltas=Deltas.at("bybit", {"ETH": Decimal(1), "USDT": Decimal(-3300)}), reference="b-9")
REFUSED = VenueUnreachable("CEX-002", "connection refused")
REJECTED = VenueRejected("CEX-001", "the account is restricted")
LOST = OutcomeUnknown("CEX-003", "the connection was lost after sending")
NONSENSE = MalformedAnswer("a fill without a price", {"orderId": 71})


class Prices:
    def get_data(self, timestamp):
        return {"timestamp": timestamp, "market_data": {"prices": {"ETH": 3300.0, "USDT": 1.0}}}


def buy(venue="binance", **fields):
    block = {"instruction_type": "cex_trade", "venue": venue, "trade_type": "spot", "side": "buy", "symbol": "ETHUSDT", "amount": 1}
    return {**block, **fields}


class Desk:
    """A live manager with a scripted binance and, beside it, a bybit."""

    def __init__(self, *submits, finds=None, reads=None, bybit=(), config=(), **parts):
        self.time = FakeTime()
        self.binance = FakeGateway(submits, finds, reads)
        self.bybit = FakeGateway(bybit)
        gateways = {"binance": self.binance, "bybit": self.bybit}
        settings = {**CONFIG, **dict(config)}
        self.manager = ExecutionInterfaceManager(settings, Prices(), "live", gateways=gateways, timing=self.time.timing, **parts)

    def route(self, block=None):
        return self.manager.route_instruction(NOON, block or buy())

    def fails(self, block=None):
        with pytest.raises(ComponentError) as raised:
            self.route(block)
        return raised.value

    @property
    def counters(self):
        return self.manager.instructions_routed, self.manager.instructions_failed


# Exactly once.

ONCE = {
    "it is answered": ([FILL], 1, []),
    "it is unreachable at first": ([REFUSED, REFUSED, FILL], 3, [0.1, 0.2]),
    "the answer is lost": ([lost(FILL)], 1, []),
    "it falls silent": ([hangs(FILL)], 1, []),
    "it is unreachable and then falls silent": ([REFUSED, hangs(FILL)], 2, [0.1]),
}


@pytest.mark.parametrize(("script", "submits", "slept"), ONCE.values(), ids=ONCE)
def test_an_instruction_is_executed_once_and_gives_the_venues_deltas_when(script, submits, slept):
    desk = Desk(*script)
    assert desk.route(buy(instruction_id="a1")) == FILLED
    assert (desk.binance.executed, desk.binance.calls.count("submit a1"), desk.time.slept) == (["a1"], submits, slept)
    assert (desk.counters, desk.manager.get_routing_status()["instructions_failed"]) == ((1, 0), 0)


@pytest.mark.parametrize("script", [[FILL], [lost(FILL)], [hangs(FILL)], [REFUSED, FILL]])
def test_a_repeated_id_gives_the_first_deltas_and_asks_nobody(script):
    desk = Desk(*script)
    first = desk.route(buy(instruction_id="a1"))
    asked = list(desk.binance.calls)
    assert (desk.route(buy(instruction_id="a1")), desk.binance.calls, desk.counters) == (first, asked, (1, 0))


def test_a_fill_in_a_client_s_own_kind_of_decimal_is_held_and_its_id_is_not_sent_again():
    class Amount(Decimal):
        pass

    filled = Outcome(deltas=Deltas.at("binance", {"ETH": Amount(1), "USDT": Amount("-3300")}), reference="o1")
    desk = Desk(filled, filled, positions=PositionUpdateHandler({"binance": {"USDT": 10_000}}))
    deltas = [desk.manager.route_instruction(NOON, buy(instruction_id="a1")) for _ in range(2)]
    assert deltas == [{"binance": {"ETH": 1.0, "USDT": -3300.0}}] * 2
    assert desk.binance.executed == ["a1"]
    assert desk.manager.positions.positions == {"binance": {"USDT": Decimal(6700), "ETH": Decimal(1)}}


def test_two_instructions_without_an_id_go_out_under_two_keys():
    desk = Desk(FILL, FILL)
    desk.route()
    desk.route()
    assert len(set(desk.binance.executed)) == 2


def test_the_report_has_the_simulated_deltas_beside_the_venues():
    report = Desk(FILL).manager.execute(NOON, buy(instruction_id="a1"))
    assert (report.kind, report.key, report.venue, report.at, report.reference) == ("execution", "a1", "binance", NOON, "order 71")
    assert report.expected == Deltas.at("binance", {"ETH": Decimal(1), "USDT": Decimal(-3300)})
    assert report.deltas - report.expected == Deltas.at("binance", {"USDT": Decimal("-1.5")})
    assert report.costs == FILL.costs


def test_the_gateway_is_handed_what_the_block_says():
    given = []
    desk = Desk(FILL)
    desk.binance.submit = lambda instruction, key, submit=desk.binance.submit: given.append(instruction) or submit(instruction, key)
    desk.route(buy(instruction_id="a1"))
    assert given == [parse_instruction(buy(instruction_id="a1"))]


# What is not retried.


def test_a_rejection_is_final_and_is_a_routing_failure():
    desk = Desk(REJECTED)
    error = desk.fails()
    assert (error.error_code, error.message, error.original_exception) == ("EIM-001", "the account is restricted", REJECTED)
    assert (len(desk.binance.calls), desk.time.slept, desk.counters) == (1, [], (0, 1))


def test_what_the_simulator_refuses_is_never_sent():
    desk = Desk(positions={"binance": {"USDT": 100}})
    assert (desk.fails().error_code, desk.binance.calls, desk.counters) == ("EIM-001", [], (0, 1))


def test_a_block_that_is_wrong_is_never_sent():
    desk = Desk()
    assert (desk.fails(buy(side="short")).error_code, desk.binance.calls, desk.counters) == ("EIM-001", [], (0, 1))


def test_only_an_unreachable_venue_is_tried_three_times():
    unreachable, rejected, unknown, nonsense = Desk(*[REFUSED] * 3), Desk(REJECTED), Desk(LOST, finds=[None] * 9), Desk(NONSENSE)
    desks = (unreachable, rejected, unknown, nonsense)
    codes = [desk.fails(buy(instruction_id="a1")).error_code for desk in desks]
    assert codes == ["CEX-002", "EIM-001", "CEX-003", "EIM-003"]
    assert [desk.binance.calls.count("submit a1") for desk in desks] == [3, 1, 1, 1]
    assert [desk.counters for desk in desks] == [(0, 1)] * 4


def test_an_instruction_that_stayed_unknown_is_looked_up_when_it_comes_again():
    desk = Desk(lost(FILL), finds=[*[None] * 9, FILL])
    error = desk.fails(buy(instruction_id="a1"))
    assert (type(error), error.error_code, error.severity) == (OutcomeUnknown, "CEX-003", "CRITICAL")
    assert desk.route(buy(instruction_id="a1")) == FILLED
    assert (desk.binance.executed, desk.binance.calls.count("submit a1"), desk.counters) == (["a1"], 1, (1, 1))


# The positions.


def test_positions_are_what_the_venue_says_after_the_fill():
    held = State({"binance": Account({"ETH": Decimal(1), "USDT": Decimal("6698.5")})})
    desk = Desk(FILL, reads=[held], positions={"binance": {"USDT": 10_000}})
    desk.route()
    assert desk.manager.positions.positions == {"binance": {"ETH": Decimal(1), "USDT": Decimal("6698.5")}}


@pytest.mark.parametrize("script", [[REJECTED], [REFUSED] * 3, [LOST]])
def test_positions_stay_as_they_were_where_nothing_is_known_to_have_happened(script):
    desk = Desk(*script, finds=[None] * 9, positions={"binance": {"USDT": 10_000}})
    desk.fails()
    assert desk.manager.positions.positions == {"binance": {"USDT": Decimal(10_000)}}


# The breaker.


def exhausted(*then, bybit=(), **parts):
    """A desk whose binance could not be reached for three instructions in a row."""
    desk = Desk(*[REFUSED] * 9, *then, bybit=bybit, **parts)
    assert [desk.fails().error_code for _ in range(3)] == ["CEX-002"] * 3
    return desk


def test_a_venue_that_failed_three_times_is_unavailable_while_another_trades_on():
    desk = exhausted(bybit=[BYBIT_FILL])
    asked = len(desk.binance.calls)
    error = desk.fails()
    assert (error.error_code, error.severity, len(desk.binance.calls)) == ("EIM-002", "HIGH", asked)
    assert error.message.startswith("binance is unavailable after 3 failures in a row, to be tried again in 60.0 s; not sent")
    assert desk.route(buy("bybit")) == {"bybit": {"ETH": 1.0, "USDT": -3300.0}}
    assert desk.counters == (1, 4)


def test_after_a_minute_a_probe_is_sent_and_its_answer_makes_the_venue_available():
    desk = exhausted(FILL, FILL)
    desk.time.now_s += 59
    assert desk.fails().error_code == "EIM-002"
    desk.time.now_s += 1
    assert [desk.route(), desk.route()] == [FILLED, FILLED]
    assert desk.counters == (2, 4)


def test_a_probe_that_fails_leaves_the_venue_unavailable_for_another_minute():
    desk = exhausted(*[REFUSED] * 3, FILL)
    desk.time.now_s += 60
    assert [desk.fails().error_code, desk.fails().error_code] == ["CEX-002", "EIM-002"]
    desk.time.now_s += 60
    assert desk.route() == FILLED


def test_the_number_of_failures_and_of_attempts_are_the_configs():
    config = {"max_retries_per_venue": 1, "max_retry_attempts": 2, "retry_delay_seconds": 0.5}
    desk = Desk(REFUSED, REFUSED, config=config)
    assert [desk.fails().error_code, desk.fails().error_code] == ["CEX-002", "EIM-002"]
    assert (len(desk.binance.calls), desk.time.slept) == (2, [0.5])


# A venue without a gateway.


def test_a_venue_without_a_gateway_is_unavailable_and_is_named():
    desk = Desk()
    error = desk.fails({"instruction_type": "smart_contract_action", "protocol": "wallet", "action": "wrap", "token": "ETH", "amount": 1})
    assert (error.error_code, desk.counters) == ("EIM-002", (0, 1))
    assert error.message.startswith("wallet has no live gateway")


def test_without_any_gateways_a_live_manager_sends_nothing():
    manager = ExecutionInterfaceManager(CONFIG, Prices(), "live")
    with pytest.raises(ComponentError) as raised:
        manager.route_instruction(NOON, buy())
    assert (raised.value.error_code, raised.value.message.split(";")[0]) == ("EIM-002", "binance has no live gateway")


def test_a_backtest_never_asks_a_gateway():
    gateway = FakeGateway()
    manager = ExecutionInterfaceManager(CONFIG, Prices(), "backtest", gateways={"binance": gateway})
    assert (manager.route_instruction(NOON, buy()), gateway.calls) == ({"binance": {"ETH": 1.0, "USDT": -3300.0}}, [])


# Counters and events.


def test_the_counters_of_four_threads_are_exact_and_every_instruction_is_executed_once():
    desk = Desk(*[REFUSED, FILL] * 100, bybit=[BYBIT_FILL, REJECTED] * 50)
    blocks = [buy(instruction_id=f"a{index}") for index in range(100)] + [buy("bybit", instruction_id=f"b{index}") for index in range(100)]

    def send(block):
        try:
            desk.route(block)
        except ComponentError:
            return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(send, blocks))
    assert desk.counters == (150, 50)
    assert sorted(desk.binance.executed) == sorted(block["instruction_id"] for block in blocks[:100])
    assert (len(set(desk.bybit.executed)), len(desk.bybit.executed)) == (50, 50)


EVENTS = {
    "an answer": ([FILL], ["execution"]),
    "a rejection": ([REJECTED], ["error", "instruction_routing_failed"]),
    "an unreachable venue": ([REFUSED] * 3, ["error", "instruction_routing_failed"]),
    "an unknown outcome": ([LOST], ["error", "instruction_routing_failed"]),
    "a malformed answer": ([NONSENSE], ["error", "execution_delta_aggregation_failed"]),
}


@pytest.mark.parametrize(("script", "events"), EVENTS.values(), ids=EVENTS)
def test_what_became_of_it_is_in_the_event_log_after(script, events, tmp_path):
    with EventLogger(tmp_path, "live", clock=SimulatedClock(NOON)) as logger:
        desk = Desk(*script, finds=[None] * 9, event_logger=logger)
        try:
            desk.route()
        except ComponentError as error:
            logged_code = error.error_code
        else:
            logged_code = None
    lines = (tmp_path / "events" / "execution_interface_manager_events.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines][1:]
    assert [row["event_type"] for row in rows] == events
    assert rows[0]["data"].get("error_code") == logged_code
