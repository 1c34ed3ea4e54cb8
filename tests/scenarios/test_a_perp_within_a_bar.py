"""A perp that is traded in the middle of a bar: nobody knows what came first in it, the trade or the bar's high.

The whole bar counts against the positions when it closes, and the report says so; finer bars know more.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ..world import BARS, iso, write_funding, write_series
from .running import HOUR, Ran, day, run
from .test_time import blocks_config

D = Decimal
MINUTE = timedelta(minutes=1)
START = day("2024-06-01")
SPIKE = 10 * MINUTE  # from the start of the run to the minute of the high


def market(folder: Path, *, bars: str) -> Path:
    """ETH at 3000 but for one minute, in which the perp trades at 3900."""
    step = {"1h": HOUR, "1m": MINUTE}[bars]
    opened = [START - 2 * HOUR + step * place for place in range(int(6 * HOUR / step))]
    rows = [f"{iso(at)},3000,{3900 if at <= START + SPIKE < at + step else 3000},3000,3000,1" for at in opened]
    write_series(folder, f"ohlcv/bybit/perp/ETHUSDT_{bars}", BARS, rows)
    write_funding(folder, "bybit", "ETHUSDT", {START: 0})
    return folder


def order(side: str, **more: Any) -> dict[str, Any]:
    kind = {"instruction_type": "cex_trade", "venue": "bybit", "trade_type": "perp", "symbol": "ETHUSDT"}
    return {**kind, "side": side, "amount": "10", **more}


def ran(folder: Path, *orders: tuple[timedelta, dict[str, Any]], bars: str = "1h", **changes: Any) -> Ran:
    """Three hours of a short of 30,000 on a margin of 6,000, which 3900 uses up."""
    blocks = [(iso(START + after), block) for after, block in orders]
    terms = {"initial_positions": {"bybit": {"USDT": 6_000}}, "end": "2024-06-01T03:00:00Z", **changes}
    config = blocks_config(folder, blocks, **terms)
    return run(config, market(folder / "data", bars=bars), folder)


def reported(found: Ran) -> list[str]:
    return [line for line in found.summary["assumptions"] if "within the bars" in line]


def liquidated(found: Ran) -> list[timedelta]:
    """When, from the start of the run."""
    return [row.at - START for row in found.settled("liquidation")]


def test_a_short_opened_in_the_middle_of_a_bar_falls_to_a_high_that_may_have_come_before_it(tmp_path: Path) -> None:
    found = ran(tmp_path, (30 * MINUTE, order("sell")))
    assert liquidated(found) == [HOUR]
    lost = {source: D(found.summary["attribution"][source]) for source in ("perp_price", "liquidation")}
    assert sum(lost.values()) < -5_900
    assert -200 < lost["liquidation"] < 0  # the maintenance margin: the price had taken the rest
    assert reported(found) == [
        "Steps lie within the bars of ohlcv/bybit/perp/ETHUSDT_1h. A whole bar counts against the positions when it closes: a perp may be "
        "liquidated by a high or low from before it was opened or enlarged, and one that is closed within the bar is not liquidated by it."
    ]


def test_a_short_closed_in_the_middle_of_a_bar_does_not_fall_to_its_high(tmp_path: Path) -> None:
    found = ran(tmp_path, (timedelta(), order("sell")), (30 * MINUTE, order("buy", reduce_only=True)))
    assert (liquidated(found), len(reported(found))) == ([], 1)


@pytest.mark.parametrize(("after", "falls"), [(timedelta(), [HOUR]), (HOUR, [])], ids=["held all through", "opened at its close"])
def test_where_every_step_is_the_end_of_a_bar_there_is_nothing_to_report(after: timedelta, falls: list[timedelta], tmp_path: Path) -> None:
    found = ran(tmp_path, (after, order("sell")))
    assert (liquidated(found), reported(found)) == (falls, [])


@pytest.mark.parametrize(("after", "falls"), [(5 * MINUTE, [SPIKE + MINUTE]), (30 * MINUTE, [])], ids=["before the high", "after it"])
def test_finer_bars_know_what_came_first(after: timedelta, falls: list[timedelta], tmp_path: Path) -> None:
    found = ran(tmp_path, (after, order("sell")), bars="1m")
    assert (liquidated(found), reported(found)) == (falls, [])


@pytest.mark.parametrize(
    "changes",
    [{"interval": "30m"}, {"start": "2024-05-31T23:30:00Z"}, {"end": "2024-06-01T02:30:00Z"}],
    ids=["the interval", "the start", "the end"],
)
def test_a_step_within_a_bar_is_reported_whatever_puts_it_there(changes: dict[str, Any], tmp_path: Path) -> None:
    assert len(reported(ran(tmp_path, (HOUR, order("sell")), **changes))) == 1
