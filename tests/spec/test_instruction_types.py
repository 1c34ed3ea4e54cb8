"""Instruction Types: the three examples give the deltas that stand next to them."""

from __future__ import annotations

import copy

import pytest

from .examples import EXAMPLES, NOON, manager


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_gives_its_own_estimated_deltas(name):
    assert manager().route_instruction(NOON, EXAMPLES[name]) == EXAMPLES[name]["estimated_deltas"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_callers_block_is_not_changed(name):
    block = copy.deepcopy(EXAMPLES[name])
    manager().route_instruction(NOON, block)
    assert block == EXAMPLES[name]


@pytest.mark.parametrize("action", ["supply", "borrow", "withdraw", "repay"])
def test_lending_actions_need_no_more_than_prices(action):
    block = {**EXAMPLES["smart_contract_action"], "action": action}
    assert set(manager().route_instruction(NOON, block)["aave"]) == {
        "USDT",
        "aUSDT" if action in ("supply", "withdraw") else "variableDebtUSDT",
    }


def test_actions_are_chained_atomically():
    supply = EXAMPLES["smart_contract_action"]
    borrow = {"protocol": "aave", "action": "borrow", "token": "WETH", "amount": 0.1}
    chain = {"instruction_type": "smart_contract_action", "atomic": True, "sub_instructions": [supply, borrow]}
    assert manager().route_instruction(NOON, chain) == {"aave": {"USDT": -1000.0, "aUSDT": 1000.0, "WETH": 0.1, "variableDebtWETH": 0.1}}
