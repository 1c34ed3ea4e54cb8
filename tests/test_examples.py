"""Every example and every shipped config runs on the generated sample, and README prints what the command prints."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import zipfile
from decimal import Decimal
from pathlib import Path

import pytest
import yaml

from basis_strategy_v1.strategies import STRATEGIES

REPOSITORY = Path(__file__).resolve().parents[1]
CONFIGS = {path: yaml.safe_load(path.read_text(encoding="utf-8")) for path in sorted((REPOSITORY / "config").glob("*.yaml"))}
RUNNABLE = [path for path, config in CONFIGS.items() if config["strategy_mode"] in STRATEGIES]
EXAMPLES = sorted(path for path in (REPOSITORY / "examples").iterdir() if path.is_file())
OF_A_CONFIG = {
    (path.parent / config["strategy"]["file"]).resolve(): path for path, config in CONFIGS.items() if "file" in config["strategy"]
}
MOST_LINES = 30


def run(*words: str, cwd: Path, status: int = 0) -> str:
    """What a command prints, where it ends with `status`."""
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR", "TTY_COMPATIBLE")}
    done = subprocess.run([sys.executable, *words], cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (status, "")
    return done.stdout


def basis(*words: str, cwd: Path) -> str:
    return run("-m", "basis_strategy_v1.cli", *words, cwd=cwd)


def test_every_strategy_has_a_config() -> None:
    assert {CONFIGS[path]["strategy_mode"] for path in RUNNABLE} == set(STRATEGIES)


@pytest.mark.parametrize("config", RUNNABLE, ids=lambda path: path.stem)
def test_a_config_runs_on_the_sample_and_its_ledger_closes(config: Path, sample: Path, tmp_path: Path) -> None:
    printed = basis("backtest", str(config), "--data", str(sample), cwd=tmp_path)
    (folder,) = (tmp_path / "results").iterdir()
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert printed.splitlines()[-1] == f"results: results/{summary['run_id']}"
    assert summary["instructions_routed"] > 0
    assert summary["instructions_failed"] == 0
    assert summary["skipped"] == []
    assert sum(map(Decimal, summary["attribution"].values())) == Decimal(summary["pnl"])
    assert Decimal(summary["initial_equity"]) + Decimal(summary["pnl"]) == Decimal(summary["final_equity"])


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_short_and_is_run_by_a_config_or_by_itself(example: Path, tmp_path: Path) -> None:
    assert example.suffix == ".ipynb" or len(example.read_text(encoding="utf-8").splitlines()) <= MOST_LINES
    if example.suffix not in (".ipynb", ".yaml") and example not in OF_A_CONFIG:  # a config is run below
        assert run(str(example), cwd=tmp_path)


def test_the_examples_of_the_configs_are_those_in_the_folder() -> None:
    assert set(OF_A_CONFIG) <= set(EXAMPLES)


def test_the_strategy_of_the_example_trades_both_ways_and_ends_hedged(sample: Path, tmp_path: Path) -> None:
    basis("backtest", str(REPOSITORY / "config" / "custom.yaml"), "--data", str(sample), "--no-report", cwd=tmp_path)
    (folder,) = (tmp_path / "results").iterdir()
    events = basis("events", f"results/{folder.name}", "--type", "execution", cwd=tmp_path).splitlines()
    actions = [json.loads(line[line.index("{") :])["action"] for line in events]
    assert actions[:4] == ["buy", "sell", "sell", "buy"]
    last = (folder / "positions.csv").read_text(encoding="utf-8").splitlines()[-3:]
    held = {token: Decimal(amount) for _, _, token, amount in (line.split(",") for line in last)}
    assert held["ETH"] > 0 > held["ETHUSDT-PERP"]
    assert abs(held["ETH"] + held["ETHUSDT-PERP"]) < held["ETH"] / 500


def test_the_strategy_of_the_example_sells_spot_that_has_lost_its_short(sample: Path, tmp_path: Path) -> None:
    config = {
        **CONFIGS[REPOSITORY / "config" / "custom.yaml"],
        "initial_positions": {"bybit": {"USDT": 1000, "ETH": 5}},
        "end": "2024-06-02",
    }
    config["strategy"] = {**config["strategy"], "file": str(REPOSITORY / "examples" / "01_my_strategy.py")}
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({**config, "start": "2024-06-01"}), encoding="utf-8")
    basis("backtest", str(path), "--data", str(sample), "--no-report", cwd=tmp_path)
    (folder,) = (tmp_path / "results").iterdir()
    first = basis("events", f"results/{folder.name}", "--type", "execution", cwd=tmp_path).splitlines()[0]
    assert json.loads(first[first.index("{") :])["deltas"]["bybit"]["ETH"].rstrip("0") == "-5."


def test_the_blocks_of_the_example_are_all_executed_and_leave_nothing_open(sample: Path, tmp_path: Path) -> None:
    blocks, config = str(REPOSITORY / "examples" / "02_blocks.jsonl"), str(REPOSITORY / "config" / "blocks.yaml")
    printed = [json.loads(line) for line in basis("execute", blocks, "--config", config, "--data", str(sample), cwd=tmp_path).splitlines()]
    executed = [line for line in printed if line["kind"] == "execution"]
    assert len(executed) == len(Path(blocks).read_text(encoding="utf-8").splitlines())
    assert {line["kind"] for line in printed} == {"execution", "funding", "interest", "arrival", "claim"}
    left: dict[str, Decimal] = {}
    for line in basis("events", "logs", cwd=tmp_path).splitlines():
        event = json.loads(line[line.index("{") :])
        for tokens in event.get("deltas", {}).values():
            for token, amount in tokens.items():
                left[token] = left.get(token, Decimal(0)) + Decimal(amount)
    assert {token for token, amount in left.items() if amount} == {"ETH", "USDT"}


def test_routing_one_block_prints_what_moved_and_why_the_second_is_refused(tmp_path: Path) -> None:
    assert run(str(REPOSITORY / "examples" / "03_route_one_block.py"), cwd=tmp_path).splitlines() == [
        "{'bybit': {'ETH': 1.998, 'USDT': -6000.0}}",
        "EIM-001 buy of 2 ETHUSDT needs 6000 USDT, bybit holds 4000; use less or move USDT there first",
    ]


# README.


def readme_block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```$", (REPOSITORY / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def recipe(target: str) -> list[str]:
    """The command lines of a Makefile target, as make prints them."""
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert found is not None
    return [line.removeprefix("\t").replace("$(BIN)", ".venv/bin") for line in found[1].splitlines()]


def test_readme_shows_what_make_backtest_prints(tmp_path: Path) -> None:
    (tmp_path / "config").symlink_to(REPOSITORY / "config")
    printed = []
    for command in recipe("backtest"):
        printed.append(command)
        program, *words = command.split()
        if program == ".venv/bin/basis":
            printed += basis(*words, cwd=tmp_path).splitlines()
    assert readme_block("text").splitlines() == [line.rstrip() for line in printed]


def test_readme_shows_the_strategy_of_the_example() -> None:
    assert readme_block("python") == (REPOSITORY / "examples" / "01_my_strategy.py").read_text(encoding="utf-8")


def test_readme_lists_the_files_of_a_run(sample: Path, tmp_path: Path) -> None:
    basis("backtest", str(REPOSITORY / "config" / "pure_lending.yaml"), "--data", str(sample), cwd=tmp_path)
    (folder,) = (tmp_path / "results").iterdir()
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+\.\w+)` \|", readme, re.MULTILINE)) == {path.name for path in folder.iterdir()}


# Rows as Binance publishes them: no header, months and days that overlap, spot in microseconds since 2025, funding a millisecond late.


def _klines(hours: range, per_ms: int, premium: float) -> str:
    opened = [1_735_689_600_000 + hour * 3_600_000 for hour in hours]
    price = [f"{3300 + 40 * math.sin(hour / 9) + premium:.8f}" for hour in (*hours, hours.stop)]
    rows = zip(opened, price, price[1:], strict=False)
    return "".join(
        f"{at * per_ms},{first},{max(first, last)},{min(first, last)},{last},25.50000000,{(at + 3_599_999) * per_ms},84150.1,9,12.1,3.5,0\n"
        for at, first, last in rows
    )


def _zip(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{path.stem}.csv", text)


def _dump_of_binance(folder: Path) -> None:
    for place, per_ms, premium in (("spot", 1000, 0.0), ("futures/um", 1, 1.5)):
        for name, hours in (("ETHUSDT-1h-2025-01", range(24 * 31)), ("ETHUSDT-1h-2025-02-01", range(24 * 30, 24 * 32))):
            _zip(folder / place / f"monthly/klines/ETHUSDT/1h/{name}.zip", _klines(hours, per_ms, premium))
    rates = [f"{1_735_689_600_000 + place * 28_800_000 + 1},8,{0.0001 + place % 3 * 0.00002:.8f}\n" for place in range(3 * 32 + 1)]
    header = "calc_time,funding_interval_hours,last_funding_rate\n"
    _zip(folder / "futures/um/monthly/fundingRate/ETHUSDT/ETHUSDT-fundingRate-2025-01.zip", header + "".join(rates))


def test_readme_takes_a_dump_of_binance_to_a_report_in_three_commands(tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(REPOSITORY / "examples")
    _dump_of_binance(tmp_path / "binance")
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8").split("## Your own data")[1].split("\n## ")[0]
    commands = re.findall(r"^    \.venv/bin/basis (.*)$", readme, re.MULTILINE)
    assert len(commands) == 3
    imported, validated, ran = (basis(*command.split(), cwd=tmp_path).splitlines() for command in commands)
    assert imported == [
        "funding/binance/ETHUSDT: 97 rows added, 97 in all (binance, 1 file)",
        "ohlcv/binance/perp/ETHUSDT_1h: 768 rows added, 768 in all (binance, 2 files)",
        "ohlcv/binance/spot/ETHUSDT_1h: 768 rows added, 768 in all (binance, 2 files)",
        "imported 1,633 rows of 3 series into market",
    ]
    assert validated == ["0 findings"]
    assert [" ".join(line.split()) for line in ran if line.startswith(("From", "To", "Data"))] == [
        "From 2025-01-01T01:00:00Z", "To 2025-02-02T00:00:00Z", "Data REAL (no mark of generated data)",
    ]  # fmt: skip
    assert len(list(tmp_path.glob("results/*/report.html"))) == 1
