"""One transfer and one supply, sent through the manager: executed once, and reported to the wei."""

from __future__ import annotations

import pytest

from .node import EXCHANGE
from .wallet_trader import action, in_units, transfer

pytestmark = pytest.mark.chain


def test_a_transfer_is_paid_once_and_its_report_is_what_the_balances_show(world, trade):
    trader = trade()
    trader.start()
    before = world.balances()
    report = trader.execute(transfer("USDT", "1234.567891", instruction_id="pay"))
    after = world.balances()
    moved = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    assert in_units(report.deltas.tokens("wallet")) == moved
    assert in_units(report.deltas.tokens("in_transit")) == {"USDT": 1_234_567_891}
    assert world.chain.call(world.tokens["USDT"], "balanceOf(address)(uint256)", (EXCHANGE,)) == 1_234_567_891
    assert trader.held()["wallet"]["USDT"] == trader.gateway.read().positions()["wallet"]["USDT"]


def test_a_supply_is_made_once_and_its_report_is_what_the_balances_show(world, trade):
    trader = trade()
    trader.start()
    before = world.balances()
    report = trader.execute(action("supply", "USDT", "60000.000001", instruction_id="supply"))
    after = world.balances()
    moved = {name: after[name] - before[name] for name in after if after[name] != before[name]}
    reported = in_units(report.deltas.tokens("aave") | report.deltas.tokens("wallet"))
    assert reported == moved
    assert report.expected.tokens("aave") == report.deltas.tokens("aave")
