"""What is unhedged for longer than it may be is closed, and critical where it cannot be."""

from __future__ import annotations

from decimal import Decimal, localcontext

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.core.clock import SECOND_US
from basis_strategy_v1.core.market import DictSnapshot
from basis_strategy_v1.core.state import State
from basis_strategy_v1.execution.exposure import Unhedged, exposures_of, unhedged
from basis_strategy_v1.execution.hedge_guard import Verdict, judge

from .. import world
from .risk_world import MARKET, VENUES, WIDE, after, trade

D = Decimal
ETH = D("3300.25")
NOW = MARKET.instant
LIMITS = structs.replace(WIDE, max_unhedged_notional=D(5000), max_unhedged_seconds=D(60))
LONG_AGO = {"ETH": NOW - 61 * SECOND_US}
CASH = world.holding(VENUES, MARKET, bybit={"USDT": 10**6}, binance={"USDT": 10**6})
SPOT_ONLY = world.holding(VENUES, MARKET, bybit={"ETH": 10, "USDT": 10**5})
BASIS = after(trade("bybit", "buy", "ETHUSDT", 10), trade("bybit", "sell", "ETHUSDT", 10, "perp"), state=CASH)
FEW = {name: VENUES[name] for name in ("bybit", "binance", "wallet")}


def gap(base, price=ETH):
    return Unhedged(D(base), abs(D(base)) * price)


def decide(gaps, since=LONG_AGO, *, state=SPOT_ONLY, now=NOW, limits=LIMITS, venues=FEW, market=MARKET, **named):
    with localcontext(EXACT):
        return judge(since, gaps, now=now, limits=limits, state=state, venues=venues, market=market, **named)


def perp(side, amount, venue="bybit", **fields):
    return trade(venue, side, "ETHUSDT", amount, "perp", **fields)


def spot(side, amount, venue="bybit"):
    return trade(venue, side, "ETHUSDT", amount)


# What is unhedged.


def test_unhedged_is_the_distance_from_the_exposure_that_the_last_plan_was_to_end_with():
    now, meant = {"ETH": D(3), "BTC": D(-1), "SOL": D(5)}, {"ETH": D(5), "SOL": D(5), "USDE": D(0)}
    assert unhedged(now, meant, MARKET) == {"ETH": Unhedged(D(-2), 2 * ETH), "BTC": Unhedged(D(-1), D("65000.5"))}
    assert unhedged({}, {"ETH": D(1)}, MARKET) == {"ETH": Unhedged(D(-1), ETH)}


# When it acts.


def test_within_the_limit_there_is_nothing_to_do_however_long():
    assert decide({"ETH": Unhedged(D(1), D(5000))}) == Verdict({})
    assert decide({}) == Verdict({})


def test_above_it_the_time_begins_to_run():
    assert decide({"ETH": gap(10)}, {}) == Verdict({"ETH": NOW})


def test_for_as_long_as_it_may_be_so_nothing_is_done():
    since = {"ETH": NOW - 60 * SECOND_US}
    assert decide({"ETH": gap(10)}, since) == Verdict(since)


def test_a_microsecond_longer_and_it_is_closed():
    since = {"ETH": NOW - 60 * SECOND_US - 1}
    assert decide({"ETH": gap(10)}, since) == Verdict(since, (spot("sell", "10"),))


def test_the_time_begins_again_when_it_was_within_the_limit_meanwhile():
    meanwhile = decide({"ETH": Unhedged(D(1), D(4000))}).since
    assert decide({"ETH": gap(10)}, meanwhile, now=NOW + 10) == Verdict({"ETH": NOW + 10})


def test_a_clock_that_was_put_back_begins_to_count_from_there():
    assert decide({"ETH": gap(10)}, {"ETH": NOW + 10**9}) == Verdict({"ETH": NOW})


def test_without_a_limit_nothing_is_guarded():
    assert decide({"ETH": gap(1000)}, limits=structs.replace(LIMITS, max_unhedged_notional=None)) == Verdict({})


def test_each_asset_has_its_own_time():
    gaps = {"BTC": gap(1, D("65000.5")), "ETH": gap(10)}
    found = decide(gaps, LONG_AGO)
    assert (found.since, found.blocks) == ({"BTC": NOW, **LONG_AGO}, (spot("sell", "10"),))


# How it is closed.


def test_a_perp_that_lost_its_spot_leg_is_bought_back():
    sold = after(spot("sell", "9.99"), state=BASIS)
    assert decide({"ETH": gap("-9.99")}, state=sold).blocks == (perp("buy", "9.99", reduce_only=True),)


def test_a_spot_leg_that_lost_its_perp_is_sold():
    bought_back = after(perp("buy", 10), state=BASIS)
    assert decide({"ETH": gap("9.99")}, state=bought_back).blocks == (spot("sell", "9.99"),)


def test_the_larger_position_is_reduced_first_and_only_as_far_as_it_goes():
    state = world.holding(VENUES, MARKET, bybit={"ETHUSDT-PERP": 2, "ETH": 3, "USDT": 10**6},
                            binance={"ETHUSDT-PERP": 4, "ETH": 5, "USDT": 10**6})  # fmt: skip
    assert decide({"ETH": gap(15)}, state=state) == Verdict(
        LONG_AGO,
        (
            perp("sell", "4", "binance", reduce_only=True),
            perp("sell", "2", reduce_only=True),
            spot("sell", "5", "binance"),
            spot("sell", "3"),
            perp("sell", "1"),
        ),
    )


def test_a_short_perp_is_not_reduced_by_a_sale_nor_a_long_one_by_a_purchase():
    state = world.holding(VENUES, MARKET, bybit={"ETHUSDT-PERP": -5, "USDT": 10**6}, binance={"ETHUSDT-PERP": 5, "USDT": 10**6})
    assert decide({"ETH": gap(3)}, state=state).blocks == (perp("sell", "3", "binance", reduce_only=True),)
    assert decide({"ETH": gap(-3)}, state=state).blocks == (perp("buy", "3", reduce_only=True),)


def test_perps_and_coins_of_other_assets_are_left_alone():
    state = world.holding(VENUES, MARKET, bybit={"BTCUSDT-PERP": 5, "BTC": 5, "USDT": 10**6})
    assert decide({"ETH": gap(3)}, state=state).blocks == (perp("sell", "3"),)


def test_what_is_on_chain_is_hedged_by_a_perp():
    state = world.holding(VENUES, MARKET, wallet={"WETH": 10}, binance={"USDT": 10**5})
    found = decide({"ETH": gap(10)}, state=state)
    assert (found.blocks, found.critical) == ((perp("sell", "10", "binance"),), "")


def test_what_is_missing_is_bought_as_a_coin_where_there_is_no_perp():
    data = world.everything()
    data["market_data"]["perp_prices"] = {}
    found = decide({"ETH": gap(-5)}, state=CASH, market=DictSnapshot(world.AT, data))
    assert (found.blocks, found.critical) == ((spot("buy", "5"),), "")


def test_what_an_exchange_does_not_take_whole_is_tried_in_parts_and_the_rest_elsewhere():
    venues = world.venues({name: {"max_leverage": D(1)} for name in ("bybit", "binance")})
    state = world.holding(venues, MARKET, wallet={"WETH": 10}, bybit={"USDT": 20_000}, binance={"USDT": 20_000})
    two = {name: venues[name] for name in ("bybit", "binance", "wallet")}
    assert decide({"ETH": gap(10)}, state=state, venues=two) == Verdict(LONG_AGO, (perp("sell", "5"), perp("sell", "5", "binance")))


def test_less_than_the_smallest_order_of_every_exchange_stays_open_and_is_not_critical():
    # bybit's lot is 0.01; what is left, 14.85 USD, is less than binance takes.
    none_allowed = structs.replace(LIMITS, max_unhedged_notional=D(0))
    assert decide({"ETH": gap("2.0045")}, limits=none_allowed, state=CASH) == Verdict(LONG_AGO, (perp("sell", "2"),))
    assert decide({"ETH": gap("0.0045")}, limits=none_allowed, state=CASH) == Verdict(LONG_AGO)


def test_what_is_less_than_one_exchange_takes_is_traded_at_another():
    none_allowed = structs.replace(LIMITS, max_unhedged_notional=D(0))
    found = decide({"ETH": gap("2.0095")}, limits=none_allowed, state=CASH)
    assert found == Verdict(LONG_AGO, (perp("sell", "2"), perp("sell", "0.009", "binance")))
    assert decide({"ETH": gap("0.0095")}, limits=none_allowed, state=CASH).blocks == (perp("sell", "0.009", "binance"),)


def test_just_a_lot_and_just_the_smallest_order_are_traded():
    none_allowed = structs.replace(LIMITS, max_unhedged_notional=D(0))
    alone = {"bybit": VENUES["bybit"]}
    for usd in ("33.0025", "5"):  # bybit takes no order below 5 USDT
        found = decide({"ETH": Unhedged(D("0.01"), D(usd))}, limits=none_allowed, state=CASH, venues=alone)
        assert found == Verdict(LONG_AGO, (perp("sell", "0.01"),))
    assert decide({"ETH": Unhedged(D("0.01"), D("4.99"))}, limits=none_allowed, state=CASH, venues=alone) == Verdict(LONG_AGO)


def test_a_balance_of_less_than_a_lot_is_left_alone():
    state = world.holding(VENUES, MARKET, bybit={"ETH": "0.000009", "USDT": 10**5})
    assert decide({"ETH": gap(3)}, state=state) == Verdict(LONG_AGO, (perp("sell", "3"),))


def test_a_position_is_reduced_by_less_than_the_smallest_order_too():
    state = world.holding(VENUES, MARKET, binance={"ETHUSDT-PERP": "0.002", "USDT": 1000})
    worth_little = {"ETH": Unhedged(D("0.002"), D("0.5"))}
    found = decide(worth_little, limits=structs.replace(LIMITS, max_unhedged_notional=D(0)), state=state)
    assert found == Verdict(LONG_AGO, (perp("sell", "0.002", "binance", reduce_only=True),))


# Where it cannot be closed.


def test_what_cannot_be_closed_is_critical_with_every_reason():
    state = world.holding(VENUES, MARKET, wallet={"WETH": 10}, bybit={"USDT": 1})
    found = decide({"ETH": gap(10)}, state=state, venues={"bybit": VENUES["bybit"], "wallet": VENUES["wallet"]})
    assert found.blocks == ()
    assert found.critical == (
        "33002.5 USD of ETH are unhedged for 61 s and cannot be closed, limits.max_unhedged_notional is 5000: "
        "sell of 10 ETHUSDT perp needs 330.26 USDT of margin on bybit, which would have -20.46; trade less or move USDT there first"
    )


def test_what_is_closed_only_in_part_is_done_and_critical():
    state = world.holding(VENUES, MARKET, bybit={"ETHUSDT-PERP": 4, "USDT": 10**5})
    found = decide(
        {"ETH": gap(6)}, state=state, venues={"bybit": VENUES["bybit"]}, limits=structs.replace(LIMITS, max_unhedged_notional=D(1))
    )
    assert found == Verdict(LONG_AGO, (perp("sell", "4", reduce_only=True), perp("sell", "2")))
    none = decide({"ETH": gap(6)}, state=state, venues={"bybit": VENUES["bybit"]}, busy={"bybit"})
    assert (none.blocks, none.critical) == ((), "19801.5 USD of ETH are unhedged for 61 s and cannot be closed, "
                                            "limits.max_unhedged_notional is 5000: bybit is busy or does not answer")  # fmt: skip


def test_just_the_limit_may_stay_open():
    # Two ETH can be taken back; one USDT carries no perp.
    state = world.holding(VENUES, MARKET, bybit={"ETHUSDT-PERP": 2, "USDT": 1})
    alone, just = {"bybit": VENUES["bybit"]}, structs.replace(LIMITS, max_unhedged_notional=2 * ETH)
    found = decide({"ETH": gap(4)}, state=state, venues=alone, limits=just)
    assert found == Verdict(LONG_AGO, (perp("sell", "2", reduce_only=True),))
    less = decide({"ETH": gap(4)}, state=state, venues=alone, limits=structs.replace(just, max_unhedged_notional=2 * ETH - D("0.01")))
    assert less.blocks == found.blocks
    assert less.critical.startswith("6600.5 USD of ETH are unhedged")


def test_every_asset_and_every_exchange_has_its_reason():
    state = world.holding(VENUES, MARKET, wallet={"WETH": 10})
    gaps = {"BTC": gap(1, D("65000.5")), "ETH": gap("10.00011")}
    found = decide(gaps, {"BTC": 0, "ETH": NOW - 61 * SECOND_US}, state=state, busy={"bybit", "binance"})
    why = "are unhedged for {} s and cannot be closed, limits.max_unhedged_notional is 5000: bybit is busy or does not answer; "
    assert found.critical.splitlines() == [
        f"65000.5 USD of BTC {why.format(NOW // SECOND_US)}binance is busy or does not answer",
        f"33002.86 USD of ETH {why.format(61)}binance is busy or does not answer",
    ]


def test_a_venue_that_is_busy_is_left_out_and_the_others_are_used():
    state = world.holding(VENUES, MARKET, bybit={"ETH": 10, "USDT": 10**5}, binance={"USDT": 10**5})
    found = decide({"ETH": gap(10)}, state=state, busy={"bybit"})
    assert (found.blocks, found.critical) == ((perp("sell", "10", "binance"),), "")


def test_without_an_exchange_it_is_critical():
    found = decide({"ETH": gap(10)}, venues={"wallet": VENUES["wallet"]}, state=State())
    assert found.critical.endswith("limits.max_unhedged_notional is 5000: no exchange trades it")


def test_a_coin_that_no_exchange_has_a_price_of_is_critical():
    found = decide({"SOL": gap(100, D(150))}, {"SOL": 0}, venues={"bybit": VENUES["bybit"]}, state=CASH)
    assert found.blocks == ()
    assert "no perp data of bybit for SOLUSDT" in found.critical


def test_two_assets_are_closed_one_on_what_the_other_leaves():
    state = world.holding(VENUES, MARKET, bybit={"ETH": 10, "BTC": 1, "USDT": 10})
    gaps = {"BTC": gap(1, D("65000.5")), "ETH": gap(10)}
    found = decide(gaps, {"BTC": 0, "ETH": 0}, state=state)
    assert found.blocks == (trade("bybit", "sell", "BTCUSDT", "1"), spot("sell", "10"))


amounts = st.decimals(min_value=-40, max_value=40, places=3)


@given(amounts, amounts, st.integers(0, 60_000), st.integers(0, 60_000))
def test_what_is_closed_is_within_the_limit_afterwards_and_the_rest_is_critical(base, perps, first, second):
    """Whatever the positions: after the blocks the gap is as small as what is not said to be critical, and it never grows."""
    account = {"ETHUSDT-PERP": perps} if perps else {}
    state = world.holding(VENUES, MARKET, bybit={**account, "USDT": first + 200_000}, binance={"USDT": second, "ETH": 3})
    found = decide({"ETH": gap(base)}, state=state)
    left = state
    with localcontext(EXACT):
        before = exposures_of(state, FEW, MARKET).net.get("ETH", D(0))
        for block in found.blocks:
            left = world.run(block, FEW, left, MARKET).state
        moved = exposures_of(left, FEW, MARKET).net.get("ETH", D(0)) - before
        # A purchase of coins pays its fee in coins.
        rest = abs(base + moved)
    assert rest <= abs(base)
    if abs(base) * ETH <= 5000:
        assert found.blocks == ()
    elif not found.critical:
        assert rest * ETH <= 5000 + 150
    else:
        assert rest * ETH > 4800
