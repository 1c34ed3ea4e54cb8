"""A gateway does not grow with its orders."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from .conftest import MARGIN

RICH = {"grant": {"venue": "binance", "wallet": "spot", "USDT": "1000000000", "ETH": "1000000"}}
UNCOUNTED = {"headers": {"venue": "binance", "X-MBX-USED-WEIGHT-1M": "1", "X-MBX-ORDER-COUNT-10S": "1"}}
MOST_GROWTH_BYTES = 8 * 1024 * 1024


@pytest.mark.prove
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("orders", [100_000])
def test_a_hundred_thousand_orders_leave_the_memory_of_the_first_tenth(exchange, repository, tmp_path, orders):
    exchange.begin(tmp_path / "many.jsonl", RICH, MARGIN, UNCOUNTED)
    command = [sys.executable, "-m", "tests.live.exchange.many_orders", exchange.url, str(orders)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    first, *later = [json.loads(line) for line in done.stdout.splitlines()]
    assert later[-1]["filled"] == orders
    assert max(part["bytes"] for part in later) - first["bytes"] <= MOST_GROWTH_BYTES
