"""What a venue or its account does between two plans: maintenance, a ban, a delisted symbol, another leverage."""

from __future__ import annotations

from decimal import Decimal

import pytest

from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.core.limits import Limits

from .trader import block_of, theirs
from .transfers import LiveTransfers, transfer

D = Decimal
BUY, SHORT = block_of("spot", "buy", "0.5"), block_of("perp", "sell", "0.5")
MORE = block_of("perp", "sell", "15")
MAINTENANCE = {"maintenance": ["binance"]}
PERP = {"venue": "binance", "kind": "perp", "symbol": "ETHUSDT"}


@pytest.fixture
def live(exchange, tmp_path):
    one = LiveTransfers(exchange, tmp_path / "live", timeout_s=0.5)
    yield one
    exchange.control({"clear": True}, {"market": {**PERP, "is_open": True}})
    one.close()


def plan(live, *blocks):
    live.time.sleep(1)
    return live.manager.run_plan(live.time.clock.now(), blocks)


def orders(exchange):
    return [(order["market"], order["side"]) for order in exchange.account("binance")["orders"] if D(order["filled"])]


# Maintenance.


NOT_ENTERED = {"spot first": (BUY, SHORT), "perp first": (SHORT, BUY), "withdrawal": (transfer("binance", "wallet", "100"),)}


@pytest.mark.parametrize("blocks", NOT_ENTERED.values(), ids=NOT_ENTERED)
def test_nothing_is_entered_at_a_venue_in_maintenance_and_nothing_stays_open(live, exchange, blocks):
    before = live.positions
    exchange.control(MAINTENANCE)
    with pytest.raises(ComponentError) as unreachable:
        plan(live, *blocks)
    assert "System is under maintenance" in unreachable.value.message
    assert (live.journal.open_entries(), live.positions) == ([], before)
    exchange.control(clear=True)
    assert (orders(exchange), exchange.account("binance")["withdrawals"]) == ([], [])


def test_what_is_held_at_a_venue_in_maintenance_is_watched_and_known_again_after_it(live, exchange):
    plan(live, BUY, SHORT)
    held = live.positions
    exchange.control(MAINTENANCE)
    assert live.settle(10) == []
    health = live.manager.live.senders.health.check()
    assert (health["status"], [error["error_code"] for error in health["errors"]]) == ("degraded", ["CEX-002"])
    assert live.positions == held
    valued, _ = live.manager.account.exposures(live.manager.account.market(live.time.clock.now()))
    assert {exposure.token for exposure in valued} >= {"ETH", "USDT"}
    exchange.control({"clear": True}, {"fund": {"venue": "binance", "symbol": "ETHUSDT", "rate": "0.0001"}})
    (funding,) = live.settle(1)
    assert (funding.kind, live.manager.live.senders.health.check()["status"]) == ("funding", "healthy")
    live.require_agreement()


def test_a_wallet_goes_on_while_the_exchange_is_in_maintenance_and_its_deposit_is_known_afterwards(live, exchange):
    live.execute(transfer("wallet", "binance", "500"))
    live.execute(transfer("binance", "wallet", "100"))
    exchange.control(MAINTENANCE)
    live.settle(15)
    with pytest.raises(ComponentError, match="System is under maintenance"):
        live.execute(transfer("wallet", "binance", "10"))  # where it would go cannot be asked
    exchange.control(clear=True)
    kinds = [settled.kind for _ in range(3) for settled in live.settle(1)]
    assert sorted(kinds) == ["arrival", "arrival", "on chain"]
    live.require_agreement()


# A ban.


def test_a_ban_between_two_legs_sends_the_second_leg_nowhere_until_it_is_over(live, exchange):
    exchange.control({"on": "order", "fault": "delay", "seconds": 0}, {"on": "order", "fault": "status", "status": 418, "retry_after": 300})
    with pytest.raises(ComponentError, match="binance cannot be asked: it takes no request for "):
        plan(live, BUY, SHORT)
    asked = exchange.count("binance", "order")
    with pytest.raises(ComponentError):
        plan(live, SHORT)
    assert exchange.count("binance", "order") == asked
    assert (orders(exchange)[:1], live.journal.open_entries()) == ([("spot", "buy")], [])
    live.time.sleep(600)
    live.settle()
    plan(live, SHORT)
    live.require_agreement()


# A symbol that is not traded any more.


def test_a_symbol_that_was_delisted_overnight_is_not_traded_and_the_other_leg_neither(live, exchange):
    plan(live, BUY, SHORT)
    exchange.control(market={**PERP, "is_open": False})
    live.time.sleep(8 * 3600)
    live.settle()
    sent = len(orders(exchange))
    with pytest.raises(ComponentError, match="binance does not trade ETHUSDT now; nothing was sent"):
        plan(live, SHORT, BUY)
    assert len(orders(exchange)) == sent
    assert "binance: the perp market ETHUSDT is closed" in live.binance.check_account(Limits()).faults
    live.require_agreement()


# A leverage that somebody has changed.


def test_a_leverage_that_was_lowered_by_hand_is_refused_by_the_venue_once_and_known_from_then_on(live, exchange):
    plan(live, SHORT)
    exchange.control(setting={"venue": "binance", "leverage ETHUSDT": "1"})
    before = theirs(exchange)
    with pytest.raises(ComponentError, match="-2019 Margin is insufficient"):
        plan(live, MORE)
    assert theirs(exchange)["ETHUSDT-PERP"] == before["ETHUSDT-PERP"]
    asked = exchange.count("binance", "order")
    with pytest.raises(ComponentError, match=r"of margin left; sell of 15 ETHUSDT perp needs .* at leverage 1"):
        plan(live, MORE)
    assert exchange.count("binance", "order") == asked
    faults = live.binance.check_account(Limits(), leverage=D(3)).faults
    assert "binance: the leverage of ETHUSDT is 1, the strategy wants 3; raise it there" in faults
    live.require_agreement()
