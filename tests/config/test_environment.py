"""The four BASIS_* variables."""

from __future__ import annotations

import pytest

from basis_strategy_v1.config import Environment
from basis_strategy_v1.config.environment import VARIABLES
from basis_strategy_v1.core.error_codes.exceptions import ComponentError


def test_what_is_not_set_has_its_default() -> None:
    assert Environment.read({}) == Environment("backtest", "dev", "local", "csv")


def test_the_process_environment_is_read_when_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(VARIABLES, ("live", "production", "docker", "db"), strict=True):
        monkeypatch.setenv(name, value)
    assert Environment.read() == Environment("live", "production", "docker", "db")


@pytest.mark.parametrize("name", VARIABLES)
@pytest.mark.parametrize("value", ["", "Live", "no such mode\n"])
def test_another_value_is_an_error_that_names_the_allowed_ones(name: str, value: str) -> None:
    with pytest.raises(ComponentError) as caught:
        Environment.read({name: value})
    assert caught.value.error_code == "CFG-002"
    assert caught.value.message == f"{name}: {value!r}; allowed: {' | '.join(VARIABLES[name])}"


def test_all_wrong_variables_are_named_at_once() -> None:
    with pytest.raises(ComponentError) as caught:
        Environment.read(dict.fromkeys(VARIABLES, "x"))
    assert [line.partition(":")[0] for line in caught.value.message.splitlines()] == list(VARIABLES)
