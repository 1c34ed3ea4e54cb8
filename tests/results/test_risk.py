"""The columns of risk.csv: perp accounts, deltas and funding."""

from __future__ import annotations

from array import array
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from basis_strategy_v1.core.market import DictSnapshot, base_of
from basis_strategy_v1.core.state import ExchangeAccount, Perp
from basis_strategy_v1.results import risk as risk_of
from basis_strategy_v1.results.funding_aprs import FundingLook, look_at_funding
from basis_strategy_v1.results.risk import RiskRows
from basis_strategy_v1.results.risk_steps import LoanRisk, RiskPoint
from basis_strategy_v1.venues.cex import Exchange
from basis_strategy_v1.venues.venue import Exposure, PerpExposure

from ..world import AT, exactly, venue

D = Decimal
UNIFIED = {"margin": "unified", "haircuts": {"ETH": D("0.1"), "BTC": D("0.2")}}
Perps = dict[str, tuple[Decimal, Decimal]]  # symbol -> base and cost


def market(factor: float = 1, hours: int = 0) -> DictSnapshot:
    """ETH is 2000 and BTC 60000, their perps are at the same, and all of them times a factor."""
    at, eth, btc = AT + timedelta(hours=hours), 2000 * factor, 60000 * factor
    perps = {"bybit": {"ETHUSDT": eth, "BTCUSDT": btc}}
    return DictSnapshot(at, {"timestamp": at, "market_data": {"prices": {"USDT": 1, "ETH": eth, "BTC": btc}, "perp_prices": perps}})


def point(bybit: Exchange, held: dict[str, Decimal], perps: Perps, hours: int = 0, **more: Any) -> RiskPoint:
    instant = market(hours=hours).instant
    return RiskPoint(
        instant,
        tuple(Exposure("bybit", token, token, amount) for token, amount in held.items()),
        tuple(PerpExposure("bybit", "bybit", symbol, "USDT", base, cost) for symbol, (base, cost) in perps.items()),
        tuple(bybit.terms_at(instant).margin(symbol) for symbol in perps),
        **more,
    )


def rows(*points: RiskPoint, markets: tuple[DictSnapshot, ...] = (), currency: tuple[str, ...] = ("USDT",)) -> list[dict[str, str]]:
    """The rows of some steps, by column."""
    made = RiskRows(currency)
    for one in points:
        made.add(one)
    markets = markets or (market(),)
    by_instant = {one.instant: one for one in markets}
    text = "".join(made.rows(array("q", by_instant), lambda at, instant: by_instant[instant]))
    names = made.header().split(",")
    return [dict(zip(names, line.split(","), strict=True)) for line in text.splitlines()]


def left(bybit: Exchange, held: dict[str, Decimal], perps: Perps, factor: float) -> float:
    """What the equity of an account is above its maintenance margin, as the exchange itself reckons it."""
    account = ExchangeAccount(held, {symbol: Perp(*of) for symbol, of in perps.items()})
    found = bybit.margin(account, bybit.marks(account, market(factor)))
    return float(found.equity + bybit._collateral(account, market(factor)) - found.maintenance)


@given(st.decimals("0.1", "60000", places=1), st.booleans(), st.decimals("0.05", "3", places=2))
@exactly
def test_the_distance_of_a_single_perp_is_that_of_its_liquidation_price(size: Decimal, is_long: bool, margin: Decimal) -> None:
    bybit = venue("bybit")
    base = size if is_long else -size
    held, perps = {"USDT": size * 2000 * margin}, {"ETHUSDT": (base, base * 2000)}
    price = bybit.liquidation_price(ExchangeAccount(held, {"ETHUSDT": Perp(*perps["ETHUSDT"])}), "ETHUSDT")
    (row,) = rows(point(bybit, held, perps))
    assert float(row["bybit_leverage"]) == pytest.approx(1 / float(margin), abs=1e-6)
    if price is None:
        assert row["bybit_liquidation_distance"] == ""
    else:
        expected = float(price) / 2000 - 1
        assert float(row["bybit_liquidation_distance"]) == pytest.approx(-expected if is_long else expected, abs=1e-6)


AMOUNTS = st.decimals("-40", "40", places=1)


@given(st.decimals("-1000", "90000", places=0), st.decimals("0", "40", places=1), st.decimals("0", "2", places=2), AMOUNTS, AMOUNTS)
@exactly
def test_a_unified_account_that_moves_by_its_distance_has_its_maintenance_margin_left(
    cash: Decimal, eth: Decimal, btc: Decimal, perp: Decimal, other: Decimal
) -> None:
    bybit = venue("bybit", UNIFIED)
    held = {"USDT": cash, "ETH": eth, "BTC": btc}
    perps = {s: (b, b * p) for s, b, p in (("ETHUSDT", perp, 2000), ("BTCUSDT", other / 30, 60000)) if b}
    account = ExchangeAccount(held, {symbol: Perp(*of) for symbol, of in perps.items()})
    if not perps:
        return
    row = rows(point(bybit, held, perps))[0]
    found = bybit.margin(account, bybit.marks(account, market()))
    equity = float(found.equity + bybit._collateral(account, market()))
    assert float(row["bybit_margin_ratio"]) == pytest.approx(equity / float(found.notional), abs=1e-6)
    assert equity <= 0 or float(row["bybit_leverage"]) == pytest.approx(float(found.notional) / equity, abs=1e-6)
    if distance := row["bybit_liquidation_distance"]:
        moved = [left(bybit, held, perps, max(1 + sign * float(distance), 1e-9)) for sign in (1, -1)]
        assert min(map(abs, moved)) < 1e-5 * float(found.notional) + 1e-5 * abs(equity)
    else:  # a fall of everything to nothing leaves more
        assert left(bybit, held, perps, 1e-9) > -0.01


def test_coins_of_a_unified_account_are_in_its_leverage_and_move_with_their_price() -> None:
    held, perps = {"ETH": D(10), "USDT": D(0)}, {"ETHUSDT": (D(-9), D(-18000))}
    unified, split = (point(venue("bybit", settings), held, perps) for settings in (UNIFIED, None))
    at = (market(), market(1.5, 1))
    names = ("bybit_leverage", "bybit_margin_ratio")
    assert [tuple(row[name] for name in names) for row in rows(unified, markets=at)] == [
        ("1.000000", "1.000000"),
        ("1.500000", "0.666667"),
    ]
    assert [tuple(row[name] for name in names) for row in rows(split, markets=at)] == [("", "0"), ("", "-0.333333")]


def test_a_delta_is_in_base_units_and_counts_what_is_worth_so_many_of_it() -> None:
    data = {"prices": {"USDT": 1, "ETH": 2000}, "perp_prices": {"bybit": {"ETHUSDT": 2000}}}
    at = DictSnapshot(AT, {"timestamp": AT, "market_data": data, "protocol_data": {"lido": {"wstETH": {"eth_per_token": 1.2}}}})
    exposures = (
        Exposure("wallet", "wstETH", "wstETH", D(5)),
        Exposure("aave", "variableDebtWETH", "WETH", D(-1)),
        Exposure("bybit", "USDT", "USDT", D(9000)),
        Exposure("bybit", "SOL", "SOL", D(0)),
    )
    (row,) = rows(RiskPoint(at.instant, exposures, (PerpExposure("bybit", "bybit", "ETHUSDT", "USDT", D(-4), D(0)),), TERMS), markets=(at,))
    assert {name: cell for name, cell in row.items() if name.endswith("_delta")} == {"ETH_delta": "1.00000000"}


TERMS = (venue("bybit").terms_at(market().instant).margin("ETHUSDT"),)


def test_the_cells_do_not_depend_on_how_many_steps_are_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    bybit = venue("bybit", UNIFIED)
    look = FundingLook(0, {"bybit_ETHUSDT": 0.1, "own": None}, 0, 0)
    points = [
        point(bybit, {"USDT": D(100)}, {}, 2, funding=look),
        point(bybit, {"USDT": D(50000)}, {"ETHUSDT": (D(-9), D(-18000))}, 2, funding=look),
        point(bybit, {"USDT": D(50000), "ETH": D(2)}, {"ETHUSDT": (D(-9), D(-18000)), "BTCUSDT": (D(1), D(60000))}, 5, funding=look),
        point(bybit, {"BTC": D(3)}, {}, 7, loans={"aave": LoanRisk(0.5, 1.5)}),
        point(bybit, {"BTC": D(2)}, {}, 9),
    ]
    at = tuple(market(1 + hours / 50, hours) for hours in range(9))
    whole = rows(*points, markets=at)
    assert [row["ETH_delta"] for row in whole] == ["", "", *["-9.00000000"] * 3, *["-7.00000000"] * 2, "0", "0"]
    assert [row["aave_ltv"] for row in whole] == [""] * 7 + ["0.500000"] * 2
    for count in (1, 2, 3, 8):
        monkeypatch.setattr(risk_of, "AT_ONCE", count)
        assert rows(*points, markets=at) == whole
    assert rows(markets=at) == [{"timestamp": row["timestamp"], **dict.fromkeys(risk_of.OF_ALL, "")} for row in whole]


def test_what_is_not_held_needs_no_price_and_only_what_needs_an_unknown_one_is_empty() -> None:
    known = DictSnapshot(AT, {"timestamp": AT, "market_data": {"prices": {"USDT": 1}, "perp_prices": {"bybit": {"ETHUSDT": 2000}}}})
    bybit = venue("bybit")
    (row,) = rows(point(bybit, {"USDT": D(9000), "ETH": D(1)}, {"ETHUSDT": (D(-1), D(-2000))}), markets=(known,))
    assert (row["gross_exposure"], row["net_exposure"], row["in_transit"], row["bybit_leverage"]) == ("", "", "0", "0.222222")
    (row,) = rows(point(bybit, {"USDT": D(9000)}, {"ETHUSDT": (D(-1), D(-2000))}), markets=(known,))
    assert row["gross_exposure"] == "2000.000000"


def test_funding_is_looked_at_against_the_equity_of_the_look_before() -> None:
    class Rates(DictSnapshot):
        def mean_funding(self, venue: str, symbol: str, hours: int) -> Decimal | None:
            return {"ETHUSDT": D("0.11"), "SOLUSDT": None}[symbol] if symbol != "BTCUSDT" else self.funding(venue, symbol)

    at = AT + timedelta(days=1)
    then = Rates(at, {"timestamp": at})
    perps = [("bybit", base + "USDT") for base in ("ETH", "SOL", "BTC")]
    first = look_at_funding(None, Rates(AT, {"timestamp": AT}), perps, 5.0, 1000.0)
    assert first.aprs == {"bybit_BTCUSDT": None, "bybit_ETHUSDT": 0.11, "bybit_SOLUSDT": None, "own": None}
    assert look_at_funding(first, then, perps, 6.0, 1100.0).aprs["own"] == pytest.approx(1 / 1000 * 365)
    assert look_at_funding(first._replace(equity=0), then, perps, 6.0, 1100.0).aprs["own"] is None
    assert look_at_funding(first, then, (), 6.0, 1100.0).aprs == {}


def test_another_currency_and_another_settlement_token_are_converted() -> None:
    at = DictSnapshot(AT, {"timestamp": AT, "market_data": {"prices": {"USDC": 0.5, "USDT": 1, "ETH": 2000},
                                                            "perp_prices": {"hyperliquid": {"ETHUSDC": 4000}}}})  # fmt: skip
    perp = PerpExposure("hyperliquid", "hyperliquid", "ETHUSDC", "USDC", D(-1), D(-4000))
    held = (Exposure("hyperliquid", "USDC", "USDC", D(8000)), Exposure("wallet", "ETH", "ETH", D(3)))
    (row,) = rows(RiskPoint(at.instant, held, (perp,), TERMS), markets=(at,), currency=("ETH", "WETH"))
    assert (row["gross_exposure"], row["net_exposure"], row["ETH_delta"]) == ("1.000000", "-1.000000", "2.00000000")
    assert row["hyperliquid_leverage"] == "0.500000"
    assert base_of("ETHUSDC") == "ETH"
