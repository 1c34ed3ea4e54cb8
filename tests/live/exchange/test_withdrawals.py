"""Withdrawals to the wallet and deposits from it: what leaves is in transit until it is credited, whatever goes wrong."""

from __future__ import annotations

from decimal import Decimal

import pytest

from .transfers import LiveTransfers, transfer

D = Decimal


@pytest.fixture
def live(exchange, tmp_path):
    made = []

    def make(**given):
        made.append(LiveTransfers(exchange, tmp_path / f"live{len(made)}", **given))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_a_withdrawal_is_in_transit_until_the_wallet_has_it(live, exchange):
    one = live()
    report = one.execute(transfer("binance", "wallet", "1000"))
    assert report.deltas.amounts == {"binance": {"USDT": D(-1000)}, "in_transit": {"USDT": D(996)}}
    assert report.deltas == report.expected
    assert one.positions["in_transit"] == {"USDT": D(996)}
    assert one.settle(5) == []
    found = [settled for _ in range(3) for settled in one.settle(3)]
    assert [(settled.kind, settled.venue, settled.deltas.amounts) for settled in found] == [
        ("on chain", "binance", {}),
        ("arrival", "wallet", {"wallet": {"USDT": D(996)}, "in_transit": {"USDT": D(-996)}}),
    ]
    assert one.positions["wallet"]["USDT"] == 2996
    one.require_agreement()


def test_a_deposit_is_in_transit_until_the_exchange_credits_it(live, exchange):
    one = live()
    report = one.execute(transfer("wallet", "binance", "500"))
    assert report.deltas.amounts == {"wallet": {"USDT": D(-500)}, "in_transit": {"USDT": D(500)}}
    assert report.deltas == report.expected
    assert one.settle(1) == []
    (arrived,) = one.settle(2)
    assert (arrived.kind, arrived.venue, arrived.deltas.amounts, arrived.costs) == (
        "arrival", "binance", {"binance": {"USDT": D(500)}, "in_transit": {"USDT": D(-500)}}, (),
    )  # fmt: skip
    one.require_agreement()
