"""A plan leaves or enters by what it does, whatever its steps are called."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.instructions import parse_instruction
from basis_strategy_v1.core.state import State, Transfer, Transit
from basis_strategy_v1.execution.exposure import default_on_failure, leaves
from basis_strategy_v1.venues.venue import SimulationResult

from .. import world
from .risk_world import MARKET, RICH, VENUES, action, after, chain, enters_or_leaves, exposed, simulated, trade, transfer

D = Decimal
FLAT = world.holding(VENUES, MARKET, wallet={"ETH": 1, "USDT": 10**6}, bybit={"USDT": 10**6}, binance={"USDT": 10**6})
BUY, SHORT = trade("bybit", "buy", "ETHUSDT", 10), trade("bybit", "sell", "ETHUSDT", 10, "perp")
BACK = trade("bybit", "buy", "ETHUSDT", 10, "perp", reduce_only=True)
SMALLER = [trade("bybit", "sell", "ETHUSDT", 5), trade("bybit", "buy", "ETHUSDT", 5, "perp")]
BASIS = after(BUY, SHORT, state=FLAT)
EMODE = action("aave", "set_emode", category=1)
LEND = (action("aave", "supply", "wstETH", 15), action("aave", "borrow", "WETH", "10.005"))
LOOP = chain(
    EMODE,
    action("lido", "stake", "WETH", 5, token_out="wstETH"),
    action("aave", "flash_loan", "WETH", 10, sub_instructions=[action("lido", "stake", "WETH", 10, token_out="wstETH"), *LEND]),
)
LOOPED = after(LOOP)
UNLOOP = action(
    "aave", "flash_loan", "WETH", "10.005",
    sub_instructions=[
        action("aave", "repay", "WETH", "all"),
        action("aave", "withdraw", "wstETH", "all"),
        action("uniswap", "swap", "wstETH", 9, token_out="WETH"),
    ],
)  # fmt: skip
INDEBTED = after(action("aave", "supply", "USDT", 100_000), action("aave", "borrow", "WETH", 5))
SUPPLIED = after(action("aave", "supply", "USDT", 100_000))
AT_MORPHO = after(action("morpho", "supply_collateral", "wstETH", 5, market="wstETH/WETH"))
WITH_DOLLARS = world.holding(VENUES, MARKET, wallet={"ETH": 10, "USDT": 10**5, "USDC": 10**5}, bybit={"USDT": 10**6})
UNHEDGED = after(BUY, state=FLAT)
HEDGED_LOAN = after(action("aave", "supply", "USDT", 100_000), action("aave", "borrow", "WETH", 5), BUY, SHORT)

PLANS = {
    "a basis is entered": ("enters", FLAT, [BUY, SHORT]),
    "a basis is left": ("leaves", BASIS, [trade("bybit", "sell", "ETHUSDT", "9.99"), BACK]),
    "a basis is made smaller": ("leaves", BASIS, [trade("bybit", "sell", "ETHUSDT", 3), trade("bybit", "buy", "ETHUSDT", 3, "perp")]),
    "a basis is made larger": ("enters", BASIS, [trade("bybit", "buy", "ETHUSDT", 3), trade("bybit", "sell", "ETHUSDT", 3, "perp")]),
    "a basis is made smaller, its legs by other lots": (
        "leaves", BASIS, [trade("bybit", "sell", "ETHUSDT", "2.99501"), trade("bybit", "buy", "ETHUSDT", "3.00", "perp")]),
    "a basis is made smaller, the perp before the coin": (
        "leaves", BASIS, [trade("bybit", "buy", "ETHUSDT", "3.00", "perp"), trade("bybit", "sell", "ETHUSDT", "2.99501")]),
    "a hedge is made good by a larger perp": ("enters", BASIS, [trade("bybit", "sell", "ETHUSDT", "0.01", "perp")]),
    "only the spot leg of a basis is sold": ("enters", BASIS, [trade("bybit", "sell", "ETHUSDT", 3)]),
    "only the perp leg of a basis is closed": ("enters", BASIS, [BACK]),
    "margin is moved between exchanges": ("enters", BASIS, [transfer("binance", "bybit", "USDT", 1000)]),
    "part of the perp leg of a basis is closed": ("enters", BASIS, [trade("bybit", "buy", "ETHUSDT", 1, "perp")]),
    "a coin is bought": ("enters", FLAT, [BUY]),
    "the first of a coin is bought": ("enters", FLAT, [trade("bybit", "buy", "BTCUSDT", 1)]),
    "all of a coin is sold": (
        "leaves", world.holding(VENUES, MARKET, bybit={"BTC": 1}), [trade("bybit", "sell", "BTCUSDT", 1)]),
    "only the last of a coin is sold, and another bought": (
        "enters", world.holding(VENUES, MARKET, bybit={"BTC": 1}),
        [trade("bybit", "sell", "BTCUSDT", 1), trade("bybit", "buy", "ETHUSDT", 1)]),
    "a coin that nothing hedges is sold": ("leaves", UNHEDGED, [trade("bybit", "sell", "ETHUSDT", 5)]),
    "more is sold and bought back": ("enters", UNHEDGED, [trade("bybit", "sell", "ETHUSDT", 5), trade("bybit", "buy", "ETHUSDT", 5)]),
    "a reduce-only trade of a short that nothing hedges": (
        "leaves", after(SHORT, state=FLAT), [trade("bybit", "buy", "ETHUSDT", 4, "perp", reduce_only=True)]),
    "a perp is closed and opened larger": (
        "enters", after(SHORT, state=FLAT), [trade("bybit", "buy", "ETHUSDT", 10, "perp"), trade("bybit", "sell", "ETHUSDT", 11, "perp")]),
    "a perp is closed and opened smaller": (
        "leaves", after(SHORT, state=FLAT), [trade("bybit", "buy", "ETHUSDT", 10, "perp"), trade("bybit", "sell", "ETHUSDT", 9, "perp")]),
    "a perp is turned around": ("enters", after(SHORT, state=FLAT), [trade("bybit", "buy", "ETHUSDT", 21, "perp")]),
    "a perp moves to another exchange, a little smaller": (
        "enters", after(SHORT, state=FLAT), [trade("bybit", "buy", "ETHUSDT", 10, "perp"), trade("binance", "sell", "ETHUSDT", 9, "perp")]),
    "a dollar token is supplied": ("enters", RICH, [action("aave", "supply", "USDT", 1000)]),
    "a coin is supplied, which rounding makes a wei less": ("enters", RICH, [action("aave", "supply", "WETH", 1)]),
    "a deposit is withdrawn": ("leaves", SUPPLIED, [action("aave", "withdraw", "USDT", 1000)]),
    "a withdrawal and a swap of dollars for coins": (
        "enters", SUPPLIED, [chain(action("aave", "withdraw", "USDT", 1), action("uniswap", "swap", "USDT", 900_000, token_out="WETH"))]),
    "a withdrawal and a swap between two forms of one coin": (
        "enters", SUPPLIED, [chain(action("aave", "withdraw", "USDT", 1), action("uniswap", "swap", "WETH", 100, token_out="wstETH"))]),
    "a debt is made": ("enters", SUPPLIED, [action("aave", "borrow", "WETH", 1)]),
    "a debt is repaid": ("leaves", INDEBTED, [action("aave", "repay", "WETH", 1)]),
    "a debt is repaid out of a hedged purchase": (
        "leaves", HEDGED_LOAN, [action("aave", "repay", "WETH", "all"), *SMALLER]),
    "a debt is repaid while a perp grows": (
        "enters", HEDGED_LOAN, [action("aave", "repay", "WETH", 1), trade("bybit", "sell", "ETHUSDT", 1, "perp")]),
    "a debt is moved to another lender": (
        "enters", after(action("morpho", "supply_collateral", "wstETH", 50, market="wstETH/WETH"), state=INDEBTED),
        [action("morpho", "borrow", "WETH", 5, market="wstETH/WETH"), action("aave", "repay", "WETH", "all")]),
    "a loop is entered by a flash loan": ("enters", RICH, [LOOP]),
    "a loop is unwound by a flash loan": ("leaves", LOOPED, [UNLOOP]),
    "collateral is taken back from morpho": (
        "leaves", AT_MORPHO, [action("morpho", "withdraw_collateral", "wstETH", 5, market="wstETH/WETH")]),
    "coins are unstaked": ("leaves", RICH, [action("lido", "unstake", "stETH", 5)]),
    "coins are staked": ("enters", RICH, [action("lido", "stake", "ETH", 5)]),
    "a coin is wrapped": ("enters", RICH, [action("wallet", "wrap", "ETH", 5)]),
    "a transfer to the own wallet": ("leaves", RICH, [transfer("bybit", "wallet", "USDT", 1000)]),
    "a transfer to an exchange": ("enters", RICH, [transfer("wallet", "bybit", "USDT", 1000)]),
    "a withdrawal and a transfer to the wallet": (
        "leaves", SUPPLIED, [action("aave", "withdraw", "USDT", 1), transfer("bybit", "wallet", "ETH", 1)]),
    "a withdrawal and a transfer to an exchange": (
        "enters", SUPPLIED, [action("aave", "withdraw", "USDT", 1), transfer("wallet", "bybit", "USDT", 1)]),
    "an e-mode is set": ("enters", RICH, [EMODE]),
    "one dollar token is swapped for another": ("enters", RICH, [action("uniswap", "swap", "USDT", 1000, token_out="USDC")]),
    "a coin is swapped for a dollar token": ("leaves", RICH, [action("uniswap", "swap", "WETH", 1, token_out="USDC")]),
    "two steps that are sent one by one": (
        "leaves", INDEBTED, [chain(action("aave", "repay", "WETH", 1), action("wallet", "wrap", "ETH", 1), atomic=False)]),
    "a little is repaid and much supplied": (
        "enters", INDEBTED, [action("aave", "repay", "WETH", 1), action("aave", "supply", "USDT", 900_000)]),
    "a deposit is moved to another lender, and a little repaid": (
        "enters", INDEBTED, [action("aave", "repay", "WETH", 1), action("morpho", "supply_collateral", "wstETH", 1, market="wstETH/WETH")]),
}  # fmt: skip


@pytest.mark.parametrize(("expected", "state", "blocks"), PLANS.values(), ids=PLANS)
def test_a_plan_leaves_if_something_falls_and_nothing_rises(expected, state, blocks):
    assert enters_or_leaves(*blocks, state=state) == expected


def test_a_claim_leaves():
    asked = after(action("lido", "unstake", "stETH", 5))
    later = world.market(world.AT.replace(month=7))
    claim = action("lido", "claim", request_id="lido-1")
    assert enters_or_leaves(claim, state=asked, market=later) == "leaves"


def test_interest_that_accrued_meanwhile_is_no_rise():
    # Both debts have grown since the state was last brought up to date, the one that is not repaid too.
    state = after(action("aave", "borrow", "USDC", 1000), state=INDEBTED)
    later = world.market(world.AT.replace(day=9), growth=1.01)
    assert enters_or_leaves(action("aave", "repay", "WETH", 1), state=state, market=later) == "leaves"


def test_a_rebasing_token_that_grew_meanwhile_is_no_rise():
    later = world.market(world.AT.replace(day=9), growth=1.01)
    plan = [action("aave", "repay", "WETH", 1), action("lido", "wrap", "stETH", 1)]
    assert enters_or_leaves(*plan, state=INDEBTED, market=later) == "leaves"


def test_a_plan_of_nothing_does_not_leave():
    assert not leaves([], RICH, [], VENUES, MARKET)


def test_a_cent_is_a_fall_and_less_is_none():
    # 1e-6 WETH are a third of a cent.
    assert enters_or_leaves(action("aave", "repay", "WETH", "0.000001"), state=INDEBTED) == "enters"
    assert enters_or_leaves(action("aave", "repay", "WETH", "0.00001"), state=INDEBTED) == "leaves"


@pytest.mark.parametrize(("left", "expected"), [("0.99999", True), ("0.999990001", False)])
def test_just_a_cent_is_a_fall(left, expected):
    market = world.market(prices={**world.PRICES, "ETH": 1000.0})
    before, state = (world.holding(VENUES, market, bybit={"ETH": amount}) for amount in (1, left))
    sale = parse_instruction(trade("bybit", "sell", "ETHUSDT", "0.00001"))
    assert leaves([sale], before, [SimulationResult(state, Deltas())], VENUES, market) is expected


def test_gas_is_neither_a_fall_of_what_is_long_nor_a_rise_of_what_is_short():
    dollars = after(action("aave", "supply", "USDT", 5000), action("aave", "borrow", "USDC", 1000), state=WITH_DOLLARS)
    short = after(trade("bybit", "sell", "ETHUSDT", 50, "perp"), state=dollars)
    assert [exposed(state).net["ETH"] > 0 for state in (dollars, short)] == [True, False]
    assert [enters_or_leaves(action("aave", "supply", "USDT", 1), state=state) for state in (dollars, short)] == ["enters", "enters"]
    assert [enters_or_leaves(action("aave", "repay", "USDC", 500), state=state) for state in (dollars, short)] == ["leaves", "leaves"]


def test_a_fee_that_is_taken_in_the_coin_is_no_change_of_exposure():
    # 0.1 % of what is bought is kept by the exchange, 0.1 ETH here.
    assert enters_or_leaves(trade("bybit", "buy", "ETHUSDT", 100), trade("bybit", "sell", "ETHUSDT", 100), state=MANY) == "enters"


def test_while_entering_the_default_is_to_unwind_and_while_leaving_to_complete():
    assert (default_on_failure(leaves=False), default_on_failure(leaves=True)) == ("unwind", "complete")


amounts = st.decimals(min_value="0.01", max_value="9", places=2)
sides = st.sampled_from(["buy", "sell"])
trades = st.builds(lambda venue, side, amount, kind: trade(venue, side, "ETHUSDT", amount, kind),
                   st.sampled_from(["bybit", "binance"]), sides, amounts, st.sampled_from(["spot", "perp"]))  # fmt: skip
neutral = st.sampled_from([
    transfer("wallet", "bybit", "USDT", 1000), action("uniswap", "swap", "USDT", 1000, token_out="USDC"),
    action("lido", "stake", "ETH", 1), action("wallet", "wrap", "ETH", 1),
])  # fmt: skip
COINS = {"bybit": {"ETH": 50, "USDT": 10**6}, "binance": {"ETH": 50, "USDT": 10**6}}
MANY = world.holding(VENUES, MARKET, wallet={"ETH": 50, "WETH": 50, "USDT": 10**6}, **COINS)


@given(st.lists(trades, min_size=1, max_size=4))
def test_a_plan_of_trades_leaves_as_the_definition_says(blocks):
    """A second computation, from the amounts of the blocks alone."""
    net, perps = D(150), {"bybit": D(0), "binance": D(0)}
    for block in blocks:
        signed = D(block["amount"]) * (1 if block["side"] == "buy" else -1)
        net += signed
        if block["trade_type"] == "perp":
            perps[block["venue"]] += signed
    # Nothing was open: a perp can only have risen.
    expected = "leaves" if net < 150 and not any(perps.values()) else "enters"
    assert enters_or_leaves(*blocks, state=MANY) == expected


@given(st.lists(trades, min_size=1, max_size=3), neutral)
def test_what_changes_no_exposure_does_not_change_whether_trades_leave(blocks, other):
    assert enters_or_leaves(*blocks, other, state=MANY) == enters_or_leaves(*blocks, state=MANY)


@given(st.lists(trades, min_size=1, max_size=3), st.sampled_from(["USDT", "WETH"]))
def test_nothing_leaves_that_also_supplies(blocks, token):
    assert enters_or_leaves(*blocks, action("aave", "supply", token, 1), state=MANY) == "enters"


@given(st.lists(trades, min_size=1, max_size=3))
def test_the_way_back_from_a_plan_that_leaves_enters(blocks):
    back = [{**block, "side": "sell" if block["side"] == "buy" else "buy"} for block in reversed(blocks)]
    left = after(*blocks, state=MANY)
    there = enters_or_leaves(*blocks, state=MANY)
    if there == "leaves":
        assert enters_or_leaves(*back, state=left) == "enters"
    assert enters_or_leaves(*blocks, *back, state=MANY) == "enters"


def test_exposure_counts_spot_perps_deposits_debts_queues_transit_and_staked_tokens_in_their_base_asset():
    state = world.holding(
        VENUES, MARKET, wallet={"WETH": 1, "WBTC": 2, "wstETH": 10, "stETH": 3, "USDT": 5000},
        bybit={"ETH": 4, "ETHUSDT-PERP": -7, "USDT": 10**6}, hyperliquid={"BTCUSDC-PERP": 2, "USDC": 10**6},
        aave={"aWETH": 6, "aUSDT": 100, "variableDebtWETH": 2, "variableDebtUSDT": 10},
    )  # fmt: skip
    found = exposed(state)
    staked = D("1.1744123456789012") * 10 + 3
    assert {asset: round(amount, 12) for asset, amount in found.net.items()} == {"ETH": round(1 + staked + 4 - 7 + 6 - 2, 12), "BTC": D(4)}
    assert found.perps == {("bybit", "ETHUSDT"): D(7), ("hyperliquid", "BTCUSDC"): D(2)}
    assert {place: round(amount, 5) for place, amount in found.debts.items()} == {
        ("aave", "variableDebtWETH"): D(2),
        ("aave", "variableDebtUSDT"): D(10),
    }


def test_what_waits_in_a_queue_or_is_on_its_way_is_still_ours():
    slow = world.venues({"bybit": {"withdrawal": "default"}})
    queued = after(action("lido", "unstake", "stETH", 5))
    (sent,) = simulated(transfer("bybit", "wallet", "ETH", 5), venues=slow)
    assert (queued.positions()["lido"].keys(), sent.state.positions()["in_transit"]) == ({"ETH-QUEUED"}, {"ETH": D("4.9988")})
    held = exposed(RICH).net["ETH"]
    assert [round(exposed(state).net["ETH"] - held, 1) for state in (queued, sent.state)] == [0, 0]
    on_its_way = State({"in_transit": Transit((Transfer(0, "t1", "wallet", "wstETH", D(10)),))})
    assert exposed(on_its_way).net == {"ETH": 10 * D(repr(world.STAKED["wstETH"]))}


def test_an_empty_state_is_exposed_to_nothing():
    assert exposed(State()) == ({}, {}, {}, {})
