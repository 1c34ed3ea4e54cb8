"""Every example and every shipped config runs on the generated sample, and README prints what the command prints."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
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
    if example.suffix != ".ipynb" and example not in OF_A_CONFIG:
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


def test_readme_runs_the_sample_from_a_database_as_it_says(tmp_path: Path) -> None:
    (tmp_path / "config").symlink_to(REPOSITORY / "config")
    basis("data", "sample", "build/sample", cwd=tmp_path)
    readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    commands = re.findall(r"^    \.venv/bin/basis (.*sample\.duckdb.*)$", readme, re.MULTILINE)
    outputs = [basis(*command.split(), cwd=tmp_path).splitlines() for command in commands]
    assert [line.rstrip() for line in outputs[-1]] == readme_block("text").splitlines()[4:]
