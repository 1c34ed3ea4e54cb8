"""`basis live --paper` over live prices, as processes that a user ends, kills and starts again."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ..public_process import PublicProcess
from .conftest import Basis

LIVE = """\
strategy_mode: eth_basis
share_class: usdt_stable
initial_capital: 100000
interval: 1s
strategy: {spot_venue: bybit, perp_venue: bybit}
venues: {cex: {bybit: {endpoint: URL}}}
limits: {max_notional_per_instruction: 200000, max_notional_per_day: 2000000, max_slippage_bps: 50, max_unhedged_notional: 5000}
"""


@pytest.fixture(scope="module")
def exchanges() -> Iterator[PublicProcess]:
    with PublicProcess() as process:
        yield process


@pytest.fixture
def folder(tmp_path: Path, exchanges: PublicProcess) -> Path:
    (tmp_path / "run.yaml").write_text(LIVE.replace("URL", exchanges.url))
    return tmp_path


def steps_in(folder: Path) -> int:
    """How many steps the record has."""
    path = folder / "state" / "record.sqlite"
    if not path.exists():
        return 0
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as file:
        return int(file.execute("SELECT count(*) FROM step").fetchone()[0])


def run_until(folder: Path, is_reached: Callable[[], bool], number: int) -> tuple[int, str, str]:
    """Status, output and errors of a run that gets a signal at some point."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    code = "from basis_strategy_v1.cli import main; main()"
    words = [sys.executable, "-c", code, "live", "run.yaml", "--paper"]
    run = subprocess.Popen(words, cwd=folder, env=plain, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        while not is_reached() and run.poll() is None:
            os.sched_yield()
        run.send_signal(number)
        out, err = run.communicate(timeout=60)
    finally:
        run.kill()
    return run.returncode, out, err


def equity(folder: Path) -> list[str]:
    (path,) = folder.glob("results/*/equity.csv")
    return path.read_text().splitlines()


def test_sigterm_ends_it_and_a_kill_loses_nothing(folder: Path) -> None:
    status, out, err = run_until(folder, lambda: steps_in(folder) >= 2, signal.SIGTERM)
    assert (status, err) == (143, "basis: interrupted\n")
    assert out == "trading on paper over live prices, state in state; SIGTERM ends it after the step in hand\n"
    first = equity(folder)
    assert len(first) - 1 == steps_in(folder) >= 2

    run_until(folder, lambda: steps_in(folder) >= len(first) + 1, signal.SIGKILL)
    killed_at = steps_in(folder)
    status, _, err = run_until(folder, lambda: steps_in(folder) > killed_at, signal.SIGTERM)
    assert (status, err) == (143, "basis: interrupted\n")
    then = equity(folder)
    assert then[: len(first)] == first and len(then) - 1 == steps_in(folder) > killed_at
    with closing(sqlite3.connect(folder / "state" / "paper.sqlite")) as ledger:
        assert ledger.execute("SELECT count(*) FROM executed").fetchone() == (2,)  # both legs, once
    (summary,) = folder.glob("results/*/summary.json")
    assert json.loads(summary.read_text())["instructions_routed"] == 2


def test_an_exchange_that_does_not_answer_at_the_start_ends_the_command_with_a_line(
    folder: Path, exchanges: PublicProcess, basis: Basis
) -> None:
    exchanges.fail("500")
    try:
        done = basis("live", folder / "run.yaml", "--paper")
    finally:
        exchanges.fail(None)
    assert (done.status, len(done.errors)) == (1, 1)
    assert done.errors[0].startswith("CEX-002: bybit cannot be asked for its symbols: ExchangeNotAvailable: ")


def test_a_symbol_that_the_exchange_does_not_list_is_wrong_input(folder: Path, basis: Basis) -> None:
    path = folder / "run.yaml"
    path.write_text(path.read_text().replace("eth_basis", "btc_basis"))
    done = basis("live", path, "--paper")
    assert (done.status, done.errors) == (2, ["DAT-001: bybit lists no spot BTCUSDT; correct the symbol, or choose another exchange"])
