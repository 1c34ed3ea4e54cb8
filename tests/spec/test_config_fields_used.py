"""Config Fields Used: the universal fields, the manager's two, their defaults and ranges."""

from __future__ import annotations

import copy

import pytest

from basis_strategy_v1 import load_config

from ..world import refused
from .examples import CONFIG, NOON, NOT_CONFIGURED, SUPPLY, TRADE, manager


@pytest.mark.parametrize("field", ["strategy_mode", "share_class", "initial_capital", "venues"])
def test_a_universal_field_is_required(field):
    error = refused(load_config, {name: value for name, value in CONFIG.items() if name != field})
    assert (error.error_code, error.message.startswith(f"{field}: missing")) == ("CFG-001", True)


@pytest.mark.parametrize("share_class", ["usdt_stable", "eth_directional"])
def test_the_share_classes_are_the_two_specified(share_class):
    assert load_config({**CONFIG, "share_class": share_class}).share_class == share_class
    assert refused(load_config, {**CONFIG, "share_class": "btc"}).message == "share_class: 'btc'; allowed: usdt_stable | eth_directional"


@pytest.mark.parametrize(("field", "default"), [("venue_timeout", 15), ("max_retries_per_venue", 3)])
def test_the_default_holds_where_the_field_is_left_out(field, default):
    assert getattr(manager().settings, field) == default


@pytest.mark.parametrize(
    ("field", "allowed", "refused_values"), [("venue_timeout", (1, 15, 119), (0, 120, -1)), ("max_retries_per_venue", (1, 9), (0, 10, -1))]
)
def test_the_range_is_open_at_both_ends(field, allowed, refused_values):
    for value in allowed:
        assert getattr(load_config({**CONFIG, field: value}), field) == value
    for value in refused_values:
        error = refused(load_config, {**CONFIG, field: value})
        assert (error.error_code, error.message.split(":")[0]) == ("CFG-001", field)


def test_the_config_is_never_modified():
    config = copy.deepcopy(CONFIG)
    found = manager(config=config)
    found.route_instruction(NOON, TRADE)
    found.update_state(NOON, "manual", SUPPLY)
    refused(found.route_instruction, NOON, NOT_CONFIGURED)
    found.preflight(NOON, [TRADE, SUPPLY])
    assert found.config == CONFIG


def test_type_parsing_routing_and_aggregation_are_the_same_whatever_it_says():
    changed = manager(config={"venue_timeout": 1, "max_retries_per_venue": 1, "retry_delay_seconds": 0, "max_retry_attempts": 1})
    assert changed.route_instruction(NOON, TRADE) == manager().route_instruction(NOON, TRADE)
