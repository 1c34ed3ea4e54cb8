"""Kinds of values that speak of venues: their sections, references to them, and a protocol's revisions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from difflib import get_close_matches
from itertools import pairwise
from typing import Any

from msgspec import Struct

from basis_strategy_v1.config.containers import Nullable, Record
from basis_strategy_v1.config.faults import UNREADABLE, Reading, Unreadable
from basis_strategy_v1.config.known_venues import KNOWN_VENUES, is_known
from basis_strategy_v1.config.scalars import Choice, Instant, exact
from basis_strategy_v1.core.clock import EPOCH

NO_SETTINGS = Record()
_NAME = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")


class Revisions(Struct, frozen=True):
    """Which revision of a protocol holds from when; read as a tuple of (from, revision), oldest first."""

    names: tuple[str, ...]

    @property
    def allowed(self) -> str:
        names = " | ".join(f'"{name}"' for name in self.names)
        return f"{names}, or a list of {{from: date, revision}} in order of time"

    def read(self, value: object, path: str, reading: Reading) -> tuple[tuple[datetime, str], ...] | Unreadable:
        if not isinstance(value, list | tuple):
            name = self._name(value)
            return ((EPOCH, name),) if name else reading.fault(path, value, self.allowed)
        steps = [self._step(item, f"{path}[{index}]", reading) for index, item in enumerate(value)]
        known = tuple(step for step in steps if step is not None)
        if len(known) < len(steps):
            return UNREADABLE
        in_order = all(earlier[0] < later[0] for earlier, later in pairwise(known))
        return known if known and in_order else reading.fault(path, value, self.allowed)

    def _step(self, item: object, path: str, reading: Reading) -> tuple[datetime, str] | None:
        pair = (item.get("from"), item.get("revision")) if isinstance(item, Mapping) and set(item) == {"from", "revision"} else item
        if not isinstance(pair, list | tuple) or len(pair) != 2:
            reading.fault(path, item, "{from: date, revision}")
            return None
        start, name = Instant().read(pair[0], f"{path}.from", reading), self._name(pair[1])
        if name is None:
            reading.fault(f"{path}.revision", pair[1], Choice(self.names).allowed)
        return None if name is None or isinstance(start, Unreadable) else (start, name)

    def _name(self, value: object) -> str | None:
        number = exact(value)
        return next((name for name in self.names if number is not None and number == Decimal(name)), None)

    def plain(self, value: tuple[tuple[datetime, str], ...]) -> Any:
        if len(value) == 1 and value[0][0] == EPOCH:
            return value[0][1]
        return [{"from": Instant().plain(start), "revision": name} for start, name in value]

    def schema(self) -> dict[str, Any]:
        name = {"enum": [*self.names, *(float(name) for name in self.names)]}
        start = Instant().schema()
        step = {"type": "object", "properties": {"from": start, "revision": name}, "required": ["from", "revision"]}
        pair = {"type": "array", "prefixItems": [start, name], "minItems": 2, "maxItems": 2}
        return {"anyOf": [name, {"type": "array", "minItems": 1, "items": {"anyOf": [{**step, "additionalProperties": False}, pair]}}]}


class VenueName(Struct, frozen=True):
    """A reference to a venue under `venues.<section>`; `only` narrows it."""

    section: str
    only: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        return " | ".join(self.only) if self.only else f"a name under venues.{self.section}"

    def read(self, value: object, path: str, reading: Reading) -> str | Unreadable:
        fits = isinstance(value, str) and is_known(self.section, value) and (not self.only or value in self.only)
        return value if fits and isinstance(value, str) else reading.fault(path, value, self.allowed + self._nearest(value))

    def _nearest(self, value: object) -> str:
        """The name that was likely meant."""
        known = self.only or KNOWN_VENUES[self.section]
        nearest = get_close_matches(value[:64].lower(), known, n=1) if isinstance(value, str) else []
        return f"; did you mean {nearest[0]}?" if nearest else ""

    def plain(self, value: str) -> str:
        return value

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.only)} if self.only else {"type": "string", "pattern": name_pattern(self.section)}


class Venues(Struct, frozen=True):
    """The venues of one section: a list of names, or a mapping from names to settings; read as name -> settings, in the order written.

    The order stays because the first spot venue with data is the one that values a token.
    """

    section: str
    settings: Mapping[str, Record]  # by venue; the row "*" serves the others

    @property
    def allowed(self) -> str:
        return f"a list or a mapping of {' | '.join(KNOWN_VENUES[self.section])}"

    def read(self, value: object, path: str, reading: Reading) -> dict[str, Any] | Unreadable:
        if value is None:
            return {}
        if isinstance(value, list | tuple):
            return self._read_names(value, path, reading)
        if not isinstance(value, Mapping):
            return reading.fault(path, value, self.allowed)
        found = {}
        for name, settings in value.items():
            if self._is_name(name):
                found[name] = self.record(name).read({} if settings is None else settings, f"{path}.{name}", reading)
            else:
                reading.unknown(path, name, KNOWN_VENUES[self.section])
        return found

    def _read_names(self, names: list[object] | tuple[object, ...], path: str, reading: Reading) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for index, name in enumerate(names):
            if not self._is_name(name) or name in found:
                reading.fault(f"{path}[{index}]", name, f"each once of {' | '.join(KNOWN_VENUES[self.section])}")
            else:
                found[str(name)] = self.record(str(name)).read({}, f"{path}.{name}", reading)
        return found

    def _is_name(self, name: object) -> bool:
        return isinstance(name, str) and _NAME.fullmatch(name) is not None and is_known(self.section, name)

    def record(self, name: str) -> Record:
        """The settings of a venue; one without a row of its own has none."""
        return self.settings.get(name) or self.settings.get("*") or NO_SETTINGS

    def plain(self, value: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self.record(name).plain(settings) for name, settings in value.items()}

    def schema(self) -> dict[str, Any]:
        names = {"type": "array", "uniqueItems": True, "items": {"type": "string", "pattern": name_pattern(self.section)}}
        records = {name_pattern(self.section, name): Nullable(self.record(name)).schema() for name in KNOWN_VENUES[self.section]}
        return {"anyOf": [{"type": "null"}, names, {"type": "object", "patternProperties": records, "additionalProperties": False}]}


def name_pattern(section: str, name: str = "") -> str:
    """The regular expression of the names that may stand under `venues.<section>`."""
    names = name or "|".join(KNOWN_VENUES[section])
    return f"^({names})(_[a-z0-9]+)*$" if section == "cex" else f"^({names})$"
