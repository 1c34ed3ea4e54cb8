"""What goes wrong between the look at the chain and the block, and what is refused before anything is sent."""

from __future__ import annotations

from decimal import Decimal

import pytest
from msgspec.structs import replace

from basis_strategy_v1.core.error_codes.exceptions import VenueRejected
from basis_strategy_v1.core.journal import Status
from basis_strategy_v1.live import chain_quote

from .node import ETHER
from .wallet_trader import action, in_units, transfer

pytestmark = pytest.mark.chain

MOST_ROUND_TRIPS = 7


@pytest.fixture
def slow_chain(world):
    world.chain.rpc("evm_setAutomine", (False,))
    yield world
    world.chain.rpc("evm_setAutomine", (True,))


def failed_for_its_gas(world, trader, block, why):
    """Execute a block that has no effect; its gas is all that is recorded."""
    before = world.balances()
    with pytest.raises(VenueRejected, match="without effect"):
        trader.execute({**block, "instruction_id": "it"})
    after = world.balances()
    entry = trader.journal.entry("it")
    assert entry.status is Status.FAILED
    assert entry.reports[-1].details["why"] == why
    moved = {name: after[name] - before[name] for name in after if after[name] != before[name] and not name.startswith(("a", "v"))}
    assert in_units(entry.reports[-1].deltas.tokens("wallet")) == moved == {"ETH": after["ETH"] - before["ETH"]}
    assert trader.held()["wallet"]["ETH"] == Decimal(after["ETH"]).scaleb(-18)


def mined_after(trader, happens):
    """Something happens between the sending and the block."""

    def wait(seconds):
        if not done:
            done.append(True)
            happens()
        trader.world.chain.mine()

    done = []
    trader.sleep = wait
    trader.open_again()
    trader.start()


def others_do(world, call):
    """What somebody else does goes into the chain first."""
    pending = world.chain.rpc("txpool_content")["pending"]
    raws = [transaction for each in pending.values() for transaction in each.values()]
    assert len(raws) == 1
    world.chain.rpc("anvil_dropAllTransactions")
    world.chain.rpc("evm_setAutomine", (True,))
    call()
    world.chain.rpc("evm_setAutomine", (False,))


def test_out_of_gas_within_the_transaction_is_a_failure_that_cost_its_gas(world, trade, monkeypatch):
    trader = trade()
    trader.start()
    monkeypatch.setattr(chain_quote, "GAS_ROOM", 0.7)
    monkeypatch.setattr(chain_quote, "GAS_MORE", 0)
    failed_for_its_gas(world, trader, action("supply", "USDT", 1_000), "it was reverted")


def test_an_oracle_that_moves_before_the_block_makes_it_fail_or_takes_it_back(slow_chain, trade):
    world, chain = slow_chain, slow_chain.chain
    chain.rpc("evm_setAutomine", (True,))
    first = trade()
    first.start()
    first.execute(action("supply", "USDT", 100_000))
    first.close()
    chain.rpc("evm_setAutomine", (False,))
    mined_after(first, lambda: others_do(world, lambda: world.aave.set_price("WETH", 2_900_00000000)))
    with pytest.raises(VenueRejected, match="without effect"):
        first.execute(action("borrow", "WETH", 29, instruction_id="it"))
    assert first.status("it") is Status.FAILED
    assert world.balances()["variableDebtWETH"] == 0


def test_an_account_whose_code_is_gone_by_then_has_done_nothing_and_that_is_a_failure(slow_chain, trade):
    trader = trade()
    mined_after(trader, lambda: slow_chain.chain.rpc("anvil_setCode", (slow_chain.account, "0x")))
    failed_for_its_gas(slow_chain, trader, action("supply", "USDT", 1_000), "the account had no code that runs its calls")


def test_an_account_without_the_executor_sends_no_chain_and_says_what_to_do(world, trade):
    world.chain.rpc("anvil_setCode", (world.account, "0x"))
    trader = trade()
    trader.start()
    with pytest.raises(VenueRejected, match="run `basis chain deploy` and `basis chain delegate`"):
        trader.execute(action("supply", "USDT", 1_000))
    assert world.nonce() == 0


def test_an_account_with_other_code_sends_none_either(world, trade):
    world.chain.rpc("anvil_setCode", (world.account, "0xef0100" + "66" * 20))
    trader = trade()
    trader.start()
    with pytest.raises(VenueRejected, match="has other code, 0xef0100666"):
        trader.execute(action("supply", "USDT", 1_000))
    assert world.nonce() == 0


def test_where_simulator_and_node_differ_it_is_refused_with_both_numbers(world, trade, monkeypatch):
    trader = trade()
    trader.start()
    reader = trader.gateway._reader
    read = reader.reading

    def misread(block, answers):
        """An index that is a thousandth too high."""
        found = read(block, answers)
        part = found.state.parts["aave"]
        reserve = part.pool.reserves["USDT"]
        wrong = replace(reserve, liquidity_index_ray=reserve.liquidity_index_ray * 1001 // 1000)
        return replace(found, state=found.state.with_part("aave", replace(part, pool=part.pool.with_reserve("USDT", wrong))))

    monkeypatch.setattr(reader, "reading", misread)
    with pytest.raises(VenueRejected, match=r"aUSDT at aave 1000.* by the simulator, 1001.* by the node"):
        trader.execute(action("supply", "USDT", 1_000, instruction_id="it"))
    assert (trader.status("it"), world.nonce()) == (Status.REJECTED, 0)


def test_what_the_node_says_would_be_reverted_is_refused_with_its_reason(world, trade):
    trader = trade()
    trader.start()
    world.chain.send(world.aave.configurator, "setReservePause(address,bool)", (world.tokens["USDT"], True))
    with pytest.raises(VenueRejected, match="paused"):
        trader.execute(action("supply", "USDT", 1_000))
    assert world.nonce() == 0


def test_what_is_worse_than_estimated_by_the_prices_of_the_oracle_is_refused(world, trade):
    trader = trade()
    trader.start()
    block = action("supply", "USDT", 1_000, estimated_deltas={"aave": {"USDT": -1_000, "aUSDT": 1_010}}, max_deviation_bps=50)
    with pytest.raises(VenueRejected, match="worse than estimated_deltas"):
        trader.execute(block)
    trader.execute({**block, "max_deviation_bps": 150})
    assert world.nonce() == 1


def test_a_transfer_to_an_address_that_is_not_listed_is_refused(world, trade):
    trader = trade()
    trader.start()
    object.__setattr__(trader.gateway._quoting, "_pays_to", lambda venue, token: "0x" + "99" * 20)
    with pytest.raises(VenueRejected, match=r"which is not in limits\.withdrawal_addresses"):
        trader.execute(transfer("USDT", 5))
    assert world.nonce() == 0


def test_an_action_takes_no_more_round_trips_than_allowed(world, trade):
    trader = trade()
    trader.start()
    client = trader.gateway._client
    for block in (transfer("ETH", 1), action("supply", "USDT", 1_000), action("wrap", "ETH", 2, "wallet")):
        order_from = client.round_trips
        trader.execute(block)
        # The look at the protocols is among them, and a second one for the receipt where the first came before the block.
        assert client.round_trips - order_from <= MOST_ROUND_TRIPS + 1
    assert world.balances()["WETH"] == 202 * ETHER
