"""Spot and perp trades at an exchange: fills, fees, lots, limits, realised profit, funding."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.core.error_codes.exceptions import ComponentError, VenueRejected
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.market import DictSnapshot, MissingData
from basis_strategy_v1.core.state import ExchangeAccount, Perp, State
from basis_strategy_v1.venues.cex import Exchange, after_trade
from basis_strategy_v1.venues.exchanges import EXCHANGES, FINEST_LOT, Tier, Withdrawal

from ..world import AT, exactly, holding, provider, run, trade, update_to, value, venue, venues, write_bars, write_funding

D = Decimal
FREE = {"spot_taker_fee_bps": D(0), "perp_taker_fee_bps": D(0), "slippage_bps": D(0)}


def prices(eth: float = 2000.0, btc: float = 60000.0, funding: float | None = None, at: Any = AT) -> DictSnapshot:
    data: dict[str, Any] = {"prices": {"ETH": eth, "BTC": btc, "USDT": 1.0, "USDC": 1.0}}
    if funding is not None:
        data["funding_rates"] = {name: {"ETHUSDT": funding, "BTCUSDT": funding} for name in EXCHANGES}
    return DictSnapshot(at, {"market_data": data})


MARKET = prices()


def account(name: str = "bybit", settings: dict[str, Any] | None = None, **tokens: Any) -> tuple[Any, State]:
    all_venues = venues({name: settings or {}})
    return all_venues, holding(all_venues, MARKET, **{name: {token.replace("_", "-"): amount for token, amount in tokens.items()}})


def refused(block: dict[str, Any], all_venues: Any, state: State, market: Any = MARKET) -> str:
    with pytest.raises(VenueRejected) as caught:
        run(block, all_venues, state, market)
    assert caught.value.error_code == "CEX-001"
    return caught.value.message


def figures(moved: Any) -> dict[str, Decimal]:
    return {name: D(figure) for name, figure in moved.details.items()}


# Prices and fees.


def test_buying_spot_pays_slippage_and_the_fee_in_what_it_receives():
    moved = run(trade("bybit", "buy", "ETHUSDT", "1.5"), *account(USDT=10_000), MARKET)
    assert moved.deltas == Deltas.at("bybit", {"ETH": D("1.4985"), "USDT": D("-3000.3")})
    assert moved.costs == (Cost("fees", "ETH", D("0.0015")), Cost("slippage", "USDT", D("0.3")))
    assert figures(moved) == {"filled": D("1.5"), "price": D("2000.2")}
    assert moved.state.positions() == {"bybit": {"ETH": D("1.4985"), "USDT": D("6999.7")}}


def test_selling_spot_pays_slippage_and_the_fee_in_quote():
    moved = run(trade("bybit", "sell", "ETHUSDT", "1.5"), *account(ETH=2), MARKET)
    assert moved.deltas.tokens("bybit") == {"ETH": D("-1.5"), "USDT": D("2999.7") - D("2.9997")}
    assert moved.costs == (Cost("fees", "USDT", D("2.9997")), Cost("slippage", "USDT", D("0.3")))


def test_an_exchange_that_charges_quote_only_takes_the_fee_of_a_buy_from_the_quote():
    all_venues, state = account(USDT=10_000)
    all_venues["bybit"] = Exchange("bybit", structs.replace(EXCHANGES["bybit"], spot_fee_in="quote"))
    moved = run(trade("bybit", "buy", "ETHUSDT", 1), all_venues, state, MARKET)
    assert moved.deltas.tokens("bybit") == {"ETH": D(1), "USDT": D("-2000.2") * D("1.001")}


WITH_BNB = DictSnapshot(
    MARKET.at,
    {
        "market_data": {
            "prices": {"ETH": 2000.0, "USDT": 1.0, "BNB": 500.0},
            "spot_prices": {"binance": {"ETHUSDT": 2000.0, "BNBUSDT": 500.0}},
        }
    },
)
IN_BNB = {"binance": {"spot_fee_in": "BNB", "slippage_bps": D(0)}}


@pytest.mark.parametrize(("side", "eth", "usdt"), [("buy", D(1), D(-2000)), ("sell", D(-1), D(2000))])
def test_a_fee_token_pays_the_fee_less_its_discount_where_enough_of_it_is_held(side, eth, usdt):
    moved = run(trade("binance", side, "ETHUSDT", 1), *account("binance", settings=IN_BNB["binance"], USDT=10_000, ETH=5, BNB=1), WITH_BNB)
    fee = D(2000) * D("0.001") * D("0.75") / 500
    assert moved.deltas.tokens("binance") == {"ETH": eth, "USDT": usdt, "BNB": -fee}
    assert moved.costs == (Cost("fees", "BNB", fee),)
    assert moved.state.positions()["binance"]["BNB"] == 1 - fee


def test_without_enough_of_the_fee_token_the_fee_is_taken_from_what_the_trade_pays_out():
    moved = run(trade("binance", "buy", "ETHUSDT", 1), *account("binance", settings=IN_BNB["binance"], USDT=10_000, BNB="0.002"), WITH_BNB)
    assert moved.deltas.tokens("binance") == {"ETH": D("0.999"), "USDT": D(-2000)}


def test_a_purchase_of_the_fee_token_itself_pays_its_fee_too():
    moved = run(trade("binance", "buy", "BNBUSDT", 1), *account("binance", settings=IN_BNB["binance"], USDT=10_000, BNB=1), WITH_BNB)
    assert moved.deltas.tokens("binance") == {"BNB": D(1) - D("0.00075"), "USDT": D(-500)}


def test_a_fee_token_that_the_exchange_does_not_take_is_refused():
    with pytest.raises(ComponentError, match=r"venues.cex.bybit.spot_fee_in: 'BNB'; allowed: received \| quote"):
        venue("bybit", {"spot_fee_in": "BNB"})


def test_a_perp_trade_moves_the_position_and_pays_its_fee_in_the_settlement_token():
    moved = run(trade("hyperliquid", "sell", "ETHUSDC", "1.5", "perp"), *account("hyperliquid", USDC=5_000), MARKET)
    fee = D("1.5") * D("1999.8") * D("0.00045")
    assert moved.deltas.tokens("hyperliquid") == {"ETHUSDC-PERP": D("-1.5"), "USDC": -fee}
    assert moved.costs == (Cost("fees", "USDC", fee), Cost("slippage", "USDC", D("0.3")))


def test_without_costs_an_outcome_is_price_times_amount():
    all_venues, state = account(settings=FREE, USDT=10_000)
    bought = run(trade("bybit", "buy", "ETHUSDT", 2), all_venues, state, MARKET)
    assert bought.deltas.tokens("bybit") == {"ETH": D(2), "USDT": D(-4000)}
    short = run(trade("bybit", "sell", "ETHUSDT", 2, "perp"), all_venues, state, MARKET)
    assert (short.deltas.tokens("bybit"), short.costs) == ({"ETHUSDT-PERP": D(-2)}, ())


@given(st.sampled_from(["buy", "sell"]), st.sampled_from(["spot", "perp"]), st.decimals("0.01", "20", places=4))
@exactly
def test_a_market_order_never_fills_better_than_the_price(side, kind, amount):
    moved = run(trade("okx", side, "ETHUSDT", amount, kind), *account("okx", USDT=100_000, ETH=50), MARKET)
    fill = D(moved.details["price"])
    assert fill == D("2000.2") if side == "buy" else fill == D("1999.8")


# Limit orders.


@pytest.mark.parametrize("time_in_force", ["IOC", "FOK"])
@pytest.mark.parametrize(("side", "limit"), [("buy", "1999.99"), ("sell", "2000.01")])
def test_a_limit_that_is_not_reached_does_nothing(side, limit, time_in_force):
    all_venues, state = account(USDT=10_000, ETH=5)
    for kind in ("spot", "perp"):
        block = trade("bybit", side, "ETHUSDT", 1, kind, order_type="limit", price=limit, time_in_force=time_in_force)
        moved = run(block, all_venues, state, MARKET)
        assert (moved.deltas.as_floats(), moved.costs, moved.state) == ({}, (), state)
        assert figures(moved) == {"filled": 0, "price": 2000, "limit": D(limit)}


@pytest.mark.parametrize(
    ("side", "limit", "fill"),
    [("buy", "2000", "2000"), ("buy", "2000.1", "2000.1"), ("buy", "2500", "2000.2"),
     ("sell", "2000", "2000"), ("sell", "1999.95", "1999.95"), ("sell", "1500", "1999.8")],
)  # fmt: skip
def test_a_limit_that_is_reached_fills_with_slippage_but_never_beyond_itself(side, limit, fill):
    moved = run(trade("bybit", side, "ETHUSDT", 1, order_type="limit", price=limit), *account(USDT=10_000, ETH=5), MARKET)
    assert figures(moved)["price"] == D(fill)


def test_a_limit_goes_onto_the_tick_on_the_traders_side():
    all_venues, state = account(USDT=10_000, ETH=5, settings={"tick": {"ETHUSDT": D("0.5")}})
    missed = run(trade("bybit", "buy", "ETHUSDT", 1, order_type="limit", price="2000.4"), all_venues, state, prices(2000.2))
    assert figures(missed) == {"filled": 0, "price": D("2000.2"), "limit": D("2000.4")}
    sold = run(trade("bybit", "sell", "ETHUSDT", 1, order_type="limit", price="1999.7"), all_venues, state, MARKET)
    assert figures(sold)["price"] == 2000


# Lots, minimums, symbols, balances.


def test_an_amount_is_floored_to_whole_lots_of_its_market():
    all_venues, state = account("binance", USDT=100_000)
    assert figures(run(trade("binance", "buy", "ETHUSDT", "1.23456789"), all_venues, state, MARKET))["filled"] == D("1.2345")
    assert figures(run(trade("binance", "buy", "ETHUSDT", "1.23456789", "perp"), all_venues, state, MARKET))["filled"] == D("1.234")
    assert refused(trade("binance", "buy", "ETHUSDT", "0.00009"), all_venues, state) == (
        "binance trades ETHUSDT spot in lots of 0.0001; 0.00009 is less than one"
    )


@pytest.mark.parametrize(
    ("lot", "eth", "btc"),
    [(D("0.5"), "1", "1"), ({"ETH": D("0.5")}, "1", "1.234567"), ({"ETHUSDT": D("0.25"), "ETH": D("0.5")}, "1", "1.234567")],
)
def test_a_lot_of_the_config_is_for_all_or_for_a_symbol_or_base(lot, eth, btc):
    all_venues, state = account(settings={"lot": lot}, USDT=1_000_000)
    assert figures(run(trade("bybit", "buy", "ETHUSDT", "1.23456789"), all_venues, state, MARKET))["filled"] == D(eth)
    assert figures(run(trade("bybit", "buy", "BTCUSDT", "1.23456789"), all_venues, state, MARKET))["filled"] == D(btc)


def test_a_base_without_a_published_lot_trades_in_the_finest():
    data = DictSnapshot(AT, {"market_data": {"prices": {"SOL": 150.0, "USDT": 1.0}}})
    moved = run(trade("bybit", "buy", "SOLUSDT", "1.234567891", order_type="limit", price="151"), *account(USDT=1_000), data)
    assert figures(moved)["filled"] == D("1.23456789")


def test_an_order_below_the_minimum_notional_is_refused_with_both_numbers():
    all_venues, state = account("binance", USDT=1_000)
    assert refused(trade("binance", "buy", "ETHUSDT", "0.0024"), all_venues, state) == (
        "binance takes no spot order below 5 USDT; 0.0024 ETH at 2000 is 4.8"
    )
    assert refused(trade("binance", "buy", "ETHUSDT", "0.009", "perp"), all_venues, state) == (
        "binance takes no perp order below 20 USDT; 0.009 ETH at 2000 is 18"
    )
    run(trade("binance", "buy", "ETHUSDT", "0.0025"), all_venues, state, MARKET)


def test_a_position_can_be_closed_below_the_minimum_notional():
    held = account("binance", USDT=100, ETHUSDT_PERP="-0.001")
    moved = run(trade("binance", "buy", "ETHUSDT", 1, "perp", reduce_only=True), *held, MARKET)
    assert figures(moved)["filled"] == D("0.001")


@pytest.mark.parametrize(
    ("venue", "symbol", "message"),
    [
        ("hyperliquid", "ETHUSDT", "hyperliquid settles in USDC: write ETHUSDC instead of ETHUSDT"),
        ("hyperliquid", "ETHUSD", "hyperliquid settles in USDC: write ETHUSDC instead of ETHUSD"),
        ("binance", "BTCUSDC", "binance settles in USDT: write BTCUSDT instead of BTCUSDC"),
        ("okx", "ETH", "symbol must be base and USDT written together such as ETHUSDT, got ETH"),
        ("okx", "USDT", "symbol must be base and USDT written together such as ETHUSDT, got USDT"),
    ],
)
def test_a_symbol_in_another_quote_is_refused_naming_the_right_one(venue, symbol, message):
    assert refused(trade(venue, "buy", symbol, 1), *account(venue, USDT=10_000)) == message


def test_more_than_the_balance_is_refused_with_both_numbers():
    all_venues, state = account(USDT=100, ETH="0.5")
    assert refused(trade("bybit", "buy", "ETHUSDT", 1), all_venues, state) == (
        "buy of 1 ETHUSDT needs 2000.2 USDT, bybit holds 100; use less or move USDT there first"
    )
    assert refused(trade("bybit", "sell", "ETHUSDT", 1), all_venues, state) == (
        "sell of 1 ETHUSDT needs 1 ETH, bybit holds 0.5; use less or move ETH there first"
    )


def test_where_no_balances_are_known_nothing_is_refused_for_want_of_them():
    unknown = State(checked=False)
    all_venues = venues()
    for kind in ("spot", "perp"):
        fields = {"reduce_only": True} if kind == "perp" else {}
        moved = run(trade("bybit", "sell", "ETHUSDT", 100, kind, **fields), all_venues, unknown, MARKET)
        assert figures(moved)["filled"] == D("100")


def test_a_series_that_is_not_there_is_an_error_that_names_it():
    with pytest.raises(MissingData, match="DAT-001: no spot data of bybit for DOGEUSDT at 2024-06-01T00:00:00Z"):
        run(trade("bybit", "buy", "DOGEUSDT", 100), *account(USDT=100), MARKET)


# Perps: reducing and realised profit.


def test_reduce_only_takes_no_more_than_the_position_and_nothing_that_would_add():
    all_venues, state = account(settings=FREE, USDT=1_000, ETHUSDT_PERP="-0.4")
    moved = run(trade("bybit", "buy", "ETHUSDT", 3, "perp", reduce_only=True), all_venues, state, MARKET)
    assert (moved.deltas.tokens("bybit"), moved.state.part("bybit", ExchangeAccount).perps) == ({"ETHUSDT-PERP": D("0.4")}, {})
    assert refused(trade("bybit", "sell", "ETHUSDT", 1, "perp", reduce_only=True), all_venues, state) == (
        "reduce_only sell of ETHUSDT: bybit holds -0.4, there is nothing to reduce"
    )
    assert refused(trade("bybit", "buy", "BTCUSDT", 1, "perp", reduce_only=True), all_venues, state) == (
        "reduce_only buy of BTCUSDT: bybit holds 0, there is nothing to reduce"
    )
    assert refused(trade("bybit", "buy", "ETHUSDT", "0.1", reduce_only=True), all_venues, state) == (
        "reduce_only is for perps; leave it out of a spot trade"
    )


@pytest.mark.parametrize(
    ("side", "amount", "realised", "left"),
    [
        ("sell", 1, "100", Perp(D(1), D(2000))),  # half is closed: half the profit
        ("sell", 2, "200", None),
        ("sell", 3, "200", Perp(D(-1), D(-2100))),  # turned around: the rest is opened at the fill
        ("buy", 1, "0", Perp(D(3), D(6100))),
    ],
)
def test_reducing_realises_the_profit_of_what_is_closed(side, amount, realised, left):
    all_venues, state = account(settings=FREE, USDT=10_000, ETHUSDT_PERP=2)
    moved = run(trade("bybit", side, "ETHUSDT", amount, "perp"), all_venues, state, prices(2100))
    assert figures(moved)["realised"] == D(realised)
    assert moved.state.part("bybit", ExchangeAccount) == ExchangeAccount({"USDT": 10_000 + D(realised)}, {"ETHUSDT": left} if left else {})


@given(
    st.decimals("-50", "50", places=3).filter(bool), st.decimals("100", "9000", places=2),
    st.lists(st.tuples(st.decimals("-50", "50", places=3).filter(bool), st.decimals("100", "9000", places=4)), min_size=1, max_size=6),
    st.decimals("100", "9000", places=2),
)  # fmt: skip
@exactly
def test_what_a_perp_is_worth_changes_by_exactly_the_trade(base, entry, trades, mark):
    held, realised = Perp(base, base * entry), D(0)
    worth = base * mark - held.cost
    for signed, fill in trades:
        held, profit = after_trade(held, signed, fill)
        realised += profit
        worth += signed * (mark - fill)
        assert held.base * mark - held.cost + realised == worth
        assert held.base or not held.cost


# Funding.


@pytest.mark.parametrize(("position", "paid"), [("2", "0.4"), ("-2", "-0.4")])
def test_longs_pay_a_positive_funding_rate_and_shorts_receive_it(position, paid):
    all_venues, state = account(USDT=1_000, ETHUSDT_PERP=position)
    after, settled = update_to(all_venues["bybit"], state, prices(2000, funding=0.0001))
    assert [(row.kind, row.deltas, row.costs) for row in settled] == [
        ("funding", Deltas.at("bybit", {"USDT": -D(paid)}), (Cost("funding", "USDT", D(paid)),))
    ]
    assert settled[0].details == {"symbol": "ETHUSDT", "rate": "0.0001", "mark": "2000", "position": position, "missing": False}
    assert after.part("bybit", ExchangeAccount).balances == {"USDT": 1_000 - D(paid)}


def test_a_source_without_rows_pays_funding_on_the_hour_only():
    all_venues, state = account(USDT=1_000, ETHUSDT_PERP=1)
    at = AT + timedelta(hours=5, minutes=10)
    assert update_to(all_venues["bybit"], state, prices(funding=0.0001, at=at)) == (state, ())


def funded(tmp_path: Any, rates: dict[Any, Any], **options: Any) -> Any:
    write_bars(tmp_path, "bybit", "perp", "ETHUSDT", [(2000 + hour,) for hour in range(48)], AT - timedelta(hours=24))
    write_bars(tmp_path, "bybit", "spot", "ETHUSDT", [(2000,)] * 48, AT - timedelta(hours=24))
    write_funding(tmp_path, "bybit", "ETHUSDT", rates)
    return provider(tmp_path, **options)


def test_funding_is_paid_at_its_stamp_on_the_last_close_visible_then(tmp_path):
    data = funded(tmp_path, {AT: "0.0001", AT + timedelta(hours=8): "-0.0003"})
    all_venues = venues()
    state = holding(all_venues, data.snapshot(AT), bybit={"USDT": 10_000, "ETHUSDT-PERP": -2})
    exchange = all_venues["bybit"]
    due = exchange.next_due(state, data.snapshot(AT), data.snapshot(AT + timedelta(hours=9)).instant)
    assert due == data.snapshot(AT + timedelta(hours=8)).instant
    _, settled = update_to(exchange, state, data.snapshot(AT + timedelta(hours=8)))
    # The bar that opened at 07:00 closed at 08:00: 2000 + 31.
    assert [row.deltas.tokens("bybit") for row in settled] == [{"USDT": D("2") * 2031 * D("-0.0003")}]
    assert update_to(exchange, state, data.snapshot(AT + timedelta(hours=7))) == (state, ())
    assert exchange.next_due(state, data.snapshot(AT), data.snapshot(AT + timedelta(hours=7)).instant) is None


@pytest.mark.parametrize("seconds", [1, 59, -1, -59])
def test_a_row_stamped_off_the_hour_is_paid_once_at_its_own_stamp(tmp_path, seconds):
    stamp = AT + timedelta(hours=8, seconds=seconds)
    data = funded(tmp_path, {AT: "0.0001", stamp: "0.0002", AT + timedelta(hours=16): "0.0001"})
    all_venues = venues()
    state = holding(all_venues, data.snapshot(AT), bybit={"USDT": 10_000, "ETHUSDT-PERP": 1})
    paid = [update_to(all_venues["bybit"], state, data.snapshot(at))[1] for at in (AT + timedelta(hours=8), stamp)]
    assert [len(rows) for rows in paid] == [0, 1]


def test_the_last_row_of_the_data_is_paid_also_off_the_grid(tmp_path):
    stamp = AT + timedelta(hours=4)
    data = funded(tmp_path, {AT: "0.0001", stamp: "0.0002"})
    all_venues = venues()
    state = holding(all_venues, data.snapshot(AT), bybit={"USDT": 10_000, "ETHUSDT-PERP": 1})
    assert [row.kind for row in update_to(all_venues["bybit"], state, data.snapshot(stamp))[1]] == ["funding"]


def test_rows_stamped_a_little_late_are_not_asked_for_at_the_hour_where_the_data_end_at_it(tmp_path):
    late = timedelta(seconds=1)
    data = funded(tmp_path, {AT + late: "0.0001", AT + timedelta(hours=8) + late: "0.0002"})
    all_venues = venues()
    state = holding(all_venues, data.snapshot(AT), bybit={"USDT": 10_000, "ETHUSDT-PERP": 1})
    assert update_to(all_venues["bybit"], state, data.snapshot(AT + timedelta(hours=16))) == (state, ())


def test_a_payment_without_a_row_is_an_error_or_zero_as_the_data_say(tmp_path):
    rates = {AT: "0.0001", AT + timedelta(hours=16): "0.0001"}
    strict, lenient = funded(tmp_path, rates), funded(tmp_path, rates, missing_funding="zero")
    all_venues = venues()
    state = holding(all_venues, strict.snapshot(AT), bybit={"USDT": 10_000, "ETHUSDT-PERP": 1})
    at = AT + timedelta(hours=8)
    with pytest.raises(MissingData, match=r"DAT-005: funding/bybit/ETHUSDT has no row at 2024-06-01T08:00:00Z"):
        update_to(all_venues["bybit"], state, strict.snapshot(at))
    _, settled = update_to(all_venues["bybit"], state, lenient.snapshot(at))
    assert [(row.deltas.as_floats(), row.costs, row.details["missing"]) for row in settled] == [({}, (), True)]
    assert lenient.missing_funding_used == [("funding/bybit/ETHUSDT", at)]


def test_two_perps_of_one_account_each_pay_their_own_funding():
    all_venues, state = account(USDT=10_000, ETHUSDT_PERP=1, BTCUSDT_PERP="-0.1")
    after, settled = update_to(all_venues["bybit"], state, prices(funding=0.001))
    assert [row.details["symbol"] for row in settled] == ["ETHUSDT", "BTCUSDT"]
    assert after.part("bybit", ExchangeAccount).balances == {"USDT": 10_000 - D(2) + D(6)}


# Rows and settings.


def test_an_account_is_at_the_exchange_that_its_settings_name_or_its_name_begins_with():
    named = {"binance_perp": {}, "bybit_main": {"exchange": "bybit"}, "main": {"exchange": "okx"}}
    assert {name: venue(name, own).row for name, own in named.items()} == {
        "binance_perp": EXCHANGES["binance"], "bybit_main": EXCHANGES["bybit"], "main": EXCHANGES["okx"],
    }  # fmt: skip
    with pytest.raises(KeyError):
        venue("nothing_of_this")


def test_settings_take_the_place_of_the_published_figures():
    own, okx = {"spot_taker_fee_bps": 3, "min_notional": 7, "maintenance_margin_bps": 80, "tick": "0.5"}, EXCHANGES["okx"]
    row = venue("okx", {**own, "lot": {"ETHUSDT": 2}, "withdrawal": {"USDT": {"fee": 1, "minutes": "2.5"}}}).row
    assert [figure.at() for figure in (row.spot_taker_fee_bps, row.min_notional, row.perp_min_notional)] == [3, 7, 7]
    assert (row.max_leverage, row.tiers.at(), row.ticks.at(0, "BTC")) == (okx.max_leverage, (Tier(D("Infinity"), D(80)),), D("0.5"))
    lots = [row.spot_lots.at(0, symbol, symbol[:3]) for symbol in ("ETHUSDT", "ETHUSDC", "SOLUSDT")]
    assert lots == [2, okx.spot_lots.at(0, "ETH"), FINEST_LOT]
    assert [row.withdrawals.at(0, token) for token in ("USDT", "ETH")] == [Withdrawal(D(1), D(0), D("2.5")), Withdrawal()]
    assert venue("okx", {"withdrawal": "default"}).row.withdrawals == okx.public_withdrawals
    assert venue("okx").row == okx


def test_an_account_opens_with_its_perps_at_the_last_close():
    all_venues, state = account(USDT=10, ETHUSDT_PERP=-3, BTCUSDT_PERP=0)
    assert state.part("bybit", ExchangeAccount) == ExchangeAccount({"USDT": D(10)}, {"ETHUSDT": Perp(D(-3), D(-6000))})
    assert value(all_venues, state, MARKET) == 10
