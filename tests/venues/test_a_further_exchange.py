"""To add an exchange is a row, its settlement token and its quotes among it: shown on one that is settled in USD and quotes in two more."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from basis_strategy_v1 import EventDrivenStrategyEngine, ExecutionInterfaceManager, load_config
from basis_strategy_v1.core.error_codes.exceptions import VenueRejected
from basis_strategy_v1.venues import exchanges
from basis_strategy_v1.venues.registry import known_names
from basis_strategy_v1.venues.venue import CEX

from ..additions import added
from ..world import AT, everything, exactly, holding, market, run, trade, value, venue, write_bars, write_funding

D = Decimal


@pytest.fixture(autouse=True)
def _kraken() -> Iterator[None]:
    with added():
        yield


def config(**changes: Any) -> dict[str, Any]:
    return {
        "strategy_mode": "eth_basis", "share_class": "usdt_stable", "initial_capital": 10_000, "start": AT.isoformat(),
        "end": (AT + timedelta(days=5)).isoformat(), "strategy": {"spot_venue": "kraken_spot", "perp_venue": "main"},
        "venues": {"cex": {"kraken_spot": {}, "main": {"exchange": "kraken"}}}, **changes,
    }  # fmt: skip


class Prices:
    """The prices of tokens, and nothing else."""

    def get_data(self, timestamp: Any) -> dict[str, Any]:
        prices = {"ETH": 2000.0, "BTC": 60_000.0, "USDE": 0.5, "USDT": 1.0}
        return {"timestamp": timestamp, "market_data": {"prices": prices, "funding_rates": {"kraken": {"ETHUSD": 0.0001}}}}


def test_a_config_may_name_it_and_an_account_of_ones_own_at_it() -> None:
    venues = load_config(config(), run=True).venues.cex
    assert {name: own.row(name).settle for name, own in venues.items()} == {"kraken_spot": "USD", "main": "USD"}
    assert known_names(CEX)[-1] == "kraken"


def test_a_spot_symbol_is_in_one_of_its_quotes_and_a_perp_in_what_it_settles_in() -> None:
    kraken = venue("kraken")
    assert [kraken.terms.listing(symbol, "spot")[:2] for symbol in ("ETHUSD", "ETHUSDE", "ETHBTC", "BTCUSD")] == [
        ("ETH", "USD"), ("ETH", "USDE"), ("ETH", "BTC"), ("BTC", "USD"),
    ]  # fmt: skip
    for symbol, trade_type in (("ETHUSDE", "perp"), ("ETHUSDT", "spot")):
        with pytest.raises(VenueRejected, match=f"kraken settles in USD: write ETHUSD instead of {symbol}"):
            kraken.terms.listing(symbol, trade_type)
    assert [exchanges.base_of(symbol) for symbol in ("ETHUSD", "ETHUSDT", "ETHUSDE", "ETHBTC", "BTCUSD")] == ["ETH"] * 4 + ["BTC"]


def test_prices_alone_are_enough_to_trade_at_it() -> None:
    manager = ExecutionInterfaceManager(config(), Prices(), "backtest", positions={"main": {"USD": 10_000, "USDE": 10_000}})
    bought = manager.route_instruction(AT, trade("main", "buy", "ETHUSDE", 1))
    short = manager.route_instruction(AT, trade("main", "sell", "ETHUSD", 1, "perp"))
    assert bought == {"main": {"ETH": 0.999, "USDE": -2000.2}}
    assert short["main"] == {"ETHUSD-PERP": -1.0, "USD": -1.09989}
    estimate = {"main": {"ETHUSD-PERP": -1.0, "USD": -1}}
    manager.route_instruction(AT, {**trade("main", "sell", "ETHUSD", 1, "perp"), "estimated_deltas": estimate, "max_deviation_bps": 2})


@exactly
def test_a_trade_at_it_costs_what_its_report_says() -> None:
    prices = {"ETH": 2000.0, "BTC": 60_000.0, "USDT": 1.0, "USDC": 1.0, "USD": 1.0, "USDE": 0.5}
    data = everything(prices=prices)
    data["market_data"]["spot_prices"] = {"kraken": {"ETHUSD": 2000.0, "ETHUSDE": 4000.0}}
    at_market = type(market())(AT, data)
    kraken = {"kraken": venue("kraken")}
    state = holding(kraken, at_market, kraken={"USD": 10_000, "USDE": 10_000})
    for symbol, quote in (("ETHUSD", "USD"), ("ETHUSDE", "USDE")):
        moved = run(trade("kraken", "buy", symbol, "0.5"), kraken, state, at_market)
        lost = value(kraken, state, at_market) - value(kraken, moved.state, at_market)
        assert lost == sum(cost.amount * at_market.price(cost.token) for cost in moved.costs) > 0
        assert {cost.token for cost in moved.costs} == {"ETH", quote}


def test_a_basis_trade_runs_on_series_in_its_quote(tmp_path: Path) -> None:
    hours = 5 * 24 + 3
    for kind in ("spot", "perp"):
        write_bars(tmp_path / "data", "kraken", kind, "ETHUSD", [(2000.0 + hour,) for hour in range(hours)], AT - timedelta(hours=2))
    write_funding(tmp_path / "data", "kraken", "ETHUSD", {AT + timedelta(hours=8 * step): "0.0001" for step in range(-1, 16)})
    engine = EventDrivenStrategyEngine.from_config(config(), data=tmp_path / "data", results=tmp_path / "results", logs=tmp_path / "logs")
    summary = engine.run().summary
    assert int(summary["instructions_routed"]) >= 2
    assert summary["instructions_failed"] == 0
    assert D(summary["attribution"]["funding"]) > 0
    assert sum(map(D, summary["attribution"].values())) == D(summary["pnl"])
