"""What each command prints and leaves behind."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
import typer
from jsonschema import Draft202012Validator

from basis_strategy_v1 import __version__, cli
from basis_strategy_v1.core.error_codes.error_code_registry import REGISTRY
from basis_strategy_v1.core.error_codes.exceptions import ComponentError

from .conftest import CONFIG, Basis

BLOCKS_CONFIG = """\
strategy_mode: blocks
share_class: usdt_stable
initial_capital: 50000
start: 2024-06-02
end: 2024-06-04
strategy: {file: blocks.jsonl}
venues: {cex: {bybit: {withdrawal: {USDT: {fee: 5, minimum: 10, minutes: 100}}}, binance: {}}}
"""
BUY = {"instruction_type": "cex_trade", "venue": "bybit", "trade_type": "spot", "side": "buy", "symbol": "ETHUSDT", "amount": "1"}
SHORT = {**BUY, "trade_type": "perp", "side": "sell"}
MOVE = {"instruction_type": "wallet_transfer", "from_venue": "bybit", "to_venue": "binance", "token": "USDT", "amount": "1000"}


@pytest.fixture
def ran(basis: Basis, config: Path, sample: Path) -> Path:
    """The folder of a run."""
    done = basis("backtest", config, "--data", sample)
    assert (done.status, done.err) == (0, "")
    return config.parent / done.out.splitlines()[-1].removeprefix("results: ")


def commands() -> list[list[str]]:
    """Every command that there is, asked from the application itself."""
    found = [[command.name or command.callback.__name__] for command in cli.app.registered_commands]  # type: ignore[union-attr]
    for group in cli.app.registered_groups:
        assert group.typer_instance is not None
        found += [[group.name or "", command.name or command.callback.__name__] for command in group.typer_instance.registered_commands]
    return found


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_the_help_of_every_command_has_an_example_of_it(words: list[str], basis: Basis) -> None:
    done = basis(*words, "--help")
    assert (done.status, done.err) == (0, "")
    assert re.search(rf"Example: basis {' '.join(words)}\b", " ".join(done.out.split()))


def test_the_help_names_every_command(basis: Basis) -> None:
    helped = basis("--help").out
    assert [words for words in commands() if not re.search(rf"^  {words[0]} ", helped, re.MULTILINE)] == []


@pytest.mark.parametrize("words", [(), ("data",)])
def test_without_a_command_the_help_is_shown_and_no_error(words: tuple[str, ...], basis: Basis) -> None:
    done = basis(*words)
    assert (done.status, done.out, done.err) == (2, "", basis(*words, "--help").out)


# backtest


def test_backtest_prints_the_summary_to_the_cent_and_where_the_results_are(basis: Basis, config: Path, sample: Path) -> None:
    done = basis("backtest", config, "--data", sample)
    folder = config.parent / done.out.splitlines()[-1].removeprefix("results: ")
    summary = json.loads((folder / "summary.json").read_text())
    assert "GENERATED" in done.out
    for shown in (summary["run_id"], *(f"{float(summary['attribution'][source]):.2f}" for source in ("funding", "fees"))):
        assert shown in done.out.replace(",", "")
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.yaml", "equity.csv", "events.csv", "positions.csv", "report.html", "risk.csv", "summary.json", "timing.json", "trades.csv",
    ]  # fmt: skip
    timing = json.loads((folder / "timing.json").read_text())["seconds"]
    assert sorted(timing) == ["loop", "report", "total", "write"]
    assert timing["total"] >= timing["loop"] > 0


def test_backtest_is_silent_where_it_is_asked_to_be_and_leaves_the_page_out(basis: Basis, config: Path, sample: Path) -> None:
    done = basis("backtest", config, "--data", sample, "--quiet", "--no-report", "--results", "r", "--logs", "l")
    assert done == (0, "", "")
    [folder] = (config.parent / "r").iterdir()
    assert "report.html" not in {path.name for path in folder.iterdir()}
    assert (config.parent / "l" / "events" / "execution_interface_manager_events.jsonl").stat().st_size > 0


def test_the_config_may_name_the_data(basis: Basis, config: Path, sample: Path) -> None:
    config.write_text(CONFIG + f"data: {{directory: {sample}}}\n")
    assert basis("backtest", config, "--quiet").status == 0


def test_with_a_folder_and_a_database_in_the_config_the_environment_says_which(
    basis: Basis, config: Path, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert basis("data", "import", sample, "sample.duckdb").status == 0
    config.write_text(CONFIG + "data: {directory: nowhere, database: sample.duckdb}\n")
    assert "nowhere" in basis("backtest", config).errors[0]
    monkeypatch.setenv("BASIS_DATA_MODE", "db")
    assert basis("backtest", config, "--quiet").status == 0


def test_the_written_config_gives_the_same_run_again(basis: Basis, ran: Path, sample: Path) -> None:
    done = basis("backtest", ran / "config.yaml", "--data", sample, "--results", "again")
    assert done.status == 0
    again = ran.parents[1] / "again" / ran.name
    assert (again / "equity.csv").read_bytes() == (ran / "equity.csv").read_bytes()


@pytest.mark.parametrize("stop", [KeyboardInterrupt, typer.Abort])
def test_ctrl_c_is_reported_in_one_line(
    stop: type[BaseException], basis: Basis, config: Path, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*of: object, **more: object) -> None:
        raise stop

    monkeypatch.setattr("basis_strategy_v1.app.build", interrupted)
    done = basis("backtest", config, "--data", sample)
    assert done == (130, "", "basis: interrupted\n")


def test_a_critical_failure_asks_for_a_restart(basis: Basis, config: Path, sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*of: object, **more: object) -> None:
        raise ComponentError("CEX-003", "perhaps it was sent")

    monkeypatch.setattr("basis_strategy_v1.app.build", unknown)
    assert basis("backtest", config, "--data", sample) == (3, "", "basis: CEX-003: perhaps it was sent\n")


# report, events


def test_report_renders_the_same_bytes_again(basis: Basis, ran: Path) -> None:
    page = (ran / "report.html").read_bytes()
    (ran / "report.html").unlink()
    done = basis("report", ran)
    assert (done.status, done.out.splitlines()[-1]) == (0, f"report: {ran}/report.html")
    assert (ran / "report.html").read_bytes() == page


def test_events_prints_a_line_an_event_and_only_those_of_a_type(basis: Basis, ran: Path) -> None:
    every = basis("events", ran).out.splitlines()
    with (ran / "events.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert every == [f"{row['timestamp']} {row['component']} {row['event_type']} {row['data']}" for row in rows]
    settled = basis("events", ran, "--type", "settlement").out.splitlines()
    assert settled == [line for line in every if " settlement " in line]
    assert len(settled) == 9


def test_events_of_a_folder_of_logs_are_the_same(basis: Basis, ran: Path, config: Path) -> None:
    logged = basis("events", config.parent / "logs").out.splitlines()
    assert len(logged) == len(basis("events", ran).out.splitlines())
    assert all(" settlement " in line for line in basis("events", config.parent / "logs", "--type", "settlement").out.splitlines())
    done = basis("events", config.parent / "logs", "--csv", "all.csv")
    assert (done.status, done.out) == (0, "events: all.csv\n")
    assert Path("all.csv").read_bytes() == (ran / "events.csv").read_bytes()


def test_events_of_a_run_are_copied_to_a_csv_all_or_those_of_a_type(basis: Basis, ran: Path, config: Path) -> None:
    done = basis("events", ran, "--csv", "there/all.csv")
    assert (done.status, done.out) == (0, "events: there/all.csv\n")
    assert Path("there/all.csv").read_bytes() == (ran / "events.csv").read_bytes()
    for source in (ran, config.parent / "logs"):
        assert basis("events", source, "--type", "settlement", "--csv", "settled.csv").status == 0
        header, *rows = (ran / "events.csv").read_bytes().splitlines(keepends=True)
        assert Path("settled.csv").read_bytes() == header + b"".join(row for row in rows if b",settlement," in row)
    assert sorted(path.name for path in Path().iterdir() if "csv" in path.name) == ["settled.csv"]


def test_a_csv_of_events_is_not_written_where_there_are_none_or_it_cannot_be(basis: Basis, ran: Path, config: Path) -> None:
    logs = config.parent / "logs" / "events"
    for words, reported in (
        ((logs,), f"LOG-004: {logs} holds no events; give the folder of a run, or a folder of logs"),
        (("nowhere",), "RES-001: there is no finished run 'nowhere' in results; `basis runs --results results` lists the runs"),
        ((ran, "--type", "dance"), "LOG-004: --type: there is no type of event 'dance'; there are "),
    ):
        done = basis("events", *words, "--csv", "none.csv")
        assert (done.status, done.errors[0].startswith(reported), Path("none.csv").exists()) == (2, True, False)
    done = basis("events", ran, "--type", "settlement", "--csv", ran / "events.csv")
    assert (done.status, done.errors) == (2, [f"LOG-001: {ran}/events.csv is the record of the run itself; choose another path"])
    for source in (ran, config.parent / "logs"):
        done = basis("events", source, "--csv", "run.yaml/none.csv")
        assert (done.status, done.errors[0].startswith("LOG-001: cannot write the events to run.yaml/none.csv: ")) == (2, True)
    (ran / "events.csv").write_text("a,b\n1,2\n")
    done = basis("events", ran, "--csv", "none.csv")
    assert (done.status, done.errors[0].startswith(f"LOG-003: {ran}/events.csv cannot be read"), Path("none.csv").exists()) == (
        2,
        True,
        False,
    )
    assert not list(Path().glob("*.partial"))


@pytest.mark.parametrize("content", [b"a,b\n1,2\n", b"\xff\xfe\x00", b"timestamp,component\n1,2\n"])
def test_a_damaged_list_of_events_is_named(content: bytes, basis: Basis, ran: Path) -> None:
    (ran / "events.csv").write_bytes(content)
    done = basis("events", ran, "--type", "execution")
    assert (done.status, done.errors[0].startswith(f"LOG-003: {ran}/events.csv cannot be read as the events of a run: ")) == (2, True)


def test_an_event_of_any_length_is_printed(basis: Basis, ran: Path) -> None:
    row = ["2024-06-01T00:00:00Z", "X", "1", "execution", "x" * 300_000]
    with (ran / "events.csv").open("a", newline="") as file:
        csv.writer(file).writerow(row)
    assert basis("events", ran).out.splitlines()[-1].endswith("x" * 1000)


def test_backtest_prints_data_that_look_wrong_before_the_table_and_not_where_it_is_quiet(basis: Basis, config: Path, broken: Path) -> None:
    funding = broken / "funding/bybit/ETHUSDT.csv"
    stamps = [line.split(",")[0] for line in funding.read_text().splitlines()[1:]]
    funding.write_text("".join(["timestamp,funding_rate\n", *(f"{stamp},0.02\n" for stamp in stamps)]))
    done = basis("backtest", config, "--data", broken)
    beyond, usual = done.err.splitlines()
    row = "warning: funding/bybit/ETHUSDT, row of 2024-06-01T00:00:00Z"
    assert (done.status, beyond) == (
        0, f"{row}: column funding_rate: 0.02 is beyond 0.01; 9 more such rows, the last of 2024-06-04T00:00:00Z"
    )  # fmt: skip
    assert usual.startswith("warning: funding/bybit/ETHUSDT, ") and "is 0.02, 2190% a year" in usual
    assert basis("backtest", config, "--data", broken, "--quiet").err == ""


# check


def test_check_says_that_a_run_is_ready(basis: Basis, config: Path, sample: Path) -> None:
    done = basis("check", config, "--data", sample)
    assert done.out.splitlines()[1:] == ["data: generated, all series that the run needs are there", "ready"]
    assert re.fullmatch("config: eth_basis, hash [0-9a-f]{12}, 73 steps", done.out.splitlines()[0])
    assert basis("check", config).out.splitlines()[1] == "data: none named; give --data to check what the run needs"


def test_check_reads_the_file_of_the_strategy(basis: Basis, config: Path, sample: Path) -> None:
    (config.parent / "mine.py").write_text("class Mine:\n    pass\n")
    config.write_text(CONFIG.replace("eth_basis", "custom").replace("{spot_venue: bybit, perp_venue: bybit}", "{file: mine.py}"))
    reported = "STR-001: mine.py must have one class with a method decide, or a function decide; it has none; write one"
    assert basis("check", config, "--data", sample).errors == [reported]


def test_a_strategy_that_changes_its_attributes_is_warned_of_once_and_the_summary_keeps_it(
    basis: Basis, config: Path, sample: Path
) -> None:
    code = (
        "class Mine:\n    steps = 0\n    def decide(self, snapshot, positions, parameters):\n        self.steps += 1\n        return []\n"
    )
    (config.parent / "mine.py").write_text(code)
    config.write_text(CONFIG.replace("eth_basis", "custom").replace("{spot_venue: bybit, perp_venue: bybit}", "{file: mine.py}"))
    done = basis("backtest", config, "--data", sample)
    restart = "which does not survive a restart of a live run; return it as memory: decide(step, memory) -> (blocks, memory)."
    line = f"mine.py: decide changes its attribute steps, {restart}"
    assert (done.status, done.err) == (0, f"warning: {line}\n")
    [folder] = (config.parent / "results").iterdir()
    assert json.loads((folder / "summary.json").read_text())["assumptions"][-1] == line
    quiet = basis("backtest", config, "--data", sample, "--quiet")
    assert (quiet.status, quiet.out, quiet.err) == (0, "", "")


def test_check_runs_the_file_of_the_strategy_and_its_help_says_so(basis: Basis, config: Path, sample: Path) -> None:
    code = "import pathlib\npathlib.Path(__file__).with_name('it.ran').touch()\ndef decide(step, memory):\n    return [], memory\n"
    (config.parent / "mine.py").write_text(code)
    config.write_text(CONFIG.replace("eth_basis", "custom").replace("{spot_venue: bybit, perp_venue: bybit}", "{file: mine.py}"))
    assert basis("check", config, "--data", sample).status == 0
    assert (config.parent / "it.ran").exists()
    assert "check runs its file, as backtest does" in " ".join(basis("check", "--help").out.split())


def test_the_schema_is_a_json_schema_that_takes_the_shipped_configs(basis: Basis, repository: Path) -> None:
    import yaml

    schema = json.loads(basis("check", "--schema").out)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for path in sorted((repository / "config").glob("*.yaml")):
        loaded = yaml.load(path.read_text(), Loader=yaml.BaseLoader)
        assert [error.message for error in validator.iter_errors(typed(loaded))] == [], path.name
    assert list(validator.iter_errors({"strategy_mode": "luck"}))


def typed(value: Any) -> Any:
    """Texts of a YAML file as what they say, dates left as text."""
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [typed(item) for item in value]
    if value in ("true", "false", "null"):
        return {"true": True, "false": False, "null": None}[value]
    return float(value) if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value) else value


# venues, errors, version


def test_the_version_is_printed(basis: Basis) -> None:
    assert basis("--version") == (0, f"basis {__version__}\n", "")


def test_venues_lists_every_venue_with_its_fees_and_their_date(basis: Basis) -> None:
    lines = basis("venues").out.splitlines()
    for name in ("binance", "bybit", "okx", "hyperliquid"):
        assert [line for line in lines if line.startswith(f"{name} (cex, as of 20")]
    assert "bybit (cex, as of 2025-05-31): settles in USDT; spot taker 10 bps, perp taker 5.5 bps, slippage 1 bps" in lines
    assert [line for line in lines if line.startswith("aave (onchain): supply, withdraw, borrow, repay")]
    assert {"lido", "etherfi", "wallet", "uniswap", "curve"} <= {line.split(" ")[0] for line in lines}


def test_venues_are_described_in_words_and_units(basis: Basis) -> None:
    printed = basis("venues").out
    assert [python for python in ("None", "{", "Decimal", "_pips", "_bps", "_usd", "_units", "_days") if python in printed] == []
    assert "    spot trade, perp trade, transfer: backtest, paper, live\n" in printed
    assert "    spot trade, perp trade, transfer: backtest, paper; live: spot trade, perp trade\n" in printed
    assert "curve (dex): swap: backtest, paper over recorded data\n    fee 4 bps, slippage 1 bps, gas 180000 units\n" in printed
    assert "rebasing eETH, wrapped weETH, withdrawal 7 days, gas stake 110000, unstake 260000, " in printed


def test_errors_explains_one_code_or_all(basis: Basis) -> None:
    one = basis("errors", "dat-001").out
    entry = REGISTRY["DAT-001"]
    assert one == f"DAT-001  {entry.severity:<8} DataProvider: {entry.message}\n    {entry.resolution}\n"
    every = basis("errors").out
    assert one in every
    assert [line.split()[0] for line in every.splitlines()[::2]] == list(REGISTRY)


# execute


@pytest.fixture
def blocks(tmp_path: Path) -> Path:
    (tmp_path / "blocks.yaml").write_text(BLOCKS_CONFIG)
    rows = [
        {"timestamp": "2024-06-03T00:30:00Z", "block": SHORT},
        {"timestamp": "2024-06-02T00:00:00Z", "block": BUY},
        {"timestamp": "2024-06-03T00:00:00Z", "block": MOVE},
        {"timestamp": "2024-06-03T08:00:00Z", "block": {**BUY, "side": "sell", "amount": "0.5"}},
    ]
    path = tmp_path / "blocks.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_execute_prints_what_each_block_moved_and_what_fell_due_between_them(basis: Basis, blocks: Path, sample: Path) -> None:
    done = basis("execute", blocks, "--config", "blocks.yaml", "--data", sample)
    assert (done.status, done.err) == (0, "")
    rows = [json.loads(line) for line in done.out.splitlines()]
    assert [(row["timestamp"], row["kind"], row["venue"]) for row in rows] == [
        ("2024-06-02T00:00:00Z", "execution", "bybit"),
        ("2024-06-03T00:00:00Z", "execution", "bybit"),
        ("2024-06-03T00:30:00Z", "execution", "bybit"),
        ("2024-06-03T01:40:00Z", "arrival", "binance"),
        ("2024-06-03T08:00:00Z", "funding", "bybit"),
        ("2024-06-03T08:00:00Z", "execution", "bybit"),
    ]
    assert rows[1]["deltas"] == {"bybit": {"USDT": "-1000"}, "in_transit": {"USDT": "995"}}
    assert rows[1]["costs"] == [{"source": "transfers", "token": "USDT", "amount": "5"}]
    assert Path("logs/events/execution_interface_manager_events.jsonl").stat().st_size > 0


def test_execute_takes_bare_blocks_at_the_time_given_or_at_the_start(basis: Basis, blocks: Path, sample: Path) -> None:
    blocks.write_text(json.dumps(BUY) + "\n")
    for words, at in ([], "2024-06-02T00:00:00Z"), (["--at", "2024-06-03T05:00:00+02:00"], "2024-06-03T03:00:00Z"):
        done = basis("execute", blocks, "--config", "blocks.yaml", "--data", sample, *words)
        assert [json.loads(line)["timestamp"] for line in done.out.splitlines()] == [at]


def test_a_preflight_names_all_problems_of_all_blocks_and_sends_nothing(basis: Basis, blocks: Path, sample: Path) -> None:
    words = ("execute", blocks, "--config", "blocks.yaml", "--data", sample)
    assert basis(*words, "--preflight").out == "4 blocks, no problems; nothing was sent\n"
    wrong = [{**BUY, "amount": "100"}, BUY, {**BUY, "side": "short"}, {**MOVE, "to_venue": "okx"}, {**SHORT, "symbol": "DOGEUSDT"}]
    blocks.write_text("".join(json.dumps(row) + "\n" for row in wrong))
    done = basis(*words, "--preflight")
    assert (done.status, done.out) == (2, "")
    found = [line.removeprefix("EXM-001: ") for line in done.errors]
    assert [" ".join(line.split()[:6]) for line in found] == [
        f"line {number} at 2024-06-02T00:00:00Z: {why}"
        for number, why in ((1, "EIM-001: buy"), (3, "EIM-001: cex_trade:"), (4, "EIM-002: venue"), (5, "DAT-001: no"))
    ]
    assert '"execution"' not in Path("logs/events/execution_interface_manager_events.jsonl").read_text().replace('"execution_mode"', "")


def test_a_block_outside_the_time_of_the_config_is_refused_before_anything_is_sent(basis: Basis, blocks: Path, sample: Path) -> None:
    times = ("2024-06-04T00:00:01Z", "2024-06-03T00:00:00Z", "2024-06-01T23:59:59Z")
    blocks.write_text("\n".join(json.dumps({"timestamp": time, "block": BUY}) for time in times) + "\n")
    for words in ((), ("--preflight",)):
        done = basis("execute", blocks, "--config", "blocks.yaml", "--data", sample, *words)
        assert (done.status, done.out) == (2, "")
        assert done.errors == [
            f"STR-001: {blocks}, line 1: {times[0]} lies after the config's end, 2024-06-04T00:00:00Z: change end, or leave the line out",
            f"{blocks}, line 3: {times[2]} lies before the config's start, 2024-06-02T00:00:00Z: change start, or leave the line out",
        ]


def test_a_refused_block_is_named_by_its_line_in_the_file_whatever_the_order_of_time(basis: Basis, blocks: Path, sample: Path) -> None:
    rows = [("2024-06-03T00:00:00Z", {**BUY, "amount": "100"}), ("2024-06-02T00:00:00Z", BUY)]
    blocks.write_text("\n".join(json.dumps({"timestamp": time, "block": block}) for time, block in rows) + "\n")
    for words, reported in (((), "EIM-001: "), (("--preflight",), "EXM-001: ")):
        done = basis("execute", blocks, "--config", "blocks.yaml", "--data", sample, *words)
        assert done.errors[0].startswith(f"{reported}line 1 at 2024-06-03T00:00:00Z: ")


def test_a_repeated_id_is_marked_as_replayed(basis: Basis, blocks: Path, sample: Path) -> None:
    blocks.write_text(2 * (json.dumps({**BUY, "instruction_id": "once"}) + "\n"))
    done = basis("execute", blocks, "--config", "blocks.yaml", "--data", sample)
    first, second = (json.loads(line) for line in done.out.splitlines())
    assert "replayed" not in first
    assert second == {**first, "replayed": True}


def test_a_block_that_is_refused_is_named_and_those_before_it_stay_printed(basis: Basis, blocks: Path, sample: Path) -> None:
    blocks.write_text("".join(json.dumps(row) + "\n" for row in (BUY, {**BUY, "amount": "-1"}, BUY)))
    done = basis("execute", blocks, "--config", "blocks.yaml", "--data", sample)
    assert (done.status, len(done.out.splitlines())) == (2, 1)
    [line] = done.errors
    assert line.startswith("EIM-001: line 2 at 2024-06-02T00:00:00Z: ") and "-1" in line


@pytest.mark.parametrize(
    ("at", "reported"),
    [
        ("noon", "CFG-001: --at: 'noon' is no time; write one such as 2024-06-01T00:00:00Z"),
        (
            "2024-06-03",
            "CFG-001: --at: a timestamp needs a time zone, got the naive 2024-06-03T00:00:00; write 2024-06-03T00:00:00Z for UTC",
        ),
        (
            "2024-06-03T00:00:00",
            "CFG-001: --at: a timestamp needs a time zone, got the naive 2024-06-03T00:00:00; write 2024-06-03T00:00:00Z for UTC",
        ),
    ],
)
def test_a_time_that_is_none_or_has_no_zone_is_refused(at: str, reported: str, basis: Basis, blocks: Path, sample: Path) -> None:
    done = basis("execute", blocks, "--config", "blocks.yaml", "--data", sample, "--at", at)
    assert (done.status, done.errors) == (2, [reported])


def test_a_file_without_blocks_is_refused(basis: Basis, blocks: Path, sample: Path) -> None:
    blocks.write_text("\n\n")
    words = ("execute", blocks, "--config", "blocks.yaml", "--data", sample)
    assert basis(*words).errors == [f"STR-001: {blocks} holds no blocks"]
    blocks.write_text('{"timestamp": "2024-06-02T00:00:00", "block": {}}\n')
    assert basis(*words).errors[0].startswith(f"STR-001: {blocks}, line 1: timestamp: ")


# data


def test_data_sample_writes_the_same_bytes_for_the_same_seed(basis: Basis, sample: Path, tmp_path: Path) -> None:
    done = basis("data", "sample", "here")
    assert (done.status, done.out) == (0, "sample: here (generated from seed 7, not market data)\n")
    assert basis("data", "sample", "there", "--seed", "8").status == 0
    name = "funding/bybit/ETHUSDT.csv"
    here, there = ((tmp_path / folder / name).read_bytes() for folder in ("here", "there"))
    assert here == (sample / name).read_bytes() != there


def test_data_validate_lists_data_quality_issues_and_fails_where_a_file_cannot_be_used(basis: Basis, sample: Path, broken: Path) -> None:
    assert basis("data", "validate", sample) == (0, "0 findings\n", "")
    path = broken / "funding/bybit/ETHUSDT.csv"
    rows = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*rows[:5], *rows[8:]]))
    gap = basis("data", "validate", broken)
    assert (gap.status, gap.out.splitlines()[-1]) == (0, "1 finding")
    assert gap.out.startswith("funding/bybit/ETHUSDT.csv:6: gap: ")
    path.write_text("".join([*rows[:5], rows[4], *rows[5:]]))
    doubled = basis("data", "validate", broken)
    assert (doubled.status, doubled.out.splitlines()[0].startswith("funding/bybit/ETHUSDT.csv:6: duplicate: ")) == (1, True)


def test_data_validate_prints_a_line_for_each_file_and_kind_and_every_finding_as_json(basis: Basis, sample: Path, broken: Path) -> None:
    path = broken / "funding/bybit/ETHUSDT.csv"
    header, *rows = path.read_text().splitlines(keepends=True)
    stamps = [f"{1717200000000 + number},0.0001\n" for number in range(2000)]
    path.write_text("".join([header, *stamps, *rows[:5], *rows[6:10], *rows[11:]]))
    done = basis("data", "validate", broken)
    malformed, *gaps, last = done.out.splitlines()
    assert malformed == (
        "funding/bybit/ETHUSDT.csv:2: malformed: column timestamp: '1717200000000' is no ISO stamp in UTC; "
        "expected one like 2024-06-01T00:00:00Z; and 1,999 more such rows, the last in line 2001"
    )
    assert [line.split(": ")[:2] for line in gaps] == [[f"funding/bybit/ETHUSDT.csv:{line}", "gap"] for line in (2007, 2011)]
    assert (done.status, last) == (1, "2,002 findings")
    listed = json.loads(basis("data", "validate", broken, "--json").out)
    assert len(listed) == 2_002
    assert listed[-1] == {
        "file": "funding/bybit/ETHUSDT.csv", "line": 2011, "kind": "gap", "severity": "warning", "message": gaps[-1].split(": gap: ")[1]
    }  # fmt: skip


def test_data_import_writes_a_database_that_gives_the_same_run(basis: Basis, sample: Path, ran: Path, config: Path) -> None:
    done = basis("data", "import", sample, "sample.duckdb")
    *series, total = done.out.splitlines()
    assert (done.status, len(series), total) == (0, 19, "imported 43,067 rows of 19 series into sample.duckdb")
    assert series[-1] == "staking/lido/wstETH: 185 rows added, 185 in all (basis, 1 file)"
    assert basis("backtest", config, "--data", "sample.duckdb", "--results", "imported").status == 0
    for path in ran.iterdir():
        if path.name != "timing.json":
            assert (config.parent / "imported" / ran.name / path.name).read_bytes() == path.read_bytes(), path.name
