"""Basis, lending and staking strategies: one instruction block, the same deltas in a backtest and live."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from basis_strategy_v1.app.run_in_python import Run, open_run, run
    from basis_strategy_v1.app.sweep import sweep
    from basis_strategy_v1.config import load_config
    from basis_strategy_v1.core.error_codes.error_code_registry import ErrorCodeRegistry
    from basis_strategy_v1.core.error_codes.exceptions import ComponentError
    from basis_strategy_v1.data.data_provider import DataProvider
    from basis_strategy_v1.engine import EventDrivenStrategyEngine
    from basis_strategy_v1.execution.execution_interface_manager import ExecutionInterfaceManager
    from basis_strategy_v1.execution.execution_interfaces import (
        CEXExecutionInterface,
        DEXExecutionInterface,
        OnChainExecutionInterface,
    )
    from basis_strategy_v1.execution.execution_manager import ExecutionManager
    from basis_strategy_v1.monitoring.event_logger import EventLogger
    from basis_strategy_v1.monitoring.health import UnifiedHealthManager
    from basis_strategy_v1.positions.position_update_handler import PositionUpdateHandler

__version__ = "0.1.0"  # a literal: the build reads it without importing the package

_HOME = {
    "ExecutionInterfaceManager": "execution.execution_interface_manager",
    "ExecutionManager": "execution.execution_manager",
    "CEXExecutionInterface": "execution.execution_interfaces",
    "DEXExecutionInterface": "execution.execution_interfaces",
    "OnChainExecutionInterface": "execution.execution_interfaces",
    "PositionUpdateHandler": "positions.position_update_handler",
    "EventDrivenStrategyEngine": "engine",
    "DataProvider": "data.data_provider",
    "EventLogger": "monitoring.event_logger",
    "UnifiedHealthManager": "monitoring.health",
    "ComponentError": "core.error_codes.exceptions",
    "ErrorCodeRegistry": "core.error_codes.error_code_registry",
    "load_config": "config",
    "Run": "app.run_in_python",
    "open_run": "app.run_in_python",
    "run": "app.run_in_python",
    "sweep": "app.sweep",
}

__all__ = [
    "CEXExecutionInterface",
    "ComponentError",
    "DEXExecutionInterface",
    "DataProvider",
    "ErrorCodeRegistry",
    "EventDrivenStrategyEngine",
    "EventLogger",
    "ExecutionInterfaceManager",
    "ExecutionManager",
    "OnChainExecutionInterface",
    "PositionUpdateHandler",
    "Run",
    "UnifiedHealthManager",
    "load_config",
    "open_run",
    "run",
    "sweep",
]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used, so that importing the package stays cheap."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
