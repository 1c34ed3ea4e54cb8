"""A simulated transaction says what each of its steps did, with every amount as a number."""

from __future__ import annotations

from decimal import Decimal

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.instructions import parse_instruction
from basis_strategy_v1.venues.chain import resolved_instruction

from ..world import action, chain, market, rich, run, trade, transfer, venues

VENUES, MARKET = venues(), market()
RICH = rich(VENUES, MARKET)
LOOP = chain(
    action("wallet", "unwrap", "WETH", 5),
    action("lido", "stake", "ETH", {"output_of": 0, "fraction": "0.5"}, token_out="wstETH"),
    action(
        "aave", "flash_loan", "USDT", 100,
        sub_instructions=[action("aave", "supply", "WETH", "all"), action("morpho", "flash_loan", "WETH", 1, sub_instructions=[
            action("aave", "borrow", "USDC", 7)])],
    ),
    action("aave", "withdraw", "WETH", 3),
)  # fmt: skip


def test_the_steps_are_in_their_order_a_loan_before_those_that_run_while_it_is_out():
    moved = run(LOOP, VENUES, RICH, MARKET)
    assert [(step.action.protocol, step.action.action, step.action.token, step.action.amount) for step in moved.results] == [
        ("wallet", "unwrap", "WETH", Decimal(5)),
        ("lido", "stake", "ETH", Decimal("2.5")),
        ("aave", "flash_loan", "USDT", Decimal(100)),
        ("aave", "supply", "WETH", Decimal(495)),
        ("morpho", "flash_loan", "WETH", Decimal(1)),
        ("aave", "borrow", "USDC", Decimal(7)),
        ("aave", "withdraw", "WETH", Decimal(3)),
    ]


def test_the_deltas_and_costs_of_the_steps_and_the_gas_are_those_of_the_whole():
    moved = run(LOOP, VENUES, RICH, MARKET)
    gas = [cost for cost in moved.costs if cost.source == "gas"]
    paid = Deltas.at("wallet", {"ETH": -gas[0].amount})
    assert Deltas.total([*(step.deltas for step in moved.results), paid]) == moved.deltas
    of_steps = [cost for step in moved.results for cost in step.costs]
    assert sorted([*of_steps, *gas], key=repr) == sorted(moved.costs, key=repr)
    assert moved.results[2].deltas == Deltas.at("aave", {"USDT": Decimal("-0.05")})


def test_the_resolved_instruction_has_numbers_for_all_amounts_and_is_otherwise_the_same():
    moved = run(LOOP, VENUES, RICH, MARKET)
    found = resolved_instruction(parse_instruction(LOOP), moved)
    given = parse_instruction(
        chain(
            action("wallet", "unwrap", "WETH", 5),
            action("lido", "stake", "ETH", "2.5", token_out="wstETH"),
            action(
                "aave", "flash_loan", "USDT", 100,
                sub_instructions=[action("aave", "supply", "WETH", 495), action("morpho", "flash_loan", "WETH", 1, sub_instructions=[
                    action("aave", "borrow", "USDC", 7)])],
            ),
            action("aave", "withdraw", "WETH", 3),
        )
    )  # fmt: skip
    assert found == given
    again = run(LOOP, VENUES, RICH, MARKET)
    assert resolved_instruction(given, again) == given


def test_an_action_on_its_own_is_one_step():
    block = action("aave", "supply", "WETH", "all")
    moved = run(block, VENUES, RICH, MARKET)
    assert [step.action.amount for step in moved.results] == [Decimal(500)]
    assert resolved_instruction(parse_instruction(block), moved) == parse_instruction(action("aave", "supply", "WETH", 500))


def test_trades_and_transfers_have_no_steps_and_are_resolved_as_they_are():
    for block in (trade("bybit", "buy", "ETHUSDT", 1), transfer("wallet", "bybit", "USDT", 10)):
        moved = run(block, VENUES, RICH, MARKET)
        assert (moved.steps, moved.results) == ((), ())
        assert resolved_instruction(parse_instruction(block), moved) == parse_instruction(block)
