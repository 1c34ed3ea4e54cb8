"""From YAML or a dict to a Config, or to all that is wrong with it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from pathlib import Path, PurePath
from typing import Any

from msgspec import Struct

from basis_strategy_v1.config.checks import check_together
from basis_strategy_v1.config.containers import Record
from basis_strategy_v1.config.faults import ConfigError, Fault, Reading, shown
from basis_strategy_v1.config.scalars import plain_number
from basis_strategy_v1.config.tables import DATA, top_for

_DEFAULT_STALENESS = timedelta(hours=36)


class DataConfig(Struct, frozen=True):
    """Where the series come from, and how old they may be."""

    directory: Path | None
    database: Path | None
    max_staleness: timedelta
    max_staleness_by_series: Mapping[str, timedelta]
    missing_funding: str


class Limits(Struct, frozen=True):
    """What live never goes beyond; notionals in USD. `contracts` None: the configured venues."""

    max_notional_per_instruction: Decimal | None = None
    max_notional_per_day: Decimal | None = None
    max_slippage_bps: Decimal | None = None
    max_unhedged_notional: Decimal | None = None
    max_unhedged_seconds: Decimal = Decimal(60)
    withdrawal_addresses: tuple[str, ...] = ()
    contracts: tuple[str, ...] | None = None


class VenuesConfig(Struct, frozen=True):
    """The configured venues with their settings, in the order written."""

    cex: Mapping[str, Mapping[str, Any]]
    dex: Mapping[str, Mapping[str, Any]]
    onchain: Mapping[str, Mapping[str, Any]]


class Config(Struct, frozen=True, kw_only=True):
    """A config in which every value has its type and its default; `raw` is what was given.

    `strategy` is empty, `start`, `end`, `limits` and `initial_positions` are None where they were not given.
    Paths are resolved against the folder of the YAML file.
    """

    strategy_mode: str
    share_class: str
    initial_capital: Decimal
    start: datetime | None
    end: datetime | None
    interval: timedelta
    venue_timeout: float
    max_retries_per_venue: int
    max_retry_attempts: int
    retry_delay_seconds: float
    enable_atomic_chaining: bool
    close_at_end: bool
    initial_positions: Mapping[str, Mapping[str, Decimal]] | None
    gas_reserve_eth: Decimal
    data: DataConfig
    strategy: Mapping[str, Any]
    limits: Limits | None
    venues: VenuesConfig
    raw: Mapping[str, Any]
    folder: Path
    effective: Mapping[str, Any]  # plain, defaults filled in, paths as written

    def canonical(self) -> dict[str, Any]:
        """The effective config as plain data without folders, so that a move of the files changes nothing.

        Of `strategy.file` the name stays, with a digest of what is in it: an edited strategy is another config.
        """
        found = _without_paths(_copied(self.effective))
        file = self.strategy.get("file")
        if file is not None and Path(file).is_file():
            found["strategy"]["file_sha256"] = sha256(Path(file).read_bytes()).hexdigest()
        return found

    @property
    def hash(self) -> str:
        """sha256 of the canonical config as JSON, in hexadecimal digits."""
        return sha256(json.dumps(self.canonical(), separators=(",", ":")).encode()).hexdigest()

    def to_yaml(self) -> str:
        """The effective config as YAML that load_config reads again; paths as they were written."""
        import yaml

        return yaml.safe_dump(dict(self.effective), sort_keys=False, allow_unicode=True, default_flow_style=False)


def load_config(source: str | os.PathLike[str] | Mapping[str, Any] | Config, *, run: bool = False, live: bool = False) -> Config:
    """The config in a YAML file or a dict.

    `run` also requires what a run needs (start, end, strategy) and checks what must fit together; `live` the limits as well.

    Raises:
        ConfigError: CFG-001 with all faults at once, each with its path, its value and what is allowed.
    """
    reading = Reading(run=run, live=live)
    given, folder = _given(source, reading)
    if not isinstance(given, Mapping):
        raise ConfigError([*reading.faults, Fault("config", shown(given), "a mapping, or the path of a YAML file")])
    top = top_for(given.get("strategy_mode"))
    parsed = top.read(given, "", reading)
    assert isinstance(parsed, dict)  # `given` is a mapping
    reading.faults.extend(check_together(parsed, folder, reading))
    if reading.faults:
        raise ConfigError(reading.faults)
    return _build(parsed, given, folder, top)


def _given(source: object, reading: Reading) -> tuple[object, Path]:
    if isinstance(source, Config):
        return source.raw, source.folder
    if not isinstance(source, str | os.PathLike):
        return source, Path()
    from basis_strategy_v1.config.yaml_reader import read_yaml

    path = Path(source)
    return read_yaml(path, reading.faults), path.absolute().parent  # whatever becomes of the working directory


def _build(parsed: dict[str, Any], given: Mapping[str, Any], folder: Path, top: Record) -> Config:
    strategy = parsed.get("strategy", {})
    limits = parsed.get("limits")
    typed = {
        **parsed,
        "start": parsed.get("start"),
        "end": parsed.get("end"),
        "data": _data(parsed["data"], folder),
        "strategy": {**strategy, "file": folder / strategy["file"]} if "file" in strategy else strategy,
        "limits": None if limits is None else Limits(**limits),
        "venues": VenuesConfig(**parsed["venues"]),
    }
    return Config(**typed, raw=_copied(given), folder=folder, effective=top.plain(parsed))


def _data(data: Mapping[str, Any], folder: Path) -> DataConfig:
    staleness = data["max_staleness"]
    by_series = dict(staleness) if isinstance(staleness, Mapping) else {}
    default = by_series.pop("default", _DEFAULT_STALENESS) if isinstance(staleness, Mapping) else staleness
    return DataConfig(
        directory=None if data["directory"] is None else folder / data["directory"],
        database=None if data["database"] is None else folder / data["database"],
        max_staleness=default,
        max_staleness_by_series=by_series,
        missing_funding=data["missing_funding"],
    )


def _copied(value: Any) -> Any:
    """A copy that the caller's later changes do not reach, with the exact numbers of YAML as ordinary ones."""
    if isinstance(value, Mapping):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(item) for item in value]
    return plain_number(value) if isinstance(value, Decimal) else value


def _without_paths(effective: Mapping[str, Any]) -> dict[str, Any]:
    kept = dict(effective)
    kept["data"] = {name: value for name, value in effective["data"].items() if not DATA.by_name[name].is_path}
    if "file" in effective.get("strategy", {}):
        kept["strategy"] = {**effective["strategy"], "file": PurePath(effective["strategy"]["file"]).name}
    return kept
