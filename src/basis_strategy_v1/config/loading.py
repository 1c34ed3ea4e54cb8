"""From YAML or a dict to a Config, or to all that is wrong with it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from decimal import Decimal
from hashlib import sha256
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import Any

from msgspec import structs

from basis_strategy_v1.config.checks import check_together
from basis_strategy_v1.config.faults import UNREADABLE, ConfigError, Fault, Reading, shown
from basis_strategy_v1.config.kinds import Record, kind_of, record_of, scalar
from basis_strategy_v1.config.models import Top
from basis_strategy_v1.config.venue_sections import kind_named, settings_record
from basis_strategy_v1.core.settings import VenueSettings, choice, plain_number
from basis_strategy_v1.strategies import STRATEGIES, Mode

PORTFOLIO = "portfolio"  # the strategy_mode of a run of several
WITHOUT_SHARE = ("blocks",)
ONE_LIVE = "one strategy live: write strategy_mode and strategy; a portfolio is for backtests"


class Config(Top, frozen=True, kw_only=True):
    """A config in which every value has its type and its default; `raw` is what was given, `effective` is plain, with the defaults.

    `code` is the source of a strategy that was handed over in place of `strategy.file`. `parts` has a config for each strategy of a
    `portfolio`, in its order; then `strategy_mode` is portfolio, and `strategy` None.
    `strategy` has the Parameters of its mode; it, `start`, `end`, `limits` and `initial_positions` are None where they were not given.
    Paths are resolved against the folder of the YAML file; in `effective` they are as written.
    """

    raw: Mapping[str, Any]
    folder: Path
    effective: Mapping[str, Any]
    code: str = ""
    parts: tuple[Config, ...] = ()

    def canonical(self) -> dict[str, Any]:
        """The effective config as plain data without folders, so that a move of the files changes nothing.

        Of `strategy.file` the name stays, with a digest of what is in it: an edited strategy is another config.
        """
        found: dict[str, Any] = _copied(self.effective)
        for name in ("directory", "database"):
            del found["data"][name]
        if self.code:
            found["strategy"]["file"] = ""
            found["strategy"]["code_sha256"] = sha256(self.code.encode()).hexdigest()
        elif (file := getattr(self.strategy, "file", None)) is not None:
            found["strategy"]["file"] = PurePath(file).name
            if file.is_file():
                found["strategy"]["file_sha256"] = sha256(file.read_bytes()).hexdigest()
        for row, part in zip(found.get("portfolio", ()), self.parts, strict=True):
            row["strategy"] = part.canonical()["strategy"]
        return found

    @property
    def hash(self) -> str:
        """sha256 of the canonical config as JSON, in hexadecimal digits."""
        return sha256(json.dumps(self.canonical(), separators=(",", ":")).encode()).hexdigest()

    def to_yaml(self) -> str:
        """The effective config as YAML that load_config reads again; paths as they were written."""
        import yaml

        return yaml.safe_dump(dict(self.effective), sort_keys=False, allow_unicode=True, default_flow_style=False)


def load_config(
    source: str | os.PathLike[str] | Mapping[str, Any] | Config,
    *,
    run: bool = False,
    live: bool = False,
    changes: Mapping[str, Any] = MappingProxyType({}),
    code: str = "",
) -> Config:
    """The config in a YAML file or a dict.

    `changes` are set in it first: full name (`strategy.leverage`) -> value. With `code`, the source of a strategy that is handed over, no
    `strategy.file` need exist.
    `run` also requires what a backtest needs (start, end, strategy) and checks what must fit together; `live` what a live run needs.

    Raises:
        ConfigError: CFG-001 with all faults at once, each with its path, its value and what is allowed.
    """
    reading = Reading(run=run, live=live, has_code=bool(code))
    given, folder = _given(source, reading)
    if changes and isinstance(given, Mapping):
        given = _changed(given, changes)
    return _config_of(given, folder, reading, code)


def load_in_part(source: str | os.PathLike[str] | Mapping[str, Any] | Config) -> Config | None:
    """The config without those of its sections in which something is wrong, so that more can be found; None where the rest is no config.

    Where nothing is wrong it is the whole.
    """
    try:
        return load_config(source)
    except ConfigError as wrong:
        faulty = {fault.path.partition(".")[0].partition("[")[0] for fault in wrong.faults}
    given, folder = _given(source, Reading())
    if not isinstance(given, Mapping):
        return None
    try:
        return _config_of({name: value for name, value in given.items() if name not in faulty}, folder, Reading())
    except ConfigError:
        return None


def _config_of(given: object, folder: Path, reading: Reading, code: str = "") -> Config:
    if not isinstance(given, Mapping):
        raise ConfigError([*reading.faults, Fault("config", shown(given), "a mapping, or the path of a YAML file")])
    if "portfolio" in given:
        return _portfolio_of(given, folder, reading)
    record = top_record(given.get("strategy_mode"))
    top = record.read(given, "", reading)
    reading.faults.extend(check_together(top, folder, reading))
    if reading.faults:
        raise ConfigError(reading.faults)
    venues = top.venues.without_costs() if top.costs == "none" else top.venues
    typed = structs.asdict(top) | {
        "venues": venues,
        "strategy": _in(folder, top.strategy, "file"),
        "data": _in(folder, top.data, "directory", "database"),
    }
    return Config(**typed, raw=_copied(given), folder=folder, effective=record.plain(_with_figures(top, venues)), code=code)


def _portfolio_of(given: Mapping[str, Any], folder: Path, reading: Reading) -> Config:
    """The config of several strategies: what they share is checked with each of them, and each fault is reported once."""
    record = top_record(None).with_row("strategy_mode", default=PORTFOLIO, needed=None).with_row("strategy", needed=None)
    top = record.read(given, "", reading)
    reading.faults += _portfolio_faults(given, top, reading)
    parts: list[Config] = []
    for place, part in enumerate(top.portfolio if not reading.faults else ()):
        raw = {**given, "strategy_mode": part.strategy_mode, "strategy": part.strategy, "initial_capital": top.initial_capital * part.share}
        del raw["portfolio"]
        try:
            parts.append(_config_of(raw, folder, reading.again()))
        except ConfigError as error:
            faults = [
                row._replace(path=f"portfolio[{place}].{row.path}") if row.path.startswith("strategy") else row for row in error.faults
            ]
            reading.faults += [row for row in faults if row not in reading.faults]
    if reading.faults:
        raise ConfigError(reading.faults)
    plain = {name: value for name, value in record.plain(_with_figures(top, parts[0].venues)).items() if name != "strategy_mode"}
    for row, own in zip(plain["portfolio"], parts, strict=True):
        row["strategy"] = own.effective.get("strategy", {})
    shared = structs.asdict(top) | {"venues": parts[0].venues, "data": parts[0].data}
    return Config(**shared, raw=_copied(given), folder=folder, effective=plain, parts=tuple(parts))


def _portfolio_faults(given: Mapping[str, Any], top: Any, reading: Reading) -> Iterator[Fault]:
    for name in ("strategy_mode", "strategy", "initial_positions"):
        if given.get(name) is not None:
            yield Fault(name, shown(given[name]), f"nothing next to portfolio{': each strategy has its own' if name[0] == 's' else ''}")
    if reading.is_live:
        yield Fault("portfolio", shown(given["portfolio"]), ONE_LIVE)
    if not isinstance(top.portfolio, tuple) or any(part is UNREADABLE for part in top.portfolio):
        return
    if not top.portfolio:
        yield Fault("portfolio", "an empty list", "a list with at least one strategy")
    names = [part.name for part in top.portfolio]
    if twice := next((name for place, name in enumerate(names) if name is not UNREADABLE and name in names[:place]), None):
        yield Fault(f"portfolio[{len(names) - 1 - names[::-1].index(twice)}].name", shown(twice), "a name that no other strategy here has")
    for place, part in enumerate(top.portfolio):
        if part.strategy_mode in WITHOUT_SHARE:
            yield Fault(f"portfolio[{place}].strategy_mode", part.strategy_mode, "a strategy; blocks have times of their own")
    shares = [part.share for part in top.portfolio]
    if UNREADABLE not in shares and (total := sum(shares, Decimal(0))) > 1:
        yield Fault("portfolio", f"shares that add up to {plain_number(total)}", "at most 1 in all")


def _with_figures(top: Any, venues: Any) -> Any:
    """The config with the figures that the exchanges publish, so that a later table changes nothing in it."""
    cex = {name: own.with_figures(name) for name, own in venues.cex.items()}
    return structs.replace(top, venues=structs.replace(venues, cex=cex))


def raw_config(source: object) -> Mapping[str, Any]:
    """What a config's file or dict holds, as it was written; nothing where it cannot be read, which `load_config` then reports."""
    try:
        given, _ = _given(source, Reading())
    except ConfigError:
        return {}
    return given if isinstance(given, Mapping) else {}


def _changed(given: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A copy in which each change is set, with the mappings on the way to it; a list of venues is made a mapping first."""
    found: dict[str, Any] = _copied(given)
    for name, value in changes.items():
        *places, last = name.split(".")
        inner = found
        for place in places:
            deeper = inner.get(place)
            if isinstance(deeper, list):
                deeper = {key: {} for key in deeper}
            inner[place] = inner = deeper if isinstance(deeper, dict) else {}
        inner[last] = value
    return found


def load_settings(section: str, name: str, given: Mapping[str, Any]) -> VenueSettings:
    """The settings of one venue from a dict.

    Raises:
        ConfigError: CFG-001 with all faults at once. KeyError: there is no such exchange or protocol in that section.
    """
    kind = kind_named(name, section, given)
    if kind is None:
        raise KeyError(name)
    reading, path = Reading(), f"venues.{section}.{name}"
    settings: VenueSettings = settings_record(section, kind).read(given, path, reading)
    if not reading.faults:
        reading.faults = [Fault(f"{path}.{where}", shown(value), allowed) for where, value, allowed in settings.misfits(name)]
    if reading.faults:
        raise ConfigError(reading.faults)
    return settings


def top_record(strategy_mode: object) -> Record:
    """The whole of a config; where the mode itself is wrong its parameters are not judged."""
    record = record_of(Top).with_row("strategy_mode", kind=scalar(choice(*STRATEGIES)))
    mode = STRATEGIES.get(strategy_mode) if isinstance(strategy_mode, str) else None
    if mode is None:
        return record
    own = kind_of(mode.parameters)
    return (
        record.with_row("strategy", kind=own)
        if _must_be_given(mode)
        else record.with_row("strategy", kind=own, default=mode.parameters(), needed=None)
    )


def _must_be_given(mode: Mode) -> bool:
    """Whether a strategy has parameters without a default."""
    return any(row.needed for row in record_of(mode.parameters).rows)


def json_schema() -> dict[str, Any]:
    """The JSON schema of a config that can be run; what fits together across fields is checked by load_config alone."""
    base = top_record(None).with_row("strategy", needed=None).with_row("strategy_mode", needed=None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A run of basis-strategy",
        **base.schema(),
        "anyOf": [{"required": ["strategy_mode"]}, {"required": ["portfolio"]}],
        "allOf": [
            {
                "if": {"properties": {"strategy_mode": {"const": mode}}, "required": ["strategy_mode"]},
                "then": {
                    "properties": {"strategy": record_of(row.parameters).schema()},
                    "required": ["strategy"] if _must_be_given(row) else [],
                },
            }
            for mode, row in STRATEGIES.items()
        ],
    }


def _given(source: object, reading: Reading) -> tuple[object, Path]:
    if isinstance(source, Config):
        return source.raw, source.folder
    if not isinstance(source, str | os.PathLike):
        return source, Path()
    from basis_strategy_v1.config.yaml_reader import read_yaml

    path = Path(source)
    return read_yaml(path, reading.faults), path.absolute().parent  # whatever becomes of the working directory


def _in(folder: Path, section: Any, *names: str) -> Any:
    """The section with its paths taken from a folder."""
    paths = {name: path for name in names if (path := getattr(section, name, None)) is not None}
    return structs.replace(section, **{name: folder / path for name, path in paths.items()}) if paths else section


def _copied(value: Any) -> Any:
    """A copy that the caller's later changes do not reach, with the exact numbers of YAML as ordinary ones."""
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(item) for item in value]
    return plain_number(value) if isinstance(value, Decimal) else value
