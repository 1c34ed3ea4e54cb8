"""One order at the local exchange, and what becomes of it."""

from __future__ import annotations

from decimal import Decimal

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.live.exchange_orders import client_id_of

D = Decimal


def test_a_spot_purchase_gives_what_was_filled_less_its_fee(trade):
    trader = trade()
    report = trader.send("k1", "spot", "buy", "0.5")
    assert report.deltas == Deltas.at("binance", {"ETH": D("0.4995"), "USDT": D(-1000)})
    assert (report.filled, report.costs) == (1, (Cost("fees", "ETH", D("0.0005")),))
    assert report.details["filled"] == D("0.5")
    assert report.details["price"] == 2000
    assert trader.account.balances == trader.theirs()
    assert trader.executed() == [client_id_of("k1", "run")]


def test_a_spot_order_is_one_request(trade, exchange):
    trader = trade()
    trader.send("k1", "spot", "buy", "0.5")
    before = exchange.read("counts")
    trader.gateway.send(trader.gateway.prepare(*_next(trader)))
    after = exchange.read("counts")
    assert {kind: after[kind] - before.get(kind, 0) for kind in after if after[kind] != before.get(kind, 0)} == {"binance order": 1}


def _next(trader):
    from .trader import LIMITS, approved

    order = approved("k2", "spot", "buy", "0.5", at=trader.time.clock.now())
    return order, LIMITS, trader.gateway.quote(order.order), None
