"""The metrics of a run: the same figures as empyrical on the same daily returns, and what is undefined is null with a reason."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import isnan
from random import Random
from typing import Any

import pytest

from basis_strategy_v1.core.clock import DAY_US, to_instant
from basis_strategy_v1.results.daily import Days, date_of, days_of, stale_flags, too_short
from basis_strategy_v1.results.metrics import Measured, Turnover, measure
from basis_strategy_v1.results.presence import AtWork, Presence, presence_of

START = to_instant(datetime(2024, 6, 1, tzinfo=UTC))
HOUR = DAY_US // 24
INITIAL = 100_000 * 10**12
PRESENT = Presence(0.5, 3, 2.5)
NOTHING = Turnover(0, 0)


def walk(days: int, *, seed: int = 1, spread: float = 0.01) -> Days:
    """Days whose returns are drawn from a seed."""
    random, closes, before = Random(seed), [], INITIAL
    for _ in range(days):
        before = int(before * (1 + random.gauss(0.0004, spread)))
        closes.append(before)
    return of_closes(closes)


def of_closes(closes: list[int]) -> Days:
    steps = range(len(closes) + 1)
    return days_of(INITIAL, [START + day * DAY_US for day in steps], [INITIAL, *closes], bytes(len(steps)))


def of_returns(returns: list[float]) -> Days:
    closes, before = [], INITIAL
    for one in returns:
        before = round(before * (1 + one))
        closes.append(before)
    return of_closes(closes)


def measured(days: Days, **how: Any) -> Measured:
    return measure(days, INITIAL, how.pop("traded", NOTHING), how.pop("presence", PRESENT), **how)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("risk_free", [0.0, 0.045, -0.01])
def test_metrics_are_those_of_empyrical_on_the_same_daily_returns(seed: int, risk_free: float) -> None:
    import empyrical
    import pandas

    days, theirs = walk(400, seed=seed), walk(400, seed=seed + 100)
    daily = (1 + risk_free) ** (1 / 365) - 1
    returns = pandas.Series(days.returns, index=pandas.to_datetime(days.dates))
    factor = pandas.Series(theirs.returns, index=returns.index)
    by_month = empyrical.aggregate_returns(returns, "monthly")
    excess = returns - factor
    expected = {
        "cagr": empyrical.cagr(returns, annualization=365),
        "volatility": empyrical.annual_volatility(returns, annualization=365),
        "sharpe": empyrical.sharpe_ratio(returns, risk_free=daily, annualization=365),
        "sortino": empyrical.sortino_ratio(returns, required_return=daily, annualization=365),
        "calmar": empyrical.calmar_ratio(returns, annualization=365),
        "omega": empyrical.omega_ratio(returns, required_return=risk_free, annualization=365),
        "max_drawdown": -empyrical.max_drawdown(returns),
        "best_day": returns.max(),
        "worst_day": returns.min(),
        "best_month": by_month.max(),
        "worst_month": by_month.min(),
        "excess_return": empyrical.cum_returns_final(returns) - empyrical.cum_returns_final(factor),
        "beta": empyrical.beta(returns, factor),
        "information_ratio": empyrical.excess_sharpe(returns, factor) * 365**0.5,
        "time_in_market": 0.5,
        "round_trips": 3,
        "longest_flat_days": 2.5,
    }
    assert excess.std() > 0
    found = measured(days, risk_free=risk_free, benchmark=theirs)
    assert {name: found.metrics[name] for name in expected} == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert list(found.monthly.values()) == pytest.approx(list(by_month), rel=1e-9, abs=1e-9)
    assert list(found.monthly) == [f"{year}-{month:02}" for year, month in by_month.index]
    assert found.reasons == {"cost_bps_of_turnover": "nothing was traded"}


def test_the_five_deepest_drawdowns_are_the_intervals_below_a_peak() -> None:
    closes = [INITIAL * part // 100 for part in (99, 98, 101, 95, 96, 101, 102, 101, 103, 102, 104, 102, 105, 104)]
    found = measured(of_closes(closes))
    assert [(fall["start"], fall["trough"], fall["end"]) for fall in found.drawdowns] == [
        ("2024-06-03", "2024-06-04", "2024-06-06"),
        ("2024-06-01", "2024-06-02", "2024-06-03"),
        ("2024-06-11", "2024-06-12", "2024-06-13"),
        ("2024-06-07", "2024-06-08", "2024-06-09"),
        ("2024-06-09", "2024-06-10", "2024-06-11"),
    ]
    assert found.drawdowns[0]["depth"] == pytest.approx(6 / 101)
    assert found.metrics["longest_drawdown_days"] == 3
    left = measured(of_closes([INITIAL, INITIAL * 9 // 10, INITIAL * 95 // 100])).drawdowns
    assert left == [{"start": "2024-06-01", "trough": "2024-06-02", "end": None, "depth": pytest.approx(0.1)}]


def test_turnover_is_over_the_mean_close_and_costs_are_over_what_was_traded() -> None:
    found = measured(of_closes([INITIAL, 3 * INITIAL]), traded=Turnover(4 * INITIAL, INITIAL // 500))
    assert (found.metrics["turnover"], found.metrics["cost_bps_of_turnover"]) == (2.0, 5.0)


def test_the_apr_in_the_market_is_the_sum_of_returns_over_the_time_at_work() -> None:
    days = of_returns([0.001] * 73)
    assert measured(days).metrics["apr_in_market"] == pytest.approx(0.073 * 365 / 73 / 0.5)
    idle = measured(days, presence=Presence(0.0, 0, 73.0))
    assert (idle.metrics["apr_in_market"], idle.reasons["apr_in_market"]) == (None, "no capital was ever at work")


def test_what_is_a_figure_of_a_year_is_null_below_thirty_days() -> None:
    why = too_short(START, START + 29 * DAY_US + 11 * HOUR)  # 30 UTC days are touched
    short, long = (measured(walk(30), benchmark=walk(30, seed=9), too_short=one) for one in (why, ""))
    a_year = {"cagr", "volatility", "sharpe", "sortino", "calmar", "information_ratio", "apr_in_market"}
    assert {name for name, value in short.metrics.items() if value is None} == a_year | {"cost_bps_of_turnover"}
    assert {short.reasons[name] for name in a_year} == {"the run has 29 days, and a figure of a year needs 30"}
    assert {name for name, value in long.metrics.items() if value is None} == {"cost_bps_of_turnover"}


def test_without_variance_the_ratios_are_null_and_say_why() -> None:
    found = measured(of_closes([INITIAL] * 40), benchmark=of_closes([INITIAL] * 40))
    assert found.reasons == {
        "sharpe": "the daily returns do not vary",
        "sortino": "no day was below the rate that is asked for",
        "calmar": "there was no drawdown",
        "omega": "no day was below the rate that is asked for",
        "cost_bps_of_turnover": "nothing was traded",
        "beta": "the benchmark does not vary",
        "information_ratio": "the returns beyond the benchmark's do not vary",
    }
    assert (found.metrics["cagr"], found.metrics["volatility"], found.metrics["max_drawdown"]) == (0, 0, 0)
    assert found.drawdowns == []


def test_one_step_one_day_and_ruin_are_no_errors() -> None:
    one = measured(days_of(INITIAL, [START], [INITIAL], bytes(1)), benchmark=days_of(INITIAL, [START], [INITIAL], bytes(1)))
    assert (one.metrics["best_day"], one.reasons["beta"]) == (0, "it needs two days")
    assert one.monthly == {"2024-06": 0}
    none = measured(days_of(INITIAL, [], [], b""), benchmark=days_of(INITIAL, [], [], b""))
    assert set(none.reasons.values()) == {"the run has no step"}
    ruined = measured(of_closes([INITIAL, -1, 5]), benchmark=of_closes([INITIAL] * 3))
    assert set(ruined.reasons.values()) == {"the equity fell to nothing"}
    assert set(ruined.metrics.values()) == {None}
    assert (ruined.drawdowns, ruined.monthly) == ([], {})
    endless = measured(of_closes([10 * INITIAL * 10 ** (10 * day) for day in range(1, 31)]))
    assert endless.reasons["cagr"] == "it is larger than any number that is kept"


def test_no_metric_is_ever_no_number() -> None:
    for days in (walk(40), of_closes([INITIAL] * 3), of_returns([0.5, -0.5] * 20), of_returns([1e-9] * 40)):
        assert not [name for name, value in measured(days, benchmark=days).metrics.items() if value is not None and isnan(value)]


def test_a_day_closes_with_its_last_step_up_to_and_including_midnight() -> None:
    hours = [0, 12, 24, 25, 48, 60]
    found = days_of(100, [START + hour * HOUR for hour in hours], [99, 98, 110, 120, 121, 60], bytes(6))
    assert found == Days(["2024-06-01", "2024-06-02", "2024-06-03"], [110, 121, 60], [pytest.approx(0.1), pytest.approx(0.1), 60 / 121 - 1])


def test_a_step_on_a_stale_price_is_no_close() -> None:
    instants = [START + hour * HOUR for hour in (0, 23, 24, 30, 48, 72)]
    stale = stale_flags(instants, [(instants[2], instants[3] + 1), (instants[4], instants[5])])
    assert list(stale) == [0, 0, 1, 1, 1, 0]
    found = days_of(100, instants, [100, 110, 5, 5, 5, 121], stale)
    assert found.closes == [110, 110, 121]
    assert found.returns == [pytest.approx(0.1), 0, pytest.approx(0.1)]


def test_a_date_is_the_utc_date() -> None:
    assert date_of(to_instant(datetime(2024, 3, 1, 1, tzinfo=UTC) - timedelta(hours=2))) == "2024-02-29"


def at_work() -> AtWork:
    return AtWork(("USDT",), Decimal(100), Decimal("0.05"), {"ETH": Decimal(3000), "DUST": Decimal(1)}.get)


@pytest.mark.parametrize(
    ("positions", "works"),
    [
        ({}, False),
        ({"bybit": {"USDT": Decimal(100_000)}}, False),
        ({"bybit": {"ETHUSDT-PERP": Decimal("-0.01")}}, True),
        ({"bybit": {"ETHUSDT-PERP": Decimal(0)}}, False),
        ({"bybit": {"ETH": Decimal("0.03")}}, False),
        ({"bybit": {"ETH": Decimal("0.04")}}, True),
        ({"wallet": {"ETH": Decimal("0.05"), "USDT": Decimal(5)}, "bybit": {"ETH": Decimal("0.03")}}, False),
        ({"wallet": {"ETH": Decimal("0.09")}}, True),
        ({"aave": {"aUSDT": Decimal(5)}}, True),
        ({"aave": {"variableDebtUSDT": Decimal(5)}}, True),
        ({"wallet": {"wstETH": Decimal("0.001")}}, True),
        ({"lido": {"ETH-QUEUED": Decimal("0.001")}}, True),
        ({"bybit": {"UNPRICED": Decimal(1)}}, True),
        ({"bybit": {"DUST": Decimal(60)}, "okx": {"DUST": Decimal(60)}}, True),
    ],
)
def test_capital_is_at_work_in_a_position_and_not_in_cash_gas_or_dust(positions: dict[str, dict[str, Decimal]], works: bool) -> None:
    assert at_work()(positions) is works


def test_the_time_in_the_market_is_between_the_changes_of_the_positions() -> None:
    held, cash = {"bybit": {"ETH": Decimal(1)}}, {"bybit": {"USDT": Decimal(1)}}
    rows = [
        (0, cash),
        (2 * DAY_US, held),
        (3 * DAY_US, cash),
        (5 * DAY_US, held),
        (6 * DAY_US, held),
        (7 * DAY_US, cash),
        (10 * DAY_US, cash),
    ]
    assert presence_of(rows, 0, 10 * DAY_US, at_work()) == Presence(0.3, 2, 3.0)
    assert presence_of(rows[:5], 0, 6 * DAY_US, at_work()) == Presence(pytest.approx(2 / 6), 1, 2.0)
    assert presence_of([], 0, 0, at_work()) == Presence(0.0, 0, 0.0)


@pytest.mark.parametrize(
    ("hours", "why"),
    [
        (23, "the run has less than a day, and a figure of a year needs 30"),
        (29 * 24, "the run has 29 days, and a figure of a year needs 30"),
        (29 * 24 + 11, "the run has 29 days, and a figure of a year needs 30"),
        (30 * 24 - 1, ""),
        (30 * 24, ""),
    ],
)
def test_the_length_of_a_run_is_the_nearest_whole_days(hours: int, why: str) -> None:
    assert too_short(START, START + hours * HOUR) == why
