"""To add a protocol that stakes ether is a row, a file and a line: shown on a copy of the package that has one more."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import basis_strategy_v1

# (rebasing token, wrapped token): one protocol as Lido and ether.fi are, and one whose token is the share alone.
MADE_UP = [("mdETH", "wmdETH"), (None, "mETH")]
ROW = 'Staked("madeup", {rebasing!r}, {wrapped!r})'
FILE = '''"""A made-up protocol that is in all but its names as ether.fi."""

from basis_strategy_v1.venues.etherfi import DAYS, DEX, GAS
from basis_strategy_v1.venues.staking import StakingProtocol, StakingRow
from basis_strategy_v1.venues.staking_shares import Protocol


def madeup(place, settings):
    return StakingProtocol(place, StakingRow.of("madeup", DAYS, GAS, DEX, settings), Protocol.ETHERFI)
'''
LINE, IMPORT = '    "madeup": ProtocolRow(ONCHAIN, staking.Settings, madeup),\n', "from basis_strategy_v1.venues.madeup import madeup\n"
RUN = """
import json, sys
sys.path.insert(0, "src")
from basis_strategy_v1 import EventDrivenStrategyEngine
for place, config in enumerate(json.load(open("configs.json"))):
    engine = EventDrivenStrategyEngine.from_config(config, data="data", results=f"results{place}", logs=f"logs{place}")
    print(engine.run().paths["summary.json"].parent)
"""
START = datetime(2024, 6, 1, tzinfo=UTC)


def stamp(days: float) -> str:
    return f"{START + timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"


def config_of(protocol: str, mode: str, strategy: dict[str, Any]) -> dict[str, Any]:
    return {
        "strategy_mode": mode,
        "share_class": "eth_directional",
        "initial_capital": 100,
        "initial_positions": {"wallet": {"ETH": 100}},
        "start": stamp(0),
        "end": stamp(20),
        "interval": "1h",
        "strategy": strategy,
        "venues": {"dex": ["curve"], "onchain": {protocol: {"withdrawal_days": "5.3"}, "wallet": {"gas_price_gwei": 5}}},
    }


def staked_and_left(protocol: str) -> dict[str, Any]:
    """Staked as the wrapped token, asked back after ten days, claimed."""
    return config_of(protocol, "eth_staking_only", {"protocol": protocol, "leave_at": stamp(10)})


def blocks_of(folder: Path, protocol: str, rebasing: str, wrapped: str) -> dict[str, Any]:
    """Staked as the rebasing token, which grows; half of it wrapped and sold, the rest asked back."""
    steps: list[dict[str, Any]] = [
        {"protocol": protocol, "action": "stake", "token": "ETH", "amount": 40},
        {"protocol": protocol, "action": "wrap", "token": rebasing, "amount": 20},
        {"protocol": protocol, "action": "unwrap", "token": wrapped, "amount": 1},
        {"protocol": "curve", "action": "swap", "token": wrapped, "amount": "all", "token_out": "ETH"},
        {"protocol": protocol, "action": "unstake", "token": rebasing, "amount": 15},
    ]
    rows = [{"timestamp": stamp(day), "block": {"instruction_type": "smart_contract_action", **step}} for day, step in enumerate(steps, 1)]
    file = folder / f"{protocol}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return config_of(protocol, "blocks", {"file": str(file)})


def write_data(folder: Path, tokens: dict[str, str]) -> None:
    """A price of ether, and for each protocol and its wrapped token the same growing rate and the same market price."""
    bars = [f"{stamp(hour / 24)},{3000 + hour},{3001 + hour},{2999 + hour},{3000 + hour},1" for hour in range(-2, 500)]
    rates = [f"{stamp(day)},1.0{400 + day}" for day in range(-1, 22)]
    traded = [f"{stamp(hour / 24)},1.039" for hour in range(-2, 500)]
    written = {"ohlcv/bybit/spot/ETHUSDT_1h": ("open,high,low,close,volume", bars)}
    for protocol, wrapped in tokens.items():
        written[f"staking/{protocol}/{wrapped}"] = ("eth_per_token", rates)
        written[f"dex/curve/{wrapped}_WETH"] = ("eth_per_token", traded)
    for name, (header, rows) in written.items():
        path = folder / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([f"timestamp,{header}", *rows, ""]))


def put_before(file: Path, mark: str, text: str) -> None:
    found = file.read_text()
    assert found.count(mark) == 1
    file.write_text(found.replace(mark, text + mark))


def package_with_one_more(source: Path, rebasing: str | None, wrapped: str) -> None:
    """A copy of the package with the row, the file, and the line (with its import)."""
    package = source / "basis_strategy_v1"
    shutil.copytree(Path(basis_strategy_v1.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    put_before(package / "core" / "tokens.py", '    Staked("etherfi"', f"    {ROW.format(rebasing=rebasing, wrapped=wrapped)},\n")
    put_before(package / "venues" / "registry.py", '    "etherfi": ProtocolRow(', LINE)
    put_before(package / "venues" / "registry.py", "from basis_strategy_v1.venues.lido import", IMPORT)
    (package / "venues" / "madeup.py").write_text(FILE)


@pytest.mark.parametrize(("rebasing", "wrapped"), MADE_UP, ids=["with a rebasing token", "without"])
def test_a_row_a_file_and_a_line_are_all_that_a_further_protocol_takes(rebasing: str | None, wrapped: str, tmp_path: Path) -> None:
    package_with_one_more(tmp_path / "src", rebasing, wrapped)
    write_data(tmp_path / "data", {"etherfi": "weETH", "madeup": wrapped})
    configs = [staked_and_left("etherfi"), staked_and_left("madeup")]
    if rebasing is not None:
        configs += [blocks_of(tmp_path, "etherfi", "eETH", "weETH"), blocks_of(tmp_path, "madeup", rebasing, wrapped)]
    (tmp_path / "configs.json").write_text(json.dumps(configs))
    ran = subprocess.run([sys.executable, "-c", RUN], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    folders = [tmp_path / line for line in ran.stdout.splitlines()]
    assert len(folders) == len(configs)
    for usual, made_up in zip(folders[::2], folders[1::2], strict=True):
        assert len((usual / "events.csv").read_text().splitlines()) > 4
        for name in ("equity.csv", "positions.csv", "events.csv"):
            assert renamed(made_up, name, {wrapped: "weETH", str(rebasing): "eETH", "madeup": "etherfi"}) == renamed(usual, name, {})


def renamed(folder: Path, name: str, names: dict[str, str]) -> str:
    """What a run wrote, with the names of the other protocol and without the hash of its config."""
    text = (folder / name).read_text()
    config_hash = json.loads((folder / "summary.json").read_text())["config_hash"]
    for old, new in {config_hash: "hash", **names}.items():
        text = text.replace(old, new)
    return re.sub("auto:[0-9a-z.]+", "key", text)
