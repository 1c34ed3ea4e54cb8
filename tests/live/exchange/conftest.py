"""The local exchange, on the run's time; each test begins with a ledger of its own."""

from __future__ import annotations

import pytest

from ...exchange.process import ExchangeProcess
from .trader import Trader

HELD = {"grant": {"venue": "binance", "wallet": "spot", "USDT": "10000", "ETH": "5"}}
MARGIN = {"grant": {"venue": "binance", "wallet": "perp", "USDT": "5000"}}


@pytest.fixture(scope="package")
def server(tmp_path_factory):
    with ExchangeProcess(tmp_path_factory.mktemp("exchange") / "ledger.jsonl", "--clock", "requests") as process:
        yield process


@pytest.fixture
def exchange(server, tmp_path):
    server.begin(tmp_path / "exchange.jsonl", HELD, MARGIN)
    return server


@pytest.fixture
def trade(exchange, tmp_path):
    """Makes traders at the exchange; they are closed afterwards."""
    made = []

    def make(**given):
        trader = Trader(exchange, tmp_path / f"trader{len(made)}", **given)
        made.append(trader)
        return trader

    yield make
    for one in made:
        one.close()
