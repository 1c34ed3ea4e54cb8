"""A day of eth_basis at the local exchange over recorded prices and funding, without waiting; then the same with a fault an hour."""

from __future__ import annotations

import shutil
from decimal import Decimal

import pytest
import yaml

from basis_strategy_v1.app.live import build_paper_replay
from basis_strategy_v1.app.venue_accounts import key_fields
from basis_strategy_v1.core.error_codes.exceptions import ComponentError

from ...exchange.process import ExchangeProcess
from .trader import theirs

D = Decimal
VENUES = {"binance": "spot", "bybit": "unified", "okx": "trading"}  # and the wallet in which the capital lies
EXECUTED = ("drop_after", "hang_after", "empty_after", "truncated_after", "half_after", "duplicate_after", "html_after", "garbage_after")


def faults_at(venue):
    """One for each hour."""
    wrong = {"binance": (-1007, 408), "bybit": (10016, 200), "okx": (50026, 500)}
    code, status = wrong[venue]
    return [
        *({"on": "order", "fault": fault} for fault in EXECUTED),
        *({"on": kind, "fault": "drop"} for kind in ("fills", "balance", "positions", "due", "find")),
        {"on": "fills", "fault": "status", "status": 503}, {"on": "order", "fault": "status", "status": 502, "after": True},
        {"on": "order", "fault": "code", "code": code, "status": status, "after": True}, {"lag_s": {venue: 3}}, {"stale_s": {venue: 10}},
    ]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory, sample):
    """The sample, with the prices of bybit as those of the others where it has none."""
    folder = tmp_path_factory.mktemp("data") / "sample"
    shutil.copytree(sample, folder)
    shutil.copytree(folder / "ohlcv" / "bybit" / "spot", folder / "ohlcv" / "binance" / "spot")
    for kind in ("ohlcv", "funding"):
        shutil.copytree(folder / kind / "bybit", folder / kind / "okx")
    return folder


@pytest.fixture
def day(data, repository, tmp_path, monkeypatch):
    """Runs the first day of June with the shipped config, at an exchange."""

    def run(venue, faults=(), hours=24, endpoint=None, **strategy):
        place = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        place.mkdir()
        arguments = ("--data", str(data), "--clock", "requests", "--at", "2024-06-01T00:00:00Z")
        with ExchangeProcess(place / "exchange.jsonl", *arguments) as exchange:
            exchange.control({"grant": {"venue": venue, "wallet": VENUES[venue], "USDT": "100000"}})
            exchange.control(key={"venue": venue, "key": "key", "secret": "secret", "may": ["read", "trade", "transfer"]})
            coming = iter(faults)

            def hour(done, of):
                fault = next(coming, None)
                exchange.control({"clear": True}, *([] if fault is None else [fault]))

            keys = {"API_KEY": "key", "API_SECRET": "secret", "PASSPHRASE": "passphrase"}
            for field in key_fields(venue):
                monkeypatch.setenv(f"BASIS_DEV__{venue.upper()}__{field}", keys[field])
            config = yaml.safe_load((repository / "config" / "eth_basis.yaml").read_text().replace("bybit", venue))
            config["venues"]["cex"][venue]["endpoint"] = endpoint or exchange.url
            config |= {"end": f"2024-06-01T{hours - 1:02}:00:00Z", "venue_timeout": 1}
            config["strategy"] |= strategy
            engine = build_paper_replay(
                config, data, place / "state", place / "results", place / "logs", paper=False, report=False, progress=hour,
            )  # fmt: skip
            try:
                result = engine.run()
            finally:
                engine.live.journal.close_file()
            held = engine.live.account.ledger.state.parts[venue].positions()
            return result, held, theirs(exchange, venue)

    return run


@pytest.mark.parametrize("venue", VENUES)
def test_a_day_over_recorded_prices_ends_with_what_the_exchange_has(day, venue):
    result, held, theirs = day(venue)
    assert held == theirs
    assert held["ETHUSDT-PERP"] < 0 < held["ETH"]
    assert (result.summary["instructions_failed"], result.summary["skipped"]) == (0, [])
    assert D(result.summary["attribution"]["funding"]) != 0
    assert sum(map(D, result.summary["attribution"].values())) == D(result.summary["pnl"])


@pytest.mark.parametrize("venue", ["binance", "bybit", pytest.param("okx", marks=pytest.mark.prove)])
def test_a_fault_an_hour_leaves_the_same_positions(day, venue):
    """A threshold of nothing lets it trade each hour."""
    often = {"rebalance_threshold_bps": 1, "hedge_tolerance_bps": 1}
    _, without, _ = day(venue, **often)
    result, held, theirs = day(venue, faults_at(venue), **often)
    assert held == theirs
    assert held == without
    looked_up = [line for line in result.paths["events.csv"].read_text().splitlines() if "looked_up" in line]
    assert len(looked_up) >= 5
    assert result.summary["instructions_failed"] == 0


def test_recorded_prices_do_not_leave_this_machine(day):
    with pytest.raises(ComponentError) as refused:
        day("binance", endpoint="https://api.example.com")
    assert refused.value.message == (
        "--data without --paper is refused: recorded prices must never reach a real venue, and binance has no endpoint on this machine; "
        "add --paper"
    )
