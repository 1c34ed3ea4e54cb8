"""`make compare`: results that differ from those of an earlier commit are found, and keys are no results."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
IDENTITY = ("-c", "user.name=someone", "-c", "user.email=someone@example.invalid", "-c", "commit.gpgsign=false")


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *IDENTITY, *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of its own with the working tree as its only commit."""
    folder = tmp_path_factory.mktemp("committed") / "checkout"
    for name in ("src", "config", "examples", "tools"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    git(folder.parent, "init", "-q", str(folder))
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "all of it")
    return folder


@pytest.fixture
def checkout(committed: Path, tmp_path: Path) -> Path:
    git(tmp_path, "clone", "-q", str(committed), "checkout")
    return tmp_path / "checkout"


def compare(checkout: Path, base: str, *words: str, config: str = "custom") -> tuple[int, list[str]]:
    """Exit status and lines."""
    command = [sys.executable, "tools/compare.py", base, "--sample-only", "--config", config, *words]
    done = subprocess.run(command, cwd=checkout, check=False, capture_output=True, text=True)
    assert done.stderr == ""
    return done.returncode, done.stdout.splitlines()


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_another_key_is_no_other_result(checkout: Path) -> None:
    edit(checkout / "examples/02_blocks.jsonl", '"amount": "10.5"', '"amount": "10.5", "instruction_id": "mine"')
    assert compare(checkout, "HEAD", config="blocks") == (0, ["the sample itself: same", "blocks, sample: same"])


def test_the_first_result_that_moved_is_shown_with_the_files_it_is_in(checkout: Path) -> None:
    edit(checkout / "config/custom.yaml", "cex: [bybit]", "cex: {bybit: {spot_taker_fee_bps: 11}}")
    status, (_, line) = compare(checkout, "HEAD")
    assert status == 1
    assert line.startswith("custom, sample: events.csv line ")
    assert " is now " in line
    assert line.endswith("(and positions.csv, equity.csv, summary.json, execution_interface_manager_events.jsonl)")


def test_a_result_that_is_meant_to_move_has_to_move(checkout: Path) -> None:
    assert compare(checkout, "HEAD", "--changed", "custom")[0] == 1
    edit(checkout / "config/custom.yaml", "cex: [bybit]", "cex: {bybit: {spot_taker_fee_bps: 11}}")
    assert compare(checkout, "HEAD", "--changed", "custom")[0] == 0


def test_a_version_that_fails_is_a_difference(checkout: Path) -> None:
    edit(checkout / "config/custom.yaml", "cex: [bybit]", "cex: [bibyt]")
    status, (_, line) = compare(checkout, "HEAD")
    assert status == 1
    assert line.startswith("custom, sample: ends with status 2: basis: CFG-")
    assert line.endswith("; the base ends with status 0")


def test_a_commit_that_does_not_exist_is_refused(checkout: Path) -> None:
    assert compare(checkout, "0123456789") == (2, ["compare: no commit 0123456789 here; give one that git log shows"])


def test_without_history_nothing_is_compared_and_one_line_says_so(committed: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{committed}", "shallow")
    line = "compare: no commit 0123456789 here; this clone does not have its whole history, nothing is compared"
    assert compare(tmp_path / "shallow", "0123456789") == (0, [line])
