"""Environment Variables: four of them, read once, with an error for a value that is not allowed."""

from __future__ import annotations

import pytest

from basis_strategy_v1 import DataProvider, ExecutionInterfaceManager
from basis_strategy_v1.config.environment import VARIABLES

from ..world import refused
from .examples import CONFIG, NOON, TRADE, Prices, data_folder, manager

SPECIFIED = {
    "BASIS_EXECUTION_MODE": ("backtest", "live"),
    "BASIS_ENVIRONMENT": ("dev", "staging", "production"),
    "BASIS_DEPLOYMENT_MODE": ("local", "docker"),
    "BASIS_DATA_MODE": ("csv", "db"),
}


def test_the_variables_and_their_values_are_the_specified_ones():
    assert VARIABLES == SPECIFIED


@pytest.mark.parametrize("mode", ["backtest", "live"])
def test_the_execution_mode_is_read_when_none_is_given(mode, monkeypatch):
    monkeypatch.setenv("BASIS_EXECUTION_MODE", mode)
    found = ExecutionInterfaceManager(CONFIG, Prices())
    assert (found.execution_mode, {interface.execution_mode for interface in found.interfaces.values()}) == (mode, {mode})


def test_without_the_variable_it_is_a_backtest(monkeypatch):
    monkeypatch.delenv("BASIS_EXECUTION_MODE", raising=False)
    assert ExecutionInterfaceManager(CONFIG, Prices()).execution_mode == "backtest"


def test_a_mode_that_is_given_goes_before_the_variable(monkeypatch):
    monkeypatch.setenv("BASIS_EXECUTION_MODE", "live")
    assert manager(execution_mode="backtest").execution_mode == "backtest"


@pytest.mark.parametrize(("name", "values"), SPECIFIED.items())
def test_each_value_is_taken_and_another_is_refused_with_the_allowed_ones(name, values, monkeypatch):
    for value in values:
        monkeypatch.setenv(name, value)
        field = name.removeprefix("BASIS_").lower()
        assert getattr(manager().environment, field) == value
    monkeypatch.setenv(name, "other")
    error = refused(manager)
    assert (error.error_code, error.message) == ("CFG-002", f"{name}: 'other'; allowed: {' | '.join(values)}")


def test_they_are_read_at_construction_and_never_again(monkeypatch):
    found = ExecutionInterfaceManager(CONFIG, Prices())
    for name in SPECIFIED:
        monkeypatch.setenv(name, "other")
    assert found.route_instruction(NOON, TRADE) == {"binance": {"ETH": -1.0, "USDT": 3300.0}}


def test_the_data_mode_chooses_files_or_a_database(monkeypatch, tmp_path):
    monkeypatch.setenv("BASIS_DATA_MODE", "db")
    assert refused(DataProvider, data_folder(tmp_path)).error_code == "DAT-006"
    monkeypatch.setenv("BASIS_DATA_MODE", "csv")
    assert DataProvider(tmp_path).series_ids == ("ohlcv/binance/spot/ETHUSDT_1h",)


def test_routing_selection_and_aggregation_are_the_same_whatever_they_say(monkeypatch):
    before = manager().route_instruction(NOON, TRADE)
    for name, value in (("BASIS_ENVIRONMENT", "production"), ("BASIS_DEPLOYMENT_MODE", "docker"), ("BASIS_DATA_MODE", "db")):
        monkeypatch.setenv(name, value)
    assert manager().route_instruction(NOON, TRADE) == before
