"""What the on-chain simulators cost: an Aave bar, Uniswap quotes, a chain of five steps, a leveraged year of hourly bars."""

from __future__ import annotations

import decimal
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from figures import best_of, show

from basis_strategy_v1 import DataProvider, EventDrivenStrategyEngine, ExecutionInterfaceManager, PositionUpdateHandler
from basis_strategy_v1.core.amounts import EXACT
from basis_strategy_v1.data.sample import write_sample
from basis_strategy_v1.venues.uniswap_pool import PoolState, add_position, full_range, quote, sqrt_price_at

AT = datetime(2024, 7, 1, tzinfo=UTC)
REPEATS = 500
ROOT = Path(__file__).parents[1]
CONFIG = {
    "strategy_mode": "eth_leveraged",
    "share_class": "eth_directional",
    "initial_capital": 100,
    "venues": {"dex": ["uniswap"], "onchain": {"aave": None, "lido": None, "wallet": {"gas_price_gwei": 0}}},
}
CHAIN = {
    "instruction_type": "smart_contract_action",
    "atomic": True,
    "sub_instructions": [
        {"protocol": "lido", "action": "stake", "token": "ETH", "amount": 10, "token_out": "wstETH"},
        {"protocol": "aave", "action": "supply", "token": "wstETH", "amount": {"output_of": 0}},
        {"protocol": "aave", "action": "borrow", "token": "WETH", "amount": 5},
        {"protocol": "wallet", "action": "unwrap", "token": "WETH", "amount": {"output_of": 2}},
        {"protocol": "lido", "action": "stake", "token": "ETH", "amount": {"output_of": 3}, "token_out": "wstETH"},
    ],
}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        write_sample(data)
        _aave_bar(data)
        _chain(data)
        _leveraged_year(data, Path(folder))
    _uniswap()


def _manager(data: Path) -> ExecutionInterfaceManager:
    held = PositionUpdateHandler({"wallet": {"ETH": 10**6}})
    return ExecutionInterfaceManager(CONFIG, DataProvider(data), "backtest", positions=held)


def _aave_bar(data: Path) -> None:
    manager = _manager(data)
    manager.execute(AT, CHAIN)
    account, hours = manager.account, [AT + timedelta(hours=hour) for hour in range(1, 24)]

    def day() -> None:
        for at in hours:
            for _ in account.advance_to(at):
                pass

    decimal.setcontext(EXACT)
    show("an Aave bar: indices forward, deposit and debt", best_of(20, day, len(hours)) * 1e6, 5, "µs")


def _chain(data: Path) -> None:
    manager = _manager(data)
    market, state = manager.account.look(AT)
    from basis_strategy_v1.core.instructions import parse_instruction
    from basis_strategy_v1.venues.chain import simulate_transaction

    steps = parse_instruction(CHAIN).steps  # type: ignore[union-attr]

    def run() -> None:
        for _ in range(REPEATS):
            simulate_transaction(steps, manager.account.venues, state, market)

    decimal.setcontext(EXACT)
    show("a chain of five steps", best_of(7, run, REPEATS) * 1e6, 60, "µs")


def _leveraged_year(data: Path, folder: Path) -> None:
    """The sample is half a year; the loop's time is scaled to the 8,760 steps of a year."""
    config = ROOT / "config" / "eth_leveraged.yaml"
    engine = EventDrivenStrategyEngine.from_config(config, data, folder / "results", folder / "logs", report=False)
    engine.run()
    steps = len(engine.curve.instants)
    show("the leveraged strategy, a year of hourly bars", engine.seconds["loop"] / steps * 8_760, 2, "s")


def _uniswap() -> None:
    lower, upper = full_range(10)
    pool = add_position(PoolState(sqrt_price_at(5), 5, 0, 500, 10, ()), lower, upper, 10**20)
    for step in range(1, 13):
        pool = add_position(pool, -step * 10, step * 10, 10**20)

    def within() -> None:
        for _ in range(REPEATS):
            quote(pool, True, 10**15)

    def over() -> None:
        for _ in range(REPEATS):
            quote(pool, True, 3 * 10**18)

    show("a Uniswap v3 quote within a tick", best_of(9, within, REPEATS) * 1e6, 8, "µs")
    show("a Uniswap v3 quote over many ticks", best_of(9, over, REPEATS) * 1e6, 45, "µs")


if __name__ == "__main__":
    main()
