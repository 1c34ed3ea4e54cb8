"""What is wrong is said in one clear line each, with status 2 and no traceback."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from .conftest import CONFIG, UNFINISHED, Basis

SPOT, FUNDING = "ohlcv/bybit/spot/ETHUSDT_1h.csv", "funding/bybit/ETHUSDT.csv"

FIVE_FAULTS = """\
strategy_mode: eth_basis
share_class: usd
initial_capital: -5
start: 2024-06-01
end: 2024-06-04
interval: soon
strategy: {spot_venue: bybit, perp_venue: bybit, leverage: 50}
venues: {cex: [bybit]}
colour: blue
"""


def test_a_config_with_five_faults_names_all_five_at_once(basis: Basis, tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(FIVE_FAULTS)
    for command in ("backtest", "check"):
        done = basis(command, "wrong.yaml")
        assert (done.status, done.out) == (2, "")
        first, *others = done.errors
        faults = [first.removeprefix("CFG-001: "), *others]
        assert sorted(fault.split(":")[0].strip() for fault in faults) == [
            "colour", "initial_capital", "interval", "share_class", "strategy.leverage",
        ]  # fmt: skip
        assert all(value in done.err for value in ("usd", "-5", "soon", "50"))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("end: 2024-06-04", "end: 2024-05-04", "end: 2024-05-04T00:00:00Z; allowed: a time after start, 2024-06-01T00:00:00Z"),
        ("end: 2024-06-04", "end: 2024-06-01", "end: 2024-06-01T00:00:00Z; allowed: a time after start, 2024-06-01T00:00:00Z"),
        ("start: 2024-06-01", "start: 2024-06-01T00:00:00", "start: '2024-06-01T00:00:00'; allowed:"),
        ("perp_venue: bybit", "perp_venue: okx", "strategy.perp_venue: 'okx'; allowed: a venue under venues.cex: bybit"),
        ("strategy_mode: eth_basis", "strategy_mode: luck", "strategy_mode: 'luck'; allowed: "),
        ("perp_venue: bybit", "perp_venue: bybit, leverage: null", "strategy.leverage: null; allowed: a number"),
        ("perp_venue: bybit", "perp_venue: bybit, leverage: true", "strategy.leverage: true; allowed: a number"),
        ("perp_venue: bybit", "perp_venue: bybit, leverage: 0.0", "strategy.leverage: 0.0; allowed: a number"),
        (
            "initial_capital: ",
            "initial_capital: 100k #",
            "initial_capital: '100k'; allowed: a number above 0 and at most 1e15; write 100000",
        ),
    ],
)
def test_a_fault_of_the_config_is_shown_with_its_path_its_value_and_what_is_allowed(
    before: str, after: str, message: str, basis: Basis, config: Path, sample: Path
) -> None:
    config.write_text(CONFIG.replace(before, after))
    done = basis("backtest", config, "--data", sample)
    [line] = done.errors
    assert (done.status, line.startswith(f"CFG-001: {message}")) == (2, True), line


@pytest.mark.parametrize(
    ("before", "after", "meant"),
    [
        ("strategy_mode: eth_basis", "strategy_mode: eth_bases", "eth_basis"),
        ("strategy_mode: eth_basis", "strategy_mode: ETH_BASIS", "eth_basis"),
        ("share_class: usdt_stable", "share_class: usdt_stabel", "usdt_stable"),
    ],
)
def test_a_word_that_is_nearly_right_is_answered_with_the_right_one(
    before: str, after: str, meant: str, basis: Basis, config: Path
) -> None:
    config.write_text(CONFIG.replace(before, after))
    assert any(line.endswith(f"; did you mean {meant}?") for line in basis("check", config).errors)


def test_no_message_about_a_config_shows_python(basis: Basis, config: Path) -> None:
    numbers = ("venue_timeout: -1.5", "max_retries_per_venue: 1e9", "interval: null", "close_at_end: 0.5", "gas_reserve_eth: -0.5")
    config.write_text(CONFIG + "\n".join(numbers) + "\n")
    done = basis("check", config)
    assert len(done.errors) == len(numbers)
    assert [word for word in ("Decimal(", "None", "True", "False") if word in done.err] == []


def test_a_strategy_that_asks_its_snapshot_for_what_it_does_not_have_is_answered_with_what_there_is(
    basis: Basis, config: Path, sample: Path
) -> None:
    (config.parent / "mine.py").write_text("class Mine:\n    def decide(self, snapshot, *of):\n        return snapshot.prices\n")
    config.write_text(CONFIG.replace("eth_basis", "custom").replace("{spot_venue: bybit, perp_venue: bybit}", "{file: mine.py}"))
    line = basis("backtest", config, "--data", sample).errors[0]
    assert line.startswith("STR-002: mine.py, line 3: AttributeError: a strategy's snapshot has no prices; it has at, dex_rate, "), line
    assert "SeriesSnapshot" not in line


def test_an_amount_that_is_a_word_is_answered_with_what_a_number_is(basis: Basis, config: Path, sample: Path) -> None:
    block = {"instruction_type": "cex_trade", "venue": "bybit", "trade_type": "spot", "side": "buy", "symbol": "ETHUSDT", "amount": "all"}
    (config.parent / "blocks.jsonl").write_text(json.dumps(block) + "\n")
    [line] = basis("execute", "blocks.jsonl", "--config", config, "--data", sample).errors
    assert line.endswith("cex_trade: amount must be a number such as 1.5, in at most 96 characters, got 'all'"), line


@pytest.mark.parametrize(("content", "why"), [(b"a: [1", "not YAML"), (b"\xff\xfe", "run.yaml"), (b"", "run.yaml")])
def test_what_is_no_config_is_refused(content: bytes, why: str, basis: Basis, config: Path) -> None:
    config.write_bytes(content)
    done = basis("backtest", config)
    assert done.status == 2
    assert why in done.err or "missing" in done.err
    assert done.errors


def test_a_config_that_is_not_there_is_named(basis: Basis) -> None:
    done = basis("backtest", "none.yaml")
    assert (done.status, done.errors) == (2, ["CFG-001: none.yaml: not found; allowed: a YAML file that can be read"])


# Data.


def test_without_data_it_says_how_to_give_them(basis: Basis, config: Path) -> None:
    done = basis("backtest", config)
    message = "DAT-006: no data: give a folder or a database with --data, or data.directory in the config"
    assert (done.status, done.errors) == (2, [message])


@pytest.mark.parametrize("place", ["nowhere", "nowhere.duckdb", "run.yaml", "."])
def test_data_that_are_not_there_or_no_data_are_refused(place: str, basis: Basis, config: Path) -> None:
    done = basis("backtest", config, "--data", place)
    [line] = done.errors
    assert (done.status, line.startswith("DAT-006: ")) == (2, True)


ROWS_OF_A_SERIES = "it holds rows of a series; bring it into a folder with `basis data import FILE FOLDER`, and give the folder"


@pytest.mark.parametrize("name", ["x.csv", "x.parquet", "x.zip", "x.csv.gz"])
def test_a_file_of_rows_given_as_the_data_is_answered_with_what_it_is_and_what_to_do(name: str, basis: Basis, config: Path) -> None:
    Path(name).write_text("timestamp,close\n")
    for command in (("backtest", config, "--data", name), ("check", config, "--data", name), ("data", "validate", name)):
        done = basis(*command)
        [line] = done.errors
        assert (done.status, line.startswith("DAT-006: "), line.endswith(f"; {ROWS_OF_A_SERIES}")) == (2, True, True), line


def test_every_series_that_is_missing_is_named_with_what_there_is(basis: Basis, config: Path, sample: Path) -> None:
    text = CONFIG.replace("perp_venue: bybit", "perp_venue: okx").replace("cex: [bybit]", "cex: [bybit, okx]")
    config.write_text(text)
    for command in ("backtest", "check"):
        done = basis(command, config, "--data", sample)
        assert done.status == 2
        assert done.errors == [
            "DAT-001: no perp of okx for ETHUSDT; the data have perp of binance, bybit; set the venue to binance or bybit",
            "no funding of okx for ETHUSDT; the data have funding of binance, bybit; set the venue to binance or bybit",
        ]
    assert not Path("results").exists()


def test_data_that_begin_too_late_or_end_too_early_are_reported_before_the_run(basis: Basis, config: Path, sample: Path) -> None:
    config.write_text(CONFIG.replace("start: 2024-06-01", "start: 2024-05-30"))
    done = basis("check", config, "--data", sample)
    assert done.errors[0] == (
        "DAT-001: spot of bybit for ETHUSDT begins at 2024-05-31T01:00:00Z, the run at 2024-05-30T00:00:00Z: "
        "start later or bring earlier data"
    )
    config.write_text(CONFIG.replace("end: 2024-06-04", "end: 2025-06-04"))
    done = basis("check", config, "--data", sample)
    assert done.errors[0].endswith("the run at 2025-06-04T00:00:00Z: end earlier or bring later data")
    assert len(done.errors) == 3


SPOILT = {
    "text in a number": (SPOT, 30, lambda row: row.replace(",", ",about ", 1), "'about "),
    "a duplicate": (SPOT, 30, lambda row: row * 2, "line 31"),
    "a row out of order": (SPOT, 30, lambda row: f"2024-05-31T00:00:00Z,{row.split(',', 1)[1]}", "line 30"),
    "in local time": (FUNDING, 4, lambda row: row.replace("Z,", "+02:00,"), "UTC"),
    "no time zone": (FUNDING, 4, lambda row: row.replace("Z,", ","), "no time zone"),
    "a column too few": (SPOT, 30, lambda row: row.rsplit(",", 1)[0] + "\n", "5 columns"),
    "a price of zero": (SPOT, 30, lambda row: f"{row.split(',')[0]},0,0,0,0,0\n", "'0'"),
    "a close of ten times the price": (SPOT, 30, lambda row: re.sub(r",([^,]+),([^,]+)$", r",1\1,\2", row), "is above high"),
    "not a number at all": (SPOT, 30, lambda row: f"{row.split(',')[0]},nan,1,1,1,1\n", "'nan'"),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_row_is_named_by_file_and_line(how: str, basis: Basis, config: Path, broken: Path) -> None:
    name, line, spoil, named = SPOILT[how]
    rows = (broken / name).read_text().splitlines(keepends=True)
    rows[line - 1] = spoil(rows[line - 1])
    (broken / name).write_text("".join(rows))
    for command in ("backtest", "check"):
        done = basis(command, config, "--data", broken)
        [message] = done.errors
        assert (done.status, message.startswith("DAT-003: "), name in message, named in message) == (2, True, True, True), message


def test_a_file_cut_in_the_middle_of_a_line_is_refused(basis: Basis, config: Path, broken: Path) -> None:
    content = (broken / SPOT).read_bytes()
    cut = content.index(b"2024-06-03T12:00:00Z") + 30
    (broken / SPOT).write_bytes(content[:cut])
    [message] = basis("backtest", config, "--data", broken).errors
    assert message.startswith("DAT-003: ") and "does not end in a newline, so it may have been cut" in message


@pytest.mark.parametrize("content", ["", "timestamp,open,high,low,close,volume\n", "time,price\n2024-06-01,1\n"])
def test_an_empty_file_or_one_with_another_header_is_refused(content: str, basis: Basis, config: Path, broken: Path) -> None:
    (broken / SPOT).write_text(content)
    done = basis("backtest", config, "--data", broken)
    [message] = done.errors
    assert done.status == 2
    assert message.startswith(("DAT-003: ", "DAT-001: ")) and "ETHUSDT" in message


def test_all_that_is_wrong_with_the_data_is_shown_at_once(basis: Basis, config: Path, broken: Path) -> None:
    (broken / FUNDING).unlink()
    (broken / SPOT).write_text("")
    (broken / "ohlcv/bybit/perp/ETHUSDT_1h.csv").write_text("junk\n")
    done = basis("check", config, "--data", broken)
    assert [("spot" in line, "perp" in line, "funding" in line) for line in done.errors] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ]


def test_a_gap_longer_than_may_be_is_an_error_that_names_series_and_time_and_keeps_what_was_written(
    basis: Basis, config: Path, broken: Path
) -> None:
    rows = (broken / SPOT).read_text().splitlines(keepends=True)
    kept = [row for row in rows if not "2024-06-02T00:00:00Z" <= row[:20] < "2024-06-03T20:00:00Z" or row.startswith("t")]
    (broken / SPOT).write_text("".join(kept))
    done = basis("backtest", config, "--data", broken)
    message, where = done.errors
    assert (done.status, done.out) == (2, "")
    assert message.startswith("DAT-002: ohlcv/bybit/spot/ETHUSDT_1h: the last row visible at 2024-06-03T13:00:00Z is the one stamped ")
    assert "2024-06-01T23:00:00Z" in message
    [folder] = (config.parent / "results").iterdir()
    assert where == f"what was recorded up to then is in results/{folder.name}"
    assert sorted(path.name for path in folder.iterdir()) == UNFINISHED
    assert (folder / "equity.csv").read_text().splitlines()[-1].startswith("2024-06-03T12:00:00Z,")


def test_a_funding_payment_without_a_row_is_an_error_unless_it_is_to_count_as_zero(basis: Basis, config: Path, broken: Path) -> None:
    rows = (broken / FUNDING).read_text().splitlines(keepends=True)
    (broken / FUNDING).write_text("".join(row for row in rows if not row.startswith("2024-06-02T08")))
    done = basis("backtest", config, "--data", broken)
    assert done.errors[:-1] == [
        "DAT-005: funding/bybit/ETHUSDT has no row at 2024-06-02T08:00:00Z, when a payment is due on the position held; "
        "fill the gap, or set data.missing_funding: zero"
    ]
    config.write_text(CONFIG + "data: {missing_funding: zero}\n")
    assert basis("backtest", config, "--data", broken).status == 0


# Places to write to.


@pytest.mark.parametrize("option", ["--results", "--logs"])
@pytest.mark.parametrize("place", ["run.yaml", "run.yaml/deeper", "/dev/full/results"])
def test_a_folder_that_cannot_be_written_is_named_with_the_way_out(
    option: str, place: str, basis: Basis, config: Path, sample: Path
) -> None:
    done = basis("backtest", config, "--data", sample, option, place)
    [message] = done.errors
    assert (done.status, done.out) == (2, "")
    assert message.startswith("RES-001: " if option == "--results" else "LOG-001: ")
    assert place in message and message.endswith(f"choose another folder with {option}")


def test_a_results_folder_that_can_no_longer_be_written_at_the_end_is_named(basis: Basis, config: Path, sample: Path) -> None:
    assert basis("backtest", config, "--data", sample, "--quiet").status == 0
    [folder] = (config.parent / "results").iterdir()
    (folder / "equity.csv").unlink()
    (folder / "equity.csv").mkdir()
    done = basis("backtest", config, "--data", sample)
    assert (done.status, done.errors[0].startswith(f"RES-001: results/{folder.name}/equity.csv cannot be written: ")) == (2, True)


# Words.


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["backtest"], "Missing argument 'CONFIG'. See basis --help"),
        (["backtest", "run.yaml", "--dta", "x"], "No such option: --dta"),
        (["frobnicate"], "No such command 'frobnicate'"),
        (["data", "sample", "x", "--seed", "seven"], "Invalid value for '--seed'"),
        (["check"], "check: give a CONFIG, or --schema"),
        (["errors", "XYZ-9"], "errors: no error code 'XYZ-9'; there are EIM-001, "),
        (["report", "."], "RES-001: . holds no summary.json; give the folder of a finished run"),
        (["events", "."], "LOG-004: . holds no events; give the folder of a run, or a folder of logs"),
        (
            ["events", ".", "--type", "settlemnt"],
            "LOG-004: --type: there is no type of event 'settlemnt'; there are component_initialization, ",
        ),
        (["data", "validate", "nowhere"], "DAT-006: the data folder nowhere does not exist"),
        (["data", "import", "nowhere", "x.duckdb"], "DAT-006: nowhere does not exist; give a file or a folder of files"),
        (["data", "sample", "run.yaml"], "DAT-006: the sample cannot be written to run.yaml: "),
    ],
)
def test_words_that_make_no_sense_are_refused_in_one_line(words: list[str], message: str, basis: Basis, config: Path) -> None:
    done = basis(*words)
    [line] = done.errors
    assert (done.status, line.startswith(message)) == (2, True), line


def test_a_database_that_cannot_be_written_is_named(basis: Basis, sample: Path, config: Path) -> None:
    done = basis("data", "import", sample, "run.yaml/x.duckdb")
    assert (done.status, done.errors[0].startswith("DAT-006: run.yaml/x.duckdb cannot be written: ")) == (2, True)


@pytest.mark.parametrize(("name", "value"), [("BASIS_DATA_MODE", "carrier pigeon"), ("BASIS_EXECUTION_MODE", "paper")])
def test_an_environment_variable_with_another_value_is_refused(
    name: str, value: str, basis: Basis, config: Path, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    done = basis("backtest", config, "--data", sample)
    [line] = done.errors
    assert (done.status, line.startswith("CFG-002: "), name in line, value in line) == (2, True, True, True), line
