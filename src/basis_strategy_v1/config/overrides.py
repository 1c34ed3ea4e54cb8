"""Values of a config that are given on the command line: `--set strategy.leverage=2`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.config.faults import ConfigError, Fault
from basis_strategy_v1.config.yaml_reader import read_yaml_text
from basis_strategy_v1.core.amounts import shown

if TYPE_CHECKING:
    from collections.abc import Iterable

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z0-9_][A-Za-z0-9_-]*)*")


def changes_of(sets: Iterable[str]) -> dict[str, Any]:
    """Full name -> value of each `KEY=VALUE`; a value is written as in YAML.

    Raises:
        ConfigError: CFG-001, with what is wrong.
    """
    faults: list[Fault] = []
    found: dict[str, Any] = {}
    for text in sets:
        key, equals, value = text.partition("=")
        if not equals or not _KEY.fullmatch(key.strip()):
            faults.append(Fault("--set", shown(text), "KEY=VALUE with the full name of a key, such as strategy.leverage=2"))
        elif key.strip() in found:
            faults.append(Fault("--set", shown(key.strip()), "each key once"))
        else:
            found[key.strip()] = read_yaml_text(value, faults, f"--set {key.strip()}")
    if faults:
        raise ConfigError(faults)
    return found
