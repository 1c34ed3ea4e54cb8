"""The tables as a JSON schema (draft 2020-12), for editors."""

from __future__ import annotations

from typing import Any

from basis_strategy_v1.config.strategy_tables import STRATEGIES
from basis_strategy_v1.config.tables import UNKNOWN_TOP


def json_schema() -> dict[str, Any]:
    """The schema of a config that can be run; what fits together across fields is checked by load_config alone."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A run of basis-strategy",
        **UNKNOWN_TOP.schema(),
        "allOf": [_strategy_rule(mode) for mode in STRATEGIES],
    }


def _strategy_rule(mode: str) -> dict[str, Any]:
    return {
        "if": {"properties": {"strategy_mode": {"const": mode}}, "required": ["strategy_mode"]},
        "then": {"properties": {"strategy": STRATEGIES[mode].schema()}},
    }
