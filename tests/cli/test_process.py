"""The command as a process: its status, Ctrl-C, a reader that has enough, a terminal."""

from __future__ import annotations

import csv
import os
import pty
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from .conftest import CONFIG

BASIS = [sys.executable, "-m", "basis_strategy_v1.cli"]
MINUTES = 60 * 24 * 60
START = datetime(2024, 1, 1, tzinfo=UTC)


def run(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*BASIS, *map(str, words)], cwd=cwd, capture_output=True, text=True, check=False)


def test_the_statuses_of_a_process_are_those_of_the_command(config: Path, sample: Path) -> None:
    done = run("backtest", config, "--data", sample, "--quiet", cwd=config.parent)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    wrong = run("backtest", "none.yaml", cwd=config.parent)
    assert (wrong.returncode, wrong.stdout, wrong.stderr.count("\n")) == (2, "", 1)


def test_a_strategy_that_fails_is_a_run_that_failed_and_names_its_line(config: Path, sample: Path) -> None:
    (config.parent / "mine.py").write_text("class Mine:\n    def decide(self, *of):\n        return 1 / 0\n")
    config.write_text(CONFIG.replace("eth_basis", "custom").replace("{spot_venue: bybit, perp_venue: bybit}", "{file: mine.py}"))
    done = run("backtest", config, "--data", sample, cwd=config.parent)
    told = "basis: STR-002: mine.py, line 3: ZeroDivisionError: division by zero (in decide at 2024-06-01T00:00:00Z)\n"
    [folder] = (config.parent / "results").iterdir()
    assert (done.returncode, done.stderr) == (1, f"{told}what was recorded up to then is in results/{folder.name}\n")


def test_a_strategy_that_leaves_the_program_is_a_run_that_failed_too(config: Path, sample: Path) -> None:
    (config.parent / "mine.py").write_text("import sys\nclass Mine:\n    def decide(self, *of):\n        sys.exit(0)\n")
    config.write_text(CONFIG.replace("eth_basis", "custom").replace("{spot_venue: bybit, perp_venue: bybit}", "{file: mine.py}"))
    done = run("backtest", config, "--data", sample, cwd=config.parent)
    told = "basis: STR-002: mine.py, line 4: SystemExit: 0 (in decide at 2024-06-01T00:00:00Z)"
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, told)


def test_ctrl_c_while_the_program_is_still_being_read_ends_it_quietly(tmp_path: Path) -> None:
    (tmp_path / "typer.py").write_text("raise KeyboardInterrupt\n")  # found before the real one
    done = run("venues", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.fixture(scope="module")
def minutes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two months of one-minute bars that go up and down, and a funding every eight hours."""
    folder = tmp_path_factory.mktemp("minutes")
    stamps = [(START + timedelta(minutes=minute - 1)).strftime("%Y-%m-%dT%H:%M:%SZ") for minute in range(MINUTES)]
    for kind, away in (("spot", 0), ("perp", 1)):
        prices = [3000 + (minute * 7919 % 1999) / 10 + away for minute in range(MINUTES)]
        rows = [f"{stamp},{price},{price},{price},{price},1\n" for stamp, price in zip(stamps, prices, strict=True)]
        write(folder / f"ohlcv/bybit/{kind}/ETHUSDT_1m.csv", "timestamp,open,high,low,close,volume\n", rows)
    funding = [f"{(START + timedelta(hours=8 * place)).strftime('%Y-%m-%dT%H:%M:%SZ')},0.0001\n" for place in range(MINUTES // 480)]
    write(folder / "funding/bybit/ETHUSDT.csv", "timestamp,funding_rate\n", funding)
    return folder


def write(path: Path, header: str, rows: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join([header, *rows]))


HELD_UP = """
from decimal import Decimal
from pathlib import Path

class Mine:
    ticks = 0

    def decide(self, snapshot, positions, parameters):
        self.ticks += 1
        if self.ticks == 5_000:
            Path("half.way").touch()
        if self.ticks % 24:
            return []
        side = "sell" if positions.amount("bybit", "ETH") else "buy"
        amount = positions.amount("bybit", "ETH") or Decimal(1)
        kind = {"instruction_type": "cex_trade", "venue": "bybit", "trade_type": "spot"}
        return [{**kind, "side": side, "symbol": "ETHUSDT", "amount": amount}]
"""


def interrupted(config: Path, data: Path) -> tuple[int, str, str]:
    """(status, output, errors) of a run that got Ctrl-C in its middle.

    The run is not measured: coverage holds a lock of its own while it looks at a new file, and an interruption there leaves it
    locked for ever (`lock_data` of coverage/collector.py; a traceback of the hanging process showed it).
    """
    command = [*BASIS, "backtest", str(config), "--data", str(data)]
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    process = subprocess.Popen(command, cwd=config.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=plain)
    deadline = time.monotonic() + 60
    while not (config.parent / "half.way").exists() and process.poll() is None and time.monotonic() < deadline:
        os.sched_yield()
    process.send_signal(signal.SIGINT)
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, out, err


def test_ctrl_c_in_the_middle_ends_with_130_and_leaves_what_was_written_readable(minutes: Path, config: Path) -> None:
    (config.parent / "mine.py").write_text(HELD_UP)
    dates = CONFIG.replace("2024-06-01", "2024-01-01").replace("2024-06-04", "2024-02-28") + "interval: 1m\n"
    config.write_text(dates.replace("eth_basis", "custom").replace("{spot_venue: bybit, perp_venue: bybit}", "{file: mine.py}"))
    status, out, err = interrupted(config, minutes)
    [folder] = (config.parent / "results").iterdir()
    assert (status, out) == (130, "")
    warning, ended = err.splitlines()
    assert warning.startswith("warning: mine.py: decide changes its attribute ticks, which does not survive a restart")
    assert ended == f"basis: interrupted; what was recorded up to then is in results/{folder.name}"
    assert sorted(path.name for path in folder.iterdir()) == ["config.yaml", "equity.csv", "events.csv", "positions.csv", "timing.json"]
    rows = read(folder / "equity.csv")
    assert 4_999 <= len(rows) < MINUTES - 2_880
    assert {len(row) for row in rows} == {13} and rows[0]["timestamp"] == "2024-01-01T00:00:00Z"
    events = read(folder / "events.csv")
    assert len(events) >= 4_999 // 24
    assert [int(row["sequence"]) for row in events] == list(range(1, len(events) + 1))
    assert {len(row) for row in read(folder / "positions.csv")} == {4}
    printed = run("events", folder, cwd=config.parent)
    assert (printed.returncode, len(printed.stdout.splitlines())) == (0, len(events))


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_reader_that_has_enough_is_no_failure(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*BASIS, "venues"], stdout=writer, stderr=subprocess.PIPE, cwd=tmp_path, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


def test_on_a_terminal_a_bar_shows_the_progress_and_the_time_left(minutes: Path, config: Path) -> None:
    config.write_text(CONFIG.replace("2024-06-01", "2024-01-01").replace("2024-06-04", "2024-01-20") + "interval: 1m\n")
    screen, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(
        [*BASIS, "backtest", str(config), "--data", str(minutes), "--no-report"],
        cwd=config.parent, stdout=subprocess.PIPE, stderr=terminal, env=environment,
    )  # fmt: skip
    os.close(terminal)
    shown = read_all(screen)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "backtest" in shown and "%" in shown and ":" in shown
    assert b"results: results/eth_basis-" in out and b"\x1b" not in out


def read_all(screen: int) -> str:
    """Everything that is drawn until the other side has gone."""
    found = b""
    try:
        while piece := os.read(screen, 65536):
            found += piece
    except OSError:  # Linux says so when the other side has gone
        pass
    finally:
        os.close(screen)
    return found.decode(errors="replace")
