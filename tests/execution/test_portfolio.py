"""What a strategy sees: positions as a mapping, and margin, health, gas and requests at the step's prices."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from basis_strategy_v1.execution.portfolio import Portfolio
from basis_strategy_v1.venues.cex import MarginAccount
from basis_strategy_v1.venues.exchanges import Withdrawal

from .trading import CONFIG, NOON, VENUES, WITH_GAS, act, held, manager_of, send, trade

WITHOUT_IMPACT = {**CONFIG, "venues": {**VENUES, "onchain": {**VENUES["onchain"], "aave": {"rate_impact": False}}}}
WITH_IMPACT = {**CONFIG, "venues": {**VENUES, "onchain": {**VENUES["onchain"], "aave": {"rate_impact": True}}}}
HELD = {"binance": {"USDT": 10_000}, "bybit": {"USDT": 200}, "wallet": {"USDT": 5000, "ETH": 2, "stETH": 1}}


def seen(positions=HELD, **parts):
    manager = manager_of(positions, **parts)
    return manager, Portfolio(manager.account, Decimal("0.05"))


def test_it_reads_as_venue_token_amount():
    _, portfolio = seen()
    assert (dict(portfolio), len(portfolio), portfolio["bybit"]) == (held(**HELD), 3, {"USDT": Decimal(200)})
    assert [portfolio.amount(*place) for place in (("bybit", "USDT"), ("bybit", "ETH"), ("bybit", "ETHUSD-PERP"))] == [200, 0, 0]
    assert (portfolio.amount("aave", "USDT"), portfolio.in_transit("USDT")) == (0, 0)


def test_an_amount_at_a_venue_that_is_not_configured_is_refused():
    manager, portfolio = seen()
    with pytest.raises(LookupError) as refused:
        portfolio.amount("binanse", "USDT")
    able = ", ".join(manager.account.venues)
    assert refused.value.args == (f"amount of binanse, which is not configured under venues; it can be asked of {able}",)


def test_without_positions_it_is_empty():
    assert dict(seen(None)[1]) == {}


def test_what_is_on_its_way_is_not_at_a_venue():
    manager, portfolio = seen()
    manager.execute(NOON, send("bybit", "binance", 100))
    assert (portfolio.in_transit("USDT"), portfolio.amount("bybit", "USDT")) == (99, 100)


def test_a_withdrawal_has_the_terms_of_its_exchange():
    _, portfolio = seen()
    assert portfolio.withdrawal("bybit", "USDT") == Withdrawal(Decimal(1), Decimal(10), Decimal(5))
    assert [portfolio.withdrawal(*place) for place in (("bybit", "ETH"), ("wallet", "USDT"))] == [Withdrawal(), Withdrawal()]


def test_margin_is_that_of_the_perps_at_the_snapshot():
    manager, portfolio = seen()
    manager.execute(NOON, trade("sell", 1, trade_type="perp"))
    assert portfolio.margin("binance", manager.account.source.latest) == MarginAccount(Decimal(10_000), Decimal(3300), Decimal("13.2"))


def test_the_health_factor_is_none_without_debt():
    manager, portfolio = seen()
    assert portfolio.health_factor("aave", manager.account.market(NOON)) is None
    manager.execute(NOON, act("supply", amount=5000))
    assert portfolio.health_factor("aave", manager.account.source.latest) is None
    manager.execute(NOON, act("borrow", "WETH", "0.5"))
    assert round(portfolio.health_factor("aave", manager.account.source.latest), 4) == Decimal("2.3636")


def test_without_rate_impact_the_borrow_rate_is_the_published_one_whatever_is_owed():
    manager, portfolio = seen(config=WITHOUT_IMPACT)
    market = manager.account.market(NOON)
    published = market.lending("aave", "WETH").variable_borrow_rate
    assert [portfolio.borrow_rate("aave", "WETH", market, more) for more in (Decimal(0), Decimal(10**6))] == [published] * 2


def test_with_rate_impact_the_borrow_rate_is_what_our_debt_makes_of_it_and_can_be_known_before():
    manager, portfolio = seen(config=WITH_IMPACT)
    before = portfolio.borrow_rate("aave", "WETH", manager.account.market(NOON))
    manager.execute(NOON, act("supply", amount=5000))
    expected = portfolio.borrow_rate("aave", "WETH", manager.account.source.latest, Decimal("0.5"))
    manager.execute(NOON, act("borrow", "WETH", "0.5"))
    found = portfolio.borrow_rate("aave", "WETH", manager.account.source.latest)
    assert (found, found > before) == (expected, True)


def test_what_is_asked_of_a_venue_that_cannot_answer_is_refused_by_name():
    manager, portfolio = seen()
    market = manager.account.market(NOON)

    def fault(ask, *arguments):
        with pytest.raises(LookupError) as refused:
            ask(*arguments, market)
        return str(refused.value)

    assert [fault(portfolio.health_factor, "aav"), fault(portfolio.margin, "wallet"), fault(portfolio.borrow_rate, "lido", "ETH")] == [
        "health_factor of aav, which is not configured under venues; it can be asked of aave",
        "margin of wallet, which has none; it can be asked of binance, bybit",
        "borrow_rate of lido, which has none; it can be asked of aave",
    ]
    assert [
        fault(portfolio.shortable, "wallet", "ETHUSDT", Decimal(0)),
        fault(portfolio.loanable, "lido", "WETH"),
        fault(lambda *_: portfolio.flash_fee("morpho", "WETH", Decimal(1))),
        fault(lambda *_: portfolio.smallest_order("aave", "spot", "ETHUSDT")),
        fault(lambda *_: portfolio.costs_of_trades("binance", "okx")),
    ] == [
        "shortable of wallet, which has none; it can be asked of binance, bybit",
        "loanable of lido, which has none; it can be asked of aave",
        "flash_fee of morpho, which is not configured under venues; it can be asked of aave",
        "smallest_order of aave, which has none; it can be asked of binance, bybit",
        "costs_of_trades of okx, which is not configured under venues; it can be asked of binance, bybit",
    ]


def test_gas_is_a_reserve_and_a_fee_or_free():
    manager, portfolio = seen()
    market = manager.account.market(NOON)
    assert (portfolio.gas_reserve(), portfolio.gas_fee(100_000, market)) == (0, 0)
    manager, portfolio = seen(config=WITH_GAS)
    assert (portfolio.gas_reserve(), portfolio.gas_fee(100_000, manager.account.market(NOON))) == (Decimal("0.05"), Decimal("0.001"))


def test_what_has_not_been_opened_yet_is_opened_at_the_snapshot():
    manager, portfolio = seen({"binance": {"USDT": 10_000, "ETHUSDT-PERP": -1}})
    assert portfolio.margin("binance", manager.account.market(NOON)) == MarginAccount(Decimal(10_000), Decimal(3300), Decimal("13.2"))


def test_gas_costs_what_the_snapshot_says_where_the_config_says_nothing():
    onchain = {**VENUES["onchain"], "wallet": {}}
    manager, portfolio = seen(config={**CONFIG, "venues": {**VENUES, "onchain": onchain}})
    assert portfolio.gas_fee(100_000, manager.account.market(NOON)) == Decimal("0.001")


def test_the_costs_of_a_spot_and_a_perp_trade_are_those_of_their_exchanges_and_a_tenth():
    binance = {"spot_taker_fee_bps": 10, "perp_taker_fee_bps": 99, "slippage_bps": 1}
    bybit = {"spot_taker_fee_bps": 99, "perp_taker_fee_bps": 5, "slippage_bps": 2}
    _, portfolio = seen(config={**CONFIG, "venues": {**VENUES, "cex": {"binance": binance, "bybit": bybit}}})
    assert portfolio.costs_of_trades("binance", "bybit") == Decimal("0.00198")


def test_a_flash_loans_fee_is_the_lenders():
    assert seen()[1].flash_fee("aave", "WETH", Decimal(1000)) == Decimal("0.5")


def test_requests_are_claimable_once_the_queue_is_through():
    manager, portfolio = seen()
    report = manager.execute(NOON, act("unstake", "stETH", "all", "lido"))
    assert portfolio.claimable("lido", manager.account.source.latest) == ()
    through = NOON + timedelta(days=5)
    assert report.details["claimable"] == f"{through:%Y-%m-%dT%H:%M:%SZ}"
    assert portfolio.claimable("lido", manager.account.market(through - timedelta(microseconds=1))) == ()
    assert portfolio.claimable("lido", manager.account.market(through)) == (report.details["request_id"],)


def test_the_smallest_order_is_the_exchanges():
    assert seen()[1].smallest_order("binance", "perp", "ETHUSDT") == (Decimal("0.001"), Decimal(20))


def test_what_a_venue_holds_cannot_be_rewritten():
    _, portfolio = seen()
    with pytest.raises(TypeError, match="does not support item assignment"):
        portfolio["bybit"]["USDT"] = Decimal(5)
    assert portfolio.amount("bybit", "USDT") == 200


@pytest.mark.parametrize("usdt", [10_000, 30_000_000])
def test_a_short_can_grow_until_the_exchange_refuses_it_for_want_of_margin(usdt):
    manager, portfolio = seen({"binance": {"USDT": usdt}})
    manager.execute(NOON, trade("sell", 1, trade_type="perp"))
    market = manager.account.source.latest
    room = portfolio.shortable("binance", "ETHUSDT", Decimal(0), market)
    assert room > usdt * 4 / 3300
    manager.execute(NOON, trade("sell", room * Decimal("0.999"), trade_type="perp"))
    assert portfolio.shortable("binance", "ETHUSDT", Decimal(0), manager.account.source.latest) < room * Decimal("0.3")


def test_a_short_cannot_grow_on_no_margin():
    manager, portfolio = seen({"bybit": {"USDT": 0}})
    assert portfolio.shortable("bybit", "ETHUSDT", Decimal(0), manager.account.market(NOON)) == 0
