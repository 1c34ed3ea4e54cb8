"""The sections of `venues`: the configured venues by name, each with the Settings of what it is."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any

from msgspec import Struct

from basis_strategy_v1.config.faults import Reading, did_you_mean, is_secret_name
from basis_strategy_v1.config.kinds import Record, ValueKind, is_mapping, record_of, scalar
from basis_strategy_v1.core.settings import VENUE_NAME, OnChainSettings, ProtocolSettings, VenueSettings, choice
from basis_strategy_v1.core.state import IN_TRANSIT
from basis_strategy_v1.venues import exchanges
from basis_strategy_v1.venues.registry import kind_of, known_names, settings_of, with_wallets
from basis_strategy_v1.venues.venue import CEX, DEX, ONCHAIN

SAYS = {CEX: "exchange", DEX: "protocol", ONCHAIN: "protocol"}  # the key by which a venue with a name of its own says what it is


def settings_record(section: str, kind: str) -> Record:
    """The settings of an exchange or a protocol."""
    return record_of(settings_of(section, kind)).with_row(SAYS[section], kind=scalar(choice(*known_names(section))))


def _section(section: str) -> ValueKind:
    """A list of names, or a mapping from names to settings."""
    says = SAYS[section]

    def allowed() -> str:
        return f"a list or a mapping of {' | '.join(known_names(section))}"

    def read(value: object, path: str, reading: Reading) -> Any:
        known = known_names(section)
        if not isinstance(value, Mapping | list | tuple | None):
            return reading.fault(path, value, allowed())
        found: dict[str, Any] = {}
        for place, name in enumerate(value or ()):
            given = value[name] if isinstance(value, Mapping) else None
            kind = kind_named(name, section, given)
            if kind is not None and name not in found:
                where = f"{path}.{name}"
                found[name] = settings_record(section, kind).read({} if given is None else given, where, reading)
                if name in known and name != kind:
                    reading.fault(f"{where}.{says}", kind, f"{name}, or another name than {name} for {kind}")
            elif isinstance(value, Mapping):
                reading.unknown(path, name, [*known, f"or a name of your own with {says}: one of these"])
            else:
                hint = did_you_mean(name, known) if kind is None else ""
                reading.fault(f"{path}[{place}]", name, f"each once of {' | '.join(known)}{hint}")
        return found

    def plain(venues: Mapping[str, VenueSettings]) -> dict[str, Any]:
        return {name: settings_record(section, kind_of(name, own)).plain(own) for name, own in venues.items()}

    return ValueKind(allowed(), read, lambda: _schema(section), plain, is_mapping)


def kind_named(name: object, section: str, given: object) -> str | None:
    """The exchange or protocol of a venue: what its settings say, else what its name says; None for a name that cannot be one."""
    known, says = known_names(section), SAYS[section]
    if not isinstance(name, str) or not re.fullmatch(VENUE_NAME, name) or name == IN_TRANSIT or is_secret_name(name):
        return None
    if isinstance(given, Mapping) and says in given:
        return given[says] if given[says] in known else known[0]  # what is wrong there is reported where it is read
    if section == CEX:
        return exchanges.exchange_named(name)
    return name if name in known else None


def _schema(section: str) -> dict[str, Any]:
    known, says = known_names(section), SAYS[section]
    names = {"type": "array", "uniqueItems": True, "items": {"type": "string", "pattern": f"^({'|'.join(known)}){_rest(section)}$"}}
    schemas = {kind: settings_record(section, kind).schema() for kind in known}
    mapping = {
        "type": "object",
        "propertyNames": {"pattern": f"^{VENUE_NAME}$"},
        "patternProperties": {f"^{kind}{_rest(section)}$": {"anyOf": [{"type": "null"}, schema]} for kind, schema in schemas.items()},
        "additionalProperties": {"anyOf": [_saying(schema, says, kind) for kind, schema in schemas.items()]},
    }
    return {"anyOf": [{"type": "null"}, names, mapping]}


def _saying(schema: dict[str, Any], says: str, kind: str) -> dict[str, Any]:
    """The settings of a venue that has a name of its own."""
    return {**schema, "properties": {**schema["properties"], says: {"const": kind}}, "required": [says]}


def _rest(section: str) -> str:
    """What may follow the name of an exchange: `binance_spot` and `binance_perp` are two accounts at binance."""
    return "(_[a-z0-9]+)*" if section == CEX else ""


class VenuesConfig(Struct, frozen=True, kw_only=True):
    """The configured venues with their settings, in the order written: the first spot venue with data is the one that values a token."""

    cex: Annotated[
        Mapping[str, exchanges.Settings], _section(CEX), "exchanges; binance_spot and binance_perp are two accounts at one exchange"
    ] = {}
    dex: Annotated[Mapping[str, ProtocolSettings], _section(DEX), "where tokens are swapped on chain"] = {}
    onchain: Annotated[Mapping[str, OnChainSettings], _section(ONCHAIN), "protocols, and the wallet"] = {}

    def without_costs(self) -> VenuesConfig:
        """The venues, each wallet among them, with 0 for each cost that their settings leave to the venue's own figure."""
        return _each(with_wallets(self.sections()), lambda own: own.without_costs())

    def as_read(self) -> VenuesConfig:
        """The venues for a run at the real ones, whose rates and prices are read."""
        return _each(self.sections(), lambda own: own.as_read())

    def sections(self) -> dict[str, Mapping[str, VenueSettings]]:
        return {CEX: self.cex, DEX: self.dex, ONCHAIN: self.onchain}


def _each(sections: Mapping[str, Mapping[str, VenueSettings]], change: Callable[[VenueSettings], VenueSettings]) -> VenuesConfig:
    changed: dict[str, Any] = {section: {name: change(own) for name, own in venues.items()} for section, venues in sections.items()}
    return VenuesConfig(**changed)
