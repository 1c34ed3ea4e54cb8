"""What the figures of a page hold."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from basis_strategy_v1.core.attribution_sources import SOURCES
from basis_strategy_v1.report.report import write_report

from .reading import Page
from .run_folders import START, basis_year, plain_run, stamp

if TYPE_CHECKING:
    from pathlib import Path


def test_a_year_by_the_hour_is_thinned_and_keeps_its_ends_and_its_deepest_drawdown(tmp_path: Path) -> None:
    run = basis_year()
    page = Page(write_report(run.write(tmp_path / "run")))
    series = page.data["series"]
    assert len(run.equity) == 8_761
    assert 3_900 < len(series["times"]) <= 4_002
    assert (series["times"][0], series["times"][-1]) == ("2024-06-01 00:00", "2025-06-01 00:00")
    assert series["equity"][-1] == pytest.approx(float(run.equity[-1][1]))
    assert -min(series["drawdown"]) == pytest.approx(float(run.summary["max_drawdown"]))
    assert f"{len(series['times']):,} of 8,761 steps are drawn" in page.text
    assert {len(values) for values in series.values()} == {len(series["times"])}


def test_the_sources_add_up_to_the_profit_line_at_every_point(tmp_path: Path) -> None:
    series = Page(write_report(basis_year(days=20).write(tmp_path / "run"))).data["series"]
    drawn = [series[f"source {source}"] for source in SOURCES if f"source {source}" in series]
    assert [sum(point) for point in zip(*drawn, strict=True)] == pytest.approx(series["profit"], abs=1e-3)
    netted = [spot + perp for spot, perp in zip(series["source spot_price"], series["source perp_price"], strict=True)]
    assert series["source basis"] == pytest.approx(netted, abs=1e-3)


def test_the_waterfall_ends_at_the_profit_in_both_views(tmp_path: Path) -> None:
    run = basis_year(days=20)
    netted, apart = Page(write_report(run.write(tmp_path / "run"))).figure("waterfall")["traces"]
    for trace in (netted, apart):
        assert sum(trace["x"][:-1]) == pytest.approx(trace["x"][-1]) == pytest.approx(float(run.summary["pnl"]))
        assert trace["measure"] == ["relative"] * (len(trace["x"]) - 1) + ["total"]
    assert netted["y"][0] == "Spot and perp price"
    assert apart["y"][:2] == ["Spot price", "Perp price"]


def test_a_source_that_changes_its_sign_is_on_both_stacks_and_named_once(tmp_path: Path) -> None:
    run = plain_run()
    for hour, funding in enumerate((0, 5, -3)):
        run.equity.append(
            [stamp(START + timedelta(hours=hour)), str(100_000 + funding), *(str(funding) if s == "funding" else "0" for s in SOURCES)]
        )
    traces = Page(write_report(run.write(tmp_path / "run"))).figure("attribution")["traces"]
    assert [(trace["name"], trace.get("stackgroup"), trace.get("showlegend", True)) for trace in traces] == [
        ("Funding", "gains", True),
        ("Funding", "losses", False),
        ("Profit and loss", None, True),
    ]


def test_a_position_is_zero_where_the_file_does_not_list_it(tmp_path: Path) -> None:
    run = plain_run()
    rows = [
        (0, "bybit", "USDT", "9"),
        (0, "bybit", "ETH", "1.5"),
        (1, "bybit", "USDT", "7"),
        (2, "bybit", "USDT", "8"),
        (2, "bybit", "ETH", "2"),
    ]
    run.positions = [[stamp(START + timedelta(hours=hour)), venue, token, amount] for hour, venue, token, amount in rows]
    traces = Page(write_report(run.write(tmp_path / "run"))).figure("positions")["traces"]
    assert [(trace["name"], trace["y"], trace["yaxis"]) for trace in traces] == [
        ("bybit", [1.5, 0.0, 2.0], "y"),
        ("bybit", [9.0, 7.0, 8.0], "y2"),
    ]


def test_every_funding_payment_is_a_bar_and_the_line_ends_at_their_sum(tmp_path: Path) -> None:
    run = basis_year(days=30)
    bars, line = Page(write_report(run.write(tmp_path / "run"))).figure("funding")["traces"]
    assert (len(bars["x"]), bars["name"], bars["type"]) == (90, "binance USDT", "bar")
    assert line["y"][-1] == pytest.approx(float(Decimal(run.summary["attribution"]["funding"])))
    assert line["x"] == bars["x"]


def test_a_figure_with_nothing_to_show_is_left_out(tmp_path: Path) -> None:
    page = Page(write_report(plain_run().write(tmp_path / "run")))
    assert page.data == {"series": {}, "figures": []}
    assert [name for name in ("Funding", "Settlements") if f">{name}</h2>" in (tmp_path / "run" / "report.html").read_text()] == []
