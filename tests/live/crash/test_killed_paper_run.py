"""`basis live --paper` is killed and started again: the venues executed everything once, each delta is in the log once, and the
run's folder is that of an undisturbed run."""

from __future__ import annotations

import csv
import json
import random
import re
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from basis_strategy_v1.core.deltas import Deltas
from basis_strategy_v1.data.sample import write_sample
from basis_strategy_v1.live.journal_reader import JournalReader

from ...kill_points import forks_of

# Both legs grow and shrink in turn, cash goes to another exchange and is on its way meanwhile, and some of it is lent.
STRATEGY = """
from decimal import Decimal

TRADE = {"instruction_type": "cex_trade", "venue": "bybit", "symbol": "ETHUSDT"}
SEND = {"instruction_type": "wallet_transfer", "from_venue": "bybit", "to_venue": "binance", "token": "USDT", "amount": 50}
LEND = {"instruction_type": "smart_contract_action", "protocol": "aave", "token": "USDT"}


class Busy:
    def needs(self, parameters):
        return [("spot", "bybit", "ETHUSDT"), ("perp", "bybit", "ETHUSDT"), ("funding", "bybit", "ETHUSDT"), ("lending", "aave", "USDT")]

    def decide(self, step, memory):
        count = (memory or 0) + 1
        sides = ("buy", "sell") if count % 2 else ("sell", "buy")
        legs = [{**TRADE, "trade_type": kind, "side": side, "amount": "0.5"} for kind, side in zip(("spot", "perp"), sides)]
        if count % 4 == 1:
            legs.append(SEND)
        if count % 4 == 2:
            legs.append({**LEND, "action": "supply", "amount": 100})
        if count % 4 == 3:
            steps = [{**LEND, "action": "withdraw", "amount": 30}, {**LEND, "action": "supply", "amount": {"output_of": 0}}]
            legs.append({"instruction_type": "smart_contract_action", "sub_instructions": steps})
        return legs, count

    def leave(self, step, memory):
        return [{**TRADE, "trade_type": kind, "side": side, "amount": "0.5"} for kind, side in (("spot", "sell"), ("perp", "buy"))], memory
"""
CONFIG: dict[str, Any] = {
    "strategy_mode": "custom", "share_class": "usdt_stable", "initial_capital": 20_000,
    "start": "2024-06-01", "end": "2024-06-01T12:00:00Z", "close_at_end": True,
    "venues": {"cex": {"bybit": {"withdrawal": {"USDT": {"fee": 1, "minimum": 10, "minutes": 30}}}, "binance": {}},
               "onchain": {"aave": {}, "wallet": {"gas_price_gwei": 5}}},
    "initial_positions": {"bybit": {"USDT": 15_000, "ETH": 2}, "wallet": {"USDT": 4_000, "ETH": 1}},
    "limits": {"max_notional_per_instruction": 10**6, "max_notional_per_day": 10**8, "max_slippage_bps": 100,
               "max_unhedged_notional": 10**6, "withdrawal_addresses": ["0x" + "11" * 20]},
}  # fmt: skip
FILES = ("equity.csv", "positions.csv", "risk.csv", "trades.csv")
KEYS = re.compile("auto:[0-9a-f]{16}")
Killed = Callable[[Path, int], int]


class World(NamedTuple):
    """What is left of a run: executions and dues in the venues' own ledger, the positions, and what the log says moved, by key."""

    executed: list[str]
    fell_due: list[str]
    positions: dict[str, Any]
    open: list[str]
    logged: dict[str, int]
    moved: Deltas
    results: dict[str, Any]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    write_sample(folder)
    (folder.parent / "busy.py").write_text(STRATEGY)
    return folder


@pytest.fixture(scope="module")
def killed(sample: Path) -> Iterator[Killed]:
    """`killed(folder, point)`: a child has run the config there and was killed at a point (0: at none); gives minus its signal, or its
    status."""
    with forks_of("tests.live.crash.killed_run") as parent:

        def run(folder: Path, point: int) -> int:
            return parent.run("run_on_paper", folder / "passed", point, folder=str(folder), data=str(sample))

        yield run


def passed(folder: Path) -> list[str]:
    """The points that the last process there passed."""
    return (folder / "passed").read_text().splitlines()


@pytest.fixture(scope="module")
def folders(sample: Path) -> Iterator[Callable[[], Path]]:
    """Makes new folders with the config, in memory where the system has such: a kill takes nothing from them."""
    root = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None))
    numbers = iter(range(10_000))

    def made() -> Path:
        folder = root / str(next(numbers))
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({**CONFIG, "strategy": {"file": str(sample.parent / "busy.py")}}))
        return folder

    try:
        yield made
    finally:
        shutil.rmtree(root)


def left_in(folder: Path) -> World:
    ledger = sqlite3.connect(folder / "state" / "paper.sqlite")
    executed = [row[0] for row in ledger.execute("SELECT client_id FROM executed ORDER BY client_id")]
    fell_due = [json.loads(row[0])["id"] for row in ledger.execute("SELECT item FROM due ORDER BY number")]
    ledger.close()
    lines = (folder / "logs" / "events" / "execution_interface_manager_events.jsonl").read_text().splitlines()
    rows = [event for event in map(json.loads, lines) if event["event_type"] in ("execution", "settlement")]
    with JournalReader(folder / "state") as journal:
        state = journal.state()
        assert state is not None
        return World(
            executed, fell_due, state.positions(), [entry.key for entry in journal.open_entries()],
            dict(Counter(row["data"]["key"] for row in rows)), Deltas.total(_exact(row["data"]["deltas"]) for row in rows),
            results_in(folder),
        )  # fmt: skip


def results_in(folder: Path) -> dict[str, Any]:
    """The files of the run's folder. Of the events without keys and numbers, without those of a start, and without what a recovery adds:
    that an order was looked up."""
    (run,) = (path for path in (folder / "results").iterdir() if path.is_dir())
    found: dict[str, Any] = {name: [KEYS.sub("auto:", line) for line in (run / name).read_text().splitlines()] for name in FILES}
    found["summary.json"] = json.loads((run / "summary.json").read_text())
    with (run / "events.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["event_type"] != "component_initialization"]
    found["events.csv"] = sorted((row["timestamp"], row["event_type"], _without_keys(json.loads(row["data"]))) for row in rows)
    return found


def _without_keys(data: dict[str, Any]) -> str:
    details = {name: value for name, value in data["details"].items() if name != "looked_up"}
    return json.dumps({name: value for name, value in {**data, "details": details}.items() if name not in ("key", "reference")})


def _exact(deltas: dict[str, dict[str, str]]) -> Deltas:
    return Deltas.nested({venue: {token: Decimal(amount) for token, amount in tokens.items()} for venue, tokens in deltas.items()})


def without_run(keys: list[str]) -> list[str]:
    """Automatic keys without the identity of their run, which is another for each journal."""
    return sorted(key.split(":", 1)[1][16:] if key.startswith("auto:") else key for key in keys)


@pytest.fixture(scope="module")
def whole(killed: Killed, folders: Callable[[], Path]) -> tuple[World, int]:
    """What an undisturbed run leaves, and how many points it passes."""
    folder = folders()
    assert killed(folder, 0) == 0, passed(folder)[-1]
    return left_in(folder), len(passed(folder))


def require_whole(folder: Path, whole: World) -> None:
    found = left_in(folder)
    assert without_run(found.executed) == without_run(whole.executed)
    assert sorted(found.fell_due) == sorted(whole.fell_due)
    assert (found.positions, found.open) == (whole.positions, [])
    assert {key: count for key, count in found.logged.items() if count != 1} == {}, passed(folder)[-1]
    assert without_run(list(found.logged)) == without_run(list(whole.logged))
    assert found.moved == whole.moved
    for name, content in whole.results.items():
        assert found.results[name] == content, (name, passed(folder)[-1])


def killed_once(point: int, killed: Killed, folders: Callable[[], Path], whole: World) -> None:
    folder = folders()
    assert killed(folder, point) == -9
    assert killed(folder, 0) == 0, passed(folder)[-1]
    require_whole(folder, whole)


def test_an_undisturbed_run_logs_what_its_venues_executed(whole: tuple[World, int]) -> None:
    world, points = whole
    assert points > 300
    assert len(world.executed) > 30 and len(world.fell_due) > 3
    assert set(world.logged.values()) == {1}


@pytest.mark.parametrize("number", range(20))
def test_a_run_that_is_killed_and_started_again_did_everything_once(
    number: int, killed: Killed, folders: Callable[[], Path], whole: tuple[World, int]
) -> None:
    world, points = whole
    killed_once(random.Random(number).randrange(1, points + 1), killed, folders, world)


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_a_kill_at_each_point_did_everything_once(killed: Killed, folders: Callable[[], Path], whole: tuple[World, int]) -> None:
    world, points = whole
    for point in range(1, points + 1):
        killed_once(point, killed, folders, world)


@pytest.mark.parametrize("number", range(5))
def test_a_run_that_is_killed_again_and_again_did_everything_once(
    number: int, killed: Killed, folders: Callable[[], Path], whole: tuple[World, int]
) -> None:
    chance, folder = random.Random(100 + number), folders()
    world, points = whole
    while killed(folder, chance.randrange(1, points // 3)) == -9:
        pass
    require_whole(folder, world)
