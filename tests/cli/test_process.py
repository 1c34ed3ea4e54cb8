"""The command as a process: its status, Ctrl-C, a reader that has enough, a terminal."""

from __future__ import annotations

import csv
import os
import pty
import resource
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from .conftest import CONFIG, UNFINISHED

BASIS = [sys.executable, "-m", "basis_strategy_v1.cli"]
UNMEASURED = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
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
    message = "basis: STR-002: mine.py, line 3: ZeroDivisionError: division by zero (in decide at 2024-06-01T00:00:00Z)\n"
    [folder] = (config.parent / "results").iterdir()
    assert (done.returncode, done.stderr) == (1, f"{message}what was recorded up to then is in results/{folder.name}\n")


def test_a_strategy_that_leaves_the_program_is_a_run_that_failed_too(config: Path, sample: Path) -> None:
    (config.parent / "mine.py").write_text("import sys\nclass Mine:\n    def decide(self, *of):\n        sys.exit(0)\n")
    config.write_text(CONFIG.replace("eth_basis", "custom").replace("{spot_venue: bybit, perp_venue: bybit}", "{file: mine.py}"))
    done = run("backtest", config, "--data", sample, cwd=config.parent)
    message = "basis: STR-002: mine.py, line 4: SystemExit: 0 (in decide at 2024-06-01T00:00:00Z)"
    assert (done.returncode, done.stderr.splitlines()[0]) == (1, message)


def test_a_strategy_that_changes_the_working_directory_moves_no_results(config: Path, sample: Path) -> None:
    code = "import os\nos.chdir('/')\ndef decide(step, memory):\n    os.chdir('/')\n    return [], memory\n"
    (config.parent / "mine.py").write_text(code)
    config.write_text(CONFIG.replace("eth_basis", "custom").replace("{spot_venue: bybit, perp_venue: bybit}", "{file: mine.py}"))
    done = run("backtest", config.name, "--data", sample, "--results", "mine", "--logs", "my logs", cwd=config.parent)
    [folder] = (config.parent / "mine").glob("custom-*")
    assert (done.returncode, done.stderr, done.stdout.splitlines()[-1]) == (0, "", f"results: mine/{folder.name}")
    assert {"summary.json", "report.html", "events.csv"} <= {path.name for path in folder.iterdir()}
    assert (config.parent / "my logs" / "events").is_dir()


@pytest.mark.parametrize("ends", ["comes to its end", "fails"])
def test_a_strategy_that_changes_the_working_directory_moves_no_file(ends: str, config: Path, sample: Path) -> None:
    """Its results, its log and the series that it asks for later are where they were when it began."""
    last = "1 / 0" if ends == "fails" else "return [BUY]"
    (config.parent / "mine.py").write_text(
        "import os\n"
        "BUY = {'instruction_type': 'cex_trade', 'venue': 'bybit', 'trade_type': 'spot', 'side': 'buy',\n"
        "       'symbol': 'ETHUSDT', 'amount': '1'}\n"
        "class Mine:\n"
        "    def decide(self, snapshot, *of):\n"
        "        os.chdir('/')\n"
        f"        if snapshot.at.day == 3 and snapshot.at.hour == 0:\n            {last}\n"
        "        return []\n"
    )
    config.write_text(CONFIG.replace("eth_basis", "custom").replace("{spot_venue: bybit, perp_venue: bybit}", "{file: mine.py}"))
    (config.parent / "data").symlink_to(sample)
    done = run("backtest", config.name, "--data", "data", cwd=config.parent)
    [folder] = (path for path in (config.parent / "results").iterdir() if path.is_dir())
    assert done.returncode == (1 if ends == "fails" else 0), done.stderr
    where = done.stderr if ends == "fails" else done.stdout
    assert where.splitlines()[-1].endswith(f" results/{folder.name}")
    assert (folder / "summary.json").exists() == (folder / "report.html").exists() == (ends != "fails")
    assert len((folder / "equity.csv").read_text().splitlines()) == (49 if ends == "fails" else 74)
    assert list((config.parent / "logs" / "events").iterdir()) != []


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
    steps = 0

    def decide(self, snapshot, positions, parameters):
        self.steps += 1
        if self.steps == 5_000:
            Path("half.way").touch()
        if self.steps % 24:
            return []
        side = "sell" if positions.amount("bybit", "ETH") else "buy"
        amount = positions.amount("bybit", "ETH") or Decimal(1)
        kind = {"instruction_type": "cex_trade", "venue": "bybit", "trade_type": "spot"}
        return [{**kind, "side": side, "symbol": "ETHUSDT", "amount": amount}]
"""


# A suite in the background ignores SIGINT, and a process begins with what its parent ignores.
HEARS_CTRL_C = [
    sys.executable,
    "-c",
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])",
]


def interrupted(config: Path, data: Path, number: signal.Signals) -> tuple[int, str, str]:
    """(status, output, errors) of a run that got a signal in its middle.

    The run is not measured: coverage holds a lock of its own while it looks at a new file, and an interruption there leaves it
    locked for ever (`lock_data` of coverage/collector.py; a traceback of the hanging process showed it).
    """
    command = [*BASIS, "backtest", str(config), "--data", str(data)]
    process = subprocess.Popen(
        [*HEARS_CTRL_C, *command], cwd=config.parent, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=UNMEASURED
    )
    wait_for(config.parent / "half.way", process)
    process.send_signal(number)
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, out, err


def wait_for(mark: Path, process: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not mark.exists() and process.poll() is None and time.monotonic() < deadline:
        os.sched_yield()


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_in_the_middle_ends_with_its_status_and_leaves_what_was_written_readable(
    number: signal.Signals, expected: int, minutes: Path, config: Path
) -> None:
    (config.parent / "mine.py").write_text(HELD_UP)
    dates = CONFIG.replace("2024-06-01", "2024-01-01").replace("2024-06-04", "2024-02-28") + "interval: 1m\n"
    config.write_text(dates.replace("eth_basis", "custom").replace("{spot_venue: bybit, perp_venue: bybit}", "{file: mine.py}"))
    status, out, err = interrupted(config, minutes, number)
    [folder] = (config.parent / "results").iterdir()
    assert (status, out) == (expected, "")
    warning, ended = err.splitlines()
    assert warning.startswith("warning: mine.py: decide changes its attribute steps, which does not survive a restart")
    assert ended == f"basis: interrupted; what was recorded up to then is in results/{folder.name}"
    assert sorted(path.name for path in folder.iterdir()) == UNFINISHED
    rows = read(folder / "equity.csv")
    assert 4_999 <= len(rows) < MINUTES - 2_880
    assert {len(row) for row in rows} == {14} and rows[0]["timestamp"] == "2024-01-01T00:00:00Z"
    events = read(folder / "events.csv")
    assert len(events) >= 4_999 // 24
    assert [int(row["sequence"]) for row in events] == list(range(1, len(events) + 1))
    assert {len(row) for row in read(folder / "positions.csv")} == {4}
    printed = run("events", folder, cwd=config.parent)
    assert (printed.returncode, len(printed.stdout.splitlines())) == (0, len(events))


def test_a_signal_that_is_ignored_stays_ignored(config: Path, sample: Path) -> None:
    """As under nohup: the terminal closes, and the run goes on."""
    (config.parent / "mine.py").write_text(
        "import os, signal\nclass Mine:\n    def decide(self, *of):\n        os.kill(os.getpid(), signal.SIGHUP)\n        return []\n"
    )
    config.write_text(CONFIG.replace("eth_basis", "custom").replace("{spot_venue: bybit, perp_venue: bybit}", "{file: mine.py}"))
    words = [*BASIS, "backtest", str(config), "--data", str(sample), "--quiet", "--no-report"]
    for ignored, status in (('trap "" HUP; ', 0), ("", 129)):
        done = subprocess.run(["sh", "-c", f'{ignored}exec "$@"', "sh", *words], cwd=config.parent, capture_output=True, check=False)
        assert done.returncode == status


def test_a_terminal_that_has_gone_does_not_keep_a_run_from_being_recorded(minutes: Path, config: Path) -> None:
    (config.parent / "mine.py").write_text(HELD_UP)
    dates = CONFIG.replace("2024-06-01", "2024-01-01").replace("2024-06-04", "2024-02-28") + "interval: 1m\n"
    config.write_text(dates.replace("eth_basis", "custom").replace("{spot_venue: bybit, perp_venue: bybit}", "{file: mine.py}"))
    screen, terminal = pty.openpty()
    process = subprocess.Popen(
        [*BASIS, "backtest", str(config), "--data", str(minutes)],
        cwd=config.parent, stdout=terminal, stderr=terminal, env={**UNMEASURED, "TERM": "xterm"},
    )  # fmt: skip
    os.close(terminal)
    os.read(screen, 1)
    os.close(screen)
    wait_for(config.parent / "half.way", process)
    process.send_signal(signal.SIGHUP)
    assert process.wait(60) == 129
    [folder] = (config.parent / "results").iterdir()
    assert len(read(folder / "equity.csv")) >= 4_999


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_reader_that_has_enough_is_no_failure(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([*BASIS, "venues"], stdout=writer, stderr=subprocess.PIPE, cwd=tmp_path, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize(
    "words", [["venues"], ["errors", "EIM-001"], ["--help"], ["venues", "--help"], ["check", "--schema"], ["--version"]]
)
def test_output_on_a_full_disk_is_one_line_and_a_failure(words: list[str], tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([*BASIS, *words], stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr) == (1, "basis: the output cannot be written: No space left on device\n")


def test_a_run_whose_summary_cannot_be_printed_has_its_results(config: Path, sample: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*BASIS, "backtest", str(config), "--data", str(sample), "--no-report"],
            stdout=full, stderr=subprocess.PIPE, text=True, cwd=config.parent, check=False,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "basis: the output cannot be written: No space left on device\n")
    [folder] = (config.parent / "results").iterdir()
    assert (folder / "summary.json").is_file()


@pytest.mark.parametrize(
    ("kibibytes", "code", "left"),
    [
        (2, "LOG-001", []),
        (8, "RES-001", []),
        (
            200,
            "RES-001",
            ["config.yaml", "equity.csv", "events.csv", "positions.csv", "risk.csv", "summary.json", "timing.json", "trades.csv"],
        ),
    ],
    ids=["the log", "the equity", "the page"],
)
def test_a_disk_that_fills_up_is_one_line_and_leaves_no_half_file(
    kibibytes: int, code: str, left: list[str], config: Path, sample: Path
) -> None:
    """Files of a size that the system refuses stand for the full disk: every write beyond it fails in the same place."""

    def few_bytes() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (kibibytes * 1024, kibibytes * 1024))

    config.write_text(CONFIG.replace("2024-06-04", "2024-07-04"))
    words = [*BASIS, "backtest", str(config), "--data", str(sample)]
    done = subprocess.run(words, cwd=config.parent, capture_output=True, text=True, env=UNMEASURED, preexec_fn=few_bytes, check=False)
    first, *others = done.stderr.splitlines()
    assert (done.returncode, done.stdout, first.startswith(f"basis: {code}: "), "File too large" in first) == (2, "", True, True), first
    assert len(others) <= 1 and all(line.startswith("what was recorded up to then is in ") for line in others)
    [folder] = (config.parent / "results").iterdir()
    files = sorted(path.name for path in folder.iterdir())
    assert files == left or code == "LOG-001"
    assert [name for name in files if name.startswith(".") or name.endswith(".partial")] == []


def test_errors_that_cannot_be_printed_leave_the_status(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([*BASIS, "backtest", "none.yaml"], stdout=subprocess.PIPE, stderr=full, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (2, b"")


@pytest.mark.parametrize("closed", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_run_whose_streams_are_closed_is_run_and_writes_nothing_of_its_output_into_its_files(
    closed: str, config: Path, sample: Path
) -> None:
    words = [*BASIS, "backtest", str(config), "--data", str(sample), "--no-report"]
    (config.parent / "mine.py").write_text(
        "import os\nclass Mine:\n    def decide(self, *of):\n        os.write(2, b'noise')\n        return []\n"
    )
    config.write_text(CONFIG.replace("eth_basis", "custom").replace("{spot_venue: bybit, perp_venue: bybit}", "{file: mine.py}"))
    done = subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", *words], cwd=config.parent, check=False)
    assert done.returncode == 0
    [folder] = (config.parent / "results").iterdir()
    written = [path for path in config.parent.rglob("*") if path.is_file() and path.name != "mine.py"]
    assert (folder / "summary.json") in written
    assert [path for path in written if b"noise" in path.read_bytes()] == []


def test_output_in_an_encoding_that_lacks_a_letter_is_escaped(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([*BASIS, "backtest", "é.yaml"], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
    assert (done.returncode, done.stderr) == (2, "basis: CFG-001: \\xe9.yaml: not found; allowed: a YAML file that can be read\n")


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
    assert process.returncode == 0, shown
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
