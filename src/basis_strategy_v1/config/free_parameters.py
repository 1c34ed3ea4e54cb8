"""The one part of a config without a table: the parameters of a user's own strategy."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from math import isfinite
from typing import Any

from msgspec import Struct

from basis_strategy_v1.config.faults import UNREADABLE, Reading, is_secret_name, joined

_DEEPEST = 16


class Free(Struct, frozen=True):
    """A mapping of whatever JSON can hold, for the parameters of a user's own strategy; numbers arrive as int or float."""

    @property
    def allowed(self) -> str:
        return f"a mapping of texts, finite numbers, true, false, null, lists and mappings, at most {_DEEPEST} deep"

    def read(self, value: object, path: str, reading: Reading) -> Any:
        if not isinstance(value, Mapping):
            return reading.fault(path, value, self.allowed)
        return self._read(value, path, reading, _DEEPEST)

    def _read(self, value: object, path: str, reading: Reading, levels: int) -> Any:
        reading.nodes_left -= 1
        if reading.nodes_left == 0:
            reading.fault(path, value, "fewer values")
        if levels < 0 or reading.nodes_left <= 0:
            return UNREADABLE if reading.nodes_left <= 0 else reading.fault(path, value, self.allowed)
        if isinstance(value, Mapping):
            return {key: self._read_key(key, value[key], path, reading, levels) for key in value}
        if isinstance(value, list | tuple):
            return [self._read(item, f"{path}[{index}]", reading, levels - 1) for index, item in enumerate(value)]
        return self._read_scalar(value, path, reading)

    def _read_key(self, key: object, value: object, path: str, reading: Reading, levels: int) -> Any:
        if not isinstance(key, str):
            return reading.fault(joined(path, key), key, "a text as key")
        if is_secret_name(key):
            reading.unknown(path, key, ())
            return UNREADABLE
        return self._read(value, joined(path, key), reading, levels - 1)

    def _read_scalar(self, value: object, path: str, reading: Reading) -> Any:
        if value is None or isinstance(value, str | bool):
            return value
        if isinstance(value, int) and abs(value) < 2**63:
            return value
        if isinstance(value, float) or (isinstance(value, Decimal) and value.is_finite()):
            number = float(value)
            return number if isfinite(number) else reading.fault(path, value, self.allowed)
        return reading.fault(path, value, self.allowed)

    def plain(self, value: Any) -> Any:
        return value

    def schema(self) -> dict[str, Any]:
        return {"type": "object"}
