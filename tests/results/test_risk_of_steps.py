"""The rows of risk.csv of a live run: made step by step, kept as text, and the same after a restart."""

from __future__ import annotations

from array import array
from datetime import timedelta
from decimal import Decimal

from basis_strategy_v1.core.market import DictSnapshot
from basis_strategy_v1.results.funding_aprs import FundingLook
from basis_strategy_v1.results.risk_of_steps import RiskOfSteps, RiskRow
from basis_strategy_v1.results.risk_steps import LoanRisk, RiskPoint
from basis_strategy_v1.venues.exchange_terms import MarginTerms
from basis_strategy_v1.venues.venue import Exposure, PerpExposure

from ..world import AT

D = Decimal


def at(hours: int, mark: int | None) -> DictSnapshot:
    """A market in which ETH is 3000 and its perp is at a mark; None: nothing of ETH is known."""
    when, known = AT + timedelta(hours=hours), mark is not None
    prices = {"USDT": 1, **({"ETH": 3000} if known else {})}
    perps = {"perp_prices": {"bybit": {"ETHUSDT": mark}}} if known else {}
    return DictSnapshot(when, {"timestamp": when, "market_data": {"prices": prices, **perps}})


def rows(risk: RiskOfSteps, *markets: DictSnapshot) -> list[str]:
    return list(risk.rows(array("q", [market.instant for market in markets]), lambda at, instant: markets[0]))


def test_each_step_has_its_own_prices_also_where_another_process_goes_on_or_one_is_not_known() -> None:
    markets = [at(0, 3100), at(1, 3200), at(2, None), at(3, 3300)]
    held = Exposure("bybit", "ETH", "ETH", D("2.0")), Exposure("bybit", "USDT", "USDT", D("1000.1"))
    perp, terms = PerpExposure("bybit", "bybit", "ETHUSDT", "USDT", D(-2), D(-6200)), MarginTerms(((1e6, 0.01, 0.0),), {})
    look = FundingLook(markets[0].instant, {"bybit_ETHUSDT": 0.1, "own": None}, 1e18, 1e17)
    first = RiskOfSteps(("USDT", "USDC"))
    assert first.see(markets[0]) is None
    first.add(RiskPoint(markets[0].instant, held, (perp,), (terms,), {"aave": LoanRisk(0.5, None)}, look))
    kept = [first.see(markets[0]), first.see(markets[1])]
    assert [isinstance(row, RiskRow) and row.point is not None for row in kept] == [True, False]
    second = RiskOfSteps(("USDT", "USDC"))
    for row in kept:
        assert row is not None
        second.restore(row)
    for risk in (first, second):
        assert [row is not None and row.point for row in map(risk.see, markets[2:])] == [None, None]
        assert risk.funding == look
        assert risk.header() == (
            "timestamp,gross_exposure,net_exposure,in_transit,queued,bybit_leverage,bybit_margin_ratio,bybit_liquidation_distance,"
            "aave_ltv,aave_health_factor,ETH_delta,bybit_ETHUSDT_funding_apr,own_funding_apr"
        )
        assert [row.partition(",")[2] for row in rows(risk, *markets)] == [
            "12200.000000,-200.000000,0,0,6.199380,0.161306,0.149808,0.500000,,0,0.100000,\n",
            "12400.000000,-400.000000,0,0,7.999000,0.125016,0.113877,0.500000,,0,0.100000,\n",
            ",,0,0,,,,0.500000,,0,0.100000,\n",
            "12600.000000,-600.000000,0,0,10.998167,0.090924,0.080123,0.500000,,0,0.100000,\n",
        ]


def test_a_step_of_an_earlier_version_has_no_cells_and_its_positions_are_not_taken_up() -> None:
    risk = RiskOfSteps(("USDT",))
    instant = at(0, 3100).instant
    risk.restore(
        RiskRow(f'{{"instant":{instant},"of_all":["1","1","0","0"],"accounts":{{}},"lenders":{{}}}}', f"[{instant},[],[],[],{{}},{{}}]")
    )
    assert (risk.funding, risk.see(at(1, 3100))) == (None, None)
    assert rows(risk, at(0, 3100)) == ["2024-06-01T00:00:00Z,,,,\n"]
