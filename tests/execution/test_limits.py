"""What one live instruction may move and lose: told before it is sent, and in a preflight."""

from __future__ import annotations

import pytest

from .fake_gateway import FakeGateway, FakeTime
from .test_live_manager import FILL
from .trading import CONFIG, FREE, NOON, Market, act, chain, house, refused, send, trade

LIMITS = {"max_notional_per_instruction": 3000, "max_slippage_bps": 20}
TOO_MUCH = "the instruction moves 3300 USD, limits.max_notional_per_instruction is 3000; split it or raise the limit"


def limited(execution_mode="live", slippage_bps=0, **parts):
    venues = {**CONFIG["venues"], "cex": {"binance": {**FREE, "slippage_bps": slippage_bps}, "bybit": FREE}}
    return house(config={**CONFIG, "venues": venues, "limits": LIMITS}, execution_mode=execution_mode, **parts)


ABOVE = {
    "a spot trade": trade(),
    "a perp trade": trade(trade_type="perp"),
    "a transfer to an exchange": send("wallet", "binance", 3300),
    "a deposit": act("supply", amount=3300),
    "a chain that enters": chain(act("withdraw", amount=10), act("supply", amount=3310)),
}
TAKES_BACK = {
    "a reduce-only trade": trade(trade_type="perp", reduce_only=True),
    "a transfer to the own wallet": send("binance", "wallet", 3300),
    "a withdrawal": act("withdraw", amount=3300),
    "a repayment": act("repay", amount=3300),
    "an unwind": act(
        "flash_loan",
        "WETH",
        1,
        sub_instructions=[act("repay", "WETH", 1), act("withdraw", "WETH", 2), act("unwrap", "WETH", "0.5", "wallet")],
    ),
}


@pytest.mark.parametrize("block", ABOVE.values(), ids=ABOVE)
def test_more_than_the_limit_is_refused_before_it_is_sent(block):
    gateways = {name: FakeGateway() for name in ("binance", "wallet", "aave")}
    manager = limited(gateways=gateways)
    error = refused(manager.route_instruction, NOON, block)
    assert (error.error_code, error.message) == ("EIM-001", TOO_MUCH)
    assert [gateway.calls for gateway in gateways.values()] == [[], [], []]
    assert manager.preflight(NOON, [block]) == [(0, "EIM-001", TOO_MUCH)]


@pytest.mark.parametrize("block", TAKES_BACK.values(), ids=TAKES_BACK)
def test_what_reduces_risk_is_free_of_the_limit_of_notional(block):
    assert limited().preflight(NOON, [block]) == []


def test_what_is_within_the_limits_is_sent():
    gateway = FakeGateway([FILL])
    limited(gateways={"binance": gateway}, timing=FakeTime().timing).route_instruction(NOON, trade(amount="0.9", instruction_id="a1"))
    assert gateway.executed == ["a1"]


@pytest.mark.parametrize("reduce_only", [False, True])
def test_more_slippage_than_the_limit_is_refused_also_of_what_reduces_risk(reduce_only):
    block = trade("sell", "0.5", trade_type="perp", reduce_only=reduce_only)
    told = "the instruction would slip by 30 bps, limits.max_slippage_bps is 20; trade less at once or raise the limit"
    assert limited(slippage_bps=30).preflight(NOON, [block]) == [(0, "EIM-001", told)]
    assert limited(slippage_bps=20).preflight(NOON, [block]) == []


@pytest.mark.parametrize("limits", [{"max_slippage_bps": 5}, {"max_notional_per_instruction": 10**9}])
def test_a_limit_that_is_not_set_binds_nobody(limits):
    assert house(config={**CONFIG, "limits": limits}, execution_mode="live").preflight(NOON, [trade(amount=100)]) == []


def test_a_backtest_has_no_limits():
    assert limited("backtest").route_instruction(NOON, trade()) == {"binance": {"ETH": 1.0, "USDT": -3300.0}}


def test_just_the_limit_is_sent():
    assert limited().preflight(NOON, [act("supply", amount=3000)]) == []


def test_the_figures_of_a_refusal_have_two_decimals():
    moves, slips = act("supply", amount="3000.126"), trade("sell", "0.5", trade_type="perp")
    (moved,) = limited().preflight(NOON, [moves])
    (slipped,) = limited(slippage_bps=20.126).preflight(NOON, [slips])
    assert moved.message.startswith("the instruction moves 3000.13 USD, ")
    assert slipped.message.startswith("the instruction would slip by 20.13 bps, ")


@pytest.mark.parametrize("block", [act("wrap", "ETH", 1, "wallet"), act("swap", "WETH", 1, "uniswap", token_out="USDT")])
def test_what_neither_leaves_nor_enters_a_protocol_is_bound_by_the_limit(block):
    assert limited().preflight(NOON, [block]) == [(0, "EIM-001", TOO_MUCH)]


def test_slippage_is_valued_at_the_price_of_the_token_that_it_is_in():
    # A loss of 50 bps in a token worth half a dollar is one of 25 bps of the dollars that are moved.
    told = "the instruction would slip by 25 bps, limits.max_slippage_bps is 20; trade less at once or raise the limit"
    block = trade("sell", "0.5", trade_type="perp")
    assert limited(slippage_bps=50, market=Market(USDT=0.5)).preflight(NOON, [block]) == [(0, "EIM-001", told)]
