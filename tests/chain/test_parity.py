"""Random actions and chains, each simulated on the state read before and then sent while others trade: same deltas, same rejections."""

from __future__ import annotations

import random
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal, localcontext

import pytest
from msgspec import structs

from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueRejected
from basis_strategy_v1.core.instruction_steps import top_steps
from basis_strategy_v1.core.instructions import Chain, parse_instruction
from basis_strategy_v1.live.chain_snapshot import ChainSnapshot
from basis_strategy_v1.live.trader_account import pack_batch
from basis_strategy_v1.venues.chain import simulate_transaction
from basis_strategy_v1.venues.transaction_calls import encode_transaction

from ..conformance.chain import TransactionReverted
from .node import ETHER, USD
from .wallet_trader import action, in_units

pytestmark = pytest.mark.chain

AMOUNTS = {"USDT": ("10", "1234.567891", "25000", "60000", "900000", "0.000001"), "WETH": ("0.5", "3.25", "12.000000000000000001", "400")}
STEPS_AT_MOST = 6
OVERPAID = "are owed; repay less"  # which the pool itself would take as "all"


def random_step(chance):
    name = chance.choice(("supply", "supply", "withdraw", "borrow", "borrow", "repay", "wrap", "unwrap"))
    if name in ("wrap", "unwrap"):
        return action(name, "ETH" if name == "wrap" else "WETH", chance.choice(("0.25", "2", "7.5")), "wallet")
    token = chance.choice(("USDT", "WETH"))
    amount = "all" if name in ("withdraw", "repay") and chance.random() < 0.4 else chance.choice(AMOUNTS[token])
    return action(name, token, amount)


def random_block(chance):
    kind = chance.random()
    if kind < 0.45:
        return random_step(chance)
    if kind < 0.6:  # a leveraged entry: what is borrowed is put in again
        loan = action("flash_loan", "WETH", chance.choice(("1", "20.5")), sub_instructions=[
            action("supply", "WETH", chance.choice(("1", "20.5"))), action("borrow", "WETH", chance.choice(("1.1", "21")))])  # fmt: skip
        return {"instruction_type": "smart_contract_action", "atomic": True, "sub_instructions": [loan]}
    steps = [random_step(chance) for _ in range(chance.randint(2, STEPS_AT_MOST))]
    if chance.random() < 0.3:
        steps += [action("borrow", "USDT", "100"), action("supply", "USDT", {"output_of": len(steps), "fraction": "0.75"})]
    return {"instruction_type": "smart_contract_action", "atomic": True, "sub_instructions": steps}


def others_trade(world, chance):
    """Somebody else moves the rates."""
    token = chance.choice(("USDT", "WETH"))
    units = chance.randint(1, 50_000) * USD if token == "USDT" else chance.randint(1, 20) * ETHER
    if chance.random() < 0.5:
        call, args = "supply(address,uint256,address,uint16)", (world.tokens[token], units, world.other, 0)
    else:
        call, args = "borrow(address,uint256,uint256,uint16,address)", (world.tokens[token], units, 2, 0, world.other)
    with suppress(TransactionReverted):  # a cap
        world.chain.send(world.aave.pool, call, args)


def simulated(trader, block, at_s):
    """What the simulator says on the state that is read now, without gas; where it refuses, why."""
    gateway = trader.gateway
    state, market, venues = gateway.look(), ChainSnapshot(at_s, {}), gateway._quoting._venues
    with localcontext(EXACT):
        state = venues["aave"].accrue(state, market)
        try:
            steps = top_steps(parse_instruction(block))
            return simulate_transaction(steps, venues, state, market).deltas
        except VenueRejected as refused:
            return refused.message


def with_numbers(steps):
    """The steps with a number in the place of what is known only at run time."""
    return tuple(
        structs.replace(step, amount=step.amount if isinstance(step.amount, Decimal) else Decimal(1), steps=with_numbers(step.steps))
        for step in steps
    )


def chain_takes(trader, block, at_s):
    """Whether the node executes the calls of a block, in one transaction at that second."""
    at = trader.gateway._reader.deployment
    meant = parse_instruction(block)
    steps = with_numbers(top_steps(meant))
    numbers = structs.replace(meant, steps=steps) if isinstance(meant, Chain) else steps[0]
    data = pack_batch(encode_transaction(meant, numbers, at), (), at_s + 600, at.account)
    call = {"from": at.account, "to": at.account, "data": "0x" + data.hex(), "gas": hex(16_000_000)}
    blocks = [{"blockOverrides": {"time": hex(at_s)}, "calls": [call]}]
    answer = trader.world.chain.rpc("eth_simulateV1", ({"blockStateCalls": blocks}, "latest"))
    return int(answer[0]["calls"][0]["status"], 16) == 1


def without_gas(report):
    gas = sum((cost.amount for cost in report.costs if cost.source == "gas"), Decimal(0))
    return report.deltas + Deltas.at("wallet", {"ETH": gas})


def play(world, trader, seed):
    """One random block; what was reported of it, None where it was refused."""
    chance = random.Random(f"parity {seed}")
    others_trade(world, chance)
    world.clock.shift += timedelta(seconds=chance.choice((1, 60, 3_600, 40_000)))
    at_s = max(int(world.clock.now().timestamp()), world.chain.timestamp()) + 1
    block = random_block(chance)
    expected = simulated(trader, block, at_s)
    is_refused = isinstance(expected, str)
    if not (is_refused and OVERPAID in expected):
        assert is_refused != chain_takes(trader, block, at_s), f"seed {seed}: {block}: {expected}"
    world.chain.set_next_timestamp(at_s)
    try:
        report = trader.execute(block)
    except ComponentError as refused:
        assert is_refused, f"seed {seed}: the simulator takes {block}, the gateway refuses: {refused.message}"
        world.chain.set_next_timestamp(at_s + 1)
        world.chain.mine()
        return None
    assert world.chain.timestamp() == at_s
    assert without_gas(report) == expected, f"seed {seed}: {block}"
    held = trader.held()
    assert in_units(held["wallet"] | held["aave"]) == {name: units for name, units in world.balances().items() if units}
    return report


def units_of(deltas):
    """Base units by token, whatever venue did it."""
    found = {}
    for (_, token), amount in deltas.items():
        found[token] = found.get(token, Decimal(0)) + amount
    return in_units(found)


@pytest.mark.parametrize("seeds", [range(50), pytest.param(range(50, 350), marks=pytest.mark.prove)], ids=["check", "prove"])
def test_random_blocks_give_the_deltas_that_were_simulated_and_with_the_interest_the_balances(world, trade, seeds):
    trader = trade()
    trader.start()
    before = world.balances()
    reports = [report for report in (play(world, trader, seed) for seed in seeds) if report is not None]
    assert len(seeds) / 4 < len(reports) < len(seeds)
    # Interest and deltas together are what the balances have changed by.
    moved = units_of(Deltas.total(one.deltas for report in reports for one in (*report.settlements, report)))
    after = world.balances(hex(reports[-1].details["block"]))
    assert {name: units for name, units in moved.items() if units} == {
        name: after[name] - before[name] for name in after if after[name] != before[name]
    }
