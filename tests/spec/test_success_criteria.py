"""Success Criteria: the times, counted in machine-independent work where a test has to hold on any machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
LINES = ("interface lookup", "instruction routing", "venue abstraction", "memory of all interfaces", "CPU in normal operation")


def test_the_benchmark_prints_each_target_next_to_what_was_measured():
    found = subprocess.run(
        [sys.executable, str(REPOSITORY / "benchmarks" / "specification.py")], capture_output=True, text=True, check=True
    )
    shown = found.stdout.splitlines()
    assert [line.split("  ")[0].strip() for line in shown] == list(LINES)
    assert all("target" in line and "times better" in line for line in shown)


def test_a_peer_that_cannot_be_installed_is_one_line_and_no_failure(tmp_path: Path):
    offline = {**os.environ, "PIP_NO_INDEX": "1"}
    command = [sys.executable, str(REPOSITORY / "benchmarks" / "peer.py"), str(tmp_path / "peer")]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, env=offline).stdout.splitlines()
    expected = f"the peer, fractal-defi, could not be installed into {tmp_path / 'peer'}, so nothing is compared: ERROR: "
    assert [line[: len(expected)] for line in shown] == [expected]


def test_every_error_code_is_documented():
    from basis_strategy_v1.core.error_codes.error_code_registry import REGISTRY

    page = (REPOSITORY / "docs" / "errors.md").read_text(encoding="utf-8")
    assert [code for code in REGISTRY if f"| {code} |" not in page] == []
