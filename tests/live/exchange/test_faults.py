"""An order meets each thing that can go wrong between us and the exchange: it is executed once or not at all, and both know the same."""

from __future__ import annotations

from decimal import Decimal

import pytest

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.journal import Status

D = Decimal
SPOT, PERP = ("spot", "buy"), ("perp", "sell")
MARKETS = [pytest.param(SPOT, id="spot"), pytest.param(PERP, id="perp")]


def fault(name, **more):
    return {"on": "order", "fault": name, **more}


LAG, STALE = {"lag_s": {"binance": 5}}, {"stale_s": {"binance": 10}}
DROPPED_FILLS, DROPPED_LOOK_UPS = {"on": "fills", "fault": "drop"}, {"on": "find", "fault": "drop", "times": 2}
MAINTENANCE = {"maintenance": ["binance"]}
# What goes wrong, and whether the order is executed by it. None: by a later attempt, within this call.
MATRIX = {
    "dropped before it was read": ([fault("drop_unread")], False),
    "dropped unexecuted": ([fault("drop")], False),
    "executed and dropped": ([fault("drop_after")], True),
    "hangs unexecuted": ([fault("hang")], False),
    "executed and hangs": ([fault("hang_after")], True),
    "slow": ([fault("delay", seconds=0.1)], True),
    "500 as a page": ([fault("status", status=500)], False),
    "503 as JSON": ([fault("status", status=503, body="json")], False),
    "520 without a body": ([fault("status", status=520, body="empty")], False),
    "executed and 502": ([fault("status", status=502, after=True)], True),
    "executed and 504": ([fault("status", status=504, after=True)], True),
    "executed and 408": ([fault("status", status=408, after=True)], True),
    "executed and empty": ([fault("empty_after")], True),
    "executed and a page": ([fault("html_after")], True),
    "executed and half the JSON": ([fault("truncated_after")], True),
    "executed and other JSON": ([fault("garbage_after")], True),
    "executed and cut off": ([fault("half_after")], True),
    "executed and named a duplicate": ([fault("duplicate_after")], True),
    "executed and an unknown code": ([fault("code", code=-9999, after=True)], True),
    "-1007 after it was executed": ([fault("code", code=-1007, after=True)], True),
    "-1021 once": ([fault("code", code=-1021)], True),
    "429 and Retry-After": ([fault("status", status=429, retry_after=0.2)], True),
    "executed and 429": ([fault("status", status=429, retry_after=0.2, after=True)], True),
    "429 without": ([fault("status", status=429)], False),
    "418": ([fault("status", status=418, retry_after=300)], False),
    "refused": ([fault("refuse", reason="lot")], False),
    "404 as a page": ([fault("status", status=404)], False),
    "in maintenance": ([MAINTENANCE], False),
    "late, and in time": ([fault("late", seconds=1)], True),
    "late, after it has expired": ([fault("late", seconds=5)], False),
    "executed, dropped, look-ups lag": ([LAG, fault("drop_after")], True),
    "executed, look-ups lag": ([LAG], True),
    "balances are stale": ([STALE], True),
    "fills are dropped": ([DROPPED_FILLS], True),
    "fills and look-ups are dropped": ([DROPPED_FILLS, DROPPED_LOOK_UPS, fault("drop_after")], True),
}  # fmt: skip


@pytest.mark.parametrize("market", MARKETS)
@pytest.mark.parametrize("name", MATRIX)
def test_an_order_is_executed_once_or_not_at_all(trade, exchange, market, name):
    commands, is_executed = MATRIX[name]
    trader = trade(timeout_s=0.5)
    exchange.control(*commands)
    before = exchange.count("binance", "order")
    try:
        report = trader.send("k1", *market, "0.5")
    except ComponentError:
        report = None
    attempts = exchange.count("binance", "order") - before
    exchange.control(clear=True)
    trader.again()
    entry = trader.journal.entry("k1")
    assert (len(trader.executed()), entry.status is Status.SETTLED) == (is_executed, is_executed)
    assert not trader.journal.open_entries()
    assert attempts <= (2 if name in ("-1021 once", "429 and Retry-After") else 3 if name == "429 without" else 1)
    if report is not None:
        assert report.filled == 1
    assert trader.account.positions() == trader.theirs()
