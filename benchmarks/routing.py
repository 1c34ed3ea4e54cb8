"""What an instruction costs from block to positions: validation, routing, deltas, positions and two event lines."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from figures import best_of, show

from basis_strategy_v1 import DataProvider, EventLogger, ExecutionInterfaceManager, PositionUpdateHandler
from basis_strategy_v1.core.instructions import parse_instruction
from basis_strategy_v1.data.sample import write_sample

AT = datetime(2024, 7, 1, tzinfo=UTC)
CONFIG = {
    "strategy_mode": "eth_basis",
    "share_class": "usdt_stable",
    "initial_capital": 100_000,
    "venues": {"cex": ["bybit"], "onchain": {"aave": None, "wallet": {"gas_price_gwei": 0}}},
}
SPOT = {"instruction_type": "cex_trade", "venue": "bybit", "trade_type": "spot", "side": "buy", "symbol": "ETHUSDT", "amount": 1.5}
PERP = {**SPOT, "trade_type": "perp", "side": "sell"}
SUPPLY = {"instruction_type": "smart_contract_action", "protocol": "aave", "action": "supply", "token": "USDT", "amount": 1000}
REPEATS = 2_000


class Wire(msgspec.Struct, forbid_unknown_fields=True):
    """The block as a plain Struct, for the floor."""

    instruction_type: str
    venue: str
    trade_type: str
    side: str
    symbol: str
    amount: float


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_sample(Path(folder) / "data")
        held = {"bybit": {"USDT": 10**9, "ETH": 10**6}, "wallet": {"USDT": 10**9, "ETH": 10}}
        with EventLogger(Path(folder) / "logs") as log:
            manager = ExecutionInterfaceManager(
                CONFIG, DataProvider(Path(folder) / "data"), "backtest", positions=PositionUpdateHandler(held), event_logger=log
            )
            floor = best_of(5, _floor, REPEATS) * 1e6
            pairs = (
                ("spot trade", [SPOT, {**SPOT, "side": "sell"}]),
                ("perp trade", [PERP, {**PERP, "side": "buy"}]),
                ("aave supply and withdraw", [SUPPLY, {**SUPPLY, "action": "withdraw"}]),
            )
            for name, blocks in pairs:
                seconds = best_of(7, lambda blocks=blocks: _route(manager, blocks), REPEATS * len(blocks))
                target = None if "aave" in name else 10
                show(f"{name}, end to end with two events", seconds * 1e6, target, "µs", floor, "decode a struct, encode two lines")
        show("parse_instruction alone", best_of(7, _parse, REPEATS) * 1e6, None, "µs")


def _route(manager: ExecutionInterfaceManager, blocks: list[dict[str, object]]) -> None:
    update = manager.update_state
    for _ in range(REPEATS):
        for block in blocks:
            update(AT, "execution_manager", block)


def _parse() -> None:
    for _ in range(REPEATS):
        parse_instruction(SPOT)


def _floor() -> None:
    convert, encode = msgspec.convert, msgspec.json.Encoder().encode
    for _ in range(REPEATS):
        wire = convert(SPOT, Wire)
        encode(wire)
        encode(wire)


if __name__ == "__main__":
    main()
