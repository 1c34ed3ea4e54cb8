"""What happens on chain without an order: interest, arrivals, somebody else's doing. Every wei of it is reported once."""

from __future__ import annotations

from decimal import Decimal

import pytest

from basis_strategy_v1.core.instructions import parse_instruction
from basis_strategy_v1.core.journal import Status

from .node import ETHER, GWEI, KEY, USD
from .wallet_trader import action, in_units, transfer

pytestmark = pytest.mark.chain


def balances_of(trader):
    """What the account of the manager has, in base units, as the contracts name it."""
    held = trader.held()
    return in_units(held["wallet"] | held.get("aave", {}))


def contracts_say(world):
    return {name: units for name, units in world.balances().items() if units}


def test_interest_and_deltas_together_are_the_balance(world, trade):
    trader = trade()
    trader.start()
    trader.execute(action("supply", "USDT", 60_000))
    trader.execute(action("borrow", "WETH", 5))
    trader.settle()
    world.pass_time(86_400)
    (report,) = trader.settle()
    assert report.kind == "interest"
    assert set(report.deltas.tokens("aave")) == {"aUSDT", "variableDebtWETH"}
    assert balances_of(trader) == contracts_say(world)
    assert trader.settle() == []


def test_what_arrives_is_reported_once_by_the_payment_that_it_came_with(world, trade):
    trader = trade()
    trader.start()
    before = balances_of(trader)
    paid = world.chain.send(world.tokens["USDT"], "transfer(address,uint256)", (world.account, 250 * USD))
    ether = world.chain.send_raw(world.account, "0x", value_wei=ETHER)
    reports = trader.settle()
    assert [(report.kind, report.deltas.tokens("wallet")) for report in reports if report.kind != "interest"] == [
        ("arrival", {"USDT": Decimal(250)}), ("arrival", {"ETH": Decimal(1)}),
    ]  # fmt: skip
    known = {report.details.get("transaction") for report in reports if report.kind == "arrival"}
    assert known == {paid["transactionHash"], ether["transactionHash"]}
    assert balances_of(trader) == contracts_say(world) != before
    trader.again()
    trader.start()
    assert trader.settle() == []


def test_a_liquidation_by_somebody_else_is_reported_with_what_it_took_and_paid(world, trade):
    trader = trade()
    trader.start()
    trader.execute(action("supply", "USDT", 100_000))
    trader.execute(action("borrow", "WETH", 29))
    world.aave.set_price("WETH", 2_900_00000000)
    call = "liquidationCall(address,address,address,uint256,bool)"
    world.chain.send(world.aave.pool, call, (world.tokens["USDT"], world.tokens["WETH"], world.account, 5 * ETHER, False))
    reports = trader.settle()
    (liquidation,) = [report for report in reports if report.kind == "liquidation"]
    moved = liquidation.deltas.tokens("aave")
    assert moved["variableDebtWETH"] == -5
    assert moved["aUSDT"] < -14_500
    assert balances_of(trader) == contracts_say(world)


def test_what_comes_again_because_an_item_was_held_back_is_reported_once(world, trade):
    trader = trade()
    trader.start()
    since = trader.journal.cursor("wallet")
    world.chain.send(world.tokens["USDT"], "transfer(address,uint256)", (world.account, 250 * USD))
    world.chain.deal(world.account, 103 * ETHER)  # nothing shows where it came from
    world.chain.mine()
    first, _ = trader.gateway.due(since)
    world.chain.deal(world.account, 104 * ETHER)
    world.chain.mine()
    second, _ = trader.gateway.due(trader.gateway.due_again(since, first))
    by_id = {item.id: item for item in (*first, *second) if item.kind == "arrival"}
    assert sorted(str(item.deltas) for item in by_id.values()) == [
        "Deltas({'wallet': {'ETH': '1.000000000000000000'}})",
        "Deltas({'wallet': {'ETH': '3.000000000000000000'}})",
        "Deltas({'wallet': {'USDT': '250.000000'}})",
    ]  # fmt: skip


def test_what_was_recorded_while_a_credit_is_held_back_is_not_recorded_again_after_a_restart(world, trade):
    trader = trade()
    trader.start()
    coming = parse_instruction(
        {"instruction_type": "wallet_transfer", "from_venue": "binance", "to_venue": "wallet", "token": "USDT", "amount": 7}
    )
    trader.manager.account._open_transfers = lambda: [coming]
    world.chain.send(world.tokens["USDT"], "transfer(address,uint256)", (world.account, 250 * USD))
    world.chain.deal(world.account, 103 * ETHER)
    world.chain.mine()
    assert [report.deltas.tokens("wallet") for report in trader.settle()] == [{"ETH": Decimal(3)}]
    trader.again()
    trader.start()
    trader.manager.account._open_transfers = lambda: [coming]
    world.chain.mine()
    assert trader.settle() == []
    trader.manager.account._open_transfers = list
    world.chain.mine()
    assert [report.deltas.tokens("wallet") for report in trader.settle()] == [{"USDT": Decimal(250)}]
    assert balances_of(trader) == contracts_say(world)


@pytest.mark.parametrize("status", [Status.NEVER_HAPPENED, Status.REJECTED])
def test_a_transaction_whose_row_was_closed_as_not_executed_is_recorded_and_ends_the_run(world, trade, status):
    class Ended(BaseException):
        """The process ends while it waits."""

    def end(seconds):
        raise Ended

    trader = trade(confirmations=1)
    trader.sleep = end
    world.chain.rpc("anvil_mine", ("0x5",))
    trader.open_again()
    trader.start()
    with pytest.raises(Ended):
        trader.execute(transfer("USDT", 100, instruction_id="pay"))
    trader.close()
    trader.sleep = lambda seconds: None
    trader.open()
    trader.journal.close("pay", status, None, None, "a node said so")
    trader.start()
    world.chain.mine()
    (report,) = trader.settle()
    assert (report.kind, report.deltas.tokens("wallet")["USDT"]) == ("late transaction", -100)
    assert balances_of(trader) == contracts_say(world)
    (said,) = trader.manager.live.late_fills.values()
    assert "after its row was closed as not executed" in said
    trader.again()
    trader.start()
    world.chain.mine()
    assert trader.settle() == []


def test_a_deposit_at_an_exchange_is_on_its_way_under_its_transaction(world, trade):
    trader = trade()
    trader.start()
    report = trader.execute(transfer("USDT", 700))
    (on_its_way,) = trader.manager.account.ledger.state.parts["in_transit"].transfers
    assert (on_its_way.key, on_its_way.to_venue, on_its_way.amount) == (report.reference, "binance", 700)
    assert trader.manager.live.senders.check_health()["status"] == "healthy"


def compared(trader):
    now = trader.world.clock.now()
    return trader.manager.live.reconciler.compare(now, trader.manager.account.market(now))


def test_a_comparison_explains_the_interest_and_names_what_nobody_explains(world, trade):
    trader = trade()
    trader.start()
    trader.execute(action("supply", "USDT", 60_000))
    world.pass_time(6 * 3_600)
    table = compared(trader)
    assert table.breaks == ()
    assert [(row.token, [part.reason for part in row.explained]) for row in table.differences] == [("aUSDT", ["interest"])]
    trader.settle()
    assert compared(trader).differences == ()


def test_what_has_not_enough_blocks_on_top_is_neither_held_nor_shown(world, trade):
    trader = trade(confirmations=2)
    trader.sleep = lambda seconds: world.chain.mine()
    trader.open_again()
    world.chain.rpc("anvil_mine", ("0x5",))
    trader.start()
    world.chain.send(world.tokens["USDT"], "transfer(address,uint256)", (world.account, 250 * USD))
    assert trader.settle() == []
    assert compared(trader).differences == ()
    world.chain.rpc("anvil_mine", ("0x2",))
    assert [report.deltas.tokens("wallet") for report in trader.settle()] == [{"USDT": 250}]
    assert compared(trader).breaks == ()


def test_what_somebody_else_did_with_the_key_is_foreign_and_what_the_run_did_is_not_even_after_a_restart(world, trade):
    from eth_account import Account

    trader = trade()
    trader.start()
    trader.execute(transfer("USDT", 100))
    other = {
        "type": 2, "chainId": 31_337, "nonce": world.nonce(), "to": "0x" + "11" * 20, "value": ETHER, "data": "0x", "gas": 21_000,
        "maxFeePerGas": 50 * GWEI, "maxPriorityFeePerGas": GWEI,
    }  # fmt: skip
    before = world.balances()["ETH"]
    world.chain.rpc("eth_sendRawTransactionSync", ("0x" + Account.sign_transaction(other, KEY).raw_transaction.hex(),))
    trader.again()
    trader.start()
    (report,) = trader.settle()
    assert (report.kind, in_units(report.deltas.tokens("wallet"))) == ("foreign", {"ETH": world.balances()["ETH"] - before})
    assert compared(trader).differences == ()
