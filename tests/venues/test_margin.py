"""Margin of perps: tiers, what can be opened and taken out, and liquidation."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.core.clock import HOUR_US, to_instant
from basis_strategy_v1.core.error_codes.exceptions import VenueRejected
from basis_strategy_v1.core.execution_report import Cost
from basis_strategy_v1.core.market import DictSnapshot
from basis_strategy_v1.core.state import ExchangeAccount, Perp, State
from basis_strategy_v1.execution.account import Account as TradingAccount
from basis_strategy_v1.execution.market_source import MarketSource
from basis_strategy_v1.positions.position_update_handler import PositionUpdateHandler
from basis_strategy_v1.venues.cex import Exchange, MarginAccount
from basis_strategy_v1.venues.exchanges import EXCHANGES

from ..world import AT, exactly, holding, provider, run, settled, trade, transfer, update_to, value, venues, write_bars, write_funding

D = Decimal
NO_FEES = {"perp_taker_fee_bps": D(0), "slippage_bps": D(0)}


def prices(eth: float = 2000.0, btc: float = 60000.0, at: Any = AT + timedelta(minutes=30)) -> DictSnapshot:
    return DictSnapshot(at, {"market_data": {"prices": {"ETH": eth, "BTC": btc, "USDT": 1.0}}})


def exchange(name: str = "bybit") -> Exchange:
    return Exchange(name, EXCHANGES[name])


def test_maintenance_takes_each_tiers_rate_on_its_own_part():
    binance = exchange("binance")
    assert binance.terms.maintenance("BTCUSDT", D(0)) == 0
    assert binance.terms.maintenance("BTCUSDT", D(50_000)) == 200
    assert binance.terms.maintenance("BTCUSDT", D(60_000)) == 200 + 50
    assert binance.terms.maintenance("BTCUSDT", D(700_000)) == 200 + 2_750 + 650
    assert binance.terms.maintenance("BTCUSDT", D(20_000_000)) == 200 + 2_750 + 15_600 + 90_000 + 160_000


def test_margin_counts_the_settlement_token_and_unrealised_profit_only():
    account = ExchangeAccount({"USDT": D(1000), "ETH": D(5)}, {"ETHUSDT": Perp(D(-2), D(-4200)), "BTCUSDT": Perp(D("0.1"), D(5900))})
    bybit = exchange()
    margin = bybit.margin(account, bybit.marks(account, prices()))
    assert margin == MarginAccount(D(1000) + 200 + 100, D(4000) + 6000, D(50))
    assert margin.leverage == D(10_000) / 1_300


def test_margin_is_a_function_of_the_account_and_the_marks_of_all_its_perps_alone():
    account = ExchangeAccount({"USDT": D(1000)}, {"ETHUSDT": Perp(D(-2), D(-4200)), "BTCUSDT": Perp(D("0.1"), D(5900))})
    marks = {"ETHUSDT": D(2300), "BTCUSDT": D(59_000)}
    assert exchange().margin(account, marks) == MarginAccount(D(1000) - 400, D(4600) + 5900, D("52.5"))
    with pytest.raises(KeyError, match="BTCUSDT"):
        exchange().margin(account, {"ETHUSDT": D(2300)})


def test_leverage_is_nothing_without_a_position_and_infinite_without_equity():
    assert MarginAccount(D(5), D(0), D(0)).leverage == 0
    assert MarginAccount(D(-5), D(10), D(1)).leverage == D("Infinity")


def rejected(block: dict[str, Any], settings: dict[str, Any] | None = None, **positions: Any) -> str:
    all_venues = venues({"bybit": {**NO_FEES, **(settings or {})}})
    with pytest.raises(VenueRejected) as caught:
        run(block, all_venues, holding(all_venues, prices(), bybit=positions), prices())
    return caught.value.message


def test_no_more_can_be_opened_than_the_margin_carries():
    block = trade("bybit", "sell", "ETHUSDT", 10, "perp")
    assert rejected(block, {"max_leverage": D(10)}, USDT=1_999) == (
        "sell of 10 ETHUSDT perp needs 2000 USDT of margin on bybit, which would have 1999; trade less or move USDT there first"
    )
    all_venues = venues({"bybit": {**NO_FEES, "max_leverage": D(10)}})
    run(block, all_venues, holding(all_venues, prices(), bybit={"USDT": 2_000}), prices())


def test_at_a_leverage_cap_of_1_what_slips_counts_twice_in_the_margin_of_a_short():
    """It lessens the cash, and the price that the position is valued at is above the one that it was filled at."""
    settings = {"max_leverage": D(1), "slippage_bps": D(100)}
    block = trade("bybit", "sell", "ETHUSDT", 1, "perp")  # filled at 1980
    for cash, would_have in (("1990", "1970"), ("2019.99", "1999.99")):
        message = f"sell of 1 ETHUSDT perp needs 2000 USDT of margin on bybit, which would have {would_have}; "
        assert rejected(block, settings, USDT=cash).startswith(message)
    all_venues = venues({"bybit": {**NO_FEES, **settings}})
    for cash in ("2020", "2020.01"):
        moved = run(block, all_venues, holding(all_venues, prices(), bybit={"USDT": cash}), prices())
        assert moved.state.positions()["bybit"]["ETHUSDT-PERP"] == -1


def test_a_position_that_would_be_liquidated_at_once_cannot_be_opened():
    settings = {"maintenance_margin_bps": D(200)}
    block = trade("bybit", "buy", "ETHUSDT", 10, "perp")
    assert rejected(block, settings, USDT=400).startswith("buy of 10 ETHUSDT perp needs 400 USDT of margin on bybit, which would have 400")
    all_venues = venues({"bybit": {**NO_FEES, **settings}})
    moved = run(block, all_venues, holding(all_venues, prices(), bybit={"USDT": "400.01"}), prices())
    assert update_to(all_venues["bybit"], moved.state, prices())[1] == ()


def test_margin_cannot_be_spent_or_taken_out():
    settings, held = {"max_leverage": D(5)}, {"USDT": 5_000, "ETHUSDT-PERP": -10}
    assert "of margin on bybit, which would have 3999" in rejected(transfer("bybit", "okx", "USDT", 1_001), settings, **held)
    assert "of margin on bybit, which would have" in rejected(trade("bybit", "buy", "ETHUSDT", 1), settings, **held)
    all_venues = venues({"bybit": settings})
    state = holding(all_venues, prices(), bybit={**held, "ETH": 3})
    for block in (transfer("bybit", "okx", "USDT", 1_000), transfer("bybit", "okx", "ETH", 3), trade("bybit", "sell", "ETHUSDT", 1)):
        run(block, all_venues, state, prices())


def test_reducing_is_allowed_however_short_the_margin():
    all_venues = venues()
    state = holding(all_venues, prices(), bybit={"USDT": 1, "ETHUSDT-PERP": 10})
    run(trade("bybit", "sell", "ETHUSDT", 4, "perp"), all_venues, state, prices())


# The liquidation price.


def searched_price(venue: Exchange, account: ExchangeAccount, symbol: str) -> Decimal | None:
    """The same by halving: where equity at a price less maintenance changes its sign."""
    perp = account.perps[symbol]

    def safe(price: Decimal) -> bool:
        return account.balances.get("USDT", D(0)) + perp.base * price - perp.cost > venue.terms.maintenance(
            "ETHUSDT", abs(perp.base) * price
        )

    low, high = D(0), D(10) ** 12
    if perp.base > 0:
        if safe(D(0)):
            return None
    elif not safe(low):
        return D(0)
    for _ in range(220):
        middle = (low + high) / 2
        if safe(middle) == (perp.base > 0):
            high = middle
        else:
            low = middle
    return (low + high) / 2


@given(
    st.sampled_from(sorted(EXCHANGES)), st.decimals("-3000", "3000", places=3).filter(bool),
    st.decimals("100", "9000", places=2), st.decimals("-20000", "20000000", places=2),
)  # fmt: skip
@exactly
def test_the_liquidation_price_is_where_a_search_finds_it(name, base, entry, cash):
    venue = Exchange(name, EXCHANGES[name])
    account = ExchangeAccount({venue.row.settle: cash}, {"ETH": Perp(base, base * entry)})
    as_usdt = ExchangeAccount({"USDT": cash}, account.perps)
    found, searched = venue.liquidation_price(account, "ETH"), searched_price(venue, as_usdt, "ETH")
    assert (found is None) == (searched is None)
    if found is not None and searched is not None:
        assert abs(found - searched) < D("1e-40")


# Liquidation in time.


def folder(tmp_path: Any, bars: list[Any], symbols: tuple[str, ...] = ("ETHUSDT",)) -> Any:
    for symbol in symbols:
        write_bars(tmp_path, "bybit", "perp", symbol, bars)
        write_funding(tmp_path, "bybit", symbol, {AT: 0, AT + timedelta(hours=8): 0})
    return provider(tmp_path)


def held_at(data: Any, hour: int, **positions: Any) -> tuple[TradingAccount, PositionUpdateHandler]:
    """An account that is opened at an hour after the start."""
    handler = PositionUpdateHandler({"bybit": {token.replace("_", "-"): amount for token, amount in positions.items()}})
    account = TradingAccount({"bybit": exchange()}, MarketSource(data), handler)
    account.state(account.market(AT + timedelta(hours=hour)))
    return account, handler


CALM = (2000, 2005, 1995, 2000)


@pytest.mark.parametrize(
    ("position", "spike"),
    [(-10, (2000, 2400, 1995, 2010)), (-10, (2000, 2400, 1995, 2390)), (10, (2000, 2005, 1600, 1990)), (10, (2000, 2005, 1600, 1600))],
)
@exactly
def test_a_position_is_liquidated_in_the_bar_that_reaches_its_price(tmp_path, position, spike):
    data = folder(tmp_path, [CALM, CALM, CALM, spike, CALM])
    account, handler = held_at(data, 1, USDT=2_000, ETHUSDT_PERP=position)
    reports = settled(account, AT + timedelta(hours=5))
    (report,) = reports
    all_of_it = 2_000 + position * (D(spike[3]) - 2000)
    price = exchange().liquidation_price(ExchangeAccount({"USDT": D(2_000)}, {"ETHUSDT": Perp(D(position), D(position * 2000))}), "ETHUSDT")
    lost = (2_000 + position * (price - 2000)).quantize(D("1e-8"))  # the maintenance margin at that price, wherever the bar closes
    assert (report.kind, report.at) == ("liquidation", AT + timedelta(hours=4))  # the bar of 03:00 has closed
    assert report.deltas.tokens("bybit") == {"ETHUSDT-PERP": D(-position), "USDT": D(-2_000)}
    assert report.costs == (Cost("liquidation", "USDT", lost), Cost("perp_price", "USDT", all_of_it - lost))
    assert lost == exchange().terms.maintenance("ETHUSDT", 10 * price).quantize(D("1e-8"))
    assert report.details["closed"] == {"ETHUSDT": str(position)}
    assert handler.positions == {}


@exactly
def test_the_high_has_to_reach_the_price_to_the_last_digit(tmp_path):
    account = ExchangeAccount({"USDT": D(2_000)}, {"ETHUSDT": Perp(D(-10), D(-20_000))})
    price = exchange().liquidation_price(account, "ETHUSDT").quantize(D("1e-8"))
    for step, liquidated in ((D("-1e-8"), False), (D("1e-8"), True)):
        where = tmp_path / str(liquidated)
        account, _ = held_at(folder(where, [CALM, CALM, (2000, price + step, 1990, 2000), CALM]), 1, USDT=2_000, ETHUSDT_PERP=-10)
        assert bool(settled(account, AT + timedelta(hours=4))) is liquidated


@pytest.mark.parametrize("symbols", [("ETHUSDT",), ("ETHUSDT", "BTCUSDT")])
def test_a_bar_from_before_the_position_was_opened_does_not_liquidate_it(tmp_path, symbols):
    data = folder(tmp_path, [CALM, (2000, 9000, 1995, 2000), CALM, CALM, *[CALM] * 5], symbols)
    shorts = {f"{symbol}_PERP": -5 for symbol in symbols}
    account, handler = held_at(data, 2, USDT=2_000, **shorts)  # the bar with the spike has just closed
    before = handler.state
    reports = settled(account, AT + timedelta(hours=9))
    assert [report.kind for report in reports] == ["funding"] * len(symbols)
    assert handler.positions == before.positions()


def test_a_bar_from_before_does_not_liquidate_two_perps_at_a_funding_in_the_middle_of_the_next(tmp_path):
    symbols = ("ETHUSDT", "BTCUSDT")
    data = folder(tmp_path, [(2000, 9000, 1995, 2000), CALM, CALM], symbols)
    for symbol in symbols:
        write_funding(tmp_path, "bybit", symbol, {AT: 0, AT + timedelta(hours=1, minutes=30): 0, AT + timedelta(hours=8): 0})
    data = provider(tmp_path)
    account, _ = held_at(data, 1, USDT=2_000, ETHUSDT_PERP=-5, BTCUSDT_PERP=-5)
    reports = settled(account, AT + timedelta(hours=2))
    assert [(report.kind, report.at) for report in reports] == [("funding", AT + timedelta(hours=1, minutes=30))] * 2


@exactly
def test_two_perps_share_one_margin(tmp_path):
    write_bars(tmp_path, "bybit", "perp", "ETHUSDT", [CALM, CALM, (2000, 2600, 1995, 2500), CALM])
    write_bars(tmp_path, "bybit", "perp", "BTCUSDT", [(60000,)] * 4)
    for symbol in ("ETHUSDT", "BTCUSDT"):
        write_funding(tmp_path, "bybit", symbol, {AT: 0, AT + timedelta(hours=8): 0})
    data = provider(tmp_path)
    # The short ETH alone would stand 2600; with the BTC position's maintenance it does not.
    alone, _ = held_at(data, 1, USDT="6050", ETHUSDT_PERP=-10)
    assert [row.kind for row in settled(alone, AT + timedelta(hours=4)) if row.kind == "liquidation"] == ["liquidation"]
    richer, _ = held_at(data, 1, USDT="6140", ETHUSDT_PERP=-10)
    assert [row.kind for row in settled(richer, AT + timedelta(hours=4))] == []
    both, handler = held_at(data, 1, USDT="6140", ETHUSDT_PERP=-10, BTCUSDT_PERP=1)
    (report,) = settled(both, AT + timedelta(hours=4))
    assert (report.kind, report.at) == ("liquidation", AT + timedelta(hours=3))
    assert report.deltas.tokens("bybit") == {"ETHUSDT-PERP": D(10), "BTCUSDT-PERP": D(-1), "USDT": D(-6140)}
    assert handler.positions == {}


@exactly
def test_a_liquidation_takes_exactly_the_margin_that_was_left():
    all_venues = venues()
    state = holding(all_venues, prices(), bybit={"USDT": 1_000, "ETH": 2, "ETHUSDT-PERP": -10})
    after, settled = update_to(all_venues["bybit"], state, prices(2095))
    assert [row.kind for row in settled] == ["liquidation"]
    lost = sum((cost.amount for cost in settled[0].costs), D(0))
    assert value(all_venues, state, prices(2095)) - value(all_venues, after, prices(2095)) == lost == 50
    assert after.positions() == {"bybit": {"ETH": D(2)}}


@exactly
def test_beyond_the_whole_margin_the_fund_bears_what_is_missing_and_nothing_is_gained_by_a_liquidation():
    all_venues = venues()
    state = holding(all_venues, prices(), bybit={"USDT": 1_000, "ETHUSDT-PERP": -10})
    after, settled = update_to(all_venues["bybit"], state, prices(2300))
    liquidation, price = settled[0].costs
    assert (liquidation.source, price.source) == ("liquidation", "perp_price")
    assert 0 < liquidation.amount < 110  # the maintenance margin at the liquidation price
    assert liquidation.amount + price.amount == -2_000  # the price at the close cost 3,000, of which 1,000 were there
    assert value(all_venues, state, prices(2300)) - value(all_venues, after, prices(2300)) == -2_000
    assert after.positions() == {}


def test_a_spot_account_has_nothing_that_falls_due():
    all_venues = venues()
    state = holding(all_venues, prices(), bybit={"USDT": 1_000})
    assert all_venues["bybit"].next_due(state, prices(), to_instant(AT) + 100 * HOUR_US) is None
    assert all_venues["bybit"].next_due(State(), prices(), to_instant(AT) + 100 * HOUR_US) is None
    assert update_to(all_venues["bybit"], state, prices()) == (state, ())


def test_a_long_that_its_own_cash_pays_for_is_never_liquidated():
    account = ExchangeAccount({"USDT": D(30_000)}, {"ETHUSDT": Perp(D(10), D(20_000))})
    assert exchange().liquidation_price(account, "ETHUSDT") is None
    all_venues = venues()
    state = State({"bybit": account})
    assert update_to(all_venues["bybit"], state, prices(0.01)) == (state, ())


def test_a_short_without_any_margin_is_liquidated_at_any_price():
    account = ExchangeAccount({"USDT": D(-30_000)}, {"ETHUSDT": Perp(D(-10), D(-20_000))})
    assert exchange().liquidation_price(account, "ETHUSDT") == 0
