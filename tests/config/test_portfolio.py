"""A portfolio in a config: what may stand in it, and the config of each of its strategies."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import yaml

from basis_strategy_v1.config import Config, ConfigError, json_schema, load_config

CARRY = {"name": "carry", "share": 0.6, "strategy_mode": "eth_basis", "strategy": {"spot_venue": "bybit", "perp_venue": "bybit"}}
LEND = {"name": "lend", "share": 0.4, "strategy_mode": "pure_lending", "strategy": {"token": "USDT"}}


def given(*parts: Any, **changes: Any) -> dict[str, Any]:
    return {
        "share_class": "usdt_stable", "initial_capital": 100_000, "start": "2024-06-01", "end": "2024-06-10",
        "venues": {"cex": ["bybit"], "onchain": {"aave": {}, "wallet": {}}}, "portfolio": list(parts), **changes,
    }  # fmt: skip


def refused(config: Any, *, live: bool = False) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(config, run=True, live=live)
    return caught.value.message.splitlines()


def test_each_strategy_has_a_config_with_its_share_of_the_capital() -> None:
    found = load_config(given(CARRY, LEND), run=True)
    assert [(part.strategy_mode, part.initial_capital) for part in found.parts] == [
        ("eth_basis", Decimal(60_000)),
        ("pure_lending", Decimal(40_000)),
    ]
    assert (found.strategy_mode, found.strategy) == ("portfolio", None)


def test_its_yaml_has_the_defaults_and_is_the_same_config_again(tmp_path: Any) -> None:
    found = load_config(given(CARRY, LEND), run=True)
    again = yaml.safe_load(found.to_yaml())
    assert again["portfolio"][1] == {**LEND, "strategy": {"protocol": "aave", "token": "USDT"}}
    assert "strategy_mode" not in again
    assert load_config(again, run=True).hash == found.hash


def test_an_edited_strategy_file_is_another_config(tmp_path: Any) -> None:
    file = tmp_path / "own.py"
    own = {"name": "own", "share": 0.1, "strategy_mode": "custom", "strategy": {"file": str(file)}}

    def config_with(text: str) -> Config:
        file.write_text(text)
        return load_config(given(CARRY, own), run=True)

    assert len({config_with(text).hash for text in ("a = 1", "a = 2", "a = 1")}) == 2


@pytest.mark.parametrize(
    ("config", "line"),
    [
        (given(CARRY, {**LEND, "share": 0.5}), "portfolio: shares that add up to 1.1; allowed: at most 1 in all"),
        (given(), "portfolio: an empty list; allowed: a list with at least one strategy"),
        (given(CARRY, {**LEND, "name": "carry"}), "portfolio[1].name: 'carry'; allowed: a name that no other strategy here has"),
        (given(CARRY, strategy_mode="eth_basis"),
         "strategy_mode: 'eth_basis'; allowed: nothing next to portfolio: each strategy has its own"),
        (given(CARRY, strategy={"leverage": 2}), "strategy: a mapping of 1; allowed: nothing next to portfolio: each strategy has its own"),
        (given(CARRY, initial_positions={"bybit": {"USDT": 5}}), "initial_positions: a mapping of 1; allowed: nothing next to portfolio"),
        (given(CARRY, {**LEND, "strategy_mode": "blocks"}),
         "portfolio[1].strategy_mode: blocks; allowed: a strategy; blocks have times of their own"),
        (given(CARRY, {**LEND, "strategy": {"token": "DAI"}}),
         "portfolio[1].strategy.token: 'DAI'; allowed: USDT | USDC with share_class usdt_stable"),
        (given(CARRY, LEND, end="2024-05-01"), "end: 2024-05-01T00:00:00Z; allowed: a time after start, 2024-06-01T00:00:00Z"),
        (given(CARRY) | {"portfolio": 3},
         "portfolio: 3; allowed: a list, each a mapping with name, share, strategy_mode, strategy, none twice"),
        (given(3), "portfolio[0]: 3; allowed: a mapping with name, share, strategy_mode, strategy"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(config: Any, line: str) -> None:
    assert refused(config) == [line]


def test_live_refuses_it_by_name() -> None:
    limits = {"max_notional_per_instruction": 1, "max_notional_per_day": 1, "max_slippage_bps": 5, "max_unhedged_notional": 5}
    assert refused(given(CARRY, LEND, limits=limits), live=True) == [
        "portfolio: a list of 2; allowed: one strategy live: write strategy_mode and strategy; a portfolio is for backtests"
    ]


def test_the_schema_asks_for_a_strategy_or_for_several() -> None:
    assert json_schema()["anyOf"] == [{"required": ["strategy_mode"]}, {"required": ["portfolio"]}]
