"""What exchanges ask for by symbol: each figure with a source and a date, and worked examples of what the exchanges publish."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from basis_strategy_v1 import ComponentError, load_config
from basis_strategy_v1.app.venue_lines import symbol_lines
from basis_strategy_v1.config import load_settings
from basis_strategy_v1.core.error_codes.exceptions import VenueRejected
from basis_strategy_v1.core.market import DictSnapshot
from basis_strategy_v1.core.state import ExchangeAccount, Perp
from basis_strategy_v1.execution.execution_interface_manager import venues_of_config
from basis_strategy_v1.venues.cex import Exchange
from basis_strategy_v1.venues.exchanges import EXCHANGES, Settings
from basis_strategy_v1.venues.symbol_facts import SMALLEST_PERP_ORDERS, SOURCES, SYMBOL_TIERS

from ..world import AT, exactly, holding, run, trade, venues

D = Decimal
BY_SYMBOL = [(exchange, base) for exchange, rows in SYMBOL_TIERS.items() for base in rows]
# The exchange's own deductions (`cum` of its leverage brackets): maintenance is notional x rate - deduction.
BINANCE_DEDUCTIONS = {
    "BTC": (0, 50, 950, 11_450, 131_450, 481_450, 2_981_450, 14_481_450, 26_481_450, 41_481_450, 121_481_450, 421_481_450),
    "ETH": (0, 50, 950, 11_450, 131_450, 381_450, 2_006_450, 9_506_450, 17_506_450, 27_506_450, 80_506_450, 280_506_450),
}


def exchange(name: str) -> Exchange:
    return Exchange(name, EXCHANGES[name])


def prices(**tokens: float) -> DictSnapshot:
    return DictSnapshot(AT, {"market_data": {"prices": {"ETH": 2000.0, "BTC": 60_000.0, "USDT": 1.0, "USDC": 1.0, **tokens}}})


@pytest.mark.parametrize(("name", "base"), BY_SYMBOL)
def test_every_symbol_of_the_table_has_a_source_and_a_date_and_tiers_that_rise(name: str, base: str) -> None:
    assert all(len(source.source) > 10 and source.as_of[:2] == "20" for source in SOURCES[name][base])
    tiers = SYMBOL_TIERS[name][base]
    assert tiers[-1].notional.is_infinite()
    assert all(
        low.notional < high.notional and low.maintenance_bps < high.maintenance_bps and low.leverage > high.leverage
        for low, high in pairwise(tiers)
    )
    # No tier asks for more to keep a position than to open it.
    assert all(tier.maintenance_bps <= 10_000 / tier.leverage for tier in tiers)
    assert set(SMALLEST_PERP_ORDERS.get(name, {})) <= set(SOURCES[name])


@pytest.mark.parametrize("base", ["BTC", "ETH"])
def test_maintenance_at_binance_is_what_its_rates_and_deductions_give(base: str) -> None:
    below = D(0)
    for tier, deduction in zip(SYMBOL_TIERS["binance"][base], BINANCE_DEDUCTIONS[base], strict=True):
        top = below + 1_000 if tier.notional.is_infinite() else tier.notional
        for notional in ((below + top) / 2, top):
            assert exchange("binance").terms.maintenance(f"{base}USDT", notional) == notional * tier.maintenance_bps / 10_000 - deduction
        below = tier.notional


@exactly
def test_hyperliquid_has_its_own_tiers_for_each_coin() -> None:
    """Published: BTC 40x to 150 million and 20x above, ETH 25x to 100 million and 15x above; maintenance is half of the initial margin."""
    hyperliquid = exchange("hyperliquid")
    short = ExchangeAccount({"USDC": D(3_000)}, {"BTCUSDC": Perp(D(-1), D(-100_000))})
    price = hyperliquid.liquidation_price(short, "BTCUSDC")
    assert price is not None and round(price, 2) == D("101728.40")
    assert round(hyperliquid.terms.maintenance("ETHUSDC", D(150_000_000)), 2) == D("3666666.67")
    assert hyperliquid.terms.initial("BTCUSDC", D(100_000_000)) == D(2_500_000)
    assert hyperliquid.terms.initial("BTCUSDC", D(200_000_000)) == D(10_000_000)


@exactly
def test_a_position_of_40x_opens_at_hyperliquid_in_btc_and_is_refused_in_eth() -> None:
    everything = venues({"hyperliquid": {"perp_taker_fee_bps": 0, "slippage_bps": 0}})
    state = holding(everything, prices(), hyperliquid={"USDC": 1_500})
    run(trade("hyperliquid", "buy", "BTCUSDC", 1, "perp"), everything, state, prices())
    with pytest.raises(VenueRejected, match="needs 2400 USDC of margin on hyperliquid"):
        run(trade("hyperliquid", "buy", "ETHUSDC", 30, "perp"), everything, state, prices())


@exactly
def test_the_smallest_perp_order_at_binance_is_100_in_btc_and_20_in_eth() -> None:
    everything = venues()
    state = holding(everything, prices(), binance={"USDT": 1_000})
    with pytest.raises(VenueRejected, match=r"binance takes no perp order below 100 USDT; 0\.001 BTC at 60000 is 60"):
        run(trade("binance", "sell", "BTCUSDT", "0.001", "perp"), everything, state, prices())
    with pytest.raises(VenueRejected, match=r"binance takes no perp order below 20 USDT; 0\.009 ETH at 2000 is 18"):
        run(trade("binance", "sell", "ETHUSDT", "0.009", "perp"), everything, state, prices())
    run(trade("binance", "sell", "BTCUSDT", "0.002", "perp"), everything, state, prices())
    run(trade("binance", "sell", "ETHUSDT", "0.01", "perp"), everything, state, prices())


def test_the_maintenance_of_several_perps_is_each_by_its_own_tiers() -> None:
    held = ExchangeAccount({"USDT": D(10**6)}, {"ETHUSDT": Perp(D(1_000), D(2_000_000)), "BTCUSDT": Perp(D(-20), D(-2_000_000))})
    assert exchange("bybit").margin(held, {"ETHUSDT": D(2_000), "BTCUSDT": D(100_000)}).maintenance == 20_000


def test_what_can_be_carried_ends_where_the_next_tier_lets_less() -> None:
    binance = exchange("binance")
    assert binance.terms.carried("ETHUSDT", D(100)) == 12_500
    assert binance.terms.carried("ETHUSDT", D(450)) == 50_000  # 125x to there, 100x beyond: 45,000
    assert binance.terms.carried("ETHUSDT", D(600)) == 60_000
    assert binance.terms.initial("ETHUSDT", D(60_000)) == 600


SOL = {"strategy_mode": "blocks", "share_class": "usdt_stable", "initial_capital": 1_000}


def exchanges_of(**more: Any) -> dict[str, Any]:
    return venues_of_config(load_config({**SOL, "venues": {"cex": ["binance", "bybit"]}, **more}))


@exactly
def test_a_perp_without_a_row_is_refused_and_taken_to_be_like_another_where_the_config_says_so() -> None:
    block = trade("binance", "sell", "SOLUSDT", 1, "perp")
    data = prices(SOL=150.0)
    refusing = exchanges_of()
    with pytest.raises(VenueRejected) as caught:
        run(block, refusing, holding(refusing, data, binance={"USDT": 1_000}), data)
    assert caught.value.message == (
        "binance has no margin tiers, leverage and smallest order of SOLUSDT, only of ETH, BTC; "
        "write assume: {SOLUSDT: {like: ETHUSDT}} in the config"
    )
    assuming = exchanges_of(assume={"SOLUSDT": {"like": "ETHUSDT"}})
    moved = run(block, assuming, holding(assuming, data, binance={"USDT": 1_000}), data)
    assert moved.state.positions()["binance"]["SOLUSDT-PERP"] == -1
    assert assuming["binance"].terms.maintenance("SOLUSDT", D(55_000)) == 225
    assert assuming["bybit"].smallest_order("perp", "SOLUSDT") == (D("0.01"), D(5))


@pytest.mark.parametrize(
    ("assume", "fault"),
    [
        ({"SOLUSDT": {"like": "XRPUSDT"}}, "assume.SOLUSDT.like: 'XRPUSDT'; allowed: a symbol whose figures are known, of ETH, BTC"),
        ({"SOLUSDT": {}}, "assume.SOLUSDT.like: missing"),
    ],
)
def test_assuming_figures_of_an_unknown_symbol_is_refused(assume: dict[str, Any], fault: str) -> None:
    with pytest.raises(ComponentError) as caught:
        exchanges_of(assume=assume)
    assert fault in str(caught.value)


def own(**settings: Any) -> Settings:
    found = load_settings("cex", "binance", settings)
    assert isinstance(found, Settings)
    return found


@exactly
def test_figures_of_ones_own_may_be_by_symbol() -> None:
    row = own(
        max_leverage={"ETHUSDT": 20}, perp_taker_fee_bps={"BTC": 1}, min_notional={"ETH": 50}, funding_interval_hours={"ETHUSDT": 4},
        maintenance_margin_bps={"BTC": 70},
        tiers={"SOLUSDT": [{"maintenance_bps": 100, "up_to": 1_000, "leverage": 10}, {"maintenance_bps": 200}]},
    ).row("binance")  # fmt: skip
    binance = Exchange("binance", row)
    assert [binance.terms.listing(symbol, "perp").fee for symbol in ("ETHUSDT", "BTCUSDT")] == [D("0.0005"), D("0.0001")]
    assert [binance.smallest_order("perp", symbol)[1] for symbol in ("ETHUSDT", "BTCUSDT", "SOLUSDT")] == [50, 100, 20]
    assert [binance.terms.initial(symbol, D(1_000)) for symbol in ("ETHUSDT", "BTCUSDT", "SOLUSDT")] == [50, 8, 100]
    assert [binance.terms.maintenance(symbol, D(2_000)) for symbol in ("ETHUSDT", "BTCUSDT", "SOLUSDT")] == [8, 14, 30]
    assert [binance.terms.contract(symbol).interval for symbol in ("ETHUSDT", "BTCUSDT")] == [4 * 3_600_000_000, 8 * 3_600_000_000]


TIER = {"maintenance_bps": 100, "up_to": 1_000, "leverage": 10}


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"tiers": {"ETHUSDT": []}}, "tiers.ETHUSDT: '0 tiers'; allowed: at least one tier, the last one and no other without up_to"),
        ({"tiers": {"ETHUSDT": [TIER]}}, "tiers.ETHUSDT: '1 tiers'; allowed: at least one tier, the last one and no other without up_to"),
        (
            {"tiers": {"ETHUSDT": [TIER, {"maintenance_bps": 90}]}},
            "tiers.ETHUSDT[1].maintenance_bps: '90'; allowed: at least 100, what the tier before it asks",
        ),
        (
            {"tiers": {"ETHUSDT": [TIER, {**TIER, "maintenance_bps": 200}, {"maintenance_bps": 300}]}},
            "tiers.ETHUSDT[1].up_to: '1000'; allowed: above 1000, where the tier before it ends",
        ),
        (
            {"tiers": {"ETHUSDT": [TIER, {"maintenance_bps": 200, "leverage": 20}]}},
            "tiers.ETHUSDT[1].leverage: '20'; allowed: at most 10, what the tier before it lets",
        ),
        (
            {"max_leverage": {"ETHUSDT": 126}},
            "max_leverage.ETHUSDT: '126'; allowed: at most 125, the leverage of its first tier at binance",
        ),
    ],
)
def test_tiers_that_fall_and_a_leverage_above_a_symbols_tier_are_refused(settings: dict[str, Any], line: str) -> None:
    with pytest.raises(ComponentError) as caught:
        own(**settings)
    assert f"venues.cex.binance.{line}" in str(caught.value)


def test_a_strategys_leverage_is_at_most_that_of_its_symbol() -> None:
    basis = {
        "strategy_mode": "eth_basis", "share_class": "usdt_stable", "initial_capital": 1_000, "start": "2024-06-01", "end": "2024-06-02",
        "strategy": {"spot_venue": "bybit", "perp_venue": "hyperliquid", "leverage": 6},
        "venues": {"cex": {"bybit": {}, "hyperliquid": {"max_leverage": {"ETHUSDC": 5}}}},
    }  # fmt: skip
    with pytest.raises(ComponentError, match=r"strategy\.leverage: 6; allowed: at most max_leverage of hyperliquid, 5"):
        load_config(basis, run=True)
    load_config({**basis, "strategy_mode": "btc_basis"}, run=True)


def test_the_lines_of_a_symbol_have_every_figure_and_say_where_it_is_not_by_symbol() -> None:
    lines = list(symbol_lines("BTCUSDC"))
    assert lines == [
        "hyperliquid BTCUSDC (as of 2025-05-31, where no other date is given)",
        "    taker fee spot 7 bps, perp 4.5 bps; smallest order 10 spot, 10 perp USDC",
        "    perp lot 0.00001, tick 1; leverage up to 40; funding each 1 h",
        "    maintenance margin 125 bps (40x) to 150000000, 250 bps (20x) to any",
        f"    maintenance tiers and leverage: {SOURCES['hyperliquid']['BTC'][0].source}; true on 2026-09-27",
    ]
    assert "    not by symbol: margin tiers, leverage and smallest order are the same for all symbols" in symbol_lines("ETHUSDT")
    with pytest.raises(ComponentError, match=r"--symbol: .*got 'ETH/USDT'; write ETHUSDT$"):
        list(symbol_lines("ETH/USDT"))
    with pytest.raises(ComponentError, match="no exchange has figures of SOLUSDT, only of ETHUSDT, BTCUSDT"):
        list(symbol_lines("SOLUSDT"))
