"""What counts as left open at the end of a run."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from basis_strategy_v1.core.market import DictSnapshot
from basis_strategy_v1.results.left_open import left_open
from basis_strategy_v1.venues.venue import Exposure, PerpExposure

D = Decimal
MARKET = DictSnapshot(datetime(2024, 6, 1, tzinfo=UTC), {"market_data": {"prices": {"ETH": 2500.0, "BTC": 50000.0, "wstETH": 2900.0}}})


def listed(*held: Exposure, share_class: str = "usdt_stable", perps: tuple[PerpExposure, ...] = (), reserve: str = "0") -> list[str]:
    """`venue token amount` of each position that is left open."""
    positions: dict[str, dict[str, Decimal]] = {}
    for exposure in held:
        positions.setdefault(exposure.venue, {})[exposure.held_as] = abs(exposure.amount)
    for perp in perps:
        positions.setdefault(perp.venue, {})[f"{perp.symbol}-PERP"] = perp.base
    rows = left_open(positions, held, perps, MARKET, share_class=share_class, gas_reserve=D(reserve))
    return [f"{row['venue']} {row['token']} {row['amount']}" for row in rows]


def at(venue: str, token: str, amount: str, held_as: str = "") -> Exposure:
    return Exposure(venue, held_as or token, token, D(amount))


@pytest.mark.parametrize(
    ("share_class", "currency"), [("usdt_stable", ["USDT", "USDC"]), ("eth_directional", ["ETH", "WETH"])], ids=["in dollars", "in ether"]
)
def test_the_currency_itself_is_not_open(share_class: str, currency: list[str]) -> None:
    tokens = ("USDT", "USDC", "ETH", "WETH", "BTC")
    held = [at(venue, token, "1000") for venue in ("bybit", "wallet") for token in tokens]
    others = [token for token in tokens if token not in currency]
    assert listed(*held, share_class=share_class) == [f"{venue} {token} 1000" for venue in ("bybit", "wallet") for token in others]


@pytest.mark.parametrize(
    "held",
    [
        at("lido", "ETH", "10.5", "ETH-QUEUED"),
        at("aave", "WETH", "10.5", "aWETH"),
        at("in_transit", "ETH", "10.5"),
        at("wallet", "wstETH", "10.5"),
        at("wallet", "stETH", "10.5"),
    ],
    ids=lambda held: held.held_as,
)
def test_what_is_lent_queued_staked_or_on_its_way_is_open_even_where_it_is_the_currency(held: Exposure) -> None:
    assert listed(held, share_class="eth_directional") == [f"{held.venue} {held.held_as} 10.5"]


def test_a_debt_is_open_with_the_amount_that_positions_have() -> None:
    assert listed(at("aave", "WETH", "-3", "variableDebtWETH")) == ["aave variableDebtWETH 3"]


def test_a_perp_is_open_whatever_it_is_worth() -> None:
    perp = PerpExposure("bybit_perp", "bybit", "ETHUSDT", "USDT", D("-0.001"), D("-2.5"))
    assert listed(at("bybit_perp", "USDT", "50"), perps=(perp,)) == ["bybit_perp ETHUSDT-PERP -0.001"]


@pytest.mark.parametrize(("amount", "is_open"), [("0.00199999", False), ("-0.00199999", False), ("0.002", True), ("-0.002", True)])
def test_less_than_an_exchange_takes_an_order_for_is_not_open(amount: str, is_open: bool) -> None:
    assert listed(at("bybit", "ETH", amount)) == ([f"bybit ETH {amount.removeprefix('-')}"] if is_open else [])


@pytest.mark.parametrize(("venue", "amount", "is_open"), [("wallet", "0.05", False), ("wallet", "0.06", True), ("bybit", "0.05", True)])
def test_ether_kept_for_gas_is_not_open(venue: str, amount: str, is_open: bool) -> None:
    assert listed(at(venue, "ETH", amount), reserve="0.05") == ([f"{venue} ETH {amount}"] if is_open else [])
