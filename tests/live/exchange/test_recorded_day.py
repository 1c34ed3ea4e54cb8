"""A day of eth_basis at the local exchange over recorded prices and funding, without waiting; then the same with a fault an hour."""

from __future__ import annotations

import shutil
from decimal import Decimal

import pytest

from basis_strategy_v1.app.live import build_paper_replay
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.data.sample import write_sample

from ...app.test_paper_equals_backtest import LIMITS
from ...exchange.process import ExchangeProcess
from .trader import theirs

D = Decimal
CAPITAL = {"grant": {"venue": "binance", "wallet": "spot", "USDT": "100000"}}
EXECUTED = ("drop_after", "hang_after", "empty_after", "truncated_after", "half_after", "duplicate_after", "html_after", "garbage_after")
FAULTS = [
    *({"on": "order", "fault": fault} for fault in EXECUTED),
    *({"on": kind, "fault": "drop"} for kind in ("fills", "balance", "positions", "due", "find")),
    {"on": "fills", "fault": "status", "status": 503}, {"on": "order", "fault": "status", "status": 502, "after": True},
    {"on": "order", "fault": "code", "code": -1007, "status": 408, "after": True}, {"lag_s": {"binance": 3}}, {"stale_s": {"binance": 10}},
]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The sample, with the spot prices of bybit as those of binance too."""
    folder = tmp_path_factory.mktemp("data") / "sample"
    write_sample(folder)
    shutil.copytree(folder / "ohlcv" / "bybit" / "spot", folder / "ohlcv" / "binance" / "spot")
    return folder


@pytest.fixture
def day(data, tmp_path, monkeypatch):
    """Runs the first day of June."""

    def run(faults=(), hours=24, **changes):
        place = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        place.mkdir()
        arguments = ("--data", str(data), "--clock", "requests", "--at", "2024-06-01T00:00:00Z")
        with ExchangeProcess(place / "exchange.jsonl", *arguments) as exchange:
            exchange.control(CAPITAL)
            coming = iter(faults)

            def hour(done, of):
                fault = next(coming, None)
                exchange.control({"clear": True}, *([] if fault is None else [fault]))

            monkeypatch.setenv("BASIS_DEV__BINANCE__API_KEY", "key")
            monkeypatch.setenv("BASIS_DEV__BINANCE__API_SECRET", "secret")
            config = {
                "strategy_mode": "eth_basis", "share_class": "usdt_stable", "initial_capital": 100_000, "start": "2024-06-01",
                "end": f"2024-06-01T{hours - 1:02}:00:00Z", "strategy": {"spot_venue": "binance", "perp_venue": "binance"},
                "venues": {"cex": {"binance": {"endpoint": exchange.url}}}, "limits": LIMITS, "venue_timeout": 1, **changes,
            }  # fmt: skip
            engine = build_paper_replay(
                config, data, place / "state", place / "results", place / "logs", paper=False, report=False,
                progress=hour,
            )  # fmt: skip
            try:
                result = engine.run()
            finally:
                engine.live.journal.close_file()
            held = engine.live.account.ledger.state.parts["binance"].positions()
            return result, held, theirs(exchange)

    return run


def test_a_day_over_recorded_prices_ends_with_what_the_exchange_has(day):
    result, held, theirs = day()
    assert held == theirs
    assert held["ETHUSDT-PERP"] < 0 < held["ETH"]
    assert result.summary["instructions_failed"] == 0
    assert D(result.summary["attribution"]["funding"]) != 0
    assert sum(map(D, result.summary["attribution"].values())) == D(result.summary["pnl"])


def test_a_fault_an_hour_leaves_the_same_positions(day):
    """A threshold of nothing lets it trade each hour."""
    often = {"strategy": {"spot_venue": "binance", "perp_venue": "binance", "rebalance_threshold_bps": 1, "hedge_tolerance_bps": 1}}
    _, without, _ = day(**often)
    result, held, theirs = day(FAULTS, **often)
    assert held == theirs
    assert held == without
    looked_up = [line for line in result.paths["events.csv"].read_text().splitlines() if "looked_up" in line]
    assert len(looked_up) >= 5
    assert result.summary["instructions_failed"] == 0


def test_recorded_prices_do_not_leave_this_machine(day):
    with pytest.raises(ComponentError) as refused:
        day(venues={"cex": {"binance": {"endpoint": "https://api.example.com"}}})
    assert refused.value.message == (
        "--data without --paper is refused: recorded prices must never reach a real venue, and binance has no endpoint on this machine; "
        "add --paper"
    )
