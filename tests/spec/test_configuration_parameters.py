"""Configuration Parameters: retries, their delay, atomic chaining."""

from __future__ import annotations

import pytest

from ..world import refused
from .examples import NOON, SUPPLY, manager

CHAIN = {"instruction_type": "smart_contract_action", "sub_instructions": [SUPPLY, SUPPLY]}


@pytest.mark.parametrize(("field", "default"), [("max_retry_attempts", 3), ("retry_delay_seconds", 0.1), ("enable_atomic_chaining", True)])
def test_the_defaults_are_the_specified_ones(field, default):
    assert float(getattr(manager().settings, field)) == default


def test_the_venues_own_settings_are_their_interfaces():
    found = manager(config={"venues": {"cex": {"binance": {"slippage_bps": 7}, "hyperliquid": None}}})
    assert found.interfaces["binance"].config["slippage_bps"] == 7


def test_atomic_chaining_can_be_switched_off():
    off = manager(config={"enable_atomic_chaining": False})
    error = refused(off.route_instruction, NOON, CHAIN)
    assert (error.error_code, error.message) == ("EIM-001", "an atomic chain is refused: enable_atomic_chaining is false in the config")
    assert off.route_instruction(NOON, {**CHAIN, "atomic": False}) == {"aave": {"USDT": -2000.0, "aUSDT": 2000.0}}
    assert manager().route_instruction(NOON, CHAIN) == {"aave": {"USDT": -2000.0, "aUSDT": 2000.0}}
