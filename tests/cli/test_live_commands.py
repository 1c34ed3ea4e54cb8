"""`basis live --paper` and the commands around it, as a user and a supervisor see them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from basis_strategy_v1.live import process

from .conftest import CONFIG, Basis

LIMITS = "{max_notional_per_instruction: 200000, max_notional_per_day: 2000000, max_slippage_bps: 50, max_unhedged_notional: 5000}"
LIVE = f"{CONFIG}limits: {LIMITS}\n"
LENDING = f"""\
strategy_mode: pure_lending
share_class: usdt_stable
initial_capital: 100000
strategy: {{protocol: aave, token: USDT}}
venues: {{onchain: {{aave: {{}}, wallet: {{gas_price_gwei: market}}}}}}
limits: {LIMITS}
"""


@pytest.fixture(autouse=True)
def core_dumps_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process forbids itself would hold for all tests that follow."""
    monkeypatch.setattr(process, "forbid_core_dumps", lambda: None)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(LIVE)
    return path


def replay(config: Path, sample: Path) -> tuple[object, ...]:
    return (config, "--paper", "--data", sample, "--speed", "max", "--no-report")


def test_a_replay_prints_what_a_backtest_prints(basis: Basis, config: Path, sample: Path) -> None:
    backtest = basis("backtest", config, "--data", sample, "--no-report", "--results", "b", "--logs", "bl")
    paper = basis("live", *replay(config, sample))
    assert (paper.status, paper.err) == (0, "")
    printed = backtest.out.splitlines()[:-1]
    assert [line.split() for line in paper.out.splitlines()[: len(printed)]] == [line.split() for line in printed]
    compared = [line.split() for line in paper.out.splitlines()[len(printed) :]]
    assert compared[1] == ["Orders", "moved,", "by", "venue", "and", "token", "expected", "/", "executed", "/", "difference"]
    assert [(row[:2], row[-1]) for row in compared[2:-1]] == [(["bybit", token], "+0") for token in ("ETH", "USDT", "ETHUSDT-PERP")]


def test_a_backtest_runs_where_a_live_run_was(basis: Basis, config: Path, sample: Path) -> None:
    assert basis("live", *replay(config, sample)).status == 0
    assert basis("backtest", config, "--data", sample, "--no-report").status == 0


def test_each_of_a_backtest_and_a_replay_says_where_the_other_one_went(basis: Basis, config: Path, sample: Path) -> None:
    same = "an earlier run of this config came to the same equity at every step; its files are kept in results/{}.earlier-{}"
    assert basis("backtest", config, "--data", sample, "--no-report").status == 0
    [run] = (config.parent / "results").iterdir()
    live = basis("live", *replay(config, sample)).out.splitlines()
    again = basis("backtest", config, "--data", sample, "--no-report").out.splitlines()
    assert [live[-2], again[-2]] == [same.format(run.name, 1), same.format(run.name, 2)]
    assert basis("backtest", config, "--data", sample, "--no-report").out.count("earlier run") == 0
    summary = run / "summary.json"
    summary.write_text(summary.read_text().replace("{", '{"of": "another version",', 1))
    (run / "equity.csv").write_text("timestamp,equity\n")
    other = basis("backtest", config, "--data", sample, "--no-report").out.splitlines()[-2]
    why = "other data, another version, or one of the two was live"
    assert other == f"an earlier run of this config came to other results ({why}); they are kept in results/{run.name}.earlier-3"


def test_status_shows_the_positions_and_what_is_open(basis: Basis, config: Path, sample: Path) -> None:
    basis("live", *replay(config, sample), "--quiet")
    found = json.loads(basis("status", "--json").out)
    assert (found["halted"], found["open"], found["plan_in_hand"]) == (False, [], None)
    assert set(found["positions"]) == {"bybit"} and float(found["positions"]["bybit"]["ETHUSDT-PERP"]) < 0
    lines = basis("status").out.splitlines()
    assert (lines[0], found["process"]) == (f"run {found['run']}: no process runs on it, not halted", None)
    assert f"bybit: ETH {found['positions']['bybit']['ETH']}" in lines


def test_a_halt_lets_nothing_new_be_started_until_it_is_ended(basis: Basis, config: Path, sample: Path) -> None:
    config.write_text(LIVE.replace("2024-06-04", "2024-06-01T01:00:00Z"))
    basis("live", *replay(config, sample), "--quiet")
    held = json.loads(basis("status", "--json").out)["positions"]
    assert basis("halt").out.startswith("halted: nothing new is started from the next step on")
    config.write_text(LIVE)
    assert basis("live", *replay(config, sample), "--quiet").status == 0
    found = json.loads(basis("status", "--json").out)
    assert found["halted"] and found["positions"]["bybit"]["ETH"] == held["bybit"]["ETH"]
    lines = [line for path in Path("results").glob("*/events.csv") for line in path.read_text().splitlines() if "halted" in line]
    assert lines == ['2024-06-01T02:00:00Z,EventDrivenStrategyEngine,1,state_update,"{""halted"":true}"']
    assert basis("resume").out == "resumed: the next step decides again\n"
    assert basis("resume").out == "it was not halted\n"


def test_what_cannot_be_left_before_the_data_end_is_named(basis: Basis, config: Path, sample: Path) -> None:
    basis("live", *replay(config, sample), "--quiet")
    done = basis("unwind", config, "--paper", "--data", sample, "--speed", "max")
    assert (done.status, done.errors[0].startswith("ENG-004: not everything was left before the data ended; halted. Held: bybit: ")) == (
        1,
        True,
    )
    way_out = (
        "; to leave it, give data that go on, set a later end in the config, and run unwind again: the data have no time left for it; "
        "where there are none, replay into a new state folder with close_at_end: true; `basis resume` ends the halt"
    )
    assert done.errors[0].endswith(way_out)


def test_unwind_leaves_everything_and_halts(basis: Basis, config: Path, sample: Path) -> None:
    config.write_text(LIVE.replace("2024-06-04", "2024-06-03"))
    basis("live", *replay(config, sample), "--quiet")
    config.write_text(LIVE)
    done = basis("unwind", config, "--paper", "--data", sample, "--speed", "max")
    assert (done.status, done.err, done.out.splitlines()[:1]) == (0, "", ["left everything that the strategy holds, and halted"])
    found = json.loads(basis("status", "--json").out)
    assert found["halted"] and "ETHUSDT-PERP" not in found["positions"]["bybit"]
    assert float(found["positions"]["bybit"].get("ETH", 0)) < 0.001


@pytest.mark.parametrize("command", ["live", "unwind"])
def test_a_config_without_a_venue_at_which_something_is_held_is_refused(
    command: str, basis: Basis, config: Path, sample: Path, tmp_path: Path
) -> None:
    sample = shutil.copytree(sample, tmp_path / "sample")
    shutil.copytree(sample / "ohlcv" / "bybit" / "spot", sample / "ohlcv" / "binance" / "spot")
    config.write_text(LIVE.replace("2024-06-04", "2024-06-03"))
    basis("live", *replay(config, sample), "--quiet")
    before = json.loads(basis("status", "--json").out)
    config.write_text(LIVE.replace("bybit", "binance"))
    done = basis(command, config, "--paper", "--data", sample, "--speed", "max")
    held = ", ".join(f"bybit {amount} {token}" for token, amount in before["positions"]["bybit"].items())
    way_out = "use the config that names bybit, or another --state"
    assert (done.status, done.out) == (2, "")
    assert done.errors == [f"CFG-001: the account in state holds {held}, and this config has no bybit; {way_out}"]
    assert json.loads(basis("status", "--json").out) == before


def test_unwind_with_a_config_that_trades_elsewhere_does_not_say_that_all_was_left(
    basis: Basis, config: Path, sample: Path, tmp_path: Path
) -> None:
    sample = shutil.copytree(sample, tmp_path / "sample")
    shutil.copytree(sample / "ohlcv" / "bybit", sample / "ohlcv" / "binance", dirs_exist_ok=True)
    shutil.copytree(sample / "funding" / "bybit", sample / "funding" / "binance", dirs_exist_ok=True)
    config.write_text(LIVE.replace("2024-06-04", "2024-06-03"))
    basis("live", *replay(config, sample), "--quiet")
    held = json.loads(basis("status", "--json").out)["positions"]["bybit"]
    elsewhere = LIVE.replace("_venue: bybit", "_venue: binance").replace("[bybit]", "[bybit, binance]")
    config.write_text(elsewhere)
    done = basis("unwind", config, "--paper", "--data", sample, "--speed", "max")
    still = ", ".join(f"bybit: {token} {held[token]}" for token in ("ETH", "ETHUSDT-PERP"))
    assert (done.status, done.out) == (1, "")
    assert done.errors == [
        f"ENG-004: the strategy of this config leaves nothing more, and still held is {still}; halted; "
        "run unwind again with the config that trades there; `basis resume` ends the halt"
    ]


def test_a_run_whose_simulated_venues_lost_their_ledger_does_not_begin(basis: Basis, config: Path, sample: Path) -> None:
    config.write_text(LIVE.replace("2024-06-04", "2024-06-03"))
    basis("live", *replay(config, sample), "--quiet")
    for path in Path("state").glob("paper.sqlite*"):
        path.unlink()
    done = basis("live", *replay(config, sample))
    why = "the simulated venues' own ledger is gone, and the journal has executions at them"
    way_out = "restore it, or begin with a new --state folder"
    assert (done.status, done.errors) == (2, [f"JRN-003: state/paper.sqlite is missing: {why}; {way_out}"])
    assert not Path("state/paper.sqlite").exists()


def test_unwind_makes_no_journal_where_there_is_none(basis: Basis, config: Path, sample: Path) -> None:
    done = basis("unwind", config, "--paper", "--data", sample, "--speed", "max", "--state", "typo")
    assert (done.status, len(done.errors), done.errors[0].startswith("JRN-001: there is no journal ")) == (2, 1, True)
    assert not Path("typo").exists()


def test_a_plan_that_the_limits_refuse_is_named_with_its_limit(basis: Basis, config: Path, sample: Path) -> None:
    config.write_text(LIVE.replace("max_notional_per_day: 2000000", "max_notional_per_day: 1000"))
    done = basis("live", *replay(config, sample))
    skipped = [line.split() for line in done.out.splitlines() if line.startswith("Skipped")]
    assert skipped == [["Skipped,", "refused", "by", "limits.max_notional_per_day", "73", "steps"]]


def test_a_halted_run_says_so_and_at_how_many_steps(basis: Basis, config: Path, sample: Path) -> None:
    config.write_text(LIVE.replace("2024-06-04", "2024-06-01T01:00:00Z"))
    basis("live", *replay(config, sample), "--quiet")
    basis("halt")
    os.utime(Path("state/HALT"), (1_700_000_000, 1_700_000_000))
    config.write_text(LIVE)
    lines = basis("live", *replay(config, sample)).out.splitlines()
    assert [line for line in lines if line.startswith("halted")] == [
        "halted since 2023-11-14T22:13:20Z: nothing new is started; `basis resume --state state` ends it",
        "halted at 71 steps of this run, from 2024-06-01T02:00:00Z on: nothing was started there",
    ]
    newest = max(Path("results").glob("*/summary.json"), key=lambda path: path.stat().st_mtime)
    assert json.loads(newest.read_text())["halted"] == {"steps": 71, "from": "2024-06-01T02:00:00Z"}


def test_what_the_venues_hold_otherwise_is_said_at_the_end(basis: Basis, config: Path, sample: Path) -> None:
    config.write_text(LIVE.replace("2024-06-04", "2024-06-03"))
    basis("live", *replay(config, sample), "--quiet")
    held = json.loads(basis("status", "--json").out)["positions"]["bybit"]["ETH"]
    with closing(sqlite3.connect("state/paper.sqlite", isolation_level=None)) as ledger:
        ledger.execute("UPDATE world SET state = replace(state, ?, ?)", (held, "1" + held))
    config.write_text(LIVE)
    lines = [line for line in basis("live", *replay(config, sample)).out.splitlines() if line.startswith("BREAK")]
    assert lines == ["BREAK: bybit ETH, unexplained 100; see `basis status --state state`"]


def test_another_initial_capital_on_an_old_state_is_warned_of(basis: Basis, config: Path, sample: Path) -> None:
    config.write_text(LIVE.replace("2024-06-04", "2024-06-03"))
    assert "warning" not in basis("live", *replay(config, sample)).out
    config.write_text(LIVE.replace("initial_capital: 100000", "initial_capital: 50000"))
    lines = [line for line in basis("live", *replay(config, sample)).out.splitlines() if line.startswith("warning")]
    began = "warning: initial_capital was 100000 when this state folder began"
    assert lines == [f"{began}; equity counts from there, the config's is not read"]


def test_status_names_the_day_of_what_was_spent(basis: Basis, config: Path, sample: Path) -> None:
    basis("live", *replay(config, sample), "--quiet")
    day = json.loads(basis("status", "--json").out)["day"]
    assert f"spent today ({day}, UTC): 0 USD notional, 0 ETH gas" in basis("status").out.splitlines()


WRONG = {
    "no limits": ("live", "{bare}", "--paper", "--data", "{sample}", "--speed", "max"),
    "a speed without data": ("live", "{config}", "--paper", "--speed", "max"),
    "another speed": ("live", "{config}", "--paper", "--data", "{sample}", "--speed", "fast"),
    "data without paper": ("live", "{config}", "--data", "{sample}", "--speed", "max"),
    "neither paper nor keys": ("live", "{config}"),
    "data without a speed": ("live", "{config}", "--paper", "--data", "{sample}"),
    "a chain's series without data": ("live", "{chain}", "--paper"),
    "no journal": ("status", "--state", "nowhere"),
    "no journal to halt": ("halt", "--state", "nowhere"),
    "no journal to resume": ("resume", "--state", "nowhere"),
    "an unknown key": ("resolve", "mine", "--never"),
    "a key without a decision": ("resolve", "mine"),
    "a key with two decisions": ("resolve", "mine", "--never", "--happened", "0x1"),
    "a fee of nothing": ("resolve", "mine", "--never", "--fee", "unknown"),
    "a fee without a token": ("resolve", "mine", "--happened", "7", "--fee", "0.5"),
    "a fee that is paid to us": ("resolve", "mine", "--happened", "7", "--fee", "-0.5 USDT"),
    "a fee that is no number": ("resolve", "mine", "--happened", "7", "--fee", "some USDT"),
    "a fee that is not finite": ("resolve", "mine", "--happened", "7", "--fee", "NaN USDT"),
}
SAYS = {
    "no limits": "CFG-001: limits: missing; live (with --paper too) needs max_notional_per_instruction, max_notional_per_day, "
    "max_slippage_bps and max_unhedged_notional under limits",
    "a speed without data": "CFG-001: --speed max replays recorded data: name them with --data DIR",
    "another speed": "CFG-001: --speed must be max, got 'fast'",
    "data without paper": "CFG-001: --data without --paper is refused: recorded prices must never reach a real venue, and bybit has "
    "no endpoint on this machine; add --paper",
    "neither paper nor keys": "CFG-003: BASIS_DEV__BYBIT__API_KEY is not set; set it in the environment of this process",
    "data without a speed": "CFG-001: --data replays recorded data: add --speed max; without --data the run trades on the wall clock",
    "a chain's series without data": "DAT-001: no live feed of lending of aave for USDT, gas of ethereum for ethereum: "
    "only a chain gives them. Replay recorded data with --data DIR --speed max",
    "an unknown key": "JRN-005: no open instruction has the key 'mine'; open are none",
    "a key without a decision": "CFG-001: resolve 'mine': give either --happened REFERENCE or --never",
    "a key with two decisions": "CFG-001: resolve 'mine': give either --happened REFERENCE or --never",
    "a fee of nothing": "CFG-001: resolve 'mine': what never happened has no fee; leave --fee out",
    **{
        f"a fee {what}": f"CFG-001: --fee must be an amount and its token, such as '0.5 USDT', or unknown, got '{given}'"
        for what, given in (
            ("without a token", "0.5"), ("that is paid to us", "-0.5 USDT"), ("that is no number", "some USDT"),
            ("that is not finite", "NaN USDT"),
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_wrong_input_is_one_line_and_status_2(what: str, basis: Basis, config: Path, sample: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.yaml"
    bare.write_text(CONFIG)
    chain = tmp_path / "chain.yaml"
    chain.write_text(LENDING)
    if what == "an unknown key":
        basis("live", *replay(config, sample), "--quiet")
    done = basis(*(word.format(config=config, sample=sample, bare=bare, chain=chain) for word in WRONG[what]))
    assert (done.status, len(done.errors)) == (2, 1)
    assert done.errors[0] == SAYS[what] if what in SAYS else done.errors[0].startswith("JRN-001: ")


def test_a_second_process_on_the_same_state_is_refused(config: Path, sample: Path, basis: Basis) -> None:
    from basis_strategy_v1.live.journal import SqliteJournal

    with SqliteJournal(config.parent / "state"):
        done = basis("live", *replay(config, sample))
        lines, found = basis("status").out.splitlines(), json.loads(basis("status", "--json").out)
    assert (done.status, done.errors[0].split(":")[0]) == (2, "JRN-002")
    assert (lines[0], found["process"]) == (f"run {found['run']}: process {os.getpid()} runs on it, not halted", os.getpid())
    assert basis("status").out.splitlines()[0] == f"run {found['run']}: no process runs on it, not halted"


# Blocks that a test holds up: the strategy waits in its third step until a file is there.
HELD_UP = """
import os, time
from pathlib import Path


def decide(step, memory):
    if step.at.hour == 2 and not Path("go").exists():
        Path("half.way").touch()
        while not Path("go").exists():
            os.sched_yield()
    return [], memory
"""


def test_sigterm_ends_a_run_after_the_step_in_hand_and_it_goes_on_later(config: Path, sample: Path, basis: Basis) -> None:
    folder = config.parent
    (folder / "mine.py").write_text(HELD_UP)
    config.write_text(LIVE.replace("eth_basis", "custom").replace("{spot_venue: bybit, perp_venue: bybit}", "{file: mine.py}"))
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    code = "from basis_strategy_v1.cli import main; main()"
    words = [str(word) for word in replay(config, sample)]
    run = subprocess.Popen([sys.executable, "-c", code, "live", *words], cwd=folder, env=plain, stderr=subprocess.PIPE, text=True)
    try:
        while not (folder / "half.way").exists() and run.poll() is None:
            os.sched_yield()
        run.send_signal(signal.SIGTERM)
        (folder / "go").touch()
        _, err = run.communicate(timeout=60)
    finally:
        run.kill()
    assert (run.returncode, err.splitlines()[-1]) == (143, "basis: interrupted")
    assert basis("live", *replay(config, sample), "--quiet").status == 0
