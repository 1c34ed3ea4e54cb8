"""Folders of runs to report on: a year of a basis trade, hour by hour, or as little as a test wants."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from random import Random
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.core.attribution_sources import SOURCES
from basis_strategy_v1.results.fills import TRADES_HEADER

if TYPE_CHECKING:
    from pathlib import Path

START = datetime(2024, 6, 1, tzinfo=UTC)
CENT = Decimal("0.000000000001")


@dataclass
class RunFolder:
    """What the files of a run hold; `write` writes them."""

    summary: dict[str, Any]
    equity: list[list[str]] = field(default_factory=list)
    positions: list[list[str]] = field(default_factory=list)
    events: list[list[str]] = field(default_factory=list)
    trades: list[list[str]] = field(default_factory=list)
    config: str = ""

    def write(self, directory: Path) -> Path:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "summary.json").write_text(json.dumps(self.summary), encoding="utf-8")
        (directory / "config.yaml").write_text(self.config, encoding="utf-8")
        _csv(directory / "equity.csv", ["timestamp", "equity", *SOURCES], self.equity)
        _csv(directory / "positions.csv", ["timestamp", "venue", "token", "amount"], self.positions)
        _csv(directory / "events.csv", ["timestamp", "component", "sequence", "event_type", "data"], self.events)
        if self.trades:
            _csv(directory / "trades.csv", TRADES_HEADER.split(","), self.trades)
        return directory

    def log(self, at: datetime, event_type: str, data: dict[str, Any]) -> None:
        self.events.append([stamp(at), "execution_interface_manager", str(len(self.events) + 1), event_type, json.dumps(data)])


def stamp(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def plain_run(**changes: Any) -> RunFolder:
    """The least that a run writes: nothing happened."""
    summary = {
        "run_id": "eth_basis-0123456789ab",
        "strategy_mode": "eth_basis",
        "share_class": "usdt_stable",
        "start": "2024-06-01T00:00:00Z",
        "end": "2025-05-31T00:00:00Z",
        "initial_equity": "100000",
        "final_equity": "100000",
        "pnl": "0",
        "attribution": dict.fromkeys(SOURCES, "0"),
    }
    return RunFolder({**summary, **changes})


def basis_year(*, days: int = 365, generated: bool = False, step: timedelta = timedelta(hours=1)) -> RunFolder:
    """Long ETH on bybit, short the perp on binance, USDT lent at Aave: drawn from a seed, the ledger closing to 1e-12."""
    random = Random(11)
    steps = days * (timedelta(days=1) // step) + 1
    run = plain_run()
    sums = dict.fromkeys(SOURCES, Decimal(0))
    spot = perp = 3200.0
    held = Decimal("15.2")
    _enter(run, held)
    for number in range(steps):
        at = START + number * step
        before = spot, perp
        spot *= 1 + random.gauss(0.00001, 0.006)
        perp = spot * (1 + random.gauss(0.0003, 0.0004))
        if number:
            sums["spot_price"] += _money(float(held) * (spot - before[0]))
            sums["perp_price"] -= _money(float(held) * (perp - before[1]))
            sums["supply_interest"] += _money(0.19 * random.random())
        if number == 0:
            sums["fees"] -= Decimal("81.512345678901")
            sums["slippage"] -= Decimal("9.7")
            sums["gas"] -= Decimal("14.25")
        if number and at.hour % 8 == 0 and at.minute == 0:
            paid = _money(float(held) * perp * random.gauss(0.00008, 0.00012))
            sums["funding"] += paid
            run.log(
                at,
                "settlement",
                {"kind": "funding", "venue": "binance", "key": f"funding-{number}", "deltas": {"binance": {"USDT": str(paid)}}},
            )
        if number and number % (24 * 45) == 0:
            held += _rebalance(run, at, sums)
        run.equity.append([stamp(at), str(100_000 + sum(sums.values())), *map(str, sums.values())])
        if at.hour == 0 and at.minute == 0:
            _hold(run, at, held, sums)
    _close(run, sums, at, generated=generated)
    return run


def _enter(run: RunFolder, held: Decimal) -> None:
    for side, venue, kind, token, sign in (("buy", "bybit", "spot", "ETH", 1), ("sell", "binance", "perp", "ETHUSDT-PERP", -1)):
        deltas = {venue: {token: str(sign * held), "USDT": "-48720.115"} if kind == "spot" else {token: str(sign * held), "USDT": "-26.75"}}
        data = {
            "instruction_id": f"enter-{kind}",
            "instruction_type": "cex_trade",
            "trade_type": kind,
            "side": side,
            "symbol": "ETHUSDT",
            "venue": venue,
            "deltas": deltas,
            "costs": [{"source": "fees", "token": "USDT", "amount": "48.64"}, {"source": "slippage", "token": "USDT", "amount": "4.85"}],
            "reference": "simulated",
            "details": {"price": "3200.32"},
        }
        run.log(START, "execution", data)
    supply = {"instruction_type": "smart_contract_action", "action": "supply", "venue": "aave", "token": "USDT"}
    run.log(
        START, "execution", {**supply, "deltas": {"aave": {"USDT": "-20000", "aUSDT": "20000"}, "wallet": {"ETH": "-0.00125"}}, "costs": []}
    )


def _rebalance(run: RunFolder, at: datetime, sums: dict[str, Decimal]) -> Decimal:
    sums["fees"] -= Decimal("1.2345")
    sums["transfers"] -= Decimal(1)
    transfer = {"instruction_type": "wallet_transfer", "from_venue": "bybit", "to_venue": "binance", "token": "USDT"}
    deltas = {"bybit": {"USDT": "-500"}, "in_transit": {"USDT": "499"}}
    run.log(at, "execution", {**transfer, "deltas": deltas, "costs": [{"source": "transfers", "token": "USDT", "amount": "1"}]})
    run.log(
        at + timedelta(minutes=5),
        "settlement",
        {"kind": "arrival", "venue": "binance", "deltas": {"in_transit": {"USDT": "-499"}, "binance": {"USDT": "499"}}},
    )
    return Decimal("-0.15")


def _hold(run: RunFolder, at: datetime, held: Decimal, sums: dict[str, Decimal]) -> None:
    amounts = {
        ("aave", "aUSDT"): 20_000 + sums["supply_interest"],
        ("binance", "ETHUSDT-PERP"): -held,
        ("binance", "USDT"): 30_000 + sums["funding"],
        ("bybit", "ETH"): held,
        ("bybit", "USDT"): Decimal("1204.5"),
        ("wallet", "ETH"): Decimal("0.04875"),
    }
    run.positions.extend([stamp(at), venue, token, str(amount)] for (venue, token), amount in amounts.items())


def _close(run: RunFolder, sums: dict[str, Decimal], at: datetime, *, generated: bool) -> None:
    pnl = sum(sums.values(), Decimal(0))
    series = ["ohlcv/bybit/spot/ETHUSDT_1h", "ohlcv/binance/perp/ETHUSDT_1h", "funding/binance/ETHUSDT", "lending/aave_v3/USDT"]
    run.summary |= {
        "end": stamp(at),
        "final_equity": str(100_000 + pnl),
        "final_equity_at_market": str(100_000 + pnl),
        "pnl": str(pnl),
        "attribution": {source: str(amount) for source, amount in sums.items()},
        "max_drawdown": str(_deepest([Decimal(100_000), *(Decimal(row[1]) for row in run.equity)])),
        "annualised_return": str((pnl / 100_000).quantize(CENT)),
        "instructions_routed": 19,
        "instructions_failed": 0,
        "data": {"generated": generated, "directory": "sample" if generated else "market", "series": series},
        "assumptions": ["A market order fills at the bar's close plus slippage against the trader.", "USDT is 1 exactly."],
    }
    run.config = (
        "strategy_mode: eth_basis\nshare_class: usdt_stable\ninitial_capital: 100000\nvenues:\n  cex: [bybit, binance]\n  onchain: [aave]\n"
    )


def _deepest(equity: list[Decimal]) -> Decimal:
    peaks = accumulate(equity, max)
    return max(1 - value / peak for value, peak in zip(equity, peaks, strict=True)).quantize(CENT)


def _money(amount: float) -> Decimal:
    return Decimal(repr(amount)).quantize(CENT)


def _csv(path: Path, names: list[str], rows: list[list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out, lineterminator="\n").writerows([names, *rows])
