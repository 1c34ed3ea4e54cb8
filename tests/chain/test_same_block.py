"""What others do to the account in the block of its own transaction: the transaction settles, and the rest is reported without it."""

from __future__ import annotations

import pytest
from tests.conformance.chain import call_data

from basis_strategy_v1.core.journal import Status

from .node import ETHER, GWEI, USD
from .test_due import balances_of, compared, contracts_say
from .test_inclusion import begun
from .wallet_trader import action, transfer

pytestmark = pytest.mark.chain

PAY = transfer("USDT", 100, instruction_id="pay")
# A contract that pays its ether to the address that it is called with.
SENDS_ON = "0x600f600c600039600f6000f36000600060006000346000355af100"


def from_other(world, to, data, **more):
    """Hand a transaction of somebody else to the pool of a node that does not mine at once."""
    given = {"from": world.other, "data": data, "gas": hex(3_000_000), **({"to": to} if to else {}), **more, **world.chain.gas_price()}
    return world.chain.rpc("eth_sendTransaction", (given,))


def mined(world):
    world.chain.rpc("anvil_setNextBlockBaseFeePerGas", (hex(GWEI),))
    world.chain.mine()


def block_of(world, hash_):
    return world.chain.rpc("eth_getTransactionReceipt", (hash_,))["blockNumber"]


def is_in_one_block(world, trader, key, hash_):
    return block_of(world, trader.journal.entry(key).messages[-1].client_id) == block_of(world, hash_)


def test_a_wei_that_a_contract_sends_in_the_same_block_does_not_keep_a_payment_open(slow_chain, trade):
    world = slow_chain
    made = from_other(world, None, SENDS_ON)
    world.chain.mine()
    contract = world.chain.rpc("eth_getTransactionReceipt", (made,))["contractAddress"]
    dust = []

    def wait(number):
        if number == 0:
            dust.append(from_other(world, contract, "0x" + world.account[2:].rjust(64, "0"), value="0x1"))
        mined(world)

    trader = begun(trade, wait, confirmations=1)
    trader.execute(PAY)
    assert (trader.status("pay"), is_in_one_block(world, trader, "pay", dust[0])) == (Status.SETTLED, True)
    world.chain.mine()
    assert [(report.kind, str(report.deltas)) for report in trader.settle()] == [
        ("arrival", "Deltas({'wallet': {'ETH': '0.000000000000000001'}})")
    ]
    assert balances_of(trader) == contracts_say(world)


def liquidation(world, trader):
    world.aave.set_price("WETH", 2_900_00000000)
    call = "liquidationCall(address,address,address,uint256,bool)"
    return world.aave.pool, call_data(call, (world.tokens["USDT"], world.tokens["WETH"], world.account, 5 * ETHER, False))


def deposit_as_a_gift(world, trader):
    world.chain.send(world.aave.pool, "supply(address,uint256,address,uint16)", (world.tokens["USDT"], 1000 * USD, world.other, 0))
    return trader.gateway._reader.pools["aave"].reserves["USDT"].a_token, call_data("transfer(address,uint256)", (world.account, 10 * USD))


@pytest.mark.parametrize(("others", "kind"), [(liquidation, "liquidation"), (deposit_as_a_gift, "foreign")])
def test_what_others_do_at_the_pool_in_the_same_block_does_not_keep_a_repayment_open(world, trade, others, kind):
    trader = begun(trade, lambda number: world.chain.mine(), confirmations=1)
    trader.execute(action("supply", "USDT", 100_000))
    trader.execute(action("borrow", "WETH", 29))
    to, data = others(world, trader)
    world.chain.mine()
    trader.settle()
    world.chain.rpc("evm_setAutomine", (False,))
    done = []

    def wait(seconds):
        if not done:
            done.append(from_other(world, to, data))
        mined(world)

    trader.sleep = wait
    trader.open_again()
    trader.start()
    try:
        trader.execute(action("repay", "WETH", 2, instruction_id="rescue"))
        world.chain.mine()
    finally:
        world.chain.rpc("evm_setAutomine", (True,))
    assert (trader.status("rescue"), is_in_one_block(world, trader, "rescue", done[0])) == (Status.SETTLED, True)
    assert kind in [report.kind for report in trader.settle()]
    assert compared(trader).breaks == ()
