"""The config of a run: read, checked, typed; and the environment's four variables."""

from __future__ import annotations

from basis_strategy_v1.config.environment import Environment
from basis_strategy_v1.config.faults import ConfigError, Fault
from basis_strategy_v1.config.loading import Config, json_schema, load_config, load_settings
from basis_strategy_v1.config.models import DataConfig, Live
from basis_strategy_v1.config.venue_sections import VenuesConfig
from basis_strategy_v1.core.limits import Limits

__all__ = [
    "Config",
    "ConfigError",
    "DataConfig",
    "Environment",
    "Fault",
    "Limits",
    "Live",
    "VenuesConfig",
    "json_schema",
    "load_config",
    "load_settings",
]
