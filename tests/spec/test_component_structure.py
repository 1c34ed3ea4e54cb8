"""Component Structure: the second form of the constructor."""

from __future__ import annotations

from basis_strategy_v1 import ExecutionInterfaceManager, UnifiedHealthManager

from .examples import CONFIG


def test_it_is_made_from_config_mode_and_health_manager():
    health = UnifiedHealthManager()
    found = ExecutionInterfaceManager(config=CONFIG, execution_mode="backtest", health_manager=health)
    assert found.config is CONFIG
    assert (found.execution_mode, found.health_manager) == ("backtest", health)
    assert (found.last_routing_timestamp, found.routing_count) == (None, 0)


def test_it_registers_itself_with_the_health_system():
    health = UnifiedHealthManager()
    found = ExecutionInterfaceManager(config=CONFIG, execution_mode="backtest", health_manager=health)
    assert health.check_health() == {"ExecutionInterfaceManager": found._health_check()}
