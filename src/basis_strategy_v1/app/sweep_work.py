"""The runs of a sweep: what they have in common, and the row of one."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from basis_strategy_v1.app import build, open_data
from basis_strategy_v1.app.own_strategy import OwnStrategy
from basis_strategy_v1.app.sweep_rows import failed, figures_of
from basis_strategy_v1.config import load_config
from basis_strategy_v1.core.error_codes.exceptions import ComponentError
from basis_strategy_v1.data.data_provider import DataProvider

if TYPE_CHECKING:
    from collections.abc import Mapping

    from basis_strategy_v1.config import Config

Changes = dict[str, Any]
Row = dict[str, Any]


class Work(NamedTuple):
    """What every run of a sweep has in common."""

    config: Any
    data: Any
    own: OwnStrategy | None
    providers: dict[Any, DataProvider]  # loaded before the processes begin, so that they share what is in memory
    period: Mapping[str, Any] = MappingProxyType({})  # the start and the end that the config leaves out

    def changes(self, combination: Changes) -> Changes:
        """What is set in the config for one run."""
        return {**(self.own.changes if self.own else {}), **self.period, **combination}


def load_one(work: Work, changes: Changes, *, run: bool = True) -> Any:
    return load_config(work.config, run=run, changes=work.changes(changes), code=work.own.code if work.own else "")


def reads_of(settings: Config) -> str:
    """What the series that a run reads depend on."""
    return repr((_key_of(settings), [value for value in _flat(settings.effective["strategy"]) if isinstance(value, str)]))


def _flat(value: Any) -> list[Any]:
    return [inner for each in value.values() for inner in _flat(each)] if isinstance(value, dict) else [value]


def prepare(work: Work, changes: Changes) -> None:
    """Put a run together, so that its series are in memory."""
    engine = build(work.config, _provider_of(work, changes), None, changes=work.changes(changes), own=work.own)
    engine.event_logger.close()


def _key_of(settings: Any) -> Any:
    """What a provider of data depends on."""
    data = settings.data
    own = getattr(settings.strategy, "spot_venue", None)
    return repr(
        (
            settings.start,
            settings.end,
            data.directory,
            data.database,
            data.max_staleness,
            data.missing_funding,
            own,
            list(settings.venues.cex),
        )
    )


def _provider_of(work: Work, changes: Changes) -> Any:
    """The data of one run: the series that were read already, with nothing noted of another run."""
    if work.data is not None and not isinstance(work.data, str | Path):
        return work.data
    settings = load_one(work, changes)
    key = _key_of(settings)
    if key not in work.providers:
        work.providers[key] = open_data(settings, work.data)
    return work.providers[key].again()


def row_of(work: Work, changes: Changes) -> Row:
    """The figures of one run, or its error."""
    try:
        engine = build(work.config, _provider_of(work, changes), None, changes=work.changes(changes), own=work.own)
        return figures_of(engine.run().summary)
    except ComponentError as error:
        return failed(" ".join(str(error).split()))
    except Exception as error:  # noqa: BLE001 whatever ends one run is its row: the others go on
        return failed(" ".join(f"{type(error).__name__}: {error}".split()))
