"""A live run of a year does not grow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..scenarios.random_market import RandomMarket

MOST_GROWTH_BYTES = 10 * 1024 * 1024
MONTHS = 12


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_files_threads_and_memory_of_a_year_are_those_of_its_first_month(repository: Path, tmp_path: Path) -> None:
    data = RandomMarket(7, days=366, has_gaps=False).write(tmp_path / "data")
    command = [sys.executable, "-m", "tests.live.year_in_one_process", str(data), str(tmp_path / "run")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    first, *later, end = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(later) == MONTHS - 1
    assert end["executed"] > 100
    assert [(month["files"], month["threads"]) for month in later] == [(first["files"], first["threads"])] * len(later)
    assert max(month["bytes"] for month in later) - first["bytes"] <= MOST_GROWTH_BYTES
