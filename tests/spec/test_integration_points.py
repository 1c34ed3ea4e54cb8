"""Integration Points: called by the execution manager, calls the interfaces, directly and synchronously."""

from __future__ import annotations

import ast
from decimal import Decimal
from pathlib import Path

import pytest

import basis_strategy_v1.execution
from basis_strategy_v1 import ExecutionManager, PositionUpdateHandler

from .examples import CONFIG, NOON, SUPPLY, SWAP, TRADE, TRANSFER, manager

CALLS = {
    "cex_execution_interfaces": ("binance", "execute_trade", TRADE),
    "dex_execution_interfaces": ("uniswap", "execute_swap", SWAP),
    "onchain_execution_interfaces": ("aave", "execute_action", SUPPLY),
}
SOURCES = sorted(Path(basis_strategy_v1.execution.__path__[0]).glob("*.py"))


def test_the_execution_manager_hands_blocks_to_it_and_deltas_to_the_position_handler():
    handler = PositionUpdateHandler({"binance": {"ETH": 1, "USDT": 1000}})
    found = manager(positions=handler)
    reports = ExecutionManager(CONFIG, found, handler).execute_blocks(NOON, [TRADE, TRANSFER])
    assert [report.deltas.as_floats() for report in reports] == [TRADE["estimated_deltas"], TRANSFER["estimated_deltas"]]
    assert handler.positions == {"binance": {"USDT": Decimal(3300)}, "wallet": {"USDT": Decimal(1000)}}


@pytest.mark.parametrize("references", CALLS)
def test_an_interface_called_directly_gives_what_routing_gives(references):
    venue, method, block = CALLS[references]
    called, routed = manager(), manager()
    assert getattr(getattr(called, references)[venue], method)(block) == routed.route_instruction(NOON, block)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_there_is_no_async_code_and_no_message_queue(source):
    tree = ast.parse(source.read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef | ast.Await)]
    assert imported.isdisjoint({"asyncio", "redis", "kombu", "celery", "zmq", "aio_pika"})
