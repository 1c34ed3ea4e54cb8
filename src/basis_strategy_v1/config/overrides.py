"""Values of a config that are given on the command line: `--set strategy.leverage=2`."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from basis_strategy_v1.config.faults import ConfigError, Fault
from basis_strategy_v1.config.yaml_reader import read_yaml_text
from basis_strategy_v1.core.amounts import shown
from basis_strategy_v1.core.settings import plain_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z0-9_][A-Za-z0-9_-]*)*")


def changes_of(sets: Iterable[str]) -> dict[str, Any]:
    """Full name -> value of each `KEY=VALUE`; a value is written as in YAML.

    Raises:
        ConfigError: CFG-001, with what is wrong.
    """
    return _read(sets, lambda key, value, faults: _plain(read_yaml_text(value, faults, f"--set {key}")))


def grid_of(sets: Iterable[str]) -> dict[str, list[Any]]:
    """Full name -> values of each `KEY=V1,V2`; a comma within brackets parts nothing.

    Raises:
        ConfigError: CFG-001, with what is wrong.
    """

    def values(key: str, text: str, faults: list[Fault]) -> list[Any]:
        return [_plain(read_yaml_text(part, faults, f"--set {key}")) for part in _parts(text)] if text.strip() else []

    return _read(sets, values)


def _read(sets: Iterable[str], value_of: Callable[[str, str, list[Fault]], Any]) -> dict[str, Any]:
    faults: list[Fault] = []
    found: dict[str, Any] = {}
    for text in sets:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not _KEY.fullmatch(key):
            faults.append(Fault("--set", shown(text), "KEY=VALUE with the full name of a key, such as strategy.leverage=2"))
        elif key in found:
            faults.append(Fault("--set", shown(key), "each key once"))
        else:
            found[key] = value_of(key, value, faults)
    if faults:
        raise ConfigError(faults)
    return found


def _plain(value: Any) -> Any:
    return plain_number(value) if isinstance(value, Decimal) else value


def _parts(text: str) -> list[str]:
    """The parts between commas that are in no brackets."""
    parts, depth = [""], 0
    for sign in text:
        depth += (sign in "[{") - (sign in "]}")
        if sign == "," and not depth:
            parts.append("")
        else:
            parts[-1] += sign
    return parts
