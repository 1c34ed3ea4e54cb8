"""What `basis check` prints of the data before a run, and that the run then goes as it was printed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from basis_strategy_v1.app import build
from basis_strategy_v1.app.commands import check_run
from basis_strategy_v1.core.error_codes.exceptions import ComponentError

from . import runs

PERP, FUNDING = "ohlcv/bybit/perp/ETHUSDT_1h", "funding/bybit/ETHUSDT"
SPOT = "ohlcv/bybit/spot/ETHUSDT_1h"
ALWAYS_IN = {"spot_venue": "bybit", "perp_venue": "bybit"}
IN_BY_RULE = {**ALWAYS_IN, "enter_above_apr": 0.9, "funding_window_hours": 24}

Spoil = Callable[[list[str]], list[str]]


def spoil(data: Path, series: str, change: Spoil) -> None:
    path = data / f"{series}.csv"
    path.write_text("".join(change(path.read_text().splitlines(keepends=True))))


def without(first: str, last: str) -> Spoil:
    return lambda rows: [row for row in rows if row.startswith("t") or not first <= row.split(",")[0] <= last]


def run_of(**changes: Any) -> dict[str, Any]:
    return runs.config(**{"initial_capital": 100_000, "start": "2024-06-02", "end": "2024-06-08", **changes})


def checked(data: Path, /, **changes: Any) -> list[str]:
    """What `basis check` prints after it has found all series."""
    path = data.parent / "run.yaml"
    path.write_text(yaml.safe_dump(run_of(**changes)))
    return list(check_run(path, data=data))[2:]


def refused(data: Path, /, **changes: Any) -> list[str]:
    with pytest.raises(ComponentError) as error:
        checked(data, **changes)
    return str(error.value).splitlines()


def run(data: Path, /, **changes: Any) -> str:
    """The code that the run ends with; empty where it comes to its end."""
    engine = build(run_of(**changes), data, data.parent / "results", data.parent / "logs", report=False)
    try:
        engine.run()
    except ComponentError as error:
        return error.error_code
    return ""


# Funding.

NO_FUNDING = f"{FUNDING} has no row for 3 payments from 2024-06-04T00:00:00Z to 2024-06-04T16:00:00Z"
FUNDING_WAY_OUT = "fill the gap, set data.missing_funding: zero, or leave that time out of the run"


def test_a_gap_in_the_funding_of_a_perp_that_is_always_held_is_a_fault(data: Path) -> None:
    spoil(data, FUNDING, without("2024-06-04", "2024-06-05"))
    assert refused(data) == [f"DAT-005: {NO_FUNDING}, and eth_basis needs it then; {FUNDING_WAY_OUT}"]
    assert run(data) == "DAT-005"


def test_a_gap_in_the_funding_of_a_perp_that_may_not_be_held_is_a_warning(data: Path) -> None:
    spoil(data, FUNDING, without("2024-06-04", "2024-06-05"))
    assert checked(data, strategy=IN_BY_RULE) == [
        f"warning: {NO_FUNDING}: it would end the run (DAT-005) if there are positions then; {FUNDING_WAY_OUT}",
        "ready, with 1 warning",
    ]
    assert run(data, strategy=IN_BY_RULE) == ""


def test_a_gap_in_the_funding_is_nothing_where_missing_payments_are_zero_or_where_it_lies_outside_the_run(data: Path) -> None:
    spoil(data, FUNDING, without("2024-06-04", "2024-06-05"))
    assert checked(data, data={"missing_funding": "zero"}) == ["ready"]
    assert checked(data, start="2024-06-05") == ["ready"]
    assert checked(data, end="2024-06-03T23:00:00Z") == ["ready"]


def test_an_end_at_a_payment_that_the_funding_does_not_reach_is_a_fault(data: Path) -> None:
    spoil(data, FUNDING, without("2024-06-08T00", "2025"))
    message = f"{FUNDING} has no row for the payment at 2024-06-08T00:00:00Z, and eth_basis needs it then; {FUNDING_WAY_OUT}"
    assert refused(data) == [f"DAT-005: {message}"]
    assert run(data) == "DAT-005"
    assert checked(data, end="2024-06-07T23:00:00Z") == ["ready"]
    assert run(data, end="2024-06-07T23:00:00Z") == ""


def test_a_row_that_stands_a_little_after_the_hour_is_there(data: Path) -> None:
    spoil(data, FUNDING, lambda rows: [row.replace("T08:00:00Z", "T08:00:07Z") for row in rows])
    assert checked(data) == ["ready"]
    assert run(data) == ""


# Prices.

PRICE_WAY_OUT = "fill the gap, raise data.max_staleness, or leave that time out of the run"


def too_old(series: str) -> str:
    return f"{series}: from 2024-06-04T11:00:00Z until 2024-06-05T01:00:00Z the last row is older than max_staleness"


@pytest.mark.parametrize("series", [SPOT, PERP])
def test_a_gap_that_is_longer_than_max_staleness_in_a_price_that_is_read_for_certain_is_a_fault(data: Path, series: str) -> None:
    spoil(data, series, without("2024-06-02T23", "2024-06-05"))
    assert refused(data) == [f"DAT-002: {too_old(series)}, and eth_basis needs it then; {PRICE_WAY_OUT}"]
    assert run(data) == "DAT-002"


def test_a_gap_that_is_longer_than_max_staleness_in_a_perp_that_may_not_be_held_is_a_warning(data: Path) -> None:
    spoil(data, PERP, without("2024-06-02T23", "2024-06-05"))
    gap, *rest = checked(data, strategy=IN_BY_RULE)
    assert gap == f"gap: {PERP} from 2024-06-03T00:00:00Z until 2024-06-05T01:00:00Z: no trade is opened on it"
    assert rest == [
        f"warning: {too_old(PERP)}: it would end the run (DAT-002) if there are positions then; {PRICE_WAY_OUT}",
        "ready, with 1 warning",
    ]
    assert run(data, strategy=IN_BY_RULE) == ""


def test_a_gap_between_two_steps_ends_no_run_for_certain(data: Path) -> None:
    spoil(data, SPOT, without("2024-06-02T23", "2024-06-05"))
    [_, warning, _] = checked(data, interval="7d")
    assert warning.startswith(f"warning: {too_old(SPOT)}")


def test_a_gap_that_max_staleness_allows_is_only_a_gap(data: Path) -> None:
    spoil(data, SPOT, without("2024-06-02T23", "2024-06-03T13"))
    assert checked(data) == [f"gap: {SPOT} from 2024-06-03T00:00:00Z until 2024-06-03T14:00:00Z: no trade is opened on it", "ready"]
    assert run(data) == ""


# Prices and rates that look wrong.


def test_funding_in_percent_is_reported_in_a_few_lines(data: Path) -> None:
    def times_100(rows: list[str]) -> list[str]:
        return [rows[0], *(f"{stamp},{float(rate) * 1000:.8f}\n" for stamp, rate in (row.strip().split(",") for row in rows[1:]))]

    spoil(data, FUNDING, times_100)
    beyond, usual, last = checked(data)
    assert beyond == (
        f"warning: {FUNDING}, row of 2024-06-02T00:00:00Z: column funding_rate: 0.2036 is beyond 0.01; "
        "17 more such rows, the last of 2024-06-08T00:00:00Z"
    )
    assert usual.startswith(f"warning: {FUNDING}, row of 2024-06-01T")
    assert " a year, which no market has had for long; rates are fractions of a payment: 0.0001 is 0.01 %" in usual
    assert last == "ready, with 2 warnings"


def with_twice_the_high(at: str) -> Spoil:
    def change(rows: list[str]) -> list[str]:
        place = next(place for place, row in enumerate(rows) if row.startswith(at))
        stamp, first, high, *rest = rows[place].split(",")
        return [*rows[:place], ",".join([stamp, first, str(float(high) * 2), *rest]), *rows[place + 1 :]]

    return change


def test_one_false_high_is_reported_where_the_run_reads_it_and_not_where_it_does_not(data: Path) -> None:
    spoil(data, PERP, with_twice_the_high("2024-06-05T03"))
    [message, last] = checked(data)
    assert message.startswith(f"warning: {PERP}, row of 2024-06-05T03:00:00Z: column high: ") and last == "ready, with 1 warning"
    assert checked(data, end="2024-06-05T03:00:00Z") == ["ready"]
    assert checked(data, start="2024-06-06") == ["ready"]


# Positions, the strategy's own.


def test_a_capital_that_is_not_used_is_reported(data: Path) -> None:
    assert checked(data, initial_positions={"bybit": {"USDT": 5}}) == [
        "initial_positions are held at the start; initial_capital of 100,000 is not used",
        "ready",
    ]


@pytest.mark.parametrize(
    ("written", "taken"),
    [
        ("(self, snapshot)", "(snapshot)"),
        ("(self)", "()"),
        ("(self, a, b, c, d)", "(a, b, c, d)"),
        ("(self, a, b=None, c=None)", "(a, b=…, c=…)"),
        ("(self, a, b, *, c)", "(a, b, *, c)"),
    ],
)
def test_a_decide_with_another_number_of_arguments_is_refused(data: Path, written: str, taken: str) -> None:
    (data.parent / "mine.py").write_text(f"class Mine:\n    def decide{written}:\n        return []\n")
    forms = "def decide(self, step, memory) or def decide(self, snapshot, positions, parameters)"
    said = refused(data, strategy_mode="custom", strategy={"file": "mine.py"})
    assert said == [f"STR-001: mine.py: decide{taken} is neither form of a strategy; write {forms}"]


@pytest.mark.parametrize(
    "written",
    [
        "(self, *given)",
        "(self, snapshot, *others)",
        "(self, snapshot, positions, parameters, more=1)",
        "(self, a, b, c)",
        "(self, step, memory)",
        "(self, step, memory, more=1)",
    ],
)
def test_a_decide_that_takes_what_it_is_given_is_none_of_them(data: Path, written: str) -> None:
    (data.parent / "mine.py").write_text(f"class Mine:\n    def decide{written}:\n        return []\n")
    assert checked(data, strategy_mode="custom", strategy={"file": "mine.py"}) == ["ready, as far as is known"]


# What is not known, and how much is to be done.


def head(data: Path, /, **changes: Any) -> list[str]:
    """The first two lines of `basis check`: of the config, without its hash, and of the data."""
    path = data.parent / "run.yaml"
    path.write_text(yaml.safe_dump(run_of(**changes)))
    first, second, *_ = check_run(path, data=data)
    return [first.split(", ", 2)[2], second]


def strategy_of_ones_own(data: Path, needs: str = "") -> dict[str, Any]:
    (data.parent / "mine.py").write_text(f"class Mine:\n    def decide(self, snapshot, positions, parameters):\n        return []\n{needs}")
    return {"strategy_mode": "custom", "strategy": {"file": "mine.py"}}


UNKNOWN = "data: generated; which series the run needs is not known, only the prices of the initial positions"
NAME_THEM = "were looked at: name them in needs(self, parameters), such as [('spot', 'bybit', 'ETHUSDT')]"


def test_of_a_strategy_that_names_no_series_it_is_said_that_they_are_not_known_and_how_to_name_them(data: Path) -> None:
    mine = strategy_of_ones_own(data)
    assert head(data, **mine)[1] == f"{UNKNOWN} {NAME_THEM}"
    wallet = {"cex": ["bybit"], "onchain": ["wallet"]}
    assert head(data, **mine, venues=wallet)[1] == f"{UNKNOWN} and the price of gas {NAME_THEM}"
    named = strategy_of_ones_own(data, "    def needs(self, parameters):\n        return [('spot', 'bybit', 'ETHUSDT')]\n")
    assert head(data, **named)[1] == "data: generated, all series that the run needs are there"
    assert checked(data, **named) == ["ready"]


def test_what_a_file_of_blocks_needs_is_not_known(data: Path) -> None:
    (data.parent / "blocks.jsonl").write_text("")
    assert head(data, strategy_mode="blocks", strategy={"file": "blocks.jsonl"})[1] == f"{UNKNOWN} were looked at"


def test_check_prints_as_many_steps_as_the_run_has(data: Path) -> None:
    block = {"instruction_type": "cex_trade", "venue": "bybit", "trade_type": "spot", "side": "buy", "symbol": "ETHUSDT", "amount": 1}
    stamps = ("2024-06-02T00:00:00Z", "2024-06-02T00:30:00Z", "2024-06-02T00:30:00Z", "2024-06-02T05:00:00Z", "2024-06-03T23:10:00Z")
    lines = [json.dumps({"timestamp": stamp, "block": block}) for stamp in stamps]
    (data.parent / "blocks.jsonl").write_text("\n".join(lines))
    cases: list[tuple[dict[str, Any], int]] = [
        ({"end": "2024-06-03T23:30:00Z"}, 49),  # the end is a step of its own
        ({"end": "2024-06-03T23:30:00Z", "strategy_mode": "blocks", "strategy": {"file": str(data.parent / "blocks.jsonl")}}, 51),
        ({"interval": "7h"}, 22),
    ]
    for changes, steps in cases:
        assert head(data, **changes)[0] == f"{steps} steps"
        done = build(run_of(**changes), data, data.parent / "results", data.parent / "logs", report=False).run()
        assert len(done.paths["equity.csv"].read_text().splitlines()) == 1 + steps
    assert head(data, interval="1s", end="2024-06-04")[0] == "172,801 steps"


# Bars of two intervals.

COARSE, FINE = (f"ohlcv/bybit/{{}}/ETHUSDT_{interval}" for interval in ("1h", "1m"))


def finer_bars(data: Path, kind: str, first: str, last: str) -> str:
    """Minute bars of `kind` from `first` until before `last`, each with the price of the hour; their series."""
    rows = (data / f"{COARSE.format(kind)}.csv").read_text().splitlines()
    hours = [row.split(",", 1) for row in rows[1:] if first <= row < last]
    path = data / f"{FINE.format(kind)}.csv"
    path.write_text("\n".join([rows[0], *(f"{stamp[:14]}{minute:02}:00Z,{rest}" for stamp, rest in hours for minute in range(60))]) + "\n")
    return FINE.format(kind)


def reported_of_data(data: Path, /, **changes: Any) -> tuple[list[str], list[dict[str, str]], list[str]]:
    """The series used, where prices stood still, and what is assumed of series, as a run's summary has them."""
    summary = build(run_of(**changes), data, data.parent / "results", data.parent / "logs", report=False).run().summary
    return summary["data"]["series"], summary["stale_marks"], [line for line in summary["assumptions"] if "ohlcv/" in line]


def test_nothing_is_reported_of_finer_bars_that_do_not_cover_the_run(data: Path) -> None:
    for kind in ("spot", "perp"):
        spoil(data, finer_bars(data, kind, "2024-05-31", "2024-06-05"), without("2024-06-03T01", "2024-06-03T05"))
    spoil(data, FINE.format("perp"), with_twice_the_high("2024-06-04T11:30"))
    assert checked(data) == ["ready"]
    assert reported_of_data(data) == ([FUNDING, PERP, SPOT], [], [])


def test_where_no_bars_cover_the_run_a_gap_is_reported_only_of_those_that_are_read_then(data: Path) -> None:
    """The hours end while the minutes have begun; what is missing is an hour of these, and their end."""
    finest = finer_bars(data, "perp", "2024-06-03", "2024-06-07T20")
    spoil(data, finest, without("2024-06-05T01", "2024-06-05T02"))
    spoil(data, PERP, without("2024-06-04", "2025"))
    gaps = [("2024-06-05T01:01:00Z", "2024-06-05T02:01:00Z"), ("2024-06-07T20:01:00Z", "2024-06-08T00:00:00Z")]
    assert checked(data) == [*(f"gap: {finest} from {start} until {end}: no trade is opened on it" for start, end in gaps), "ready"]
    used, marks, assumed = reported_of_data(data)
    assert used == [FUNDING, PERP, finest, SPOT]
    # What lasts to the run's end holds at the end too.
    assert [tuple(mark.values()) for mark in marks] == [(finest, *gaps[0]), (finest, gaps[1][0], "2024-06-08T00:00:01Z")]
    assert assumed == [f"{finest} has 2 gaps of 4 hours in all: there its last price values positions, and no trade is opened on it."]


def test_a_gap_in_bars_that_others_stand_in_for_is_none(data: Path) -> None:
    finer_bars(data, "perp", "2024-06-03", "2024-06-08")
    spoil(data, PERP, without("2024-06-04", "2025"))
    assert checked(data) == ["ready"]
    assert run(data) == ""


# What a backtest prints of it.


def warned(data: Path, /, **changes: Any) -> list[str]:
    message: list[str] = []
    build(run_of(**changes), data, data.parent / "results", data.parent / "logs", report=False, warn=message.append).run()
    return message


def test_a_run_reports_a_line_for_each_series_that_looks_wrong_and_one_for_each_gap(data: Path) -> None:
    assert warned(data) == []
    spoil(data, FUNDING, lambda rows: [row if row.startswith("t") else f"{row.split(',')[0]},0.02\n" for row in rows])
    spoil(data, FUNDING, without("2024-06-04", "2024-06-05"))
    rules = {"enter_above_apr": 0.99, "leave_below_apr": 0.98, "funding_window_hours": 24}
    assert warned(data, strategy={**ALWAYS_IN, **rules}, end="2024-06-03") == [
        f"warning: {FUNDING}, row of 2024-06-02T00:00:00Z: column funding_rate: 0.02 is beyond 0.01; "
        "3 more such rows, the last of 2024-06-03T00:00:00Z"
    ]


def test_a_run_reports_five_lines_at_most(data: Path) -> None:
    for day in range(2, 9):
        spoil(data, FUNDING, without(f"2024-06-0{day}T07", f"2024-06-0{day}T09"))
    message = warned(data, strategy=IN_BY_RULE, end="2024-06-08T20:00:00Z")
    assert all(line.startswith(f"warning: {FUNDING} has no row for the payment at 2024-06-0") for line in message[:5])
    assert message[5:] == ["warning: and 2 more, see basis check"]


# What the strategy will not do.


def test_a_history_that_the_data_do_not_have_before_the_start_is_a_warning(data: Path) -> None:
    assert warned(data, start="2024-06-02", warmup="24h") == []
    lines = warned(data, start="2024-06-02", warmup="3d")
    after = "after 2024-05-30T00:00:00Z; its history is as long as warmup from"
    assert f"warning: warmup: funding of bybit for ETHUSDT begins at 2024-05-31T00:00:00Z, {after} 2024-06-03T00:00:00Z on" in lines
    assert len(lines) == 3


def test_a_window_that_the_data_cover_late_or_never_is_a_warning(data: Path) -> None:
    late = "2024-06-02T16:00:00Z on; no signal comes before"
    begins = f"warning: strategy.funding_window_hours: the data of {FUNDING} begin at 2024-05-31T00:00:00Z, so the window of"
    rule = {**ALWAYS_IN, "enter_above_apr": 0.9}
    assert checked(data, strategy={**rule, "funding_window_hours": 72})[0] == f"{begins} 72 h is covered from {late}"
    never = f"{begins} 720 h is never covered in this run and the rule gives no signal"
    assert checked(data, strategy={**rule, "funding_window_hours": 720})[0] == never
    assert warned(data, strategy={**rule, "funding_window_hours": 720}) == [never]


def test_a_payment_that_a_symbol_misses_between_its_hourly_ones_ends_the_run(data: Path) -> None:
    hourly = [f"2024-06-{day:02}T{hour:02}:00:00Z,0.00001\n" for day in range(3, 8) for hour in range(24)]
    spoil(data, FUNDING, lambda rows: [*(row for row in rows if row < "2024-06-03" or row.startswith("t")), *hourly])
    assert run(data, end="2024-06-06") == ""
    spoil(data, FUNDING, without("2024-06-04T03", "2024-06-04T06"))
    missing = f"{FUNDING} has no row for 3 payments from 2024-06-04T03:00:00Z to 2024-06-04T05:00:00Z"
    assert refused(data, end="2024-06-06")[0].startswith(f"DAT-005: {missing}")
    assert run(data, end="2024-06-06") == "DAT-005"


@pytest.mark.parametrize(
    ("capital", "most", "warns"),
    [(45, "22.46", True), (100, "", False)],
)
def test_a_capital_with_which_the_strategy_never_begins_is_a_warning(data: Path, capital: int, most: str, warns: bool) -> None:
    line = (
        f"warning: initial_capital: both legs can be at most {most} USDT with what the venues hold at the start, below the smallest change "
        "that the strategy trades, 48.19: nothing is entered; give more initial_capital"
    )
    assert checked(data, initial_capital=capital) == ([line, "ready, with 1 warning"] if warns else ["ready"])
    assert warned(data, initial_capital=capital) == ([line] if warns else [])


STAKE = {
    "strategy_mode": "eth_staking_only", "share_class": "eth_directional", "strategy": {"protocol": "lido"},
    "venues": {"dex": {"uniswap": {}}, "onchain": {"lido": {}, "wallet": {"gas_price_gwei": 0}}},
}  # fmt: skip


def test_a_stake_counted_in_ether_needs_its_price_in_dollars_to_the_end(data: Path) -> None:
    rates = ["timestamp,eth_per_token", *(f"{day}T00:00:00Z,1.17" for day in ("2024-05-31", *(f"2024-06-{d:02}" for d in range(1, 9))))]
    (data / "staking/lido").mkdir(parents=True, exist_ok=True)
    (data / "staking/lido/wstETH.csv").write_text("\n".join(rates) + "\n")
    stake = {**STAKE, "initial_capital": 10}
    assert checked(data, **stake) == ["ready"]
    assert run(data, **stake) == ""
    assert checked(data, **{**stake, "initial_capital": "0.05"})[0].startswith(
        "warning: initial_capital: 0.0500 ETH are to be staked, below"
    )
    for path in (data / "ohlcv").rglob("spot/ETH*.csv"):
        path.write_text(
            "".join(line for line in path.read_text().splitlines(keepends=True) if not "2024-06-02T05" < line < "2024-06-04T12")
        )
    assert refused(data, **stake)[0].startswith("DAT-002")
    assert run(data, **stake) == "DAT-002"
    for path in (data / "ohlcv").rglob("spot/*.csv"):
        path.unlink()
    assert refused(data, **stake)[0].endswith("positions are valued in dollars: bring spot/ETHUSDT of an exchange")
