"""Whatever JSON can hold is a config or a ConfigError."""

from __future__ import annotations

import contextlib
import copy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from basis_strategy_v1.config import Config, ConfigError, load_config
from basis_strategy_v1.config.loading import top_record
from basis_strategy_v1.strategies import STRATEGIES

from .conftest import right_config

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4), max_leaves=20
)
NAMES = sorted({*top_record(None).names, "cex", "dex", "onchain", "bybit", "aave", "file", "parameters", "USDT", "exchange", "protocol"})


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    for key, item in value.items() if isinstance(value, dict) else ():
        found += places(item, (*path, key))
    return found


@settings(max_examples=300, deadline=None)
@given(value=anything, run=st.booleans(), live=st.booleans())
def test_any_json_value_is_a_config_or_a_config_error(value: Any, run: bool, live: bool) -> None:
    with contextlib.suppress(ConfigError):
        assert isinstance(load_config(value, run=run, live=live), Config)


@settings(max_examples=500, deadline=None)
@given(data=st.data(), mode=st.sampled_from(sorted(STRATEGIES)), name=st.sampled_from(NAMES) | st.text(max_size=10), value=anything)
def test_any_json_value_anywhere_in_a_right_config_is_a_config_or_a_config_error(data: Any, mode: str, name: str, value: Any) -> None:
    config = copy.deepcopy(right_config(mode))
    target = config
    for key in data.draw(st.sampled_from(places(config))):
        target = target[key] if isinstance(target[key], dict) else target
    target[name] = value
    try:
        loaded = load_config(config, run=True)
    except ConfigError as error:
        assert error.faults
        assert len(error.message.splitlines()) == len(error.faults)
    else:
        assert load_config(loaded.effective).hash == loaded.hash
