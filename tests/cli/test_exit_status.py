"""What a supervisor reads: the exit status."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from basis_strategy_v1 import ComponentError, app
from basis_strategy_v1.cli import main

from .conftest import CONFIG, Basis

BUY = {"instruction_type": "cex_trade", "venue": "bybit", "trade_type": "spot", "side": "buy", "symbol": "ETHUSDT", "amount": "1"}
TOO_MUCH = {**BUY, "amount": "1000"}
UNHEARD_OF = {**BUY, "symbol": "DOGEUSDT"}
SPOT, FUNDING = "ohlcv/bybit/spot/ETHUSDT_1h.csv", "funding/bybit/ETHUSDT.csv"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ComponentError("CEX-003", "the answer to order 7 was lost"), 3),  # CRITICAL: start me again, and look it up first
        (ComponentError("STR-002", "mine.py, line 3: ValueError: enough"), 1),
        (ComponentError("CFG-001", "end: 2024-05-01; allowed: a time after start"), 2),
    ],
)
def test_the_exit_status_says_what_to_do_next(
    error: ComponentError, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def build(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(app, "build", build)
    monkeypatch.setattr(sys, "argv", ["basis", "backtest", "config/eth_basis.yaml"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == status
    assert capsys.readouterr().err == f"basis: {error.error_code}: {error.message}\n"


# What a strategy asks for on its second day.


def custom(folder: Path, *blocks: object) -> Path:
    """A config whose strategy returns these blocks on the second day."""
    code = f"class Mine:\n    def decide(self, snapshot, *of):\n        return {list(blocks)} if snapshot.at.day == 2 else []\n"
    (folder / "mine.py").write_text(code)
    path = folder / "custom.yaml"
    path.write_text(CONFIG.replace("eth_basis", "custom").replace("{spot_venue: bybit, perp_venue: bybit}", "{file: mine.py}"))
    return path


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ([TOO_MUCH], "EIM-001: buy of 1000 ETHUSDT needs "),
        ([BUY, TOO_MUCH], "EXM-001: nothing was sent. step 1: buy of 1000 ETHUSDT needs "),
        ([{**BUY, "amount": "-1"}], "EIM-001: cex_trade: amount must "),
        ([{**BUY, "venue": "okx"}], "EIM-002: venue okx is not configured"),
        (["nothing"], "EIM-001: "),
    ],
    ids=["more than is held", "a plan", "not an amount", "not configured", "not a block"],
)
def test_an_order_that_is_refused_in_the_middle_of_a_run_is_a_run_that_failed(
    blocks: list[object], expected: str, basis: Basis, sample: Path, tmp_path: Path
) -> None:
    done = basis("backtest", custom(tmp_path, *blocks), "--data", sample)
    [folder] = (tmp_path / "results").iterdir()
    line, where = done.errors
    assert (done.status, done.out, line.startswith(expected)) == (1, "", True), line
    assert line.endswith("; at 2024-06-02T00:00:00Z")
    assert where == f"what was recorded up to then is in results/{folder.name}"
    assert (folder / "equity.csv").read_text().splitlines()[-1].startswith("2024-06-01T23:00:00Z,")
    assert not (folder / "summary.json").exists()


def test_the_same_block_in_a_file_of_blocks_is_wrong_input_and_named_by_its_line(basis: Basis, sample: Path, tmp_path: Path) -> None:
    (tmp_path / "blocks.jsonl").write_text(json.dumps({"timestamp": "2024-06-02T00:00:00Z", "block": TOO_MUCH}) + "\n")
    config = tmp_path / "blocks.yaml"
    config.write_text(CONFIG.replace("eth_basis", "blocks").replace("{spot_venue: bybit, perp_venue: bybit}", "{file: blocks.jsonl}"))
    executed = basis("execute", "blocks.jsonl", "--config", config, "--data", sample)
    assert (executed.status, executed.errors[0].startswith("EIM-001: line 1 at 2024-06-02T00:00:00Z: buy of 1000 ETHUSDT")) == (2, True)
    backtest = basis("backtest", config, "--data", sample)
    [folder] = (tmp_path / "results").iterdir()
    assert backtest == (2, "", f"{executed.err}what was recorded up to then is in results/{folder.name}\n")


def test_a_refused_block_of_those_sent_together_is_named_by_its_line_too(basis: Basis, sample: Path, tmp_path: Path) -> None:
    rows = [{"timestamp": f"2024-06-0{day}T00:00:00Z", "block": block} for day, block in ((2, BUY), (1, BUY), (2, TOO_MUCH))]
    (tmp_path / "blocks.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = tmp_path / "blocks.yaml"
    config.write_text(CONFIG.replace("eth_basis", "blocks").replace("{spot_venue: bybit, perp_venue: bybit}", "{file: blocks.jsonl}"))
    done = basis("backtest", config, "--data", sample)
    expected = "EXM-001: lines 1, 3 at 2024-06-02T00:00:00Z: nothing was sent. line 3: buy of 1000 ETHUSDT needs "
    assert (done.status, done.errors[0].startswith(expected)) == (2, True), done.errors


def test_what_is_left_of_a_run_next_to_the_results_of_one_that_ended_is_named_with_its_own_folder(
    basis: Basis, broken: Path, config: Path
) -> None:
    assert basis("backtest", config, "--data", broken, "--quiet").status == 0
    [folder] = (config.parent / "results").iterdir()
    rows = (broken / FUNDING).read_text().splitlines(keepends=True)
    (broken / FUNDING).write_text("".join(row for row in rows if not row.startswith("2024-06-02T08")))
    assert basis("backtest", config, "--data", broken).status == 2
    [other] = [path for path in (config.parent / "results").iterdir() if path != folder]
    shutil.copy(folder / "summary.json", other)
    done = basis("backtest", config, "--data", broken)
    assert (done.status, done.errors[-1]) == (2, f"what was recorded up to then is in results/{other.name}.unfinished")


# Data are input: where they lack something they are to be mended, whoever comes upon it, and when.


def test_a_series_that_only_an_order_asks_for_is_missing_from_the_input(basis: Basis, sample: Path, tmp_path: Path) -> None:
    done = basis("backtest", custom(tmp_path, UNHEARD_OF), "--data", sample)
    line, where = done.errors
    assert (done.status, line.startswith("DAT-001: no spot data of bybit for DOGEUSDT at 2024-06-02T00:00:00Z; ")) == (2, True), line
    assert line.endswith("; at 2024-06-02T00:00:00Z")
    assert where.startswith("what was recorded up to then is in results/custom-")


def test_a_spoilt_row_that_only_an_order_comes_upon_is_wrong_input(basis: Basis, broken: Path, tmp_path: Path) -> None:
    rows = (broken / SPOT).read_text().splitlines(keepends=True)
    (broken / SPOT).write_text("".join([*rows[:30], rows[29], *rows[30:]]))
    done = basis("backtest", custom(tmp_path, BUY), "--data", broken)
    assert (done.status, done.errors[0].startswith("DAT-003: ")) == (2, True), done.errors


@pytest.mark.parametrize(
    ("name", "gap", "expected"),
    [
        (SPOT, ("2024-06-02T00", "2024-06-03T20"), "DAT-002: ohlcv/bybit/spot/ETHUSDT_1h: the last row visible at 2024-06-03T13:00:00Z"),
        (FUNDING, ("2024-06-02T08", "2024-06-02T09"), "DAT-005: funding/bybit/ETHUSDT has no row at 2024-06-02T08:00:00Z"),
    ],
    ids=["the price of what is held", "a payment on what is held"],
)
def test_a_gap_under_an_open_position_is_wrong_input(
    name: str, gap: tuple[str, str], expected: str, basis: Basis, config: Path, broken: Path
) -> None:
    rows = (broken / name).read_text().splitlines(keepends=True)
    (broken / name).write_text("".join(row for row in rows if not gap[0] <= row < gap[1]))
    done = basis("backtest", config, "--data", broken)
    line, _ = done.errors
    assert (done.status, line.startswith(expected)) == (2, True), line
