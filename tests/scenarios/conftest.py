"""Every scenario is run once; what it wrote is read by as many tests as want to."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .running import Ran, run

RunOnce = Callable[[dict[str, Any]], Ran]


@pytest.fixture(scope="session")
def run_once(market_data: Path, tmp_path_factory: pytest.TempPathFactory) -> RunOnce:
    """`run_once(config)`: the run of a config over the recorded market data."""
    done: dict[str, Ran] = {}

    def once(config: dict[str, Any]) -> Ran:
        key = json.dumps(config, sort_keys=True)
        if key not in done:
            done[key] = run(config, market_data, tmp_path_factory.mktemp("run"))
        return done[key]

    return once
