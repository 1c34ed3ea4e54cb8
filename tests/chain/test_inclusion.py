"""A transaction that no block takes, that is lost, replaced or reorganised away: it ends once or not at all, and the journal says how."""

from __future__ import annotations

from itertools import pairwise

import pytest

from basis_strategy_v1.core.error_codes.exceptions import VenueRejected, VenueUnreachable
from basis_strategy_v1.core.journal import Status
from basis_strategy_v1.live.chain_message import sent_of

from .node import ETHER, EXCHANGE, GWEI, KEY, USD
from .wallet_trader import action, in_units, transfer

pytestmark = pytest.mark.chain

PAY = transfer("USDT", 100, instruction_id="pay")


def begun(trade, each_wait, **given):
    """A trader for whom something happens each time that it waits."""
    trader = trade(**given)
    waits = iter(range(1_000))
    trader.sleep = lambda seconds: each_wait(next(waits))
    trader.open_again()
    trader.start()
    return trader


def paid(world):
    return world.chain.call(world.tokens["USDT"], "balanceOf(address)(uint256)", (EXCHANGE,))


def hashes_of(trader, key="pay"):
    return [message.client_id for message in trader.journal.entry(key).messages]


def fees_of(trader, key="pay"):
    return [sent_of(message).unsigned.fees for message in trader.journal.entry(key).messages]


def test_it_settles_once_the_confirmations_are_on_top_and_not_before(slow_chain, trade):
    seen = []

    def wait(number):
        slow_chain.chain.mine()
        seen.append(trader.status("pay"))

    trader = begun(trade, wait, confirmations=3)
    report = trader.execute(PAY)
    assert seen == [Status.SENT] * len(seen) and len(seen) >= 4
    head = int(slow_chain.chain.rpc("eth_blockNumber"), 16)
    assert head - report.details["block"] >= 3
    assert (trader.status("pay"), paid(slow_chain)) == (Status.SETTLED, 100 * USD)


def test_a_receipt_that_comes_thirty_blocks_late_settles_the_first_hash_or_one_that_replaced_it(slow_chain, trade):
    def wait(number):
        if number == 0:
            slow_chain.chain.rpc("anvil_dropAllTransactions")
        slow_chain.chain.rpc("anvil_mine", ("0xa",)) if number < 3 else slow_chain.chain.mine()

    trader = begun(trade, wait, confirmations=1)
    report = trader.execute(PAY)
    assert report.reference in hashes_of(trader)
    assert paid(slow_chain) == 100 * USD


def test_a_stuck_one_is_replaced_by_the_same_call_with_both_fees_an_eighth_higher(slow_chain, trade):
    chain = slow_chain.chain
    waited = []

    def wait(number):
        waited.append(number)
        if number < 4:  # blocks that are full for it
            chain.rpc("anvil_setNextBlockBaseFeePerGas", (hex(3 * GWEI),))
            chain.mine()
            chain.rpc("anvil_setNextBlockBaseFeePerGas", (hex(3 * GWEI),))
        else:
            chain.rpc("anvil_setNextBlockBaseFeePerGas", (hex(2 * GWEI),))
            chain.mine()

    trader = begun(trade, wait)
    report = trader.execute(PAY)
    fees, hashes = fees_of(trader), hashes_of(trader)
    assert len(fees) >= 2 and report.reference in hashes[1:]
    for before, after in pairwise(fees):
        assert after.most_wei == -(-before.most_wei * 1125 // 1000)
        assert after.priority_wei == -(-before.priority_wei * 1125 // 1000)
    assert len({sent_of(message).unsigned.data for message in trader.journal.entry("pay").messages}) == 1
    assert (paid(slow_chain), slow_chain.nonce()) == (100 * USD, 1)


def test_one_that_would_be_reverted_by_now_is_replaced_by_an_empty_transaction_and_its_gas_recorded(slow_chain, trade):
    chain, aave = slow_chain.chain, slow_chain.aave
    before = slow_chain.balances()

    def wait(number):
        if len(hashes_of(trader)) == 1:  # the pool is paused before a block takes it
            chain.rpc("anvil_dropAllTransactions")
            chain.rpc("evm_setAutomine", (True,))
            chain.send(aave.configurator, "setReservePause(address,bool)", (slow_chain.tokens["USDT"], True))
            chain.rpc("evm_setAutomine", (False,))
        chain.mine()

    trader = begun(trade, wait)
    with pytest.raises(VenueRejected, match="without effect"):
        trader.execute(action("supply", "USDT", 100, instruction_id="pay"))
    assert trader.status("pay") is Status.FAILED
    assert sent_of(trader.journal.entry("pay").messages[-1]).is_empty
    gas = before["ETH"] - int(chain.rpc("eth_getBalance", (slow_chain.account, "latest")), 16)
    assert gas > 0
    assert in_units(trader.journal.entry("pay").reports[-1].deltas.tokens("wallet")) == {"ETH": -gas}


def test_one_that_was_dropped_from_the_pool_is_sent_again_with_the_same_bytes(slow_chain, trade):
    chain = slow_chain.chain

    def wait(number):
        if number == 0:
            chain.rpc("anvil_dropAllTransactions")
        if number > 2:
            chain.mine()

    trader = begun(trade, wait)
    report = trader.execute(PAY)
    assert hashes_of(trader) == [report.reference]
    assert paid(slow_chain) == 100 * USD


def test_one_whose_nonce_was_used_elsewhere_never_happened_and_may_be_sent_again(slow_chain, trade):
    from eth_account import Account

    chain = slow_chain.chain

    def wait(number):
        if number == 0:
            chain.rpc("anvil_dropAllTransactions")
            other = {
                "type": 2, "chainId": 31_337, "nonce": slow_chain.nonce(), "to": "0x" + "11" * 20, "value": 1, "data": "0x", "gas": 21_000,
                "maxFeePerGas": 50 * GWEI, "maxPriorityFeePerGas": GWEI,
            }  # fmt: skip
            chain.rpc("eth_sendRawTransaction", ("0x" + Account.sign_transaction(other, KEY).raw_transaction.hex(),))
        chain.mine()

    trader = begun(trade, wait, confirmations=2)
    with pytest.raises(VenueUnreachable, match="can no longer be"):
        trader.execute(PAY)
    assert (trader.status("pay"), paid(slow_chain)) == (Status.NEVER_HAPPENED, 0)
    trader.execute(PAY)
    assert (trader.status("pay"), paid(slow_chain), slow_chain.nonce()) == (Status.SETTLED, 100 * USD, 2)


def test_one_that_was_reorganised_away_is_followed_into_another_block(slow_chain, trade):
    chain = slow_chain.chain
    first = {}

    def wait(number):
        if number == 1:
            first["block"] = chain.rpc("eth_getTransactionReceipt", (hashes_of(trader)[0],))["blockHash"]
            chain.rpc("anvil_reorg", (1, []))
        else:
            chain.mine()

    trader = begun(trade, wait, confirmations=2)
    report = trader.execute(PAY)
    assert report.details["block_hash"] != first["block"]
    assert hashes_of(trader) == [report.reference]
    assert (paid(slow_chain), slow_chain.nonce()) == (100 * USD, 1)


def test_a_reorganisation_deeper_than_the_confirmations_degrades_health_and_corrects_nothing(world, trade):
    world.chain.rpc("anvil_mine", ("0xa",))
    trader = trade(confirmations=1)
    trader.sleep = lambda seconds: world.chain.mine()
    trader.open_again()
    trader.start()
    trader.execute(PAY)
    world.chain.mine()
    trader.settle()
    held = trader.held()
    world.chain.rpc("anvil_reorg", (6, []))
    world.chain.mine()
    trader.settle()
    health = trader.manager.live.senders.check_health()
    assert health["status"] == "degraded"
    assert "reorganised deeper" in str(health)
    assert trader.held() == held


def test_a_base_fee_twenty_times_as_high_is_refused_by_the_limit_and_nothing_is_sent(world, trade):
    trader = trade()
    trader.start()
    world.chain.rpc("anvil_setNextBlockBaseFeePerGas", (hex(400 * GWEI),))
    world.chain.mine()
    with pytest.raises(VenueRejected, match=r"gwei per gas unit, limits.max_fee_gwei is 200"):
        trader.execute(PAY)
    assert (trader.status("pay"), world.nonce()) == (Status.REJECTED, 0)


def test_too_little_ether_for_gas_is_refused_with_both_numbers(world, trade):
    world.chain.deal(world.account, ETHER // 10**6)
    trader = trade()
    trader.start()
    with pytest.raises(VenueRejected, match=r"gas needs \S+ ETH, wallet holds 0\.000001;"):
        trader.execute(action("supply", "USDT", 100, instruction_id="pay"))
    world.chain.deal(world.account, ETHER // 2_000)  # enough for the gas as it is, not for as much as it may be
    world.chain.mine()
    trader.settle()
    with pytest.raises(VenueRejected, match=r"the wallet has 0\.0005 ETH, the transaction may need 0\.00\d+ with its gas"):
        trader.execute(action("supply", "USDT", 100, instruction_id="pay"))
    assert world.nonce() == 0


def test_the_first_hash_is_found_in_its_block_although_it_was_replaced_before_a_reorganisation(world, trade):
    from basis_strategy_v1.execution.timing import REAL_TIME
    from basis_strategy_v1.execution.venue_calls import VenueCalls
    from basis_strategy_v1.live.chain_message import replaced

    trader = trade()
    trader.start()
    report = trader.execute(PAY)
    entry = trader.journal.entry("pay")
    # The replacement was made while the block with the first was not there; no node has it.
    later = replaced(sent_of(entry.messages[0]), trader.gateway._signer, report.details["block"], is_empty=False).message()
    calls = VenueCalls(trader.gateway, 10, REAL_TIME)
    assert calls.find(entry.order, [later]).reason == "its nonce, 0, is used, and its receipt is not there yet"
    found = calls.find(entry.order, [entry.messages[0], later])
    assert (found.reference, found.deltas) == (report.reference, report.deltas)


def test_never_is_taken_only_once_the_nonce_is_used_by_another_transaction(slow_chain, trade):
    from eth_account import Account

    class Ended(BaseException):
        """The process ends while it waits."""

    def end(seconds):
        raise Ended

    trader = trade(confirmations=1)
    trader.sleep = end
    trader.open_again()
    trader.start()
    with pytest.raises(Ended):
        trader.execute(PAY)
    trader.again()
    slow_chain.chain.rpc("anvil_dropAllTransactions")
    trader.journal.resolve("pay", None, at=slow_chain.clock.now(), by="ann")
    (found,) = trader.manager.live.recovery.once().open
    assert found.reason.startswith(
        "pay is not closed as never happened, because its transaction stays valid until nonce 0 is used: send another transaction of the "
        "account with nonce 0 (0 ETH to itself, at a higher fee), and start again once a block has it; "
    )
    slow_chain.chain.rpc("anvil_dropAllTransactions")
    other = {
        "type": 2, "chainId": 31_337, "nonce": 0, "to": slow_chain.account, "value": 0, "data": "0x", "gas": 21_000,
        "maxFeePerGas": 50 * GWEI, "maxPriorityFeePerGas": GWEI,
    }  # fmt: skip
    slow_chain.chain.rpc("eth_sendRawTransaction", ("0x" + Account.sign_transaction(other, KEY).raw_transaction.hex(),))
    slow_chain.chain.mine()
    slow_chain.chain.mine()
    (closed,) = trader.manager.live.recovery.once().closed
    assert (closed.entry.key, trader.status("pay"), paid(slow_chain)) == ("pay", Status.NEVER_HAPPENED, 0)


def test_an_empty_transaction_may_cost_what_reduces_risk_may(world, trade):
    from msgspec import structs

    from basis_strategy_v1.live.chain_message import replaced

    trader = trade()
    trader.start()
    trader.execute(PAY)
    (message,) = trader.journal.entry("pay").messages
    signer, made = trader.gateway._signer, sent_of(message)
    at_limit = structs.replace(made, most_fee_wei=made.unsigned.fees.most_wei, most_empty_fee_wei=2 * made.unsigned.fees.most_wei)
    assert replaced(at_limit, signer, 1, is_empty=False) is None
    empty = replaced(at_limit, signer, 1, is_empty=True)
    assert empty.unsigned.fees == made.unsigned.fees.raised()
    assert (empty.is_empty, empty.most_empty_fee_wei) == (True, at_limit.most_empty_fee_wei)
