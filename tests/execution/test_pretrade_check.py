"""A plan before it is sent: all problems of all steps of all legs at once, and nothing done."""

from __future__ import annotations

import copy
from datetime import timedelta

import pytest

from basis_strategy_v1 import EventLogger, PositionUpdateHandler
from basis_strategy_v1.core.clock import SimulatedClock

from ..world import chain, refused
from .trading import CONFIG, NOON, WITH_GAS, Market, act, manager_of, send, trade

HELD = {"binance": {"USDT": 10_000, "ETH": 1}, "bybit": {"USDT": 1000}, "wallet": {"USDT": 5000, "ETH": 1, "WETH": 1}}
LOAN = {"instruction_type": "smart_contract_action", "protocol": "aave", "action": "flash_loan", "token": "WETH", "amount": 10}
NO_PRICE = trade("buy", 1, symbol="DOGEUSDT")


def problems(*blocks, positions=HELD, config=CONFIG, market=None):
    return [tuple(problem) for problem in manager_of(positions, config, market).preflight(NOON, list(blocks))]


def test_a_plan_that_would_go_through_has_none():
    assert problems(trade("sell"), send("binance", "wallet", 3000), act("supply", amount=8000)) == []


def test_an_empty_plan_has_none():
    assert problems() == []


BAD = {
    "a balance": (trade("buy", 4), "EIM-001", "buy of 4 ETHUSDT needs 13200 USDT, binance holds 10000; use less or move USDT there first"),
    "a minimum": (trade("buy", "0.001"), "EIM-001", "binance takes no spot order below 5 USDT; 0.001 ETH at 3300 is 3.3"),
    "a lot size": (trade("buy", "0.00001"), "EIM-001", "binance trades ETHUSDT spot in lots of 0.0001; 0.00001 is less than one"),
    "a withdrawal minimum": (send("bybit", "wallet", 5), "EIM-001", "bybit pays out no less than 10 USDT (fee 1), got 5; transfer more"),
    "a venue": (trade(venue="okx"), "EIM-002", "venue okx is not configured; configured are binance, bybit: add it under venues.cex"),
    "an action": (
        act("stake"), "EIM-001", "aave has supply, withdraw, borrow, repay, set_emode, flash_loan; got stake",
    ),
    "a block": ({}, "EIM-001", "instruction_type must be one of cex_trade, smart_contract_action, wallet_transfer, got none"),
}  # fmt: skip


@pytest.mark.parametrize(("block", "code", "message"), BAD.values(), ids=BAD)
def test_a_problem_says_what_sending_would_say(block, code, message):
    assert problems(block) == [(0, code, message)]
    error = refused(manager_of(HELD).route_instruction, NOON, block)
    assert (error.error_code, error.message) == (code, message)


@pytest.mark.parametrize("block", [trade("sell", 20, trade_type="perp", venue="binance"), act("borrow", "WETH", 1)])
def test_margin_and_health_are_looked_at(block):
    held = {"binance": {"USDT": 100}, "wallet": {"USDT": 1}}
    (problem,) = problems(block, positions=held)
    assert problem == (0, "EIM-001", refused(manager_of(held).route_instruction, NOON, block).message)


def test_all_problems_of_all_legs_come_at_once():
    plan = [row[0] for row in BAD.values()]
    assert problems(*plan) == [(index, code, message) for index, (_, code, message) in enumerate(BAD.values())]


def test_a_step_counts_on_what_those_before_it_leave():
    assert problems(trade("buy", 3), trade("sell", 4), trade("buy", 4)) == []
    assert [problem[0] for problem in problems(trade("sell", 4), trade("buy", 3))] == [0]


def test_a_step_that_fails_counts_as_not_there():
    assert problems(trade("buy", 4), trade("buy", 3)) == [(0, *BAD["a balance"][1:])]


def test_several_problems_within_one_chain_name_their_steps():
    plan = chain(act("supply", amount=6000), act("supply", amount=4000), act("borrow", "WETH", 50), act("stake", "USDT", 1, "lido"))
    found = problems(plan)
    assert [(step, code, message.split(":")[0]) for step, code, message in found] == [
        (0, "EIM-001", "step 0 (aave supply)"), (0, "EIM-001", "step 2 (aave borrow)"), (0, "EIM-001", "step 3 (lido stake)"),
    ]  # fmt: skip
    assert refused(manager_of(HELD).route_instruction, NOON, plan).message == found[0][2]


def test_a_chain_that_names_an_unknown_venue_is_looked_at_to_its_end():
    found = problems(chain(act("supply", protocol="morpho", market="wstETH/WETH"), act("supply", amount=6000)))
    assert [(code, message.split(":")[0]) for _, code, message in found] == [
        ("EIM-002", "step 0 (morpho supply)"), ("EIM-001", "step 1 (aave supply)"),
    ]  # fmt: skip


def test_the_first_problem_of_a_chain_is_what_sending_it_says():
    for plan in (
        chain(act("supply", amount=6000)),
        chain(act("supply"), act("supply", protocol="nowhere")),
        chain(act("supply", amount=6000), atomic=False),
        {**LOAN, "sub_instructions": [act("supply", "WETH", 1), act("supply", amount=6000)]},
    ):
        first = problems(plan)[0]
        error = refused(manager_of(HELD).route_instruction, NOON, plan)
        assert first[1:] == (error.error_code, error.message)


def test_what_hangs_on_a_step_that_fails_is_not_reported_twice():
    steps = (act("withdraw", amount=10), act("supply", amount={"output_of": 0}), act("supply", amount=6000))
    for atomic in (True, False):
        found = problems(chain(*steps, atomic=atomic))
        assert [message.split(":")[0] for _, _, message in found] == ["step 0 (aave withdraw)", "step 2 (aave supply)"]


def test_an_output_that_is_there_is_used():
    steps = (act("supply", amount=1000), act("withdraw", amount=400), act("supply", amount={"output_of": 1}), act("supply", amount=4001))
    for atomic in (True, False):
        found = problems(chain(*steps, atomic=atomic))
        assert [message.split(":")[0] for _, _, message in found] == ["step 3 (aave supply)"]


def test_the_problems_within_a_flash_loan_name_both_steps():
    loan = {**LOAN, "sub_instructions": [act("supply", amount=6000), act("supply", "WETH", 1), act("borrow", "WETH", 99)]}
    inner = ["step 0 (aave supply)", "step 2 (aave borrow)"]
    assert [message.split(": ")[0] for _, _, message in problems(loan)] == inner
    found = problems(chain(loan, act("supply", amount=7000)))
    assert [message.split(": ")[:2] for _, _, message in found[:2]] == [["step 0 (aave flash_loan)", name] for name in inner]
    assert found[2][2].startswith("step 1 (aave supply)")
    sequence = problems(chain(loan, act("supply", amount=7000), atomic=False))
    assert [message.split(":")[0] for _, _, message in sequence] == ["step 0 (aave flash_loan)"] * 2 + ["step 1 (aave supply)"]


def test_a_flash_loan_of_an_unknown_lender_is_reported_once():
    loan = {**LOAN, "protocol": "morpho", "sub_instructions": [act("supply", amount=6000)]}
    assert [code for _, code, _ in problems(loan)] == ["EIM-002"]


def test_a_flash_loan_that_cannot_be_paid_back_is_reported_as_a_whole():
    loan = {**LOAN, "sub_instructions": [act("supply", "WETH", 5)]}
    (found,) = problems(loan)
    assert "owes" in found[2]


AT_THE_SNAPSHOTS_PRICE = {**WITH_GAS, "venues": {**WITH_GAS["venues"], "onchain": {**WITH_GAS["venues"]["onchain"], "wallet": {}}}}


@pytest.mark.parametrize("config", [WITH_GAS, AT_THE_SNAPSHOTS_PRICE], ids=["configured", "of the snapshot"])
def test_gas_is_looked_at_once_for_a_chain(config):
    poor = {"wallet": {"USDT": 5000, "ETH": "0.0001"}}
    both = chain(act("supply", amount=100), act("supply", amount=6000))
    assert [message.split(" ")[0] for _, _, message in problems(both, positions=poor, config=config)] == ["step", "gas"]
    fine = chain(act("supply", amount=100), act("supply", amount=100))
    assert [message.split(" ")[0] for _, _, message in problems(fine, positions=poor, config=config)] == ["gas"]
    rich = {"wallet": {"USDT": 5000, "ETH": 1}}
    assert [message.split(" ")[0] for _, _, message in problems(both, positions=rich, config=config)] == ["step"]


def test_atomic_chaining_that_is_off_hides_no_other_problem():
    found = problems(chain(act("supply", amount=6000), act("supply")), config={**CONFIG, "enable_atomic_chaining": False})
    assert [message.split(":")[0] for _, _, message in found] == ["an atomic chain is refused", "step 0 (aave supply)"]


def test_an_estimate_that_is_missed_is_a_problem():
    asked = trade("buy", 1, estimated_deltas={"binance": {"ETH": 1, "USDT": -3000}}, max_deviation_bps=10)
    (found,) = problems(asked)
    assert "worse than estimated_deltas" in found[2]


def test_a_missing_price_is_a_problem_of_its_step():
    assert [(step, code) for step, code, _ in problems(trade(), NO_PRICE, trade("buy", 4))] == [(1, "DAT-001"), (2, "EIM-001")]


def test_an_instruction_that_is_known_would_be_replayed():
    manager = manager_of(HELD)
    manager.route_instruction(NOON, trade("buy", 3, instruction_id="a1"))
    again = trade("buy", 3, instruction_id="a1")
    assert manager.preflight(NOON, [again, trade("buy", "0.01", instruction_id="b"), trade("buy", "0.01", instruction_id="b")]) == []


def test_an_id_of_a_step_that_fails_is_still_free():
    found = problems(trade("buy", 4, instruction_id="a"), trade("buy", 5, instruction_id="a"))
    assert [step for step, _, _ in found] == [0, 1]


@pytest.mark.parametrize("plan", [None, {}, "cex_trade", b"", 7, trade()])
def test_what_is_no_list_is_refused(plan):
    error = refused(manager_of().preflight, NOON, plan)
    assert (error.error_code, error.message.startswith("a plan must be a list of instruction blocks, got")) == ("EIM-001", True)


def test_a_naive_time_is_refused():
    assert refused(manager_of().preflight, NOON.replace(tzinfo=None), [trade()]).error_code == "EIM-001"


def test_nothing_is_changed_counted_or_logged(tmp_path):
    handler = PositionUpdateHandler(HELD)
    with EventLogger(tmp_path, clock=SimulatedClock(NOON)) as logger:
        manager = manager_of(handler, event_logger=logger)
        state, seen = handler.state, (manager.get_state_snapshot(), manager._health_check(), manager.account.source.latest)
        blocks = [trade(), act("supply"), chain(act("supply"), act("supply", amount=9999)), {}, send("bybit", "wallet")]
        asked = copy.deepcopy(blocks)
        manager.preflight(NOON + timedelta(days=1), blocks)
        assert handler.state is state
        assert (manager.get_state_snapshot(), manager._health_check(), manager.account.source.latest) == seen
        assert blocks == asked
        first = manager.execute(NOON, trade()).key
    assert len((tmp_path / "events" / "execution_interface_manager_events.jsonl").read_text().splitlines()) == 2
    assert first == manager_of(HELD).execute(NOON, trade()).key


def test_without_positions_no_balance_is_looked_at():
    assert problems(trade("buy", 9999), act("borrow", "WETH", 9999), positions=None) == []


def test_nothing_is_sent_live(live_run):
    made = live_run(positions=HELD)
    assert [problem.step for problem in made.manager.preflight(NOON, [trade(), trade("buy", 4)])] == [1]
    assert made.gateways["binance"].calls == []


def test_the_market_is_asked_once_for_a_plan():
    market = Market()
    problems(trade(), act("supply"), chain(act("supply"), act("borrow", "WETH", 99)), market=market)
    assert market.asked == 1


OKX = "venue okx is not configured; configured are binance, bybit, uniswap, aave, lido, wallet: add it under venues.cex or venues.onchain"
UNKNOWN = {
    "a swap": (
        act("swap", "WETH", 1, "curve", token_out="USDT"),
        "venue curve is not configured; configured are uniswap: add it under venues.dex",
    ),
    "a transfer to": (
        send("binance", "okx"),
        OKX,
    ),
    "a transfer from": (
        send("okx", "binance"),
        OKX,
    ),
    "an action": (
        act("supply", protocol="morpho"),
        "venue morpho is not configured; configured are aave, lido, wallet: add it under venues.onchain",
    ),
}


@pytest.mark.parametrize(("block", "message"), UNKNOWN.values(), ids=UNKNOWN)
def test_a_protocol_that_is_not_configured_is_named_with_where_to_add_it(block, message):
    assert problems(block) == [(0, "EIM-002", message)]


def test_an_exchange_has_no_actions():
    assert problems(act("supply", protocol="binance")) == [(0, "EIM-001", "binance has no actions; got supply")]


def test_the_only_step_of_a_loan_is_named_too():
    message = "step 0 (aave stake): aave has supply, withdraw, borrow, repay, set_emode, flash_loan; got stake"
    error = refused(manager_of().route_instruction, NOON, {**LOAN, "sub_instructions": [act("stake")]})
    assert (error.error_code, error.message) == ("EIM-001", message)


def test_what_is_no_list_is_shown():
    assert refused(manager_of().preflight, NOON, 7).message == "a plan must be a list of instruction blocks, got 7"


def test_a_plan_of_too_many_blocks_is_refused_before_it_is_looked_at():
    message = "a plan holds at most 10,000 blocks, got 1,000,000,000; hand in several plans"
    assert refused(manager_of().preflight, NOON, range(10**9)).message == message
    assert refused(manager_of().run_plan, NOON, range(10**9)).message == f"{message}; nothing was sent"


def test_where_no_venue_of_a_kind_is_configured_none_is_named():
    (problem,) = problems(trade(), positions=None, config={**CONFIG, "venues": {"onchain": {"wallet": {}}}})
    assert problem == (0, "EIM-002", "venue binance is not configured; configured are none: add it under venues.cex")


def test_the_only_step_of_a_chain_is_not_numbered():
    error = refused(manager_of().route_instruction, NOON, chain(act("stake")))
    assert error.message == "aave has supply, withdraw, borrow, repay, set_emode, flash_loan; got stake"


def test_a_leg_that_would_fill_nothing_is_a_problem_of_a_plan_of_several_only():
    never = trade("sell", 1, order_type="limit", price=10**6)
    message = "sell of 1 ETHUSDT spot would fill nothing: its limit is 1000000, the price 3300"
    assert problems(send("binance", "wallet", 50), never) == [(1, "EIM-001", message)]
    assert problems(never) == []
