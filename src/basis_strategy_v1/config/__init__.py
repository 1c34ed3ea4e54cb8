"""The config of a run: read, checked, typed; and the environment's four variables."""

from __future__ import annotations

from basis_strategy_v1.config.environment import Environment
from basis_strategy_v1.config.faults import ConfigError, Fault
from basis_strategy_v1.config.loading import Config, DataConfig, Limits, VenuesConfig, load_config
from basis_strategy_v1.config.schema import json_schema

__all__ = ["Config", "ConfigError", "DataConfig", "Environment", "Fault", "Limits", "VenuesConfig", "json_schema", "load_config"]
